//! The content of a project's files: the `tree` part of a key.
//!
//! What counts is what git would: tracked files, and others that are not ignored. Invariant: the part depends on names,
//! content, links and the executable bit, never on times, on where the checkout lies, or on the order of the walk.
//! What can't be read is counted as unreadable instead of failing.

use std::{
    collections::BTreeSet,
    io::Read as _,
    path::{Path, PathBuf},
};

use ignore::{DirEntry, WalkBuilder};
use rayon::prelude::*;

use super::paths::{physical, relative_text};
use crate::{
    environment::Environment,
    files::is_executable,
    key::{Digest, DigestBuilder, Fact, KeyPart, PartName},
    process::Tool,
};

/// How much of a file is hashed at a time.
const CHUNK_BYTES: usize = 128 * 1024;

/// Which files to read.
#[derive(Clone, Debug)]
pub struct TreeRequest<'a> {
    /// The project's directory: names are relative to it.
    pub project: &'a Path,
    /// The directories to read: workspaces, and path dependencies outside of them. One inside another counts once.
    pub directories: Vec<PathBuf>,
    /// Directories to leave out: target directories, CARGO_HOME.
    pub excluded: Vec<PathBuf>,
}

/// What was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tree {
    /// The part of the key.
    pub part: KeyPart,
    /// How many files and links there are.
    pub files: usize,
    /// What could not be read. Its content does not count then.
    pub unreadable: Vec<PathBuf>,
}

/// Reads and hashes the files of `request`, in parallel. HEAD counts too, where git knows it.
pub fn read_tree(request: &TreeRequest<'_>, environment: &Environment) -> Tree {
    let directories = outermost(&request.directories);
    let (head, (paths, mut unreadable)) = rayon::join(
        || head(request.project, environment),
        || {
            let excluded: BTreeSet<_> = request
                .excluded
                .iter()
                // A target directory may be a link: neither the link nor what it leads to counts.
                .flat_map(|path| [Some(path.clone()), physical(path).ok()])
                .flatten()
                .collect();
            let mut paths = BTreeSet::new();
            let mut unreadable = Vec::new();
            for directory in &directories {
                walk(directory, &excluded, &mut paths, &mut unreadable);
                paths.extend(tracked_though_ignored(directory, &excluded, environment));
            }
            (paths, unreadable)
        },
    );
    let paths: Vec<_> = paths.into_iter().collect();
    let hashed: Vec<_> = paths.par_iter().map(|path| (path, hash(path))).collect();
    let mut lines = Vec::with_capacity(hashed.len());
    for (path, result) in hashed {
        match result {
            Ok(digest) => lines.push((relative_text(request.project, path), digest)),
            // It was there a moment ago: whoever removed it was no part of the build.
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(_) => unreadable.push(path.clone()),
        }
    }
    lines.sort();
    let mut content = DigestBuilder::new();
    for (name, digest) in &lines {
        content.field(name, digest.as_raw());
    }
    let mut facts = vec![Fact::digested("content", content.finish().as_raw())];
    facts.extend(head.map(|head| Fact::new("HEAD", head)));
    unreadable.sort();
    Tree {
        part: KeyPart::new(PartName::Tree, facts),
        files: lines.len(),
        unreadable,
    }
}

/// The directories that lie in no other, physical.
fn outermost(directories: &[PathBuf]) -> Vec<PathBuf> {
    let all: BTreeSet<_> = directories
        .iter()
        .filter_map(|path| physical(path).ok())
        .collect();
    let mut kept: Vec<PathBuf> = Vec::new();
    // Sorted, a directory comes right before what lies in it.
    for directory in all {
        if !kept.last().is_some_and(|last| directory.starts_with(last)) {
            kept.push(directory);
        }
    }
    kept
}

/// Collects the files and links below `directory` that git does not ignore.
fn walk(
    directory: &Path,
    excluded: &BTreeSet<PathBuf>,
    paths: &mut BTreeSet<PathBuf>,
    unreadable: &mut Vec<PathBuf>,
) {
    let skipped = excluded.clone();
    let entries = WalkBuilder::new(directory)
        .hidden(false)
        // Only what the project itself says: the user's own ignore file differs from machine to machine.
        .ignore(false)
        .git_global(false)
        // An export without `.git` means the same files.
        .require_git(false)
        .follow_links(false)
        .filter_entry(move |entry| entry.file_name() != ".git" && !skipped.contains(entry.path()))
        .build();
    for entry in entries {
        match entry {
            Ok(entry) if is_file_or_link(&entry) => {
                paths.insert(entry.into_path());
            }
            Ok(_) => {}
            Err(error) => unreadable.extend(path_of(&error)),
        }
    }
}

fn is_file_or_link(entry: &DirEntry) -> bool {
    entry
        .file_type()
        .is_some_and(|kind| kind.is_file() || kind.is_symlink())
}

fn path_of(error: &ignore::Error) -> Option<PathBuf> {
    match error {
        ignore::Error::WithPath { path, .. } => Some(path.clone()),
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => {
            path_of(err)
        }
        _ => None,
    }
}

/// Files that git tracks although a rule ignores them. None without git.
fn tracked_though_ignored(
    directory: &Path,
    excluded: &BTreeSet<PathBuf>,
    environment: &Environment,
) -> Vec<PathBuf> {
    let answer = Tool::new("git", directory, environment)
        .args([
            "ls-files",
            "-z",
            "--cached",
            "--ignored",
            "--exclude-standard",
        ])
        .output()
        .unwrap_or_default();
    answer
        .split('\0')
        .filter(|name| !name.is_empty())
        .map(|name| directory.join(name))
        .filter(|path| !path.ancestors().any(|ancestor| excluded.contains(ancestor)))
        // A submodule is listed as one entry, and is a directory.
        .filter(|path| path.symlink_metadata().is_ok_and(|found| !found.is_dir()))
        .collect()
}

