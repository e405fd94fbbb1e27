//! sccache as a tier, with the real one: what it saves a build, and that no build is the worse for it.

use std::path::{Path, PathBuf};

use fs_err as fs;
use rstest::rstest;

use crate::support::{
    Finished, Hotcrate, Sandbox, checkout, entries_of_store, fixture, members, real_sccache,
};

const BUILD: [&str; 4] = ["cargo", "build", "--locked", "-v"];
/// Without `deps`, so that Cargo finds everything dirty and asks sccache.
const SCCACHE_ALONE: &str = "registry,sccache";

fn small(sandbox: &Sandbox, name: &str) -> PathBuf {
    checkout(sandbox, &fixture("small"), name)
}

/// hotcrate with the real sccache, in one of several jobs, and no other tier that holds compiled code.
fn alone<'a>(sandbox: &'a Sandbox, clone: &Path) -> Hotcrate<'a> {
    sandbox
        .hotcrate(clone)
        .option("--sccache", real_sccache())
        .option("--tiers", SCCACHE_ALONE)
}

/// What the next job on a fresh machine finds: an empty CARGO_HOME, and none of sccache's objects.
fn new_machine(sandbox: &Sandbox) {
    sandbox.empty_cargo_home();
    let objects = sandbox.path("home/.cache/hotcrate/sccache");
    if objects.exists() {
        fs::remove_dir_all(objects).unwrap();
    }
}

/// Whether a build was wrapped: Cargo names the program that it runs.
fn was_wrapped(run: &Finished) -> bool {
    run.stderr
        .lines()
        .any(|line| line.trim_start().starts_with("Running `") && line.contains("/sccache "))
}

/// A program at `name` in the sandbox that runs `script`.
fn program(sandbox: &Sandbox, name: &str, script: &str) -> PathBuf {
    sandbox.program(name, format!("#!/bin/sh\n{script}\n"))
}

#[test]
fn a_second_job_takes_the_first_ones_objects_and_saves_its_own() {
    let sandbox = Sandbox::new();
    let first = small(&sandbox, "first");
    let filled = alone(&sandbox, &first)
        .option("--shared-key", "one")
        .run(&BUILD)
        .success();
    let stored = filled.report().save("sccache").key.unwrap();

    new_machine(&sandbox);
    let second = small(&sandbox, "second");
    let run = alone(&sandbox, &second)
        .option("--shared-key", "two")
        .option("--save-threshold", "0")
        .run(&BUILD)
        .success();
    let restore = run.report().restore("sccache");
    assert_eq!(restore.outcome, "partial", "{restore:?}");
    assert!(restore.reason().contains("job"), "{restore:?}");
    assert!(restore.bytes > Some(0), "{restore:?}");
    assert!(run.report().sccache().hits >= 3, "{:?}", run.report());
    let own = run.report().save("sccache");
    assert_eq!(own.outcome, "saved", "{own:?}");
    assert_ne!(own.key.as_ref(), Some(&stored));
    // The new generation holds what the old one held.
    let objects = |key: &str| {
        let entries = entries_of_store(&sandbox.store(), Some("sccache"));
        let entry = entries
            .iter()
            .find(|path| path.to_string_lossy().contains(key));
        members(entry.unwrap())
    };
    let (old, new) = (objects(&stored), objects(own.key.as_ref().unwrap()));
    assert!(
        old.iter().all(|object| new.contains(object)),
        "{old:?} {new:?}"
    );

    // A third run of the second job finds the newest generation, has nothing to add, and saves none.
    new_machine(&sandbox);
    fs::remove_dir_all(second.join("target")).unwrap();
    let again = alone(&sandbox, &second)
        .option("--shared-key", "two")
        .run(&BUILD)
        .success();
    let restore = again.report().restore("sccache");
    assert_eq!(restore.outcome, "exact", "{restore:?}");
    assert_eq!(again.report().sccache().misses, 0, "{:?}", again.report());
    assert_eq!(again.report().save("sccache").outcome, "skipped");
}

