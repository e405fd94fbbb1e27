//! What was compiled, by cause: people look for the few causes, not for the many units. Pure.

use std::collections::{BTreeMap, BTreeSet};

use super::{Cause, Rebuilt};
use crate::unit::UnitKind;

/// Units that were compiled for one cause.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// The cause, in words.
    pub cause: String,
    /// The packages that have it.
    pub packages: BTreeSet<String>,
    /// Whether it is a cause of this one package, and not of the whole build.
    pub is_of_package: bool,
    /// How many of their units have it.
    pub units: usize,
    /// How many more units were compiled because they depend on those.
    pub dependents: usize,
}

/// The causes of a build with what they came to, the largest first.
pub fn group(rebuilt: &[Rebuilt]) -> Vec<Group> {
    let mut groups: BTreeMap<(String, String), Group> = BTreeMap::new();
    for unit in rebuilt {
        let root = unit.because_of.map_or(unit, |index| &rebuilt[index]);
        let Some(cause) = root.causes.first() else {
            continue;
        };
        let package = &root.place.1.package;
        let owner = if cause.is_general() { "" } else { package };
        let text = own_reason(root);
        let group = groups
            .entry((owner.to_owned(), text.clone()))
            .or_insert_with(|| Group {
                cause: text,
                packages: BTreeSet::new(),
                is_of_package: !cause.is_general(),
                units: 0,
                dependents: 0,
            });
        if unit.because_of.is_some() {
            group.dependents += 1;
        } else {
            group.units += 1;
            group.packages.insert(package.clone());
        }
    }
    let mut groups: Vec<_> = groups.into_values().collect();
    groups.sort_by_key(|group| std::cmp::Reverse(group.units + group.dependents));
    groups
}

/// Why the unit with this number was compiled, in words.
pub fn reason(rebuilt: &[Rebuilt], index: usize) -> String {
    let unit = &rebuilt[index];
    let Some(root) = unit.because_of.map(|index| &rebuilt[index]) else {
        return own_reason(unit);
    };
    let is_script = matches!(root.kind, UnitKind::BuildScript | UnitKind::BuildScriptRun);
    let package = &root.place.1.package;
    let is_own = *package == unit.place.1.package;
    match (is_own, is_script) {
        (true, true) => format!("its build script ran again: {}", own_reason(root)),
        (true, false) => format!("its {} {}", root.kind.as_str(), what_happened(root)),
        (false, true) => format!(
            "depends on {package}, whose build script ran again: {}",
            own_reason(root)
        ),
        (false, false) => format!("depends on {package}, which {}", what_happened(root)),
    }
}

fn own_reason(unit: &Rebuilt) -> String {
    let causes: Vec<_> = unit.causes.iter().map(ToString::to_string).collect();
    causes.join("; ")
}

fn what_happened(root: &Rebuilt) -> String {
    match root.causes.first() {
        Some(
            Cause::File { .. }
            | Cause::MissingFile { .. }
            | Cause::WholePackage { .. }
            | Cause::Replay { .. },
        ) => "changed".to_owned(),
        Some(Cause::Version { old, new }) => format!("changed from {old} to {new}"),
        Some(Cause::New { .. } | Cause::NothingRestored | Cause::OneMore { .. }) => {
            "is new".to_owned()
        }
        _ => "was compiled again".to_owned(),
    }
}
