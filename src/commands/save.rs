//! `hotcrate save`: the second half of `run`, in a process of its own.

use crate::{
    commands::{attempt, conclude, summarize},
    console::Console,
    engine::{JobResult, Session},
    environment::Environment,
    report::RunReport,
    settings::Settings,
    state,
};

/// Saves what has become new since the restore. Without the restore's state it saves no tools and prunes nothing
/// by use.
pub(super) fn save(settings: &Settings, environment: &Environment, console: &Console) -> u8 {
    let mut report = RunReport::default();
    let state = attempt(console, "saving as if nothing had been restored", || {
        Ok(state::take(&settings.project, environment)?)
    })
    .flatten();
    let session = attempt(console, "nothing is saved", || {
        Session::begin(settings, environment, console)
    });
    if let Some(session) = session {
        attempt(console, "not everything is saved", || {
            // Whoever calls this by hand or in a step of its own does so after a success.
            session.save(state.as_ref(), JobResult::Succeeded, &mut report);
            Ok(())
        });
    }
    summarize(&report, environment, console);
    conclude(report, settings, console)
}
