//! Replaying and recording without Cargo: times, failures, manifests.

use std::collections::BTreeMap;

use super::{
    Head, Inputs, Job, Moment, Mtime, OutsideFiles, Present, SourceManifest, Sources,
    fixture::{World, nothing},
    plan, replay,
};
use crate::unit::Layout;

fn manifest(sources: &Sources, saved_max: Mtime) -> SourceManifest {
    let job = Job {
        head: &Head::NoRepository,
        ignored: &nothing(),
        listing: None,
        restored: None,
        saved_max,
    };
    SourceManifest::record(sources, &Inputs::default(), &job)
}

fn plan_of(manifest: &SourceManifest, sources: &Sources, now: Mtime) -> super::ReplayPlan {
    let present = Present {
        sources,
        inputs: &Inputs::default(),
        head: &Head::NoRepository,
        ignored: &nothing(),
        outside: &OutsideFiles::default(),
        moment: Moment::BeforeOtherSteps,
        now,
    };
    plan(manifest, &present, super::BuildScripts::Auto)
}

fn times(sources: &Sources) -> BTreeMap<&str, Mtime> {
    sources
        .entries
        .iter()
        .map(|(name, found)| (name.as_str(), found.mtime))
        .collect()
}

const LONG_AGO: Mtime = Mtime {
    seconds: 1_000,
    nanos: 1,
};

#[test]
fn files_links_and_directories_get_their_times_back_to_the_nanosecond() {
    let world = World::new(Layout::V1);
    #[cfg(unix)]
    fs_err::os::unix::fs::symlink("data.txt", world.path("origin/ws/core/link")).expect("linked");
    world.checkout();
    let before_1970 = filetime::FileTime::from_unix_time(-5, 123_456_789);
    filetime::set_file_mtime(world.path("work/ws/core/data.txt"), before_1970).expect("set");
    let recorded = world.scan();
    let text = serde_json::to_string(&manifest(&recorded, LONG_AGO)).expect("JSON");
    world.checkout();
    let sources = world.scan();
    let manifest = serde_json::from_str(&text).expect("a manifest");
    let plan = plan_of(&manifest, &sources, Mtime::now());
    let done = replay(&[(plan, &world.target())], &sources).expect("replayed");
    assert_eq!(done.made_new, 0);
    assert_eq!(times(&world.scan()), times(&recorded));
}

#[test]
fn a_change_is_newer_than_everything_that_was_restored() {
    let world = World::new(Layout::V1);
    world.checkout();
    let now = Mtime::now();
    let manifest = manifest(&world.scan(), now);
    world.write("ws/core/data.txt", "other");
    world.checkout();
    let sources = world.scan();
    let plan = plan_of(&manifest, &sources, now);
    assert_eq!(plan.new_time, now.plus_millisecond());
    assert!(!plan.restored.contains_key("ws/core/data.txt"));
    assert!(plan.restored.contains_key("ws/core/src/lib.rs"));
}

#[test]
fn a_directory_that_something_came_to_is_new_with_it() {
    let world = World::new(Layout::V1);
    world.checkout();
    let manifest = manifest(&world.scan(), LONG_AGO);
    world.write("ws/core/src/more.rs", "");
    world.checkout();
    let sources = world.scan();
    let plan = plan_of(&manifest, &sources, Mtime::now());
    assert!(!plan.restored.contains_key("ws/core/src"));
    assert!(plan.restored.contains_key("ws/core"));
}

#[test]
fn a_failure_midway_leaves_every_source_new() {
    let world = World::new(Layout::V1);
    world.checkout();
    let mut sources = world.scan();
    let plan = plan_of(&manifest(&sources, LONG_AGO), &sources, Mtime::now());
    let mut vanished = sources.entries["ws/core/data.txt"].clone();
    vanished.path.set_extension("gone");
    sources.entries.insert("ws/zzz".to_owned(), vanished);
    let new_time = plan.new_time;
    replay(&[(plan, &world.target())], &sources).expect_err("a path is gone");
    let entries = world.scan().entries;
    assert!(entries.values().all(|found| found.mtime == new_time));
}

#[test]
fn target_directories_and_git_are_no_sources() {
    let world = World::new(Layout::V1);
    world.write("ws/target/debug/app", "");
    world.write("ws/.git/HEAD", "");
    world.write("ws/.hotcrate-staging/x", "");
    world.checkout();
    let sources = world.scan();
    let has = |part: &str| sources.entries.keys().any(|name| name.contains(part));
    assert!(has("ws/core/src/lib.rs"));
    assert!(!has("target") && !has(".git/") && !has(".hotcrate-"));
}

#[test]
fn an_unknown_state_of_git_is_always_another_one() {
    assert!(Head::Unknown.has_moved_since(&Head::Unknown));
    assert!(!Head::NoRepository.has_moved_since(&Head::NoRepository));
    assert!(Head::At("a".to_owned()).has_moved_since(&Head::NoRepository));
}

#[cfg(target_os = "linux")]
#[test]
fn a_name_that_is_not_utf8_is_replayed_like_any_other() {
    use std::os::unix::ffi::OsStrExt as _;
    let world = World::new(Layout::V1);
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9.txt");
    fs_err::write(world.path("origin/ws/core").join(name), "x").expect("written");
    world.checkout();
    let recorded = world.scan();
    let manifest = manifest(&recorded, LONG_AGO);
    world.checkout();
    let sources = world.scan();
    let plan = plan_of(&manifest, &sources, Mtime::now());
    assert_eq!(plan.restored.len(), recorded.entries.len());
}
