//! Entries that are not what was stored: one warning, a working cold build, nothing half restored, nothing outside.

use std::path::{Path, PathBuf};

use fs_err as fs;
use rstest::rstest;

use crate::support::{Sandbox, Tree, checkout, entries_of_store, fixture, staging_under};

const BUILD: [&str; 4] = ["cargo", "build", "--locked", "-v"];

/// What happened to the bytes of an entry.
#[derive(Clone, Copy, Debug)]
enum Damage {
    /// Only this many hundredths of it are left.
    Truncated(usize),
    /// One bit of the byte at so many thousandths of it is another.
    Flipped(usize),
    /// Something else of the same size lies there.
    Garbage,
    /// Nothing is in it.
    Emptied,
    /// Something follows it.
    Lengthened,
}

impl Damage {
    fn inflict(self, entry: &Path) {
        let mut bytes = fs::read(entry).unwrap();
        let length = bytes.len();
        match self {
            Self::Truncated(hundredths) => bytes.truncate(length * hundredths / 100),
            Self::Flipped(thousandths) => bytes[(length - 1) * thousandths / 1000] ^= 0x10,
            Self::Garbage => bytes = b"garbage, ".repeat(length / 9 + 1),
            Self::Emptied => bytes.clear(),
            Self::Lengthened => bytes.extend_from_slice(b"and then some"),
        }
        fs::write(entry, bytes).unwrap();
    }
}

#[rstest]
#[case::cut_in_half(Damage::Truncated(50))]
#[case::cut_near_the_end(Damage::Truncated(99))]
#[case::one_bit_in_the_middle(Damage::Flipped(500))]
#[case::garbage(Damage::Garbage)]
#[case::empty(Damage::Emptied)]
fn damage_costs_one_warning_and_a_cold_build(#[case] damage: Damage) {
    for tier in ["deps", "registry"] {
        let (sandbox, second) = stored_small_project();
        damage_entries(&sandbox, tier, damage);
        let run = sandbox.hotcrate(&second).run(&BUILD).success();
        assert_eq!(run.report().restore(tier).outcome, "failed", "{damage:?}");
        assert_eq!(run.warnings().len(), 1, "{tier} {damage:?}\n{}", run.stderr);
        let compiled = run.build.compiled_dependencies().len();
        assert_eq!(
            compiled,
            if tier == "deps" { 4 } else { 0 },
            "{}",
            run.stderr
        );
        assert!(staging_under(&second).is_empty());
        assert!(staging_under(&sandbox.cargo_home()).is_empty());
    }
}

#[test]
fn wherever_the_damage_lies_all_is_restored_as_it_was_or_nothing() {
    let (sandbox, second) = stored_small_project();
    let intact = sandbox.store();
    sandbox.hotcrate(&second).restore().success();
    let whole = restored(&second);
    assert!(!whole.is_empty());

    let flips = (0..=1000).step_by(50).map(Damage::Flipped);
    let cuts = [1, 10, 25, 75, 90].map(Damage::Truncated);
    for (number, damage) in flips.chain(cuts).chain([Damage::Lengthened]).enumerate() {
        let damaged = sandbox.path(format!("damaged-{number}"));
        crate::support::copy_tree(&intact, &damaged);
        for entry in entries_of_store(&damaged, Some("deps")) {
            damage.inflict(&entry);
        }
        let clone = checkout(&sandbox, &fixture("small"), &format!("clone-{number}"));
        let run = sandbox.hotcrate(&clone).store(damaged).restore().success();
        let after = restored(&clone);
        if run.report().restore("deps").outcome == "exact" {
            assert_eq!(after, whole, "{damage:?}");
        } else {
            assert!(after.is_empty(), "{damage:?}: {after:#?}");
            assert_eq!(run.warnings().len(), 1, "{damage:?}: {}", run.stderr);
        }
        assert!(staging_under(&clone).is_empty(), "{damage:?}");
    }
}

#[test]
fn an_entry_made_by_somebody_hostile_reaches_nothing_outside_the_roots() {
    let (sandbox, second) = stored_small_project();
    let outside = sandbox.path("outside");
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("treasure"), "untouched").unwrap();
    let before = Tree::of(&outside);
    let hostile = hostile_archive(&outside);
    for tier in ["deps", "registry"] {
        let entries = entries_of_store(&sandbox.store(), Some(tier));
        assert!(!entries.is_empty());
        for entry in entries {
            fs::write(entry, &hostile).unwrap();
        }
    }
    let run = sandbox.hotcrate(&second).run(&BUILD).success();
    assert_eq!(run.report().restore("deps").outcome, "failed");
    assert_eq!(run.warnings().len(), 2, "one a tier: {}", run.stderr);
    assert_eq!(Tree::of(&outside), before);
    for stray in [
        "escaped",
        "clone/escaped",
        "home/escaped",
        "cargo-home/escaped",
    ] {
        assert!(!sandbox.path(stray).exists(), "{stray}");
    }
    assert!(!Path::new("/hotcrate-escaped").exists());
}

/// A sandbox whose store knows the small project, and a second clone of it on an empty machine.
fn stored_small_project() -> (Sandbox, PathBuf) {
    let sandbox = Sandbox::new();
    let first = checkout(&sandbox, &fixture("small"), "first");
    sandbox.hotcrate(&first).run(&BUILD).success();
    sandbox.empty_cargo_home();
    let second = checkout(&sandbox, &fixture("small"), "second");
    (sandbox, second)
}

fn damage_entries(sandbox: &Sandbox, tier: &str, damage: Damage) {
    let entries = entries_of_store(&sandbox.store(), Some(tier));
    assert_eq!(entries.len(), 1, "{entries:?}");
    damage.inflict(&entries[0]);
}

/// What lies in the target directory, but for files that belong to no unit.
fn restored(clone: &Path) -> Tree {
    Tree::of(&clone.join("target"))
        .without(|path| path.ends_with("CACHEDIR.TAG") || path.ends_with(".rustc_info.json"))
}

/// A plain `.tar.zst` with every way out that tar has.
fn hostile_archive(outside: &Path) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    let mut add = |kind: tar::EntryType, name: &str, link: Option<&str>| {
        let mut header = tar::Header::new_gnu();
        header.set_entry_type(kind);
        header.set_mode(0o644);
        let content: &[u8] = if kind.is_file() { b"escaped" } else { b"" };
        header.set_size(content.len() as u64);
        // Written as they are: the setters refuse what this is about.
        let bytes = header.as_mut_bytes();
        bytes[..name.len()].copy_from_slice(name.as_bytes());
        if let Some(link) = link {
            bytes[157..157 + link.len()].copy_from_slice(link.as_bytes());
        }
        header.set_cksum();
        archive.append(&header, content).unwrap();
    };
    let treasure = outside.join("treasure");
    let treasure = treasure.to_str().unwrap();
    for prefix in ["", "target/", "deps/", "registry/"] {
        let name = |rest: &str| format!("{prefix}{rest}");
        add(tar::EntryType::Regular, &name("../../escaped"), None);
        add(tar::EntryType::Symlink, &name("door"), outside.to_str());
        add(tar::EntryType::Regular, &name("door/treasure"), None);
        add(tar::EntryType::Link, &name("twin"), Some(treasure));
        add(tar::EntryType::Regular, &name("twin"), None);
        add(tar::EntryType::Char, &name("device"), None);
    }
    add(tar::EntryType::Regular, treasure, None);
    add(tar::EntryType::Regular, "/hotcrate-escaped", None);
    zstd::encode_all(archive.into_inner().unwrap().as_slice(), 1).unwrap()
}
