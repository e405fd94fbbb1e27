//! The sources as they lie on disk: every file, link and directory of the source trees, hashed.
//!
//! Invariant: nothing is followed out of a tree, and nothing is left out silently: a path that can't be read or
//! whose name is not UTF-8 has an entry too, so that changes around it are seen. The bytes of the working tree are
//! hashed, not what git stores (LFS, line endings, local edits).

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsStr,
    io,
    path::{Component, Path, PathBuf},
};

use filetime::FileTime;
use rayon::iter::{IntoParallelIterator as _, ParallelIterator as _};
use serde::{Deserialize, Serialize};

use super::packages::{Package, read_packages};
use crate::{
    archive::path::RelativePath,
    key::{Digest, DigestBuilder},
};

/// The file by which a directory says that it is a cache (<https://bford.info/cachedir/>); Cargo puts it into target
/// directories.
const CACHE_TAG: &str = "CACHEDIR.TAG";

/// What lies at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SourceKind {
    /// A plain file: its digest is that of its content.
    File,
    /// A symbolic link: its digest is that of the text it points to.
    Link,
    /// A directory: its digest is that of the sorted names in it.
    Directory,
}

/// A modification time, exact to the nanosecond; times before 1970 have negative seconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Mtime {
    /// Whole seconds since 1970, rounded down.
    pub seconds: i64,
    /// Nanoseconds after that, below 1,000,000,000.
    pub nanos: u32,
}

impl Mtime {
    /// The time that `time` stands for.
    pub fn from_file_time(time: FileTime) -> Self {
        Self {
            seconds: time.unix_seconds(),
            nanos: time.nanoseconds(),
        }
    }

    /// The modification time that `metadata` holds.
    pub fn of(metadata: &std::fs::Metadata) -> Self {
        Self::from_file_time(FileTime::from_last_modification_time(metadata))
    }

    /// The present, by the system's clock.
    pub fn now() -> Self {
        Self::from_file_time(FileTime::now())
    }

    /// This time as the `filetime` crate has it.
    pub fn to_file_time(self) -> FileTime {
        FileTime::from_unix_time(self.seconds, self.nanos)
    }

    /// One millisecond later.
    #[must_use]
    pub fn plus_millisecond(self) -> Self {
        let nanos = self.nanos.saturating_add(1_000_000);
        if nanos < 1_000_000_000 {
            Self { nanos, ..self }
        } else {
            Self {
                seconds: self.seconds.saturating_add(1),
                nanos: nanos - 1_000_000_000,
            }
        }
    }
}

/// A directory whose content may be compiled: a workspace, a path dependency outside of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceTree {
    /// Its label, by which it is known at another checkout: `workspace`, `outside/shared`.
    pub name: RelativePath,
    /// Where it lies, absolute.
    pub directory: PathBuf,
}

/// The source trees of a job, none of them inside another.
#[derive(Clone, Debug, Default)]
pub struct SourceTrees {
    trees: Vec<SourceTree>,
    excluded: Vec<PathBuf>,
}

impl SourceTrees {
    /// `trees`, less those that lie inside another one, and the directories that are no sources: target
    /// directories, CARGO_HOME; absolute. `.git` and `.hotcrate-*` are never sources, wherever they lie.
    pub fn new(
        trees: impl IntoIterator<Item = SourceTree>,
        excluded: impl IntoIterator<Item = PathBuf>,
    ) -> Self {
        let mut sorted: Vec<_> = trees.into_iter().collect();
        sorted.sort_by(|a, b| a.directory.cmp(&b.directory));
        let excluded: Vec<_> = excluded.into_iter().collect();
        let mut kept: Vec<SourceTree> = Vec::new();
        for tree in sorted {
            let covered = kept.iter().any(|outer| {
                let hidden = excluded.iter().any(|directory| {
                    tree.directory.starts_with(directory) && directory.starts_with(&outer.directory)
                });
                tree.directory.starts_with(&outer.directory) && !hidden
            });
            if !covered {
                kept.push(tree);
            }
        }
        Self {
            trees: kept,
            excluded,
        }
    }

    /// The trees, sorted by directory.
    pub fn trees(&self) -> &[SourceTree] {
        &self.trees
    }

    fn is_excluded(&self, path: &Path, name: &OsStr) -> bool {
        let name = name.as_encoded_bytes();
        name == b".git"
            || name.starts_with(b".hotcrate-")
            || self.excluded.iter().any(|directory| directory == path)
    }
}

