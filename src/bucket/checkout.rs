//! Which checkout of which repository a directory lies in, by git's own files.
//!
//! No git is started: `.git` is a directory in a primary checkout, and in others a file that names one; the latter has a
//! `commondir` in a linked worktree, and none in a submodule (gitrepository-layout(5)). What can't be read counts as not
//! there: the directory is then a project of its own.

use std::path::{Path, PathBuf};

/// A working tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Checkout {
    /// Its top directory, absolute; without a repository the directory that was asked about.
    pub root: PathBuf,
    /// The repository's own directory, which all of its worktrees share, links resolved; without one, `root`.
    pub repository: PathBuf,
    /// git's name for the worktree, if it is a linked one.
    pub worktree: Option<String>,
    /// The branch that is checked out, as in `refs/heads/<branch>`.
    pub branch: Option<String>,
}

impl Checkout {
    /// The checkout around `directory`, an absolute path without links.
    pub fn around(directory: &Path) -> Self {
        directory
            .ancestors()
            .find_map(Self::at)
            .unwrap_or_else(|| Self {
                root: directory.to_owned(),
                repository: directory.to_owned(),
                worktree: None,
                branch: None,
            })
    }

    fn at(root: &Path) -> Option<Self> {
        let dot_git = root.join(".git");
        let own = if fs_err::metadata(&dot_git).ok()?.is_dir() {
            dot_git
        } else {
            let text = fs_err::read_to_string(&dot_git).ok()?;
            root.join(text.strip_prefix("gitdir:")?.trim())
        };
        // An empty `.git` of no repository is none.
        let head = fs_err::read_to_string(own.join("HEAD")).ok()?;
        let common = fs_err::read_to_string(own.join("commondir"))
            .ok()
            .map(|text| own.join(text.trim()));
        let is_linked = common.is_some();
        let repository = fs_err::canonicalize(common.unwrap_or_else(|| own.clone())).ok()?;
        Some(Self {
            root: root.to_owned(),
            repository,
            worktree: own
                .file_name()
                .filter(|_| is_linked)
                .map(|name| name.to_string_lossy().into_owned()),
            branch: head
                .trim()
                .strip_prefix("ref: refs/heads/")
                // What stands here where references are kept in tables.
                .filter(|branch| *branch != ".invalid")
                .map(str::to_owned),
        })
    }

    /// Whether git knows anything of it.
    pub fn has_repository(&self) -> bool {
        self.repository != self.root
    }

    /// The primary checkout of the repository, if it has one: a bare repository has none.
    pub fn primary(&self) -> Option<PathBuf> {
        if self.worktree.is_none() {
            return Some(self.root.clone());
        }
        let is_plain = self
            .repository
            .file_name()
            .is_some_and(|name| name == ".git");
        self.repository
            .parent()
            .filter(|_| is_plain)
            .map(Path::to_owned)
    }

    /// Where `directory`, which lies in the checkout, lies within it, with `/` between the parts; empty for the top.
    pub fn place_of(&self, directory: &Path) -> String {
        let below = directory.strip_prefix(&self.root).unwrap_or(directory);
        let parts: Vec<_> = below
            .components()
            .map(|part| part.as_os_str().to_string_lossy())
            .collect();
        parts.join("/")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{environment::Environment, process::Tool};

    fn git(directory: &Path, arguments: &[&str]) {
        let identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"];
        Tool::new("git", directory, &Environment::of_process())
            .args(identity.iter().chain(arguments))
            .output()
            .expect("git does it");
    }

    fn repository() -> (tempfile::TempDir, PathBuf) {
        let directory = tempfile::tempdir().expect("there is room");
        let base = fs_err::canonicalize(directory.path()).expect("it is there");
        let primary = base.join("primary");
        fs_err::create_dir_all(primary.join("crates/a")).expect("made");
        git(&primary, &["init", "-q", "-b", "main"]);
        git(&primary, &["commit", "-q", "--allow-empty", "-m", "x"]);
        (directory, base)
    }

    #[test]
    fn a_linked_worktree_knows_its_repository_and_its_primary_checkout() {
        let (_directory, base) = repository();
        let primary = base.join("primary");
        git(&primary, &["worktree", "add", "-q", "-b", "fix", "../fix"]);
        let of_primary = Checkout::around(&primary.join("crates/a"));
        assert_eq!(of_primary.root, primary);
        assert_eq!(of_primary.worktree, None);
        assert_eq!(of_primary.branch.as_deref(), Some("main"));
        assert_eq!(of_primary.place_of(&primary.join("crates/a")), "crates/a");

        let linked = Checkout::around(&base.join("fix"));
        assert_eq!(linked.root, base.join("fix"));
        assert_eq!(linked.repository, of_primary.repository);
        assert_eq!(linked.worktree.as_deref(), Some("fix"));
        assert_eq!(linked.branch.as_deref(), Some("fix"));
        assert_eq!(linked.primary(), Some(primary));
    }

    #[test]
    fn a_submodule_is_a_primary_checkout_of_its_own() {
        let (_directory, base) = repository();
        let other = base.join("other");
        fs_err::create_dir(&other).expect("made");
        git(&other, &["init", "-q"]);
        let allow = "protocol.file.allow=always";
        git(
            &other,
            &[
                "-c",
                allow,
                "submodule",
                "--quiet",
                "add",
                "../primary",
                "sub",
            ],
        );
        let checkout = Checkout::around(&other.join("sub"));
        assert_eq!(checkout.root, other.join("sub"));
        assert_eq!(checkout.worktree, None);
        assert_ne!(checkout.repository, Checkout::around(&other).repository);
    }

    #[test]
    fn what_is_in_no_repository_is_a_project_of_its_own() {
        let directory = tempfile::tempdir().expect("there is room");
        fs_err::create_dir(directory.path().join(".git")).expect("made");
        let checkout = Checkout::around(directory.path());
        assert_eq!(checkout.root, directory.path());
        assert_eq!(checkout.repository, directory.path());
    }
}
