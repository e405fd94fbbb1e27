//! Opening: what an archive says it holds, checked before any of it is believed.
//!
//! Invariant: an [`OpenArchive`] contradicts itself nowhere. Its frames fill the bytes between facts and index
//! exactly, every file's content lies within them and overlaps no other, no name occurs twice, and nothing but
//! directories has members below it.

use std::{borrow::Cow, fmt, time::SystemTime};

use super::{
    check::check_tree,
    codec::unpack_small,
    error::OpenError,
    format::{
        FOOTER_LEN, FRAME_HEADER_LEN, Footer, MAX_FACTS_PACKED, MAX_FACTS_RAW, MAX_INDEX_RAW,
        SKIPPABLE_OVERHEAD, Tag, parse_skippable,
    },
    index::{Content, FrameEntry, Index, IndexMember, raw_bytes},
    path::RelativePath,
};
use crate::{
    key::Digest,
    stream::{FIRST_RANGE, RangedSource},
};

/// What is read from the end, where the first range does not reach it: most indexes fit.
const TAIL_RANGE: u64 = 1 << 20;

/// An archive whose index was read and checked.
pub struct OpenArchive {
    digest: Digest,
    facts: Vec<u8>,
    frames: Vec<Frame>,
    members: Vec<IndexMember>,
    /// The bytes of the first range, which frames are taken from when unpacking.
    head: Vec<u8>,
}

impl fmt::Debug for OpenArchive {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("OpenArchive")
            .field("digest", &self.digest)
            .field("frames", &self.frames.len())
            .field("members", &self.members.len())
            .finish_non_exhaustive()
    }
}

/// A zstd frame, and where it lies.
#[derive(Clone, Copy, Debug)]
pub(super) struct Frame {
    /// Where the zstd frame starts in the archive, in bytes.
    pub(super) offset: u64,
    /// Where its content starts in the tar stream, in bytes.
    pub(super) start: u64,
    pub(super) entry: FrameEntry,
}

impl Frame {
    /// Where its content ends in the tar stream.
    pub(super) fn end(&self) -> u64 {
        self.start + u64::from(self.entry.raw)
    }

    /// Where the zstd frame ends in the archive.
    pub(super) fn packed_end(&self) -> u64 {
        self.offset + u64::from(self.entry.packed)
    }
}

/// What a member is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind<'a> {
    /// A regular file.
    File,
    /// Another name of the file of this name.
    HardLink(&'a RelativePath),
    /// A symlink that says this, with `/` between the parts.
    Symlink(&'a str),
    /// A directory.
    Directory,
}

/// What the index says of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MemberInfo<'a> {
    /// The root's name, then the path within the root.
    pub name: &'a RelativePath,
    /// What it is.
    pub kind: Kind<'a>,
    /// Bytes of a file or of the file that a hard link links to; 0 for all else.
    pub size: u64,
    /// Permissions: nothing but 0o777.
    pub mode: u32,
    /// When it was modified, to the nanosecond.
    pub modified: SystemTime,
}

impl OpenArchive {
    /// The header facts that were given to [`super::pack()`].
    pub fn facts(&self) -> &[u8] {
        &self.facts
    }

    /// SHA-256 of the index, in which everything else has its own: what names this archive's content.
    pub fn digest(&self) -> Digest {
        self.digest
    }

    /// Bytes of all files: what unpacking everything takes on the disk, but for directories and rounding.
    pub fn raw_bytes(&self) -> u64 {
        raw_bytes(&self.members)
    }

    /// The members in the order in which they were packed.
    pub fn members(&self) -> impl ExactSizeIterator<Item = MemberInfo<'_>> {
        self.members.iter().map(|member| {
            let (kind, size) = match &member.content {
                Content::File { size, .. } => (Kind::File, *size),
                Content::HardLink { to } => (
                    Kind::HardLink(&self.members[*to].name),
                    match self.members[*to].content {
                        Content::File { size, .. } => size,
                        _ => 0,
                    },
                ),
                Content::Symlink { target } => (Kind::Symlink(target), 0),
                Content::Directory => (Kind::Directory, 0),
            };
            MemberInfo {
                name: &member.name,
                kind,
                size,
                mode: member.mode,
                modified: member.modified,
            }
        })
    }

    pub(super) fn records(&self) -> &[IndexMember] {
        &self.members
    }

    pub(super) fn frames(&self) -> &[Frame] {
        &self.frames
    }

    /// The bytes from `start` to `end` of the archive, if the first range holds them.
    pub(super) fn in_head(&self, start: u64, end: u64) -> Option<&[u8]> {
        self.head
            .get(usize::try_from(start).ok()?..usize::try_from(end).ok()?)
    }
}

/// Opens an archive: reads its facts and its index, in one range or two, and checks both.
///
/// Fails if it can't be read, is no archive, is damaged, or makes claims that no archive of ours would make. Frames
/// are not read: that they are what the index says is checked as they are unpacked.
pub fn open(source: &dyn RangedSource) -> Result<OpenArchive, OpenError> {
    let ends = Ends::read(source)?;
    let footer = ends.footer()?;
    let index_end = ends.total - FOOTER_LEN as u64;
    let expected_end = footer
        .index_offset
        .checked_add(SKIPPABLE_OVERHEAD as u64 + u64::from(footer.index_packed));
    if expected_end != Some(index_end) {
        return Err(OpenError::Malformed(
            "the index is not where the footer says",
        ));
    }
    let index = read_index(&ends, &footer, index_end)?;
    let (facts, facts_end) = read_facts(&ends.head, &index.facts)?;
    let frames = place_frames(&index.frames, facts_end, footer.index_offset)?;
    check_tree(&index.members).map_err(|refusal| OpenError::Refused {
        member: refusal.member.to_string(),
        reason: refusal.reason,
    })?;
    Ok(OpenArchive {
        digest: footer.digest,
        facts,
        frames,
        members: index.members,
        head: ends.head,
    })
}

