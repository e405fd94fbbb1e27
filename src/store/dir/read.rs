//! Reading an entry.

use std::{fs::File, io, path::Path};

use super::StoreError;
use crate::{
    deadline::Deadline,
    stream::{RangedSource, StreamError},
};

/// An entry's file, open. It stays whole when the entry is evicted.
#[derive(Debug)]
pub(super) struct EntryFile {
    file: fs_err::File,
    total: u64,
    deadline: Deadline,
}

impl EntryFile {
    /// Opens the entry called `key` at `path`.
    pub(super) fn open(path: &Path, key: &str, deadline: Deadline) -> Result<Self, StoreError> {
        let failed = |source: io::Error| match source.kind() {
            io::ErrorKind::NotFound => StoreError::Gone {
                key: key.to_owned(),
            },
            _ => StoreError::of_file("read", path, source),
        };
        let file = fs_err::File::open(path).map_err(failed)?;
        let total = file.metadata().map_err(failed)?.len();
        Ok(Self {
            file,
            total,
            deadline,
        })
    }
}

impl RangedSource for EntryFile {
    fn total(&self) -> u64 {
        self.total
    }

    fn read_range(&self, offset: u64, length: usize) -> Result<Vec<u8>, StreamError> {
        self.deadline.check()?;
        let failed = |source| StoreError::of_file("read", self.file.path(), source);
        let end = u64::try_from(length)
            .ok()
            .and_then(|length| offset.checked_add(length));
        // Before any memory is taken: who asks may have read the length from a damaged entry.
        if end.is_none_or(|end| end > self.total) {
            return Err(failed(io::ErrorKind::UnexpectedEof.into()).into());
        }
        let mut bytes = vec![0; length];
        read_exact_at(self.file.file(), &mut bytes, offset).map_err(failed)?;
        Ok(bytes)
    }
}

/// Fills `bytes` from `offset` on, without a position that threads would share.
#[cfg(unix)]
fn read_exact_at(file: &File, bytes: &mut [u8], offset: u64) -> io::Result<()> {
    std::os::unix::fs::FileExt::read_exact_at(file, bytes, offset)
}

/// Fills `bytes` from `offset` on. The position of the file moves, but no read relies on it.
#[cfg(windows)]
fn read_exact_at(file: &File, mut bytes: &mut [u8], mut offset: u64) -> io::Result<()> {
    while !bytes.is_empty() {
        match std::os::windows::fs::FileExt::seek_read(file, bytes, offset) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(read) => {
                bytes = &mut bytes[read..];
                offset += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}
