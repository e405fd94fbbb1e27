//! What of the units in the target directories is kept, and what is known of each: the records for an entry's header.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use rayon::prelude::*;

use super::{locked::locked_versions, reading::RootReading, session::Session};
use crate::{
    archive::path::RelativePath,
    entry::EntryFacts,
    key::Digest,
    prune::{self, Candidate, LockedPackages, PrunePlan, PruneRequest, Restored},
    state::{RestoredEntry, RunState},
    tier::TierName,
    unit::{self, ARMED, Interface, Unit, UnitId, UnitRecord},
};

/// Outside CI nobody says which runs are one job's: entries made closer to each other than this count as one save.
const SAVE_INTERVAL: Duration = Duration::from_hours(20);

/// One target directory with a judgement of each unit.
#[derive(Debug)]
pub(super) struct JudgedRoot {
    /// What was read.
    pub reading: RootReading,
    /// The record of each unit of the tree, in the same order, with the count of unused saves after this one.
    pub records: Vec<UnitRecord>,
    /// The interface of its units of `deps` that are kept, if there are any to compile against.
    pub interface: Option<Digest>,
    keep: BTreeSet<UnitId>,
}

impl JudgedRoot {
    /// The root's name in archives.
    pub(super) fn name(&self) -> &RelativePath {
        &self.reading.name
    }

    /// The units of `tier` that are kept, with their records.
    pub(super) fn kept(&self, tier: TierName) -> impl Iterator<Item = (&Unit, &UnitRecord)> {
        self.reading
            .tree
            .units
            .iter()
            .zip(&self.records)
            .filter(move |(unit, _)| {
                unit.origin.is_cargo_home() == (tier == TierName::Deps)
                    && self.keep.contains(&unit.id)
            })
    }
}

/// Judges the units of a root.
pub(super) fn judge(
    session: &Session<'_>,
    reading: RootReading,
    state: Option<&RunState>,
    succeeded: bool,
) -> anyhow::Result<JudgedRoot> {
    let mut records = records(&reading);
    let locked = locked_versions(session.project());
    let entry = state.and_then(|state| state.restored.get(&TierName::Deps));
    if !counts_as_save(session, entry.map(|entry| &entry.facts)) {
        // The plan adds one to what went unused: this run's one was counted already.
        for record in &mut records {
            record.unused_saves = record.unused_saves.saturating_sub(1);
        }
    }
    let may_prune = succeeded && state.is_some();
    let plan = plan(&reading, &records, locked.as_ref(), entry, may_prune);
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
    let keep = keep(&reading, &plan);
    mark_path_holders(&reading, &mut records, &keep);
    let interface = interface(&reading, &keep)?;
    for record in &mut records {
        record.interface = interface.units.get(&record.id).copied();
    }
    Ok(JudgedRoot {
        records,
        interface: Some(interface.digest).filter(|_| !interface.units.is_empty()),
        keep,
        reading,
    })
}

/// What workspace crates that are restored beside the kept units would be compiled against.
fn interface(reading: &RootReading, keep: &BTreeSet<UnitId>) -> anyhow::Result<Interface> {
    let tree = &reading.tree;
    let known = unit::known_interfaces(&tree.units, &reading.restored);
    let kept = tree.units.iter().filter(|unit| keep.contains(&unit.id));
    Ok(unit::interface(&tree.directory, kept, &known)?)
}

fn records(reading: &RootReading) -> Vec<UnitRecord> {
    let restored: BTreeMap<_, _> = reading
        .restored
        .iter()
        .map(|record| (&record.id, record))
        .collect();
    reading
        .tree
        .units
        .iter()
        .map(|unit| UnitRecord::of(unit, restored.get(&unit.id).copied()))
        .collect()
}

/// Whether this save counts for units that went unused: each job once, however many commands of it are runs of hotcrate.
fn counts_as_save(session: &Session<'_>, restored: Option<&EntryFacts>) -> bool {
    let Some(restored) = restored else {
        return true;
    };
    match (&restored.run, session.run_id()) {
        (Some(then), Some(now)) => *then != now,
        _ => session.now_seconds().saturating_sub(restored.created_at) >= SAVE_INTERVAL.as_secs(),
    }
}

fn plan(
    reading: &RootReading,
    records: &[UnitRecord],
    locked: Option<&LockedPackages>,
    entry: Option<&RestoredEntry>,
    may_prune: bool,
) -> PrunePlan {
    let units = reading
        .tree
        .units
        .iter()
        .zip(records)
        .map(|(unit, record)| Candidate {
            record,
            used: unit.was_used(ARMED),
            compiled_here: reading.compiled.contains(&unit.id),
        })
        .collect();
    prune::plan(&PruneRequest {
        units,
        locked,
        restored: match entry {
            None => Restored::Nothing,
            Some(entry) if entry.exact => Restored::Exact,
            Some(_) => Restored::Partial,
        },
        job_succeeded: may_prune,
        access_times: reading.access_times,
    })
}

/// What the plan keeps, without what merely lies there: units of a directory that stayed, which no entry holds and this
/// job had no use for. They come from other jobs, or from another year.
fn keep(reading: &RootReading, plan: &PrunePlan) -> BTreeSet<UnitId> {
    let stray: BTreeSet<_> = reading
        .tree
        .units
        .iter()
        .filter(|unit| reading.new.contains(&unit.id) && !reading.is_wanted(unit))
        .map(|unit| &unit.id)
        .collect();
    plan.keep
        .iter()
        .map(|kept| &kept.id)
        .filter(|id| !stray.contains(id))
        .cloned()
        .collect()
}

/// Finds out which of the new units hold the target directory's path; of the others the records know already.
fn mark_path_holders(reading: &RootReading, records: &mut [UnitRecord], keep: &BTreeSet<UnitId>) {
    reading
        .tree
        .units
        .par_iter()
        .zip(records)
        .filter(|(unit, _)| reading.new.contains(&unit.id) && keep.contains(&unit.id))
        .for_each(|(unit, record)| {
            record.holds_target = unit::holds_target_path(&reading.tree.directory, unit);
        });
}
