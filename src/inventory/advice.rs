//! What is wrong with the way a repository's caches are used, and what to do about it.
//!
//! Nobody lists what was evicted. That entries do not last shows in what is left: where the quota is full, whatever was
//! unused for longer than the entry used longest ago has gone.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{Count, Eviction, JudgedEntry, Owner, Place, Quota};
use crate::report::{render_age, render_bytes, render_entries};

/// An entry that is evicted sooner than this after its last use was not there for the next day's work.
const A_DAY: SignedDuration = SignedDuration::from_hours(24);
/// The share of the limit that makes something worth a word: a tool beside others, sccache's objects, dead entries.
const LARGE: f64 = 0.2;
const NOTABLE: f64 = 0.05;
/// So full that tools take room from each other.
const CROWDED: f64 = 0.8;
/// So many entries of one object each use up what a repository may upload in a minute.
/// <https://github.blog/changelog/2026-01-16-rate-limiting-for-actions-cache-entries/>
const MANY_OBJECTS: u64 = 200;

/// What an advice is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AdviceKind {
    /// Entries go within a day of their last use.
    Thrash,
    /// Two tools fill one quota.
    SharedQuota,
    /// Two tools store the same things.
    Twice,
    /// sccache stores every object as an entry.
    SccacheObjects,
    /// Entries that nobody can restore take up room.
    Unreadable,
    /// Entries that newer ones took the place of take up room.
    Superseded,
    /// Entries are stored that nobody restores.
    NeverRestored,
}

/// Something to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Advice {
    /// What it is about.
    pub kind: AdviceKind,
    /// What is the matter, and what to do, in one or two sentences.
    pub text: String,
}

/// What advice goes by.
pub(super) struct Circumstances<'a> {
    pub place: &'a Place,
    pub now: Timestamp,
    pub quota: &'a Quota,
    pub eviction: &'a Eviction,
    pub entries: &'a [JudgedEntry],
}

/// Everything that is worth doing, the most pressing first.
pub(super) fn advise(circumstances: &Circumstances<'_>) -> Vec<Advice> {
    let found = [
        (AdviceKind::Thrash, thrash(circumstances)),
        (AdviceKind::SharedQuota, shared_quota(circumstances)),
        (AdviceKind::Twice, twice(circumstances)),
        (AdviceKind::SccacheObjects, sccache_objects(circumstances)),
        (AdviceKind::Unreadable, unreadable(circumstances)),
        (AdviceKind::Superseded, superseded(circumstances)),
        (AdviceKind::NeverRestored, never_restored(circumstances)),
    ];
    found
        .into_iter()
        .filter_map(|(kind, text)| text.map(|text| Advice { kind, text }))
        .collect()
}

impl Circumstances<'_> {
    /// The share of the limit that so many bytes are.
    fn share(&self, count: Count) -> f64 {
        Quota {
            used: count,
            ..*self.quota
        }
        .fullness()
    }

    /// What each tool stores, by its name.
    fn tools(&self) -> BTreeMap<String, Count> {
        let mut tools: BTreeMap<_, Count> = BTreeMap::new();
        for entry in self.entries {
            let tool = tools.entry(entry.owner.tool()).or_default();
            tool.add(entry.entry.bytes);
        }
        tools
    }

    fn count(&self, counts: impl Fn(&JudgedEntry) -> bool) -> Count {
        Count::of(self.entries, counts)
    }

    fn is_repository(&self) -> bool {
        matches!(self.place, Place::Repository(_))
    }
}

fn thrash(circumstances: &Circumstances<'_>) -> Option<String> {
    let horizon = SignedDuration::from_secs(circumstances.eviction.horizon_seconds?);
    if horizon >= A_DAY {
        return None;
    }
    let largest = circumstances
        .tools()
        .into_iter()
        .max_by_key(|(_, count)| count.bytes)
        .map(|(tool, count)| format!("{tool} stores most: {}", render_bytes(count.bytes)));
    Some(format!(
        "The quota is full, and entries are evicted {} after their last use: jobs start cold that ran warm the day \
         before. Store less, or raise the limit. {}.",
        render_age(horizon),
        largest.unwrap_or_default(),
    ))
}

