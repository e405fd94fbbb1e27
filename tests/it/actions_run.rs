//! The binary with the cache service as its store, as an action runs it.

use std::path::Path;

use crate::support::{CacheService, Finished, Hotcrate, Op, Sandbox, checkout, fixture, token};

const BUILD: [&str; 4] = ["cargo", "build", "--locked", "-v"];
const MAIN: &str = "refs/heads/main";

/// What a runner sets for an action in a push to main.
fn on_main<'a>(
    sandbox: &'a Sandbox,
    service: &CacheService,
    version: u32,
    directory: &Path,
) -> Hotcrate<'a> {
    let event = sandbox.path("event.json");
    fs_err::write(&event, r#"{"repository": {"default_branch": "main"}}"#).unwrap();
    let mut hotcrate = sandbox
        .hotcrate(directory)
        .default_store()
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_EVENT_NAME", "push")
        .env("GITHUB_REF", MAIN)
        .env("GITHUB_EVENT_PATH", event);
    for (name, value) in service.variables(version, &token(&[(MAIN, 3)])) {
        hotcrate = hotcrate.env(name, value);
    }
    hotcrate
}

/// A run in a fresh clone, on a machine without anything.
fn run_afresh(sandbox: &Sandbox, service: &CacheService, version: u32, name: &str) -> Finished {
    sandbox.empty_cargo_home();
    let clone = checkout(sandbox, &fixture("small"), name);
    on_main(sandbox, service, version, &clone)
        .run(&BUILD)
        .success()
}

#[rstest::rstest]
fn the_second_run_is_warm(#[values(1, 2)] version: u32) {
    let sandbox = Sandbox::new();
    let service = CacheService::start();
    let cold = run_afresh(&sandbox, &service, version, "cold");
    assert_eq!(cold.report().save("deps").outcome, "saved");
    assert_eq!(cold.warnings(), [""; 0]);
    let warm = run_afresh(&sandbox, &service, version, "warm").warm();
    assert_eq!(warm.report().restore("deps").outcome, "exact");
    assert_eq!(warm.report().restore("registry").outcome, "exact");
    assert_eq!(warm.warnings(), [""; 0]);
}

#[test]
fn a_service_that_is_not_there_costs_one_warning_and_the_warmth() {
    let sandbox = Sandbox::new();
    let service = CacheService::start();
    service.die();
    let clone = checkout(&sandbox, &fixture("small"), "clone");
    let restored = on_main(&sandbox, &service, 2, &clone).restore().success();
    assert_eq!(restored.warnings().len(), 1, "{}", restored.stderr);
    assert_eq!(restored.report().restore("deps").outcome, "skipped");
}

#[test]
fn outside_an_action_entries_stay_on_the_machine_and_that_is_said() {
    let sandbox = Sandbox::new();
    let service = CacheService::start();
    let clone = checkout(&sandbox, &fixture("small"), "clone");
    let run = on_main(&sandbox, &service, 2, &clone)
        .without_env("ACTIONS_RUNTIME_TOKEN")
        .run(&BUILD)
        .success();
    assert_eq!(service.count(Op::LookUp), 0);
    assert_eq!(run.report().save("deps").outcome, "saved");
    assert!(
        run.stderr
            .contains("notice: entries are kept on this machine only")
    );
    assert_eq!(run.warnings(), [""; 0]);
}

#[test]
fn a_store_that_is_asked_for_and_not_there_is_one_warning() {
    let sandbox = Sandbox::new();
    let clone = checkout(&sandbox, &fixture("small"), "clone");
    let run = sandbox
        .hotcrate(&clone)
        .store("actions")
        .run(&BUILD)
        .success();
    insta::assert_snapshot!(run.warnings().join("\n"), @"hotcrate: warning: going on without the cache: ACTIONS_CACHE_URL is not set: the runner hands it to actions only, and to no `run:` step");
}
