//! `hotcrate doctor`: what the last build compiled, why, and what to do about it.

use std::path::{Path, PathBuf};

use fs_err as fs;

use crate::support::{Finished, Sandbox, Tree, git, replace_in};

/// A package with a build script that reads a variable, in git.
fn project(sandbox: &Sandbox) -> PathBuf {
    let project = sandbox.path("project");
    let files = [
        (
            "Cargo.toml",
            "[package]\nname = \"native\"\nversion = \"0.1.0\"\nedition = \"2021\"\n",
        ),
        (
            "build.rs",
            "fn main() {\n    println!(\"cargo:rerun-if-env-changed=PYO3_PYTHON\");\n    println!(\"cargo:rerun-if-changed=build.rs\");\n}\n",
        ),
        ("src/lib.rs", ""),
        ("src/main.rs", "fn main() {}\n"),
        (".gitignore", "target\n"),
    ];
    for (name, text) in files {
        let path = project.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    sandbox.cargo(&project, &["generate-lockfile", "--offline"]);
    git(
        sandbox,
        &project,
        &["init", "--quiet", "--initial-branch", "main"],
    );
    git(sandbox, &project, &["add", "--all"]);
    git(
        sandbox,
        &project,
        &["commit", "--quiet", "--message", "first"],
    );
    project
}

fn sandbox() -> Sandbox {
    let mut sandbox = Sandbox::new();
    sandbox.set("CARGO_INCREMENTAL", "0");
    sandbox.set("PYO3_PYTHON", "/tmp/pip-build-env-1111/bin/python");
    sandbox
}

fn run(sandbox: &Sandbox, project: &Path) -> Finished {
    let build = ["cargo", "build", "--locked", "--offline"];
    sandbox.hotcrate(project).run(&build).success()
}

fn doctor(sandbox: &Sandbox, project: &Path) -> String {
    sandbox.hotcrate(project).doctor().success().stdout
}

#[test]
fn a_variable_with_a_temporary_path_is_named_as_the_cause_with_what_to_do() {
    let mut sandbox = sandbox();
    let project = project(&sandbox);
    run(&sandbox, &project);
    sandbox.set("PYO3_PYTHON", "/tmp/pip-build-env-2222/bin/python");
    run(&sandbox, &project);
    insta::assert_snapshot!(doctor(&sandbox, &project), @r"
    3 units compiled since the last restore
      env PYO3_PYTHON changed: …/pip-build-env-1111/… → …/pip-build-env-2222/…; 1 unit (native), and 2 that depend on it

    temporary-variable: PYO3_PYTHON, which native reads, is a temporary path: /tmp/pip-build-env-2222/bin/python
      pip and other build front ends make a new environment for each build: build without isolation (`--no-build-isolation`), or set it to an interpreter that stays.
    ");
}

#[test]
fn a_build_by_cargo_alone_is_explained_since_the_last_restore_and_told_again_when_asked_again() {
    let sandbox = sandbox();
    let project = project(&sandbox);
    run(&sandbox, &project);
    run(&sandbox, &project);
    assert!(doctor(&sandbox, &project).starts_with("0 units compiled since the last restore\n"));
    replace_in(&project.join("src/main.rs"), "{}", "{ }");
    sandbox.cargo(&project, &["build", "--locked", "--offline"]);
    let told = doctor(&sandbox, &project);
    assert!(
        told.starts_with(
            "1 unit compiled since the last restore\n  native: src/main.rs changed; 1 unit\n"
        ),
        "{told}"
    );
    assert_eq!(doctor(&sandbox, &project), told);
}

#[test]
fn without_a_restore_the_newest_build_is_told_as_far_as_it_is_known() {
    let mut sandbox = sandbox();
    sandbox.set("PYO3_PYTHON", "/usr/bin/python3");
    let project = project(&sandbox);
    sandbox.cargo(&project, &["build", "--locked", "--offline"]);
    insta::assert_snapshot!(doctor(&sandbox, &project), @r"
    4 units compiled by the newest build; what was there before it was not taken down
      compiled, and nobody took down what was there before; 4 units (native)

    Nothing was found that makes units dirty without need.
    ");
}

#[test]
fn faults_of_the_project_are_told_with_what_to_do() {
    let sandbox = sandbox();
    let project = project(&sandbox);
    fs::write(
        project.join("build.rs"),
        "fn main() {\n    println!(\"cargo:rerun-if-changed=gone.txt\");\n    println!(\"cargo:rerun-if-changed=.\");\n}\n",
    )
    .unwrap();
    fs::write(
        project.join("Cargo.toml"),
        "[package]\nname = \"native\"\nversion = \"0.1.1\"\nedition = \"2021\"\n",
    )
    .unwrap();
    let build = ["cargo", "build", "--offline"];
    sandbox.hotcrate(&project).run(&build).success();
    insta::assert_snapshot!(doctor(&sandbox, &project), @r"
    4 units compiled since the last restore

    missing-input: the build script of native declares gone.txt, which does not exist, and so runs in every build
      Correct or take out the line `cargo::rerun-if-changed=gone.txt`.
    output-as-input: the build script of native declares ., which holds what the build writes, and so runs in every build
      Declare the sources that it reads, file by file or directory by directory, and nothing in OUT_DIR or the target directory.
    lockfile: Cargo.lock is not what was committed: a command changed it
      Commit it, and let CI build with `--locked`, which fails instead of resolving anew.
    ");
}

#[test]
fn programs_read_the_same_as_json_and_nothing_is_changed() {
    let sandbox = sandbox();
    let project = project(&sandbox);
    run(&sandbox, &project);
    let before = Tree::of(&project);
    let output = sandbox.hotcrate(&project).flag("--json").doctor().success();
    let after = Tree::of(&project);
    assert!(before == after, "{:?}", before.changed_in(&after));
    let report: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    assert_eq!(report["schema"], 1);
    assert_eq!(report["compared_with"], "last-restore");
    assert_eq!(report["units"]["rebuilt"], 4);
    assert_eq!(
        report["units"]["causes"][0]["cause"],
        "nothing was restored"
    );
    assert_eq!(report["diagnoses"][0]["rule"], "temporary-variable");
}

#[test]
fn a_doctor_in_the_middle_of_a_job_is_no_user_of_its_units() {
    let sandbox = sandbox();
    let project = project(&sandbox);
    run(&sandbox, &project);
    sandbox.hotcrate(&project).restore().success();
    doctor(&sandbox, &project);
    let saved = sandbox.hotcrate(&project).save().success();
    assert_eq!(saved.report().units.reused, Some(0));
}
