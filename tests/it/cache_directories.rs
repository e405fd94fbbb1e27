//! Directories that the user lists.

use fs_err as fs;

use crate::support::{Report, Sandbox, checkout, fixture};

/// What became of saving `extra`: outcome and reason.
fn saved(report: &Report) -> (String, String) {
    let save = report.save("extra");
    (save.outcome.clone(), save.reason().to_owned())
}

#[test]
fn a_directory_that_comes_to_be_later_is_stored_too_although_the_lockfile_stays() {
    let sandbox = Sandbox::new();
    let clone = checkout(&sandbox, &fixture("small"), "clone");
    let run = |script: &str| {
        sandbox
            .hotcrate(&clone)
            .option("--tiers", "extra")
            .option("--cache-directories", "models\nresults")
            .run(&["sh", "-c", script])
            .success()
    };
    let start_anew = || {
        for name in ["models", "results"] {
            fs::remove_dir_all(clone.join(name)).ok();
        }
    };
    let first = run("mkdir models results && echo 1 > models/m");
    assert_eq!(saved(first.report()).0, "saved");

    start_anew();
    let second = run("cat models/m && mkdir -p results && echo 2 > results/r");
    assert_eq!(second.report().restore("extra").outcome, "exact");
    assert_eq!(
        saved(second.report()),
        ("saved".to_owned(), "not stored yet: results".to_owned())
    );

    start_anew();
    let third = run("cat models/m results/r && echo 3 > models/m");
    assert_eq!(third.stdout, "1\n2\n");
    assert_eq!(saved(third.report()).0, "skipped");

    // A job that makes less of it loses nothing that others stored.
    start_anew();
    let fourth = run("rm -r results");
    assert_eq!(saved(fourth.report()).0, "skipped");
    start_anew();
    assert_eq!(run("cat results/r").stdout, "2\n");
}