/// One file, link or directory that was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Found {
    /// Where it lies, absolute.
    pub path: PathBuf,
    /// What it is.
    pub kind: SourceKind,
    /// The digest of its content; `None` if it could not be read or changed while it was.
    pub digest: Option<Digest>,
    /// When it was last modified.
    pub mtime: Mtime,
}

/// Everything in the source trees, by name: the tree's label, then the path within the tree, with `/` between the
/// parts. The label alone stands for the tree's own directory.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The trees, each with every spelling of its directory: as given, and with links resolved.
    directories: Vec<(PathBuf, String)>,
    /// What was found.
    pub entries: BTreeMap<String, Found>,
    /// The packages among it, sorted by root.
    pub packages: Vec<Package>,
    /// The directories in the trees that are caches by their own CACHEDIR.TAG, absolute: what Cargo made there, other
    /// than where it builds now, is no source.
    pub caches: Vec<PathBuf>,
    /// Directories of which something is no source, by name: target directories, `.git` and caches lie in them, or will.
    hiding: BTreeSet<String>,
}

impl Sources {
    /// The name of the absolute path `path`, whether or not something lies there; `None` outside all trees. `..` is
    /// resolved by the text of the path, as Cargo does.
    pub fn name_of(&self, path: &Path) -> Option<String> {
        let path = normalised(path);
        self.directories.iter().find_map(|(directory, label)| {
            let below = path.strip_prefix(directory).ok()?;
            Some(join_name(label, below))
        })
    }

    /// The directories of the trees, in every spelling, each with its label.
    pub(super) fn directories(&self) -> impl Iterator<Item = (&Path, &str)> {
        self.directories
            .iter()
            .map(|(directory, label)| (directory.as_path(), label.as_str()))
    }

    /// Whether the directory `name` has something in it, or deeper, that is no source.
    pub(super) fn hides_below(&self, name: &str) -> bool {
        self.hiding.contains(name)
    }

    /// The package that `name` belongs to: the one with the nearest manifest above it.
    pub fn package_of(&self, name: &str) -> Option<&Package> {
        nearest_package(&self.packages, name)
    }
}

/// The package among `packages`, sorted by root, whose root is nearest above `name`.
pub(super) fn nearest_package<'a>(packages: &'a [Package], name: &str) -> Option<&'a Package> {
    ancestors(name).find_map(|ancestor| {
        let index = packages
            .binary_search_by(|package| package.root.as_str().cmp(ancestor))
            .ok()?;
        packages.get(index)
    })
}

/// `name` and the names of all directories above it, nearest first.
pub(super) fn ancestors(name: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(name), |name| {
        name.rsplit_once('/').map(|(parent, _)| parent)
    })
}

/// Why source trees could not be read at all.
#[derive(Debug, thiserror::Error)]
#[error("failed to list the sources in {}", path.display())]
pub struct ScanError {
    /// The tree's directory, or one in it.
    pub path: PathBuf,
    /// Why.
    #[source]
    pub source: io::Error,
}

/// Reads and hashes all sources, on all cores. A tree that does not exist has nothing in it.
pub fn scan(trees: &SourceTrees) -> Result<Sources, ScanError> {
    let mut listed = Vec::new();
    let (mut caches, mut hidden) = (Vec::new(), trees.excluded.clone());
    let mut directories = Vec::new();
    for tree in &trees.trees {
        let label = tree.name.as_str().to_owned();
        if let Ok(canonical) = fs_err::canonicalize(&tree.directory)
            && canonical != tree.directory
        {
            directories.push((canonical, label.clone()));
        }
        directories.push((tree.directory.clone(), label));
        list(tree, trees, &mut listed, &mut caches, &mut hidden)?;
    }
    // The longest directory first: it is the innermost one.
    directories.sort_by_key(|(directory, _)| std::cmp::Reverse(directory.components().count()));
    let mut entries: BTreeMap<String, Found> = listed
        .into_par_iter()
        .map(|(name, path, kind)| {
            let found = read_entry(path, kind);
            (name, found)
        })
        .collect();
    digest_directories(&mut entries);
    let packages = read_packages(&entries);
    let mut sources = Sources {
        directories,
        entries,
        packages,
        caches,
        hiding: BTreeSet::new(),
    };
    let hidden = hidden.iter().filter_map(|path| sources.name_of(path));
    sources.hiding = hidden
        .collect::<Vec<_>>()
        .iter()
        .flat_map(|name| ancestors(name).skip(1))
        .map(str::to_owned)
        .collect();
    Ok(sources)
}

