//! How long to wait for what: the limits in time that a user may set.
//!
//! Each is an option of the command line and an input of the action. Invariant: none is zero. A value that is no duration
//! is one error that names the setting.

use std::time::Duration;

use crate::environment::Environment;

/// A limit as a setting: what it is called, and its value unless the user gives one.
#[derive(Clone, Copy, Debug)]
pub struct TimeSetting {
    /// The name of the option, without its dashes, and of the input.
    pub name: &'static str,
    /// The default, as a user would write it.
    pub default: &'static str,
}

const fn setting(name: &'static str, default: &'static str) -> TimeSetting {
    TimeSetting { name, default }
}

/// For restoring all tiers.
pub const RESTORE_TIMEOUT: TimeSetting = setting("restore-timeout", "5m");
/// For saving all tiers.
pub const SAVE_TIMEOUT: TimeSetting = setting("save-timeout", "10m");
/// For a connection to a server, the look-up of its name included.
pub const CONNECT_TIMEOUT: TimeSetting = setting("connect-timeout", "5s");
/// For the answer to a question to a server.
pub const CALL_TIMEOUT: TimeSetting = setting("call-timeout", "15s");
/// For the next bytes of a transfer.
pub const STALL_TIMEOUT: TimeSetting = setting("stall-timeout", "30s");
/// For the answer of a tool: `cargo`, `rustc`, `git`. All of them answer within seconds, on slow machines too.
pub const TOOL_TIMEOUT: TimeSetting = setting("tool-timeout", "1m");

/// What carries [`TimeLimits::tool`] to where tools are started: whoever starts one has the environment.
const TOOL_VARIABLE: &str = "HOTCRATE_TOOL_TIMEOUT";

/// The limits that hold for a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimeLimits {
    /// See [`RESTORE_TIMEOUT`].
    pub restore: Duration,
    /// See [`SAVE_TIMEOUT`].
    pub save: Duration,
    /// See [`CONNECT_TIMEOUT`].
    pub connect: Duration,
    /// See [`CALL_TIMEOUT`].
    pub call: Duration,
    /// See [`STALL_TIMEOUT`].
    pub stall: Duration,
    /// See [`TOOL_TIMEOUT`].
    pub tool: Duration,
}

/// A limit that is no duration.
#[derive(Debug, thiserror::Error)]
#[error(
    "{setting} {value:?} is not a duration; it takes one above zero, such as 5m, 90s or 300 (seconds)"
)]
pub struct NoDuration {
    /// The setting's name.
    setting: &'static str,
    /// The value as it was given.
    value: String,
}

impl TimeSetting {
    /// Reads a value of this setting. A number alone counts seconds; the empty text stands for the default.
    pub fn parse(self, value: &str) -> Result<Duration, NoDuration> {
        let text = match value.trim() {
            "" => self.default,
            text => text,
        };
        duration(text).ok_or_else(|| NoDuration {
            setting: self.name,
            value: value.to_owned(),
        })
    }
}

fn duration(text: &str) -> Option<Duration> {
    text.parse()
        .map(Duration::from_secs)
        .or_else(|_| humantime::parse_duration(text))
        .ok()
        .filter(|limit| !limit.is_zero())
}

impl TimeLimits {
    /// `environment` as tools are started in under these limits.
    #[must_use]
    pub fn in_environment(&self, environment: &Environment) -> Environment {
        let limit = humantime::format_duration(self.tool).to_string();
        environment.clone().with(TOOL_VARIABLE, limit)
    }

    /// How long a tool may take to answer that is started in `environment`.
    pub fn of_tool(environment: &Environment) -> Duration {
        let given = environment.text(TOOL_VARIABLE).unwrap_or_default();
        let limit = duration(given).or_else(|| duration(TOOL_TIMEOUT.default));
        limit.unwrap_or(Duration::from_mins(1))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("300", 300)]
    #[case(" 5m ", 300)]
    #[case("1h 30m", 5400)]
    #[case("90s", 90)]
    #[case("", 600)]
    fn a_limit_is_a_duration_or_a_number_of_seconds(#[case] value: &str, #[case] seconds: u64) {
        let limit = SAVE_TIMEOUT.parse(value).expect("it is a duration");
        assert_eq!(limit, Duration::from_secs(seconds));
    }

    #[test]
    fn what_is_no_duration_above_zero_is_named_with_what_is_accepted() {
        let refused = |value| SAVE_TIMEOUT.parse(value).expect_err("it is none");
        insta::assert_snapshot!(refused("soon"), @r#"save-timeout "soon" is not a duration; it takes one above zero, such as 5m, 90s or 300 (seconds)"#);
        insta::assert_snapshot!(refused("0"), @r#"save-timeout "0" is not a duration; it takes one above zero, such as 5m, 90s or 300 (seconds)"#);
    }

    #[test]
    fn the_limit_of_tools_goes_with_the_environment_that_they_are_started_in() {
        let environment = Environment::default();
        assert_eq!(
            TimeLimits::of_tool(&environment),
            Duration::from_mins(1),
            "the default"
        );
        let limits = TimeLimits {
            restore: Duration::MAX,
            save: Duration::MAX,
            connect: Duration::MAX,
            call: Duration::MAX,
            stall: Duration::MAX,
            tool: Duration::from_millis(1500),
        };
        let environment = limits.in_environment(&environment);
        assert_eq!(TimeLimits::of_tool(&environment), limits.tool);
    }
}
