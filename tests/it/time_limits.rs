//! A cache that takes too long is given up, and the job goes on.

use crate::support::{Sandbox, checkout, entries_of_store, fixture, staging_under};

const BUILD: [&str; 3] = ["cargo", "build", "--locked"];

#[test]
fn a_restore_that_takes_too_long_is_given_up_with_one_warning_and_the_build_is_cold() {
    let sandbox = Sandbox::new();
    let first = checkout(&sandbox, &fixture("small"), "first");
    sandbox.hotcrate(&first).run(&BUILD).success();
    let second = checkout(&sandbox, &fixture("small"), "second");
    let run = sandbox
        .hotcrate(&second)
        .option("--restore-timeout", "1ns")
        .run(&BUILD)
        .success();
    assert_eq!(
        run.warnings(),
        [
            "hotcrate: warning: registry not restored: it took longer than restore-timeout allows: 1ns"
        ]
    );
    assert_eq!(run.report().restore("registry").outcome, "failed");
    let deps = run.report().restore("deps");
    assert_eq!(
        (deps.outcome.as_str(), deps.reason()),
        ("skipped", "no time was left")
    );
    assert!(!run.build.compiled_dependencies().is_empty());
    assert!(staging_under(&second).is_empty());
}

#[test]
fn a_save_that_takes_too_long_is_given_up_with_one_warning_and_stores_nothing() {
    let sandbox = Sandbox::new();
    let clone = checkout(&sandbox, &fixture("small"), "clone");
    let run = sandbox
        .hotcrate(&clone)
        .option("--save-timeout", "1ns")
        .run(&BUILD)
        .success();
    assert_eq!(
        run.warnings(),
        ["hotcrate: warning: registry not saved: it took longer than save-timeout allows: 1ns"]
    );
    assert_eq!(run.report().save("deps").outcome, "skipped");
    assert!(entries_of_store(&sandbox.store(), None).is_empty());
}
