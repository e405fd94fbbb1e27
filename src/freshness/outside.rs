//! Paths outside all source trees that units said they read: system headers, files of another checkout, `.git`.
//!
//! Their times can't be trusted (a package manager keeps upstream's, so that a newer header can have an older time)
//! and are never changed: what matters is whether they are what they were.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};
use serde::{Deserialize, Serialize};

use super::sources::Mtime;
use crate::key::{Digest, DigestBuilder};

/// Directories with more in them are not compared, but taken as changed.
const MOST_ENTRIES: usize = 20_000;

/// The digests of absolute paths; `None` stands for one that is absent, unreadable or too large to compare.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct OutsideFiles(BTreeMap<String, Option<Digest>>);

impl OutsideFiles {
    /// Reads `paths` as they are now, links followed. Paths that are not UTF-8 are left out: they count as changed.
    pub fn read(paths: BTreeSet<&Path>) -> Self {
        let paths: Vec<_> = paths.into_iter().collect();
        Self(
            paths
                .into_par_iter()
                .filter_map(|path| Some((path.to_str()?.to_owned(), digest_of(path))))
                .collect(),
        )
    }

    /// Whether `path` is here and in `earlier` and known to be the same.
    pub fn is_unchanged(&self, earlier: &Self, path: &Path) -> bool {
        let digest = |files: &Self| path.to_str().and_then(|path| *files.0.get(path)?);
        digest(self).is_some_and(|now| digest(earlier) == Some(now))
    }
}

fn digest_of(path: &Path) -> Option<Digest> {
    let metadata = fs_err::metadata(path).ok()?;
    if metadata.is_dir() {
        return digest_of_directory(path);
    }
    if !metadata.is_file() {
        return None;
    }
    Some(Digest::of_bytes(&fs_err::read(path).ok()?))
}

/// Names, sizes and times of all that lies in a directory: contents could be gigabytes of system headers, and where
/// a time differs it only costs a compilation.
fn digest_of_directory(path: &Path) -> Option<Digest> {
    let mut builder = DigestBuilder::new();
    for (count, entry) in walkdir::WalkDir::new(path)
        .follow_links(true)
        .sort_by_file_name()
        .into_iter()
        .enumerate()
    {
        let entry = entry.ok().filter(|_| count < MOST_ENTRIES)?;
        let metadata = entry.metadata().ok()?;
        let below: PathBuf = entry.path().strip_prefix(path).ok()?.to_owned();
        let Mtime { seconds, nanos } = Mtime::of(&metadata);
        builder
            .field("path", below.as_os_str().as_encoded_bytes())
            .field("size", metadata.len().to_le_bytes())
            .field("seconds", seconds.to_le_bytes())
            .field("nanos", nanos.to_le_bytes());
    }
    Some(builder.finish())
}
