//! Stores: where entries live.
//!
//! A store keeps finished entries under keys and never changes one. Its failures are its own to word: the engine
//! turns each into one warning and goes on without the cache.
//!
//! What is asked of every store: [`Store::look_up`] and [`Store::open`] work where nothing may be written, what was
//! not finished is never seen by anyone, and no call panics on what it finds. Whatever can take long, waiting included,
//! ends soon after the deadline that it was begun with.

mod actions;
mod dir;
mod identity;
mod name;

use std::{
    io::{self, ErrorKind},
    path::{Path, PathBuf},
    time::Duration,
};

pub use actions::{
    ActionsError, ActionsOptions, ActionsStore, Limits, ServiceAddress, Version as ServiceVersion,
};
pub use dir::{DirOptions, DirStore, StoredEntry};
pub use identity::{ProjectIdentity, identity_of, origin_url};
pub use name::StoredName;

use crate::{
    deadline::{Deadline, TimeUp},
    stream::{ByteSink, RangedSource},
};

/// Something that keeps entries.
pub trait Store: Send + Sync {
    /// What to call this store in reports: `directory /home/me/.cache/hotcrate`.
    fn describe(&self) -> String;

    /// Finds the entry for `key`, or for the closest of `restore_keys`.
    ///
    /// In each readable scope in turn: first an entry called exactly `key`, then the newest whose name starts with
    /// `key`, then the newest for each restore key in order. The caller decides by the entry's header whether an
    /// answer is exact. Counts as a use of the entry.
    fn look_up(
        &self,
        key: &str,
        restore_keys: &[String],
        deadline: Deadline,
    ) -> Result<Option<Found>, StoreError>;

    /// Finds the newest entry whose name starts with `prefix`, as [`Store::look_up`] does, to tell the user of it. In a store
    /// that can tell the two apart, that is no use of the entry.
    fn peek(&self, prefix: &str, deadline: Deadline) -> Result<Option<Found>, StoreError> {
        self.look_up(prefix, &[], deadline)
    }

    /// Finds what [`Store::look_up`] does; where that is nothing, the newest entry whose name starts with `nearest`, to tell the
    /// user how it differs. Trouble with the latter is none.
    fn look_up_or_nearest(
        &self,
        key: &str,
        restore_keys: &[String],
        nearest: &str,
        deadline: Deadline,
    ) -> Result<Lookup, StoreError> {
        Ok(match self.look_up(key, restore_keys, deadline)? {
            Some(found) => Lookup::Found(found),
            None => Lookup::Nothing {
                nearest: self.peek(nearest, deadline).ok().flatten(),
            },
        })
    }

    /// Whether the store was given up, as every further request would fail as one did.
    fn is_given_up(&self) -> bool {
        false
    }

    /// Opens an entry for reading. The deadline holds for all reading from what comes back.
    fn open(&self, found: &Found, deadline: Deadline) -> Result<Box<dyn RangedSource>, StoreError>;

    /// Gives up an entry that turned out to be damaged, and returns whether its key is free for a sound one. One of another
    /// scope than this run writes to stays and is in nobody's way; one in a store that can't remove has its key for good.
    fn discard(&self, found: &Found) -> Result<bool, StoreError>;

    /// Begins to store an entry under `key`, in the scope that this run writes to: once there is something to write. A
    /// store that reserves keys may put that off further; writing or finishing then fails with [`StoreError::Taken`].
    /// The deadline holds for the whole upload.
    fn begin(&self, key: &str, deadline: Deadline) -> Result<Reservation, StoreError>;
}

/// An entry that a lookup found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// The entry's full key.
    pub key: String,
    /// The scope it was found in, as the store names it.
    pub scope: String,
}

/// The answer to [`Store::look_up_or_nearest`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Lookup {
    /// An entry that will do.
    Found(Found),
    /// None.
    Nothing {
        /// The closest one that won't, if there is any.
        nearest: Option<Found>,
    },
}

/// The answer to [`Store::begin`].
pub enum Reservation {
    /// The key is ours: write, then [`Upload::finish`].
    Granted(Box<dyn Upload>),
    /// An entry of that key is there already, or is being written: nothing to do. A store that can makes it the newest.
    Taken,
}

/// An entry that is being written. Dropping it without [`Upload::finish`] abandons it.
pub trait Upload: ByteSink {
    /// Makes the entry visible, whole. `Ok(false)`: another process stored one under this key first. Fails with
    /// [`StoreError::Incomplete`] if any write before it failed.
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
        source: io::Error,
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
    /// The disk, or the user's share of it, is full.
    #[error("no space is left for {path}")]
    NoSpace {
        /// The file that was being written.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// This process may read the store, but not write to it.
    #[error("{path} can't be written to")]
    ReadOnly {
        /// The file or directory that was to be written.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A key that no store would take.
    #[error("{key:?} can't be a key: {reason}")]
    InvalidKey {
        /// The key, or restore key, as it was given.
        key: String,
        /// Which rule it breaks.
        reason: &'static str,
    },
    /// An upload was to be finished of which a part could not be written.
    #[error("entry {key} was not written to its end")]
    Incomplete {
        /// Its key.
        key: String,
    },
    /// The deadline passed.
    #[error(transparent)]
    TimeUp(#[from] TimeUp),
    /// An entry of that key is there already, or is being written, and that became known while this one was written.
    #[error("an entry {key} is there already")]
    Taken {
        /// The key.
        key: String,
    },
    /// The store is not to be used, and that is no trouble of this moment: it is forbidden, or was told before.
    #[error("{reason}")]
    Off {
        /// Why, in words for a report.
        reason: String,
    },
    /// The cache service, or what lies behind it, failed.
    #[error(transparent)]
    Service(#[from] ActionsError),
    /// The entry is larger than the whole store may be.
    #[error("the entry needs more than the store's limit of {limit} bytes")]
    TooLarge {
        /// The limit in bytes.
        limit: u64,
    },
}

impl StoreError {
    /// Sorts a failure to `verb` the file at `path` into the variants that people can do something about.
    fn of_file(verb: &str, path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded | ErrorKind::FileTooLarge => {
                Self::NoSpace { path, source }
            }
            ErrorKind::PermissionDenied | ErrorKind::ReadOnlyFilesystem if verb != "read" => {
                Self::ReadOnly { path, source }
            }
            _ => Self::File {
                step: format!("{verb} {}", path.display()),
                source,
            },
        }
    }
}
