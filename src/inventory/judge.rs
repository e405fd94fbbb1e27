//! What is to be thought of each entry: superseded, out of everybody's reach, or never of use.

use std::{cmp::Reverse, collections::BTreeMap, fmt};

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;

use super::{ListedEntry, Listing, Owner, RefState, owner::Series};

/// How long an entry must have gone unused for one with another lockfile, or another key of the same beginning, to
/// supersede it. Until then jobs may take turns with them, or branches not know of the newer one.
pub(super) const RETIREMENT: SignedDuration = SignedDuration::from_hours(24);

/// How far apart storing an entry and its first mention as used may be. A restore takes longer to come.
const NO_TIME: SignedDuration = SignedDuration::from_secs(1);

/// How the references of merge queues begin.
const MERGE_QUEUE: &str = "refs/heads/gh-readonly-queue/";
const PULL_REQUEST: &str = "refs/pull/";

/// Why no run can restore an entry any more: runs read their own reference, their base and the default branch.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Unreadable {
    /// It belongs to a merge queue's group, which has been dealt with.
    MergeQueue,
    /// It belongs to a pull request that is closed.
    ClosedPullRequest,
    /// It belongs to a branch or tag that is gone.
    DeletedBranch,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::MergeQueue => "a merge queue's, which nobody reads",
            Self::ClosedPullRequest => "its pull request is closed",
            Self::DeletedBranch => "its branch is deleted",
        })
    }
}

/// An entry, judged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct JudgedEntry {
    /// The entry.
    #[serde(flatten)]
    pub entry: ListedEntry,
    /// Whose it is.
    pub owner: Owner,
    /// The job that stored it: by name, or where that is unknown by its digits in the key.
    pub job: Option<String>,
    /// The key of the entry that took its place.
    pub superseded_by: Option<String>,
    /// Why nobody can restore it.
    pub unreadable: Option<Unreadable>,
    /// Whether nobody ever restored it.
    pub never_restored: bool,
    /// What the keys of its series begin with.
    #[serde(skip)]
    pub(super) series: String,
}

impl JudgedEntry {
    /// Whether it takes up room for nothing.
    pub fn is_dead(&self) -> bool {
        self.superseded_by.is_some() || self.unreadable.is_some()
    }

    /// Sorts entries into the order in which they go: unused for longest first.
    pub(super) fn eviction_order(&self) -> impl Ord + use<> {
        let entry = &self.entry;
        (entry.used_at, entry.created_at, entry.id, entry.key.clone())
    }
}

/// Judges every entry of a listing; the order stays.
pub fn judge(listing: &Listing) -> Vec<JudgedEntry> {
    let series: Vec<_> = listing
        .entries
        .iter()
        .map(|entry| Series::of(&entry.key))
        .collect();
    let mut successors = successors(listing, &series);
    listing
        .entries
        .iter()
        .zip(series)
        .enumerate()
        .map(|(index, (entry, series))| JudgedEntry {
            owner: Owner::of(&entry.key),
            job: series.job.map(|job| match listing.jobs.get(&job) {
                Some(name) => name.clone(),
                None => job,
            }),
            superseded_by: successors.remove(&index),
            unreadable: unreadable(entry, listing),
            never_restored: entry.used_at.duration_since(entry.created_at) <= NO_TIME,
            series: series.name,
            entry: entry.clone(),
        })
        .collect()
}

/// For each entry that another took the place of, by index, that one's key.
fn successors(listing: &Listing, series: &[Series]) -> BTreeMap<usize, String> {
    let mut groups: BTreeMap<_, Vec<usize>> = BTreeMap::new();
    for (index, (entry, series)) in listing.entries.iter().zip(series).enumerate() {
        let group = (&entry.scope, &entry.version, &series.name);
        groups.entry(group).or_default().push(index);
    }
    let mut successors = BTreeMap::new();
    for mut group in groups.into_values() {
        group.sort_by_key(|index| {
            let entry = &listing.entries[*index];
            Reverse((entry.created_at, entry.id, &entry.key))
        });
        let newest_by_stem: BTreeMap<_, _> = group
            .iter()
            .rev()
            .filter_map(|index| Some((series[*index].stem.as_deref()?, *index)))
            .collect();
        let newest = group[0];
        for index in group.into_iter().skip(1) {
            let stem = series[index].stem.as_deref();
            let same = stem.and_then(|stem| newest_by_stem.get(stem).copied());
            let retired = is_retired(&listing.entries[index], listing.taken_at);
            let successor = same
                .filter(|same| *same != index)
                .or_else(|| retired.then_some(newest));
            if let Some(successor) = successor {
                successors.insert(index, listing.entries[successor].key.clone());
            }
        }
    }
    successors
}

fn is_retired(entry: &ListedEntry, now: Timestamp) -> bool {
    now.duration_since(entry.used_at) >= RETIREMENT
}

