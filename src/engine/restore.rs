//! The way of one tier from the store into its directories.

use std::{collections::BTreeMap, path::PathBuf, time::Instant};

use anyhow::{Context as _, bail};

use super::{
    session::Session,
    work::{Brought, Selection, TierWork},
};
use crate::{
    archive::{self, OpenArchive, UnpackOptions, path::RelativePath},
    entry::EntryFacts,
    key::{self, Match, Question},
    place::{self, CargoLocks, Staging},
    report::{RestoreOutcome, RestoreReport},
    state::RestoredEntry,
    store::Found,
    stream::RangedSource,
};

/// An entry that answered, opened and understood.
struct Candidate {
    found: Found,
    source: Box<dyn RangedSource>,
    archive: OpenArchive,
    facts: EntryFacts,
}

/// What came of a restore: what to tell, and what the save must know.
pub(super) struct Restored {
    pub report: RestoreReport,
    pub entry: Option<RestoredEntry>,
}

/// Restores one tier. An error means that nothing was put in place, or whole pieces only.
pub(super) fn restore_tier(
    session: &Session<'_>,
    work: &dyn TierWork,
    question: &Question,
) -> anyhow::Result<Restored> {
    let started = Instant::now();
    let (key, restore_keys) = (question.key(), question.restore_keys());
    let mut restored = Restored {
        report: RestoreReport {
            outcome: RestoreOutcome::Miss,
            reason: String::new(),
            key: key.clone(),
            matched_key: None,
            bytes: None,
            seconds: 0.0,
        },
        entry: None,
    };
    match session.store.look_up(&key, &restore_keys)? {
        Some(found) => answer(session, work, question, &found, &mut restored)?,
        None => restored.report.reason = explain_miss(session, question),
    }
    restored.report.seconds = started.elapsed().as_secs_f64();
    Ok(restored)
}

/// Brings the entry that was found, and gives it up if it is damaged: its key would stay taken for a sound one.
fn answer(
    session: &Session<'_>,
    work: &dyn TierWork,
    question: &Question,
    found: &Found,
    restored: &mut Restored,
) -> anyhow::Result<()> {
    let brought = open(session, question, found.clone()).and_then(|candidate| {
        let selection = work.select(&candidate.facts);
        let brought = bring(session, work, &candidate, &selection)?;
        Ok((candidate, selection, brought))
    });
    let (candidate, selection, brought) = match brought {
        Ok(brought) => brought,
        Err(error) => {
            if error.chain().any(archive::is_damage)
                && let Err(kept) = session.store.discard(found)
            {
                let detail = format!("the damaged entry {} stays: {kept}", found.key);
                session.console.detail(&detail);
            }
            return Err(error);
        }
    };
    let difference = key::compare(&candidate.facts.parts, question);
    let report = &mut restored.report;
    report.outcome = match difference {
        Match::Exact => RestoreOutcome::Exact,
        Match::Partial(_) => RestoreOutcome::Partial,
    };
    report.reason = explain(&difference)
        .into_iter()
        .chain(brought.told())
        .chain(selection.left_out)
        .collect::<Vec<_>>()
        .join("; ");
    report.matched_key = Some(candidate.found.key.clone());
    report.bytes = Some(candidate.source.total());
    restored.entry = Some(RestoredEntry {
        key: candidate.found.key,
        exact: difference == Match::Exact,
        facts: candidate.facts,
    });
    Ok(())
}

fn explain(difference: &Match) -> Option<String> {
    match difference {
        Match::Exact => None,
        Match::Partial(differences) => Some(key::explain(differences)),
    }
}

/// Why nothing fits: by the newest entry of the tier, if there is any. Trouble with that one is none of this job's.
fn explain_miss(session: &Session<'_>, question: &Question) -> String {
    let nearest = session
        .store
        .look_up(&question.any_of_tier(), &[])
        .ok()
        .flatten()
        .and_then(|found| open(session, question, found).ok());
    let difference = nearest.and_then(|nearest| {
        let difference = key::compare(&nearest.facts.parts, question);
        explain(&difference)
    });
    match difference {
        Some(difference) => format!("what is stored differs: {difference}"),
        None => "nothing is stored for this project yet".to_owned(),
    }
}

fn open(session: &Session<'_>, question: &Question, found: Found) -> anyhow::Result<Candidate> {
    let source = session.store.open(&found)?;
    let archive = archive::open(source.as_ref())
        .with_context(|| format!("failed to open the entry {}", found.key))?;
    let facts = EntryFacts::from_json(archive.facts(), question.tier)?;
    Ok(Candidate {
        found,
        source,
        archive,
        facts,
    })
}

/// Unpacks an entry beside its roots, and then puts it in place.
fn bring(
    session: &Session<'_>,
    work: &dyn TierWork,
    candidate: &Candidate,
    selection: &Selection,
) -> anyhow::Result<Brought> {
    let roots = roots_in(candidate, &work.roots())?;
    check_room(candidate, &roots)?;
    let staged: BTreeMap<_, _> = roots
        .iter()
        .map(|(name, directory)| Ok((name.clone(), Staging::create(directory)?)))
        .collect::<anyhow::Result<_>>()?;
    let destinations = staged
        .iter()
        .map(|(name, staging)| (name.clone(), staging.path().to_owned()))
        .collect();
    let title = format!("restoring {}", work.tier());
    let transfer = session
        .console
        .transfer(&title, candidate.archive.raw_bytes());
    let options = UnpackOptions {
        budget: &session.budget,
        threads: session.threads,
    };
    archive::unpack(
        &candidate.archive,
        candidate.source.as_ref(),
        &destinations,
        &*selection.wanted,
        &options,
        &transfer,
    )
    .with_context(|| format!("failed to unpack {}", candidate.found.key))?;
    drop(transfer);
    let _locks = CargoLocks::hold(&work.locks(), session.lock_wait)?;
    let mut brought = Brought::default();
    for (name, staging) in &staged {
        brought.add(work.put_in_place(name, staging, &candidate.facts)?);
    }
    Ok(brought)
}

/// The roots that the entry has members in; an entry with members elsewhere is refused.
fn roots_in(
    candidate: &Candidate,
    known: &BTreeMap<RelativePath, PathBuf>,
) -> anyhow::Result<BTreeMap<RelativePath, PathBuf>> {
    candidate
        .facts
        .roots
        .keys()
        .map(|name| match known.get(name) {
            Some(directory) => Ok((name.clone(), directory.clone())),
            None => bail!("the entry has a root {name} that this project does not have"),
        })
        .collect()
}

fn check_room(
    candidate: &Candidate,
    roots: &BTreeMap<RelativePath, PathBuf>,
) -> anyhow::Result<()> {
    let needed = candidate.archive.raw_bytes();
    for directory in roots.values() {
        if let Some(free) = place::free_bytes(directory)
            && free < needed
        {
            bail!(
                "{} needs {}, and {} are free",
                directory.display(),
                crate::report::render_bytes(needed),
                crate::report::render_bytes(free)
            );
        }
    }
    Ok(())
}
