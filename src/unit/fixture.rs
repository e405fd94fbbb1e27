//! Target directories that real Cargo made, shared by the tests of a process.
//!
//! Sources and CARGO_HOME lie in a temporary directory; crates come from crates.io. Statics are never dropped, so each
//! process removes what processes before it left behind.

use std::{
    collections::BTreeSet,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::Output,
    time::{Duration, SystemTime},
};

use tempfile::TempDir;

use super::{Layout, SourceRoots, TargetTree, Unit, read_target};
use crate::{environment::Environment, process::user_command};

const PREFIX: &str = "hotcrate-fixture-";

/// A project with its CARGO_HOME, and the target directory that a few commands left.
pub(super) struct Fixture {
    _directory: TempDir,
    pub layout: Layout,
    pub cargo_home: PathBuf,
    pub workspace: PathBuf,
    pub target: PathBuf,
}

/// What one Cargo command said: the targets that it compiled, and those that were fresh.
pub(super) struct Built {
    pub compiled: BTreeSet<String>,
    pub fresh: BTreeSet<String>,
}

impl Fixture {
    /// An empty project directory; `home_in_workspace` puts CARGO_HOME inside it.
    pub(super) fn new(layout: Layout, home_in_workspace: bool) -> Self {
        remove_remainders();
        let directory = tempfile::Builder::new()
            .prefix(PREFIX)
            .tempdir()
            .expect("a temporary directory");
        let root = directory.path().canonicalize().expect("it exists");
        let workspace = root.join("work space");
        fs_err::create_dir_all(&workspace).expect("created");
        let cargo_home = if home_in_workspace {
            workspace.join(".cargo-home")
        } else {
            root.join("home")
        };
        fs_err::create_dir_all(&cargo_home).expect("created");
        Self {
            layout,
            cargo_home,
            target: workspace.join("target"),
            workspace,
            _directory: directory,
        }
    }

    pub(super) fn write(&self, path: &str, content: &str) {
        let path = self.workspace.join(path);
        fs_err::create_dir_all(path.parent().expect("it has one")).expect("created");
        fs_err::write(path, content).expect("written");
    }

    /// A package in `directory` with a library.
    pub(super) fn package(&self, directory: &str, name: &str, rest_of_manifest: &str) {
        self.write(
            &format!("{directory}/Cargo.toml"),
            &format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2021\"\n{rest_of_manifest}"),
        );
        self.write(&format!("{directory}/src/lib.rs"), "");
    }

    /// Runs a program in the workspace, with nothing of this process's environment but what toolchains need.
    pub(super) fn run(&self, program: &str, target: &Path, arguments: &[&str]) -> Output {
        let environment = Environment::of_process();
        let mut command = user_command(OsStr::new(program));
        command
            .args(arguments)
            .current_dir(&self.workspace)
            .env_clear();
        for name in ["PATH", "HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "TMPDIR"] {
            if let Some(value) = environment.os(name) {
                command.env(name, value);
            }
        }
        command
            .env("CARGO_HOME", &self.cargo_home)
            .env("CARGO_TARGET_DIR", target)
            .env("CARGO_INCREMENTAL", "0")
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            .env("CARGO_TERM_COLOR", "never");
        if self.layout == Layout::V2 {
            command
                .env("RUSTC_BOOTSTRAP", "1")
                .env("CARGO_UNSTABLE_BUILD_DIR_NEW_LAYOUT", "true");
        }
        let output = command.output().expect("it starts");
        assert!(
            output.status.success(),
            "{program} {arguments:?}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        output
    }

    pub(super) fn cargo(&self, arguments: &[&str]) {
        self.run("cargo", &self.target, arguments);
    }

    /// Runs a Cargo command against `target` and tells what it compiled.
    pub(super) fn build(&self, target: &Path, arguments: &[&str]) -> Built {
        let arguments: Vec<_> = arguments
            .iter()
            .copied()
            .chain(["--message-format=json"])
            .collect();
        let output = self.run("cargo", target, &arguments);
        let mut built = Built {
            compiled: BTreeSet::new(),
            fresh: BTreeSet::new(),
        };
        for line in String::from_utf8(output.stdout).expect("JSON").lines() {
            let Ok(message) = serde_json::from_str::<serde_json::Value>(line) else {
                continue;
            };
            if message["reason"] == "compiler-artifact" {
                let name = message["target"]["name"]
                    .as_str()
                    .expect("a name")
                    .to_owned();
                if message["fresh"] == true {
                    built.fresh.insert(name);
                } else {
                    built.compiled.insert(name);
                }
            }
        }
        built
    }

    pub(super) fn sources(&self) -> SourceRoots {
        SourceRoots::new(&self.cargo_home, [self.workspace.clone()])
    }

    pub(super) fn read(&self) -> TargetTree {
        self.read_at(&self.target)
    }

    pub(super) fn read_at(&self, target: &Path) -> TargetTree {
        read_target(target, &self.sources()).expect("readable")
    }

    /// A copy of the target directory beside it, times and hard links kept. Cargo finds it as fresh as the original.
    pub(super) fn copy(&self, name: &str) -> PathBuf {
        let copy = self.workspace.join(format!("target-{name}"));
        self.run(
            "cp",
            &self.target,
            &["-a", "target", copy.to_str().expect("UTF-8")],
        );
        copy
    }
}

/// Moves all files of `unit` from one target directory to another, times kept.
pub(super) fn move_unit(unit: &Unit, from: &Path, to: &Path) {
    for file in unit
        .files
        .iter()
        .filter(|file| file.kind != super::FileKind::Directory)
    {
        let target = file.path.below(to);
        fs_err::create_dir_all(target.parent().expect("it has one")).expect("created");
        fs_err::rename(file.path.below(from), target).expect("moved");
    }
    for directory in unit
        .files
        .iter()
        .filter(|file| file.kind == super::FileKind::Directory)
    {
        fs_err::create_dir_all(directory.path.below(to)).expect("created");
    }
}

fn remove_remainders() {
    let hour_ago = SystemTime::now() - Duration::from_hours(1);
    let entries = fs_err::read_dir(
        Environment::of_process()
            .path("TMPDIR")
            .unwrap_or_else(|| "/tmp".into()),
    );
    for entry in entries.into_iter().flatten().flatten() {
        let is_old = entry
            .metadata()
            .and_then(|metadata| metadata.modified())
            .is_ok_and(|modified| modified < hour_ago);
        if is_old && entry.file_name().to_string_lossy().starts_with(PREFIX) {
            drop(fs_err::remove_dir_all(entry.path()));
        }
    }
}
