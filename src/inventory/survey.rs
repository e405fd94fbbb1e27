//! The state of a repository's caches as one value: sums by owner, branch and job, what is dead, what goes next.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::{
    Advice, JudgedEntry, Listing, Place, Unlisted,
    advice::{self, Circumstances},
    judge,
};

/// The version of the JSON that `hotcrate report --json` prints. New fields do not change it.
pub const SCHEMA: u32 = 1;

/// How long GitHub keeps an entry that nobody uses, unless somebody set another time.
/// <https://docs.github.com/actions/reference/workflows-and-actions/dependency-caching>
const RETENTION: SignedDuration = SignedDuration::from_hours(7 * 24);
/// How many of the entries that go next are told.
const MOST_NEXT: usize = 10;
/// The share of the limit from which on something has been evicted lately, for all that one can see.
const FULL: f64 = 0.9;

/// Some entries, counted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Count {
    /// How many.
    pub entries: u64,
    /// Their size together.
    pub bytes: u64,
}

impl Count {
    /// Counts one more.
    pub fn add(&mut self, bytes: u64) {
        self.entries += 1;
        self.bytes += bytes;
    }

    /// Those among `entries` that `counts`.
    pub fn of(entries: &[JudgedEntry], counts: impl Fn(&JudgedEntry) -> bool) -> Self {
        let mut count = Self::default();
        for entry in entries.iter().filter(|entry| counts(entry)) {
            count.add(entry.entry.bytes);
        }
        count
    }
}

/// What belongs to one owner, branch or job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Share {
    /// The owner, the branch's reference, or the job.
    pub name: String,
    /// All of it.
    #[serde(flatten)]
    pub count: Count,
    /// What of it is dead: superseded, or out of everybody's reach.
    pub dead: Count,
}

/// How full it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Quota {
    /// What may be stored, in bytes.
    pub limit_bytes: u64,
    /// Whether somebody said so; otherwise it is the limit of every repository that nobody raised.
    pub limit_is_known: bool,
    /// What is stored, listed or not.
    #[serde(flatten)]
    pub used: Count,
}

impl Quota {
    /// The share of the limit that is used: 1.0 is full, and more is possible until the next eviction.
    #[expect(
        clippy::cast_precision_loss,
        reason = "a share is told in whole percent"
    )]
    pub fn fullness(&self) -> f64 {
        self.used.bytes as f64 / self.limit_bytes.max(1) as f64
    }
}

/// An entry that is about to go.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct NextEvicted {
    /// Its key.
    pub key: String,
    /// Its scope.
    pub scope: String,
    /// Its size.
    pub bytes: u64,
    /// Its last use.
    pub used_at: Timestamp,
    /// How many more bytes have to be stored for it to go; 0 if it goes as it is.
    pub after_bytes: u64,
    /// When it goes for want of use, wherever that happens.
    pub expires_at: Option<Timestamp>,
}

/// What goes next, and how long things stay.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Eviction {
    /// Where it is so full that entries go: the longest that any entry there is has been unused, in seconds. What was
    /// unused for longer is gone.
    pub horizon_seconds: Option<i64>,
    /// The entries that go first, in that order.
    pub next: Vec<NextEvicted>,
}

/// The state of a repository's, or a directory's, caches.
#[derive(Clone, Debug, Serialize)]
pub struct Survey {
    /// [`SCHEMA`].
    pub schema: u32,
    /// Where this is.
    pub place: Place,
    /// When it was.
    pub taken_at: Timestamp,
    /// How full it is.
    pub quota: Quota,
    /// What is counted and not listed.
    pub unlisted: Option<Unlisted>,
    /// By owner, the largest first.
    pub owners: Vec<Share>,
    /// By scope, the largest first.
    pub branches: Vec<Share>,
    /// By job, as far as keys tell, the largest first.
    pub jobs: Vec<Share>,
    /// What newer entries took the place of.
    pub superseded: Count,
    /// What nobody can restore.
    pub unreadable: Count,
    /// What nobody ever restored.
    pub never_restored: Count,
    /// Superseded or unreadable: what takes up room for nothing.
    pub dead: Count,
    /// What goes next.
    pub eviction: Eviction,
    /// What to do about it.
    pub advice: Vec<Advice>,
    /// What to know of how this was found out.
    pub notes: Vec<String>,
    /// Every entry, the largest first.
    pub entries: Vec<JudgedEntry>,
}

