//! The tiers `deps` and `workspace` in the engine: two halves of the same target directories.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap, HashSet},
    path::PathBuf,
    time::SystemTime,
};

use anyhow::Context as _;

use super::{
    incremental,
    judged::JudgedRoot,
    moved::MovedUnits,
    session::Session,
    unit_set::UnitSet,
    work::{Brought, Collected, Selection, TierWork, bring_pieces},
};
use crate::{
    archive::{Compression, Group, Member, path::RelativePath},
    entry::{Contents, EntryFacts},
    key::{DigestBuilder, Fact, KeyPart, PartName},
    place::{LockPlace, Piece, Staging, place_whole},
    policy::Novelty,
    prune::worth_saving,
    state::RunState,
    tier::TierName,
    unit::{self, SourceRoots, TargetTree, Unit, UnitFile, UnitId, UnitKind, UnitRecord},
};

/// One of the two tiers that live in target directories.
pub(super) struct TargetWork<'run> {
    pub session: &'run Session<'run>,
    pub tier: TierName,
    /// The target directories as the job left them; `None` before it has, or if they could not be read.
    pub judged: Option<&'run [JudgedRoot]>,
    /// The records of units that were restored into the same directories before, by root.
    pub beside: Vec<(RelativePath, UnitRecord)>,
}

impl TierWork for TargetWork<'_> {
    fn tier(&self) -> TierName {
        self.tier
    }

    fn roots(&self) -> BTreeMap<RelativePath, PathBuf> {
        self.session
            .project()
            .roots
            .iter()
            .map(|root| (root.name.clone(), root.directory.clone()))
            .collect()
    }

    /// Units that hold the path of the target directory they were compiled in are of no use in another, and those that
    /// are there already stay as they are.
    fn select(&self, facts: &EntryFacts) -> anyhow::Result<Selection> {
        let roots = self.roots();
        let moved = MovedUnits::of(facts, &roots);
        let present = self.present_units(&roots, facts)?;
        let count = present.len();
        let left_out = moved.told();
        Ok(Selection {
            wanted: Box::new(move |member| !moved.units().holds(member) && !present.holds(member)),
            left_out,
            present: count,
        })
    }

    fn put_in_place(
        &self,
        root: &RelativePath,
        staging: &Staging,
        facts: &EntryFacts,
    ) -> anyhow::Result<Brought> {
        let records: Vec<_> = records_of(facts, root).collect();
        if place_whole(staging)? {
            return Ok(Brought {
                placed: records.len(),
                ..Brought::default()
            });
        }
        let sources = source_roots(self.session);
        let staged = unit::read_target(staging.path(), &sources)?;
        let present = unit::read_target(staging.root(), &sources)?;
        let beside = self.beside.iter().filter(|(name, _)| name == root);
        let known: Vec<_> = records
            .into_iter()
            .chain(beside.map(|(_, record)| record))
            .collect();
        let (mut pieces, left) = pieces(&staged, &present, &known);
        let profiles = unit::profile_directories(staging.path());
        pieces.extend(incremental::pieces(staging.path(), &profiles));
        let mut brought = bring_pieces(staging, &pieces)?;
        if left > 0 {
            brought.notes.push(format!(
                "{left} units do not fit those that are there, and are left to Cargo"
            ));
        }
        Ok(brought)
    }

    /// Of the profiles that are there, and of those that the entry brings.
    fn locks(&self, entry: Option<&EntryFacts>) -> Vec<LockPlace> {
        let mut places = Vec::new();
        for root in &self.session.project().roots {
            let brought = entry
                .into_iter()
                .flat_map(|entry| records_of(entry, &root.name))
                .map(|record| record.id.profile.clone());
            let profiles: BTreeSet<_> = unit::profile_directories(&root.directory)
                .into_iter()
                .chain(brought)
                .collect();
            places.extend(profiles.into_iter().map(|profile| LockPlace::Profile {
                root: root.directory.clone(),
                profile,
            }));
        }
        places
    }

    fn collect(&self, state: Option<&RunState>) -> anyhow::Result<Collected> {
        let roots = self
            .judged
            .context("the target directories could not be read")?;
        let mut records = Vec::new();
        let mut groups = Groups::default();
        let mut interface = DigestBuilder::new();
        let mut notes = Vec::new();
        for root in roots {
            if let Some(own) = root.interface {
                interface.field(root.name().as_str(), own.as_raw());
            }
            for (unit, record) in root.kept(self.tier) {
                groups.add_unit(root, unit);
                records.push((root.name().clone(), record.clone()));
            }
            match self.tier {
                TierName::Deps if !records.is_empty() => {
                    groups.add_files(root, &root.reading.tree.shared);
                    let told = root.reading.tree.notes.iter();
                    notes.extend(told.map(|note| format!("{}: {}", note.path, note.text)));
                }
                // Cargo takes documentation for fresh only if its pages are there, which may be in another root.
                TierName::Workspace if roots.iter().any(has_documentation) => {
                    groups.add_files(root, &root.reading.tree.artefacts);
                }
                _ => {}
            }
            if self.tier == TierName::Workspace && self.session.settings.incremental {
                let (members, bytes) = incremental::members(root, SystemTime::now());
                groups.units.extend(members);
                groups.bytes += bytes;
            }
        }
        Ok(Collected {
            raw_bytes: groups.bytes,
            groups: groups.finish(),
            set: Some(set(&records)),
            novelty: self.novelty(&records, roots, state),
            contents: Contents::Target {
                units: records,
                interface: interface.finish(),
                sources: None,
            },
            notes,
        })
    }
}

