//! What compiled crates read: sections 1.1 to 1.3 of `cargo-freshness.md`, and those of section 8 about times.

use rstest::rstest;

use super::fixture::World;
use crate::unit::Layout;

const NOTHING: [&str; 0] = [];

fn names(compiled: &std::collections::BTreeSet<String>) -> Vec<&str> {
    compiled.iter().map(String::as_str).collect()
}

#[rstest]
#[case::build(&["build"])]
#[case::release(&["build", "--release"])]
#[case::tests(&["build", "--all-targets"])]
fn nothing_is_compiled_again_after_a_fresh_checkout_of_the_same_content(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
    #[case] arguments: &[&'static str],
) {
    let mut world = World::with_script(
        layout,
        "fn main() { println!(\"cargo:rustc-env=SCRIPT=s\"); }",
    );
    world.write("ws/core/tests/it.rs", "#[test] fn it() {}");
    world.arguments = arguments.to_vec();
    world.first_job();
    assert_eq!(names(&world.second_job().compiled), NOTHING);
}

#[rstest]
fn documentation_and_checks_stay_fresh_as_well(#[values(Layout::V1, Layout::V2)] layout: Layout) {
    let mut world = World::new(layout);
    world.checkout();
    world.build();
    for command in [["doc", "--no-deps"], ["clippy", "--all-targets"]] {
        world.arguments = command.to_vec();
        world.build();
    }
    world.save();
    world.restore();
    for command in [["doc", "--no-deps"], ["clippy", "--all-targets"]] {
        world.arguments = command.to_vec();
        assert_eq!(names(&world.build()), NOTHING, "{command:?}");
    }
}

#[rstest]
fn the_layout_under_test_is_the_one_that_cargo_used(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
) {
    let mut world = World::new(layout);
    world.first_job();
    let tree = world.tree();
    assert!(!tree.units.is_empty());
    assert!(tree.units.iter().all(|unit| unit.layout == layout));
}

#[rstest]
#[case::module("ws/core/src/part.rs", "pub const TEXT: &str = \"two\";")]
#[case::included_file("ws/core/data.txt", "other")]
fn an_edited_input_is_compiled_with_its_dependents(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
    #[case] path: &str,
    #[case] content: &str,
) {
    let mut world = World::new(layout);
    world.first_job();
    world.write(path, content);
    assert_eq!(names(&world.second_job().compiled), ["app", "core_x"]);
}

#[rstest]
#[case::comment_in_a_manifest(
    "ws/Cargo.toml",
    "# a comment\n[workspace]\nmembers = [\"core\", \"app\"]\nresolver = \"2\"\n"
)]
#[case::readme("ws/README.md", "read me")]
#[case::workflow("ws/.github/workflows/ci.yml", "on: push")]
#[case::documentation("ws/docs/guide.md", "guide")]
#[case::new_test("ws/core/tests/it.rs", "#[test] fn it() {}")]
fn what_no_crate_can_read_compiles_nothing(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
    #[case] path: &str,
    #[case] content: &str,
) {
    let mut world = World::new(layout);
    world.first_job();
    world.write(path, content);
    assert_eq!(names(&world.second_job().compiled), NOTHING);
}

#[rstest]
fn only_the_test_that_was_edited_is_compiled(#[values(Layout::V1, Layout::V2)] layout: Layout) {
    let mut world = World::new(layout);
    world.write("ws/core/tests/it.rs", "#[test] fn it() {}");
    world.arguments = vec!["build", "--all-targets"];
    world.first_job();
    world.write("ws/core/tests/it.rs", "#[test] fn other() {}");
    assert_eq!(names(&world.second_job().compiled), ["it"]);
}

#[rstest]
fn a_changed_variable_is_seen(#[values(Layout::V1, Layout::V2)] layout: Layout) {
    let mut world = World::new(layout);
    world.first_job();
    world
        .variables
        .push(("HC_OPTION".to_owned(), "set".to_owned()));
    assert_eq!(names(&world.second_job().compiled), ["app", "core_x"]);
}

#[rstest]
fn a_version_bump_is_seen(#[values(Layout::V1, Layout::V2)] layout: Layout) {
    let mut world = World::new(layout);
    world.write(
        "ws/core/src/lib.rs",
        "pub fn text() -> String { env!(\"CARGO_PKG_DESCRIPTION\").to_owned() }",
    );
    world.package("ws/core", "core-x", "description = \"one\"\n");
    world.write(
        "ws/core/src/lib.rs",
        "pub fn text() -> String { env!(\"CARGO_PKG_DESCRIPTION\").to_owned() }",
    );
    world.first_job();
    let manifest = "[package]\nname = \"core-x\"\nversion = \"0.1.0\"\nedition = \"2021\"\ndescription = \"two\"\n";
    world.write("ws/core/Cargo.toml", manifest);
    world.second_job();
}

#[rstest]
fn a_path_dependency_outside_of_the_workspace_is_replayed_and_watched(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
) {
    let mut world = World::new(layout);
    world.package("outside", "outside", "");
    world.write("outside/src/lib.rs", "pub const OUTSIDE: &str = \"one\";");
    world.package(
        "ws/core",
        "core-x",
        "[dependencies]\noutside = { path = \"../../outside\" }\n",
    );
    world.write(
        "ws/core/src/lib.rs",
        "pub fn text() -> String { outside::OUTSIDE.to_owned() }",
    );
    world.first_job();
    assert_eq!(names(&world.second_job().compiled), NOTHING);
    world.write("outside/src/lib.rs", "pub const OUTSIDE: &str = \"two\";");
    assert_eq!(
        names(&world.second_job().compiled),
        ["app", "core_x", "outside"]
    );
}

