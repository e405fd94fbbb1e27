//! A small project, its checkouts, and what a store keeps of it, built by real Cargo.
//!
//! `origin` is what a repository holds, `work` the place of every checkout, `store` what was saved. A checkout
//! removes `work` and copies `origin` there, so that everything is new. The truth is a build of the same sources
//! into an empty target directory.

use std::{
    cell::RefCell,
    collections::BTreeSet,
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, Output},
};

use tempfile::TempDir;

use super::{
    BuildScripts, Changed, Head, Inputs, Job, Listing, Moment, Mtime, OutsideFiles, PathSet,
    Present, ReplayPlan, SourceManifest, SourceTree, SourceTrees, Sources, Verdicts, ignored_paths,
    plan, put_back, replay, scan, settle_directories, watch,
};
use crate::{
    archive::path::RelativePath,
    environment::Environment,
    process::user_command,
    unit::{Layout, SourceRoots, TargetTree, read_target},
};

pub(super) struct World {
    directory: TempDir,
    layout: Layout,
    /// Added to the environment of every Cargo command.
    pub variables: Vec<(String, String)>,
    /// Arguments of `cargo build`.
    pub arguments: Vec<&'static str>,
    pub build_scripts: BuildScripts,
    pub moment: Moment,
    manifest: Option<String>,
    /// What the engine keeps between restore and save.
    state: RefCell<State>,
}

/// What is kept between a restore and a save.
#[derive(Default)]
struct State {
    /// What the last checkout held.
    listing: Listing,
    /// What the replay changed in the target directory.
    changed: Vec<Changed>,
    /// Whether anything was restored.
    is_restored: bool,
}

/// What a build after a restore did.
pub(super) struct Warm {
    pub plan: ReplayPlan,
    /// Names of the targets that were compiled.
    pub compiled: BTreeSet<String>,
}

impl Warm {
    /// All reasons as people read them, with the package before each.
    pub(super) fn reasons(&self) -> Vec<String> {
        let packages = self.plan.packages.iter();
        packages
            .flat_map(|(name, reasons)| {
                reasons
                    .iter()
                    .map(move |reason| format!("{name}: {reason}"))
            })
            .collect()
    }
}

impl World {
    /// A workspace with a library `core` (with a module and an included file) and a program `app` that prints it.
    pub(super) fn new(layout: Layout) -> Self {
        let world = Self {
            directory: tempfile::tempdir().expect("a temporary directory"),
            layout,
            variables: Vec::new(),
            arguments: vec!["build"],
            build_scripts: BuildScripts::Auto,
            moment: Moment::RightBeforeCargo,
            manifest: None,
            state: RefCell::default(),
        };
        world.write(
            "ws/Cargo.toml",
            "[workspace]\nmembers = [\"core\", \"app\"]\nresolver = \"2\"\n",
        );
        world.write("ws/.gitignore", "/target\n/generated\n*.tmp\n");
        world.package("ws/core", "core-x", "");
        world.package(
            "ws/app",
            "app",
            "[dependencies]\ncore-x = { path = \"../core\" }\n",
        );
        world.write(
            "ws/core/src/lib.rs",
            "mod part;\npub fn text() -> String { [part::TEXT, include_str!(\"../data.txt\"), \
             option_env!(\"HC_OPTION\").unwrap_or(\"-\")].join(\" \") }\n",
        );
        world.write("ws/core/src/part.rs", "pub const TEXT: &str = \"one\";\n");
        world.write("ws/core/data.txt", "data");
        world.delete("ws/app/src/lib.rs");
        world.write(
            "ws/app/src/main.rs",
            "fn main() { println!(\"{}\", core_x::text()); }\n",
        );
        world
    }

    /// As [`World::new`], with a build script in `core` whose `SCRIPT` is printed as well.
    pub(super) fn with_script(layout: Layout, script: &str) -> Self {
        let world = Self::new(layout);
        world.write("ws/core/build.rs", script);
        world.write(
            "ws/core/src/lib.rs",
            "pub fn text() -> String { env!(\"SCRIPT\").to_owned() }\n",
        );
        world
    }

    /// As [`World::new`], with a macro `mac::list!` that `core` prints: names and contents below a directory of the
    /// package that uses it.
    pub(super) fn with_macro(layout: Layout, directory: &str) -> Self {
        let world = Self::new(layout);
        world.write(
            "ws/Cargo.toml",
            "[workspace]\nmembers = [\"core\", \"app\", \"mac\"]\nresolver = \"2\"\n",
        );
        world.package("ws/mac", "mac", "[lib]\nproc-macro = true\n");
        world.write("ws/mac/src/lib.rs", MACRO);
        world.package(
            "ws/core",
            "core-x",
            "[dependencies]\nmac = { path = \"../mac\" }\n",
        );
        world.write(
            "ws/core/src/lib.rs",
            &format!("pub fn text() -> String {{ mac::list!(\"{directory}\").to_owned() }}\n"),
        );
        world
    }

