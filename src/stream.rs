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

    /// Reads exactly `length` bytes that start `offset` bytes into the entry.
    ///
    /// A range that reaches past the end is an error, never a short answer.
    fn read_range(&self, offset: u64, length: usize) -> Result<Vec<u8>, StreamError>;
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