#[rstest]
fn a_release_build_of_an_earlier_commit_is_not_taken_for_the_present_one(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
) {
    let mut world = World::new(layout);
    world.checkout();
    world.build();
    world.arguments = vec!["build", "--release"];
    world.build();
    world.save();
    world.write("ws/core/src/part.rs", "pub const TEXT: &str = \"two\";");
    world.arguments = vec!["build"];
    world.second_job();
    world.save();
    world.arguments = vec!["build", "--release"];
    assert_eq!(names(&world.second_job().compiled), ["app", "core_x"]);
}

#[rstest]
fn a_file_edited_between_build_and_save_is_still_to_be_compiled(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
) {
    let mut world = World::new(layout);
    world.checkout();
    world.build();
    world.write("ws/core/src/part.rs", "pub const TEXT: &str = \"two\";");
    world.write_in_job("ws/core/src/part.rs", "pub const TEXT: &str = \"two\";");
    world.save();
    assert_eq!(names(&world.second_job().compiled), ["app", "core_x"]);
}

#[rstest]
fn content_that_comes_back_is_not_given_its_earlier_time(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
) {
    let mut world = World::new(layout);
    world.first_job();
    world.write("ws/core/src/part.rs", "pub const TEXT: &str = \"two\";");
    world.second_job();
    world.save();
    world.write("ws/core/src/part.rs", "pub const TEXT: &str = \"one\";\n");
    assert_eq!(names(&world.second_job().compiled), ["app", "core_x"]);
}

#[rstest]
fn a_branch_whose_files_have_old_times_is_compiled_all_the_same(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
) {
    let mut world = World::new(layout);
    world.first_job();
    world.write("ws/core/src/part.rs", "pub const TEXT: &str = \"two\";");
    world.unpack();
    let old = filetime::FileTime::from_unix_time(1_000_000_000, 0);
    filetime::set_file_mtime(world.path("work/ws/core/src/part.rs"), old).expect("set");
    world.finish_second_job();
}

#[rstest]
fn a_store_whose_clock_was_ahead_makes_everything_new(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
) {
    let mut world = World::new(layout);
    world.checkout();
    world.build();
    let hour_ahead = filetime::FileTime::from_unix_time(super::Mtime::now().seconds + 3600, 5);
    for entry in walkdir::WalkDir::new(world.target()) {
        filetime::set_file_mtime(entry.expect("readable").path(), hour_ahead).expect("set");
    }
    world.save();
    world.write("ws/core/src/part.rs", "pub const TEXT: &str = \"two\";");
    let warm = world.second_job();
    assert!(warm.plan.is_from_the_future);
    assert_eq!(names(&warm.compiled), ["app", "core_x"]);
}

#[rstest]
fn a_module_that_becomes_ambiguous_is_compiled(#[values(Layout::V1, Layout::V2)] layout: Layout) {
    let mut world = World::new(layout);
    world.first_job();
    world.write(
        "ws/core/src/part/mod.rs",
        "pub const TEXT: &str = \"three\";",
    );
    let plan = world.restore();
    assert!(plan.made_new.contains("ws/core"), "{plan:?}");
}

#[rstest]
fn a_renamed_module_is_compiled(#[values(Layout::V1, Layout::V2)] layout: Layout) {
    let mut world = World::new(layout);
    world.first_job();
    world.rename("ws/core/src/part.rs", "ws/core/src/piece.rs");
    let library =
        "#[path = \"piece.rs\"] mod part;\npub fn text() -> String { part::TEXT.to_owned() }";
    world.write("ws/core/src/lib.rs", library);
    assert_eq!(names(&world.second_job().compiled), ["app", "core_x"]);
}

#[rstest]
fn a_target_built_from_something_else_in_between_is_told(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
) {
    let mut world = World::new(layout);
    world.first_job();
    let restored: std::collections::BTreeSet<_> =
        world.tree().units.into_iter().map(|unit| unit.id).collect();
    world.arguments = vec!["build", "--release"];
    assert!(!super::already_warm(&world.tree(), &restored));
    world.build();
    assert!(super::already_warm(&world.tree(), &restored));
}

#[cfg(unix)]
#[rstest]
fn a_link_to_a_file_outside_is_followed_for_its_content(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
) {
    let mut world = World::new(layout);
    let shared = world.path("shared.txt");
    fs_err::write(&shared, "one").expect("written");
    world.delete("ws/core/data.txt");
    fs_err::os::unix::fs::symlink(&shared, world.path("origin/ws/core/data.txt")).expect("linked");
    world.first_job();
    assert_eq!(names(&world.second_job().compiled), NOTHING);
    fs_err::write(&shared, "two").expect("written");
    let old = filetime::FileTime::from_unix_time(1_000_000_000, 0);
    filetime::set_file_mtime(&shared, old).expect("set");
    assert_eq!(names(&world.second_job().compiled), ["app", "core_x"]);
}

#[rstest]
fn documentation_of_a_file_in_another_package_is_made_again(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
) {
    let mut world = World::new(layout);
    world.write("ws/text/shared.md", "one");
    world.write("ws/core/src/lib.rs", "#![doc = include_str!(\"../../text/shared.md\")]\npub fn text() -> String { String::new() }");
    world.checkout();
    world.build();
    world.arguments = vec!["doc", "--no-deps"];
    world.build();
    world.save();
    world.write("ws/text/shared.md", "two");
    world.restore();
    world.build();
    let page =
        fs_err::read_to_string(world.target().join("doc/core_x/index.html")).expect("written");
    assert!(page.contains("<p>two</p>"), "{page}");
}
