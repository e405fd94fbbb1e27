//! The replay: sources that are what they were when the restored units were compiled get the times back that they had
//! then, all others are new.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use anyhow::bail;

use super::{
    rebuilt::look_and_arm,
    session::Session,
    sources::{self, read_inputs},
    target::{records_of, source_roots},
    workspace::manifest_of,
};
use crate::{
    entry::EntryFacts,
    freshness::{
        self, Changed, Inputs, Moment, Mtime, OutsideFiles, PathSet, Present, Reason, ReplayError,
        ReplayPlan, SourceManifest, Sources,
    },
    rebuild::{MadeNew, NewPart},
    state::RunState,
    tier::TierName,
    unit,
};

/// How many packages that are made new are told.
const MOST_TOLD: usize = 4;

/// Makes all sources newer than whatever was stored with `manifest`, unless they are.
pub(super) fn make_new(sources: &Sources, manifest: &SourceManifest) -> Result<(), ReplayError> {
    let newest = manifest.saved_max.max(newest_recorded(manifest));
    if sources.entries.values().all(|found| found.mtime > newest) {
        return Ok(());
    }
    let time = Mtime::now().max(newest.plus_millisecond());
    freshness::make_everything_new(sources, time)
}

/// A build script without declarations is stale only if its package's newest source has another time than it had.
fn newest_recorded(manifest: &SourceManifest) -> Mtime {
    let times = manifest.entries.values().map(|entry| entry.mtime);
    times.max().unwrap_or(manifest.saved_max)
}

impl Session<'_> {
    /// Replays what was restored over the sources as they are now, and returns what to tell of it. Fails, and changes
    /// nothing, if no workspace crates were restored, or if Cargo has built any since.
    pub fn replay(&self, state: &mut RunState) -> anyhow::Result<String> {
        let entry = state.restored.get(&TierName::Workspace);
        let (Some(entry), Some(Ok(before))) = (entry, &mut state.workspace) else {
            bail!("no workspace crates were restored");
        };
        self.refuse_after_cargo(&entry.facts)?;
        freshness::put_back(&before.changed, true)?;
        before.changed.clear();
        let replay = Replay {
            session: self,
            known_trees: &before.known_trees,
            before: None,
            moment: Moment::RightBeforeCargo,
        };
        let told = replay.run(manifest_of(&entry.facts)?)?;
        before.listing.renew(&told.sources);
        before.changed = told.changed;
        let (records, access_times_move) = look_and_arm(self);
        state.access_times_move = access_times_move;
        state.baseline.records = records;
        state.baseline.made_new = told.made_new;
        Ok(told
            .note
            .unwrap_or_else(|| "nothing has to be compiled again".to_owned()))
    }

    /// Units that Cargo compiled since the restore are newer than the times that their sources would get.
    fn refuse_after_cargo(&self, facts: &EntryFacts) -> anyhow::Result<()> {
        let reading = source_roots(self);
        for root in &self.project().roots {
            if !root.directory.is_dir() {
                continue;
            }
            let tree = unit::read_target(&root.directory, &reading)?;
            let records: BTreeMap<_, _> = records_of(facts, &root.name)
                .map(|record| (&record.id, record))
                .collect();
            let built = tree.units.iter().find(|unit| {
                let record = records.get(&unit.id);
                !unit.origin.is_cargo_home() && !record.is_some_and(|record| record.describes(unit))
            });
            if let Some(unit) = built {
                bail!("{} was compiled since the restore", unit.id.package);
            }
        }
        Ok(())
    }
}

/// One replay.
pub(super) struct Replay<'a> {
    pub session: &'a Session<'a>,
    /// The labels of the trees in which no time may be set back.
    pub known_trees: &'a BTreeSet<String>,
    /// The sources as they were before all of them were made new, if they were.
    pub before: Option<&'a Sources>,
    /// What may happen before Cargo looks.
    pub moment: Moment,
}

