//! `hotcrate restore`: the first half of `run`. What the second half needs to know is kept in the state file.

use crate::{
    commands::{attempt, conclude, keep_for_doctor},
    console::Console,
    engine::Session,
    environment::Environment,
    freshness::Moment,
    report::RunReport,
    sccache::SccacheSetting,
    settings::Settings,
    state,
};

/// Restores, and writes the state for `hotcrate save`.
pub(super) fn restore(settings: &Settings, environment: &Environment, console: &Console) -> u8 {
    let settings = &without_sccache(settings, console);
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
            Ok(session.restore(Moment::BeforeOtherSteps, &mut report))
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

/// There is no build to be told of sccache: a server that nobody asks would be all that came of it.
fn without_sccache(settings: &Settings, console: &Console) -> Settings {
    if matches!(settings.sccache, SccacheSetting::On | SccacheSetting::At(_)) {
        console.note("sccache is left alone: it takes `hotcrate run` to have a command use it");
    }
    Settings {
        sccache: SccacheSetting::Off,
        ..settings.clone()
    }
}
