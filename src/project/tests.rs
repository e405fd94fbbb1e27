//! Discovery of small projects, with real cargo and a CARGO_HOME of their own.

use std::path::{Path, PathBuf};

use super::*;
use crate::{
    environment::Environment,
    key::{JobIdentity, KeyFacts},
};

/// A directory for a project, and one for CARGO_HOME.
struct Fixture {
    _directory: tempfile::TempDir,
    base: PathBuf,
    variables: Vec<(String, String)>,
}

impl Fixture {
    /// Files are relative to the project; what a package needs to be one is added.
    fn new(files: &[(&str, &str)]) -> Self {
        let directory = tempfile::tempdir().expect("there is a temporary directory");
        let base = physical(directory.path()).expect("it exists");
        let fixture = Self {
            _directory: directory,
            variables: vec![("CARGO_HOME".into(), base.join("home").display().to_string())],
            base,
        };
        fs_err::create_dir_all(fixture.base.join("home")).expect("it is ours");
        fs_err::create_dir_all(fixture.project()).expect("it is ours");
        for (path, text) in files {
            fixture.write(path, text);
        }
        fixture
    }

    fn project(&self) -> PathBuf {
        self.base.join("project")
    }

    fn write(&self, path: &str, text: &str) {
        let path = self.project().join(path);
        fs_err::create_dir_all(path.parent().expect("it has one")).expect("it is ours");
        if path.ends_with("Cargo.toml") && text.contains("[package]") {
            let sources = path.with_file_name("src");
            fs_err::create_dir_all(&sources).expect("it is ours");
            fs_err::write(sources.join("lib.rs"), "").expect("it is ours");
        }
        fs_err::write(path, text).expect("it is ours");
    }

    #[must_use]
    fn with(mut self, name: &str, value: impl AsRef<Path>) -> Self {
        let value = value.as_ref().display().to_string();
        self.variables.push((name.to_owned(), value));
        self
    }

    fn environment(&self) -> Environment {
        const NEEDED: [&str; 9] = [
            "PATH",
            "HOME",
            "RUSTUP_HOME",
            "RUSTUP_TOOLCHAIN",
            "USERPROFILE",
            "SystemRoot",
            "TEMP",
            "TMP",
            "PATHEXT",
        ];
        let process = Environment::of_process();
        let needed = process
            .iter()
            .filter(|(name, _)| NEEDED.contains(name))
            .map(|(name, value)| (name.to_owned(), value.to_owned()));
        let own = self
            .variables
            .iter()
            .map(|(name, value)| (name.clone(), value.into()));
        needed.chain(own).collect()
    }

    fn discover_lines(&self, lines: &str) -> Result<Project, DiscoverError> {
        self.discover_at(&self.project(), lines)
    }

    fn discover_at(&self, directory: &Path, lines: &str) -> Result<Project, DiscoverError> {
        let request = Request {
            directory: directory.to_owned(),
            cwd: directory.to_owned(),
            workspaces: WorkspaceLine::parse_all(lines).expect("the lines are right"),
        };
        discover(&request, &self.environment())
    }

    fn discover(&self) -> Project {
        self.discover_lines("").expect("the project is whole")
    }

    fn facts(&self) -> KeyFacts {
        self.discover()
            .key_facts(&self.environment(), &[], JobIdentity::Local)
    }
}

fn package(name: &str) -> String {
    format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2021\"\n")
}

fn names(project: &Project) -> Vec<String> {
    project
        .roots
        .iter()
        .map(|root| root.name.to_string())
        .collect()
}

fn lock(version: &str) -> String {
    format!(
        "version = 4\n[[package]]\nname = \"memchr\"\nversion = \"{version}\"\n\
         source = \"registry+https://github.com/rust-lang/crates.io-index\"\nchecksum = \"{}\"\n",
        "0".repeat(64)
    )
}

fn plain() -> Fixture {
    Fixture::new(&[
        ("Cargo.toml", &package("plain")),
        ("Cargo.lock", &lock("2.8.3")),
    ])
}

