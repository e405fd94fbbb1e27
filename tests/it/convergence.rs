//! What several runs, one after the other, must come to: nothing is lost on the way, and every job gets warm.

use fs_err as fs;

use crate::support::{Sandbox, checkout, fixture, replace_in, unversioned};

const BUILD: [&str; 4] = ["cargo", "build", "--locked", "-v"];

/// Four commands of one job, each a run of hotcrate of its own, as steps of a CI job often are.
#[test]
fn jobs_that_share_a_key_keep_what_each_other_needs() {
    let sandbox = Sandbox::new();
    let run = |name: String, script: &str| {
        sandbox.empty_cargo_home();
        let clone = checkout(&sandbox, &fixture("small"), &name);
        sandbox
            .hotcrate(&clone)
            .run(&["sh", "-c", script])
            .success()
    };
    let commands = [
        "cargo build --locked -v",
        "cargo check --locked -v",
        "cargo build --locked --release -v",
        "cargo check --locked --release -v",
    ];
    for (index, command) in commands.iter().enumerate() {
        run(format!("first-{index}"), command);
    }
    for (round, command) in commands.iter().chain(&commands).enumerate() {
        run(format!("later-{round}"), command).warm();
    }
}

#[test]
fn without_a_lockfile_downloads_are_kept_all_the_same() {
    let sandbox = Sandbox::new();
    let run = |name: &str| {
        sandbox.empty_cargo_home();
        let clone = unversioned(&sandbox, &fixture("small"), name);
        fs::remove_file(clone.join("Cargo.lock")).unwrap();
        sandbox
            .hotcrate(&clone)
            .run(&["cargo", "build", "-v"])
            .success()
    };
    let first = run("first");
    assert_eq!(first.report().save("registry").outcome, "saved");
    assert!(first.stderr.contains("Downloaded"), "{}", first.stderr);
    let second = run("second");
    assert!(!second.stderr.contains("Downloaded"), "{}", second.stderr);
}

#[test]
fn a_run_in_a_folder_of_the_project_is_no_trouble() {
    let sandbox = Sandbox::new();
    let clone = checkout(&sandbox, &fixture("small"), "clone");
    sandbox.hotcrate(&clone).run(&BUILD).success();
    sandbox.empty_cargo_home();
    let second = checkout(&sandbox, &fixture("small"), "second");
    let inside = sandbox.hotcrate(&second.join("app")).run(&BUILD).success();
    assert_eq!(inside.warnings(), Vec::<&str>::new());
}

#[test]
fn a_restore_that_fails_leaves_nothing_of_an_earlier_one_to_save_by() {
    let sandbox = Sandbox::new();
    let clone = checkout(&sandbox, &fixture("small"), "clone");
    sandbox.hotcrate(&clone).restore().success();
    replace_in(
        &clone.join("app/Cargo.toml"),
        "[dependencies]",
        "[dependencies",
    );
    assert_eq!(sandbox.hotcrate(&clone).restore().warnings().len(), 1);
    replace_in(
        &clone.join("app/Cargo.toml"),
        "[dependencies",
        "[dependencies]",
    );
    let saved = sandbox.hotcrate(&clone).save().success();
    assert!(
        saved.report().save("tools").reason().contains("not known"),
        "{:?}",
        saved.report()
    );
    assert_eq!(saved.warnings(), Vec::<&str>::new());
}

#[test]
fn tools_that_several_runs_of_a_job_install_are_all_kept() {
    let sandbox = Sandbox::new();
    let clone = checkout(&sandbox, &fixture("small"), "clone");
    let install = |name: &str| {
        let tool = sandbox.path(name);
        fs::create_dir_all(tool.join("src")).unwrap();
        let manifest =
            format!("[package]\nname = \"{name}\"\nversion = \"1.0.0\"\nedition = \"2024\"\n");
        fs::write(tool.join("Cargo.toml"), manifest).unwrap();
        fs::write(tool.join("src/main.rs"), "fn main() {}\n").unwrap();
        let command = ["cargo", "install", "--path", tool.to_str().unwrap()];
        sandbox.hotcrate(&clone).run(&command).success()
    };
    install("tool-one");
    let second = install("tool-two");
    assert_eq!(second.report().save("tools").outcome, "saved");

    sandbox.empty_cargo_home();
    sandbox.hotcrate(&clone).restore().success();
    for name in ["tool-one", "tool-two"] {
        let binary = format!("bin/{name}{}", std::env::consts::EXE_SUFFIX);
        assert!(sandbox.cargo_home().join(binary).is_file(), "{name}");
    }
}
