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

/// Two builds of a package whose build script writes the time differ, and yet have the same fingerprint: what was compiled
/// against the one must not be put beside the other.
#[test]
fn a_stored_unit_is_left_out_where_another_build_of_what_it_needs_is_there() {
    let sandbox = Sandbox::new();
    let template = sandbox.path("template");
    let write = |path: &str, text: &str| {
        let path = template.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    };
    let manifest = |name: &str| {
        format!("[package]\nname = \"{name}\"\nversion = \"1.0.0\"\nedition = \"2024\"\n")
    };
    // Dependencies have to come from CARGO_HOME: two packages of a git repository.
    let lent = sandbox.path("lent-template");
    for (path, text) in [
        ("Cargo.toml", "[workspace]\nmembers = [\"low\", \"high\"]\nresolver = \"3\"\n".to_owned()),
        ("low/Cargo.toml", manifest("low")),
        ("low/build.rs", "fn main() { let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos(); std::fs::write(std::path::Path::new(&std::env::var(\"OUT_DIR\").unwrap()).join(\"stamp.rs\"), format!(\"pub const STAMP: u128 = {now}; pub struct Stamp(pub [u8; {}]);\", now % 977 + 1)).unwrap(); println!(\"cargo::rerun-if-changed=build.rs\"); }\n".to_owned()),
        ("low/src/lib.rs", "include!(concat!(env!(\"OUT_DIR\"), \"/stamp.rs\"));\npub fn take(_: Stamp) {}\n".to_owned()),
        ("high/Cargo.toml", manifest("high") + "[dependencies]\nlow = { path = \"../low\" }\n"),
        ("high/src/lib.rs", "pub fn make() -> low::Stamp { low::Stamp([0; _]) }\n".to_owned()),
    ] {
        let path = lent.join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, text).unwrap();
    }
    let repository = checkout(&sandbox, &lent, "lent.git");
    let url = format!("git = \"file://{}\"", repository.display());
    write(
        "Cargo.toml",
        &format!(
            "{}[dependencies]\nlow = {{ {url} }}\nhigh = {{ {url} }}\n",
            manifest("app")
        ),
    );
    write("src/main.rs", "fn main() { low::take(high::make()); }\n");
    sandbox.cargo(&template, &["generate-lockfile"]);
    let build = ["cargo", "build", "--locked", "-v"];
    let first = checkout(&sandbox, &template, "first");
    sandbox.hotcrate(&first).run(&build).success();

    // The same place, so that nothing is left out for its path; only the lower one is built there.
    fs::rename(&first, sandbox.path("moved-away")).unwrap();
    let second = checkout(&sandbox, &template, "first");
    sandbox.cargo(&second, &["build", "--locked", "--package", "low"]);
    let mixed = sandbox.hotcrate(&second).run(&build).success();
    assert!(mixed.build.has_compiled("high"), "{}", mixed.stderr);
    assert!(!mixed.build.has_compiled("low"), "{}", mixed.stderr);
}
