//! Writing an entry: aside, then one rename.
//!
//! Who creates, clears away or renames a file in `tmp` holds the store's lock. So a file there that nobody has locked
//! is one whose writer died, and never one that was created a moment ago.

use std::{
    fs::{File, TryLockError},
    io::{self, ErrorKind, Write as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use filetime::FileTime;
use tempfile::NamedTempFile;

use super::{
    DirOptions, StoreError, Upload, evict,
    layout::{Layout, entry_in},
    lock::StoreLock,
};
use crate::{
    deadline::Deadline,
    stream::{ByteSink, StreamError},
};

/// An entry that is being written. Dropping it removes what was written.
#[derive(Debug)]
pub(super) struct DirUpload {
    layout: Layout,
    scope_directory: PathBuf,
    key: String,
    max_bytes: u64,
    lock_wait: Duration,
    deadline: Deadline,
    /// `None` once a write failed: the rest would make an entry with a hole.
    file: Option<NamedTempFile>,
    written: u64,
}

impl DirUpload {
    /// Creates the file for the entry called `key`, which is to appear in `scope_directory`.
    pub(super) fn begin(
        layout: Layout,
        scope_directory: PathBuf,
        key: &str,
        options: &DirOptions,
        deadline: Deadline,
    ) -> Result<Self, StoreError> {
        layout.create()?;
        let lock = StoreLock::acquire(&layout.lock(), deadline.bound(options.lock_wait))?;
        let directory = layout.unfinished();
        let failed = |source| StoreError::of_file("create a file in", &directory, source);
        let file = create_unfinished(&directory, key).map_err(failed)?;
        file.as_file().try_lock().map_err(|error| match error {
            TryLockError::Error(source) => failed(source),
            TryLockError::WouldBlock => failed(ErrorKind::WouldBlock.into()),
        })?;
        drop(lock);
        Ok(Self {
            layout,
            scope_directory,
            key: key.to_owned(),
            max_bytes: options.max_bytes,
            lock_wait: options.lock_wait,
            deadline,
            file: Some(file),
            written: 0,
        })
    }

    fn append(&mut self, bytes: &[u8]) -> Result<(), StoreError> {
        let mut file = self.file.take().ok_or_else(|| self.incomplete())?;
        self.deadline.check()?;
        let written = self.written.saturating_add(bytes.len() as u64);
        if written > self.max_bytes {
            return Err(StoreError::TooLarge {
                limit: self.max_bytes,
            });
        }
        file.as_file_mut()
            .write_all(bytes)
            .map_err(|source| StoreError::of_file("write", file.path(), source))?;
        self.written = written;
        self.file = Some(file);
        Ok(())
    }

    fn incomplete(&self) -> StoreError {
        StoreError::Incomplete {
            key: self.key.clone(),
        }
    }
}

impl ByteSink for DirUpload {
    fn write_all(&mut self, bytes: Vec<u8>) -> Result<(), StreamError> {
        Ok(self.append(&bytes)?)
    }
}

impl Upload for DirUpload {
    fn finish(mut self: Box<Self>) -> Result<bool, StoreError> {
        let file = self.file.take().ok_or_else(|| self.incomplete())?;
        file.as_file()
            .sync_all()
            .map_err(|source| StoreError::of_file("write", file.path(), source))?;

        let lock_wait = self.deadline.bound(self.lock_wait);
        let lock = StoreLock::acquire(&self.layout.lock(), lock_wait)?;
        let destination = entry_in(&self.scope_directory, &self.key);
        fs_err::create_dir_all(&self.scope_directory)
            .map_err(|source| StoreError::of_file("create", &self.scope_directory, source))?;
        if !put_in_place(file, &destination)
            .map_err(|source| StoreError::of_file("store", &destination, source))?
        {
            return Ok(false);
        }
        sync_directory(&self.scope_directory);
        match evict::evict(&self.layout, self.max_bytes, &destination, &lock) {
            Ok(0) => {}
            Ok(evicted) => tracing::debug!("{evicted} entries were evicted to make room"),
            // The entry is stored all the same, and the next upload tries again.
            Err(error) => tracing::debug!("no room was made for the next entry: {error}"),
        }
        Ok(true)
    }
}

/// Removes the files of uploads whose processes died. Does nothing without a store, or while another process holds the
/// lock.
pub(super) fn remove_stale(layout: &Layout) -> Result<(), StoreError> {
    let directory = layout.unfinished();
    let Ok(unfinished) = fs_err::read_dir(&directory) else {
        return Ok(());
    };
    let Some(_lock) = StoreLock::try_acquire(&layout.lock())? else {
        return Ok(());
    };
    for path in unfinished.filter_map(|item| Some(item.ok()?.path())) {
        if let Err(error) = remove_if_stale(&path) {
            tracing::debug!("{} stays: {error}", path.display());
        }
    }
    Ok(())
}

fn remove_if_stale(path: &Path) -> io::Result<()> {
    let is_ours = path
        .extension()
        .is_some_and(|extension| extension == "part");
    if !is_ours || !fs_err::symlink_metadata(path)?.is_file() {
        return Ok(());
    }
    let file = fs_err::File::options().write(true).open(path)?;
    match file.try_lock() {
        Ok(()) => fs_err::remove_file(path),
        Err(TryLockError::WouldBlock) => Ok(()),
        Err(TryLockError::Error(error)) => Err(error),
    }
}

fn create_unfinished(directory: &Path, key: &str) -> io::Result<NamedTempFile> {
    let prefix = format!("{key}.");
    let mut builder = tempfile::Builder::new();
    builder.prefix(&prefix).suffix(".part");
    // Temporary files are private by default, but a store may be meant for several users: their umask decides.
    #[cfg(unix)]
    builder.permissions(std::os::unix::fs::PermissionsExt::from_mode(0o666));
    builder.tempfile_in(directory)
}

/// Gives the file its final name, if nothing has that name. Only under the store's lock.
fn put_in_place(file: NamedTempFile, destination: &Path) -> io::Result<bool> {
    stamp(file.as_file())?;
    // Windows would refuse others to read what is locked here. Under the store's lock nobody takes it for stale. What is
    // not unlocked now is so when the file is closed, at the end of this.
    if let Err(error) = file.as_file().unlock() {
        tracing::debug!("{} stays locked: {error}", destination.display());
    }
    match file.persist_noclobber(destination) {
        Ok(_) => Ok(true),
        Err(failure) if failure.error.kind() == ErrorKind::AlreadyExists => Ok(false),
        Err(failure) => Err(failure.error),
    }
}

/// Marks the entry as stored, and used, now. The system's own time stamps are coarser than two uploads may lie apart.
fn stamp(file: &File) -> io::Result<()> {
    let now = FileTime::from_system_time(SystemTime::now());
    filetime::set_file_handle_times(file, Some(now), Some(now))
}

/// Makes the new name outlive a power failure. Where a file system can't, the entry may be missing then, and never
/// broken.
#[cfg(unix)]
fn sync_directory(directory: &Path) {
    if let Err(error) = fs_err::File::open(directory).and_then(|file| file.sync_all()) {
        tracing::debug!("the new name is not on disk yet: {error}");
    }
}

/// Windows has no such thing: a rename is journalled.
#[cfg(not(unix))]
fn sync_directory(_directory: &Path) {}