fn unreadable(entry: &ListedEntry, listing: &Listing) -> Option<Unreadable> {
    let state = listing.refs.get(&entry.scope);
    if entry.scope.starts_with(MERGE_QUEUE) {
        // Other jobs of the same group may still read it while the group lives. A day later none does.
        let is_over = match state {
            Some(RefState::Live) => false,
            Some(RefState::Closed | RefState::Deleted) => true,
            None => is_retired(entry, listing.taken_at),
        };
        return is_over.then_some(Unreadable::MergeQueue);
    }
    match state? {
        RefState::Live => None,
        RefState::Closed => Some(Unreadable::ClosedPullRequest),
        RefState::Deleted if entry.scope.starts_with(PULL_REQUEST) => {
            Some(Unreadable::ClosedPullRequest)
        }
        RefState::Deleted => Some(Unreadable::DeletedBranch),
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;
    use crate::inventory::fixture::{entry, listing};

    const OLD: &str = "hotcrate-v1-deps-11111111-22222222-33333333-44444444-55555555-66666666";
    const SAME_QUESTION: &str =
        "hotcrate-v1-deps-11111111-22222222-33333333-44444444-55555555-77777777";
    const OTHER_LOCK: &str =
        "hotcrate-v1-deps-11111111-22222222-33333333-44444444-88888888-99999999";
    const OTHER_TOOLCHAIN: &str =
        "hotcrate-v1-deps-11111111-aaaaaaaa-33333333-44444444-55555555-66666666";

    fn superseded(entries: Vec<ListedEntry>) -> Vec<Option<String>> {
        judge(&listing(entries))
            .into_iter()
            .map(|entry| entry.superseded_by)
            .collect()
    }

    #[test]
    fn of_entries_that_answer_the_same_lookup_only_the_newest_is_alive() {
        let old = entry(OLD).created(3).used(0.1);
        let new = entry(SAME_QUESTION).created(2);
        assert_eq!(
            superseded(vec![old.build(), new.build()]),
            [Some(SAME_QUESTION.to_owned()), None]
        );
    }

    #[test]
    fn an_entry_with_another_lockfile_retires_a_day_after_its_last_use() {
        let new = entry(OTHER_LOCK).created(0);
        let in_use = entry(OLD).created(9).used(0.9);
        assert_eq!(superseded(vec![in_use.build(), new.build()]), [None, None]);
        let retired = entry(OLD).created(9).used(1.1);
        assert_eq!(
            superseded(vec![retired.build(), new.build()]),
            [Some(OTHER_LOCK.to_owned()), None]
        );
    }

    #[test]
    fn the_newest_is_never_superseded_however_old_it_is() {
        let only = entry(OLD).created(300).used(300.0);
        assert_eq!(superseded(vec![only.build()]), [None]);
    }

    #[rstest]
    #[case::toolchain(entry(OTHER_TOOLCHAIN))]
    #[case::branch(entry(SAME_QUESTION).scope("refs/heads/feature"))]
    #[case::version(entry(SAME_QUESTION).version("other"))]
    fn nothing_is_superseded_by_what_answers_somebody_else(
        #[case] other: crate::inventory::fixture::EntryBuilder,
    ) {
        let old = entry(OLD).created(9).used(9.0);
        assert_eq!(
            superseded(vec![old.build(), other.created(0).build()]),
            [None, None]
        );
    }

    #[rstest]
    #[case(
        "refs/pull/7/merge",
        Some(RefState::Closed),
        Some(Unreadable::ClosedPullRequest)
    )]
    #[case("refs/pull/7/merge", Some(RefState::Live), None)]
    #[case("refs/pull/7/merge", None, None)]
    #[case(
        "refs/heads/x",
        Some(RefState::Deleted),
        Some(Unreadable::DeletedBranch)
    )]
    #[case(
        "refs/tags/v1",
        Some(RefState::Deleted),
        Some(Unreadable::DeletedBranch)
    )]
    #[case("refs/heads/x", None, None)]
    #[case(
        "refs/heads/gh-readonly-queue/main/pr-7-0",
        None,
        Some(Unreadable::MergeQueue)
    )]
    #[case("refs/heads/gh-readonly-queue/main/pr-7-0", Some(RefState::Live), None)]
    fn only_what_is_known_to_be_gone_is_out_of_reach(
        #[case] scope: &str,
        #[case] state: Option<RefState>,
        #[case] expected: Option<Unreadable>,
    ) {
        let mut listing = listing(vec![entry(OLD).scope(scope).created(3).build()]);
        listing
            .refs
            .extend(state.map(|state| (scope.to_owned(), state)));
        assert_eq!(judge(&listing)[0].unreadable, expected);
    }

    #[test]
    fn a_merge_queue_of_today_may_still_be_at_work() {
        let scope = "refs/heads/gh-readonly-queue/main/pr-7-0";
        let listing = listing(vec![entry(OLD).scope(scope).created(0).build()]);
        assert_eq!(judge(&listing)[0].unreadable, None);
    }

    #[test]
    fn what_was_used_after_it_was_stored_was_restored() {
        let never = entry(OLD).created(3).build();
        let once = entry(OTHER_LOCK).created(3).used(2.9).build();
        let judged = judge(&listing(vec![never, once]));
        assert!(judged[0].never_restored);
        assert!(!judged[1].never_restored);
    }

    #[test]
    fn jobs_have_names_where_those_are_known() {
        let mut listing = listing(vec![
            entry(OLD).build(),
            entry("v0-rust-lint-Linux-x64-11111111-22222222").build(),
        ]);
        assert_eq!(judge(&listing)[0].job.as_deref(), Some("44444444"));
        listing.jobs.insert("44444444".into(), "ci / test".into());
        let judged = judge(&listing);
        assert_eq!(judged[0].job.as_deref(), Some("ci / test"));
        assert_eq!(judged[1].job.as_deref(), Some("lint"));
    }
}
