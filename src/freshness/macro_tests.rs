//! What procedural macros read without saying so, and what jobs leave behind: sections 1.4 and 8.

use rstest::rstest;

use super::fixture::World;
use crate::unit::Layout;

#[rstest]
fn a_package_with_a_scanning_macro_stays_fresh_when_nothing_changed(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
) {
    let mut world = World::with_macro(layout, "assets");
    world.write("ws/core/assets/a", "1");
    world.first_job();
    assert!(world.second_job().compiled.is_empty());
}

#[rstest]
#[case::added("assets", "ws/core/assets/b")]
#[case::changed("assets", "ws/core/assets/a")]
#[case::in_docs("docs", "ws/core/docs/b")]
#[case::in_another_package("../app/assets", "ws/app/assets/b")]
#[case::in_no_package("../assets", "ws/assets/b")]
#[case::a_source_of_another_package("../app", "ws/app/src/extra.rs")]
fn what_a_macro_may_scan_makes_its_users_new(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
    #[case] directory: &str,
    #[case] path: &str,
) {
    let mut world = World::with_macro(layout, directory);
    world.write("ws/core/assets/a", "1");
    world.first_job();
    world.write(path, "2");
    let warm = world.second_job();
    assert!(warm.compiled.contains("core_x"), "{:?}", warm.plan);
}

#[rstest]
fn a_deleted_file_is_seen_by_a_macro(#[values(Layout::V1, Layout::V2)] layout: Layout) {
    let mut world = World::with_macro(layout, "assets");
    world.write("ws/core/assets/a", "1");
    world.write("ws/core/assets/b", "2");
    world.first_job();
    world.delete("ws/core/assets/b");
    assert!(world.second_job().compiled.contains("core_x"));
}

#[rstest]
fn a_file_that_a_test_names_is_not_thereby_named_by_the_library(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
) {
    let mut world = World::with_macro(layout, "assets");
    world.write("ws/core/assets/a", "1");
    world.write(
        "ws/core/tests/it.rs",
        "#[test] fn it() { include_str!(\"../assets/a\"); }",
    );
    world.arguments = vec!["build", "--all-targets"];
    world.first_job();
    world.write("ws/core/assets/a", "2");
    assert!(world.second_job().compiled.contains("core_x"));
}

#[rstest]
fn a_macro_that_another_crate_exports_counts_as_used(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
) {
    let mut world = World::with_macro(layout, "assets");
    world.write("ws/core/src/lib.rs", "pub use mac::list;\n");
    world.write("ws/app/assets/a", "1");
    world.write(
        "ws/app/src/main.rs",
        "fn main() { println!(\"{}\", core_x::list!(\"assets\")); }",
    );
    world.first_job();
    world.write("ws/app/assets/b", "2");
    assert!(world.second_job().compiled.contains("app"));
}

#[rstest]
fn a_macro_that_a_library_uses_for_itself_is_none_of_those_that_use_the_library(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
) {
    let mut world = World::with_macro(layout, "assets");
    world.write("ws/core/assets/a", "1");
    world.first_job();
    world.write("ws/core/assets/a", "2");
    let warm = world.second_job();
    let packages: Vec<_> = warm.plan.packages.keys().collect();
    assert_eq!(
        packages,
        ["core-x"],
        "app is compiled as it depends on it, and for nothing else"
    );
}

#[rstest]
fn what_a_job_made_is_not_missed_after_the_next_checkout(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
) {
    let mut world = World::with_macro(layout, "assets");
    world.write("ws/core/assets/a", "1");
    world.commit("one");
    world.checkout();
    world.build();
    world.wait_for_the_clock_of_files();
    world.write_in_job("ws/.venv/bin/python", "not tracked");
    world.write_in_job("ws/generated/coverage.json", "ignored");
    world.save();
    assert!(world.second_job().compiled.is_empty());
}

