//! Target buckets: worktrees of one project build at once, start warm, and never get each other's crates.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    path::{Path, PathBuf},
    process::Stdio,
};

use fs_err as fs;

use crate::support::{
    Finished, Hotcrate, Sandbox, Tree, checkout, fixture, git, replace_in, staging_under,
};

const BUILD: [&str; 4] = ["cargo", "build", "--locked", "-v"];

/// A checkout of the small fixture with a linked worktree for each of `names` beside it.
fn worktrees(sandbox: &Sandbox, names: &[&str]) -> PathBuf {
    let primary = checkout(sandbox, &fixture("small"), "primary");
    for name in names {
        let place = format!("../{name}");
        git(
            sandbox,
            &primary,
            &["worktree", "add", "--quiet", "-b", name, &place],
        );
    }
    primary
}

/// hotcrate that brings no compiled dependency from the store.
fn without_deps<'a>(sandbox: &'a Sandbox, directory: &Path) -> Hotcrate<'a> {
    sandbox.hotcrate(directory).option("--tiers", "registry")
}

fn target_dir(sandbox: &Sandbox, directory: &Path, mode: &str) -> PathBuf {
    let told = sandbox.hotcrate(directory).option("--mode", mode);
    let told = told.look("target-dir").success();
    PathBuf::from(told.stdout.trim_end())
}

