//! What differs between two entries, or between what is stored and what this project asks for.
//!
//! Values stand in entries' headers. Where a header can't be read, because the entry is gone or out of this run's reach, its
//! key still tells which parts differ. Looking is no use of an entry.

use std::collections::BTreeSet;

use anyhow::{Context as _, bail};

use super::{Holdings, session::Session};
use crate::{
    archive,
    deadline::Deadline,
    entry::{Contents, EntryFacts},
    inventory::ListedEntry,
    key::{self, KeyPart, Match, ParsedKey, PartName, Question, part_names},
    report::{Comparison, DigitChange, Explanation, SCHEMA},
    store::Found,
    tier::TierName,
};

/// What to compare.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExplainRequest {
    /// No key, one, or two. A beginning stands for the newest entry that has it.
    pub keys: Vec<String>,
    /// Whether one key is compared with the newest entry of its tier, and not with what this project asks for.
    pub latest: bool,
}

/// One side of a comparison.
struct Side {
    /// Its key, or what stands for it.
    name: String,
    parsed: Option<ParsedKey>,
    parts: Option<Vec<KeyPart>>,
    contents: Option<Contents>,
    note: Option<String>,
}

impl Session<'_> {
    /// Compares what `request` names. `holdings` are asked for what is stored for this job where nothing is near.
    pub fn explain(
        &self,
        request: &ExplainRequest,
        holdings: &Holdings,
    ) -> anyhow::Result<Explanation> {
        let mut explanation = Explanation {
            schema: SCHEMA,
            comparisons: Vec::new(),
            missing: Vec::new(),
            stored: Vec::new(),
            notes: Vec::new(),
        };
        match request.keys.as_slice() {
            [old, new] => {
                let (old, new) = (self.entry(old)?, self.entry(new)?);
                explanation.comparisons.push(compare(&old, &new)?);
            }
            [key] => {
                let old = self.entry(key)?;
                let tier = old.tier().context("a key without a tier")?;
                let new = if request.latest {
                    self.latest(tier)?
                        .with_context(|| format!("nothing of the tier {tier} is stored"))?
                } else {
                    asked(&self.question(tier).map_err(anyhow::Error::msg)?)
                };
                explanation.comparisons.push(compare(&old, &new)?);
            }
            _ => self.explain_all(&mut explanation, holdings)?,
        }
        Ok(explanation)
    }

    /// Every tier's newest entry beside what this project asks for.
    fn explain_all(
        &self,
        explanation: &mut Explanation,
        holdings: &Holdings,
    ) -> anyhow::Result<()> {
        let mut job = None;
        for tier in &self.settings.tiers {
            let question = match self.question(*tier) {
                Ok(question) => question,
                Err(reason) => {
                    explanation.notes.push(format!("{tier}: {reason}"));
                    continue;
                }
            };
            job = job.or_else(|| job_digits(&question));
            match self.latest(*tier)? {
                Some(latest) => explanation
                    .comparisons
                    .push(compare(&latest, &asked(&question))?),
                None => explanation.missing.push(*tier),
            }
        }
        if !explanation.missing.is_empty() {
            match holdings.list("hotcrate-v", false) {
                Ok(listing) => {
                    explanation.stored = stored_for_job(listing.entries, job.as_deref());
                }
                Err(error) => explanation.notes.push(format!(
                    "what is stored for this job is not known: {error:#}"
                )),
            }
        }
        Ok(())
    }

    /// The newest entry of a tier that this run can read.
    fn latest(&self, tier: TierName) -> anyhow::Result<Option<Side>> {
        let prefix = format!("hotcrate-v1-{tier}-");
        let found = self.store.peek(&prefix, Deadline::never())?;
        Ok(found.map(|found| self.read(found)))
    }

    /// The entry called `key`, or the newest that begins so; else what the key alone says.
    fn entry(&self, key: &str) -> anyhow::Result<Side> {
        if let Some(found) = self.store.peek(key, Deadline::never())? {
            return Ok(self.read(found));
        }
        let Some(parsed) = ParsedKey::parse(key) else {
            bail!("{key:?} is no key of hotcrate, and no entry that this run can read begins so");
        };
        Ok(Side {
            name: key.to_owned(),
            parsed: Some(parsed),
            parts: None,
            contents: None,
            note: Some(format!(
                "{key} is not in this run's reach: its key alone is compared"
            )),
        })
    }

    fn read(&self, found: Found) -> Side {
        let parsed = ParsedKey::parse(&found.key);
        let header = parsed
            .as_ref()
            .context("a key of another release")
            .and_then(|parsed| self.header(&found, parsed.tier));
        let (facts, note) = match header {
            Ok(facts) => (Some(facts), None),
            Err(error) => (
                None,
                Some(format!("{} can't be read: {error:#}", found.key)),
            ),
        };
        let (parts, contents) = facts.map(|facts| (facts.parts, facts.contents)).unzip();
        Side {
            name: found.key,
            parsed,
            parts,
            contents,
            note,
        }
    }

    fn header(&self, found: &Found, tier: TierName) -> anyhow::Result<EntryFacts> {
        let source = self.store.open(found, Deadline::never())?;
        let archive = archive::open(source.as_ref())?;
        Ok(EntryFacts::from_json(archive.facts(), tier)?)
    }
}