#[test]
fn beside_deps_sccache_is_asked_only_for_what_cargo_finds_dirty() {
    let sandbox = Sandbox::new();
    let with_both = |clone: &Path| {
        sandbox
            .hotcrate(clone)
            .option("--sccache", real_sccache())
            .run(&BUILD)
            .success()
    };
    let first = small(&sandbox, "first");
    with_both(&first);
    new_machine(&sandbox);
    let second = small(&sandbox, "second");
    let run = with_both(&second);
    assert_eq!(run.report().restore("deps").outcome, "exact");
    assert!(
        run.build.compiled_dependencies().is_empty(),
        "{:?}",
        run.build
    );
    let sccache = run.report().sccache();
    // The library of the workspace; its binary is of a kind that is not cached.
    assert!(sccache.hits + sccache.misses <= 1, "{sccache:?}");
}

#[rstest]
#[case::that_exits_1("exit 1", "failed (exit status: 1)")]
#[case::of_another_kind("echo ccache version 4.9", "is no sccache: to --version it answers")]
#[case::whose_server_does_not_start(
    r#"if [ "$1" = --version ]; then echo sccache 0.16.0; else echo "no disk" >&2; exit 1; fi"#,
    "its server does not start"
)]
fn a_binary_is_not_used(#[case] script: &str, #[case] expected: &str) {
    let sandbox = Sandbox::new();
    let clone = small(&sandbox, "clone");
    let broken = program(&sandbox, "broken/sccache", script);
    let run = sandbox
        .hotcrate(&clone)
        .option("--sccache", broken)
        .flag("--strict")
        .run(&SHOW)
        .success();
    assert_without(&run, expected);
}

/// What a build is told of a wrapper.
const SHOW: [&str; 3] = ["sh", "-c", "echo wrapper=$RUSTC_WRAPPER"];

/// The command went without sccache, and one notice says why.
#[track_caller]
fn assert_without(run: &Finished, expected: &str) {
    assert_eq!(run.stdout, "wrapper=\n");
    let notices: Vec<_> = run
        .stderr
        .lines()
        .filter(|line| line.starts_with("hotcrate: notice: "))
        .collect();
    assert_eq!(notices.len(), 1, "{}", run.stderr);
    assert!(notices[0].contains(expected), "{notices:?}");
    assert!(run.warnings().is_empty(), "{:?}", run.warnings());
    assert!(run.report().sccache.is_none());
    assert_eq!(run.report().save("sccache").outcome, "skipped");
}

#[test]
fn a_release_that_cannot_be_fetched_is_one_notice_and_nothing_is_kept() {
    let sandbox = Sandbox::new();
    let clone = small(&sandbox, "clone");
    let tool_cache = sandbox.path("tool-cache");
    let run = sandbox
        .hotcrate(&clone)
        .option("--sccache", "true")
        .flag("--strict")
        .env("RUNNER_TOOL_CACHE", &tool_cache)
        // Where nobody listens.
        .env("HTTPS_PROXY", "http://127.0.0.1:1")
        .run(&SHOW)
        .success();
    assert_without(
        &run,
        "failed to fetch https://github.com/mozilla/sccache/releases/download/v0.16.0/",
    );
    assert!(!tool_cache.exists());
}

#[test]
fn a_wrapper_of_the_users_own_is_left_alone_and_said_so() {
    let sandbox = Sandbox::new();
    let clone = small(&sandbox, "clone");
    let own = program(&sandbox, "own/wrapper", "exec \"$@\"");
    let run = alone(&sandbox, &clone)
        .env("RUSTC_WRAPPER", &own)
        .run(&BUILD)
        .success();
    assert!(
        run.stderr.contains("Running `") && !was_wrapped(&run),
        "{}",
        run.stderr
    );
    let note = format!(
        "hotcrate: note: sccache is left alone: RUSTC_WRAPPER sets a wrapper of your own, {}",
        own.display()
    );
    assert!(run.stderr.contains(&note), "{}", run.stderr);

    fs::create_dir(clone.join(".cargo")).unwrap();
    let config = format!("build.rustc-wrapper = {:?}", own.display());
    fs::write(clone.join(".cargo/config.toml"), config).unwrap();
    let run = alone(&sandbox, &clone).run(&["true"]).success();
    let note = "sccache is left alone: build.rustc-wrapper in .cargo/config.toml sets a wrapper of your own";
    assert!(run.stderr.contains(note), "{}", run.stderr);
}

