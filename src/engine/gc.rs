//! Deleting entries: what is decided in [`crate::inventory`] is done here, one entry at a time.
//!
//! Invariant: nothing is deleted but what the plan names. Where a deletion fails the rest is left for the next time, as
//! the next one would fail as well; what is done is done.

use super::Holdings;
use crate::{
    deadline::Deadline,
    github::GitHubError,
    inventory::{Count, GcPlan, GcRequest, GcScope, ListedEntry, judge, plan_gc},
};

/// What all of hotcrate's keys begin with.
pub(super) const OWN: &str = "hotcrate-v";

/// What became of a plan.
#[derive(Debug, Default)]
pub struct Collected {
    /// What was deleted.
    pub deleted: Count,
    /// What others had deleted before it was its turn.
    pub gone: u64,
    /// Why not all of it was, if so.
    pub trouble: Option<anyhow::Error>,
}

impl Collected {
    /// Whether it ended for want of a permission, or of a token that may see anything.
    pub fn was_denied(&self) -> bool {
        self.trouble.as_ref().is_some_and(is_denied)
    }
}

/// Whether `error` is about a permission that a token lacks.
pub fn is_denied(error: &anyhow::Error) -> bool {
    error
        .downcast_ref::<GitHubError>()
        .is_some_and(GitHubError::is_of_permission)
}

impl Holdings {
    /// Looks at what is stored and decides what to delete, without doing so.
    pub fn plan_gc(&self, request: &GcRequest) -> anyhow::Result<GcPlan> {
        let prefix = match &request.scope {
            GcScope::Own | GcScope::Job { .. } => OWN,
            GcScope::Prefix(prefix) => prefix,
        };
        let asks_for_refs = !matches!(request.scope, GcScope::Job { .. });
        let listing = self.list(prefix, asks_for_refs)?;
        Ok(plan_gc(&judge(&listing), request))
    }

    /// Deletes what `plan` names, as far as it comes before the deadline. `told` hears of each entry that was deleted.
    pub fn apply(
        &self,
        plan: &GcPlan,
        deadline: Deadline,
        mut told: impl FnMut(&ListedEntry),
    ) -> Collected {
        let mut collected = Collected::default();
        for deletion in &plan.delete {
            if deadline.check().is_err() {
                break;
            }
            match self.delete(&deletion.entry) {
                Ok(true) => {
                    collected.deleted.add(deletion.entry.bytes);
                    told(&deletion.entry);
                }
                Ok(false) => collected.gone += 1,
                Err(error) => {
                    collected.trouble = Some(error);
                    break;
                }
            }
        }
        collected
    }
}