fn shared_quota(circumstances: &Circumstances<'_>) -> Option<String> {
    if circumstances.quota.fullness() < CROWDED {
        return None;
    }
    let mut large: Vec<_> = circumstances
        .tools()
        .into_iter()
        .filter(|(_, count)| circumstances.share(*count) >= LARGE)
        .collect();
    large.sort_by_key(|(_, count)| std::cmp::Reverse(count.bytes));
    let told: Vec<_> = large
        .iter()
        .map(|(tool, count)| format!("{tool} ({})", render_bytes(count.bytes)))
        .collect();
    (told.len() > 1).then(|| {
        format!(
            "{} fill one quota, and evict each other's entries. Let one of them store less.",
            told.join(" and ")
        )
    })
}

fn twice(circumstances: &Circumstances<'_>) -> Option<String> {
    let by = |is_it: fn(&Owner) -> bool| circumstances.count(|entry| is_it(&entry.owner));
    let ours = by(Owner::is_hotcrate);
    let rust_cache = by(|owner| *owner == Owner::RustCache);
    (ours.entries > 0 && rust_cache.entries > 0).then(|| {
        format!(
            "rust-cache ({}) and hotcrate ({}) store the same crates. Remove rust-cache from the jobs that use hotcrate; \
             `hotcrate gc --prefix v0-rust-` thins out what it leaves behind.",
            render_bytes(rust_cache.bytes),
            render_bytes(ours.bytes)
        )
    })
}

fn sccache_objects(circumstances: &Circumstances<'_>) -> Option<String> {
    let objects = circumstances.count(|entry| entry.owner == Owner::Sccache);
    let worth_a_word = objects.entries >= MANY_OBJECTS || circumstances.share(objects) >= LARGE;
    worth_a_word.then(|| {
        format!(
            "sccache stores every object as an entry of its own: {} entries, {}. That grows until the quota is full, and \
             runs into GitHub's limit of 200 uploads a minute. Unset SCCACHE_GHA_ENABLED: hotcrate keeps sccache's \
             directory as one entry a job.",
            objects.entries,
            render_bytes(objects.bytes)
        )
    })
}

fn unreadable(circumstances: &Circumstances<'_>) -> Option<String> {
    let dead = circumstances.count(|entry| entry.unreadable.is_some());
    (circumstances.share(dead) >= NOTABLE).then(|| {
        format!(
            "Closed pull requests, deleted branches or merge queues hold {} ({}): no run can restore that. \
             Save on the default branch only, as hotcrate does unless `save-if` says otherwise; `hotcrate gc` deletes \
             hotcrate's own.",
            render_entries(dead.entries),
            render_bytes(dead.bytes)
        )
    })
}

fn superseded(circumstances: &Circumstances<'_>) -> Option<String> {
    let dead = circumstances.count(|entry| entry.superseded_by.is_some());
    let ours =
        circumstances.count(|entry| entry.superseded_by.is_some() && entry.owner.is_hotcrate());
    (circumstances.share(dead) >= NOTABLE).then(|| {
        format!(
            "Newer entries took the place of {} ({}). `hotcrate gc` deletes hotcrate's own ({}); with `--prefix` \
             it deletes others.",
            render_entries(dead.entries),
            render_bytes(dead.bytes),
            render_bytes(ours.bytes)
        )
    })
}

