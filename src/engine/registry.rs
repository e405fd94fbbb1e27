//! The `registry` tier in the engine.

use std::{
    collections::{BTreeMap, HashSet},
    path::PathBuf,
};

use super::{
    locked::is_needed,
    work::{Brought, Collected, Selection, TierWork, bring_unpacked, cargo_home_root},
};
use crate::{
    archive::{Compression, Group, Member, path::RelativePath},
    entry::{Contents, EntryFacts},
    place::{LockPlace, Staging},
    policy::Novelty,
    state::RunState,
    tier::{LockedPackage, RegistryTree, TierName, read_registry, registry::is_piece_name},
};

/// CARGO_HOME and the packages that the lockfiles name.
pub(super) struct RegistryWork<'run> {
    pub cargo_home: PathBuf,
    /// The packages of the lockfiles before the job.
    pub packages: Vec<LockedPackage>,
    /// Those after it, which are the same unless there was no lockfile.
    pub packages_now: Box<dyn Fn() -> Vec<LockedPackage> + 'run>,
}

impl TierWork for RegistryWork<'_> {
    fn tier(&self) -> TierName {
        TierName::Registry
    }

    fn roots(&self) -> BTreeMap<RelativePath, PathBuf> {
        BTreeMap::from([(cargo_home_root(), self.cargo_home.clone())])
    }

    fn select(&self, facts: &EntryFacts) -> anyhow::Result<Selection> {
        let pieces = self.needed_pieces(facts);
        let all = pieces.len();
        let missing: Vec<_> = pieces
            .into_iter()
            .filter(|piece| fs_err::symlink_metadata(piece.below(&self.cargo_home)).is_err())
            .collect();
        let present = all - missing.len();
        let missing: HashSet<String> = missing.into_iter().map(String::from).collect();
        let root = cargo_home_root();
        Ok(Selection {
            wanted: Box::new(move |member| {
                member.strip_prefix(&root).is_some_and(|path| {
                    missing.contains(path.as_str())
                        || path.ancestors().any(|above| missing.contains(above))
                })
            }),
            left_out: None,
            present,
        })
    }

    fn put_in_place(
        &self,
        _root: &RelativePath,
        staging: &Staging,
        facts: &EntryFacts,
    ) -> anyhow::Result<Brought> {
        bring_unpacked(staging, self.needed_pieces(facts))
    }

    fn locks(&self, _entry: Option<&EntryFacts>) -> Vec<LockPlace> {
        vec![LockPlace::CargoHome(self.cargo_home.clone())]
    }

    fn collect(&self, state: Option<&RunState>) -> anyhow::Result<Collected> {
        let packages = (self.packages_now)();
        let mut tree = read_registry(&self.cargo_home, &packages);
        tree.leave_out_damaged(&packages);
        Ok(Collected {
            groups: groups(&tree),
            raw_bytes: tree.bytes(),
            contents: Contents::Registry(tree.names().map(str::to_owned).collect()),
            set: Some(tree.set()),
            novelty: novelty(&tree, state),
            notes: tree.notes,
        })
    }
}

impl RegistryWork<'_> {
    /// The pieces of an entry that this project can use. An entry of another lockfile may hold a great many that it
    /// can't; no entry is believed about what a piece is.
    fn needed_pieces(&self, facts: &EntryFacts) -> Vec<RelativePath> {
        let needed = is_needed(&self.packages);
        names(facts)
            .iter()
            .filter_map(|name| RelativePath::new(name.as_str()).ok())
            .filter(|piece| is_piece_name(piece) && needed(piece))
            .collect()
    }
}

/// The names of the pieces that an entry holds.
fn names(facts: &EntryFacts) -> &[String] {
    match &facts.contents {
        Contents::Registry(names) => names,
        Contents::Target { .. }
        | Contents::Sccache(_)
        | Contents::Tools(_)
        | Contents::Extra(_) => &[],
    }
}

/// Index files first and together: they compress well, and what follows does not at all.
fn groups(tree: &RegistryTree) -> Vec<Group> {
    let root = cargo_home_root();
    let members = |compressed: bool| -> Vec<Member> {
        tree.pieces
            .iter()
            .filter(|piece| piece.is_compressed() == compressed)
            .flat_map(|piece| &piece.files)
            .map(|file| Member {
                name: root.join(&file.path),
                source: file.path.below(&tree.cargo_home),
            })
            .collect()
    };
    vec![
        Group {
            compression: Compression::Normal,
            members: members(false),
        },
        Group {
            compression: Compression::Stored,
            members: members(true),
        },
    ]
}

/// What this job downloaded: pieces that the entry does not have, and, where that was of another lockfile, those that
/// changed under their names, as git databases do.
fn novelty(tree: &RegistryTree, state: Option<&RunState>) -> Novelty {
    let entry = state.and_then(|state| state.restored.get(&TierName::Registry));
    let restored = entry.map_or(&[][..], |entry| names(&entry.facts));
    let changed = state
        .filter(|_| entry.is_some_and(|entry| !entry.exact))
        .map_or(0, |state| tree.changed_since(state.started_at).len());
    match tree.novelty(restored).len().max(changed) {
        0 => Novelty::Unchanged,
        1 => Novelty::New {
            why: "1 download was new".to_owned(),
        },
        count => Novelty::New {
            why: format!("{count} downloads were new"),
        },
    }
}
