//! The lock of a store, which processes hold while they change what others list.

use std::{
    fs::TryLockError,
    path::Path,
    time::{Duration, Instant},
};

use super::StoreError;

/// How long to wait between two attempts: at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_millis(2);
const LONGEST_PAUSE: Duration = Duration::from_millis(100);

/// Held for as long as the value lives; the system releases it if the process dies.
#[derive(Debug)]
pub(super) struct StoreLock {
    _file: fs_err::File,
}

impl StoreLock {
    /// Takes the lock at `path`, waiting up to `wait` for another process. The directory must exist.
    pub(super) fn acquire(path: &Path, wait: Duration) -> Result<Self, StoreError> {
        let begun = Instant::now();
        let mut pause = FIRST_PAUSE;
        loop {
            if let Some(lock) = Self::try_acquire(path)? {
                return Ok(lock);
            }
            let left = wait.saturating_sub(begun.elapsed());
            if left.is_zero() {
                return Err(StoreError::Locked {
                    path: path.to_owned(),
                    waited: wait,
                });
            }
            std::thread::sleep(pause.min(left));
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }

    /// Takes the lock at `path` if nobody holds it.
    pub(super) fn try_acquire(path: &Path) -> Result<Option<Self>, StoreError> {
        let file = fs_err::File::options()
            .create(true)
            .write(true)
            .truncate(false)
            .open(path)
            .map_err(|source| StoreError::of_file("open", path, source))?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(StoreError::of_file("lock", path, source)),
        }
    }
}
