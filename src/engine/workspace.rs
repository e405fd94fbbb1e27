//! The `workspace` tier in the engine: units of path packages, and the times of the sources that they were compiled
//! from.
//!
//! Invariants: an entry goes only into target directories that hold no unit of a path package, beside dependencies
//! that are the builds it was compiled against. Until it is in place and the replay has judged every source, all
//! sources are newer than whatever is in it: a kill in between costs a compilation and leaves nothing stale. What is
//! saved was compiled in a directory of which it is known what was in it before.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet},
    path::PathBuf,
};

use anyhow::Context as _;
use rayon::prelude::*;

use super::{
    judged::JudgedRoot,
    replay::{self, Replay, ReplayTold},
    save::Saved,
    session::{JobResult, Session},
    sources::{self, SourcesBefore},
    target::{TargetWork, records_of},
    work::{Brought, Collected, Selection, TierWork},
};
use crate::{
    archive::path::RelativePath,
    deadline::Deadline,
    entry::{Contents, EntryFacts},
    fail_open::{self, Trouble},
    freshness::{self, Inputs, Job, Moment, Mtime, SourceManifest, Verdicts},
    key::{Digest, DigestBuilder, KeyPart, Question},
    place::{LockPlace, Staging},
    policy::Novelty,
    project,
    report::{RestoreOutcome, RestoreReport, SaveOutcome, SaveReport},
    state::RunState,
    tier::TierName,
    unit::{self, UnitRecord},
};

/// Why nothing is saved without the state of a restore.
const NO_STATE: &str =
    "without a restore before the job nobody knows what the workspace crates were built from";

/// Workspace crates, and what their sources were.
pub(super) struct WorkspaceWork<'run> {
    /// The units in the target directories.
    pub target: TargetWork<'run>,
    /// The sources before the job, while restoring.
    pub before: Option<&'run SourcesBefore>,
    /// The interface of the dependencies that a later job will find, while saving.
    pub stored_interface: Option<Digest>,
    /// What may happen between the restore and Cargo.
    pub moment: Moment,
    /// What the replay did.
    pub told: RefCell<ReplayTold>,
}

impl<'run> WorkspaceWork<'run> {
    /// The tier's work around that on the units.
    pub(super) fn new(target: TargetWork<'run>) -> Self {
        Self {
            target,
            before: None,
            stored_interface: None,
            moment: Moment::BeforeOtherSteps,
            told: RefCell::default(),
        }
    }
}

impl TierWork for WorkspaceWork<'_> {
    fn tier(&self) -> TierName {
        TierName::Workspace
    }

    fn roots(&self) -> BTreeMap<RelativePath, PathBuf> {
        self.target.roots()
    }

    fn select(&self, facts: &EntryFacts) -> anyhow::Result<Selection> {
        self.target.select(facts)
    }

    fn put_in_place(
        &self,
        root: &RelativePath,
        staging: &Staging,
        facts: &EntryFacts,
    ) -> anyhow::Result<Brought> {
        self.target.put_in_place(root, staging, facts)
    }

    fn before_placing(&self, facts: &EntryFacts) -> anyhow::Result<()> {
        let before = self.before.context("the sources were not read")?;
        replay::make_new(&before.sources, manifest_of(facts)?)?;
        Ok(())
    }

    fn after_placing(&self, facts: &EntryFacts, brought: &mut Brought) -> anyhow::Result<()> {
        let before = self.before.context("the sources were not read")?;
        let session = self.target.session;
        make_dependencies_older(session, facts, &self.target.beside)?;
        let replay = Replay {
            session,
            known_trees: &before.state.known_trees,
            before: Some(&before.sources),
            moment: self.moment,
        };
        let told = replay.run(manifest_of(facts)?)?;
        brought.notes.extend(told.note.clone());
        self.told.replace(told);
        Ok(())
    }

    fn locks(&self, entry: Option<&EntryFacts>) -> Vec<LockPlace> {
        self.target.locks(entry)
    }

    fn needs_state(&self) -> Option<&'static str> {
        Some(NO_STATE)
    }

    fn collect(&self, state: Option<&RunState>) -> anyhow::Result<Collected> {
        let mut collected = self.target.collect(state)?;
        let roots = self.target.judged.unwrap_or_default();
        let manifest = record(self.target.session, roots, state)?;
        let stored = self
            .stored_interface
            .context("no dependencies are stored")?;
        if let Contents::Target {
            interface, sources, ..
        } = &mut collected.contents
        {
            *interface = stored;
            *sources = Some(Box::new(manifest));
        }
        // The question has the tree of the sources: nothing is left to know.
        collected.set = None;
        let restored = state.and_then(|state| state.restored.get(&TierName::Workspace));
        let has_moved = restored.is_some_and(|entry| interface_of(&entry.facts) != Some(stored));
        if has_moved && !matches!(collected.novelty, Novelty::New { .. }) {
            let why = "the dependencies that they belong to are stored anew".to_owned();
            collected.novelty = Novelty::New { why };
        }
        Ok(collected)
    }
}

