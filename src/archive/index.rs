//! The index: what an archive holds, and where.
//!
//! It is the authority when unpacking; the tar headers are there for other tools. Written so that some lies can't be
//! told: frames follow each other without gaps and the data of members never overlaps, because only lengths and
//! gaps are recorded; and a hard link names an earlier member by its number. All other claims are checked here
//! and in [`super::open()`] before anything is believed.
//!
//! ```text
//! 1 · SHA-256 of the packed facts · frames n · (packed, raw, SHA-256)ⁿ · members n · member ⁿ
//! member   kind · name · mode · mtime seconds, nanoseconds · what the kind needs
//! file       gap between the end of the last file's data, padded to 512, and this one's · size
//! hard link  number of the file · symlink   target · directory   nothing
//! ```
//!
//! Numbers are LEB128; seconds are zigzag; texts have their length in front.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use super::{
    error::OpenError,
    format::{MAX_FRAME_RAW, MAX_MEMBERS, MAX_NAME, MAX_RATIO},
    path::RelativePath,
};
use crate::key::Digest;

/// The first byte of every index.
const VERSION: u8 = 1;

/// Everything an archive says about itself but for its facts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Index {
    /// SHA-256 of the facts as they are stored.
    pub(super) facts: Digest,
    /// The zstd frames of tar, in order.
    pub(super) frames: Vec<FrameEntry>,
    /// The members, in order.
    pub(super) members: Vec<IndexMember>,
}

/// One zstd frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FrameEntry {
    /// Its size in bytes, without the skippable frame in front.
    pub(super) packed: u32,
    /// How much tar it holds, in bytes.
    pub(super) raw: u32,
    /// SHA-256 of its packed bytes.
    pub(super) digest: Digest,
}

/// One file, link or directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct IndexMember {
    pub(super) name: RelativePath,
    /// Permissions: nothing but 0o777.
    pub(super) mode: u32,
    pub(super) modified: SystemTime,
    pub(super) content: Content,
}

/// What a member is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Content {
    /// `size` bytes, `offset` bytes into the tar stream.
    File {
        offset: u64,
        size: u64,
    },
    /// The same inode as an earlier member, which is a file: its number.
    HardLink {
        to: usize,
    },
    /// What the link says, with `/` between the parts.
    Symlink {
        target: String,
    },
    Directory,
}

impl Index {
    pub(super) fn encode(&self) -> Vec<u8> {
        let mut writer = IndexWriter::new(&self.facts, &self.frames, self.members.len() as u64);
        for member in &self.members {
            writer.member(
                member.name.as_str(),
                member.mode,
                member.modified,
                &member.content,
            );
        }
        writer.bytes
    }

    /// Reads an index, and checks each claim that can be checked by itself.
    pub(super) fn decode(bytes: &[u8]) -> Result<Self, OpenError> {
        let mut reader = Reader { rest: bytes };
        if reader.byte()? != VERSION {
            return Err(OpenError::Malformed("the index has another version"));
        }
        let facts = reader.digest()?;
        let frame_count = reader.number()?;
        // Not reserved: a count is only a claim, and the bytes for it may not be there.
        let mut frames = Vec::new();
        for _ in 0..frame_count {
            frames.push(reader.frame()?);
        }
        let tar_length = frames.iter().map(|frame| u64::from(frame.raw)).sum();
        let member_count = reader.number()?;
        if member_count > MAX_MEMBERS {
            return Err(OpenError::TooLarge {
                what: "the number of members",
                claimed: member_count,
                limit: MAX_MEMBERS,
            });
        }
        let mut members: Vec<IndexMember> = Vec::new();
        let mut data_end = 0;
        for _ in 0..member_count {
            let member = reader.member(&members, &mut data_end, tar_length)?;
            members.push(member);
        }
        if !reader.rest.is_empty() {
            return Err(OpenError::Malformed("the index goes on behind its end"));
        }
        Ok(Self {
            facts,
            frames,
            members,
        })
    }
}

/// `size` rounded up to whole blocks of tar.
pub(super) fn padded(size: u64) -> u64 {
    size.next_multiple_of(512)
}

/// Bytes of all files among `members`.
pub(super) fn raw_bytes(members: &[IndexMember]) -> u64 {
    let sizes = members.iter().map(|member| match member.content {
        Content::File { size, .. } => size,
        Content::HardLink { .. } | Content::Symlink { .. } | Content::Directory => 0,
    });
    sizes.sum()
}

/// A time as seconds since 1970, rounded down, and nanoseconds.
pub(super) fn split_time(time: SystemTime) -> (i64, u32) {
    let signed = |seconds: u64| i64::try_from(seconds).unwrap_or(i64::MAX);
    match time.duration_since(UNIX_EPOCH) {
        Ok(after) => (signed(after.as_secs()), after.subsec_nanos()),
        Err(error) => {
            let before = error.duration();
            match before.subsec_nanos() {
                0 => (-signed(before.as_secs()), 0),
                nanos => (-signed(before.as_secs()) - 1, 1_000_000_000 - nanos),
            }
        }
    }
}

