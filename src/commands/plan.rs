//! `hotcrate plan`: what a run would do.

use std::io::{self, Write as _};

use crate::{
    commands::{STATUS_FAILURE, STATUS_SUCCESS, attempt},
    console::Console,
    engine::Session,
    environment::Environment,
    report::{PlanReport, render_plan},
    settings::Settings,
};

/// Prints the plan to standard output, as text or as JSON. Here trouble is a failure: there is nothing to go on with.
pub(super) fn plan(
    json: bool,
    settings: &Settings,
    environment: &Environment,
    console: &Console,
) -> u8 {
    let printed = attempt(console, "no plan can be made", || {
        let plan = Session::begin(settings, environment, console)?.plan();
        let text = render(&plan, json)?;
        if let Some(path) = &settings.report {
            fs_err::write(path, render(&plan, true)?)?;
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

fn render(plan: &PlanReport, json: bool) -> anyhow::Result<String> {
    let mut text = if json {
        serde_json::to_string_pretty(plan)?
    } else {
        render_plan(plan).join("\n")
    };
    text.push('\n');
    Ok(text)
}
