//! Taking down what Cargo's fingerprints say of the units of a target directory, and looking at the files they name.
//!
//! Whoever takes a snapshot reads no hash file, so that access times still tell what a job uses; the tree that it is
//! taken of has been read, though, and must be armed after. What can't be read is left out: its units then have fewer
//! causes to tell.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use rayon::iter::{IntoParallelIterator as _, IntoParallelRefIterator as _, ParallelIterator as _};
use serde_json::Value as Json;
use walkdir::WalkDir;

use super::{
    Fingerprint, Layout, LeftOutReason, Origin, SourceRoots, TargetTree, Unit, UnitFile, UnitKind,
    dep_info::{crate_root, parse_dep_info},
    fingerprint::{HashFileName, split_hash},
    scan::extension,
};
use crate::{
    key::Digest,
    rebuild::{InputState, InputStates, RootSnapshot, TargetSnapshot, UnitSnapshot, Value},
};

/// How many paths below a directory that a build script declares are looked at.
const MOST_PATHS: usize = 50_000;

/// Takes down the records of those units of `tree` that are `wanted`.
pub fn snapshot(
    tree: &TargetTree,
    sources: &SourceRoots,
    wanted: impl Fn(&Unit) -> bool + Sync,
) -> RootSnapshot {
    let scripts = script_roots(tree, sources);
    let units = tree
        .units
        .par_iter()
        .filter(|unit| wanted(unit))
        .map(|unit| unit_snapshot(unit, tree, sources, &scripts))
        .collect();
    RootSnapshot {
        units,
        incomplete: incomplete(tree),
    }
}

/// Looks at every path in `paths`: at all that lies below one, where it is a directory. Links are followed, as Cargo
/// does.
pub fn input_states(paths: BTreeSet<PathBuf>) -> InputStates {
    paths
        .into_par_iter()
        .map(|path| {
            let state = input_state(&path);
            (path, state)
        })
        .collect::<BTreeMap<_, _>>()
}

fn input_state(path: &Path) -> Option<InputState> {
    let metadata = fs_err::metadata(path).ok()?;
    let own = InputState {
        modified: nanos(metadata.modified().ok()?),
        newest: path.to_owned(),
    };
    if !metadata.is_dir() {
        return Some(own);
    }
    let below = WalkDir::new(path)
        .min_depth(1)
        .into_iter()
        .filter_map(Result::ok)
        .take(MOST_PATHS)
        .filter_map(|entry| {
            let modified = nanos(entry.metadata().ok()?.modified().ok()?);
            Some(InputState {
                modified,
                newest: entry.into_path(),
            })
        });
    // A file says more than the directory that it came into: both have the same time, or nearly so.
    below
        .chain([own])
        .max_by_key(|state| (state.modified, state.newest.is_file()))
}

/// The directories of the packages whose build scripts are in the tree, by the values of the scripts' fingerprints.
fn script_roots(tree: &TargetTree, sources: &SourceRoots) -> BTreeMap<String, PathBuf> {
    tree.units
        .par_iter()
        .filter(|unit| unit.kind == UnitKind::BuildScript && !unit.origin.is_cargo_home())
        .filter_map(|unit| {
            let root = package_root(unit, tree, sources)?;
            Some((unit.fingerprint.as_ref()?.value.clone(), root))
        })
        .collect()
}

fn unit_snapshot(
    unit: &Unit,
    tree: &TargetTree,
    sources: &SourceRoots,
    scripts: &BTreeMap<String, PathBuf>,
) -> UnitSnapshot {
    let package_root = match (&unit.origin, unit.kind) {
        (Origin::Registry { .. } | Origin::Git { .. }, _) => None,
        (Origin::Elsewhere, UnitKind::BuildScriptRun) => unit
            .fingerprints()
            .flat_map(|print| &print.deps)
            .find_map(|(_, value)| scripts.get(value).cloned()),
        (Origin::Elsewhere, _) => package_root(unit, tree, sources),
    };
    let mut hash_files: Vec<_> = unit
        .files
        .iter()
        .filter_map(|file| Some((HashFileName::parse(file.path.file_name())?, file)))
        .filter(|(_, file)| file.is_fingerprint)
        .collect();
    hash_files.sort_by_key(|(name, _)| name.order());
    let targets = hash_files
        .iter()
        .zip(unit.fingerprints())
        .map(|((_, file), print)| target_snapshot(unit, tree, file, print))
        .collect();
    UnitSnapshot {
        id: unit.id.clone(),
        kind: unit.kind,
        version: version(&unit.origin),
        package_root,
        compiled_at: nanos(unit.compiled_at),
        targets,
    }
}

