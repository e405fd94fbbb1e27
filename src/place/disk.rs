//! How much room a file system has.
//!
//! Asked before unpacking. Where the answer cannot be had, there is none, and unpacking goes on: running out of room
//! is then found out by failing, which leaves what was there before.

use std::path::Path;

/// Bytes that an unprivileged process may still write to the file system of `path`, or of the closest directory above
/// it that exists. `None` where that cannot be told.
pub fn free_bytes(path: &Path) -> Option<u64> {
    path.ancestors().find_map(free_bytes_of)
}

#[cfg(unix)]
fn free_bytes_of(directory: &Path) -> Option<u64> {
    let facts = rustix::fs::statvfs(directory).ok()?;
    facts.f_bavail.checked_mul(facts.f_frsize)
}

#[cfg(windows)]
fn free_bytes_of(directory: &Path) -> Option<u64> {
    fs4::available_space(directory).ok()
}

#[cfg(not(any(unix, windows)))]
fn free_bytes_of(_directory: &Path) -> Option<u64> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_that_does_not_exist_yet_has_the_room_of_the_directory_above_it() {
        let directory = tempfile::tempdir().unwrap();
        let free = free_bytes(&directory.path().join("not/there/yet"));
        assert!(free.is_some_and(|bytes| bytes > 0));
    }

    #[cfg(unix)]
    #[test]
    fn a_file_system_without_room_says_so() {
        // procfs reports no blocks at all.
        if Path::new("/proc/self").exists() {
            assert_eq!(free_bytes(Path::new("/proc/self")), Some(0));
        }
    }
}