fn virtual_root() -> Fixture {
    Fixture::new(&[
        (
            "Cargo.toml",
            "[workspace]\nmembers = [\"crates/*\"]\nresolver = \"2\"\n[profile.release]\nlto = true\n",
        ),
        ("Cargo.lock", &lock("2.8.3")),
        ("crates/a/Cargo.toml", &package("a")),
        ("crates/b/Cargo.toml", &package("b")),
    ])
}

#[test]
fn a_plain_project_has_a_target_a_toolchain_and_nothing_to_complain_about() {
    let fixture = plain();
    let project = fixture.discover();
    assert_eq!(project.directory, fixture.project());
    assert_eq!(project.cargo_home, fixture.base.join("home"));
    assert_eq!(names(&project), ["target"]);
    assert_eq!(project.roots[0].directory, fixture.project().join("target"));
    assert_eq!(project.notes, []);
    let toolchain = project.toolchain.expect("rustc is there");
    assert_eq!(toolchain.compilers.len(), 1);
    assert_eq!(toolchain.targets, <[String; 0]>::default());
    assert!(
        !fixture.project().join("target").exists(),
        "discovery writes nothing"
    );
}

#[test]
fn the_manifest_of_a_virtual_root_counts() {
    let fixture = virtual_root();
    let project = fixture.discover();
    let members: Vec<_> = project.workspaces[0]
        .members
        .iter()
        .map(|member| member.name.as_str())
        .collect();
    assert_eq!(members, ["a", "b"]);
    let before = fixture.facts();
    fixture.write(
        "Cargo.toml",
        "[workspace]\nmembers = [\"crates/*\"]\nresolver = \"2\"\n[profile.release]\nlto = false\n",
    );
    let after = fixture.facts();
    assert_ne!(before.settings, after.settings);
    assert_eq!(before.packages, after.packages);
}

#[test]
fn a_directory_inside_of_a_workspace_leads_to_its_root() {
    let fixture = virtual_root();
    let project = fixture
        .discover_lines("crates/a\ncrates/b")
        .expect("it is whole");
    assert_eq!(project.workspaces.len(), 1);
    assert_eq!(project.workspaces[0].root, fixture.project());
    assert_eq!(names(&project), ["target"]);
}

#[test]
fn several_workspaces_have_a_target_each_in_whatever_order() {
    let fixture = Fixture::new(&[
        ("one/Cargo.toml", &package("one")),
        ("one/Cargo.lock", &lock("2.8.3")),
        ("two/Cargo.toml", &package("two")),
        ("two/Cargo.lock", &lock("2.8.2")),
    ]);
    let forth = fixture.discover_lines("one\ntwo").expect("it is whole");
    let back = fixture.discover_lines("two\none").expect("it is whole");
    assert_eq!(names(&forth), ["one/target", "two/target"]);
    assert_eq!(forth.roots, back.roots);
    let question = |project: &Project| {
        project
            .key_facts(&fixture.environment(), &[], JobIdentity::Local)
            .deps()
            .expect("the toolchain is known")
    };
    assert_eq!(question(&forth), question(&back));
}

#[test]
fn a_target_directory_that_workspaces_share_is_listed_once() {
    let fixture = Fixture::new(&[
        ("one/Cargo.toml", &package("one")),
        ("two/Cargo.toml", &package("two")),
    ]);
    let shared = fixture.project().join("shared");
    let fixture = fixture.with("CARGO_TARGET_DIR", shared);
    let project = fixture.discover_lines("one\ntwo").expect("it is whole");
    assert_eq!(names(&project), ["shared"]);
}

#[test]
fn the_configuration_moves_target_and_build_directories() {
    let fixture = plain();
    fixture.write(
        ".cargo/config.toml",
        "[build]\ntarget-dir = \"out\"\nbuild-dir = \"{workspace-root}/between\"\n",
    );
    let project = fixture.discover();
    assert_eq!(names(&project), ["between", "out"]);
    let roles: Vec<_> = project.roots.iter().map(|root| root.role).collect();
    assert_eq!(roles, [TargetRole::Build, TargetRole::Target]);
}

