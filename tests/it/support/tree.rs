//! A directory tree as a value, to compare it with itself later.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::SystemTime,
};

use fs_err as fs;
use sha2::{Digest as _, Sha256};
use walkdir::WalkDir;

/// What is known of one file: kind and content, and when it was changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leaf {
    content: String,
    modified: SystemTime,
}

/// Every file and link below a directory, by path relative to it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Tree(BTreeMap<PathBuf, Leaf>);

impl Tree {
    /// Reads `directory`. An absent one is empty.
    pub(crate) fn of(directory: &Path) -> Self {
        let mut leaves = BTreeMap::new();
        for entry in WalkDir::new(directory).into_iter().filter_map(Result::ok) {
            if entry.file_type().is_dir() {
                continue;
            }
            let content = if entry.path_is_symlink() {
                format!("link to {}", fs::read_link(entry.path()).unwrap().display())
            } else if entry.file_type().is_file() {
                format!("{:x?}", Sha256::digest(fs::read(entry.path()).unwrap()))
            } else {
                "neither file nor link".to_owned()
            };
            let modified = entry.metadata().unwrap().modified().unwrap();
            let path = entry.path().strip_prefix(directory).unwrap().to_owned();
            leaves.insert(path, Leaf { content, modified });
        }
        Self(leaves)
    }

    /// Paths of the files.
    pub(crate) fn paths(&self) -> impl Iterator<Item = &Path> {
        self.0.keys().map(PathBuf::as_path)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Paths that `later` lacks, or holds with other content or another time.
    pub(crate) fn changed_in(&self, later: &Self) -> Vec<&Path> {
        self.0
            .iter()
            .filter(|(path, leaf)| later.0.get(*path) != Some(leaf))
            .map(|(path, _)| path.as_path())
            .collect()
    }

    /// The tree without the paths for which `left_out` holds.
    pub(crate) fn without(mut self, left_out: impl Fn(&Path) -> bool) -> Self {
        self.0.retain(|path, _| !left_out(path));
        self
    }
}

/// Everything below `directory` that hotcrate calls its staging.
pub(crate) fn staging_under(directory: &Path) -> Vec<PathBuf> {
    WalkDir::new(directory)
        .into_iter()
        .filter_map(Result::ok)
        .filter(|entry| {
            entry
                .file_name()
                .to_string_lossy()
                .starts_with(".hotcrate-")
        })
        .map(walkdir::DirEntry::into_path)
        .collect()
}

#[test]
fn a_tree_tells_what_was_changed_and_what_is_gone() {
    let directory = tempfile::tempdir().unwrap();
    let path = |name: &str| directory.path().join(name);
    for name in ["kept", "edited", "removed"] {
        fs::write(path(name), name).unwrap();
    }
    let before = Tree::of(directory.path());
    fs::write(path("edited"), "other").unwrap();
    fs::remove_file(path("removed")).unwrap();
    fs::write(path("added"), "new").unwrap();
    let after = Tree::of(directory.path());
    assert_eq!(
        before.changed_in(&after),
        [Path::new("edited"), Path::new("removed")]
    );
}
