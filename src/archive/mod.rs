//! The archive: one file that holds an entry.
//!
//! Plain `tar --zstd -tf` lists it. It is a row of zstd frames, each a piece of one tar stream, with skippable
//! frames between them that only hotcrate reads:
//!
//! ```text
//! [facts] ([sizes, SHA-256] [zstd frame])… [index] [footer]
//! ```
//!
//! Invariants: unpacking writes nowhere but below the directories it is given; what it wrote is either everything
//! that was asked for, verified against the archive's digest, or the error says otherwise and the caller throws
//! the staging directory away. Memory is bounded by a [`budget::ByteBudget`], never by the size of an entry.

pub mod budget;
mod check;
mod codec;
mod content;
mod error;
mod format;
mod header;
mod index;
mod layout;
mod open;
mod pack;
pub mod path;
mod plan;
mod read;
#[cfg(test)]
mod tests;
mod unpack;
mod write;

use std::{path::PathBuf, thread};

use budget::ByteBudget;
use path::RelativePath;

use crate::{deadline::Deadline, key::Digest};

pub use check::symlink_refusal;
pub use error::{OpenError, PackError, UnpackError, is_damage};
pub use format::FORMAT;
pub use open::{Kind, MemberInfo, OpenArchive, open};
pub use pack::pack;
pub use unpack::unpack;
pub use write::UNPACKED_ATIME;

/// One file, link or directory to pack.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// Its name in the archive: the root's name, then the path within the root.
    pub name: RelativePath,
    /// Where it lies on disk, absolute.
    pub source: PathBuf,
}

/// How the members of a group are best compressed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Compression {
    /// Frames of the usual size.
    Normal,
    /// Large frames with a long window: for executables, which repeat each other over long distances.
    LongWindow,
    /// The fastest level: what is compressed already.
    Stored,
}

/// Members that lie next to each other in the archive and share frames.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// How to compress them.
    pub compression: Compression,
    /// The members, in the order in which they are packed. Hard links among them are found by the packer.
    pub members: Vec<Member>,
}

/// What packing or unpacking moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// Bytes of the archive.
    pub packed_bytes: u64,
    /// Bytes of the files.
    pub raw_bytes: u64,
    /// Files, links and directories.
    pub members: u64,
}

/// What packing may use.
#[derive(Clone, Copy, Debug)]
pub struct PackOptions<'budget> {
    /// Bounds the bytes of all frames in flight, read and compressed.
    pub budget: &'budget ByteBudget,
    /// How many frames to compress at once; at least one.
    pub threads: usize,
    /// When to give up.
    pub deadline: Deadline,
}

impl<'budget> PackOptions<'budget> {
    /// As many threads as the machine has cores for this process, and no deadline.
    pub fn new(budget: &'budget ByteBudget) -> Self {
        Self {
            budget,
            threads: all_cores(),
            deadline: Deadline::never(),
        }
    }
}

/// What unpacking may use.
#[derive(Clone, Copy, Debug)]
pub struct UnpackOptions<'budget> {
    /// Bounds the bytes of all ranges in flight, fetched and decompressed.
    pub budget: &'budget ByteBudget,
    /// How many frames to decompress and write at once; at least one. More ranges than this are fetched at once.
    pub threads: usize,
    /// When to give up.
    pub deadline: Deadline,
}

impl<'budget> UnpackOptions<'budget> {
    /// As many threads as the machine has cores for this process, and no deadline.
    pub fn new(budget: &'budget ByteBudget) -> Self {
        Self {
            budget,
            threads: all_cores(),
            deadline: Deadline::never(),
        }
    }
}

fn all_cores() -> usize {
    thread::available_parallelism().map_or(1, usize::from)
}

/// An archive that was handed to a sink, whole.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packed {
    /// What was packed.
    pub volume: Volume,
    /// The archive's digest: the SHA-256 of its index.
    pub digest: Digest,
}
