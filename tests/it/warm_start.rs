//! The main promise: a new clone on a new machine compiles no dependency again.

use std::path::Path;

use fs_err as fs;
use rstest::rstest;

use crate::support::{HEXYL, JUST, Published, Sandbox};

const BUILD: [&str; 4] = ["cargo", "build", "--locked", "-v"];
const BUILD_OFFLINE: [&str; 5] = ["cargo", "build", "--locked", "--offline", "-v"];

#[rstest]
#[case::with_procedural_macros(HEXYL)]
#[case::with_build_scripts_and_a_c_dependency(JUST)]
fn a_second_clone_at_another_path_compiles_no_dependency_of_a_real_project(
    #[case] project: Published,
) {
    let sandbox = Sandbox::new();
    // With debug information, which holds paths.
    let hotcrate = |clone: &Path| {
        sandbox
            .hotcrate(clone)
            .without_env("CARGO_PROFILE_DEV_DEBUG")
    };
    let first = project.checkout(&sandbox, "first");
    let cold = hotcrate(&first).run(&BUILD).success();
    assert!(
        cold.build.compiled_dependencies().len() > 20,
        "this project proves nothing: {:?}",
        cold.build
    );
    assert_eq!(cold.report().schema, 1);
    assert_eq!(cold.report().restore("deps").outcome, "miss");
    assert_eq!(cold.report().save("deps").outcome, "saved");
    assert_eq!(cold.report().save("registry").outcome, "saved");

    fs::rename(&first, sandbox.path("moved-away")).unwrap();
    sandbox.empty_cargo_home();
    let second = project.checkout(&sandbox, "elsewhere/second");
    let warm = hotcrate(&second).run(&BUILD).success().warm();
    let report = warm.report();
    assert_eq!(report.restore("registry").outcome, "exact");
    assert_eq!(report.restore("deps").outcome, "exact");
    assert!(report.restore("deps").bytes > Some(0));
    assert_eq!(report.save("deps").outcome, "skipped", "nothing is new");
    assert!(report.units.reused > Some(20), "{:?}", report.units);
    assert!(report.units.rebuilt.is_some());
    let program = second.join("target/debug").join(project.name);
    let answer = sandbox
        .command(program, &second)
        .arg("--version")
        .output()
        .unwrap();
    assert!(answer.status.success(), "{answer:?}");

    fs::remove_dir_all(&second).unwrap();
    sandbox.empty_cargo_home();
    let third = project.checkout(&sandbox, "third");
    hotcrate(&third).run(&BUILD_OFFLINE).success().warm();
}

#[test]
fn restore_and_save_as_two_commands_do_what_run_does() {
    let sandbox = Sandbox::new();
    let small = crate::support::fixture("small");
    let first = crate::support::checkout(&sandbox, &small, "first");
    sandbox.hotcrate(&first).restore().success();
    sandbox.cargo(&first, &["build", "--locked"]);
    let saved = sandbox.hotcrate(&first).save().success();
    assert_eq!(saved.report().save("deps").outcome, "saved");

    sandbox.empty_cargo_home();
    let second = crate::support::checkout(&sandbox, &small, "second");
    let restored = sandbox.hotcrate(&second).restore().success();
    assert_eq!(restored.report().restore("deps").outcome, "exact");
    let build = sandbox.cargo(&second, &["build", "--locked", "--offline", "-v"]);
    assert!(build.compiled_dependencies().is_empty(), "{build:?}");
    assert!(
        build.has_compiled("app"),
        "path packages are compiled anew: {build:?}"
    );
}
