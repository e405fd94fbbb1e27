//! `hotcrate replay`: the replay alone, once more, for jobs that generate sources between the restore and Cargo.

use crate::{
    commands::{STATUS_FAILURE, STATUS_SUCCESS, attempt},
    console::Console,
    engine::Session,
    environment::Environment,
    settings::{FailureMode, Settings},
    state,
};

/// Replays what the last `hotcrate restore` of the project brought over the sources as they are now. Where that can't be
/// done they stay as they are, which costs compilations.
pub(super) fn replay(settings: &Settings, environment: &Environment, console: &Console) -> u8 {
    let replayed = attempt(console, "nothing is replayed", || {
        let Some(mut state) = state::read(&settings.project, environment)? else {
            anyhow::bail!("no restore of this project is known; run `hotcrate restore` before");
        };
        let session = Session::begin(settings, environment, console)?;
        let told = session.replay(&mut state)?;
        state::write(&state, environment)?;
        Ok(told)
    });
    if let Some(told) = replayed {
        console.line(&told);
    }
    if settings.failure_mode == FailureMode::Strict && console.had_trouble() {
        STATUS_FAILURE
    } else {
        STATUS_SUCCESS
    }
}
