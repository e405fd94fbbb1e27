//! Manifests of a workspace, and of the path packages around it.
//!
//! `cargo metadata --no-deps` tells the members only. What they reach through `path =` is found by walking their
//! manifests, as anything that resolves would download. Each directory is visited once, by its physical path: links
//! that lead in circles end the walk.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};

use toml::{Table, Value};

use super::{
    config::{ConfigFile, read_table},
    paths::physical,
};
use crate::key::settings::{DEPENDENCY_TABLES, ManifestRole};

/// A manifest, parsed.
#[derive(Clone, Debug)]
pub struct ManifestFile {
    /// The directory it lies in, physical.
    pub directory: PathBuf,
    /// What it is to the workspace.
    pub role: ManifestRole,
    /// What it says.
    pub table: Table,
}

/// All manifests that a workspace is built from.
#[derive(Clone, Debug, Default)]
pub(super) struct Manifests {
    /// The root's, the members', and those of path dependencies, in the order in which they were reached.
    pub(super) files: Vec<ManifestFile>,
    /// Directories of path packages that are not members, sorted.
    pub(super) path_dependencies: Vec<PathBuf>,
}

/// A manifest that could not be read.
#[derive(Debug, thiserror::Error)]
#[error("failed to read {path}: {reason}")]
pub struct ManifestError {
    /// The manifest.
    pub path: PathBuf,
    /// What is wrong with it, worded by who tried.
    pub reason: String,
}

/// Reads the manifests of the workspace at `root` with its `members` (directories, physical), and walks what they and
/// the `config` files reach. A path dependency that is not there is left to Cargo to complain about.
pub(super) fn read(
    root: &Path,
    members: &[PathBuf],
    config: &[ConfigFile],
) -> Result<Manifests, ManifestError> {
    let mut walk = Walk {
        workspaces: Workspaces::default(),
        visited: BTreeSet::new(),
        open: Vec::new(),
        manifests: Manifests::default(),
    };
    let table = read_manifest(root)?;
    walk.workspaces.add(root, table.clone());
    walk.visit(root.to_owned(), ManifestRole::Root, table);
    for member in members.iter().filter(|member| *member != root) {
        let table = read_manifest(member)?;
        walk.visit(member.clone(), ManifestRole::Member, table);
    }
    for file in config {
        walk.open
            .extend(config_paths(&file.table).map(|path| file.base.join(path)));
    }
    walk.follow();
    let mut manifests = walk.manifests;
    manifests.path_dependencies.sort();
    Ok(manifests)
}

/// A walk from manifest to manifest.
struct Walk {
    workspaces: Workspaces,
    visited: BTreeSet<PathBuf>,
    /// Directories still to visit, as they were named.
    open: Vec<PathBuf>,
    manifests: Manifests,
}

impl Walk {
    fn visit(&mut self, directory: PathBuf, role: ManifestRole, table: Table) {
        if !self.visited.insert(directory.clone()) {
            return;
        }
        let workspace = self.workspaces.of(&directory, &table);
        self.open.extend(reached(&directory, &table, workspace));
        self.manifests.files.push(ManifestFile {
            directory,
            role,
            table,
        });
    }

    fn follow(&mut self) {
        while let Some(named) = self.open.pop() {
            if let Ok(directory) = physical(&named)
                && !self.visited.contains(&directory)
                && let Ok(table) = read_manifest(&directory)
            {
                self.manifests.path_dependencies.push(directory.clone());
                self.visit(directory, ManifestRole::Member, table);
            }
        }
    }
}

fn read_manifest(directory: &Path) -> Result<Table, ManifestError> {
    let path = directory.join("Cargo.toml");
    read_table(&path).map_err(|reason| ManifestError { path, reason })
}

/// Manifests that may be workspace roots, from which packages inherit dependencies: by directory, read once.
#[derive(Default)]
struct Workspaces(BTreeMap<PathBuf, Option<Table>>);

impl Workspaces {
    fn add(&mut self, root: &Path, table: Table) {
        self.0.insert(root.to_owned(), Some(table));
    }

