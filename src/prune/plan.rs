//! The decision itself: reasons first, then rescue of what is still needed.

use std::collections::{BTreeMap, HashMap};

use super::{
    Candidate, Kept, LockedPackages, PrunePlan, PruneReason, PruneRequest, Restored,
    SAVES_UNTIL_DROPPED,
};
use crate::unit::{AccessTimes, Origin, UnitKind, UnitRecord};

/// Decides which units are packed. Pure and total; see the module for the rules.
pub fn plan(request: &PruneRequest<'_>) -> PrunePlan {
    let units = &request.units;
    let reasons = if request.job_succeeded {
        let by_value = units_by_value(units);
        let mut reasons = reasons(request, &by_value);
        rescue_needed(units, &by_value, &mut reasons);
        reasons
    } else {
        vec![None; units.len()]
    };
    let counts = request.job_succeeded && request.access_times == AccessTimes::Move;
    let mut plan = PrunePlan::default();
    for (unit, reason) in units.iter().zip(reasons) {
        match reason {
            Some(reason) => plan.drop.push((unit.record.id.clone(), reason)),
            None => plan.keep.push(Kept {
                id: unit.record.id.clone(),
                unused_saves: match (counts, is_used(unit, request)) {
                    (false, _) => unit.record.unused_saves,
                    (true, true) => 0,
                    // A unit that only a used one holds on to would otherwise count without end.
                    (true, false) => (unit.record.unused_saves + 1).min(SAVES_UNTIL_DROPPED),
                },
            }),
        }
    }
    plan
}

/// Indices of the units that have a fingerprint value. A value can stand for several: the same dependency was built
/// into two profile directories.
type ByValue<'a> = HashMap<&'a str, Vec<usize>>;

fn units_by_value<'a>(units: &[Candidate<'a>]) -> ByValue<'a> {
    let mut by_value = ByValue::new();
    for (index, unit) in units.iter().enumerate() {
        for value in &unit.record.values {
            by_value.entry(value).or_default().push(index);
        }
    }
    by_value
}

/// Whether the unit counts as used. What was compiled in this job was, even if its access time could not show it.
fn is_used(unit: &Candidate<'_>, request: &PruneRequest<'_>) -> bool {
    unit.compiled_here || (request.access_times == AccessTimes::Move && unit.used)
}

/// For each unit why it could be dropped, were it not needed.
fn reasons(request: &PruneRequest<'_>, by_value: &ByValue<'_>) -> Vec<Option<PruneReason>> {
    let units = &request.units;
    let mut reasons = dead(request, by_value);
    let superseding = superseding(request);
    for (unit, reason) in units.iter().zip(&mut reasons) {
        if reason.is_some() || is_used(unit, request) {
            continue;
        }
        *reason = slot(unit.record)
            .and_then(|slot| superseding.get(&slot))
            .map(|index| PruneReason::Superseded(units[*index].record.id.clone()));
        let saves = unit.record.unused_saves + 1;
        if reason.is_none()
            && request.access_times == AccessTimes::Move
            && saves >= SAVES_UNTIL_DROPPED
        {
            *reason = Some(PruneReason::Unused(saves));
        }
    }
    reasons
}

/// The units that Cargo can never take as fresh again: those whose version left the lockfiles, and whatever was compiled
/// against them.
fn dead(request: &PruneRequest<'_>, by_value: &ByValue<'_>) -> Vec<Option<PruneReason>> {
    let units = &request.units;
    let mut reasons: Vec<_> = units
        .iter()
        .map(|unit| {
            if is_used(unit, request) {
                return None;
            }
            let left = request
                .locked
                .and_then(|locked| left_lockfile(&unit.record.origin, locked));
            let is_gone = |value: &String| !by_value.contains_key(value.as_str());
            left.map(PruneReason::LeftLockfile).or_else(|| {
                unit.record
                    .deps
                    .iter()
                    .any(is_gone)
                    .then_some(PruneReason::DependencyGone)
            })
        })
        .collect();
    loop {
        let mut has_grown = false;
        for (index, unit) in units.iter().enumerate() {
            if reasons[index].is_some() || is_used(unit, request) {
                continue;
            }
            let dead_dependency = unit.record.deps.iter().find_map(|value| {
                let holders = by_value.get(value.as_str())?;
                // Dead only if no build with that value lives.
                let all_dead = holders.iter().all(|holder| reasons[*holder].is_some());
                holders.first().filter(|_| all_dead)
            });
            if let Some(dependency) = dead_dependency {
                reasons[index] = Some(PruneReason::DependencyDead(
                    units[*dependency].record.id.clone(),
                ));
                has_grown = true;
            }
        }
        if !has_grown {
            return reasons;
        }
    }
}

/// What the lockfiles do not name any more of a package from a registry or a git repository, if that is so.
fn left_lockfile(origin: &Origin, locked: &LockedPackages) -> Option<String> {
    match origin {
        Origin::Registry { package, .. } => {
            (!locked.registry.contains(package)).then(|| package.clone())
        }
        // Checkouts are named by the first digits of the revision.
        Origin::Git {
            repository,
            revision,
        } => {
            let is_locked = locked
                .git_revisions
                .range(revision.clone()..)
                .next()
                .is_some_and(|locked| locked.starts_with(revision));
            (!is_locked).then(|| format!("{repository} at {revision}"))
        }
        Origin::Elsewhere => None,
    }
}

/// What two units must share for one to take the other's place.
type Slot<'a> = (
    &'a str,
    &'a str,
    &'a Origin,
    UnitKind,
    (&'a str, u64, u64, u64, u64),
);

/// The place of a unit; `None` where its fingerprint could not be read.
fn slot(record: &UnitRecord) -> Option<Slot<'_>> {
    (record.rustc != 0).then_some((
        record.id.profile.as_str(),
        record.id.package.as_str(),
        &record.origin,
        record.kind,
        (
            record.features.as_str(),
            record.target,
            // The name of the profile directory is not enough: with `panic = "abort"` tests have dependencies of their
            // own beside those of the build.
            record.profile_number,
            record.compile_kind,
            record.rustc,
        ),
    ))
}

/// For each place the first unit that was used in it, where the restored entry matched in part.
fn superseding<'a>(request: &PruneRequest<'a>) -> BTreeMap<Slot<'a>, usize> {
    let mut superseding = BTreeMap::new();
    if request.restored == Restored::Partial {
        for (index, unit) in request.units.iter().enumerate() {
            if is_used(unit, request)
                && let Some(slot) = slot(unit.record)
            {
                superseding.entry(slot).or_insert(index);
            }
        }
    }
    superseding
}

/// Takes back the reason of every unit that one without a reason was compiled against, in any profile directory.
fn rescue_needed(
    units: &[Candidate<'_>],
    by_value: &ByValue<'_>,
    reasons: &mut [Option<PruneReason>],
) {
    let mut kept: Vec<_> = (0..units.len())
        .filter(|index| reasons[*index].is_none())
        .collect();
    while let Some(index) = kept.pop() {
        for value in &units[index].record.deps {
            for holder in by_value.get(value.as_str()).into_iter().flatten() {
                if reasons[*holder].take().is_some() {
                    kept.push(*holder);
                }
            }
        }
    }
}
