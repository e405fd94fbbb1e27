//! What the units of a target directory say that they read, and what they could read besides.
//!
//! Only units of path packages, of vendored ones too, are looked at: what lies in CARGO_HOME can't change under its
//! name. Where a unit can't be understood, it says nothing, and everything that changes makes its package new.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::{Path, PathBuf},
};

use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use super::{
    signs::{Sign, is_pure_macro, sign_of_package, signs_of_source},
    sources::{SourceKind, Sources, normalised},
};
use crate::{
    archive::path::RelativePath,
    unit::{
        Layout, TargetTree, Unit, UnitFile, UnitId, UnitKind, crate_root, parse_dep_info,
        parse_output,
    },
};

/// A run of a build script.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// The file that makes it run again when it is deleted, relative to the target directory: `output` or
    /// `run/stdout`. Cargo then compiles its dependents in the same invocation.
    pub output: Option<RelativePath>,
    /// Whether it printed any `rerun-if` line.
    pub declares: bool,
    /// Signs of reading more than it declares.
    pub signs: BTreeSet<Sign>,
}

/// A unit that reads sources.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reader {
    /// The unit.
    pub unit: UnitId,
    /// What it is for.
    pub kind: UnitKind,
    /// Whether its package and what it says are known. Where not, it may have read anything.
    pub is_understood: bool,
    /// The name of its package's directory in the sources, as [`super::Package::root`].
    pub package: String,
    /// The name of the crate's root file, for compiled crates.
    pub crate_root: Option<String>,
    /// Names of the paths in the source trees that it says it reads. Those of build scripts stand for directories, too.
    pub said: BTreeSet<String>,
    /// Absolute paths that it says it reads and that are no files of the source trees.
    pub outside: BTreeSet<PathBuf>,
    /// Whether the package came from `cargo vendor`: like one in CARGO_HOME, it reads nothing of the workspace.
    pub is_vendored: bool,
    /// Whether Cargo checks the crate's own files: not for vendored packages, which it takes to be immutable.
    pub is_checked_by_cargo: bool,
    /// The `dep-*` files, relative to the target directory. Without one of them Cargo compiles the unit again.
    pub dep_info: Vec<RelativePath>,
    /// Packages of the procedural macros that it may use and that may read any file.
    pub scanning_macros: BTreeSet<String>,
    /// Signs that these macros read the clock, the machine or the environment.
    pub macro_signs: BTreeSet<Sign>,
    /// What it is as a run of a build script.
    pub script: Option<Script>,
}

impl Reader {
    /// Whether the unit says that it reads `name`, or for build scripts a directory above it.
    pub fn says(&self, name: &str) -> bool {
        if self.script.is_some() {
            super::sources::ancestors(name).any(|ancestor| self.said.contains(ancestor))
        } else {
            self.said.contains(name)
        }
    }
}

/// What the units of a target directory read.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// The units of path packages that are there now, in the order of their names.
    pub readers: Vec<Reader>,
}

impl Inputs {
    /// Reads what the units in `target` say. `workspaces` are the absolute roots of the workspaces that were built
    /// into it, `ignored` absolute directories whose content Cargo does not check (`registry` and `git` of
    /// CARGO_HOME).
    pub fn read(
        target: &TargetTree,
        sources: &Sources,
        workspaces: &[PathBuf],
        ignored: &[PathBuf],
    ) -> Self {
        let reading = Reading {
            target,
            sources,
            workspaces,
            ignored,
            by_value: by_value(target),
        };
        let readers: Vec<Vec<Reader>> = (0..target.units.len())
            .into_par_iter()
            .map(|index| reading.readers_of(index))
            .collect();
        Self {
            readers: readers.into_iter().flatten().collect(),
        }
    }

    /// Every path outside the source trees that a unit says it reads.
    pub fn outside_paths(&self) -> BTreeSet<&Path> {
        let paths = self.readers.iter().flat_map(|reader| &reader.outside);
        paths.map(PathBuf::as_path).collect()
    }
}

