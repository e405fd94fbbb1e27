//! What is stored where a run's entries live, as its report has it; and as a part of the page of a job: the quota by owner,
//! what is evicted next, what was deleted, and where a tier found nothing, what there is for the job.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::{
    RestoreOutcome, RunReport, SaveOutcome,
    markdown::{Page, code, details, plain, with_code},
    quota::render_quota_pie,
    render_age, render_bytes, render_entries,
    survey::{render_fate, render_percent},
};
use crate::{
    inventory::{Advice, Count, ListedEntry, NextEvicted, Place, Quota, Share, Survey, Unlisted},
    key::ParsedKey,
};

/// How many entries a table has at most.
const MOST_ROWS: usize = 20;

/// What is stored in a repository, or a directory, when a run is over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct HoldingsReport {
    /// Where this is.
    pub place: Place,
    /// When it was.
    pub taken_at: Timestamp,
    /// How full it is.
    pub quota: Quota,
    /// By owner, the largest first.
    pub owners: Vec<Share>,
    /// What is counted and not listed.
    pub unlisted: Option<Unlisted>,
    /// What takes up room for nothing: superseded, or out of everybody's reach.
    pub dead: Count,
    /// The entries that go first, in that order.
    pub next_evicted: Vec<NextEvicted>,
    /// What to do about it.
    pub advice: Vec<Advice>,
    /// Where tiers found nothing: what is stored of those tiers for this job, on whatever branch, the newest first.
    pub stored_for_job: Vec<ListedEntry>,
    /// What to know of how this was found out.
    pub notes: Vec<String>,
}

impl HoldingsReport {
    /// What a survey says, without its single entries.
    pub fn of(survey: &Survey) -> Self {
        Self {
            place: survey.place.clone(),
            taken_at: survey.taken_at,
            quota: survey.quota,
            owners: survey.owners.clone(),
            unlisted: survey.unlisted.clone(),
            dead: survey.dead,
            next_evicted: survey.eviction.next.clone(),
            advice: survey.advice.clone(),
            stored_for_job: Vec::new(),
            notes: survey.notes.clone(),
        }
    }
}

/// What a job deleted of what its new entries took the place of.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CollectionReport {
    /// What was deleted.
    pub deleted: Count,
    /// How many entries are left for the next job.
    pub left: u64,
    /// Why not all of them were deleted, if something went wrong.
    pub trouble: Option<String>,
}

/// Entries of the tiers that found nothing, without those that this run stored itself.
pub fn of_missed_tiers(report: &RunReport, mut stored: Vec<ListedEntry>) -> Vec<ListedEntry> {
    let missed: Vec<_> = report
        .tiers
        .iter()
        .filter(|tier| {
            let restore = tier.restore.as_ref();
            restore.is_some_and(|restore| restore.outcome == RestoreOutcome::Miss)
        })
        .collect();
    stored.retain(|entry| {
        let parsed = ParsedKey::parse(&entry.key);
        missed.iter().any(|tier| {
            let is_own = tier
                .save
                .as_ref()
                .is_some_and(|save| save.outcome == SaveOutcome::Saved && save.key == entry.key);
            parsed.as_ref().is_some_and(|key| key.tier == tier.tier) && !is_own
        })
    });
    stored
}

/// Adds all of that to the page of the job, as far as it fits.
pub(super) fn write(report: &RunReport, page: &mut Page) {
    if let Some(collected) = &report.collected {
        page.add(&collection(collected));
    }
    if let Some(why) = &report.holdings_unknown {
        let line = format!("How full the quota is, is not known: {}", with_code(why));
        page.add(&format!("<sub>{line}</sub>\n\n"));
    }
    let Some(holdings) = &report.holdings else {
        return;
    };
    page.add(&stored_for_job(holdings));
    page.add(&quota(holdings));
    page.add(&next_evicted(holdings));
}

fn collection(collected: &CollectionReport) -> String {
    let mut line = format!(
        "`gc` deleted {} of {}",
        render_entries(collected.deleted.entries),
        render_bytes(collected.deleted.bytes)
    );
    if collected.left > 0 {
        line.extend([format!("; {} left for the next job", collected.left)]);
    }
    if let Some(trouble) = &collected.trouble {
        line.extend([format!(": {}", with_code(trouble))]);
    }
    line + ".\n\n"
}

