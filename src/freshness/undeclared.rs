//! What the build scripts and procedural macros in a target directory may read without saying so: their signs, by their
//! own text and by what they were compiled with.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use serde::{Deserialize, Serialize};

use super::{
    exports::exported,
    inputs::{Reading, is_dep_info},
    macros::{known_package, may_ask, signs_of_macro, unknown},
    signs::{Sign, sign_of_package, signs_of_source},
};
use crate::unit::{Unit, UnitKind, parse_dep_info, prerequisites};

/// What was found in the sources of packages from registries and git, by the names of their units: what is compiled from
/// them can't change under its name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Verdicts {
    /// The signs of those that macros are made of.
    pub signs: BTreeMap<String, BTreeSet<Sign>>,
    /// The names of the crates that libraries hand on, of those that hand on macros.
    pub exports: BTreeMap<String, BTreeSet<String>>,
}

impl Verdicts {
    /// Adds what another reading found.
    pub fn extend(&mut self, other: Self) {
        self.signs.extend(other.signs);
        self.exports.extend(other.exports);
    }
}

/// Whether `signs` say that files are opened, or directories listed.
pub(super) fn reads_files(signs: &BTreeSet<Sign>) -> bool {
    let mut signs = signs.iter();
    signs.any(|sign| matches!(sign, Sign::Files(_) | Sign::Lists(_)))
}

