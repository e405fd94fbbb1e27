//! Directories that other file systems are mounted at, as volumes are in containers.

use fs_err as fs;
use rstest::rstest;

use crate::support::{Sandbox, SmallDisk, checkout, fixture, staging_under};

const BUILD: [&str; 4] = ["cargo", "build", "--locked", "-v"];
/// More than the project takes.
const DISK_BYTES: u64 = 128 << 20;

#[rstest]
#[case::whole("target")]
#[case::one_profile("target/debug")]
fn a_target_directory_that_is_a_volume_is_restored_and_saved(#[case] part: &str) {
    let sandbox = Sandbox::new();
    for (name, compiled) in [("first", 4), ("second", 0)] {
        let clone = checkout(&sandbox, &fixture("small"), name);
        let Some(disk) = SmallDisk::mount(clone.join(part), DISK_BYTES) else {
            return;
        };
        let run = sandbox.hotcrate(&clone).run(&BUILD).success();
        assert_eq!(run.warnings(), [""; 0], "{}", run.stderr);
        assert_eq!(
            run.build.compiled_dependencies().len(),
            compiled,
            "{}",
            run.stderr
        );
        assert!(staging_under(&clone).is_empty());
        drop(disk);
    }
}

#[rstest]
#[case::the_registry("registry")]
#[case::its_archives("registry/cache")]
#[case::the_index("registry/index")]
fn a_part_of_cargo_home_that_is_a_volume_is_restored_and_saved(#[case] part: &str) {
    let sandbox = Sandbox::new();
    let first = checkout(&sandbox, &fixture("small"), "first");
    sandbox.hotcrate(&first).run(&BUILD).success();
    sandbox.empty_cargo_home();
    let second = checkout(&sandbox, &fixture("small"), "second");
    let Some(disk) = SmallDisk::mount(sandbox.cargo_home().join(part), DISK_BYTES) else {
        return;
    };
    let run = sandbox.hotcrate(&second).run(&BUILD).success();
    assert_eq!(run.warnings(), [""; 0], "{}", run.stderr);
    assert_eq!(run.report().restore("registry").outcome, "exact");
    assert!(
        run.build.compiled_dependencies().is_empty(),
        "{}",
        run.stderr
    );
    assert!(staging_under(&sandbox.cargo_home()).is_empty());
    assert_ne!(
        fs::read_dir(sandbox.cargo_home().join(part))
            .unwrap()
            .count(),
        0
    );
    drop(disk);
}
