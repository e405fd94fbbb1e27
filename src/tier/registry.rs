//! The `registry` tier: what Cargo downloaded into CARGO_HOME for the packages that the lockfile names.
//!
//! ```text
//! registry/cache/<index>/<name>-<version>.crate    a piece each
//! registry/index/<index>/config.json               a piece, if the index is in use
//! registry/index/<index>/.cache/<se>/<rd>/<name>   a piece each (sparse protocol)
//! registry/index/<index>/                          one piece, if it is a git clone and in use (git protocol)
//! git/db/<repository>-<hash>/                      one piece each
//! ```
//!
//! Never `registry/src` and `git/checkouts` (extracting again takes a second), credentials, `.global-cache` (a database
//! of this machine's uses) or lock files.
//!
//! Which registry a directory of an index belongs to is not computed: Cargo's hash of a registry changes with its
//! releases, and with `[source]` replacement the lockfile names another one. A package counts as present in every
//! index that has its `.crate` file.
//!
//! Reading never fails: what cannot be read is not there, and a note says so where that matters.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::{
    git_source::{GitSource, git_databases},
    walk::{TierFile, directories_in, file_bytes, walk},
};
use crate::{
    archive::path::RelativePath,
    files::digest_of_file,
    key::{Digest, Fact, KeyPart, PartName},
};

/// The name of CARGO_HOME as a root in archives.
pub const CARGO_HOME_ROOT: &str = "cargo-home";

/// Where pieces lie, relative to CARGO_HOME.
const CRATES: &str = "registry/cache/";
const INDEXES: &str = "registry/index/";
const DATABASES: &str = "git/db/";

/// Cargo writes these only when it makes the directory itself; backups look for them.
const MARKERS: [(&str, &str); 2] = [
    ("registry/", "registry/CACHEDIR.TAG"),
    ("git/", "git/CACHEDIR.TAG"),
];

/// Whether a piece may be called `name`, a path relative to CARGO_HOME. What an entry calls otherwise (`config.toml`,
/// `credentials.toml`, `registry/src/…`) is none of this tier's, and is not to be put in place.
pub fn is_piece_name(name: &RelativePath) -> bool {
    let name = name.as_str();
    [CRATES, INDEXES, DATABASES]
        .iter()
        .any(|area| name.starts_with(area))
        || MARKERS.iter().any(|(_, marker)| *marker == name)
}

/// One package of a Cargo.lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockedPackage {
    /// Its name.
    pub name: String,
    /// Its version, build metadata included.
    pub version: String,
    /// Its source as the lockfile has it (`registry+…`, `sparse+…`, `git+…#…`); `None` for path packages.
    pub source: Option<String>,
    /// The SHA-256 of its `.crate` file, if the lockfile has it.
    pub checksum: Option<String>,
}

impl LockedPackage {
    fn crate_file(&self) -> String {
        format!("{}-{}.crate", self.name, self.version)
    }

    fn is_from_registry(&self) -> bool {
        self.source
            .as_ref()
            .is_some_and(|source| source.starts_with("registry+") || source.starts_with("sparse+"))
    }
}

/// What of CARGO_HOME is put in place together or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RegistryPiece {
    /// Its path relative to CARGO_HOME: the piece's name.
    pub path: RelativePath,
    /// Whether it is a directory, which counts as present as soon as the directory is.
    pub is_directory: bool,
    /// What to pack: the file, or the directory and all that it holds, sorted by path.
    pub files: Vec<TierFile>,
}

impl RegistryPiece {
    /// Its size in bytes.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.bytes).sum()
    }

    /// Whether zstd gains nothing on it.
    pub fn is_compressed(&self) -> bool {
        let path = self.path.as_str();
        path.starts_with(CRATES) || path.starts_with(DATABASES)
    }
}

/// What of CARGO_HOME belongs to the lockfile.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RegistryTree {
    /// CARGO_HOME, absolute.
    pub cargo_home: PathBuf,
    /// The pieces, sorted by path, each once.
    pub pieces: Vec<RegistryPiece>,
    /// What was left out, and why, for people.
    pub notes: Vec<String>,
}