impl Side {
    fn tier(&self) -> Option<TierName> {
        self.parsed.as_ref().map(|parsed| parsed.tier)
    }
}

/// Those of `entries` that are hotcrate's and that the job with these digits stored, on whatever branch, or of any job, the
/// newest first; all of hotcrate's, if the job is not known.
pub(super) fn stored_for_job(mut entries: Vec<ListedEntry>, job: Option<&str>) -> Vec<ListedEntry> {
    entries.retain(|entry| {
        let Some(parsed) = ParsedKey::parse(&entry.key) else {
            return false;
        };
        let digits = parsed.digits(PartName::Job);
        job.is_none() || digits.is_none() || digits == job
    });
    entries.sort_by(|a, b| {
        b.created_at
            .cmp(&a.created_at)
            .then_with(|| a.key.cmp(&b.key))
    });
    entries
}

/// The digits of the job in a question's key.
fn job_digits(question: &Question) -> Option<String> {
    let part = question
        .parts
        .iter()
        .find(|part| part.name == PartName::Job)?;
    Some(part.digest().short())
}

/// What the project asks for, as one side of a comparison.
fn asked(question: &Question) -> Side {
    let known = question
        .parts
        .iter()
        .map(|part| (part.name, part.digest().short()));
    Side {
        name: "what this project asks for".to_owned(),
        parsed: Some(ParsedKey {
            tier: question.tier,
            parts: known.collect(),
        }),
        parts: Some(question.parts.clone()),
        contents: None,
        note: None,
    }
}

fn compare(old: &Side, new: &Side) -> anyhow::Result<Comparison> {
    let (Some(one), Some(other)) = (&old.parsed, &new.parsed) else {
        bail!("a key of another release says nothing here");
    };
    if one.tier != other.tier {
        bail!(
            "an entry of the tier {} and one of {} have nothing in common",
            one.tier,
            other.tier
        );
    }
    let differences = match (&old.parts, &new.parts) {
        (Some(stored), Some(parts)) => {
            let question = Question {
                tier: one.tier,
                parts: parts.clone(),
                least: 0,
                open_ended: false,
            };
            match key::compare(stored, &question) {
                Match::Exact => Vec::new(),
                Match::Partial(differences) => differences,
            }
        }
        _ => Vec::new(),
    };
    let explained: BTreeSet<_> = differences
        .iter()
        .map(|difference| difference.part)
        .collect();
    let digits = part_names(one.tier)
        .iter()
        .filter(|part| !explained.contains(part))
        .filter_map(|part| {
            let (old, new) = (one.digits(*part)?, other.digits(*part)?);
            (old != new).then(|| DigitChange {
                part: *part,
                old: old.to_owned(),
                new: new.to_owned(),
            })
        })
        .collect();
    let (gone, come) = match (&old.contents, &new.contents) {
        (Some(old), Some(new)) => {
            let (old, new) = (names(old), names(new));
            let only =
                |a: &BTreeSet<String>, b: &BTreeSet<String>| a.difference(b).cloned().collect();
            (only(&old, &new), only(&new, &old))
        }
        _ => (Vec::new(), Vec::new()),
    };
    Ok(Comparison {
        tier: one.tier,
        old: old.name.clone(),
        new: new.name.clone(),
        differences,
        digits,
        gone,
        come,
        notes: [&old.note, &new.note]
            .into_iter()
            .flatten()
            .cloned()
            .collect(),
    })
}

/// What an entry holds, piece by piece.
fn names(contents: &Contents) -> BTreeSet<String> {
    match contents {
        Contents::Registry(names) | Contents::Sccache(names) | Contents::Extra(names) => {
            names.iter().cloned().collect()
        }
        Contents::Target { units, .. } => units
            .iter()
            .map(|(_, unit)| format!("{} ({}) {}", unit.id.package, unit.id.profile, unit.id.hash))
            .collect(),
        Contents::Tools(tools) => tools
            .iter()
            .flat_map(|tool| &tool.files)
            .map(|file| file.path.to_string())
            .collect(),
    }
}
