//! Putting members on the disk, below directories that were empty before.
//!
//! Files are created and never opened where one is already, so nothing that is there can be written through. No
//! file is synced: a machine that goes down takes the job with it, and what it leaves is staging.

use std::{io, path::Path, time::SystemTime};

use filetime::FileTime;

use super::error::UnpackError;

/// The access time of every file that was unpacked: one that differs has been read since.
///
/// The system moves it at the first read, as it lies before the modification time (`relatime`), unless the file
/// system keeps none.
pub const UNPACKED_ATIME: SystemTime = SystemTime::UNIX_EPOCH;

/// What a member gets once its content is there.
#[derive(Clone, Copy, Debug)]
pub(super) struct Attributes {
    /// Permissions as recorded. The owner may always write: Cargo and the next restore have to.
    #[cfg_attr(
        not(unix),
        expect(dead_code, reason = "there are no such permissions on Windows")
    )]
    pub(super) mode: u32,
    pub(super) modified: SystemTime,
}

/// Writes a whole file.
pub(super) fn write_file(
    path: &Path,
    content: &[u8],
    attributes: Attributes,
) -> Result<(), UnpackError> {
    let file = create_file(path, attributes)?;
    write_at(&file, content, 0)?;
    finish_file(&file, attributes)
}

/// Creates a file that is not there yet.
pub(super) fn create_file(
    path: &Path,
    attributes: Attributes,
) -> Result<fs_err::File, UnpackError> {
    let mut options = fs_err::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    fs_err::os::unix::fs::OpenOptionsExt::mode(&mut options, attributes.mode | 0o200);
    #[cfg(not(unix))]
    let _ = attributes;
    options
        .open(path)
        .map_err(|source| UnpackError::file("create", path, source))
}

/// Writes `content` from `offset` bytes into `file`. Several threads may write to one file at once.
pub(super) fn write_at(
    file: &fs_err::File,
    content: &[u8],
    offset: u64,
) -> Result<(), UnpackError> {
    write_all_at(file, content, offset)
        .map_err(|source| UnpackError::file("write", file.path(), source))
}

#[cfg(unix)]
fn write_all_at(file: &fs_err::File, content: &[u8], offset: u64) -> io::Result<()> {
    use fs_err::os::unix::fs::FileExt as _;
    file.write_all_at(content, offset)
}

#[cfg(windows)]
fn write_all_at(file: &fs_err::File, mut content: &[u8], mut offset: u64) -> io::Result<()> {
    use fs_err::os::windows::fs::FileExt as _;
    while !content.is_empty() {
        match file.seek_write(content, offset) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(length) => {
                content = &content[length..];
                offset += length as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Gives a file that was written its permissions and times.
pub(super) fn finish_file(file: &fs_err::File, attributes: Attributes) -> Result<(), UnpackError> {
    // The process's mask may have taken permissions away when the file was created.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let permissions = std::fs::Permissions::from_mode(attributes.mode | 0o200);
        file.set_permissions(permissions)
            .map_err(|source| UnpackError::file("set the permissions of", file.path(), source))?;
    }
    let times = std::fs::FileTimes::new()
        .set_modified(attributes.modified)
        .set_accessed(UNPACKED_ATIME);
    file.set_times(times)
        .map_err(|source| UnpackError::file("set the times of", file.path(), source))
}

/// Creates a directory whose parent is there.
pub(super) fn create_directory(path: &Path) -> Result<(), UnpackError> {
    match fs_err::create_dir(path) {
        // Two spellings of one directory, where case does not matter.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && is_directory(path) => Ok(()),
        result => result.map_err(|source| UnpackError::file("create", path, source)),
    }
}

fn is_directory(path: &Path) -> bool {
    fs_err::symlink_metadata(path).is_ok_and(|metadata| metadata.is_dir())
}

/// Gives a directory its permissions and times. Nothing may be created in it afterwards.
pub(super) fn finish_directory(path: &Path, attributes: Attributes) -> Result<(), UnpackError> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let permissions = std::fs::Permissions::from_mode(attributes.mode | 0o700);
        fs_err::set_permissions(path, permissions)
            .map_err(|source| UnpackError::file("set the permissions of", path, source))?;
    }
    let modified = FileTime::from_system_time(attributes.modified);
    filetime::set_file_times(path, modified, modified)
        .map_err(|source| UnpackError::file("set the times of", path, source))
}

