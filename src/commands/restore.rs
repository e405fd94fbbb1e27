//! `hotcrate restore`: the first half of `run`. What the second half needs to know is kept in the state file.

use crate::{
    commands::{attempt, conclude, keep_for_doctor},
    console::Console,
    engine::Session,
    environment::Environment,
    report::RunReport,
    settings::Settings,
    state,
};

/// Restores, and writes the state for `hotcrate save`.
pub(super) fn restore(settings: &Settings, environment: &Environment, console: &Console) -> u8 {
    let mut report = RunReport::default();
    attempt(
        console,
        "a later `hotcrate save` may go by an old restore",
        || Ok(state::clear(&settings.project, environment)?),
    );
    let session = attempt(console, "going on without the cache", || {
        Session::begin(settings, environment, console)
    });
    let state = session.and_then(|session| {
        attempt(console, "going on without the cache", || {
            Ok(session.restore(&mut report))
        })
    });
    if let Some(state) = state {
        keep_for_doctor(&state, environment, console);
        attempt(
            console,
            "a later `hotcrate save` cannot prune by use",
            || Ok(state::write(&state, environment)?),
        );
    }
    conclude(report, settings, console)
}
