//! The `registry` tier in the engine.

use std::{collections::BTreeMap, path::PathBuf};

use super::{
    locked::is_needed,
    work::{Brought, Collected, JobView, Selection, TierWork, bring_pieces, cargo_home_root},
};
use crate::{
    archive::{Compression, Group, Member, path::RelativePath},
    entry::{Contents, EntryFacts},
    place::{LockPlace, Piece, Staging},
    policy::Novelty,
    tier::{LockedPackage, RegistryPiece, RegistryTree, TierName, read_registry},
};

/// CARGO_HOME and the packages that the lockfiles name.
pub(super) struct RegistryWork {
    pub cargo_home: PathBuf,
    pub packages: Vec<LockedPackage>,
}

impl TierWork for RegistryWork {
    fn tier(&self) -> TierName {
        TierName::Registry
    }

    fn roots(&self) -> BTreeMap<RelativePath, PathBuf> {
        BTreeMap::from([(cargo_home_root(), self.cargo_home.clone())])
    }

    /// An entry of another lockfile may hold a great many packages that this one has no use for.
    fn select(&self, _facts: &EntryFacts) -> Selection {
        let wanted = is_needed(&self.packages);
        Selection {
            wanted: Box::new(move |member| {
                member
                    .strip_prefix(&cargo_home_root())
                    .is_some_and(|path| wanted(&path))
            }),
            left_out: None,
        }
    }

    fn put_in_place(
        &self,
        _root: &RelativePath,
        staging: &Staging,
        _facts: &EntryFacts,
    ) -> anyhow::Result<Brought> {
        // On a fresh machine there may be no CARGO_HOME yet; the pieces need a directory to go to.
        fs_err::create_dir_all(staging.root())?;
        let tree = read_registry(staging.path(), &self.packages);
        let pieces: Vec<_> = tree.pieces.iter().map(piece).collect();
        Ok(bring_pieces(staging, &pieces)?)
    }

    fn locks(&self) -> Vec<LockPlace> {
        vec![LockPlace::CargoHome(self.cargo_home.clone())]
    }

    fn collect(&self, job: &JobView<'_>) -> anyhow::Result<Collected> {
        let mut tree = read_registry(&self.cargo_home, &self.packages);
        tree.leave_out_damaged(&self.packages);
        Ok(Collected {
            groups: groups(&tree),
            raw_bytes: tree.bytes(),
            contents: Contents::Registry(tree.names().map(str::to_owned).collect()),
            set: Some(tree.set()),
            novelty: novelty(&tree, job),
            units: None,
            notes: tree.notes,
        })
    }
}

fn piece(piece: &RegistryPiece) -> Piece {
    Piece {
        name: piece.path.to_string(),
        files: vec![piece.path.clone()],
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

fn novelty(tree: &RegistryTree, job: &JobView<'_>) -> Novelty {
    let restored = job
        .state
        .and_then(|state| state.restored.get(&TierName::Registry))
        .and_then(|entry| match &entry.facts.contents {
            Contents::Registry(names) => Some(names.as_slice()),
            Contents::Target { .. } | Contents::Tools(_) | Contents::Extra(_) => None,
        })
        .unwrap_or_default();
    match tree.novelty(restored).len() {
        0 => Novelty::Unchanged,
        1 => Novelty::New {
            why: "1 download was new".to_owned(),
        },
        count => Novelty::New {
            why: format!("{count} downloads were new"),
        },
    }
}
