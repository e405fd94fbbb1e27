//! Listing what a directory holds, for packing.

use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::archive::path::RelativePath;

/// One file, link or directory to pack.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct TierFile {
    /// Where it lies, relative to its root.
    pub path: RelativePath,
    /// The size of a file in bytes; 0 for links and directories.
    pub bytes: u64,
}

/// What a walk found.
#[derive(Debug, Default)]
pub(super) struct Walk {
    /// Files, links and directories, sorted by path, the directory itself not among them.
    pub(super) files: Vec<TierFile>,
    /// What was left out, and why, for people.
    pub(super) notes: Vec<String>,
}

/// Lists all that lies below `root.join(below)`, with paths relative to `root`. No link is followed. What cannot be
/// packed (sockets, names that are not UTF-8, what cannot be read) is left out with a note, and so is hotcrate's own
/// staging.
pub(super) fn walk(root: &Path, below: Option<&RelativePath>) -> Walk {
    let start = below.map_or_else(|| root.to_owned(), |below| below.below(root));
    let mut found = Walk::default();
    let entries = walkdir::WalkDir::new(&start)
        .min_depth(1)
        .into_iter()
        .filter_entry(|entry| !is_staging(entry));
    for entry in entries {
        match entry
            .map_err(|error| error.to_string())
            .and_then(|entry| file(root, &entry))
        {
            Ok(file) => found.files.push(file),
            Err(note) => found.notes.push(note),
        }
    }
    found.files.sort();
    found
}

/// The length in bytes of the file at `path`, links followed; `None` if there is none.
pub(super) fn file_bytes(path: &Path) -> Option<u64> {
    let facts = fs_err::metadata(path).ok()?;
    facts.is_file().then_some(facts.len())
}

/// The directories in `directory` whose names are UTF-8, sorted by name; none if it cannot be listed. Links do not
/// count.
pub(super) fn directories_in(directory: &Path) -> Vec<String> {
    let Ok(entries) = fs_err::read_dir(directory) else {
        return Vec::new();
    };
    let mut names: Vec<_> = entries
        .flatten()
        .filter(|entry| entry.file_type().is_ok_and(|kind| kind.is_dir()))
        .filter_map(|entry| entry.file_name().into_string().ok())
        .collect();
    names.sort();
    names
}

fn is_staging(entry: &walkdir::DirEntry) -> bool {
    entry
        .file_name()
        .to_str()
        .is_some_and(|name| name.starts_with(".hotcrate-"))
}

fn file(root: &Path, entry: &walkdir::DirEntry) -> Result<TierFile, String> {
    let kind = entry.file_type();
    let left_out = |reason: &str| format!("{} is left out: {reason}", entry.path().display());
    if !(kind.is_file() || kind.is_dir() || kind.is_symlink()) {
        return Err(left_out("it is neither a file nor a directory nor a link"));
    }
    let path = entry.path().strip_prefix(root).unwrap_or(entry.path());
    let path = RelativePath::from_native(path).map_err(|error| left_out(error.reason))?;
    let bytes = if kind.is_file() {
        entry
            .metadata()
            .map_err(|error| left_out(&error.to_string()))?
            .len()
    } else {
        0
    };
    Ok(TierFile { path, bytes })
}