impl Session<'_> {
    /// Restores the workspace crates that belong to the dependencies that were restored, unless there is a `refusal`. What
    /// the sources were is read in any case: the save has to know.
    pub(super) fn restore_workspace(
        &self,
        refusal: Option<&str>,
        moment: Moment,
        deadline: Deadline,
        state: &mut RunState,
    ) -> RestoreReport {
        let skipped = |reason: String| RestoreReport::new(RestoreOutcome::Skipped, reason);
        if let Err(reason) = self.may_cache_workspace() {
            return skipped(reason);
        }
        let before = fail_open::attempt("sources not read", || sources::read_before(self));
        let before = match before {
            Ok(before) => before,
            Err(Trouble(text)) => {
                self.console.trouble(&text);
                return RestoreReport::new(RestoreOutcome::Failed, text);
            }
        };
        let before = match before {
            Ok(before) => before,
            Err(refusal) => {
                state.workspace = Some(Err(refusal.clone()));
                return skipped(refusal);
            }
        };
        state.workspace = Some(Ok(before.state.clone()));
        if let Some(refusal) = refusal {
            return skipped(refusal.to_owned());
        }
        let deps = state.restored.get(&TierName::Deps);
        let interface = match deps {
            Some(entry) => interface_of(&entry.facts),
            // Nothing is restored then, and what would be is what counts.
            None if self.settings.lookup_only => self
                .question(TierName::Deps)
                .ok()
                .and_then(|question| super::restore::nearest_facts(self, &question))
                .and_then(|facts| interface_of(&facts)),
            None => None,
        };
        let interface = interface.unwrap_or_else(no_interface);
        let question = match self.workspace_question(interface, &before.state.tree) {
            Ok(question) => question,
            Err(reason) => return skipped(reason),
        };
        let mut work = WorkspaceWork::new(self.target_work(TierName::Workspace, None));
        work.before = Some(&before);
        work.moment = moment;
        work.target.beside = match deps.map(|entry| &entry.facts.contents) {
            Some(Contents::Target { units, .. }) => units.clone(),
            _ => Vec::new(),
        };
        let report = self.restore_tier(&work, question, deadline, state);
        let told = work.told.take();
        state.baseline.made_new = told.made_new;
        if let Some(Ok(workspace)) = &mut state.workspace {
            workspace.changed = told.changed;
        }
        report
    }

    /// Saves the workspace crates under the interface of the dependencies that a later job will find. `deps` is what came
    /// of saving those.
    pub(super) fn save_workspace(
        &self,
        judged: Option<&[JudgedRoot]>,
        state: Option<&RunState>,
        deps: Option<&Saved>,
        job: JobResult,
        deadline: Deadline,
    ) -> SaveReport {
        if let Some(reason) = self.refusal(job) {
            return SaveReport::skipped(reason.to_string());
        }
        match self.workspace_question_of_save(judged, state, deps, deadline) {
            Ok((question, interface)) => {
                let mut work = WorkspaceWork::new(self.target_work(TierName::Workspace, judged));
                work.stored_interface = Some(interface);
                self.save_tier(&work, &question, state, job, deadline)
                    .report
            }
            Err(reason) => SaveReport::skipped(reason),
        }
    }

    fn workspace_question_of_save(
        &self,
        judged: Option<&[JudgedRoot]>,
        state: Option<&RunState>,
        deps: Option<&Saved>,
        deadline: Deadline,
    ) -> Result<(Question, Digest), String> {
        self.may_cache_workspace()?;
        let before = state.and_then(|state| state.workspace.as_ref());
        let before = before.ok_or(NO_STATE)?.as_ref().map_err(Clone::clone)?;
        let judged = judged.ok_or("the target directories could not be read")?;
        let stored = self.deps_that_stay(state, deps, deadline);
        let interface = match &stored {
            Some(facts) => {
                if let Some(difference) = differs_from_stored(judged, facts) {
                    return Err(difference);
                }
                interface_of(facts).unwrap_or_else(no_interface)
            }
            None if judged.iter().all(|root| root.interface.is_none()) => no_interface(),
            None => return Err("the dependencies that they belong to are not stored".to_owned()),
        };
        let question = self.workspace_question(interface, &before.tree)?;
        Ok((question, interface))
    }

    /// What the entry of the dependencies says of itself that a later job will find.
    fn deps_that_stay(
        &self,
        state: Option<&RunState>,
        deps: Option<&Saved>,
        deadline: Deadline,
    ) -> Option<EntryFacts> {
        let restored = state.and_then(|state| state.restored.get(&TierName::Deps));
        let deps = deps?;
        match deps.report.outcome {
            SaveOutcome::Saved => deps.stored.clone(),
            SaveOutcome::Raced => {
                super::restore::facts_of(self, TierName::Deps, &deps.report.key, deadline)
            }
            SaveOutcome::Skipped => restored.map(|entry| entry.facts.clone()),
            SaveOutcome::Failed => None,
        }
    }

    /// Why workspace crates are not cached whatever is found, if that is so.
    fn may_cache_workspace(&self) -> Result<(), String> {
        if self.settings.tiers.contains(&TierName::Deps) {
            Ok(())
        } else {
            Err("they belong to dependencies, and the tier deps is not in use".to_owned())
        }
    }

    fn workspace_question(&self, interface: Digest, tree: &KeyPart) -> Result<Question, String> {
        self.facts()
            .workspace(interface, tree)
            .map_err(|error| error.to_string())
    }

    /// What a restore would ask for, if it found the dependencies that the store has now.
    pub(super) fn workspace_question_of_plan(&self) -> Result<Question, String> {
        self.may_cache_workspace()?;
        let deps = self.question(TierName::Deps)?;
        let interface = super::restore::nearest_facts(self, &deps)
            .and_then(|facts| interface_of(&facts))
            .unwrap_or_else(no_interface);
        let tree = project::read_tree(&self.project().tree_request(), self.environment);
        self.workspace_question(interface, &tree.part)
    }
}

