//! Where things lie in the directory: see the picture in [`super`].

use std::path::{Path, PathBuf};

use super::{StoreError, StoredName};

/// What a `CACHEDIR.TAG` holds: <https://bford.info/cachedir/>.
const CACHEDIR_TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n\
    # This directory holds entries of hotcrate. It can be deleted at any time.\n";

/// Before and not behind the key, as Windows reserves `con` with any extension.
const ENTRY_PREFIX: &str = "entry-";

/// The paths of one store.
#[derive(Clone, Debug)]
pub(super) struct Layout {
    base: PathBuf,
}

impl Layout {
    /// The layout of the store in `directory`.
    pub(super) fn below(directory: &Path) -> Self {
        Self {
            base: directory.join("store-v1"),
        }
    }

    /// The directory that all of the store lies in.
    pub(super) fn base(&self) -> &Path {
        &self.base
    }

    /// The lock's file.
    pub(super) fn lock(&self) -> PathBuf {
        self.base.join("lock")
    }

    /// The directory of entries that are being written.
    pub(super) fn unfinished(&self) -> PathBuf {
        self.base.join("tmp")
    }

    /// The directory of the projects' directories.
    pub(super) fn entries(&self) -> PathBuf {
        self.base.join("entries")
    }

    /// The directory of one scope of one project.
    pub(super) fn scope(&self, project: &StoredName, scope: &StoredName) -> PathBuf {
        self.entries()
            .join(project.as_file_name())
            .join(scope.as_file_name())
    }

    /// The file of an entry.
    pub(super) fn entry(&self, project: &StoredName, scope: &StoredName, key: &str) -> PathBuf {
        entry_in(&self.scope(project, scope), key)
    }

    /// Creates the directories that are always there, and the tag.
    pub(super) fn create(&self) -> Result<(), StoreError> {
        let unfinished = self.unfinished();
        fs_err::create_dir_all(&unfinished)
            .map_err(|source| StoreError::of_file("create", &unfinished, source))?;
        let tag = self.base.join("CACHEDIR.TAG");
        if !tag.exists() {
            fs_err::write(&tag, CACHEDIR_TAG)
                .map_err(|source| StoreError::of_file("write", &tag, source))?;
        }
        Ok(())
    }
}

/// The file of the entry called `key` in the directory of its scope.
pub(super) fn entry_in(scope_directory: &Path, key: &str) -> PathBuf {
    scope_directory.join(format!("{ENTRY_PREFIX}{key}"))
}

/// The key of the entry in the file called `file_name`, if it is one.
pub(super) fn key_of(file_name: &str) -> Option<&str> {
    file_name
        .strip_prefix(ENTRY_PREFIX)
        .filter(|key| super::check_key(key).is_ok())
}
