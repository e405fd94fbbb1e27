//! Units that cannot be restored into another directory than the one that they were compiled in.
//!
//! Pure. Invariant: whatever was compiled, directly or not, against a unit that is left out is left out as well, since
//! Cargo would have to compile it again anyway.

use std::{
    collections::{BTreeMap, BTreeSet, HashSet},
    path::PathBuf,
};

use super::unit_set::UnitSet;
use crate::{
    archive::path::RelativePath,
    entry::{Contents, EntryFacts},
    unit::UnitRecord,
};

/// How many packages are named.
const MOST_NAMES: usize = 5;

/// The units of an entry that hold the path of a directory that is elsewhere now, and those compiled against them.
#[derive(Debug, Default)]
pub(super) struct MovedUnits {
    units: UnitSet,
    /// The packages that hold the path themselves.
    packages: BTreeSet<String>,
    /// How many units were compiled against those.
    dependents: usize,
}

impl MovedUnits {
    /// Those of an entry, when its roots are to lie at `roots` now.
    pub(super) fn of(facts: &EntryFacts, roots: &BTreeMap<RelativePath, PathBuf>) -> Self {
        let Contents::Target { units, .. } = &facts.contents else {
            return Self::default();
        };
        let mut moved = Self::default();
        for (root, was) in &facts.roots {
            if roots.get(root) == Some(was) {
                continue;
            }
            let records: Vec<_> = units
                .iter()
                .filter(|(name, _)| name == root)
                .map(|(_, record)| record)
                .collect();
            moved.add(root, &records);
        }
        moved
    }

    fn add(&mut self, root: &RelativePath, records: &[&UnitRecord]) {
        let mut values = HashSet::new();
        let mut left_out = vec![false; records.len()];
        for (index, record) in records.iter().enumerate() {
            if record.holds_target {
                left_out[index] = true;
                values.extend(record.values.iter().map(String::as_str));
                self.packages.insert(record.id.package.clone());
            }
        }
        loop {
            let mut has_grown = false;
            for (index, record) in records.iter().enumerate() {
                let depends = || record.deps.iter().any(|dep| values.contains(dep.as_str()));
                if !left_out[index] && depends() {
                    left_out[index] = true;
                    has_grown = true;
                    values.extend(record.values.iter().map(String::as_str));
                    self.dependents += 1;
                }
            }
            if !has_grown {
                break;
            }
        }
        for (record, left_out) in records.iter().zip(left_out) {
            if left_out {
                self.units.add(root, &record.id.hash);
            }
        }
    }

    /// These units.
    pub(super) fn units(&self) -> &UnitSet {
        &self.units
    }

