//! The compiler's incremental caches in target directories, where the user wants them with the workspace crates.
//!
//! Each crate has a directory of its own, which the compiler itself checks for what is still of use: a restored one
//! is never wrong, at most useless. Nothing tells which of them a job used; those that were not written to for long are
//! left out.

use std::{
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use super::judged::JudgedRoot;
use crate::{
    archive::{Member, path::RelativePath},
    place::Piece,
    unit::LeftOutReason,
};

/// What was not written to for so long belongs to nothing that is still built.
const LONGEST_UNUSED: Duration = Duration::from_hours(14 * 24);
/// The name of the directory in each profile.
const DIRECTORY: &str = "incremental";

/// The files of a root's incremental caches, and their size in bytes.
pub(super) fn members(root: &JudgedRoot, now: SystemTime) -> (Vec<Member>, u64) {
    let target = &root.reading.tree.directory;
    let mut members = Vec::new();
    let mut bytes = 0;
    for directory in &root.reading.tree.left_out {
        if directory.reason != LeftOutReason::Incremental {
            continue;
        }
        for cache in subdirectories(&target.join(&directory.path)) {
            if !is_recent(&cache, now) {
                continue;
            }
            let files = walkdir::WalkDir::new(&cache).sort_by_file_name();
            for file in files.into_iter().flatten() {
                let below = file.path().strip_prefix(target).ok();
                let name = below.and_then(|path| RelativePath::from_native(path).ok());
                // The cache's own directory is stored too, for its time: by that it is judged at the next save.
                let is_wanted = file.file_type().is_file() || file.depth() == 0;
                if let (true, Some(name)) = (is_wanted, name) {
                    bytes += file.metadata().map_or(0, |metadata| metadata.len());
                    members.push(Member {
                        name: root.name().join(&name),
                        source: file.into_path(),
                    });
                }
            }
        }
    }
    (members, bytes)
}

/// Every crate's cache in a staged target directory, as one piece each.
pub(super) fn pieces(staged: &Path, profiles: &[RelativePath]) -> Vec<Piece> {
    profiles
        .iter()
        .flat_map(|profile| subdirectories(&profile.below(staged).join(DIRECTORY)))
        .filter_map(|cache| {
            let name = RelativePath::from_native(cache.strip_prefix(staged).ok()?).ok()?;
            Some(Piece {
                name: name.to_string(),
                files: vec![name],
            })
        })
        .collect()
}

fn subdirectories(directory: &Path) -> Vec<PathBuf> {
    let entries = fs_err::read_dir(directory).into_iter().flatten().flatten();
    let mut found: Vec<_> = entries
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .map(|entry| entry.path())
        .collect();
    found.sort();
    found
}

/// The compiler makes a new directory in it for each session.
fn is_recent(cache: &Path, now: SystemTime) -> bool {
    let modified = fs_err::metadata(cache).and_then(|metadata| metadata.modified());
    modified.is_ok_and(|modified| {
        now.duration_since(modified)
            .map_or(true, |age| age <= LONGEST_UNUSED)
    })
}

#[cfg(test)]
mod tests {
    use filetime::FileTime;

    use super::*;

    #[test]
    fn a_cache_that_was_not_written_to_for_long_is_not_recent() {
        let directory = tempfile::tempdir().expect("there is room");
        let now = SystemTime::now();
        assert!(is_recent(directory.path(), now));
        let then = now - LONGEST_UNUSED - Duration::from_secs(5);
        filetime::set_file_mtime(directory.path(), FileTime::from_system_time(then)).expect("set");
        assert!(!is_recent(directory.path(), now));
        assert!(!is_recent(&directory.path().join("gone"), now));
    }

    #[test]
    fn every_crate_is_a_piece_of_its_own() {
        let staged = tempfile::tempdir().expect("there is room");
        for name in [
            "debug/incremental/app-1",
            "debug/incremental/core-2",
            "debug/deps",
        ] {
            fs_err::create_dir_all(staged.path().join(name)).expect("made");
        }
        let profiles = ["debug", "release"].map(|name| RelativePath::new(name).expect("plain"));
        let names: Vec<_> = pieces(staged.path(), &profiles)
            .into_iter()
            .map(|piece| piece.name)
            .collect();
        assert_eq!(
            names,
            ["debug/incremental/app-1", "debug/incremental/core-2"]
        );
    }
}
