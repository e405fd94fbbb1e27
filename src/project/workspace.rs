//! One workspace: what Cargo says of it, and what its files say.

use std::path::{Path, PathBuf};

use cargo_lock::Lockfile;
use cargo_metadata::{Metadata, MetadataCommand};

use super::{
    DiscoverError, Note,
    config::ConfigFile,
    manifests::{self, ManifestFile},
    note,
    paths::{physical, relative_text},
};
use crate::{
    environment::Environment,
    key::{Fact, lockfile, settings::toolchain_file_fact},
    process::Tool,
};

/// A workspace of the project.
#[derive(Clone, Debug)]
pub struct Workspace {
    /// The workspace's root, physical.
    pub root: PathBuf,
    /// Its members, sorted by name. Empty if Cargo could not be asked.
    pub members: Vec<Member>,
    /// Directories of path packages that are no members, physical and sorted, wherever they lie.
    pub path_dependencies: Vec<PathBuf>,
    /// Its Cargo.lock, if there is one that can be read.
    pub lockfile: Option<Lockfile>,
    /// The target directory that Cargo names, absolute.
    pub target_directory: PathBuf,
    /// The build directory that Cargo names, absolute; the target directory if none is set.
    pub build_directory: PathBuf,
    /// Manifests: of the root, the members and the path dependencies.
    pub manifests: Vec<ManifestFile>,
    /// Files of Cargo's configuration that hold here, the closest first.
    pub config: Vec<ConfigFile>,
    /// A fact for each toolchain file that holds here.
    pub toolchain_files: Vec<Fact>,
}

/// A member of a workspace.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Member {
    /// The package's name.
    pub name: String,
    /// Its directory, physical.
    pub directory: PathBuf,
}

/// What Cargo says of the workspace around a directory.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    pub(super) root: PathBuf,
    pub(super) members: Vec<Member>,
    pub(super) target_directory: PathBuf,
    pub(super) build_directory: PathBuf,
}

/// Asks `cargo metadata --no-deps` in `directory`.
pub(super) fn ask_cargo(
    directory: &Path,
    environment: &Environment,
) -> Result<Answer, DiscoverError> {
    let text = Tool::new("cargo", directory, environment)
        .args([
            "metadata",
            "--no-deps",
            "--offline",
            "--format-version",
            "1",
        ])
        .output()
        .map_err(|source| DiscoverError::Cargo {
            directory: directory.to_owned(),
            source,
        })?;
    // Warnings go to standard error; what is not JSON before it comes from wrappers around cargo.
    let json = text
        .lines()
        .find(|line| line.starts_with('{'))
        .unwrap_or_default();
    let metadata = MetadataCommand::parse(json).map_err(|source| DiscoverError::Metadata {
        directory: directory.to_owned(),
        source,
    })?;
    Ok(answer(&metadata))
}

fn answer(metadata: &Metadata) -> Answer {
    let mut members: Vec<_> = metadata
        .workspace_packages()
        .into_iter()
        .filter_map(|package| {
            let directory = package.manifest_path.parent()?.as_std_path();
            Some(Member {
                name: package.name.to_string(),
                directory: physical(directory).unwrap_or_else(|_| directory.to_owned()),
            })
        })
        .collect();
    members.sort();
    let target = &metadata.target_directory;
    let build = metadata.build_directory.as_ref().unwrap_or(target);
    let root = metadata.workspace_root.as_std_path();
    Answer {
        root: physical(root).unwrap_or_else(|_| root.to_owned()),
        members,
        target_directory: target.clone().into_std_path_buf(),
        build_directory: build.clone().into_std_path_buf(),
    }
}

/// What can be said of the workspace around `directory` without Cargo: the closest manifest that declares one, or
/// else the closest manifest. `None` if there is none.
pub(super) fn guess(directory: &Path, environment: &Environment) -> Option<Answer> {
    let manifests: Vec<_> = directory
        .ancestors()
        .filter(|ancestor| ancestor.join("Cargo.toml").is_file())
        .collect();
    let declares = |directory: &&&Path| {
        super::config::read_table(&directory.join("Cargo.toml"))
            .is_ok_and(|manifest| manifest.contains_key("workspace"))
    };
    let root = manifests.iter().find(declares).or(manifests.first())?;
    let target = environment
        .path("CARGO_TARGET_DIR")
        .map_or_else(|| root.join("target"), |target| directory.join(target));
    Some(Answer {
        root: root.to_path_buf(),
        members: Vec::new(),
        build_directory: target.clone(),
        target_directory: target,
    })
}

/// Reads the files of the workspace that `answer` is of.
pub(super) fn read(
    answer: Answer,
    config: Vec<ConfigFile>,
    project: &Path,
    notes: &mut Vec<Note>,
) -> Result<Workspace, DiscoverError> {
    let directories: Vec<_> = answer
        .members
        .iter()
        .map(|member| member.directory.clone())
        .collect();
    let manifests = manifests::read(&answer.root, &directories, &config)?;
    Ok(Workspace {
        lockfile: read_lockfile(&answer.root, notes),
        toolchain_files: toolchain_files(&answer.root, project)
            .into_iter()
            .filter_map(|path| {
                let text = fs_err::read_to_string(&path).ok()?;
                Some(toolchain_file_fact(&relative_text(project, &path), &text))
            })
            .collect(),
        root: answer.root,
        members: answer.members,
        path_dependencies: manifests.path_dependencies,
        target_directory: answer.target_directory,
        build_directory: answer.build_directory,
        manifests: manifests.files,
        config,
    })
}

fn read_lockfile(root: &Path, notes: &mut Vec<Note>) -> Option<Lockfile> {
    let path = root.join("Cargo.lock");
    let text = match fs_err::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            notes.push(Note::LockfileMissing {
                workspace: root.to_owned(),
            });
            return None;
        }
        Err(error) => {
            notes.push(Note::LockfileUnreadable {
                path,
                reason: error.to_string(),
            });
            return None;
        }
    };
    match lockfile::parse(&text) {
        Ok(lockfile) => Some(lockfile),
        Err(error) => {
            let reason = note::worded(&error);
            notes.push(Note::LockfileUnreadable { path, reason });
            None
        }
    }
}

/// The toolchain files from `directory` up to the project's, or only its own if it lies elsewhere.
pub(super) fn toolchain_files(directory: &Path, project: &Path) -> Vec<PathBuf> {
    let holds = |ancestor: &&Path| ancestor.starts_with(project) || *ancestor == directory;
    directory
        .ancestors()
        .take_while(holds)
        .flat_map(|ancestor| {
            ["rust-toolchain", "rust-toolchain.toml"].map(|name| ancestor.join(name))
        })
        .filter(|path| path.is_file())
        .collect()
}