impl Reading<'_> {
    /// The signs of the script that the run `index` ran, and of all that it was compiled with.
    pub(super) fn signs(&self, index: usize, declared: &[String]) -> BTreeSet<Sign> {
        let mut signs = BTreeSet::new();
        let is_compiled_in = |unit: &Unit| unit.kind != UnitKind::BuildScriptRun;
        for used in self.closure(index, is_compiled_in) {
            let unit = &self.target.units[used];
            signs.extend(sign_of_package(&unit.id.package));
            // Another package's run can only be read through what it printed.
            if unit.origin.is_cargo_home() || unit.kind == UnitKind::BuildScriptRun {
                continue;
            }
            for source in self.rust_sources(unit) {
                // One that is gone makes Cargo compile the script again, and then run it.
                let text = fs_err::read(&source).unwrap_or_default();
                signs.extend(signs_of_source(&String::from_utf8_lossy(&text), declared));
            }
        }
        for fingerprint in self.target.units[index].fingerprints() {
            let names = fingerprint.deps.iter();
            signs.extend(names.filter_map(|(name, _)| sign_of_package(name)));
        }
        signs
    }

    /// The `.rs` files of a path package's unit, absolute.
    fn rust_sources(&self, unit: &Unit) -> Vec<PathBuf> {
        let root = self.crate_root_of(unit);
        let Some(package) = self.package_root(unit, root.as_deref()) else {
            return Vec::new();
        };
        let Some(directory) = self.sources.entries.get(&package).map(|found| &found.path) else {
            return Vec::new();
        };
        let files = unit.files.iter().filter(|file| is_dep_info(unit, file));
        let said = files.filter_map(|file| {
            parse_dep_info(&fs_err::read(file.path.below(&self.target.directory)).ok()?)
        });
        let mut sources: Vec<_> = said
            .flat_map(|info| {
                let in_package = info.in_package.into_iter().map(|path| directory.join(path));
                let in_target = info
                    .in_target
                    .into_iter()
                    .map(|path| self.target.directory.join(path));
                in_package.chain(in_target).collect::<Vec<_>>()
            })
            .collect();
        // Cargo's record leaves out the sources of vendored packages.
        sources.extend(root.and_then(|root| Some(self.sources.entries.get(&root)?.path.clone())));
        sources.retain(|path| path.extension().is_some_and(|extension| extension == "rs"));
        sources.sort();
        sources.dedup();
        sources
    }

    /// The procedural macros that the unit `index` may use, itself or through what its dependencies export, and that may
    /// read more than tokens, by package.
    pub(super) fn used_macros(&self, index: usize) -> BTreeMap<String, BTreeSet<Sign>> {
        let mut macros: BTreeMap<String, BTreeSet<Sign>> = BTreeMap::new();
        // A library of the same workspace may export a macro as well as any other.
        let can_be_called = |user: usize, name: &str, used: usize| {
            self.leads_to_macro(used) && (user == index || self.exports(user, name))
        };
        for used in self.reached(index, can_be_called) {
            let unit = &self.target.units[used];
            if used == index || unit.kind != UnitKind::ProcMacro {
                continue;
            }
            let signs = self.macros[used].get_or_init(|| self.signs_of_macro(used));
            if self.makes_use_of(index, unit) {
                macros
                    .entry(unit.id.package.clone())
                    .or_default()
                    .extend(signs.iter().cloned());
            }
        }
        macros
    }

    /// Whether the unit `index` has the text by which it makes use of what the macro `used` could read.
    fn makes_use_of(&self, index: usize, used: &Unit) -> bool {
        if may_ask(&used.id.package, "") || !self.is_published(used) {
            return true;
        }
        let sources = self.rust_sources(&self.target.units[index]);
        sources.is_empty()
            || sources.iter().any(|path| {
                fs_err::read(path).map_or(true, |source| {
                    may_ask(&used.id.package, &String::from_utf8_lossy(&source))
                })
            })
    }

    /// The signs of the macro `index`, and of all that it was compiled with.
    fn signs_of_macro(&self, index: usize) -> BTreeSet<Sign> {
        // What is known by its name is known with all that it is compiled with.
        let known =
            |unit: &Unit| known_package(&unit.id.package).filter(|_| self.is_published(unit));
        if let Some(signs) = known(&self.target.units[index]) {
            return signs;
        }
        // What build scripts left behind is read, and other macros are expanded, when the macro is compiled: not when it runs.
        let runs_with_it = |unit: &Unit| {
            !matches!(
                unit.kind,
                UnitKind::BuildScriptRun | UnitKind::BuildScript | UnitKind::ProcMacro
            )
        };
        let leads_on = |unit: &Unit| runs_with_it(unit) && known(unit).is_none();
        let mut signs = BTreeSet::new();
        for used in self.closure(index, leads_on) {
            if used != index && !runs_with_it(&self.target.units[used]) {
                continue;
            }
            let own = self.judged[used].get_or_init(|| self.judge(used));
            signs.extend(own.clone().unwrap_or_else(unknown));
        }
        signs
    }

    /// The signs of one unit that a macro is made of, alone; `None` where its sources are not there and nobody judged them.
    fn judge(&self, index: usize) -> Option<BTreeSet<Sign>> {
        let unit = &self.target.units[index];
        let known = known_package(&unit.id.package);
        if let Some(signs) = known.filter(|_| self.is_published(unit)) {
            return Some(signs);
        }
        let Some(texts) = self.texts_of(unit) else {
            return self.known.signs.get(&verdict_name(unit)).cloned();
        };
        let own = texts.iter().flat_map(|text| signs_of_macro(text));
        Some(own.chain(sign_of_package(&unit.id.package)).collect())
    }

    /// Whether somebody who depends on the unit `index` could come to a macro that may read more than tokens.
    fn leads_to_macro(&self, index: usize) -> bool {
        let unit = &self.target.units[index];
        *self.leads[index].get_or_init(|| match unit.kind {
            UnitKind::ProcMacro => !self.macros[index]
                .get_or_init(|| self.signs_of_macro(index))
                .is_empty(),
            UnitKind::BuildScript | UnitKind::BuildScriptRun => false,
            _ => self
                .dependencies(unit)
                .any(|used| self.leads_to_macro(used)),
        })
    }

    /// Whether the library `index` hands on the crate that it knows as `name` to who depends on it.
    fn exports(&self, index: usize, name: &str) -> bool {
        let unit = &self.target.units[index];
        let found = self.exports[index].get_or_init(|| {
            if unit.kind == UnitKind::ProcMacro {
                return Some(BTreeSet::new());
            }
            let names = self.named_dependencies(unit);
            let names = names.map(|(name, _)| name.to_owned()).collect();
            match self.texts_of(unit) {
                Some(texts) => Some(exported(&texts, &names)),
                None => self.known.exports.get(&verdict_name(unit)).cloned(),
            }
        });
        // Where nothing tells, it may.
        found.as_ref().is_none_or(|names| names.contains(name))
    }

    /// The text of every source file that a library or macro is made of. `None` where one of them is not
    /// there, or nothing tells which they are.
    fn texts_of(&self, unit: &Unit) -> Option<Vec<String>> {
        let makefile = self.makefile(unit).unwrap_or_default();
        let mut sources: Vec<PathBuf> = prerequisites(&makefile)
            .map(|path| self.in_a_workspace(path.into()))
            .collect();
        if !unit.origin.is_cargo_home() {
            sources.extend(self.rust_sources(unit));
        }
        let texts = sources.iter().map(|source| {
            let bytes = fs_err::read(source).ok()?;
            Some(String::from_utf8_lossy(&bytes).into_owned())
        });
        texts
            .collect::<Option<Vec<_>>>()
            .filter(|texts| !texts.is_empty())
    }

    /// `path` as rustc wrote it, absolute: relative to the workspace that it belongs to.
    fn in_a_workspace(&self, path: PathBuf) -> PathBuf {
        let mut candidates = self.workspaces.iter().map(|base| base.join(&path));
        candidates.find(|path| path.is_file()).unwrap_or(path)
    }

    /// What was found of packages that can't change, for a later reading to which their sources are not there.
    pub(super) fn verdicts(&self) -> Verdicts {
        let units = || {
            let units = self.target.units.iter().enumerate();
            units.filter(|(_, unit)| unit.origin.is_cargo_home())
        };
        let signs = units().filter_map(|(index, unit)| {
            let signs = self.judged[index].get()?.clone()?;
            Some((verdict_name(unit), signs))
        });
        let exports = units().filter_map(|(index, unit)| {
            let names = self.exports[index].get()?.clone()?;
            Some((verdict_name(unit), names))
        });
        Verdicts {
            signs: signs.collect(),
            exports: exports.collect(),
        }
    }

    /// The unit `index` and all that it was compiled with, as far as the target directory has it; dependencies of a
    /// unit other than `index` only if it `leads_on`. What is not there was replaced, and Cargo compiles the dependents
    /// of that again.
    fn closure(&self, index: usize, leads_on: impl Fn(&Unit) -> bool) -> BTreeSet<usize> {
        self.reached(index, |user, _, _| {
            user == index || leads_on(&self.target.units[user])
        })
    }

    /// The unit `index` and what can be come to from it: from a unit to one that it knows by a name where it `follows`.
    fn reached(
        &self,
        index: usize,
        follows: impl Fn(usize, &str, usize) -> bool,
    ) -> BTreeSet<usize> {
        let mut seen = BTreeSet::from([index]);
        let mut open = vec![index];
        while let Some(user) = open.pop() {
            let used = self.named_dependencies(&self.target.units[user]);
            let used = used.filter(|(name, used)| follows(user, name, *used));
            open.extend(used.map(|(_, used)| used).filter(|used| seen.insert(*used)));
        }
        seen
    }

    /// Whether the unit's package is one that a registry holds. One of a path package is never taken for the reviewed one
    /// of that name.
    fn is_published(&self, unit: &Unit) -> bool {
        unit.origin.is_cargo_home() || {
            let root = self.package_root(unit, self.crate_root_of(unit).as_deref());
            root.is_some_and(|root| self.is_vendored(&root))
        }
    }
}

fn verdict_name(unit: &Unit) -> String {
    format!("{}-{}", unit.id.package, unit.id.hash)
}
