//! What the engine needs to know of a tier.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crate::{
    archive::{Group, path::RelativePath},
    entry::{Contents, EntryFacts},
    key::KeyPart,
    place::Piece,
    policy::Novelty,
    report::UnitsReport,
    state::RunState,
    tier::TierName,
};

/// One tier: where its files lie, and what of them is worth moving.
pub(super) trait TierWork {
    /// The tier.
    fn tier(&self) -> TierName;

    /// The directories of the tier, by the names that they have in the archive.
    fn roots(&self) -> BTreeMap<RelativePath, PathBuf>;

    /// Which members of an entry to unpack.
    fn select(&self, facts: &EntryFacts) -> Selection;

    /// What lies in `staging`, unpacked for `root`, as pieces that are put in place whole or not at all.
    fn pieces(&self, root: &RelativePath, staging: &Path) -> anyhow::Result<Vec<Piece>>;

    /// Whether a root that is absent may be made by renaming the staging directory.
    fn may_place_whole(&self) -> bool {
        true
    }

    /// Does what is left to do once the pieces lie in place.
    fn after_placing(&self, _root: &RelativePath, _staging: &Path) -> anyhow::Result<()> {
        Ok(())
    }

    /// The lock files of Cargo's that keep others out of the tier's directories.
    fn locks(&self) -> Vec<PathBuf>;

    /// What of the tier to pack, as the directories stand now.
    fn collect(&self, job: &JobView<'_>) -> anyhow::Result<Collected>;
}

/// What a tier may know of the job when it collects what to pack.
#[derive(Debug)]
pub(super) struct JobView<'state> {
    /// The state that the restore left, if there was one.
    pub state: Option<&'state RunState>,
    /// Whether the job's commands all succeeded.
    pub succeeded: bool,
}

/// Which members of an entry to unpack.
pub(super) struct Selection {
    /// Says of a member, by its name in the archive, whether it is wanted.
    pub wanted: Box<dyn Fn(&RelativePath) -> bool + Sync>,
    /// What is left out that the user would expect, in words: empty if everything wanted is there.
    pub left_out: Option<String>,
}

impl Selection {
    /// Everything.
    pub(super) fn all() -> Self {
        Self {
            wanted: Box::new(|_| true),
            left_out: None,
        }
    }
}

/// What of a tier to pack.
#[derive(Debug)]
pub(super) struct Collected {
    /// The members.
    pub groups: Vec<Group>,
    /// Their size in bytes, for progress.
    pub raw_bytes: u64,
    /// What the entry says that it holds.
    pub contents: Contents,
    /// The last part of the key, where it is known only now.
    pub set: Option<KeyPart>,
    /// Whether that is worth a new entry.
    pub novelty: Novelty,
    /// What became of the units, from tiers that know.
    pub units: Option<UnitsReport>,
}
