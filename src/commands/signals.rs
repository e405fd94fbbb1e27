//! Signals that arrive while the user's command runs: hotcrate outlives them and passes them on.
//!
//! Invariant: the command gets every signal that it would have got without hotcrate, and each once. If that cannot be
//! set up, signals do what they did before. The one exception: in the foreground of a terminal, where Ctrl-C reaches the
//! command anyway, a SIGINT that another process sends to hotcrate alone ends there.

pub(super) use platform::Forwarding;

#[cfg(unix)]
mod platform {
    use std::{
        io,
        process::Child,
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering},
        },
        thread::{self, JoinHandle},
    };

    use rustix::{
        process::{Pid, Signal, getpgrp, kill_process},
        termios::tcgetpgrp,
    };
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

    /// Signals that no longer end this process, but wait to be passed on. Without `caught`, all end it as ever.
    pub(in crate::commands) struct Forwarding {
        caught: Option<Signals>,
        ends_hotcrate: Arc<AtomicBool>,
    }

    /// Signals are passed on for as long as this lives; after it they end hotcrate, as they did before.
    pub(in crate::commands) struct Running {
        ends_hotcrate: Arc<AtomicBool>,
        forwarder: Option<(Handle, JoinHandle<()>)>,
    }

    impl Forwarding {
        /// What is ignored when hotcrate starts (by `nohup`, or by a shell that starts it in the background) stays so,
        /// for the command too: a handler would be reset to the default where the command begins.
        pub(in crate::commands) fn prepare() -> Self {
            let ignored = ignored();
            let wanted: Vec<_> = PASSED_ON
                .iter()
                .map(|(number, _)| *number)
                .filter(|number| !is_in(ignored, *number))
                .collect();
            Self::prepare_for(&wanted)
        }

        fn prepare_for(numbers: &[i32]) -> Self {
            let ends_hotcrate = Arc::new(AtomicBool::new(false));
            let caught = match catch(numbers, &ends_hotcrate) {
                Ok(caught) => Some(caught),
                Err(error) => {
                    tracing::debug!("signals are not passed on: {error}");
                    ends_hotcrate.store(true, Ordering::SeqCst);
                    None
                }
            };
            Self {
                caught,
                ends_hotcrate,
            }
        }

        pub(in crate::commands) fn begin(self, child: &Child) -> Running {
            let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
            let forwarder = self.caught.and_then(|mut caught| {
                let handle = caught.handle();
                let thread = thread::Builder::new().spawn(move || {
                    for number in caught.forever() {
                        if must_be_passed_on(number, is_in_foreground()) {
                            pass_on(number, pid);
                        }
                    }
                });
                Some((handle, thread.ok()?))
            });
            if forwarder.is_none() {
                self.ends_hotcrate.store(true, Ordering::SeqCst);
            }
            Running {
                ends_hotcrate: self.ends_hotcrate,
                forwarder,
            }
        }
    }

    fn catch(numbers: &[i32], ends_hotcrate: &Arc<AtomicBool>) -> io::Result<Signals> {
        for number in numbers {
            flag::register_conditional_default(*number, Arc::clone(ends_hotcrate))?;
        }
        Signals::new(numbers)
    }

    /// A terminal's kernel sends these two to the whole process group: the command has them already, and many programs
    /// take a second one as an order to stop at once.
    fn must_be_passed_on(number: i32, is_in_foreground: bool) -> bool {
        !(is_in_foreground && matches!(number, SIGINT | SIGQUIT))
    }

    /// Whether this process is in the group that the terminal sends its signals to, wherever its streams lead.
    fn is_in_foreground() -> bool {
        fs_err::File::open("/dev/tty")
            .ok()
            .and_then(|terminal| tcgetpgrp(&terminal).ok())
            .is_some_and(|foreground| foreground == getpgrp())
    }

    fn pass_on(number: i32, pid: Option<Pid>) {
        let signal = PASSED_ON.iter().find(|(known, _)| *known == number);
        if let (Some(pid), Some((_, signal))) = (pid, signal) {
            // The command may have ended in between: there is nobody to tell then.
            let _gone = kill_process(pid, *signal);
        }
    }

    /// The signals that this process ignores, one bit each; none where the system has no simple way to tell.
    fn ignored() -> u64 {
        if cfg!(target_os = "linux") {
            fs_err::read_to_string("/proc/self/status")
                .ok()
                .and_then(|status| ignored_in(&status))
                .unwrap_or(0)
        } else {
            0
        }
    }

    /// The mask `SigIgn` of `/proc/PID/status`, hexadecimal (proc_pid_status(5)).
    fn ignored_in(status: &str) -> Option<u64> {
        let mask = status
            .lines()
            .find_map(|line| line.strip_prefix("SigIgn:"))?;
        u64::from_str_radix(mask.trim(), 16).ok()
    }

    /// Signal 1 is the lowest bit.
    fn is_in(mask: u64, number: i32) -> bool {
        u32::try_from(number - 1)
            .ok()
            .and_then(|bit| mask.checked_shr(bit))
            .is_some_and(|rest| rest & 1 == 1)
    }

    impl Drop for Running {
        fn drop(&mut self) {
            self.ends_hotcrate.store(true, Ordering::SeqCst);
            if let Some((handle, thread)) = self.forwarder.take() {
                handle.close();
                let _panicked = thread.join();
            }
        }
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[rstest::rstest]
        #[case::ctrl_c(SIGINT, true, false)]
        #[case::ctrl_backslash(SIGQUIT, true, false)]
        #[case::interrupted_job_of_ci(SIGINT, false, true)]
        #[case::stopped_job_of_ci(SIGQUIT, false, true)]
        #[case::killed(SIGTERM, true, true)]
        #[case::terminal_gone(SIGHUP, true, true)]
        fn what_the_terminal_sends_to_the_whole_group_is_not_passed_on(
            #[case] number: i32,
            #[case] is_in_foreground: bool,
            #[case] expected: bool,
        ) {
            assert_eq!(must_be_passed_on(number, is_in_foreground), expected);
        }

        #[test]
        fn ignored_signals_are_read_from_the_mask() {
            let status =
                "SigBlk:\t0000000000000007\nSigIgn:\t0000000000001001\nSigCgt:\t0000000000004002\n";
            let mask = ignored_in(status).expect("the line is there");
            assert!(is_in(mask, SIGHUP));
            assert!(!is_in(mask, SIGINT));
            assert!(!is_in(mask, SIGTERM));
            assert_eq!(ignored_in("Name:\tx\n"), None);
        }

        #[test]
        fn a_signal_that_cannot_be_caught_leaves_all_as_they_were() {
            let no_such_signal = 4000;
            let forwarding = Forwarding::prepare_for(&[SIGHUP, no_such_signal]);
            assert!(forwarding.caught.is_none());
            assert!(forwarding.ends_hotcrate.load(Ordering::SeqCst));
        }
    }
}

#[cfg(windows)]
mod platform {
    use std::process::Child;

    /// Ctrl-C reaches every process of a console by itself; hotcrate only has to outlive it.
    pub(in crate::commands) struct Forwarding;

    impl Forwarding {
        pub(in crate::commands) fn prepare() -> Self {
            if let Err(error) = ctrlc::set_handler(|| ()) {
                tracing::debug!("hotcrate will not outlive Ctrl-C: {error}");
            }
            Self
        }

        pub(in crate::commands) fn begin(self, _child: &Child) -> Self {
            self
        }
    }
}
