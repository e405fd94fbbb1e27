//! The replay: sources that are what they were when the restored units were compiled get the times back that they had
//! then, all others are new.

use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Write as _},
    path::PathBuf,
};

use anyhow::bail;
use filetime::FileTime;

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
        self, Head, Mtime, OutsideFiles, PathSet, Present, Reason, ReplayError, ReplayPlan,
        SourceManifest, Sources,
    },
    rebuild::{MadeNew, NewPart},
    state::{DeletedFile, RunState},
    tier::TierName,
    unit::{self, TargetTree},
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
        let sources = sources::scan(self.project())?;
        let replay = Replay {
            session: self,
            sources: &sources,
            known_trees: &before.known_trees,
        };
        put_back(&before.deleted)?;
        let told = replay.run(manifest_of(&entry.facts)?)?;
        before.listing.renew(&sources);
        before.deleted = told.deleted;
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
    /// The sources as they are now.
    pub sources: &'a Sources,
    /// The labels of the trees in which no time may be set back.
    pub known_trees: &'a BTreeSet<String>,
}

/// What a replay did.
#[derive(Debug, Default)]
pub(super) struct ReplayTold {
    /// What to tell the user, in words.
    pub note: Option<String>,
    /// What was made new of which package, and why.
    pub made_new: BTreeMap<String, Vec<MadeNew>>,
    /// The restored files that were deleted.
    pub deleted: Vec<DeletedFile>,
}

impl Replay<'_> {
    /// Replays `manifest` over the sources, for the units that lie in the project's target directories.
    pub(super) fn run(&self, manifest: &SourceManifest) -> anyhow::Result<ReplayTold> {
        let reading = source_roots(self.session);
        let trees = self
            .session
            .project()
            .roots
            .iter()
            .filter(|root| root.directory.is_dir())
            .map(|root| unit::read_target(&root.directory, &reading))
            .collect::<Result<Vec<_>, _>>()?;
        let head = Head::of(&self.session.project().directory, self.session.environment);
        let ignored = freshness::ignored_paths(self.sources, self.session.environment);
        let now = Mtime::now();
        let mut plans: Vec<_> = trees
            .iter()
            .map(|tree| self.plan(manifest, tree, &head, &ignored, now))
            .collect();
        share_times(&mut plans);
        for plan in &mut plans {
            self.keep_from_setting_back(plan);
        }
        let mut told = told(&plans);
        for (tree, plan) in trees.iter().zip(&plans) {
            let deleted = plan.deleted.iter().map(|path| path.below(&tree.directory));
            told.deleted.extend(deleted.filter_map(keep));
            freshness::replay(plan, self.sources, &tree.directory)?;
        }
        Ok(told)
    }

    fn plan(
        &self,
        manifest: &SourceManifest,
        tree: &TargetTree,
        head: &Head,
        ignored: &PathSet,
        now: Mtime,
    ) -> ReplayPlan {
        let inputs = read_inputs(self.session, tree, self.sources);
        let outside = OutsideFiles::read(inputs.outside_paths());
        let present = Present {
            sources: self.sources,
            inputs: &inputs,
            head,
            ignored,
            outside: &outside,
            now,
        };
        freshness::plan(manifest, &present, self.session.settings.build_scripts)
    }

    /// Leaves new what would get an earlier time than it has, in trees that something unknown may have been built from.
    fn keep_from_setting_back(&self, plan: &mut ReplayPlan) {
        let mut known = PathSet::default();
        for tree in self.known_trees {
            known.insert(tree.clone());
        }
        plan.restored.retain(|name, time| {
            let found = self.sources.entries.get(name);
            !known.contains(name) || found.is_some_and(|found| found.mtime <= *time)
        });
    }
}

/// What a later replay has to put back before it judges anew. A file that cannot be read is made again by Cargo.
fn keep(path: PathBuf) -> Option<DeletedFile> {
    let modified = fs_err::metadata(&path).ok()?.modified().ok()?;
    Some(DeletedFile {
        content: fs_err::read(&path).ok()?,
        modified,
        path,
    })
}

/// Puts back what an earlier replay deleted, unless something is there by now.
fn put_back(files: &[DeletedFile]) -> anyhow::Result<()> {
    for file in files {
        match fs_err::File::create_new(&file.path) {
            Ok(mut new) => {
                new.write_all(&file.content)?;
                filetime::set_file_mtime(&file.path, FileTime::from_system_time(file.modified))?;
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
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
        deleted: Vec::new(),
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

    #[test]
    fn what_a_replay_deleted_is_put_back_with_its_time_unless_it_was_made_again() {
        let directory = tempfile::tempdir().expect("there is room");
        let path = directory.path().join("output");
        fs_err::write(&path, "said").expect("written");
        filetime::set_file_mtime(&path, FileTime::from_unix_time(5, 700)).expect("set");
        let kept = keep(path.clone()).expect("it can be read");
        fs_err::remove_file(&path).expect("removed");
        put_back(std::slice::from_ref(&kept)).expect("put back");
        let time = |path| {
            let metadata = fs_err::metadata(path).expect("it is there");
            FileTime::from_last_modification_time(&metadata)
        };
        assert_eq!(time(&path), FileTime::from_unix_time(5, 700));

        fs_err::write(&path, "new").expect("written");
        put_back(&[kept]).expect("nothing to do");
        assert_eq!(fs_err::read(&path).expect("read"), b"new");
    }
}
