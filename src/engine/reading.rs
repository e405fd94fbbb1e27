//! What the job left in the target directories: which units are there, which it used, which it compiled.
//!
//! Access times tell the truth once: whoever reads a fingerprint moves its time. So there is one reading a run, before
//! anything is hashed or packed, and both tiers of the target directories go by it.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime},
};

use anyhow::Context as _;

use super::{moved::MovedUnits, session::Session, target::source_roots};
use crate::{
    archive::path::RelativePath,
    entry::Contents,
    project::TargetRoot,
    state::RunState,
    tier::TierName,
    unit::{self, ARMED, AccessTimes, TargetTree, Unit, UnitId, UnitRecord},
};

/// Times of files are taken from a clock that ticks coarsely, up to this much behind.
const CLOCK_GRAIN: Duration = Duration::from_millis(20);

/// One target directory after the job.
#[derive(Debug)]
pub(super) struct RootReading {
    /// The root's name in archives.
    pub name: RelativePath,
    /// What is there.
    pub tree: TargetTree,
    /// What the restored entries hold for this root.
    pub restored: Vec<UnitRecord>,
    /// The units that no restored entry holds as they are.
    pub new: BTreeSet<UnitId>,
    /// Those of them that were compiled while the job ran, and not before it in a directory that stayed. Without the
    /// state of a restore nobody knows when that was: all of them.
    pub compiled: BTreeSet<UnitId>,
    /// Whether access times tell what the job used.
    pub access_times: AccessTimes,
    /// What of the restored entry was left out, since it is of no use at the root's place.
    moved: MovedUnits,
}

/// Reads the target directories of the session's project.
pub(super) fn read_roots(
    session: &Session<'_>,
    state: Option<&RunState>,
) -> anyhow::Result<Vec<RootReading>> {
    session
        .project()
        .roots
        .iter()
        .filter(|root| root.directory.is_dir())
        .map(|root| read_root(session, root, state))
        .collect()
}

impl RootReading {
    /// Whether the job had a use for the unit: it compiled it, or Cargo looked at it. Where nobody knows, it had.
    pub(super) fn is_wanted(&self, unit: &Unit) -> bool {
        self.access_times == AccessTimes::Frozen
            || self.compiled.contains(&unit.id)
            || unit.was_used(ARMED)
    }

    /// How many units the job found fresh, if access times tell.
    pub(super) fn reused(&self) -> Option<u64> {
        u64::try_from(self.reused_units()?.count()).ok()
    }

    /// How long the reused units took when they were compiled.
    pub(super) fn spared(&self) -> Option<Duration> {
        Some(
            self.reused_units()?
                .filter_map(|unit| unit.compile_time)
                .sum(),
        )
    }

    /// The units that the job used and did not compile; `None` if access times don't tell.
    fn reused_units(&self) -> Option<impl Iterator<Item = &Unit>> {
        (self.access_times == AccessTimes::Move).then(|| {
            let units = self.tree.units.iter();
            units.filter(|unit| unit.was_used(ARMED) && !self.compiled.contains(&unit.id))
        })
    }

    /// Whether the unit was left out of the restore, since it is of no use where the root is now.
    pub(super) fn has_moved(&self, id: &UnitId) -> bool {
        self.moved.units().has(&self.name, &id.hash)
    }
}

fn read_root(
    session: &Session<'_>,
    root: &TargetRoot,
    state: Option<&RunState>,
) -> anyhow::Result<RootReading> {
    let tree = unit::read_target(&root.directory, &source_roots(session))
        .with_context(|| format!("failed to read {}", root.directory.display()))?;
    let restored = restored_records(state, &root.name);
    let new = unit::compiled_here(&tree.units, &restored);
    Ok(RootReading {
        name: root.name.clone(),
        compiled: compiled_since(&tree, &new, state.map(|state| state.started_at)),
        access_times: access_times(state, &root.name),
        moved: moved_units(session, state),
        tree,
        restored,
        new,
    })
}

/// The records of this root's units in the entries that were restored.
fn restored_records(state: Option<&RunState>, root: &RelativePath) -> Vec<UnitRecord> {
    [TierName::Deps, TierName::Workspace]
        .into_iter()
        .filter_map(|tier| state?.restored.get(&tier))
        .filter_map(|entry| match &entry.facts.contents {
            Contents::Target { units, .. } => Some(units),
            Contents::Registry(_)
            | Contents::Sccache(_)
            | Contents::Tools(_)
            | Contents::Extra(_) => None,
        })
        .flatten()
        .filter(|(name, _)| name == root)
        .map(|(_, record)| record.clone())
        .collect()
}

/// What the restore left out, since the target directory lies elsewhere now.
fn moved_units(session: &Session<'_>, state: Option<&RunState>) -> MovedUnits {
    let roots: BTreeMap<_, _> = session
        .project()
        .roots
        .iter()
        .map(|root| (root.name.clone(), root.directory.clone()))
        .collect();
    state
        .and_then(|state| state.restored.get(&TierName::Deps))
        .map_or_else(MovedUnits::default, |entry| {
            MovedUnits::of(&entry.facts, &roots)
        })
}

fn compiled_since(
    tree: &TargetTree,
    new: &BTreeSet<UnitId>,
    started_at: Option<SystemTime>,
) -> BTreeSet<UnitId> {
    let start = started_at.and_then(|start| start.checked_sub(CLOCK_GRAIN));
    tree.units
        .iter()
        .filter(|unit| new.contains(&unit.id))
        .filter(|unit| start.is_none_or(|start| unit.compiled_at >= start))
        .map(|unit| unit.id.clone())
        .collect()
}

/// Without the state of a restore, nothing was armed, and access times say nothing.
fn access_times(state: Option<&RunState>, root: &RelativePath) -> AccessTimes {
    // A root that was absent at the start holds only what the job made, and every unit of it was used.
    let moves = state.is_some_and(|state| *state.access_times_move.get(root).unwrap_or(&true));
    if moves {
        AccessTimes::Move
    } else {
        AccessTimes::Frozen
    }
}
