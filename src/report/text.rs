//! A report as lines of text, for logs and terminals.

use std::cmp::Reverse;

use bytesize::ByteSize;
use jiff::SignedDuration;

use super::{
    RebuildCause, RestoreOutcome, RestoreReport, RunReport, SaveOutcome, SaveReport, SccacheReport,
    TierReport, UnitsReport,
};
use crate::{rebuild, tier::TierName};

/// More causes than this are in the JSON report alone.
const MOST_CAUSES: usize = 10;
const MOST_PACKAGES: usize = 4;

/// Bytes as people read them: `61.2 MB`.
pub fn render_bytes(bytes: u64) -> String {
    ByteSize::b(bytes).display().si().to_string()
}

/// Seconds as people read them: `0.8 s`.
pub fn render_seconds(seconds: f64) -> String {
    if seconds < 0.095 {
        format!("{seconds:.2} s")
    } else {
        format!("{seconds:.1} s")
    }
}

/// A time span as people read it, in the largest unit that it fills: `3 days`, `1 hour`, `20 minutes`.
pub fn render_age(age: SignedDuration) -> String {
    let minutes = age.as_mins().max(0);
    let (count, unit) = match minutes {
        0..60 => (minutes, "minute"),
        60..2880 => (minutes / 60, "hour"),
        _ => (minutes / 1440, "day"),
    };
    let plural = if count == 1 { "" } else { "s" };
    format!("{count} {unit}{plural}")
}

/// A length of time as people read it: `48 s`, `4 min 12 s`, `1 h 3 min`.
pub fn render_span(seconds: f64) -> String {
    if seconds < 9.5 {
        return render_seconds(seconds);
    }
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a rounded number of seconds, and not below zero"
    )]
    let whole = seconds.round() as u64;
    let (hours, minutes, seconds) = (whole / 3600, whole / 60 % 60, whole % 60);
    match (hours, minutes) {
        (0, 0) => format!("{seconds} s"),
        (0, minutes) => format!("{minutes} min {seconds} s"),
        (hours, minutes) => format!("{hours} h {minutes} min"),
    }
}

/// The closing lines: one a tier, and one for the units.
pub fn render_lines(report: &RunReport) -> Vec<String> {
    let mut lines: Vec<_> = report
        .tiers
        .iter()
        .filter(|tier| !is_unasked(tier))
        .map(tier_line)
        .collect();
    lines.extend(units_line(report));
    lines.extend(render_causes(&report.units));
    lines.extend(report.sccache.as_ref().map(sccache_line));
    lines
}

/// `extra` is for those who list directories and `sccache` for those who have it: others need not hear of them. Where
/// one is left out that was asked for, a note says so.
pub(super) fn is_unasked(report: &TierReport) -> bool {
    let restore = report.restore.as_ref().map(|half| half.outcome);
    let save = report.save.as_ref().map(|half| half.outcome);
    matches!(report.tier, TierName::Extra | TierName::Sccache)
        && restore.is_none_or(|outcome| outcome == RestoreOutcome::Skipped)
        && save.is_none_or(|outcome| outcome == SaveOutcome::Skipped)
}

fn tier_line(report: &TierReport) -> String {
    let halves = [
        report.restore.as_ref().map(restore_half),
        report.save.as_ref().map(save_half),
    ];
    let halves: Vec<_> = halves.into_iter().flatten().collect();
    format!("{:<9} {}", report.tier, halves.join("; "))
}

fn restore_half(report: &RestoreReport) -> String {
    let outcome = match report.outcome {
        RestoreOutcome::Failed => return failed("restore"),
        RestoreOutcome::Exact => "exact",
        RestoreOutcome::Partial => "partial",
        RestoreOutcome::Miss => "miss",
        RestoreOutcome::Skipped => "not restored",
    };
    sentence(outcome, report.bytes, report.seconds, &report.reason)
}

fn save_half(report: &SaveReport) -> String {
    let outcome = match report.outcome {
        SaveOutcome::Failed => return failed("save"),
        SaveOutcome::Saved => "saved",
        SaveOutcome::Skipped | SaveOutcome::Raced => "not saved",
    };
    sentence(outcome, report.bytes, report.seconds, &report.reason)
}

/// Why it failed was said when it did, at more length than fits here.
fn failed(half: &str) -> String {
    format!("{half} failed (see the warning above)")
}

