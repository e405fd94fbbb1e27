//! What was there before the job is neither overwritten nor deleted.

use fs_err as fs;

use crate::support::{Sandbox, Tree, checkout, fixture, staging_under};

const BUILD: [&str; 4] = ["cargo", "build", "--locked", "-v"];
const RELEASE: [&str; 5] = ["cargo", "build", "--locked", "--release", "-v"];

#[test]
fn a_target_directory_that_is_there_already_gains_units_and_loses_nothing() {
    let sandbox = Sandbox::new();
    let first = checkout(&sandbox, &fixture("small"), "first");
    sandbox.hotcrate(&first).run(&BUILD).success();
    sandbox.hotcrate(&first).run(&RELEASE).success();

    let second = checkout(&sandbox, &fixture("small"), "second");
    sandbox.cargo(&second, &["build", "--locked"]);
    fs::write(second.join("target/notes"), "mine").unwrap();
    let before = Tree::of(&second.join("target"));
    let restored = sandbox.hotcrate(&second).restore().success();
    let after = Tree::of(&second.join("target"));
    assert_eq!(before.changed_in(&after), Vec::<&std::path::Path>::new());
    assert_ne!(restored.report().restore("deps").outcome, "failed");
    assert!(staging_under(&second).is_empty());

    for command in [&BUILD[1..], &RELEASE[1..]] {
        let build = sandbox.cargo(&second, command);
        assert!(build.compiled_dependencies().is_empty(), "{build:?}");
    }
}

#[test]
fn a_unit_that_is_there_in_part_is_left_to_cargo() {
    let sandbox = Sandbox::new();
    let first = checkout(&sandbox, &fixture("small"), "first");
    sandbox.hotcrate(&first).run(&BUILD).success();
    let library = Tree::of(&first.join("target"))
        .paths()
        .find(|path| path.to_string_lossy().contains("libitoa-"))
        .unwrap()
        .to_owned();

    let second = checkout(&sandbox, &fixture("small"), "second");
    let damaged = second.join("target").join(&library);
    fs::create_dir_all(damaged.parent().unwrap()).unwrap();
    fs::write(&damaged, "left by a killed compiler").unwrap();
    let run = sandbox.hotcrate(&second).restore().success();
    assert_eq!(run.warnings(), Vec::<&str>::new());
    assert_eq!(
        fs::read_to_string(&damaged).unwrap(),
        "left by a killed compiler"
    );
    let build = sandbox.cargo(&second, &BUILD[1..]);
    assert!(build.has_compiled("itoa"), "{build:?}");
    assert!(!build.has_compiled("memchr"), "{build:?}");
}

#[test]
fn a_cargo_home_that_is_there_already_keeps_every_file() {
    let sandbox = Sandbox::new();
    let first = checkout(&sandbox, &fixture("small"), "first");
    sandbox.hotcrate(&first).run(&BUILD).success();
    let second = checkout(&sandbox, &fixture("small"), "second");
    sandbox.empty_cargo_home();
    sandbox.cargo(&second, &["fetch", "--locked"]);
    let credentials = sandbox.cargo_home().join("credentials.toml");
    fs::write(&credentials, "[registry]\n").unwrap();
    let before = Tree::of(&sandbox.cargo_home());
    sandbox.hotcrate(&second).restore().success();
    let after = Tree::of(&sandbox.cargo_home());
    assert_eq!(before.changed_in(&after), Vec::<&std::path::Path>::new());
}
