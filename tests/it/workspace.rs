//! Workspace crates: nothing unchanged is compiled again in a fresh clone, and nothing stale is kept.

use std::path::{Path, PathBuf};

use fs_err as fs;
use rstest::rstest;

use crate::support::{
    Build, Finished, Sandbox, checkout, copy_tree, fixture, git, package, replace_in, vendor,
};

const BUILD: [&str; 4] = ["cargo", "build", "--locked", "-v"];

/// What jobs do with a workspace.
const COMMANDS: [&[&str]; 5] = [
    &["build", "--locked", "-v"],
    &["test", "--no-run", "--locked", "-v"],
    &["clippy", "--all-targets", "--locked", "-v"],
    &["doc", "--no-deps", "--locked", "-v"],
    &["build", "--release", "--locked", "-v"],
];

/// What a project has of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Variety {
    Plain,
    /// Cargo's other layout, and vendored registry packages.
    NewLayoutVendored,
    /// A build directory apart from the target directory.
    BuildDirectory,
}

#[rstest]
#[case(Variety::Plain)]
#[case(Variety::NewLayoutVendored)]
#[case(Variety::BuildDirectory)]
fn no_command_compiles_anything_in_a_fresh_clone_of_an_unchanged_tree(#[case] variety: Variety) {
    let mut sandbox = Sandbox::new();
    let origin = farm(&sandbox);
    match variety {
        // With a macro that reads nothing, and no command between the restore and Cargo.
        Variety::Plain => replace_in(
            &origin.join("plough/src/lib.rs"),
            "fs::read_dir(Path::new(&package).join(\"fields\")).map_or(0, Iterator::count)",
            "Path::new(&package).components().map(|_| fs::FileType::is_dir).count()",
        ),
        Variety::NewLayoutVendored => {
            sandbox.set("RUSTC_BOOTSTRAP", "1");
            sandbox.set("CARGO_UNSTABLE_BUILD_DIR_NEW_LAYOUT", "true");
            vendor(&sandbox, &origin);
        }
        Variety::BuildDirectory => {
            fs::create_dir(origin.join(".cargo")).unwrap();
            let config = "[build]\nbuild-dir = \"between\"\n";
            fs::write(origin.join(".cargo/config.toml"), config).unwrap();
            fs::write(origin.join(".gitignore"), "/target\n/between\n").unwrap();
        }
    }
    commit(&sandbox, &origin);
    let job = |command_of: &dyn Fn(&Path, &[&str]) -> Build| {
        let clone = clone(&sandbox, &origin);
        sandbox.hotcrate(&clone).restore().success();
        if variety != Variety::Plain {
            sandbox.hotcrate(&clone).replay();
        }
        for command in COMMANDS {
            let build = command_of(&clone, command);
            println!("{command:?}: {build:?}");
        }
        sandbox.hotcrate(&clone).save().success()
    };
    let first = job(&|clone, command| sandbox.cargo(clone, command));
    assert_eq!(first.report().save("workspace").outcome, "saved");

    let second = job(&|clone, command| {
        let build = sandbox.cargo(clone, command);
        assert!(build.compiled.is_empty(), "{command:?}: {build:?}");
        assert!(!build.fresh.is_empty(), "{command:?} looked at nothing");
        build
    });
    assert_eq!(second.report().save("workspace").outcome, "skipped");
    assert_eq!(second.report().units.rebuilt, Some(0));
}

#[test]
fn the_crates_of_several_workspaces_are_warm_together() {
    let sandbox = Sandbox::new();
    let template = sandbox.path("template");
    for name in ["one", "two"] {
        copy_tree(&fixture("small"), &template.join(name));
    }
    let origin = checkout(&sandbox, &template, "origin");
    let job = || {
        let clone = clone(&sandbox, &origin);
        let hotcrate = || sandbox.hotcrate(&clone).option("--workspaces", "one\ntwo");
        hotcrate().restore().success();
        let builds = ["one", "two"].map(|name| sandbox.cargo(&clone.join(name), &BUILD[1..]));
        let saved = hotcrate().save().success();
        assert_eq!(saved.warnings(), Vec::<&str>::new());
        builds
    };
    for build in job() {
        assert!(build.has_compiled("greeting"), "{build:?}");
    }
    for build in job() {
        assert!(build.compiled.is_empty(), "{build:?}");
    }
}

