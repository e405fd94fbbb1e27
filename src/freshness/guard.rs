//! The guard: which paths get their recorded times back, and what has to be compiled again. Pure.
//!
//! The rules, in the order of the functions below, for every path that changed, came or went:
//!
//! 1. What a compiled crate reads stands in its dep-info, and Cargo sees it. A path that no unit of its package
//!    names makes the package new, if it could matter at all: to a linker, by making a module ambiguous.
//! 2. A build script runs again if the path lies in its package or in none, and it does not declare it; if it shows
//!    signs of reading elsewhere, for any path.
//! 3. Units that use procedural macros that open files or list directories are compiled again, unless the path is a `.rs`
//!    file that the very unit names. Macros that read manifests go by those of the package and of what lies around it.
//! 4. Documentation is judged by Cargo by its package's files alone: what its crate names elsewhere makes it new.
//!
//! Then, changes or not: a build script runs again when it reads git, the clock or the environment undeclared; users of
//! macros that may read git are compiled again on a new commit, those of macros that read the clock or the environment
//! always; what is named outside of all sources counts as changed unless it is known to be the same; a path that a script
//! or a macro may read and that is newer than the unit was written after it had been read; and unless Cargo is the very
//! next thing to run, users of macros that list directories are compiled again: what a step unpacks with old times
//! Cargo does not see, whoever watches ([`super::watch()`]).
//!
//! Paths that git ignores count only where a unit names them, and for rules 2 and 3, there for scripts only in their own
//! packages. So do those that the job made and that are absent; what was made when everything had been compiled,
//! and what package managers install, only where a unit names it.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use super::{
    Change, Head, Inputs, Made, Moment, Mtime, OutsideFiles, Package, PathSet, Reader, Reason,
    SourceKind, SourceManifest, Sources, Watch,
    changes::{Weight, is_ignorable, is_installed, is_manifest_around, is_source, weighed_changes},
    inputs::by_package,
    reach::Reach,
    signs::Sign,
    sources::{ancestors, nearest_package},
};
use crate::{archive::path::RelativePath, unit::UnitKind};

/// More reasons of one kind than this are not kept for a package: they are for people.
const MOST_REASONS: usize = 8;

/// When build scripts of path packages run again although nothing that they declare changed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BuildScripts {
    /// When they declare nothing or show signs of reading git, and git's state is another one; always when they show
    /// signs of reading the clock, the machine or undeclared variables.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Only when a path changed that they may read.
    Never,
}

/// What there is now, after the checkout and the restore and before any Cargo command.
#[derive(Clone, Copy, Debug)]
pub struct Present<'a> {
    /// The sources.
    pub sources: &'a Sources,
    /// What the restored units say.
    pub inputs: &'a Inputs,
    /// Git's state.
    pub head: &'a Head,
    /// What git ignores.
    pub ignored: &'a PathSet,
    /// [`Inputs::outside_paths`] as they are now.
    pub outside: &'a OutsideFiles,
    /// What may happen before Cargo looks.
    pub moment: Moment,
    /// The time.
    pub now: Mtime,
}

/// What to do with the sources and the restored target directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReplayPlan {
    /// The recorded times of the paths that get them back, by their names in the sources. All others are made new.
    pub restored: BTreeMap<String, Mtime>,
    /// The time of everything that is made new: newer than every restored artefact.
    pub new_time: Mtime,
    /// Restored files to delete, relative to the target directory, sorted: what Cargo then misses, it makes again.
    pub deleted: BTreeSet<RelativePath>,
    /// What Cargo is made to watch besides, by the `dep-*` file, relative to the target directory. Empty until
    /// [`super::watch()`] has seen which times there will be.
    pub watched: BTreeMap<RelativePath, Watch>,
    /// Packages that will be compiled again, in whole or in part, by name, and why.
    pub packages: BTreeMap<String, BTreeSet<Reason>>,
    /// Packages of which everything was made new, by root.
    pub made_new: BTreeSet<String>,
    /// How many build scripts run again.
    pub scripts: usize,
    /// How many paths changed, came or went.
    pub changes: usize,
    /// Whether nothing is replayed, as the target directory was stored by a clock that is ahead of this one.
    pub is_from_the_future: bool,
}