    /// The workspace that the package in `directory` belongs to: what it names, itself, or the closest above it.
    fn of<'a>(&'a mut self, directory: &Path, table: &Table) -> Option<(&'a Path, &'a Table)> {
        let named = table
            .get("package")
            .and_then(|package| package.get("workspace"))
            .and_then(Value::as_str)
            .and_then(|path| physical(&directory.join(path)).ok());
        let candidates: Vec<_> = match named {
            Some(named) => vec![named],
            None => directory.ancestors().map(Path::to_owned).collect(),
        };
        let found = candidates.into_iter().find(|candidate| {
            self.0
                .entry(candidate.clone())
                .or_insert_with(|| {
                    let manifest = candidate.join("Cargo.toml");
                    let table = manifest.is_file().then(|| read_table(&manifest).ok());
                    table.flatten()
                })
                .as_ref()
                .is_some_and(|table| table.contains_key("workspace"))
        })?;
        let (path, table) = self.0.get_key_value(&found)?;
        Some((path, table.as_ref()?))
    }
}

/// Directories that the manifest in `directory` names with `path`, itself or through its `workspace`.
fn reached(directory: &Path, manifest: &Table, workspace: Option<(&Path, &Table)>) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for (name, dependency) in manifest_dependencies(manifest) {
        if let Some(path) = path_of(dependency) {
            found.push(directory.join(path));
        } else if is_inherited(dependency)
            && let Some((root, table)) = workspace
            && let Some(path) = inherited_path(table, name)
        {
            found.push(root.join(path));
        }
    }
    found
}

/// All dependencies of a manifest, those for one platform and patches included.
fn manifest_dependencies(manifest: &Table) -> impl Iterator<Item = (&String, &Value)> {
    std::iter::once(manifest)
        .chain(sub_tables(manifest, "target"))
        .flat_map(dependency_tables)
        .chain(sub_tables(manifest, "patch"))
        .chain(manifest.get("replace").and_then(Value::as_table))
        .flatten()
}

fn dependency_tables(table: &Table) -> impl Iterator<Item = &Table> {
    DEPENDENCY_TABLES
        .iter()
        .filter_map(|name| table.get(*name)?.as_table())
}

/// The directories that a configuration's `paths` and `patch` name, as they are written.
fn config_paths(config: &Table) -> impl Iterator<Item = &str> {
    let paths = config
        .get("paths")
        .and_then(Value::as_array)
        .into_iter()
        .flatten()
        .filter_map(Value::as_str);
    let patches = sub_tables(config, "patch")
        .flatten()
        .filter_map(|(_, dependency)| path_of(dependency));
    paths.chain(patches)
}

fn sub_tables<'a>(table: &'a Table, name: &str) -> impl Iterator<Item = &'a Table> {
    table
        .get(name)
        .and_then(Value::as_table)
        .into_iter()
        .flatten()
        .filter_map(|(_, value)| value.as_table())
}

fn path_of(dependency: &Value) -> Option<&str> {
    dependency.get("path")?.as_str()
}

fn is_inherited(dependency: &Value) -> bool {
    dependency.get("workspace").and_then(Value::as_bool) == Some(true)
}

