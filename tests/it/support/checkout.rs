//! Projects, laid out the way a CI job finds them.

use std::path::{Path, PathBuf};

use fs_err as fs;
use walkdir::WalkDir;

use super::Sandbox;

/// The directory of a project in `tests/fixtures`.
pub(crate) fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

/// A clone of `source` at `name` in the sandbox: new times, a git repository with one commit, no target directory.
pub(crate) fn checkout(sandbox: &Sandbox, source: &Path, name: &str) -> PathBuf {
    let directory = unversioned(sandbox, source, name);
    git(
        sandbox,
        &directory,
        &["init", "--quiet", "--initial-branch", "main"],
    );
    git(sandbox, &directory, &["add", "--all"]);
    git(
        sandbox,
        &directory,
        &["commit", "--quiet", "--message", "as published"],
    );
    directory
}

/// A copy of `source` at `name` in the sandbox, known to no version control.
pub(crate) fn unversioned(sandbox: &Sandbox, source: &Path, name: &str) -> PathBuf {
    let directory = sandbox.path(name);
    assert!(!directory.exists(), "{} is taken", directory.display());
    copy_tree(source, &directory);
    directory
}

/// Copies files and directories, with new times and without what a build or git left in `source`.
pub(crate) fn copy_tree(source: &Path, destination: &Path) {
    let walk = WalkDir::new(source).into_iter().filter_entry(|entry| {
        entry.depth() != 1
            || !["target", ".git"]
                .iter()
                .any(|name| entry.file_name() == *name)
    });
    for entry in walk {
        let entry = entry.unwrap();
        let to = destination.join(entry.path().strip_prefix(source).unwrap());
        if entry.file_type().is_dir() {
            fs::create_dir_all(to).unwrap();
        } else {
            fs::copy(entry.path(), to).unwrap();
        }
    }
}

/// Runs git in `directory` as somebody who is nobody.
#[track_caller]
pub(crate) fn git(sandbox: &Sandbox, directory: &Path, arguments: &[&str]) {
    let output = sandbox
        .command("git", directory)
        .args([
            "-c",
            "user.name=Nobody",
            "-c",
            "user.email=nobody@example.org",
        ])
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "git {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
}

/// Replaces `from`, which must be there, by `to` in a file.
#[track_caller]
pub(crate) fn replace_in(file: &Path, from: &str, to: &str) {
    let text = fs::read_to_string(file).unwrap();
    assert!(text.contains(from), "{} lacks {from:?}", file.display());
    fs::write(file, text.replace(from, to)).unwrap();
}

/// A library without dependencies, version 0.3.0.
pub(crate) fn package(directory: &Path, name: &str) {
    fs::create_dir_all(directory.join("src")).unwrap();
    fs::write(
        directory.join("Cargo.toml"),
        format!("[package]\nname = \"{name}\"\nversion = \"0.3.0\"\nedition = \"2024\"\n"),
    )
    .unwrap();
    fs::write(directory.join("src/lib.rs"), "//! Lent.\n").unwrap();
}

/// Vendors the registry packages of the project in `directory`.
pub(crate) fn vendor(sandbox: &Sandbox, directory: &Path) {
    sandbox.cargo(directory, &["vendor", "--locked", "--quiet"]);
    fs::create_dir(directory.join(".cargo")).unwrap();
    fs::write(
        directory.join(".cargo/config.toml"),
        "[source.crates-io]\nreplace-with = \"vendored-sources\"\n[source.vendored-sources]\ndirectory = \"vendor\"\n",
    )
    .unwrap();
}
