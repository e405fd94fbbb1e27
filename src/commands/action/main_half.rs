//! The half of the step that runs where it stands in the job.

use std::{sync::Arc, time::Duration};

use crate::{
    commands::{
        action::{
            GRACE,
            handover::Handover,
            options::{Mode, Options},
            post_half, tell_outputs, untouched,
        },
        attempt, conclude, finish, keep_for_doctor,
    },
    console::Console,
    engine::Session,
    environment::Environment,
    fail_open::{self, Trouble},
    freshness::Moment,
    report::{RestoreOutcome, RunReport},
    runner::{Half, StepFiles},
    state::RunState,
};

/// Restores, or with `mode: save` saves, and with `mode: replay` does the replay alone.
pub(super) fn run(
    options: &Options,
    environment: &Environment,
    console: &Arc<Console>,
    files: StepFiles,
) -> u8 {
    for notice in &options.notices {
        console.notice(notice);
    }
    match options.mode {
        Mode::Auto | Mode::Restore => restore(options, environment, console, files),
        Mode::Replay => replay(options, environment, console),
        Mode::Save => post_half::save_here(options, environment, console, files),
    }
}

fn restore(
    options: &Options,
    environment: &Environment,
    console: &Arc<Console>,
    files: StepFiles,
) -> u8 {
    let work = {
        let (settings, console) = (options.settings.clone(), Arc::clone(console));
        let environment = options.environment(environment);
        move || {
            let mut report = RunReport::default();
            let session = Session::begin(&settings, &environment, &console)?;
            let state = session.restore(Moment::BeforeOtherSteps, &mut report);
            Ok((state, report))
        }
    };
    let limit = options.settings.time_limits.restore + GRACE;
    restore_by(work, limit, options, environment, console, files)
}

/// Restores by `work`, which may take as long as `limit`, fail, or panic: whatever comes of it is told, and the job goes on.
fn restore_by(
    work: impl FnOnce() -> anyhow::Result<(RunState, RunReport)> + Send + 'static,
    limit: Duration,
    options: &Options,
    environment: &Environment,
    console: &Console,
    files: StepFiles,
) -> u8 {
    let group = console.group("hotcrate: restore");
    let restored = fail_open::attempt_within("going on without the cache", limit, work);
    drop(group);
    let path = options.settings.report.as_deref();
    match restored {
        Ok((state, report)) => {
            keep_for_doctor(&state, environment, console);
            hand_over(state, &report, options, console, files);
            tell_outputs(&report, Half::Restore, path, console, files);
            conclude(report, &options.settings, console)
        }
        Err(Trouble(text)) => {
            console.trouble(&text);
            let report = untouched(&options.settings.tiers, RestoreOutcome::Failed, &text);
            tell_outputs(&report, Half::Restore, path, console, files);
            finish(report, &options.settings, console)
        }
    }
}

/// What `hotcrate replay` does, for a step right before Cargo.
fn replay(options: &Options, environment: &Environment, console: &Arc<Console>) -> u8 {
    let replayed = fail_open::attempt_within(
        "nothing is replayed",
        options.settings.time_limits.restore + GRACE,
        {
            let (settings, console) = (options.settings.clone(), Arc::clone(console));
            let environment = options.environment(environment);
            let path = options.handover.clone();
            move || {
                let Some(mut handover) = Handover::read(&path)? else {
                    anyhow::bail!("no earlier step has restored this project");
                };
                let session = Session::begin(&settings, &environment, &console)?;
                let told = session.replay(&mut handover.state)?;
                handover.write(&path)?;
                Ok(told)
            }
        },
    );
    match replayed {
        Ok(told) => console.line(&told),
        Err(Trouble(text)) => console.trouble(&text),
    }
    conclude(RunReport::default(), &options.settings, console)
}

/// Leaves the state for whoever saves, and sets variables for the job: what is saved is what the job made under them. Where
/// nothing will be saved, none is set.
fn hand_over(
    state: RunState,
    report: &RunReport,
    options: &Options,
    console: &Console,
    files: StepFiles,
) {
    let variables = if state.cut_off {
        &[][..]
    } else {
        &options.variables
    };
    let sccache = state.sccache.as_ref();
    let of_sccache = sccache.map_or_else(Vec::new, |sccache| sccache.variables.clone());
    let handed_over = attempt(console, "nothing will be saved", || {
        let mut handover = Handover::new(state, report.clone());
        handover.report.warnings = console.warnings();
        handover.notices = console.notices();
        handover.write(&options.handover)?;
        files.state("handover", options.handover.display())?;
        Ok(())
    });
    if handed_over.is_none() {
        return;
    }
    attempt(console, "not all variables are set", || {
        for (name, value) in variables {
            files.variable(name, value)?;
        }
        for (name, value) in &of_sccache {
            files.variable(name, value)?;
        }
        Ok(())
    });
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::{runner::Inputs, settings::Verbosity};

    /// What is left of a step whose restore is `work`, under `limit`: its status, warnings, report, and whether a save would
    /// follow.
    fn left_by(
        limit: Duration,
        work: impl FnOnce() -> anyhow::Result<(RunState, RunReport)> + Send + 'static,
    ) -> (u8, Vec<String>, RunReport, bool) {
        let directory = tempfile::tempdir().unwrap();
        let environment = Environment::from_iter([("RUNNER_TEMP", directory.path())]);
        let options = Options::check(&Inputs::read(&environment), &environment).unwrap();
        options.make_room().unwrap();
        let console = Console::for_runner(Verbosity::Quiet);
        let files = StepFiles::of(&environment);
        let status = restore_by(work, limit, &options, &environment, &console, files);
        let report = fs_err::read(options.settings.report.as_ref().unwrap()).unwrap();
        let report = serde_json::from_slice(&report).unwrap();
        (
            status,
            console.warnings(),
            report,
            options.handover.exists(),
        )
    }

    #[track_caller]
    fn assert_told(report: &RunReport, reason: &str) {
        assert!(!report.tiers.is_empty());
        for tier in &report.tiers {
            let restore = tier.restore.as_ref().unwrap();
            assert_eq!(restore.outcome, RestoreOutcome::Failed);
            assert_eq!(restore.reason, reason);
        }
    }

    #[test]
    fn a_panic_is_one_warning_and_the_job_goes_on_as_if_hotcrate_were_not_there() {
        let (status, warnings, report, is_handed_over) =
            left_by(Duration::from_hours(1), || panic!("index out of bounds"));
        assert_eq!((status, is_handed_over), (0, false));
        insta::assert_snapshot!(warnings.join("\n"), @"going on without the cache: internal error: index out of bounds");
        assert_told(&report, &warnings[0]);
    }

    #[test]
    fn a_restore_that_hangs_is_left_alone_after_its_limit() {
        let (never, blocked) = mpsc::channel::<()>();
        let (status, warnings, report, is_handed_over) =
            left_by(Duration::from_millis(50), move || {
                Err(blocked.recv().unwrap_err().into())
            });
        drop(never);
        assert_eq!((status, is_handed_over), (0, false));
        insta::assert_snapshot!(warnings.join("\n"), @"going on without the cache: not done after 50ms");
        assert_told(&report, &warnings[0]);
    }
}
