//! Cargo's own advisory locks, held while a directory that Cargo works in is packed or added to.
//!
//! What Cargo locks (rust-lang/cargo, `compiler/layout.rs`, `util/flock.rs`, `util/cache_lock.rs`):
//! - a profile directory: up to 1.9x `.cargo-lock`, exclusively; later `.cargo-build-lock` and `.cargo-artifact-lock`
//!   exclusively and `.cargo-lock` shared. All three are taken exclusively here: that keeps out Cargos of either kind,
//!   also where the build directory is not the target directory.
//! - CARGO_HOME: `.package-cache` exclusively while it downloads, and also while it collects garbage, which takes
//!   `.package-cache-mutate` besides. The former alone therefore keeps out everything that adds or removes files, and
//!   lets builds that only read go on.
//!
//! Invariant: waiting is bounded, and what was locked is let go when it runs out; so no order of locks can deadlock.
//! Where a file system has no locks, or the lock file cannot be made, there is none to take and work goes on: so does
//! Cargo's.

use std::{
    fs::TryLockError,
    io,
    path::{Path, PathBuf},
    thread,
    time::{Duration, Instant},
};

use fs_err as fs;

use super::PlaceError;
use crate::archive::path::RelativePath;

/// The files that Cargo locks in a profile directory, in Cargo's order.
const PROFILE_LOCKS: [&str; 3] = [".cargo-build-lock", ".cargo-lock", ".cargo-artifact-lock"];

/// The file that Cargo locks while it downloads.
const CARGO_HOME_LOCK: &str = ".package-cache";

/// The first and the longest pause between two attempts. Locks can't be waited for with a limit, hence polling.
const FIRST_PAUSE: Duration = Duration::from_millis(5);
const LONGEST_PAUSE: Duration = Duration::from_millis(200);

/// A directory that Cargo guards with locks.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LockPlace {
    /// CARGO_HOME, against downloads.
    CargoHome(PathBuf),
    /// A profile directory, against builds.
    Profile {
        /// The target directory, absolute.
        root: PathBuf,
        /// The profile directory, relative to it: `debug`, `x86_64-unknown-linux-musl/release`.
        profile: RelativePath,
    },
}

/// Locks of Cargo's that are held until this is dropped.
#[derive(Debug, Default)]
#[must_use = "locks are let go when this is dropped"]
pub struct CargoLocks {
    held: Vec<fs::File>,
}

impl CargoLocks {
    /// Takes the locks of all `places`, each once, waiting no longer than `wait` for all of them together.
    ///
    /// A root that is absent has no locks. In a root that exists, a missing lock file is made, and a missing profile
    /// directory with it, as Cargo does: a Cargo that starts now then waits for us.
    ///
    /// Fails with [`PlaceError::Locked`] when the time is up.
    pub fn hold(places: &[LockPlace], wait: Duration) -> Result<Self, PlaceError> {
        let files = lock_files(places)?;
        Self::hold_files(&files, wait)
    }

    /// Takes exclusive locks on `files`, which are made if they are missing; their directories are not.
    pub(super) fn hold_files(files: &[PathBuf], wait: Duration) -> Result<Self, PlaceError> {
        let deadline = Instant::now() + wait;
        let mut held = Vec::new();
        for path in files {
            held.extend(lock_before(path, deadline, wait)?);
        }
        Ok(Self { held })
    }

    /// The open file whose lock is held for `path`, if there is one. On Windows only this handle can read the file.
    pub(super) fn file_mut(&mut self, path: &Path) -> Option<&mut fs::File> {
        self.held.iter_mut().find(|file| file.path() == path)
    }
}

/// The lock files of all places, sorted, each once: a lock is not shared even within this process.
fn lock_files(places: &[LockPlace]) -> Result<Vec<PathBuf>, PlaceError> {
    let mut files = Vec::new();
    for place in places {
        let (root, below, names): (_, _, &[&str]) = match place {
            LockPlace::CargoHome(home) => (home, None, &[CARGO_HOME_LOCK]),
            LockPlace::Profile { root, profile } => (root, Some(profile), &PROFILE_LOCKS),
        };
        // Two names of one directory must not lock each other out.
        let Ok(root) = fs::canonicalize(root) else {
            continue;
        };
        let directory = below.map_or_else(|| root.clone(), |profile| profile.below(&root));
        if !directory.exists() {
            fs::create_dir_all(&directory).map_err(PlaceError::file("create", &directory))?;
        }
        files.push(names.iter().map(|name| directory.join(name)).collect());
    }
    files.sort();
    files.dedup();
    // Sorted by directory only: within one, Cargo's order stays.
    Ok(files.into_iter().flat_map(|names: Vec<_>| names).collect())
}

