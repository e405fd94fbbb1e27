//! What git knows and the sources don't: the commit, and which paths did not come with it.
//!
//! Nothing here is needed: without git nothing counts as made by the job or ignored, and a commit that can't be
//! told counts as another one.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use serde::{Deserialize, Serialize};

use super::sources::{SourceKind, Sources, ancestors};
use crate::{
    environment::Environment,
    key::{Digest, DigestBuilder},
    process::{Tool, ToolError},
};

/// What build scripts could learn from git.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Head {
    /// There is no repository: nothing to learn.
    NoRepository,
    /// A repository in this state: the commit, then a digest of the branch, the tags, and whether it is shallow.
    /// Two checkouts of one commit differ where `git describe` or a branch name could.
    At(String),
    /// There is a repository, and its state could not be told: it always counts as another one.
    Unknown,
}

impl Head {
    /// The states of the repositories that `directories` lie in, together.
    pub fn of_all<'a>(
        directories: impl IntoIterator<Item = &'a Path>,
        environment: &Environment,
    ) -> Self {
        let mut states = Vec::new();
        for directory in directories {
            match Self::of(directory, environment) {
                Self::NoRepository => {}
                Self::At(state) => states.push(state),
                Self::Unknown => return Self::Unknown,
            }
        }
        if states.is_empty() {
            Self::NoRepository
        } else {
            Self::At(states.join(", "))
        }
    }

    /// The state of the repository that `directory` lies in. Asks the `git` on PATH.
    pub fn of(directory: &Path, environment: &Environment) -> Self {
        let has_repository = environment.os("GIT_DIR").is_some()
            || directory
                .ancestors()
                .any(|ancestor| fs_err::symlink_metadata(ancestor.join(".git")).is_ok());
        if !has_repository {
            return Self::NoRepository;
        }
        Self::ask(directory, environment).map_or(Self::Unknown, Self::At)
    }

    fn ask(directory: &Path, environment: &Environment) -> Result<String, ToolError> {
        let git = |arguments: &[&str]| {
            Tool::new("git", directory, environment)
                .args(arguments)
                .output()
        };
        let commit = git(&["rev-parse", "HEAD"])?;
        // HEAD names no branch when it is detached: that is a state too, and an error to git.
        let branch = git(&["symbolic-ref", "HEAD"]).unwrap_or_default();
        let tags = git(&["for-each-ref", "refs/tags"])?;
        let shallow = git(&["rev-parse", "--is-shallow-repository"])?;
        let has_submodules = directory
            .ancestors()
            .any(|ancestor| ancestor.join(".gitmodules").is_file());
        let submodules = if has_submodules {
            git(&["submodule", "status", "--recursive"])?
        } else {
            String::new()
        };
        let state = DigestBuilder::new()
            .field("branch", branch)
            .field("tags", tags)
            .field("shallow", shallow)
            .field("submodules", submodules)
            .finish();
        Ok(format!("{} {}", commit.trim(), state.short()))
    }

    /// Whether a script could learn something else from git now than it did at `earlier`.
    pub fn has_moved_since(&self, earlier: &Self) -> bool {
        self != earlier || *self == Self::Unknown
    }
}

/// Paths in the source trees, each with everything below it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PathSet(BTreeSet<String>);

impl PathSet {
    /// Whether `name` or a directory above it is in the set.
    pub fn contains(&self, name: &str) -> bool {
        !self.0.is_empty() && ancestors(name).any(|ancestor| self.0.contains(ancestor))
    }

    /// Adds `name`, as [`Sources`] has it.
    pub fn insert(&mut self, name: String) {
        self.0.insert(name);
    }
}

/// What lay in the source trees when the job began: after the checkout, at restore, before any command of the job; and what
/// was there besides at a later replay.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listing {
    at_restore: BTreeMap<String, Option<Digest>>,
    #[serde(default)]
    since: BTreeMap<String, Option<Digest>>,
}

impl Listing {
    /// Everything in `sources`.
    pub fn of(sources: &Sources) -> Self {
        let entries = sources.entries.iter();
        Self {
            at_restore: entries
                .map(|(name, found)| (name.clone(), found.digest))
                .collect(),
            since: BTreeMap::new(),
        }
    }

    /// The files and links of `sources` that were there when units were judged by them, and had another content than they
    /// have now. Directories change with every file that a job leaves behind.
    pub(super) fn changed<'a>(&'a self, sources: &'a Sources) -> impl Iterator<Item = &'a str> {
        sources.entries.iter().filter_map(|(name, found)| {
            let before = self.at_restore.get(name).or_else(|| self.since.get(name))?;
            let is_other = found.kind != SourceKind::Directory && *before != found.digest;
            is_other.then_some(name.as_str())
        })
    }

    /// The paths that were there when units were judged by them, and are not in `sources` any more.
    pub(super) fn gone<'a>(&'a self, sources: &'a Sources) -> impl Iterator<Item = &'a str> {
        let known = self.at_restore.keys().chain(self.since.keys());
        known
            .map(String::as_str)
            .filter(|name| !sources.entries.contains_key(*name))
    }

    /// Whether `name` came with the checkout, or was made by a step before the restore.
    pub(super) fn had_at_restore(&self, name: &str) -> bool {
        self.at_restore.contains_key(name)
    }

    /// Takes what is listed to be what `sources` has of it now, as units are judged by that. What is new stays new.
    pub fn renew(&mut self, sources: &Sources) {
        self.at_restore
            .retain(|name, _| sources.entries.contains_key(name));
        for (name, digest) in &mut self.at_restore {
            if let Some(found) = sources.entries.get(name) {
                *digest = found.digest;
            }
        }
        let entries = sources.entries.iter();
        self.since = entries
            .filter(|(name, _)| !self.at_restore.contains_key(*name))
            .map(|(name, found)| (name.clone(), found.digest))
            .collect();
    }
}

/// The paths of `sources` that git ignores. Trees that git knows nothing of add none.
pub fn ignored_paths(sources: &Sources, environment: &Environment) -> PathSet {
    let mut paths = PathSet::default();
    for (directory, label) in sources.directories() {
        let listed = Tool::new("git", directory, environment)
            .args(["ls-files", "-z", "--others", "--directory"])
            .args(["--ignored", "--exclude-standard"])
            .output();
        for path in listed.iter().flat_map(|text| text.split('\0')) {
            match path.trim_end_matches('/') {
                // A tree that is itself untracked: git has nothing to say about what is in it.
                "" | "." => {}
                path => paths.insert(format!("{label}/{path}")),
            }
        }
    }
    paths
}