#[test]
fn a_cache_of_the_users_own_is_left_alone_and_said_so() {
    let sandbox = Sandbox::new();
    let clone = small(&sandbox, "clone");
    let run = alone(&sandbox, &clone)
        .env("SCCACHE_BUCKET", "mine")
        .run(&SHOW)
        .success();
    assert_eq!(run.stdout, "wrapper=\n");
    let note = "sccache is left alone: SCCACHE_BUCKET sets up an sccache of your own";
    assert!(run.stderr.contains(note), "{}", run.stderr);
}

#[test]
fn auto_uses_the_one_on_path_and_says_nothing_where_there_is_none() {
    let sandbox = Sandbox::new();
    let clone = small(&sandbox, "clone");
    let without = sandbox
        .hotcrate(&clone)
        .option("--sccache", "auto")
        .run(&SHOW)
        .success();
    assert_eq!(
        without.stdout, "wrapper=\n",
        "is there an sccache on this machine's PATH?"
    );
    assert!(!without.stderr.contains("sccache"), "{}", without.stderr);

    let real = real_sccache();
    let path = std::env::join_paths(
        std::iter::once(real.parent().unwrap().to_owned())
            .chain(std::env::split_paths(&path_of(&sandbox))),
    );
    let with = sandbox
        .hotcrate(&clone)
        .option("--sccache", "auto")
        .env("PATH", PathBuf::from(path.unwrap()))
        .run(&SHOW)
        .success();
    assert!(with.stdout.ends_with("/sccache\n"), "{}", with.stdout);
}

