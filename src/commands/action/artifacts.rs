//! The inputs `artifacts` and `artifacts-command`: what a job builds, put in place before it if it was built before.
//!
//! The action does not run the command: a step of the job does, if the output `artifact-hit` is not `true`, and fails the
//! job if it fails. Invariant: at the job's end that is stored which the step made from what was there when this one ran, and
//! only if the job succeeded.

use std::sync::Arc;

use crate::{
    commands::{
        action::{
            GRACE,
            options::{Mode, Options},
        },
        attempt,
    },
    console::Console,
    engine::{ArtifactRequest, Artifacts, tell_kept},
    environment::Environment,
    fail_open::{self, Trouble},
    policy::JobStatus,
    runner::{InputError, Inputs, StepFiles},
};

/// The name of the state between the halves: the beginning of the key.
const STATE: &str = "artifact";

/// What the inputs ask for, if anything.
pub(super) fn request(inputs: &Inputs) -> Result<Option<ArtifactRequest>, InputError> {
    let lines = inputs.text("artifacts").lines().map(str::trim);
    let paths: Vec<_> = lines
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect();
    if paths.is_empty() {
        return Ok(None);
    }
    match inputs.text("artifacts-command") {
        "" => Err(InputError::new(
            "artifacts-command",
            "",
            "the command that makes the artifacts",
        )),
        command => Ok(Some(ArtifactRequest {
            paths,
            command: vec![command.into()],
            commit: false,
            included: Vec::new(),
        })),
    }
}

/// Puts the artefacts in place, if they were built before, and says so in the output.
pub(super) fn look(
    options: &Options,
    environment: &Environment,
    console: &Arc<Console>,
    files: StepFiles,
) {
    let Some(request) = options
        .artifacts
        .clone()
        .filter(|_| options.mode != Mode::Save)
    else {
        return;
    };
    let settings = options.settings.clone();
    let environment = options.environment(environment);
    let limit = settings.time_limits.restore + GRACE;
    let looked = fail_open::attempt_within("the artifacts are built anew", limit, {
        let console = Arc::clone(console);
        move || {
            let artifacts = Artifacts::find(&request, &settings, &environment, &console)?;
            Ok((artifacts.fingerprint(), artifacts.take()?))
        }
    });
    let is_hit = match looked {
        Ok((print, is_hit)) => {
            let word = if is_hit {
                "built before"
            } else {
                "not built yet"
            };
            console.line(&format!("artifacts {}: {word}", print.short()));
            if !is_hit {
                attempt(console, "the artifacts will not be stored", || {
                    Ok(files.state(STATE, print.prefix())?)
                });
            }
            is_hit
        }
        Err(Trouble(text)) => {
            console.trouble(&text);
            false
        }
    };
    attempt(console, "an output is not set", || {
        Ok(files.output("artifact-hit", is_hit)?)
    });
}

/// At the job's end: stores the artefacts, if a step made them from what [`look`] saw.
pub(super) fn keep(options: &Options, environment: &Environment, console: &Arc<Console>) {
    let succeeded = matches!(options.job, Some(JobStatus::Succeeded) | None);
    let seen = environment.text(&format!("STATE_{STATE}"));
    let (Some(request), Some(seen)) = (options.artifacts.clone(), seen.map(str::to_owned)) else {
        return;
    };
    if !succeeded || options.mode != Mode::Auto {
        return;
    }
    let settings = options.settings.clone();
    let environment = options.environment(environment);
    let limit = settings.time_limits.save + GRACE;
    let kept = fail_open::attempt_within("the artifacts are not stored", limit, {
        let console = Arc::clone(console);
        move || {
            let artifacts = Artifacts::find(&request, &settings, &environment, &console)?;
            if artifacts.fingerprint().prefix() != seen {
                return Ok("not stored: what they are built from changed in this job".to_owned());
            }
            Ok(tell_kept(&artifacts.keep()?))
        }
    });
    match kept {
        Ok(told) => console.line(&format!("artifacts {told}")),
        Err(Trouble(text)) => console.trouble(&text),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(artifacts: &str, command: &str) -> Result<Option<ArtifactRequest>, InputError> {
        let variables = [
            ("INPUT_ARTIFACTS", artifacts),
            ("INPUT_ARTIFACTS-COMMAND", command),
        ];
        request(&Inputs::read(&variables.into_iter().collect()))
    }

    #[test]
    fn artifacts_come_one_a_line_and_with_their_command() {
        assert!(read("", "").expect("nothing is asked for").is_none());
        let asked = read(
            "target/release/a\n\n target/release/b",
            "cargo build --release",
        );
        let asked = asked.expect("it is sound").expect("something is asked for");
        assert_eq!(asked.paths, ["target/release/a", "target/release/b"]);
        let error = read("target/release/a", "").expect_err("there is no command");
        insta::assert_snapshot!(error, @r#"artifacts-command "" is none of what it takes: the command that makes the artifacts"#);
    }
}
