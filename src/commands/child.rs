//! The user's own command: started, waited for, and its exit status passed on.
//!
//! Invariant: for whoever started hotcrate, the command behaves as if it had been started directly: same standard
//! streams, working directory and exit status, the same environment but for what makes it use sccache, and signals
//! reach it. If signals cannot be passed on, it
//! runs without.

use std::{
    ffi::{OsStr, OsString},
    io,
    process::ExitStatus,
};

use crate::{commands::signals, process::user_command};

/// What shells answer for a command that is not there.
const STATUS_NOT_FOUND: u8 = 127;
/// What shells answer for a command that cannot be executed.
const STATUS_NOT_EXECUTABLE: u8 = 126;

/// How the user's command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ended {
    /// The status that hotcrate exits with: the command's own, or 128 and the number of the signal that ended it.
    pub status: u8,
    /// Whether it succeeded.
    pub success: bool,
}

/// Runs `command` to its end, with `variables` set besides what is set. An error says that it could not be started, with the status to exit with.
pub(super) fn run_to_end(
    command: &[OsString],
    variables: &[(&OsStr, &OsStr)],
) -> Result<Ended, (u8, io::Error)> {
    let Some((program, arguments)) = command.split_first() else {
        let empty = io::Error::new(io::ErrorKind::InvalidInput, "no command was given");
        return Err((STATUS_NOT_FOUND, empty));
    };
    let mut command = user_command(program);
    command.args(arguments);
    command.envs(variables.iter().copied());
    // Before the start: a signal between the two would end hotcrate and leave the command without a parent.
    let signals = signals::Forwarding::prepare();
    let mut child = command.spawn().map_err(|error| {
        let status = match error.kind() {
            io::ErrorKind::NotFound => STATUS_NOT_FOUND,
            _ => STATUS_NOT_EXECUTABLE,
        };
        (status, error)
    })?;
    let forwarding = signals.begin(&child);
    let ended = child.wait();
    drop(forwarding);
    let status = ended.map_err(|error| (STATUS_NOT_EXECUTABLE, error))?;
    Ok(Ended {
        status: exit_status(status),
        success: status.success(),
    })
}

#[cfg(unix)]
fn exit_status(status: ExitStatus) -> u8 {
    use std::os::unix::process::ExitStatusExt as _;
    let code = status
        .code()
        .or_else(|| status.signal().map(|signal| 128 + signal))
        .unwrap_or(1);
    u8::try_from(code).unwrap_or(1)
}

/// Windows knows statuses of 32 bits; hotcrate can pass on those of 8, and says 1 for others, 0 excepted.
#[cfg(not(unix))]
fn exit_status(status: ExitStatus) -> u8 {
    status
        .code()
        .and_then(|code| u8::try_from(code).ok())
        .unwrap_or(1)
}
