//! `hotcrate action`: the step of a workflow, in two halves.
//!
//! `main` restores where the step stands in the job, or with `mode: save` saves there; `post` saves at the job's end,
//! unless such a step did before. Invariant: whatever goes wrong, the outputs are set, nothing is exported that is
//! not true, and the status is 0, but for `strict`.

mod after_save;
mod artifacts;
mod handover;
mod main_half;
mod options;
mod post_half;

use std::{path::Path, sync::Arc, time::Duration};

use self::options::{Options, OptionsError};
use crate::{
    cli::Stage,
    commands::{STATUS_FAILURE, STATUS_SUCCESS, attempt, show_traces},
    console::Console,
    environment::Environment,
    report::{RestoreOutcome, RestoreReport, RunReport},
    runner::{Half, Inputs, StepFiles, of_report},
    settings::Verbosity,
    tier::TierName,
};

/// How much longer than its limit a half may take before it is left alone: what it does heeds the limit by itself, but
/// for a system that hangs.
const GRACE: Duration = Duration::from_secs(30);

/// Runs one half of the step; what comes back is the status to exit with.
pub(super) fn action(stage: Stage, environment: &Environment) -> u8 {
    let verbosity = match environment.text("RUNNER_DEBUG") {
        Some("1") => Verbosity::Verbose,
        _ => Verbosity::Normal,
    };
    if verbosity == Verbosity::Verbose {
        show_traces();
    }
    let console = Arc::new(Console::for_runner(verbosity));
    let files = StepFiles::of(environment);
    let inputs = Inputs::read(environment);
    let options = Options::check(&inputs, environment);
    if let Ok(options) = &options {
        attempt(&console, "no state is kept", || options.make_room());
    }
    match (stage, options) {
        (Stage::Main, Ok(options)) => {
            artifacts::look(&options, environment, &console, files);
            main_half::run(&options, environment, &console, files)
        }
        (Stage::Post, Ok(options)) => {
            artifacts::keep(&options, environment, &console);
            post_half::run(&options, environment, &console)
        }
        (Stage::Main, Err(error)) => refuse(&error, &inputs, &console, files),
        // Said once, by the first half.
        (Stage::Post, Err(_)) => STATUS_SUCCESS,
    }
}

/// A wrong input is the user's to mend: an error, and no caching. It fails the job only under `strict`.
fn refuse(error: &OptionsError, inputs: &Inputs, console: &Console, files: StepFiles) -> u8 {
    console.error(&error.to_string());
    let report = untouched(&TierName::ALL, RestoreOutcome::Skipped, &error.to_string());
    tell_outputs(&report, Half::Restore, None, console, files);
    if inputs.is_true("strict").unwrap_or(false) {
        STATUS_FAILURE
    } else {
        STATUS_SUCCESS
    }
}

/// The report of a run in which no tier was restored, and all for one reason.
fn untouched<'a>(
    tiers: impl IntoIterator<Item = &'a TierName>,
    outcome: RestoreOutcome,
    reason: &str,
) -> RunReport {
    let mut report = RunReport::default();
    for tier in tiers {
        report.tier_mut(*tier).restore = Some(RestoreReport::new(outcome, reason));
    }
    report
}

/// Sets the outputs of the step. `path` is that of the JSON report.
fn tell_outputs(
    report: &RunReport,
    half: Half,
    path: Option<&Path>,
    console: &Console,
    files: StepFiles,
) {
    attempt(console, "not all outputs are set", || {
        files.output("supported", true)?;
        files.output(
            "report",
            path.map(Path::to_string_lossy).unwrap_or_default(),
        )?;
        for (name, value) in of_report(report, half) {
            files.output(&name, value)?;
        }
        Ok(())
    });
}
