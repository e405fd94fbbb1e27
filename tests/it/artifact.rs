//! Artefacts by fingerprint: an unchanged tree is not built twice, and a changed one never gets what it did not build.

use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::support::{
    Finished, Hotcrate, Sandbox, checkout, fixture, git, replace_in, staging_under, unversioned,
};

const PATH: &str = "target/debug/app";
/// Builds, and tells of it in a file that is no part of the tree.
const SCRIPT: &str = "echo run >> \"$RUNS\"; exec cargo build --locked --quiet";
/// The same without Cargo: what it makes says what it was made from.
const QUICK: &str = "echo run >> \"$RUNS\"; mkdir -p out; cat greeting/src/lib.rs > out/app; \
    cat notes 2>/dev/null >> out/app; chmod 755 out/app";

struct Scene {
    sandbox: Sandbox,
    clone: PathBuf,
}

impl Scene {
    fn new() -> Self {
        let mut sandbox = Sandbox::new();
        sandbox.set("RUNS", sandbox.path("runs"));
        let clone = checkout(&sandbox, &fixture("small"), "clone");
        fs::write(clone.join(".gitignore"), "/target\n/out\n*.log\n").unwrap();
        git(&sandbox, &clone, &["add", "--all"]);
        git(
            &sandbox,
            &clone,
            &["commit", "--quiet", "--message", "ignore"],
        );
        Self { sandbox, clone }
    }

    fn artifact(&self, path: &str) -> Hotcrate<'_> {
        self.sandbox.hotcrate(&self.clone).option("--paths", path)
    }

    fn quick(&self) -> Finished {
        call(self.artifact("out/app"), QUICK).success()
    }

    /// How often the command has been started so far.
    fn runs(&self) -> usize {
        let runs = fs::read_to_string(self.sandbox.path("runs")).unwrap_or_default();
        runs.lines().count()
    }
}

fn call(hotcrate: Hotcrate<'_>, script: &str) -> Finished {
    hotcrate.call("artifact", &["sh", "-c", script])
}

#[test]
fn the_second_call_for_an_unchanged_tree_does_not_start_the_command() {
    let scene = Scene::new();
    let built = scene.clone.join(PATH);
    let first = call(scene.artifact(PATH), SCRIPT).success();
    assert!(first.stderr.contains("stored"), "{}", first.stderr);
    let content = fs::read(&built).unwrap();
    let printed = format!("{}\n", built.display());
    for is_there in [true, false] {
        if !is_there {
            fs::remove_dir_all(scene.clone.join("target")).unwrap();
        }
        let again = call(scene.artifact(PATH), SCRIPT).success();
        assert_eq!(again.stdout, printed);
        assert_eq!(scene.runs(), 1, "{}", again.stderr);
        assert_eq!(fs::read(&built).unwrap(), content);
    }
    let output = scene
        .sandbox
        .command(&built, &scene.clone)
        .output()
        .unwrap();
    assert_eq!(output.stdout, b"hello debug world has 3 words\n");
    assert!(staging_under(&scene.clone).is_empty());

    // An equal tree elsewhere gets it as well, as nothing in it says where it was built.
    git(
        &scene.sandbox,
        &scene.clone,
        &["worktree", "add", "--quiet", "../linked"],
    );
    let linked = scene.sandbox.path("linked");
    let there = scene.sandbox.hotcrate(&linked).option("--paths", PATH);
    call(there, SCRIPT).success();
    assert_eq!(scene.runs(), 1);
    assert_eq!(fs::read(linked.join(PATH)).unwrap(), content);

    let forced = call(scene.artifact(PATH).env("HOTCRATE_REBUILD", "1"), SCRIPT);
    forced.success();
    assert_eq!(scene.runs(), 2);
    call(scene.artifact(PATH).flag("--rebuild"), SCRIPT).success();
    assert_eq!(scene.runs(), 3);
}