/// The manifest of an entry.
pub(super) fn manifest_of(facts: &EntryFacts) -> anyhow::Result<&SourceManifest> {
    match &facts.contents {
        Contents::Target {
            sources: Some(manifest),
            ..
        } => Ok(manifest),
        _ => anyhow::bail!("the entry does not say what its sources were"),
    }
}

/// The interface that an entry has, or belongs to.
pub(super) fn interface_of(facts: &EntryFacts) -> Option<Digest> {
    match &facts.contents {
        Contents::Target { interface, .. } => Some(*interface),
        Contents::Registry(_) | Contents::Sccache(_) | Contents::Tools(_) | Contents::Extra(_) => {
            None
        }
    }
}

/// The interface of a project without dependencies.
pub(super) fn no_interface() -> Digest {
    DigestBuilder::new().finish()
}

/// Why the units of a job do not belong beside the stored entry `deps`, if that is so: it has another build of a
/// dependency that they may have been compiled against.
pub(super) fn differs_from_stored(judged: &[JudgedRoot], deps: &EntryFacts) -> Option<String> {
    judged.iter().find_map(|root| {
        let stored: BTreeMap<_, _> = records_of(deps, root.name())
            .map(|record| (&record.id, record))
            .collect();
        let other = root.kept(TierName::Deps).find(|(_, own)| {
            stored
                .get(&own.id)
                .is_some_and(|record| record.interface != own.interface)
        });
        other.map(|(unit, _)| {
            format!(
                "{} was compiled here, and another build of it is stored",
                unit.id.package
            )
        })
    })
}