impl RegistryTree {
    /// The names of the pieces, sorted.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.pieces.iter().map(|piece| piece.path.as_str())
    }

    /// The size of all pieces in bytes.
    pub fn bytes(&self) -> u64 {
        self.pieces.iter().map(RegistryPiece::bytes).sum()
    }

    /// What the entry holds, as the last part of its key: the names of the pieces, and nothing of their content. The
    /// index file of a busy crate changes every day, and that must not make a new entry.
    ///
    /// It is a part of the key alone and never of a question. What an entry holds, a restore sees in the list of names
    /// in the entry's header, and what of that is put in place, the lockfile decides.
    pub fn set(&self) -> KeyPart {
        KeyPart::new(
            PartName::Set,
            self.names().map(|name| Fact::new("piece", name)),
        )
    }

    /// The pieces that an entry with these names does not have: what this job had to download. If there are none, the
    /// entry need not be saved again.
    pub fn novelty<'a>(&'a self, restored: &[String]) -> Vec<&'a RegistryPiece> {
        let restored: BTreeSet<&str> = restored.iter().map(String::as_str).collect();
        self.pieces
            .iter()
            .filter(|piece| !restored.contains(piece.path.as_str()))
            .collect()
    }

    /// The pieces that were written to after `time`, by the newest modification time of their files, and of their
    /// directories, where they have any. Tells what [`Self::set`] and [`Self::novelty`] do not: a git database that
    /// fetched another revision, an index file that names a newer version, by the names that they had before.
    ///
    /// With the time at which the restore had ended, these are the pieces that the job changed, those that are new among
    /// them. Cargo writes to no piece that it only reads. A file that is gone meanwhile has no time.
    pub fn changed_since(&self, time: SystemTime) -> Vec<&RegistryPiece> {
        let is_newer = |file: &TierFile| {
            fs_err::symlink_metadata(file.path.below(&self.cargo_home))
                .and_then(|facts| facts.modified())
                .is_ok_and(|modified| modified > time)
        };
        self.pieces
            .iter()
            .filter(|piece| piece.files.iter().any(is_newer))
            .collect()
    }

    /// Leaves out `.crate` files that are not what the lockfile says, such as those cut off by a full disk: Cargo would
    /// take a restored one as it is and fail on it until the lockfile changes. Reads every such file once.
    pub fn leave_out_damaged(&mut self, packages: &[LockedPackage]) {
        let checksums: BTreeMap<String, Digest> = packages
            .iter()
            .filter_map(|package| {
                let checksum = Digest::parse(package.checksum.as_deref()?)?;
                Some((package.crate_file(), checksum))
            })
            .collect();
        let Self {
            cargo_home,
            pieces,
            notes,
        } = self;
        pieces.retain(|piece| {
            let Some(expected) = checksums.get(piece.path.file_name()) else {
                return true;
            };
            let path = piece.path.below(cargo_home);
            let reason = match digest_of_file(&path) {
                Ok(found) if found == *expected => return true,
                Ok(_) => "it is not the file that Cargo.lock names".to_owned(),
                Err(error) => error.to_string(),
            };
            notes.push(format!("{} is left out: {reason}", piece.path));
            false
        });
    }
}

/// Finds what CARGO_HOME (absolute) holds of `packages`.
pub fn read_registry(cargo_home: &Path, packages: &[LockedPackage]) -> RegistryTree {
    let mut reading = Reading {
        cargo_home,
        pieces: BTreeMap::new(),
        notes: Vec::new(),
    };
    let from_registries: Vec<_> = packages
        .iter()
        .filter(|package| package.is_from_registry())
        .collect();
    let caches_in_use = reading.crates(&from_registries);
    reading.indexes(&from_registries, &caches_in_use);
    reading.git(packages);
    for (area, marker) in MARKERS {
        if reading
            .pieces
            .keys()
            .any(|path| path.as_str().starts_with(area))
        {
            reading.add_file(marker.to_owned());
        }
    }
    RegistryTree {
        cargo_home: cargo_home.to_owned(),
        pieces: reading.pieces.into_values().collect(),
        notes: reading.notes,
    }
}

