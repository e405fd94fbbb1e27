//! Discovery: asks and reads, everything that takes time at once.

use std::{
    collections::BTreeMap,
    ffi::OsString,
    io,
    path::{Path, PathBuf},
    thread,
};

use super::{
    ManifestError, Note, Project, Request, TargetRole, Workspace, WorkspaceLine,
    config::{self, ConfigFile},
    note,
    paths::{cargo_home, physical},
    platform,
    roots::{self, Candidate},
    toolchain::{self, ToolchainError},
    workspace::{self, Answer},
};
use crate::{
    environment::Environment,
    key::{Compiler, Platform, Toolchain, environment, settings},
    process::ToolError,
};

/// Why a project could not be understood. The job goes on without the cache.
#[derive(Debug, thiserror::Error)]
pub enum DiscoverError {
    /// A directory that was named is not there.
    #[error("failed to open {path}")]
    Directory {
        /// The directory.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// Neither CARGO_HOME nor a home directory is known.
    #[error("found neither CARGO_HOME nor a home directory")]
    NoCargoHome,
    /// Cargo is not there, or can't read the project: the source holds its own words.
    #[error("failed to ask cargo about {directory}")]
    Cargo {
        /// The directory it was asked about.
        directory: PathBuf,
        /// Why.
        #[source]
        source: ToolError,
    },
    /// Cargo's answer can't be read.
    #[error("failed to read what cargo says about {directory}")]
    Metadata {
        /// The directory it was asked about.
        directory: PathBuf,
        /// Why.
        #[source]
        source: cargo_metadata::Error,
    },
    /// A manifest that Cargo reads can't be read here.
    #[error(transparent)]
    Manifest(#[from] ManifestError),
}

/// One line of the `workspaces` setting, with what is known before Cargo answers.
struct Place<'a> {
    line: &'a WorkspaceLine,
    /// The directory that it names, physical.
    directory: PathBuf,
    config: Vec<ConfigFile>,
    settings: config::Settings,
}

/// What the tools answered, in the order of the places.
struct Answers {
    workspaces: Vec<Result<Answer, DiscoverError>>,
    compilers: Vec<Result<Compiler, ToolchainError>>,
    platform: Platform,
}

/// Finds out what is built in `request.directory`.
///
/// Starts `cargo` and `rustc` once for each workspace that may have a toolchain of its own, and what names the C
/// library, all at once.
pub fn discover(request: &Request, environment: &Environment) -> Result<Project, DiscoverError> {
    let directory = existing(&request.directory)?;
    let cargo_home = cargo_home(environment, &request.cwd).ok_or(DiscoverError::NoCargoHome)?;
    let mut notes = Vec::new();
    let mut places = Vec::new();
    for line in &request.workspaces {
        let place = existing(&directory.join(&line.directory))?;
        let config = config::read_files(&place, &directory, &cargo_home, &mut notes);
        places.push(Place {
            line,
            settings: config::settings(&config, &place, environment),
            config,
            directory: place,
        });
    }
    let answers = ask_all(&directory, &places, environment);
    let toolchain = toolchain(&places, &answers.compilers, &mut notes);
    let mut candidates = Vec::new();
    let mut workspaces: BTreeMap<PathBuf, Workspace> = BTreeMap::new();
    for (place, answer) in places.into_iter().zip(answers.workspaces) {
        let answer = match answer {
            Err(error) => without_cargo(
                error,
                &place.directory,
                toolchain.is_none(),
                environment,
                &mut notes,
            )?,
            Ok(answer) => answer,
        };
        candidates.extend(target_directories(&directory, &place, &answer, &mut notes));
        if !workspaces.contains_key(&answer.root) {
            let workspace = workspace::read(answer, place.config, &directory, &mut notes)?;
            workspaces.insert(workspace.root.clone(), workspace);
        }
    }
    let workspaces: Vec<_> = workspaces.into_values().collect();
    let mut platform = answers.platform;
    if asks_for_native(&workspaces, environment) {
        platform.cpu = platform::read_cpu(&directory, environment);
    }
    dedup(&mut notes);
    Ok(Project {
        roots: roots::name_all(&directory, candidates),
        directory,
        workspaces,
        cargo_home,
        toolchain,
        platform,
        image: platform::image(environment),
        notes,
    })
}

fn existing(path: &Path) -> Result<PathBuf, DiscoverError> {
    let found = path.canonicalize().and_then(|_| physical(path));
    found.map_err(|source| DiscoverError::Directory {
        path: path.to_owned(),
        source,
    })
}

/// Starts all tools at once and waits for their answers. Equal questions about the compiler are asked once.
fn ask_all(directory: &Path, places: &[Place<'_>], environment: &Environment) -> Answers {
    let mut compilers: BTreeMap<(OsString, Vec<PathBuf>), &Path> = BTreeMap::new();
    for place in places {
        let files = workspace::toolchain_files(&place.directory, directory);
        compilers
            .entry((place.settings.rustc.clone(), files))
            .or_insert(&place.directory);
    }
    thread::scope(|scope| {
        let compilers: Vec<_> = compilers
            .into_iter()
            .map(|((program, _), place)| {
                scope.spawn(move || toolchain::ask(&program, place, environment))
            })
            .collect();
        let workspaces: Vec<_> = places
            .iter()
            .map(|place| scope.spawn(|| workspace::ask_cargo(&place.directory, environment)))
            .collect();
        let platform = platform::read(directory, environment);
        Answers {
            compilers: compilers.into_iter().map(joined).collect(),
            workspaces: workspaces.into_iter().map(joined).collect(),
            platform,
        }
    })
}

/// What a thread answered. A panic in it goes on here.
fn joined<T>(thread: thread::ScopedJoinHandle<'_, T>) -> T {
    thread
        .join()
        .unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

/// The toolchain, if every compiler answered.
fn toolchain(
    places: &[Place<'_>],
    answers: &[Result<Compiler, ToolchainError>],
    notes: &mut Vec<Note>,
) -> Option<Toolchain> {
    let mut compilers = Vec::new();
    for answer in answers {
        match answer {
            Ok(compiler) => compilers.push(compiler.clone()),
            Err(error) => notes.push(Note::ToolchainUnknown {
                reason: note::worded(error),
            }),
        }
    }
    compilers.sort();
    compilers.dedup();
    let mut targets: Vec<_> = places
        .iter()
        .flat_map(|place| place.settings.targets.clone())
        .collect();
    targets.sort();
    targets.dedup();
    let all_answered = answers.iter().all(Result::is_ok);
    all_answered.then_some(Toolchain { compilers, targets })
}

/// What to do where Cargo gave no answer. If the compiler gives none either, the project is not to blame: its
/// toolchain is not installed, and the downloads can still be restored. Otherwise Cargo's complaint is the answer.
fn without_cargo(
    error: DiscoverError,
    directory: &Path,
    compiler_is_unknown: bool,
    environment: &Environment,
    notes: &mut Vec<Note>,
) -> Result<Answer, DiscoverError> {
    let said_no = matches!(
        error,
        DiscoverError::Cargo {
            source: ToolError::Failed { .. },
            ..
        }
    );
    if !said_no || !compiler_is_unknown {
        return Err(error);
    }
    let answer = workspace::guess(directory, environment).ok_or(error)?;
    notes.push(Note::WorkspaceGuessed {
        workspace: answer.root.clone(),
    });
    Ok(answer)
}

/// Where the workspace is built: what the line says, or else what Cargo says.
fn target_directories(
    project: &Path,
    place: &Place<'_>,
    answer: &Answer,
    notes: &mut Vec<Note>,
) -> Vec<Candidate> {
    let written = place.line.target.as_deref();
    let origin = roots::origin(project, &answer.root, written);
    if let Some(written) = written {
        let directory = place.directory.join(written);
        let is_cargos = physical(&directory).ok() == physical(&answer.target_directory).ok();
        if !is_cargos {
            notes.push(Note::TargetOverridden {
                written: directory.clone(),
                cargo: answer.target_directory.clone(),
            });
        }
        return vec![Candidate {
            directory,
            role: TargetRole::Target,
            origin,
        }];
    }
    [
        (&answer.target_directory, TargetRole::Target),
        (&answer.build_directory, TargetRole::Build),
    ]
    .into_iter()
    .map(|(directory, role)| Candidate {
        directory: directory.clone(),
        role,
        origin: origin.clone(),
    })
    .collect()
}

fn asks_for_native(workspaces: &[Workspace], environment: &Environment) -> bool {
    environment::asks_for_native(environment, &[])
        || workspaces.iter().any(|workspace| {
            let config = workspace.config.iter().map(|file| &file.table);
            let manifests = workspace.manifests.iter().map(|file| &file.table);
            config.chain(manifests).any(settings::asks_for_native)
        })
}

/// Keeps the first of equal notes: several lines may lead to the same file.
fn dedup(notes: &mut Vec<Note>) {
    let mut kept: Vec<Note> = Vec::new();
    for note in notes.drain(..) {
        if !kept.contains(&note) {
            kept.push(note);
        }
    }
    *notes = kept;
}
