//! Reading a target directory: scan, sort into units, then read their small files on all cores.

use std::{
    collections::{BTreeMap, HashMap},
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};

use super::{
    FileKind, Fingerprint, Layout, LeftOutReason, Note, Origin, SourceRoots, TargetTree, Unit,
    UnitFile, UnitId, UnitKind,
    draft::{Draft, Drafts, left_out, stem},
    fingerprint::{self, HashFileName, split_hash},
    scan::{Entry, scan},
};

/// Why a target directory could not be read at all.
#[derive(Debug, thiserror::Error)]
#[error("failed to list the target directory {}", path.display())]
pub struct ReadError {
    /// The target directory.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// Reads the target (or build) directory `directory`, which is absolute. One that does not exist has nothing in it.
///
/// Access times are taken before the files are read, so that only the first reading after a job tells what it used.
pub fn read_target(directory: &Path, sources: &SourceRoots) -> Result<TargetTree, ReadError> {
    let scan = match scan(directory) {
        Ok(scan) => scan,
        Err(source) if source.kind() == io::ErrorKind::NotFound => {
            return Ok(TargetTree {
                directory: directory.to_owned(),
                ..TargetTree::default()
            });
        }
        Err(source) => {
            return Err(ReadError {
                path: directory.to_owned(),
                source,
            });
        }
    };
    let mut tree = TargetTree {
        directory: directory.to_owned(),
        units: Vec::new(),
        shared: scan.shared,
        artefacts: scan.artefacts,
        left_out: scan.left_out,
        notes: scan.notes,
    };
    let mut drafts = Vec::new();
    for profile in scan.profiles {
        let sorted = Drafts::of(profile);
        drafts.extend(sorted.units);
        tree.shared.extend(sorted.shared);
        tree.left_out.extend(sorted.left_out);
    }
    let read: Vec<_> = drafts
        .into_par_iter()
        .map(|draft| finish(draft, directory, sources))
        .collect();
    let mut units: BTreeMap<UnitId, Unit> = BTreeMap::new();
    for unit in read {
        match unit {
            Ok(unit) => keep_newest(unit, &mut units, &mut tree),
            Err(refused) => leave_out(&refused.draft, refused.reason, &mut tree),
        }
    }
    tree.units = units.into_values().collect();
    find_origins_of_runs(&mut tree.units);
    tree.left_out.sort();
    tree.notes.sort();
    for files in [&mut tree.shared, &mut tree.artefacts] {
        files.sort_by(|a, b| a.path.cmp(&b.path));
    }
    Ok(tree)
}

/// Whether `unit`, which was read from the target directory `directory`, has the fingerprint that it had then. Cargo
/// empties it before it compiles the unit anew.
pub fn is_as_read(directory: &Path, unit: &Unit) -> bool {
    let times: Option<Vec<_>> = unit
        .files
        .iter()
        .filter(|file| file.is_fingerprint && HashFileName::parse(file.path.file_name()).is_some())
        .map(|file| {
            let found = fs_err::metadata(file.path.below(directory)).ok()?;
            found.modified().ok().filter(|_| found.len() == file.bytes)
        })
        .collect();
    times.is_some_and(|times| times.into_iter().max() == Some(unit.compiled_at))
}

fn leave_out(draft: &Draft, reason: LeftOutReason, tree: &mut TargetTree) {
    tree.left_out.extend(left_out(&draft.outputs, reason));
    tree.left_out.extend(left_out(&draft.fingerprint, reason));
    if reason == LeftOutReason::Unpackable {
        let UnitId {
            profile,
            package,
            hash,
        } = &draft.id;
        tree.notes.push(Note {
            path: format!("{profile}/{package}-{hash}"),
            text: "the unit is not stored, as part of it can't be".to_owned(),
        });
    }
}

/// Keeps `unit`. Where the same unit was built in both layouts, the newer one stands.
fn keep_newest(unit: Unit, units: &mut BTreeMap<UnitId, Unit>, tree: &mut TargetTree) {
    let loser = match units.remove(&unit.id) {
        Some(other) if other.compiled_at > unit.compiled_at => {
            units.insert(other.id.clone(), other);
            unit
        }
        other => {
            units.insert(unit.id.clone(), unit);
            match other {
                Some(other) => other,
                None => return,
            }
        }
    };
    tree.left_out
        .extend(loser.files.into_iter().map(|file| super::LeftOut {
            path: file.path.to_string(),
            reason: LeftOutReason::Leftover,
        }));
}

/// A unit that is not worth storing.
struct Refused {
    draft: Draft,
    reason: LeftOutReason,
}

impl Refused {
    fn because(reason: LeftOutReason, draft: Draft) -> Result<Unit, Box<Self>> {
        Err(Box::new(Self { draft, reason }))
    }
}

/// Reads the small files of a unit; gives the draft back with the reason if it is not worth storing.
fn finish(draft: Draft, directory: &Path, sources: &SourceRoots) -> Result<Unit, Box<Refused>> {
    if draft.is_unpackable {
        return Refused::because(LeftOutReason::Unpackable, draft);
    }
    let Some(read) = read_fingerprints(&draft, directory) else {
        return Refused::because(LeftOutReason::Incomplete, draft);
    };
    let kind = kind_of(&read.flavour, &read.kind, &draft);
    if !has_outputs(kind, &draft) {
        return Refused::because(LeftOutReason::Incomplete, draft);
    }
    let started = match kind {
        UnitKind::BuildScriptRun => run_file(&draft, "invoked.timestamp"),
        _ => draft
            .fingerprint
            .iter()
            .find(|entry| entry.name() == "invoked.timestamp"),
    };
    let origin = match kind {
        UnitKind::BuildScriptRun | UnitKind::Doc => Origin::Elsewhere,
        _ => origin_of(&draft, directory, sources),
    };
    let mut fingerprints = read.fingerprints.into_iter();
    Ok(Unit {
        kind,
        origin,
        layout: draft.layout,
        fingerprint: fingerprints.next(),
        more_fingerprints: fingerprints.collect(),
        compiled_at: read.compiled_at,
        compile_time: started
            .and_then(|started| read.compiled_at.duration_since(started.modified).ok()),
        accessed_at: read.accessed_at,
        id: draft.id.clone(),
        files: files_of(draft, kind),
    })
}

struct ReadFingerprints {
    flavour: String,
    kind: String,
    fingerprints: Vec<Fingerprint>,
    compiled_at: SystemTime,
    accessed_at: SystemTime,
}

/// Reads every hash file of a unit and the JSON beside it. `None` if there is none, or one holds no hash.
fn read_fingerprints(draft: &Draft, directory: &Path) -> Option<ReadFingerprints> {
    let mut hash_files: Vec<(HashFileName<'_>, &Entry)> = draft.hash_files().collect();
    hash_files.sort_by_key(|(name, _)| name.order());
    let (first, _) = hash_files.first()?;
    let fingerprints = hash_files
        .iter()
        .map(|(_, entry)| {
            let path = entry.file.path.below(directory);
            let hash = fs_err::read_to_string(&path).ok()?;
            // Not `with_extension`: it would take a dot in the name for the beginning of one.
            let mut json = path.into_os_string();
            json.push(".json");
            fingerprint::parse(&hash, fs_err::read(json).ok().as_deref())
        })
        .collect::<Option<Vec<_>>>()?;
    Some(ReadFingerprints {
        flavour: first.flavour.to_owned(),
        kind: first.kind.to_owned(),
        fingerprints,
        compiled_at: hash_files.iter().map(|(_, entry)| entry.modified).max()?,
        accessed_at: hash_files.iter().map(|(_, entry)| entry.accessed).max()?,
    })
}

/// What kind of unit has a hash file with this flavour and kind of target, and these outputs.
fn kind_of(flavour: &str, kind: &str, draft: &Draft) -> UnitKind {
    let has_code = draft.outputs.iter().any(|entry| {
        entry.file.kind == FileKind::File
            && entry.extension() != Some("d")
            && entry.extension() != Some("rmeta")
    });
    let is_linkable = draft
        .outputs
        .iter()
        .any(|entry| matches!(entry.extension(), Some("rlib" | "a")));
    match (flavour, kind) {
        ("doc-", _) => UnitKind::Doc,
        ("run-", _) => UnitKind::BuildScriptRun,
        (_, "build-script-") => UnitKind::BuildScript,
        ("test-", _) if !has_code => UnitKind::TestCheck,
        _ if !has_code => UnitKind::Check,
        ("test-", _) => UnitKind::Test,
        (_, "bin-" | "example-") => UnitKind::Executable,
        // Cargo writes nowhere that a library is a procedural macro. It is the one that has a shared library with a
        // hash in its name and nothing to link.
        _ if !is_linkable && draft.outputs.iter().any(is_hashed_shared_library) => {
            UnitKind::ProcMacro
        }
        _ => UnitKind::Library,
    }
}

fn is_hashed_shared_library(entry: &Entry) -> bool {
    let is_shared = matches!(entry.extension(), Some("so" | "dylib" | "dll"));
    is_shared && split_hash(stem(entry.name())).is_some()
}

fn has_outputs(kind: UnitKind, draft: &Draft) -> bool {
    match kind {
        // Its output is `doc/`; Cargo looks for its index there by itself.
        UnitKind::Doc => true,
        // Without `out` a dependent fails to compile; without what the script printed it is run again.
        UnitKind::BuildScriptRun => {
            let printed = match draft.layout {
                Layout::V1 => "output",
                Layout::V2 => "stdout",
            };
            run_file(draft, printed).is_some() && out_directory(draft).is_some()
        }
        // Of any size: the metadata of a checked executable is empty.
        _ => draft
            .outputs
            .iter()
            .any(|entry| entry.file.kind == FileKind::File && entry.extension() != Some("d")),
    }
}

/// A file that Cargo itself wrote about the run of a build script.
fn run_file<'a>(draft: &'a Draft, name: &str) -> Option<&'a Entry> {
    let depth = match draft.layout {
        Layout::V1 => 3,
        Layout::V2 => 5,
    };
    let depth = draft.id.profile.parts().count() + depth;
    draft
        .outputs
        .iter()
        .find(|entry| entry.name() == name && entry.file.path.parts().count() == depth)
}