#[rstest]
fn an_ignored_path_that_appears_compiles_nothing(#[values(Layout::V1, Layout::V2)] layout: Layout) {
    let mut world = World::new(layout);
    world.commit("one");
    world.first_job();
    world.unpack();
    world.write_in_job("ws/core/left.tmp", "ignored");
    let plan = world.replay_at(super::Mtime::now());
    assert!(plan.made_new.is_empty(), "{plan:?}");
    assert!(world.build().is_empty());
}

#[rstest]
fn an_ignored_path_that_a_crate_names_counts(#[values(Layout::V1, Layout::V2)] layout: Layout) {
    let mut world = World::new(layout);
    world.write(
        "ws/core/src/part.rs",
        "pub const TEXT: &str = include_str!(\"../made.tmp\");",
    );
    world.commit("one");
    world.checkout();
    world.write_in_job("ws/core/made.tmp", "one");
    world.build();
    world.save();
    world.unpack();
    world.write_in_job("ws/core/made.tmp", "two");
    world.finish_second_job();
}

#[rstest]
fn a_vendored_package_that_was_changed_in_place_is_compiled(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
) {
    let mut world = World::new(layout);
    world.package("ws/vendor/dep", "dep", "");
    world.write("ws/vendor/dep/src/lib.rs", "pub const DEP: &str = \"one\";");
    world.write(
        "ws/vendor/dep/.cargo-checksum.json",
        "{\"files\":{},\"package\":null}",
    );
    world.write(
        "ws/Cargo.toml",
        "[workspace]\nmembers = [\"core\", \"app\"]\nexclude = [\"vendor\"]\nresolver = \"2\"\n",
    );
    world.write(
        "ws/.cargo/config.toml",
        "[source.crates-io]\nreplace-with = \"vendored\"\n[source.vendored]\ndirectory = \"vendor\"\n",
    );
    world.package("ws/core", "core-x", "[dependencies]\ndep = \"0.1\"\n");
    world.write(
        "ws/core/src/lib.rs",
        "pub fn text() -> String { dep::DEP.to_owned() }",
    );
    world.first_job();
    assert!(world.second_job().compiled.is_empty());
    world.write("ws/vendor/dep/src/lib.rs", "pub const DEP: &str = \"two\";");
    let warm = world.second_job();
    assert!(warm.compiled.contains("dep"), "{:?}", warm.plan);
}

/// A project whose macro does not scan, but puts what `expression` gives into the program.
fn with_asking_macro(layout: Layout, expression: &str) -> World {
    let world = World::with_macro(layout, "assets");
    let source = format!(
        "#[proc_macro]\npub fn list(_: proc_macro::TokenStream) -> proc_macro::TokenStream {{ \
         let text: String = {expression}; format!(\"{{text:?}}\").parse().unwrap() }}\n"
    );
    world.write("ws/mac/src/lib.rs", &source);
    world
}

#[rstest]
fn a_new_commit_with_an_identical_tree_is_seen_by_a_macro_that_asks_git(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
) {
    let git = "String::from_utf8(std::process::Command::new(\"git\").args([\"rev-parse\", \"HEAD\"])\
               .output().unwrap().stdout).unwrap()";
    let mut world = with_asking_macro(layout, git);
    world.commit("one");
    world.first_job();
    assert!(world.second_job().compiled.is_empty());
    world.commit("two, with an identical tree");
    assert!(world.second_job().compiled.contains("core_x"));
}

#[rstest]
fn a_variable_that_a_macro_reads_by_itself_makes_its_users_new(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
) {
    let mut world = with_asking_macro(layout, "std::env::var(\"HC_ENV\").unwrap_or_default()");
    world.first_job();
    world
        .variables
        .push(("HC_ENV".to_owned(), "set".to_owned()));
    assert!(world.second_job().compiled.contains("core_x"));
}

#[rstest]
fn an_untracked_file_that_was_there_at_restore_is_missed_when_it_is_gone(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
) {
    let mut world = World::with_macro(layout, "../docs");
    world.write("ws/core/assets/a", "1");
    world.commit("one");
    world.write("ws/docs/made-by-an-earlier-step", "1");
    world.first_job();
    world.delete("ws/docs/made-by-an-earlier-step");
    assert!(world.second_job().compiled.contains("core_x"));
}
