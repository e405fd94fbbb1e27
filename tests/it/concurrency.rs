//! Several hotcrates at once, on one store.

use std::process::Stdio;

use crate::support::{
    Finished, Sandbox, checkout, entries_of_store, fixture, members, staging_under,
};

const BUILD: [&str; 4] = ["cargo", "build", "--locked", "-v"];

#[test]
fn runs_at_the_same_time_share_a_store_without_harm() {
    let sandbox = Sandbox::new();
    let running: Vec<_> = (0..4)
        .map(|number| {
            let clone = checkout(&sandbox, &fixture("small"), &format!("clone-{number}"));
            let cargo_home = sandbox.path(format!("cargo-home-{}", number % 2));
            fs_err::create_dir_all(&cargo_home).unwrap();
            let hotcrate = sandbox.hotcrate(&clone).env("CARGO_HOME", cargo_home);
            let report = hotcrate.report();
            let child = hotcrate
                .command("run", &report)
                .arg("--")
                .args(BUILD)
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            (child, report)
        })
        .collect();
    for (child, report) in running {
        let run = Finished::new(&child.wait_with_output().unwrap(), &report).success();
        assert_eq!(run.warnings(), Vec::<&str>::new(), "{}", run.stderr);
        let outcome = run.report().save("deps").outcome;
        assert!(
            ["saved", "raced", "skipped"].contains(&outcome.as_str()),
            "{outcome}"
        );
    }
    for entry in entries_of_store(&sandbox.store(), None) {
        assert!(!members(&entry).is_empty(), "{}", entry.display());
    }
    assert!(staging_under(&sandbox.path("")).is_empty());

    for number in 0..2 {
        let cargo_home = sandbox.path(format!("cargo-home-{number}"));
        fs_err::remove_dir_all(&cargo_home).unwrap();
        let clone = checkout(&sandbox, &fixture("small"), &format!("later-{number}"));
        sandbox
            .hotcrate(&clone)
            .env("CARGO_HOME", cargo_home)
            .run(&BUILD)
            .success()
            .warm();
    }
}