fn join_time(seconds: i64, nanos: u32) -> Option<SystemTime> {
    let whole = Duration::from_secs(seconds.unsigned_abs());
    let whole = if seconds < 0 {
        UNIX_EPOCH.checked_sub(whole)?
    } else {
        UNIX_EPOCH.checked_add(whole)?
    };
    whole.checked_add(Duration::from_nanos(u64::from(nanos)))
}

/// Writes an index; checks nothing.
pub(super) struct IndexWriter {
    pub(super) bytes: Vec<u8>,
    data_end: u64,
}

impl IndexWriter {
    /// An index that will get exactly `members` members.
    pub(super) fn new(facts: &Digest, frames: &[FrameEntry], members: u64) -> Self {
        let mut writer = Self {
            bytes: vec![VERSION],
            data_end: 0,
        };
        writer.bytes.extend(facts.as_raw());
        writer.number(frames.len() as u64);
        for frame in frames {
            writer.number(u64::from(frame.packed));
            writer.number(u64::from(frame.raw));
            writer.bytes.extend(frame.digest.as_raw());
        }
        writer.number(members);
        writer
    }

    /// Adds a member, in the order of the tar stream.
    pub(super) fn member(
        &mut self,
        name: &str,
        mode: u32,
        modified: SystemTime,
        content: &Content,
    ) {
        self.bytes.push(match content {
            Content::File { .. } => 0,
            Content::HardLink { .. } => 1,
            Content::Symlink { .. } => 2,
            Content::Directory => 3,
        });
        self.text(name);
        self.number(u64::from(mode));
        let (seconds, nanos) = split_time(modified);
        self.number(((seconds << 1) ^ (seconds >> 63)).cast_unsigned());
        self.number(u64::from(nanos));
        match content {
            Content::File { offset, size } => {
                self.number(offset.wrapping_sub(self.data_end));
                self.number(*size);
                self.data_end = offset.wrapping_add(padded(*size));
            }
            Content::HardLink { to } => self.number(*to as u64),
            Content::Symlink { target } => self.text(target),
            Content::Directory => {}
        }
    }

    fn number(&mut self, mut number: u64) {
        while number >= 0x80 {
            self.bytes.push(number.to_le_bytes()[0] | 0x80);
            number >>= 7;
        }
        self.bytes.push(number.to_le_bytes()[0]);
    }

    fn text(&mut self, text: &str) {
        self.number(text.len() as u64);
        self.bytes.extend_from_slice(text.as_bytes());
    }
}

/// Reads an index, which anybody may have written.
struct Reader<'a> {
    rest: &'a [u8],
}

const CUT_SHORT: OpenError = OpenError::Malformed("the index ends too early");

impl<'a> Reader<'a> {
    fn byte(&mut self) -> Result<u8, OpenError> {
        let (byte, rest) = self.rest.split_first().ok_or(CUT_SHORT)?;
        self.rest = rest;
        Ok(*byte)
    }

    fn digest(&mut self) -> Result<Digest, OpenError> {
        let (raw, rest) = self.rest.split_first_chunk().ok_or(CUT_SHORT)?;
        self.rest = rest;
        Ok(Digest::from_raw(*raw))
    }

    fn number(&mut self) -> Result<u64, OpenError> {
        let mut number = 0;
        for shift in (0..63).step_by(7) {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << shift;
            if byte < 0x80 {
                return Ok(number);
            }
        }
        Err(OpenError::Malformed("a number in the index is too long"))
    }

