//! Removing units from a target directory.
//!
//! Invariant: a unit's fingerprint goes before any other file of it, so that whoever finds a part of it (after a kill, or
//! while it is being removed) finds a unit that Cargo compiles again. The caller keeps Cargo out of the directory, and
//! removes with a unit whatever was compiled against it.

use std::{
    io,
    path::{Path, PathBuf},
};

use super::{FileKind, Unit, UnitFile};
use crate::archive::path::RelativePath;

/// Why a unit could not be removed.
#[derive(Debug, thiserror::Error)]
#[error("failed to remove {}", path.display())]
pub struct RemoveError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// Removes `units`, which lie in the target directory `directory`, and returns how many bytes that freed: those of files
/// of which this was the last name. Directories that are left empty go too.
pub fn remove_units<'a>(
    directory: &Path,
    units: impl IntoIterator<Item = &'a Unit>,
) -> Result<u64, RemoveError> {
    let mut freed = 0;
    for unit in units {
        // The other way round than they are put in place.
        for file in unit.files.iter().rev() {
            freed += remove(directory, file)?;
        }
        for file in &unit.files {
            remove_empty(directory, unit, &file.path);
        }
    }
    Ok(freed)
}

fn remove(directory: &Path, file: &UnitFile) -> Result<u64, RemoveError> {
    let path = file.path.below(directory);
    if file.kind == FileKind::Directory {
        return Ok(0);
    }
    let bytes = match fs_err::symlink_metadata(&path) {
        Ok(found) if found.is_file() && is_last_name(&found) => found.len(),
        _ => 0,
    };
    match fs_err::remove_file(&path) {
        Ok(()) => Ok(bytes),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(0),
        Err(source) => Err(RemoveError { path, source }),
    }
}

/// Whether removing one name of the file frees it.
#[cfg(unix)]
fn is_last_name(found: &std::fs::Metadata) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    found.nlink() <= 1
}

#[cfg(not(unix))]
fn is_last_name(_found: &std::fs::Metadata) -> bool {
    true
}

/// Removes the directories around `file` that nothing lies in any more, but not the profile's own.
fn remove_empty(directory: &Path, unit: &Unit, file: &RelativePath) {
    let profile = unit.id.profile.below(directory);
    let path = file.below(directory);
    let around = path
        .ancestors()
        .take_while(|above| above.starts_with(&profile) && *above != profile);
    for above in around {
        // One that holds something stays, and so do all around it; a file is no directory.
        if fs_err::remove_dir(above).is_err() && above != path {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use super::*;
    use crate::unit::{Layout, Origin, UnitId, UnitKind};

    fn unit(directory: &Path, files: &[&str]) -> Unit {
        let files = files.iter().map(|name| {
            let path = RelativePath::new(*name).expect("plain");
            let full = path.below(directory);
            fs_err::create_dir_all(full.parent().expect("it has one")).expect("made");
            fs_err::write(full, "12345").expect("written");
            UnitFile {
                path,
                kind: FileKind::File,
                bytes: 5,
                inode: None,
                is_fingerprint: name.contains(".fingerprint/"),
            }
        });
        Unit {
            files: files.collect(),
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
            compiled_at: SystemTime::UNIX_EPOCH,
            compile_time: None,
            accessed_at: SystemTime::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_unit_goes_with_its_directories_and_leaves_its_neighbours() {
        let target = tempfile::tempdir().expect("there is room");
        let directory = target.path();
        let gone = unit(
            directory,
            &["debug/deps/libp.rlib", "debug/.fingerprint/p-0/lib-p"],
        );
        let kept = unit(directory, &["debug/deps/libq.rlib"]);
        let freed = remove_units(directory, [&gone]).expect("nothing is in the way");
        assert_eq!(freed, 10);
        assert!(!directory.join("debug/.fingerprint").exists());
        assert!(kept.files[0].path.below(directory).exists());
        assert_eq!(remove_units(directory, [&gone]).expect("it is gone"), 0);
    }

    #[cfg(unix)]
    #[test]
    fn a_file_that_has_another_name_elsewhere_frees_nothing() {
        let target = tempfile::tempdir().expect("there is room");
        let directory = target.path();
        let unit = unit(directory, &["debug/deps/libp.rlib", "debug/p.d"]);
        let elsewhere = directory.join("elsewhere");
        fs_err::hard_link(directory.join("debug/deps/libp.rlib"), &elsewhere).expect("linked");
        assert_eq!(remove_units(directory, [&unit]).expect("removed"), 5);
        assert!(elsewhere.exists());
    }

    #[test]
    fn what_cannot_be_removed_stands_behind_the_fingerprint() {
        let target = tempfile::tempdir().expect("there is room");
        let directory = target.path();
        let unit = unit(
            directory,
            &["debug/deps/libp.rlib", "debug/.fingerprint/p-0/lib-p"],
        );
        // A directory is in the place of the library.
        let library = directory.join("debug/deps/libp.rlib");
        fs_err::remove_file(&library).expect("removed");
        fs_err::create_dir_all(library.join("x")).expect("made");
        let error = remove_units(directory, [&unit]).expect_err("it is no file");
        assert_eq!(error.path, library);
        assert!(!directory.join("debug/.fingerprint/p-0/lib-p").exists());
    }
}
