//! The subcommands: each checks its settings, hands over to the engine, and tells what became of it.

mod action;
mod artifact;
mod child;
mod clean;
mod doctor;
mod explain;
mod gc;
mod plan;
mod replay;
mod report;
mod restore;
mod run;
mod save;
mod signals;
mod target_dir;
mod wrap;

pub use wrap::{is_wrapper, wrap};

use std::{
    io::{self, Write as _},
    path::PathBuf,
};

use anyhow::Context as _;

use crate::{
    bucket_settings::check_home,
    cli::{Cli, Command, CommonArguments},
    console::Console,
    environment::Environment,
    fail_open::{self, Trouble},
    report::{RunReport, render_lines, render_summary},
    repository_settings::RepositorySettingsError,
    runner::append_summary,
    settings::{FailureMode, Settings, Verbosity},
    state::{self, RunState},
};

/// Everything went well, or went wrong without mattering.
const STATUS_SUCCESS: u8 = 0;
/// Something went wrong and the user asked for strictness, or for nothing else than what failed.
const STATUS_FAILURE: u8 = 1;
/// The user asked for something that does not exist.
const STATUS_USAGE: u8 = 2;

/// Runs the subcommand; what comes back is the status to exit with.
pub fn dispatch(cli: &Cli, environment: &Environment) -> u8 {
    silence_panics();
    match &cli.command {
        Command::Run(arguments) => with_settings(
            &arguments.common,
            environment,
            |settings, environment, console| run::run(arguments, settings, environment, console),
        ),
        Command::Restore(arguments) => {
            with_settings(arguments, environment, |settings, environment, console| {
                restore::restore(settings, environment, console)
            })
        }
        Command::Replay(arguments) => {
            with_settings(arguments, environment, |settings, environment, console| {
                replay::replay(settings, environment, console)
            })
        }
        Command::Save(arguments) => {
            with_settings(arguments, environment, |settings, environment, console| {
                save::save(settings, environment, console)
            })
        }
        Command::Plan(arguments) => with_settings(
            &arguments.common,
            environment,
            |settings, environment, console| {
                plan::plan(arguments.json, settings, environment, console)
            },
        ),
        Command::Doctor(arguments) => with_settings(
            &arguments.common,
            environment,
            |settings, environment, console| {
                doctor::doctor(arguments.json, settings, environment, console)
            },
        ),
        Command::Report(arguments) => with_settings(
            &arguments.common,
            environment,
            |settings, environment, console| {
                report::report(arguments, settings, environment, console)
            },
        ),
        Command::Explain(arguments) => with_settings(
            &arguments.common,
            environment,
            |settings, environment, console| {
                explain::explain(arguments, settings, environment, console)
            },
        ),
        Command::Gc(arguments) => with_settings(
            &arguments.common,
            environment,
            |settings, environment, console| gc::gc(arguments, settings, environment, console),
        ),
        Command::Artifact(arguments) => with_settings(
            &arguments.common,
            environment,
            |settings, environment, console| {
                artifact::artifact(arguments, settings, environment, console)
            },
        ),
        Command::Clean(arguments) => with_settings(
            &arguments.common,
            environment,
            |settings, environment, console| {
                clean::clean(arguments, settings, environment, console)
            },
        ),
        Command::TargetDir(arguments) => with_settings(
            &arguments.common,
            environment,
            |settings, environment, console| {
                target_dir::target_dir(arguments, settings, environment, console)
            },
        ),
        Command::Action(arguments) => action::action(arguments.stage, environment),
    }
}

/// A panic in the cache is reported by [`fail_open`] in one line; the default hook would print its own as well.
fn silence_panics() {
    std::panic::set_hook(Box::new(|panic| tracing::debug!("{panic}")));
}

/// Shows what the modules trace for those who look for a mistake.
fn show_traces() {
    // Fails only if somebody else listens already.
    let _listened_to = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .with_writer(std::io::stderr)
        .without_time()
        .try_init();
}

fn with_settings(
    arguments: &CommonArguments,
    environment: &Environment,
    work: impl FnOnce(&Settings, &Environment, &Console) -> u8,
) -> u8 {
    if let Err(error) = check_home(environment) {
        Console::new(Verbosity::Normal).error(&error.to_string());
        return STATUS_USAGE;
    }
    let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
    match Settings::check(arguments, &here, environment) {
        Ok(settings) => {
            if settings.verbosity == Verbosity::Verbose {
                show_traces();
            }
            let environment = settings.time_limits.in_environment(environment);
            work(&settings, &environment, &Console::new(settings.verbosity))
        }
        Err(error) => {
            Console::new(Verbosity::Normal).error(&error.to_string());
            STATUS_USAGE
        }
    }
}

/// Says what is wrong with a setting.
fn refused(console: &Console, error: &RepositorySettingsError) -> u8 {
    console.error(&error.to_string());
    STATUS_USAGE
}

/// Runs one piece of cache work; trouble becomes a warning here and nowhere else.
fn attempt<T>(
    console: &Console,
    attempted: &str,
    work: impl FnOnce() -> anyhow::Result<T>,
) -> Option<T> {
    match fail_open::attempt(attempted, work) {
        Ok(value) => Some(value),
        Err(Trouble(text)) => {
            console.trouble(&text);
            None
        }
    }
}

/// Tells what is going to be deleted: as `lines`, or as JSON where `as_json`, and into the report file that was asked for.
fn tell_plan(
    plan: &impl serde::Serialize,
    lines: &[String],
    as_json: bool,
    settings: &Settings,
) -> anyhow::Result<()> {
    let json = serde_json::to_string_pretty(plan)?;
    if let Some(path) = &settings.report {
        fs_err::write(path, &json)?;
    }
    let text = if as_json { json } else { lines.join("\n") };
    let _closed_pipe = writeln!(io::stdout().lock(), "{text}");
    Ok(())
}

/// Keeps for `hotcrate doctor` what is known before the job. Nothing else needs it, so trouble is no warning.
fn keep_for_doctor(state: &RunState, environment: &Environment, console: &Console) {
    let kept = fail_open::attempt("`hotcrate doctor` will know less", || {
        Ok(state::keep_last_restore(state, environment)?)
    });
    if let Err(Trouble(text)) = kept {
        console.detail(&text);
    }
}

/// Adds what happened to the step's summary, where a runner shows one.
fn summarize(report: &RunReport, environment: &Environment, console: &Console) {
    let Some(file) = environment.path("GITHUB_STEP_SUMMARY") else {
        return;
    };
    let mut report = report.clone();
    report.warnings.extend(console.warnings());
    attempt(console, "the summary is not written", || {
        append_summary(&file, |room| render_summary(&report, room))?;
        Ok(())
    });
}

/// Tells what happened, in lines and where asked for as JSON, and decides how to exit.
fn conclude(report: RunReport, settings: &Settings, console: &Console) -> u8 {
    attempt(console, "what happened cannot be told", || {
        for line in render_lines(&report) {
            console.line(&line);
        }
        Ok(())
    });
    finish(report, settings, console)
}

/// The same without the lines, where a warning said all that there is.
fn finish(mut report: RunReport, settings: &Settings, console: &Console) -> u8 {
    report.warnings.extend(console.warnings());
    if let Some(path) = &settings.report {
        attempt(console, "report not written", || {
            let json = serde_json::to_vec_pretty(&report).context("failed to render it")?;
            fs_err::write(path, json)?;
            Ok(())
        });
    }
    if settings.failure_mode == FailureMode::Strict && console.had_trouble() {
        STATUS_FAILURE
    } else {
        STATUS_SUCCESS
    }
}