fn never_restored(circumstances: &Circumstances<'_>) -> Option<String> {
    let unused = circumstances.count(|entry| {
        let age = circumstances.now.duration_since(entry.entry.created_at);
        entry.never_restored && age >= A_DAY
    });
    let worth_a_word = circumstances.is_repository() && circumstances.share(unused) >= LARGE;
    worth_a_word.then(|| {
        format!(
            "Nobody ever restored {} ({}) that are older than a day. Look at the largest: their jobs may \
             store under keys that never come again.",
            render_entries(unused.entries),
            render_bytes(unused.bytes)
        )
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::{
        ListedEntry, RefState,
        fixture::{entry, listing},
        survey,
    };

    const OURS: &str = "hotcrate-v1-registry-11111111-22222222";
    const THEIRS: &str = "v0-rust-test-Linux-x64-11111111-22222222";

    fn advice(entries: Vec<ListedEntry>) -> Vec<Advice> {
        survey(&listing(entries)).advice
    }

    fn kinds(entries: Vec<ListedEntry>) -> Vec<AdviceKind> {
        advice(entries).iter().map(|advice| advice.kind).collect()
    }

    #[test]
    fn where_all_is_well_nothing_is_advised() {
        let ours = entry(OURS).megabytes(9_500).created(5).used(2.0);
        assert_eq!(kinds(vec![ours.build()]), []);
    }

    #[test]
    fn a_full_quota_in_which_nothing_is_older_than_a_day_thrashes() {
        let ours = entry(OURS).megabytes(9_500).created(5).used(0.25);
        let advice = advice(vec![ours.build()]);
        insta::assert_snapshot!(advice[0].text, @"The quota is full, and entries are evicted 6 hours after their last use: jobs start cold that ran warm the day before. Store less, or raise the limit. hotcrate stores most: 9.5 GB.");
        let roomy = entry(OURS).megabytes(5_000).created(5).used(0.25);
        assert_eq!(kinds(vec![roomy.build()]), []);
    }

    #[test]
    fn two_tools_that_fill_one_quota_are_named() {
        let ours = entry(OURS).megabytes(4_000).created(5).used(2.0);
        let theirs = entry(THEIRS).megabytes(5_000).created(5).used(2.0);
        let advice = advice(vec![ours.build(), theirs.build()]);
        let kinds: Vec<_> = advice.iter().map(|advice| advice.kind).collect();
        assert_eq!(kinds, [AdviceKind::SharedQuota, AdviceKind::Twice]);
        insta::assert_snapshot!(advice[0].text, @"rust-cache (5.0 GB) and hotcrate (4.0 GB) fill one quota, and evict each other's entries. Let one of them store less.");
    }

    #[test]
    fn many_entries_of_sccache_are_its_backends_own_fault() {
        let objects: Vec<_> = (0..200_u64)
            .map(|number| {
                let key = format!("sccache/a/b/c/abc{number:061x}");
                entry(&key).id(number).used(0.5).build()
            })
            .collect();
        let advice = advice(objects);
        assert_eq!(advice.len(), 1, "{advice:?}");
        insta::assert_snapshot!(advice[0].text, @"sccache stores every object as an entry of its own: 200 entries, 200.0 MB. That grows until the quota is full, and runs into GitHub's limit of 200 uploads a minute. Unset SCCACHE_GHA_ENABLED: hotcrate keeps sccache's directory as one entry a job.");
    }

    #[test]
    fn dead_entries_are_worth_a_word_once_they_are_a_notable_share() {
        let dead = |megabytes| {
            let mut listing = listing(vec![
                entry(OURS)
                    .scope("refs/pull/7/merge")
                    .megabytes(megabytes)
                    .used(0.1)
                    .build(),
            ]);
            listing
                .refs
                .insert("refs/pull/7/merge".into(), RefState::Closed);
            survey(&listing).advice
        };
        assert_eq!(dead(400), []);
        assert_eq!(dead(600)[0].kind, AdviceKind::Unreadable);
    }

    #[test]
    fn what_is_stored_and_never_restored_is_worth_a_look_after_a_day() {
        let stored = |days| entry(OURS).megabytes(3_000).created(days).build();
        assert_eq!(kinds(vec![stored(0)]), []);
        assert_eq!(kinds(vec![stored(2)]), [AdviceKind::NeverRestored]);
    }
}
