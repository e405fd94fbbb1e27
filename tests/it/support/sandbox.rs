//! A place of its own for one test.

use std::{
    ffi::{OsStr, OsString},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::LazyLock,
};

use fs_err as fs;
use hotcrate::{environment::Environment, process::user_command};
use tempfile::TempDir;

use super::{Build, Hotcrate};

/// What a test must not inherit: a runner's variables, Cargo's and rustup's for the test process, and ours.
const SCRUBBED_PREFIXES: [&str; 12] = [
    "GITHUB_",
    "RUNNER_",
    "ACTIONS_",
    "INPUT_",
    "STATE_",
    "CARGO",
    "RUST",
    "HOTCRATE_",
    "NEXTEST",
    "XDG_",
    "GIT_",
    "MAKE",
];
const SCRUBBED_NAMES: [&str; 7] = [
    "CI",
    "HOME",
    "LD_LIBRARY_PATH",
    "DYLD_FALLBACK_LIBRARY_PATH",
    "MFLAGS",
    "TMPDIR",
    "__CARGO_TEST_ROOT",
];
/// Of Cargo's, those that say how to reach the network.
const KEPT_PREFIXES: [&str; 2] = ["CARGO_HTTP_", "CARGO_NET_"];

/// The environment that every sandbox starts from.
static BASE: LazyLock<Vec<(OsString, OsString)>> = LazyLock::new(|| {
    let process = Environment::of_process();
    let mut variables: Vec<(OsString, OsString)> = process
        .iter()
        .filter(|(name, _)| {
            KEPT_PREFIXES.iter().any(|kept| name.starts_with(kept))
                || !(SCRUBBED_PREFIXES.iter().any(|gone| name.starts_with(gone))
                    || SCRUBBED_NAMES.contains(name))
        })
        .map(|(name, value)| (name.into(), value.to_owned()))
        .collect();
    // rustup's proxies look below HOME, which is the sandbox's: say where the toolchains are.
    if let Some(rustup_home) = rustup_home(&process) {
        variables.push(("RUSTUP_HOME".into(), rustup_home.into()));
        variables.push(("RUSTUP_AUTO_INSTALL".into(), "0".into()));
    }
    variables
});

fn rustup_home(process: &Environment) -> Option<PathBuf> {
    process
        .path("RUSTUP_HOME")
        .or_else(|| Some(process.path("HOME")?.join(".rustup")))
        .filter(|directory| directory.is_dir())
}

/// A temporary directory with a home, a CARGO_HOME and a store. Removed when dropped.
pub(crate) struct Sandbox {
    directory: TempDir,
    root: PathBuf,
    variables: Vec<(OsString, OsString)>,
}

impl Sandbox {
    /// A new sandbox in the system's temporary directory: outside this repository, whose configuration Cargo
    /// would read otherwise.
    pub(crate) fn new() -> Self {
        let directory = tempfile::Builder::new()
            .prefix("hotcrate-test-")
            .tempdir()
            .unwrap();
        let root = directory.path().canonicalize().unwrap();
        for name in ["home", "cargo-home", "tmp"] {
            fs::create_dir(root.join(name)).unwrap();
        }
        Self {
            directory,
            root,
            variables: Vec::new(),
        }
    }

    /// Sets a variable for everything that is started in this sandbox from now on.
    pub(crate) fn set(&mut self, name: &str, value: impl AsRef<OsStr>) {
        self.variables.push((name.into(), value.as_ref().into()));
    }

    /// `relative` in the sandbox.
    pub(crate) fn path(&self, relative: impl AsRef<Path>) -> PathBuf {
        self.root.join(relative)
    }

    /// The sandbox's CARGO_HOME.
    pub(crate) fn cargo_home(&self) -> PathBuf {
        self.path("cargo-home")
    }

    /// The sandbox's store.
    pub(crate) fn store(&self) -> PathBuf {
        self.path("store")
    }

    /// Empties CARGO_HOME, as a new machine has it, at the same path.
    pub(crate) fn empty_cargo_home(&self) {
        fs::remove_dir_all(self.cargo_home()).unwrap();
        fs::create_dir(self.cargo_home()).unwrap();
    }

    /// A program called `name` in the sandbox.
    #[cfg(unix)]
    pub(crate) fn program(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        use std::os::unix::fs::PermissionsExt as _;
        let path = self.path(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(&path, content).unwrap();
        fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
        path
    }

    /// `program` in `directory`, with the sandbox's environment and without standard input.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>, directory: &Path) -> Command {
        self.prepared(program.as_ref(), directory, &[])
    }

    /// As [`Self::command`], for what builds: without what costs time and disk and no test needs, unless it says so.
    pub(crate) fn build(&self, program: impl AsRef<OsStr>, directory: &Path) -> Command {
        let lean = [("CARGO_INCREMENTAL", "0"), ("CARGO_PROFILE_DEV_DEBUG", "0")];
        self.prepared(program.as_ref(), directory, &lean)
    }

    fn prepared(&self, program: &OsStr, directory: &Path, defaults: &[(&str, &str)]) -> Command {
        let mut command = user_command(program);
        command
            .env_clear()
            .envs(BASE.iter().map(|(name, value)| (name, value)))
            .env("HOME", self.path("home"))
            .env("CARGO_HOME", self.cargo_home())
            .env("TMPDIR", self.path("tmp"))
            .env("GIT_CONFIG_NOSYSTEM", "1")
            // Whether one is on PATH differs from machine to machine: tests that use one say so.
            .env("HOTCRATE_SCCACHE", "false")
            .envs(defaults.iter().copied())
            .envs(self.variables.iter().map(|(name, value)| (name, value)))
            .current_dir(directory)
            .stdin(Stdio::null());
        command
    }

    /// Runs Cargo in `directory`, without hotcrate, and fails the test unless it succeeds.
    #[track_caller]
    pub(crate) fn cargo(&self, directory: &Path, arguments: &[&str]) -> Build {
        let output = self
            .build("cargo", directory)
            .args(arguments)
            .output()
            .unwrap();
        let stderr = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "cargo {arguments:?}:\n{stderr}");
        Build::parse(&stderr)
    }

    /// hotcrate for the project in `directory`, with the sandbox's store.
    pub(crate) fn hotcrate(&self, directory: &Path) -> Hotcrate<'_> {
        Hotcrate::new(self, directory)
    }

    /// Keeps the sandbox on disk and says where: for looking into a failure by hand.
    #[expect(dead_code, reason = "called while looking into a failure only")]
    pub(crate) fn keep(mut self) -> PathBuf {
        self.directory.disable_cleanup(true);
        self.root.clone()
    }
}

#[test]
fn a_sandbox_has_cargo_but_nothing_of_the_runner() {
    let mut sandbox = Sandbox::new();
    sandbox.set("ANSWER", "42");
    let home = sandbox.path("home");
    assert!(
        sandbox
            .command("cargo", &home)
            .arg("--version")
            .output()
            .unwrap()
            .status
            .success()
    );
    let names: Vec<_> = sandbox
        .command("cargo", &home)
        .get_envs()
        .map(|(name, _)| name.to_string_lossy().into_owned())
        .collect();
    assert!(names.contains(&"ANSWER".to_owned()));
    assert!(!names.iter().any(|name| name.starts_with("CARGO_PKG_")));
}
