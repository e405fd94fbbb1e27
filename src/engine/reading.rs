//! One reading of the target directories after the job: what is there, what the job used, what is worth keeping.
//!
//! Access times tell the truth once: whoever reads a fingerprint moves its time. So everything is read here, before
//! anything is hashed or packed.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::{Duration, SystemTime},
};

use anyhow::Context as _;
use rayon::prelude::*;

use super::{
    locked::locked_versions, moved::MovedUnits, session::Session, target::source_roots,
    work::JobView,
};
use crate::{
    archive::path::RelativePath,
    entry::Contents,
    key::Digest,
    project::TargetRoot,
    prune::{self, Candidate, LockedPackages, PrunePlan, PruneRequest, Restored},
    report::{RebuiltUnit, UnitsReport},
    state::RunState,
    tier::TierName,
    unit::{self, ARMED, AccessTimes, TargetTree, Unit, UnitId, UnitRecord},
};

/// Times of files are taken from a clock that ticks coarsely, up to this much behind.
const CLOCK_GRAIN: Duration = Duration::from_millis(20);

/// All target directories, read.
#[derive(Debug)]
pub(super) struct Reading {
    pub roots: Vec<RootReading>,
}

/// One target directory, read.
#[derive(Debug)]
pub(super) struct RootReading {
    /// The root's name in archives.
    pub name: RelativePath,
    /// What is there.
    pub tree: TargetTree,
    /// The record of each unit of `tree`, in the same order, with the count of unused saves after this one.
    pub records: Vec<UnitRecord>,
    /// The interface of its units of `deps`.
    pub interface: Digest,
    /// What the user may want to know.
    pub notes: Vec<String>,
    /// What is kept.
    keep: BTreeSet<UnitId>,
    /// What no restored entry holds.
    new: BTreeSet<UnitId>,
    /// What was compiled while the job ran.
    compiled: BTreeSet<UnitId>,
    /// What the restored entries hold for this root.
    restored: Vec<UnitRecord>,
    /// What of that was left out, since it is of no use at the root's place.
    moved: MovedUnits,
    /// Whether access times tell what the job used.
    access_times: AccessTimes,
}

impl Reading {
    /// Reads the target directories of the session's project.
    pub(super) fn take(session: &Session<'_>, job: &JobView<'_>) -> anyhow::Result<Self> {
        let locked = locked_versions(session.project());
        let roots = session
            .project()
            .roots
            .iter()
            .filter(|root| root.directory.is_dir())
            .map(|root| read_root(session, root, locked.as_ref(), job))
            .collect::<anyhow::Result<_>>()?;
        Ok(Self { roots })
    }

    /// What became of the units, for the report.
    pub(super) fn units_report(&self) -> UnitsReport {
        let reused = self
            .roots
            .iter()
            .map(RootReading::reused)
            .sum::<Option<u64>>();
        let rebuilt_units: Vec<_> = self.roots.iter().flat_map(RootReading::rebuilt).collect();
        UnitsReport {
            reused,
            rebuilt: u64::try_from(rebuilt_units.len()).ok(),
            rebuilt_units,
        }
    }
}

impl RootReading {
    /// The units of `tier` that are kept, with their records.
    pub(super) fn kept(&self, tier: TierName) -> impl Iterator<Item = (&Unit, &UnitRecord)> {
        self.tree
            .units
            .iter()
            .zip(&self.records)
            .filter(move |(unit, _)| {
                unit.origin.is_cargo_home() == (tier == TierName::Deps)
                    && self.keep.contains(&unit.id)
            })
    }

    /// Whether no restored entry holds the unit as it is.
    pub(super) fn is_new(&self, unit: &Unit) -> bool {
        self.new.contains(&unit.id)
    }

    /// The units that no restored entry holds.
    pub(super) fn new_units(&self) -> impl Iterator<Item = UnitId> + '_ {
        self.new.iter().cloned()
    }

    fn reused(&self) -> Option<u64> {
        if self.access_times == AccessTimes::Frozen {
            return None;
        }
        let used = self
            .tree
            .units
            .iter()
            .filter(|unit| unit.was_used(ARMED) && !self.compiled.contains(&unit.id));
        u64::try_from(used.count()).ok()
    }

    fn rebuilt(&self) -> impl Iterator<Item = RebuiltUnit> + '_ {
        self.tree
            .units
            .iter()
            .filter(|unit| self.compiled.contains(&unit.id))
            .map(|unit| RebuiltUnit {
                unit: format!(
                    "{} ({}, {})",
                    unit.id.package,
                    unit.kind.as_str(),
                    unit.id.profile
                ),
                reason: self.reason(unit).to_owned(),
            })
    }

    /// Why the command compiled a unit, as far as the entry tells.
    fn reason(&self, unit: &Unit) -> &'static str {
        let is_same = |record: &UnitRecord| record.id == unit.id;
        if self.restored.is_empty() {
            "nothing was restored"
        } else if self.moved.has(&self.name, &unit.id.hash) {
            "its outputs held the path of the old target directory, or it was compiled against such a unit"
        } else if self.restored.iter().any(is_same) {
            "restored, and not fresh for Cargo"
        } else {
            "the entry that was restored does not have it"
        }
    }
}

