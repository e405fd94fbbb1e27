//! Child processes: the only module that starts any.
//!
//! Tools that hotcrate asks for facts (`cargo`, `rustc`, `git`) get the environment without the runner's tokens,
//! inputs and state, and never install a toolchain. The user's own command is started by [`crate::commands`]
//! through [`user_command`], with the environment as it is.
//!
//! Invariant: no tool is waited for longer than [`TimeLimits::tool`] says. One that hangs is killed, and its answer is missed; what
//! it started itself, and may keep its pipes open, is left alone and not waited for.

use std::{
    ffi::OsStr,
    io::{self, Read},
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use crate::{environment::Environment, time_limits::TimeLimits};

/// Between two looks at a tool that closed its output and has not ended yet: at first, and at most.
const FIRST_PAUSE: Duration = Duration::from_micros(100);
const LONGEST_PAUSE: Duration = Duration::from_millis(20);

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
    /// It gave no answer in time, and was killed.
    #[error("{program} did not answer within {}", humantime::format_duration(*limit))]
    TimeUp {
        /// The program's name.
        program: String,
        /// How long it had.
        limit: Duration,
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
    limit: Duration,
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
            limit: TimeLimits::of_tool(environment),
        }
    }

    /// Adds arguments.
    #[must_use]
    pub fn args<A: AsRef<OsStr>>(mut self, arguments: impl IntoIterator<Item = A>) -> Self {
        self.command.args(arguments);
        self
    }

    /// Another limit than the user's.
    #[must_use]
    pub fn within(mut self, limit: Duration) -> Self {
        self.limit = limit;
        self
    }

    /// Runs the tool without standard input and returns what it wrote to standard output.
    pub fn output(mut self) -> Result<String, ToolError> {
        let begun = Instant::now();
        let child = self
            .command
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let answer = child.and_then(|child| answer_of(child, begun, self.limit));
        let answer = answer.map_err(|source| ToolError::Start {
            program: self.program.clone(),
            source,
        })?;
        let Some(answer) = answer else {
            return Err(ToolError::TimeUp {
                program: self.program,
                limit: self.limit,
            });
        };
        if !answer.status.success() {
            return Err(ToolError::Failed {
                program: self.program,
                status: answer.status,
                stderr: String::from_utf8_lossy(&answer.stderr).trim().to_owned(),
            });
        }
        String::from_utf8(answer.stdout).map_err(|_| ToolError::NotText {
            program: self.program,
        })
    }
}

/// How a tool ended, and what it wrote.
struct Answer {
    status: ExitStatus,
    stdout: Vec<u8>,
    stderr: Vec<u8>,
}

/// Waits for a tool until `limit` after it was `begun`; then it is killed, and there is no answer.
fn answer_of(mut child: Child, begun: Instant, limit: Duration) -> io::Result<Option<Answer>> {
    let stdout = read_aside(child.stdout.take());
    let stderr = read_aside(child.stderr.take());
    let left = || limit.saturating_sub(begun.elapsed());
    let outputs = stdout
        .recv_timeout(left())
        .and_then(|stdout| Ok((stdout, stderr.recv_timeout(left())?)));
    let ended = match outputs {
        Ok(_) => end_of(&mut child, left)?,
        Err(_) => None,
    };
    let (Ok((stdout, stderr)), Some(status)) = (outputs, ended) else {
        // It may have ended by now.
        child.kill().ok();
        child.wait()?;
        return Ok(None);
    };
    Ok(Some(Answer {
        status,
        stdout: stdout?,
        stderr: stderr?,
    }))
}

/// Reads a pipe to its end on a thread of its own, which nobody waits for if the pipe stays open.
fn read_aside(pipe: Option<impl Read + Send + 'static>) -> mpsc::Receiver<io::Result<Vec<u8>>> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let mut bytes = Vec::new();
        let read = pipe.map_or(Ok(0), |mut pipe| pipe.read_to_end(&mut bytes));
        // Nobody listens any more when the time is up.
        sender.send(read.map(|_| bytes)).ok();
    });
    receiver
}

/// Waits for a child that closed its pipes, which as a rule has just ended. `None`: the time is up.
fn end_of(child: &mut Child, left: impl Fn() -> Duration) -> io::Result<Option<ExitStatus>> {
    let mut pause = FIRST_PAUSE;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if left().is_zero() {
            return Ok(None);
        }
        thread::sleep(pause.min(left()));
        pause = LONGEST_PAUSE.min(pause * 2);
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

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    fn shell(script: &str) -> Tool {
        let here = std::env::temp_dir();
        Tool::new("sh", &here, &Environment::of_process()).args(["-c", script])
    }

    #[test]
    fn a_tool_answers_with_what_it_wrote_to_standard_output() {
        let answer = shell("echo answer; echo noise >&2").output();
        assert_eq!(answer.expect("it succeeds"), "answer\n");
    }

    #[test]
    fn more_than_a_pipe_holds_is_read_from_both_outputs() {
        let script = "head -c 300000 /dev/zero | tr '\\0' x; head -c 300000 /dev/zero >&2";
        assert_eq!(shell(script).output().expect("it succeeds").len(), 300_000);
    }

    #[test]
    fn a_failure_says_what_the_tool_said() {
        let error = shell("echo no such thing >&2; exit 3").output();
        let error = error.expect_err("it fails").to_string();
        assert!(error.contains("no such thing"), "{error}");
    }

    #[rstest::rstest]
    #[case::says_nothing("exec sleep 1000")]
    #[case::closes_its_output("exec >&- 2>&-; exec sleep 1000")]
    #[case::leaves_somebody_behind_who_keeps_the_pipe("sleep 10 & echo answer")]
    fn a_tool_that_hangs_is_killed(#[case] script: &str) {
        let error = shell(script).within(Duration::from_millis(300)).output();
        let error = error.expect_err("it never answers");
        insta::allow_duplicates! {
            insta::assert_snapshot!(error, @"sh did not answer within 300ms");
        }
    }
}
