//! The sources of a session's project, as `freshness` reads them, and what was known of them when the job began.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use super::{session::Session, target::source_roots};
use crate::{
    archive::path::RelativePath,
    freshness::{
        self, Head, Inputs, Listing, ScanError, SourceTree, SourceTrees, Sources, Verdicts,
        signs::Sign,
    },
    key::environment,
    project::{self, Project, Workspace},
    state::{self, WorkspaceState},
    unit::{self, TargetTree},
};

/// The label of what lies in the project's directory, and of what lies elsewhere.
const INSIDE: &str = "project";
const OUTSIDE: &str = "outside";
/// What stands for `..` in a label, which can hold none.
const UP: &str = "^";

/// The sources before the job.
pub(super) struct SourcesBefore {
    /// Everything that was there.
    pub sources: Sources,
    /// What the save has to know of them.
    pub state: WorkspaceState,
}

/// Reads the sources before the job's first command, or says why workspace crates are left to Cargo: another build of the
/// same sources is there, and the times that they would get are older than it.
pub(super) fn read_before(session: &Session<'_>) -> anyhow::Result<Result<SourcesBefore, String>> {
    let project = session.project();
    let known_trees = known_trees(session);
    let own: Vec<_> = project
        .roots
        .iter()
        .map(|root| root.directory.clone())
        .collect();
    // In a directory that stays, this is how every run ends: before anything is hashed.
    if let Some(refusal) = built_before(session, &own) {
        return Ok(Err(refusal));
    }
    let request = project.tree_request();
    let (sources, tree) = rayon::join(
        || scan(project),
        || project::read_tree(&request, session.environment),
    );
    let sources = sources?;
    if let Some(refusal) = built_before(session, &sources.caches) {
        return Ok(Err(refusal));
    }
    let state = WorkspaceState {
        tree: tree.part,
        listing: Listing::of(&sources),
        known_trees,
        changed: Vec::new(),
    };
    Ok(Ok(SourcesBefore { sources, state }))
}

/// Reads the sources as they are now.
pub(super) fn scan(project: &Project) -> Result<Sources, ScanError> {
    freshness::scan(&source_trees(project))
}

/// The state of the repositories that the sources lie in.
pub(super) fn head(session: &Session<'_>) -> Head {
    let trees = source_trees(session.project());
    let directories = trees.trees().iter().map(|tree| tree.directory.as_path());
    Head::of_all(directories, session.environment)
}

/// The directories whose content may be compiled.
fn source_trees(project: &Project) -> SourceTrees {
    let request = project.tree_request();
    let trees = request.directories.into_iter().filter_map(|directory| {
        let name = label(&project.directory, &directory)?;
        Some(SourceTree { name, directory })
    });
    SourceTrees::new(trees, request.excluded)
}

/// What a directory is called at every checkout of the project. Windows has paths that are relative to no other.
fn label(project: &Path, directory: &Path) -> Option<RelativePath> {
    let text = project::relative_text(project, directory);
    let text = match text.as_str() {
        "." => INSIDE.to_owned(),
        below if !below.starts_with("..") => format!("{INSIDE}/{below}"),
        elsewhere => {
            let parts = elsewhere
                .split('/')
                .map(|part| if part == ".." { UP } else { part });
            format!("{OUTSIDE}/{}", parts.collect::<Vec<_>>().join("/"))
        }
    };
    RelativePath::new(text).ok()
}

/// Which of `targets`, if any of them is a target directory, holds units of path packages; in words.
fn built_before(session: &Session<'_>, targets: &[PathBuf]) -> Option<String> {
    let reading = source_roots(session);
    targets
        .iter()
        .filter(|directory| directory.is_dir())
        .find(|directory| {
            unit::read_target(directory, &reading)
                .is_ok_and(|tree| freshness::already_warm(&tree, &BTreeSet::new()))
        })
        .map(|directory| {
            let shown = project::relative_text(&session.project().directory, directory);
            format!("{shown} holds workspace crates that were built before")
        })
}

/// The labels of the trees that a run of hotcrate on this machine has seen, and marks all of them as seen.
///
/// In a directory that stays, anything may have been built from a source since, in a target directory that nobody
/// knows of: its time must not be set back. A fresh checkout has another inode, or another time of birth.
fn known_trees(session: &Session<'_>) -> BTreeSet<String> {
    let project = session.project();
    let trees = source_trees(project);
    let identities: Vec<_> = trees
        .trees()
        .iter()
        .map(|tree| (tree.name.to_string(), identity(&tree.directory)))
        .collect();
    let seen = identities
        .iter()
        .filter_map(|(_, identity)| identity.clone());
    let before = state::see_checkouts(&project.directory, &seen.collect(), session.environment);
    let before = before.unwrap_or_else(|error| {
        session.console.detail(&format!(
            "which checkouts were here before is not known: {error}"
        ));
        BTreeSet::new()
    });
    identities
        .into_iter()
        .filter(|(_, identity)| identity.as_ref().is_none_or(|known| before.contains(known)))
        .map(|(name, _)| name)
        .collect()
}