#[test]
fn a_changed_file_compiles_its_crate_and_those_that_depend_on_it() {
    let sandbox = Sandbox::new();
    let origin = farm(&sandbox);
    build_in_a_fresh_clone(&sandbox, &origin);

    let second = clone(&sandbox, &origin);
    replace_in(&second.join("barn/src/lib.rs"), "hay", "straw");
    let run = sandbox.hotcrate(&second).run(&BUILD).success();
    assert_eq!(compiled(&run.build), ["app", "barn"], "{}", run.stderr);
    let restored = run.report().restore("workspace");
    assert_eq!(restored.outcome, "partial");
    assert!(
        restored.reason().contains("barn (src/lib.rs changed)"),
        "{restored:?}"
    );
    assert_eq!(answer(&sandbox, &second), "straw 1 field 2");
}

#[test]
fn what_a_script_or_a_macro_reads_unsaid_is_never_stale() {
    let sandbox = Sandbox::new();
    let origin = farm(&sandbox);
    let run = |change: &dyn Fn(&Path)| {
        let clone = clone(&sandbox, &origin);
        change(&clone);
        sandbox.hotcrate(&clone).run(&BUILD).success();
        answer(&sandbox, &clone)
    };
    assert_eq!(run(&|_| {}), "hay 1 field 2");
    // The macro of `plough` counts the files there.
    let more = |clone: &Path| fs::write(clone.join("app/fields/third"), "").unwrap();
    assert_eq!(run(&more), "hay 1 field 3");
    // The script of `scan` counts the files there, and declares nothing.
    let fewer = |clone: &Path| fs::remove_file(clone.join("scan/animals/cow")).unwrap();
    assert_eq!(run(&fewer), "hay 0 field 2");
    assert_eq!(run(&|_| {}), "hay 1 field 2");
}

#[test]
fn what_steps_do_between_the_restore_and_cargo_is_never_stale() {
    let sandbox = Sandbox::new();
    let origin = farm(&sandbox);
    build_in_a_fresh_clone(&sandbox, &origin);
    let job = |step: &dyn Fn(&Path)| {
        let clone = clone(&sandbox, &origin);
        let restored = sandbox.hotcrate(&clone).restore().success();
        step(&clone);
        let build = sandbox.cargo(&clone, &BUILD[1..]);
        let reason = restored.report().restore("workspace").reason().to_owned();
        let compiled: Vec<_> = build
            .compiled
            .into_iter()
            .map(|package| package.name)
            .collect();
        (compiled, answer(&sandbox, &clone), reason)
    };
    // Files with old times are seen by nobody: a macro that lists directories is not trusted across steps.
    let (compiled, said, reason) = job(&|_| {});
    assert_eq!(compiled, ["app"]);
    assert_eq!(said, "hay 1 field 2");
    assert!(
        reason.contains("`hotcrate replay` right before Cargo keeps it"),
        "{reason}"
    );
    // Cargo itself does not look for what is gone from the directory that the script of `scan` counts.
    let (compiled, said, _) =
        job(&|clone| fs::remove_file(clone.join("scan/animals/cow")).unwrap());
    assert_eq!(compiled, ["app", "scan"]);
    assert_eq!(said, "hay 0 field 2");
}

#[test]
fn crates_that_were_built_before_are_left_to_cargo() {
    let sandbox = Sandbox::new();
    let origin = farm(&sandbox);
    let clone = clone(&sandbox, &origin);
    sandbox.hotcrate(&clone).run(&BUILD).success();
    let again = sandbox.hotcrate(&clone).run(&BUILD).success();
    let restored = again.report().restore("workspace");
    assert_eq!(restored.outcome, "skipped");
    assert_eq!(
        restored.reason(),
        "target holds workspace crates that were built before"
    );
    assert_eq!(again.report().save("workspace").outcome, "skipped");
    assert!(again.build.compiled.is_empty(), "{}", again.stderr);
}

