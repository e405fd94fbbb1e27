//! The names of the tiers.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};

/// A tier: a set of roots, or a part of one, that is stored under a key of its own.
///
/// The order is that of restoring: `workspace` needs to know what `deps` found.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TierName {
    /// What Cargo downloaded: registry index, `.crate` files, git databases.
    Registry,
    /// Compiled units whose sources lie in CARGO_HOME.
    Deps,
    /// All other compiled units: path packages and vendored sources.
    Workspace,
    /// The objects of sccache's local disk cache.
    Sccache,
    /// Binaries that `cargo install` put into CARGO_HOME/bin during the job.
    Tools,
    /// Directories that the user listed.
    Extra,
}

impl TierName {
    /// Every tier, in the order of restoring.
    pub const ALL: [Self; 6] = [
        Self::Registry,
        Self::Deps,
        Self::Workspace,
        Self::Sccache,
        Self::Tools,
        Self::Extra,
    ];

    /// The tier's name as it stands in keys, settings and reports.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Registry => "registry",
            Self::Deps => "deps",
            Self::Workspace => "workspace",
            Self::Sccache => "sccache",
            Self::Tools => "tools",
            Self::Extra => "extra",
        }
    }
}

impl fmt::Display for TierName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(self.as_str())
    }
}

/// A tier name that hotcrate does not know.
#[derive(Debug, thiserror::Error)]
#[error("unknown tier {name:?}: expected one of registry, deps, workspace, sccache, tools, extra")]
pub struct UnknownTier {
    /// The name as it was given.
    pub name: String,
}

impl FromStr for TierName {
    type Err = UnknownTier;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|tier| tier.as_str() == name)
            .ok_or_else(|| UnknownTier {
                name: name.to_owned(),
            })
    }
}