/// Units by the values of their fingerprints, which is how Cargo's records name dependencies.
fn by_value(target: &TargetTree) -> HashMap<&str, Vec<usize>> {
    let mut units: HashMap<&str, Vec<usize>> = HashMap::new();
    for (index, unit) in target.units.iter().enumerate() {
        for fingerprint in unit.fingerprints() {
            units
                .entry(fingerprint.value.as_str())
                .or_default()
                .push(index);
        }
    }
    units
}

struct Reading<'a> {
    target: &'a TargetTree,
    sources: &'a Sources,
    workspaces: &'a [PathBuf],
    ignored: &'a [PathBuf],
    by_value: HashMap<&'a str, Vec<usize>>,
}

impl Reading<'_> {
    /// The readers that one unit is: one for each of the crates that share its hash.
    fn readers_of(&self, index: usize) -> Vec<Reader> {
        let unit = &self.target.units[index];
        if unit.origin.is_cargo_home() {
            return Vec::new();
        }
        let crate_root = self.crate_root_of(unit);
        let Some(package) = self.package_of(index, crate_root.as_deref()) else {
            // A package that is not there any more can't be built. One whose place can't be told may be any.
            let is_known = self
                .sources
                .packages
                .iter()
                .any(|package| package.name == unit.id.package);
            return is_known.then(|| blank(unit)).into_iter().collect();
        };
        let mut reader = Reader {
            is_understood: has_record(unit),
            is_vendored: self.is_vendored(&package),
            package,
            crate_root,
            ..blank(unit)
        };
        if unit.kind == UnitKind::BuildScriptRun {
            self.read_output(index, &mut reader);
            return vec![reader];
        }
        for used in self.scanning_macros(index) {
            let package = self.target.units[used].id.package.clone();
            reader.scanning_macros.insert(package);
            reader.macro_signs.extend(self.signs(used, &[]));
        }
        self.read_dep_info(unit, reader)
    }

    /// One reader for each `dep-*` file. Documentation has none.
    fn read_dep_info(&self, unit: &Unit, reader: Reader) -> Vec<Reader> {
        let files: Vec<_> = unit
            .files
            .iter()
            .filter(|file| is_dep_info(unit, file))
            .collect();
        if files.is_empty() {
            let is_understood = reader.is_understood && unit.kind == UnitKind::Doc;
            return vec![Reader {
                is_understood,
                ..reader
            }];
        }
        let names: Vec<_> = files.iter().map(|file| file.path.clone()).collect();
        let read = files.iter().map(|file| {
            let mut reader = Reader {
                dep_info: names.clone(),
                ..reader.clone()
            };
            let bytes = fs_err::read(file.path.below(&self.target.directory));
            match bytes.ok().as_deref().and_then(parse_dep_info) {
                Some(info) => {
                    for path in &info.in_package {
                        self.say_in_package(&mut reader, path);
                    }
                    for path in &info.in_target {
                        self.say(&mut reader, &self.target.directory.join(path));
                    }
                    reader.is_checked_by_cargo = reader.said.iter().any(|name| {
                        self.sources
                            .package_of(name)
                            .is_some_and(|owner| owner.root == reader.package)
                    });
                }
                None => reader.is_understood = false,
            }
            reader
        });
        read.collect()
    }

    /// Adds a path that `reader` says it reads, relative to its package or absolute.
    fn say_in_package(&self, reader: &mut Reader, path: &str) {
        match self.sources.entries.get(&reader.package) {
            Some(root) => self.say(reader, &root.path.join(path)),
            None => reader.is_understood = false,
        }
    }

    /// Adds an absolute path that `reader` says it reads.
    fn say(&self, reader: &mut Reader, path: &Path) {
        let path = normalised(path);
        let is_below = |directory: &PathBuf| path.starts_with(directory);
        if is_below(&self.target.directory) || self.ignored.iter().any(is_below) {
            return;
        }
        let name = self.sources.name_of(&path);
        let found = name
            .as_ref()
            .and_then(|name| self.sources.entries.get(name));
        // Where a link leads is not followed, so what lies behind one is compared like any other outside path.
        if found.is_none_or(|found| found.kind == SourceKind::Link) {
            reader.outside.insert(path);
        }
        reader.said.extend(name);
    }

    /// What a build script printed, and its signs.
    fn read_output(&self, index: usize, reader: &mut Reader) {
        let unit = &self.target.units[index];
        let output = unit.files.iter().find(|file| match unit.layout {
            Layout::V1 => {
                file.path.file_name() == "output" && file.path.parts().nth_back(2) == Some("build")
            }
            Layout::V2 => file.path.as_str().ends_with("/run/stdout"),
        });
        let printed =
            output.and_then(|file| fs_err::read(file.path.below(&self.target.directory)).ok());
        reader.is_understood &= printed.is_some();
        let declared = parse_output(&printed.unwrap_or_default());
        for path in &declared.paths {
            self.say_in_package(reader, path);
        }
        reader.script = Some(Script {
            output: output.map(|file| file.path.clone()),
            declares: !declared.paths.is_empty() || !declared.variables.is_empty(),
            signs: self.signs(index, &declared.variables),
        });
    }

    /// The signs of the macro `index`, or of the script that the run `index` ran, and of all that it was compiled with.
    fn signs(&self, index: usize, declared: &[String]) -> BTreeSet<Sign> {
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
            signs.extend(
                fingerprint
                    .deps
                    .iter()
                    .filter_map(|(name, _)| sign_of_package(name)),
            );
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

    /// Procedural macros that may read files and that the unit may use, itself or through what its dependencies
    /// export.
    fn scanning_macros(&self, index: usize) -> BTreeSet<usize> {
        let mut macros = BTreeSet::new();
        // What a build script or a macro was compiled with can't be used by who depends on it.
        let exports = |unit: &Unit| {
            !matches!(
                unit.kind,
                UnitKind::ProcMacro | UnitKind::BuildScript | UnitKind::BuildScriptRun
            )
        };
        for used in self.closure(index, exports) {
            let unit = &self.target.units[used];
            // A library of the same workspace may export a macro as well as any other.
            if used != index && unit.kind == UnitKind::ProcMacro && !self.is_known_pure(unit) {
                macros.insert(used);
            }
        }
        macros
    }

    /// The unit `index` and all that it was compiled with, as far as the target directory has it; dependencies of a
    /// unit other than `index` only if it `leads_on`. What is not there was replaced, and Cargo compiles the dependents
    /// of that again.
    fn closure(&self, index: usize, leads_on: impl Fn(&Unit) -> bool) -> BTreeSet<usize> {
        let mut seen = BTreeSet::from([index]);
        let mut open = vec![index];
        while let Some(next) = open.pop() {
            if next != index && !leads_on(&self.target.units[next]) {
                continue;
            }
            let fingerprints = self.target.units[next].fingerprints();
            for (_, value) in fingerprints.flat_map(|fingerprint| &fingerprint.deps) {
                for used in self.by_value.get(value.as_str()).into_iter().flatten() {
                    if seen.insert(*used) {
                        open.push(*used);
                    }
                }
            }
        }
        seen
    }

    /// Whether the macro was reviewed. One of a path package is never taken for the reviewed one of that name.
    fn is_known_pure(&self, unit: &Unit) -> bool {
        let is_published = unit.origin.is_cargo_home() || {
            let root = self.package_root(unit, self.crate_root_of(unit).as_deref());
            root.is_some_and(|root| self.is_vendored(&root))
        };
        is_published && is_pure_macro(&unit.id.package)
    }

    /// Whether the package at `root` came from `cargo vendor`.
    fn is_vendored(&self, root: &str) -> bool {
        let checksums = format!("{root}/.cargo-checksum.json");
        self.sources.entries.contains_key(&checksums)
    }

    /// The package of the unit, whose crate's root is `crate_root`. Runs of build scripts have the package of the
    /// script.
    fn package_of(&self, index: usize, crate_root: Option<&str>) -> Option<String> {
        let unit = &self.target.units[index];
        self.package_root(unit, crate_root).or_else(|| {
            let values = unit
                .fingerprints()
                .flat_map(|fingerprint| &fingerprint.deps);
            values
                .filter_map(|(_, value)| self.by_value.get(value.as_str()))
                .flatten()
                .map(|index| &self.target.units[*index])
                .filter(|script| {
                    script.kind == UnitKind::BuildScript && script.id.package == unit.id.package
                })
                .find_map(|script| self.package_root(script, self.crate_root_of(script).as_deref()))
        })
    }

    /// The root of the package that is called as the unit's is and lies around its crate's root, or is the only one
    /// of that name.
    fn package_root(&self, unit: &Unit, crate_root: Option<&str>) -> Option<String> {
        let around = crate_root.and_then(|root| self.sources.package_of(root));
        if let Some(package) = around.filter(|package| package.name == unit.id.package) {
            return Some(package.root.clone());
        }
        let mut named = self
            .sources
            .packages
            .iter()
            .filter(|package| package.name == unit.id.package);
        let package = named.next()?;
        named.next().is_none().then(|| package.root.clone())
    }

    /// The name of the crate's root file in the sources, by the unit's own `.d` file: relative paths there are
    /// relative to the workspace. `None` where that can't be told.
    fn crate_root_of(&self, unit: &Unit) -> Option<String> {
        let makefile = unit.files.iter().find(|file| {
            let name = file.path.file_name();
            let in_own_directory = || file.path.parts().nth_back(2) == Some(unit.id.hash.as_str());
            // The uplifted `.d` files, which have no hash, are for other build systems and list everything.
            name.rsplit_once('.')
                .is_some_and(|(_, extension)| extension == "d")
                && (name.contains(unit.id.hash.as_str())
                    || unit.layout == Layout::V2 && in_own_directory())
        })?;
        let text = fs_err::read_to_string(makefile.path.below(&self.target.directory)).ok()?;
        let root = PathBuf::from(crate_root(&text)?);
        let names: BTreeSet<_> = if root.is_absolute() {
            self.sources.name_of(&root).into_iter().collect()
        } else {
            let bases = self.workspaces.iter().map(|base| base.join(&root));
            bases
                .filter_map(|path| self.sources.name_of(&path))
                .collect()
        };
        let mut fitting = names.into_iter().filter(|name| {
            self.sources
                .package_of(name)
                .is_some_and(|package| package.name == unit.id.package)
        });
        let name = fitting.next()?;
        fitting.next().is_none().then_some(name)
    }
}