/// Surveys what was listed.
pub fn survey(listing: &Listing) -> Survey {
    let mut entries = judge(listing);
    entries.sort_by(|a, b| {
        let size = b.entry.bytes.cmp(&a.entry.bytes);
        size.then_with(|| a.entry.key.cmp(&b.entry.key))
            .then_with(|| a.entry.scope.cmp(&b.entry.scope))
    });
    let quota = quota(listing);
    let eviction = eviction(listing, &quota, &entries);
    let owners = shares(&entries, |entry| Some(entry.owner.to_string()));
    let advice = advice::advise(&Circumstances {
        place: &listing.place,
        now: listing.taken_at,
        quota: &quota,
        eviction: &eviction,
        entries: &entries,
    });
    Survey {
        schema: SCHEMA,
        place: listing.place.clone(),
        taken_at: listing.taken_at,
        unlisted: listing.unlisted.clone(),
        owners,
        branches: shares(&entries, |entry| Some(entry.entry.scope.clone())),
        jobs: shares(&entries, |entry| entry.job.clone()),
        superseded: Count::of(&entries, |entry| entry.superseded_by.is_some()),
        unreadable: Count::of(&entries, |entry| entry.unreadable.is_some()),
        never_restored: Count::of(&entries, |entry| entry.never_restored),
        dead: Count::of(&entries, JudgedEntry::is_dead),
        quota,
        eviction,
        advice,
        notes: listing.notes.clone(),
        entries,
    }
}

fn quota(listing: &Listing) -> Quota {
    let mut used = listing
        .unlisted
        .as_ref()
        .map_or_else(Count::default, |unlisted| unlisted.count);
    for entry in &listing.entries {
        used.add(entry.bytes);
    }
    Quota {
        limit_bytes: listing.limit.bytes,
        limit_is_known: listing.limit.is_known,
        used,
    }
}

fn shares(entries: &[JudgedEntry], name: impl Fn(&JudgedEntry) -> Option<String>) -> Vec<Share> {
    let mut by_name: BTreeMap<String, (Count, Count)> = BTreeMap::new();
    for entry in entries {
        if let Some(name) = name(entry) {
            let (all, dead) = by_name.entry(name).or_default();
            all.add(entry.entry.bytes);
            if entry.is_dead() {
                dead.add(entry.entry.bytes);
            }
        }
    }
    let mut shares: Vec<_> = by_name
        .into_iter()
        .map(|(name, (count, dead))| Share { name, count, dead })
        .collect();
    shares.sort_by(|a, b| {
        let size = b.count.bytes.cmp(&a.count.bytes);
        size.then_with(|| a.name.cmp(&b.name))
    });
    shares
}

