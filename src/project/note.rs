//! What discovery found odd, and what that costs.

use std::{error::Error, fmt, path::PathBuf};

/// Something that the user should hear of. Its `Display` is one sentence, without a stop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Note {
    /// A workspace has no Cargo.lock.
    LockfileMissing {
        /// The workspace's root.
        workspace: PathBuf,
    },
    /// A Cargo.lock can't be read; it is treated as missing.
    LockfileUnreadable {
        /// The file.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The compiler that the project selects can't be asked: nothing of a target directory can be restored.
    ToolchainUnknown {
        /// Why.
        reason: String,
    },
    /// Cargo can't be asked either, as the toolchain is not installed: only the lockfile is known.
    WorkspaceGuessed {
        /// The workspace's root, as far as its manifests tell.
        workspace: PathBuf,
    },
    /// A file of Cargo's configuration can't be read; it does not count.
    ConfigUnreadable {
        /// The file, or the directory that it holds for.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// The user names another target directory than Cargo does. The user's counts.
    TargetOverridden {
        /// What the user wrote, absolute.
        written: PathBuf,
        /// What Cargo says.
        cargo: PathBuf,
    },
}

impl fmt::Display for Note {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LockfileMissing { workspace } => write!(
                formatter,
                "{} has no Cargo.lock: its manifests stand in, so releases of dependencies go unnoticed and their \
                 downloads and builds are cached a run late",
                workspace.display()
            ),
            Self::LockfileUnreadable { path, reason } => write!(
                formatter,
                "{} can't be read and is treated as missing: {reason}",
                path.display()
            ),
            Self::ToolchainUnknown { reason } => write!(
                formatter,
                "the project's compiler is unknown, so only downloads are cached: install the toolchain before this \
                 step ({reason})"
            ),
            Self::WorkspaceGuessed { workspace } => write!(
                formatter,
                "cargo could not be asked about {}: only its Cargo.lock is used",
                workspace.display()
            ),
            Self::ConfigUnreadable { path, reason } => write!(
                formatter,
                "Cargo's configuration in {} can't be read and does not count: {reason}",
                path.display()
            ),
            Self::TargetOverridden { written, cargo } => write!(
                formatter,
                "the target directory {} is used as written, although Cargo says {}",
                written.display(),
                cargo.display()
            ),
        }
    }
}

/// An error and its causes in one line.
pub(super) fn worded(error: &dyn Error) -> String {
    let mut parts = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        parts.push(error.to_string());
        cause = error.source();
    }
    let text = parts.join(": ");
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
