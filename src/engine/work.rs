//! What the engine needs to know of a tier.

use std::{collections::BTreeMap, path::PathBuf};

use crate::{
    archive::{Group, path::RelativePath},
    entry::{Contents, EntryFacts},
    key::KeyPart,
    place::{LockPlace, Piece, PlaceError, Staging, place_pieces},
    policy::Novelty,
    state::RunState,
    tier::{TierName, registry::CARGO_HOME_ROOT},
};

/// The name of CARGO_HOME as a root in archives.
pub(super) fn cargo_home_root() -> RelativePath {
    RelativePath::new(CARGO_HOME_ROOT).expect("invariant: the name is a plain one")
}

/// One tier: where its files lie, and what of them is worth moving.
pub(super) trait TierWork {
    /// The tier.
    fn tier(&self) -> TierName;

    /// The directories of the tier, by the names that they have in the archive.
    fn roots(&self) -> BTreeMap<RelativePath, PathBuf>;

    /// Which members of an entry to unpack: what is there already need not be fetched again.
    fn select(&self, facts: &EntryFacts) -> anyhow::Result<Selection>;

    /// Puts what was unpacked for the root called `root` in place: whole pieces, and none of which something is there.
    fn put_in_place(
        &self,
        root: &RelativePath,
        staging: &Staging,
        facts: &EntryFacts,
    ) -> anyhow::Result<Brought>;

    /// What has to be so before anything of the entry is in place; Cargo is kept out from here on.
    fn before_placing(&self, _facts: &EntryFacts) -> anyhow::Result<()> {
        Ok(())
    }

    /// What is to be done once everything is in place, before Cargo is let in again. What it has to tell it adds to
    /// `brought`.
    fn after_placing(&self, _facts: &EntryFacts, _brought: &mut Brought) -> anyhow::Result<()> {
        Ok(())
    }

    /// The directories that Cargo is kept out of while an entry is merged into them, or while they are packed.
    fn locks(&self, entry: Option<&EntryFacts>) -> Vec<LockPlace>;

    /// Why nothing can be saved after a job whose restore left no state, if that is so.
    fn needs_state(&self) -> Option<&'static str> {
        None
    }

    /// What of the tier to pack, as the directories stand now.
    fn collect(&self, state: Option<&RunState>) -> anyhow::Result<Collected>;
}

/// Which members of an entry to unpack.
pub(super) struct Selection {
    /// Says of a member, by its name in the archive, whether it is wanted.
    pub wanted: Box<dyn Fn(&RelativePath) -> bool + Sync>,
    /// What is left out that the user would expect, in words.
    pub left_out: Option<String>,
    /// How many pieces of the entry are there already, and are not unpacked.
    pub present: usize,
}

impl Selection {
    /// Everything.
    pub(super) fn all() -> Self {
        Self {
            wanted: Box::new(|_| true),
            left_out: None,
            present: 0,
        }
    }
}

/// What came into place.
#[derive(Debug, Default)]
pub(super) struct Brought {
    /// How many pieces were put in place.
    pub placed: usize,
    /// How many were left out, because something of them was there already.
    pub present: usize,
    /// What else there is to say, in words.
    pub notes: Vec<String>,
}

impl Brought {
    /// Adds what came into place in another root.
    pub(super) fn add(&mut self, other: Self) {
        self.placed += other.placed;
        self.present += other.present;
        self.notes.extend(other.notes);
    }

    /// What to tell of it, in words; nothing if all went the usual way.
    pub(super) fn told(&self) -> Vec<String> {
        let all = self.placed + self.present;
        let present = (self.present > 0).then(|| match self.placed {
            0 => "everything was there already".to_owned(),
            placed => format!("{placed} of {all} pieces; the others were there already"),
        });
        present.into_iter().chain(self.notes.clone()).collect()
    }
}

/// Puts those of `pieces` in place of which nothing is there yet.
pub(super) fn bring_pieces(staging: &Staging, pieces: &[Piece]) -> Result<Brought, PlaceError> {
    let placed = place_pieces(staging, pieces)?;
    let brought = Brought {
        placed: placed.placed.len(),
        present: placed.present.len(),
        notes: Vec::new(),
    };
    match placed.stopped {
        // What is in place is whole, but the tier is not: that is trouble, and told as such.
        Some(stopped) => Err(stopped.error),
        None => Ok(brought),
    }
}

/// Puts those of `pieces` in place that were unpacked and of which nothing is there yet: each is one file or one directory.
pub(super) fn bring_unpacked(
    staging: &Staging,
    pieces: impl IntoIterator<Item = RelativePath>,
) -> anyhow::Result<Brought> {
    // On a fresh machine there may be no such directory yet; the pieces need one to go to.
    fs_err::create_dir_all(staging.root())?;
    let pieces: Vec<_> = pieces
        .into_iter()
        .filter(|piece| fs_err::symlink_metadata(piece.below(staging.path())).is_ok())
        .map(|piece| Piece {
            name: piece.to_string(),
            files: vec![piece],
        })
        .collect();
    Ok(bring_pieces(staging, &pieces)?)
}

/// What of a tier to pack.
#[derive(Debug)]
pub(super) struct Collected {
    /// The members.
    pub groups: Vec<Group>,
    /// Their size in bytes, for progress.
    pub raw_bytes: u64,
    /// What the entry says that it holds.
    pub contents: Contents,
    /// The last part of the key, where it is known only now.
    pub set: Option<KeyPart>,
    /// Whether that is worth a new entry.
    pub novelty: Novelty,
    /// What to tell the user of what was left out.
    pub notes: Vec<String>,
}