fn read_root(
    session: &Session<'_>,
    root: &TargetRoot,
    locked: Option<&LockedPackages>,
    job: &JobView<'_>,
) -> anyhow::Result<RootReading> {
    let tree = unit::read_target(&root.directory, &source_roots(session))
        .with_context(|| format!("failed to read {}", root.directory.display()))?;
    let restored = restored_records(job.state, &root.name);
    let moved = moved_units(session, job.state);
    let new = unit::compiled_here(&tree.units, &restored);
    let compiled = compiled_since(&tree, &new, job.state.map(|state| state.started_at));
    let known = unit::known_interfaces(&tree.units, &restored);
    let interface = unit::interface(&root.directory, &tree.units, &known)?;
    let mut records = records(&tree, &restored, &interface.units);
    let access_times = access_times(job.state, &root.name);
    let plan = plan(&tree, &records, &compiled, locked, job, access_times);
    for (id, reason) in &plan.drop {
        let detail = format!("{}-{} is not packed: {reason}", id.package, id.hash);
        session.console.detail(&detail);
    }
    let counts: BTreeMap<_, _> = plan
        .keep
        .iter()
        .map(|kept| (&kept.id, kept.unused_saves))
        .collect();
    for record in &mut records {
        if let Some(unused) = counts.get(&record.id) {
            record.unused_saves = *unused;
        }
    }
    let keep = plan.keep.iter().map(|kept| kept.id.clone()).collect();
    mark_path_holders(&tree, &mut records, &new, &keep);
    Ok(RootReading {
        name: root.name.clone(),
        notes: tree
            .notes
            .iter()
            .map(|note| format!("{}: {}", note.path, note.text))
            .collect(),
        tree,
        records,
        interface: interface.digest,
        keep,
        new,
        compiled,
        restored,
        moved,
        access_times,
    })
}

/// The records of this root's units in the entries that were restored.
fn restored_records(state: Option<&RunState>, root: &RelativePath) -> Vec<UnitRecord> {
    [TierName::Deps, TierName::Workspace]
        .into_iter()
        .filter_map(|tier| state?.restored.get(&tier))
        .filter_map(|entry| match &entry.facts.contents {
            Contents::Target { units, .. } => Some(units),
            Contents::Registry(_) | Contents::Tools(_) | Contents::Extra(_) => None,
        })
        .flatten()
        .filter(|(name, _)| name == root)
        .map(|(_, record)| record.clone())
        .collect()
}

/// What the restore left out, since the target directory lies elsewhere now.
fn moved_units(session: &Session<'_>, state: Option<&RunState>) -> MovedUnits {
    let roots = session
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

/// Those of the new units that were compiled while the job ran, and not before it in a directory that stayed.
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

fn records(
    tree: &TargetTree,
    restored: &[UnitRecord],
    interfaces: &BTreeMap<UnitId, Digest>,
) -> Vec<UnitRecord> {
    let restored: BTreeMap<_, _> = restored.iter().map(|record| (&record.id, record)).collect();
    tree.units
        .iter()
        .map(|unit| {
            let mut record = UnitRecord::of(unit, restored.get(&unit.id).copied());
            record.interface = interfaces.get(&unit.id).copied();
            record
        })
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

fn plan(
    tree: &TargetTree,
    records: &[UnitRecord],
    compiled: &BTreeSet<UnitId>,
    locked: Option<&LockedPackages>,
    job: &JobView<'_>,
    access_times: AccessTimes,
) -> PrunePlan {
    let units = tree
        .units
        .iter()
        .zip(records)
        .map(|(unit, record)| Candidate {
            record,
            used: unit.was_used(ARMED),
            compiled_here: compiled.contains(&unit.id),
        })
        .collect();
    let deps = job
        .state
        .and_then(|state| state.restored.get(&TierName::Deps));
    prune::plan(&PruneRequest {
        units,
        locked,
        restored: match deps {
            None => Restored::Nothing,
            Some(entry) if entry.exact => Restored::Exact,
            Some(_) => Restored::Partial,
        },
        job_succeeded: job.succeeded && job.state.is_some(),
        access_times,
    })
}

/// Finds out which of the new units hold the target directory's path; of the others the records know already.
fn mark_path_holders(
    tree: &TargetTree,
    records: &mut [UnitRecord],
    new: &BTreeSet<UnitId>,
    keep: &BTreeSet<UnitId>,
) {
    tree.units
        .par_iter()
        .zip(records)
        .filter(|(unit, _)| new.contains(&unit.id) && keep.contains(&unit.id))
        .for_each(|(unit, record)| {
            record.holds_target = unit::holds_target_path(&tree.directory, unit);
        });
}
