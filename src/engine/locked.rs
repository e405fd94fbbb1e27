//! The packages of the lockfiles, in the words of those who ask for them.

use std::collections::HashSet;

use cargo_lock::{Lockfile, Package};

use crate::{
    archive::path::RelativePath, key::lockfile, project::Project, prune::LockedPackages,
    tier::LockedPackage,
};

/// The packages of all lockfiles of a project.
pub(super) fn locked_packages(project: &Project) -> Vec<LockedPackage> {
    packages(project).map(locked_package).collect()
}

fn locked_package(package: &Package) -> LockedPackage {
    LockedPackage {
        name: package.name.to_string(),
        version: package.version.to_string(),
        source: package.source.as_ref().map(ToString::to_string),
        checksum: package.checksum.as_ref().map(ToString::to_string),
    }
}

/// The versions that are still locked; `None` if a workspace has no lockfile, since any version may be in use then.
pub(super) fn locked_versions(project: &Project) -> Option<LockedPackages> {
    let all_locked = project
        .workspaces
        .iter()
        .all(|workspace| workspace.lockfile.is_some());
    all_locked.then(|| LockedPackages {
        registry: packages(project)
            .map(|package| format!("{}-{}", package.name, package.version))
            .collect(),
        git_revisions: packages(project)
            .filter_map(|package| package.source.as_ref()?.precise())
            .map(str::to_owned)
            .collect(),
    })
}

/// The packages of the lockfiles as they are now: a job without one makes one.
pub(super) fn locked_packages_now(project: &Project) -> Vec<LockedPackage> {
    let made = project
        .workspaces
        .iter()
        .filter(|workspace| workspace.lockfile.is_none())
        .filter_map(|workspace| {
            let text = fs_err::read_to_string(workspace.root.join("Cargo.lock")).ok()?;
            lockfile::parse(&text).ok()
        });
    let made: Vec<_> = made.flat_map(|lockfile| lockfile.packages).collect();
    packages(project).chain(&made).map(locked_package).collect()
}

/// Says of a path relative to CARGO_HOME whether one of `packages` could need what lies there. Only `.crate` files and
/// index files are told apart: they are what a foreign entry has most of. Without a lockfile anything could be needed.
pub(super) fn is_needed(
    packages: &[LockedPackage],
) -> impl Fn(&RelativePath) -> bool + Sync + 'static {
    let names: HashSet<String> = packages
        .iter()
        .map(|package| package.name.to_lowercase())
        .collect();
    let crates: HashSet<String> = packages
        .iter()
        .map(|package| format!("{}-{}.crate", package.name, package.version))
        .collect();
    let anything = packages.is_empty();
    move |path| {
        let name = path.file_name();
        if anything {
            true
        } else if path.as_str().starts_with("registry/cache/") {
            crates.contains(name)
        } else if path.as_str().starts_with("registry/index/")
            && path.parts().any(|part| part == ".cache")
        {
            names.contains(name)
        } else {
            true
        }
    }
}

fn packages(project: &Project) -> impl Iterator<Item = &Package> {
    project
        .workspaces
        .iter()
        .filter_map(|workspace| workspace.lockfile.as_ref())
        .flat_map(|lockfile: &Lockfile| &lockfile.packages)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_foreign_entry_only_what_the_lockfile_names_is_needed() {
        let serde = LockedPackage {
            name: "Serde".to_owned(),
            version: "1.0.229".to_owned(),
            source: None,
            checksum: None,
        };
        let needed = is_needed(&[serde]);
        let is_needed = |path: &str| needed(&RelativePath::new(path).expect("it is plain"));
        assert!(is_needed("registry/cache/index-1/Serde-1.0.229.crate"));
        assert!(!is_needed("registry/cache/index-1/serde_json-1.0.0.crate"));
        assert!(is_needed("registry/index/index-1/.cache/se/rd/serde"));
        assert!(!is_needed("registry/index/index-1/.cache/se/rd/serde_json"));
        assert!(is_needed("registry/index/index-1/config.json"));
        assert!(is_needed("git/db/tool-0123456789abcdef/HEAD"));
    }
}
