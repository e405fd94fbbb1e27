//! Moving to another file system, below a root that has one mounted in it: a volume in a container.
//!
//! What is moved is copied into a staging directory beside its place, and put there by one rename: nothing is ever seen in
//! part. A kill leaves that staging directory, and the next move to the same directory removes it.

use std::{io, path::Path};

use filetime::FileTime;
use fs_err as fs;

use super::{
    Staging,
    moves::{FileSystem, Moves as _},
    staging::{remove_stale, remove_tree},
};

/// Moves a file, link or directory from `from` to `to`, of which the parent is there. Permissions and times stay.
///
/// Fails with [`io::ErrorKind::AlreadyExists`] if there is anything at `to`, and leaves `from` where it is if it fails.
pub(super) fn move_new(from: &Path, to: &Path) -> io::Result<()> {
    let parent = to.parent().ok_or(io::ErrorKind::InvalidInput)?;
    let into_io = |error| io::Error::other(error);
    if let Err(error) = remove_stale(parent) {
        tracing::debug!("{error}");
    }
    let staging = Staging::create(parent).map_err(into_io)?;
    let copy = staging.path().join("copy");
    copy_tree(from, &copy)?;
    FileSystem.move_new(&copy, to)?;
    // It counts nowhere any more: what stays of it goes with its own staging directory.
    let removed = if fs::symlink_metadata(from)?.is_dir() {
        remove_tree(from)
    } else {
        fs::remove_file(from)
    };
    if let Err(error) = removed {
        tracing::debug!("{error}");
    }
    Ok(())
}

/// Copies a file, a link or a directory with all that it holds.
fn copy_tree(from: &Path, to: &Path) -> io::Result<()> {
    let mut copied = Vec::new();
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry?;
        // Before it is read, which moves its access time.
        let found = entry.metadata()?;
        let copy = match entry.path().strip_prefix(from) {
            Ok(within) if within.as_os_str().is_empty() => to.to_owned(),
            Ok(within) => to.join(within),
            Err(error) => return Err(io::Error::other(error)),
        };
        if found.is_dir() {
            fs::create_dir(&copy)?;
        } else if found.is_symlink() {
            copy_link(entry.path(), &copy)?;
        } else {
            let mut source = fs::File::open(entry.path())?;
            io::copy(&mut source, &mut fs::File::create_new(&copy)?)?;
        }
        copied.push((copy, found));
    }
    // Each behind what it holds: making that moves its time, and may need a permission that it has not.
    for (copy, found) in copied.iter().rev() {
        let accessed = FileTime::from_last_access_time(found);
        let modified = FileTime::from_last_modification_time(found);
        if found.is_symlink() {
            filetime::set_symlink_file_times(copy, accessed, modified)?;
        } else {
            filetime::set_file_times(copy, accessed, modified)?;
            fs::set_permissions(copy, found.permissions())?;
        }
    }
    Ok(())
}

#[cfg(unix)]
fn copy_link(from: &Path, to: &Path) -> io::Result<()> {
    fs::os::unix::fs::symlink(fs::read_link(from)?, to)
}

#[cfg(windows)]
fn copy_link(from: &Path, to: &Path) -> io::Result<()> {
    let target = fs::read_link(from)?;
    if from.is_dir() {
        fs::os::windows::fs::symlink_dir(target, to)
    } else {
        fs::os::windows::fs::symlink_file(target, to)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two directories, the first with everything that can be moved.
    fn scene() -> (tempfile::TempDir, std::path::PathBuf, std::path::PathBuf) {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (
            directory.path().join("from"),
            directory.path().join("volume/to"),
        );
        fs::create_dir_all(from.join("inner")).unwrap();
        fs::create_dir(to.parent().unwrap()).unwrap();
        fs::write(from.join("inner/file"), "text").unwrap();
        (directory, from, to)
    }

    #[test]
    fn a_directory_arrives_whole_with_its_times() {
        let (directory, from, to) = scene();
        let time = FileTime::from_unix_time(1_700_000_000, 123_456_700);
        for path in ["inner/file", "inner", ""] {
            filetime::set_file_times(from.join(path), time, time).unwrap();
        }
        move_new(&from, &to).unwrap();
        for path in ["inner", ""] {
            let found = fs::metadata(to.join(path)).unwrap();
            assert_eq!(
                FileTime::from_last_modification_time(&found),
                time,
                "{path}"
            );
        }
        let found = fs::metadata(to.join("inner/file")).unwrap();
        assert_eq!(FileTime::from_last_access_time(&found), time);
        assert_eq!(fs::read_to_string(to.join("inner/file")).unwrap(), "text");
        assert!(!from.exists());
        assert_eq!(
            fs::read_dir(directory.path().join("volume"))
                .unwrap()
                .count(),
            1
        );
    }

    #[test]
    fn nothing_that_is_there_is_replaced_and_nothing_is_left_of_the_attempt() {
        let (directory, from, to) = scene();
        fs::write(&to, "old").unwrap();
        let error = move_new(&from, &to).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&to).unwrap(), "old");
        assert!(from.join("inner/file").exists());
        assert_eq!(
            fs::read_dir(directory.path().join("volume"))
                .unwrap()
                .count(),
            1
        );
    }

    #[cfg(unix)]
    #[test]
    fn links_and_what_nobody_may_write_are_moved_as_they_are() {
        use std::os::unix::fs::PermissionsExt as _;

        let (_directory, from, to) = scene();
        fs::os::unix::fs::symlink("nowhere", from.join("link")).unwrap();
        for (path, mode) in [("inner/file", 0o444), ("inner", 0o555)] {
            let mode = std::fs::Permissions::from_mode(mode);
            fs::set_permissions(from.join(path), mode).unwrap();
        }
        move_new(&from, &to).unwrap();
        assert_eq!(
            fs::read_link(to.join("link")).unwrap(),
            Path::new("nowhere")
        );
        for (path, mode) in [("inner/file", 0o444), ("inner", 0o555)] {
            let found = fs::metadata(to.join(path)).unwrap();
            assert_eq!(found.permissions().mode() & 0o777, mode, "{path}");
        }
        assert!(!from.exists());
    }
}