/// What the program that was built into `target` prints.
fn printed(sandbox: &Sandbox, target: &Path) -> String {
    let output = sandbox
        .command(target.join("debug/app"), target)
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn two_worktrees_build_at_once_and_neither_compiles_a_dependency() {
    let sandbox = Sandbox::new();
    let primary = worktrees(&sandbox, &["one", "two"]);
    let shared = without_deps(&sandbox, &primary)
        .option("--target-mode", "auto")
        .run(&BUILD)
        .success();
    assert!(!shared.build.compiled_dependencies().is_empty());
    assert!(!primary.join("target").exists());

    let names = ["one", "two"];
    let running = names.map(|name| {
        let hotcrate = without_deps(&sandbox, &sandbox.path(name)).option("--target-mode", "auto");
        let report = hotcrate.report();
        // Each begins its build once the other holds its bucket as well: if one had to wait for the other, both would fail.
        let script = format!(
            "touch {}; for try in $(seq 600); do \
             [ -e {} ] && [ -e {} ] && exec cargo build --locked -v; sleep 0.1; done; exit 9",
            sandbox.path(format!("ready-{name}")).display(),
            sandbox.path("ready-one").display(),
            sandbox.path("ready-two").display(),
        );
        let child = hotcrate
            .command("run", &report)
            .args(["--", "sh", "-c", &script])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        (child, report)
    });
    for (child, report) in running {
        let run = Finished::new(&child.wait_with_output().unwrap(), &report).success();
        assert!(
            run.build.compiled_dependencies().is_empty(),
            "{}",
            run.stderr
        );
        assert_eq!(run.build.fresh_dependencies().len(), 4, "{}", run.stderr);
        assert!(run.build.has_compiled("app"), "{}", run.stderr);
        assert!(
            !run.stderr.contains("file lock on build directory"),
            "{}",
            run.stderr
        );
        assert_eq!(run.warnings(), Vec::<&str>::new());
    }
    let targets = names.map(|name| target_dir(&sandbox, &sandbox.path(name), "auto"));
    assert_ne!(targets[0], targets[1]);
    for target in targets {
        assert_eq!(
            printed(&sandbox, &target),
            "hello debug world has 3 words\n"
        );
    }
    assert!(staging_under(&sandbox.path("home")).is_empty());

    let plain = sandbox
        .hotcrate(&primary)
        .run(&["sh", "-c", "echo \"[$CARGO_TARGET_DIR]\""])
        .success();
    assert_eq!(plain.stdout, "[]\n");
}

#[test]
fn a_shared_bucket_never_gives_one_checkout_the_crates_of_another() {
    let sandbox = Sandbox::new();
    let primary = worktrees(&sandbox, &["other"]);
    let other = sandbox.path("other");
    let text = other.join("greeting/src/lib.rs");
    replace_in(&text, "world", "moon");
    // Older than what is compiled from the primary checkout, which is all that Cargo looks at.
    let old = filetime::FileTime::from_unix_time(1_600_000_000, 0);
    for entry in walkdir::WalkDir::new(&other).into_iter().flatten() {
        filetime::set_file_mtime(entry.path(), old).unwrap();
    }
    let build = |directory: &Path| {
        without_deps(&sandbox, directory)
            .option("--target-mode", "shared")
            .run(&BUILD)
            .success()
    };
    build(&primary);
    let target = target_dir(&sandbox, &primary, "shared");
    assert_eq!(
        printed(&sandbox, &target),
        "hello debug world has 3 words\n"
    );

    let taken_over = build(&other);
    assert!(taken_over.build.compiled_dependencies().is_empty());
    assert_eq!(printed(&sandbox, &target), "hello debug moon has 3 words\n");
    build(&primary);
    assert_eq!(
        printed(&sandbox, &target),
        "hello debug world has 3 words\n"
    );
    let again = build(&primary);
    assert!(!again.build.has_compiled("app"), "{}", again.stderr);
}

#[test]
fn the_directory_is_told_in_three_ways_and_lies_in_one_home_whoever_asks() {
    let mut sandbox = Sandbox::new();
    let primary = worktrees(&sandbox, &["linked"]);
    let linked = sandbox.path("linked");
    let home = sandbox.path("a home");
    sandbox.set("HOTCRATE_HOME", &home);
    let shared = target_dir(&sandbox, &primary, "auto");
    assert!(
        shared.starts_with(home.join("buckets-v1")),
        "{}",
        shared.display()
    );
    assert_eq!(target_dir(&sandbox, &linked, "shared"), shared);
    assert_eq!(
        target_dir(&sandbox, &linked.join("greeting"), "shared"),
        shared
    );
    let isolated = target_dir(&sandbox, &linked, "auto");
    assert_ne!(isolated, shared);
    assert_eq!(isolated.ancestors().nth(2), shared.ancestors().nth(2));
    let of_ci = sandbox
        .hotcrate(&primary)
        .env("CI", "true")
        .look("target-dir");
    assert!(of_ci.success().stdout.contains("branch-main-"));
    let patterned = sandbox
        .hotcrate(&primary)
        .option("--worktree-patterns", "prim*");
    assert!(
        patterned
            .look("target-dir")
            .success()
            .stdout
            .contains("branch-main-")
    );

    let told = |flag| {
        sandbox
            .hotcrate(&primary)
            .flag(flag)
            .look("target-dir")
            .success()
            .stdout
    };
    let shell = format!("export CARGO_TARGET_DIR='{}'\n", shared.display());
    assert_eq!(told("--shell"), shell);
    let config: toml::Table = told("--cargo-config").parse().unwrap();
    assert_eq!(config["build"]["target-dir"].as_str(), shared.to_str());

    let refused = sandbox
        .hotcrate(&primary)
        .option("--mode", "own")
        .look("target-dir");
    assert_eq!(refused.code(), Some(2));
    assert!(
        refused.stderr.contains("auto, shared, isolated"),
        "{}",
        refused.stderr
    );
    let relative = sandbox.hotcrate(&primary).env("HOTCRATE_HOME", "cache");
    assert_eq!(relative.look("target-dir").code(), Some(2));
}

#[test]
fn a_second_build_of_one_bucket_waits_or_takes_another_as_set() {
    let sandbox = Sandbox::new();
    let primary = worktrees(&sandbox, &[]);
    let go = sandbox.path("go");
    let here = "echo \"$CARGO_TARGET_DIR\"";
    let until_told = format!("{here}; until [ -e {} ]; do sleep 0.05; done", go.display());
    let begin = |script: &str| {
        let hotcrate = without_deps(&sandbox, &primary).option("--target-mode", "shared");
        hotcrate
            .command("run", &hotcrate.report())
            .args(["--", "sh", "-c", script])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    };
    let mut first = begin(&until_told);
    let mut of_first = BufReader::new(first.stdout.take().unwrap());
    let mut shared = String::new();
    of_first.read_line(&mut shared).unwrap();

    let beside = without_deps(&sandbox, &primary)
        .option("--target-mode", "shared")
        .option("--if-busy", "isolated")
        .run(&["sh", "-c", here])
        .success();
    assert!(beside.stdout.contains("branch-main-"), "{}", beside.stdout);
    assert_ne!(beside.stdout, shared);

    let mut second = begin(here);
    let says = BufReader::new(second.stderr.take().unwrap());
    let mut lines = says.lines().map(Result::unwrap);
    assert!(lines.any(|line| line.contains("waiting for another build in the bucket shared")));
    let rest = std::thread::spawn(move || lines.count());
    fs::write(&go, "").unwrap();
    let mut stdout = String::new();
    second
        .stdout
        .take()
        .unwrap()
        .read_to_string(&mut stdout)
        .unwrap();
    assert_eq!(stdout, shared);
    assert!(second.wait().unwrap().success());
    assert!(first.wait().unwrap().success());
    rest.join().unwrap();
}

#[test]
fn a_kill_while_a_bucket_is_filled_leaves_it_whole_or_absent() {
    const MOMENTS: u32 = 8;
    let sandbox = Sandbox::new();
    let names: Vec<_> = (0..=MOMENTS)
        .map(|moment| format!("linked-{moment}"))
        .collect();
    let names: Vec<_> = names
        .iter()
        .map(String::as_str)
        .chain(["measured"])
        .collect();
    let primary = worktrees(&sandbox, &names);
    sandbox.cargo(&primary, &["build", "--locked"]);
    let paths =
        |target: &Path| -> Vec<PathBuf> { Tree::of(target).paths().map(Path::to_owned).collect() };

    let begun = std::time::Instant::now();
    let whole = paths(&target_dir(&sandbox, &sandbox.path("measured"), "auto"));
    let duration = begun.elapsed();
    assert!(
        whole
            .iter()
            .any(|path| path.extension().is_some_and(|name| name == "rlib"))
    );
    for moment in 0..=MOMENTS {
        let linked = sandbox.path(format!("linked-{moment}"));
        let hotcrate = sandbox.hotcrate(&linked);
        let mut killed = hotcrate
            .command("target-dir", &hotcrate.report())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(duration * moment / MOMENTS);
        killed.kill().unwrap();
        killed.wait().unwrap();

        let project = sandbox.path("home/.cache/hotcrate/buckets-v1");
        for target in walkdir::WalkDir::new(project)
            .max_depth(3)
            .into_iter()
            .flatten()
        {
            if target.file_name() == "target" {
                assert_eq!(paths(target.path()), whole, "moment {moment}");
            }
        }
        assert_eq!(
            paths(&target_dir(&sandbox, &linked, "auto")),
            whole,
            "moment {moment}"
        );
    }
    assert!(staging_under(&sandbox.path("home")).is_empty());
}
