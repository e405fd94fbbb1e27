//! Which file belongs to which unit, before anything is read. Pure.
//!
//! In the V2 layout a unit is a directory. In V1 its files are strewn: those with its hash in their names are found by
//! that, uplifted ones by being hard links, and those that have neither (dynamic libraries of path packages, their
//! executables for MSVC) by the name of the crate, which is safe to get wrong: Cargo then misses an output and builds
//! the unit again.

use std::{
    collections::{BTreeSet, HashMap},
    time::{Duration, SystemTime},
};

use super::{
    FileKind, Layout, LeftOut, LeftOutReason, UnitFile, UnitId,
    fingerprint::{HashFileName, split_hash},
    scan::{Entry, Piece, Profile, extension},
};
use crate::archive::path::RelativePath;

/// A unit as far as names tell.
#[derive(Debug)]
pub(super) struct Draft {
    pub id: UnitId,
    pub layout: Layout,
    /// What the compiler or the build script made, uplifted links included.
    pub outputs: Vec<Entry>,
    /// The content of the fingerprint directory.
    pub fingerprint: Vec<Entry>,
    pub is_unpackable: bool,
    /// Whether an output carries the unit's hash in its name.
    has_hashed_output: bool,
}

impl Draft {
    /// The names of its hash files, each with its file.
    pub(super) fn hash_files(&self) -> impl Iterator<Item = (HashFileName<'_>, &Entry)> {
        self.fingerprint
            .iter()
            .filter_map(|entry| Some((HashFileName::parse(entry.name())?, entry)))
    }

    fn take(&mut self, piece: Piece) {
        self.is_unpackable |= piece.is_unpackable;
        self.outputs.extend(piece.entries);
    }
}

/// What a profile directory comes to.
#[derive(Debug, Default)]
pub(super) struct Drafts {
    pub units: Vec<Draft>,
    pub shared: Vec<UnitFile>,
    pub left_out: Vec<LeftOut>,
}

impl Drafts {
    /// Sorts the pieces of `profile` into units.
    pub(super) fn of(profile: Profile) -> Self {
        let mut sorted = Self::default();
        let mut by_hash = HashMap::new();
        for piece in profile.fingerprints {
            sorted.begin_v1(&profile.path, piece, &mut by_hash);
        }
        for piece in profile.builds {
            let hash = split_hash(&piece.name).map(|(_, hash)| hash.to_owned());
            sorted.give(hash, piece, &by_hash);
        }
        let mut unhashed = Vec::new();
        for piece in profile.deps.into_iter().chain(profile.examples) {
            match split_hash(stem(&piece.name)).map(|(_, hash)| hash.to_owned()) {
                Some(hash) => sorted.give(Some(hash), piece, &by_hash),
                None => unhashed.push(piece),
            }
        }
        for (package, piece) in profile.units {
            sorted.begin_v2(&profile.path, package, piece);
        }
        let unhashed = sorted.claim_by_crate_name(unhashed);
        sorted.claim_uplifted(unhashed.into_iter().chain(profile.loose));
        sorted
    }

    fn leave_out(&mut self, piece: &Piece, reason: LeftOutReason) {
        self.left_out.extend(left_out(&piece.entries, reason));
    }

    fn begin_v1(
        &mut self,
        profile: &RelativePath,
        piece: Piece,
        by_hash: &mut HashMap<String, usize>,
    ) {
        let Some((package, hash)) = split_hash(&piece.name) else {
            self.leave_out(&piece, LeftOutReason::Unknown);
            return;
        };
        if by_hash.contains_key(hash) {
            self.leave_out(&piece, LeftOutReason::Incomplete);
            return;
        }
        by_hash.insert(hash.to_owned(), self.units.len());
        self.units.push(Draft {
            id: UnitId {
                profile: profile.clone(),
                package: package.to_owned(),
                hash: hash.to_owned(),
            },
            layout: Layout::V1,
            outputs: Vec::new(),
            is_unpackable: piece.is_unpackable,
            fingerprint: piece.entries,
            has_hashed_output: false,
        });
    }

    fn begin_v2(&mut self, profile: &RelativePath, package: String, piece: Piece) {
        // `<profile>/build/<package>/<hash>/<part>/…`
        let depth = profile.parts().count() + 3;
        let (mut fingerprint, outputs): (Vec<_>, Vec<_>) = piece
            .entries
            .into_iter()
            .partition(|entry| entry.file.path.parts().nth(depth) == Some("fingerprint"));
        fingerprint.retain(|entry| entry.file.kind != FileKind::Directory);
        self.units.push(Draft {
            id: UnitId {
                profile: profile.clone(),
                package,
                hash: piece.name,
            },
            layout: Layout::V2,
            outputs,
            fingerprint,
            is_unpackable: piece.is_unpackable,
            has_hashed_output: true,
        });
    }

    /// Gives `piece` to the unit with `hash`.
    fn give(&mut self, hash: Option<String>, piece: Piece, by_hash: &HashMap<String, usize>) {
        let owner = hash.and_then(|hash| by_hash.get(&hash));
        let Some(&owner) = owner else {
            self.leave_out(&piece, LeftOutReason::Orphan);
            return;
        };
        let draft = &mut self.units[owner];
        draft.has_hashed_output |= extension(&piece.name) != Some("d");
        draft.take(piece);
    }