fn sentence(outcome: &str, bytes: Option<u64>, seconds: f64, reason: &str) -> String {
    let volume = bytes.map_or_else(String::new, |bytes| {
        format!(" {} in {}", render_bytes(bytes), render_seconds(seconds))
    });
    let why = if reason.is_empty() {
        String::new()
    } else {
        format!(" ({reason})")
    };
    format!("{outcome}{volume}{why}")
}

fn units_line(report: &RunReport) -> Option<String> {
    let rebuilt = report.units.rebuilt?;
    let spared = report
        .units
        .seconds_spared
        .filter(|seconds| *seconds > 0.0)
        .map_or_else(String::new, |seconds| {
            format!("; {} of compile time spared", render_span(seconds))
        });
    Some(match report.units.reused {
        Some(reused) => format!("units     {reused} reused, {rebuilt} compiled{spared}"),
        None => format!("units     {rebuilt} compiled"),
    })
}

/// A line for each of the largest causes. That nothing was restored is said elsewhere.
pub fn render_causes(units: &UnitsReport) -> Vec<String> {
    let causes = &units.causes;
    if causes
        .iter()
        .all(|cause| cause.cause == rebuild::NOTHING_RESTORED)
    {
        return Vec::new();
    }
    let mut lines: Vec<_> = causes.iter().take(MOST_CAUSES).map(cause_line).collect();
    if causes.len() > MOST_CAUSES {
        lines.push(format!(
            "          and {} more causes",
            causes.len() - MOST_CAUSES
        ));
    }
    lines
}

fn cause_line(cause: &RebuildCause) -> String {
    let (who, packages) = if cause.is_of_package {
        (format!("{}: ", cause.packages.join(", ")), String::new())
    } else {
        let mut named: Vec<_> = cause.packages.iter().take(MOST_PACKAGES).cloned().collect();
        if cause.packages.len() > MOST_PACKAGES {
            named.push("…".to_owned());
        }
        (String::new(), format!(" ({})", named.join(", ")))
    };
    let dependents = match cause.dependents {
        0 => String::new(),
        1 => ", and 1 that depends on it".to_owned(),
        count => format!(", and {count} that depend on it"),
    };
    let plural = if cause.units == 1 { "" } else { "s" };
    format!(
        "          {who}{}; {} unit{plural}{packages}{dependents}",
        cause.cause, cause.units
    )
}

/// `compiler  29 of 33 compilations came from sccache; 35 are not cacheable (bin 17, crate-type 14, incremental 4)`.
fn sccache_line(report: &SccacheReport) -> String {
    format!("compiler  {}", sccache_facts(report).join("; "))
}

