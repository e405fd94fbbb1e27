//! Making restored dependencies older than what was compiled against them.
//!
//! Cargo takes a unit for stale if the output of one that it was compiled against is newer. Two builds of the same
//! dependencies can be equal and have other times. Invariant: the units that are shifted keep their order among
//! themselves, as all of them move by one span, each file once, whatever names it has in this directory. A file that has
//! names in other directories too is copied first: its time there is not ours to change. A failure in between leaves some
//! units newer than others, which costs compilations and hides nothing.

use std::{
    collections::HashSet,
    io,
    path::{Path, PathBuf},
};

use filetime::FileTime;
use rayon::prelude::*;

use super::{FileKind, Unit, UnitFile};

/// By how much more than needed units become older, in seconds: some file systems keep no fractions.
const MARGIN_SECONDS: i64 = 2;

/// Why a file's time could not be read or set.
#[derive(Debug, thiserror::Error)]
#[error("failed to make {} older", path.display())]
pub struct ShiftError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// Makes all files of `dependencies`, which lie in the target directory `directory`, older than every file of `units`.
/// Does nothing if they are, or if there is nothing on either side.
pub fn make_older<'a>(
    directory: &Path,
    dependencies: &[&Unit],
    units: impl Iterator<Item = &'a Unit>,
) -> Result<(), ShiftError> {
    let mut seen = HashSet::new();
    let shifted: Vec<_> = dependencies
        .iter()
        .flat_map(|unit| &unit.files)
        .filter(|file| file.inode.is_none_or(|inode| seen.insert(inode)))
        .collect();
    let times = times(directory, &shifted)?;
    let others: Vec<_> = units.flat_map(|unit| &unit.files).collect();
    let oldest = self::times(directory, &others)?.into_iter().min();
    let (Some(newest), Some(oldest)) = (times.iter().max(), oldest) else {
        return Ok(());
    };
    if *newest < oldest {
        return Ok(());
    }
    let span = newest.unix_seconds() - oldest.unix_seconds() + MARGIN_SECONDS;
    let files = dependencies.iter().flat_map(|unit| &unit.files);
    make_own(directory, files)?;
    shifted.par_iter().zip(&times).try_for_each(|(file, time)| {
        let path = file.path.below(directory);
        let time = FileTime::from_unix_time(time.unix_seconds() - span, time.nanoseconds());
        let set = if file.kind == FileKind::Link {
            filetime::set_symlink_file_times(&path, time, time)
        } else {
            filetime::set_file_mtime(&path, time)
        };
        set.map_err(|source| ShiftError { path, source })
    })
}

/// Gives each of `files` that has a name which is none of theirs an inode of its own, with the same time.
#[cfg(unix)]
fn make_own<'a>(
    directory: &Path,
    files: impl Iterator<Item = &'a UnitFile>,
) -> Result<(), ShiftError> {
    use std::{collections::HashMap, os::unix::fs::MetadataExt as _};

    let mut names: HashMap<_, Vec<PathBuf>> = HashMap::new();
    for file in files.filter(|file| file.kind == FileKind::File) {
        let paths = names.entry(file.inode).or_default();
        let path = file.path.below(directory);
        if !paths.contains(&path) {
            paths.push(path);
        }
    }
    names.into_values().par_bridge().try_for_each(|paths| {
        let [first, others @ ..] = paths.as_slice() else {
            return Ok(());
        };
        let failed = |source| ShiftError {
            path: first.clone(),
            source,
        };
        let found = fs_err::metadata(first).map_err(failed)?;
        if usize::try_from(found.nlink()).is_ok_and(|count| count <= paths.len()) {
            return Ok(());
        }
        let aside = |path: &Path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            path.with_file_name(format!(".hotcrate-{name}"))
        };
        let own = aside(first);
        fs_err::copy(first, &own).map_err(failed)?;
        filetime::set_file_mtime(&own, FileTime::from_last_modification_time(&found))
            .map_err(failed)?;
        for path in others {
            let other = aside(path);
            fs_err::hard_link(&own, &other).map_err(failed)?;
            fs_err::rename(&other, path).map_err(failed)?;
        }
        fs_err::rename(&own, first).map_err(failed)
    })
}

/// Where nothing tells how many names a file has, no bucket shares any.
#[cfg(not(unix))]
fn make_own<'a>(
    _directory: &Path,
    _files: impl Iterator<Item = &'a UnitFile>,
) -> Result<(), ShiftError> {
    Ok(())
}

