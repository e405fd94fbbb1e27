//! What Cargo is made to watch: paths that a unit may read without saying so, and that a step may change between the
//! replay and Cargo, when no guard looks any more.
//!
//! Cargo compares the time of a unit's `dep-*` file with those of the paths that stand in it, directories with all that
//! lies in them, and nothing but the path of that file enters a fingerprint. So the paths in reach of a macro are added to
//! the files of the units that use it, and those in reach of a build script to the file of the script itself: whatever
//! is written, added, deleted or renamed there makes Cargo compile the unit, or the script, and run it. Where nothing
//! changes, nothing is compiled. The files are put back as they were before anything is stored; where a unit is compiled
//! anew, Cargo writes its own.
//!
//! The `.d` files beside final artefacts, which are for other build systems, list what is watched too.
//!
//! Invariant: a path is watched only if its time is not newer than the unit's. A directory of which no unit says that it
//! reads it gets a time as old as the oldest unit's for that, as its own time means nothing to Cargo.
//!
//! **What is not seen**: files that get old times between the replay and Cargo, in directories that get old times as well;
//! what appears directly in a directory with a target directory or `.git` in it; what lies behind links.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Inputs, Mtime, Reader, ReplayPlan, SourceKind, Sources,
    reach::{Reach, is_below},
};
use crate::archive::path::RelativePath;

/// With more paths than this, Cargo would need longer to look than to compile: the unit is made again.
const MOST_PATHS: usize = 20_000;

/// What may happen between the replay and Cargo.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Moment {
    /// Nothing: the next thing that runs is Cargo.
    RightBeforeCargo,
    /// Other steps, which may write files with any times.
    BeforeOtherSteps,
}

/// What is added to a `dep-*` file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Watch {
    /// The paths, absolute.
    pub paths: BTreeSet<String>,
    /// The time that the file gets; `None` for the one that it has.
    pub time: Option<Mtime>,
}

/// Gives the directories of which no unit says that it reads them a time that lets them be watched. `inputs` are those of
/// `plans`, one each.
pub fn settle_directories(plans: &mut [ReplayPlan], inputs: &[Inputs], sources: &Sources) {
    let readers = || inputs.iter().flat_map(|inputs| &inputs.readers);
    let oldest = readers()
        .filter(|reader| is_watcher(reader))
        .filter_map(|reader| reader.time)
        .min();
    let Some(oldest) = oldest else {
        return;
    };
    let scripts: Vec<_> = readers().filter(|reader| reader.script.is_some()).collect();
    let directories = sources
        .entries
        .iter()
        .filter(|(_, found)| found.kind == SourceKind::Directory)
        .filter(|(name, _)| !scripts.iter().any(|script| script.says(name)));
    for (name, _) in directories {
        for plan in &mut *plans {
            let time = plan
                .restored
                .get(name)
                .map_or(oldest, |time| oldest.min(*time));
            plan.restored.insert(name.clone(), time);
        }
    }
}

fn is_watcher(reader: &Reader) -> bool {
    !reader.is_vendored && (reader.script.is_some() || reader.file_reading_macro().is_some())
}

/// Fills in what Cargo is made to watch under `plan`, whose times are final.
pub fn watch(plan: &mut ReplayPlan, inputs: &Inputs, sources: &Sources) {
    if plan.restored.is_empty() {
        return;
    }
    let (mut watched, mut given_up) = (BTreeMap::new(), BTreeSet::new());
    let trees = Trees::new(plan, sources);
    for reader in inputs.readers.iter().filter(|reader| is_watcher(reader)) {
        let Some(time) = reader.time else {
            continue;
        };
        let (files, new_time) = match &reader.script {
            None => (reader.dep_info.clone(), None),
            Some(script) => {
                let is_again = script
                    .output
                    .as_ref()
                    .is_none_or(|output| plan.deleted.contains(output));
                let compiled = inputs.readers.iter().find(|other| {
                    Some(&other.unit) == script.compiled.as_ref()
                        && trees.is_fresh(other)
                        && other.time.is_some_and(|compiled| compiled <= time)
                });
                match compiled.filter(|_| !is_again) {
                    Some(compiled) => (compiled.dep_info.clone(), Some(time)),
                    None => continue,
                }
            }
        };
        if files.is_empty() || files.iter().any(|file| plan.deleted.contains(file)) {
            continue;
        }
        let paths = trees.paths(&Reach::of(reader, &sources.packages), time);
        if paths.len() > MOST_PATHS {
            let output = reader
                .script
                .as_ref()
                .and_then(|script| script.output.clone());
            given_up.extend(output.into_iter().chain(reader.dep_info.clone()));
            continue;
        }
        for file in files {
            let watch: &mut Watch = watched.entry(file).or_default();
            watch.paths.extend(paths.iter().cloned());
            // A script that was run several times is to be watched from its first run on.
            watch.time = match (watch.time, new_time) {
                (Some(one), Some(other)) => Some(one.min(other)),
                (one, other) => one.or(other),
            };
        }
    }
    watched.retain(|file: &RelativePath, watch: &mut Watch| {
        !given_up.contains(file) && !watch.paths.is_empty()
    });
    plan.watched = watched;
    plan.deleted.extend(given_up);
}

