//! Entries in a directory store, read with nothing of hotcrate's own: an entry is a plain `.tar.zst`.

use std::{
    io::Read as _,
    path::{Path, PathBuf},
};

use fs_err as fs;
use walkdir::WalkDir;

/// Every stored entry of `tier`, or of all tiers.
///
/// An entry is known by its file's name: `entry-` and its key.
pub(crate) fn entries_of_store(store: &Path, tier: Option<&str>) -> Vec<PathBuf> {
    let prefix = match tier {
        Some(tier) => format!("entry-hotcrate-v1-{tier}-"),
        None => "entry-hotcrate-v1-".to_owned(),
    };
    let mut files: Vec<PathBuf> = WalkDir::new(store)
        .into_iter()
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_file())
        .map(walkdir::DirEntry::into_path)
        .filter(|path| {
            path.file_name()
                .is_some_and(|name| name.to_string_lossy().starts_with(&prefix))
        })
        .collect();
    files.sort();
    files
}

/// The file of the entry stored under `key`.
#[track_caller]
pub(crate) fn entry_file(store: &Path, key: &str) -> PathBuf {
    let found = entries_of_store(store, None)
        .into_iter()
        .find(|path| path.to_string_lossy().contains(key));
    found.unwrap_or_else(|| panic!("{} holds no entry {key}", store.display()))
}

/// Names of everything in an entry. Fails the test if it cannot be read to its end.
#[track_caller]
pub(crate) fn members(entry: &Path) -> Vec<String> {
    let mut decoder = zstd::Decoder::new(fs::File::open(entry).unwrap()).unwrap();
    let names = {
        let mut archive = tar::Archive::new(&mut decoder);
        archive
            .entries()
            .unwrap()
            .map(|member| {
                let member = member.unwrap();
                member.path().unwrap().to_string_lossy().into_owned()
            })
            .collect()
    };
    decoder.read_to_end(&mut Vec::new()).unwrap();
    names
}

/// How many libraries of the crate `name` there are among the members of an entry.
pub(crate) fn libraries(members: &[String], name: &str) -> usize {
    let prefix = format!("lib{name}-");
    members
        .iter()
        .map(Path::new)
        .filter(|path| {
            path.extension()
                .is_some_and(|extension| extension == "rlib")
        })
        .filter_map(|path| path.file_name()?.to_str())
        .filter(|file| file.starts_with(&prefix))
        .count()
}
