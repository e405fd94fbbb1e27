//! Why each unit was compiled: its own cause, or the unit that it depends on and that was compiled for its own. Pure.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::{Path, PathBuf},
};

use super::{
    Basis, Cause, InputStates, MadeNew, NewPart, RootSnapshot, Snapshot, UnitSnapshot,
    compare::{changed_files, likeness, recorded_causes},
};
use crate::{
    archive::path::RelativePath,
    unit::{UnitId, UnitKind},
};

/// More causes than this are not told of one unit.
const MOST_CAUSES: usize = 3;

/// A unit of a target directory.
pub type Place = (RelativePath, UnitId);

/// What is known of a build.
#[derive(Clone, Copy, Debug)]
pub struct Build<'a> {
    /// The records before it.
    pub before: &'a Snapshot,
    /// The records of the units that it compiled.
    pub compiled: &'a Snapshot,
    /// What lies at the paths that the earlier records of those units name.
    pub inputs: &'a InputStates,
    /// The units that it found fresh, as far as that is known.
    pub fresh: &'a BTreeSet<Place>,
    /// Where the target directories lie, by name.
    pub targets: &'a BTreeMap<RelativePath, PathBuf>,
    /// The project's directory, absolute.
    pub project: &'a Path,
    /// What the replay made new, by package.
    pub made_new: &'a BTreeMap<String, Vec<MadeNew>>,
    /// What is known of units that were not there, from elsewhere.
    pub known: &'a BTreeMap<Place, String>,
    /// What it is compared with.
    pub basis: Basis,
}

/// A unit that was compiled, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rebuilt {
    /// The unit.
    pub place: Place,
    /// What it is for.
    pub kind: UnitKind,
    /// What its own records tell; empty if it was compiled for another unit's sake.
    pub causes: Vec<Cause>,
    /// The unit that it depends on and that was compiled for a cause of its own, by its number in the list.
    pub because_of: Option<usize>,
}

/// Explains every compiled unit, in the order of their names.
pub fn explain(build: &Build<'_>) -> Vec<Rebuilt> {
    let units: Vec<(&RelativePath, &UnitSnapshot)> = build
        .compiled
        .roots
        .iter()
        .flat_map(|(root, snapshot)| snapshot.units.iter().map(move |unit| (root, unit)))
        .collect();
    let mut by_value: HashMap<(&RelativePath, &str), Vec<usize>> = HashMap::new();
    for (index, (root, unit)) in units.iter().enumerate() {
        for value in unit.values() {
            by_value.entry((root, value)).or_default().push(index);
        }
    }
    let deps: Vec<Vec<usize>> = units
        .iter()
        .enumerate()
        .map(|(index, (root, unit))| {
            let values = unit.targets.iter().flat_map(|target| &target.deps);
            values
                .filter_map(|(_, value)| by_value.get(&(*root, value.as_str())))
                .flatten()
                .copied()
                .filter(|dep| *dep != index)
                .collect()
        })
        .collect();
    let mut rebuilt: Vec<Rebuilt> = units
        .iter()
        .zip(&deps)
        .map(|((root, unit), deps)| Rebuilt {
            place: ((*root).clone(), unit.id.clone()),
            kind: unit.kind,
            causes: build.causes(root, unit, !deps.is_empty()),
            because_of: None,
        })
        .collect();
    let of_users = causes_of_users(&rebuilt, &deps);
    for (index, causes) in of_users {
        rebuilt[index].causes = causes;
    }
    let roots = Roots::find(&rebuilt, &deps);
    for (index, unit) in rebuilt.iter_mut().enumerate() {
        if unit.causes.is_empty() {
            unit.because_of = roots.0[index];
            if unit.because_of.is_none() {
                unit.causes.push(build.last_resort(&unit.place));
            }
        }
    }
    rebuilt
}

/// Cargo records little of a run of a build script. Its hash changes with that of the library that uses what it printed,
/// so the library's causes are its own: another profile, say.
fn causes_of_users(rebuilt: &[Rebuilt], deps: &[Vec<usize>]) -> Vec<(usize, Vec<Cause>)> {
    let runs = rebuilt.iter().enumerate().filter(|(index, unit)| {
        unit.kind == UnitKind::BuildScriptRun && unit.causes.is_empty() && deps[*index].is_empty()
    });
    runs.filter_map(|(index, run)| {
        let mut users = rebuilt.iter().zip(deps).filter(|(user, deps)| {
            deps.contains(&index)
                && user.place.1.package == run.place.1.package
                && !user.causes.is_empty()
        });
        Some((index, users.next()?.0.causes.clone()))
    })
    .collect()
}

