//! The source manifest: what the sources were when a target directory was stored.
//!
//! It lies in the same entry as the target directory. It replaces the manifest before it, knows no history and no
//! absent paths: an earlier time for content that came back would make artefacts of the content between look fresh.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{
    Head, Inputs, OutsideFiles, Package, PathSet,
    sources::{Mtime, SourceKind, Sources},
};
use crate::key::Digest;

/// What was at one path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Recorded {
    /// What it was.
    pub kind: SourceKind,
    /// The digest of its content.
    pub digest: Digest,
    /// Its exact modification time.
    pub mtime: Mtime,
    /// Whether the job made it: it did not come with the checkout. Such a path may be absent after the next one.
    pub is_made_by_job: bool,
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
}

impl SourceManifest {
    /// Records `sources`, as they are after the last Cargo command of the job.
    ///
    /// `inputs` and `outside` are what the units of the target directory said; `saved_max` the newest modification
    /// time in it; `made_by_job` the paths that were not there at restore or that git ignores
    /// ([`super::made_by_job`]).
    pub fn record(
        sources: &Sources,
        inputs: &Inputs,
        head: Head,
        saved_max: Mtime,
        made_by_job: &PathSet,
    ) -> Self {
        let entries = sources
            .entries
            .iter()
            .filter_map(|(name, found)| {
                let recorded = Recorded {
                    kind: found.kind,
                    digest: found.digest?,
                    mtime: found.mtime,
                    is_made_by_job: made_by_job.contains(name),
                };
                Some((name.clone(), recorded))
            })
            .collect();
        Self {
            entries,
            packages: sources.packages.clone(),
            saved_max,
            head,
            outside: OutsideFiles::read(inputs.outside_paths()),
        }
    }

    /// Forgets the paths called `names`: what was compiled before their last change is told from what was compiled after
    /// it by nobody but Cargo, and only as far as units name them. They count as changed from now on.
    pub fn forget<'a>(&mut self, names: impl Iterator<Item = &'a str>) {
        for name in names {
            self.entries.remove(name);
        }
    }
}

/// Entries as rows of `[name, kind, digest, seconds, nanos]`: field names would triple their size.
mod rows {
    use std::collections::BTreeMap;

    use serde::{Deserialize as _, Deserializer, Serializer, de::Error as _};

    use super::{Digest, Mtime, Recorded, SourceKind};

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
            if recorded.is_made_by_job {
                kind.push('j');
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
                let (letter, made) = kind
                    .strip_suffix('j')
                    .map_or((kind.as_str(), false), |letter| (letter, true));
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
                    is_made_by_job: made,
                };
                Ok((name, recorded))
            })
            .collect()
    }
}
