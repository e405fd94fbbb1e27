//! What build scripts read without saying so: sections 1.4 and 8 of `cargo-freshness.md`.

use rstest::rstest;

use super::{BuildScripts, fixture::World};
use crate::unit::Layout;

const DECLARES_ITSELF: &str = "println!(\"cargo:rerun-if-changed=build.rs\");";

/// A script that counts the files of `data` and declares only what `declaration` does.
fn counting(declaration: &str) -> String {
    format!(
        "fn main() {{ {declaration} let count = std::fs::read_dir(\"data\").map_or(0, |d| d.count()); \
         println!(\"cargo:rustc-env=SCRIPT={{count}}\"); }}"
    )
}

fn git(declaration: &str) -> String {
    format!(
        "fn main() {{ {declaration} let output = std::process::Command::new(\"git\").args([\"rev-parse\", \"HEAD\"])\
         .output().unwrap(); println!(\"cargo:rustc-env=SCRIPT={{}}\", String::from_utf8(output.stdout).unwrap().trim()); }}"
    )
}

fn reading(path: &str, declaration: &str) -> String {
    format!(
        "fn main() {{ {declaration} println!(\"cargo:rustc-env=SCRIPT={{}}\", std::fs::read_to_string({path:?})\
         .unwrap_or_default().lines().count()); }}"
    )
}

#[rstest]
fn a_deleted_file_is_seen_by_a_script_that_declares_nothing(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
) {
    let mut world = World::with_script(layout, &counting(""));
    world.write("ws/core/data/a", "a");
    world.write("ws/core/data/b", "b");
    world.first_job();
    world.delete("ws/core/data/b");
    let warm = world.second_job();
    assert!(warm.compiled.contains("core_x"));
    assert!(
        warm.reasons()
            .iter()
            .any(|reason| reason.contains("data/b was deleted")),
        "{:?}",
        warm.reasons()
    );
}

#[rstest]
fn an_added_file_is_seen_by_a_script_that_declares_nothing(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
) {
    let mut world = World::with_script(layout, &counting(""));
    world.write("ws/core/data/a", "a");
    world.first_job();
    world.write("ws/core/data/b", "b");
    assert!(world.second_job().compiled.contains("core_x"));
}

#[rstest]
fn a_declared_directory_is_left_to_cargo(#[values(Layout::V1, Layout::V2)] layout: Layout) {
    let mut world = World::with_script(
        layout,
        &counting("println!(\"cargo:rerun-if-changed=data\");"),
    );
    world.write("ws/core/data/a", "a");
    world.first_job();
    assert!(world.second_job().compiled.is_empty());
    world.write("ws/core/data/b", "b");
    assert!(world.second_job().compiled.contains("core_x"));
    world.delete("ws/core/data/b");
    assert!(world.second_job().compiled.is_empty());
    world.delete("ws/core/data/a");
    assert!(world.second_job().compiled.contains("core_x"));
}

#[rstest]
#[case::nothing_declared("")]
#[case::itself_declared(DECLARES_ITSELF)]
fn a_new_commit_is_seen_by_a_script_that_asks_git(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
    #[case] declaration: &str,
) {
    let mut world = World::with_script(layout, &git(declaration));
    world.commit("one");
    world.first_job();
    assert!(world.second_job().compiled.is_empty());
    world.commit("two, with an identical tree");
    assert!(world.second_job().compiled.contains("core_x"));
}

#[rstest]
fn a_tag_on_the_same_commit_is_a_new_state_of_git(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
) {
    let script = git(DECLARES_ITSELF).replace(
        "[\"rev-parse\", \"HEAD\"]",
        "[\"describe\", \"--tags\", \"--always\"]",
    );
    let mut world = World::with_script(layout, &script);
    world.commit("one");
    world.first_job();
    world.git(&["tag", "v1"]);
    assert!(world.second_job().compiled.contains("core_x"));
}

#[rstest]
fn a_commit_leaves_a_script_alone_that_declares_its_inputs(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
) {
    let mut world = World::with_script(
        layout,
        &reading(
            "input.txt",
            "println!(\"cargo:rerun-if-changed=input.txt\");",
        ),
    );
    world.write("ws/core/input.txt", "1");
    world.commit("one");
    world.first_job();
    world.commit("two");
    assert!(world.second_job().compiled.is_empty());
    world.write("ws/core/input.txt", "1\n2");
    world.commit("three");
    assert!(world.second_job().compiled.contains("core_x"));
}

#[rstest]
fn a_script_that_reads_its_own_crate_undeclared_runs_again(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
) {
    let mut world = World::with_script(layout, &reading("src/lib.rs", DECLARES_ITSELF));
    world.first_job();
    world.write(
        "ws/core/src/lib.rs",
        "\n\npub fn text() -> String { env!(\"SCRIPT\").to_owned() }\n",
    );
    world.second_job();
}

#[rstest]
#[case::another_package("../app/note.txt", "ws/app/note.txt")]
#[case::no_package("../note.txt", "ws/note.txt")]
fn a_script_that_reads_elsewhere_runs_again_on_any_change(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
    #[case] path: &str,
    #[case] file: &str,
) {
    let mut world = World::with_script(layout, &reading(path, DECLARES_ITSELF));
    world.write(file, "1");
    world.first_job();
    world.write(file, "1\n2");
    assert!(world.second_job().compiled.contains("core_x"));
}