    /// What to tell the user, if there are any: one line of bounded length.
    pub(super) fn told(&self) -> Option<String> {
        if self.packages.is_empty() {
            return None;
        }
        let whose = if self.packages.len() == 1 {
            "its"
        } else {
            "their"
        };
        let mut names: Vec<_> = self.packages.iter().map(String::as_str).collect();
        let more = names.len().saturating_sub(MOST_NAMES);
        names.truncate(MOST_NAMES);
        let more = match more {
            0 => String::new(),
            more => format!(" and {more} more"),
        };
        let dependents = match self.dependents {
            0 => String::new(),
            1 => ", and 1 unit that depends on what is left out".to_owned(),
            count => format!(", and {count} units that depend on what is left out"),
        };
        Some(format!(
            "left out, as {whose} outputs hold the path of the old target directory: {}{more}{dependents}",
            names.join(", ")
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        key::Digest,
        tier::TierName,
        unit::{Layout, Origin, UnitId, UnitKind},
    };

    fn path(name: &str) -> RelativePath {
        RelativePath::new(name).expect("plain")
    }

    /// A unit whose fingerprint's value is `value-<hash>`, compiled against those with these hashes.
    fn record(package: &str, hash: &str, deps: &[&str], holds_target: bool) -> UnitRecord {
        UnitRecord {
            id: UnitId {
                profile: path("debug"),
                package: package.to_owned(),
                hash: hash.to_owned(),
            },
            layout: Layout::V1,
            kind: UnitKind::Library,
            origin: Origin::Elsewhere,
            bytes: 1,
            compile_nanos: None,
            unused_saves: 0,
            rustc: 1,
            features: String::new(),
            target: 1,
            profile_number: 1,
            compile_kind: 0,
            values: vec![format!("value-{hash}")],
            deps: deps.iter().map(|dep| format!("value-{dep}")).collect(),
            interface: None,
            holds_target,
        }
    }

    /// An entry whose root `target` lay in `/old`, and whose root `other`, if it has units, in `/other`.
    fn entry(units: Vec<(&str, UnitRecord)>) -> EntryFacts {
        EntryFacts {
            schema: crate::entry::SCHEMA,
            hotcrate: "0.0.0".to_owned(),
            tier: TierName::Deps,
            key: String::new(),
            parts: Vec::new(),
            created_at: 0,
            run: None,
            image: None,
            roots: [("target", "/old"), ("other", "/other")]
                .map(|(name, directory)| (path(name), PathBuf::from(directory)))
                .into(),
            contents: Contents::Target {
                units: units
                    .into_iter()
                    .map(|(root, record)| (path(root), record))
                    .collect(),
                interface: Digest::of_bytes(b""),
                sources: None,
            },
        }
    }

    /// What is left out of `units` where `target` lies in `now`, and `other` where it was.
    fn moved(units: Vec<(&str, UnitRecord)>, now: &str) -> MovedUnits {
        let roots = [("target", now), ("other", "/other")]
            .map(|(name, directory)| (path(name), PathBuf::from(directory)));
        MovedUnits::of(&entry(units), &roots.into())
    }

    const HOLDER: &str = "0123456789abcdef";
    const USER: &str = "1123456789abcdef";
    const USERS_USER: &str = "2123456789abcdef";
    const OTHER: &str = "3123456789abcdef";

    /// Dependents come before what they depend on, as their names may have it.
    fn units() -> Vec<(&'static str, UnitRecord)> {
        vec![
            ("target", record("app", USERS_USER, &[USER], false)),
            ("target", record("user", USER, &[HOLDER, OTHER], false)),
            ("target", record("holder", HOLDER, &[OTHER], true)),
            ("target", record("plain", OTHER, &[], false)),
        ]
    }

    #[test]
    fn what_was_compiled_against_a_holder_of_the_path_goes_with_it() {
        let moved = moved(units(), "/new");
        let left_out: Vec<_> = [HOLDER, USER, USERS_USER, OTHER]
            .into_iter()
            .filter(|hash| moved.units().has(&path("target"), hash))
            .collect();
        assert_eq!(left_out, [HOLDER, USER, USERS_USER]);
        insta::assert_snapshot!(
            moved.told().expect("something is left out"),
            @"left out, as its outputs hold the path of the old target directory: holder, and 2 units that depend on what is left out"
        );
    }

    #[test]
    fn in_its_old_place_everything_stays() {
        let moved = moved(units(), "/old");
        assert!(!moved.units().has(&path("target"), HOLDER));
        assert!(
            !moved
                .units()
                .holds(&path(&format!("target/debug/deps/libholder-{HOLDER}.rlib")))
        );
        assert_eq!(moved.told(), None);
    }

    #[test]
    fn a_root_that_stayed_loses_nothing_when_another_moves() {
        let mut units = units();
        units.push(("other", record("holder", HOLDER, &[], true)));
        let moved = moved(units, "/new");
        assert!(moved.units().has(&path("target"), HOLDER));
        assert!(!moved.units().has(&path("other"), HOLDER));
        assert!(
            !moved
                .units()
                .holds(&path(&format!("other/debug/deps/libholder-{HOLDER}.rlib")))
        );
    }

    #[rstest::rstest]
    #[case::library("target/debug/deps/libholder-0123456789abcdef.rlib", true)]
    #[case::executable("target/debug/deps/holder-0123456789abcdef", true)]
    #[case::object(
        "target/debug/deps/holder-0123456789abcdef.holder.1-cgu.0.rcgu.o",
        true
    )]
    #[case::fingerprint("target/debug/.fingerprint/holder-0123456789abcdef/lib-holder", true)]
    #[case::run("target/debug/build/holder-0123456789abcdef/out/deep/lib.a", true)]
    #[case::new_layout("target/debug/build/holder/0123456789abcdef/out/x.rs", true)]
    #[case::dependent("target/debug/deps/libuser-1123456789abcdef.rlib", true)]
    #[case::another_unit("target/debug/deps/libplain-3123456789abcdef.rlib", false)]
    #[case::final_artefact("target/debug/libholder.rlib", false)]
    #[case::part_of_a_word("target/debug/deps/libx-00123456789abcdef.rlib", false)]
    #[case::another_root("cargo-home/deps/libholder-0123456789abcdef.rlib", false)]
    fn a_member_is_known_by_a_word_of_its_path(#[case] member: &str, #[case] is_held: bool) {
        assert_eq!(moved(units(), "/new").units().holds(&path(member)), is_held);
    }

    #[test]
    fn only_what_is_there_is_counted() {
        let alone = moved(units().split_off(2), "/new");
        insta::assert_snapshot!(
            alone.told().expect("something is left out"),
            @"left out, as its outputs hold the path of the old target directory: holder"
        );
        let one = moved(units().split_off(1), "/new");
        insta::assert_snapshot!(
            one.told().expect("something is left out"),
            @"left out, as its outputs hold the path of the old target directory: holder, and 1 unit that depends on what is left out"
        );
    }

    #[test]
    fn of_many_packages_the_first_are_named_and_the_rest_counted() {
        let units = (1..=7)
            .map(|number| {
                let name = format!("p{number}");
                ("target", record(&name, &name, &[], true))
            })
            .collect();
        insta::assert_snapshot!(
            moved(units, "/new").told().expect("something is left out"),
            @"left out, as their outputs hold the path of the old target directory: p1, p2, p3, p4, p5 and 2 more"
        );
    }
}
