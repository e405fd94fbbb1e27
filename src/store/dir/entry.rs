//! Listing what the store holds.
//!
//! What is not named like an entry is a stranger's: it is neither counted nor touched. What vanishes while it is
//! listed was evicted, and is left out.

use std::{
    io::ErrorKind,
    path::{Path, PathBuf},
    time::SystemTime,
};

use super::{
    StoreError, StoredName,
    layout::{Layout, key_of},
};

/// An entry of a store, of whatever project and scope.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct StoredEntry {
    /// The project that it belongs to.
    pub project: StoredName,
    /// The scope that it belongs to.
    pub scope: StoredName,
    /// Its full key.
    pub key: String,
    /// Its size in bytes.
    pub bytes: u64,
    /// When it was stored.
    pub created_at: SystemTime,
    /// When it was last found by a lookup; when it was stored, if it never was.
    pub used_at: SystemTime,
}

/// All entries, in the order of their names.
pub(super) fn list(layout: &Layout) -> Result<Vec<StoredEntry>, StoreError> {
    let mut entries = Vec::new();
    for (project, directory) in named_directories(&layout.entries())? {
        for (scope, directory) in named_directories(&directory)? {
            for name in visible(file_names(&directory))? {
                let key = key_of(&name).map(str::to_owned);
                entries.extend(key.and_then(|key| stat(layout, &project, &scope, key)));
            }
        }
    }
    entries.sort();
    Ok(entries)
}

/// The keys of the entries in the directory of one scope, in no order. None if there is no such directory.
pub(super) fn keys_in(directory: &Path) -> Result<Vec<String>, StoreError> {
    let names = file_names(directory)?;
    Ok(names
        .iter()
        .filter_map(|name| key_of(name).map(str::to_owned))
        .collect())
}

fn stat(
    layout: &Layout,
    project: &StoredName,
    scope: &StoredName,
    key: String,
) -> Option<StoredEntry> {
    let metadata = fs_err::symlink_metadata(layout.entry(project, scope, &key)).ok()?;
    let created_at = metadata.modified().ok().filter(|_| metadata.is_file())?;
    Some(StoredEntry {
        project: project.clone(),
        scope: scope.clone(),
        key,
        bytes: metadata.len(),
        created_at,
        used_at: metadata.accessed().unwrap_or(created_at),
    })
}

/// The directories in `parent` that are named like projects or scopes.
fn named_directories(parent: &Path) -> Result<Vec<(StoredName, PathBuf)>, StoreError> {
    Ok(visible(file_names(parent))?
        .iter()
        .filter_map(|name| Some((StoredName::from_file_name(name)?, parent.join(name))))
        .collect())
}

/// No names instead of a refusal: what belongs to another user is neither ours to see nor to evict.
fn visible(names: Result<Vec<String>, StoreError>) -> Result<Vec<String>, StoreError> {
    match names {
        Err(StoreError::File { source, .. }) if source.kind() == ErrorKind::PermissionDenied => {
            Ok(Vec::new())
        }
        names => names,
    }
}

/// The names in `directory` that are UTF-8. None if there is no such directory.
fn file_names(directory: &Path) -> Result<Vec<String>, StoreError> {
    let failed = |source| StoreError::of_file("read", directory, source);
    let listing = match fs_err::read_dir(directory) {
        Ok(listing) => listing,
        Err(error) if matches!(error.kind(), ErrorKind::NotFound | ErrorKind::NotADirectory) => {
            return Ok(Vec::new());
        }
        Err(error) => return Err(failed(error)),
    };
    let mut names = Vec::new();
    for item in listing {
        names.extend(item.map_err(failed)?.file_name().into_string().ok());
    }
    Ok(names)
}
