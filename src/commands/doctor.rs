//! `hotcrate doctor`: why the last build compiled what it compiled, and what to do about it.

use std::io::{self, Write as _};

use crate::{
    commands::{STATUS_FAILURE, STATUS_SUCCESS, attempt},
    console::Console,
    engine::Session,
    environment::Environment,
    report::{DoctorReport, render_doctor},
    settings::Settings,
    state,
};

/// Prints the report to standard output, as text or as JSON. Here trouble is a failure: there is nothing to go on with.
pub(super) fn doctor(
    json: bool,
    settings: &Settings,
    environment: &Environment,
    console: &Console,
) -> u8 {
    let last = attempt(console, "the last restore is not known", || {
        Ok(state::last_restore(&settings.project, environment)?)
    })
    .flatten();
    let printed = attempt(console, "the last build can't be explained", || {
        let report = Session::begin(settings, environment, console)?.doctor(last, environment)?;
        let text = render(&report, json)?;
        if let Some(path) = &settings.report {
            fs_err::write(path, render(&report, true)?)?;
        }
        // Whoever reads only the first lines closes the pipe: that is no failure.
        let _closed_pipe = io::stdout().lock().write_all(text.as_bytes());
        Ok(())
    });
    if printed.is_some() {
        STATUS_SUCCESS
    } else {
        STATUS_FAILURE
    }
}

fn render(report: &DoctorReport, json: bool) -> anyhow::Result<String> {
    let mut text = if json {
        serde_json::to_string_pretty(report)?
    } else {
        render_doctor(report).join("\n")
    };
    text.push('\n');
    Ok(text)
}
