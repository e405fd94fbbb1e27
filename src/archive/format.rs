//! The bytes between the zstd frames: skippable frames, and the limits that everything read is held to.
//!
//! ```text
//! skippable frame   magic u32 · length u32 · tag, 4 bytes · body
//! facts             raw size u32 · zstd frame
//! frame header      raw size u32 · packed size u32 · SHA-256 of the packed bytes
//! index             zstd frame
//! footer            offset of the index's skippable frame u64 · packed size u32 · raw size u32 · SHA-256 of the packed index
//! ```
//!
//! All numbers are little-endian, as in zstd itself. Skippable frames are RFC 8878 section 3.1.2. A format that
//! older releases could not read gets other tags, and another number in [`FORMAT`].

use crate::key::Digest;

/// The format's name and version. Who can read one can read all of the same.
pub const FORMAT: (&str, u32) = ("hotcrate", 1);

/// What zstd skips: one of the sixteen magic numbers it sets aside (0x184D2A50 to 0x184D2A5F).
const SKIPPABLE_MAGIC: [u8; 4] = 0x184D_2A57_u32.to_le_bytes();
/// Magic, length and tag.
pub(super) const SKIPPABLE_OVERHEAD: usize = 12;
/// A skippable frame header in front of a zstd frame, whole.
pub(super) const FRAME_HEADER_LEN: usize = SKIPPABLE_OVERHEAD + 4 + 4 + 32;
/// The footer, whole.
pub(super) const FOOTER_LEN: usize = SKIPPABLE_OVERHEAD + 8 + 4 + 4 + 32;

/// The most tar that one frame may hold, in bytes.
pub(super) const MAX_FRAME_RAW: u64 = 64 << 20;
/// The most that the header facts may take, compressed: they have to lie within the first range.
pub(super) const MAX_FACTS_PACKED: u64 = 4 << 20;
/// The most that the header facts may take, decompressed.
pub(super) const MAX_FACTS_RAW: u64 = 64 << 20;
/// The most that the index may take, decompressed: a million members with long names.
pub(super) const MAX_INDEX_RAW: u64 = 128 << 20;
/// The most members of an archive.
pub(super) const MAX_MEMBERS: u64 = 1 << 20;
/// The longest name and the longest symlink target in bytes: what Linux calls PATH_MAX.
pub(super) const MAX_NAME: usize = 4096;
/// zstd can't say more than a block of 128 KiB in 4 bytes: who claims a larger ratio lies.
pub(super) const MAX_RATIO: u64 = (128 << 10) / 4;

/// What a skippable frame holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tag {
    Facts,
    Frame,
    Index,
    Footer,
}

impl Tag {
    fn bytes(self) -> [u8; 4] {
        match self {
            Self::Facts => *b"hcF1",
            Self::Frame => *b"hcZ1",
            Self::Index => *b"hcI1",
            Self::Footer => *b"hcE1",
        }
    }
}

/// The last thing in an archive: where its index lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Footer {
    /// Where the skippable frame with the index starts.
    pub(super) index_offset: u64,
    /// Size of the compressed index in bytes.
    pub(super) index_packed: u32,
    /// Size of the index in bytes.
    pub(super) index_raw: u32,
    /// SHA-256 of the compressed index: the archive's digest.
    pub(super) digest: Digest,
}

impl Footer {
    pub(super) fn encode(&self) -> Vec<u8> {
        skippable(
            Tag::Footer,
            &[
                &self.index_offset.to_le_bytes(),
                &self.index_packed.to_le_bytes(),
                &self.index_raw.to_le_bytes(),
                self.digest.as_raw(),
            ],
        )
    }

    /// Reads a footer off the end of `bytes`, the whole of which need not be the archive.
    pub(super) fn decode(bytes: &[u8]) -> Option<Self> {
        let start = bytes.len().checked_sub(FOOTER_LEN)?;
        let (body, _) = parse_skippable(&bytes[start..], Tag::Footer)?;
        let (index_offset, rest) = body.split_first_chunk()?;
        let (index_packed, rest) = rest.split_first_chunk()?;
        let (index_raw, rest) = rest.split_first_chunk()?;
        let digest = rest.try_into().ok()?;
        Some(Self {
            index_offset: u64::from_le_bytes(*index_offset),
            index_packed: u32::from_le_bytes(*index_packed),
            index_raw: u32::from_le_bytes(*index_raw),
            digest: Digest::from_raw(digest),
        })
    }
}

/// A skippable frame around the pieces of `body`, which are less than 4 GiB together.
pub(super) fn skippable(tag: Tag, body: &[&[u8]]) -> Vec<u8> {
    let length: usize = 4 + body.iter().map(|piece| piece.len()).sum::<usize>();
    let mut frame = Vec::with_capacity(length + 8);
    frame.extend(SKIPPABLE_MAGIC);
    let length = u32::try_from(length).expect("invariant: limits keep what is written below 4 GiB");
    frame.extend(length.to_le_bytes());
    frame.extend(tag.bytes());
    for piece in body {
        frame.extend_from_slice(piece);
    }
    frame
}

/// The skippable frame that goes in front of a zstd frame.
pub(super) fn frame_header(raw: u32, packed: u32, digest: &Digest) -> Vec<u8> {
    skippable(
        Tag::Frame,
        &[&raw.to_le_bytes(), &packed.to_le_bytes(), digest.as_raw()],
    )
}

/// The body of the skippable frame at the start of `bytes`, and the frame's whole length.
///
/// `None` if there is none of that tag, or if it does not fit into `bytes`.
pub(super) fn parse_skippable(bytes: &[u8], tag: Tag) -> Option<(&[u8], usize)> {
    let rest = bytes.strip_prefix(&SKIPPABLE_MAGIC)?;
    let (length, rest) = rest.split_first_chunk()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok()?;
    let body = rest.get(..length)?.strip_prefix(&tag.bytes())?;
    Some((body, length + 8))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_footer_is_read_back_from_the_end() {
        let footer = Footer {
            index_offset: 1 << 40,
            index_packed: 7,
            index_raw: 9,
            digest: Digest::of_bytes(b"index"),
        };
        let mut archive = vec![1, 2, 3];
        archive.extend(footer.encode());
        assert_eq!(footer.encode().len(), FOOTER_LEN);
        assert_eq!(Footer::decode(&archive), Some(footer));
        archive.push(0);
        assert_eq!(Footer::decode(&archive), None);
    }

    #[test]
    fn a_frame_header_has_the_length_that_offsets_are_computed_with() {
        let header = frame_header(1, 2, &Digest::of_bytes(b""));
        assert_eq!(header.len(), FRAME_HEADER_LEN);
    }

    #[test]
    fn a_skippable_frame_that_is_cut_short_or_of_another_kind_is_not_read() {
        let frame = skippable(Tag::Facts, &[b"ab", b"c"]);
        assert_eq!(
            parse_skippable(&frame, Tag::Facts),
            Some((&b"abc"[..], frame.len()))
        );
        assert_eq!(parse_skippable(&frame, Tag::Index), None);
        assert_eq!(parse_skippable(&frame[..frame.len() - 1], Tag::Facts), None);
    }
}
