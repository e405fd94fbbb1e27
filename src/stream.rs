//! The two byte streams through which archives and stores meet.
//!
//! A store hands out a [`RangedSource`] to read an entry from, and takes a new entry through a [`ByteSink`]. An
//! archive knows neither files nor networks; a store knows nothing of what the bytes mean.

use std::error::Error;

/// What went wrong on the other side of a stream, as the store words it.
pub type StreamError = Box<dyn Error + Send + Sync>;

/// The first range that is read of an entry, in bytes, unless the entry is smaller: a store may fetch it with the request
/// that tells it the size.
pub const FIRST_RANGE: u64 = 8 << 20;

/// An entry of known size that can be read in ranges, from several threads at once.
pub trait RangedSource: Send + Sync {
    /// Size of the whole entry in bytes.
    fn total(&self) -> u64;

    /// Fills `bytes` with those that start `offset` bytes into the entry.
    ///
    /// A range that reaches past the end is an error, never a short answer. What is in `bytes` after an error is of no use.
    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> Result<(), StreamError>;

    /// Reads `length` bytes like [`RangedSource::read_exact_at`] does, into memory of their own, which is not taken for a
    /// range that reaches past the end.
    fn read_range(&self, offset: u64, length: usize) -> Result<Vec<u8>, StreamError> {
        check_range(self.total(), offset, length)?;
        let mut bytes = vec![0; length];
        self.read_exact_at(&mut bytes, offset)?;
        Ok(bytes)
    }
}

/// Fails if `length` bytes that start `offset` bytes into an entry of `total` bytes reach past its end.
pub fn check_range(total: u64, offset: u64, length: usize) -> std::io::Result<()> {
    let end = u64::try_from(length)
        .ok()
        .and_then(|length| offset.checked_add(length));
    if end.is_none_or(|end| end > total) {
        return Err(std::io::ErrorKind::UnexpectedEof.into());
    }
    Ok(())
}

/// Takes the bytes of a new entry in order.
///
/// What was written counts for nothing until the store's upload is finished; dropping it abandons the entry.
pub trait ByteSink: Send {
    /// Appends `bytes` to the entry. May block while earlier bytes are on their way.
    fn write_all(&mut self, bytes: Vec<u8>) -> Result<(), StreamError>;
}

/// How far a transfer has come. Reported from several threads; must return quickly.
pub trait Progress: Sync {
    /// `bytes` more of file content were packed or unpacked.
    fn advance(&self, bytes: u64);
}

/// Tells nobody.
pub struct Silent;

impl Progress for Silent {
    fn advance(&self, _bytes: u64) {}
}
