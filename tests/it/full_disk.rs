//! A full disk costs the cache, not the job.

use std::path::Path;

use fs_err as fs;

use crate::support::{
    Sandbox, SmallDisk, Tree, checkout, entries_of_store, fill, fixture, members, staging_under,
};

const BUILD: [&str; 4] = ["cargo", "build", "--locked", "-v"];
const BOTH: [&str; 3] = [
    "sh",
    "-c",
    "cargo build --locked -v && cargo build --locked --release -v",
];

#[test]
fn a_target_directory_that_the_entry_does_not_fit_into_is_built_cold() {
    let sandbox = Sandbox::new();
    let first = checkout(&sandbox, &fixture("small"), "first");
    sandbox.hotcrate(&first).run(&BOTH).success();
    // Room for one profile, whose build is what counts, and not for the two that the entry holds.
    let needed = bytes_below(&first.join("target/debug"));
    let stored = needed + bytes_below(&first.join("target/release/deps"));
    assert!(stored > needed);
    let clone = checkout(&sandbox, &fixture("small"), "second");
    let Some(disk) = SmallDisk::mount(clone.join("target"), needed + (256 << 10)) else {
        return;
    };
    fill(&clone.join("target"), needed * 4 / 5);

    let restored = sandbox.hotcrate(&clone).restore().success();
    let deps = restored.report().restore("deps");
    assert_ne!(deps.outcome, "exact", "{deps:?}");
    assert_eq!(restored.warnings().len(), 1, "{}", restored.stderr);
    fs::remove_file(clone.join("target/filler")).unwrap();
    assert!(Tree::of(&clone.join("target")).is_empty());
    assert!(staging_under(&clone).is_empty());
    sandbox.hotcrate(&clone).run(&BUILD).success();
    drop(disk);
}

#[test]
fn a_store_that_is_full_keeps_no_partial_entry_and_fails_no_job() {
    let sandbox = Sandbox::new();
    let clone = checkout(&sandbox, &fixture("small"), "clone");
    let Some(disk) = SmallDisk::mount(sandbox.store(), 192 << 10) else {
        return;
    };
    let run = sandbox.hotcrate(&clone).run(&BUILD).success();
    assert_eq!(run.report().save("deps").outcome, "failed");
    assert!(!run.warnings().is_empty(), "{}", run.stderr);
    for entry in entries_of_store(&sandbox.store(), None) {
        assert!(!members(&entry).is_empty(), "{}", entry.display());
    }
    drop(disk);
}

#[test]
fn a_full_cargo_home_leaves_no_half_restored_registry() {
    let sandbox = Sandbox::new();
    let first = checkout(&sandbox, &fixture("small"), "first");
    sandbox.hotcrate(&first).run(&BUILD).success();
    sandbox.empty_cargo_home();
    let second = checkout(&sandbox, &fixture("small"), "second");
    let Some(disk) = SmallDisk::mount(sandbox.cargo_home(), 64 << 10) else {
        return;
    };
    let restored = sandbox.hotcrate(&second).restore().success();
    let registry = restored.report().restore("registry");
    assert!(
        ["failed", "skipped"].contains(&registry.outcome.as_str()),
        "{registry:?}"
    );
    assert!(Tree::of(&sandbox.cargo_home()).is_empty());
    assert!(staging_under(&sandbox.cargo_home()).is_empty());
    drop(disk);
    sandbox.hotcrate(&second).run(&BUILD).success();
}

#[test]
fn a_bucket_that_the_dependencies_do_not_fit_into_starts_empty_and_says_so() {
    let sandbox = Sandbox::new();
    let primary = checkout(&sandbox, &fixture("small"), "primary");
    sandbox.cargo(&primary, &["build", "--locked"]);
    let home = sandbox.path("hotcrate-home");
    let Some(disk) = SmallDisk::mount(home.clone(), 256 << 10) else {
        return;
    };
    let told = sandbox
        .hotcrate(&primary)
        .option("--mode", "isolated")
        .env("HOTCRATE_HOME", &home)
        .look("target-dir")
        .success();
    assert_eq!(told.warnings().len(), 1, "{}", told.stderr);
    assert!(
        told.stderr.contains("the bucket starts empty"),
        "{}",
        told.stderr
    );
    assert!(!Path::new(told.stdout.trim_end()).exists());
    assert!(staging_under(&home).is_empty());
    drop(disk);
}

#[test]
fn an_artefact_that_does_not_fit_leaves_what_was_there_and_the_command_runs() {
    let sandbox = Sandbox::new();
    let clone = checkout(&sandbox, &fixture("small"), "clone");
    let out = clone.join("out");
    let artifact = |script: &str| {
        let hotcrate = sandbox.hotcrate(&clone).option("--paths", "out/app");
        hotcrate.call("artifact", &["sh", "-c", script])
    };
    let script = format!(
        "[ -e {} ] || head -c 300000 /dev/urandom > out/app",
        sandbox.path("small").display()
    );
    fs::create_dir(&out).unwrap();
    artifact(&script).success();
    fs::remove_file(out.join("app")).unwrap();
    let Some(disk) = SmallDisk::mount(out.clone(), 128 << 10) else {
        return;
    };
    fs::write(sandbox.path("small"), "").unwrap();
    fs::write(out.join("app"), "of before").unwrap();
    let told = artifact(&script).success();
    assert!(told.stderr.contains("building anew"), "{}", told.stderr);
    assert_eq!(fs::read_to_string(out.join("app")).unwrap(), "of before");
    assert!(staging_under(&out).is_empty());
    drop(disk);
}

fn bytes_below(directory: &Path) -> u64 {
    walkdir::WalkDir::new(directory)
        .into_iter()
        .filter_map(Result::ok)
        .filter_map(|entry| entry.metadata().ok())
        .filter(std::fs::Metadata::is_file)
        .map(|metadata| metadata.len())
        .sum()
}
