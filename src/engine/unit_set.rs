//! A set of units that tells which members of an archive are theirs.

use std::collections::{HashMap, HashSet};

use crate::archive::path::RelativePath;

/// Units by root and hash.
#[derive(Debug, Default)]
pub(super) struct UnitSet(HashMap<RelativePath, HashSet<String>>);

impl UnitSet {
    /// Adds the unit with this hash in the root called `root`.
    pub(super) fn add(&mut self, root: &RelativePath, hash: &str) {
        let hashes = self.0.entry(root.clone()).or_default();
        hashes.insert(hash.to_owned());
    }

    /// How many units there are.
    pub(super) fn len(&self) -> usize {
        self.0.values().map(HashSet::len).sum()
    }

    /// Whether the unit with this hash in the root called `root` is among them.
    pub(super) fn has(&self, root: &RelativePath, hash: &str) -> bool {
        self.0.get(root).is_some_and(|hashes| hashes.contains(hash))
    }

    /// Whether a member of an archive, by its name, belongs to one of them. Every file of a unit has the unit's hash as a
    /// word of its name or of a directory above it; hard links to such a file without one are Cargo's final artefacts,
    /// which it makes again.
    pub(super) fn holds(&self, member: &RelativePath) -> bool {
        self.0.iter().any(|(root, hashes)| {
            member.strip_prefix(root).is_some_and(|path| {
                path.as_str()
                    .split(['/', '-', '.'])
                    .any(|word| hashes.contains(word))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_belongs_to_the_unit_whose_hash_it_has_as_a_word_in_either_layout() {
        let path = |text: &str| RelativePath::new(text).expect("it is plain");
        let hash = "0123456789abcdef";
        let mut set = UnitSet::default();
        set.add(&path("target"), hash);
        for member in [
            "target/debug/deps/libfoo-0123456789abcdef.rlib",
            "target/debug/build/foo-0123456789abcdef/out/a/b.rs",
            "target/debug/build/foo/0123456789abcdef/out/libfoo.rlib",
            "target/debug/.fingerprint/foo-0123456789abcdef/lib-foo",
        ] {
            assert!(set.holds(&path(member)), "{member}");
        }
        for member in [
            "target/debug/deps/libfoo-fedcba9876543210.rlib",
            "other/debug/deps/libfoo-0123456789abcdef.rlib",
            "target/debug/app",
        ] {
            assert!(!set.holds(&path(member)), "{member}");
        }
        assert!(set.has(&path("target"), hash));
        assert_eq!(set.len(), 1);
    }
}