fn times(directory: &Path, files: &[&UnitFile]) -> Result<Vec<FileTime>, ShiftError> {
    files
        .par_iter()
        .map(|file| {
            let path = file.path.below(directory);
            match fs_err::symlink_metadata(&path) {
                Ok(metadata) => Ok(FileTime::from_last_modification_time(&metadata)),
                Err(source) => Err(ShiftError { path, source }),
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::{
        archive::path::RelativePath,
        unit::{Layout, Origin, UnitId, UnitKind},
    };

    fn unit(directory: &Path, files: &[(&str, i64)]) -> Unit {
        let files = files.iter().map(|(name, seconds)| {
            let path = directory.join(name);
            if !path.exists() {
                fs_err::write(&path, name).expect("written");
            }
            filetime::set_file_mtime(&path, FileTime::from_unix_time(*seconds, 5)).expect("set");
            #[cfg(unix)]
            let inode = {
                use std::os::unix::fs::MetadataExt as _;
                let metadata = fs_err::metadata(&path).expect("it is there");
                Some((metadata.dev(), metadata.ino()))
            };
            #[cfg(not(unix))]
            let inode = None;
            UnitFile {
                path: RelativePath::new(*name).expect("plain"),
                kind: FileKind::File,
                bytes: 1,
                inode,
                is_fingerprint: false,
            }
        });
        Unit {
            id: UnitId {
                profile: RelativePath::new("debug").expect("plain"),
                package: "p".to_owned(),
                hash: "0123456789abcdef".to_owned(),
            },
            layout: Layout::V1,
            kind: UnitKind::Library,
            origin: Origin::Elsewhere,
            fingerprint: None,
            more_fingerprints: Vec::new(),
            files: files.collect(),
            compiled_at: SystemTime::UNIX_EPOCH,
            compile_time: None,
            accessed_at: SystemTime::UNIX_EPOCH,
        }
    }

    fn seconds(directory: &Path, name: &str) -> i64 {
        let metadata = fs_err::metadata(directory.join(name)).expect("it is there");
        FileTime::from_last_modification_time(&metadata).unix_seconds()
    }

    #[test]
    fn newer_dependencies_become_older_by_one_span_and_each_file_once() {
        let directory = tempfile::tempdir().expect("there is room");
        let directory = directory.path();
        fs_err::write(directory.join("rlib"), "rlib").expect("written");
        fs_err::hard_link(directory.join("rlib"), directory.join("uplifted")).expect("linked");
        let first = unit(directory, &[("rmeta", 1_000)]);
        let second = unit(directory, &[("rlib", 1_100), ("uplifted", 1_100)]);
        let user = unit(directory, &[("app", 900), ("other", 1_500)]);
        make_older(directory, &[&first, &second], std::iter::once(&user)).expect("times are set");
        assert_eq!(seconds(directory, "rlib"), 900 - MARGIN_SECONDS);
        assert_eq!(seconds(directory, "rmeta"), 800 - MARGIN_SECONDS);
        assert_eq!(seconds(directory, "app"), 900);
    }

    #[cfg(unix)]
    #[test]
    fn a_name_in_another_directory_keeps_its_time() {
        let directory = tempfile::tempdir().expect("there is room");
        let directory = directory.path();
        fs_err::create_dir(directory.join("bucket")).expect("made");
        let elsewhere = directory.join("elsewhere");
        fs_err::write(&elsewhere, "rlib").expect("written");
        let bucket = directory.join("bucket");
        for name in ["rlib", "uplifted"] {
            fs_err::hard_link(&elsewhere, bucket.join(name)).expect("linked");
        }
        let dependency = unit(&bucket, &[("rlib", 1_100), ("uplifted", 1_100)]);
        let user = unit(&bucket, &[("app", 900)]);
        make_older(&bucket, &[&dependency], std::iter::once(&user)).expect("times are set");
        assert_eq!(seconds(directory, "elsewhere"), 1_100);
        for name in ["rlib", "uplifted"] {
            assert_eq!(seconds(&bucket, name), 900 - MARGIN_SECONDS);
            let content = fs_err::read_to_string(bucket.join(name)).expect("it is there");
            assert_eq!(content, "rlib");
        }
        let names = fs_err::read_dir(&bucket).expect("it is there").count();
        assert_eq!(names, 3);
    }

    #[test]
    fn dependencies_that_are_older_stay_as_they_are() {
        let directory = tempfile::tempdir().expect("there is room");
        let directory = directory.path();
        let dependency = unit(directory, &[("rlib", 800)]);
        let user = unit(directory, &[("app", 900)]);
        make_older(directory, &[&dependency], std::iter::once(&user)).expect("nothing to do");
        assert_eq!(seconds(directory, "rlib"), 800);
    }
}
