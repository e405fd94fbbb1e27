//! Until when a piece of work may go on.
//!
//! A [`Deadline`] is made where a restore or a save begins, and handed down as a value. Whoever does something long
//! asks it between two steps, and bounds every waiting by what is left. Invariant: a deadline never moves; once it has
//! passed, all who share it stop with the same [`TimeUp`], which names the setting that was the limit.

use std::{
    fmt,
    time::{Duration, Instant},
};

/// A point in time up to which work may go on, and the setting behind it.
#[derive(Clone, Copy, Debug)]
pub struct Deadline {
    end: Option<Instant>,
    time_up: TimeUp,
}

/// A limit that was reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeUp {
    /// The setting that says so: `restore-timeout`.
    pub setting: &'static str,
    /// The limit.
    pub limit: Duration,
}

impl Deadline {
    /// In `limit` from now, as `setting` says. A limit beyond what the clock can tell is none.
    pub fn after(limit: Duration, setting: &'static str) -> Self {
        Self {
            end: Instant::now().checked_add(limit),
            time_up: TimeUp { setting, limit },
        }
    }

    /// One that never passes.
    pub const fn never() -> Self {
        Self {
            end: None,
            time_up: TimeUp {
                setting: "no limit",
                limit: Duration::MAX,
            },
        }
    }

    /// How much time is left; `Duration::MAX` if there is no end.
    pub fn left(&self) -> Duration {
        self.end.map_or(Duration::MAX, |end| {
            end.saturating_duration_since(Instant::now())
        })
    }

    /// `wait`, or what is left if that is less.
    pub fn bound(&self, wait: Duration) -> Duration {
        wait.min(self.left())
    }

    /// Fails once the time is up.
    pub fn check(&self) -> Result<(), TimeUp> {
        if self.left().is_zero() {
            Err(self.time_up)
        } else {
            Ok(())
        }
    }
}

impl fmt::Display for TimeUp {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limit = humantime::format_duration(self.limit);
        write!(
            formatter,
            "it took longer than {} allows: {limit}",
            self.setting
        )
    }
}

impl std::error::Error for TimeUp {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_took_too_long_names_the_setting_and_the_limit() {
        let passed = Deadline::after(Duration::ZERO, "restore-timeout");
        let time_up = passed.check().expect_err("no time was given");
        assert_eq!(time_up.limit, Duration::ZERO);
        let time_up = TimeUp {
            limit: Duration::from_secs(90),
            ..time_up
        };
        insta::assert_snapshot!(time_up, @"it took longer than restore-timeout allows: 1m 30s");
    }

    #[test]
    fn a_wait_is_bounded_by_what_is_left() {
        let passed = Deadline::after(Duration::ZERO, "save-timeout");
        assert_eq!(passed.bound(Duration::from_secs(30)), Duration::ZERO);
        let far = Deadline::after(Duration::from_hours(1), "save-timeout");
        assert_eq!(far.bound(Duration::from_secs(30)), Duration::from_secs(30));
    }

    #[test]
    fn no_limit_never_passes() {
        for deadline in [
            Deadline::never(),
            Deadline::after(Duration::MAX, "save-timeout"),
        ] {
            assert_eq!(deadline.left(), Duration::MAX);
            assert_eq!(deadline.check(), Ok(()));
        }
    }
}
