//! Applying a plan: times of sources, and files that this run restored.
//!
//! Invariant: either the whole plan is applied, or every source is new, which is what a plain checkout gives. Files
//! are deleted first, so that whatever happens later nothing that had to be made again looks fresh.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
};

use filetime::FileTime;
use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};

use super::{Found, Mtime, ReplayPlan, SourceKind, Sources};
use crate::unit::{TargetTree, UnitId};

/// Why a plan was not applied. Every source is new, as far as times can be set at all.
#[derive(Debug, thiserror::Error)]
pub enum ReplayError {
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
}

/// What a replay did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Replayed {
    /// Files, links and directories that got their recorded times back.
    pub restored: usize,
    /// Files, links and directories that were made new.
    pub made_new: usize,
    /// Restored files that were deleted, so that they are made again.
    pub deleted: usize,
}

/// Applies `plan` to `sources` and to the target directory `target`, in which no unit of a path package may be that
/// this run did not restore ([`already_warm`]).
pub fn replay(
    plan: &ReplayPlan,
    sources: &Sources,
    target: &Path,
) -> Result<Replayed, ReplayError> {
    let applied = apply(plan, sources, target);
    if applied.is_err() {
        // The plan's error tells more than one of this attempt.
        let _ = make_everything_new(sources, plan.new_time);
    }
    applied
}

fn apply(plan: &ReplayPlan, sources: &Sources, target: &Path) -> Result<Replayed, ReplayError> {
    let mut done = Replayed::default();
    for path in &plan.deleted {
        let path = path.below(target);
        match fs_err::remove_file(&path) {
            Ok(()) => done.deleted += 1,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(ReplayError::Delete { path, source }),
        }
    }
    set_times(sources, |name| {
        plan.restored.get(name).copied().unwrap_or(plan.new_time)
    })?;
    done.restored = plan.restored.len();
    done.made_new = sources.entries.len() - done.restored;
    Ok(done)
}

/// Gives every source the time `new_time`. All of them are tried; the first failure is returned.
pub fn make_everything_new(sources: &Sources, new_time: Mtime) -> Result<(), ReplayError> {
    set_times(sources, |_| new_time)
}

/// Sets the times of files, then of links, then of directories, the deepest first.
fn set_times(sources: &Sources, time_of: impl Fn(&str) -> Mtime + Sync) -> Result<(), ReplayError> {
    let set = |(name, found): (&str, &Found)| set_time(found, time_of(name));
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
}
