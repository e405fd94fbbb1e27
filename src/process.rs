//! Child processes: the only module that starts any.
//!
//! Tools that hotcrate asks for facts (`cargo`, `rustc`, `git`) get the environment without the runner's tokens,
//! inputs and state, and never install a toolchain. The user's own command is started by [`crate::commands`]
//! through [`user_command`], with the environment as it is.

use std::{ffi::OsStr, io, path::Path, process::Command};

use crate::environment::Environment;

/// How the names of variables begin that no tool started by hotcrate has any business with: the runner's.
const WITHHELD_PREFIXES: [&str; 3] = ["ACTIONS_", "INPUT_", "STATE_"];
/// How the names of variables end that hold a token, whoever's it is.
const WITHHELD_SUFFIXES: [&str; 1] = ["_TOKEN"];

/// Why a tool gave no answer.
#[derive(Debug, thiserror::Error)]
pub enum ToolError {
    /// It could not be started: most often it is not on PATH.
    #[error("failed to start {program}")]
    Start {
        /// The program's name.
        program: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// It failed.
    #[error("{program} failed ({status}): {stderr}")]
    Failed {
        /// The program's name and arguments.
        program: String,
        /// Its exit status.
        status: std::process::ExitStatus,
        /// What it wrote to standard error, trimmed.
        stderr: String,
    },
    /// It answered in something else than UTF-8.
    #[error("{program} did not answer in UTF-8")]
    NotText {
        /// The program's name.
        program: String,
    },
}

/// A tool to ask a question of.
#[derive(Debug)]
pub struct Tool {
    program: String,
    command: Command,
}

impl Tool {
    /// `program`, found on the PATH of `environment`, run in `directory`.
    pub fn new(program: impl AsRef<OsStr>, directory: &Path, environment: &Environment) -> Self {
        let program = program.as_ref();
        let mut command = plain_command(program);
        command.current_dir(directory).env_clear();
        for (name, value) in environment.iter() {
            let withheld = WITHHELD_PREFIXES
                .iter()
                .any(|prefix| name.starts_with(prefix))
                || WITHHELD_SUFFIXES
                    .iter()
                    .any(|suffix| name.ends_with(suffix));
            if !withheld {
                command.env(name, value);
            }
        }
        // A project may name a toolchain that is not installed: asking about it must not fetch it.
        command.env("RUSTUP_AUTO_INSTALL", "0");
        Self {
            program: program.to_string_lossy().into_owned(),
            command,
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Runs the tool without standard input and returns what it wrote to standard output.
    pub fn output(mut self) -> Result<String, ToolError> {
        let output = self
            .command
            .stdin(std::process::Stdio::null())
            .output()
            .map_err(|source| ToolError::Start {
                program: self.program.clone(),
                source,
            })?;
        if !output.status.success() {
            return Err(ToolError::Failed {
                program: self.program,
                status: output.status,
                stderr: String::from_utf8_lossy(&output.stderr).trim().to_owned(),
            });
        }
        String::from_utf8(output.stdout).map_err(|_| ToolError::NotText {
            program: self.program,
        })
    }
}

/// The user's own command: with the environment and the working directory as they are.
pub fn user_command(program: &OsStr) -> Command {
    plain_command(program)
}

#[expect(
    clippy::disallowed_methods,
    reason = "the one place that starts processes"
)]
fn plain_command(program: &OsStr) -> Command {
    Command::new(program)
}
