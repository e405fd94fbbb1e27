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
    let mut report = RestoreReport {
        outcome: RestoreOutcome::Miss,
        reason: String::new(),
        key: question.key(),
        matched_key: None,
        bytes: None,
        seconds: 0.0,
    };
    let Some(candidate) = find(session, question)? else {
        "nothing is stored yet that fits".clone_into(&mut report.reason);
        report.seconds = started.elapsed().as_secs_f64();
        return Ok(Restored {
            report,
            entry: None,
        });
    };
    let selection = work.select(&candidate.facts);
    let brought = bring(session, work, &candidate, &selection)?;
    let difference = key::compare(&candidate.facts.parts, question);
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
    report.seconds = started.elapsed().as_secs_f64();
    Ok(Restored {
        report,
        entry: Some(RestoredEntry {
            key: candidate.found.key,
            exact: difference == Match::Exact,
            facts: candidate.facts,
        }),
    })
}

fn explain(difference: &Match) -> Option<String> {
    match difference {
        Match::Exact => None,
        Match::Partial(differences) => Some(key::explain(differences)),
    }
}

fn find(session: &Session<'_>, question: &Question) -> anyhow::Result<Option<Candidate>> {
    let (key, restore_keys) = (question.key(), question.restore_keys());
    let Some(found) = session.store.look_up(&key, &restore_keys)? else {
        return Ok(None);
    };
    let source = session.store.open(&found)?;
    let archive = archive::open(source.as_ref())
        .with_context(|| format!("the entry {} is damaged", found.key))?;
    let facts = EntryFacts::from_json(archive.facts(), question.tier)?;
    Ok(Some(Candidate {
        found,
        source,
        archive,
        facts,
    }))
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
