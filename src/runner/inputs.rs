//! The action's inputs: their names and defaults, and reading them from the environment that a runner makes.
//!
//! [`INPUTS`] is the one list: `action.yml`, `dist/action.yml` and README's table are compared with it by a test.
//! Invariant: every input has a value, its own or the default, without white space around it.

use std::collections::BTreeMap;

use super::InputError;
use crate::environment::Environment;

/// What an input stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Meaning {
    /// The option of the command line that has its name.
    Option,
    /// The switch of the command line that has its name: `true` sets it.
    Switch,
    /// Something of the action's own.
    Own,
}

/// An input.
#[derive(Clone, Copy, Debug)]
pub struct Input {
    /// Its name in `with:`.
    pub name: &'static str,
    /// Its value unless the user gives one.
    pub default: &'static str,
    /// What it stands for.
    pub meaning: Meaning,
}

const fn input(name: &'static str, default: &'static str, meaning: Meaning) -> Input {
    Input {
        name,
        default,
        meaning,
    }
}

/// All inputs: first those that `Swatinem/rust-cache` has as well, with its names and meanings.
pub const INPUTS: &[Input] = &[
    input("prefix-key", "", Meaning::Own),
    input("shared-key", "", Meaning::Option),
    input("key", "", Meaning::Own),
    input("add-job-id-key", "true", Meaning::Own),
    input("add-rust-environment-hash-key", "true", Meaning::Own),
    input("env-vars", "", Meaning::Option),
    input("workspaces", ".", Meaning::Option),
    input("cache-directories", "", Meaning::Own),
    input("cache-targets", "true", Meaning::Own),
    input("cache-on-failure", "false", Meaning::Switch),
    input("cache-all-crates", "false", Meaning::Own),
    input("cache-workspace-crates", "", Meaning::Own),
    input("save-if", "", Meaning::Option),
    input("cache-provider", "github", Meaning::Own),
    input("cache-bin", "true", Meaning::Own),
    input("lookup-only", "false", Meaning::Own),
    input("cmd-format", "{0}", Meaning::Own),
    input("mode", "auto", Meaning::Own),
    input("store", "auto", Meaning::Own),
    input(
        "tiers",
        "registry,deps,workspace,sccache,tools,extra",
        Meaning::Own,
    ),
    input("sccache", "auto", Meaning::Option),
    input("workspace-crates", "auto", Meaning::Option),
    input("incremental", "false", Meaning::Switch),
    input("build-scripts", "auto", Meaning::Option),
    input("project", ".", Meaning::Option),
    input("max-size", "10GiB", Meaning::Option),
    input("gc", "false", Meaning::Own),
    input("artifacts", "", Meaning::Own),
    input("artifacts-command", "", Meaning::Own),
    input("save-threshold", "10", Meaning::Option),
    input("debuginfo", "", Meaning::Own),
    input("report", "", Meaning::Own),
    input("restore-timeout", "5m", Meaning::Option),
    input("save-timeout", "10m", Meaning::Option),
    input("connect-timeout", "5s", Meaning::Option),
    input("call-timeout", "15s", Meaning::Option),
    input("stall-timeout", "30s", Meaning::Option),
    input("tool-timeout", "1m", Meaning::Option),
    input("strict", "false", Meaning::Switch),
    input("token", "${{ github.token }}", Meaning::Own),
    input("matrix", "${{ toJSON(matrix) }}", Meaning::Own),
    input("job-status", "${{ job.status }}", Meaning::Own),
];

/// The values of all inputs.
#[derive(Clone, Debug)]
pub struct Inputs(BTreeMap<&'static str, String>);

impl Inputs {
    /// Reads the variables that a runner makes of inputs: `INPUT_` and the name in capitals, its dashes kept. An empty
    /// value counts as none. Where a default is an expression, which only a runner can evaluate, none is empty.
    pub fn read(environment: &Environment) -> Self {
        let value = |input: &Input| {
            let variable = format!("INPUT_{}", input.name.to_uppercase());
            let given = environment.text(&variable).unwrap_or_default().trim();
            match given {
                "" if input.default.starts_with("${{") => String::new(),
                "" => input.default.to_owned(),
                given => given.to_owned(),
            }
        };
        Self(
            INPUTS
                .iter()
                .map(|input| (input.name, value(input)))
                .collect(),
        )
    }

    /// The value of an input.
    pub fn text(&self, name: &str) -> &str {
        self.0.get(name).map_or("", String::as_str)
    }

    /// The value of an input that is `true` or `false`, in any case; `None` if it is empty.
    pub fn switch(&self, name: &'static str) -> Result<Option<bool>, InputError> {
        let value = self.text(name);
        match value.to_ascii_lowercase().as_str() {
            "" => Ok(None),
            "true" => Ok(Some(true)),
            "false" => Ok(Some(false)),
            _ => Err(InputError::new(name, value, "`true` or `false`")),
        }
    }

    /// Whether an input is `true`.
    pub fn is_true(&self, name: &'static str) -> Result<bool, InputError> {
        Ok(self.switch(name)?.unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(variables: &[(&str, &str)]) -> Inputs {
        Inputs::read(&variables.iter().copied().collect())
    }

    #[test]
    fn an_input_is_read_from_a_variable_in_capitals_with_its_dashes() {
        let inputs = read(&[("INPUT_SHARED-KEY", " build\n"), ("INPUT_KEY", "")]);
        assert_eq!(inputs.text("shared-key"), "build");
        assert_eq!(inputs.text("key"), "");
    }

    #[test]
    fn an_empty_input_has_its_default_but_no_expression() {
        let inputs = read(&[("INPUT_STORE", "")]);
        assert_eq!(inputs.text("store"), "auto");
        assert_eq!(inputs.text("matrix"), "");
    }

    #[test]
    fn a_switch_is_true_or_false_and_nothing_else() {
        let inputs = read(&[("INPUT_STRICT", "True"), ("INPUT_CACHE-BIN", "yes")]);
        assert!(inputs.is_true("strict").unwrap());
        assert!(!inputs.is_true("cache-on-failure").unwrap());
        let error = inputs.is_true("cache-bin").unwrap_err();
        insta::assert_snapshot!(error, @r#"cache-bin "yes" is none of what it takes: `true` or `false`"#);
    }

    #[test]
    fn no_input_is_listed_twice() {
        assert_eq!(read(&[]).0.len(), INPUTS.len());
    }
}