/// What a replay did.
#[derive(Debug, Default)]
pub(super) struct ReplayTold {
    /// The sources that it went by.
    pub sources: Sources,
    /// What to tell the user, in words.
    pub note: Option<String>,
    /// What was made new of which package, and why.
    pub made_new: BTreeMap<String, Vec<MadeNew>>,
    /// The restored files that were deleted or added to.
    pub changed: Vec<Changed>,
}

impl Replay<'_> {
    /// Replays `manifest` over the sources as they are now, for the units that lie in the project's target directories.
    pub(super) fn run(&self, manifest: &SourceManifest) -> anyhow::Result<ReplayTold> {
        let first = self.attempt(manifest);
        match &first {
            // Somebody works on the sources meanwhile: they are looked at once more.
            Err(error) if matches!(error.downcast_ref(), Some(ReplayError::Edited { .. })) => {
                self.attempt(manifest)
            }
            _ => first,
        }
    }

    fn attempt(&self, manifest: &SourceManifest) -> anyhow::Result<ReplayTold> {
        // Read again, at most a second before their times are set: an entry was unpacked since they were read first.
        let sources = sources::scan(self.session.project())?;
        let reading = source_roots(self.session);
        let roots = self.session.project().roots.iter();
        let trees = roots
            .filter(|root| root.directory.is_dir())
            .map(|root| unit::read_target(&root.directory, &reading))
            .collect::<Result<Vec<_>, _>>()?;
        let inputs: Vec<_> = trees
            .iter()
            .map(|tree| read_inputs(self.session, tree, &sources, &manifest.verdicts))
            .collect();
        let mut plans = self.plans(manifest, &sources, &inputs);
        share_times(&mut plans);
        freshness::settle_directories(&mut plans, &inputs, &sources);
        for plan in &mut plans {
            self.keep_from_setting_back(plan, &sources);
        }
        for (plan, inputs) in plans.iter_mut().zip(&inputs) {
            freshness::watch(plan, inputs, &sources);
        }
        let mut told = told(&plans);
        let directories = trees.iter().map(|tree| tree.directory.as_path());
        let plans: Vec<(ReplayPlan, &Path)> = plans.into_iter().zip(directories).collect();
        told.changed = freshness::replay(&plans, &sources)?.changed;
        told.sources = sources;
        Ok(told)
    }

    /// What is to be done in each target directory.
    fn plans(
        &self,
        manifest: &SourceManifest,
        sources: &Sources,
        inputs: &[Inputs],
    ) -> Vec<ReplayPlan> {
        let head = sources::head(self.session);
        let ignored = freshness::ignored_paths(sources, self.session.environment);
        let now = Mtime::now();
        let plan = |inputs: &Inputs| {
            let outside = OutsideFiles::read(inputs.outside_paths());
            let present = Present {
                sources,
                inputs,
                head: &head,
                ignored: &ignored,
                outside: &outside,
                moment: self.moment,
                now,
            };
            freshness::plan(manifest, &present, self.session.settings.build_scripts)
        };
        inputs.iter().map(plan).collect()
    }

    /// Leaves new what would get an earlier time than it has, in trees that something unknown may have been built from.
    fn keep_from_setting_back(&self, plan: &mut ReplayPlan, sources: &Sources) {
        let mut known = PathSet::default();
        for tree in self.known_trees {
            known.insert(tree.clone());
        }
        plan.restored.retain(|name, time| {
            let now = sources.entries.get(name);
            let before = self.before.and_then(|before| before.entries.get(name));
            let before = before.filter(|before| now.is_some_and(|now| now.digest == before.digest));
            let found = before.or(now);
            !known.contains(name) || found.is_some_and(|found| found.mtime <= *time)
        });
    }
}

/// One source has one time, whichever target directories are built from it: new if it is new for one of them.
fn share_times(plans: &mut [ReplayPlan]) {
    let Some((first, others)) = plans.split_first_mut() else {
        return;
    };
    for other in others.iter() {
        first
            .restored
            .retain(|name, time| other.restored.get(name) == Some(time));
    }
    for other in others {
        other.restored.clone_from(&first.restored);
        other.new_time = other.new_time.max(first.new_time);
    }
}

