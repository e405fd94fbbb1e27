//! Putting in place: from a staging directory into a root, without ever disturbing what is there.
//!
//! An entry is unpacked into a [`Staging`] inside the root's own file system. From there it goes into an absent root
//! by one rename ([`place_whole`]), and into one that exists piece by piece ([`place_pieces`]): a piece of which
//! nothing is there is moved as a whole, any other is left out.
//!
//! Invariants: nothing that existed before is deleted, overwritten or merged with; a piece is in the root with all of
//! its files, or with none. A failure rolls the piece in hand back. A kill can leave the first files of one piece
//! behind, never its last: since the file that makes a piece count (Cargo's fingerprint) comes last, Cargo takes such
//! leftovers for an unfinished compile. Staging of processes that died is removed by the next [`remove_stale`], which also
//! takes back tools that were put in place and not recorded yet.

mod across;
mod disk;
mod locks;
mod moves;
mod put;
mod replace;
mod staging;
mod tools;
mod unrecorded;

use std::{io, path::PathBuf, time::Duration};

pub use disk::free_bytes;
pub use locks::{CargoLocks, LockPlace};
pub use put::{Piece, Placed, Stopped, place_pieces, place_where_empty, place_whole};
pub use replace::replace;
pub use staging::{STAGING_PREFIX, Staging, remove_stale};
pub use tools::{MergedTools, SkippedTool, merge_tools};

/// Why something could not be put in place.
#[derive(Debug, thiserror::Error)]
pub enum PlaceError {
    /// A file operation failed.
    #[error("failed to {step} {path}", path = path.display())]
    File {
        /// What was being done.
        step: &'static str,
        /// What it was done to.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A root was given by a relative path.
    #[error("{path} is not an absolute path", path = path.display())]
    NotAbsolute {
        /// The root.
        path: PathBuf,
    },
    /// A root, or something above it, is neither a directory nor a link to one.
    #[error("{path} is not a directory", path = path.display())]
    NotDirectory {
        /// What is in the way.
        path: PathBuf,
    },
    /// A root, or something above it, is a link to nothing.
    #[error("{path} is a link that leads nowhere", path = path.display())]
    DanglingLink {
        /// The link.
        path: PathBuf,
    },
    /// A piece names something that was not unpacked.
    #[error("{piece} names {path}, which was not unpacked", path = path.display())]
    NotStaged {
        /// The piece's name.
        piece: String,
        /// Where it should lie in the staging directory.
        path: PathBuf,
    },
    /// A piece could be neither finished nor taken back.
    #[error("{piece} is in place only in part: failed to take back {path}", path = path.display())]
    LeftInPart {
        /// The piece's name.
        piece: String,
        /// The file that stayed.
        path: PathBuf,
        /// Why it could not be taken back.
        #[source]
        source: io::Error,
    },
    /// Another process, most likely Cargo, holds a lock.
    #[error("{path} stayed locked by another process for {waited:?}", path = path.display())]
    Locked {
        /// The lock's file.
        path: PathBuf,
        /// How long we waited.
        waited: Duration,
    },
    /// Cargo's or cargo-binstall's records of installed tools cannot be understood, and so not added to.
    #[error("failed to read the install records in {path}: {reason}", path = path.display())]
    Records {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
}

impl PlaceError {
    /// Wraps a failed file operation; made for `map_err`.
    fn file(step: &'static str, path: impl Into<PathBuf>) -> impl FnOnce(io::Error) -> Self {
        let path = path.into();
        move |source| Self::File { step, path, source }
    }
}
