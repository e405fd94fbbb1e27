//! Staging directories: where an entry is unpacked before anything of it counts.
//!
//! A staging directory lies inside its root if that exists, and else in the nearest directory above it that does: in
//! either case moving from the one to the other is a rename within one file system.
//!
//! ```text
//! .hotcrate-stage-<process>-<time>/
//!     lock         held as long as the process lives
//!     .gitignore   `*`
//!     tree/        what is unpacked; the only thing that is ever moved out
//! ```
//!
//! Invariant: a staging directory whose lock can be taken belongs to nobody. A process that dies leaves its directory
//! behind, unlocked, and the next run removes it.

use std::{
    fs::TryLockError,
    io,
    path::{Path, PathBuf},
    process,
    time::{SystemTime, UNIX_EPOCH},
};

use fs_err as fs;

use super::{PlaceError, unrecorded};

/// How the names of all staging directories begin.
pub const STAGING_PREFIX: &str = ".hotcrate-stage-";

const LOCK_FILE: &str = "lock";
const TREE: &str = "tree";

/// How often a directory is made anew if another process takes it for stale before it is locked.
const ATTEMPTS: u32 = 16;

/// A fresh directory to unpack into; removed with all that is still in it when dropped.
#[derive(Debug)]
pub struct Staging {
    root: PathBuf,
    directory: PathBuf,
    tree: PathBuf,
    /// `None` where the file system has no locks, and once the directory is being removed.
    lock: Option<fs::File>,
}

/// What is found at the place of a root.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum RootState {
    /// A directory, with links resolved.
    Present(PathBuf),
    /// Nothing; `parent` is the nearest directory above it that exists.
    Absent { parent: PathBuf },
}

impl Staging {
    /// Makes a staging directory for `for_root`, an absolute path: inside it if it is a directory or a link to one,
    /// else in the nearest directory above it.
    pub fn create(for_root: &Path) -> Result<Self, PlaceError> {
        let (root, parent) = match root_state(for_root)? {
            RootState::Present(root) => (root.clone(), root),
            RootState::Absent { parent } => (for_root.to_owned(), parent),
        };
        let (directory, lock) = make_locked(&parent)?;
        // From here on, dropping `staging` cleans up.
        let staging = Self {
            tree: directory.join(TREE),
            root,
            directory,
            lock,
        };
        let ignore = staging.directory.join(".gitignore");
        fs::write(&ignore, "*\n").map_err(PlaceError::file("write", ignore))?;
        fs::create_dir(&staging.tree).map_err(PlaceError::file("create", &staging.tree))?;
        Ok(staging)
    }

    /// The directory to unpack into: what lies below it goes to the same path below [`Staging::root`].
    pub fn path(&self) -> &Path {
        &self.tree
    }

    /// The root that this staging directory is for; if it was a link, what the link leads to.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A path for a file that is written aside, on the same file system as the root and never placed with the tree.
    pub(super) fn aside(&self, name: &str) -> PathBuf {
        self.directory.join(format!("aside-{name}"))
    }

    /// A path for a file of hotcrate's own that goes with the directory.
    pub(super) fn beside(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if let Err(error) = dispose(&self.directory, self.lock.take()) {
            // The next run tries again.
            tracing::debug!("failed to remove {}: {error}", self.directory.display());
        }
    }
}

/// Removes the staging directories of dead processes for `root`, an absolute path, and returns how many they were.
///
/// A directory of a living process, of this one included, stays. So do directories on a file system without locks,
/// and those that cannot be removed.
pub fn remove_stale(root: &Path) -> Result<usize, PlaceError> {
    let mut removed = 0;
    for directory in staging_parents(root)? {
        let entries = fs::read_dir(&directory).map_err(PlaceError::file("list", &directory))?;
        for entry in entries.flatten() {
            let is_ours = entry
                .file_name()
                .to_str()
                .is_some_and(|name| name.starts_with(STAGING_PREFIX));
            let is_directory = entry.file_type().is_ok_and(|kind| kind.is_dir());
            if is_ours && is_directory && remove_if_stale(&entry.path()) {
                removed += 1;
            }
        }
    }
    Ok(removed)
}

/// Where staging directories for `root` can lie: in it, or, from a time when it was absent, above it.
fn staging_parents(root: &Path) -> Result<Vec<PathBuf>, PlaceError> {
    Ok(match root_state(root)? {
        RootState::Present(resolved) => {
            let above = root.parent().map(Path::to_owned);
            std::iter::once(resolved).chain(above).collect()
        }
        RootState::Absent { parent } => vec![parent],
    })
}

fn remove_if_stale(directory: &Path) -> bool {
    let lock_file = directory.join(LOCK_FILE);
    let Ok(lock) = fs::File::options().read(true).write(true).open(&lock_file) else {
        // Killed before the lock was made, or after it was removed: then the directory is empty. If its maker is only
        // just at work, it notices and makes another.
        return fs::remove_dir(directory).is_ok();
    };
    match lock.try_lock() {
        // The file may have been removed, and its lock let go, between opening and locking.
        Ok(()) if lock_file.exists() => unrecorded::take_back(directory)
            .and_then(|()| dispose(directory, Some(lock)))
            .is_ok(),
        Ok(()) | Err(_) => false,
    }
}

