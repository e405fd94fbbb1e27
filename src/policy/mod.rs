//! Who may read and write what, and when: decisions without effects.
//!
//! Everything here is pure and total: each combination of inputs has an answer, and the answer says why.

mod reason;
mod save;
mod scope;

pub use reason::{SaveReason, SkipReason};
pub use save::{
    CacheMode, GitHubFacts, JobStatus, Novelty, Place, SaveContext, SaveDecision, decide_save,
};
pub use scope::{Scope, Scopes};
