//! Copying files as cheaply as the file system lets us: blocks shared until somebody writes (reflinks, where there are
//! any), a second name for the same file where that is harmless, or else bytes.
//!
//! Invariant: a copy has the content, the mode and the modification time of its source, whichever way it was made.

use std::{
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
};

use filetime::FileTime;

/// Why a file was not copied.
#[derive(Debug, thiserror::Error)]
#[error("failed to copy {} to {}", from.display(), to.display())]
pub struct CopyError {
    /// The source.
    pub from: PathBuf,
    /// The copy.
    pub to: PathBuf,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// How a copy was made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// It shares blocks with its source until one of them is written to.
    Cloned,
    /// It is its source under another name.
    Linked,
    /// It is a copy.
    Copied,
}

/// Copying between two directories; what one of the file systems turned down once is not tried again.
#[derive(Debug, Default)]
pub struct Copying {
    no_clones: AtomicBool,
    no_links: AtomicBool,
}

impl Copying {
    /// Makes `to`, which must not exist in a directory that does, from the plain file `from`. Only with `may_link` it may
    /// become another name of it.
    pub fn copy(&self, from: &Path, to: &Path, may_link: bool) -> Result<Made, CopyError> {
        self.make(from, to, may_link).map_err(|source| CopyError {
            from: from.to_owned(),
            to: to.to_owned(),
            source,
        })
    }

    fn make(&self, from: &Path, to: &Path, may_link: bool) -> io::Result<Made> {
        let try_clone = || reflink_copy::reflink(from, to);
        if attempted(&self.no_clones, from, try_clone)? {
            keep_time(from, to)?;
            return Ok(Made::Cloned);
        }
        let try_link = || fs_err::hard_link(from, to);
        if may_link && attempted(&self.no_links, from, try_link)? {
            return Ok(Made::Linked);
        }
        fs_err::copy(from, to)?;
        keep_time(from, to)?;
        Ok(Made::Copied)
    }
}

/// Whether `way` worked. If it did not, and not for want of the file, it is not tried again.
fn attempted(
    is_refused: &AtomicBool,
    from: &Path,
    way: impl FnOnce() -> io::Result<()>,
) -> io::Result<bool> {
    if is_refused.load(Ordering::Relaxed) {
        return Ok(false);
    }
    match way() {
        Ok(()) => Ok(true),
        Err(error) if is_final(&error) || !from.exists() => Err(error),
        Err(error) => {
            tracing::debug!("{} is copied in another way: {error}", from.display());
            is_refused.store(true, Ordering::Relaxed);
            Ok(false)
        }
    }
}

/// Whether copying bytes would fail for the same reason.
fn is_final(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::NotFound | io::ErrorKind::AlreadyExists | io::ErrorKind::StorageFull
    )
}

/// The access time is that of the last change as well: nobody has read the copy yet.
fn keep_time(from: &Path, to: &Path) -> io::Result<()> {
    let modified = FileTime::from_last_modification_time(&fs_err::metadata(from)?);
    filetime::set_file_times(to, modified, modified)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A source with a time of its own, and how `copy` made its copy.
    fn made(may_link: bool) -> (tempfile::TempDir, Made) {
        let directory = tempfile::tempdir().expect("there is room");
        let from = directory.path().join("from");
        fs_err::write(&from, "content").expect("written");
        filetime::set_file_mtime(&from, FileTime::from_unix_time(1_600_000_000, 123_456_789))
            .expect("set");
        let to = directory.path().join("to");
        let made = Copying::default()
            .copy(&from, &to, may_link)
            .expect("it can be copied");
        (directory, made)
    }

    #[rstest::rstest]
    fn a_copy_has_the_content_and_the_time_of_its_source(#[values(true, false)] may_link: bool) {
        let (directory, _) = made(may_link);
        let [from, to] = ["from", "to"].map(|name| directory.path().join(name));
        assert_eq!(fs_err::read(&to).expect("it is there"), b"content");
        let time = |path| {
            let metadata = fs_err::metadata(path).expect("it is there");
            FileTime::from_last_modification_time(&metadata)
        };
        assert_eq!(time(&from), time(&to));
    }

    #[test]
    fn without_leave_to_link_what_is_written_to_the_copy_stays_there() {
        let (directory, made) = made(false);
        assert_ne!(made, Made::Linked);
        fs_err::write(directory.path().join("to"), "other").expect("written");
        let from = fs_err::read(directory.path().join("from"));
        assert_eq!(from.expect("it is there"), b"content");
    }

    #[cfg(unix)]
    #[test]
    fn a_copy_can_be_executed_where_its_source_can() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().expect("there is room");
        let [from, to] = ["from", "to"].map(|name| directory.path().join(name));
        fs_err::write(&from, "content").expect("written");
        fs_err::set_permissions(&from, std::fs::Permissions::from_mode(0o755)).expect("set");
        Copying::default().copy(&from, &to, false).expect("copied");
        let mode = fs_err::metadata(&to)
            .expect("it is there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o755);
    }

    #[test]
    fn a_source_that_is_gone_is_an_error_that_names_it() {
        let directory = tempfile::tempdir().expect("there is room");
        let copying = Copying::default();
        let gone = directory.path().join("gone");
        let error = copying.copy(&gone, &directory.path().join("to"), true);
        let error = error.expect_err("there is no such file").to_string();
        assert!(error.contains("gone"), "{error}");
    }
}