    pub(super) fn path(&self, place: &str) -> PathBuf {
        self.directory
            .path()
            .canonicalize()
            .expect("it exists")
            .join(place)
    }

    /// Writes a file of the repository; the next checkout has it.
    pub(super) fn write(&self, path: &str, content: &str) {
        write(&self.path("origin").join(path), content);
    }

    /// Writes a file of the checkout alone, as a step of a job would.
    pub(super) fn write_in_job(&self, path: &str, content: &str) {
        write(&self.path("work").join(path), content);
    }

    pub(super) fn delete(&self, path: &str) {
        fs_err::remove_file(self.path("origin").join(path)).expect("deleted");
    }

    pub(super) fn rename(&self, from: &str, to: &str) {
        let origin = self.path("origin");
        fs_err::rename(origin.join(from), origin.join(to)).expect("renamed");
    }

    pub(super) fn package(&self, directory: &str, name: &str, rest: &str) {
        self.write(
            &format!("{directory}/Cargo.toml"),
            &format!(
                "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2021\"\n{rest}"
            ),
        );
        self.write(&format!("{directory}/src/lib.rs"), "");
    }

    /// Commits everything in the repository's workspace, which becomes a git repository if it is none.
    pub(super) fn commit(&self, message: &str) {
        let workspace = self.path("origin/ws");
        if !workspace.join(".git").is_dir() {
            self.git(&["init", "-q", "-b", "main", "--template="]);
        }
        self.git(&["add", "-A"]);
        self.git(&["commit", "-q", "--allow-empty", "-m", message]);
    }

    pub(super) fn git(&self, arguments: &[&str]) {
        self.git_in_origin(arguments);
    }

    /// What git answers in the repository.
    pub(super) fn git_in_origin(&self, arguments: &[&str]) -> String {
        self.git_at("origin/ws", arguments)
    }

    /// What git answers in the checkout.
    pub(super) fn git_in_work(&self, arguments: &[&str]) -> String {
        self.git_at("work/ws", arguments)
    }

    pub(super) fn git_at(&self, place: &str, arguments: &[&str]) -> String {
        let mut command = self.command("git", &self.path(place));
        for role in ["AUTHOR", "COMMITTER"] {
            command
                .env(format!("GIT_{role}_NAME"), "hotcrate")
                .env(format!("GIT_{role}_EMAIL"), "hotcrate@example.org");
        }
        let output = run(command.args(arguments));
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// Puts the repository's content into the place of checkouts, with nothing left of the one before.
    pub(super) fn checkout(&self) {
        // Committed as usual: without git nothing tells a lockfile that the job made from one that was deleted.
        if !self.path("origin/ws/Cargo.lock").exists() {
            run(self
                .command("cargo", &self.path("origin/ws"))
                .args(["generate-lockfile", "--offline"]));
        }
        let work = self.path("work");
        if work.exists() {
            fs_err::remove_dir_all(&work).expect("removed");
        }
        copy(&self.path("origin"), &work, false);
        self.state.replace(State {
            listing: Listing::of(&self.scan()),
            ..State::default()
        });
    }

    /// Runs the build in the checkout; what it compiled.
    pub(super) fn build(&self) -> BTreeSet<String> {
        self.build_into(&self.target())
    }

    fn build_into(&self, target: &Path) -> BTreeSet<String> {
        let mut command = self.command("cargo", &self.path("work/ws"));
        command
            .args(&self.arguments)
            .args(["--offline", "--message-format=json"])
            .env("CARGO_TARGET_DIR", target);
        let output = run(&mut command);
        let text = String::from_utf8(output.stdout).expect("JSON");
        let messages = text
            .lines()
            .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok());
        messages
            .filter(|message| message["reason"] == "compiler-artifact" && message["fresh"] == false)
            .map(|message| {
                message["target"]["name"]
                    .as_str()
                    .expect("a name")
                    .to_owned()
            })
            .collect()
    }

    /// What the program prints that lies in the target directory.
    pub(super) fn output(&self) -> String {
        self.output_of(&self.target())
    }

    fn output_of(&self, target: &Path) -> String {
        let is_release = self.arguments.contains(&"--release");
        let program = target.join(if is_release {
            "release/app"
        } else {
            "debug/app"
        });
        let output = run(&mut self.command(program.as_os_str(), &self.path("work")));
        String::from_utf8(output.stdout).expect("UTF-8")
    }

