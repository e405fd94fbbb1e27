//! The way of one tier from its directories into the store.

use std::{collections::BTreeMap, path::PathBuf, time::Instant};

use anyhow::Context as _;

use super::{
    session::{JobResult, Session},
    work::{Collected, TierWork},
};
use crate::{
    archive::{self, PackOptions, path::RelativePath},
    deadline::Deadline,
    entry::{self, EntryFacts},
    key::Question,
    place::CargoLocks,
    policy::{self, Novelty, SaveDecision},
    report::{SaveOutcome, SaveReport},
    state::RunState,
    store::{Reservation, StoreError},
};

/// What came of a save.
pub(super) struct Saved {
    pub report: SaveReport,
    /// What the entry that was stored says of itself, if one was.
    pub stored: Option<EntryFacts>,
}

impl Saved {
    pub(super) fn skipped(reason: impl Into<String>) -> Self {
        Self {
            report: SaveReport::skipped(reason),
            stored: None,
        }
    }
}

/// Saves one tier, if there is reason to.
pub(super) fn save_tier(
    session: &Session<'_>,
    work: &dyn TierWork,
    question: &Question,
    state: Option<&RunState>,
    job: JobResult,
    deadline: Deadline,
) -> anyhow::Result<Saved> {
    let started = Instant::now();
    // Looking at what there is takes time: not where nothing may be saved whatever is found.
    if let Some(reason) = session.refusal(job) {
        return Ok(Saved::skipped(reason.to_string()));
    }
    if let (None, Some(reason)) = (state, work.needs_state()) {
        return Ok(Saved::skipped(reason));
    }
    // From before looking to after packing: what is packed is what was looked at.
    let _locks = CargoLocks::hold(&work.locks(None), deadline.bound(session.lock_wait))?;
    let collected = work.collect(state)?;
    for note in &collected.notes {
        session.console.note(&format!("{}: {note}", work.tier()));
    }
    let spoilt = state.map(|state| state.spoilt.clone()).unwrap_or_default();
    let key = question.full_key(collected.set.as_ref(), &spoilt);
    let restored = state.and_then(|state| state.restored.get(&work.tier()));
    let novelty = match restored {
        Some(entry) if entry.key == key => Novelty::Unchanged,
        _ => collected.novelty.clone(),
    };
    let mut stored = None;
    let mut report = match policy::decide_save(&session.save_context(job, novelty)) {
        SaveDecision::Skip(reason) => SaveReport::skipped(reason.to_string()),
        SaveDecision::Save(reason) => {
            match store(session, work, question, &collected, &key, deadline)? {
                Stored::Saved { bytes, facts } => {
                    stored = Some(*facts);
                    SaveReport {
                        bytes: Some(bytes),
                        ..SaveReport::new(SaveOutcome::Saved, reason.to_string())
                    }
                }
                Stored::Raced => {
                    SaveReport::new(SaveOutcome::Raced, "an entry of that key is there already")
                }
                Stored::Refused { reason } => SaveReport::skipped(reason),
            }
        }
    };
    report.key = key;
    report.seconds = started.elapsed().as_secs_f64();
    Ok(Saved { report, stored })
}

/// What became of an entry on its way into the store.
enum Stored {
    /// It is there, with this many bytes, and says this of itself.
    Saved { bytes: u64, facts: Box<EntryFacts> },
    /// Another one of its key is.
    Raced,
    /// The store takes none, and that is no trouble.
    Refused { reason: String },
}

impl Stored {
    /// What became of an entry that was not written to its end: only some errors are trouble.
    fn of_failure(error: anyhow::Error) -> anyhow::Result<Self> {
        let of_store = error.chain().find_map(|cause| match cause.downcast_ref() {
            Some(StoreError::Taken { .. }) => Some(Self::Raced),
            Some(StoreError::Off { reason }) => Some(Self::Refused {
                reason: reason.clone(),
            }),
            _ => None,
        });
        of_store.ok_or(error)
    }
}

/// Packs what was collected straight into the store.
fn store(
    session: &Session<'_>,
    work: &dyn TierWork,
    question: &Question,
    collected: &Collected,
    key: &str,
    deadline: Deadline,
) -> anyhow::Result<Stored> {
    let facts = EntryFacts {
        schema: entry::SCHEMA,
        hotcrate: env!("CARGO_PKG_VERSION").to_owned(),
        tier: work.tier(),
        key: key.to_owned(),
        parts: question.parts.clone(),
        created_at: session.now_seconds(),
        run: session.run_id().map(str::to_owned),
        image: session.project().image.clone(),
        roots: roots_of(collected, &work.roots()),
        contents: collected.contents.clone(),
    };
    let json = facts.to_json()?;
    deadline.check()?;
    let mut upload = match session.store.begin(key, deadline) {
        Ok(Reservation::Granted(upload)) => upload,
        Ok(Reservation::Taken) => return Ok(Stored::Raced),
        Err(error) => return Stored::of_failure(error.into()),
    };
    let title = format!("saving {}", work.tier());
    let transfer = session.console.transfer(&title, collected.raw_bytes);
    let options = PackOptions {
        budget: &session.budget,
        threads: session.threads,
        deadline,
    };
    let packed = archive::pack(
        &json,
        &collected.groups,
        &options,
        upload.as_mut(),
        &transfer,
    )
    .context("failed to pack");
    drop(transfer);
    let packed = match packed {
        Ok(packed) => packed,
        Err(error) => return Stored::of_failure(error),
    };
    Ok(if upload.finish()? {
        Stored::Saved {
            bytes: packed.volume.packed_bytes,
            facts: Box::new(facts),
        }
    } else {
        Stored::Raced
    })
}

/// The roots that have members among what was collected.
fn roots_of(
    collected: &Collected,
    roots: &BTreeMap<RelativePath, PathBuf>,
) -> BTreeMap<RelativePath, PathBuf> {
    roots
        .iter()
        .filter(|(name, _)| {
            collected.groups.iter().any(|group| {
                group
                    .members
                    .iter()
                    .any(|member| member.name == **name || member.name.strip_prefix(name).is_some())
            })
        })
        .map(|(name, directory)| (name.clone(), directory.clone()))
        .collect()
}