#[test]
fn a_second_target_directory_of_the_same_sources_keeps_their_times() {
    let sandbox = Sandbox::new();
    let origin = farm(&sandbox);
    build_in_a_fresh_clone(&sandbox, &origin);
    let second = clone(&sandbox, &origin);
    let editor = ["build", "--locked", "--target-dir", "editor"];
    sandbox.cargo(&second, &editor);
    let run = sandbox.hotcrate(&second).run(&BUILD).success();
    assert_eq!(
        run.report().restore("workspace").reason(),
        "editor holds workspace crates that were built before"
    );
    replace_in(&second.join("barn/src/lib.rs"), "hay", "straw");
    assert!(sandbox.cargo(&second, &editor).has_compiled("barn"));
}

/// Nothing tells which target directories elsewhere were built from a checkout that stays.
#[test]
fn in_a_checkout_that_stays_no_source_gets_an_earlier_time() {
    let sandbox = Sandbox::new();
    let origin = farm(&sandbox);
    let clone = clone(&sandbox, &origin);
    sandbox.hotcrate(&clone).run(&BUILD).success();
    let source = clone.join("barn/src/lib.rs");
    let elsewhere = sandbox.path("elsewhere");
    let editor = [
        "build",
        "--locked",
        "--target-dir",
        elsewhere.to_str().unwrap(),
    ];
    let original = fs::read_to_string(&source).unwrap();
    replace_in(&source, "hay", "straw");
    sandbox.cargo(&clone, &editor);
    fs::write(&source, original).unwrap();

    fs::remove_dir_all(clone.join("target")).unwrap();
    let run = sandbox.hotcrate(&clone).run(&BUILD).success();
    assert_eq!(run.report().restore("workspace").outcome, "exact");
    assert_eq!(compiled(&run.build), ["app", "barn"], "{}", run.stderr);
    assert_eq!(answer(&sandbox, &clone), "hay 1 field 2");
    sandbox.cargo(&clone, &editor);
    let built = sandbox
        .command(elsewhere.join("debug/app"), &clone)
        .output();
    assert_eq!(printed(&built.unwrap()), "hay 1 field 2");
}

#[test]
fn dependencies_that_were_built_later_do_not_make_the_crates_stale() {
    let sandbox = Sandbox::new();
    let origin = farm(&sandbox);
    build_in_a_fresh_clone(&sandbox, &origin);
    // The same dependencies, compiled after the crates that are stored.
    for entry in crate::support::entries_of_store(&sandbox.store(), Some("deps")) {
        fs::remove_file(entry).unwrap();
    }
    let only_deps = |clone: &Path| {
        sandbox
            .hotcrate(clone)
            .option("--tiers", "registry,deps")
            .run(&BUILD)
            .success()
    };
    only_deps(&clone(&sandbox, &origin));

    let third = clone(&sandbox, &origin);
    let run = sandbox.hotcrate(&third).run(&BUILD).success();
    assert_eq!(
        run.report().restore("workspace").outcome,
        "exact",
        "{}",
        run.stderr
    );
    assert!(run.build.compiled.is_empty(), "{}", run.stderr);
}

/// Beside another build of a dependency, old code would be kept silently, or fail to link (E0460).
#[test]
fn crates_are_not_restored_beside_another_build_of_what_they_were_compiled_against() {
    let mut sandbox = Sandbox::new();
    let origin = farm_with(&sandbox, differing_by_environment);
    sandbox.set("WHICH", "one");
    build_in_a_fresh_clone(&sandbox, &origin);
    for entry in crate::support::entries_of_store(&sandbox.store(), Some("deps")) {
        fs::remove_file(entry).unwrap();
    }
    sandbox.set("WHICH", "two");
    sandbox
        .hotcrate(&clone(&sandbox, &origin))
        .option("--tiers", "registry,deps")
        .run(&BUILD)
        .success();

    let run = build_in_a_fresh_clone(&sandbox, &origin);
    let report = run.report();
    assert_eq!(report.restore("deps").outcome, "exact");
    let restored = report.restore("workspace");
    assert_eq!(restored.outcome, "miss");
    assert!(restored.reason().contains("interface"), "{restored:?}");
    assert!(run.build.has_compiled("barn"), "{}", run.stderr);
    assert_eq!(report.save("workspace").outcome, "saved");
}