#[test]
fn whatever_changes_in_the_tree_makes_a_build_of_its_own_and_a_revert_finds_the_old_one() {
    let scene = Scene::new();
    let made = || fs::read_to_string(scene.clone.join("out/app")).unwrap();
    let source = scene.clone.join("greeting/src/lib.rs");
    let notes = scene.clone.join("notes");
    scene.quick();
    let plain = made();
    let mut expected = 1;
    let mut is_new = |what: &str| {
        scene.quick();
        expected += 1;
        assert_eq!(scene.runs(), expected, "{what}");
        scene.quick();
        assert_eq!(scene.runs(), expected, "{what}, once more");
    };

    replace_in(&source, "world", "moon");
    is_new("an edit");
    assert!(made().contains("moon"));
    replace_in(&source, "moon", "world");
    fs::write(&notes, "first").unwrap();
    is_new("an untracked file");
    fs::write(&notes, "other").unwrap();
    is_new("its content");
    assert!(made().ends_with("other"));
    fs::remove_file(&notes).unwrap();
    set_mode(&source, 0o755);
    is_new("a mode");
    set_mode(&source, 0o644);
    let runs = scene.runs();
    scene.quick();
    assert_eq!(scene.runs(), runs, "the reverted tree was built before");
    assert_eq!(made(), plain);

    // A commit of the same files is the same build, unless somebody says that it is not.
    git(
        &scene.sandbox,
        &scene.clone,
        &["commit", "--quiet", "--allow-empty", "-m", "x"],
    );
    scene.quick();
    assert_eq!(scene.runs(), runs);
    let with_commit = || call(scene.artifact("out/app").flag("--commit"), QUICK).success();
    with_commit();
    assert_eq!(scene.runs(), runs + 1);
    git(
        &scene.sandbox,
        &scene.clone,
        &["commit", "--quiet", "--allow-empty", "-m", "y"],
    );
    with_commit();
    with_commit();
    assert_eq!(scene.runs(), runs + 2);
}

#[test]
fn a_build_script_that_shows_signs_of_reading_git_makes_the_commit_count() {
    let scene = Scene::new();
    let script = "fn main() { std::process::Command::new(\"git\").arg(\"rev-parse\"); }";
    fs::write(scene.clone.join("app/build.rs"), script).unwrap();
    git(&scene.sandbox, &scene.clone, &["add", "--all"]);
    git(
        &scene.sandbox,
        &scene.clone,
        &["commit", "--quiet", "-m", "x"],
    );
    scene.quick();
    scene.quick();
    assert_eq!(scene.runs(), 1);
    git(
        &scene.sandbox,
        &scene.clone,
        &["commit", "--quiet", "--allow-empty", "-m", "y"],
    );
    scene.quick();
    assert_eq!(scene.runs(), 2);
}

#[test]
fn a_submodule_counts_by_its_commit_and_by_what_lies_in_it() {
    let scene = Scene::new();
    let (sandbox, clone) = (&scene.sandbox, &scene.clone);
    checkout(sandbox, &fixture("farm"), "other");
    let allow = "protocol.file.allow=always";
    git(
        sandbox,
        clone,
        &[
            "-c",
            allow,
            "submodule",
            "--quiet",
            "add",
            "../other",
            "sub",
        ],
    );
    git(sandbox, clone, &["commit", "--quiet", "-m", "submodule"]);
    scene.quick();
    fs::write(clone.join("sub/dirty"), "").unwrap();
    scene.quick();
    fs::remove_file(clone.join("sub/dirty")).unwrap();
    scene.quick();
    assert_eq!(scene.runs(), 2);
    git(
        sandbox,
        &clone.join("sub"),
        &["commit", "--quiet", "--allow-empty", "-m", "bump"],
    );
    scene.quick();
    assert_eq!(scene.runs(), 3);
}

#[test]
fn what_was_not_built_from_what_was_there_before_is_not_stored() {
    let scene = Scene::new();
    let edits = format!("{QUICK}; echo >> greeting/src/lib.rs");
    let told = call(scene.artifact("out/app"), &edits).success();
    assert!(
        told.stderr
            .contains("not stored: greeting/src/lib.rs changed while the command ran"),
        "{}",
        told.stderr
    );
    git(&scene.sandbox, &scene.clone, &["checkout", "--quiet", "."]);
    call(scene.artifact("out/app"), &edits).success();
    assert_eq!(scene.runs(), 2);

    let missing = call(scene.artifact("out/nothing"), QUICK).success();
    assert_eq!(missing.warnings().len(), 1, "{}", missing.stderr);
    let failed = call(scene.artifact("out/app"), "exit 7");
    assert_eq!(failed.code(), Some(7));
    assert_eq!(failed.stdout, "");
}

