//! Which units of a target directory are of no use any more.
//!
//! The rules are those of [`crate::prune`], with ages in place of counted saves; no rule takes a unit that was used within
//! [`LEFT_FOR`] days:
//!
//! - a unit whose package version left the lockfile, or that was compiled against one that did, goes after a day: somebody
//!   may switch between two branches;
//! - a unit of an older generation goes after a week: another one was used in its place, or its compiler is one that no
//!   unit used since;
//! - with an age, whatever was unused for as long.
//!
//! Where access times don't move, a unit that is used looks like one that is not: only the first rule holds then.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    fmt,
    time::{Duration, SystemTime},
};

use crate::{
    prune::{
        self, Candidate, LockedPackages, PruneReason, PruneRequest, Restored, SAVES_UNTIL_DROPPED,
    },
    unit::{AccessTimes, UnitId, UnitRecord},
};

/// How long what left the lockfile stays.
const LEFT_FOR: Duration = Duration::from_hours(24);
/// How long an older generation stays.
const GENERATION: Duration = Duration::from_hours(7 * 24);

/// A unit, and when it was last used.
#[derive(Clone, Debug)]
pub struct UnitUse {
    /// What is known of it.
    pub record: UnitRecord,
    /// When it was compiled, or where access times move, looked at by Cargo.
    pub used_at: SystemTime,
}

/// What is decided by.
#[derive(Clone, Copy, Debug)]
pub struct StaleRequest<'a> {
    /// All units of one target directory.
    pub units: &'a [UnitUse],
    /// What the lockfile names; `None` if it is not the one that the directory is built with.
    pub locked: Option<&'a LockedPackages>,
    /// The time.
    pub now: SystemTime,
    /// How long a unit must have been unused to go, if that is asked for.
    pub older_than: Option<Duration>,
    /// Whether a use shows.
    pub access_times: AccessTimes,
}

/// Why a unit goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum StaleReason {
    /// Its version, or one that it was compiled against, is not locked any more.
    LeftLockfile,
    /// Another unit was used in its place, or another compiler is used.
    OlderGeneration,
    /// It was unused for too long.
    Unused,
}

impl fmt::Display for StaleReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::LeftLockfile => "left the lockfile",
            Self::OlderGeneration => "of an older generation",
            Self::Unused => "unused for too long",
        })
    }
}

/// The units that go, by their places in the request, in an order in which none goes before one that was compiled
/// against it.
pub fn stale_units(request: &StaleRequest<'_>) -> Vec<(usize, StaleReason)> {
    let mut reasons = BTreeMap::new();
    let mut add = |found: BTreeSet<UnitId>, reason| {
        for id in found {
            reasons.entry(id).or_insert(reason);
        }
    };
    add(
        dropped(request, LEFT_FOR, Restored::Nothing, |_| false),
        StaleReason::LeftLockfile,
    );
    if request.access_times == AccessTimes::Move {
        let compilers = compilers_in_use(request);
        let is_left = |record: &UnitRecord| {
            !compilers.is_empty() && record.rustc != 0 && !compilers.contains(&record.rustc)
        };
        add(
            dropped(request, GENERATION, Restored::Partial, is_left),
            StaleReason::OlderGeneration,
        );
        if let Some(age) = request.older_than {
            add(
                dropped(request, age, Restored::Nothing, |_| true),
                StaleReason::Unused,
            );
        }
    }
    in_order(request.units, &reasons)
}

/// What pruning drops if what was used within `age` counts as used, and what `is_left` says as unused for too long.
fn dropped(
    request: &StaleRequest<'_>,
    age: Duration,
    restored: Restored,
    is_left: impl Fn(&UnitRecord) -> bool,
) -> BTreeSet<UnitId> {
    let records: Vec<_> = request
        .units
        .iter()
        .map(|unit| UnitRecord {
            unused_saves: if is_left(&unit.record) {
                SAVES_UNTIL_DROPPED
            } else {
                0
            },
            ..unit.record.clone()
        })
        .collect();
    let candidates = records.iter().zip(request.units).map(|(record, unit)| {
        let unused = request.now.duration_since(unit.used_at).unwrap_or_default();
        Candidate {
            record,
            used: unused < age,
            compiled_here: unused < age,
        }
    });
    let plan = prune::plan(&PruneRequest {
        units: candidates.collect(),
        locked: request.locked,
        restored,
        job_succeeded: true,
        access_times: AccessTimes::Move,
    });
    plan.drop
        .into_iter()
        // What was compiled against a build that is gone is dirty for Cargo, which then compiles it in its place.
        .filter(|(_, reason)| *reason != PruneReason::DependencyGone || request.locked.is_some())
        .map(|(id, _)| id)
        .collect()
}

/// Cargo's numbers of the compilers whose units were used within a generation.
fn compilers_in_use(request: &StaleRequest<'_>) -> BTreeSet<u64> {
    let is_used = |unit: &&UnitUse| {
        let unused = request.now.duration_since(unit.used_at);
        unused.unwrap_or_default() < GENERATION
    };
    let used = request.units.iter().filter(is_used);
    used.map(|unit| unit.record.rustc).collect()
}

