//! What to delete: a plan that can be told before anything is done.
//!
//! Invariants: nothing is deleted that is not hotcrate's, unless a prefix was given, and then nothing but what begins
//! with that; the newest of each series and scope stays, unless nobody can read it or the budget is spent; and a budget
//! never takes the entry that was used last.

use std::{cmp::Reverse, collections::BTreeSet, fmt};

use jiff::Timestamp;
use serde::Serialize;

use super::{Count, JudgedEntry, ListedEntry, Unreadable, owner::Series};

/// Which entries are looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum GcScope {
    /// Everything that is hotcrate's own.
    Own,
    /// Whoever's entries whose keys begin like this.
    Prefix(String),
    /// What the entries that a job has just stored take the place of.
    Job {
        /// The scope that it stored them in.
        scope: String,
        /// Their keys.
        keys: Vec<String>,
    },
}

/// What to delete.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GcRequest {
    /// Of which entries.
    pub scope: GcScope,
    /// How large those that stay may be together, in bytes. Without a prefix, that is all of hotcrate's.
    pub max_bytes: u64,
}

/// Why an entry goes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "why", rename_all = "kebab-case")]
pub enum GcReason {
    /// A newer entry took its place.
    Superseded {
        /// That one's key.
        by: String,
    },
    /// Nobody can restore it.
    Unreadable {
        /// Why.
        because: Unreadable,
    },
    /// All together they are too large, and this one was used longest ago.
    OverBudget {
        /// When.
        used_at: Timestamp,
    },
}

impl fmt::Display for GcReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Superseded { by } => write!(formatter, "superseded by {by}"),
            Self::Unreadable { because } => because.fmt(formatter),
            Self::OverBudget { used_at } => {
                write!(formatter, "over the budget, and unused since {used_at:.0}")
            }
        }
    }
}

/// An entry to delete.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Deletion {
    /// The entry.
    #[serde(flatten)]
    pub entry: ListedEntry,
    /// Why.
    pub reason: GcReason,
}

/// What to delete, and what stays.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct GcPlan {
    /// What goes, the largest first.
    pub delete: Vec<Deletion>,
    /// What goes, counted.
    pub freed: Count,
    /// What was looked at and stays.
    pub kept: Count,
}

/// Decides what to delete.
pub fn plan_gc(entries: &[JudgedEntry], request: &GcRequest) -> GcPlan {
    let candidates: Vec<_> = entries
        .iter()
        .filter(|entry| match &request.scope {
            GcScope::Own | GcScope::Job { .. } => entry.owner.is_hotcrate(),
            GcScope::Prefix(prefix) => entry.entry.key.starts_with(prefix.as_str()),
        })
        .collect();
    let mut plan = GcPlan::default();
    let mut staying = Vec::new();
    for entry in candidates {
        match dead(entry, &request.scope) {
            Some(reason) => plan.delete(entry, reason),
            None => staying.push(entry),
        }
    }
    staying.sort_by_key(|entry| entry.eviction_order());
    let mut left: u64 = staying.iter().map(|entry| entry.entry.bytes).sum();
    let last = staying.len().saturating_sub(1);
    for (index, entry) in staying.into_iter().enumerate() {
        if left > request.max_bytes && index < last {
            left -= entry.entry.bytes;
            let used_at = entry.entry.used_at;
            plan.delete(entry, GcReason::OverBudget { used_at });
        } else {
            plan.kept.add(entry.entry.bytes);
        }
    }
    plan.delete
        .sort_by_key(|deletion| (Reverse(deletion.entry.bytes), deletion.entry.key.clone()));
    plan
}

impl GcPlan {
    fn delete(&mut self, entry: &JudgedEntry, reason: GcReason) {
        self.freed.add(entry.entry.bytes);
        self.delete.push(Deletion {
            entry: entry.entry.clone(),
            reason,
        });
    }
}

