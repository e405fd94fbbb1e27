//! The halves of the action's step on their own: whatever is wrong, the job goes on, and later steps know.

use std::collections::BTreeMap;

use fs_err as fs;
use hotcrate::tier::TierName;
use rstest::rstest;

use crate::support::{
    Sandbox, Step, Stepped, checkout, copy_tree, fixture, read_report, replace_in,
};

/// Nothing was exported, everything is told, and the job goes on.
#[track_caller]
fn assert_harmless(step: &Stepped, outcome: &str) {
    assert!(step.status.success(), "{step:#?}");
    assert_eq!(step.variables, BTreeMap::new());
    assert_eq!(step.output("supported"), "true");
    assert_eq!(step.output("cache-hit"), "false");
    for tier in TierName::ALL {
        assert_eq!(step.output(&format!("{tier}-outcome")), outcome, "{tier}");
        assert_ne!(step.output(&format!("{tier}-reason")), "", "{tier}");
    }
}

/// The key that `deps` was asked for under.
#[track_caller]
fn deps_key(main: &Stepped) -> String {
    let report = read_report(main.output("report").as_ref());
    report.restore("deps").key.unwrap()
}

#[rstest]
#[case(
    "mode",
    "sometimes",
    r#"mode "sometimes" is none of what it takes: `auto`, `restore`, `replay` or `save`"#
)]
#[case(
    "cache-bin",
    "yes",
    r#"cache-bin "yes" is none of what it takes: `true` or `false`"#
)]
#[case("debuginfo", "2", r#"debuginfo "2" is none of what it takes: `none`, `line-directives-only`, `line-tables-only`, `limited` or `full`"#)]
#[case(
    "max-size",
    "many",
    r#"max-size "many" is not a size; it takes a number and a unit, such as 500MB or 10GiB"#
)]
#[case("tiers", "dependencies", "tiers: unknown tier")]
#[case(
    "strict",
    "maybe",
    r#"strict "maybe" is none of what it takes: `true` or `false`"#
)]
fn a_wrong_input_is_one_error_and_no_caching(
    #[case] input: &str,
    #[case] value: &str,
    #[case] error: &str,
) {
    let sandbox = Sandbox::new();
    let clone = checkout(&sandbox, &fixture("small"), "clone");
    let step = Step::new(&sandbox).input(input, value);
    let main = step.main(&clone);
    assert_harmless(&main, "skipped");
    let errors = main.annotations("error");
    assert_eq!(errors.len(), 1, "{main:#?}");
    assert!(
        errors[0].starts_with(&format!("wrong input: {error}")),
        "{errors:?}"
    );

    let post = step.post(&clone, &main);
    assert!(post.status.success() && post.log.is_empty(), "{post:#?}");
    assert!(!sandbox.store().exists());
}

#[test]
fn a_step_of_its_own_replays_what_the_job_generated_before_cargo() {
    let sandbox = Sandbox::new();
    let template = sandbox.path("template");
    copy_tree(&fixture("small"), &template);
    replace_in(
        &template.join("greeting/src/lib.rs"),
        "//! A greeting.\n",
        "//! A greeting.\nmod made;\n",
    );
    let job = || {
        let clone = checkout(&sandbox, &template, "clone");
        let step = || Step::new(&sandbox).input("save-if", "true");
        let main = step().main(&clone);
        fs::write(clone.join("greeting/src/made.rs"), "//! Made.\n").unwrap();
        let replay = step().input("mode", "replay").main(&clone);
        assert!(replay.status.success(), "{replay:#?}");
        let build = sandbox.cargo(&clone, &["build", "--locked", "-v"]);
        assert!(step().post(&clone, &main).status.success());
        fs::rename(&clone, sandbox.path("gone")).unwrap();
        (replay, build)
    };
    let (replay, build) = job();
    let warnings = replay.annotations("warning");
    assert!(
        warnings[0].contains("no workspace crates were restored"),
        "{warnings:?}"
    );
    assert!(build.has_compiled("greeting"));
    fs::remove_dir_all(sandbox.path("gone")).unwrap();

    let (replay, build) = job();
    assert_eq!(replay.annotations("warning"), [""; 0]);
    assert!(
        replay.log.contains("nothing has to be compiled again"),
        "{replay:#?}"
    );
    assert!(build.compiled.is_empty(), "{build:?}");
}

