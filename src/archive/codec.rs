//! zstd, one frame at a time.

use std::io::{self, Cursor};

use zstd::{
    bulk::Compressor,
    zstd_safe::{
        CParameter, DCtx, DParameter, InBuffer, OutBuffer, ResetDirective, compress_bound,
        get_frame_content_size,
    },
};

use super::{
    Compression,
    format::{FRAME_HEADER_LEN, frame_header},
    index::FrameEntry,
};
use crate::key::Digest;

/// How one kind of group is compressed.
///
/// Measured on pieces of a target directory with debug information, on one core (zstd 1.5). 201 MB in frames of 16 MiB: level 3
/// as it is 50.5 MB in 0.95 s, with a table of 2^18 entries 45.2 in 0.91; level 1 with a match of 6 bytes and 2^18 entries 46.8
/// in 0.84, 2^17 47.2 in 0.85, 2^16 48.1 in 0.61: that table fits into the processor's own cache. 49 MB of executables with
/// long-distance matching: level 3 12.6 in 0.59, level 1 with 2^16 entries 13.3 in 0.22, and 15.3 without long distances. An
/// entry is packed and sent while a job waits, so the fast ones are taken: they are still smaller than what `zstd` makes of a
/// plain tar.
///
/// Long distances for everything find the `.rmeta` that each `.rlib` holds once more, but not for nothing: of 1100 MB 247 MB
/// instead of 264 were left, with 128 bytes looked for at every 512th place, and saving them took 3.6 s of all cores instead of
/// 2.95 (November 2026).
///
/// Larger frames, with long distances: eight executables of 32 MB (259 MB) took 66 in frames of 16 MiB, 62 in 32 MiB, 48 in 48
/// MiB, 40 in 64 MiB; but of frames larger than 48 MiB no two are compressed at once within the usual budget. Executables of
/// 100 MB gain nothing from any of these.
pub(super) struct Parameters {
    /// How much tar goes into a frame at most, in bytes, but for headers.
    pub(super) frame_bytes: u64,
    /// Frames are expected to become at most this part of their size.
    expected_ratio: usize,
    level: i32,
    /// Base-2 logarithm of the window. Plain `zstd -d` takes up to 27.
    window_log: u32,
    /// Base-2 logarithm of the size of the table of what was seen, and how many bytes must match for zstd to look; 0: what
    /// belongs to the level.
    table: (u32, u32),
    /// Whether zstd looks for long repetitions far back: it costs time on everything.
    long_distance: bool,
}

/// The parameters for `compression`.
pub(super) fn parameters(compression: Compression) -> Parameters {
    match compression {
        Compression::Normal => Parameters {
            frame_bytes: 16 << 20,
            expected_ratio: 2,
            level: 1,
            window_log: 25,
            table: (16, 6),
            long_distance: false,
        },
        Compression::LongWindow => Parameters {
            frame_bytes: LONG_WINDOW_FRAME,
            expected_ratio: 3,
            level: 1,
            window_log: 26,
            table: (16, 6),
            long_distance: true,
        },
        Compression::Stored => Parameters {
            frame_bytes: 16 << 20,
            expected_ratio: 1,
            level: 1,
            window_log: 25,
            table: (0, 0),
            long_distance: false,
        },
    }
}

/// The most tar in a frame with a long window, in bytes, but for headers.
const LONG_WINDOW_FRAME: u64 = 47 << 20;

/// How to compress a file of `size` bytes in a group of `compression`.
///
/// Executables repeat each other. Of large ones no frame holds enough of two, and a long window only costs.
pub(super) fn compression_for(size: u64, compression: Compression) -> Compression {
    match compression {
        Compression::LongWindow if size > LONG_WINDOW_FRAME / 4 * 3 => Compression::Normal,
        other => other,
    }
}

/// How many bytes [`Packer::pack`] is expected to take for `raw` bytes of tar.
pub(super) fn expected_packed(raw: usize, compression: Compression) -> usize {
    FRAME_HEADER_LEN + compress_bound(raw) / parameters(compression).expected_ratio
}

/// Compresses frames, one after the other, with one context.
pub(super) struct Packer {
    compressor: Compressor<'static>,
    set_for: Option<Compression>,
}

impl Packer {
    pub(super) fn new() -> io::Result<Self> {
        Ok(Self {
            compressor: Compressor::new(0)?,
            set_for: None,
        })
    }