#[test]
fn crates_are_not_stored_for_a_build_of_a_dependency_that_is_not_the_stored_one() {
    let mut sandbox = Sandbox::new();
    let origin = farm_with(&sandbox, differing_by_environment);
    sandbox.set("WHICH", "one");
    build_in_a_fresh_clone(&sandbox, &origin);

    sandbox.set("WHICH", "two");
    let second = clone(&sandbox, &origin);
    sandbox.hotcrate(&second).restore().success();
    sandbox.cargo(&second, &["clean", "--package", "lent"]);
    assert!(sandbox.cargo(&second, &BUILD[1..]).has_compiled("barn"));
    let saved = sandbox.hotcrate(&second).save().success();
    assert_eq!(saved.report().save("deps").outcome, "skipped");
    let workspace = saved.report().save("workspace");
    assert_eq!(workspace.outcome, "skipped");
    assert_eq!(
        workspace.reason(),
        "lent was compiled here, and another build of it is stored"
    );
}

#[test]
fn after_a_lockfile_bump_what_it_did_not_touch_stays_warm() {
    let sandbox = Sandbox::new();
    let origin = farm(&sandbox);
    build_in_a_fresh_clone(&sandbox, &origin);
    let second = clone(&sandbox, &origin);
    sandbox.cargo(&second, &["update", "itoa", "--precise", "1.0.17"]);
    let run = sandbox.hotcrate(&second).run(&BUILD).success();
    assert_eq!(run.report().restore("deps").outcome, "partial");
    assert!(run.build.has_compiled("itoa"), "{}", run.stderr);
    for untouched in ["plough", "lent"] {
        assert!(!run.build.has_compiled(untouched), "{}", run.stderr);
    }
}

#[test]
fn workspace_crates_can_be_left_to_cargo() {
    let sandbox = Sandbox::new();
    let origin = farm(&sandbox);
    for _ in 0..2 {
        let run = sandbox
            .hotcrate(&clone(&sandbox, &origin))
            .option("--workspace-crates", "off")
            .run(&BUILD)
            .success();
        assert!(run.build.has_compiled("barn"));
        assert!(!run.report().has_tier("workspace"));
    }
}

#[test]
fn incremental_caches_are_stored_where_they_are_wanted_and_nowhere_else() {
    let sandbox = Sandbox::new();
    let origin = farm(&sandbox);
    let restored = |wanted: bool| {
        let hotcrate = |clone: &Path| {
            let hotcrate = sandbox
                .hotcrate(clone)
                .option("--shared-key", wanted.to_string())
                .without_env("CARGO_INCREMENTAL");
            if wanted {
                hotcrate.flag("--incremental")
            } else {
                hotcrate
            }
        };
        hotcrate(&clone(&sandbox, &origin)).run(&BUILD).success();
        let second = clone(&sandbox, &origin);
        hotcrate(&second).restore().success();
        let caches = second.join("target/debug/incremental");
        caches.is_dir() && fs::read_dir(caches).unwrap().count() > 0
    };
    assert!(!restored(false));
    assert!(restored(true));
}

#[test]
fn a_job_that_generates_sources_replays_before_it_builds() {
    let sandbox = Sandbox::new();
    let origin = farm(&sandbox);
    fs::write(
        origin.join(".gitignore"),
        "/target\n/barn/src/generated.rs\n",
    )
    .unwrap();
    replace_in(
        &origin.join("barn/src/lib.rs"),
        "pub fn",
        "mod generated;\npub fn",
    );
    commit(&sandbox, &origin);
    let job = |text: &str| {
        let clone = clone(&sandbox, &origin);
        sandbox.hotcrate(&clone).restore().success();
        fs::write(clone.join("barn/src/generated.rs"), text).unwrap();
        sandbox.hotcrate(&clone).replay().success();
        let build = sandbox.cargo(&clone, &BUILD[1..]);
        sandbox.hotcrate(&clone).save().success();
        build
    };
    assert!(job("//! One.\n").has_compiled("barn"));
    assert_eq!(compiled(&job("//! One.\n")), Vec::<&str>::new());
    assert_eq!(compiled(&job("//! Two.\n")), ["app", "barn"]);
}

