//! The two changes that placing makes to a root: a move that replaces nothing, and a new directory.
//!
//! A trait, so that tests can make any of them fail.

use std::{fs::Permissions, io, path::Path, thread, time::Duration};

use fs_err as fs;

use super::across;

/// How often a rename is tried that Windows refuses for the moment, and the first pause between two attempts, which
/// doubles: five seconds in all.
const ATTEMPTS: u32 = if cfg!(windows) { 10 } else { 1 };
const FIRST_PAUSE: Duration = Duration::from_millis(10);

/// How files get from staging into a root.
pub(super) trait Moves {
    /// Moves a file, link or directory from `from` to `to`.
    ///
    /// Fails with [`io::ErrorKind::AlreadyExists`] if there is anything at `to`, whoever put it there and when.
    fn move_new(&self, from: &Path, to: &Path) -> io::Result<()>;

    /// Makes one directory with the given permissions; its parent exists. Fails if there is anything at `path`.
    fn make_directory(&self, path: &Path, permissions: &Permissions) -> io::Result<()>;
}

/// The real file system.
pub(super) struct FileSystem;

impl Moves for FileSystem {
    fn move_new(&self, from: &Path, to: &Path) -> io::Result<()> {
        let moved = rename_new(from, to).unwrap_or_else(|| link_new(from, to));
        match moved {
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                // Whether there is anything at `to` is not looked at before.
                if fs::symlink_metadata(to).is_ok() {
                    return Err(io::ErrorKind::AlreadyExists.into());
                }
                across::move_new(from, to)
            }
            result => result,
        }
    }

    fn make_directory(&self, path: &Path, permissions: &Permissions) -> io::Result<()> {
        fs::create_dir(path)?;
        fs::set_permissions(path, permissions.clone())
    }
}

/// Renames unless there is something at `to`, in one step. `None` if this platform or file system cannot do that.
#[cfg(any(target_os = "linux", target_os = "android", target_vendor = "apple"))]
fn rename_new(from: &Path, to: &Path) -> Option<io::Result<()>> {
    use rustix::{
        fs::{CWD, RenameFlags, renameat_with},
        io::Errno,
    };

    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => Some(Ok(())),
        Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => None,
        Err(error) => Some(Err(error.into())),
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_vendor = "apple")))]
fn rename_new(_from: &Path, _to: &Path) -> Option<io::Result<()>> {
    None
}

/// Moves without a rename that refuses to replace: a second name for a file can't take the place of anything, and a
/// directory can at most take that of an empty directory.
fn link_new(from: &Path, to: &Path) -> io::Result<()> {
    if fs::symlink_metadata(from)?.is_dir() {
        return match fs::symlink_metadata(to) {
            Ok(_) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(_) => {
                patiently(ATTEMPTS, || fs::rename(from, to)).map_err(|error| match error.kind() {
                    io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::NotADirectory => {
                        io::ErrorKind::AlreadyExists.into()
                    }
                    _ => error,
                })
            }
        };
    }
    match fs::hard_link(from, to) {
        Ok(()) => fs::remove_file(from).inspect_err(|_| {
            // The name at `to` is ours, made a moment ago.
            fs::remove_file(to).ok();
        }),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Err(error),
        Err(error) => {
            tracing::debug!("no link at {}: {error}", to.display());
            replace_own(from, to)
        }
    }
}

/// Moves where files have one name only (FAT, some network shares): onto an empty file that is made for it. Making one
/// fails where there is anything, and to replace one's own disturbs nobody.
fn replace_own(from: &Path, to: &Path) -> io::Result<()> {
    drop(fs::File::create_new(to)?);
    patiently(ATTEMPTS, || fs::rename(from, to)).inspect_err(|_| {
        fs::remove_file(to).ok();
    })
}

