//! zstd, one frame at a time.

use std::io::{self, Cursor};

use zstd::{
    bulk::{Compressor, Decompressor},
    zstd_safe::{CParameter, compress_bound},
};

use super::{
    Compression,
    format::{FRAME_HEADER_LEN, frame_header},
    index::FrameEntry,
};
use crate::key::Digest;

/// How one kind of group is compressed.
pub(super) struct Parameters {
    /// How much tar goes into a frame, in bytes, before the next is begun.
    pub(super) frame_bytes: u64,
    level: i32,
    /// Base-2 logarithm of the window. Plain `zstd -d` takes up to 27.
    window_log: u32,
    /// Whether zstd looks for long repetitions far back: it costs time on everything.
    long_distance: bool,
}

/// The parameters for `compression`.
pub(super) fn parameters(compression: Compression) -> Parameters {
    match compression {
        Compression::Normal => Parameters {
            frame_bytes: 16 << 20,
            level: 3,
            window_log: 25,
            long_distance: false,
        },
        Compression::LongWindow => Parameters {
            frame_bytes: 32 << 20,
            level: 3,
            window_log: 25,
            long_distance: true,
        },
        Compression::Stored => Parameters {
            frame_bytes: 16 << 20,
            level: 1,
            window_log: 25,
            long_distance: false,
        },
    }
}

/// The most bytes that [`Packer::pack`] returns for `raw` bytes of tar.
pub(super) fn packed_bound(raw: usize) -> usize {
    compress_bound(raw) + FRAME_HEADER_LEN
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
    pub(super) fn pack(
        &mut self,
        raw: &[u8],
        compression: Compression,
    ) -> io::Result<(Vec<u8>, FrameEntry)> {
        self.set_up(compression)?;
        let mut buffer = Vec::with_capacity(packed_bound(raw.len()));
        buffer.resize(FRAME_HEADER_LEN, 0);
        let mut buffer = Cursor::new(buffer);
        buffer.set_position(FRAME_HEADER_LEN as u64);
        self.compressor.compress_to_buffer(raw, &mut buffer)?;
        let mut bytes = buffer.into_inner();
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

    fn set_up(&mut self, compression: Compression) -> io::Result<()> {
        if self.set_for == Some(compression) {
            return Ok(());
        }
        let parameters = parameters(compression);
        for parameter in [
            CParameter::CompressionLevel(parameters.level),
            CParameter::WindowLog(parameters.window_log),
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

/// Decompresses frames, one after the other, into one buffer.
#[derive(Default)]
pub(super) struct Unpacker {
    decompressor: Decompressor<'static>,
    buffer: Vec<u8>,
}

impl Unpacker {
    /// What `packed` decompresses to; `None` if that is not exactly `raw_length` bytes.
    pub(super) fn unpack(&mut self, packed: &[u8], raw_length: usize) -> Option<&[u8]> {
        self.buffer.clear();
        // Exactly: a capacity that doubles would be memory that nobody accounts for.
        self.buffer.reserve_exact(raw_length);
        let length = self
            .decompressor
            .decompress_to_buffer(packed, &mut self.buffer)
            .ok()?;
        (length == raw_length).then_some(&self.buffer[..])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_packed_is_unpacked_whatever_the_compression() {
        let raw = b"hotcrate ".repeat(10_000);
        let mut packer = Packer::new().unwrap();
        let mut unpacker = Unpacker::default();
        for compression in [
            Compression::Normal,
            Compression::LongWindow,
            Compression::Stored,
        ] {
            let (bytes, entry) = packer.pack(&raw, compression).unwrap();
            let packed = &bytes[FRAME_HEADER_LEN..];
            assert_eq!(entry.digest, Digest::of_bytes(packed));
            assert_eq!(unpacker.unpack(packed, raw.len()), Some(&raw[..]));
        }
    }

    #[test]
    fn a_frame_of_another_size_than_claimed_is_not_unpacked() {
        let packed = pack_small(&[0; 1000]).unwrap();
        let mut unpacker = Unpacker::default();
        assert_eq!(unpacker.unpack(&packed, 999), None);
        assert_eq!(unpacker.unpack(&packed, 1001), None);
        assert_eq!(unpack_small(&packed, 999), None);
        assert_eq!(unpack_small(&packed, 1001), None);
    }
}
