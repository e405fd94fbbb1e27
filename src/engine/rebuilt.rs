//! Which units the job compiled again, and why: records are taken down when the restore is over, and compared with what
//! the job left.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Duration,
};

use super::{reading::RootReading, session::Session, target::source_roots};
use crate::{
    archive::path::RelativePath,
    rebuild::{self, Baseline, Build, Place, Rebuilt, Snapshot},
    report::{RebuildCause, RebuiltUnit, UnitsReport},
    state::RunState,
    unit::{self, ARMED, AccessTimes},
};

/// Why a unit was compiled whose outputs are of no use where the target directory is now.
const MOVED: &str =
    "its outputs held the path of the old target directory, or it was compiled against such a unit";

/// Takes down what Cargo recorded of all units, makes every unit show whether the job uses it, and says of each root
/// whether that works. Nothing may read the target directories between this and the job.
pub(super) fn look_and_arm(session: &Session<'_>) -> (Snapshot, BTreeMap<RelativePath, bool>) {
    let sources = source_roots(session);
    let mut records = Snapshot::default();
    let mut moves = BTreeMap::new();
    for root in &session.project().roots {
        if !root.directory.is_dir() {
            continue;
        }
        let mut armed = false;
        if let Ok(tree) = unit::read_target(&root.directory, &sources) {
            let snapshot = unit::snapshot(&tree, &sources, |_| true);
            records.roots.insert(root.name.clone(), snapshot);
            armed = unit::probe(&root.directory).is_ok_and(|times| times == AccessTimes::Move)
                && unit::arm(&tree).is_ok();
        }
        moves.insert(root.name.clone(), armed);
    }
    (records, moves)
}

/// What became of the units. Without the state of a restore, nobody knows what this job did.
pub(super) fn units_report(
    session: &Session<'_>,
    roots: &[RootReading],
    state: Option<&RunState>,
) -> UnitsReport {
    let Some(state) = state else {
        return UnitsReport::default();
    };
    let reused = roots.iter().map(RootReading::reused).sum::<Option<u64>>();
    let rebuilt = explain(session, roots, &state.baseline);
    let spared = roots
        .iter()
        .map(RootReading::spared)
        .sum::<Option<Duration>>();
    UnitsReport {
        reused,
        seconds_spared: spared.map(|spared| spared.as_secs_f64()),
        ..report(&rebuilt)
    }
}

/// The report of `rebuilt`.
pub(super) fn report(rebuilt: &[Rebuilt]) -> UnitsReport {
    let units = rebuilt.iter().enumerate().map(|(index, unit)| {
        let id = &unit.place.1;
        RebuiltUnit {
            unit: format!("{} ({}, {})", id.package, unit.kind.as_str(), id.profile),
            reason: rebuild::reason(rebuilt, index),
        }
    });
    let causes = rebuild::group(rebuilt)
        .into_iter()
        .map(|group| RebuildCause {
            cause: group.cause,
            packages: group.packages.into_iter().collect(),
            is_of_package: group.is_of_package,
            units: group.units,
            dependents: group.dependents,
        });
    UnitsReport {
        reused: None,
        rebuilt: u64::try_from(rebuilt.len()).ok(),
        rebuilt_units: units.collect(),
        causes: causes.collect(),
        seconds_spared: None,
    }
}

fn explain(session: &Session<'_>, roots: &[RootReading], baseline: &Baseline) -> Vec<Rebuilt> {
    let sources = source_roots(session);
    let mut compiled = Snapshot::default();
    let mut fresh = BTreeSet::new();
    let mut known = BTreeMap::new();
    for root in roots {
        let is_compiled = |unit: &unit::Unit| root.compiled.contains(&unit.id);
        let snapshot = unit::snapshot(&root.tree, &sources, is_compiled);
        compiled.roots.insert(root.name.clone(), snapshot);
        let place = |id: &unit::UnitId| -> Place { (root.name.clone(), id.clone()) };
        let moved = root.compiled.iter().filter(|id| root.has_moved(id));
        known.extend(moved.map(|id| (place(id), MOVED.to_owned())));
        if root.access_times == AccessTimes::Move {
            let used = root.tree.units.iter().filter(|unit| unit.was_used(ARMED));
            let used = used.filter(|unit| !is_compiled(unit));
            fresh.extend(used.map(|unit| place(&unit.id)));
        }
    }
    explain_build(session, baseline, &compiled, &fresh, &known)
}

/// Where the target directories lie, by name.
pub(super) fn targets(session: &Session<'_>) -> BTreeMap<RelativePath, PathBuf> {
    let roots = session.project().roots.iter();
    roots
        .map(|root| (root.name.clone(), root.directory.clone()))
        .collect()
}

/// Explains the units in `compiled` by the records before the build.
pub(super) fn explain_build(
    session: &Session<'_>,
    baseline: &Baseline,
    compiled: &Snapshot,
    fresh: &BTreeSet<Place>,
    known: &BTreeMap<Place, String>,
) -> Vec<Rebuilt> {
    let targets = targets(session);
    let inputs = compiled.roots.iter().flat_map(|(name, snapshot)| {
        let earlier = baseline.records.roots.get(name);
        let units = snapshot.units.iter();
        let earlier = units.filter_map(move |unit| earlier?.unit(&unit.id));
        let target = targets.get(name);
        earlier.filter_map(move |unit| Some(unit.inputs(target?)))
    });
    let inputs: BTreeSet<PathBuf> = inputs.flatten().collect();
    rebuild::explain(&Build {
        before: &baseline.records,
        compiled,
        inputs: &unit::input_states(inputs),
        fresh,
        targets: &targets,
        project: &session.project().directory,
        made_new: &baseline.made_new,
        known,
        basis: baseline.basis,
    })
}