/// Makes `link` another name of the file `original`.
pub(super) fn create_hard_link(
    original: &Path,
    link: &Path,
    attributes: Attributes,
) -> Result<(), UnpackError> {
    match fs_err::hard_link(original, link) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => {
            tracing::debug!("no link at {}: {error}", link.display());
            copy_instead(original, link, attributes)
        }
        result => result.map_err(|source| UnpackError::file("create the link", link, source)),
    }
}

/// Two file systems, or one without links (FAT), which every platform has another error for: a copy takes more room
/// and works as well.
fn copy_instead(original: &Path, link: &Path, attributes: Attributes) -> Result<(), UnpackError> {
    let mut from = fs_err::File::open(original)
        .map_err(|source| UnpackError::file("open", original, source))?;
    let mut to = create_file(link, attributes)?;
    io::copy(&mut from, &mut to).map_err(|source| UnpackError::file("write", link, source))?;
    finish_file(&to, attributes)?;
    // Reading has moved the access time of the original. Windows sets no times through a file that is open for reading.
    let modified = FileTime::from_system_time(attributes.modified);
    filetime::set_file_times(original, UNPACKED_ATIME.into(), modified)
        .map_err(|source| UnpackError::file("set the times of", original, source))
}

/// Creates a symlink at `link` that says `target`, which has `/` between its parts.
pub(super) fn create_symlink(
    target: &str,
    link: &Path,
    to_directory: bool,
    attributes: Attributes,
) -> Result<(), UnpackError> {
    symlink(target, link, to_directory)
        .map_err(|source| UnpackError::file("create the link", link, source))?;
    let modified = FileTime::from_system_time(attributes.modified);
    filetime::set_symlink_file_times(link, modified, modified)
        .map_err(|source| UnpackError::file("set the times of", link, source))
}

#[cfg(unix)]
fn symlink(target: &str, link: &Path, _to_directory: bool) -> io::Result<()> {
    fs_err::os::unix::fs::symlink(target, link)
}

#[cfg(windows)]
fn symlink(target: &str, link: &Path, to_directory: bool) -> io::Result<()> {
    let target = target.replace('/', "\\");
    if to_directory {
        fs_err::os::windows::fs::symlink_dir(target, link)
    } else {
        fs_err::os::windows::fs::symlink_file(target, link)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_in_place_of_a_link_leaves_both_as_if_nobody_had_read_them() {
        let directory = tempfile::tempdir().unwrap();
        let (original, link) = (directory.path().join("a"), directory.path().join("b"));
        let attributes = Attributes {
            mode: 0o644,
            modified: SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_700_000_000),
        };
        write_file(&original, b"text", attributes).unwrap();
        copy_instead(&original, &link, attributes).unwrap();
        for path in [&original, &link] {
            let found = fs_err::metadata(path).unwrap();
            assert_eq!(found.modified().unwrap(), attributes.modified);
            assert_eq!(found.accessed().unwrap(), UNPACKED_ATIME);
            assert_eq!(fs_err::read(path).unwrap(), b"text");
        }
    }

    #[test]
    fn a_link_never_takes_the_place_of_a_file() {
        let directory = tempfile::tempdir().unwrap();
        let (original, link) = (directory.path().join("a"), directory.path().join("b"));
        let attributes = Attributes {
            mode: 0o644,
            modified: SystemTime::UNIX_EPOCH,
        };
        write_file(&original, b"new", attributes).unwrap();
        write_file(&link, b"old", attributes).unwrap();
        create_hard_link(&original, &link, attributes).unwrap_err();
        copy_instead(&original, &link, attributes).unwrap_err();
        assert_eq!(fs_err::read(&link).unwrap(), b"old");
    }
}
