//! Which buckets there are, of all projects.
//!
//! What is not named like a project or a bucket is a stranger's: it is neither listed nor touched.

use std::path::{Path, PathBuf};

use super::{BucketPlace, ProjectBuckets};

/// How the names of directories begin that are being removed.
const GOING: &str = ".hotcrate-going-";

/// What lies in the home.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FoundBuckets {
    /// The buckets, sorted.
    pub buckets: Vec<BucketPlace>,
    /// What an earlier removal left.
    pub remains: Vec<PathBuf>,
}

/// Lists what lies in `home`. What cannot be listed has nothing in it.
pub fn find_buckets(home: &Path) -> FoundBuckets {
    let mut found = FoundBuckets::default();
    for project in directories_in(&ProjectBuckets::all(home)) {
        for directory in directories_in(&project) {
            let name = directory.file_name().and_then(|name| name.to_str());
            let name = name.unwrap_or_default();
            if name.starts_with(GOING) {
                found.remains.push(directory);
            } else if is_name(name) {
                found.buckets.push(BucketPlace { directory });
            }
        }
    }
    found.buckets.sort_by(|a, b| a.directory.cmp(&b.directory));
    found.remains.sort();
    found
}

/// Where a bucket is moved before it is removed, so that nobody ever finds a part of it.
pub fn going(place: &BucketPlace) -> PathBuf {
    let name = format!("{GOING}{}-{}", place.name(), std::process::id());
    place.directory.with_file_name(name)
}

fn is_name(name: &str) -> bool {
    let kinds = ["shared", "detached", "worktree-", "branch-"];
    kinds.iter().any(|kind| name.starts_with(kind))
}

fn directories_in(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs_err::read_dir(directory) else {
        return Vec::new();
    };
    entries
        .flatten()
        // A link leads to what is not ours.
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_and_remains_are_found_and_nothing_of_strangers() {
        let home = tempfile::tempdir().expect("there is room");
        let project = ProjectBuckets::all(home.path()).join("project-1");
        for name in ["shared", "worktree-a-1", "branch-b-2", "detached~2", "mine"] {
            fs_err::create_dir_all(project.join(name)).expect("made");
        }
        fs_err::write(project.join("shared.lock"), "").expect("written");
        let shared = BucketPlace {
            directory: project.join("shared"),
        };
        fs_err::rename(project.join("branch-b-2"), going(&shared)).expect("moved");
        let found = find_buckets(home.path());
        let names: Vec<_> = found.buckets.iter().map(BucketPlace::name).collect();
        assert_eq!(names, ["detached~2", "shared", "worktree-a-1"]);
        assert_eq!(found.remains, [going(&shared)]);
    }
}
