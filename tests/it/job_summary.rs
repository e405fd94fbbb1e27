//! The page that a runner shows for a step.

use fs_err as fs;

use crate::support::{Sandbox, checkout, fixture};

const BUILD: [&str; 3] = ["cargo", "build", "--locked"];

#[test]
fn a_run_adds_a_page_to_the_steps_summary() {
    let mut sandbox = Sandbox::new();
    let summary = sandbox.path("summary.md");
    sandbox.set("GITHUB_STEP_SUMMARY", &summary);
    let first = checkout(&sandbox, &fixture("small"), "first");
    sandbox.hotcrate(&first).run(&BUILD).success();
    let cold = fs::read_to_string(&summary).unwrap();
    assert!(
        cold.contains("| deps | **miss**: nothing is stored"),
        "{cold}"
    );
    assert!(cold.contains("units compiled, and why</summary>"), "{cold}");

    let second = checkout(&sandbox, &fixture("small"), "second");
    let run = sandbox.hotcrate(&second).run(&BUILD).success();
    let both = fs::read_to_string(&summary).unwrap();
    let warm = both.strip_prefix(&cold).unwrap();
    assert!(warm.contains("| deps | **exact**"), "{warm}");
    assert!(warm.contains("Compile time spared: **"), "{warm}");
    assert!(run.report().units.seconds_spared.unwrap() > 0.0);
    assert!(
        run.stderr.contains(" of compile time spared"),
        "{}",
        run.stderr
    );
}

#[test]
fn a_summary_that_cannot_be_written_is_a_warning() {
    let mut sandbox = Sandbox::new();
    sandbox.set("GITHUB_STEP_SUMMARY", sandbox.path("no/such/directory"));
    let clone = checkout(&sandbox, &fixture("small"), "clone");
    let run = sandbox.hotcrate(&clone).run(&["true"]).success();
    let warnings = run.warnings();
    assert_eq!(warnings.len(), 1, "{warnings:?}");
    assert!(
        warnings[0].contains("the summary is not written"),
        "{warnings:?}"
    );
}
