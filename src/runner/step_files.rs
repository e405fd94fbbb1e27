//! The files that a step writes to for the runner: outputs, state, variables.
//!
//! A runner without one of them gets nothing, and nothing else changes.

use std::fmt;

use actions_rs::{Error, output};

use crate::environment::Environment;

/// The files of one step, as far as the runner gives any.
#[derive(Clone, Copy, Debug)]
pub struct StepFiles {
    has_output: bool,
    has_state: bool,
    has_environment: bool,
}

impl StepFiles {
    /// The files that the environment of this process names.
    pub fn of(environment: &Environment) -> Self {
        let has = |name| environment.os(name).is_some();
        Self {
            has_output: has("GITHUB_OUTPUT"),
            has_state: has("GITHUB_STATE"),
            has_environment: has("GITHUB_ENV"),
        }
    }

    /// Sets an output of the step.
    pub fn output(self, name: &str, value: impl fmt::Display) -> Result<(), Error> {
        if self.has_output {
            output::set_output(name, value)?;
        }
        Ok(())
    }

    /// Keeps a value for the step's second half, which finds it as `STATE_<name>`.
    pub fn state(self, name: &str, value: impl fmt::Display) -> Result<(), Error> {
        if self.has_state {
            output::save_state(name, value)?;
        }
        Ok(())
    }

    /// Sets a variable for all later steps of the job.
    pub fn variable(self, name: &str, value: impl fmt::Display) -> Result<(), Error> {
        if self.has_environment {
            output::export_var(name, value)?;
        }
        Ok(())
    }
}
