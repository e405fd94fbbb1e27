//! The runner: what GitHub, or a server that speaks like it, says of the run.
//!
//! Nothing here asks the network, and everything may be missing: other servers leave out variables, events leave out
//! parts of their payload, and a payload that can't be read is as good as an empty one.

mod context;
mod event;

pub use context::{GitHubContext, scopes_of};
pub use event::EventPayload;