fn out_directory(draft: &Draft) -> Option<&Entry> {
    run_directory(
        &draft.outputs,
        draft.layout,
        draft.id.profile.parts().count(),
    )
}

fn run_directory(outputs: &[Entry], layout: Layout, profile_depth: usize) -> Option<&Entry> {
    let depth = match layout {
        Layout::V1 => 3,
        Layout::V2 => 4,
    };
    outputs.iter().find(|entry| {
        entry.file.kind == FileKind::Directory
            && entry.name() == "out"
            && entry.file.path.parts().count() == profile_depth + depth
    })
}

/// Where the sources of a compiled unit lie, from the `.d` file among its outputs. The one that Cargo uplifts beside an
/// executable names the same sources.
fn origin_of(draft: &Draft, directory: &Path, sources: &SourceRoots) -> Origin {
    let mut dep_infos: Vec<_> = draft
        .outputs
        .iter()
        .filter(|entry| entry.extension() == Some("d") && entry.file.kind == FileKind::File)
        .collect();
    dep_infos.sort_by_key(|entry| (split_hash(stem(entry.name())).is_none(), &entry.file.path));
    dep_infos
        .first()
        .and_then(|entry| fs_err::read(entry.file.path.below(directory)).ok())
        .map_or(Origin::Elsewhere, |content| {
            sources.origin_of_dep_info(&String::from_utf8_lossy(&content))
        })
}