    /// Compresses `raw`, and returns the zstd frame with the skippable frame before it, and what the index says of it.
    ///
    /// Calls `overdraw` with a number of bytes before it takes that many more than were to be expected.
    pub(super) fn pack(
        &mut self,
        raw: &[u8],
        compression: Compression,
        overdraw: impl FnOnce(usize),
    ) -> io::Result<(Vec<u8>, FrameEntry)> {
        self.set_up(compression)?;
        let expected = expected_packed(raw.len(), compression);
        let most = FRAME_HEADER_LEN + compress_bound(raw.len());
        let mut bytes = match self.compress(raw, expected) {
            // Too little room is the one failure that more room can mend.
            Err(_) if expected < most => {
                overdraw(most - expected);
                self.compress(raw, most)?
            }
            result => result?,
        };
        bytes.shrink_to_fit();
        let packed = &bytes[FRAME_HEADER_LEN..];
        let too_large = |_| io::Error::other("a frame is larger than 4 GiB");
        let entry = FrameEntry {
            packed: u32::try_from(packed.len()).map_err(too_large)?,
            raw: u32::try_from(raw.len()).map_err(too_large)?,
            digest: Digest::of_bytes(packed),
        };
        let header = frame_header(entry.raw, entry.packed, &entry.digest);
        bytes[..FRAME_HEADER_LEN].copy_from_slice(&header);
        Ok((bytes, entry))
    }

    /// Compresses `raw` behind room for the header, into no more than `capacity` bytes.
    fn compress(&mut self, raw: &[u8], capacity: usize) -> io::Result<Vec<u8>> {
        let mut buffer = Vec::with_capacity(capacity);
        buffer.resize(FRAME_HEADER_LEN, 0);
        let mut buffer = Cursor::new(buffer);
        buffer.set_position(FRAME_HEADER_LEN as u64);
        self.compressor.compress_to_buffer(raw, &mut buffer)?;
        Ok(buffer.into_inner())
    }

    fn set_up(&mut self, compression: Compression) -> io::Result<()> {
        if self.set_for == Some(compression) {
            return Ok(());
        }
        let parameters = parameters(compression);
        for parameter in [
            CParameter::CompressionLevel(parameters.level),
            CParameter::WindowLog(parameters.window_log),
            CParameter::HashLog(parameters.table.0),
            CParameter::MinMatch(parameters.table.1),
            CParameter::EnableLongDistanceMatching(parameters.long_distance),
        ] {
            self.compressor.set_parameter(parameter)?;
        }
        self.set_for = Some(compression);
        Ok(())
    }
}

/// Compresses something that is small and needed at once: facts and index.
pub(super) fn pack_small(raw: &[u8]) -> io::Result<Vec<u8>> {
    zstd::bulk::compress(raw, 3)
}

/// Decompresses what must become exactly `raw_length` bytes. `None` if it does not.
///
/// No more than `raw_length` bytes are ever allocated for it, whatever it claims.
pub(super) fn unpack_small(packed: &[u8], raw_length: usize) -> Option<Vec<u8>> {
    let raw = zstd::bulk::decompress(packed, raw_length).ok()?;
    (raw.len() == raw_length).then_some(raw)
}

/// Decompresses frames, one after the other, with one context.
///
/// A frame is decompressed block by block into memory that holds the whole of it, and handed on in pieces that are still
/// in the processor's cache when they are written: that is faster than whole frames at once, and than a window of zstd's
/// own, of which everything would be copied once more.
pub(super) struct Unpacker {
    context: DCtx<'static>,
    raw: Vec<u8>,
}

/// How much is handed on at once, in bytes, but at the end of a frame: two blocks of zstd's.
const PIECE: usize = 256 << 10;

/// Why [`Unpacker::unpack`] stopped.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum UnpackFailure<E> {
    /// The frame is broken, or not of the size that was claimed.
    Frame,
    /// The pieces could not be taken.
    Taker(E),
}

impl Unpacker {
    pub(super) fn new() -> Self {
        Self {
            context: DCtx::create(),
            raw: Vec::new(),
        }
    }