/// What tells a directory from another one at the same path, before or after it.
fn identity(directory: &Path) -> Option<String> {
    let metadata = fs_err::metadata(directory).ok()?;
    let born = metadata
        .created()
        .ok()
        .and_then(|born| born.duration_since(UNIX_EPOCH).ok())
        .map_or(0, |born| born.as_nanos());
    #[cfg(unix)]
    let number = {
        use std::os::unix::fs::MetadataExt as _;
        format!("{}:{}", metadata.dev(), metadata.ino())
    };
    #[cfg(not(unix))]
    let number = String::new();
    Some(format!("{number}@{born}"))
}

/// What the units of a target directory say that they read.
pub(super) fn read_inputs(
    session: &Session<'_>,
    tree: &TargetTree,
    sources: &Sources,
    known: &Verdicts,
) -> Inputs {
    let project = session.project();
    let workspaces = builders(project, &tree.directory);
    // Cargo takes what lies here to be immutable.
    let ignored = ["registry", "git"].map(|name| project.cargo_home.join(name));
    let mut inputs = Inputs::read(tree, sources, &workspaces, &ignored, known);
    if !is_whole_repository(project) {
        add_repository_signs(&mut inputs);
    }
    // With another value, another entry is asked for.
    forget_variables(&mut inputs, |name| {
        environment::is_in_key(name, &session.settings.env_vars)
    });
    inputs
}

/// Takes variables out of what scripts and macros read undeclared.
fn forget_variables(inputs: &mut Inputs, is_known: impl Fn(&str) -> bool) {
    let counts = |sign: &Sign| !matches!(sign, Sign::Variable(name) if is_known(name));
    for reader in &mut inputs.readers {
        if let Some(script) = &mut reader.script {
            script.signs.retain(counts);
        }
        for signs in reader.macros.values_mut() {
            signs.retain(counts);
        }
    }
}

/// The roots of the workspaces that are built into a target directory. Paths in its records are relative to one of them,
/// and two workspaces may have packages of the same names. Where nothing tells, all of them.
fn builders(project: &Project, target: &Path) -> Vec<PathBuf> {
    let roots = |is_builder: &dyn Fn(&Workspace) -> bool| -> Vec<_> {
        let workspaces = project.workspaces.iter();
        workspaces
            .filter(|workspace| is_builder(workspace))
            .map(|workspace| workspace.root.clone())
            .collect()
    };
    let of_target = roots(&|workspace| {
        workspace.target_directory == target || workspace.build_directory == target
    });
    if of_target.is_empty() {
        roots(&|_| true)
    } else {
        of_target
    }
}

/// Whether everything that git has of the project is among its sources.
fn is_whole_repository(project: &Project) -> bool {
    let has_git = |directory: &Path| fs_err::symlink_metadata(directory.join(".git")).is_ok();
    source_trees(project)
        .trees()
        .iter()
        .all(|tree| has_git(&tree.directory) || !tree.directory.ancestors().skip(1).any(has_git))
}

/// Where the project is a part of its repository, a build script that reads above its package may read what is no source
/// of the project: only a new commit tells that it may have changed.
fn add_repository_signs(inputs: &mut Inputs) {
    let scripts = inputs
        .readers
        .iter_mut()
        .filter_map(|reader| reader.script.as_mut());
    for script in scripts {
        let elsewhere = script.signs.iter().find_map(|sign| match sign {
            Sign::Elsewhere(text) => Some(text.clone()),
            _ => None,
        });
        script.signs.extend(elsewhere.map(Sign::Git));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_do_not_say_where_the_checkout_lies() {
        let label = |directory: &str| {
            label(Path::new("/work/repo/app"), Path::new(directory)).map(|label| label.to_string())
        };
        assert_eq!(label("/work/repo/app").as_deref(), Some("project"));
        assert_eq!(label("/work/repo/app/x/y").as_deref(), Some("project/x/y"));
        assert_eq!(label("/work/repo/lib").as_deref(), Some("outside/^/lib"));
    }

    #[test]
    fn a_variable_that_is_in_the_key_is_no_sign() {
        let variable = |name: &str| Sign::Variable(name.to_owned());
        let script = freshness::Script {
            output: None,
            declares: true,
            signs: ["BUILD_NUMBER", "OTHER"].map(variable).into(),
            compiled: None,
        };
        let mut inputs = Inputs::default();
        inputs.readers.push(freshness::Reader {
            script: Some(script),
            ..freshness::Reader::nothing(unit::UnitId {
                profile: RelativePath::new("debug").expect("plain"),
                package: "native".to_owned(),
                hash: String::new(),
            })
        });
        let added = ["BUILD_".to_owned()];
        forget_variables(&mut inputs, |name| environment::is_in_key(name, &added));
        let script = inputs.readers[0].script.as_ref().expect("it has one");
        assert_eq!(script.signs, [variable("OTHER")].into());
    }

    #[test]
    fn a_directory_that_was_made_anew_is_another_one() {
        let parent = tempfile::tempdir().expect("there is room");
        let directory = parent.path().join("checkout");
        fs_err::create_dir(&directory).expect("made");
        let first = identity(&directory);
        assert_eq!(first, identity(&directory));
        // Not removed: file systems hand an inode out again at once, and their clocks tick every few milliseconds.
        fs_err::rename(&directory, parent.path().join("old")).expect("moved");
        fs_err::create_dir(&directory).expect("made");
        assert_ne!(first, identity(&directory));
    }
}