#[rstest]
fn the_readme_is_no_exception_for_a_script(#[values(Layout::V1, Layout::V2)] layout: Layout) {
    let mut world = World::with_script(layout, &reading("README.md", DECLARES_ITSELF));
    world.write("ws/core/README.md", "1");
    world.first_job();
    world.write("ws/core/README.md", "1\n2");
    assert!(world.second_job().compiled.contains("core_x"));
}

#[rstest]
fn an_undeclared_variable_makes_a_script_run_every_time(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
) {
    let script = format!(
        "fn main() {{ {DECLARES_ITSELF} println!(\"cargo:rustc-env=SCRIPT={{}}\", std::env::var(\"BUILD_NUMBER\").unwrap_or_default()); }}"
    );
    let mut world = World::with_script(layout, &script);
    world.first_job();
    world
        .variables
        .push(("BUILD_NUMBER".to_owned(), "7".to_owned()));
    let warm = world.second_job();
    assert_eq!(
        warm.reasons(),
        ["core-x: its build script reads env BUILD_NUMBER and does not declare it"]
    );
}

#[rstest]
fn a_declared_variable_is_left_to_cargo(#[values(Layout::V1, Layout::V2)] layout: Layout) {
    let script = "fn main() { println!(\"cargo::rerun-if-env-changed=BUILD_NUMBER\"); \
        println!(\"cargo:rustc-env=SCRIPT={}\", std::env::var(\"BUILD_NUMBER\").unwrap_or_default()); }";
    let mut world = World::with_script(layout, script);
    world.first_job();
    assert!(world.second_job().compiled.is_empty());
    world
        .variables
        .push(("BUILD_NUMBER".to_owned(), "7".to_owned()));
    assert!(world.second_job().compiled.contains("core_x"));
}

#[rstest]
fn a_sign_in_a_package_that_the_script_is_built_with_counts(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
) {
    let script = "fn main() { println!(\"cargo:rerun-if-changed=build.rs\"); println!(\"cargo:rustc-env=SCRIPT={}\", asker::ask()); }";
    let mut world = World::with_script(layout, script);
    world.write(
        "ws/Cargo.toml",
        "[workspace]\nmembers = [\"core\", \"app\", \"asker\"]\nresolver = \"2\"\n",
    );
    world.package("ws/asker", "asker", "");
    let asker = "pub fn ask() -> String { String::from_utf8(std::process::Command::new(\"git\").args([\"rev-parse\", \"HEAD\"])\
        .output().unwrap().stdout).unwrap().trim().to_owned() }";
    world.write("ws/asker/src/lib.rs", asker);
    let manifest = "[package]\nname = \"core-x\"\nversion = \"0.1.0\"\nedition = \"2021\"\n[build-dependencies]\nasker = { path = \"../asker\" }\n";
    world.write("ws/core/Cargo.toml", manifest);
    world.commit("one");
    world.first_job();
    world.commit("two");
    assert!(world.second_job().compiled.contains("core_x"));
}

#[rstest]
#[case::always(BuildScripts::Always, true)]
#[case::never(BuildScripts::Never, false)]
fn the_setting_overrides_the_signs(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
    #[case] setting: BuildScripts,
    #[case] runs: bool,
) {
    let script = format!(
        "fn main() {{ {DECLARES_ITSELF} let _ = std::env::var(\"UNDECLARED\"); println!(\"cargo:rustc-env=SCRIPT=s\"); }}"
    );
    let mut world = World::with_script(layout, &script);
    world.build_scripts = setting;
    world.first_job();
    assert_eq!(world.second_job().compiled.contains("core_x"), runs);
}

#[rstest]
fn a_declared_file_outside_of_the_sources_is_compared_by_content(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
) {
    let mut world = World::new(layout);
    let header = world.path("header.h");
    fs_err::write(&header, "1").expect("written");
    let path = header.to_str().expect("UTF-8").to_owned();
    world.write(
        "ws/core/build.rs",
        &reading(
            &path,
            &format!("println!(\"cargo:rerun-if-changed={path}\");"),
        ),
    );
    world.write(
        "ws/core/src/lib.rs",
        "pub fn text() -> String { env!(\"SCRIPT\").to_owned() }\n",
    );
    let old = filetime::FileTime::from_unix_time(1_500_000_000, 0);
    filetime::set_file_mtime(&header, old).expect("set");
    world.first_job();
    assert!(world.second_job().compiled.is_empty());
    fs_err::write(&header, "1\n2").expect("written");
    let older = filetime::FileTime::from_unix_time(1_400_000_000, 0);
    filetime::set_file_mtime(&header, older).expect("set");
    assert!(world.second_job().compiled.contains("core_x"));
}

#[test]
fn the_commit_of_a_submodule_is_a_part_of_the_state_of_git() {
    let world = World::new(Layout::V1);
    world.commit("one");
    let inner = world.path("origin/ws/inner");
    fs_err::create_dir_all(&inner).expect("made");
    for arguments in [
        &["init", "-q", "-b", "main"][..],
        &["commit", "-q", "--allow-empty", "-m", "a"],
    ] {
        world.git_at("origin/ws/inner", arguments);
    }
    world.git(&[
        "-c",
        "protocol.file.allow=always",
        "submodule",
        "--quiet",
        "add",
        "./inner",
    ]);
    world.commit("with a submodule");
    let head = || super::Head::of(&world.path("origin/ws"), &super::fixture::environment());
    let before = head();
    assert!(!head().has_moved_since(&before));
    world.git_at(
        "origin/ws/inner",
        &["commit", "-q", "--allow-empty", "-m", "b"],
    );
    assert!(head().has_moved_since(&before));
}