/// Does `work` again while it is refused, `attempts` times in all.
///
/// Windows renames no directory while anybody has a file in it open, and virus scanners open what is new for a moment:
/// rustup and uv wait for them in the same way.
fn patiently(attempts: u32, mut work: impl FnMut() -> io::Result<()>) -> io::Result<()> {
    let mut pause = FIRST_PAUSE;
    for _ in 1..attempts {
        match work() {
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                tracing::debug!("tried again in {pause:?}: {error}");
                thread::sleep(pause);
                pause *= 2;
            }
            result => return result,
        }
    }
    work()
}

#[cfg(test)]
mod tests {
    use super::*;

    type Move = fn(&Path, &Path) -> io::Result<()>;

    const BEST: Move = |from, to| FileSystem.move_new(from, to);

    #[rstest::rstest]
    fn a_move_never_replaces_what_is_there(#[values(BEST, link_new, replace_own)] way: Move) {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (directory.path().join("from"), directory.path().join("to"));
        fs::write(&from, "new").unwrap();
        fs::write(&to, "old").unwrap();
        let error = way(&from, &to).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&to).unwrap(), "old");
        assert_eq!(fs::read_to_string(&from).unwrap(), "new");
    }

    #[rstest::rstest]
    fn a_directory_never_replaces_what_is_there(
        #[values(BEST, link_new)] way: Move,
        #[values(true, false)] onto_a_directory: bool,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (directory.path().join("from"), directory.path().join("to"));
        fs::create_dir(&from).unwrap();
        if onto_a_directory {
            fs::create_dir(&to).unwrap();
        } else {
            fs::write(&to, "old").unwrap();
        }
        let error = way(&from, &to).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert!(from.exists());
    }

    #[rstest::rstest]
    fn a_move_keeps_modification_times(#[values(BEST, link_new, replace_own)] way: Move) {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (directory.path().join("from"), directory.path().join("to"));
        fs::write(&from, "x").unwrap();
        let time = filetime::FileTime::from_unix_time(1_700_000_000, 123_456_700);
        filetime::set_file_mtime(&from, time).unwrap();
        way(&from, &to).unwrap();
        let moved = filetime::FileTime::from_last_modification_time(&fs::metadata(&to).unwrap());
        assert_eq!(moved, time);
        assert!(!from.exists());
    }

    #[cfg(unix)]
    #[rstest::rstest]
    fn a_link_is_moved_itself_and_not_what_it_leads_to(
        #[values(BEST, link_new, replace_own)] way: Move,
    ) {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (directory.path().join("from"), directory.path().join("to"));
        fs::os::unix::fs::symlink("nowhere", &from).unwrap();
        way(&from, &to).unwrap();
        assert_eq!(fs::read_link(&to).unwrap(), Path::new("nowhere"));
    }

    #[rstest::rstest]
    fn a_move_that_fails_leaves_nothing_behind(#[values(BEST, link_new, replace_own)] way: Move) {
        let directory = tempfile::tempdir().unwrap();
        let (from, to) = (directory.path().join("from"), directory.path().join("to"));
        assert_eq!(way(&from, &to).unwrap_err().kind(), io::ErrorKind::NotFound);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0);
    }

    #[rstest::rstest]
    #[case::for_a_moment(io::ErrorKind::PermissionDenied, 2, true)]
    #[case::for_good(io::ErrorKind::PermissionDenied, 9, false)]
    #[case::for_another_reason(io::ErrorKind::AlreadyExists, 1, false)]
    fn what_is_refused_for_a_moment_is_tried_again(
        #[case] kind: io::ErrorKind,
        #[case] refusals: u32,
        #[case] succeeds: bool,
    ) {
        let mut tried = 0;
        let result = patiently(3, || {
            tried += 1;
            if tried <= refusals {
                Err(kind.into())
            } else {
                Ok(())
            }
        });
        assert_eq!(result.is_ok(), succeeds);
        assert_eq!(
            tried,
            if kind == io::ErrorKind::PermissionDenied {
                3
            } else {
                1
            }
        );
    }
}
