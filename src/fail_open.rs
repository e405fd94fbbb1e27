//! The only place where trouble with the cache becomes a warning.
//!
//! Invariant: what is attempted here never ends the process, whatever happens in it: an error, a panic and a deadline
//! that passes come out as one line of text for the user.

use std::{any::Any, panic, sync::mpsc, thread, time::Duration};

/// Trouble that was caught, worded for the user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble(pub String);

/// Runs `work`; an error or a panic comes back as [`Trouble`] that begins with what was being attempted.
pub fn attempt<T>(attempted: &str, work: impl FnOnce() -> anyhow::Result<T>) -> Result<T, Trouble> {
    // The closure's state is given up on a panic: everything it changed is either in the store's and the staging's
    // own hands, which clean up after killed processes too, or dropped here.
    match panic::catch_unwind(panic::AssertUnwindSafe(work)) {
        Ok(Ok(value)) => Ok(value),
        Ok(Err(error)) => Err(Trouble(format!(
            "{attempted}: {}",
            one_line(&format!("{error:#}"))
        ))),
        Err(payload) => Err(Trouble(format!(
            "{attempted}: internal error: {}",
            panic_message(payload.as_ref())
        ))),
    }
}

/// The same with a deadline: after `limit`, `work` is left to itself. It goes on until the process ends, which has to be
/// soon, and its end is like a kill: what it was putting in place is there in whole pieces or not at all.
pub fn attempt_within<T: Send + 'static>(
    attempted: &'static str,
    limit: Duration,
    work: impl FnOnce() -> anyhow::Result<T> + Send + 'static,
) -> Result<T, Trouble> {
    let (done, outcome) = mpsc::sync_channel(1);
    let worker = thread::Builder::new()
        .name("work".to_owned())
        .spawn(move || {
            // Nobody listens any more once the deadline has passed.
            let _heard = done.send(attempt(attempted, work));
        });
    if let Err(error) = worker {
        return Err(Trouble(format!(
            "{attempted}: no thread can be started: {error}"
        )));
    }
    outcome.recv_timeout(limit).unwrap_or_else(|_| {
        let limit = humantime::format_duration(limit);
        Err(Trouble(format!("{attempted}: not done after {limit}")))
    })
}

/// A tool's own words can have many lines. What Cargo draws below an error, the line of code that it is about, is left
/// out: the file and the line number stay.
fn one_line(text: &str) -> String {
    let is_drawing = |line: &&str| {
        line.trim_start_matches(|character: char| character.is_ascii_digit() || character == ' ')
            .starts_with('|')
    };
    let lines: Vec<_> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .filter(|line| !is_drawing(line))
        .collect();
    lines.join(" ")
}

fn panic_message(payload: &(dyn Any + Send)) -> &str {
    payload
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| payload.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;

    #[test]
    fn an_error_becomes_one_line_with_all_of_its_causes() {
        let trouble = attempt("deps not restored", || {
            Err::<(), _>(anyhow::anyhow!("no space left on device"))
                .context("failed to write target/debug/libfoo.rlib")
        });
        insta::assert_snapshot!(trouble.expect_err("it failed").0, @"deps not restored: failed to write target/debug/libfoo.rlib: no space left on device");
    }

    #[test]
    fn what_cargo_says_in_several_lines_becomes_one_without_its_drawings() {
        let says = "error: unclosed table, expected `]`\n --> app/Cargo.toml:7:14\n  |\n7 | [dependencies\n  |              ^";
        let trouble = attempt("no cache", || Err::<(), _>(anyhow::anyhow!(says)));
        insta::assert_snapshot!(trouble.expect_err("it failed").0, @"no cache: error: unclosed table, expected `]` --> app/Cargo.toml:7:14");
    }

    #[test]
    fn what_is_not_done_in_time_is_given_up() {
        let (never, blocked) = mpsc::channel::<()>();
        let trouble = attempt_within("deps not restored", Duration::from_millis(1), move || {
            Ok(blocked.recv()?)
        });
        insta::assert_snapshot!(trouble.expect_err("it takes for ever").0, @"deps not restored: not done after 1ms");
        drop(never);
        let value = attempt_within("deps not restored", Duration::from_hours(1), || Ok(7));
        assert_eq!(value, Ok(7));
    }

    #[test]
    fn a_panic_becomes_trouble_and_the_process_goes_on() {
        let trouble = attempt("deps not saved", || -> anyhow::Result<()> { panic!("oh") });
        insta::assert_snapshot!(trouble.expect_err("it panicked").0, @"deps not saved: internal error: oh");
    }
}
