//! The lock of a bucket: who holds it is the only one of hotcrate's processes that builds in it, fills it or removes it.
//!
//! The file lies beside the bucket and is never removed, so that whoever waits for it waits for the same one as all
//! others. Where a file system has no locks there is none to hold: Cargo then has none either.

use std::{
    fs::TryLockError,
    io,
    path::{Path, PathBuf},
};

/// Why a lock could not be asked for.
#[derive(Debug, thiserror::Error)]
#[error("failed to lock {}", path.display())]
pub struct LockError {
    /// The lock's file.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// Held for as long as the value lives; the system lets it go if the process dies.
#[derive(Debug)]
#[must_use = "the lock is let go when this is dropped"]
pub struct BucketLock {
    _file: fs_err::File,
}

impl BucketLock {
    /// Takes the lock in the file at `path`, if nobody holds it. Directories that are missing are made.
    pub fn try_take(path: &Path) -> Result<Option<Self>, LockError> {
        let file = open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                Ok(Some(Self { _file: file }))
            }
            Err(TryLockError::Error(source)) => Err(failed(path)(source)),
        }
    }

    /// Takes the lock, and waits for whoever holds it: a build, which may take long. `waiting` is called before that.
    pub fn take(path: &Path, waiting: impl FnOnce()) -> Result<Self, LockError> {
        if let Some(lock) = Self::try_take(path)? {
            return Ok(lock);
        }
        waiting();
        let file = open(path)?;
        file.lock().map_err(failed(path))?;
        Ok(Self { _file: file })
    }
}

fn failed(path: &Path) -> impl Fn(io::Error) -> LockError {
    move |source| LockError {
        path: path.to_owned(),
        source,
    }
}

fn open(path: &Path) -> Result<fs_err::File, LockError> {
    if let Some(parent) = path.parent() {
        fs_err::create_dir_all(parent).map_err(failed(path))?;
    }
    fs_err::File::options()
        .create(true)
        .write(true)
        .truncate(false)
        .open(path)
        .map_err(failed(path))
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[test]
    fn a_second_taker_is_told_and_waits_until_the_first_lets_go() {
        let directory = tempfile::tempdir().expect("there is room");
        let path = directory.path().join("project/shared.lock");
        let first = BucketLock::try_take(&path).expect("it can be made");
        assert!(first.is_some());
        assert!(BucketLock::try_take(&path).expect("it is there").is_none());
        let (told, hear) = mpsc::channel();
        let second = std::thread::spawn({
            let path = path.clone();
            move || BucketLock::take(&path, || told.send(()).expect("somebody hears")).is_ok()
        });
        hear.recv().expect("it has to wait");
        drop(first);
        assert!(second.join().expect("it comes to its end"));
    }
}
