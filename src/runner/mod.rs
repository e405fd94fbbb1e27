//! The runner: what GitHub, or a server that speaks like it, says of the run, and how it is spoken to.
//!
//! Nothing here asks the network, and everything may be missing: other servers leave out variables, events leave out
//! parts of their payload, and a payload that can't be read is as good as an empty one.

mod context;
mod event;
#[cfg(test)]
mod events_tests;
mod inputs;
mod outputs;
mod step_files;
mod step_summary;
pub mod workflow_command;

pub use context::{GitHubContext, scopes_of};
pub use event::EventPayload;
pub use inputs::{INPUTS, Input, Inputs, Meaning};
pub use outputs::{Half, of_report};
pub use step_files::StepFiles;
pub use step_summary::{MAX_SUMMARY_BYTES, append_summary};

/// An input with a value that it does not accept.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{name} {value:?} is none of what it takes: {accepted}")]
pub struct InputError {
    name: &'static str,
    value: String,
    accepted: &'static str,
}

impl InputError {
    /// `name` was given `value`; `accepted` says in words what it takes.
    pub fn new(name: &'static str, value: &str, accepted: &'static str) -> Self {
        Self {
            name,
            value: value.to_owned(),
            accepted,
        }
    }
}