/// The sources as they will be, from the top.
struct Trees<'a> {
    sources: &'a Sources,
    times: BTreeMap<&'a str, Mtime>,
    children: BTreeMap<&'a str, Vec<&'a str>>,
    /// The newest time in each directory and below, its own included; none where it can't be watched as a whole.
    newest: BTreeMap<&'a str, Option<Mtime>>,
    /// Directories with packages below.
    around_packages: BTreeSet<&'a str>,
}

impl<'a> Trees<'a> {
    fn new(plan: &ReplayPlan, sources: &'a Sources) -> Self {
        let time = |name: &str| plan.restored.get(name).copied().unwrap_or(plan.new_time);
        let times: BTreeMap<_, _> = sources
            .entries
            .keys()
            .map(|name| (name.as_str(), time(name)))
            .collect();
        let mut children: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
        let mut newest: BTreeMap<&str, Option<Mtime>> = BTreeMap::new();
        // A directory's name sorts before the names of what lies in it.
        for (name, found) in sources.entries.iter().rev() {
            let own = times.get(name.as_str()).copied();
            let below = newest.entry(name).or_insert(own);
            *below = match found.kind {
                SourceKind::Link => None,
                SourceKind::File => own,
                SourceKind::Directory if sources.hides_below(name) => None,
                SourceKind::Directory => below.and_then(|below| Some(below.max(own?))),
            };
            let below = *below;
            if let Some((parent, _)) = name.rsplit_once('/') {
                children.entry(parent).or_default().push(name);
                let around = newest.entry(parent).or_insert(below);
                *around = around.and_then(|around| Some(around.max(below?)));
            }
        }
        let roots = sources.packages.iter().map(|package| package.root.as_str());
        let around_packages = roots
            .flat_map(|root| super::sources::ancestors(root).skip(1))
            .collect();
        Self {
            sources,
            times,
            children,
            newest,
            around_packages,
        }
    }

    /// Whether Cargo will find the unit's own files as old as when it was compiled.
    fn is_fresh(&self, reader: &Reader) -> bool {
        reader.said.iter().all(|name| {
            let time = self.times.get(name.as_str());
            time.is_some_and(|time| reader.time.is_some_and(|compiled| *time <= compiled))
        })
    }

    /// What of `reach` can be watched for a unit that began to read at `time`.
    fn paths(&self, reach: &Reach<'_>, time: Mtime) -> Vec<String> {
        let mut paths = Vec::new();
        let labels: BTreeSet<_> = self.sources.directories().map(|(_, label)| label).collect();
        if reach.is_everywhere {
            for label in labels {
                self.descend(label, time, true, &mut paths);
            }
            return paths;
        }
        self.descend(reach.package, time, true, &mut paths);
        let others = labels.into_iter().filter(|_| reach.is_outside_of_packages);
        for label in
            others.filter(|label| *label != reach.package && !is_below(label, reach.package))
        {
            self.descend(label, time, false, &mut paths);
        }
        paths
    }

    /// Adds `name` if it can be watched as a whole, or else what of it can.
    fn descend(&self, name: &str, time: Mtime, into_packages: bool, paths: &mut Vec<String>) {
        let Some(found) = self.sources.entries.get(name) else {
            return;
        };
        let is_package = || {
            let packages = &self.sources.packages;
            let root = packages.binary_search_by(|package| package.root.as_str().cmp(name));
            root.is_ok()
        };
        if !into_packages && is_package() {
            return;
        }
        let newest = self.newest.get(name).copied().flatten();
        let is_whole = into_packages || !self.around_packages.contains(name);
        if is_whole && newest.is_some_and(|newest| newest <= time) {
            paths.extend(found.path.to_str().map(str::to_owned));
        } else if found.kind == SourceKind::Directory {
            for child in self.children.get(name).into_iter().flatten() {
                self.descend(child, time, into_packages, paths);
            }
        }
    }
}