    /// Gives outputs without a hash to the units whose targets have their names; returns what is left.
    fn claim_by_crate_name(&mut self, pieces: Vec<Piece>) -> Vec<Piece> {
        let mut owners: HashMap<(bool, String), Vec<(usize, SystemTime)>> = HashMap::new();
        for (index, draft) in self.units.iter().enumerate() {
            if draft.has_hashed_output {
                continue;
            }
            for (name, entry) in draft
                .hash_files()
                .filter(|(name, _)| name.flavour.is_empty())
            {
                owners
                    .entry((name.kind == "example-", name.crate_name()))
                    .or_default()
                    .push((index, entry.modified));
            }
        }
        let mut rest = Vec::new();
        for piece in pieces {
            let owner = piece.entries.first().and_then(|entry| {
                let is_example = entry
                    .file
                    .path
                    .parent()
                    .is_some_and(|parent| parent.file_name() == "examples");
                crate_names(&piece.name)
                    .filter_map(|name| owners.get(&(is_example, name.to_owned())))
                    .flatten()
                    .min_by_key(|(_, fingerprinted)| distance(*fingerprinted, entry.modified))
            });
            match owner {
                Some(&(owner, _)) => self.units[owner].take(piece),
                None => rest.push(piece),
            }
        }
        rest
    }

    /// Gives uplifted files to the units whose files they are links of, and decides on all other ones.
    fn claim_uplifted(&mut self, pieces: impl Iterator<Item = Piece>) {
        let mut by_inode = HashMap::new();
        let mut known_names = BTreeSet::new();
        for (index, draft) in self.units.iter().enumerate() {
            for entry in draft
                .outputs
                .iter()
                .filter(|entry| entry.file.kind == FileKind::File)
            {
                if let Some(inode) = entry.file.inode {
                    by_inode.insert(inode, index);
                }
            }
            known_names.extend(draft.hash_files().map(|(name, _)| name.crate_name()));
        }
        let (dep_infos, files): (Vec<_>, Vec<_>) =
            pieces.partition(|piece| extension(&piece.name) == Some("d"));
        let mut by_stem = HashMap::new();
        let mut unclaimed = Vec::new();
        for piece in files {
            let owner = piece.entries.first().and_then(|entry| match &entry.link {
                Some(target) => self.owner_of_path(target),
                None => by_inode.get(&entry.file.inode?).copied(),
            });
            match owner {
                Some(owner) => {
                    by_stem.extend(stem_in_directory(&piece).map(|stem| (stem, owner)));
                    self.units[owner].take(piece);
                }
                None => unclaimed.push(piece),
            }
        }
        let with_dep_info: BTreeSet<_> = dep_infos.iter().filter_map(stem_in_directory).collect();
        for piece in dep_infos {
            match stem_in_directory(&piece).and_then(|stem| by_stem.get(&stem)) {
                Some(&owner) => self.units[owner].take(piece),
                None => self.leave_out(&piece, LeftOutReason::Leftover),
            }
        }
        // Only a build script that ran can have put strangers here.
        let has_runs = self
            .units
            .iter()
            .any(|draft| draft.hash_files().any(|(name, _)| name.flavour == "run-"));
        for piece in unclaimed {
            let is_artefact = stem_in_directory(&piece)
                .is_none_or(|stem| with_dep_info.contains(&stem))
                || crate_names(&piece.name)
                    .any(|name| known_names.contains(&name.replace('-', "_")));
            if has_runs && !is_artefact && is_worth_keeping(&piece) {
                self.shared
                    .extend(piece.entries.into_iter().map(|entry| entry.file));
            } else {
                self.leave_out(&piece, LeftOutReason::Leftover);
            }
        }
    }

    fn owner_of_path(&self, path: &RelativePath) -> Option<usize> {
        self.units.iter().position(|draft| {
            draft.outputs.iter().any(|entry| {
                entry.file.path == *path || entry.file.path.strip_prefix(path).is_some()
            })
        })
    }
}

/// What is left out of `entries` for `reason`.
pub(super) fn left_out(entries: &[Entry], reason: LeftOutReason) -> impl Iterator<Item = LeftOut> {
    entries
        .iter()
        .filter(|entry| entry.file.kind != FileKind::Directory)
        .map(move |entry| LeftOut {
            path: entry.file.path.to_string(),
            reason,
        })
}

/// The name up to its first dot: crates have none in their names.
pub(super) fn stem(name: &str) -> &str {
    name.split_once('.').map_or(name, |(stem, _)| stem)
}

/// The directory and the stem of a piece that is a single file.
fn stem_in_directory(piece: &Piece) -> Option<(Option<String>, String)> {
    let [entry] = piece.entries.as_slice() else {
        return None;
    };
    let parent = entry.file.path.parent().map(|parent| parent.to_string());
    Some((parent, stem(&piece.name).to_owned()))
}

/// The crates that a file without a hash may be of: `libx.so` is of `x`, or of `libx` where nothing is put before.
fn crate_names(name: &str) -> impl Iterator<Item = &str> {
    let stem = stem(name);
    stem.strip_prefix("lib").into_iter().chain([stem])
}

fn distance(one: SystemTime, other: SystemTime) -> Duration {
    one.duration_since(other)
        .or_else(|_| other.duration_since(one))
        .unwrap_or_default()
}

/// Whether a file that Cargo did not make is worth keeping: executables may not start without it.
fn is_worth_keeping(piece: &Piece) -> bool {
    const NOISE: [&str; 7] = ["rlib", "rmeta", "o", "profraw", "tmp", "log", "json"];
    let is_noise = extension(&piece.name).is_some_and(|extension| NOISE.contains(&extension));
    piece.entries.len() == 1 && !piece.is_unpackable && !is_noise && !piece.name.starts_with('.')
}
