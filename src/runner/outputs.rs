//! The action's outputs: what later steps can branch on.

use crate::{
    report::{RestoreOutcome, RunReport, SaveOutcome, TierReport},
    tier::TierName,
};

/// Which half of the report a step's outputs tell.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Half {
    /// The restore's.
    Restore,
    /// The save's, of a step that does nothing else.
    Save,
}

/// Names and values of the outputs that tell what became of the tiers: `cache-hit`, and for each tier in use
/// `<tier>-outcome`, `<tier>-matched-key` and `<tier>-reason`; and once sccache was asked, what it did, as JSON.
pub fn of_report(report: &RunReport, half: Half) -> Vec<(String, String)> {
    let exact = report.tiers.iter().any(|tier| {
        tier.tier == TierName::Deps
            && tier
                .restore
                .as_ref()
                .is_some_and(|restore| restore.outcome == RestoreOutcome::Exact)
    });
    let mut outputs = vec![("cache-hit".to_owned(), exact.to_string())];
    for tier in &report.tiers {
        let name = tier.tier;
        let (outcome, reason) = match half {
            Half::Restore => of_restore(tier),
            Half::Save => of_save(tier),
        };
        let matched = tier
            .restore
            .as_ref()
            .and_then(|half| half.matched_key.clone());
        outputs.extend([
            (format!("{name}-outcome"), outcome.to_owned()),
            (format!("{name}-matched-key"), matched.unwrap_or_default()),
            (format!("{name}-reason"), reason),
        ]);
    }
    let stats = report.sccache.as_ref();
    if let Some(json) = stats.and_then(|stats| serde_json::to_string(stats).ok()) {
        outputs.push(("sccache-stats".to_owned(), json));
    }
    outputs
}

fn of_restore(tier: &TierReport) -> (&'static str, String) {
    let Some(restore) = &tier.restore else {
        return ("skipped", String::new());
    };
    let outcome = match restore.outcome {
        RestoreOutcome::Exact => "exact",
        RestoreOutcome::Partial => "partial",
        RestoreOutcome::Miss => "miss",
        RestoreOutcome::Skipped => "skipped",
        RestoreOutcome::Failed => "failed",
    };
    (outcome, restore.reason.clone())
}

fn of_save(tier: &TierReport) -> (&'static str, String) {
    let Some(save) = &tier.save else {
        return ("skipped", String::new());
    };
    let outcome = match save.outcome {
        SaveOutcome::Saved => "saved",
        SaveOutcome::Skipped => "skipped",
        SaveOutcome::Raced => "raced",
        SaveOutcome::Failed => "failed",
    };
    (outcome, save.reason.clone())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::{RestoreReport, SaveReport, SccacheReport};

    fn lines(report: &RunReport, half: Half) -> String {
        let lines: Vec<_> = of_report(report, half)
            .into_iter()
            .map(|(name, value)| format!("{name}={value}"))
            .collect();
        lines.join("\n")
    }

    #[test]
    fn every_tier_tells_its_outcome_its_key_and_the_reason() {
        let mut report = RunReport::default();
        report.tier_mut(TierName::Registry).restore = Some(RestoreReport::new(
            RestoreOutcome::Miss,
            "nothing is stored for this project yet",
        ));
        report.tier_mut(TierName::Deps).restore = Some(RestoreReport {
            matched_key: Some("hotcrate-v1-deps-1".to_owned()),
            ..RestoreReport::new(RestoreOutcome::Exact, "")
        });
        report.tier_mut(TierName::Deps).save = Some(SaveReport::skipped("nothing is new"));
        insta::assert_snapshot!(lines(&report, Half::Restore), @r"
        cache-hit=true
        registry-outcome=miss
        registry-matched-key=
        registry-reason=nothing is stored for this project yet
        deps-outcome=exact
        deps-matched-key=hotcrate-v1-deps-1
        deps-reason=
        ");
        insta::assert_snapshot!(lines(&report, Half::Save), @r"
        cache-hit=true
        registry-outcome=skipped
        registry-matched-key=
        registry-reason=
        deps-outcome=skipped
        deps-matched-key=hotcrate-v1-deps-1
        deps-reason=nothing is new
        ");
    }

    #[test]
    fn what_sccache_did_is_one_line_of_json() {
        let report = RunReport {
            sccache: Some(SccacheReport {
                version: "0.16.0".to_owned(),
                hits: 29,
                not_cacheable: 35,
                reasons: [("bin".to_owned(), 35)].into(),
                ..SccacheReport::default()
            }),
            ..RunReport::default()
        };
        insta::assert_snapshot!(lines(&report, Half::Save), @r#"
        cache-hit=false
        sccache-stats={"version":"0.16.0","hits":29,"misses":0,"not_cacheable":35,"reasons":{"bin":35},"written":0,"errors":0,"fell_back":0,"note":null}
        "#);
    }

    #[test]
    fn a_partial_match_is_no_hit() {
        let mut report = RunReport::default();
        report.tier_mut(TierName::Deps).restore =
            Some(RestoreReport::new(RestoreOutcome::Partial, "lock: …"));
        assert_eq!(of_report(&report, Half::Restore)[0].1, "false");
    }
}
