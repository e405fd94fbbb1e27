//! What lies in a checkout: the content and the mode of every file that git does not ignore.
//!
//! git is asked which files differ from its index, as it knows that from their times; those it knows to be equal count by
//! the digest that the index has. Read here, byte by byte, are all others: files that differ, files that are not tracked,
//! those that git was told not to look at (`assume-unchanged`, `skip-worktree`), and those that a filter writes (LFS:
//! the same digest stands for a pointer as well as for the file). Submodules, and repositories that merely lie there, are
//! read in the same way.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
};

use rayon::prelude::*;
use walkdir::WalkDir;

use crate::{
    environment::Environment,
    files::{digest_of_file, is_executable},
    key::{Digest, DigestBuilder},
    process::{Tool, ToolError},
};

/// Variables that point git at another repository than the one it is started in.
const OF_OTHER_REPOSITORIES: [&str; 6] = [
    "GIT_DIR",
    "GIT_WORK_TREE",
    "GIT_INDEX_FILE",
    "GIT_COMMON_DIR",
    "GIT_PREFIX",
    "GIT_NAMESPACE",
];
/// Whatever the user's settings are, modes count, and neither does git skip looking at times nor write anything.
const STRICT: [&str; 9] = [
    "--no-optional-locks",
    "-c",
    "core.fileMode=true",
    "-c",
    "core.checkStat=default",
    "-c",
    "core.trustctime=true",
    "-c",
    "core.fsmonitor=false",
];
/// The mode of a submodule in the index.
const GITLINK: &str = "160000";

/// Which checkout, and what beside or without it.
#[derive(Clone, Debug)]
pub struct TreeRequest<'a> {
    /// The checkout's top directory, absolute.
    pub root: &'a Path,
    /// What the command makes, absolute: files that git does not track are no inputs there.
    pub outputs: &'a [PathBuf],
    /// Files and directories that count although git ignores them, or that lie elsewhere; absolute, with what to call each.
    pub included: &'a [(String, PathBuf)],
}

/// What lies there, by name: `/` between the parts, submodules by their places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TreeState(BTreeMap<String, String>);

/// Why nobody knows what lies there.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// git gave no answer.
    #[error("failed to ask git what lies in {}", path.display())]
    Git {
        /// The checkout.
        path: PathBuf,
        /// Why.
        #[source]
        source: ToolError,
    },
    /// git's answer is none that is known.
    #[error("git said something strange of {}: {line:?}", path.display())]
    Strange {
        /// The checkout.
        path: PathBuf,
        /// What it said.
        line: String,
    },
    /// A file can't be read.
    #[error("failed to read {}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
}

impl TreeState {
    /// The digest of it all.
    pub fn digest(&self) -> Digest {
        let mut builder = DigestBuilder::new();
        for (name, state) in &self.0 {
            builder.field(name, state);
        }
        builder.finish()
    }

    /// The first name that is only here or only in `other`, or stands for something else there.
    pub fn first_difference<'a>(&'a self, other: &'a Self) -> Option<&'a str> {
        let differs = |(name, state): &(&'a String, &'a String)| other.0.get(*name) != Some(*state);
        let gone = |name: &&'a String| !self.0.contains_key(*name);
        let here = self.0.iter().find(differs).map(|(name, _)| name);
        here.or_else(|| other.0.keys().find(gone))
            .map(String::as_str)
    }
}

/// Which files below a directory don't count.
#[derive(Clone, Copy, Debug)]
struct Ignoring<'a>(&'a [PathBuf]);

impl Ignoring<'_> {
    fn has(self, path: &Path) -> bool {
        self.0.iter().any(|output| path.starts_with(output))
    }
}

/// Reads what lies in a checkout. Asks the `git` on PATH.
pub fn read_tree(
    request: &TreeRequest<'_>,
    environment: &Environment,
) -> Result<TreeState, TreeError> {
    let environment = environment
        .iter()
        .filter(|(name, _)| !OF_OTHER_REPOSITORIES.contains(name))
        .collect();
    let (repository, included) = rayon::join(
        || read_repository(request.root, Ignoring(request.outputs), &environment),
        || read_included(request.included),
    );
    let mut state = repository?;
    for (name, value) in included? {
        state.0.insert(format!("include {name}"), value);
    }
    Ok(state)
}

/// What the index says of a path.
struct Indexed<'a> {
    name: &'a str,
    mode: &'a str,
    oid: &'a str,
    is_trusted: bool,
}