/// The locked file, or `None` where there is nothing to lock.
fn lock_before(
    path: &Path,
    deadline: Instant,
    wait: Duration,
) -> Result<Option<fs::File>, PlaceError> {
    if is_nfs(path) {
        return Ok(None);
    }
    let opened = fs::File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path);
    let file = match opened {
        Ok(file) => file,
        Err(error) if cannot_write(&error) => return Ok(None),
        Err(error) => return Err(PlaceError::file("open", path)(error)),
    };
    let mut pause = FIRST_PAUSE;
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::Error(error)) if is_unsupported(&error) => return Ok(None),
            Err(TryLockError::Error(error)) => return Err(PlaceError::file("lock", path)(error)),
            Err(TryLockError::WouldBlock) => {}
        }
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(PlaceError::Locked {
                path: path.to_owned(),
                waited: wait,
            });
        }
        thread::sleep(pause.min(left));
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Whether there are no locks to be had where this error came from.
pub(super) fn is_unsupported(error: &io::Error) -> bool {
    // ENOLCK is what a network file system without a lock service answers.
    #[cfg(unix)]
    if error.raw_os_error() == Some(rustix::io::Errno::NOLCK.raw_os_error()) {
        return true;
    }
    error.kind() == io::ErrorKind::Unsupported
}

fn cannot_write(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem
    )
}

/// Whether `path` lies on NFS, where even an attempt to lock can block for ever (rust-lang/cargo#2615).
#[cfg(target_os = "linux")]
fn is_nfs(path: &Path) -> bool {
    path.parent()
        .and_then(|directory| rustix::fs::statfs(directory).ok())
        .is_some_and(|facts| facts.f_type == rustix::fs::NFS_SUPER_MAGIC)
}

#[cfg(not(target_os = "linux"))]
fn is_nfs(_path: &Path) -> bool {
    false
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    fn profile(root: &Path) -> LockPlace {
        LockPlace::Profile {
            root: root.to_owned(),
            profile: RelativePath::new("debug").unwrap(),
        }
    }

    #[rstest::rstest]
    #[case(".cargo-lock")]
    #[case(".cargo-build-lock")]
    #[case(".cargo-artifact-lock")]
    fn a_building_cargo_of_either_layout_keeps_us_out(#[case] name: &str) {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("debug")).unwrap();
        let lock = fs::File::create(root.path().join("debug").join(name)).unwrap();
        lock.lock().unwrap();
        let error = CargoLocks::hold(&[profile(root.path())], Duration::ZERO).unwrap_err();
        assert!(matches!(error, PlaceError::Locked { path, .. } if path.ends_with(name)));
    }

    #[test]
    fn a_cargo_that_holds_its_lock_shared_keeps_us_out() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir(root.path().join("debug")).unwrap();
        let lock = fs::File::create(root.path().join("debug/.cargo-lock")).unwrap();
        lock.lock_shared().unwrap();
        assert!(CargoLocks::hold(&[profile(root.path())], Duration::ZERO).is_err());
    }

    #[test]
    fn we_keep_cargo_out_until_dropped() {
        let home = tempfile::tempdir().unwrap();
        let locks =
            CargoLocks::hold(&[LockPlace::CargoHome(home.path().into())], Duration::ZERO).unwrap();
        let of_cargo = fs::File::open(home.path().join(".package-cache")).unwrap();
        assert!(matches!(of_cargo.try_lock(), Err(TryLockError::WouldBlock)));
        drop(locks);
        of_cargo.try_lock().unwrap();
    }

    #[test]
    fn a_lock_that_is_let_go_in_time_is_taken() {
        let home = tempfile::tempdir().unwrap();
        let place = LockPlace::CargoHome(home.path().into());
        let first = CargoLocks::hold(std::slice::from_ref(&place), Duration::ZERO).unwrap();
        let (started, wait_for_start) = mpsc::channel();
        let waiter = thread::spawn(move || {
            started.send(()).unwrap();
            CargoLocks::hold(&[place], Duration::from_mins(1)).is_ok()
        });
        wait_for_start.recv().unwrap();
        drop(first);
        assert!(waiter.join().unwrap());
    }

    #[test]
    fn an_absent_root_stays_absent_and_has_no_locks() {
        let project = tempfile::tempdir().unwrap();
        let root = project.path().join("target");
        let places = [profile(&root), LockPlace::CargoHome(root.clone())];
        let locks = CargoLocks::hold(&places, Duration::ZERO).unwrap();
        assert!(locks.held.is_empty());
        assert!(!root.exists());
    }

    #[test]
    fn a_place_named_twice_is_locked_once() {
        let root = tempfile::tempdir().unwrap();
        let same = root.path().join(".");
        let places = [profile(root.path()), profile(&same), profile(root.path())];
        let locks = CargoLocks::hold(&places, Duration::ZERO).unwrap();
        assert_eq!(locks.held.len(), PROFILE_LOCKS.len());
    }

    #[test]
    fn a_file_system_without_locks_is_no_error() {
        assert!(is_unsupported(&io::ErrorKind::Unsupported.into()));
        assert!(!is_unsupported(&io::ErrorKind::WouldBlock.into()));
    }
}
