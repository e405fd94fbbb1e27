//! Access times: which units a job used.
//!
//! Cargo reads the hash file of a unit's fingerprint whenever a command asks for the unit, fresh or not; nothing else
//! does. So a hash file whose access time was set to [`ARMED`] and moved since was used (measured: 93 of 93 units, none
//! extra).
//!
//! Linux mounts are `relatime` as a rule: a read moves the access time only if it is not newer than the modification
//! or change time, or is a day old. Setting it makes the change time new, so that the first read after it always
//! moves it; later ones need not. Under `noatime`, and where Windows is told not to keep access times, nothing moves
//! them: [`probe`] tells, and pruning then goes by versions and age.
//!
//! What fails here costs no correctness: treat it as [`AccessTimes::Frozen`].

use std::{
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    time::SystemTime,
};

use filetime::FileTime;
use rayon::iter::{IntoParallelRefIterator as _, ParallelIterator as _};
use serde::{Deserialize, Serialize};

use super::{TargetTree, fingerprint::HashFileName};

/// The access time of what was there before the job: files that were unpacked, and those that [`arm`] touched.
pub const ARMED: SystemTime = SystemTime::UNIX_EPOCH;

/// Whether reading a file moves its access time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessTimes {
    /// It does.
    Move,
    /// It does not: access times say nothing.
    Frozen,
}

/// Why access times could not be tried or set.
#[derive(Debug, thiserror::Error)]
#[error("failed to {step} at {}", path.display())]
pub struct AccessError {
    /// The file or directory.
    pub path: PathBuf,
    /// What was tried.
    pub step: &'static str,
    /// Why it failed.
    #[source]
    pub source: io::Error,
}

/// Tries whether reading moves access times in `directory`, which must exist and be on the file system of the
/// target directory. Leaves nothing behind.
pub fn probe(directory: &Path) -> Result<AccessTimes, AccessError> {
    let failed = |step| {
        move |source| AccessError {
            path: directory.to_owned(),
            step,
            source,
        }
    };
    let mut file = tempfile::Builder::new()
        .prefix(".hotcrate-probe-")
        .tempfile_in(directory)
        .map_err(failed("create a file to try access times with"))?;
    file.write_all(b"probe")
        .map_err(failed("write a file to try access times with"))?;
    set_armed(file.path())?;
    let mut content = Vec::new();
    fs_err::File::open(file.path())
        .and_then(|mut file| file.read_to_end(&mut content))
        .map_err(failed("read a file to try access times with"))?;
    let accessed = fs_err::metadata(file.path())
        .and_then(|metadata| metadata.accessed())
        .map_err(failed("read the access time of a file"))?;
    Ok(if accessed > ARMED {
        AccessTimes::Move
    } else {
        AccessTimes::Frozen
    })
}

/// Sets the access times of the hash files of every unit of `tree` to [`ARMED`], so that a later read by Cargo moves
/// them. For units that were there before anything was restored: unpacked files come armed. Whoever reads the tree
/// between this and the job counts as a user of all units.
pub fn arm(tree: &TargetTree) -> Result<(), AccessError> {
    let hash_files: Vec<_> = tree
        .units
        .iter()
        .flat_map(|unit| &unit.files)
        .filter(|file| file.is_fingerprint && HashFileName::parse(file.path.file_name()).is_some())
        .collect();
    hash_files
        .par_iter()
        .try_for_each(|file| set_armed(&file.path.below(&tree.directory)))
}

/// Gives the hash files of every unit of `tree` the access times back that they had before it was read.
pub fn put_back(tree: &TargetTree) -> Result<(), AccessError> {
    let hash_files: Vec<_> = tree
        .units
        .iter()
        .flat_map(|unit| unit.files.iter().map(move |file| (file, unit.accessed_at)))
        .filter(|(file, _)| {
            file.is_fingerprint && HashFileName::parse(file.path.file_name()).is_some()
        })
        .collect();
    hash_files.par_iter().try_for_each(|(file, accessed)| {
        let path = file.path.below(&tree.directory);
        let time = FileTime::from_system_time(*accessed);
        filetime::set_file_atime(&path, time).map_err(|source| AccessError {
            path,
            step: "set the access time",
            source,
        })
    })
}

fn set_armed(path: &Path) -> Result<(), AccessError> {
    // By the Unix epoch: the zero of `FileTime` is another one on Windows, where it means "leave as it is".
    filetime::set_file_atime(path, FileTime::from_unix_time(0, 0)).map_err(|source| AccessError {
        path: path.to_owned(),
        step: "set the access time",
        source,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_probe_agrees_with_a_file_that_is_read() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("file");
        fs_err::write(&path, "content").expect("written");
        set_armed(&path).expect("armed");
        assert_eq!(
            fs_err::metadata(&path)
                .and_then(|m| m.accessed())
                .expect("read"),
            ARMED
        );
        fs_err::read(&path).expect("read");
        let moved = fs_err::metadata(&path)
            .and_then(|m| m.accessed())
            .expect("read")
            > ARMED;
        let probed = probe(directory.path()).expect("probed");
        assert_eq!(probed == AccessTimes::Move, moved);
        assert_eq!(
            fs_err::read_dir(directory.path()).expect("listed").count(),
            1
        );
    }

    #[test]
    fn a_directory_that_is_not_there_is_an_error_that_names_it() {
        let error = probe(Path::new("/nowhere/at/all")).expect_err("it is not there");
        insta::assert_snapshot!(error, @"failed to create a file to try access times with at /nowhere/at/all");
    }
}