impl Build<'_> {
    /// What is said of a unit of which no record tells anything.
    fn last_resort(&self, (root, id): &Place) -> Cause {
        let was_there = self
            .before
            .roots
            .get(root)
            .and_then(|root| root.unit(id))
            .is_some();
        if was_there {
            Cause::Unknown
        } else {
            Cause::Identity
        }
    }

    /// What the unit's own records tell. Nothing, if a dependency was compiled and that is all there is.
    fn causes(&self, root: &RelativePath, unit: &UnitSnapshot, has_deps: bool) -> Vec<Cause> {
        let empty = RootSnapshot::default();
        let before = self.before.roots.get(root).unwrap_or(&empty);
        let causes = match before.unit(&unit.id) {
            Some(old) => self.of_same_unit(root, old, unit, has_deps),
            None => self.of_new_unit(root, before, unit, has_deps),
        };
        causes.into_iter().take(MOST_CAUSES).collect()
    }

    fn of_same_unit(
        &self,
        root: &RelativePath,
        old: &UnitSnapshot,
        unit: &UnitSnapshot,
        has_deps: bool,
    ) -> Vec<Cause> {
        if let Some(why) = self.made_new(unit) {
            return vec![Cause::Replay { why }];
        }
        // Without its code, what was compiled looks as if it had been checked only.
        if old.kind != unit.kind {
            return vec![Cause::Incomplete];
        }
        let mut causes = recorded_causes(old, unit);
        let empty = PathBuf::new();
        let target = self.targets.get(root).unwrap_or(&empty);
        // What a build script wrote is new because the script ran.
        let made_files = !has_deps;
        causes.extend(changed_files(
            old,
            unit,
            self.inputs,
            target,
            made_files,
            |path| self.shown(path, unit),
        ));
        if causes.is_empty() && !has_deps {
            causes.extend(other_builds(old, unit));
        }
        causes
    }

    fn of_new_unit(
        &self,
        root: &RelativePath,
        before: &RootSnapshot,
        unit: &UnitSnapshot,
        has_deps: bool,
    ) -> Vec<Cause> {
        let place = (root.clone(), unit.id.clone());
        if let Some(why) = self.known.get(&place) {
            return vec![Cause::Known { why: why.clone() }];
        }
        let new = Cause::New { basis: self.basis };
        if self.before.is_empty() {
            return match self.basis {
                Basis::OlderUnits => vec![new],
                Basis::Entry | Basis::Directory => vec![Cause::NothingRestored],
            };
        }
        let name = format!("{}-{}", unit.id.package, unit.id.hash);
        if before.incomplete.contains(&name) {
            // The replay takes away what a build script printed, so that it runs again.
            return vec![match self.made_new(unit) {
                Some(why) => Cause::Replay { why },
                None => Cause::Incomplete,
            }];
        }
        let candidates = || before.units.iter().filter(|old| is_counterpart(old, unit));
        let is_fresh = |old: &UnitSnapshot| self.fresh.contains(&(root.clone(), old.id.clone()));
        let most_alike = |old: &&UnitSnapshot| likeness(old, unit);
        if let Some(old) = candidates()
            .filter(|old| !is_fresh(old))
            .max_by_key(most_alike)
        {
            return recorded_causes(old, unit);
        }
        match candidates().max_by_key(most_alike) {
            Some(old) => {
                let differs: Vec<_> = recorded_causes(old, unit)
                    .iter()
                    .take(MOST_CAUSES)
                    .map(ToString::to_string)
                    .collect();
                match differs.is_empty() {
                    true if has_deps => Vec::new(),
                    true => vec![new],
                    false => vec![Cause::OneMore {
                        differs: differs.join(", "),
                    }],
                }
            }
            None => vec![new],
        }
    }

    /// Why the replay made the unit new, if it did.
    fn made_new(&self, unit: &UnitSnapshot) -> Option<String> {
        let reasons = self.made_new.get(&unit.id.package)?;
        let first = |part| reasons.iter().find(move |reason| reason.what == part);
        let of_script = first(NewPart::Script).filter(|_| unit.kind == UnitKind::BuildScriptRun);
        of_script
            .or_else(|| first(NewPart::Package))
            .map(|reason| reason.why.clone())
    }

    /// `path` as people know it: relative to its package, or to the project, or absolute.
    fn shown(&self, path: &Path, unit: &UnitSnapshot) -> String {
        let in_package = unit
            .package_root
            .as_ref()
            .and_then(|root| path.strip_prefix(root).ok())
            .filter(|rest| !rest.as_os_str().is_empty());
        in_package
            .unwrap_or_else(|| self.relative(path))
            .display()
            .to_string()
    }

    fn relative<'p>(&self, path: &'p Path) -> &'p Path {
        path.strip_prefix(self.project).unwrap_or(path)
    }
}

/// Whether `old` may have stood in the place of `new`: the same target of the same package, for the same use.
fn is_counterpart(old: &UnitSnapshot, new: &UnitSnapshot) -> bool {
    let name = |unit: &UnitSnapshot| unit.targets.first().map(|target| target.name.clone());
    old.id.package == new.id.package
        && old.id.profile == new.id.profile
        && old.kind == new.kind
        && name(old) == name(new)
}

/// Dependencies whose records are others than before, though they were not compiled.
fn other_builds(old: &UnitSnapshot, new: &UnitSnapshot) -> Option<Cause> {
    let earlier: BTreeSet<_> = old.targets.iter().flat_map(|target| &target.deps).collect();
    let mut now = new.targets.iter().flat_map(|target| &target.deps);
    now.find(|dep| !earlier.contains(dep))
        .map(|(name, _)| Cause::OtherBuild { name: name.clone() })
}

/// For each unit the nearest one that it depends on and that has causes of its own.
struct Roots(Vec<Option<usize>>);

impl Roots {
    fn find(rebuilt: &[Rebuilt], deps: &[Vec<usize>]) -> Self {
        let roots = (0..rebuilt.len())
            .map(|start| nearest(start, rebuilt, deps))
            .collect();
        Self(roots)
    }
}

fn nearest(start: usize, rebuilt: &[Rebuilt], deps: &[Vec<usize>]) -> Option<usize> {
    let mut seen = BTreeSet::from([start]);
    let mut row = vec![start];
    while !row.is_empty() {
        let mut next: Vec<usize> = row
            .iter()
            .flat_map(|index| &deps[*index])
            .copied()
            .filter(|dep| seen.insert(*dep))
            .collect();
        next.sort_unstable();
        // What changed tells more than what was not there.
        let with_causes = next.iter().filter(|dep| !rebuilt[**dep].causes.is_empty());
        if let Some(root) = with_causes.min_by_key(|dep| rebuilt[**dep].causes[0].is_vague()) {
            return Some(*root);
        }
        row = next;
    }
    None
}
