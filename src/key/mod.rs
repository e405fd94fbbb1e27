//! Keys: under which name an entry is stored, and which names are asked for.
//!
//! A key is `hotcrate-v1-<tier>-` and then its parts, 8 hexadecimal digits each, joined with `-`. A part is the
//! digest of labelled facts, and the facts travel in the entry's header, so that every miss can be explained.
//! Everything here is pure.

pub mod digest;

use serde::{Deserialize, Serialize};

use crate::tier::TierName;

pub use digest::{Digest, DigestBuilder};

/// The first piece of every key: changes when old entries must not be read any more.
const KEY_VERSION: &str = "hotcrate-v1";

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

/// What one tier asks the store for: the parts of its key that are known before anything is restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// The tier that asks.
    pub tier: TierName,
    /// The parts, in the order of the key.
    pub parts: Vec<KeyPart>,
    /// How many of `parts` an acceptable entry must share, counted from the left; restore keys go no further.
    pub least: usize,
    /// Whether the key has one more part, `set`, which is known only once the entry is packed.
    pub open_ended: bool,
}

impl Question {
    /// The key asked for first. It ends in `-` if the rest of it is not known yet: the newest entry answers.
    pub fn key(&self) -> String {
        let known = self.prefix(self.parts.len());
        if self.open_ended {
            known
        } else {
            known.trim_end_matches('-').to_owned()
        }
    }

    /// The prefixes asked for after [`Question::key`], the closest first.
    pub fn restore_keys(&self) -> Vec<String> {
        let closest = self.parts.len();
        (self.least..closest)
            .rev()
            .map(|count| self.prefix(count))
            .collect()
    }

    /// The full key under which an entry is stored; `set` is its last part where the question is open-ended.
    pub fn full_key(&self, set: Option<&KeyPart>) -> String {
        match set {
            Some(set) => format!("{}{}", self.prefix(self.parts.len()), set.digest().short()),
            None => self.key(),
        }
    }

    fn prefix(&self, count: usize) -> String {
        let mut prefix = format!("{KEY_VERSION}-{}-", self.tier);
        for part in &self.parts[..count] {
            prefix.push_str(&part.digest().short());
            prefix.push('-');
        }
        prefix
    }
}

/// How a stored entry's parts compare with those asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    /// Every part that was asked for is equal, by value.
    Exact,
    /// Some parts differ.
    Partial(Vec<PartDifference>),
}

/// A part that differs between the stored entry and the question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartDifference {
    /// The part.
    pub part: PartName,
    /// Its facts that differ, sorted by label.
    pub changes: Vec<FactChange>,
}

/// A fact that differs: `None` where one side does not have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FactChange {
    /// The fact's label.
    pub label: String,
    /// Its value in the stored entry.
    pub old: Option<String>,
    /// Its value now.
    pub new: Option<String>,
}

/// Compares the parts of a stored entry with those of a question, by value and not by digest.
pub fn compare(stored: &[KeyPart], question: &Question) -> Match {
    let differences: Vec<_> = question
        .parts
        .iter()
        .filter_map(|asked| {
            let found = stored.iter().find(|part| part.name == asked.name);
            let changes = changed_facts(found.map_or(&[][..], KeyPart::facts), asked.facts());
            // A part without facts on either side has no changes, yet a missing part is a difference.
            (found.is_none() || !changes.is_empty()).then_some(PartDifference {
                part: asked.name,
                changes,
            })
        })
        .collect();
    if differences.is_empty() {
        Match::Exact
    } else {
        Match::Partial(differences)
    }
}

/// The facts that differ between two sorted lists. A label that several facts share is compared fact by fact.
fn changed_facts(old: &[Fact], new: &[Fact]) -> Vec<FactChange> {
    let only_in = |these: &[Fact], others: &[Fact]| -> Vec<Fact> {
        these
            .iter()
            .filter(|fact| others.binary_search(fact).is_err())
            .cloned()
            .collect()
    };
    let gone = only_in(old, new);
    let mut come = only_in(new, old);
    let mut changes = Vec::new();
    for fact in gone {
        let partner = come.iter().position(|other| other.label == fact.label);
        changes.push(FactChange {
            label: fact.label,
            old: Some(fact.value),
            new: partner.map(|index| come.remove(index).value),
        });
    }
    changes.extend(come.into_iter().map(|fact| FactChange {
        label: fact.label,
        old: None,
        new: Some(fact.value),
    }));
    changes.sort_by(|a, b| a.label.cmp(&b.label));
    changes
}
