//! Reading an entry.

use std::{fs::File, io, path::Path};

use super::StoreError;
use crate::{
    deadline::Deadline,
    stream::{RangedSource, StreamError, check_range},
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

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> Result<(), StreamError> {
        self.deadline.check()?;
        check_range(self.total, offset, bytes.len())
            .and_then(|()| read_exact_at(self.file.file(), bytes, offset))
            .map_err(|source| StoreError::of_file("read", self.file.path(), source))?;
        Ok(())
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
