//! Listings for tests: entries with a key, and for the rest what most of them have.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};

use super::{DEFAULT_LIMIT, Limit, ListedEntry, Listing, Place};

/// The moment of every listing.
pub(crate) fn now() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().expect("it is a time")
}

/// An entry in the making: of the branch `main`, with 1 MB, stored now and never restored.
#[derive(Clone, Debug)]
pub(crate) struct EntryBuilder {
    entry: ListedEntry,
    was_used: bool,
}

/// An entry called `key`.
pub(crate) fn entry(key: &str) -> EntryBuilder {
    EntryBuilder {
        entry: ListedEntry {
            id: Some(1),
            key: key.to_owned(),
            scope: "refs/heads/main".to_owned(),
            version: "v".to_owned(),
            bytes: 1_000_000,
            created_at: now(),
            used_at: now(),
        },
        was_used: false,
    }
}

impl EntryBuilder {
    pub(crate) fn id(mut self, id: u64) -> Self {
        self.entry.id = Some(id);
        self
    }

    pub(crate) fn scope(mut self, scope: &str) -> Self {
        scope.clone_into(&mut self.entry.scope);
        self
    }

    pub(crate) fn version(mut self, version: &str) -> Self {
        version.clone_into(&mut self.entry.version);
        self
    }

    pub(crate) fn megabytes(mut self, megabytes: u64) -> Self {
        self.entry.bytes = megabytes * 1_000_000;
        self
    }

    /// Stored so many days ago.
    pub(crate) fn created(mut self, days: i64) -> Self {
        self.entry.created_at = now() - SignedDuration::from_hours(24 * days);
        if !self.was_used {
            self.entry.used_at = self.entry.created_at;
        }
        self
    }

    /// Last used so many days ago.
    pub(crate) fn used(mut self, days: f64) -> Self {
        self.entry.used_at = now() - SignedDuration::from_secs_f64(86_400.0 * days);
        self.was_used = true;
        self
    }

    pub(crate) fn build(&self) -> ListedEntry {
        self.entry.clone()
    }
}

/// A repository that holds `entries`, numbered if they are not.
pub(crate) fn listing(entries: Vec<ListedEntry>) -> Listing {
    Listing {
        place: Place::Repository("octo/crab".to_owned()),
        taken_at: now(),
        entries,
        unlisted: None,
        limit: Limit {
            bytes: DEFAULT_LIMIT,
            is_known: false,
        },
        refs: BTreeMap::new(),
        jobs: BTreeMap::new(),
        notes: Vec::new(),
    }
}