#[test]
fn what_the_user_writes_wins_over_cargo_and_is_told() {
    let fixture = plain().with("CARGO_TARGET_DIR", "elsewhere");
    let project = fixture.discover_lines(". -> mine").expect("it is whole");
    assert_eq!(names(&project), ["mine"]);
    assert!(matches!(project.notes[..], [Note::TargetOverridden { .. }]));
    let agreed = fixture
        .discover_lines(". -> elsewhere")
        .expect("it is whole");
    assert_eq!(agreed.notes, []);
}

#[test]
fn a_target_directory_elsewhere_has_a_name_without_its_path() {
    let named = |place: &str| {
        let fixture = plain();
        let target = fixture.base.join(place);
        let project = fixture.with("CARGO_TARGET_DIR", &target).discover();
        assert_eq!(project.roots[0].directory, target);
        names(&project)
    };
    assert_eq!(named("one"), named("quite/another"));
    assert!(named("one")[0].starts_with("outside/"));
}

#[test]
fn a_path_dependency_outside_of_the_workspace_is_found() {
    let dependent = format!(
        "{}[dependencies]\nshared = {{ path = \"../shared\" }}\n",
        package("app")
    );
    let fixture = Fixture::new(&[
        ("app/Cargo.toml", &dependent),
        ("app/Cargo.lock", &lock("2.8.3")),
        ("shared/Cargo.toml", &package("shared")),
    ]);
    let project = fixture.discover_lines("app").expect("it is whole");
    assert_eq!(
        project.workspaces[0].path_dependencies,
        [fixture.project().join("shared")]
    );
    let directories = project.tree_request().directories;
    assert!(directories.contains(&fixture.project().join("shared")));
}

#[test]
fn without_a_lockfile_the_manifests_stand_in_and_a_note_says_so() {
    let with_dependency = |version: &str| {
        format!(
            "{}[dependencies]\nmemchr = \"{version}\"\n",
            package("plain")
        )
    };
    let fixture = Fixture::new(&[("Cargo.toml", &with_dependency("2"))]);
    let project = fixture.discover();
    assert!(matches!(project.notes[..], [Note::LockfileMissing { .. }]));
    let lockfile = fixture.project().join("Cargo.lock");
    assert!(!lockfile.exists(), "discovery resolves nothing");
    let before = fixture.facts();
    fixture.write("Cargo.toml", &with_dependency("2.8"));
    assert_ne!(before.packages, fixture.facts().packages);
}

#[test]
fn a_lockfile_that_is_none_is_treated_as_missing() {
    let fixture = Fixture::new(&[
        ("Cargo.toml", &package("plain")),
        ("Cargo.lock", "<<<<<<< HEAD\n"),
    ]);
    let project = fixture.discover();
    assert!(project.workspaces[0].lockfile.is_none());
    assert!(matches!(
        project.notes[..],
        [Note::LockfileUnreadable { .. }]
    ));
}

#[test]
fn a_broken_manifest_is_an_error_in_cargos_words() {
    let fixture = Fixture::new(&[("Cargo.toml", "[package]\nname = 1\n")]);
    let error = fixture.discover_lines("").expect_err("it is broken");
    let source = std::error::Error::source(&error).expect("cargo said something");
    assert!(source.to_string().contains("Cargo.toml"), "{source}");
}

#[test]
fn a_directory_that_is_not_there_is_named() {
    let error = plain()
        .discover_lines("nowhere")
        .expect_err("it is not there");
    assert!(error.to_string().contains("nowhere"), "{error}");
}

#[test]
fn without_cargo_there_is_an_error_and_no_panic() {
    let fixture = plain();
    let empty = fixture.base.join("home");
    let fixture = fixture.with("PATH", &empty);
    let error = fixture.discover_lines("").expect_err("there is no cargo");
    assert!(matches!(error, DiscoverError::Cargo { .. }), "{error:?}");
}

#[test]
fn an_unknown_compiler_leaves_the_registry() {
    let fixture = plain();
    let missing = fixture.base.join("no-rustc");
    let fixture = fixture.with("RUSTC", missing);
    let project = fixture.discover();
    assert!(matches!(project.notes[..], [Note::ToolchainUnknown { .. }]));
    let facts = fixture.facts();
    assert!(facts.deps().is_err());
    assert_eq!(facts.registry().parts[0].facts().len(), 1);
}

