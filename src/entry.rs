//! The facts at the head of every entry: what its key was made of, and what it holds.
//!
//! They are read before anything is unpacked. Invariant: no secret is among them.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

use crate::{
    archive::path::RelativePath,
    freshness::SourceManifest,
    key::{Digest, KeyPart},
    tier::{TierName, Tool},
    unit::UnitRecord,
};

/// The version of the facts. Entries of another version are a miss.
pub const SCHEMA: u32 = 1;

/// What an entry says of itself.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct EntryFacts {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The version of hotcrate that packed it.
    pub hotcrate: String,
    /// The tier.
    pub tier: TierName,
    /// The full key.
    pub key: String,
    /// The parts of the key, with the values behind them.
    pub parts: Vec<KeyPart>,
    /// When it was packed, in seconds since 1970.
    pub created_at: u64,
    /// Which run of CI packed it, if one did: attempts of one run, and all jobs of it, have the same.
    pub run: Option<String>,
    /// The hosted runner's image, if there was one. Told, and in no key: images change every week.
    pub image: Option<String>,
    /// The absolute directory that each root had.
    pub roots: BTreeMap<RelativePath, PathBuf>,
    /// What it holds.
    pub contents: Contents,
}

/// What an entry holds.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Contents {
    /// Pieces of CARGO_HOME, by name.
    Registry(Vec<String>),
    /// Compiled units.
    Target {
        /// The units, by root.
        units: Vec<(RelativePath, UnitRecord)>,
        /// The SHA-256 over the units of `deps` and their metadata.
        interface: Digest,
        /// In `workspace`: the sources that the units were compiled from.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sources: Option<Box<SourceManifest>>,
    },
    /// Objects of sccache, by name.
    Sccache(Vec<String>),
    /// Tools, with their records.
    Tools(Vec<Tool>),
    /// Directories, as the user listed them.
    Extra(Vec<String>),
}

/// Why the head of an entry cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FactsError {
    /// It is no JSON of ours.
    #[error("the entry's header cannot be read")]
    Garbled(#[source] serde_json::Error),
    /// It has a version that this release does not know.
    #[error("the entry has format {found}, and this release of hotcrate reads {SCHEMA}")]
    OtherSchema {
        /// The version found.
        found: u32,
    },
    /// It belongs to another tier.
    #[error("the entry holds the tier {found} and not {asked}")]
    OtherTier {
        /// The tier found.
        found: TierName,
        /// The tier asked for.
        asked: TierName,
    },
}

impl EntryFacts {
    /// The JSON that the archive keeps.
    pub fn to_json(&self) -> Result<Vec<u8>, FactsError> {
        serde_json::to_vec(self).map_err(FactsError::Garbled)
    }

    /// Reads the JSON of an archive, which must be of `tier`.
    pub fn from_json(json: &[u8], tier: TierName) -> Result<Self, FactsError> {
        #[derive(Deserialize)]
        struct Head {
            schema: u32,
        }
        let head: Head = serde_json::from_slice(json).map_err(FactsError::Garbled)?;
        if head.schema != SCHEMA {
            return Err(FactsError::OtherSchema { found: head.schema });
        }
        let facts: Self = serde_json::from_slice(json).map_err(FactsError::Garbled)?;
        if facts.tier != tier {
            return Err(FactsError::OtherTier {
                found: facts.tier,
                asked: tier,
            });
        }
        Ok(facts)
    }
}