/// The first range and the last; the latter is empty where the first holds everything.
struct Ends<'a> {
    source: &'a dyn RangedSource,
    total: u64,
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl<'a> Ends<'a> {
    fn read(source: &'a dyn RangedSource) -> Result<Self, OpenError> {
        let total = source.total();
        if total < (SKIPPABLE_OVERHEAD + FOOTER_LEN) as u64 {
            return Err(OpenError::Malformed("it is too short"));
        }
        let head = read_exactly(source, 0, total.min(FIRST_RANGE))?;
        let tail = if total > FIRST_RANGE {
            // It may overlap the first range: an index on the border of that lies wholly in one of the two.
            read_exactly(source, total - TAIL_RANGE, TAIL_RANGE)?
        } else {
            Vec::new()
        };
        Ok(Self {
            source,
            total,
            head,
            tail,
        })
    }

    fn footer(&self) -> Result<Footer, OpenError> {
        let end = if self.tail.is_empty() {
            &self.head
        } else {
            &self.tail
        };
        Footer::decode(end).ok_or(OpenError::Malformed("it does not end in a footer"))
    }

    /// The bytes from `start` to `end` of the archive, read once more where neither end holds them.
    fn bytes(&self, start: u64, end: u64) -> Result<Cow<'_, [u8]>, OpenError> {
        let within = |part: &'_ [u8], part_start: u64| {
            let start = usize::try_from(start.checked_sub(part_start)?).ok()?;
            let end = usize::try_from(end.checked_sub(part_start)?).ok()?;
            (end <= part.len()).then_some(start..end)
        };
        if let Some(range) = within(&self.head, 0) {
            return Ok(Cow::Borrowed(&self.head[range]));
        }
        if let Some(range) = within(&self.tail, self.total - self.tail.len() as u64) {
            return Ok(Cow::Borrowed(&self.tail[range]));
        }
        read_exactly(self.source, start, end - start).map(Cow::Owned)
    }
}

fn read_exactly(source: &dyn RangedSource, offset: u64, length: u64) -> Result<Vec<u8>, OpenError> {
    let failure = |source| OpenError::Read {
        offset,
        length,
        source,
    };
    let in_memory = usize::try_from(length).map_err(|error| failure(error.into()))?;
    source.read_range(offset, in_memory).map_err(failure)
}

fn read_index(ends: &Ends<'_>, footer: &Footer, index_end: u64) -> Result<Index, OpenError> {
    for size in [footer.index_packed, footer.index_raw].map(u64::from) {
        if size > MAX_INDEX_RAW {
            return Err(OpenError::TooLarge {
                what: "the index",
                claimed: size,
                limit: MAX_INDEX_RAW,
            });
        }
    }
    let bytes = ends.bytes(footer.index_offset, index_end)?;
    let (packed, _) = parse_skippable(&bytes, Tag::Index)
        .ok_or(OpenError::Malformed("there is no index before the footer"))?;
    if Digest::of_bytes(packed) != footer.digest {
        return Err(OpenError::Damaged("the index"));
    }
    let raw = usize::try_from(footer.index_raw)
        .ok()
        .and_then(|length| unpack_small(packed, length))
        .ok_or(OpenError::Malformed(
            "the index does not decompress to its size",
        ))?;
    Index::decode(&raw)
}

/// The facts, and where the skippable frame that holds them ends.
fn read_facts(head: &[u8], digest: &Digest) -> Result<(Vec<u8>, u64), OpenError> {
    let (body, length) = parse_skippable(head, Tag::Facts)
        .ok_or(OpenError::Malformed("it does not begin with header facts"))?;
    let (raw_length, packed) = body
        .split_first_chunk()
        .ok_or(OpenError::Malformed("the header facts are cut short"))?;
    let raw_length = u32::from_le_bytes(*raw_length);
    for (size, limit) in [
        (packed.len() as u64, MAX_FACTS_PACKED),
        (u64::from(raw_length), MAX_FACTS_RAW),
    ] {
        if size > limit {
            return Err(OpenError::TooLarge {
                what: "the header facts",
                claimed: size,
                limit,
            });
        }
    }
    if Digest::of_bytes(packed) != *digest {
        return Err(OpenError::Damaged("the header"));
    }
    let facts = usize::try_from(raw_length)
        .ok()
        .and_then(|length| unpack_small(packed, length))
        .ok_or(OpenError::Malformed(
            "the header facts do not decompress to their size",
        ))?;
    Ok((facts, length as u64))
}

/// Gives each frame its place; together they must end where the index starts.
fn place_frames(
    entries: &[FrameEntry],
    first: u64,
    index_offset: u64,
) -> Result<Vec<Frame>, OpenError> {
    let mut position = first;
    let mut start = 0;
    let mut frames = Vec::with_capacity(entries.len());
    for entry in entries {
        let frame = Frame {
            offset: position + FRAME_HEADER_LEN as u64,
            start,
            entry: *entry,
        };
        position = frame.packed_end();
        start = frame.end();
        frames.push(frame);
    }
    if position != index_offset {
        return Err(OpenError::Malformed("the frames do not fill the archive"));
    }
    Ok(frames)
}
