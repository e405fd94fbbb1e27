//! Cleaning frees exactly what its plan says, and touches nothing that is in use or not its own.

use std::{
    collections::BTreeMap,
    io::{BufRead as _, BufReader},
    os::unix::fs::MetadataExt as _,
    path::{Path, PathBuf},
    process::Stdio,
    time::Duration,
};

use filetime::FileTime;
use fs_err as fs;
use serde::Deserialize;

use crate::support::{Sandbox, checkout, fixture, git, replace_in};

const BUILD: [&str; 4] = ["cargo", "build", "--locked", "-v"];

#[derive(Debug, Deserialize)]
struct Plan {
    delete: Vec<Item>,
    in_use: Vec<(String, String)>,
    freed: u64,
}

#[derive(Debug, Deserialize)]
struct Item {
    name: String,
    bytes: u64,
}

struct Scene {
    sandbox: Sandbox,
    primary: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let primary = checkout(&sandbox, &fixture("small"), "primary");
        Self { sandbox, primary }
    }

    fn home(&self) -> PathBuf {
        self.sandbox.path("home/.cache/hotcrate")
    }

    /// The plan for `options`, which is then carried out.
    fn clean(&self, options: &[(&str, &str)]) -> Plan {
        let hotcrate = || {
            let plain = self
                .sandbox
                .hotcrate(&self.primary)
                .default_store()
                .flag("--json");
            options
                .iter()
                .fold(plain, |hotcrate, (name, value)| match *value {
                    "" => hotcrate.flag(name),
                    value => hotcrate.option(name, value),
                })
        };
        let told = hotcrate().flag("--dry-run").look("clean").success();
        let planned: Plan = serde_json::from_str(&told.stdout).unwrap();
        let done = hotcrate().look("clean").success();
        assert_eq!(done.stdout, told.stdout, "the same plan twice");
        let sum: u64 = planned.delete.iter().map(|item| item.bytes).sum();
        assert_eq!(sum, planned.freed);
        planned
    }
}

/// The bytes of all files below `directory`, each counted once whatever names it has.
fn bytes_below(directory: &Path) -> u64 {
    let mut files = BTreeMap::new();
    for entry in walkdir::WalkDir::new(directory).into_iter().flatten() {
        let found = fs::symlink_metadata(entry.path()).unwrap();
        if found.is_file() {
            files.insert((found.dev(), found.ino()), found.len());
        }
    }
    files.into_values().sum()
}

#[test]
fn the_bucket_of_a_worktree_that_is_gone_goes_and_frees_what_the_plan_said() {
    let scene = Scene::new();
    let (sandbox, primary) = (&scene.sandbox, &scene.primary);
    git(
        sandbox,
        primary,
        &["worktree", "add", "--quiet", "../linked"],
    );
    let build = sandbox
        .hotcrate(primary)
        .default_store()
        .option("--target-mode", "shared");
    build.run(&BUILD).success();
    let linked = sandbox
        .hotcrate(&sandbox.path("linked"))
        .look("target-dir")
        .success();
    let isolated = PathBuf::from(linked.stdout.trim_end());
    let shared = sandbox.hotcrate(primary).look("target-dir").success();
    let shared = PathBuf::from(shared.stdout.trim_end());
    assert!(isolated.join("debug/deps").is_dir() && shared.join("debug/deps").is_dir());
    // What a killed cleaning leaves, and what is somebody else's.
    let project = shared.ancestors().nth(2).unwrap();
    fs::create_dir(project.join(".hotcrate-going-x-1")).unwrap();
    fs::write(project.join(".hotcrate-going-x-1/part"), "12345").unwrap();
    let strangers = [scene.home().join("mine"), project.join("mine")];
    for stranger in &strangers {
        fs::create_dir(stranger).unwrap();
        fs::write(stranger.join("file"), "mine").unwrap();
    }

    let nothing_yet = scene.clean(&[]);
    assert_eq!(nothing_yet.freed, 5, "{nothing_yet:?}");
    git(
        sandbox,
        primary,
        &["worktree", "remove", "--force", "../linked"],
    );
    let before = bytes_below(&scene.home());
    let gone = scene.clean(&[]);
    assert_eq!(gone.delete.len(), 1, "{gone:?}");
    assert_eq!(before - bytes_below(&scene.home()), gone.freed);
    assert!(!isolated.exists());
    assert!(shared.exists());

    let before = bytes_below(&scene.home());
    let all = scene.clean(&[("--all", "")]);
    assert!(
        all.delete
            .iter()
            .any(|item| item.name.contains("hotcrate-v1-deps-")),
        "{all:?}"
    );
    assert_eq!(before - bytes_below(&scene.home()), all.freed);
    assert!(!shared.exists());
    for stranger in &strangers {
        assert!(stranger.join("file").exists());
    }
}