    /// What a clean build of the checkout prints.
    pub(super) fn truth(&self) -> String {
        let target = self.path("truth");
        if target.exists() {
            fs_err::remove_dir_all(&target).expect("removed");
        }
        self.build_into(&target);
        self.output_of(&target)
    }

    /// Waits until what is written is newer than all that was built: the clock of files stands still for milliseconds.
    pub(super) fn wait_for_the_clock_of_files(&self) {
        let (built, probe) = (newest(&self.target()), self.path("probe"));
        while {
            fs_err::write(&probe, "").expect("written");
            newest(&probe) <= built
        } {}
    }

    /// Stores the target directory with the manifest of the sources.
    pub(super) fn save(&mut self) {
        let state = self.state.take();
        put_back(&state.changed, false).expect("put back");
        let store = self.path("store");
        if store.exists() {
            fs_err::remove_dir_all(&store).expect("removed");
        }
        copy(&self.target(), &store, true);
        let sources = self.scan();
        let restored = state.is_restored.then(|| self.manifest());
        let manifest = SourceManifest::record(
            &sources,
            &self.inputs(&sources, &self.tree()),
            &Job {
                head: &self.head(),
                ignored: &ignored_paths(&sources, &environment()),
                listing: Some(&state.listing),
                restored: restored.as_ref(),
                saved_max: newest(&store),
            },
        );
        self.manifest = Some(serde_json::to_string(&manifest).expect("JSON"));
    }

    /// A first job: checkout, build, save.
    pub(super) fn first_job(&mut self) {
        self.checkout();
        self.build();
        self.save();
    }

    /// Checkout and restore, up to where Cargo starts.
    pub(super) fn restore(&self) -> ReplayPlan {
        self.unpack();
        self.replay_at(Mtime::now())
    }

    /// Checkout and what was stored, before anything is replayed.
    pub(super) fn unpack(&self) {
        self.checkout();
        copy(&self.path("store"), &self.target(), true);
        self.state.borrow_mut().is_restored = true;
    }

    pub(super) fn replay_at(&self, now: Mtime) -> ReplayPlan {
        let mut state = self.state.borrow_mut();
        put_back(&state.changed, true).expect("put back");
        let sources = self.scan();
        let inputs = self.inputs(&sources, &self.tree());
        let mut plans = vec![self.plan_for(&sources, &inputs, now)];
        settle_directories(&mut plans, std::slice::from_ref(&inputs), &sources);
        let mut plan = plans.remove(0);
        watch(&mut plan, &inputs, &sources);
        let target = self.target();
        let done = replay(&[(plan.clone(), &target)], &sources).expect("replayed");
        state.changed = done.changed;
        plan
    }

    /// `hotcrate replay`, right before Cargo.
    pub(super) fn replay_again(&mut self) -> ReplayPlan {
        self.moment = Moment::RightBeforeCargo;
        let plan = self.replay_at(Mtime::now());
        self.state.borrow_mut().listing.renew(&self.scan());
        plan
    }

    pub(super) fn plan_for_now(&self, sources: &Sources) -> ReplayPlan {
        let inputs = self.inputs(sources, &self.tree());
        self.plan_for(sources, &inputs, Mtime::now())
    }

    fn plan_for(&self, sources: &Sources, inputs: &Inputs, now: Mtime) -> ReplayPlan {
        let manifest = self.manifest();
        plan(
            &manifest,
            &Present {
                sources,
                inputs,
                head: &self.head(),
                ignored: &ignored_paths(sources, &environment()),
                outside: &OutsideFiles::read(inputs.outside_paths()),
                moment: self.moment,
                now,
            },
            self.build_scripts,
        )
    }

    pub(super) fn manifest(&self) -> SourceManifest {
        let text = self.manifest.as_deref().expect("it was saved");
        serde_json::from_str(text).expect("a manifest")
    }

    /// A second job: checkout, restore, build; its output is compared with the truth.
    pub(super) fn second_job(&self) -> Warm {
        self.unpack();
        self.finish_second_job()
    }

    /// What follows when all is unpacked: replay, build, comparison.
    pub(super) fn finish_second_job(&self) -> Warm {
        let plan = self.replay_at(Mtime::now());
        let compiled = self.build();
        assert_eq!(
            self.output(),
            self.truth(),
            "the warm build is stale: {plan:#?}"
        );
        Warm { plan, compiled }
    }

    pub(super) fn target(&self) -> PathBuf {
        self.path("work/ws/target")
    }

    pub(super) fn tree(&self) -> TargetTree {
        let roots = SourceRoots::new(&self.path("home"), [self.path("work/ws")]);
        read_target(&self.target(), &roots).expect("readable")
    }