/// Makes a directory in `parent` and takes the lock in it.
fn make_locked(parent: &Path) -> Result<(PathBuf, Option<fs::File>), PlaceError> {
    let mut last_error = None;
    for attempt in 0..ATTEMPTS {
        let directory = parent.join(fresh_name(attempt));
        match fs::create_dir(&directory) {
            Ok(()) => {}
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                last_error = Some(error);
                continue;
            }
            Err(error) => return Err(PlaceError::file("create", directory)(error)),
        }
        match take_lock(&directory) {
            Ok(lock) => return Ok((directory, lock)),
            // Somebody cleaned up right behind us.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::WouldBlock
                ) =>
            {
                last_error = Some(error);
            }
            Err(error) => {
                let failure = PlaceError::file("lock", &directory)(error);
                // It is ours and nearly empty; if it cannot be removed, the failure above says more than this one.
                dispose(&directory, None).ok();
                return Err(failure);
            }
        }
    }
    let error = last_error.unwrap_or_else(|| io::ErrorKind::AlreadyExists.into());
    Err(PlaceError::file("create a staging directory in", parent)(
        error,
    ))
}

/// Makes and takes the lock of a new staging directory. `Ok(None)`: there are no locks here.
fn take_lock(directory: &Path) -> io::Result<Option<fs::File>> {
    let path = directory.join(LOCK_FILE);
    let lock = fs::File::create_new(&path)?;
    match lock.try_lock() {
        Ok(()) if path.exists() => Ok(Some(lock)),
        Ok(()) => Err(io::ErrorKind::NotFound.into()),
        Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
        Err(TryLockError::Error(error)) if super::locks::is_unsupported(&error) => Ok(None),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

/// Removes a staging directory, what it holds first and its lock last, so that a kill in between leaves it stale and
/// not ownerless.
fn dispose(directory: &Path, lock: Option<fs::File>) -> io::Result<()> {
    let lock_file = directory.join(LOCK_FILE);
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let path = entry.path();
        if path == lock_file {
            continue;
        }
        if entry.file_type()?.is_dir() {
            remove_tree(&path)?;
        } else {
            fs::remove_file(&path)?;
        }
    }
    // Windows removes no file that is open.
    drop(lock);
    match fs::remove_file(&lock_file) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    fs::remove_dir(directory)
}

/// Removes a directory with all that it holds, directories included that were restored without write permission.
pub(super) fn remove_tree(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            make_writable(path);
            fs::remove_dir_all(path)
        }
        result => result,
    }
}

#[cfg(unix)]
fn make_writable(path: &Path) {
    use std::os::unix::fs::PermissionsExt as _;

    // Top-down: a directory is listed only after it was made readable.
    for entry in walkdir::WalkDir::new(path).into_iter().flatten() {
        if entry.file_type().is_dir() {
            fs::set_permissions(entry.path(), std::fs::Permissions::from_mode(0o700)).ok();
        }
    }
}

#[cfg(not(unix))]
fn make_writable(_path: &Path) {}

/// A name that no other process makes: other machines that share the directory differ in the time.
fn fresh_name(attempt: u32) -> String {
    let nanoseconds = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |elapsed| elapsed.as_nanos());
    format!(
        "{STAGING_PREFIX}{}-{nanoseconds:x}-{attempt}",
        process::id()
    )
}

/// Looks at a root without touching it.
pub(super) fn root_state(root: &Path) -> Result<RootState, PlaceError> {
    if !root.is_absolute() {
        return Err(PlaceError::NotAbsolute {
            path: root.to_owned(),
        });
    }
    if let Some(present) = resolved_directory(root)? {
        return Ok(RootState::Present(present));
    }
    for above in root.ancestors().skip(1) {
        if let Some(parent) = resolved_directory(above)? {
            return Ok(RootState::Absent { parent });
        }
    }
    Err(PlaceError::NotDirectory {
        path: root.to_owned(),
    })
}

