//! What steps do between the replay and Cargo, and between Cargo and the save: section 8 of `cargo-freshness.md`.

use rstest::rstest;

use super::{Moment, Mtime, ReplayError, fixture::World, replay};
use crate::unit::Layout;

const UNDECLARED: &str = "fn main() { println!(\"cargo:rerun-if-changed=build.rs\"); \
    let mut names: Vec<_> = std::fs::read_dir(\"data\").unwrap().map(|e| { let p = e.unwrap().path(); \
    format!(\"{}={}\", p.display(), std::fs::read_to_string(&p).unwrap()) }).collect(); names.sort(); \
    println!(\"cargo:rustc-env=SCRIPT={}\", names.join(\";\")); }";
const LONG_AGO: filetime::FileTime = filetime::FileTime::from_unix_time(1_000_000_000, 7);

/// A script that reads a directory and declares nothing but itself, before a job with steps between the restore and Cargo.
fn undeclared(layout: Layout) -> World {
    let mut world = World::with_script(layout, UNDECLARED);
    world.write("ws/core/data/a", "1");
    world.write("ws/core/data/b", "1");
    world.moment = Moment::BeforeOtherSteps;
    world.first_job();
    world
}

/// As above, with a macro that opens one file by its name.
fn by_name(layout: Layout) -> World {
    let mut world = World::with_macro(layout, "words");
    let source = "#[proc_macro] pub fn list(input: proc_macro::TokenStream) -> proc_macro::TokenStream { \
        let place = std::path::Path::new(&std::env::var(\"CARGO_MANIFEST_DIR\").unwrap()).join(input.to_string().trim_matches('\"')); \
        format!(\"{:?}\", std::fs::read_to_string(place).unwrap_or_default()).parse().unwrap() }";
    world.write("ws/mac/src/lib.rs", source);
    world.write("ws/core/words", "1");
    world.moment = Moment::BeforeOtherSteps;
    world.first_job();
    world
}

fn is_compiled(world: &World) -> bool {
    let compiled = world.build();
    assert_eq!(world.output(), world.truth(), "the warm build is stale");
    compiled.contains("core_x")
}

#[rstest]
fn where_no_step_changes_anything_nothing_is_compiled(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
) {
    for world in [undeclared(layout), by_name(layout)] {
        let plan = world.restore();
        assert!(!plan.watched.is_empty());
        assert!(world.build().is_empty(), "{plan:#?}");
    }
}

#[rstest]
#[case::written("ws/core/data/a", Some("2"))]
#[case::added("ws/core/data/c", Some("1"))]
#[case::added_in_a_new_directory("ws/core/made/c", Some("1"))]
#[case::deleted("ws/core/data/b", None)]
fn what_a_step_changes_before_cargo_runs_a_script_that_does_not_declare_it(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
    #[case] path: &str,
    #[case] content: Option<&str>,
) {
    let world = undeclared(layout);
    world.restore();
    match content {
        Some(content) => world.write_in_job(path, content),
        None => fs_err::remove_file(world.path("work").join(path)).expect("deleted"),
    }
    assert!(is_compiled(&world));
}

#[rstest]
fn what_a_step_deletes_before_cargo_runs_a_script_that_declares_nothing(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
) {
    let mut world = undeclared(layout);
    let script = UNDECLARED.replace("println!(\"cargo:rerun-if-changed=build.rs\");", "");
    world.write("ws/core/build.rs", &script);
    world.first_job();
    world.restore();
    fs_err::remove_file(world.path("work/ws/core/data/b")).expect("deleted");
    assert!(is_compiled(&world));
}

#[rstest]
fn a_file_that_a_step_writes_before_cargo_is_seen_by_a_macro_that_opens_it(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
) {
    let world = by_name(layout);
    world.restore();
    world.write_in_job("ws/core/words", "2");
    assert!(is_compiled(&world));
}

/// `tar x` and `cp -a` give files and directories old times, which nobody sees.
#[rstest]
fn what_a_step_unpacks_with_old_times_is_seen_by_a_macro_that_lists_directories(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
) {
    let mut world = World::with_macro(layout, "assets");
    world.write("ws/core/assets/a", "1");
    world.first_job();
    // What is replayed right before Cargo stays.
    world.moment = Moment::BeforeOtherSteps;
    world.restore();
    world.replay_again();
    assert!(!is_compiled(&world));

    world.moment = Moment::BeforeOtherSteps;
    let plan = world.restore();
    world.write_in_job("ws/core/assets/b", "2");
    for path in ["ws/core/assets/b", "ws/core/assets"] {
        filetime::set_file_mtime(world.path("work").join(path), LONG_AGO).expect("set");
    }
    assert!(is_compiled(&world));
    insta::allow_duplicates! {
        insta::assert_snapshot!(
            plan.packages["core-x"].first().expect("there is one"),
            @"its procedural macro mac lists directories, and steps before Cargo may change them: `hotcrate replay` right before Cargo keeps it"
        );
    }
}

#[rstest]
fn what_steps_unpack_with_old_times_is_seen_by_the_replay_after_them(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
) {
    let mut world = undeclared(layout);
    world.restore();
    world.write_in_job("ws/core/data/a", "2");
    world.write_in_job(
        "ws/app/src/main.rs",
        "fn main() { println!(\"other {}\", core_x::text()); }",
    );
    for path in ["ws/core/data/a", "ws/core/data", "ws/app/src/main.rs"] {
        filetime::set_file_mtime(world.path("work").join(path), LONG_AGO).expect("set");
    }
    world.replay_again();
    assert!(is_compiled(&world));
}

