//! The half of the step that runs where it stands in the job.

use std::sync::Arc;

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
    report::{RestoreOutcome, RunReport},
    runner::{Half, StepFiles},
    state::RunState,
};

/// Restores, or with `mode: save` saves.
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
        Mode::Save => post_half::save_here(options, environment, console, files),
    }
}

fn restore(
    options: &Options,
    environment: &Environment,
    console: &Arc<Console>,
    files: StepFiles,
) -> u8 {
    let group = console.group("hotcrate: restore");
    let restored = fail_open::attempt_within(
        "going on without the cache",
        options.settings.restore_timeout + GRACE,
        {
            let (settings, console) = (options.settings.clone(), Arc::clone(console));
            let environment = options.environment(environment);
            move || {
                let mut report = RunReport::default();
                let session = Session::begin(&settings, &environment, &console)?;
                let state = session.restore(&mut report);
                Ok((state, report))
            }
        },
    );
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

/// Leaves the state for whoever saves, and sets variables for the job: what is saved is what the job made under them.
fn hand_over(
    state: RunState,
    report: &RunReport,
    options: &Options,
    console: &Console,
    files: StepFiles,
) {
    let sccache = state.sccache.as_ref();
    let of_sccache = sccache.map_or_else(Vec::new, |sccache| sccache.variables.clone());
    let handed_over = attempt(console, "nothing will be saved", || {
        let mut handover = Handover::new(state, report.clone());
        handover.report.warnings = console.warnings();
        handover.write(&options.handover)?;
        files.state("handover", options.handover.display())?;
        Ok(())
    });
    if handed_over.is_none() {
        return;
    }
    attempt(console, "not all variables are set", || {
        for (name, value) in &options.variables {
            files.variable(name, value)?;
        }
        for (name, value) in &of_sccache {
            files.variable(name, value)?;
        }
        Ok(())
    });
}
