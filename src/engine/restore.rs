//! The way of one tier from the store into its directories.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
    time::Instant,
};

use anyhow::{Context as _, bail};

use super::{
    session::Session,
    work::{Brought, Selection, TierWork},
};
use crate::{
    archive::{self, OpenArchive, UnpackOptions, path::RelativePath},
    deadline::Deadline,
    entry::{EntryFacts, FactsError},
    key::{self, Match, Question},
    place::{self, CargoLocks, Staging},
    report::{RestoreOutcome, RestoreReport, render_bytes},
    state::RestoredEntry,
    store::{Found, Lookup, StoreError},
    stream::RangedSource,
    tier::TierName,
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

/// Restores one tier. An error means that nothing was put in place, or whole pieces only. The keys of damaged entries that stay
/// are added to `spoilt`.
pub(super) fn restore_tier(
    session: &Session<'_>,
    work: &dyn TierWork,
    question: &Question,
    deadline: Deadline,
    spoilt: &mut BTreeSet<String>,
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
    let nearest = question.any_of_tier();
    let looked_up = session
        .store
        .look_up_or_nearest(&key, &restore_keys, &nearest, deadline);
    match looked_up {
        Ok(Lookup::Found(found)) => {
            let answered = answer(session, work, question, &found, deadline, &mut restored);
            if let Err(error) = answered {
                if error.chain().any(archive::is_damage) {
                    give_up(session, found, spoilt);
                }
                return Err(error);
            }
        }
        Ok(Lookup::Nothing { nearest }) => {
            restored.report.reason = explain_miss(session, question, nearest, deadline);
        }
        Err(StoreError::Off { reason }) => {
            restored.report.outcome = RestoreOutcome::Skipped;
            restored.report.reason = reason;
        }
        Err(error) => return Err(error.into()),
    }
    restored.report.seconds = started.elapsed().as_secs_f64();
    Ok(restored)
}

/// Gives up a damaged entry: its key would stay taken for a sound one.
fn give_up(session: &Session<'_>, damaged: Found, spoilt: &mut BTreeSet<String>) {
    let kept = match session.store.discard(&damaged) {
        Ok(true) => return,
        Ok(false) => "the store removes none".to_owned(),
        Err(error) => error.to_string(),
    };
    let detail = format!("the damaged entry {} stays: {kept}", damaged.key);
    session.console.detail(&detail);
    spoilt.insert(damaged.key);
}

/// Brings the entry that was found.
fn answer(
    session: &Session<'_>,
    work: &dyn TierWork,
    question: &Question,
    found: &Found,
    deadline: Deadline,
    restored: &mut Restored,
) -> anyhow::Result<()> {
    if session.settings.lookup_only {
        let candidate = open(session, work.tier(), found.clone(), deadline)?;
        let why = "`lookup-only` is set: nothing was restored".to_owned();
        tell(&mut restored.report, &candidate, question, [why]);
        return Ok(());
    }
    let brought = open(session, work.tier(), found.clone(), deadline).and_then(|candidate| {
        let selection = work.select(&candidate.facts)?;
        let brought = bring(session, work, &candidate, &selection, deadline)?;
        Ok((candidate, selection, brought))
    });
    let (candidate, selection, mut brought) = match brought {
        Ok(brought) => brought,
        Err(error) => {
            if let Some(miss) = error.chain().find_map(as_miss) {
                restored.report.reason = miss;
                return Ok(());
            }
            return Err(error);
        }
    };
    brought.present += selection.present;
    let reasons = brought.told().into_iter().chain(selection.left_out);
    let difference = tell(&mut restored.report, &candidate, question, reasons);
    restored.entry = Some(RestoredEntry {
        key: candidate.found.key,
        exact: difference == Match::Exact,
        facts: candidate.facts,
    });
    Ok(())
}

/// Writes down which entry answered, how it differs from what was asked for, and `reasons`.
fn tell(
    report: &mut RestoreReport,
    candidate: &Candidate,
    question: &Question,
    reasons: impl IntoIterator<Item = String>,
) -> Match {
    let difference = key::compare(&candidate.facts.parts, question);
    report.outcome = match difference {
        Match::Exact => RestoreOutcome::Exact,
        Match::Partial(_) => RestoreOutcome::Partial,
    };
    report.reason = explain(&difference)
        .into_iter()
        .chain(reasons)
        .collect::<Vec<_>>()
        .join("; ");
    report.matched_key = Some(candidate.found.key.clone());
    report.bytes = Some(candidate.source.total());
    difference
}

/// An entry that is sound, but none for this project or release, is as good as none, and so is one that was evicted since
/// it was found.
fn as_miss(error: &(dyn std::error::Error + 'static)) -> Option<String> {
    let of_other_release = error
        .downcast_ref::<FactsError>()
        .is_some_and(|error| matches!(error, FactsError::OtherSchema { .. }));
    let is_gone = error
        .downcast_ref::<StoreError>()
        .is_some_and(|error| matches!(error, StoreError::Gone { .. }));
    (of_other_release || is_gone || error.is::<NoCommonRoot>()).then(|| error.to_string())
}

/// An entry of other directories than this project has now.
#[derive(Debug, thiserror::Error)]
#[error("what is stored is of other directories: {0}")]
struct NoCommonRoot(String);

fn explain(difference: &Match) -> Option<String> {
    match difference {
        Match::Exact => None,
        Match::Partial(differences) => Some(key::explain(differences)),
    }
}

/// Why nothing fits: by the newest entry of the tier, if there is any. Trouble with that one is none of this job's.
fn explain_miss(
    session: &Session<'_>,
    question: &Question,
    nearest: Option<Found>,
    deadline: Deadline,
) -> String {
    let nearest = nearest.and_then(|found| open(session, question.tier, found, deadline).ok());
    let difference = nearest.and_then(|nearest| {
        let difference = key::compare(&nearest.facts.parts, question);
        explain(&difference)
    });
    match difference {
        Some(difference) => format!("what is stored differs: {difference}"),
        None => "nothing is stored for this project yet".to_owned(),
    }
}

/// What the newest entry that would answer `question` says of itself. No use of the entry.
pub(super) fn nearest_facts(session: &Session<'_>, question: &Question) -> Option<EntryFacts> {
    let deadline = Deadline::never();
    let found = std::iter::once(question.key())
        .chain(question.restore_keys())
        .find_map(|prefix| session.store.peek(&prefix, deadline).ok()?)?;
    Some(open(session, question.tier, found, deadline).ok()?.facts)
}

/// What the entry called `key` says of itself, if it can be read.
pub(super) fn facts_of(
    session: &Session<'_>,
    tier: TierName,
    key: &str,
    deadline: Deadline,
) -> Option<EntryFacts> {
    let found = session.store.peek(key, deadline).ok()??;
    let candidate = open(session, tier, found, deadline).ok()?;
    (candidate.found.key == key).then_some(candidate.facts)
}

fn open(
    session: &Session<'_>,
    tier: TierName,
    found: Found,
    deadline: Deadline,
) -> anyhow::Result<Candidate> {
    let source = session.store.open(&found, deadline)?;
    let archive = archive::open(source.as_ref())
        .with_context(|| format!("failed to open the entry {}", found.key))?;
    let facts = EntryFacts::from_json(archive.facts(), tier)?;
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
    deadline: Deadline,
) -> anyhow::Result<Brought> {
    let known = work.roots();
    let roots = roots_in(&candidate.facts, &known)?;
    let is_wanted = |member: &RelativePath| {
        let in_known_root = roots
            .keys()
            .any(|root| member == root || member.strip_prefix(root).is_some());
        in_known_root && (selection.wanted)(member)
    };
    let needed: u64 = candidate
        .archive
        .members()
        .filter(|member| is_wanted(member.name))
        .map(|member| member.size)
        .sum();
    if candidate
        .archive
        .members()
        .all(|member| !is_wanted(member.name))
    {
        return Ok(Brought::default());
    }
    check_room(needed, &roots)?;
    let staged: BTreeMap<_, _> = roots
        .iter()
        .map(|(name, directory)| Ok((name.clone(), Staging::create(directory)?)))
        .collect::<anyhow::Result<_>>()?;
    // Every member has to lie in some root; of those that are not known here nothing is unpacked.
    let nowhere = PathBuf::new();
    let destinations = candidate
        .facts
        .roots
        .keys()
        .map(|name| {
            let place = staged.get(name).map_or(nowhere.as_path(), Staging::path);
            (name.clone(), place.to_owned())
        })
        .collect();
    let title = format!("restoring {}", work.tier());
    let transfer = session.console.transfer(&title, needed);
    let options = UnpackOptions {
        budget: &session.budget,
        threads: session.threads,
        deadline,
    };
    archive::unpack(
        &candidate.archive,
        candidate.source.as_ref(),
        &destinations,
        &is_wanted,
        &options,
        &transfer,
    )
    .with_context(|| format!("failed to unpack {}", candidate.found.key))?;
    drop(transfer);
    let locks = work.locks(Some(&candidate.facts));
    let _locks = CargoLocks::hold(&locks, deadline.bound(session.lock_wait))?;
    // From here on it is renames: whatever is begun comes to its end.
    deadline.check()?;
    let mut brought = Brought::default();
    work.before_placing(&candidate.facts)?;
    for (name, staging) in &staged {
        brought.add(work.put_in_place(name, staging, &candidate.facts)?);
    }
    work.after_placing(&candidate.facts, &mut brought)?;
    Ok(brought)
}

/// The roots that the entry and the project both have.
fn roots_in(
    facts: &EntryFacts,
    known: &BTreeMap<RelativePath, PathBuf>,
) -> Result<BTreeMap<RelativePath, PathBuf>, NoCommonRoot> {
    let common: BTreeMap<_, _> = facts
        .roots
        .keys()
        .filter_map(|name| Some((name.clone(), known.get(name)?.clone())))
        .collect();
    if common.is_empty() {
        let names: Vec<_> = facts.roots.keys().map(RelativePath::as_str).collect();
        return Err(NoCommonRoot(names.join(", ")));
    }
    Ok(common)
}

fn check_room(needed: u64, roots: &BTreeMap<RelativePath, PathBuf>) -> anyhow::Result<()> {
    for directory in roots.values() {
        if let Some(free) = place::free_bytes(directory)
            && free < needed
        {
            bail!(
                "{} needs {}, and {} are free",
                directory.display(),
                render_bytes(needed),
                render_bytes(free)
            );
        }
    }
    Ok(())
}
