//! The parts of a key, and the labelled facts behind them.
//!
//! Invariant: a part's digest depends on its facts alone, never on the order in which they were found.

use serde::{Deserialize, Serialize};

use super::{Digest, DigestBuilder};

/// What the value of a [`Fact`] begins with where it is only a digest.
const DIGEST_MARK: &str = "sha256:";

/// The name of a part of a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum PartName {
    /// Operating system, architecture, libc, and the absolute paths that Cargo's fingerprints hold.
    Platform,
    /// The compiler that the project selects, and the configured build targets.
    Toolchain,
    /// Environment variables that change what is built.
    Env,
    /// Workflow, job and matrix values, or the shared key.
    Job,
    /// Sources and checksums of Cargo.lock.
    Packages,
    /// `Packages`, and the profiles, patches and settings in effect.
    Lock,
    /// The exact builds of the dependencies that workspace artefacts were compiled against.
    Interface,
    /// The content of the workspace's files, and HEAD.
    Tree,
    /// The list of directories of the `extra` tier.
    List,
    /// What an entry holds: not known before it is packed.
    Set,
    /// Which run packed an entry: it holds more than the ones before it, and not something else.
    Generation,
}

impl PartName {
    /// The name as it stands in reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Platform => "platform",
            Self::Toolchain => "toolchain",
            Self::Env => "env",
            Self::Job => "job",
            Self::Packages => "packages",
            Self::Lock => "lock",
            Self::Interface => "interface",
            Self::Tree => "tree",
            Self::List => "list",
            Self::Set => "set",
            Self::Generation => "generation",
        }
    }
}

/// One labelled value behind a part of a key.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Fact {
    /// What the value is of, in words that people use: `rustc`, `package serde`, `RUSTFLAGS`.
    pub label: String,
    /// The value. Never a secret: of an environment variable only a digest stands here.
    pub value: String,
}

impl Fact {
    /// A fact.
    pub fn new(label: impl Into<String>, value: impl Into<String>) -> Self {
        Self {
            label: label.into(),
            value: value.into(),
        }
    }

    /// A fact whose value must not be told, or is too long to be: `sha256:` and a digest of it stand in its place.
    pub fn digested(label: impl Into<String>, value: impl AsRef<[u8]>) -> Self {
        let label = label.into();
        let digest = DigestBuilder::new().field(&label, value).finish();
        Self::new(label, format!("{DIGEST_MARK}{digest}"))
    }
}

/// Whether the value of a fact is a digest, which tells people nothing.
pub(super) fn is_digest(value: &str) -> bool {
    value.starts_with(DIGEST_MARK)
}

/// One part of a key, with the facts behind it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyPart {
    /// Which part this is.
    pub name: PartName,
    /// The facts, sorted: the order in which they were found never matters.
    facts: Vec<Fact>,
}

impl KeyPart {
    /// A part from its facts, in any order.
    pub fn new(name: PartName, facts: impl IntoIterator<Item = Fact>) -> Self {
        let mut facts: Vec<_> = facts.into_iter().collect();
        facts.sort();
        facts.dedup();
        Self { name, facts }
    }

    /// The facts, sorted.
    pub fn facts(&self) -> &[Fact] {
        &self.facts
    }

    /// The SHA-256 over all facts; its first 8 digits stand in the key.
    pub fn digest(&self) -> Digest {
        let mut builder = DigestBuilder::new();
        builder.field("part", self.name.as_str());
        for fact in &self.facts {
            builder.field(&fact.label, &fact.value);
        }
        builder.finish()
    }
}