fn told(plans: &[ReplayPlan]) -> ReplayTold {
    let mut again: BTreeMap<&str, Vec<&Reason>> = BTreeMap::new();
    for (package, reasons) in plans.iter().flat_map(|plan| &plan.packages) {
        again.entry(package).or_default().extend(reasons);
    }
    let made_new = again.iter().map(|(package, reasons)| {
        let made = reasons.iter().filter_map(|reason| {
            Some(MadeNew {
                what: part_of(reason)?,
                why: reason.to_string(),
            })
        });
        ((*package).to_owned(), made.collect())
    });
    let is_from_the_future = plans.iter().any(|plan| plan.is_from_the_future);
    ReplayTold {
        made_new: made_new.collect(),
        note: if is_from_the_future {
            Some("it was stored by a clock that is ahead of this one, so all of it is compiled again".to_owned())
        } else {
            note(&again)
        },
        ..ReplayTold::default()
    }
}

/// What of a package is made again for `reason`; `None` for what Cargo sees by itself, unit by unit.
fn part_of(reason: &Reason) -> Option<NewPart> {
    match reason {
        Reason::Source(..) => None,
        Reason::Undeclared(..) | Reason::DeclaresNothing | Reason::Sign(_) | Reason::Always => {
            Some(NewPart::Script)
        }
        _ => Some(NewPart::Package),
    }
}

/// The first packages that will be compiled again, each with its first reason.
fn note(again: &BTreeMap<&str, Vec<&Reason>>) -> Option<String> {
    let mut told: Vec<_> = again
        .iter()
        .filter_map(|(package, reasons)| Some(format!("{package} ({})", reasons.first()?)))
        .collect();
    if told.is_empty() {
        return None;
    }
    let more = told.len().saturating_sub(MOST_TOLD);
    told.truncate(MOST_TOLD);
    if more > 0 {
        told.push(format!("{more} more"));
    }
    Some(format!("to be compiled again: {}", told.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::freshness::Change;

    fn plan(packages: &[&str]) -> ReplayPlan {
        let time = |seconds| Mtime { seconds, nanos: 0 };
        let reason = Reason::Source("src/lib.rs".to_owned(), Change::Changed);
        ReplayPlan {
            restored: [("project/a", 1), ("project/b", 2)]
                .map(|(name, seconds)| (name.to_owned(), time(seconds)))
                .into(),
            new_time: time(9),
            deleted: BTreeSet::new(),
            watched: BTreeMap::new(),
            packages: packages
                .iter()
                .map(|&name| (name.to_owned(), BTreeSet::from([reason.clone()])))
                .collect(),
            made_new: BTreeSet::new(),
            scripts: 0,
            changes: 0,
            is_from_the_future: false,
        }
    }

    #[test]
    fn a_source_that_is_new_for_one_target_directory_is_new_for_all() {
        let mut plans = [plan(&[]), plan(&[]), plan(&[])];
        plans[1].restored.remove("project/a");
        share_times(&mut plans);
        for plan in plans {
            let kept: Vec<_> = plan.restored.keys().map(String::as_str).collect();
            assert_eq!(kept, ["project/b"]);
        }
    }

    #[test]
    fn what_is_compiled_again_is_told_with_the_reason_and_many_are_counted() {
        assert_eq!(told(&[plan(&[])]).note, None);
        insta::assert_snapshot!(
            told(&[plan(&["core"])]).note.expect("something is"),
            @"to be compiled again: core (src/lib.rs changed)"
        );
        insta::assert_snapshot!(
            told(&[plan(&["a", "b", "c"]), plan(&["d", "e", "f"])]).note.expect("something is"),
            @"to be compiled again: a (src/lib.rs changed), b (src/lib.rs changed), c (src/lib.rs changed), d (src/lib.rs changed), 2 more"
        );
    }
}