fn head(directory: &Path, environment: &Environment) -> Option<String> {
    let answer = Tool::new("git", directory, environment)
        .args(["rev-parse", "--verify", "--quiet", "HEAD"])
        .output();
    let commit = answer.ok()?.trim().to_owned();
    (!commit.is_empty()).then_some(commit)
}

/// The digest of a file's content and executable bit, or of where a link points.
fn hash(path: &Path) -> std::io::Result<Digest> {
    let found = fs_err::symlink_metadata(path)?;
    let mut digest = DigestBuilder::new();
    if found.is_symlink() {
        let target = fs_err::read_link(path)?;
        digest.field("link", target.as_os_str().as_encoded_bytes());
        return Ok(digest.finish());
    }
    let mut file = fs_err::File::open(path)?;
    let mut chunk = Vec::new();
    loop {
        chunk.clear();
        file.by_ref()
            .take(CHUNK_BYTES as u64)
            .read_to_end(&mut chunk)?;
        if chunk.is_empty() {
            break;
        }
        digest.field("chunk", &chunk);
    }
    digest.field("executable", [u8::from(is_executable(&found))]);
    Ok(digest.finish())
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Checkout {
        directory: tempfile::TempDir,
        root: PathBuf,
    }

    impl Checkout {
        fn new() -> Self {
            let directory = tempfile::tempdir().expect("there is a temporary directory");
            let root = physical(directory.path()).expect("it exists");
            let checkout = Self { directory, root };
            checkout.write(".gitignore", "*.log\n/target\n");
            checkout.write("src/lib.rs", "fn a() {}");
            checkout.write(".cargo/config.toml", "");
            checkout
        }

        fn write(&self, path: &str, text: &str) {
            let path = self.root.join(path);
            fs_err::create_dir_all(path.parent().expect("it has one")).expect("it is ours");
            fs_err::write(path, text).expect("it is ours");
        }

        fn tree(&self) -> Tree {
            self.tree_of(&["."], &["out"])
        }

        fn tree_of(&self, directories: &[&str], excluded: &[&str]) -> Tree {
            let all = |names: &[&str]| names.iter().map(|name| self.root.join(name)).collect();
            let request = TreeRequest {
                project: &self.root,
                directories: all(directories),
                excluded: all(excluded),
            };
            read_tree(&request, &Environment::of_process())
        }

        fn git(&self, arguments: &[&str]) {
            let identity = ["-c", "user.name=x", "-c", "user.email=x@example.org"];
            Tool::new("git", &self.root, &Environment::of_process())
                .args(identity.iter().chain(arguments))
                .output()
                .expect("git is there");
        }
    }

    #[test]
    fn what_git_ignores_and_what_is_excluded_does_not_count() {
        let checkout = Checkout::new();
        let before = checkout.tree();
        assert_eq!(before.files, 3);
        checkout.write("debug.log", "x");
        checkout.write("target/debug/x", "x");
        checkout.write("out/x", "x");
        checkout.write(".git/x", "x");
        assert_eq!(checkout.tree(), before);
    }

    #[rstest::rstest]
    #[case("src/lib.rs", "fn b() {}")]
    #[case("src/new.rs", "")]
    #[case(".cargo/config.toml", "[build]")]
    #[case(".hidden", "")]
    fn every_other_file_counts(#[case] path: &str, #[case] text: &str) {
        let checkout = Checkout::new();
        let before = checkout.tree();
        checkout.write(path, text);
        assert_ne!(checkout.tree().part, before.part);
    }

    #[test]
    fn neither_the_place_of_the_checkout_nor_times_count() {
        assert_eq!(Checkout::new().tree(), Checkout::new().tree());
    }

    #[test]
    fn a_directory_inside_of_another_counts_once() {
        let checkout = Checkout::new();
        assert_eq!(
            checkout.tree_of(&["src", ".", "src"], &[]),
            checkout.tree_of(&["."], &[])
        );
        drop(checkout.directory);
    }

    #[test]
    fn a_tracked_file_counts_though_a_rule_ignores_it_and_head_counts() {
        let checkout = Checkout::new();
        checkout.write("kept.log", "1");
        checkout.git(&["init", "-q"]);
        checkout.git(&["add", "-f", "."]);
        checkout.git(&["commit", "-q", "-m", "x"]);
        let before = checkout.tree();
        assert!(before.part.facts().iter().any(|fact| fact.label == "HEAD"));
        checkout.write("kept.log", "2");
        let after = checkout.tree();
        assert_eq!(after.files, before.files);
        assert_ne!(after.part, before.part);
        checkout.git(&["commit", "-q", "--allow-empty", "-m", "y"]);
        assert_ne!(checkout.tree().part, after.part);
    }

    #[cfg(unix)]
    #[test]
    fn links_count_by_where_they_point_and_the_executable_bit_counts() {
        use std::os::unix::fs::PermissionsExt as _;
        let checkout = Checkout::new();
        let link = checkout.root.join("link");
        fs_err::os::unix::fs::symlink("src", &link).expect("it is ours");
        let before = checkout.tree();
        fs_err::remove_file(&link).expect("it is ours");
        fs_err::os::unix::fs::symlink("nowhere", &link).expect("it is ours");
        let moved = checkout.tree();
        assert_ne!(moved.part, before.part);
        let file = checkout.root.join("src/lib.rs");
        fs_err::set_permissions(&file, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
        assert_ne!(checkout.tree().part, moved.part);
    }
}