/// What rustup's proxies do when the project names a toolchain that is not installed.
#[cfg(unix)]
#[test]
fn a_toolchain_that_is_not_installed_leaves_the_registry() {
    use std::os::unix::fs::PermissionsExt as _;
    let fixture = plain();
    let bin = fixture.base.join("bin");
    fs_err::create_dir(&bin).expect("it is ours");
    for proxy in ["cargo", "rustc"] {
        let path = bin.join(proxy);
        fs_err::write(
            &path,
            "#!/bin/sh\necho \"toolchain 'x' is not installed\" >&2\nexit 1\n",
        )
        .expect("it is ours");
        fs_err::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).expect("it is ours");
    }
    let fixture = fixture.with("PATH", &bin);
    let project = fixture.discover();
    assert!(project.toolchain.is_none());
    assert!(project.workspaces[0].lockfile.is_some());
    let told: Vec<_> = project.notes.iter().map(ToString::to_string).collect();
    assert!(
        told.iter()
            .any(|note| note.contains("toolchain 'x' is not installed")),
        "{told:?}"
    );
}

#[test]
fn cargo_home_may_lie_inside_of_the_repository_and_is_none_of_its_files() {
    let fixture = plain().with("CARGO_HOME", "cargo-home");
    let home = fixture.project().join("cargo-home");
    let project = fixture.discover();
    assert_eq!(project.cargo_home, home);
    let read = || read_tree(&fixture.discover().tree_request(), &fixture.environment());
    let before = read();
    fixture.write("cargo-home/registry/cache/x.crate", "x");
    assert_eq!(read(), before);
}

#[cfg(unix)]
#[test]
fn a_project_behind_a_link_is_the_same_project() {
    let fixture = virtual_root();
    let link = fixture.base.join("link");
    fs_err::os::unix::fs::symlink("project", &link).expect("it is ours");
    let direct = fixture.discover();
    let linked = fixture.discover_at(&link, "").expect("it is whole");
    assert_eq!(linked.directory, direct.directory);
    assert_eq!(linked.roots, direct.roots);
    let facts =
        |project: &Project| project.key_facts(&fixture.environment(), &[], JobIdentity::Local);
    assert_eq!(facts(&linked), facts(&direct));
}

#[test]
fn configured_targets_and_native_flags_are_seen() {
    let fixture = plain();
    fixture.write(
        ".cargo/config.toml",
        "[build]\ntarget = [\"wasm32-wasip1\"]\nrustflags = [\"-Ctarget-cpu=native\"]\n",
    );
    let project = fixture.discover();
    assert_eq!(
        project.toolchain.expect("rustc is there").targets,
        ["wasm32-wasip1"]
    );
    if cfg!(target_os = "linux") {
        assert!(project.platform.cpu.is_some());
        assert!(plain().discover().platform.cpu.is_none());
    }
    let fixture = fixture.with("CARGO_BUILD_TARGET", "wasm32-unknown-unknown");
    let targets = fixture
        .discover()
        .toolchain
        .expect("rustc is there")
        .targets;
    assert_eq!(targets, ["wasm32-unknown-unknown"]);
}

#[test]
fn two_checkouts_of_one_project_differ_in_platform_alone() {
    let (here, there) = (virtual_root().facts(), virtual_root().facts());
    let parts = |facts: &KeyFacts| facts.deps().expect("the toolchain is known").parts;
    for (one, other) in parts(&here).iter().zip(&parts(&there)) {
        let is_platform = one.name == crate::key::PartName::Platform;
        assert_eq!(one == other, !is_platform, "{:?}", one.name);
    }
    assert_eq!(here.registry(), there.registry());
}

/// Without rustup on the PATH, as in distributions and many images: the tools themselves.
#[test]
fn rustup_is_not_needed() {
    let fixture = plain();
    let sysroot = crate::process::Tool::new("rustc", &fixture.base, &fixture.environment())
        .args(["--print", "sysroot"])
        .output()
        .expect("rustc is there");
    let bin = Path::new(sysroot.trim()).join("bin");
    let project = fixture.with("PATH", bin).discover();
    assert!(project.toolchain.is_some());
    assert_eq!(names(&project), ["target"]);
}
