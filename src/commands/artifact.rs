//! `hotcrate artifact --paths PATHS -- CMD…`: what a command builds, taken from the store if it was built before.

use std::io::{self, Write as _};

use crate::{
    cli::ArtifactArguments,
    commands::{STATUS_FAILURE, STATUS_SUCCESS, STATUS_USAGE, attempt, run::run_command},
    console::Console,
    engine::{ArtifactRequest, Artifacts, NoCheckout, tell_kept},
    environment::Environment,
    fail_open::{self, Trouble},
    settings::{FailureMode, Settings},
};

/// Puts the artefacts in place and prints their paths, without starting the command if an equal build is stored. Whatever
/// happens to the store, the command then runs, and its status counts.
pub(super) fn artifact(
    arguments: &ArtifactArguments,
    settings: &Settings,
    environment: &Environment,
    console: &Console,
) -> u8 {
    let lines = |text: &str| -> Vec<String> {
        let lines = text.lines().map(str::trim);
        let given = lines.filter(|line| !line.is_empty());
        given.map(str::to_owned).collect()
    };
    let request = ArtifactRequest {
        paths: arguments
            .paths
            .iter()
            .flat_map(|text| lines(text))
            .collect(),
        command: arguments.command.clone(),
        commit: arguments.commit,
        included: arguments
            .include
            .iter()
            .flat_map(|text| lines(text))
            .collect(),
    };
    if request.paths.is_empty() {
        console.error(
            "--paths names nothing; it takes the files or directories that the command makes",
        );
        return STATUS_USAGE;
    }
    let mut no_checkout = None;
    let found = fail_open::attempt("going on without the store", || {
        match Artifacts::find(&request, settings, environment, console) {
            Err(error) => match error.downcast::<NoCheckout>() {
                Ok(error) => {
                    no_checkout = Some(error);
                    Ok(None)
                }
                Err(error) => Err(error),
            },
            found => found.map(Some),
        }
    });
    if let Some(error) = no_checkout {
        console.error(&error.to_string());
        return STATUS_USAGE;
    }
    let artifacts = found.unwrap_or_else(|Trouble(text)| {
        console.trouble(&text);
        None
    });
    if let Some(artifacts) = artifacts.as_ref().filter(|_| !arguments.rebuild) {
        let taken = attempt(console, "building anew", || artifacts.take());
        if taken == Some(true) {
            console.line(&format!(
                "artefact  {}: built before",
                artifacts.fingerprint().short()
            ));
            print_paths(artifacts);
            return STATUS_SUCCESS;
        }
    }
    let ended = run_command(&request.command, &[], console);
    if !ended.success {
        return ended.status;
    }
    if let Some(artifacts) = &artifacts {
        if let Some(kept) = attempt(console, "the artefacts are not stored", || artifacts.keep()) {
            let print = artifacts.fingerprint().short();
            console.line(&format!("artefact  {print}: {}", tell_kept(&kept)));
        }
        print_paths(artifacts);
    }
    if settings.failure_mode == FailureMode::Strict && console.had_trouble() {
        STATUS_FAILURE
    } else {
        STATUS_SUCCESS
    }
}

fn print_paths(artifacts: &Artifacts<'_>) {
    let mut text = String::new();
    for path in artifacts.destinations() {
        text.push_str(&path.display().to_string());
        text.push('\n');
    }
    let _closed_pipe = io::stdout().lock().write_all(text.as_bytes());
}