struct Reading<'a> {
    cargo_home: &'a Path,
    pieces: BTreeMap<RelativePath, RegistryPiece>,
    notes: Vec<String>,
}

impl Reading<'_> {
    /// Adds the `.crate` files, and returns the index directories that have any.
    fn crates(&mut self, packages: &[&LockedPackage]) -> BTreeSet<String> {
        let indexes = directories_in(&self.cargo_home.join("registry/cache"));
        let mut in_use = BTreeSet::new();
        for index in indexes {
            for package in packages {
                if self.add_file(format!("registry/cache/{index}/{}", package.crate_file())) {
                    in_use.insert(index.clone());
                }
            }
        }
        in_use
    }

    fn indexes(&mut self, packages: &[&LockedPackage], caches_in_use: &BTreeSet<String>) {
        for index in directories_in(&self.cargo_home.join("registry/index")) {
            let directory = format!("registry/index/{index}");
            // With the git protocol Cargo's per-crate files are worth nothing without the clone that they were read
            // from, and the clone is one thing.
            if self.cargo_home.join(&directory).join(".git").exists() {
                if caches_in_use.contains(&index) {
                    self.add_directory(directory);
                }
                continue;
            }
            let mut is_in_use = false;
            for package in packages {
                let file = index_file(&package.name);
                is_in_use |= self.add_file(format!("{directory}/.cache/{file}"));
            }
            if is_in_use {
                self.add_file(format!("{directory}/config.json"));
            }
        }
    }

    fn git(&mut self, packages: &[LockedPackage]) {
        let sources: BTreeSet<GitSource> = packages
            .iter()
            .filter_map(|package| GitSource::parse(package.source.as_deref()?))
            .collect();
        for database in git_databases(self.cargo_home, &sources) {
            self.add_directory(format!("git/db/{database}"));
        }
    }

    /// Adds a file if it is there and not empty (an empty `.crate` file is a download that was cut off).
    fn add_file(&mut self, path: String) -> bool {
        let Some(path) = self.checked(path) else {
            return false;
        };
        let Some(bytes) = file_bytes(&path.below(self.cargo_home)).filter(|bytes| *bytes > 0)
        else {
            return false;
        };
        let file = TierFile {
            path: path.clone(),
            bytes,
        };
        self.add(path, false, vec![file]);
        true
    }

    fn add_directory(&mut self, path: String) {
        let Some(path) = self.checked(path) else {
            return;
        };
        let walked = walk(self.cargo_home, Some(&path));
        if !walked.notes.is_empty() {
            // A database with a hole in it is worse than none.
            self.notes
                .push(format!("{path} is left out: it cannot be read whole"));
            self.notes.extend(walked.notes);
            return;
        }
        let mut files = vec![TierFile {
            path: path.clone(),
            bytes: 0,
        }];
        files.extend(walked.files);
        self.add(path, true, files);
    }

    fn add(&mut self, path: RelativePath, is_directory: bool, files: Vec<TierFile>) {
        let piece = RegistryPiece {
            path: path.clone(),
            is_directory,
            files,
        };
        self.pieces.insert(path, piece);
    }

    /// Names come from the lockfile, which may say anything.
    fn checked(&mut self, path: String) -> Option<RelativePath> {
        RelativePath::new(path)
            .inspect_err(|error| self.notes.push(error.to_string()))
            .ok()
    }
}

/// Where an index has a crate: directories by the length and the first letters of the name, in lower case (as the Cargo
/// book lays down for registry indexes).
fn index_file(name: &str) -> String {
    let name = name.to_lowercase();
    let mut letters = name.chars();
    let mut take = |count| letters.by_ref().take(count).collect::<String>();
    match name.chars().count() {
        1 => format!("1/{name}"),
        2 => format!("2/{name}"),
        3 => format!("3/{}/{name}", take(1)),
        _ => format!("{}/{}/{name}", take(2), take(2)),
    }
}

#[cfg(test)]
#[path = "registry_tests.rs"]
mod tests;