fn eviction(listing: &Listing, quota: &Quota, entries: &[JudgedEntry]) -> Eviction {
    let mut order: Vec<_> = entries.iter().collect();
    order.sort_by_key(|entry| entry.eviction_order());
    let horizon_seconds = order
        .first()
        .filter(|_| quota.fullness() >= FULL)
        .map(|first| {
            let unused = listing.taken_at.duration_since(first.entry.used_at);
            unused.as_secs().max(0)
        });
    let expires = matches!(listing.place, Place::Repository(_));
    let mut after_bytes = quota.limit_bytes.saturating_sub(quota.used.bytes);
    let mut excess = quota.used.bytes.saturating_sub(quota.limit_bytes);
    let mut next = Vec::new();
    for entry in order.into_iter().take(MOST_NEXT) {
        let entry = &entry.entry;
        next.push(NextEvicted {
            key: entry.key.clone(),
            scope: entry.scope.clone(),
            bytes: entry.bytes,
            used_at: entry.used_at,
            after_bytes,
            expires_at: expires
                .then(|| entry.used_at.checked_add(RETENTION).ok())
                .flatten(),
        });
        // What goes makes room for as many bytes more, once it is not over the limit any longer.
        after_bytes += entry.bytes.saturating_sub(excess);
        excess = excess.saturating_sub(entry.bytes);
    }
    Eviction {
        horizon_seconds,
        next,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::{
        ListedEntry, RefState,
        fixture::{entry, listing},
    };

    fn deps(job: u32, set: u32) -> String {
        format!("hotcrate-v1-deps-11111111-22222222-33333333-{job:08}-55555555-{set:08}")
    }

    fn entries() -> Vec<ListedEntry> {
        vec![
            entry(&deps(1, 1)).megabytes(60).created(2).build(),
            entry(&deps(1, 2))
                .megabytes(61)
                .created(1)
                .used(0.1)
                .build(),
            entry(&deps(2, 1))
                .megabytes(100)
                .scope("refs/pull/7/merge")
                .created(1)
                .build(),
            entry("v0-rust-test-Linux-x64-11111111-22222222")
                .megabytes(400)
                .created(3)
                .used(0.5)
                .build(),
            entry("Linux-cargo-0123456789abcdef")
                .megabytes(9)
                .created(6)
                .build(),
        ]
    }

    fn summed(shares: &[Share]) -> String {
        shares
            .iter()
            .map(|share| {
                let megabytes = |count: Count| count.bytes / 1_000_000;
                format!(
                    "{}: {} in {}, dead {}",
                    share.name,
                    megabytes(share.count),
                    share.count.entries,
                    megabytes(share.dead)
                )
            })
            .collect::<Vec<_>>()
            .join("\n")
    }

    #[test]
    fn what_is_stored_is_summed_by_owner_branch_and_job() {
        let mut listing = listing(entries());
        listing
            .refs
            .insert("refs/pull/7/merge".into(), RefState::Closed);
        let survey = survey(&listing);
        insta::assert_snapshot!(summed(&survey.owners), @"
        rust-cache: 400 in 1, dead 0
        hotcrate deps: 221 in 3, dead 160
        Linux-cargo-…: 9 in 1, dead 0
        ");
        insta::assert_snapshot!(summed(&survey.branches), @"
        refs/heads/main: 530 in 4, dead 60
        refs/pull/7/merge: 100 in 1, dead 100
        ");
        insta::assert_snapshot!(summed(&survey.jobs), @"
        test: 400 in 1, dead 0
        00000001: 121 in 2, dead 60
        00000002: 100 in 1, dead 100
        ");
        assert_eq!(survey.quota.used.bytes, 630_000_000);
        assert_eq!(survey.superseded.entries, 1);
        assert_eq!(survey.unreadable.entries, 1);
        assert_eq!(survey.dead.bytes, 160_000_000);
        assert_eq!(survey.never_restored.entries, 3);
    }

    #[test]
    fn what_was_used_longest_ago_goes_first_and_says_after_how_much_more() {
        let mut listing = listing(entries());
        listing.limit.bytes = 600_000_000;
        let survey = survey(&listing);
        let told: Vec<_> = survey
            .eviction
            .next
            .iter()
            .map(|next| {
                format!(
                    "{} after {} MB",
                    &next.key[..8],
                    next.after_bytes / 1_000_000
                )
            })
            .collect();
        insta::assert_snapshot!(told.join("\n"), @"
        Linux-ca after 0 MB
        hotcrate after 0 MB
        hotcrate after 39 MB
        v0-rust- after 139 MB
        hotcrate after 539 MB
        ");
        assert_eq!(survey.eviction.horizon_seconds, Some(6 * 86_400));
    }

    #[test]
    fn where_there_is_room_nothing_tells_how_long_entries_stay() {
        let survey = survey(&listing(entries()));
        assert_eq!(survey.eviction.horizon_seconds, None);
        assert_eq!(survey.eviction.next[0].after_bytes, 9_370_000_000);
        let expires_at = survey.eviction.next[0]
            .expires_at
            .map(|time| time.to_string());
        assert_eq!(expires_at.as_deref(), Some("2026-11-22T12:00:00Z"));
    }

    #[test]
    fn an_empty_repository_can_be_surveyed() {
        let survey = survey(&listing(Vec::new()));
        assert_eq!(survey.quota.used, Count::default());
        assert!(survey.advice.is_empty(), "{:?}", survey.advice);
        assert!(survey.eviction.next.is_empty());
    }
}