#[test]
fn a_wrong_input_fails_a_strict_job() {
    let sandbox = Sandbox::new();
    let clone = checkout(&sandbox, &fixture("small"), "clone");
    let step = Step::new(&sandbox)
        .input("strict", "true")
        .input("mode", "never");
    assert_eq!(step.main(&clone).status.code(), Some(1));
}

#[test]
fn without_cargo_on_path_the_job_goes_on_with_one_warning() {
    let sandbox = Sandbox::new();
    let clone = checkout(&sandbox, &fixture("small"), "clone");
    let step = Step::new(&sandbox).env("PATH", "/nowhere");
    let main = step.main(&clone);
    assert_harmless(&main, "failed");
    let warnings = main.annotations("warning");
    assert_eq!(warnings.len(), 1, "{main:#?}");
    assert!(
        warnings[0].contains("failed to start cargo"),
        "{warnings:?}"
    );

    let post = step.post(&clone, &main);
    assert!(post.status.success() && post.log.is_empty(), "{post:#?}");
    let strict = step.input("strict", "true").main(&clone);
    assert_eq!(strict.status.code(), Some(1), "{strict:#?}");
}

/// `/proc` refuses whoever writes to it, the superuser included.
#[cfg(target_os = "linux")]
#[test]
fn where_nothing_can_be_written_the_job_goes_on() {
    let sandbox = Sandbox::new();
    let clone = checkout(&sandbox, &fixture("small"), "clone");
    let step = Step::new(&sandbox)
        .env("HOME", "/proc")
        .env("CARGO_HOME", "/proc/cargo")
        .env("RUNNER_TEMP", "/proc")
        .input("store", "/proc/store");
    let main = step.main(&clone);
    assert!(main.status.success(), "{main:#?}");
    assert_eq!(main.output("supported"), "true");
    assert_eq!(main.output("cache-hit"), "false");
    assert_ne!(main.annotations("warning"), [""; 0]);
    assert_eq!(main.variables, BTreeMap::new());
    let post = step.post(&clone, &main);
    assert!(post.status.success(), "{post:#?}");
}

#[test]
fn the_files_of_the_runner_may_all_be_missing() {
    let sandbox = Sandbox::new();
    let clone = checkout(&sandbox, &fixture("small"), "clone");
    let mut command = sandbox.command(env!("CARGO_BIN_EXE_hotcrate"), &clone);
    let output = command
        .args(["action", "main"])
        .env("INPUT_STORE", sandbox.store())
        .output()
        .unwrap();
    let log = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{log}");
    assert!(!log.contains("::warning"), "{log}");
    assert!(output.stdout.is_empty());
}