#[test]
fn stale_units_go_whole_and_what_stays_is_still_fresh() {
    let scene = Scene::new();
    let (sandbox, primary) = (&scene.sandbox, &scene.primary);
    sandbox.cargo(primary, &["build", "--locked"]);
    let target = primary.join("target");
    make_older(&target, Duration::from_hours(48));
    assert_eq!(scene.clean(&[]).freed, 0);

    replace_in(&primary.join("Cargo.lock"), "1.0.18", "1.0.17");
    let before = bytes_below(&target);
    let left = scene.clean(&[]);
    assert_eq!(before - bytes_below(&target), left.freed);
    assert!(left.freed > 0, "{left:?}");
    git(sandbox, primary, &["checkout", "--quiet", "Cargo.lock"]);
    let again = sandbox.cargo(primary, &["build", "--locked", "-v"]);
    assert_eq!(again.compiled_dependency_names(), ["itoa"].into());
    assert!(again.has_compiled("app"));

    make_older(&target, Duration::from_hours(30 * 24));
    let lock = fs::File::create(target.join("debug/.cargo-lock")).unwrap();
    lock.lock().unwrap();
    let in_use = scene.clean(&[("--older-than", "14d")]);
    assert_eq!(in_use.in_use.len(), 1, "{in_use:?}");
    assert_eq!(in_use.freed, 0);
    drop(lock);
    let before = bytes_below(&target);
    let old = scene.clean(&[("--older-than", "14d")]);
    assert!(old.freed > 0, "{old:?}");
    assert_eq!(before - bytes_below(&target), old.freed);
    assert_eq!(scene.clean(&[("--older-than", "14d")]).freed, 0);
    sandbox.cargo(primary, &["build", "--locked"]);
}

#[test]
fn what_a_run_builds_in_stays_and_the_size_is_kept_to() {
    let scene = Scene::new();
    let go = scene.sandbox.path("go");
    let script = format!(
        "mkdir -p \"$CARGO_TARGET_DIR\"; head -c 100000 /dev/zero > \"$CARGO_TARGET_DIR/x\"; \
         echo ready; until [ -e {} ]; do sleep 0.05; done",
        go.display()
    );
    let hotcrate = scene.sandbox.hotcrate(&scene.primary);
    let hotcrate = hotcrate.default_store().option("--target-mode", "shared");
    let mut running = hotcrate
        .command("run", &hotcrate.report())
        .args(["--", "sh", "-c", &script])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut line = String::new();
    let mut said = BufReader::new(running.stdout.take().unwrap());
    said.read_line(&mut line).unwrap();
    for options in [[("--all", "")], [("--max-size", "1kB")]] {
        let plan = scene.clean(&options);
        assert_eq!(plan.freed, 0, "{plan:?}");
    }
    assert_eq!(scene.clean(&[("--all", "")]).in_use.len(), 1);
    fs::write(&go, "").unwrap();
    assert!(running.wait().unwrap().success());

    assert_eq!(scene.clean(&[("--max-size", "1GB")]).freed, 0);
    let before = bytes_below(&scene.home());
    let plan = scene.clean(&[("--max-size", "1kB")]);
    assert!(plan.freed > 100_000, "{plan:?}");
    assert_eq!(before - bytes_below(&scene.home()), plan.freed);

    let refused = scene
        .sandbox
        .hotcrate(&scene.primary)
        .option("--older-than", "old");
    assert_eq!(refused.look("clean").code(), Some(2));
}

/// Makes all files below `directory` older by `span`, and their last reading with them.
fn make_older(directory: &Path, span: Duration) {
    let span = i64::try_from(span.as_secs()).unwrap();
    let mut done = std::collections::BTreeSet::new();
    for entry in walkdir::WalkDir::new(directory).into_iter().flatten() {
        let found = fs::symlink_metadata(entry.path()).unwrap();
        if !found.is_file() || !done.insert(found.ino()) {
            continue;
        }
        let modified = FileTime::from_last_modification_time(&found);
        let older =
            FileTime::from_unix_time(modified.unix_seconds() - span, modified.nanoseconds());
        filetime::set_file_times(entry.path(), older, older).unwrap();
    }
}
