//! What can go wrong with an archive, as people read it.

use std::{io, path::PathBuf};

use crate::{deadline::TimeUp, stream::StreamError};

/// Why an archive could not be made. Nothing of it may be stored.
#[derive(Debug, thiserror::Error)]
pub enum PackError {
    /// A file operation failed.
    #[error("failed to {step} {}", path.display())]
    File {
        /// What was being done: a verb.
        step: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// A member vanished or was written to since packing began.
    #[error("{} changed while it was being packed", path.display())]
    Changed {
        /// Where it lies, or lay.
        path: PathBuf,
    },
    /// A member is a device, socket or FIFO.
    #[error("{} is neither file nor link nor directory", path.display())]
    Special {
        /// Where it lies.
        path: PathBuf,
    },
    /// A member that unpacking would refuse.
    #[error("{member:?} can't be packed: {reason}")]
    Refused {
        /// Its name.
        member: String,
        /// Which rule it breaks.
        reason: &'static str,
    },
    /// There is more of something than an archive may hold.
    #[error("{what} would be {size}, more than the limit of {limit}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// How large it is.
        size: u64,
        /// How large it may be.
        limit: u64,
    },
    /// zstd failed.
    #[error("failed to compress")]
    Compress(#[source] io::Error),
    /// The store did not take the bytes.
    #[error("failed to hand the archive to the store")]
    Sink(#[source] StreamError),
    /// The deadline passed.
    #[error(transparent)]
    TimeUp(#[from] TimeUp),
}

/// Why an archive could not be opened. It must not be used.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// The store did not give the bytes.
    #[error("failed to read {length} bytes of the archive at {offset}")]
    Read {
        /// Where the range starts, in bytes.
        offset: u64,
        /// How many bytes were asked for.
        length: u64,
        /// What the store says.
        #[source]
        source: StreamError,
    },
    /// It is no archive of this format, is cut short, or contradicts itself.
    #[error("the archive is malformed: {0}")]
    Malformed(&'static str),
    /// Something is not what its digest says.
    #[error("the archive is damaged: {0} does not match its digest")]
    Damaged(&'static str),
    /// Something claims to be larger than it may be.
    #[error("the archive is refused: {what} claims {claimed}, more than {limit}")]
    TooLarge {
        /// What is too large.
        what: &'static str,
        /// How large it claims to be.
        claimed: u64,
        /// How large it may be.
        limit: u64,
    },
    /// A member that no archive of ours has.
    #[error("the archive is refused: {member:?}: {reason}")]
    Refused {
        /// Its name, unchecked.
        member: String,
        /// Which rule it breaks.
        reason: &'static str,
    },
}

/// Why an archive could not be unpacked. What was written so far is to be thrown away.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The store did not give the bytes.
    #[error("failed to read {length} bytes of the archive at {offset}")]
    Read {
        /// Where the range starts, in bytes.
        offset: u64,
        /// How many bytes were asked for.
        length: u64,
        /// What the store says.
        #[source]
        source: StreamError,
    },
    /// A frame is not what its digest or its size says.
    #[error("the archive is damaged: frame {frame} {reason}")]
    Damaged {
        /// The frame's number, from 0.
        frame: usize,
        /// What is wrong with it.
        reason: &'static str,
    },
    /// A member that must not be written.
    #[error("the archive is refused: {member:?}: {reason}")]
    Refused {
        /// Its name.
        member: String,
        /// Which rule it breaks.
        reason: &'static str,
    },
    /// The deadline passed.
    #[error(transparent)]
    TimeUp(#[from] TimeUp),
    /// The disk, or the user's part of it, is full.
    #[error("no space left for {}", path.display())]
    DiskFull {
        /// What was being written.
        path: PathBuf,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A file operation failed.
    #[error("failed to {step} {}", path.display())]
    File {
        /// What was being done: a verb.
        step: &'static str,
        /// To which file.
        path: PathBuf,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
}

impl UnpackError {
    /// Words what went wrong when `step` was done to `path`.
    pub(super) fn file(step: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        let path = path.into();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
                Self::DiskFull { path, source }
            }
            _ => Self::File { step, path, source },
        }
    }
}

/// Whether `error` says that the archive itself is at fault, and will be the next time too.
pub fn is_damage(error: &(dyn std::error::Error + 'static)) -> bool {
    let opening = error.downcast_ref::<OpenError>().is_some_and(|error| {
        matches!(
            error,
            OpenError::Malformed(_)
                | OpenError::Damaged(_)
                | OpenError::TooLarge { .. }
                | OpenError::Refused { .. }
        )
    });
    let unpacking = error.downcast_ref::<UnpackError>().is_some_and(|error| {
        matches!(
            error,
            UnpackError::Damaged { .. } | UnpackError::Refused { .. }
        )
    });
    opening || unpacking
}
