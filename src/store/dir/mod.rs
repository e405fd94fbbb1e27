//! A directory as the store: the default outside GitHub, and for self-hosted machines.
//!
//! ```text
//! <directory>/store-v1/            changes its name when a release can't read what an older one wrote
//!   CACHEDIR.TAG                   tells backup programs to leave it out
//!   lock                           held while `tmp` or `entries` change, never while bytes are moved
//!   tmp/<key>.<random>.part        entries being written; each is locked by its writer
//!   entries/<project>/<scope>/entry-<key>
//! ```
//!
//! Project and scope are [`StoredName`]s. An entry's modification time is when it was stored, which orders entries by
//! age; its access time is when it was last used, which orders them for eviction. hotcrate sets both itself, so mount
//! options don't matter.
//!
//! Invariants: an entry appears whole or not at all, by one rename that replaces nothing; no file is written to after
//! that. A process that is killed leaves at most a file in `tmp`, whose lock went with it; the next
//! [`DirStore::open`] removes it. Looking up and reading take no lock and write nothing that they could not do
//! without, so they work on read-only media. An entry that is evicted while it is read stays readable: systems that
//! can't do that refuse to remove it.

mod entry;
mod evict;
mod layout;
mod lock;
mod read;
mod upload;

#[cfg(test)]
mod contention;

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use filetime::FileTime;

pub use entry::StoredEntry;

use self::{layout::Layout, lock::StoreLock};
use super::{
    Found, ProjectIdentity, Reservation, Store, StoreError, StoredName, Upload, name::check_key,
};
use crate::{deadline::Deadline, policy::Scopes, stream::RangedSource};

/// Which directory, for whom, and within which bounds.
#[derive(Clone, Debug)]
pub struct DirOptions {
    /// The directory, absolute. It need not exist.
    pub directory: PathBuf,
    /// The project that this run belongs to.
    pub project: ProjectIdentity,
    /// The scopes that this run reads and writes.
    pub scopes: Scopes,
    /// How large all entries together may be, of every project and scope: [`DirStore::DEFAULT_MAX_BYTES`] unless set.
    pub max_bytes: u64,
    /// How long to wait for another process that holds the store's lock: [`DirStore::DEFAULT_LOCK_WAIT`] unless set.
    pub lock_wait: Duration,
}

/// A store in a directory, which many processes may use at once.
#[derive(Debug)]
pub struct DirStore {
    options: DirOptions,
    layout: Layout,
}

impl DirStore {
    /// How large a store may become unless told otherwise: 10 GiB.
    pub const DEFAULT_MAX_BYTES: u64 = 10 * 1024 * 1024 * 1024;

    /// How long to wait for the lock unless told otherwise. It is held for as long as it takes to list the store.
    pub const DEFAULT_LOCK_WAIT: Duration = Duration::from_secs(15);

    /// Opens the store, and removes what killed processes left in it. Creates nothing: that is for the first upload.
    ///
    /// Fails if something else than a directory is in the way.
    pub fn open(options: DirOptions) -> Result<Self, StoreError> {
        let layout = Layout::below(&options.directory);
        for directory in [options.directory.as_path(), layout.base()] {
            if fs_err::metadata(directory).is_ok_and(|metadata| !metadata.is_dir()) {
                return Err(StoreError::File {
                    step: format!("use {} as a store", directory.display()),
                    source: std::io::ErrorKind::NotADirectory.into(),
                });
            }
        }
        if let Err(error) = upload::remove_stale(&layout) {
            tracing::debug!("unfinished entries were not cleared away: {error}");
        }
        Ok(Self { options, layout })
    }

    /// All entries of the store, of every project and scope that this process may see, in the order of their names.
    pub fn entries(&self) -> Result<Vec<StoredEntry>, StoreError> {
        entry::list(&self.layout)
    }

    /// Removes an entry. `Ok(false)`: it was gone already.
    pub fn remove(&self, entry: &StoredEntry) -> Result<bool, StoreError> {
        let path = self
            .layout
            .entry(&entry.project, &entry.scope, entry.key.as_str());
        self.remove_file(&path)
    }

    fn remove_file(&self, path: &Path) -> Result<bool, StoreError> {
        if !self.layout.entries().is_dir() {
            return Ok(false);
        }
        let lock = StoreLock::acquire(&self.layout.lock(), self.options.lock_wait)?;
        evict::remove(&self.layout, path, &lock)
            .map_err(|source| StoreError::of_file("remove", path, source))
    }