    /// Decompresses `packed`, which must become exactly `raw_length` bytes, and gives it to `take` in order.
    ///
    /// Takes no more memory than `raw_length` and a little, whatever the frame claims.
    pub(super) fn unpack<E>(
        &mut self,
        packed: &[u8],
        raw_length: usize,
        mut take: impl FnMut(&[u8]) -> Result<(), E>,
    ) -> Result<(), UnpackFailure<E>> {
        if !matches!(get_frame_content_size(packed), Ok(Some(length)) if length == raw_length as u64)
        {
            return Err(UnpackFailure::Frame);
        }
        let broken = |_| UnpackFailure::Frame;
        let mut wanted = self.begin(raw_length).map_err(broken)?;
        let mut input = InBuffer::around(packed);
        let mut taken = 0;
        loop {
            let (from, filled) = (input.pos(), self.raw.len());
            // No more than zstd asks for: of that, it copies nothing aside.
            let until = packed.len().min(from + wanted);
            input = InBuffer::around(&packed[..until]);
            input.set_pos(from);
            let mut output = OutBuffer::around_pos(&mut self.raw, filled);
            wanted = self
                .context
                .decompress_stream(&mut output, &mut input)
                .map_err(broken)?;
            let is_over = wanted == 0;
            if is_over && (input.pos(), self.raw.len()) != (packed.len(), raw_length) {
                // Another frame behind the first, or one that stops early.
                return Err(UnpackFailure::Frame);
            }
            if is_over || self.raw.len() - taken >= PIECE {
                take(&self.raw[taken..]).map_err(UnpackFailure::Taker)?;
                taken = self.raw.len();
            }
            if is_over {
                return Ok(());
            }
            if (input.pos(), self.raw.len()) == (from, filled) {
                // It is cut short.
                return Err(UnpackFailure::Frame);
            }
        }
    }

    /// Gets ready for a frame of `raw_length` bytes; returns how many bytes zstd wants to see of it first.
    fn begin(&mut self, raw_length: usize) -> Result<usize, usize> {
        self.raw.clear();
        // Not grown: nothing in it is worth being copied.
        if self.raw.capacity() < raw_length {
            self.raw = Vec::with_capacity(raw_length);
        }
        self.context.reset(ResetDirective::SessionOnly)?;
        self.context
            .set_parameter(DParameter::StableOutBuffer(true))?;
        self.context.init()
    }
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use super::*;

    fn unpacked(packed: &[u8], raw_length: usize) -> Result<Vec<u8>, UnpackFailure<Infallible>> {
        let mut raw = Vec::new();
        let take = |piece: &[u8]| {
            raw.extend_from_slice(piece);
            Ok(())
        };
        Unpacker::new().unpack(packed, raw_length, take)?;
        Ok(raw)
    }

    #[test]
    fn what_was_packed_is_unpacked_whatever_the_compression() {
        let raw = b"hotcrate ".repeat(100_000);
        let mut packer = Packer::new().unwrap();
        for compression in [
            Compression::Normal,
            Compression::LongWindow,
            Compression::Stored,
        ] {
            let (bytes, entry) = packer.pack(&raw, compression, |_| ()).unwrap();
            let frame = &bytes[FRAME_HEADER_LEN..];
            assert_eq!(entry.digest, Digest::of_bytes(frame));
            assert!(unpacked(frame, raw.len()).unwrap() == raw);
        }
    }

    #[test]
    fn what_can_not_be_compressed_is_packed_all_the_same_and_said_to_take_more() {
        let noise: Vec<u8> = (0..100_000_u64)
            .map(|number| Digest::of_bytes(&number.to_le_bytes()).as_raw()[0])
            .collect();
        let mut packer = Packer::new().unwrap();
        let mut overdrawn = 0;
        let (bytes, _) = packer
            .pack(&noise, Compression::LongWindow, |bytes| overdrawn = bytes)
            .unwrap();
        let expected = expected_packed(noise.len(), Compression::LongWindow);
        assert!(expected < bytes.len() && bytes.len() <= expected + overdrawn);
        let frame = &bytes[FRAME_HEADER_LEN..];
        assert!(unpacked(frame, noise.len()).unwrap() == noise);
    }

    #[test]
    fn a_frame_of_another_size_than_claimed_is_not_unpacked() {
        let packed = pack_small(&[0; 1000]).unwrap();
        let twice = packed.repeat(2);
        for (packed, length) in [
            (&packed[..], 999),
            (&packed, 1001),
            (&packed[..packed.len() - 1], 1000),
            (&twice, 1000),
            (&[], 0),
        ] {
            assert_eq!(unpacked(packed, length), Err(UnpackFailure::Frame));
        }
        assert_eq!(unpack_small(&packed, 999), None);
        assert_eq!(unpack_small(&packed, 1001), None);
    }

    #[test]
    fn who_takes_the_pieces_can_stop() {
        let packed = pack_small(&[0; 1000]).unwrap();
        let stopped = Unpacker::new().unpack(&packed, 1000, |_| Err("enough"));
        assert_eq!(stopped, Err(UnpackFailure::Taker("enough")));
    }
}