/// The units with a reason, users before what they were compiled against. Cycles, which Cargo has none of, come last.
fn in_order(
    units: &[UnitUse],
    reasons: &BTreeMap<UnitId, StaleReason>,
) -> Vec<(usize, StaleReason)> {
    let mut waiting: Vec<_> = units
        .iter()
        .enumerate()
        .filter_map(|(index, unit)| Some((index, *reasons.get(&unit.record.id)?)))
        .collect();
    // How many of those that are left were compiled against each value.
    let mut users: HashMap<&str, usize> = HashMap::new();
    for (index, _) in &waiting {
        for value in &units[*index].record.deps {
            *users.entry(value).or_default() += 1;
        }
    }
    let mut ordered = Vec::new();
    loop {
        let is_free = |index: usize| {
            let values = &units[index].record.values;
            values
                .iter()
                .all(|value| users.get(value.as_str()).is_none_or(|count| *count == 0))
        };
        let (free, rest): (Vec<_>, Vec<_>) =
            waiting.into_iter().partition(|(index, _)| is_free(*index));
        if free.is_empty() {
            ordered.extend(rest);
            return ordered;
        }
        for (index, _) in &free {
            for value in &units[*index].record.deps {
                if let Some(count) = users.get_mut(value.as_str()) {
                    *count -= 1;
                }
            }
        }
        ordered.extend(free);
        waiting = rest;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        archive::path::RelativePath,
        unit::{Layout, Origin, UnitKind},
    };

    const DAY: Duration = Duration::from_hours(24);

    fn now() -> SystemTime {
        SystemTime::UNIX_EPOCH + DAY * 20_000
    }

    /// A unit of `package`, used so many days ago, compiled by the compiler of number `rustc` against those named.
    fn unit(package: &str, hash: &str, days: u32, rustc: u64, deps: &[&str]) -> UnitUse {
        let record = UnitRecord {
            id: UnitId {
                profile: RelativePath::new("debug").expect("plain"),
                package: package.to_owned(),
                hash: hash.to_owned(),
            },
            layout: Layout::V1,
            kind: UnitKind::Library,
            origin: Origin::Registry {
                index: "index".to_owned(),
                package: format!("{package}-1.0.0"),
            },
            bytes: 1,
            compile_nanos: None,
            unused_saves: 0,
            rustc,
            features: String::new(),
            target: 1,
            profile_number: 1,
            compile_kind: 0,
            values: vec![format!("{package}-{hash}")],
            deps: deps.iter().map(|&dep| dep.to_owned()).collect(),
            interface: None,
            holds_target: false,
        };
        UnitUse {
            record,
            used_at: now() - DAY * days,
        }
    }

    fn stale(units: &[UnitUse], locked: &[&str], older_than: Option<u32>) -> Vec<String> {
        stale_with(units, locked, older_than, AccessTimes::Move)
    }

    fn stale_with(
        units: &[UnitUse],
        locked: &[&str],
        older_than: Option<u32>,
        access_times: AccessTimes,
    ) -> Vec<String> {
        let locked = LockedPackages {
            registry: locked.iter().map(|name| format!("{name}-1.0.0")).collect(),
            ..LockedPackages::default()
        };
        let request = StaleRequest {
            units,
            locked: Some(&locked),
            now: now(),
            older_than: older_than.map(|days| DAY * days),
            access_times,
        };
        stale_units(&request)
            .into_iter()
            .map(|(index, reason)| {
                let id = &units[index].record.id;
                format!("{}-{} {reason}", id.package, id.hash)
            })
            .collect()
    }

    #[test]
    fn what_left_the_lockfile_goes_after_a_day_and_its_users_before_it() {
        let units = [
            unit("gone", "1", 2, 1, &[]),
            unit("user", "1", 2, 1, &["gone-1"]),
            unit("kept", "1", 0, 1, &[]),
        ];
        assert_eq!(
            stale(&units, &["user", "kept"], None),
            ["user-1 left the lockfile", "gone-1 left the lockfile"]
        );
        let fresh = [unit("gone", "1", 0, 1, &[])];
        assert!(stale(&fresh, &[], None).is_empty());
    }

    #[test]
    fn an_older_generation_goes_after_a_week() {
        let units = |days| [unit("a", "old", days, 1, &[]), unit("a", "new", 0, 1, &[])];
        assert_eq!(
            stale(&units(8), &["a"], None),
            ["a-old of an older generation"]
        );
        assert!(stale(&units(6), &["a"], None).is_empty());
    }

    #[test]
    fn units_of_a_compiler_that_nobody_uses_any_more_are_of_an_older_generation() {
        let units = [
            unit("a", "1", 8, 1, &[]),
            unit("b", "1", 8, 2, &[]),
            unit("c", "1", 0, 2, &[]),
        ];
        assert_eq!(
            stale(&units, &["a", "b", "c"], None),
            ["a-1 of an older generation"]
        );
    }

    #[test]
    fn nothing_goes_from_a_directory_that_nobody_uses_unless_an_age_is_given() {
        let units = [unit("a", "1", 300, 1, &[]), unit("b", "1", 300, 2, &[])];
        assert!(stale(&units, &["a", "b"], None).is_empty());
        assert_eq!(
            stale(&units, &["a", "b"], Some(14)),
            ["a-1 unused for too long", "b-1 unused for too long"]
        );
    }

    #[test]
    fn what_a_used_unit_was_compiled_against_stays() {
        let units = [
            unit("base", "1", 300, 1, &[]),
            unit("user", "1", 0, 1, &["base-1"]),
        ];
        assert!(stale(&units, &["base", "user"], Some(14)).is_empty());
    }

    #[test]
    fn where_access_times_do_not_move_only_the_lockfile_decides() {
        let units = [unit("a", "1", 300, 1, &[]), unit("gone", "1", 300, 1, &[])];
        let stale = stale_with(&units, &["a"], Some(14), AccessTimes::Frozen);
        assert_eq!(stale, ["gone-1 left the lockfile"]);
    }
}
