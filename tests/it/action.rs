//! The action in workflows, run by `act`: what a user of GitHub gets by the one-line step.

use crate::support::{HOTCRATE, Runner, Sandbox, entries_of_store, git, read_report};

/// A job `build` with the action in it, and what it says of its outputs.
fn job(sandbox: &Sandbox, inputs: &[&str]) -> String {
    let store = format!("store: {}", sandbox.store().display());
    let report = format!("report: {}", sandbox.path("report.json").display());
    let inputs = [&[store.as_str(), report.as_str()], inputs].concat();
    let inputs = inputs.join("\n          ");
    format!(
        "  build:
    runs-on: ubuntu-latest
    steps:
      - uses: actions/checkout@v4
      - id: hotcrate
        uses: {HOTCRATE}
        with:
          {inputs}
      - run: |
          echo HIT=${{{{ steps.hotcrate.outputs.cache-hit }}}}
          echo SUPPORTED=${{{{ steps.hotcrate.outputs.supported }}}}
          echo DEPS=${{{{ steps.hotcrate.outputs.deps-outcome }}}}
          echo INCREMENTAL=$CARGO_INCREMENTAL
      - run: cargo build --locked -v
"
    )
}

#[test]
fn a_second_run_on_main_compiles_no_dependency() {
    let sandbox = Sandbox::new();
    let runner = Runner::new(&sandbox, &job(&sandbox, &[]));
    let cold = runner.push("main").success();
    assert_eq!(cold.told("build", "HIT"), "false");
    assert_eq!(cold.told("build", "SUPPORTED"), "true");
    assert_eq!(cold.told("build", "DEPS"), "miss");
    assert_eq!(cold.told("build", "INCREMENTAL"), "0");
    assert_eq!(
        cold.build("build").compiled_dependencies().len(),
        4,
        "{}",
        cold.log
    );
    let report = read_report(&sandbox.path("report.json"));
    assert_eq!(report.save("deps").outcome, "saved");

    sandbox.empty_cargo_home();
    let warm = runner.push("main").success();
    assert_eq!(warm.told("build", "HIT"), "true");
    assert_eq!(warm.told("build", "DEPS"), "exact");
    let build = warm.build("build");
    assert!(build.compiled_dependencies().is_empty(), "{}", warm.log);
    assert_eq!(build.fresh_dependencies().len(), 4, "{}", warm.log);
    assert_eq!(
        read_report(&sandbox.path("report.json"))
            .save("deps")
            .outcome,
        "skipped"
    );
    assert_eq!(warm.annotations("warning"), [""; 0]);
}

#[test]
fn a_pull_request_restores_the_entry_of_main_and_saves_nothing() {
    let sandbox = Sandbox::new();
    let runner = Runner::new(&sandbox, &job(&sandbox, &[]));
    runner.push("main").success();
    let stored = entries_of_store(&sandbox.store(), None);

    sandbox.empty_cargo_home();
    git(
        &sandbox,
        &runner.repository,
        &["checkout", "--quiet", "-b", "feature"],
    );
    let pull_request = runner.pull_request("feature", "somebody").success();
    assert_eq!(pull_request.told("build", "DEPS"), "exact");
    assert!(
        pull_request
            .build("build")
            .compiled_dependencies()
            .is_empty(),
        "{}",
        pull_request.log
    );
    let report = read_report(&sandbox.path("report.json"));
    for tier in ["registry", "deps"] {
        let save = report.save(tier);
        assert_eq!(save.outcome, "skipped", "{tier}");
        assert!(
            save.reason().starts_with("pull requests"),
            "{}",
            save.reason()
        );
    }
    assert_eq!(entries_of_store(&sandbox.store(), None), stored);
}

#[test]
fn a_platform_without_a_binary_goes_on_with_one_notice() {
    let sandbox = Sandbox::new();
    let runner = Runner::new(&sandbox, &job(&sandbox, &[])).without_binary();
    let run = runner.push("main").success();
    assert_eq!(run.told("build", "SUPPORTED"), "false");
    assert_eq!(run.told("build", "HIT"), "false");
    assert_eq!(run.told("build", "DEPS"), "skipped");
    assert_eq!(run.told("build", "INCREMENTAL"), "");
    assert_eq!(run.annotations("notice").len(), 1, "{}", run.log);
    assert_eq!(run.annotations("warning"), [""; 0]);
    assert_eq!(run.build("build").compiled_dependencies().len(), 4);
}