fn read_repository(
    root: &Path,
    ignoring: Ignoring<'_>,
    environment: &Environment,
) -> Result<TreeState, TreeError> {
    let git = |arguments: &[&str]| {
        let asked = Tool::new("git", root, environment)
            .args(STRICT)
            .args(arguments);
        asked.output().map_err(|source| TreeError::Git {
            path: root.to_owned(),
            source,
        })
    };
    let ((index, filtered), status) = rayon::join(
        || {
            rayon::join(
                || git(&["ls-files", "-s", "-v", "-z"]),
                || git(&["ls-files", "-z", "--", ":(exclude,attr:!filter)"]),
            )
        },
        || {
            git(&[
                "status",
                "--porcelain=v2",
                "-z",
                "--no-renames",
                "--untracked-files=all",
                "--ignore-submodules=all",
            ])
        },
    );
    let (index, filtered, status) = (index?, filtered?, status?);
    let strange = |line: &str| TreeError::Strange {
        path: root.to_owned(),
        line: line.to_owned(),
    };
    let mut to_read: Vec<String> = filtered.split('\0').map(str::to_owned).collect();
    let mut nested = Vec::new();
    let mut state = TreeState::default();
    // Which bytes a file has that stands for one object depends on these. Where none is set, git fails.
    let endings = git(&["config", "--get-regexp", r"^core\.(autocrlf|eol|symlinks)$"]);
    let endings = endings.unwrap_or_default();
    state.0.insert(".git/config".to_owned(), endings);
    for line in index.split('\0').filter(|line| !line.is_empty()) {
        let indexed = parse_indexed(line).ok_or_else(|| strange(line))?;
        if indexed.mode == GITLINK {
            nested.push(indexed.name.to_owned());
        }
        if !indexed.is_trusted && indexed.mode != GITLINK {
            to_read.push(indexed.name.to_owned());
        }
        let value = format!("{} {}", indexed.mode, indexed.oid);
        state.0.insert(indexed.name.to_owned(), value);
    }
    for line in status.split('\0').filter(|line| !line.is_empty()) {
        match parse_status(line).ok_or_else(|| strange(line))? {
            Status::Untracked(name) if ignoring.has(&root.join(name)) => {}
            Status::Untracked(name) => match name.strip_suffix('/') {
                Some(repository) => nested.push(repository.to_owned()),
                None => to_read.push(name.to_owned()),
            },
            Status::Changed(name) => to_read.push(name.to_owned()),
            Status::AsIndexed => {}
        }
    }
    to_read.retain(|name| !name.is_empty());
    let read: Vec<_> = to_read
        .into_par_iter()
        .map(|name| {
            let value = content_of(&root.join(&name))?;
            Ok((name, value))
        })
        .collect::<Result<_, TreeError>>()?;
    state.0.extend(read);
    for name in nested {
        add_nested(&name, root, ignoring, environment, &mut state)?;
    }
    Ok(state)
}

/// Adds what lies in a repository within the repository. One that is not checked out holds nothing.
fn add_nested(
    name: &str,
    root: &Path,
    ignoring: Ignoring<'_>,
    environment: &Environment,
    state: &mut TreeState,
) -> Result<(), TreeError> {
    let place = root.join(name);
    if fs_err::symlink_metadata(place.join(".git")).is_err() {
        return Ok(());
    }
    let head = Tool::new("git", &place, environment)
        .args(["rev-parse", "--verify", "--quiet", "HEAD"])
        .output();
    // A repository without a commit has none.
    let head = head.map(|head| head.trim().to_owned()).unwrap_or_default();
    state.0.insert(format!("{name}/.git"), format!("at {head}"));
    let inner = read_repository(&place, ignoring, environment)?;
    let named = inner.0.into_iter();
    state
        .0
        .extend(named.map(|(inner, value)| (format!("{name}/{inner}"), value)));
    Ok(())
}

/// `H 100644 <object> 0\t<name>`: a letter other than a capital H means that git was told not to look at the file; a
/// number other than 0 that a merge has left several.
fn parse_indexed(line: &str) -> Option<Indexed<'_>> {
    let (facts, name) = line.split_once('\t')?;
    let mut facts = facts.split(' ');
    let (tag, mode, oid, stage) = (facts.next()?, facts.next()?, facts.next()?, facts.next()?);
    Some(Indexed {
        name,
        mode,
        oid,
        is_trusted: tag == "H" && stage == "0",
    })
}

enum Status<'a> {
    /// The file is not what the index says.
    Changed(&'a str),
    /// git does not know the file.
    Untracked(&'a str),
    /// The file is what the index says, which differs from the commit.
    AsIndexed,
}

/// A line of `git status --porcelain=v2`, as its documentation has them.
fn parse_status(line: &str) -> Option<Status<'_>> {
    if let Some(name) = line.strip_prefix("? ") {
        return Some(Status::Untracked(name));
    }
    let fields = match line.split(' ').next()? {
        "1" => 9,
        "u" => 11,
        _ => return None,
    };
    let fields: Vec<_> = line.splitn(fields, ' ').collect();
    let (changes, name) = (fields.get(1)?, fields.last()?);
    Some(if changes.ends_with('.') {
        Status::AsIndexed
    } else {
        Status::Changed(name)
    })
}

/// What lies at `path`: kind, mode and content; or that nothing does.
fn content_of(path: &Path) -> Result<String, TreeError> {
    let failed = |source| TreeError::File {
        path: path.to_owned(),
        source,
    };
    let found = match fs_err::symlink_metadata(path) {
        Ok(found) => found,
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            return Ok("absent".to_owned());
        }
        Err(source) => return Err(failed(source)),
    };
    if found.is_symlink() {
        let target = fs_err::read_link(path).map_err(failed)?;
        let digest = Digest::of_bytes(target.as_os_str().as_encoded_bytes());
        return Ok(format!("link {digest}"));
    }
    if !found.is_file() {
        return Ok("no file".to_owned());
    }
    let digest = digest_of_file(path).map_err(failed)?;
    let kind = if is_executable(&found) {
        "executable"
    } else {
        "file"
    };
    Ok(format!("{kind} {digest}"))
}

/// Everything below each of `included`, ignored or not.
fn read_included(included: &[(String, PathBuf)]) -> Result<Vec<(String, String)>, TreeError> {
    let mut found = Vec::new();
    for (name, path) in included {
        if !path.is_dir() {
            found.push((name.clone(), content_of(path)?));
            continue;
        }
        for entry in WalkDir::new(path).sort_by_file_name() {
            let entry = entry.map_err(|error| TreeError::File {
                path: path.clone(),
                source: error.into(),
            })?;
            let below = entry.path().strip_prefix(path).unwrap_or(entry.path());
            let inner = below.to_string_lossy().replace('\\', "/");
            found.push((format!("{name}/{inner}"), content_of(entry.path())?));
        }
    }
    Ok(found)
}

#[cfg(test)]
#[path = "tree_tests.rs"]
mod tests;
