//! What a directory holds: told, and thinned out.

use fs_err as fs;
use serde_json::Value;

use crate::support::{Sandbox, checkout, entries_of_store, fixture, replace_in};

const BUILD: &[&str] = &["cargo", "build", "--locked"];

#[test]
fn a_directory_is_reported_on_by_tier_and_job() {
    let sandbox = Sandbox::new();
    let clone = checkout(&sandbox, &fixture("small"), "clone");
    sandbox.hotcrate(&clone).run(BUILD).success();
    let text = sandbox.hotcrate(&clone).look("report").success();
    for words in ["hotcrate deps", "hotcrate registry", "By job", "local"] {
        assert!(text.stdout.contains(words), "{words}: {}", text.stdout);
    }
    let json = sandbox
        .hotcrate(&clone)
        .flag("--json")
        .look("report")
        .success();
    let survey: Value = serde_json::from_str(&json.stdout).unwrap();
    let stored = entries_of_store(&sandbox.store(), None);
    assert_eq!(survey["quota"]["entries"], stored.len());
    assert_eq!(
        survey["place"]["directory"]
            .as_str()
            .map(|name| name.contains("store")),
        Some(true)
    );
}

#[test]
fn gc_deletes_from_a_directory_what_a_newer_entry_took_the_place_of() {
    let sandbox = Sandbox::new();
    let clone = checkout(&sandbox, &fixture("small"), "clone");
    sandbox.hotcrate(&clone).run(BUILD).success();
    let other = checkout(&sandbox, &fixture("small"), "other");
    let gained = ["cargo", "build", "--locked", "--release"];
    sandbox.hotcrate(&other).run(&gained).success();
    let before = entries_of_store(&sandbox.store(), Some("deps"));
    assert_eq!(before.len(), 2, "{before:?}");

    let plan = sandbox
        .hotcrate(&other)
        .flag("--dry-run")
        .look("gc")
        .success();
    assert!(plan.stdout.contains("superseded by"), "{}", plan.stdout);
    assert_eq!(entries_of_store(&sandbox.store(), Some("deps")), before);

    sandbox.hotcrate(&other).look("gc").success();
    assert_eq!(entries_of_store(&sandbox.store(), Some("deps")).len(), 1);
    let third = checkout(&sandbox, &fixture("small"), "third");
    let warm = ["cargo", "build", "--locked", "--release", "-v"];
    sandbox.hotcrate(&third).run(&warm).success().warm();
}

#[test]
fn other_projects_are_counted_and_left_alone() {
    let sandbox = Sandbox::new();
    let clone = checkout(&sandbox, &fixture("small"), "clone");
    sandbox.hotcrate(&clone).run(BUILD).success();
    let other = checkout(&sandbox, &fixture("small"), "other");
    replace_in(
        &other.join("app/Cargo.toml"),
        "name = \"app\"",
        "name = \"another\"",
    );
    let lock = fs::read_to_string(other.join("Cargo.lock")).unwrap();
    fs::write(
        other.join("Cargo.lock"),
        lock.replace("name = \"app\"", "name = \"another\""),
    )
    .unwrap();
    let report = sandbox.hotcrate(&other).look("report").success();
    assert!(
        report.stdout.contains("other projects"),
        "{}",
        report.stdout
    );
    let before = entries_of_store(&sandbox.store(), None);
    sandbox
        .hotcrate(&other)
        .option("--max-size", "1kB")
        .look("gc")
        .success();
    assert_eq!(entries_of_store(&sandbox.store(), None), before);
}
