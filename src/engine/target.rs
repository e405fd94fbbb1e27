//! The tiers `deps` and `workspace` in the engine: two halves of the same target directories.

use std::{
    cell::OnceCell,
    collections::{BTreeMap, BTreeSet, HashSet},
    path::PathBuf,
};

use super::{
    moved::MovedUnits,
    reading::{Reading, RootReading},
    session::Session,
    work::{Brought, Collected, JobView, Selection, TierWork, bring_pieces},
};
use crate::{
    archive::{Compression, Group, Member, path::RelativePath},
    entry::{Contents, EntryFacts},
    key::{DigestBuilder, Fact, KeyPart, PartName},
    place::{LockPlace, Piece, Staging, place_whole},
    policy::Novelty,
    prune::worth_saving,
    tier::TierName,
    unit::{self, AccessTimes, SourceRoots, TargetTree, Unit, UnitFile, UnitKind, UnitRecord},
};

/// One of the two tiers that live in target directories.
pub(super) struct TargetWork<'run> {
    pub session: &'run Session<'run>,
    pub tier: TierName,
    pub reading: OnceCell<Reading>,
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

    /// Units that hold the path of the target directory they were compiled in are of no use in another.
    fn select(&self, facts: &EntryFacts) -> Selection {
        let moved = MovedUnits::of(facts, &self.roots());
        let left_out = moved.told();
        Selection {
            wanted: Box::new(move |member| !moved.holds(member)),
            left_out,
        }
    }

    fn put_in_place(
        &self,
        _root: &RelativePath,
        staging: &Staging,
        _facts: &EntryFacts,
    ) -> anyhow::Result<Brought> {
        let sources = source_roots(self.session);
        let staged = unit::read_target(staging.path(), &sources)?;
        if place_whole(staging)? {
            return Ok(Brought {
                placed: staged.units.len(),
                ..Brought::default()
            });
        }
        let present = unit::read_target(staging.root(), &sources)?;
        let (pieces, unsafe_pieces) = pieces(&staged, &present);
        let mut brought = bring_pieces(staging, &pieces)?;
        if unsafe_pieces > 0 {
            brought.notes.push(format!(
                "{unsafe_pieces} units are left to Cargo, as others that are there were compiled against them"
            ));
        }
        Ok(brought)
    }

    fn locks(&self) -> Vec<LockPlace> {
        let mut places = Vec::new();
        for root in &self.session.project().roots {
            for profile in unit::profile_directories(&root.directory) {
                places.push(LockPlace::Profile {
                    root: root.directory.clone(),
                    profile,
                });
            }
        }
        places
    }

    fn collect(&self, job: &JobView<'_>) -> anyhow::Result<Collected> {
        let reading = Reading::take(self.session, job)?;
        let reading = self.reading.get_or_init(|| reading);
        let mut records = Vec::new();
        let mut groups = Groups::default();
        let mut interface = DigestBuilder::new();
        let mut notes = Vec::new();
        for root in &reading.roots {
            interface.field(root.name.as_str(), root.interface.as_raw());
            for (unit, record) in root.kept(self.tier) {
                groups.add_unit(root, unit);
                records.push((root.name.clone(), record.clone()));
            }
            if self.tier == TierName::Deps && !records.is_empty() {
                groups.add_files(root, &root.tree.shared);
            }
            notes.extend(root.notes.iter().cloned());
        }
        Ok(Collected {
            raw_bytes: groups.bytes,
            groups: groups.finish(),
            set: Some(set(&records)),
            novelty: self.novelty(&records, reading, job),
            contents: Contents::Target {
                units: records,
                interface: interface.finish(),
            },
            units: Some(reading.units_report()),
            notes,
        })
    }
}

impl TargetWork<'_> {
    fn novelty(
        &self,
        records: &[(RelativePath, UnitRecord)],
        reading: &Reading,
        job: &JobView<'_>,
    ) -> Novelty {
        let new: usize = reading
            .roots
            .iter()
            .map(|root| {
                root.kept(self.tier)
                    .filter(|(unit, _)| root.is_new(unit))
                    .count()
            })
            .sum();
        if new == 0 {
            return Novelty::Unchanged;
        }
        let why = format!("{new} of {} units are new", records.len());
        let is_first = job
            .state
            .is_none_or(|state| !state.restored.contains_key(&self.tier));
        let all_new: BTreeSet<_> = reading
            .roots
            .iter()
            .flat_map(RootReading::new_units)
            .collect();
        let share = worth_saving(records.iter().map(|(_, record)| record), &all_new).share();
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

/// A share as whole percents, rounded down.
fn percent(share: f64) -> u8 {
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

/// Makes every unit that is in place show whether the job uses it, and says of each root whether that works.
pub(super) fn arm(session: &Session<'_>) -> BTreeMap<RelativePath, bool> {
    let sources = source_roots(session);
    session
        .project()
        .roots
        .iter()
        .filter(|root| root.directory.is_dir())
        .map(|root| {
            let armed = unit::probe(&root.directory).is_ok_and(|times| times == AccessTimes::Move)
                && unit::read_target(&root.directory, &sources)
                    .is_ok_and(|tree| unit::arm(&tree).is_ok());
            (root.name.clone(), armed)
        })
        .collect()
}

/// The fingerprint values that the units of a directory were compiled against.
///
/// If one of these is not there itself, the stored build of it may be another than the one that its dependents know, and
/// Cargo would link the two: it has to compile them all again.
fn values_relied_on(tree: &TargetTree) -> HashSet<&str> {
    tree.units
        .iter()
        .flat_map(Unit::fingerprints)
        .flat_map(|fingerprint| &fingerprint.deps)
        .map(|(_, value)| value.as_str())
        .collect()
}

/// Every unit is a piece, and so is every file of the directory itself. Units that are missing among the `present` ones,
/// and yet relied on by those, are left out and counted.
fn pieces(staged: &TargetTree, present: &TargetTree) -> (Vec<Piece>, usize) {
    let relied_on = values_relied_on(present);
    let ids: HashSet<_> = present.units.iter().map(|unit| &unit.id).collect();
    let is_relied_on = |unit: &&Unit| {
        !ids.contains(&unit.id)
            && unit
                .fingerprints()
                .any(|fingerprint| relied_on.contains(fingerprint.value.as_str()))
    };
    let (left_out, placed): (Vec<_>, Vec<_>) = staged.units.iter().partition(is_relied_on);
    let units = placed.into_iter().map(|unit| Piece {
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
    (units.chain(files).collect(), left_out.len())
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
    fn add_unit(&mut self, root: &RootReading, unit: &Unit) {
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

    fn add_files(&mut self, root: &RootReading, files: &[UnitFile]) {
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

fn members<'a>(root: &'a RootReading, files: &'a [UnitFile]) -> impl Iterator<Item = Member> + 'a {
    files.iter().map(|file| Member {
        name: root.name.join(&file.path),
        source: file.path.below(&root.tree.directory),
    })
}