/// Decides what is replayed. `manifest` came with the target directory that `present` was read from.
pub fn plan(
    manifest: &SourceManifest,
    present: &Present<'_>,
    build_scripts: BuildScripts,
) -> ReplayPlan {
    let new_time = present.now.max(manifest.saved_max.plus_millisecond());
    // Everything that Cargo touches from now on would look older than what was restored: `.git`, generated sources.
    if manifest.saved_max > present.now {
        return ReplayPlan {
            is_from_the_future: true,
            ..everything_new(present, new_time)
        };
    }
    if present
        .inputs
        .readers
        .iter()
        .any(|reader| reader.package.is_empty())
    {
        return everything_new(present, new_time);
    }
    let mut guard = Guard::new(manifest, present, build_scripts);
    for (name, change, weight) in guard.changes.clone() {
        guard.judge_crates(&name, change, weight);
        guard.judge_scripts(&name, change, weight);
        guard.judge_macros(&name, change);
        guard.judge_documentation(&name, change);
    }
    guard.judge_times();
    guard.judge_outside();
    guard.judge_undeclared();
    guard.finish(new_time)
}

fn everything_new(present: &Present<'_>, new_time: Mtime) -> ReplayPlan {
    let readers = &present.inputs.readers;
    let outputs = readers
        .iter()
        .filter_map(|reader| reader.script.as_ref()?.output.clone());
    let dep_info = readers
        .iter()
        .flat_map(|reader| reader.dep_info.iter().cloned());
    ReplayPlan {
        restored: BTreeMap::new(),
        new_time,
        watched: BTreeMap::new(),
        deleted: outputs.chain(dep_info).collect(),
        packages: BTreeMap::new(),
        made_new: present
            .sources
            .packages
            .iter()
            .map(|package| package.root.clone())
            .collect(),
        scripts: readers
            .iter()
            .filter(|reader| reader.script.is_some())
            .count(),
        changes: 0,
        is_from_the_future: false,
    }
}

struct Guard<'a> {
    manifest: &'a SourceManifest,
    present: &'a Present<'a>,
    build_scripts: BuildScripts,
    /// The packages of both times, sorted by root.
    packages: Vec<Package>,
    readers: BTreeMap<&'a str, Vec<&'a Reader>>,
    changes: Vec<(String, Change, Weight)>,
    reasons: BTreeMap<&'a str, BTreeSet<Reason>>,
    made_new: BTreeSet<&'a str>,
    run_again: BTreeSet<&'a RelativePath>,
    /// Files without which single units are compiled again.
    compiled_again: BTreeSet<&'a RelativePath>,
}

impl<'a> Guard<'a> {
    fn new(
        manifest: &'a SourceManifest,
        present: &'a Present<'a>,
        build_scripts: BuildScripts,
    ) -> Self {
        let mut packages = manifest.packages.clone();
        packages.extend(present.sources.packages.iter().cloned());
        packages.sort();
        packages.dedup_by(|a, b| a.root == b.root);
        let mut guard = Self {
            manifest,
            present,
            build_scripts,
            packages,
            readers: by_package(present.inputs),
            changes: Vec::new(),
            reasons: BTreeMap::new(),
            made_new: BTreeSet::new(),
            run_again: BTreeSet::new(),
            compiled_again: BTreeSet::new(),
        };
        guard.changes = weighed_changes(manifest, present);
        guard
    }

    /// The packages that a change at `name` belongs to: the nearest; for a manifest that came or went also the one
    /// around it. Empty where no package is.
    fn owners(&self, name: &str, change: Change) -> BTreeSet<String> {
        let mut owners = BTreeSet::new();
        owners.extend(nearest_package(&self.packages, name).map(|package| package.root.clone()));
        if change != Change::Changed && name.ends_with("/Cargo.toml") {
            let around = ancestors(name).nth(2);
            let outer = around.and_then(|outer| nearest_package(&self.packages, outer));
            owners.extend(outer.map(|package| package.root.clone()));
        }
        owners
    }