#[test]
fn inputs_of_rust_cache_that_mean_nothing_here_are_accepted_with_a_notice() {
    let sandbox = Sandbox::new();
    let clone = checkout(&sandbox, &fixture("small"), "clone");
    let main = Step::new(&sandbox)
        .input("add-rust-environment-hash-key", "false")
        .input("cache-all-crates", "true")
        .input("cache-provider", "warpbuild")
        .input("cmd-format", "nix develop -c {0}")
        .main(&clone);
    assert!(main.status.success(), "{main:#?}");
    insta::assert_snapshot!(main.annotations("notice").join("\n"), @r"
    add-rust-environment-hash-key: false has no effect: what another compiler made is of no use, and after a change of the lockfile the closest entry is restored anyway
    cache-all-crates: true has no effect: every crate that Cargo.lock names is kept, and no other is needed
    cache-provider has no effect: `store` says where entries live
    cmd-format has no effect: put cargo and rustc on PATH before this step
    ");
    assert_eq!(main.output("deps-outcome"), "miss");
}

/// rust-cache's words for parts of its cache, and what of hotcrate's they switch off.
#[rstest]
#[case(&[("cache-targets", "false")], "registry tools extra")]
#[case(&[("cache-bin", "false")], "registry deps workspace extra")]
#[case(&[("cache-workspace-crates", "false")], "registry deps tools extra")]
#[case(&[("tiers", "deps, tools"), ("cache-bin", "false")], "deps")]
fn tiers_can_be_switched_off_by_the_names_that_rust_cache_has(
    #[case] inputs: &[(&str, &str)],
    #[case] expected: &str,
) {
    let sandbox = Sandbox::new();
    let clone = checkout(&sandbox, &fixture("small"), "clone");
    let step = inputs
        .iter()
        .fold(Step::new(&sandbox), |step, (name, value)| {
            step.input(name, value)
        });
    let main = step.main(&clone);
    let in_use: Vec<_> = ["registry", "deps", "workspace", "tools", "extra"]
        .into_iter()
        .filter(|tier| main.outputs.contains_key(&format!("{tier}-outcome")))
        .collect();
    assert_eq!(in_use.join(" "), expected, "{main:#?}");
}

#[test]
fn debug_information_is_set_for_the_job_and_counts_in_its_key() {
    let sandbox = Sandbox::new();
    let clone = checkout(&sandbox, &fixture("small"), "clone");
    let plain = Step::new(&sandbox).main(&clone);
    assert_eq!(
        plain.variables,
        BTreeMap::from([("CARGO_INCREMENTAL".to_owned(), "0".to_owned())])
    );
    let plain = deps_key(&plain);

    let lines = Step::new(&sandbox)
        .input("debuginfo", "line-tables-only")
        .env("CARGO_INCREMENTAL", "1")
        .env("CARGO_PROFILE_TEST_DEBUG", "0")
        .main(&clone);
    assert_eq!(
        lines.variables,
        BTreeMap::from([(
            "CARGO_PROFILE_DEV_DEBUG".to_owned(),
            "line-tables-only".to_owned()
        )]),
        "what the user set stays"
    );
    assert_ne!(deps_key(&lines), plain);
}

/// What tells jobs apart, each against a job without it.
#[rstest]
#[case::of_another_leg(&[("matrix", r#"{"os": "b"}"#)], true)]
#[case::of_the_same_leg(&[("matrix", r#"{ "os":"a" }"#)], false)]
#[case::with_a_key(&[("key", "x")], true)]
#[case::with_a_prefix(&[("prefix-key", "v2")], true)]
#[case::with_the_prefix_that_rust_cache_has_anyway(&[("prefix-key", "v0-rust")], false)]
#[case::with_a_shared_key(&[("shared-key", "all")], true)]
#[case::without_the_job(&[("add-job-id-key", "false")], true)]
fn jobs_are_told_apart(#[case] inputs: &[(&str, &str)], #[case] differs: bool) {
    let sandbox = Sandbox::new();
    let clone = checkout(&sandbox, &fixture("small"), "clone");
    let key = |inputs: &[(&str, &str)]| {
        let first = Step::new(&sandbox).input("matrix", r#"{"os":"a"}"#);
        let step = inputs
            .iter()
            .fold(first, |step, (name, value)| step.input(name, value));
        deps_key(&step.main(&clone))
    };
    assert_eq!(key(inputs) != key(&[]), differs);
}

/// What a build script or a stranger's Cargo could read, if it were handed down.
#[cfg(unix)]
#[test]
fn no_tool_is_handed_what_belongs_to_the_runner() {
    use std::os::unix::fs::PermissionsExt as _;

    let sandbox = Sandbox::new();
    let clone = checkout(&sandbox, &fixture("small"), "clone");
    let tools = sandbox.path("tools");
    fs::create_dir(&tools).unwrap();
    let seen = sandbox.path("seen");
    let process = hotcrate::environment::Environment::of_process();
    let path = process.text("PATH").unwrap();
    for tool in ["cargo", "rustc", "git"] {
        let script = format!(
            "#!/bin/sh\nenv >> '{}'\nPATH='{path}' exec {tool} \"$@\"\n",
            seen.display()
        );
        fs::write(tools.join(tool), script).unwrap();
        fs::set_permissions(tools.join(tool), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let step = Step::new(&sandbox)
        .env("PATH", &format!("{}:{path}", tools.display()))
        .env("ACTIONS_RUNTIME_TOKEN", "secret-1")
        .env("ACTIONS_RESULTS_URL", "http://secret-2.example/")
        .env("GITHUB_TOKEN", "secret-3")
        .env("STATE_other", "secret-4")
        .input("token", "secret-5");
    let main = step.main(&clone);
    step.post(&clone, &main);
    let seen = fs::read_to_string(seen).unwrap();
    assert!(
        seen.contains("GITHUB_ACTIONS=true"),
        "the tools were not asked:\n{seen}"
    );
    assert!(!seen.contains("secret-"), "{seen}");
}

#[test]
fn post_saves_what_main_left_once() {
    let sandbox = Sandbox::new();
    let clone = checkout(&sandbox, &fixture("small"), "clone");
    let step = Step::new(&sandbox);
    let main = step.main(&clone);
    sandbox.cargo(&clone, &["build", "--locked"]);
    let failed = Step::new(&sandbox)
        .input("job-status", "failure")
        .post(&clone, &main);
    assert!(failed.log.contains("the job failed"), "{failed:#?}");
    assert!(!failed.log.contains("; saved"), "{failed:#?}");
    assert!(failed.summary.contains("deps"), "{failed:#?}");

    let again = step.post(&clone, &main);
    assert!(again.log.is_empty(), "{again:#?}");
}

#[test]
fn a_state_that_cannot_be_read_is_one_warning_and_no_save() {
    let sandbox = Sandbox::new();
    let clone = checkout(&sandbox, &fixture("small"), "clone");
    let step = Step::new(&sandbox);
    let main = step.main(&clone);
    fs::write(&main.state["handover"], r#"{"schema": 99}"#).unwrap();
    let post = step.post(&clone, &main);
    assert!(post.status.success());
    let warnings = post.annotations("warning");
    assert_eq!(warnings.len(), 1, "{post:#?}");
    assert!(
        warnings[0].contains("the state of the restore"),
        "{warnings:?}"
    );
    assert!(!post.log.contains("; saved"), "{post:#?}");
}

#[test]
fn what_a_job_builds_is_put_in_place_in_the_next_one() {
    let sandbox = Sandbox::new();
    let clone = checkout(&sandbox, &fixture("small"), "clone");
    let step = || {
        Step::new(&sandbox)
            .input("tiers", "registry")
            .input("artifacts", "app/made")
            .input("artifacts-command", "make it")
    };
    let made = clone.join("app/made");
    for ends_well in ["failure", "success"] {
        let step = step().input("job-status", ends_well);
        let main = step.main(&clone);
        assert_eq!(main.output("artifact-hit"), "false", "{ends_well}");
        fs::write(&made, "made").unwrap();
        step.post(&clone, &main);
        fs::remove_file(&made).unwrap();
    }
    assert_eq!(step().main(&clone).output("artifact-hit"), "true");
    assert_eq!(fs::read_to_string(&made).unwrap(), "made");

    fs::write(clone.join("new"), "").unwrap();
    let step = step();
    let main = step.main(&clone);
    assert_eq!(main.output("artifact-hit"), "false");
    fs::write(clone.join("new"), "by the job").unwrap();
    let post = step.post(&clone, &main);
    assert!(post.log.contains("changed in this job"), "{post:#?}");
}