/// Cargo takes a unit for stale if what it was compiled against is newer. The builds here are those that the entry was
/// compiled against, or equal to them: as they may have been compiled later all the same, all of them become older, by
/// the same span. Only what this run restored is touched.
fn make_dependencies_older(
    session: &Session<'_>,
    facts: &EntryFacts,
    restored: &[(RelativePath, UnitRecord)],
) -> anyhow::Result<()> {
    let reading = super::target::source_roots(session);
    for root in &session.project().roots {
        let own: BTreeSet<_> = records_of(facts, &root.name)
            .map(|record| &record.id)
            .collect();
        if own.is_empty() || !root.directory.is_dir() {
            continue;
        }
        let tree = unit::read_target(&root.directory, &reading)?;
        let records: BTreeMap<_, _> = restored
            .iter()
            .filter(|(name, _)| *name == root.name)
            .map(|(_, record)| (&record.id, record))
            .collect();
        let dependencies: Vec<_> = tree
            .units
            .iter()
            .filter(|unit| unit.origin.is_cargo_home())
            .collect();
        let all_restored = dependencies.iter().all(|unit| {
            records
                .get(&unit.id)
                .is_some_and(|record| record.describes(unit))
        });
        let units = tree.units.iter().filter(|unit| own.contains(&unit.id));
        if all_restored {
            unit::make_older(&tree.directory, &dependencies, units)?;
        }
    }
    Ok(())
}

/// What the sources are after the job, with what the units of `roots` say that they read.
fn record(
    session: &Session<'_>,
    roots: &[JudgedRoot],
    state: Option<&RunState>,
) -> anyhow::Result<SourceManifest> {
    let sources = sources::scan(session.project())?;
    let entry = state.and_then(|state| state.restored.get(&TierName::Workspace));
    let restored = entry.and_then(|entry| manifest_of(&entry.facts).ok());
    let nothing = Verdicts::default();
    let known = restored.map_or(&nothing, |manifest| &manifest.verdicts);
    let mut inputs = Inputs::default();
    for root in roots {
        let read = sources::read_inputs(session, &root.reading.tree, &sources, known);
        inputs.readers.extend(read.readers);
        inputs.verdicts.extend(read.verdicts);
    }
    let before = state.and_then(|state| state.workspace.as_ref()?.as_ref().ok());
    let job = Job {
        head: &sources::head(session),
        ignored: &freshness::ignored_paths(&sources, session.environment),
        listing: before.map(|before| &before.listing),
        restored,
        saved_max: saved_max(roots),
    };
    Ok(SourceManifest::record(&sources, &inputs, &job))
}

/// The newest modification time of what is stored.
fn saved_max(roots: &[JudgedRoot]) -> Mtime {
    let files: Vec<_> = roots
        .iter()
        .flat_map(|root| {
            let kept = root.kept(TierName::Workspace);
            kept.flat_map(|(unit, _)| &unit.files)
                .map(|file| file.path.below(&root.reading.tree.directory))
        })
        .collect();
    files
        .par_iter()
        .filter_map(|path| fs_err::symlink_metadata(path).ok())
        .map(|metadata| Mtime::of(&metadata))
        .max()
        // Nothing is stored: nothing can be older than it.
        .unwrap_or(Mtime {
            seconds: 0,
            nanos: 0,
        })
}
