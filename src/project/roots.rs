//! Target directories: which a project has, and what they are called in an archive.
//!
//! Invariant: a name depends on the project alone, never on where its checkout lies, nor on the order of workspaces;
//! one directory has one name. Target directories of other tools inside of these (`llvm-cov-target`, `miri`) are no roots of
//! their own: what is built there is found in the outer one, as the profiles of other targets are.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::paths::{physical, relative_text};
use crate::{archive::path::RelativePath, key::DigestBuilder};

/// What Cargo keeps in a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum TargetRole {
    /// Final artefacts, and everything else where no build directory is set.
    Target,
    /// What is between, where `build.build-dir` names a place of its own.
    Build,
}

/// A directory that Cargo builds into.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetRoot {
    /// Its name in archives: `target`, `crates/a/target`, `outside/3f2a9c01`.
    pub name: RelativePath,
    /// Where it lies, absolute, as Cargo has it. It need not exist.
    pub directory: PathBuf,
    /// What Cargo keeps there.
    pub role: TargetRole,
}

/// A target directory of one workspace, before it has a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Candidate {
    pub(super) directory: PathBuf,
    pub(super) role: TargetRole,
    /// What tells it from others without saying where it lies: the workspace's place in the project, and what the
    /// user wrote.
    pub(super) origin: String,
}

/// Names the candidates relative to `project` (physical), each directory once, sorted by name.
pub(super) fn name_all(project: &Path, candidates: Vec<Candidate>) -> Vec<TargetRoot> {
    // The same directory may be reached through links, by several workspaces, and in both roles.
    let mut directories: BTreeMap<PathBuf, Vec<Candidate>> = BTreeMap::new();
    for candidate in candidates {
        let place = physical(&candidate.directory).unwrap_or_else(|_| candidate.directory.clone());
        directories.entry(place).or_default().push(candidate);
    }
    let mut roots: Vec<_> = directories
        .into_values()
        .filter_map(|mut same| {
            same.sort_by(|a, b| (a.role, &a.origin).cmp(&(b.role, &b.origin)));
            let first = same.first()?;
            let name = inside(project, &first.directory).or_else(|| outside(&same))?;
            Some(TargetRoot {
                name,
                directory: first.directory.clone(),
                role: first.role,
            })
        })
        .collect();
    roots.sort_by(|a, b| a.name.cmp(&b.name));
    roots
}

/// The name of a directory inside of the project. The directory itself may be a link to elsewhere.
fn inside(project: &Path, directory: &Path) -> Option<RelativePath> {
    let below = |directory: &Path| {
        let rest = directory.strip_prefix(project).ok()?;
        RelativePath::from_native(rest).ok()
    };
    below(directory).or_else(|| {
        let parent = physical(directory.parent()?).ok()?;
        below(&parent.join(directory.file_name()?))
    })
}

/// The name of a directory elsewhere: made of who uses it for what, as its path may differ from run to run.
fn outside(users: &[Candidate]) -> Option<RelativePath> {
    let mut digest = DigestBuilder::new();
    for user in users {
        let role = match user.role {
            TargetRole::Target => "target",
            TargetRole::Build => "build",
        };
        digest.field(role, &user.origin);
    }
    RelativePath::new(format!("outside/{}", digest.finish().short())).ok()
}

/// What tells the target directory of a workspace from others: see [`Candidate::origin`].
pub(super) fn origin(project: &Path, workspace: &Path, written: Option<&Path>) -> String {
    let place = relative_text(project, workspace);
    match written {
        Some(written) => format!("{place} -> {}", written.display()),
        None => place,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidate(directory: &Path, role: TargetRole, origin: &str) -> Candidate {
        Candidate {
            directory: directory.to_owned(),
            role,
            origin: origin.to_owned(),
        }
    }

    fn names(roots: &[TargetRoot]) -> Vec<&str> {
        roots.iter().map(|root| root.name.as_str()).collect()
    }

    #[test]
    fn directories_in_the_project_are_named_by_their_place_and_listed_once() {
        let project = tempfile::tempdir().expect("there is a temporary directory");
        let project = physical(project.path()).expect("it exists");
        fs_err::create_dir_all(project.join("crates")).expect("it is ours");
        let roots = name_all(
            &project,
            vec![
                candidate(&project.join("target"), TargetRole::Build, "."),
                candidate(
                    &project.join("crates/a/target"),
                    TargetRole::Target,
                    "crates/a",
                ),
                candidate(&project.join("target"), TargetRole::Target, "."),
                candidate(&project.join("crates/../target"), TargetRole::Target, "x"),
            ],
        );
        assert_eq!(names(&roots), ["crates/a/target", "target"]);
        assert_eq!(roots[1].role, TargetRole::Target);
    }

    #[test]
    fn directories_elsewhere_have_names_without_paths_whatever_the_order() {
        let project = Path::new("/project");
        let at = |base: &str| {
            vec![
                candidate(&Path::new(base).join("one"), TargetRole::Target, "a"),
                candidate(&Path::new(base).join("two"), TargetRole::Target, "b"),
                candidate(&Path::new(base).join("one"), TargetRole::Target, "c"),
            ]
        };
        let here = name_all(project, at("/x"));
        let mut there = at("/somewhere/else");
        there.reverse();
        let there = name_all(project, there);
        assert_eq!(names(&here), names(&there));
        assert_eq!(here.len(), 2);
        assert!(here[0].name.as_str().starts_with("outside/"));
    }

    #[cfg(unix)]
    #[test]
    fn a_target_directory_that_is_a_link_keeps_its_name() {
        let directory = tempfile::tempdir().expect("there is a temporary directory");
        let base = physical(directory.path()).expect("it exists");
        let project = base.join("project");
        fs_err::create_dir_all(&project).expect("it is ours");
        fs_err::create_dir_all(base.join("big disk")).expect("it is ours");
        fs_err::os::unix::fs::symlink("../big disk", project.join("target")).expect("it is ours");
        fs_err::os::unix::fs::symlink("project", base.join("link")).expect("it is ours");
        let plain = candidate(&project.join("target"), TargetRole::Target, ".");
        let linked = candidate(&base.join("link/target"), TargetRole::Target, ".");
        assert_eq!(names(&name_all(&project, vec![plain])), ["target"]);
        assert_eq!(names(&name_all(&project, vec![linked])), ["target"]);
    }
}
