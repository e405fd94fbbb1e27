//! A kill at any moment leaves a working build, no staging, and no entry that is not whole.
//!
//! Moments are spread evenly over the time that an undisturbed run took. Which step each of them hits differs from
//! machine to machine and from run to run: what must hold does not.

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    thread,
    time::{Duration, Instant},
};

use crate::support::{
    Sandbox, checkout, entries_of_store, fixture, members, staging_under, unversioned,
};

const BUILD: [&str; 4] = ["cargo", "build", "--locked", "-v"];
const MOMENTS: u32 = 16;

#[test]
fn a_restore_that_is_killed_at_any_moment_leaves_a_working_build() {
    let sandbox = Sandbox::new();
    let first = checkout(&sandbox, &fixture("small"), "first");
    sandbox.hotcrate(&first).run(&BUILD).success();

    sandbox.empty_cargo_home();
    let measured = checkout(&sandbox, &fixture("small"), "measured");
    let duration = timed(|| sandbox.hotcrate(&measured).restore().success());

    for moment in 0..=MOMENTS {
        sandbox.empty_cargo_home();
        let clone = checkout(&sandbox, &fixture("small"), &format!("clone-{moment}"));
        let hotcrate = sandbox.hotcrate(&clone);
        let killed = hotcrate.command("restore", &hotcrate.report());
        kill_after(duration * moment / MOMENTS, killed);

        let next = sandbox.hotcrate(&clone).run(&BUILD).success();
        assert_eq!(next.warnings(), Vec::<&str>::new(), "moment {moment}");
        assert_eq!(staging_under(&clone), Vec::<PathBuf>::new());
        assert_eq!(staging_under(&sandbox.cargo_home()), Vec::<PathBuf>::new());
        assert!(works(&sandbox, &clone), "moment {moment}");
    }
    for entry in entries_of_store(&sandbox.store(), None) {
        assert!(!members(&entry).is_empty(), "{}", entry.display());
    }
}

#[test]
fn a_save_that_is_killed_at_any_moment_leaves_no_partial_entry() {
    let sandbox = Sandbox::new();
    let built = checkout(&sandbox, &fixture("small"), "built");
    sandbox.hotcrate(&built).restore().success();
    sandbox.cargo(&built, &["build", "--locked"]);
    let duration = timed(|| {
        let to = sandbox.path("measured-store");
        sandbox.hotcrate(&built).store(to).save().success()
    });

    for moment in 0..=MOMENTS {
        let store = sandbox.path(format!("store-{moment}"));
        let hotcrate = sandbox.hotcrate(&built).store(&store);
        let killed = hotcrate.command("save", &hotcrate.report());
        kill_after(duration * moment / MOMENTS, killed);
        for entry in entries_of_store(&store, None) {
            assert!(!members(&entry).is_empty(), "{}", entry.display());
        }

        let clone = unversioned(&sandbox, &fixture("small"), &format!("clone-{moment}"));
        let next = sandbox.hotcrate(&clone).store(&store).run(&BUILD).success();
        assert_eq!(next.warnings(), Vec::<&str>::new(), "moment {moment}");
        assert_eq!(staging_under(&store), Vec::<PathBuf>::new());
        assert_eq!(staging_under(&built), Vec::<PathBuf>::new());
        assert_eq!(staging_under(&clone), Vec::<PathBuf>::new());
        assert!(
            ["saved", "skipped", "raced"].contains(&next.report().save("deps").outcome.as_str()),
            "{:?}",
            next.report()
        );
        assert!(works(&sandbox, &clone), "moment {moment}");
    }
}

/// How long `act` took.
fn timed<T>(act: impl FnOnce() -> T) -> Duration {
    let start = Instant::now();
    act();
    start.elapsed()
}

/// Starts a process, gives it `delay` to get somewhere, and kills it if it is still there.
fn kill_after(delay: Duration, mut command: Command) {
    let mut child = command
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    thread::sleep(delay);
    child.kill().unwrap();
    child.wait().unwrap();
}

/// Whether what was built says what it is to say.
fn works(sandbox: &Sandbox, clone: &Path) -> bool {
    let output = sandbox
        .command(clone.join("target/debug/app"), clone)
        .output()
        .unwrap();
    output.stdout == b"hello debug world has 3 words\n"
}
