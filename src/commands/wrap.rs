//! This binary under the name of sccache: what a build runs around its compiler.
//!
//! sccache ends with an error of its own where its server dies while it is being asked, or where incremental
//! compilation is on; the build would fail. Invariant: whatever happens to sccache, the compiler is run, and its status
//! is what the build gets. And as no client is started where no server answers, none starts a server that would inherit
//! the environment of the build, tokens and all.

use std::{
    ffi::{OsStr, OsString},
    io::Write as _,
    path::Path,
    process::Command,
};

use crate::{
    environment::Environment,
    process::user_command,
    sccache::{FELL_BACK, PROGRAM, WRAPPED, WRAPPER_DIRECTORY, server_answers},
};

/// What sccache ends with where it has itself to blame, or does not know how the compiler ended (-2 and -3). Where a
/// compiler itself ends so, it does so again.
const STATUSES_OF_SCCACHE: [i32; 5] = [2, 253, 254, -2, -3];
/// What shells answer for a command that cannot be executed.
const STATUS_NOT_EXECUTABLE: u8 = 126;
/// At whose value 1 sccache ends with an error.
const INCREMENTAL: [&str; 2] = ["CARGO_INCREMENTAL", "CARGO_BUILD_INCREMENTAL"];

/// Whether this process was started under the name of sccache, by a build that hotcrate told of it.
pub fn is_wrapper(program: Option<&OsStr>, environment: &Environment) -> bool {
    let name = program.map(Path::new).and_then(Path::file_stem);
    name.is_some_and(|name| name == PROGRAM) && environment.os(WRAPPED).is_some()
}

/// Runs a compiler with its arguments through sccache, or without it. What comes back is the status to exit with.
pub fn wrap(arguments: &[OsString], environment: &Environment) -> u8 {
    let sccache = environment.os(WRAPPED).unwrap_or_default();
    let Some((first, rest)) = arguments.split_first() else {
        return run_instead(user_command(sccache));
    };
    if first.as_encoded_bytes().starts_with(b"-") {
        let mut command = user_command(sccache);
        command.args(arguments);
        return run_instead(command);
    }
    let is_incremental = INCREMENTAL
        .iter()
        .any(|name| environment.text(name) == Some("1"));
    if !is_incremental {
        if server_answers(environment) {
            let status = user_command(sccache).args(arguments).status();
            match status.map(|status| status.code()) {
                Err(_) => {}
                Ok(Some(code)) if STATUSES_OF_SCCACHE.contains(&code) => {}
                Ok(code) => return u8::try_from(code.unwrap_or(1)).unwrap_or(1),
            }
        }
        note_fall(environment);
    }
    let mut compiler = user_command(first);
    compiler.args(rest);
    run_instead(compiler)
}

/// Counts that a compilation went without sccache, for the report. A count that is lost does not matter.
fn note_fall(environment: &Environment) {
    let Some(directory) = environment.path(WRAPPER_DIRECTORY) else {
        return;
    };
    let noted = fs_err::OpenOptions::new()
        .create(true)
        .append(true)
        .open(directory.join(FELL_BACK))
        .and_then(|mut file| file.write_all(b"\n"));
    if let Err(error) = noted {
        tracing::debug!("{error}");
    }
}

/// Runs `command` in place of this process.
#[cfg(unix)]
fn run_instead(mut command: Command) -> u8 {
    use std::os::unix::process::CommandExt as _;
    // It comes back only if that failed.
    failed(&command.exec())
}

#[cfg(not(unix))]
fn run_instead(mut command: Command) -> u8 {
    match command.status() {
        Ok(status) => {
            let code = status.code().unwrap_or(1);
            u8::try_from(code).unwrap_or(1)
        }
        Err(error) => failed(&error),
    }
}

fn failed(error: &std::io::Error) -> u8 {
    let mut stderr = std::io::stderr().lock();
    let _closed_pipe = writeln!(stderr, "hotcrate: error: {error}");
    STATUS_NOT_EXECUTABLE
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_under_its_name_and_in_a_build_that_was_told_of_it_is_this_a_wrapper() {
        let told = Environment::from_iter([(WRAPPED, "/usr/bin/sccache")]);
        let untold = Environment::default();
        let named = |name: &'static str| Some(OsStr::new(name));
        assert!(is_wrapper(named("/tmp/x/sccache"), &told));
        assert!(!is_wrapper(named("/tmp/x/sccache"), &untold));
        assert!(!is_wrapper(named("hotcrate"), &told));
        assert!(!is_wrapper(None, &told));
    }
}