/// Gives the package in `directory` a constant that is the variable WHICH at the time of its build, which it does not say.
fn differing_by_environment(directory: &Path) {
    fs::write(
        directory.join("build.rs"),
        r#"
fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rustc-env=LENT={}", std::env::var("WHICH").unwrap());
}
"#,
    )
    .unwrap();
    fs::write(
        directory.join("src/lib.rs"),
        "pub const LENT: &str = env!(\"LENT\");\n",
    )
    .unwrap();
}

/// Packages of which something was compiled.
fn compiled(build: &Build) -> Vec<&str> {
    build
        .compiled
        .iter()
        .map(|package| package.name.as_str())
        .collect()
}

/// What the program says that was built.
fn answer(sandbox: &Sandbox, clone: &Path) -> String {
    let program = clone.join("target/debug/app");
    printed(&sandbox.command(program, clone).output().unwrap())
}

fn printed(output: &std::process::Output) -> String {
    assert!(output.status.success(), "{output:?}");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

#[test]
fn why_a_build_script_ran_again_is_told_by_what_it_may_read() {
    let sandbox = Sandbox::new();
    let origin = farm(&sandbox);
    build_in_a_fresh_clone(&sandbox, &origin);
    let second = clone(&sandbox, &origin);
    fs::write(second.join("scan/animals/goat"), "").unwrap();
    let run = sandbox.hotcrate(&second).run(&BUILD).success();
    let reasons: Vec<_> = run
        .report()
        .units
        .compiled
        .iter()
        .filter(|unit| unit.unit.starts_with("scan (build script run"))
        .map(|unit| unit.reason.as_str())
        .collect();
    assert_eq!(
        reasons,
        ["animals/goat was added, and its build script does not declare what it reads"]
    );
}

/// A fresh clone of `origin`, always at the same path.
fn clone(sandbox: &Sandbox, origin: &Path) -> PathBuf {
    let clone = sandbox.path("clone");
    if clone.exists() {
        // An inode that is free again could be given to the next clone.
        let gone = sandbox.path("gone");
        if gone.exists() {
            fs::remove_dir_all(&gone).unwrap();
        }
        fs::rename(&clone, gone).unwrap();
    }
    git(
        sandbox,
        &sandbox.path("home"),
        &[
            "clone",
            "--quiet",
            origin.to_str().unwrap(),
            clone.to_str().unwrap(),
        ],
    );
    clone
}

/// What a job does with a workspace that nobody touched.
#[track_caller]
fn build_in_a_fresh_clone(sandbox: &Sandbox, origin: &Path) -> Finished {
    let clone = clone(sandbox, origin);
    sandbox.hotcrate(&clone).run(&BUILD).success()
}

fn commit(sandbox: &Sandbox, origin: &Path) {
    git(sandbox, origin, &["add", "--all"]);
    git(
        sandbox,
        origin,
        &["commit", "--quiet", "--allow-empty", "--message", "change"],
    );
}

/// A repository with a workspace: `app` uses `barn` (build script with declarations, a registry and a git dependency),
/// `scan` (build script that scans undeclared) and `plough` (a procedural macro that scans).
fn farm(sandbox: &Sandbox) -> PathBuf {
    farm_with(sandbox, |_| {})
}

/// The same, after `change` to what is to become the git repository.
fn farm_with(sandbox: &Sandbox, change: impl FnOnce(&Path)) -> PathBuf {
    let lent = sandbox.path("lent-template");
    package(&lent, "lent");
    change(&lent);
    let lent = checkout(sandbox, &lent, "lent.git");
    let farm = sandbox.path("farm-template");
    copy_tree(&fixture("farm"), &farm);
    replace_in(
        &farm.join("barn/Cargo.toml"),
        "[dependencies]\n",
        &format!(
            "[dependencies]\nlent = {{ git = \"file://{}\" }}\n",
            lent.display()
        ),
    );
    sandbox.cargo(&farm, &["generate-lockfile"]);
    checkout(sandbox, &farm, "farm")
}
