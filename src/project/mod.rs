//! What is built here: workspaces, toolchain, platform and target directories, before anything is restored.
//!
//! Discovery never touches the network, resolves nothing and installs nothing: it asks `cargo metadata --no-deps` and
//! `rustc -vV`, and reads Cargo.lock, manifests and configuration. It writes nothing. Where Cargo can't read the
//! project, discovery fails with Cargo's own words; what is merely unknown becomes a [`Note`].

mod config;
mod discover;
mod facts;
mod manifests;
mod note;
mod paths;
pub mod platform;
mod roots;
pub mod toolchain;
pub mod tree;
mod workspace;
mod workspace_line;

#[cfg(test)]
mod tests;

use std::path::PathBuf;

pub use config::ConfigFile;
pub use discover::{DiscoverError, discover};
pub use manifests::{ManifestError, ManifestFile};
pub use note::Note;
pub use paths::{cargo_home, physical, relative_text, without_verbatim_prefix};
pub use roots::{TargetRole, TargetRoot};
pub use tree::{Tree, TreeRequest, read_tree};
pub use workspace::{Member, Workspace};
pub use workspace_line::{WorkspaceLine, WorkspaceLineError};

use crate::key::{Platform, Toolchain};

/// Which project to look at.
#[derive(Clone, Debug)]
pub struct Request {
    /// The project's directory, absolute.
    pub directory: PathBuf,
    /// The working directory, absolute: a relative CARGO_HOME is relative to it.
    pub cwd: PathBuf,
    /// The workspaces in it.
    pub workspaces: Vec<WorkspaceLine>,
}

/// What is built.
#[derive(Clone, Debug)]
pub struct Project {
    /// The project's directory, physical: without links in it.
    pub directory: PathBuf,
    /// Its workspaces, each once, sorted by their root.
    pub workspaces: Vec<Workspace>,
    /// CARGO_HOME, absolute, as Cargo has it: links in it are kept, as they are in Cargo's fingerprints.
    pub cargo_home: PathBuf,
    /// The compilers that the workspaces select. `None` if one could not be asked ([`Note::ToolchainUnknown`]).
    pub toolchain: Option<Toolchain>,
    /// What the job runs on, with the CPU if a flag in the configuration or environment asks for it.
    pub platform: Platform,
    /// The hosted runner's image, for headers.
    pub image: Option<String>,
    /// The directories that Cargo builds into, sorted by name.
    pub roots: Vec<TargetRoot>,
    /// What the user should hear of.
    pub notes: Vec<Note>,
}
