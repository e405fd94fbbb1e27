//! `hotcrate explain`: what differs, and why.

use std::io::{self, Write as _};

use jiff::Timestamp;

use crate::{
    cli::ExplainArguments,
    commands::{STATUS_FAILURE, STATUS_SUCCESS, attempt},
    console::Console,
    engine::{ExplainRequest, Holdings, Session},
    environment::Environment,
    report::{Explanation, render_explanation},
    settings::Settings,
};

/// Prints the explanation to standard output, as text or as JSON. Here trouble is a failure: there is nothing to go on with.
pub(super) fn explain(
    arguments: &ExplainArguments,
    settings: &Settings,
    environment: &Environment,
    console: &Console,
) -> u8 {
    let request = ExplainRequest {
        keys: arguments.keys.clone(),
        latest: arguments.against.is_some(),
    };
    let told = attempt(console, "there is nothing to explain", || {
        let session = Session::begin(settings, environment, console)?;
        let holdings = Holdings::find(settings, environment, None, None)?;
        let explanation = session.explain(&request, &holdings)?;
        if let Some(path) = &settings.report {
            fs_err::write(path, render(&explanation, true)?)?;
        }
        let text = render(&explanation, arguments.json)?;
        // Whoever reads only the first lines closes the pipe: that is no failure.
        let _closed_pipe = io::stdout().lock().write_all(text.as_bytes());
        Ok(())
    });
    if told.is_some() {
        STATUS_SUCCESS
    } else {
        STATUS_FAILURE
    }
}

fn render(explanation: &Explanation, json: bool) -> anyhow::Result<String> {
    let mut text = if json {
        serde_json::to_string_pretty(explanation)?
    } else {
        render_explanation(explanation, Timestamp::now()).join("\n")
    };
    text.push('\n');
    Ok(text)
}