    fn judge_crates(&mut self, name: &str, change: Change, weight: Weight) {
        let owners = self.owners(name, change);
        let everyone = owners.is_empty();
        let is_named_anywhere = everyone
            && self
                .present
                .inputs
                .readers
                .iter()
                .any(|reader| reader.says(name));
        let mut unnamed = Vec::new();
        for (root, readers) in &self.readers {
            if everyone && readers.iter().all(|reader| reader.is_vendored) {
                continue;
            }
            let is_named = readers.iter().any(|reader| reader.says(name));
            if is_named {
                add(
                    &mut self.reasons,
                    root,
                    Reason::Source(shown(name, root), change),
                );
            } else if weight == Weight::Full
                && (everyone && !is_named_anywhere || owners.contains(*root))
                && !(is_plain(readers) && is_harmless(name, change, readers, root))
            {
                unnamed.push(*root);
            }
        }
        for root in unnamed {
            self.make_new(root, Reason::Unnamed(shown(name, root), change));
        }
    }

    fn judge_scripts(&mut self, name: &str, change: Change, weight: Weight) {
        for reader in &self.present.inputs.readers {
            let reach = Reach::of(reader, &self.packages);
            let is_near = weight == Weight::Full || !reach.is_next_to(name);
            if reader.script.is_some() && is_near && reach.has(name) && !reader.says(name) {
                let reason = Reason::Undeclared(shown(name, &reader.package), change);
                self.run_again(reader, reason);
            }
        }
    }

    fn judge_macros(&mut self, name: &str, change: Change) {
        for reader in &self.present.inputs.readers {
            if reader.macros.is_empty() || !Reach::of(reader, &self.packages).has(name) {
                continue;
            }
            let is_tracked = is_source(name) && reader.is_checked_by_cargo && reader.says(name);
            let reads_manifests = || {
                let mut signs = reader.macros.iter();
                signs.find(|(_, signs)| signs.iter().any(|sign| matches!(sign, Sign::Manifests(_))))
            };
            let used = match reader.file_reading_macro() {
                Some(used) if !is_tracked => used,
                _ if is_manifest_around(name, &reader.package) => match reads_manifests() {
                    Some((used, _)) => used,
                    None => continue,
                },
                _ => continue,
            };
            let reason = Reason::Macro {
                path: shown(name, &reader.package),
                change,
                used: used.to_owned(),
            };
            self.compile_again(reader, reason);
        }
    }

    /// Paths that were written after a script or a macro that may read them had run, before they were recorded. Of those that
    /// units name Cargo sees as much.
    fn judge_times(&mut self) {
        let entries = &self.manifest.entries;
        for reader in &self.present.inputs.readers {
            let is_judged = reader.script.is_some() || reader.file_reading_macro().is_some();
            let Some(time) = reader.time.filter(|_| is_judged && !reader.is_vendored) else {
                continue;
            };
            let reach = Reach::of(reader, &self.packages);
            let newer = entries.iter().find(|(name, entry)| {
                entry.mtime > time
                    && entry.kind != SourceKind::Directory
                    && self.present.sources.entries.contains_key(*name)
                    && (entry.made == Made::Before || !is_installed(name))
                    && !reader.says(name)
                    && reach.has(name)
                    && (entry.made == Made::Before || !reach.is_next_to(name))
            });
            let Some((name, _)) = newer else {
                continue;
            };
            let path = shown(name, &reader.package);
            match reader.file_reading_macro() {
                Some(used) => {
                    let (used, change) = (used.to_owned(), Change::Changed);
                    self.compile_again(reader, Reason::Macro { path, change, used });
                }
                None => self.run_again(reader, Reason::Undeclared(path, Change::Changed)),
            }
        }
    }

    fn judge_documentation(&mut self, name: &str, change: Change) {
        let mut stale = Vec::new();
        for (root, readers) in &self.readers {
            let owner = nearest_package(&self.packages, name);
            let is_outside = owner.is_none_or(|package| package.root != *root);
            if (is_outside || change == Change::Deleted)
                && readers.iter().any(|reader| reader.kind == UnitKind::Doc)
                && readers.iter().any(|reader| reader.says(name))
            {
                stale.push(*root);
            }
        }
        for root in stale {
            self.make_new(root, Reason::Source(shown(name, root), change));
        }
    }

