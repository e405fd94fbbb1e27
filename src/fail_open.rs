//! The only place where trouble with the cache becomes a warning.
//!
//! Invariant: what is attempted here never ends the process, whatever happens in it: an error and a panic alike
//! come out as one line of text for the user.

use std::{any::Any, panic};

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
    fn a_panic_becomes_trouble_and_the_process_goes_on() {
        let trouble = attempt("deps not saved", || -> anyhow::Result<()> { panic!("oh") });
        insta::assert_snapshot!(trouble.expect_err("it panicked").0, @"deps not saved: internal error: oh");
    }
}