type Listed = (String, PathBuf, SourceKind);

fn list(
    tree: &SourceTree,
    trees: &SourceTrees,
    into: &mut Vec<Listed>,
    caches: &mut Vec<PathBuf>,
    hidden: &mut Vec<PathBuf>,
) -> Result<(), ScanError> {
    let walk = walkdir::WalkDir::new(&tree.directory)
        .into_iter()
        .filter_entry(|entry| {
            if entry.depth() == 0 {
                return true;
            }
            if trees.is_excluded(entry.path(), entry.file_name()) {
                hidden.push(entry.path().to_owned());
                return false;
            }
            let is_cache = entry.file_type().is_dir() && entry.path().join(CACHE_TAG).is_file();
            if is_cache {
                caches.push(entry.path().to_owned());
                hidden.push(entry.path().to_owned());
            }
            !is_cache
        });
    for entry in walk {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) => {
                let missing = error
                    .io_error()
                    .is_some_and(|error| error.kind() == io::ErrorKind::NotFound);
                if missing {
                    continue;
                }
                return Err(ScanError {
                    path: error.path().unwrap_or(&tree.directory).to_owned(),
                    source: error.into(),
                });
            }
        };
        let kind = match entry.file_type() {
            kind if kind.is_dir() => SourceKind::Directory,
            kind if kind.is_symlink() => SourceKind::Link,
            // Sockets and pipes have no content that could be compiled, and reading them could block.
            kind if !kind.is_file() => continue,
            _ => SourceKind::File,
        };
        let below = entry
            .path()
            .strip_prefix(&tree.directory)
            .unwrap_or(Path::new(""));
        let name = join_name(tree.name.as_str(), below);
        into.push((name, entry.into_path(), kind));
    }
    Ok(())
}

/// `below` behind `label`. What is not UTF-8 gets a digest of its own, so that two such names stay two.
fn join_name(label: &str, below: &Path) -> String {
    let mut name = label.to_owned();
    for part in below.components() {
        let Component::Normal(part) = part else {
            continue;
        };
        name.push('/');
        if let Some(text) = part.to_str() {
            name.push_str(text);
        } else {
            let digest = Digest::of_bytes(part.as_encoded_bytes());
            name.push_str(&part.to_string_lossy());
            name.push_str(&digest.to_string());
        }
    }
    name
}

/// `path` without `.` and `..`, which are resolved by its text alone.
pub(super) fn normalised(path: &Path) -> PathBuf {
    let mut result = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                result.pop();
            }
            part => result.push(part),
        }
    }
    result
}

/// Stats and hashes one path. A directory's digest comes later.
fn read_entry(path: PathBuf, kind: SourceKind) -> Found {
    let mtime_now = || {
        fs_err::symlink_metadata(&path)
            .ok()
            .map(|metadata| Mtime::of(&metadata))
    };
    let before = mtime_now();
    let digest = match kind {
        SourceKind::File => fs_err::read(&path)
            .ok()
            .map(|content| Digest::of_bytes(&content))
            // Content and time must belong together: what is written to right now has no digest.
            .filter(|_| mtime_now() == before),
        SourceKind::Link => fs_err::read_link(&path)
            .ok()
            .map(|to| Digest::of_bytes(to.as_os_str().as_encoded_bytes())),
        SourceKind::Directory => None,
    };
    Found {
        digest: digest.filter(|_| before.is_some()),
        mtime: before.unwrap_or(Mtime {
            seconds: 0,
            nanos: 0,
        }),
        path,
        kind,
    }
}

/// Gives every directory the digest of the sorted names in it.
fn digest_directories(entries: &mut BTreeMap<String, Found>) {
    let mut builders: BTreeMap<String, DigestBuilder> = entries
        .iter()
        .filter(|(_, found)| found.kind == SourceKind::Directory)
        .map(|(name, _)| (name.clone(), DigestBuilder::new()))
        .collect();
    // The map's order sorts the names within each directory.
    for name in entries.keys() {
        if let Some((parent, last)) = name.rsplit_once('/')
            && let Some(builder) = builders.get_mut(parent)
        {
            builder.field("name", last);
        }
    }
    for (name, builder) in builders {
        if let Some(found) = entries.get_mut(&name) {
            found.digest = Some(builder.finish());
        }
    }
}