    /// Paths outside the sources that are not known to be what they were. Cargo itself sees that a source is gone.
    fn judge_outside(&mut self) {
        let (now, earlier) = (self.present.outside, &self.manifest.outside);
        for reader in &self.present.inputs.readers {
            let changed = reader.outside.iter().find(|path| {
                let name = self.present.sources.name_of(path);
                let is_gone = name.is_some_and(|name| {
                    self.manifest.entries.contains_key(&name)
                        && !self.present.sources.entries.contains_key(&name)
                });
                !is_gone && !now.is_unchanged(earlier, path)
            });
            if let Some(path) = changed {
                let reason = Reason::Outside(path.display().to_string());
                self.must_be_made(reader, reason);
            }
        }
    }

    /// What is not understood, and build scripts that read what no path tells.
    fn judge_undeclared(&mut self) {
        let moved = self.present.head.has_moved_since(&self.manifest.head);
        for reader in &self.present.inputs.readers {
            if !reader.is_understood {
                self.make_new(&reader.package, Reason::NotUnderstood);
            }
            self.judge_macros_without_change(reader, moved);
            let Some(script) = reader.script.as_ref().filter(|_| !reader.is_vendored) else {
                continue;
            };
            let reason = match self.build_scripts {
                BuildScripts::Never => None,
                BuildScripts::Always => Some(Reason::Always),
                BuildScripts::Auto if moved && !script.declares => Some(Reason::DeclaresNothing),
                BuildScripts::Auto => script
                    .signs
                    .iter()
                    .find(|sign| speaks(sign, moved))
                    .cloned()
                    .map(Reason::Sign),
            };
            if let Some(reason) = reason {
                self.run_again(reader, reason);
            }
        }
    }

    /// Cargo runs no macro again because of git, the clock or the environment: a checkout that made all new hid that.
    fn judge_macros_without_change(&mut self, reader: &'a Reader, moved: bool) {
        if reader.is_vendored {
            return;
        }
        for (used, signs) in &reader.macros {
            let is_world = |sign: &&Sign| matches!(sign, Sign::World(_) | Sign::Variable(_));
            let is_git = |sign: &Sign| matches!(sign, Sign::Git(_));
            let lists = |sign: &Sign| matches!(sign, Sign::Lists(_));
            let reason = if let Some(sign) = signs.iter().find(is_world) {
                Reason::MacroSign(used.clone(), sign.clone())
            } else if moved && signs.iter().any(is_git) {
                Reason::MacroMayAskGit(used.clone())
            } else if self.present.moment == Moment::BeforeOtherSteps && signs.iter().any(lists) {
                Reason::UntilCargo(used.clone())
            } else {
                continue;
            };
            self.compile_again(reader, reason);
        }
    }

    fn must_be_made(&mut self, reader: &'a Reader, reason: Reason) {
        if reader.script.is_some() {
            self.run_again(reader, reason);
        } else {
            self.make_new(&reader.package, reason);
        }
    }

    fn make_new(&mut self, root: &'a str, reason: Reason) {
        self.made_new.insert(root);
        add(&mut self.reasons, root, reason);
    }

    /// Makes one unit new, without the others of its package.
    fn compile_again(&mut self, reader: &'a Reader, reason: Reason) {
        let marks = [&reader.dep_info, &reader.doc_marks];
        if marks.iter().all(|files| files.is_empty()) {
            return self.make_new(&reader.package, reason);
        }
        self.compiled_again.extend(marks.into_iter().flatten());
        add(&mut self.reasons, &reader.package, reason);
    }

    /// A run without its output runs again by itself; that its package is new makes sure.
    fn run_again(&mut self, reader: &'a Reader, reason: Reason) {
        match reader
            .script
            .as_ref()
            .and_then(|script| script.output.as_ref())
        {
            Some(output) => {
                self.run_again.insert(output);
                add(&mut self.reasons, &reader.package, reason);
            }
            None => self.make_new(&reader.package, reason),
        }
    }