    fn find(
        &self,
        key: &str,
        restore_keys: &[String],
        deadline: Deadline,
    ) -> Result<Option<Found>, StoreError> {
        check_key(key)?;
        restore_keys.iter().try_for_each(|key| check_key(key))?;
        for scope in self.options.scopes.readable() {
            deadline.check()?;
            let directory = self.scope_directory(scope.as_str());
            if let Some(found) = look_up_in(&directory, key, restore_keys)? {
                return Ok(Some(Found {
                    key: found,
                    scope: scope.as_str().to_owned(),
                }));
            }
        }
        Ok(None)
    }

    fn scope_directory(&self, scope: &str) -> PathBuf {
        let project = StoredName::of(self.options.project.as_str());
        self.layout.scope(&project, &StoredName::of(scope))
    }
}

impl Store for DirStore {
    fn describe(&self) -> String {
        format!("directory {}", self.options.directory.display())
    }

    fn look_up(
        &self,
        key: &str,
        restore_keys: &[String],
        deadline: Deadline,
    ) -> Result<Option<Found>, StoreError> {
        let found = self.find(key, restore_keys, deadline)?;
        if let Some(found) = &found {
            let directory = self.scope_directory(&found.scope);
            mark_used(&layout::entry_in(&directory, &found.key));
        }
        Ok(found)
    }

    fn peek(&self, prefix: &str, deadline: Deadline) -> Result<Option<Found>, StoreError> {
        self.find(prefix, &[], deadline)
    }

    fn open(&self, found: &Found, deadline: Deadline) -> Result<Box<dyn RangedSource>, StoreError> {
        check_key(&found.key)?;
        let path = layout::entry_in(&self.scope_directory(&found.scope), &found.key);
        let file = read::EntryFile::open(&path, &found.key, deadline)?;
        Ok(Box::new(file))
    }

    fn discard(&self, found: &Found) -> Result<bool, StoreError> {
        check_key(&found.key)?;
        let own = self.options.scopes.own();
        if found.scope == own.as_str() {
            let path = layout::entry_in(&self.scope_directory(own.as_str()), &found.key);
            self.remove_file(&path)?;
        }
        Ok(true)
    }

    fn begin(&self, key: &str, deadline: Deadline) -> Result<Reservation, StoreError> {
        check_key(key)?;
        let directory = self.scope_directory(self.options.scopes.own().as_str());
        let path = layout::entry_in(&directory, key);
        if fs_err::symlink_metadata(&path).is_ok() {
            renew(&path);
            return Ok(Reservation::Taken);
        }
        let options = &self.options;
        let upload =
            upload::DirUpload::begin(self.layout.clone(), directory, key, options, deadline)?;
        Ok(Reservation::Granted(Box::new(upload) as Box<dyn Upload>))
    }
}

/// The key of the entry in the directory of one scope that answers: `key` itself, else the newest of its prefix, else
/// the newest of each restore key in turn.
fn look_up_in(
    directory: &Path,
    key: &str,
    restore_keys: &[String],
) -> Result<Option<String>, StoreError> {
    let stored = entry::keys_in(directory)?;
    let exact = stored.iter().filter(|stored| *stored == key);
    if let Some(found) = newest(directory, exact) {
        return Ok(Some(found));
    }
    let prefixes = std::iter::once(key).chain(restore_keys.iter().map(String::as_str));
    let mut answers = prefixes.filter_map(|prefix| {
        let matching = stored.iter().filter(|stored| stored.starts_with(prefix));
        newest(directory, matching)
    });
    Ok(answers.next())
}

/// The one of `keys` that was stored last. Entries that were evicted since the directory was listed don't count.
fn newest<'key>(directory: &Path, keys: impl Iterator<Item = &'key String>) -> Option<String> {
    keys.filter_map(|key| {
        let metadata = fs_err::symlink_metadata(layout::entry_in(directory, key)).ok()?;
        let stored_at = metadata.modified().ok().filter(|_| metadata.is_file())?;
        Some((stored_at, key))
    })
    .max()
    .map(|(_, key)| key.clone())
}

/// Makes the entry at `path` the newest: it is what a job would store now. Otherwise a poorer one that came later would
/// answer for ever.
fn renew(path: &Path) {
    let now = FileTime::from_system_time(SystemTime::now());
    if let Err(error) = filetime::set_file_times(path, now, now) {
        tracing::debug!("{} was not renewed: {error}", path.display());
    }
}

/// Remembers that the entry at `path` was used now, for eviction. Where that can't be written nothing is evicted
/// either.
fn mark_used(path: &Path) {
    let now = FileTime::from_system_time(SystemTime::now());
    if let Err(error) = filetime::set_file_atime(path, now) {
        tracing::debug!("the use of {} was not noted: {error}", path.display());
    }
}

#[cfg(test)]
mod tests;