fn target_snapshot(
    unit: &Unit,
    tree: &TargetTree,
    hash_file: &UnitFile,
    print: &Fingerprint,
) -> TargetSnapshot {
    let path = hash_file.path.below(&tree.directory);
    let name = hash_file.path.file_name();
    let beside = |name: String| path.with_file_name(name);
    let json = fs_err::read(beside(format!("{name}.json"))).ok();
    let json = json
        .and_then(|json| serde_json::from_slice::<Json>(&json).ok())
        .unwrap_or(Json::Null);
    let number = |field| json.get(field).and_then(Json::as_u64).unwrap_or_default();
    let declared = json.get("declared_features").and_then(Json::as_str);
    let mut record = TargetSnapshot {
        name: name.to_owned(),
        value: print.value.clone(),
        rustc: print.rustc,
        features: feature_list(&print.features),
        declared_features: Digest::of_bytes(declared.unwrap_or_default().as_bytes()).short(),
        target: print.target,
        profile: print.profile,
        path: number("path"),
        config: number("config"),
        compile_kind: print.compile_kind,
        rustflags: strings(json.get("rustflags")),
        deps: print.deps.clone(),
        ..TargetSnapshot::default()
    };
    for local in json
        .get("local")
        .and_then(Json::as_array)
        .into_iter()
        .flatten()
    {
        add_local(&mut record, local);
    }
    let dep_info = beside(format!("dep-{name}"));
    if unit.kind == UnitKind::BuildScriptRun {
        record.reference =
            output_of(unit).and_then(|file| modified(&file.path.below(&tree.directory)));
    } else if let Some(info) = fs_err::read(&dep_info)
        .ok()
        .as_deref()
        .and_then(parse_dep_info)
    {
        record.files = info.in_package;
        record.made_files = info.in_target;
        record.variables.extend(
            info.variables
                .iter()
                .map(|(name, value)| (name.clone(), kept_value(name, value.as_deref()))),
        );
        record.reference = modified(&dep_info);
    }
    record
}

/// What a fingerprint says of the inputs of a build script, or of documentation.
fn add_local(record: &mut TargetSnapshot, local: &Json) {
    if let Some(whole) = local.get("Precalculated").and_then(Json::as_str) {
        record.whole_package = Some(whole.to_owned());
    }
    if let Some(changed) = local.get("RerunIfChanged") {
        record.files.extend(strings(changed.get("paths")));
    }
    if let Some(variable) = local.get("RerunIfEnvChanged")
        && let Some(name) = variable.get("var").and_then(Json::as_str)
    {
        let value = variable.get("val").and_then(Json::as_str);
        record
            .variables
            .insert(name.to_owned(), kept_value(name, value));
    }
}

fn kept_value(name: &str, value: Option<&str>) -> Option<Value> {
    value.map(|value| Value::of(name, value))
}

fn strings(list: Option<&Json>) -> Vec<String> {
    let items = list.and_then(Json::as_array).into_iter().flatten();
    items.filter_map(Json::as_str).map(str::to_owned).collect()
}

/// Cargo writes the list as Rust would print it for debugging, which is JSON for names of features.
fn feature_list(features: &str) -> Vec<String> {
    serde_json::from_str(features).unwrap_or_default()
}

/// What a run of a build script printed.
fn output_of(unit: &Unit) -> Option<&UnitFile> {
    unit.files.iter().find(|file| match unit.layout {
        Layout::V1 => {
            file.path.file_name() == "output" && file.path.parts().nth_back(2) == Some("build")
        }
        Layout::V2 => file.path.as_str().ends_with("/run/stdout"),
    })
}

/// The directory of the manifest around the crate's root, which the unit's own `.d` file names first.
fn package_root(unit: &Unit, tree: &TargetTree, sources: &SourceRoots) -> Option<PathBuf> {
    let makefile = unit.files.iter().find(|file| {
        let name = file.path.file_name();
        let is_own = name.contains(unit.id.hash.as_str())
            || file.path.parts().nth_back(2) == Some(unit.id.hash.as_str());
        is_own && extension(name) == Some("d")
    })?;
    let text = fs_err::read_to_string(makefile.path.below(&tree.directory)).ok()?;
    let root = PathBuf::from(crate_root(&text)?);
    let bases = sources.bases.iter().map(|base| base.join(&root));
    let source = bases.into_iter().find(|path| path.is_file())?;
    let manifests = source.ancestors().skip(1);
    manifests
        .take_while(|directory| directory.parent().is_some())
        .find(|directory| directory.join("Cargo.toml").is_file())
        .map(Path::to_owned)
}

/// The version at the end of `<name>-<version>`, or the revision.
fn version(origin: &Origin) -> Option<String> {
    match origin {
        Origin::Registry { package, .. } => {
            let starts = package.match_indices('-').map(|(at, _)| &package[at + 1..]);
            starts
                .into_iter()
                .find(|rest| {
                    rest.starts_with(|first: char| first.is_ascii_digit()) && rest.contains('.')
                })
                .map(str::to_owned)
        }
        Origin::Git { revision, .. } => Some(revision.clone()),
        Origin::Elsewhere => None,
    }
}

/// `<package>-<hash>` of each unit of which something was there and not all.
fn incomplete(tree: &TargetTree) -> Vec<String> {
    let left_out = tree
        .left_out
        .iter()
        .filter(|left| left.reason == LeftOutReason::Incomplete);
    let mut names: Vec<String> = left_out
        .filter_map(|left| {
            let parts: Vec<_> = left.path.split('/').collect();
            let v1 = parts
                .iter()
                .position(|part| *part == ".fingerprint")
                .and_then(|at| parts.get(at + 1))
                .filter(|name| split_hash(name).is_some());
            let v2 = || {
                let at = parts.iter().position(|part| *part == "build")?;
                let (package, hash) = (parts.get(at + 1)?, parts.get(at + 2)?);
                Some(format!("{package}-{hash}"))
            };
            v1.map(|name| (*name).to_owned()).or_else(v2)
        })
        .collect();
    names.sort();
    names.dedup();
    names
}

fn modified(path: &Path) -> Option<u64> {
    let metadata = fs_err::metadata(path).ok()?;
    Some(nanos(metadata.modified().ok()?))
}

/// Nanoseconds since the Unix epoch; 0 for earlier times.
fn nanos(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .ok()
        .and_then(|since| u64::try_from(since.as_nanos()).ok())
        .unwrap_or_default()
}
