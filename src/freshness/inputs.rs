//! What the units of a target directory say that they read, and what they could read besides.
//!
//! Only units of path packages, of vendored ones too, are looked at: what lies in CARGO_HOME can't change under its
//! name. Where a unit can't be understood, it says nothing, and everything that changes makes its package new.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    path::{Path, PathBuf},
    sync::OnceLock,
};

use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use super::{
    signs::Sign,
    sources::{Mtime, SourceKind, Sources, normalised},
    undeclared::{Verdicts, reads_files},
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
    /// The unit that it is a run of.
    pub compiled: Option<UnitId>,
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
    /// For documentation, the files without which Cargo makes it again, relative to the target directory.
    pub doc_marks: Vec<RelativePath>,
    /// When the unit began to read: the time that Cargo compares those of its inputs with. `None` where nothing tells.
    pub time: Option<Mtime>,
    /// The procedural macros that it may use and that may read more than tokens, by package, each with the signs of what.
    pub macros: BTreeMap<String, BTreeSet<Sign>>,
    /// What it is as a run of a build script.
    pub script: Option<Script>,
}

impl Reader {
    /// A library of no package, of which nothing is known.
    pub fn nothing(unit: UnitId) -> Self {
        Self {
            unit,
            kind: UnitKind::Library,
            is_understood: false,
            package: String::new(),
            crate_root: None,
            said: BTreeSet::new(),
            outside: BTreeSet::new(),
            is_vendored: false,
            is_checked_by_cargo: false,
            dep_info: Vec::new(),
            doc_marks: Vec::new(),
            time: None,
            macros: BTreeMap::new(),
            script: None,
        }
    }

    /// Whether the unit says that it reads `name`, or for build scripts a directory above it.
    pub fn says(&self, name: &str) -> bool {
        if self.script.is_some() {
            super::sources::ancestors(name).any(|ancestor| self.said.contains(ancestor))
        } else {
            self.said.contains(name)
        }
    }

    /// The first of its macros that opens files or lists directories.
    pub(super) fn file_reading_macro(&self) -> Option<&str> {
        let mut macros = self.macros.iter();
        let (package, _) = macros.find(|(_, signs)| reads_files(signs))?;
        Some(package)
    }
}

/// What the units of a target directory read.
#[derive(Clone, Debug, Default)]
pub struct Inputs {
    /// The units of path packages that are there now, in the order of their names.
    pub readers: Vec<Reader>,
    /// What was found in the sources of the packages from registries that macros are made of.
    pub verdicts: Verdicts,
}