    pub(super) fn scan(&self) -> Sources {
        let tree = |name: &str| SourceTree {
            name: RelativePath::new(name).expect("plain"),
            directory: self.path("work").join(name),
        };
        let trees = SourceTrees::new([tree("ws"), tree("outside")], [self.target()]);
        scan(&trees).expect("readable")
    }

    pub(super) fn inputs(&self, sources: &Sources, target: &TargetTree) -> Inputs {
        Inputs::read(
            target,
            sources,
            &[self.path("work/ws")],
            &[self.path("home/registry")],
            &Verdicts::default(),
        )
    }

    fn head(&self) -> Head {
        Head::of(&self.path("work/ws"), &environment())
    }

    fn command(&self, program: impl AsRef<OsStr>, directory: &Path) -> Command {
        let mut command = user_command(program.as_ref());
        command.current_dir(directory).env_clear();
        for (name, value) in environment().iter() {
            command.env(name, value);
        }
        command
            .env("CARGO_HOME", self.path("home"))
            .env("CARGO_INCREMENTAL", "0")
            .env("CARGO_PROFILE_DEV_DEBUG", "0")
            // The symbols of the standard library are nine tenths of every program, and copied in every round.
            .env("RUSTFLAGS", "-Cstrip=symbols")
            .env("CARGO_TERM_COLOR", "never");
        if self.layout == Layout::V2 {
            command
                .env("RUSTC_BOOTSTRAP", "1")
                .env("CARGO_UNSTABLE_BUILD_DIR_NEW_LAYOUT", "true");
        }
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// What toolchains and git need of this process's environment.
pub(super) fn environment() -> Environment {
    let process = Environment::of_process();
    ["PATH", "HOME", "RUSTUP_HOME", "RUSTUP_TOOLCHAIN", "TMPDIR"]
        .into_iter()
        .filter_map(|name| Some((name, process.os(name)?)))
        .collect()
}

fn run(command: &mut Command) -> Output {
    let output = command.output().expect("it starts");
    assert!(
        output.status.success(),
        "{command:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    output
}

fn write(path: &Path, content: &str) {
    fs_err::create_dir_all(path.parent().expect("it has one")).expect("created");
    fs_err::write(path, content).expect("written");
}

/// Copies a directory, with all times kept or with all of them new.
pub(super) fn copy(from: &Path, to: &Path, keeps_times: bool) {
    let mut times = Vec::new();
    for entry in walkdir::WalkDir::new(from) {
        let entry = entry.expect("readable");
        let target = to.join(entry.path().strip_prefix(from).expect("it lies there"));
        let metadata = entry.metadata().expect("readable");
        if metadata.is_dir() {
            fs_err::create_dir_all(&target).expect("created");
        } else if metadata.is_symlink() {
            #[cfg(unix)]
            fs_err::os::unix::fs::symlink(
                fs_err::read_link(entry.path()).expect("a link"),
                &target,
            )
            .expect("linked");
        } else {
            fs_err::copy(entry.path(), &target).expect("copied");
        }
        times.push((target, Mtime::of(&metadata).to_file_time()));
    }
    for (path, time) in times.into_iter().rev().filter(|_| keeps_times) {
        filetime::set_symlink_file_times(&path, time, time).expect("set");
    }
}

/// The newest modification time below `directory`.
fn newest(directory: &Path) -> Mtime {
    walkdir::WalkDir::new(directory)
        .into_iter()
        .map(|entry| Mtime::of(&entry.and_then(|entry| entry.metadata()).expect("readable")))
        .max()
        .expect("there is one")
}

const MACRO: &str = r#"
use std::path::{Path, PathBuf};
fn walk(directory: &Path, found: &mut Vec<String>) {
    let Ok(entries) = std::fs::read_dir(directory) else { return };
    for path in entries.map(|entry| entry.unwrap().path()) {
        if path.is_dir() { walk(&path, found); } else {
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            found.push(format!("{name}={}", std::fs::read_to_string(&path).unwrap().trim()));
        }
    }
}
#[proc_macro]
pub fn list(input: proc_macro::TokenStream) -> proc_macro::TokenStream {
    let directory = input.to_string().trim_matches('"').to_owned();
    let mut found = Vec::new();
    walk(&PathBuf::from(std::env::var("CARGO_MANIFEST_DIR").unwrap()).join(directory), &mut found);
    found.sort();
    format!("{:?}", found.join(";")).parse().unwrap()
}
"#;

/// An empty set of paths, for tests without git.
pub(super) fn nothing() -> PathSet {
    PathSet::default()
}