fn quota(holdings: &HoldingsReport) -> String {
    let Quota {
        used, limit_bytes, ..
    } = holdings.quota;
    let mut block = format!(
        "{}: **{} of {}** ({}) in {}",
        plain(&holdings.place.to_string()),
        render_bytes(used.bytes),
        render_bytes(limit_bytes),
        render_percent(holdings.quota.fullness()),
        render_entries(used.entries),
    );
    if holdings.dead.entries > 0 {
        block.extend([format!(
            "; {} of it is dead: superseded, or out of everybody's reach",
            render_bytes(holdings.dead.bytes)
        )]);
    }
    block.push_str(".\n\n");
    for advice in &holdings.advice {
        block.extend([format!("- {}\n", with_code(&advice.text))]);
    }
    if !holdings.advice.is_empty() {
        block.push('\n');
    }
    block.push_str(&render_quota_pie(holdings));
    block.push('\n');
    for note in &holdings.notes {
        block.extend([format!("<sub>{}</sub>\n\n", plain(note))]);
    }
    block
}

fn next_evicted(holdings: &HoldingsReport) -> String {
    if holdings.next_evicted.is_empty() {
        return String::new();
    }
    let mut table = "| Entry | Branch | Size | When |\n|---|---|--:|---|\n".to_owned();
    for next in &holdings.next_evicted {
        table.extend([format!(
            "| {} | {} | {} | {} |\n",
            code(&next.key),
            plain(&next.scope),
            render_bytes(next.bytes),
            render_fate(next, &holdings.place, holdings.taken_at)
        )]);
    }
    details("What is evicted next", &(table + "\n"))
}

