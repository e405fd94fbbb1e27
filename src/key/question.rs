//! Questions: what one tier asks a store for.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Digest, KeyPart};
use crate::tier::TierName;

/// The first piece of every key: changes when old entries must not be read any more.
pub(super) const KEY_VERSION: &str = "hotcrate-v1";

/// What one tier asks the store for: the parts of its key that are known before anything is restored.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Question {
    /// The tier that asks.
    pub tier: TierName,
    /// The parts, in the order of the key.
    pub parts: Vec<KeyPart>,
    /// How many of `parts` an acceptable entry must share, counted from the left; restore keys go no further.
    pub least: usize,
    /// Whether the key has one more part, `set` or `generation`, which is known only once the entry is packed.
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

    /// The full key under which an entry is stored; `last` is its last part where the question is open-ended. Then it is
    /// none of those that are `spoilt`: whoever asks finds the newest entry, whatever its last part is.
    pub fn full_key(&self, last: Option<&KeyPart>, spoilt: &BTreeSet<String>) -> String {
        let Some(last) = last else {
            return self.key();
        };
        let mut digest = last.digest();
        loop {
            let key = format!("{}{}", self.prefix(self.parts.len()), digest.short());
            if !spoilt.contains(&key) {
                return key;
            }
            digest = Digest::of_bytes(digest.as_raw());
        }
    }

    /// What the keys of all entries of the tier begin with: whatever is found by it says how it differs.
    pub fn any_of_tier(&self) -> String {
        self.prefix(0)
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