/// The files of a unit in the order in which they are put in place: the sign that it is complete last.
fn files_of(draft: Draft, kind: UnitKind) -> Vec<UnitFile> {
    let out = out_directory(&draft).map(|out| out.file.path.clone());
    let mut outputs: Vec<_> = draft.outputs.into_iter().map(|entry| entry.file).collect();
    outputs.retain(|file| {
        file.kind != FileKind::Directory
            || (kind == UnitKind::BuildScriptRun
                && out
                    .as_ref()
                    .is_some_and(|out| file.path == *out || file.path.strip_prefix(out).is_some()))
    });
    outputs.sort_by(|a, b| a.path.cmp(&b.path));
    let mut fingerprint: Vec<_> = draft
        .fingerprint
        .into_iter()
        .filter(|entry| entry.file.kind != FileKind::Directory)
        .map(|entry| UnitFile {
            is_fingerprint: true,
            ..entry.file
        })
        .collect();
    fingerprint.sort_by_key(|file| {
        (
            HashFileName::parse(file.path.file_name()).is_some(),
            file.path.clone(),
        )
    });
    outputs.extend(fingerprint);
    outputs
}

/// Runs of build scripts have no `.d` file: each is of the origin of the script that it ran, which its fingerprint
/// names by value. Where that script is gone, a unit of the package that used what the run printed tells as well.
fn find_origins_of_runs(units: &mut [Unit]) {
    let mut scripts: HashMap<&str, &Origin> = HashMap::new();
    let mut users: HashMap<(&str, &str), &Origin> = HashMap::new();
    for unit in units.iter() {
        match unit.kind {
            UnitKind::BuildScript => {
                scripts.extend(
                    unit.fingerprints()
                        .map(|print| (print.value.as_str(), &unit.origin)),
                );
            }
            UnitKind::BuildScriptRun | UnitKind::Doc => {}
            _ => users.extend(
                unit.fingerprints()
                    .flat_map(|print| &print.deps)
                    .map(|(_, value)| ((unit.id.package.as_str(), value.as_str()), &unit.origin)),
            ),
        }
    }
    let found: Vec<_> = units
        .iter()
        .enumerate()
        .filter(|(_, unit)| unit.kind == UnitKind::BuildScriptRun)
        .filter_map(|(index, unit)| {
            let print = unit.fingerprint.as_ref()?;
            let script = print
                .deps
                .iter()
                .find_map(|(_, value)| scripts.get(value.as_str()));
            let user = || users.get(&(unit.id.package.as_str(), print.value.as_str()));
            Some((index, (*script.or_else(user)?).clone()))
        })
        .collect();
    for (index, origin) in found {
        units[index].origin = origin;
    }
}
