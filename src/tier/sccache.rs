//! The `sccache` tier: the objects of sccache's local disk cache.
//!
//! Each file is an object of its own, named by a digest of everything that a compilation depends on, compressed
//! already, and put in place by a rename; one in the making has a name that begins with a dot (mozilla/sccache,
//! `src/cache/disk.rs` and `src/lru_disk_cache`). Reading an object sets its time to now, so times tell which were used
//! last. Invariant: an entry holds no more bytes than the bound, whatever the directory holds.

use std::{
    cmp::Reverse,
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::walk::{TierFile, walk};
use crate::archive::path::RelativePath;

/// The name of the directory as a root in archives.
pub const SCCACHE_ROOT: &str = "sccache";

/// What to pack of a directory of sccache.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SccacheTree {
    /// The objects, sorted by path.
    pub objects: Vec<TierFile>,
    /// How many objects are left out, because the bound is reached with those that were used later.
    pub beyond_bound: usize,
    /// What else was left out, and why, for people.
    pub notes: Vec<String>,
}

impl SccacheTree {
    /// The names of all objects.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.objects.iter().map(|object| object.path.as_str())
    }

    /// The size of all objects, in bytes.
    pub fn bytes(&self) -> u64 {
        self.objects.iter().map(|object| object.bytes).sum()
    }
}

/// Lists the objects in `directory`, those that were used last first, until they come to `bound` bytes. No directory
/// has no objects.
pub fn read_sccache(directory: &Path, bound: u64) -> SccacheTree {
    if !directory.is_dir() {
        return SccacheTree::default();
    }
    // A link that the user set as SCCACHE_DIR is followed; links below it are no objects.
    let directory = fs_err::canonicalize(directory).unwrap_or_else(|_| PathBuf::from(directory));
    let walked = walk(&directory, None);
    let objects = walked
        .files
        .into_iter()
        .filter(|file| is_object(&file.path))
        .filter_map(|file| {
            let facts = fs_err::symlink_metadata(file.path.below(&directory)).ok()?;
            let used = facts.modified().unwrap_or(SystemTime::UNIX_EPOCH);
            facts.is_file().then_some((used, file))
        })
        .collect();
    SccacheTree {
        notes: walked.notes,
        ..within(bound, objects)
    }
}

/// Takes the objects that were used last, until they come to `bound` bytes: what sccache itself would keep.
fn within(bound: u64, mut objects: Vec<(SystemTime, TierFile)>) -> SccacheTree {
    let all = objects.len();
    objects.sort_by_key(|(used, _)| Reverse(*used));
    let mut room = bound;
    let mut kept: Vec<_> = objects
        .into_iter()
        .map_while(|(_, file)| {
            room = room.checked_sub(file.bytes)?;
            Some(file)
        })
        .collect();
    kept.sort();
    SccacheTree {
        beyond_bound: all - kept.len(),
        objects: kept,
        notes: Vec::new(),
    }
}

/// Whether `path`, relative to the directory, can be an object: nothing hidden, and in a directory.
///
/// sccache puts objects into directories named by the first digits of their names, those of its preprocessor cache
/// below `preprocessor`.
pub fn is_object(path: &RelativePath) -> bool {
    let parts: Vec<_> = path.as_str().split('/').collect();
    parts.len() > 1 && parts.iter().all(|part| !part.starts_with('.'))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use filetime::FileTime;
    use fs_err as fs;

    use super::*;

    /// Writes an object of that size, last used that many seconds after 1970.
    fn write(directory: &Path, path: &str, bytes: usize, used: i64) {
        let path = directory.join(path);
        fs::create_dir_all(path.parent().expect("it has one")).expect("it is ours");
        fs::write(&path, vec![0; bytes]).expect("there is room");
        filetime::set_file_mtime(&path, FileTime::from_unix_time(used, 0)).expect("it is ours");
    }

    fn names(tree: &SccacheTree) -> Vec<&str> {
        tree.names().collect()
    }

    #[test]
    fn objects_are_taken_and_nothing_that_is_in_the_making() {
        let directory = tempfile::tempdir().expect("there is room");
        write(directory.path(), "a/b/ab01", 10, 1);
        write(directory.path(), "preprocessor/c/d/cd01", 5, 1);
        write(directory.path(), ".sccachetmpX", 10, 1);
        write(directory.path(), "a/.sccachetmpY", 10, 1);
        write(directory.path(), ".hotcrate-1/a/b/ab02", 10, 1);
        write(directory.path(), "notes.txt", 10, 1);
        let tree = read_sccache(directory.path(), 1000);
        assert_eq!(names(&tree), ["a/b/ab01", "preprocessor/c/d/cd01"]);
        assert_eq!(tree.bytes(), 15);
        assert_eq!(tree.beyond_bound, 0);
    }

    #[test]
    fn beyond_the_bound_those_used_last_are_kept() {
        let directory = tempfile::tempdir().expect("there is room");
        write(directory.path(), "a/b/oldest", 40, 1);
        write(directory.path(), "a/b/newest", 40, 3);
        write(directory.path(), "a/b/newer", 40, 2);
        let tree = read_sccache(directory.path(), 100);
        assert_eq!(names(&tree), ["a/b/newer", "a/b/newest"]);
        assert_eq!(tree.beyond_bound, 1);
    }

    #[test]
    fn an_object_that_is_larger_than_the_bound_leaves_room_for_nothing_older() {
        let file = |path: &str, bytes| TierFile {
            path: RelativePath::new(path).expect("it is one"),
            bytes,
        };
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let tree = within(
            10,
            vec![(at(1), file("a/small", 1)), (at(2), file("a/large", 11))],
        );
        assert!(tree.objects.is_empty());
        assert_eq!(tree.beyond_bound, 2);
    }

    #[test]
    fn where_no_directory_is_there_are_no_objects() {
        let directory = tempfile::tempdir().expect("there is room");
        let tree = read_sccache(&directory.path().join("gone"), 1);
        assert_eq!(tree, SccacheTree::default());
    }
}
