//! Deleting entries: what is decided in [`crate::inventory`] is done here, one entry at a time.
//!
//! Invariant: nothing is deleted but what the plan names. Where a deletion fails the rest is left for the next time, as
//! the next one would fail as well; what is done is done.

use jiff::Timestamp;

use super::Holdings;
use crate::{
    github::{GitHub, GitHubError, Wanted},
    inventory::{Count, GcPlan, GcRequest, GcScope, judge, plan_gc},
};

/// How many entries a job deletes after its work: each takes a second, and the rest can wait for the next one.
const MOST_AFTER_A_JOB: usize = 30;
/// What all of hotcrate's keys begin with.
const OWN: &str = "hotcrate-v";

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

    /// Deletes what `plan` names. `told` hears of each entry that was deleted.
    pub fn apply(&self, plan: &GcPlan, mut told: impl FnMut(&str)) -> Collected {
        let mut collected = Collected::default();
        for deletion in &plan.delete {
            match self.delete(&deletion.entry) {
                Ok(true) => {
                    collected.deleted.add(deletion.entry.bytes);
                    told(&deletion.entry.key);
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

/// Deletes what a job's new entries take the place of: of `keys`, stored in `scope`, and as far as all of hotcrate's
/// entries together exceed `max_bytes`. A job is not kept waiting for long: what is left is for the next one.
pub fn collect_after_job(
    github: GitHub,
    scope: &str,
    keys: &[String],
    max_bytes: u64,
) -> anyhow::Result<Collected> {
    let wanted = Wanted {
        prefix: OWN.to_owned(),
        ..Wanted::default()
    };
    let listing = github.list(&wanted, Timestamp::now())?;
    let request = GcRequest {
        scope: GcScope::Job {
            scope: scope.to_owned(),
            keys: keys.to_vec(),
        },
        max_bytes,
    };
    let mut plan = plan_gc(&judge(&listing), &request);
    plan.delete.truncate(MOST_AFTER_A_JOB);
    Ok(Holdings::of_repository(github).apply(&plan, |_| {}))
}
