//! `hotcrate run -- CMD…`: restore, run, save.

use std::{
    ffi::{OsStr, OsString},
    path::Path,
};

use crate::{
    bucket_settings::{BucketSettings, BucketSettingsError},
    cli::RunArguments,
    commands::{
        STATUS_SUCCESS, STATUS_USAGE, attempt,
        child::{self, Ended},
        conclude, keep_for_doctor, summarize,
    },
    console::Console,
    engine::{JobResult, Purpose, Session, TargetBucket, open_bucket},
    environment::Environment,
    freshness::Moment,
    report::RunReport,
    settings::Settings,
};

/// Runs a command between a restore and a save. Whatever happens to those, the command runs, and its status counts.
pub(super) fn run(
    arguments: &RunArguments,
    settings: &Settings,
    environment: &Environment,
    console: &Console,
) -> u8 {
    let asked_for = match bucket_settings(arguments) {
        Ok(asked_for) => asked_for,
        Err(error) => {
            console.error(&error.to_string());
            return STATUS_USAGE;
        }
    };
    // Held until the command, and what is saved of it, is through.
    let bucket = asked_for.and_then(|about| {
        attempt(
            console,
            "building in the project's own target directory",
            || {
                let bucket = open_bucket(Purpose::Build, settings, &about, environment, console)?;
                console.line(&format!(
                    "target    {}: {}",
                    bucket.choice,
                    bucket.target.display()
                ));
                Ok(bucket)
            },
        )
    });
    let variables = bucket.as_ref().map(TargetBucket::variables);
    let variables = variables.unwrap_or_default();
    let environment = variables
        .iter()
        .fold(environment.clone(), |environment, (name, value)| {
            environment.with(*name, *value)
        });
    let environment = &environment;
    let mut report = RunReport::default();
    let session = attempt(console, "going on without the cache", || {
        Session::begin(settings, environment, console)
    });
    let ended = surround(
        console,
        &mut report,
        |report| {
            let state = session
                .as_ref()?
                .restore(moment_before(&arguments.command), report);
            keep_for_doctor(&state, environment, console);
            Some(state)
        },
        |state| {
            let mut variables: Vec<(&OsStr, &OsStr)> = variables
                .iter()
                .map(|(name, value)| (OsStr::new(name), value.as_os_str()))
                .collect();
            let sccache = state.and_then(|state| state.sccache.as_ref());
            let of_sccache = sccache.into_iter().flat_map(|sccache| &sccache.variables);
            variables.extend(of_sccache.map(|(name, value)| (OsStr::new(name), OsStr::new(value))));
            run_command(&arguments.command, &variables, console)
        },
        |state, job, report| {
            if let Some(session) = &session {
                session.save(Some(&state), job, report);
            }
        },
    );
    summarize(&report, environment, console);
    let own_status = conclude(report, settings, console);
    if ended.status == STATUS_SUCCESS {
        own_status
    } else {
        ended.status
    }
}

/// Calls `command` between the two halves, once, even if they panic. Only what was restored is saved after.
fn surround<State>(
    console: &Console,
    report: &mut RunReport,
    restore: impl FnOnce(&mut RunReport) -> Option<State>,
    command: impl FnOnce(Option<&State>) -> Ended,
    save: impl FnOnce(State, JobResult, &mut RunReport),
) -> Ended {
    let state = attempt(console, "going on without the cache", || {
        Ok(restore(report))
    })
    .flatten();
    let ended = command(state.as_ref());
    if let Some(state) = state {
        let job = if ended.success {
            JobResult::Succeeded
        } else {
            JobResult::Failed
        };
        attempt(console, "not everything is saved", || {
            save(state, job, report);
            Ok(())
        });
    }
    ended
}

/// What may happen between the restore and Cargo, if `command` comes next.
fn moment_before(command: &[OsString]) -> Moment {
    let program = command.first().map(Path::new);
    if program.and_then(Path::file_stem) == Some(OsStr::new("cargo")) {
        Moment::RightBeforeCargo
    } else {
        Moment::BeforeOtherSteps
    }
}

/// What the user asks for of buckets; `None` if nothing, which leaves the target directory what it is.
fn bucket_settings(
    arguments: &RunArguments,
) -> Result<Option<BucketSettings>, BucketSettingsError> {
    let checked = BucketSettings::check(
        &arguments.target_mode,
        &arguments.worktree_patterns,
        &arguments.if_busy,
    )?;
    Ok(Some(checked).filter(|_| !arguments.target_mode.trim().is_empty()))
}

/// Runs the command to its end; one that cannot be started is told of, and ends as a shell says that it does.
pub(super) fn run_command(
    command: &[OsString],
    variables: &[(&OsStr, &OsStr)],
    console: &Console,
) -> Ended {
    child::run_to_end(command, variables).unwrap_or_else(|(status, error)| {
        let program = command.first().map(|program| program.to_string_lossy());
        console.error(&format!(
            "failed to start {}: {error}",
            program.unwrap_or_default()
        ));
        Ended {
            status,
            success: false,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Verbosity;

    const ENDED: Ended = Ended {
        status: 7,
        success: false,
    };

    #[rstest::rstest]
    #[case("cargo", Moment::RightBeforeCargo)]
    #[case("/usr/bin/cargo", Moment::RightBeforeCargo)]
    #[case("cargo.exe", Moment::RightBeforeCargo)]
    #[case("sh", Moment::BeforeOtherSteps)]
    #[case("make", Moment::BeforeOtherSteps)]
    fn only_cargo_itself_runs_cargo_at_once(#[case] program: &str, #[case] expected: Moment) {
        assert_eq!(moment_before(&[program.into()]), expected);
    }

    #[test]
    fn a_panic_while_restoring_does_not_keep_the_command_from_running() {
        let console = Console::new(Verbosity::Quiet);
        let ended = surround(
            &console,
            &mut RunReport::default(),
            |_| -> Option<()> { panic!("oh") },
            |_| ENDED,
            |(), _, _| unreachable!("nothing was restored"),
        );
        assert_eq!(ended, ENDED);
        assert_eq!(
            console.warnings(),
            ["going on without the cache: internal error: oh"]
        );
    }

    #[test]
    fn a_panic_while_saving_does_not_replace_the_status() {
        let console = Console::new(Verbosity::Quiet);
        let ended = surround(
            &console,
            &mut RunReport::default(),
            |_| Some(()),
            |_| ENDED,
            |(), job, _| {
                assert_eq!(job, JobResult::Failed);
                panic!("oh");
            },
        );
        assert_eq!(ended, ENDED);
        assert_eq!(
            console.warnings(),
            ["not everything is saved: internal error: oh"]
        );
    }
}