/// Whether Cargo's record of the unit, its dependencies above all, could be read.
fn has_record(unit: &Unit) -> bool {
    unit.fingerprint.is_some()
        && unit
            .fingerprints()
            .all(|fingerprint| fingerprint.rustc != 0)
}

fn is_dep_info(unit: &Unit, file: &UnitFile) -> bool {
    let directory = match unit.layout {
        Layout::V1 => file.path.parts().nth_back(2) == Some(".fingerprint"),
        Layout::V2 => file.path.parts().nth_back(1) == Some("fingerprint"),
    };
    directory && file.path.file_name().starts_with("dep-")
}

/// A reader of which nothing is known.
fn blank(unit: &Unit) -> Reader {
    Reader {
        unit: unit.id.clone(),
        kind: unit.kind,
        is_understood: false,
        package: String::new(),
        crate_root: None,
        said: BTreeSet::new(),
        outside: BTreeSet::new(),
        is_vendored: false,
        is_checked_by_cargo: false,
        dep_info: Vec::new(),
        scanning_macros: BTreeSet::new(),
        macro_signs: BTreeSet::new(),
        script: None,
    }
}

/// The readers of each package, by its root.
pub(super) fn by_package(inputs: &Inputs) -> BTreeMap<&str, Vec<&Reader>> {
    let mut packages: BTreeMap<&str, Vec<&Reader>> = BTreeMap::new();
    for reader in &inputs.readers {
        packages
            .entry(reader.package.as_str())
            .or_default()
            .push(reader);
    }
    packages
}
