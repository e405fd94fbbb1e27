//! Asking the compiler that the project selects what it is. None is ever installed for that.

use std::{ffi::OsStr, path::Path};

use crate::{
    environment::Environment,
    key::Compiler,
    process::{Tool, ToolError},
};

/// Why the compiler is unknown.
#[derive(Debug, thiserror::Error)]
pub enum ToolchainError {
    /// It is not there, or is not installed.
    #[error(transparent)]
    Tool(#[from] ToolError),
    /// It said something that no rustc says.
    #[error("{program} -vV names no release")]
    Strange {
        /// The program that was asked.
        program: String,
    },
}

/// Runs `<program> -vV` in `directory`: rustup's proxies then heed toolchain files and overrides.
pub fn ask(
    program: &OsStr,
    directory: &Path,
    environment: &Environment,
) -> Result<Compiler, ToolchainError> {
    let answer = Tool::new(program, directory, environment)
        .args(["-vV"])
        .output()?;
    parse(&answer).ok_or_else(|| ToolchainError::Strange {
        program: program.to_string_lossy().into_owned(),
    })
}

/// Reads what `rustc -vV` prints.
pub fn parse(answer: &str) -> Option<Compiler> {
    let value = |name: &str| {
        answer
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(": "))
            .map(|value| value.trim().to_owned())
    };
    let or_unknown = |value: Option<String>| value.unwrap_or_else(|| "unknown".to_owned());
    Some(Compiler {
        release: value("release")?,
        host: value("host")?,
        commit_date: or_unknown(value("commit-date")),
        commit_hash: or_unknown(value("commit-hash")),
        summary: answer.lines().next().unwrap_or_default().trim().to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const STABLE: &str = "rustc 1.95.0 (59807616e 2026-04-14)
binary: rustc
commit-hash: 59807616e1fa2540724bfbac14d7976d7e4a3860
commit-date: 2026-04-14
host: x86_64-unknown-linux-gnu
release: 1.95.0
LLVM version: 22.1.2
";

    #[test]
    fn a_compiler_is_read_off_its_verbose_version() {
        let compiler = parse(STABLE).expect("it names a release");
        assert_eq!(compiler.release, "1.95.0");
        assert_eq!(compiler.commit_date, "2026-04-14");
        assert_eq!(compiler.host, "x86_64-unknown-linux-gnu");
    }

    /// Distributions build without git, and differ in their first line alone.
    #[test]
    fn a_compiler_without_a_commit_is_still_one() {
        let text = "rustc 1.75.0 (built from a source tarball)\nhost: a\nrelease: 1.75.0\n";
        let compiler = parse(text).expect("it names a release");
        assert_eq!(compiler.commit_hash, "unknown");
        assert_eq!(
            compiler.summary,
            "rustc 1.75.0 (built from a source tarball)"
        );
    }

    #[test]
    fn what_names_no_release_is_no_compiler() {
        assert_eq!(parse("error: toolchain '1.2.3' is not installed"), None);
    }
}
