//! Both layouts that Cargo gives a target directory.

use fs_err as fs;

use crate::support::{Sandbox, checkout, fixture};

const BUILD: [&str; 4] = ["cargo", "build", "--locked", "-v"];

#[test]
fn the_layout_with_a_directory_a_unit_starts_warm() {
    let mut sandbox = Sandbox::new();
    sandbox.set("RUSTC_BOOTSTRAP", "1");
    sandbox.set("CARGO_UNSTABLE_BUILD_DIR_NEW_LAYOUT", "true");
    let first = checkout(&sandbox, &fixture("small"), "first");
    sandbox.hotcrate(&first).run(&BUILD).success();
    assert!(
        first.join("target/debug/build/itoa").is_dir(),
        "this Cargo does not have the layout: nothing is tested"
    );
    sandbox.empty_cargo_home();
    let second = checkout(&sandbox, &fixture("small"), "second");
    let warm = sandbox.hotcrate(&second).run(&BUILD).success().warm();
    assert_eq!(warm.report().restore("deps").outcome, "exact");
}

#[test]
fn a_build_directory_apart_from_the_target_directory_starts_warm() {
    let sandbox = Sandbox::new();
    for name in ["first", "second"] {
        sandbox.empty_cargo_home();
        let clone = checkout(&sandbox, &fixture("small"), name);
        fs::create_dir(clone.join(".cargo")).unwrap();
        fs::write(
            clone.join(".cargo/config.toml"),
            "[build]\nbuild-dir = \"intermediate\"\n",
        )
        .unwrap();
        let run = sandbox.hotcrate(&clone).run(&BUILD).success();
        assert!(clone.join("intermediate/debug").is_dir());
        if name == "second" {
            run.warm();
        }
    }
}

#[test]
fn a_cross_compilation_folder_starts_warm() {
    let sandbox = Sandbox::new();
    let host = host(&sandbox);
    let build = ["cargo", "build", "--locked", "-v", "--target", &host];
    let first = checkout(&sandbox, &fixture("small"), "first");
    sandbox.hotcrate(&first).run(&build).success();
    assert!(first.join("target").join(&host).join("debug").is_dir());
    sandbox.empty_cargo_home();
    let second = checkout(&sandbox, &fixture("small"), "second");
    sandbox.hotcrate(&second).run(&build).success().warm();
}

/// `cargo llvm-cov` and `cargo miri` build into directories of their own inside of the target directory.
#[cfg(unix)]
#[test]
fn a_target_directory_inside_of_the_target_directory_starts_warm() {
    let sandbox = Sandbox::new();
    let script = "cargo build --locked -v && \
        CARGO_TARGET_DIR=target/llvm-cov-target RUSTFLAGS=-Cdebug-assertions=off cargo build --locked -v";
    let first = checkout(&sandbox, &fixture("small"), "first");
    sandbox
        .hotcrate(&first)
        .run(&["sh", "-c", script])
        .success();
    assert!(first.join("target/llvm-cov-target/CACHEDIR.TAG").is_file());
    sandbox.empty_cargo_home();
    let second = checkout(&sandbox, &fixture("small"), "second");
    let warm = sandbox
        .hotcrate(&second)
        .run(&["sh", "-c", script])
        .success()
        .warm();
    assert!(warm.build.compiled_dependencies().is_empty());
    assert!(second.join("target/llvm-cov-target/CACHEDIR.TAG").is_file());
}

fn host(sandbox: &Sandbox) -> String {
    let output = sandbox
        .command("rustc", &sandbox.path("home"))
        .args(["--print", "host-tuple"])
        .output()
        .unwrap();
    String::from_utf8(output.stdout).unwrap().trim().to_owned()
}
