//! Jobs that run several commands, and jobs whose commands change.

use crate::support::{Finished, Sandbox, checkout, fixture};

const BUILD: &str = "cargo build --locked -v";
const CHECK: &str = "cargo check --locked -v";
const RELEASE: &str = "cargo build --locked --release -v";

#[test]
fn a_job_that_gains_a_command_is_warm_for_it_at_the_second_run() {
    for gained in [CHECK, RELEASE] {
        let job = Job::new();
        job.run(BUILD).success();
        let both = format!("{BUILD} && {gained}");
        let gaining = job.run(&both).success();
        assert!(
            !gaining.build.compiled_dependencies().is_empty(),
            "{gained} proves nothing"
        );
        assert_eq!(gaining.report().save("deps").outcome, "saved");
        job.run(&both).success().warm();
        job.run(BUILD).success().warm();
    }
}

#[test]
fn a_job_that_alternates_commands_keeps_what_the_other_needs() {
    let job = Job::new();
    job.run(BUILD).success();
    job.run(RELEASE).success();
    for command in [BUILD, RELEASE, BUILD, RELEASE] {
        job.run(command).success().warm();
    }
}

#[test]
fn a_failed_command_saves_nothing_and_throws_nothing_away() {
    let job = Job::new();
    job.run(BUILD).success();
    let failed = job.run(&format!("{RELEASE} && exit 9"));
    assert_eq!(failed.code(), Some(9));
    assert_eq!(failed.report().save("deps").outcome, "skipped");
    job.run(BUILD).success().warm();
}

/// The same job again and again, each time in a new clone on a new machine.
struct Job {
    sandbox: Sandbox,
    runs: std::cell::Cell<u32>,
}

impl Job {
    fn new() -> Self {
        Self {
            sandbox: Sandbox::new(),
            runs: std::cell::Cell::new(0),
        }
    }

    fn run(&self, script: &str) -> Finished {
        let number = self.runs.replace(self.runs.get() + 1);
        self.sandbox.empty_cargo_home();
        let clone = checkout(&self.sandbox, &fixture("small"), &format!("clone-{number}"));
        self.sandbox.hotcrate(&clone).run(&["sh", "-c", script])
    }
}
