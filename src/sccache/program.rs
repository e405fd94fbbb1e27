//! The program: where it is, and whether it answers.

use std::{
    path::{Path, PathBuf},
    time::Duration,
};

use super::PROGRAM;
use crate::{
    environment::Environment,
    process::{Tool, ToolError},
};

/// How long it may take to say which version it is.
const ANSWER_LIMIT: Duration = Duration::from_secs(15);

/// An sccache that has answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Program {
    /// Where it is, absolute.
    pub path: PathBuf,
    /// Its version: `0.16.0`.
    pub version: String,
}

/// Why a program is not used.
#[derive(Debug, thiserror::Error)]
pub enum ProgramError {
    /// It does not work.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// It is something else.
    #[error("{path} is no sccache: to --version it answers {answer:?}", path = path.display())]
    Strange {
        /// The program.
        path: PathBuf,
        /// The first line of its answer.
        answer: String,
    },
}

/// The sccache on the PATH of `environment`, absolute.
pub fn on_path(environment: &Environment, directory: &Path) -> Option<PathBuf> {
    which::which_in(PROGRAM, environment.os("PATH"), directory).ok()
}

impl Program {
    /// Asks the program at `path` for its version. That starts no server.
    pub fn ask(path: &Path, environment: &Environment) -> Result<Self, ProgramError> {
        let directory = path.parent().unwrap_or(path);
        let answer = Tool::new(path, directory, environment)
            .args(["--version"])
            .within(ANSWER_LIMIT)
            .output()?;
        match version(&answer) {
            Some(version) => Ok(Self {
                path: path.to_owned(),
                version: version.to_owned(),
            }),
            None => Err(ProgramError::Strange {
                path: path.to_owned(),
                answer: answer.lines().next().unwrap_or_default().to_owned(),
            }),
        }
    }
}

/// The version in `sccache 0.16.0`.
fn version(answer: &str) -> Option<&str> {
    let version = answer.trim().strip_prefix(PROGRAM)?.strip_prefix(' ')?;
    let begins_with_digit = version.starts_with(|first: char| first.is_ascii_digit());
    let is_one_word = !version.contains(char::is_whitespace);
    (begins_with_digit && is_one_word).then_some(version)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("sccache 0.16.0\n", Some("0.16.0"))]
    #[case("sccache 0.18.0-pre.1", Some("0.18.0-pre.1"))]
    #[case("ccache version 4.9", None)]
    #[case("sccache", None)]
    #[case("sccache: error: no home", None)]
    #[case("", None)]
    fn only_what_calls_itself_sccache_and_a_version_is_one(
        #[case] answer: &str,
        #[case] expected: Option<&str>,
    ) {
        assert_eq!(version(answer), expected);
    }

    #[test]
    fn a_program_that_is_not_there_is_an_error_that_names_it() {
        let gone = Path::new("/nowhere/sccache");
        let error = Program::ask(gone, &Environment::default()).expect_err("it is gone");
        assert!(error.to_string().contains("/nowhere/sccache"), "{error}");
    }
}
