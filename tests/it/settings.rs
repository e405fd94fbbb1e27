//! Settings with values that nothing can be done with: an error that names the setting and what it takes.

use fs_err as fs;
use rstest::rstest;

use crate::support::{Sandbox, checkout, fixture};

#[rstest]
#[case::tier("--tiers", "registry,dependencies", &["dependencies", "registry, deps, workspace, sccache, tools, extra"])]
#[case::size("--max-size", "plenty", &["--max-size", "plenty", "10GiB"])]
#[case::project("--project", "no-such-directory", &["--project", "no-such-directory", "no such directory"])]
#[case::workspaces("--workspaces", ". -> a -> b", &["--workspaces", ". -> a -> b", "DIR -> TARGET"])]
#[case::the_whole_disk("--cache-directories", "data\n/", &["--cache-directories", "/ is the root"])]
#[case::the_home("--cache-directories", "~", &["--cache-directories", "~ is the home directory"])]
#[case::above_the_project("--cache-directories", "..", &["--cache-directories", ".. is"])]
#[case::time("--restore-timeout", "soon", &["--restore-timeout", "soon", "5m"])]
#[case::sccache("--sccache", "yes", &["--sccache", "yes", "auto, true, false, or the path"])]
#[case::saving("--save-if", "sometimes", &["--save-if", "sometimes", "true or false"])]
#[case::option("--no-such-option", "1", &["--no-such-option"])]
fn a_wrong_value_is_named_with_what_is_accepted(
    #[case] option: &str,
    #[case] value: &str,
    #[case] expected: &[&str],
) {
    let sandbox = Sandbox::new();
    let clone = checkout(&sandbox, &fixture("small"), "clone");
    for ended in [
        sandbox.hotcrate(&clone).option(option, value).plan(),
        sandbox
            .hotcrate(&clone)
            .option(option, value)
            .run(&["echo", "it runs"]),
    ] {
        assert_eq!(ended.code(), Some(2), "{}", ended.stderr);
        assert_eq!(ended.stdout, "");
        for words in expected {
            assert!(ended.stderr.contains(words), "{words}: {}", ended.stderr);
        }
        assert!(!sandbox.store().exists());
    }
}

#[test]
fn variables_that_are_set_to_nothing_are_not_set() {
    let sandbox = Sandbox::new();
    let clone = checkout(&sandbox, &fixture("small"), "clone");
    sandbox
        .hotcrate(&clone)
        .default_store()
        .env("HOTCRATE_STORE", "")
        .env("HOTCRATE_MAX_SIZE", "")
        .run(&["cargo", "build", "--locked"])
        .success();
    let in_home = crate::support::entries_of_store(&sandbox.path("home"), Some("deps"));
    assert!(!in_home.is_empty());
}

#[test]
fn save_if_decides_about_saving() {
    let sandbox = Sandbox::new();
    let clone = checkout(&sandbox, &fixture("small"), "clone");
    let run = sandbox
        .hotcrate(&clone)
        .option("--save-if", "false")
        .run(&["cargo", "build", "--locked"])
        .success();
    let save = run.report().save("deps");
    assert_ne!(save.outcome, "saved", "{save:?}");
    assert!(crate::support::entries_of_store(&sandbox.store(), None).is_empty());
}

#[test]
fn a_file_is_no_project() {
    let sandbox = Sandbox::new();
    let file = sandbox.path("file");
    fs::write(&file, "").unwrap();
    let home = sandbox.path("home");
    let ended = sandbox.hotcrate(&home).option("--project", &file).restore();
    assert_eq!(ended.code(), Some(2));
    assert!(ended.stderr.contains("not a directory"), "{}", ended.stderr);
}

#[test]
fn plan_tells_every_tier_and_touches_nothing() {
    let sandbox = Sandbox::new();
    let clone = checkout(&sandbox, &fixture("small"), "clone");
    let before = crate::support::Tree::of(&sandbox.path(""));
    let text = sandbox.hotcrate(&clone).plan().success();
    for tier in ["registry", "deps", "workspace", "tools", "extra"] {
        assert!(text.stdout.contains(tier), "{tier}: {}", text.stdout);
    }
    assert!(text.stdout.contains("hotcrate-v1-deps-"), "{}", text.stdout);
    let json = sandbox.hotcrate(&clone).flag("--json").plan().success();
    let plan: serde_json::Value = serde_json::from_str(&json.stdout).unwrap();
    assert!(plan.is_object(), "{plan}");
    let after = crate::support::Tree::of(&sandbox.path(""));
    assert_eq!(before, after);
}

#[test]
fn quiet_says_nothing_when_nothing_is_wrong() {
    let sandbox = Sandbox::new();
    let clone = checkout(&sandbox, &fixture("small"), "clone");
    let run = sandbox
        .hotcrate(&clone)
        .flag("--quiet")
        .run(&["cargo", "build", "--locked", "--quiet"])
        .success();
    assert_eq!(run.stderr, "");
}

#[test]
fn the_store_is_bounded() {
    let sandbox = Sandbox::new();
    let clone = checkout(&sandbox, &fixture("small"), "clone");
    let run = sandbox
        .hotcrate(&clone)
        .option("--max-size", "64KB")
        .run(&["cargo", "build", "--locked"])
        .success();
    let save = run.report().save("deps");
    assert_ne!(save.outcome, "saved", "{save:?}");
    assert!(crate::support::entries_of_store(&sandbox.store(), Some("deps")).is_empty());
}

#[test]
fn a_shared_key_and_env_vars_enter_the_key() {
    let sandbox = Sandbox::new();
    let clone = checkout(&sandbox, &fixture("small"), "clone");
    let key = |option: Option<(&str, &str)>| {
        let hotcrate = sandbox.hotcrate(&clone).env("FLAVOUR", "vanilla");
        let hotcrate = match option {
            Some((name, value)) => hotcrate.option(name, value),
            None => hotcrate,
        };
        let restored = hotcrate.restore().success();
        restored.report().restore("deps").key.unwrap()
    };
    let plain = key(None);
    assert_eq!(plain, key(None), "keys are stable");
    assert_ne!(plain, key(Some(("--shared-key", "all"))));
    assert_ne!(plain, key(Some(("--env-vars", "FLAVOUR"))));
}

#[cfg(unix)]
#[test]
fn cache_directories_are_kept_as_they_are() {
    let sandbox = Sandbox::new();
    let run = |name: &str, script: &str| {
        let clone = checkout(&sandbox, &fixture("small"), name);
        sandbox
            .hotcrate(&clone)
            .option("--cache-directories", "data\n.results/deep")
            .option("--tiers", "extra")
            .run(&["sh", "-c", script])
            .success()
    };
    run(
        "first",
        "mkdir -p data .results/deep && echo kept > data/a && ln -s a data/b && echo too > .results/deep/c",
    );
    let second = run("second", "cat data/b .results/deep/c");
    assert_eq!(second.stdout, "kept\ntoo\n");
}
