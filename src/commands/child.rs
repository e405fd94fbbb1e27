//! The user's own command: started, waited for, and its exit status passed on.
//!
//! Invariant: for whoever started hotcrate, the command behaves as if it had been started directly: same standard
//! streams, environment, working directory and exit status, and signals reach it.

use std::{ffi::OsString, io, process::ExitStatus};

use crate::process::user_command;

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

/// Runs `command` to its end. An error says that it could not be started, with the status to exit with.
pub(super) fn run_to_end(command: &[OsString]) -> Result<Ended, (u8, io::Error)> {
    let Some((program, arguments)) = command.split_first() else {
        let empty = io::Error::new(io::ErrorKind::InvalidInput, "no command was given");
        return Err((STATUS_NOT_FOUND, empty));
    };
    let mut command = user_command(program);
    command.args(arguments);
    // Before the start: a signal between the two would end hotcrate and leave the command without a parent.
    let signals = signals::Forwarding::prepare().map_err(|error| (STATUS_NOT_EXECUTABLE, error))?;
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

#[cfg(unix)]
mod signals {
    use std::{
        io::{self, IsTerminal as _},
        process::Child,
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering},
        },
        thread::{self, JoinHandle},
    };

    use rustix::process::{Pid, Signal, kill_process};
    use signal_hook::{
        consts::{SIGHUP, SIGINT, SIGQUIT, SIGTERM},
        flag,
        iterator::{Handle, Signals},
    };

    const PASSED_ON: [(i32, Signal); 4] = [
        (SIGHUP, Signal::HUP),
        (SIGINT, Signal::INT),
        (SIGQUIT, Signal::QUIT),
        (SIGTERM, Signal::TERM),
    ];

    /// Signals that no longer end this process, but wait to be passed on.
    pub(super) struct Forwarding {
        signals: Signals,
        ends_hotcrate: Arc<AtomicBool>,
    }

    /// Signals are passed on for as long as this lives; after it they end hotcrate, as they did before.
    pub(super) struct Running {
        handle: Handle,
        ends_hotcrate: Arc<AtomicBool>,
        thread: Option<JoinHandle<()>>,
    }

    impl Forwarding {
        pub(super) fn prepare() -> io::Result<Self> {
            let ends_hotcrate = Arc::new(AtomicBool::new(false));
            for (number, _) in PASSED_ON {
                flag::register_conditional_default(number, Arc::clone(&ends_hotcrate))?;
            }
            let signals = Signals::new(PASSED_ON.map(|(number, _)| number))?;
            Ok(Self {
                signals,
                ends_hotcrate,
            })
        }

        pub(super) fn begin(self, child: &Child) -> Running {
            let Self {
                mut signals,
                ends_hotcrate,
            } = self;
            let handle = signals.handle();
            let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
            let thread = thread::spawn(move || {
                for number in signals.forever() {
                    pass_on(number, pid);
                }
            });
            Running {
                handle,
                ends_hotcrate,
                thread: Some(thread),
            }
        }
    }

    fn pass_on(number: i32, pid: Option<Pid>) {
        // From a terminal, these two reach the whole process group: the command has them already, and many programs
        // take a second one as an order to stop at once.
        if matches!(number, SIGINT | SIGQUIT) && io::stdin().is_terminal() {
            return;
        }
        let signal = PASSED_ON.iter().find(|(known, _)| *known == number);
        if let (Some(pid), Some((_, signal))) = (pid, signal) {
            // The command may have ended in between: there is nobody to tell then.
            let _gone = kill_process(pid, *signal);
        }
    }

    impl Drop for Running {
        fn drop(&mut self) {
            self.ends_hotcrate.store(true, Ordering::SeqCst);
            self.handle.close();
            if let Some(thread) = self.thread.take() {
                let _panicked = thread.join();
            }
        }
    }
}

#[cfg(windows)]
mod signals {
    use std::{io, process::Child};

    /// Ctrl-C reaches every process of a console by itself; hotcrate only has to outlive it.
    pub(super) struct Forwarding;

    impl Forwarding {
        pub(super) fn prepare() -> io::Result<Self> {
            match ctrlc::set_handler(|| ()) {
                Ok(()) | Err(ctrlc::Error::MultipleHandlers) => Ok(Self),
                Err(error) => Err(io::Error::other(error)),
            }
        }

        pub(super) fn begin(self, _child: &Child) -> Self {
            self
        }
    }
}