impl TargetWork<'_> {
    /// The units of the entry that are in place already.
    fn present_units(
        &self,
        roots: &BTreeMap<RelativePath, PathBuf>,
        facts: &EntryFacts,
    ) -> anyhow::Result<UnitSet> {
        let sources = source_roots(self.session);
        let mut present = UnitSet::default();
        for (name, directory) in roots {
            if !directory.is_dir() {
                continue;
            }
            let tree = unit::read_target(directory, &sources)?;
            let ids: HashSet<_> = tree.units.iter().map(|unit| &unit.id).collect();
            for record in records_of(facts, name).filter(|record| ids.contains(&record.id)) {
                present.add(name, &record.id.hash);
            }
        }
        Ok(present)
    }

    fn novelty(
        &self,
        records: &[(RelativePath, UnitRecord)],
        roots: &[JudgedRoot],
        state: Option<&RunState>,
    ) -> Novelty {
        let new: BTreeSet<_> = roots
            .iter()
            .flat_map(|root| {
                let new = root.kept(self.tier);
                new.filter(|(unit, _)| root.reading.new.contains(&unit.id))
            })
            .map(|(unit, _)| unit.id.clone())
            .collect();
        if new.is_empty() {
            return Novelty::Unchanged;
        }
        let why = format!("{} of {} units are new", new.len(), records.len());
        let is_first = state.is_none_or(|state| !state.restored.contains_key(&self.tier));
        let share = worth_saving(records.iter().map(|(_, record)| record), &new).share();
        let threshold = self.session.settings.save_threshold;
        if is_first || share >= threshold {
            Novelty::New { why }
        } else {
            Novelty::BelowThreshold {
                percent: percent(share),
                threshold_percent: percent(threshold),
            }
        }
    }
}

/// Whether documentation of workspace crates is kept.
fn has_documentation(root: &JudgedRoot) -> bool {
    root.kept(TierName::Workspace)
        .any(|(unit, _)| unit.kind == UnitKind::Doc)
}

/// The records of an entry's units in one root.
pub(super) fn records_of<'facts>(
    facts: &'facts EntryFacts,
    root: &RelativePath,
) -> impl Iterator<Item = &'facts UnitRecord> {
    let units = match &facts.contents {
        Contents::Target { units, .. } => units.as_slice(),
        Contents::Registry(_) | Contents::Sccache(_) | Contents::Tools(_) | Contents::Extra(_) => {
            &[]
        }
    };
    let root = root.clone();
    units
        .iter()
        .filter(move |(name, _)| *name == root)
        .map(|(_, record)| record)
}

/// A share as whole percents, rounded down.
pub(super) fn percent(share: f64) -> u8 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a share lies between 0 and 1"
    )]
    let percent = (share.clamp(0.0, 1.0) * 100.0) as u8;
    percent
}

/// What a target directory's units are read with.
pub(super) fn source_roots(session: &Session<'_>) -> SourceRoots {
    let bases = session
        .project()
        .workspaces
        .iter()
        .map(|workspace| workspace.root.clone());
    SourceRoots::new(&session.project().cargo_home, bases)
}

