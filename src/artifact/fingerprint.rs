//! The fingerprint: one digest over everything that an artefact is made from. Pure.

use std::ffi::OsString;

use super::TreeState;
use crate::key::{Digest, DigestBuilder, KeyPart};

/// The version of what enters a fingerprint.
const VERSION: &str = "1";

/// What an artefact is made from, and by what.
#[derive(Clone, Debug)]
pub struct FingerprintRequest<'a> {
    /// What lies in the checkout.
    pub tree: &'a TreeState,
    /// The state of git, where it counts.
    pub head: Option<&'a str>,
    /// Platform, toolchain, environment, and the settings and locked packages in effect.
    pub parts: &'a [KeyPart],
    /// The command, as the user wrote it.
    pub command: &'a [OsString],
    /// The project's place in the checkout, which paths are relative to.
    pub place: &'a str,
    /// The paths of the artefacts, as the user wrote them.
    pub paths: &'a [String],
    /// What lies in path packages outside of the checkout.
    pub outside: Option<&'a str>,
}

/// The fingerprint of an artefact.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fingerprint(Digest);

/// Computes the fingerprint.
pub fn fingerprint(request: &FingerprintRequest<'_>) -> Fingerprint {
    let mut builder = DigestBuilder::new();
    builder.field("version", VERSION);
    builder.field("tree", request.tree.digest().as_raw());
    if let Some(head) = request.head {
        builder.field("head", head);
    }
    for part in request.parts {
        builder.field("part", part.digest().as_raw());
    }
    for word in request.command {
        builder.field("command", word.as_encoded_bytes());
    }
    builder.field("place", request.place);
    for path in request.paths {
        builder.field("path", path);
    }
    if let Some(outside) = request.outside {
        builder.field("outside", outside);
    }
    Fingerprint(builder.finish())
}

impl Fingerprint {
    /// How the keys of all entries with this fingerprint begin; behind it stands a digest of where they were built.
    pub fn prefix(&self) -> String {
        format!("hotcrate-artifact-v1-{}-", self.0)
    }

    /// The key of the entry that was built in `directory`.
    pub fn key(&self, directory: &std::path::Path) -> String {
        let place = Digest::of_bytes(directory.as_os_str().as_encoded_bytes());
        format!("{}{}", self.prefix(), place.short())
    }

    /// A few digits of it, for people.
    pub fn short(&self) -> String {
        self.0.short()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{Fact, PartName};

    #[test]
    fn whatever_an_artefact_is_made_from_changes_its_fingerprint() {
        let tree = TreeState::default();
        let words = |text: &str| -> Vec<OsString> { text.split(' ').map(OsString::from).collect() };
        let (command, other) = (words("cargo build"), words("cargo build --release"));
        let [paths, other_paths] = ["target/debug/app", "app"].map(|path| vec![path.to_owned()]);
        let part = |value: &str| vec![KeyPart::new(PartName::Env, [Fact::new("RUSTFLAGS", value)])];
        let (parts, other_parts) = (part("a"), part("b"));
        let plain = FingerprintRequest {
            tree: &tree,
            head: None,
            parts: &parts,
            command: &command,
            place: "",
            paths: &paths,
            outside: None,
        };
        let all = [
            plain.clone(),
            FingerprintRequest {
                head: Some("1"),
                ..plain.clone()
            },
            FingerprintRequest {
                head: Some("2"),
                ..plain.clone()
            },
            FingerprintRequest {
                parts: &other_parts,
                ..plain.clone()
            },
            FingerprintRequest {
                command: &other,
                ..plain.clone()
            },
            FingerprintRequest {
                place: "app",
                ..plain.clone()
            },
            FingerprintRequest {
                paths: &other_paths,
                ..plain.clone()
            },
            FingerprintRequest {
                outside: Some("1"),
                ..plain.clone()
            },
        ];
        let keys: std::collections::BTreeSet<_> = all
            .iter()
            .map(|request| fingerprint(request).prefix())
            .collect();
        assert_eq!(keys.len(), all.len());
        assert_eq!(fingerprint(&plain), fingerprint(&all[0]));
    }

    #[test]
    fn builds_in_two_places_have_keys_of_their_own_with_one_beginning() {
        let request = FingerprintRequest {
            tree: &TreeState::default(),
            head: None,
            parts: &[],
            command: &[],
            place: "",
            paths: &[],
            outside: None,
        };
        let print = fingerprint(&request);
        let [one, two] = ["/one", "/two"].map(|place| print.key(std::path::Path::new(place)));
        assert_ne!(one, two);
        assert!(one.starts_with(&print.prefix()) && two.starts_with(&print.prefix()));
    }
}