/// The directory at `path`, or that a link there leads to; `None` if there is nothing.
fn resolved_directory(path: &Path) -> Result<Option<PathBuf>, PlaceError> {
    let look = |error: io::Error| PlaceError::file("look at", path)(error);
    let own = match fs::symlink_metadata(path) {
        Ok(own) => own,
        // Below a file there is nothing: which file is in the way is found on the way up.
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok(None);
        }
        Err(error) => return Err(look(error)),
    };
    if own.is_dir() {
        return Ok(Some(path.to_owned()));
    }
    let path = path.to_owned();
    if !own.is_symlink() {
        return Err(PlaceError::NotDirectory { path });
    }
    match fs::canonicalize(&path) {
        Ok(resolved) if resolved.is_dir() => Ok(Some(resolved)),
        Ok(_) => Err(PlaceError::NotDirectory { path }),
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            Err(PlaceError::DanglingLink { path })
        }
        Err(error) => Err(look(error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn staging_directories(parent: &Path) -> usize {
        fs::read_dir(parent)
            .unwrap()
            .filter(|entry| {
                let name = entry.as_ref().unwrap().file_name();
                name.to_str().unwrap().starts_with(STAGING_PREFIX)
            })
            .count()
    }

    #[test]
    fn staging_lies_inside_a_root_that_exists() {
        let root = tempfile::tempdir().unwrap();
        let staging = Staging::create(root.path()).unwrap();
        assert_eq!(
            staging.path().parent().unwrap().parent().unwrap(),
            root.path()
        );
        assert_eq!(staging.root(), root.path());
    }

    #[test]
    fn staging_for_an_absent_root_lies_in_the_nearest_directory_above() {
        let project = tempfile::tempdir().unwrap();
        let root = project.path().join("nested/target");
        let staging = Staging::create(&root).unwrap();
        assert!(staging.path().starts_with(project.path()));
        assert!(!project.path().join("nested").exists());
        assert_eq!(staging.root(), root);
    }

    #[test]
    fn git_sees_nothing_of_staging_and_the_tree_holds_nothing_but_what_is_unpacked() {
        let root = tempfile::tempdir().unwrap();
        let staging = Staging::create(root.path()).unwrap();
        let ignore = staging.path().parent().unwrap().join(".gitignore");
        assert_eq!(fs::read_to_string(ignore).unwrap(), "*\n");
        assert_eq!(fs::read_dir(staging.path()).unwrap().count(), 0);
    }

    #[test]
    fn a_dropped_staging_is_gone_with_what_it_held() {
        let root = tempfile::tempdir().unwrap();
        let staging = Staging::create(root.path()).unwrap();
        fs::create_dir(staging.path().join("debug")).unwrap();
        fs::write(staging.path().join("debug/file"), "x").unwrap();
        drop(staging);
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[test]
    fn staging_of_the_living_is_left_alone() {
        let root = tempfile::tempdir().unwrap();
        let staging = Staging::create(root.path()).unwrap();
        assert_eq!(remove_stale(root.path()).unwrap(), 0);
        assert!(staging.path().exists());
    }

    #[rstest::rstest]
    #[case::killed_while_unpacking(&["lock", ".gitignore", "tree"])]
    #[case::killed_while_locking(&["lock"])]
    #[case::killed_before_locking(&[])]
    fn staging_of_the_dead_is_removed(#[case] holds: &[&str]) {
        let root = tempfile::tempdir().unwrap();
        let dead = root.path().join(format!("{STAGING_PREFIX}1-2-3"));
        fs::create_dir(&dead).unwrap();
        for name in holds {
            fs::write(dead.join(name), "").unwrap();
        }
        fs::write(root.path().join(".hotcrate-other"), "").unwrap();
        assert_eq!(remove_stale(root.path()).unwrap(), 1);
        assert_eq!(staging_directories(root.path()), 0);
        assert!(root.path().join(".hotcrate-other").exists());
    }

    #[test]
    fn staging_beside_a_root_that_was_absent_then_is_found_again() {
        let project = tempfile::tempdir().unwrap();
        let root = project.path().join("target");
        let dead = project.path().join(format!("{STAGING_PREFIX}1-2-3"));
        fs::create_dir(&dead).unwrap();
        fs::write(dead.join("lock"), "").unwrap();
        fs::create_dir(&root).unwrap();
        assert_eq!(remove_stale(&root).unwrap(), 1);
        assert_eq!(staging_directories(project.path()), 0);
    }

    #[cfg(unix)]
    #[test]
    fn a_root_that_is_a_link_to_a_directory_is_followed() {
        let project = tempfile::tempdir().unwrap();
        let elsewhere = tempfile::tempdir().unwrap();
        let root = project.path().join("target");
        fs::os::unix::fs::symlink(elsewhere.path(), &root).unwrap();
        let staging = Staging::create(&root).unwrap();
        let real = fs::canonicalize(elsewhere.path()).unwrap();
        assert_eq!(staging.root(), real);
        assert!(staging.path().starts_with(&real));
    }

    #[cfg(unix)]
    #[test]
    fn a_root_that_is_a_link_to_nothing_is_refused() {
        let project = tempfile::tempdir().unwrap();
        let root = project.path().join("target");
        fs::os::unix::fs::symlink("nowhere", &root).unwrap();
        assert!(matches!(
            Staging::create(&root),
            Err(PlaceError::DanglingLink { path }) if path == root
        ));
    }

    #[test]
    fn a_file_where_the_root_should_be_or_above_it_is_refused() {
        let project = tempfile::tempdir().unwrap();
        let file = project.path().join("target");
        fs::write(&file, "").unwrap();
        for root in [file.clone(), file.join("below")] {
            assert!(matches!(
                Staging::create(&root),
                Err(PlaceError::NotDirectory { path }) if path == file
            ));
        }
    }

    #[test]
    fn a_relative_root_is_refused() {
        assert!(matches!(
            Staging::create(Path::new("target")),
            Err(PlaceError::NotAbsolute { .. })
        ));
    }
}
