//! What a bucket says of itself: whose it is, and when it was last asked for.

use std::{
    io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{BucketKind, BucketPlace};

/// The version of the record.
const SCHEMA: u32 = 1;

/// Whose bucket it is. Buckets without a record, or with one of another version, are nobody's.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BucketRecord {
    /// The version of this file.
    pub schema: u32,
    /// The directory of the repository.
    pub repository: PathBuf,
    /// The place of the workspace in it: see [`super::Checkout::place_of`].
    pub workspace: String,
    /// Whether it is the project's or a worktree's.
    pub kind: BucketKind,
    /// The top directory of the checkout that it was last handed out to.
    pub checkout: PathBuf,
    /// When that was, in seconds since 1970.
    pub used_at: u64,
}

/// Why a record could not be written.
#[derive(Debug, thiserror::Error)]
#[error("failed to write {}", path.display())]
pub struct RecordError {
    /// The file.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: io::Error,
}

impl BucketRecord {
    /// A record of this version.
    pub fn new(
        repository: &Path,
        workspace: &str,
        kind: BucketKind,
        checkout: &Path,
        used_at: u64,
    ) -> Self {
        Self {
            schema: SCHEMA,
            repository: repository.to_owned(),
            workspace: workspace.to_owned(),
            kind,
            checkout: checkout.to_owned(),
            used_at,
        }
    }

    /// The record of the bucket at `place`; `None` if there is none that can be read.
    pub fn read(place: &BucketPlace) -> Option<Self> {
        let json = fs_err::read(place.record()).ok()?;
        let record: Self = serde_json::from_slice(&json).ok()?;
        (record.schema == SCHEMA).then_some(record)
    }

    /// Writes the record, in place of an earlier one. Makes the bucket's directory.
    pub fn write(&self, place: &BucketPlace) -> Result<(), RecordError> {
        let path = place.record();
        let failed = |source| RecordError {
            path: path.clone(),
            source,
        };
        fs_err::create_dir_all(&place.directory).map_err(failed)?;
        let json = serde_json::to_vec_pretty(self).map_err(|error| failed(error.into()))?;
        let file = tempfile::NamedTempFile::new_in(&place.directory).map_err(failed)?;
        fs_err::write(file.path(), json).map_err(failed)?;
        file.persist(&path).map_err(|error| failed(error.error))?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_record_is_read_as_it_was_written_and_of_no_other_version() {
        let directory = tempfile::tempdir().expect("there is room");
        let place = BucketPlace {
            directory: directory.path().join("p/shared"),
        };
        assert_eq!(BucketRecord::read(&place), None);
        let mut record = BucketRecord::new(
            Path::new("/work/.git"),
            "tools",
            BucketKind::Shared,
            Path::new("/work"),
            7,
        );
        record.write(&place).expect("there is room");
        assert_eq!(BucketRecord::read(&place).as_ref(), Some(&record));
        record.schema += 1;
        record.write(&place).expect("there is room");
        assert_eq!(BucketRecord::read(&place), None);
    }
}
