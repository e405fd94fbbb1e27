//! File systems of a few bytes, where the tests may mount any.

use std::path::{Path, PathBuf};

use fs_err as fs;
use hotcrate::process::user_command;

use super::interop::say_skipped;

/// A file system of a few bytes. Unmounted when dropped.
pub(crate) struct SmallDisk(PathBuf);

impl SmallDisk {
    /// Mounts `bytes` of memory at `at`; says so and gives up where this is not allowed.
    pub(crate) fn mount(at: PathBuf, bytes: u64) -> Option<Self> {
        fs::create_dir_all(&at).unwrap();
        let mounted = user_command("mount".as_ref())
            .args(["-t", "tmpfs", "-o", &format!("size={bytes}"), "tmpfs"])
            .arg(&at)
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self(at)),
            refused => {
                say_skipped(&format!(
                    "a file system needs the right to mount: {refused:?}"
                ));
                None
            }
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        let unmounted = user_command("umount".as_ref()).arg(&self.0).status();
        assert!(unmounted.is_ok_and(|status| status.success()) || std::thread::panicking());
    }
}

/// Writes `bytes` of nothing.
pub(crate) fn fill(directory: &Path, bytes: u64) {
    let zeroes = vec![0; usize::try_from(bytes).unwrap()];
    fs::write(directory.join("filler"), zeroes).unwrap();
}
