//! Applying a plan: times of sources, and files that this run restored.
//!
//! Invariant: either the whole plan is applied, or every source is new, which is what a plain checkout gives. Files
//! are deleted first, so that whatever happens later nothing that had to be made again looks fresh.

use std::{
    collections::BTreeSet,
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use filetime::FileTime;
use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};
use serde::{Deserialize, Serialize};

use super::{Found, Mtime, ReplayPlan, SourceKind, Sources, Watch};
use crate::{
    key::Digest,
    unit::{TargetTree, UnitId, with_more_files},
};

/// Why a plan was not applied. Every source is new, as far as times can be set at all.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
    /// A source was written to after the plan was made: it was made of another content.
    #[error("{} was written to while the sources were looked at", path.display())]
    Edited {
        /// The source.
        path: PathBuf,
    },
    /// A file could not be given its time.
    #[error("failed to set the modification time of {}", path.display())]
    SetTime {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A restored file that must be made again could not be deleted.
    #[error("failed to delete {} so that it is made again", path.display())]
    Delete {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A restored file could not be given what Cargo has to watch.
    #[error("failed to let Cargo watch what {} does not name", path.display())]
    Watch {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

/// What a replay did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Files, links and directories that got their recorded times back.
    pub restored: usize,
    /// Files, links and directories that were made new.
    pub made_new: usize,
    /// The restored files that were deleted, so that they are made again, or had something added.
    pub changed: Vec<Changed>,
}

/// A small restored file that a replay changed, as it was before.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Changed {
    /// Where it lies, absolute.
    pub path: PathBuf,
    /// What was in it.
    pub content: Vec<u8>,
    /// When it was last modified.
    pub modified: Mtime,
    /// The digest of what took its place; `None` if it was deleted.
    pub replaced_by: Option<Digest>,
}

/// Applies `plans`, which agree on the times of `sources`, each to its target directory, in which no unit of a path package
/// may be that this run did not restore ([`already_warm`]).
pub fn replay(plans: &[(ReplayPlan, &Path)], sources: &Sources) -> Result<Replayed, ReplayError> {
    let Some((first, _)) = plans.first() else {
        return Ok(Replayed::default());
    };
    let applied = apply(plans, first, sources);
    if applied.is_err() {
        // The plan's error tells more than one of this attempt.
        let _ = make_everything_new(sources, first.new_time);
    }
    applied
}

fn apply(
    plans: &[(ReplayPlan, &Path)],
    first: &ReplayPlan,
    sources: &Sources,
) -> Result<Replayed, ReplayError> {
    let entries: Vec<_> = sources.entries.values().collect();
    entries.par_iter().try_for_each(|found| must_be(found))?;
    let mut done = Replayed::default();
    for (plan, target) in plans {
        for path in &plan.deleted {
            done.changed.extend(delete(path.below(target))?);
        }
        for (path, watch) in &plan.watched {
            done.changed.push(add_files(&path.below(target), watch)?);
        }
    }
    set_times(sources, |name, found| match first.restored.get(name) {
        // What somebody writes right now is newer than what was looked at.
        Some(time) => must_be(found).map(|()| *time),
        None => Ok(first.new_time),
    })?;
    done.restored = first.restored.len();
    done.made_new = sources.entries.len() - done.restored;
    Ok(done)
}

/// Fails if the source is not as old as when it was looked at.
fn must_be(found: &Found) -> Result<(), ReplayError> {
    let metadata = fs_err::symlink_metadata(&found.path);
    // Nothing sets the times of a directory but what is set in it, deepest first.
    let is_same = metadata.is_ok_and(|metadata| Mtime::of(&metadata) == found.mtime);
    is_same.then_some(()).ok_or_else(|| ReplayError::Edited {
        path: found.path.clone(),
    })
}

fn delete(path: PathBuf) -> Result<Option<Changed>, ReplayError> {
    let before = keep(&path, None);
    match fs_err::remove_file(&path) {
        Ok(()) => Ok(before),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => Err(ReplayError::Delete { path, source }),
    }
}

/// What a later replay, or a save, has to put back. A file that cannot be read is made again by Cargo.
fn keep(path: &Path, replaced_by: Option<Digest>) -> Option<Changed> {
    Some(Changed {
        modified: Mtime::of(&fs_err::metadata(path).ok()?),
        content: fs_err::read(path).ok()?,
        path: path.to_owned(),
        replaced_by,
    })
}

/// Adds what is to be watched to a `dep-*` file, which keeps its time unless the watch has one for it.
fn add_files(path: &Path, watch: &Watch) -> Result<Changed, ReplayError> {
    let add = || {
        let content = fs_err::read(path)?;
        let modified = Mtime::of(&fs_err::metadata(path)?);
        let paths: Vec<_> = watch.paths.iter().cloned().collect();
        let new = with_more_files(&content, &paths).ok_or(io::ErrorKind::InvalidData)?;
        fs_err::write(path, &new)?;
        let time = watch.time.unwrap_or(modified);
        filetime::set_file_mtime(path, time.to_file_time())?;
        Ok(Changed {
            path: path.to_owned(),
            content,
            modified,
            replaced_by: Some(Digest::of_bytes(&new)),
        })
    };
    add().map_err(|source| ReplayError::Watch {
        path: path.to_owned(),
        source,
    })
}

/// Puts back files that a replay changed: those that it deleted, unless something is there by now, if `deleted` says so;
/// those that it added to, unless Cargo wrote them anew.
pub fn put_back(files: &[Changed], deleted: bool) -> io::Result<()> {
    for file in files {
        let is_ours = match file.replaced_by {
            Some(new) => {
                let content = fs_err::read(&file.path);
                content.is_ok_and(|content| Digest::of_bytes(&content) == new)
            }
            None => deleted && fs_err::symlink_metadata(&file.path).is_err(),
        };
        if is_ours {
            let mut new = fs_err::File::create(&file.path)?;
            new.write_all(&file.content)?;
            drop(new);
            filetime::set_file_mtime(&file.path, file.modified.to_file_time())?;
        }
    }
    Ok(())
}

/// Gives every source the time `new_time`. All of them are tried; the first failure is returned.
pub fn make_everything_new(sources: &Sources, new_time: Mtime) -> Result<(), ReplayError> {
    set_times(sources, |_, _| Ok(new_time))
}

/// Sets the times of files, then of links, then of directories, the deepest first. All of them are tried.
fn set_times(
    sources: &Sources,
    time_of: impl Fn(&str, &Found) -> Result<Mtime, ReplayError> + Sync,
) -> Result<(), ReplayError> {
    let set = |(name, found): (&str, &Found)| set_time(found, time_of(name, found)?);
    let of_kind = |kind: SourceKind| {
        let entries = sources
            .entries
            .iter()
            .filter(move |(_, found)| found.kind == kind);
        entries
            .map(|(name, found)| (name.as_str(), found))
            .collect::<Vec<_>>()
    };
    let mut results: Vec<Result<(), ReplayError>> = Vec::new();
    for kind in [SourceKind::File, SourceKind::Link] {
        let failed: Vec<_> = of_kind(kind)
            .par_iter()
            .map(|entry| set(*entry))
            .filter(Result::is_err)
            .collect();
        results.extend(failed);
    }
    // A directory's name sorts before the names of what lies in it.
    results.extend(of_kind(SourceKind::Directory).into_iter().rev().map(set));
    results.into_iter().collect()
}

fn set_time(found: &Found, time: Mtime) -> Result<(), ReplayError> {
    let time = time.to_file_time();
    let result = if found.kind == SourceKind::Link {
        filetime::set_symlink_file_times(&found.path, time, time)
    } else {
        set_mtime(&found.path, time)
    };
    result.map_err(|source| ReplayError::SetTime {
        path: found.path.clone(),
        source,
    })
}

#[cfg(not(windows))]
fn set_mtime(path: &Path, time: FileTime) -> io::Result<()> {
    filetime::set_file_mtime(path, time)
}

/// `filetime` asks Windows for the right to write content, which nobody has to a read-only file. Its attributes, times
/// among them, may be written all the same.
#[cfg(windows)]
fn set_mtime(path: &Path, time: FileTime) -> io::Result<()> {
    use fs_err::os::windows::fs::OpenOptionsExt as _;
    // From Microsoft's "File Access Rights Constants", and CreateFileW: the flag that opens directories too.
    const FILE_WRITE_ATTRIBUTES: u32 = 0x100;
    const FILE_FLAG_BACKUP_SEMANTICS: u32 = 0x0200_0000;
    let file = fs_err::OpenOptions::new()
        .access_mode(FILE_WRITE_ATTRIBUTES)
        .custom_flags(FILE_FLAG_BACKUP_SEMANTICS)
        .open(path)?;
    file.set_times(std::fs::FileTimes::new().set_modified(time.into()))
}

/// Whether `target` holds units of path packages that this run did not restore: another build of these sources, to
/// which the recorded times say nothing. Nothing may then be replayed.
pub fn already_warm(target: &TargetTree, restored: &BTreeSet<UnitId>) -> bool {
    target
        .units
        .iter()
        .any(|unit| !unit.origin.is_cargo_home() && !restored.contains(&unit.id))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_that_nobody_may_write_to_get_their_times() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let file = directory.path().join("read-only.rs");
        fs_err::write(&file, "").expect("written");
        let mut permissions = fs_err::metadata(&file).expect("there").permissions();
        permissions.set_readonly(true);
        fs_err::set_permissions(&file, permissions).expect("set");
        for path in [&file, &directory.path().to_owned()] {
            let time = FileTime::from_unix_time(1_700_000_000, 123_456_700);
            set_mtime(path, time).expect("set");
            let metadata = fs_err::metadata(path).expect("there");
            assert_eq!(FileTime::from_last_modification_time(&metadata), time);
        }
    }

    #[test]
    fn what_a_replay_deleted_is_put_back_with_its_time_unless_it_was_made_again() {
        let directory = tempfile::tempdir().expect("there is room");
        let path = directory.path().join("output");
        fs_err::write(&path, "said").expect("written");
        let time = Mtime {
            seconds: 5,
            nanos: 700,
        };
        filetime::set_file_mtime(&path, time.to_file_time()).expect("set");
        let kept = delete(path.clone())
            .expect("removed")
            .expect("it was there");
        put_back(std::slice::from_ref(&kept), false).expect("nothing to do");
        assert!(!path.exists());
        put_back(std::slice::from_ref(&kept), true).expect("put back");
        let metadata = fs_err::metadata(&path).expect("it is there");
        assert_eq!(Mtime::of(&metadata), time);

        fs_err::write(&path, "new").expect("written");
        put_back(&[kept], true).expect("nothing to do");
        assert_eq!(fs_err::read(&path).expect("read"), b"new");
    }

    #[test]
    fn a_file_that_was_added_to_is_put_back_with_its_time_unless_cargo_wrote_it_anew() {
        let directory = tempfile::tempdir().expect("there is room");
        let path = directory.path().join("dep-lib-x");
        let original = b"\x01\0\0\0\xff\x01\0\0\0\0\0\0\0\0";
        fs_err::write(&path, original).expect("written");
        let before = Mtime::of(&fs_err::metadata(&path).expect("it is there"));
        let later = Mtime {
            seconds: before.seconds + 5,
            nanos: 0,
        };
        let watch = Watch {
            paths: BTreeSet::from(["/ws/data".to_owned()]),
            time: Some(later),
        };
        let kept = add_files(&path, &watch).expect("added");
        let metadata = fs_err::metadata(&path).expect("it is there");
        assert_eq!(Mtime::of(&metadata), later);
        let added = fs_err::read(&path).expect("read");
        put_back(std::slice::from_ref(&kept), false).expect("put back");
        assert_eq!(fs_err::read(&path).expect("read"), original);
        let metadata = fs_err::metadata(&path).expect("it is there");
        assert_eq!(Mtime::of(&metadata), before);

        fs_err::write(&path, [&added[..], b"more"].concat()).expect("written");
        put_back(&[kept], true).expect("nothing to do");
        assert_ne!(fs_err::read(&path).expect("read"), original);
    }
}