#[test]
fn an_ignored_file_counts_if_it_is_included_and_directories_come_whole() {
    let scene = Scene::new();
    let input = scene.clone.join("input.log");
    let with_input = |text: &str| {
        fs::write(&input, text).unwrap();
        let script = "echo run >> \"$RUNS\"; mkdir -p out/sub; cp input.log out/sub/copy";
        call(
            scene.artifact("out").option("--include", "input.log"),
            script,
        )
        .success();
        fs::read_to_string(scene.clone.join("out/sub/copy")).unwrap()
    };
    assert_eq!(with_input("1"), "1");
    assert_eq!(with_input("2"), "2");
    fs::write(scene.clone.join("out/stale"), "").unwrap();
    assert_eq!(with_input("1"), "1");
    assert_eq!(scene.runs(), 2);
    assert!(!scene.clone.join("out/stale").exists());
}

#[test]
fn an_artefact_that_holds_the_path_of_its_checkout_stays_there() {
    let scene = Scene::new();
    let script = "echo run >> \"$RUNS\"; mkdir -p out; pwd > out/app";
    call(scene.artifact("out/app"), script).success();
    git(
        &scene.sandbox,
        &scene.clone,
        &["worktree", "add", "--quiet", "../linked"],
    );
    let linked = scene.sandbox.path("linked");
    let there = || scene.sandbox.hotcrate(&linked).option("--paths", "out/app");
    call(there(), script).success();
    assert_eq!(scene.runs(), 2);
    call(there(), script).success();
    call(scene.artifact("out/app"), script).success();
    assert_eq!(scene.runs(), 2);
}

#[test]
fn without_git_it_says_so_and_a_broken_store_costs_a_build_only() {
    let sandbox = Sandbox::new();
    let plain = unversioned(&sandbox, &fixture("small"), "plain");
    let refused = call(
        sandbox.hotcrate(&plain).option("--paths", "x"),
        "echo started",
    );
    assert_eq!(refused.code(), Some(2));
    assert_eq!(refused.stdout, "");
    assert!(
        refused.stderr.contains("is no git checkout"),
        "{}",
        refused.stderr
    );

    let scene = Scene::new();
    scene.quick();
    for entry in walkdir::WalkDir::new(scene.sandbox.store())
        .into_iter()
        .flatten()
    {
        if entry.file_name().to_string_lossy().starts_with("entry-") {
            let bytes = fs::read(entry.path()).unwrap();
            fs::write(entry.path(), &bytes[..bytes.len() / 2]).unwrap();
        }
    }
    fs::remove_dir_all(scene.clone.join("out")).unwrap();
    let again = scene.quick();
    assert_eq!(again.warnings().len(), 1, "{}", again.stderr);
    assert_eq!(scene.runs(), 2);
    scene.quick();
    assert_eq!(scene.runs(), 2);
}

#[test]
fn a_kill_while_an_artefact_is_put_in_place_leaves_the_old_one_or_the_new() {
    const MOMENTS: u32 = 8;
    let scene = Scene::new();
    let input = scene.clone.join("input");
    let script =
        "echo run >> \"$RUNS\"; mkdir -p out; for i in $(seq 400); do cat input; done > out/app";
    let built = |letter: &str| {
        fs::write(&input, letter.repeat(50_000)).unwrap();
        call(scene.artifact("out/app"), script).success();
        fs::read(scene.clone.join("out/app")).unwrap()
    };
    let (new, old) = (built("a"), built("b"));
    fs::write(&input, "a".repeat(50_000)).unwrap();
    let begun = std::time::Instant::now();
    call(scene.artifact("out/app"), script).success();
    let duration = begun.elapsed();
    let place = scene.clone.join("out/app");
    for moment in 0..=MOMENTS {
        fs::write(&place, &old).unwrap();
        let hotcrate = scene.artifact("out/app");
        let mut killed = hotcrate
            .command("artifact", &hotcrate.report())
            .args(["--", "sh", "-c", script])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(duration * moment / MOMENTS);
        killed.kill().unwrap();
        killed.wait().unwrap();
        let found = fs::read(&place).unwrap();
        assert!(found == old || found == new, "moment {moment}");
        call(scene.artifact("out/app"), script).success();
        assert!(fs::read(&place).unwrap() == new, "moment {moment}");
        assert!(staging_under(&scene.clone).is_empty(), "moment {moment}");
    }
    assert_eq!(scene.runs(), 2);
}

#[test]
fn what_a_call_left_that_was_killed_behind_its_last_step_goes_with_the_next() {
    let scene = Scene::new();
    scene.quick();
    let left = scene.clone.join("out/.hotcrate-stage-1-1");
    fs::create_dir(&left).unwrap();
    scene.quick();
    assert!(!left.exists());
    assert_eq!(scene.runs(), 1);
}

fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, std::fs::Permissions::from_mode(mode)).unwrap();
}