fn inherited_path<'a>(root: &'a Table, name: &str) -> Option<&'a str> {
    path_of(root.get("workspace")?.get("dependencies")?.get(name)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Tree(tempfile::TempDir, PathBuf);

    impl Tree {
        fn new(files: &[(&str, &str)]) -> Self {
            let directory = tempfile::tempdir().expect("there is a temporary directory");
            let root = physical(directory.path()).expect("it exists");
            for (path, text) in files {
                let path = root.join(path).join("Cargo.toml");
                fs_err::create_dir_all(path.parent().expect("it has one")).expect("it is ours");
                fs_err::write(path, text).expect("it is ours");
            }
            Self(directory, root)
        }

        /// Path dependencies of the workspace `ws`, relative to the tree.
        fn path_dependencies(&self, members: &[&str], config: &[ConfigFile]) -> Vec<String> {
            let members: Vec<_> = members.iter().map(|member| self.1.join(member)).collect();
            let manifests = read(&self.1.join("ws"), &members, config).expect("all are there");
            manifests
                .path_dependencies
                .iter()
                .map(|path| super::super::paths::relative_text(&self.1, path))
                .collect()
        }
    }

    #[test]
    fn every_kind_of_path_dependency_is_followed_to_its_end() {
        let tree = Tree::new(&[
            (
                "ws",
                "[workspace]\nmembers = ['m']\n[workspace.dependencies]\ninherited = { path = '../inherited' }\n\
                 unused = { path = '../unused' }\n[patch.crates-io]\npatched = { path = '../patched' }",
            ),
            (
                "ws/m",
                "[package]\nname = 'm'\n[dependencies]\ninherited.workspace = true\nplain = { path = '../../plain' }\n\
                 [dev-dependencies]\ndev = { path = '../../dev' }\n[build-dependencies.build]\npath = '../../build'\n\
                 [target.'cfg(unix)'.dependencies]\nunixy = { path = '../../unixy' }",
            ),
            (
                "plain",
                "[package]\nname = 'plain'\n[dependencies]\ndeeper = { path = '../deeper' }",
            ),
            (
                "deeper",
                "[package]\nname = 'deeper'\n[dependencies]\nplain = { path = '../plain' }",
            ),
            ("dev", "[package]\nname = 'dev'"),
            ("build", "[package]\nname = 'build'"),
            ("unixy", "[package]\nname = 'unixy'"),
            ("inherited", "[package]\nname = 'inherited'"),
            ("unused", "[package]\nname = 'unused'"),
            ("patched", "[package]\nname = 'patched'"),
        ]);
        assert_eq!(
            tree.path_dependencies(&["ws/m"], &[]),
            [
                "build",
                "deeper",
                "dev",
                "inherited",
                "patched",
                "plain",
                "unixy"
            ]
        );
    }

    #[test]
    fn a_package_of_another_workspace_inherits_from_there() {
        let tree = Tree::new(&[
            (
                "ws",
                "[package]\nname = 'a'\n[dependencies]\nx = { path = '../other/x' }",
            ),
            (
                "other",
                "[workspace]\nmembers = ['x']\n[workspace.dependencies]\ny = { path = '../y' }",
            ),
            (
                "other/x",
                "[package]\nname = 'x'\n[dependencies]\ny.workspace = true",
            ),
            ("y", "[package]\nname = 'y'"),
        ]);
        assert_eq!(tree.path_dependencies(&[], &[]), ["other/x", "y"]);
    }

    #[test]
    fn patches_and_paths_of_the_configuration_are_followed() {
        let tree = Tree::new(&[
            ("ws", "[package]\nname = 'a'"),
            ("one", "[package]\nname = 'one'"),
            ("two", "[package]\nname = 'two'"),
        ]);
        let text = "paths = ['../one']\n[patch.crates-io]\ntwo = { path = '../two' }";
        let config = ConfigFile {
            label: "c".into(),
            base: tree.1.join("ws"),
            table: text.parse().expect("it is TOML"),
        };
        assert_eq!(tree.path_dependencies(&[], &[config]), ["one", "two"]);
    }

    #[test]
    fn what_is_missing_is_left_out() {
        let tree = Tree::new(&[(
            "ws",
            "[package]\nname = 'a'\n[dependencies]\nx = { path = '../gone' }",
        )]);
        assert_eq!(tree.path_dependencies(&[], &[]), <[&str; 0]>::default());
    }

    #[cfg(unix)]
    #[test]
    fn links_that_lead_in_circles_end_the_walk() {
        let tree = Tree::new(&[
            (
                "ws",
                "[package]\nname = 'a'\n[dependencies]\nx = { path = '../x' }",
            ),
            (
                "x",
                "[package]\nname = 'x'\n[dependencies]\nx2 = { path = 'again/again' }",
            ),
        ]);
        fs_err::os::unix::fs::symlink(".", tree.1.join("x/again")).expect("it is ours");
        assert_eq!(tree.path_dependencies(&[], &[]), ["x"]);
        drop(tree.0);
    }
}