/// Every unit is a piece, and so is every file of the directory itself. Units that do not fit what is there are left out
/// and counted.
fn pieces(
    staged: &TargetTree,
    present: &TargetTree,
    records: &[&UnitRecord],
) -> (Vec<Piece>, usize) {
    let unfit = unfit(staged, present, records);
    let units = staged
        .units
        .iter()
        .filter(|unit| !unfit.contains(&unit.id))
        .map(|unit| Piece {
            name: format!("{}-{}", unit.id.package, unit.id.hash),
            files: unit.files.iter().map(|file| file.path.clone()).collect(),
        });
    let files = staged
        .shared
        .iter()
        .chain(&staged.artefacts)
        .map(|file| Piece {
            name: file.path.to_string(),
            files: vec![file.path.clone()],
        });
    (units.chain(files).collect(), unfit.len())
}

/// The staged units that must not be mixed with the present ones.
///
/// A unit knows the exact builds that it was compiled against, but Cargo compares fingerprints, which another build of the
/// same dependency shares: it would take the two for fresh and link them. So a unit is unfit if one that is there was
/// compiled against a build of it that is gone, or if it was itself compiled against another build than the one that is
/// there, or against an unfit unit.
fn unfit<'tree>(
    staged: &'tree TargetTree,
    present: &TargetTree,
    records: &[&UnitRecord],
) -> HashSet<&'tree UnitId> {
    let ids: HashSet<_> = present.units.iter().map(|unit| &unit.id).collect();
    let relied_on: HashSet<_> = present.units.iter().flat_map(dependency_values).collect();
    let records: HashMap<_, _> = records.iter().map(|record| (&record.id, *record)).collect();
    let is_other_build = |unit: &&Unit| {
        records
            .get(&unit.id)
            .is_none_or(|record| !record.describes(unit))
    };
    let mut refused: HashSet<_> = present
        .units
        .iter()
        .filter(is_other_build)
        .flat_map(values)
        .collect();
    let mut unfit = HashSet::new();
    loop {
        let found: Vec<_> = staged
            .units
            .iter()
            .filter(|unit| !ids.contains(&unit.id) && !unfit.contains(&unit.id))
            .filter(|unit| {
                values(unit).any(|value| relied_on.contains(value))
                    || dependency_values(unit).any(|value| refused.contains(value))
            })
            .collect();
        if found.is_empty() {
            return unfit;
        }
        for unit in found {
            unfit.insert(&unit.id);
            refused.extend(values(unit));
        }
    }
}

/// The fingerprint values of a unit.
fn values(unit: &Unit) -> impl Iterator<Item = &str> {
    unit.fingerprints()
        .map(|fingerprint| fingerprint.value.as_str())
}

/// The fingerprint values of what a unit was compiled against.
fn dependency_values(unit: &Unit) -> impl Iterator<Item = &str> {
    unit.fingerprints()
        .flat_map(|fingerprint| &fingerprint.deps)
        .map(|(_, value)| value.as_str())
}

/// What the entry holds: names and fingerprints of its units.
fn set(records: &[(RelativePath, UnitRecord)]) -> KeyPart {
    KeyPart::new(
        PartName::Set,
        records.iter().map(|(root, record)| {
            let id = &record.id;
            Fact::new(
                format!("{root}/{}/{}-{}", id.profile, id.package, id.hash),
                record.values.join(" "),
            )
        }),
    )
}

/// Members in the order of the archive: units one after the other, their executables together at the end.
#[derive(Default)]
struct Groups {
    units: Vec<Member>,
    executables: Vec<Member>,
    bytes: u64,
}

impl Groups {
    fn add_unit(&mut self, root: &JudgedRoot, unit: &Unit) {
        let is_executable = matches!(
            unit.kind,
            UnitKind::BuildScript | UnitKind::Executable | UnitKind::Test
        );
        let members = members(root, &unit.files);
        if is_executable {
            self.executables.extend(members);
        } else {
            self.units.extend(members);
        }
        self.bytes += unit.bytes();
    }

    fn add_files(&mut self, root: &JudgedRoot, files: &[UnitFile]) {
        self.units.extend(members(root, files));
        self.bytes += files.iter().map(|file| file.bytes).sum::<u64>();
    }

    fn finish(self) -> Vec<Group> {
        vec![
            Group {
                compression: Compression::Normal,
                members: self.units,
            },
            Group {
                compression: Compression::LongWindow,
                members: self.executables,
            },
        ]
    }
}

fn members<'a>(root: &'a JudgedRoot, files: &'a [UnitFile]) -> impl Iterator<Item = Member> + 'a {
    files.iter().map(|file| Member {
        name: root.name().join(&file.path),
        source: file.path.below(&root.reading.tree.directory),
    })
}