impl Inputs {
    /// Reads what the units in `target` say. `workspaces` are the absolute roots of the workspaces that were built
    /// into it, `ignored` absolute directories whose content Cargo does not check (`registry` and `git` of
    /// CARGO_HOME). `known` are the verdicts of an earlier reading, for macros whose sources are not there.
    pub fn read(
        target: &TargetTree,
        sources: &Sources,
        workspaces: &[PathBuf],
        ignored: &[PathBuf],
        known: &Verdicts,
    ) -> Self {
        let reading = Reading {
            target,
            sources,
            workspaces,
            ignored,
            known,
            by_value: by_value(target),
            judged: target.units.iter().map(|_| OnceLock::new()).collect(),
            macros: target.units.iter().map(|_| OnceLock::new()).collect(),
            leads: target.units.iter().map(|_| OnceLock::new()).collect(),
            exports: target.units.iter().map(|_| OnceLock::new()).collect(),
        };
        let readers: Vec<Vec<Reader>> = (0..target.units.len())
            .into_par_iter()
            .map(|index| reading.readers_of(index))
            .collect();
        Self {
            readers: readers.into_iter().flatten().collect(),
            verdicts: reading.verdicts(),
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

/// A reading of one target directory.
pub(super) struct Reading<'a> {
    pub target: &'a TargetTree,
    pub sources: &'a Sources,
    pub workspaces: &'a [PathBuf],
    ignored: &'a [PathBuf],
    pub known: &'a Verdicts,
    by_value: HashMap<&'a str, Vec<usize>>,
    /// The verdict on each unit as a part of a macro, once somebody asked; `None` where nothing of it is known.
    pub judged: Vec<OnceLock<Option<BTreeSet<Sign>>>>,
    /// The verdict on each macro with all that it is made of, once somebody asked.
    pub macros: Vec<OnceLock<BTreeSet<Sign>>>,
    /// Whether a macro that may read more than tokens can be come to through each unit, once somebody asked.
    pub leads: Vec<OnceLock<bool>>,
    /// The crates that each library hands on, once somebody asked; `None` where nothing of it is known.
    pub exports: Vec<OnceLock<Option<BTreeSet<String>>>>,
}

impl<'a> Reading<'a> {
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
        reader.macros = self.used_macros(index);
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
            if unit.kind != UnitKind::Doc {
                // Cargo compiles it again: it has nothing to compare with.
                return Vec::new();
            }
            let marks = unit.files.iter().filter(|file| file.is_fingerprint);
            let marks = marks.filter(|file| file.path.file_name().starts_with("doc-"));
            return vec![Reader {
                doc_marks: marks.map(|file| file.path.clone()).collect(),
                ..reader
            }];
        }
        let names: Vec<_> = files.iter().map(|file| file.path.clone()).collect();
        let read = files.iter().map(|file| {
            let path = file.path.below(&self.target.directory);
            let mut reader = Reader {
                dep_info: names.clone(),
                time: mtime_of(&path),
                ..reader.clone()
            };
            let bytes = fs_err::read(&path);
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
        reader.time = output.and_then(|file| mtime_of(&file.path.below(&self.target.directory)));
        reader.script = Some(Script {
            compiled: self
                .script_of(index)
                .map(|script| self.target.units[script].id.clone()),
            output: output.map(|file| file.path.clone()),
            declares: !declared.paths.is_empty() || !declared.variables.is_empty(),
            signs: self.signs(index, &declared.variables),
        });
    }

    /// Whether the package at `root` came from `cargo vendor`.
    pub(super) fn is_vendored(&self, root: &str) -> bool {
        let checksums = format!("{root}/.cargo-checksum.json");
        self.sources.entries.contains_key(&checksums)
    }

    /// The package of the unit, whose crate's root is `crate_root`. Runs of build scripts have the package of the
    /// script.
    fn package_of(&self, index: usize, crate_root: Option<&str>) -> Option<String> {
        let unit = &self.target.units[index];
        self.package_root(unit, crate_root).or_else(|| {
            let script = &self.target.units[self.script_of(index)?];
            self.package_root(script, self.crate_root_of(script).as_deref())
        })
    }

    /// The unit that the run `index` is a run of.
    fn script_of(&self, index: usize) -> Option<usize> {
        let unit = &self.target.units[index];
        self.dependencies(unit).find(|script| {
            let script = &self.target.units[*script];
            script.kind == UnitKind::BuildScript && script.id.package == unit.id.package
        })
    }

    /// The units that `unit` was compiled with, as far as they are there.
    pub(super) fn dependencies(&self, unit: &'a Unit) -> impl Iterator<Item = usize> + use<'_, 'a> {
        self.named_dependencies(unit).map(|(_, used)| used)
    }

    /// As [`Self::dependencies`], each with the name that the unit's crate knows it by.
    pub(super) fn named_dependencies(
        &self,
        unit: &'a Unit,
    ) -> impl Iterator<Item = (&'a str, usize)> + use<'_, 'a> {
        let deps = unit
            .fingerprints()
            .flat_map(|fingerprint| &fingerprint.deps);
        deps.filter_map(|(name, value)| Some((name.as_str(), self.by_value.get(value.as_str())?)))
            .flat_map(|(name, used)| used.iter().map(move |used| (name, *used)))
    }

    /// The root of the package that is called as the unit's is and lies around its crate's root, or is the only one
    /// of that name.
    pub(super) fn package_root(&self, unit: &Unit, crate_root: Option<&str>) -> Option<String> {
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

    /// What rustc wrote into the unit's own `.d` file.
    pub(super) fn makefile(&self, unit: &Unit) -> Option<String> {
        let makefile = unit.files.iter().find(|file| {
            let name = file.path.file_name();
            let in_own_directory = || file.path.parts().nth_back(2) == Some(unit.id.hash.as_str());
            // The uplifted `.d` files, which have no hash, are for other build systems and list everything.
            name.rsplit_once('.')
                .is_some_and(|(_, extension)| extension == "d")
                && (name.contains(unit.id.hash.as_str())
                    || unit.layout == Layout::V2 && in_own_directory())
        })?;
        fs_err::read_to_string(makefile.path.below(&self.target.directory)).ok()
    }

    /// The name of the crate's root file in the sources, by the unit's own `.d` file: relative paths there are
    /// relative to the workspace. `None` where that can't be told.
    pub(super) fn crate_root_of(&self, unit: &Unit) -> Option<String> {
        let text = self.makefile(unit)?;
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

pub(super) fn is_dep_info(unit: &Unit, file: &UnitFile) -> bool {
    let directory = match unit.layout {
        Layout::V1 => file.path.parts().nth_back(2) == Some(".fingerprint"),
        Layout::V2 => file.path.parts().nth_back(1) == Some("fingerprint"),
    };
    directory && file.path.file_name().starts_with("dep-")
}

/// A reader of which nothing is known.
fn blank(unit: &Unit) -> Reader {
    Reader {
        kind: unit.kind,
        ..Reader::nothing(unit.id.clone())
    }
}
fn mtime_of(path: &Path) -> Option<Mtime> {
    let metadata = fs_err::symlink_metadata(path).ok()?;
    Some(Mtime::of(&metadata))
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