#[rstest]
fn a_file_that_a_job_made_before_cargo_and_the_next_one_does_not_make_is_missed(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
) {
    for mut world in [undeclared(layout), by_name(layout)] {
        world.commit("one");
        world.restore();
        world.write_in_job("ws/core/data/made.tmp", "ignored");
        world.write_in_job("ws/core/words", "made");
        is_compiled(&world);
        world.save();
        world.unpack();
        world.moment = Moment::RightBeforeCargo;
        assert!(world.finish_second_job().compiled.contains("core_x"));
    }
}

/// The habit of those who embed what another tool builds into a directory that git ignores.
#[rstest]
fn an_ignored_file_that_comes_out_otherwise_is_seen_by_macros_and_scripts(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
) {
    for (mut world, path) in [
        (World::with_macro(layout, "built"), "ws/core/built/new.tmp"),
        (undeclared(layout), "ws/core/data/new.tmp"),
    ] {
        world.write("ws/core/data/a", "1");
        world.commit("one");
        world.first_job();
        world.unpack();
        world.write_in_job(path, "1");
        world.moment = Moment::RightBeforeCargo;
        assert!(world.finish_second_job().compiled.contains("core_x"));
    }
}

#[rstest]
fn what_a_job_made_after_cargo_is_not_missed(#[values(Layout::V1, Layout::V2)] layout: Layout) {
    let mut world = undeclared(layout);
    world.checkout();
    world.build();
    world.wait_for_the_clock_of_files();
    world.write_in_job("ws/core/data/report.json", "made by tests");
    world.save();
    assert!(world.second_job().compiled.is_empty());
}

#[rstest]
fn an_input_that_changed_between_cargo_and_the_save_is_not_taken_for_the_one_that_was_read(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
) {
    let mut world = undeclared(layout);
    // One that came with the checkout, and comes with the next one as it was left.
    world.checkout();
    world.build();
    world.write_in_job("ws/core/data/a", "2");
    world.save();
    world.write("ws/core/data/a", "2");
    assert!(world.second_job().compiled.contains("core_x"));
    // One that the job made, and the next one makes as it was left.
    world.checkout();
    world.write_in_job("ws/core/data/made", "1");
    world.build();
    world.write_in_job("ws/core/data/made", "2");
    world.save();
    world.unpack();
    world.write_in_job("ws/core/data/made", "2");
    world.moment = Moment::RightBeforeCargo;
    assert!(world.finish_second_job().compiled.contains("core_x"));
    // One that is gone by then, and stays away.
    world.checkout();
    world.build();
    fs_err::remove_file(world.path("work/ws/core/data/b")).expect("deleted");
    world.save();
    world.delete("ws/core/data/b");
    assert!(world.second_job().compiled.contains("core_x"));
}

#[rstest]
fn what_cargo_was_made_to_watch_is_not_stored(#[values(Layout::V1, Layout::V2)] layout: Layout) {
    let mut world = undeclared(layout);
    let contents = |world: &World| {
        let files = walkdir::WalkDir::new(world.path("store"))
            .into_iter()
            .flatten();
        let of_dep_info =
            files.filter(|entry| entry.file_name().to_string_lossy().starts_with("dep-"));
        let mut read: Vec<_> = of_dep_info
            .map(|entry| {
                let time = Mtime::of(&entry.metadata().expect("it is there"));
                (
                    entry.path().to_owned(),
                    time,
                    fs_err::read(entry.path()).expect("readable"),
                )
            })
            .collect();
        read.sort();
        read
    };
    let before = contents(&world);
    world.restore();
    assert!(world.build().is_empty());
    world.save();
    assert_eq!(contents(&world), before);
    world.restore();
    assert!(world.build().is_empty());
}

#[test]
fn a_source_that_is_edited_while_it_is_replayed_stays_new() {
    let mut world = World::new(Layout::V1);
    world.first_job();
    world.unpack();
    let sources = world.scan();
    let plan = world.plan_for_now(&sources);
    world.write_in_job("ws/core/src/part.rs", "pub const TEXT: &str = \"two\";");
    let new_time = plan.new_time;
    let replayed = replay(&[(plan, &world.target())], &sources);
    assert!(matches!(replayed, Err(ReplayError::Edited { path }) if path.ends_with("part.rs")));
    let entries = world.scan().entries;
    assert!(entries.values().all(|found| found.mtime >= new_time));
    assert!(is_compiled(&world));
}

/// A submodule is a directory with a file `.git` in it, which is new at every checkout.
#[rstest]
fn a_submodule_is_a_source_like_any_other_but_for_its_git(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
) {
    let mut world = undeclared(layout);
    world.write("ws/core/.git", "gitdir: ../.git/modules/core\n");
    world.first_job();
    world.restore();
    world.write_in_job("ws/core/.git", "gitdir: elsewhere\n");
    assert!(!is_compiled(&world));
    world.write_in_job("ws/core/data/c", "1");
    assert!(is_compiled(&world));
}

#[cfg(unix)]
#[rstest]
fn a_link_to_a_directory_of_the_sources_is_followed_as_far_as_units_name_it(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
) {
    let mut world = World::new(layout);
    world.write("ws/shared/text.txt", "1");
    fs_err::os::unix::fs::symlink("../shared", world.path("origin/ws/core/linked"))
        .expect("linked");
    world.write(
        "ws/core/src/lib.rs",
        "pub fn text() -> String { include_str!(\"../linked/text.txt\").to_owned() }",
    );
    world.first_job();
    assert!(world.second_job().compiled.is_empty());
    world.write("ws/shared/text.txt", "2");
    assert!(world.second_job().compiled.contains("core_x"));
}
