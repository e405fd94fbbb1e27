//! The way of one tier from its directories into the store.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    time::{Instant, SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;

use super::{
    session::{JobResult, Session},
    work::{Collected, JobView, TierWork},
};
use crate::{
    archive::{self, PackOptions, path::RelativePath},
    entry::{self, EntryFacts},
    key::Question,
    place::CargoLocks,
    policy::{self, Novelty, SaveDecision},
    report::{SaveOutcome, SaveReport, UnitsReport},
    state::RunState,
    store::Reservation,
};

/// What came of a save.
pub(super) struct Saved {
    pub report: SaveReport,
    pub units: Option<UnitsReport>,
}

/// Saves one tier, if there is reason to.
pub(super) fn save_tier(
    session: &Session<'_>,
    work: &dyn TierWork,
    question: &Question,
    state: Option<&RunState>,
    job: JobResult,
) -> anyhow::Result<Saved> {
    let started = Instant::now();
    // From before looking to after packing: what is packed is what was looked at.
    let _locks = CargoLocks::hold(&work.locks(), session.lock_wait)?;
    let view = JobView {
        state,
        succeeded: job == JobResult::Succeeded,
    };
    let mut collected = work.collect(&view)?;
    let units = collected.units.take();
    let key = question.full_key(collected.set.as_ref());
    let restored = state.and_then(|state| state.restored.get(&work.tier()));
    let novelty = match restored {
        Some(entry) if entry.key == key => Novelty::Unchanged,
        _ => collected.novelty.clone(),
    };
    let mut report = SaveReport {
        outcome: SaveOutcome::Skipped,
        reason: String::new(),
        key: key.clone(),
        bytes: None,
        seconds: 0.0,
    };
    match policy::decide_save(&session.save_context(job, novelty)) {
        SaveDecision::Skip(reason) => report.reason = reason.to_string(),
        SaveDecision::Save(reason) => {
            report.reason = reason.to_string();
            store(session, work, question, &collected, &key, &mut report)?;
        }
    }
    report.seconds = started.elapsed().as_secs_f64();
    Ok(Saved { report, units })
}

/// Packs what was collected straight into the store.
fn store(
    session: &Session<'_>,
    work: &dyn TierWork,
    question: &Question,
    collected: &Collected,
    key: &str,
    report: &mut SaveReport,
) -> anyhow::Result<()> {
    let facts = EntryFacts {
        schema: entry::SCHEMA,
        hotcrate: env!("CARGO_PKG_VERSION").to_owned(),
        tier: work.tier(),
        key: key.to_owned(),
        parts: question.parts.clone(),
        created_at: seconds_since_1970(SystemTime::now()),
        roots: roots_of(collected, &work.roots()),
        contents: collected.contents.clone(),
    };
    let facts = facts.to_json()?;
    let mut upload = match session.store.begin(key)? {
        Reservation::Granted(upload) => upload,
        Reservation::Taken => {
            report.outcome = SaveOutcome::Raced;
            "an entry of that key is there already".clone_into(&mut report.reason);
            return Ok(());
        }
    };
    let title = format!("saving {}", work.tier());
    let transfer = session.console.transfer(&title, collected.raw_bytes);
    let options = PackOptions {
        budget: &session.budget,
        threads: session.threads,
    };
    let packed = archive::pack(
        &facts,
        &collected.groups,
        &options,
        upload.as_mut(),
        &transfer,
    )
    .context("failed to pack")?;
    drop(transfer);
    if upload.finish()? {
        report.outcome = SaveOutcome::Saved;
        report.bytes = Some(packed.volume.packed_bytes);
    } else {
        report.outcome = SaveOutcome::Raced;
        "another process stored it first".clone_into(&mut report.reason);
    }
    Ok(())
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

fn seconds_since_1970(time: SystemTime) -> u64 {
    time.duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}
