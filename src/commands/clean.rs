//! `hotcrate clean`: deletes what is of no use any more of all that hotcrate keeps on this machine.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::{
    clean::CleanRequest,
    cli::CleanArguments,
    commands::{STATUS_FAILURE, STATUS_SUCCESS, STATUS_USAGE, attempt, tell_plan},
    console::Console,
    engine::Cleaning,
    environment::Environment,
    report::{render_bytes, render_clean_plan},
    settings::Settings,
};

/// Plans, tells the plan, and unless it is only asked for carries it out.
pub(super) fn clean(
    arguments: &CleanArguments,
    settings: &Settings,
    environment: &Environment,
    console: &Console,
) -> u8 {
    let Ok(older_than) = age(&arguments.older_than) else {
        console.error(&format!(
            "--older-than {:?} is no span of time; it takes one above zero, such as 14d or 12h",
            arguments.older_than
        ));
        return STATUS_USAGE;
    };
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let request = CleanRequest {
        now: now.map_or(0, |since| since.as_secs()),
        older_than,
        max_bytes: Some(settings.max_bytes)
            .filter(|_| !arguments.common.max_size.trim().is_empty()),
        all: arguments.all,
    };
    let done = attempt(console, "not everything was cleaned", || {
        let cleaning = Cleaning::find(&request, settings, environment, console)?;
        let plan = cleaning.plan(&request);
        tell_plan(&plan, &render_clean_plan(&plan), arguments.json, settings)?;
        if arguments.dry_run {
            return Ok(());
        }
        let cleaned = cleaning.apply(&plan);
        for (name, why) in &cleaned.stays {
            console.trouble(&format!("{name} stays: {why}"));
        }
        console.line(&format!("freed {}", render_bytes(cleaned.freed)));
        Ok(())
    });
    if done.is_some() && !console.had_trouble() {
        STATUS_SUCCESS
    } else {
        STATUS_FAILURE
    }
}

/// The empty text is no age.
fn age(text: &str) -> Result<Option<Duration>, humantime::DurationError> {
    match text.trim() {
        "" => Ok(None),
        text => match humantime::parse_duration(text) {
            Ok(age) if age.is_zero() => Err(humantime::DurationError::Empty),
            age => age.map(Some),
        },
    }
}