/// The PATH of everything in the sandbox.
fn path_of(sandbox: &Sandbox) -> String {
    let output = sandbox
        .command("sh", &sandbox.path("home"))
        .args(["-c", "printf %s \"$PATH\""])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_directory_at_its_bound_is_stored_no_larger_and_the_build_goes_on() {
    let sandbox = Sandbox::new();
    let first = small(&sandbox, "first");
    alone(&sandbox, &first).run(&BUILD).success();
    let objects = sandbox.path("home/.cache/hotcrate/sccache");
    let bound = bytes_below(&objects);

    // Another profile has objects of its own, for which those that were used longest ago must go.
    let release = ["cargo", "build", "--locked", "--release"];
    let bounded = |clone: &Path| {
        alone(&sandbox, clone)
            .env("SCCACHE_CACHE_SIZE", bound.to_string())
            .run(&release)
            .success()
    };
    let run = bounded(&first);
    assert!(run.report().sccache().written > 0, "{:?}", run.report());
    assert!(bytes_below(&objects) <= bound);
    let save = run.report().save("sccache");
    assert_eq!(save.outcome, "saved", "{save:?}");
    // Header, index and the members' own headers come on top.
    assert!(save.bytes.unwrap() < bound + (32 << 10), "{save:?} {bound}");

    new_machine(&sandbox);
    let second = small(&sandbox, "second");
    let again = bounded(&second);
    assert_eq!(again.report().restore("sccache").outcome, "exact");
    assert!(again.report().sccache().hits > 0, "{:?}", again.report());
    assert!(again.warnings().is_empty(), "{:?}", again.warnings());
}

/// The size of all files below a directory.
fn bytes_below(directory: &Path) -> u64 {
    walkdir::WalkDir::new(directory)
        .into_iter()
        .map(|entry| entry.unwrap().metadata().unwrap())
        .filter(std::fs::Metadata::is_file)
        .map(|facts| facts.len())
        .sum()
}

#[test]
fn after_the_job_no_server_and_no_socket_are_left() {
    let sandbox = Sandbox::new();
    let clone = small(&sandbox, "clone");
    let show =
        "test -S \"$SCCACHE_SERVER_UDS\" && echo socket && echo $SCCACHE_SERVER_UDS >&2; exit 3";
    let run = alone(&sandbox, &clone).run(&["sh", "-c", show]);
    assert_eq!(run.code(), Some(3), "{}", run.stderr);
    assert_eq!(run.stdout, "socket\n");
    let socket = run
        .stderr
        .lines()
        .find(|line| line.ends_with("/socket"))
        .unwrap();
    assert!(std::os::unix::net::UnixStream::connect(socket).is_err());
    assert!(!Path::new(socket).parent().unwrap().exists());
}

#[test]
fn a_plan_and_a_restore_start_no_server() {
    let sandbox = Sandbox::new();
    let clone = small(&sandbox, "clone");
    let log = sandbox.path("calls");
    let script = format!("echo \"$@\" >> {}; echo sccache 0.16.0", log.display());
    let counting = program(&sandbox, "counting/sccache", &script);
    let plan = sandbox
        .hotcrate(&clone)
        .option("--sccache", &counting)
        .plan()
        .success();
    assert!(
        plan.stdout.contains("hotcrate-v1-sccache-"),
        "{}",
        plan.stdout
    );
    let restore = sandbox
        .hotcrate(&clone)
        .option("--sccache", &counting)
        .restore()
        .success();
    assert!(
        restore
            .stderr
            .contains("sccache is left alone: it takes `hotcrate run`")
    );
    assert!(!log.exists());
}

#[test]
fn incremental_compilation_goes_past_sccache_which_would_refuse_it() {
    let sandbox = Sandbox::new();
    let clone = small(&sandbox, "clone");
    let build = "CARGO_INCREMENTAL=1 cargo build --locked";
    let run = alone(&sandbox, &clone).run(&["sh", "-c", build]).success();
    let sccache = run.report().sccache();
    assert_eq!((sccache.misses, sccache.fell_back), (0, 0), "{sccache:?}");
    assert!(clone.join("target/debug/incremental").exists());
}

#[test]
fn what_the_compiler_says_and_how_it_ends_comes_through() {
    let sandbox = Sandbox::new();
    let clone = small(&sandbox, "clone");
    fs::write(
        clone.join("greeting/src/lib.rs"),
        "pub fn oh() -> u8 { no_such_thing }",
    )
    .unwrap();
    let run = alone(&sandbox, &clone).run(&BUILD);
    assert_eq!(run.code(), Some(101), "{}", run.stderr);
    assert!(
        run.stderr.contains("cannot find value `no_such_thing`"),
        "{}",
        run.stderr
    );
    assert_eq!(run.report().sccache().fell_back, 0);
}

/// What finds the server of this job by its environment, which is all that the system tells of a process.
#[cfg(target_os = "linux")]
const FIND_SERVER: &str = r#"
find_server() {
  for process in /proc/[0-9]*; do
    if tr '\0' '\n' < "$process/environ" 2>/dev/null | grep -qxF SCCACHE_START_SERVER=1 &&
      tr '\0' '\n' < "$process/environ" | grep -qxF "SCCACHE_SERVER_UDS=$SCCACHE_SERVER_UDS"; then
      echo "${process#/proc/}"
    fi
  done
}
"#;

#[cfg(target_os = "linux")]
#[test]
fn the_server_inherits_no_token() {
    let sandbox = Sandbox::new();
    let clone = small(&sandbox, "clone");
    let show = format!(
        "{FIND_SERVER}\nfor server in $(find_server); do tr '\\0' '\\n' < /proc/$server/environ; done; echo own=$MY_PASSWORD"
    );
    let run = alone(&sandbox, &clone)
        .env("ACTIONS_RUNTIME_TOKEN", "secret-1")
        .env("GITHUB_TOKEN", "secret-2")
        .env("MY_PASSWORD", "secret-3")
        .run(&["sh", "-c", &show])
        .success();
    assert!(
        run.stdout.contains("SCCACHE_START_SERVER=1"),
        "{}",
        run.stdout
    );
    let secrets: Vec<_> = run
        .stdout
        .lines()
        .filter(|line| line.contains("secret"))
        .collect();
    assert_eq!(secrets, ["own=secret-3"]);
}