/// Why an entry goes whatever the budget is.
fn dead(entry: &JudgedEntry, scope: &GcScope) -> Option<GcReason> {
    let superseded = || {
        let by = entry.superseded_by.clone()?;
        Some(GcReason::Superseded { by })
    };
    match scope {
        GcScope::Own | GcScope::Prefix(_) => entry
            .unreadable
            .map(|because| GcReason::Unreadable { because })
            .or_else(superseded),
        GcScope::Job { scope, keys } => {
            let of_job: BTreeSet<_> = keys.iter().map(|key| Series::of(key).name).collect();
            let is_of_job = entry.entry.scope == *scope && of_job.contains(&entry.series);
            superseded().filter(|_| is_of_job)
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::inventory::{
        Listing, RefState,
        fixture::{entry, listing},
        judge,
    };

    const FOREVER: u64 = u64::MAX;

    fn deps(job: u32, set: u32) -> String {
        format!("hotcrate-v1-deps-11111111-22222222-33333333-{job:08}-55555555-{set:08}")
    }

    fn told(listing: &Listing, scope: GcScope, max_bytes: u64) -> String {
        let plan = plan_gc(&judge(listing), &GcRequest { scope, max_bytes });
        plan.delete
            .iter()
            .map(|deletion| format!("{}: {}", deletion.entry.key, deletion.reason))
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn mixed() -> Listing {
        let mut listing = listing(vec![
            entry(&deps(1, 1)).created(2).build(),
            entry(&deps(1, 2)).created(1).build(),
            entry(&deps(2, 1)).created(2).build(),
            entry(&deps(2, 2)).created(1).build(),
            entry(&deps(3, 1))
                .scope("refs/pull/7/merge")
                .megabytes(5)
                .build(),
            entry("v0-rust-test-Linux-x64-11111111-22222222")
                .created(3)
                .build(),
            entry("v0-rust-test-Linux-x64-11111111-33333333")
                .created(2)
                .build(),
        ]);
        listing
            .refs
            .insert("refs/pull/7/merge".into(), RefState::Closed);
        listing
    }

    #[test]
    fn without_a_prefix_only_what_is_dead_of_our_own_goes() {
        insta::assert_snapshot!(told(&mixed(), GcScope::Own, FOREVER), @"
        hotcrate-v1-deps-11111111-22222222-33333333-00000003-55555555-00000001: its pull request is closed
        hotcrate-v1-deps-11111111-22222222-33333333-00000001-55555555-00000001: superseded by hotcrate-v1-deps-11111111-22222222-33333333-00000001-55555555-00000002
        hotcrate-v1-deps-11111111-22222222-33333333-00000002-55555555-00000001: superseded by hotcrate-v1-deps-11111111-22222222-33333333-00000002-55555555-00000002
        ");
    }

    #[test]
    fn a_prefix_takes_the_place_of_our_own() {
        let scope = GcScope::Prefix("v0-rust-".to_owned());
        insta::assert_snapshot!(told(&mixed(), scope, FOREVER), @"v0-rust-test-Linux-x64-11111111-22222222: superseded by v0-rust-test-Linux-x64-11111111-33333333");
    }

    #[test]
    fn a_job_deletes_only_what_its_own_entries_take_the_place_of() {
        let scope = GcScope::Job {
            scope: "refs/heads/main".to_owned(),
            keys: vec![deps(2, 2)],
        };
        insta::assert_snapshot!(told(&mixed(), scope, FOREVER), @"hotcrate-v1-deps-11111111-22222222-33333333-00000002-55555555-00000001: superseded by hotcrate-v1-deps-11111111-22222222-33333333-00000002-55555555-00000002");
        let elsewhere = GcScope::Job {
            scope: "refs/heads/feature".to_owned(),
            keys: vec![deps(2, 2)],
        };
        assert_eq!(told(&mixed(), elsewhere, FOREVER), "");
    }

    #[test]
    fn over_the_budget_what_was_used_longest_ago_goes_and_never_the_last() {
        let listing = listing(vec![
            entry(&deps(1, 1)).created(3).used(0.3).build(),
            entry(&deps(2, 1)).created(3).used(0.1).build(),
            entry(&deps(3, 1)).created(3).used(0.2).build(),
        ]);
        insta::assert_snapshot!(told(&listing, GcScope::Own, 2_000_000), @"hotcrate-v1-deps-11111111-22222222-33333333-00000001-55555555-00000001: over the budget, and unused since 2026-11-21T04:48:00Z");
        let everything = plan_gc(
            &judge(&listing),
            &GcRequest {
                scope: GcScope::Own,
                max_bytes: 0,
            },
        );
        assert_eq!(everything.kept.entries, 1);
        assert_eq!(everything.freed.entries, 2);
    }

    proptest! {
        #[test]
        fn the_newest_of_every_series_and_branch_stays_and_a_second_gc_has_nothing_to_do(
            drawn in prop::collection::vec((0_u32..3, 0_u32..3, 0_i64..9, 0_u32..9, 0_u8..2), 1..25),
        ) {
            let entries: Vec<_> = drawn
                .iter()
                .enumerate()
                .map(|(id, (job, set, created, used, branch))| {
                    entry(&deps(*job, *set))
                        .id(id as u64)
                        .scope(&format!("refs/heads/{branch}"))
                        .created(*created)
                        .used(f64::from(*used) / 4.0)
                        .build()
                })
                .collect();
            let before = listing(entries);
            let judged = judge(&before);
            let request = GcRequest { scope: GcScope::Own, max_bytes: FOREVER };
            let plan = plan_gc(&judged, &request);
            let gone: BTreeSet<_> = plan.delete.iter().map(|deletion| deletion.entry.id).collect();
            for one in &judged {
                let newest = judged
                    .iter()
                    .filter(|other| other.series == one.series && other.entry.scope == one.entry.scope)
                    .max_by_key(|other| (other.entry.created_at, other.entry.id))
                    .expect("it is one itself");
                prop_assert!(!gone.contains(&newest.entry.id));
            }
            let mut after = before.clone();
            after.entries.retain(|entry| !gone.contains(&entry.id));
            prop_assert_eq!(plan_gc(&judge(&after), &request).delete, []);
            prop_assert_eq!(usize::try_from(plan.kept.entries), Ok(after.entries.len()));
        }
    }
}