/// What sccache did, fact by fact, the number of hits first.
pub(super) fn sccache_facts(report: &SccacheReport) -> Vec<String> {
    let asked = report.hits + report.misses;
    let mut parts = vec![format!(
        "{} of {asked} compilations came from sccache",
        report.hits
    )];
    if report.not_cacheable > 0 {
        let mut reasons: Vec<_> = report.reasons.iter().collect();
        reasons.sort_by_key(|(reason, count)| (Reverse(**count), *reason));
        let reasons: Vec<_> = reasons
            .into_iter()
            .map(|(reason, count)| format!("{reason} {count}"))
            .collect();
        let why = if reasons.is_empty() {
            String::new()
        } else {
            format!(" ({})", reasons.join(", "))
        };
        parts.push(format!("{} are not cacheable{why}", report.not_cacheable));
    }
    if report.errors > 0 {
        let plural = if report.errors == 1 { "" } else { "s" };
        parts.push(format!("{} error{plural}", report.errors));
    }
    if report.fell_back > 0 {
        parts.push(format!(
            "{} went without it, as it failed",
            report.fell_back
        ));
    }
    parts.extend(report.note.clone());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::UnitsReport;

    #[test]
    fn every_tier_gets_a_line_with_both_of_its_halves() {
        let mut report = RunReport {
            units: UnitsReport {
                reused: Some(142),
                rebuilt: Some(3),
                rebuilt_units: Vec::new(),
                causes: vec![
                    cause("src/lib.rs changed", &["core"], true, 1, 1),
                    cause(
                        "new: the entry that was restored does not have it",
                        &["a", "b", "c", "d", "e"],
                        false,
                        5,
                        0,
                    ),
                ],
                seconds_spared: Some(252.4),
            },
            ..RunReport::default()
        };
        report.tier_mut(TierName::Deps).restore = Some(RestoreReport {
            outcome: RestoreOutcome::Partial,
            reason: "lock: memchr 2.8.2 → 2.8.3".to_owned(),
            key: String::new(),
            matched_key: None,
            bytes: Some(61_200_000),
            seconds: 0.82,
        });
        report.tier_mut(TierName::Deps).save = Some(SaveReport {
            outcome: SaveOutcome::Saved,
            reason: String::new(),
            key: String::new(),
            bytes: Some(62_000_000),
            seconds: 1.24,
        });
        report.tier_mut(TierName::Registry).restore = Some(RestoreReport {
            outcome: RestoreOutcome::Miss,
            reason: "nothing is stored for this project yet".to_owned(),
            key: String::new(),
            matched_key: None,
            bytes: None,
            seconds: 0.01,
        });
        insta::assert_snapshot!(render_lines(&report).join("\n"), @r"
        registry  miss (nothing is stored for this project yet)
        deps      partial 61.2 MB in 0.8 s (lock: memchr 2.8.2 → 2.8.3); saved 62.0 MB in 1.2 s
        units     142 reused, 3 compiled; 4 min 12 s of compile time spared
                  core: src/lib.rs changed; 1 unit, and 1 that depends on it
                  new: the entry that was restored does not have it; 5 units (a, b, c, d, …)
        ");
    }

    fn cause(
        cause: &str,
        packages: &[&str],
        is_of_package: bool,
        units: usize,
        dependents: usize,
    ) -> RebuildCause {
        RebuildCause {
            cause: cause.to_owned(),
            packages: packages.iter().map(|name| (*name).to_owned()).collect(),
            is_of_package,
            units,
            dependents,
        }
    }

    #[test]
    fn what_sccache_did_is_told_with_the_commonest_reasons_first() {
        let mut report = RunReport {
            sccache: Some(SccacheReport {
                version: "0.16.0".to_owned(),
                hits: 29,
                misses: 4,
                not_cacheable: 35,
                reasons: [("crate-type", 14), ("-", 1), ("bin", 20)]
                    .map(|(reason, count)| (reason.to_owned(), count))
                    .into(),
                written: 4,
                errors: 2,
                fell_back: 1,
                note: Some("its server died".to_owned()),
            }),
            ..RunReport::default()
        };
        report.tier_mut(TierName::Sccache).restore =
            Some(RestoreReport::new(RestoreOutcome::Skipped, "it is off"));
        report.tier_mut(TierName::Sccache).save = Some(SaveReport::skipped("it is off"));
        insta::assert_snapshot!(
            render_lines(&report).join("\n"),
            @"compiler  29 of 33 compilations came from sccache; 35 are not cacheable (bin 20, crate-type 14, - 1); 2 errors; 1 went without it, as it failed; its server died"
        );
    }

    #[test]
    fn what_failed_is_not_explained_twice() {
        let mut report = RunReport::default();
        report.tier_mut(TierName::Deps).restore = Some(RestoreReport {
            outcome: RestoreOutcome::Failed,
            reason: "deps not restored: failed to open the entry".to_owned(),
            key: String::new(),
            matched_key: None,
            bytes: Some(1_000_000),
            seconds: 0.3,
        });
        report.tier_mut(TierName::Deps).save = Some(SaveReport {
            outcome: SaveOutcome::Failed,
            reason: "deps not saved: the disk is full".to_owned(),
            key: String::new(),
            bytes: None,
            seconds: 0.1,
        });
        insta::assert_snapshot!(
            render_lines(&report).join("\n"),
            @"deps      restore failed (see the warning above); save failed (see the warning above)"
        );
    }

    #[rstest::rstest]
    #[case(0.0, "0.00 s")]
    #[case(7.24, "7.2 s")]
    #[case(59.6, "1 min 0 s")]
    #[case(252.4, "4 min 12 s")]
    #[case(3_790.0, "1 h 3 min")]
    fn time_is_told_as_coarsely_as_it_matters(#[case] seconds: f64, #[case] told: &str) {
        assert_eq!(render_span(seconds), told);
    }
}