    fn text(&mut self) -> Result<&'a str, OpenError> {
        let length = self.number()?;
        let length = usize::try_from(length)
            .ok()
            .filter(|length| *length <= MAX_NAME)
            .ok_or(OpenError::TooLarge {
                what: "a name",
                claimed: length,
                limit: MAX_NAME as u64,
            })?;
        let (text, rest) = self.rest.split_at_checked(length).ok_or(CUT_SHORT)?;
        self.rest = rest;
        std::str::from_utf8(text).map_err(|_| OpenError::Malformed("a name is not UTF-8"))
    }

    fn frame(&mut self) -> Result<FrameEntry, OpenError> {
        let packed = self.number()?;
        let raw = self.number()?;
        let digest = self.digest()?;
        let limit = MAX_FRAME_RAW.min(packed.saturating_mul(MAX_RATIO));
        if raw > limit {
            return Err(OpenError::TooLarge {
                what: "a frame",
                claimed: raw,
                limit,
            });
        }
        let too_large = OpenError::Malformed("a frame is larger than what it holds can need");
        let (Ok(packed), Ok(raw)) = (u32::try_from(packed), u32::try_from(raw)) else {
            return Err(too_large);
        };
        if packed as usize > zstd::zstd_safe::compress_bound(raw as usize) {
            return Err(too_large);
        }
        Ok(FrameEntry {
            packed,
            raw,
            digest,
        })
    }

    /// Reads a member that stands behind those of `earlier`, whose data ends at `data_end`.
    fn member(
        &mut self,
        earlier: &[IndexMember],
        data_end: &mut u64,
        tar_length: u64,
    ) -> Result<IndexMember, OpenError> {
        let kind = self.byte()?;
        let name = self.text()?;
        let refused = |reason| OpenError::Refused {
            member: name.to_owned(),
            reason,
        };
        let checked = RelativePath::new(name).map_err(|escaping| refused(escaping.reason))?;
        let mode = u32::try_from(self.number()?)
            .ok()
            .filter(|mode| mode & !0o777 == 0)
            .ok_or_else(|| refused("its mode has more than permissions in it"))?;
        let seconds = self.number()?;
        let seconds = (seconds >> 1).cast_signed() ^ -(seconds & 1).cast_signed();
        let modified = u32::try_from(self.number()?)
            .ok()
            .filter(|nanos| *nanos < 1_000_000_000)
            .and_then(|nanos| join_time(seconds, nanos))
            .ok_or_else(|| refused("its modification time is out of range"))?;
        let content = match kind {
            0 => {
                let gap = self.number()?;
                let size = self.number()?;
                let offset = data_end.checked_add(gap);
                let end = offset
                    .and_then(|offset| offset.checked_add(size)?.checked_next_multiple_of(512))
                    .filter(|end| *end <= tar_length);
                let (Some(offset), Some(end)) = (offset, end) else {
                    return Err(refused("no frame holds its content"));
                };
                *data_end = end;
                Content::File { offset, size }
            }
            1 => {
                let to = usize::try_from(self.number()?).unwrap_or(usize::MAX);
                let file = earlier.get(to).map(|member| &member.content);
                if !matches!(file, Some(Content::File { .. })) {
                    return Err(refused("it is a hard link to no earlier file"));
                }
                Content::HardLink { to }
            }
            2 => Content::Symlink {
                target: self.text()?.to_owned(),
            },
            3 => Content::Directory,
            _ => return Err(refused("it is neither file nor link nor directory")),
        };
        Ok(IndexMember {
            name: checked,
            mode,
            modified,
            content,
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn member(name: &str, content: Content) -> IndexMember {
        IndexMember {
            name: RelativePath::new(name).unwrap(),
            mode: 0o644,
            modified: UNIX_EPOCH,
            content,
        }
    }

    fn index() -> Index {
        let file = |offset, size| Content::File { offset, size };
        let frame = FrameEntry {
            packed: 1000,
            raw: 8192,
            digest: Digest::of_bytes(b"frame"),
        };
        Index {
            facts: Digest::of_bytes(b"facts"),
            frames: vec![frame, frame],
            members: vec![
                member("r", Content::Directory),
                member("r/a", file(1536, 5)),
                member("r/b", file(3072, 0)),
                member("r/c", Content::HardLink { to: 1 }),
                member(
                    "r/d",
                    Content::Symlink {
                        target: "a".to_owned(),
                    },
                ),
                member("r/e", file(4608, 8000)),
            ],
        }
    }

    #[test]
    fn an_index_is_read_back_as_it_was_written() {
        assert_eq!(Index::decode(&index().encode()).unwrap(), index());
    }

    #[test]
    fn an_index_that_is_cut_short_or_goes_on_is_refused() {
        let bytes = index().encode();
        for length in 0..bytes.len() {
            assert!(Index::decode(&bytes[..length]).is_err(), "at {length}");
        }
        assert!(Index::decode(&[&bytes[..], b"\0"].concat()).is_err());
    }

    #[test]
    fn content_outside_of_all_frames_is_refused() {
        let mut index = index();
        index.members.push(member(
            "r/f",
            Content::File {
                offset: 14_000,
                size: 3000,
            },
        ));
        let error = Index::decode(&index.encode()).unwrap_err();
        insta::assert_snapshot!(error, @r#"the archive is refused: "r/f": no frame holds its content"#);
    }

    #[test]
    fn a_frame_that_claims_more_than_zstd_could_have_packed_into_it_is_refused() {
        let mut index = index();
        index.frames[0].raw = 32 << 20;
        index.frames[0].packed = 100;
        assert!(matches!(
            Index::decode(&index.encode()),
            Err(OpenError::TooLarge {
                what: "a frame",
                ..
            })
        ));
    }

    proptest! {
        #[test]
        fn any_time_survives_being_written(seconds in -10_000_000_000_i64..100_000_000_000, nanos in 0..1_000_000_000_u32) {
            // Windows has no finer times.
            let nanos = if cfg!(windows) { nanos / 100 * 100 } else { nanos };
            let time = join_time(seconds, nanos).unwrap();
            prop_assert_eq!(split_time(time), (seconds, nanos));
            let mut index = index();
            index.members[0].modified = time;
            prop_assert_eq!(Index::decode(&index.encode()).unwrap(), index);
        }

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), at in 0_usize..200) {
            let mut whole = index().encode();
            let at = at.min(whole.len());
            let end = (at + bytes.len()).min(whole.len());
            whole.splice(at..end, bytes);
            let _ = Index::decode(&whole);
        }
    }
}