fn stored_for_job(holdings: &HoldingsReport) -> String {
    let stored = &holdings.stored_for_job;
    if stored.is_empty() {
        return String::new();
    }
    let mut table = "| Entry | Branch | Size | Age |\n|---|---|--:|---|\n".to_owned();
    for entry in stored.iter().take(MOST_ROWS) {
        let age = holdings.taken_at.duration_since(entry.created_at);
        table.extend([format!(
            "| {} | {} | {} | {} |\n",
            code(&entry.key),
            plain(&entry.scope),
            render_bytes(entry.bytes),
            render_age(age)
        )]);
    }
    table.push('\n');
    if stored.len() > MOST_ROWS {
        table.extend([format!("And {} more.\n\n", stored.len() - MOST_ROWS)]);
    }
    details(
        "What is stored for this job where it found nothing that fits",
        &table,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        inventory::{
            fixture::{entry, listing},
            survey,
        },
        report::{RestoreReport, SaveReport, render_summary},
        tier::TierName,
    };

    fn deps(job: u32, set: u32) -> String {
        format!("hotcrate-v1-deps-11111111-22222222-33333333-{job:08}-55555555-{set:08}")
    }

    fn report() -> RunReport {
        let mut report = RunReport::default();
        let deps_report = report.tier_mut(TierName::Deps);
        deps_report.restore = Some(RestoreReport::new(
            RestoreOutcome::Miss,
            "nothing is stored for this project yet",
        ));
        deps_report.save = Some(SaveReport {
            key: deps(1, 3),
            ..SaveReport::new(SaveOutcome::Saved, "")
        });
        report
    }

    #[test]
    fn the_page_shows_the_quota_what_goes_next_and_what_is_stored_for_the_job() {
        let stored = vec![
            entry(&deps(1, 1)).megabytes(60).created(2).build(),
            entry(&deps(1, 2)).megabytes(61).created(1).build(),
            entry("v0-rust-test-Linux-x64-11111111-22222222")
                .megabytes(9_000)
                .created(6)
                .used(0.5)
                .build(),
        ];
        let mut report = report();
        let mut holdings = HoldingsReport::of(&survey(&listing(stored.clone())));
        holdings.stored_for_job = stored[..1].to_vec();
        holdings.notes = vec!["it was *late*".to_owned()];
        report.holdings = Some(holdings);
        report.collected = Some(CollectionReport {
            deleted: Count {
                entries: 2,
                bytes: 120_000_000,
            },
            left: 1,
            trouble: None,
        });
        insta::assert_snapshot!(render_summary(&report, 1 << 20), @r#"
        ### hotcrate

        | Tier | Restored | Size | Time | Saved | Size | Time |
        |---|---|--:|--:|---|--:|--:|
        | deps | **miss**: nothing is stored for this project yet |  |  | **saved** |  |  |

        `gc` deleted 2 entries of 120.0 MB; 1 left for the next job.

        <details><summary>What is stored for this job where it found nothing that fits</summary>

        | Entry | Branch | Size | Age |
        |---|---|--:|---|
        | <code>hotcrate-v1-deps-11111111-22222222-33333333-00000001-55555555-00000001</code> | refs/heads/main | 60.0 MB | 2 days |

        </details>

        octo/crab: **9.1 GB of 10.0 GB** (91 %) in 3 entries; 60.0 MB of it is dead: superseded, or out of everybody's reach.

        - rust-cache (9.0 GB) and hotcrate (121.0 MB) store the same crates. Remove rust-cache from the jobs that use hotcrate; <code>hotcrate gc --prefix v0-rust-</code> thins out what it leaves behind.

        ```mermaid
        pie showData title Caches of octo/crab in MB (9.1 GB of 10.0 GB)
            "rust-cache" : 9000.00
            "hotcrate deps" : 61.00
            "dead" : 60.00
            "free" : 879.00
        ```

        <sub>it was \*late\*</sub>

        <details><summary>What is evicted next</summary>

        | Entry | Branch | Size | When |
        |---|---|--:|---|
        | <code>hotcrate-v1-deps-11111111-22222222-33333333-00000001-55555555-00000001</code> | refs/heads/main | 60.0 MB | unused for 2 days, goes when 879.0 MB more are stored, or in 5 days for want of use |
        | <code>hotcrate-v1-deps-11111111-22222222-33333333-00000001-55555555-00000002</code> | refs/heads/main | 61.0 MB | unused for 24 hours, goes when 939.0 MB more are stored, or in 6 days for want of use |
        | <code>v0-rust-test-Linux-x64-11111111-22222222</code> | refs/heads/main | 9.0 GB | unused for 12 hours, goes when 1.0 GB more are stored, or in 6 days for want of use |

        </details>

        <details><summary>Keys</summary>

        | Tier | Asked for | Found | Stored under |
        |---|---|---|---|
        | deps |  |  | <code>hotcrate-v1-deps-11111111-22222222-33333333-00000001-55555555-00000003</code> |

        </details>
        "#);
    }

    #[test]
    fn why_the_quota_is_not_known_is_a_line_below() {
        let mut report = report();
        report.holdings_unknown = Some("the token may not list caches".to_owned());
        report.collected = Some(CollectionReport {
            trouble: Some("the token may not delete caches".to_owned()),
            left: 3,
            ..CollectionReport::default()
        });
        let page = render_summary(&report, 1 << 20);
        let lines: Vec<_> = page
            .lines()
            .filter(|line| line.contains("the token"))
            .collect();
        insta::assert_snapshot!(lines.join("\n"), @"
        `gc` deleted 0 entries of 0 B; 3 left for the next job: the token may not delete caches.
        <sub>How full the quota is, is not known: the token may not list caches</sub>
        ");
    }

    #[test]
    fn of_what_is_stored_only_the_tiers_that_found_nothing_count_and_nothing_of_this_run() {
        let stored = vec![
            entry(&deps(1, 3)).build(),
            entry(&deps(1, 2)).build(),
            entry("hotcrate-v1-registry-11111111-22222222").build(),
            entry("hotcrate-v1-deps-of-another-release").build(),
        ];
        let missed = of_missed_tiers(&report(), stored);
        let keys: Vec<_> = missed.iter().map(|entry| entry.key.as_str()).collect();
        assert_eq!(keys, [deps(1, 2)]);
    }

    #[test]
    fn a_report_with_all_of_it_is_read_back_as_it_was_written() {
        let mut report = report();
        let stored = vec![entry(&deps(1, 1)).megabytes(60).created(2).build()];
        report.holdings = Some(HoldingsReport::of(&survey(&listing(stored))));
        let json = serde_json::to_string(&report).expect("it is data");
        let read: RunReport = serde_json::from_str(&json).expect("it was written so");
        assert_eq!(read, report);
    }
}
