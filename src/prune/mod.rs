//! Pruning: which units are not worth packing again. Pure.
//!
//! A unit is dropped whole, and only if this job did not use it and one of these holds:
//!
//! - it is *dead*: its package version is in no lockfile of the project any more, or a build that it was compiled
//!   against is dead or no longer there, so that Cargo can never take it as fresh again;
//! - it is *superseded*: the restored entry matched in part, and a unit of the same package, target, kind, profile
//!   directory, profile settings, features, platform and compiler was used in its place. After an exact match such units belong to
//!   another command of the same job (its dependencies have other features there) and stay. Workspace units are
//!   superseded by the same rule, since their hashes change with those of their dependencies;
//! - it went unused for [`SAVES_UNTIL_DROPPED`] saves.
//!
//! Invariants: nothing is dropped after a failed job, nor is a unit that was used, nor one that a unit that is kept was
//! compiled against; and pruning what is left drops nothing more.
//!
//! Where access times are frozen, nobody knows what was used. Then the versions in the lockfile decide as above, what
//! was compiled in this job counts as used for superseding (so the older of two builds goes), and nothing is counted.
//! The price of an error is a compilation, never a wrong build.

mod plan;

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, fmt, time::Duration};

use crate::unit::{AccessTimes, UnitId, UnitRecord};

pub use plan::plan;

/// At the how-manieth save in a row that no job used a unit it is dropped.
pub const SAVES_UNTIL_DROPPED: u32 = 3;

/// A unit as pruning sees it.
#[derive(Clone, Copy, Debug)]
pub struct Candidate<'a> {
    /// What is known of it; `unused_saves` is the count before this save.
    pub record: &'a UnitRecord,
    /// Whether this job used it. Means nothing where access times are frozen.
    pub used: bool,
    /// Whether it was compiled in this job: see [`crate::unit::compiled_here`].
    pub compiled_here: bool,
}

/// The packages that the lockfiles of the project name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct LockedPackages {
    /// `<name>-<version>` of each package from a registry.
    pub registry: BTreeSet<String>,
    /// The full revision of each git source.
    pub git_revisions: BTreeSet<String>,
}

/// How the entry that was restored compares with what was asked for. For both tiers this is the entry of `deps`: the
/// key of a workspace entry knows no lockfile, and its `tree` differs after every commit, which replaces no unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Restored {
    /// Nothing was restored.
    Nothing,
    /// An entry of this lockfile, environment and job.
    Exact,
    /// An entry in which one of these differed.
    Partial,
}

/// What pruning decides by.
#[derive(Clone, Debug)]
pub struct PruneRequest<'a> {
    /// The units of every tier in the target directories, as they are now: units of one tier depend on another's.
    pub units: Vec<Candidate<'a>>,
    /// The packages that are still locked; `None` where there is no lockfile, so that no version is known to have left.
    pub locked: Option<&'a LockedPackages>,
    /// What was restored.
    pub restored: Restored,
    /// Whether all of the job's commands succeeded: after a failure some units were not asked for that will be.
    pub job_succeeded: bool,
    /// Whether `used` means anything.
    pub access_times: AccessTimes,
}

/// A unit that stays.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    /// The unit.
    pub id: UnitId,
    /// The count of unused saves for its record, this save included.
    pub unused_saves: u32,
}

/// What to pack and what not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PrunePlan {
    /// Units to pack, in the order of the request.
    pub keep: Vec<Kept>,
    /// Units to leave out, each with the reason, in the order of the request.
    pub drop: Vec<(UnitId, PruneReason)>,
}

/// Why a unit is dropped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PruneReason {
    /// Its package version is in no lockfile any more: `<name>-<version>`, or the repository and the revision.
    LeftLockfile(String),
    /// A build that it was compiled against is dead itself.
    DependencyDead(UnitId),
    /// A build that it was compiled against is not there.
    DependencyGone,
    /// The named unit was used in its place, or compiled in its place where access times are frozen.
    Superseded(UnitId),
    /// No job used it at this many saves in a row.
    Unused(u32),
}

impl fmt::Display for PruneReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LeftLockfile(package) => write!(formatter, "{package} left the lockfile"),
            Self::DependencyDead(id) => write!(
                formatter,
                "compiled against {}-{}, which can't be fresh again",
                id.package, id.hash
            ),
            Self::DependencyGone => {
                formatter.write_str("compiled against a build that is not there any more")
            }
            Self::Superseded(id) => write!(formatter, "superseded by {}-{}", id.package, id.hash),
            Self::Unused(saves) => write!(formatter, "unused for {saves} saves"),
        }
    }
}

/// How much of what an entry would hold was compiled in this job.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Worth {
    /// Compile time of the units that were compiled in this job.
    pub compiled_here: Duration,
    /// Compile time of all units.
    pub total: Duration,
}

impl Worth {
    /// The share of compile time that was spent in this job, from 0 to 1. Where no unit knows how long it took, 0.
    pub fn share(self) -> f64 {
        if self.total.is_zero() {
            0.0
        } else {
            self.compiled_here.as_secs_f64() / self.total.as_secs_f64()
        }
    }
}

/// What saving `records`, the units of one entry, is worth when those in `compiled_here` were compiled in this job.
pub fn worth_saving<'a>(
    records: impl IntoIterator<Item = &'a UnitRecord>,
    compiled_here: &BTreeSet<UnitId>,
) -> Worth {
    let mut worth = Worth::default();
    for record in records {
        worth.total += record.compile_time();
        if compiled_here.contains(&record.id) {
            worth.compiled_here += record.compile_time();
        }
    }
    worth
}
