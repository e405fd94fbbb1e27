//! Stores: where entries live.
//!
//! A store keeps finished entries under keys and never changes one. Its failures are its own to word: the engine
//! turns each into one warning and goes on without the cache.

use std::{path::PathBuf, time::Duration};

use crate::stream::{ByteSink, RangedSource};

/// Something that keeps entries.
pub trait Store: Send + Sync {
    /// What to call this store in reports: `directory /home/me/.cache/hotcrate`.
    fn describe(&self) -> String;

    /// Finds the entry for `key`, or for the closest of `restore_keys`.
    ///
    /// In each readable scope in turn: first an entry called exactly `key`, then the newest whose name starts with
    /// `key`, then the newest for each restore key in order. The caller decides by the entry's header whether an
    /// answer is exact. Counts as a use of the entry.
    fn look_up(&self, key: &str, restore_keys: &[String]) -> Result<Option<Found>, StoreError>;

    /// Opens an entry for reading.
    fn open(&self, found: &Found) -> Result<Box<dyn RangedSource>, StoreError>;

    /// Begins to store an entry under `key`, in the scope that this run writes to.
    fn begin(&self, key: &str) -> Result<Reservation, StoreError>;
}

/// An entry that a lookup found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The entry's full key.
    pub key: String,
    /// The scope it was found in, as the store names it.
    pub scope: String,
}

/// The answer to [`Store::begin`].
pub enum Reservation {
    /// The key is ours: write, then [`Upload::finish`].
    Granted(Box<dyn Upload>),
    /// An entry of that key is there already, or is being written: nothing to do.
    Taken,
}

/// An entry that is being written. Dropping it without [`Upload::finish`] abandons it.
pub trait Upload: ByteSink {
    /// Makes the entry visible, whole. `Ok(false)`: another process stored one under this key first.
    fn finish(self: Box<Self>) -> Result<bool, StoreError>;
}

/// What can go wrong in a store, worded for the user of it.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A file operation failed.
    #[error("failed to {step}")]
    File {
        /// What was being done, with the path.
        step: String,
        /// Why it failed.
        #[source]
        source: std::io::Error,
    },
    /// The entry vanished between lookup and reading.
    #[error("entry {key} is gone")]
    Gone {
        /// Its key.
        key: String,
    },
    /// A lock was held by another process for too long.
    #[error("{path} stayed locked by another process for {waited:?}")]
    Locked {
        /// The lock's file.
        path: PathBuf,
        /// How long we waited.
        waited: Duration,
    },
    /// The entry is larger than the whole store may be.
    #[error("the entry needs more than the store's limit of {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
}
