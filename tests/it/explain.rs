//! What differs between entries, and between what is stored and what a project asks for.

use serde_json::Value;

use crate::support::{Sandbox, checkout, entries_of_store, fixture, replace_in};

/// The keys of the tier `deps` in the sandbox's store, sorted.
fn keys(sandbox: &Sandbox) -> Vec<String> {
    entries_of_store(&sandbox.store(), Some("deps"))
        .iter()
        .map(|path| {
            let name = path.file_name().unwrap().to_string_lossy();
            name.strip_prefix("entry-").unwrap().to_owned()
        })
        .collect()
}

#[test]
fn what_is_asked_for_is_explained_against_the_latest_entry() {
    let sandbox = Sandbox::new();
    let clone = checkout(&sandbox, &fixture("small"), "clone");
    let build = ["cargo", "build", "--locked"];
    sandbox.hotcrate(&clone).run(&build).success();
    let same = sandbox
        .hotcrate(&clone)
        .option("--against", "latest")
        .look("explain")
        .success();
    assert!(same.stdout.contains("no difference"), "{}", same.stdout);

    let changed = sandbox
        .hotcrate(&clone)
        .env("RUSTFLAGS", "-Cdebuginfo=1")
        .flag("--json")
        .look("explain")
        .success();
    let explanation: Value = serde_json::from_str(&changed.stdout).unwrap();
    let comparisons = explanation["comparisons"].as_array().unwrap();
    let deps = comparisons
        .iter()
        .find(|one| one["tier"] == "deps")
        .unwrap();
    assert_eq!(deps["differences"][0]["part"], "env");
    assert_eq!(deps["differences"][0]["changes"][0]["label"], "RUSTFLAGS");
}

#[test]
fn two_entries_are_compared_by_the_values_in_their_headers() {
    let sandbox = Sandbox::new();
    let build = ["cargo", "build", "--locked"];
    let clone = checkout(&sandbox, &fixture("small"), "clone");
    sandbox.hotcrate(&clone).run(&build).success();
    let first = keys(&sandbox).remove(0);
    replace_in(
        &clone.join("Cargo.toml"),
        "[workspace]",
        "[profile.dev]\nopt-level = 1\n\n[workspace]",
    );
    sandbox.hotcrate(&clone).run(&build).success();
    let second = keys(&sandbox)
        .into_iter()
        .find(|key| *key != first)
        .unwrap();
    let told = sandbox
        .hotcrate(&clone)
        .flag(&first)
        .flag(&second)
        .look("explain")
        .success();
    assert!(told.stdout.contains("  lock\n"), "{}", told.stdout);
    assert!(told.stdout.contains("opt-level"), "{}", told.stdout);

    let latest = sandbox
        .hotcrate(&clone)
        .flag(&first)
        .option("--against", "latest")
        .look("explain")
        .success();
    assert!(latest.stdout.contains(&second), "{}", latest.stdout);
}

#[test]
fn an_entry_that_is_gone_is_explained_by_its_key_alone() {
    let sandbox = Sandbox::new();
    let clone = checkout(&sandbox, &fixture("small"), "clone");
    let key = |toolchain: &str| {
        format!("hotcrate-v1-deps-11111111-{toolchain}-33333333-44444444-55555555-66666666")
    };
    let told = sandbox
        .hotcrate(&clone)
        .flag(&key("22222222"))
        .flag(&key("aaaaaaaa"))
        .look("explain")
        .success();
    assert!(
        told.stdout.contains("toolchain\n    22222222 → aaaaaaaa"),
        "{}",
        told.stdout
    );
    assert!(
        told.stdout.contains("its key alone is compared"),
        "{}",
        told.stdout
    );
}

#[test]
fn where_nothing_is_near_what_is_stored_for_the_job_is_listed() {
    let sandbox = Sandbox::new();
    let clone = checkout(&sandbox, &fixture("small"), "clone");
    let empty = sandbox.hotcrate(&clone).look("explain").success();
    assert!(
        empty
            .stdout
            .contains("nothing that this run can read: registry, deps"),
        "{}",
        empty.stdout
    );
    assert!(
        empty.stdout.contains("nothing is stored for this job"),
        "{}",
        empty.stdout
    );
}

#[test]
fn what_is_no_key_is_refused() {
    let sandbox = Sandbox::new();
    let clone = checkout(&sandbox, &fixture("small"), "clone");
    let ended = sandbox.hotcrate(&clone).flag("no-key").look("explain");
    assert_eq!(ended.code(), Some(1));
    assert!(
        ended.stderr.contains("\"no-key\" is no key of hotcrate"),
        "{}",
        ended.stderr
    );
}
