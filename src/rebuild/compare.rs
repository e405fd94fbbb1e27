//! What differs between two records of a unit, and between the later one and the files that it names. Pure.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use super::{Cause, TargetSnapshot, UnitSnapshot, ValueChange};
use crate::unit::UnitKind;

/// What lies at a path that a unit reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct InputState {
    /// The newest modification time at or below it, in nanoseconds since the Unix epoch.
    pub modified: u64,
    /// What has that time: the path itself, or what lies below it.
    pub newest: PathBuf,
}

/// What lies at the paths that units read, by those paths; `None` where nothing does.
pub type InputStates = BTreeMap<PathBuf, Option<InputState>>;

/// What the records of one unit, before and after, tell of why it was compiled. Nothing about dependencies.
pub(super) fn recorded_causes(old: &UnitSnapshot, new: &UnitSnapshot) -> Vec<Cause> {
    if let (Some(old), Some(new)) = (&old.version, &new.version)
        && old != new
    {
        return vec![Cause::Version {
            old: old.clone(),
            new: new.clone(),
        }];
    }
    let mut causes = BTreeSet::new();
    for (old, record) in pairs(old, new) {
        causes.extend(of_target(old, record, new));
    }
    if causes.contains(&Cause::Toolchain) {
        return vec![Cause::Toolchain];
    }
    causes.into_iter().collect()
}

/// The targets of a unit that both records have.
fn pairs<'a>(
    old: &'a UnitSnapshot,
    new: &'a UnitSnapshot,
) -> impl Iterator<Item = (&'a TargetSnapshot, &'a TargetSnapshot)> {
    new.targets.iter().filter_map(|record| {
        let old = old.targets.iter().find(|old| old.name == record.name)?;
        Some((old, record))
    })
}

fn of_target(old: &TargetSnapshot, new: &TargetSnapshot, unit: &UnitSnapshot) -> Vec<Cause> {
    let mut causes = Vec::new();
    // Where the JSON of one of them could not be read, its numbers are 0.
    if old.rustc != 0 && new.rustc != 0 {
        let numbers = [
            (old.rustc != new.rustc, Cause::Toolchain),
            (old.target != new.target, Cause::TargetSettings),
            (
                old.path != new.path,
                Cause::SourcePath {
                    in_cargo_home: unit.package_root.is_none(),
                },
            ),
            (old.profile != new.profile, Cause::Profile),
            (old.config != new.config, Cause::Configuration),
            (old.compile_kind != new.compile_kind, Cause::Platform),
            (
                old.declared_features != new.declared_features,
                Cause::DeclaredFeatures,
            ),
        ];
        causes.extend(
            numbers
                .into_iter()
                .filter(|(differs, _)| *differs)
                .map(|(_, cause)| cause),
        );
        causes.extend(
            changed_lists(&old.features, &new.features)
                .map(|(added, removed)| Cause::Features { added, removed }),
        );
        causes.extend(
            changed_lists(&old.rustflags, &new.rustflags)
                .map(|(added, removed)| Cause::Flags { added, removed }),
        );
        let names = |record: &TargetSnapshot| -> Vec<String> {
            record.deps.iter().map(|(name, _)| name.clone()).collect()
        };
        causes.extend(
            changed_lists(&names(old), &names(new))
                .map(|(added, removed)| Cause::Dependencies { added, removed }),
        );
    }
    causes.extend(changed_variables(old, new));
    if let (Some(old), Some(now)) = (&old.whole_package, &new.whole_package)
        && old != now
    {
        causes.push(Cause::WholePackage {
            path: newest_file(now),
            is_script: unit.kind == UnitKind::BuildScriptRun,
        });
    }
    causes
}

/// What was added and what was removed, if the lists differ; what stands in both in another order counts as neither.
fn changed_lists(old: &[String], new: &[String]) -> Option<(Vec<String>, Vec<String>)> {
    let missing_in = |there: &[String], here: &[String]| {
        let missing = here.iter().filter(|item| !there.contains(item));
        missing.cloned().collect::<Vec<_>>()
    };
    (old != new).then(|| (missing_in(old, new), missing_in(new, old)))
}

/// Variables that both records name: one that only one of them names was added to the sources, or taken out.
fn changed_variables<'a>(
    old: &'a TargetSnapshot,
    new: &'a TargetSnapshot,
) -> impl Iterator<Item = Cause> + 'a {
    new.variables.iter().filter_map(|(name, value)| {
        let earlier = old.variables.get(name)?;
        (earlier != value).then(|| Cause::Variable {
            name: name.clone(),
            change: ValueChange {
                old: earlier.clone(),
                new: value.clone(),
            },
        })
    })
}

/// The file in `<seconds>.<nanoseconds>s (<file>)`.
pub(super) fn newest_file(whole_package: &str) -> Option<String> {
    let (_, file) = whole_package.split_once('(')?;
    let file = file.strip_suffix(')')?;
    (!file.is_empty()).then(|| file.to_owned())
}

/// The files that the earlier record names and that are newer than the unit was, or gone. What changed after it was
/// compiled again was not the reason, unless nothing else is. `made_files` says whether files
/// in the target directory count.
pub(super) fn changed_files(
    old: &UnitSnapshot,
    new: &UnitSnapshot,
    inputs: &InputStates,
    target: &Path,
    made_files: bool,
    shown: impl Fn(&Path) -> String,
) -> Vec<Cause> {
    let mut before = BTreeSet::new();
    let mut later = BTreeSet::new();
    for (old_record, new_record) in pairs(old, new) {
        let Some(reference) = old_record.reference else {
            continue;
        };
        let root = old.package_root.as_deref();
        let own = old_record
            .files
            .iter()
            .filter_map(|file| Some(root?.join(file)));
        let made = old_record.made_files.iter().map(|file| target.join(file));
        let paths = own.chain(made);
        for path in paths.filter(|path| made_files || !path.starts_with(target)) {
            match inputs.get(&path) {
                Some(None) => {
                    before.insert(Cause::MissingFile { path: shown(&path) });
                }
                Some(Some(state)) if state.modified > reference => {
                    let cause = Cause::File {
                        path: shown(&state.newest),
                    };
                    let is_later = new_record
                        .reference
                        .is_some_and(|compiled| state.modified > compiled);
                    let found = if is_later { &mut later } else { &mut before };
                    found.insert(cause);
                }
                None | Some(Some(_)) => {}
            }
        }
    }
    let found = if before.is_empty() { later } else { before };
    found.into_iter().collect()
}

/// How alike two records of different units of one package are: the more of what Cargo numbers is equal, the likelier
/// one stands in the place of the other.
pub(super) fn likeness(old: &UnitSnapshot, new: &UnitSnapshot) -> usize {
    let mut score = usize::from(old.version == new.version) * 4;
    for (old, new) in pairs(old, new) {
        let equal = [
            old.features == new.features,
            old.profile == new.profile,
            old.compile_kind == new.compile_kind,
            old.target == new.target,
            old.rustc == new.rustc,
            old.rustflags == new.rustflags,
        ];
        score += equal.iter().filter(|equal| **equal).count() * 2;
        score += usize::from(old.deps == new.deps);
    }
    score
}
