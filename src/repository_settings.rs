//! Settings of the commands that look at what a repository holds: checked once, like all others.
//!
//! Invariant: a wrong value is one error that names the setting, what was given, and what is accepted.

use crate::{
    github::{BadRepository, RepositoryName},
    settings::parse_size,
};

/// Checked settings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RepositorySettings {
    /// The repository, if one is named.
    pub repository: Option<RepositoryName>,
    /// How much it may store, in bytes, if the user knows.
    pub quota: Option<u64>,
}

/// A setting with a value that it does not accept.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RepositorySettingsError {
    /// A size that cannot be read.
    #[error("--quota {value:?} is not a size; it takes a number and a unit, such as 50GB")]
    Quota {
        /// The value as it was given.
        value: String,
    },
    /// What is no repository.
    #[error("--repo: {0}")]
    Repository(#[from] BadRepository),
}

impl RepositorySettings {
    /// Checks `--repo` and `--quota`; what is empty is not set.
    pub fn check(repository: &str, quota: &str) -> Result<Self, RepositorySettingsError> {
        let given = |text: &str| !text.trim().is_empty();
        let bytes = || {
            parse_size(quota).ok_or_else(|| RepositorySettingsError::Quota {
                value: quota.to_owned(),
            })
        };
        Ok(Self {
            repository: given(repository).then(|| repository.parse()).transpose()?,
            quota: given(quota).then(bytes).transpose()?,
        })
    }
}
