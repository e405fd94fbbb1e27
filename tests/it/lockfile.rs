//! What a changed lockfile costs: what changed, and nothing else.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use cargo_lock::Lockfile;
use fs_err as fs;
use rstest::rstest;

use crate::support::{
    Finished, HEXYL, JUST, Published, Sandbox, checkout, entry_file, fixture, libraries, members,
};

const BUILD: [&str; 4] = ["cargo", "build", "--locked", "-v"];

#[rstest]
#[case::a_library_low_in_the_tree(HEXYL, "anstyle", "1.0.10")]
#[case::what_a_build_script_compiles_c_with(JUST, "cc", "1.2.63")]
fn after_bumping_one_dependency_only_it_and_its_dependents_are_compiled(
    #[case] project: Published,
    #[case] bumped: &str,
    #[case] version: &str,
) {
    let sandbox = Sandbox::new();
    let first = project.checkout(&sandbox, "first");
    build(&sandbox, &first);

    let second = project.checkout(&sandbox, "second");
    bump(&sandbox, &second, bumped, version);
    sandbox.empty_cargo_home();
    let run = build(&sandbox, &second);

    let allowed = dependents(&second.join("Cargo.lock"), bumped);
    let compiled = run.build.compiled_dependency_names();
    assert!(compiled.contains(bumped), "{compiled:?}");
    let needless: Vec<_> = compiled
        .iter()
        .filter(|name| !allowed.contains(**name))
        .collect();
    assert!(
        needless.is_empty(),
        "{needless:?} of {compiled:?}\n{}",
        run.stderr
    );
    let restore = run.report().restore("deps");
    assert_eq!(restore.outcome, "partial");
    assert!(restore.reason().contains("lock"), "{restore:?}");
    assert!(
        run.stderr
            .lines()
            .any(|line| line.starts_with("hotcrate:") && line.contains("lock")),
        "the log says which part of the key changed:\n{}",
        run.stderr
    );

    sandbox.empty_cargo_home();
    let third = sandbox.path("third");
    crate::support::copy_tree(&second, &third);
    build(&sandbox, &third).warm();
}

#[test]
fn ten_lockfiles_later_the_newest_entry_holds_no_dead_units() {
    let locks = [
        ("1.0.11", "2.7.1"),
        ("1.0.14", "2.7.2"),
        ("1.0.15", "2.7.4"),
        ("1.0.16", "2.7.5"),
        ("1.0.17", "2.7.6"),
        ("1.0.11", "2.7.6"),
        ("1.0.14", "2.7.5"),
        ("1.0.15", "2.7.2"),
        ("1.0.16", "2.7.1"),
        ("1.0.17", "2.8.0"),
    ];
    let sandbox = Sandbox::new();
    let mut sizes = Vec::new();
    let mut newest = Vec::new();
    for (number, (itoa, memchr)) in locks.into_iter().enumerate() {
        let clone = checkout(&sandbox, &fixture("small"), &format!("clone-{number}"));
        for (package, version) in [("itoa", itoa), ("memchr", memchr)] {
            bump(&sandbox, &clone, package, version);
        }
        sandbox.empty_cargo_home();
        let run = build(&sandbox, &clone);
        let save = run.report().save("deps");
        assert_eq!(save.outcome, "saved", "{save:?}");
        newest = members(&entry_file(&sandbox.store(), &save.key.clone().unwrap()));
        sizes.push(save.bytes.unwrap());
    }

    for package in ["itoa", "memchr", "cfg_if"] {
        let libraries = libraries(&newest, package);
        assert_eq!(libraries, 1, "{package}: {newest:#?}");
    }
    let (first, last) = (sizes[0], sizes[9]);
    assert!(last < first * 3 / 2, "{sizes:?}");
}

#[test]
fn two_alternating_lockfiles_each_find_their_own_entry() {
    let sandbox = Sandbox::new();
    for number in 0..6 {
        let clone = checkout(&sandbox, &fixture("small"), &format!("clone-{number}"));
        if number % 2 == 1 {
            bump(&sandbox, &clone, "itoa", "1.0.15");
        }
        sandbox.empty_cargo_home();
        let run = build(&sandbox, &clone);
        if number >= 2 {
            let run = run.warm();
            assert_eq!(run.report().restore("deps").outcome, "exact", "{number}");
        }
    }
}

/// A run in `clone`. However little is new, it is saved: what is tested here is not what is worth saving.
#[track_caller]
fn build(sandbox: &Sandbox, clone: &Path) -> Finished {
    sandbox
        .hotcrate(clone)
        .option("--save-threshold", "0")
        .run(&BUILD)
        .success()
}

/// Has `clone` use another version of a package.
#[track_caller]
fn bump(sandbox: &Sandbox, clone: &Path, package: &str, version: &str) {
    sandbox.cargo(
        clone,
        &["update", "--package", package, "--precise", version],
    );
}

/// `package` and everything that depends on it, by name, according to a lockfile.
fn dependents(lockfile: &Path, package: &str) -> BTreeSet<String> {
    let lockfile: Lockfile = fs::read_to_string(lockfile).unwrap().parse().unwrap();
    let mut users: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for user in &lockfile.packages {
        for used in &user.dependencies {
            users
                .entry(used.name.as_str())
                .or_default()
                .push(user.name.as_str());
        }
    }
    let mut found = BTreeSet::new();
    let mut waiting = vec![package];
    while let Some(name) = waiting.pop() {
        if found.insert(name.to_owned()) {
            waiting.extend(users.get(name).into_iter().flatten());
        }
    }
    found
}

#[test]
fn dependents_are_followed_to_the_top() {
    let directory = tempfile::tempdir().unwrap();
    let lockfile = directory.path().join("Cargo.lock");
    let package = |name: &str, uses: &str| {
        format!("[[package]]\nname = \"{name}\"\nversion = \"1.0.0\"\ndependencies = [{uses}]\n")
    };
    fs::write(
        &lockfile,
        format!(
            "version = 4\n{}{}{}{}",
            package("a", "\"b\""),
            package("b", "\"c\", \"d\""),
            package("c", ""),
            package("d", "")
        ),
    )
    .unwrap();
    let names: Vec<_> = dependents(&lockfile, "c").into_iter().collect();
    assert_eq!(names, ["a", "b", "c"]);
}
