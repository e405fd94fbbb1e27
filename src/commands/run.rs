//! `hotcrate run -- CMD…`: restore, run, save.

use std::ffi::OsString;

use crate::{
    commands::{STATUS_SUCCESS, attempt, child, conclude},
    console::Console,
    engine::{JobResult, Session},
    environment::Environment,
    report::RunReport,
    settings::Settings,
};

/// Runs `command` between a restore and a save. Whatever happens to those, the command runs, and its status counts.
pub(super) fn run(
    command: &[OsString],
    settings: &Settings,
    environment: &Environment,
    console: &Console,
) -> u8 {
    let mut report = RunReport::default();
    let session = attempt(console, "going on without the cache", || {
        Session::begin(settings, environment, console)
    });
    let state = session.as_ref().map(|session| session.restore(&mut report));
    let ended = match child::run_to_end(command) {
        Ok(ended) => ended,
        Err((status, error)) => {
            let program = command.first().map(|program| program.to_string_lossy());
            console.error(&format!(
                "failed to start {}: {error}",
                program.unwrap_or_default()
            ));
            child::Ended {
                status,
                success: false,
            }
        }
    };
    if let (Some(session), Some(state)) = (&session, &state) {
        let job = if ended.success {
            JobResult::Succeeded
        } else {
            JobResult::Failed
        };
        session.save(Some(state), job, &mut report);
    }
    let own_status = conclude(report, settings, console);
    if ended.status == STATUS_SUCCESS {
        own_status
    } else {
        ended.status
    }
}
