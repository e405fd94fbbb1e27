//! The source manifest: what the sources were when a target directory was stored.
//!
//! It lies in the same entry as the target directory. It replaces the manifest before it, knows no history and no
//! absent paths: an earlier time for content that came back would make artefacts of the content between look fresh.

use std::{collections::BTreeMap, path::Path};

use filetime::FileTime;
use serde::{Deserialize, Serialize};

use super::{
    Head, Inputs, Listing, OutsideFiles, Package, PathSet, Verdicts,
    sources::{Mtime, SourceKind, Sources},
};
use crate::key::Digest;

/// Where a recorded path came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Made {
    /// It was there before the job: it came with the checkout, or a step before the restore made it.
    Before,
    /// The job made it, or git ignores it, and units may have been compiled when it was there. It may be absent after the
    /// next checkout.
    Early,
    /// As `Early`, but when it was made every unit had been compiled: no unit has read it.
    Late,
}

/// What was at one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// What it was.
    pub kind: SourceKind,
    /// The digest of its content.
    pub digest: Digest,
    /// Its exact modification time.
    pub mtime: Mtime,
    /// Where it came from.
    pub made: Made,
}

/// What is known of the job whose sources are recorded.
#[derive(Clone, Copy, Debug)]
pub struct Job<'a> {
    /// Git's state.
    pub head: &'a Head,
    /// What git ignores.
    pub ignored: &'a PathSet,
    /// What lay in the source trees when the job began. Without it, whatever git does not ignore was there before.
    pub listing: Option<&'a Listing>,
    /// The manifest that came with what was restored: what those units may have read.
    pub restored: Option<&'a SourceManifest>,
    /// The newest modification time in what is stored.
    pub saved_max: Mtime,
}

/// The sources of a stored target directory.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SourceManifest {
    /// Everything that was there, by the names of [`Sources`].
    #[serde(with = "rows")]
    pub entries: BTreeMap<String, Recorded>,
    /// The packages, sorted by root.
    pub packages: Vec<Package>,
    /// The newest modification time in the stored target directory.
    pub saved_max: Mtime,
    /// The commit that was checked out.
    pub head: Head,
    /// What units said that they read outside of all source trees.
    pub outside: OutsideFiles,
    /// What macros from registries may read.
    #[serde(default)]
    pub verdicts: Verdicts,
}

impl SourceManifest {
    /// Records `sources`, as they are after the last Cargo command of `job`. `inputs` is what the units of the target
    /// directory said.
    ///
    /// A path that changed or went since the units were judged by it has a digest that nothing has: what was compiled
    /// before its last change is told from what was compiled after it by nobody but Cargo, and only as far as units name
    /// it. It counts as changed from now on.
    pub fn record(sources: &Sources, inputs: &Inputs, job: &Job<'_>) -> Self {
        let mut entries: BTreeMap<_, _> = sources
            .entries
            .iter()
            .filter_map(|(name, found)| {
                let recorded = Recorded {
                    kind: found.kind,
                    digest: found.digest?,
                    mtime: found.mtime,
                    made: job.made(name, || born(&found.path)),
                };
                Some((name.clone(), recorded))
            })
            .collect();
        for name in job
            .listing
            .iter()
            .flat_map(|listing| listing.changed(sources))
        {
            if let Some(entry) = entries.get_mut(name) {
                entry.digest = no_content();
            }
        }
        for name in job.listing.iter().flat_map(|listing| listing.gone(sources)) {
            let entry = Recorded {
                kind: SourceKind::File,
                digest: no_content(),
                mtime: job.saved_max,
                made: job.made(name, || None),
            };
            entries.insert(name.to_owned(), entry);
        }
        Self {
            entries,
            packages: sources.packages.clone(),
            saved_max: job.saved_max,
            head: job.head.clone(),
            outside: OutsideFiles::read(inputs.outside_paths()),
            verdicts: inputs.verdicts.clone(),
        }
    }
}

impl Job<'_> {
    /// Where `name` came from, given what tells when it was made.
    fn made(&self, name: &str, born: impl FnOnce() -> Option<Mtime>) -> Made {
        let is_before = self
            .listing
            .is_none_or(|listing| listing.had_at_restore(name));
        if is_before && !self.ignored.contains(name) {
            return Made::Before;
        }
        let earlier = self
            .restored
            .and_then(|manifest| manifest.entries.get(name));
        let was_read = earlier.is_some_and(|entry| entry.made != Made::Late);
        let is_late = !was_read && !is_before && born().is_some_and(|born| born > self.saved_max);
        if is_late { Made::Late } else { Made::Early }
    }
}

/// The digest of what is not known: no file has it.
fn no_content() -> Digest {
    Digest::from_raw([0; 32])
}

/// When the file was made, where the file system tells. One that is written anew in its place is as old as before.
fn born(path: &Path) -> Option<Mtime> {
    let made = fs_err::symlink_metadata(path).ok()?.created().ok()?;
    Some(Mtime::from_file_time(FileTime::from_system_time(made)))
}

/// Entries as rows of `[name, kind, digest, seconds, nanos]`: field names would triple their size.
mod rows {
    use std::collections::BTreeMap;

    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use super::{Digest, Made, Mtime, Recorded, SourceKind};

    type Row = (String, String, Digest, i64, u32);

    pub(super) fn serialize<S: Serializer>(
        entries: &BTreeMap<String, Recorded>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(entries.iter().map(|(name, recorded)| -> Row {
            let mut kind = match recorded.kind {
                SourceKind::File => "f".to_owned(),
                SourceKind::Link => "l".to_owned(),
                SourceKind::Directory => "d".to_owned(),
            };
            match recorded.made {
                Made::Before => {}
                Made::Early => kind.push('e'),
                Made::Late => kind.push('j'),
            }
            let Mtime { seconds, nanos } = recorded.mtime;
            (name.clone(), kind, recorded.digest, seconds, nanos)
        }))
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<String, Recorded>, D::Error> {
        let rows = Vec::<Row>::deserialize(deserializer)?;
        rows.into_iter()
            .map(|(name, kind, digest, seconds, nanos)| {
                let (letter, made) = match (kind.strip_suffix('e'), kind.strip_suffix('j')) {
                    (Some(letter), _) => (letter, Made::Early),
                    (None, Some(letter)) => (letter, Made::Late),
                    (None, None) => (kind.as_str(), Made::Before),
                };
                let kind = match letter {
                    "f" => SourceKind::File,
                    "l" => SourceKind::Link,
                    "d" => SourceKind::Directory,
                    _ => return Err(D::Error::custom("expected one of f, l and d")),
                };
                if nanos >= 1_000_000_000 {
                    return Err(D::Error::custom(
                        "expected less than a second of nanoseconds",
                    ));
                }
                let recorded = Recorded {
                    kind,
                    digest,
                    mtime: Mtime { seconds, nanos },
                    made,
                };
                Ok((name, recorded))
            })
            .collect()
    }
}
