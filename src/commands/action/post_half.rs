//! Saving: at the job's end, or where a step with `mode: save` stands.

use std::sync::Arc;

use crate::{
    commands::{
        STATUS_SUCCESS,
        action::{
            GRACE,
            after_save::after_save,
            handover::Handover,
            options::{Mode, Options},
            tell_outputs,
        },
        attempt, conclude, finish, summarize,
    },
    console::Console,
    engine::{JobResult, Session},
    environment::Environment,
    fail_open::{self, Trouble},
    policy::JobStatus,
    report::{RunReport, SaveOutcome, SaveReport},
    runner::{Half, StepFiles},
    state::RunState,
};

/// The end of the job: saves, unless a step did or the restore left nothing to go by.
pub(super) fn run(options: &Options, environment: &Environment, console: &Arc<Console>) -> u8 {
    // Where the restore failed there is no path: what went wrong was said then.
    let Some(path) = environment.path("STATE_handover") else {
        return STATUS_SUCCESS;
    };
    let read = attempt(console, "nothing is saved", || Handover::read(&path));
    let Some(handover) = read.flatten().filter(|handover| !handover.is_saved) else {
        return if console.had_trouble() {
            finish(RunReport::default(), &options.settings, console)
        } else {
            STATUS_SUCCESS
        };
    };
    console.has_given(&handover.notices);
    let report = match options.mode {
        Mode::Auto => save(options, environment, console, Some(handover)),
        Mode::Restore | Mode::Replay | Mode::Save => {
            stop_sccache(options, environment, console, handover)
        }
    };
    let report = after_save(report, options, environment, console);
    summarize(&report, environment, console);
    conclude(report, &options.settings, console)
}

/// Nobody saves in this job, but a server that the restore started is not left behind.
fn stop_sccache(
    options: &Options,
    environment: &Environment,
    console: &Arc<Console>,
    handover: Handover,
) -> RunReport {
    let Handover {
        state, mut report, ..
    } = handover;
    if state.sccache.is_some() {
        attempt(console, "sccache goes on running", || {
            let session = Session::begin(&options.settings, environment, console)?;
            session.stop_sccache(Some(&state), &mut report);
            Ok(())
        });
    }
    report
}

/// A step with `mode: save`.
pub(super) fn save_here(
    options: &Options,
    environment: &Environment,
    console: &Arc<Console>,
    files: StepFiles,
) -> u8 {
    let read = attempt(console, "saving as if nothing had been restored", || {
        Handover::read(&options.handover)
    });
    let handover = read.flatten();
    if let Some(handover) = &handover {
        console.has_given(&handover.notices);
    }
    if handover.is_none() {
        console.note("no earlier step has restored this project: no tools are saved, and nothing is pruned by use");
    }
    let report = save(options, environment, console, handover);
    let path = options.settings.report.as_deref();
    tell_outputs(&report, Half::Save, path, console, files);
    let report = after_save(report, options, environment, console);
    summarize(&report, environment, console);
    conclude(report, &options.settings, console)
}

/// Saves, and writes down that it was done.
fn save(
    options: &Options,
    environment: &Environment,
    console: &Arc<Console>,
    handover: Option<Handover>,
) -> RunReport {
    let (state, before) = match handover {
        Some(handover) => (Some(handover.state), handover.report),
        None => (None, RunReport::default()),
    };
    let group = console.group("hotcrate: save");
    let saved = fail_open::attempt_within(
        "not everything is saved",
        options.settings.time_limits.save + GRACE,
        {
            let (settings, console) = (options.settings.clone(), Arc::clone(console));
            let environment = options.environment(environment);
            let (state, mut report) = (state.clone(), before.clone());
            let job = job_result(options.job);
            move || {
                let session = Session::begin(&settings, &environment, &console)?;
                session.save(state.as_ref(), job, &mut report);
                Ok(report)
            }
        },
    );
    drop(group);
    let report = saved.unwrap_or_else(|Trouble(text)| {
        console.trouble(&text);
        not_saved(before, &options.settings.tiers, &text)
    });
    if let Some(state) = state {
        attempt(console, "the job's end may save once more", || {
            mark_saved(options, state, &report)
        });
    }
    report
}

fn mark_saved(options: &Options, state: RunState, report: &RunReport) -> anyhow::Result<()> {
    let mut handover = Handover::new(state, report.clone());
    handover.is_saved = true;
    handover.write(&options.handover)
}

/// A runner that does not say how the job stands is one of those that end a job's steps at the first failure: then
/// nothing is known to have failed.
fn job_result(status: Option<JobStatus>) -> JobResult {
    match status {
        Some(JobStatus::Succeeded) | None => JobResult::Succeeded,
        Some(JobStatus::Failed) => JobResult::Failed,
        Some(JobStatus::Cancelled) => JobResult::Cancelled,
    }
}

fn not_saved<'a>(
    mut report: RunReport,
    tiers: impl IntoIterator<Item = &'a crate::tier::TierName>,
    reason: &str,
) -> RunReport {
    for tier in tiers {
        report.tier_mut(*tier).save = Some(SaveReport::new(SaveOutcome::Failed, reason));
    }
    report
}