    fn finish(self, new_time: Mtime) -> ReplayPlan {
        let mut new_paths = BTreeSet::new();
        let again = self.run_again.into_iter().chain(self.compiled_again);
        let mut deleted: BTreeSet<RelativePath> = again.cloned().collect();
        for root in &self.made_new {
            for reader in self.readers.get(root).into_iter().flatten() {
                new_paths.extend(reader.crate_root.as_deref());
                deleted.extend(
                    reader
                        .script
                        .iter()
                        .filter_map(|script| script.output.clone()),
                );
                // A time says nothing where Cargo doesn't look, as in vendored packages.
                if !reader.is_checked_by_cargo {
                    deleted.extend(reader.dep_info.iter().cloned());
                }
            }
        }
        let sources = self.present.sources;
        let restored = sources
            .entries
            .iter()
            .filter(|(name, _)| {
                let owner = sources.package_of(name);
                !new_paths.contains(name.as_str())
                    && owner.is_none_or(|package| !self.made_new.contains(package.root.as_str()))
            })
            .filter_map(|(name, found)| {
                let recorded = self.manifest.entries.get(name)?;
                let is_same = recorded.kind == found.kind && Some(recorded.digest) == found.digest;
                is_same.then(|| (name.clone(), recorded.mtime))
            })
            .collect();
        let scripts = self
            .present
            .inputs
            .readers
            .iter()
            .filter_map(|reader| reader.script.as_ref()?.output.as_ref());
        ReplayPlan {
            restored,
            new_time,
            watched: BTreeMap::new(),
            scripts: scripts.filter(|output| deleted.contains(*output)).count(),
            deleted,
            packages: named_reasons(&self.packages, self.reasons),
            made_new: self.made_new.into_iter().map(str::to_owned).collect(),
            changes: self.changes.len(),
            is_from_the_future: false,
        }
    }
}

/// The reasons by the names of packages instead of their roots.
fn named_reasons(
    packages: &[Package],
    reasons: BTreeMap<&str, BTreeSet<Reason>>,
) -> BTreeMap<String, BTreeSet<Reason>> {
    let mut named: BTreeMap<String, BTreeSet<Reason>> = BTreeMap::new();
    for (root, reasons) in reasons {
        let package = nearest_package(packages, root);
        let name = package.map_or(root, |package| &package.name);
        named.entry(name.to_owned()).or_default().extend(reasons);
    }
    named
}

/// Whether a sign means that a script runs again, depending on whether git's state is another one.
fn speaks(sign: &Sign, moved: bool) -> bool {
    match sign {
        Sign::Git(_) => moved,
        Sign::World(_) | Sign::Variable(_) => true,
        Sign::Elsewhere(_) | Sign::Files(_) | Sign::Lists(_) | Sign::Manifests(_) => false,
    }
}

/// Whether no crate can come out differently for an unnamed path, in a package without build script and without
/// macros that may read files.
fn is_harmless(name: &str, change: Change, readers: &[&Reader], root: &str) -> bool {
    if is_source(name) {
        // A linker reads no sources. A new file can only collide with the file of a module.
        let twin = match name.strip_suffix("/mod.rs") {
            Some(module) => format!("{module}.rs"),
            None => format!("{}/mod.rs", name.trim_end_matches(".rs")),
        };
        return change != Change::Added || !readers.iter().any(|reader| reader.says(&twin));
    }
    is_ignorable(name, root)
}

/// Whether the units of a package read nothing but what they name.
fn is_plain(readers: &[&Reader]) -> bool {
    readers.iter().all(|reader| {
        reader.is_understood
            && reader.script.is_none()
            && reader.file_reading_macro().is_none()
            && (reader.is_checked_by_cargo || reader.kind == UnitKind::Doc)
    })
}

fn add<'a>(reasons: &mut BTreeMap<&'a str, BTreeSet<Reason>>, root: &'a str, reason: Reason) {
    let reasons = reasons.entry(root).or_default();
    let kind = std::mem::discriminant(&reason);
    let alike = reasons
        .iter()
        .filter(|known| std::mem::discriminant(*known) == kind);
    if alike.count() < MOST_REASONS {
        reasons.insert(reason);
    }
}

/// `name` as people know it: relative to the package at `root` where it lies in it, else to its source tree.
fn shown(name: &str, root: &str) -> String {
    let in_package = name
        .strip_prefix(root)
        .and_then(|rest| rest.strip_prefix('/'));
    let in_tree = || name.split_once('/').map_or(name, |(_, rest)| rest);
    in_package.unwrap_or_else(in_tree).to_owned()
}
