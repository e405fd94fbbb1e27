//! SHA-256 over labelled, length-prefixed fields: the only digest in hotcrate.
//!
//! Invariant: two different sequences of fields never feed the same bytes to the hash, whatever they contain, and
//! the result depends on nothing but the fields: not on the machine, the checkout or the release of hotcrate.

use std::fmt;

use serde::{Deserialize, Serialize};
use sha2::{Digest as _, Sha256};

/// A SHA-256, written as 64 lower-case hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// The digest of `bytes` as they are, without a label: what `sha256sum` prints.
    pub fn of_bytes(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// Wraps 32 raw bytes of a SHA-256.
    pub fn from_raw(raw: [u8; 32]) -> Self {
        Self(raw)
    }

    /// The 32 raw bytes.
    pub fn as_raw(&self) -> &[u8; 32] {
        &self.0
    }

    /// The first 8 hexadecimal digits, as they stand in keys.
    pub fn short(&self) -> String {
        let [first, second, third, fourth, ..] = self.0;
        format!("{first:02x}{second:02x}{third:02x}{fourth:02x}")
    }

    /// Reads 64 hexadecimal digits of either case; `None` for anything else.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() != 64 || !text.is_ascii() {
            return None;
        }
        let mut raw = [0; 32];
        for (index, byte) in raw.iter_mut().enumerate() {
            *byte = u8::from_str_radix(&text[index * 2..index * 2 + 2], 16).ok()?;
        }
        Some(Self(raw))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .iter()
            .try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Digest({self})")
    }
}

impl Serialize for Digest {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Digest {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).ok_or_else(|| serde::de::Error::custom("expected 64 hexadecimal digits"))
    }
}

/// Builds a [`Digest`] from fields, each with a label.
#[derive(Default)]
pub struct DigestBuilder(Sha256);

impl DigestBuilder {
    /// A builder with no fields yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds one field. Label and value are length-prefixed, so that `("a", "bc")` and `("ab", "c")` differ.
    pub fn field(&mut self, label: &str, value: impl AsRef<[u8]>) -> &mut Self {
        for bytes in [label.as_bytes(), value.as_ref()] {
            self.0.update((bytes.len() as u64).to_le_bytes());
            self.0.update(bytes);
        }
        self
    }

    /// The digest of all fields so far, in the order in which they came.
    pub fn finish(&self) -> Digest {
        Digest(self.0.clone().finalize().into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_one_field_ends_and_the_next_begins_matters() {
        let digest = |fields: &[(&str, &str)]| {
            let mut builder = DigestBuilder::new();
            for (label, value) in fields {
                builder.field(label, value);
            }
            builder.finish()
        };
        assert_ne!(digest(&[("a", "bc")]), digest(&[("ab", "c")]));
        assert_ne!(digest(&[("a", "b"), ("c", "d")]), digest(&[("a", "bcd")]));
        assert_ne!(digest(&[("a", "")]), digest(&[]));
    }

    #[test]
    fn a_digest_survives_its_own_text() {
        let digest = Digest::of_bytes(b"hotcrate");
        assert_eq!(Digest::parse(&digest.to_string()), Some(digest));
        assert_eq!(Digest::parse("12"), None);
        assert_eq!(Digest::parse(&"zz".repeat(32)), None);
    }

    /// Keys of one release must be found by the next: this value may never change.
    #[test]
    fn digests_stay_the_same_from_release_to_release() {
        let digest = DigestBuilder::new().field("rustc", "1.95.0").finish();
        insta::assert_snapshot!(digest, @"ab0bd21e8cf621e73cbbcd59cb4a608ec471b3bb6f919ade5beec9c7d3298c29");
    }
}
