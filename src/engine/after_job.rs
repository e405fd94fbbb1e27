//! The end of a job: what is stored where its entries live is looked at for the page and the report, and thinned out where
//! that is asked for.
//!
//! Invariants: a repository is asked a handful of times at most, however much it holds, as all of its jobs share a thousand
//! requests an hour; and nothing is deleted but what this job's own new entries took the place of, or what exceeds the
//! budget.

use std::{collections::BTreeSet, time::Duration};

use super::{
    Holdings,
    explain::stored_for_job,
    gc::{Collected, OWN},
};
use crate::{
    deadline::Deadline,
    inventory::{GcRequest, GcScope, ListedEntry, Listing, judge, plan_gc, survey},
    report::{HoldingsReport, RunReport, SaveOutcome, of_missed_tiers},
};

/// How many pages of a repository's entries are looked at: with what goes next, the total, and the branches, six requests.
const MOST_PAGES: usize = 3;
/// How many entries a job deletes: each takes a second, and the rest can wait for the next one.
const MOST_DELETIONS: usize = 30;
/// How long a job goes on deleting.
const DELETING_LIMIT: Duration = Duration::from_mins(1);

/// What a job deletes when it is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Housekeeping {
    /// The scope that the job stores its entries in.
    pub scope: String,
    /// How large all of hotcrate's entries may be together, in bytes.
    pub max_bytes: u64,
}

/// What a job's end found, and did.
#[derive(Debug)]
pub struct AfterJob {
    /// What is stored, without what was deleted.
    pub holdings: HoldingsReport,
    /// What was deleted, if anything was to be; and how many entries are left for the next job.
    pub collected: Option<(Collected, u64)>,
}

impl Holdings {
    /// Looks at what is stored, now that the job has saved what `report` says; with `housekeeping`, after deleting what that
    /// took the place of.
    pub fn after_job(
        &self,
        report: &RunReport,
        housekeeping: Option<&Housekeeping>,
    ) -> anyhow::Result<AfterJob> {
        let mut listing = self.list_pages("", true, Some(MOST_PAGES))?;
        let stored = saved_keys(report);
        let collected = match housekeeping {
            Some(housekeeping) if !stored.is_empty() => {
                Some(self.collect(&mut listing, stored, housekeeping)?)
            }
            Some(_) | None => None,
        };
        let for_job = stored_for_job(listing.entries.clone(), self.job_digits().as_deref());
        let mut holdings = HoldingsReport::of(&survey(&listing));
        holdings.stored_for_job = of_missed_tiers(report, for_job);
        Ok(AfterJob {
            holdings,
            collected,
        })
    }

    /// Deletes what the entries called `stored` took the place of, here and in `listing`.
    fn collect(
        &self,
        listing: &mut Listing,
        stored: Vec<String>,
        housekeeping: &Housekeeping,
    ) -> anyhow::Result<(Collected, u64)> {
        let request = GcRequest {
            scope: GcScope::Job {
                scope: housekeeping.scope.clone(),
                keys: stored,
            },
            max_bytes: housekeeping.max_bytes,
        };
        let is_whole = listing.unlisted.is_none() || !self.is_of_repository();
        let mut plan = if is_whole {
            plan_gc(&judge(listing), &request)
        } else {
            // Among many entries of others, hotcrate's own are looked for by their name.
            let own = self.list_pages(OWN, false, Some(MOST_PAGES))?;
            plan_gc(&judge(&own), &request)
        };
        let all = plan.delete.len();
        plan.delete.truncate(MOST_DELETIONS);
        let mut deleted = BTreeSet::new();
        let deadline = Deadline::after(DELETING_LIMIT, "gc");
        let collected = self.apply(&plan, deadline, |entry| {
            deleted.insert(identity(entry));
        });
        listing
            .entries
            .retain(|entry| !deleted.contains(&identity(entry)));
        let done = deleted.len() as u64 + collected.gone;
        Ok((collected, (all as u64).saturating_sub(done)))
    }
}

/// What tells an entry from all others.
fn identity(entry: &ListedEntry) -> (Option<u64>, String, String) {
    (entry.id, entry.scope.clone(), entry.key.clone())
}

/// The keys of the entries that a run has stored.
fn saved_keys(report: &RunReport) -> Vec<String> {
    report
        .tiers
        .iter()
        .filter_map(|tier| tier.save.as_ref())
        .filter(|save| save.outcome == SaveOutcome::Saved)
        .map(|save| save.key.clone())
        .collect()
}
