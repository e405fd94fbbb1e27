//! What a repository, or a directory, holds, judged: whose each entry is, whether anybody can still get it, how full the
//! quota is, and what to delete.
//!
//! Everything here is pure: a listing goes in, with the time at which it was taken, and comes out as a [`Survey`] or as a
//! [`GcPlan`]. What is in doubt is kept: a branch that nobody could ask about counts as there.

mod advice;
mod gc;
mod judge;
mod owner;
mod survey;

#[cfg(test)]
pub(crate) mod fixture;

use std::{collections::BTreeMap, fmt};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

pub use advice::{Advice, AdviceKind};
pub use gc::{Deletion, GcPlan, GcReason, GcRequest, GcScope, plan_gc};
pub use judge::{JudgedEntry, Unreadable, judge};
pub use owner::Owner;
pub use survey::{Count, Eviction, NextEvicted, Quota, SCHEMA, Share, Survey, survey};

/// How large all entries of a repository may be together unless somebody raised it: 10 GB.
/// <https://docs.github.com/actions/reference/workflows-and-actions/dependency-caching>
pub const DEFAULT_LIMIT: u64 = 10_000_000_000;

/// An entry as a listing has it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ListedEntry {
    /// The number by which the service deletes it; entries of a directory have none.
    pub id: Option<u64>,
    /// Its full key.
    pub key: String,
    /// The scope: a full reference such as `refs/heads/main`, or `local`.
    pub scope: String,
    /// The service's `version`: entries of different versions never answer the same lookup. Empty in a directory.
    pub version: String,
    /// Its size.
    pub bytes: u64,
    /// When it was stored.
    pub created_at: Timestamp,
    /// When it was last restored; when it was stored, if it never was.
    pub used_at: Timestamp,
}

/// What is known of a reference that entries belong to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefState {
    /// The branch or tag exists, or the pull request is open.
    Live,
    /// The pull request is closed or merged.
    Closed,
    /// The branch or tag was deleted.
    Deleted,
}

/// Entries that are counted but not listed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Unlisted {
    /// Why they are not.
    pub why: String,
    /// How many they are, and how large.
    #[serde(flatten)]
    pub count: Count,
}

/// Where a listing comes from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Place {
    /// A repository on GitHub: `owner/name`.
    Repository(String),
    /// A directory.
    Directory(String),
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Self::Repository(name) | Self::Directory(name)) = self;
        formatter.pad(name)
    }
}

/// How much may be stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Limit {
    /// In bytes.
    pub bytes: u64,
    /// Whether somebody said so: the service, or the user. Otherwise it is what holds unless it was raised.
    pub is_known: bool,
}

/// Everything that a place holds, at one moment.
#[derive(Clone, Debug)]
pub struct Listing {
    /// Where it was listed.
    pub place: Place,
    /// When.
    pub taken_at: Timestamp,
    /// The entries, in any order, none twice.
    pub entries: Vec<ListedEntry>,
    /// What is there besides.
    pub unlisted: Option<Unlisted>,
    /// How much may be stored.
    pub limit: Limit,
    /// What is known of the entries' scopes. What is missing is unknown, and counts as live.
    pub refs: BTreeMap<String, RefState>,
    /// Names of jobs by their digits in keys, as far as they are known.
    pub jobs: BTreeMap<String, String>,
    /// What the reader should know of how the listing was made.
    pub notes: Vec<String>,
}
