//! What the entry of an artefact says of itself.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::files::digest_of_file;
use crate::key::{Digest, KeyPart};

/// The version of the facts. Entries of another version are a miss.
const SCHEMA: u32 = 1;

/// The head of an artefact's entry. No secret is in it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct ArtifactFacts {
    /// The version of the facts.
    pub schema: u32,
    /// The version of hotcrate that stored it.
    pub hotcrate: String,
    /// The full key.
    pub key: String,
    /// When it was stored, in seconds since 1970.
    pub created_at: u64,
    /// What it was built with, beside the sources.
    pub parts: Vec<KeyPart>,
    /// The absolute directory that it was built in.
    pub directory: PathBuf,
    /// Whether one of the artefacts holds that path outside of debug information: then it is of use nowhere else.
    pub holds_directory: bool,
    /// The artefacts.
    pub paths: Vec<StoredPath>,
}

/// One artefact.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoredPath {
    /// Its path as the user wrote it.
    pub path: String,
    /// The SHA-256 of its content, if it is a plain file.
    pub sha256: Option<Digest>,
}

impl ArtifactFacts {
    /// Facts of this version.
    pub fn new(key: String, created_at: u64, directory: &Path) -> Self {
        Self {
            schema: SCHEMA,
            hotcrate: env!("CARGO_PKG_VERSION").to_owned(),
            key,
            created_at,
            parts: Vec::new(),
            directory: directory.to_owned(),
            holds_directory: false,
            paths: Vec::new(),
        }
    }

    /// The facts in `json`; `None` for those of another version.
    pub fn parse(json: &[u8]) -> Option<Self> {
        let facts: Self = serde_json::from_slice(json).ok()?;
        (facts.schema == SCHEMA).then_some(facts)
    }

    /// Whether what was stored is what would be built in `directory`.
    pub fn is_good_in(&self, directory: &Path) -> bool {
        !self.holds_directory || self.directory == directory
    }
}

/// The SHA-256 of the plain file at `path`; `None` if there is none that can be read.
pub fn path_digest(path: &Path) -> Option<Digest> {
    let is_file = fs_err::symlink_metadata(path).is_ok_and(|found| found.is_file());
    is_file.then(|| digest_of_file(path).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_artefact_that_holds_its_place_is_good_there_alone() {
        let mut facts = ArtifactFacts::new("key".to_owned(), 0, Path::new("/one"));
        assert!(facts.is_good_in(Path::new("/two")));
        facts.holds_directory = true;
        assert!(!facts.is_good_in(Path::new("/two")));
        assert!(facts.is_good_in(Path::new("/one")));
    }

    #[test]
    fn facts_of_another_version_are_none() {
        let facts = ArtifactFacts::new("key".to_owned(), 0, Path::new("/one"));
        let mut json = serde_json::to_value(&facts).expect("it serialises");
        let read = |json: &serde_json::Value| ArtifactFacts::parse(json.to_string().as_bytes());
        assert!(read(&json).is_some());
        json["schema"] = 2.into();
        assert!(read(&json).is_none());
    }
}
