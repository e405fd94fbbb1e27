//! `hotcrate report`: what a repository, or a directory, holds.

use std::io::{self, Write as _};

use crate::{
    cli::ReportArguments,
    commands::{STATUS_FAILURE, STATUS_SUCCESS, attempt, refused},
    console::Console,
    engine::Holdings,
    environment::Environment,
    inventory::{Survey, survey},
    report::{render_page, render_survey},
    repository_settings::RepositorySettings,
    settings::Settings,
};

/// Prints the survey to standard output, as text or as JSON, and writes the page. Trouble is a failure: there is nothing to
/// go on with.
pub(super) fn report(
    arguments: &ReportArguments,
    settings: &Settings,
    environment: &Environment,
    console: &Console,
) -> u8 {
    let checked = RepositorySettings::check(&arguments.repo, &arguments.quota);
    let about = match checked {
        Ok(checked) => checked,
        Err(error) => return refused(console, &error),
    };
    let told = attempt(console, "there is nothing to report", || {
        let repository = about.repository.as_ref();
        let holdings = Holdings::find(settings, environment, repository, about.quota)?;
        let survey = survey(&holdings.list("", true)?);
        if let Some(page) = &arguments.html {
            fs_err::write(page, render_page(&survey))?;
            console.line(&format!("the page is in {}", page.display()));
        }
        if let Some(path) = &settings.report {
            fs_err::write(path, render(&survey, true)?)?;
        }
        // Whoever reads only the first lines closes the pipe: that is no failure.
        let text = render(&survey, arguments.json)?;
        let _closed_pipe = io::stdout().lock().write_all(text.as_bytes());
        Ok(())
    });
    if told.is_some() {
        STATUS_SUCCESS
    } else {
        STATUS_FAILURE
    }
}

fn render(survey: &Survey, json: bool) -> anyhow::Result<String> {
    let mut text = if json {
        serde_json::to_string_pretty(survey)?
    } else {
        render_survey(survey).join("\n")
    };
    text.push('\n');
    Ok(text)
}
