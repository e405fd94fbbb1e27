//! What a repository on GitHub holds: told, and thinned out, against a server that answers like GitHub's API.

use fs_err as fs;
use jiff::{SignedDuration, Timestamp};
use rstest::rstest;
use serde_json::Value;

use crate::support::{
    Finished, Sandbox,
    github::{Cache, FakeGitHub, Fault, Permission, REPOSITORY, TOKEN},
};

const LIST: &str = "GET /repos/octo/crab/actions/caches?";
const DELETE: &str = "DELETE /repos/octo/crab/actions/caches/";

/// A key of the tier `deps`.
fn deps(job: u32, set: u32) -> String {
    format!("hotcrate-v1-deps-11111111-22222222-33333333-{job:08}-55555555-{set:08}")
}

/// An entry of `main` with 1 MB, made and last used so many hours ago.
fn cache(id: u64, key: &str, created: i64, used: i64) -> Cache {
    let ago = |hours| (Timestamp::now() - SignedDuration::from_hours(hours)).to_string();
    let created_at = ago(created);
    Cache {
        id,
        key: key.to_owned(),
        scope: "refs/heads/main".to_owned(),
        bytes: 1_000_000,
        used_at: if used == created {
            created_at.clone()
        } else {
            ago(used)
        },
        created_at,
    }
}

/// Two generations of one job's entries, one of a closed pull request, and two of rust-cache's.
fn mixed() -> FakeGitHub {
    let closed = Cache {
        scope: "refs/pull/7/merge".to_owned(),
        ..cache(3, &deps(2, 1), 5, 5)
    };
    let github = FakeGitHub::start(vec![
        cache(1, &deps(1, 1), 90, 80),
        cache(2, &deps(1, 2), 10, 1),
        closed,
        cache(4, "v0-rust-test-Linux-x64-11111111-22222222", 90, 80),
        cache(5, "v0-rust-test-Linux-x64-11111111-33333333", 10, 1),
    ]);
    github.state().pull_requests.insert(7, "MERGED");
    github
}

struct Call<'a> {
    sandbox: &'a Sandbox,
    github: &'a FakeGitHub,
}

impl Call<'_> {
    fn hotcrate(&self, subcommand: &str, options: &[&str]) -> Finished {
        let home = self.sandbox.path("home");
        let mut hotcrate = self
            .sandbox
            .hotcrate(&home)
            .default_store()
            .env("GITHUB_API_URL", self.github.url())
            .env("GITHUB_TOKEN", TOKEN)
            .option("--repo", REPOSITORY);
        for option in options {
            hotcrate = hotcrate.flag(option);
        }
        hotcrate.look(subcommand)
    }
}

fn requests(github: &FakeGitHub) -> usize {
    github.state().journal.len()
}

#[test]
fn five_hundred_entries_are_reported_on_in_six_requests() {
    let sandbox = Sandbox::new();
    let caches = (0..500_u32).map(|number| {
        let mut cache = cache(u64::from(number), &deps(number % 40, number), 30, 2);
        cache.scope = format!("refs/pull/{}/merge", number % 50);
        cache
    });
    let github = FakeGitHub::start(caches.collect());
    for number in 0..50 {
        let state = if number < 20 { "OPEN" } else { "CLOSED" };
        github.state().pull_requests.insert(number, state);
    }
    let call = Call {
        sandbox: &sandbox,
        github: &github,
    };
    let report = call.hotcrate("report", &[]).success();
    assert!(requests(&github) <= 6, "{:?}", github.state().journal);
    assert!(
        report
            .stdout
            .starts_with("octo/crab: 500.0 MB of 10.0 GB (5 %) in 500 entries"),
        "{}",
        report.stdout
    );
    assert!(
        report.stdout.contains("out of everybody's reach"),
        "{}",
        report.stdout
    );

    let json = call.hotcrate("report", &["--json"]).success();
    let survey: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(survey["unreadable"]["entries"], 300);
    assert_eq!(survey["entries"].as_array().unwrap().len(), 500);
    assert_eq!(survey["branches"].as_array().unwrap().len(), 50);
}

#[test]
fn of_a_hundred_thousand_entries_as_many_are_looked_at_as_a_job_may_ask_for() {
    let sandbox = Sandbox::new();
    let caches = (0..4_000_u64).map(|number| {
        let key = format!("sccache/a/b/c/abc{number:061x}");
        cache(number, &key, 3, 2)
    });
    let github = FakeGitHub::start(caches.collect());
    let call = Call {
        sandbox: &sandbox,
        github: &github,
    };
    let report = call.hotcrate("report", &[]).success();
    assert!(requests(&github) <= 33, "{}", requests(&github));
    assert!(
        report
            .stdout
            .starts_with("octo/crab: 4.0 GB of 10.0 GB (40 %) in 4000 entries"),
        "{}",
        report.stdout
    );
    assert!(
        report
            .stdout
            .contains("note: 3000 of 4000 entries were looked at"),
        "{}",
        report.stdout
    );
    assert!(
        report.stdout.contains("Unset SCCACHE_GHA_ENABLED"),
        "{}",
        report.stdout
    );
}

#[test]
fn a_report_on_a_repository_tells_owners_branches_and_what_is_dead() {
    let sandbox = Sandbox::new();
    let github = mixed();
    let page = sandbox.path("page.html");
    let report = Call {
        sandbox: &sandbox,
        github: &github,
    }
    .hotcrate("report", &["--html", page.to_str().unwrap()])
    .success();
    for words in [
        "hotcrate deps",
        "rust-cache",
        "refs/pull/7/merge",
        "superseded by newer ones",
        "rust-cache (2.0 MB) and hotcrate (3.0 MB) store the same crates",
    ] {
        assert!(report.stdout.contains(words), "{words}: {}", report.stdout);
    }
    let page = fs::read_to_string(page).unwrap();
    assert!(page.contains("<svg") && page.contains("refs/pull/7/merge"));
}

#[test]
fn the_token_is_never_said() {
    let sandbox = Sandbox::new();
    let github = mixed();
    github.state().faults.push_back((LIST, Fault::status(500)));
    let call = Call {
        sandbox: &sandbox,
        github: &github,
    };
    let report = call.hotcrate("report", &["--verbose"]).success();
    let said = format!("{}{}", report.stdout, report.stderr);
    assert!(!said.contains(TOKEN), "{said}");
}

#[rstest]
#[case::too_many(Fault::too_many(0))]
#[case::secondary(Fault::secondary_limit(0))]
#[case::their_error(Fault::status(502))]
fn what_passes_is_waited_for(#[case] fault: Fault) {
    let sandbox = Sandbox::new();
    let github = mixed();
    github.state().faults.push_back((LIST, fault));
    Call {
        sandbox: &sandbox,
        github: &github,
    }
    .hotcrate("report", &[])
    .success();
    let lists = |line: &&String| line.starts_with(LIST);
    assert_eq!(github.state().journal.iter().filter(lists).count(), 2);
}

#[test]
fn who_is_asked_to_wait_for_an_hour_does_not() {
    let sandbox = Sandbox::new();
    let github = mixed();
    github
        .state()
        .faults
        .push_back((LIST, Fault::too_many(3600)));
    let report = Call {
        sandbox: &sandbox,
        github: &github,
    }
    .hotcrate("report", &[]);
    assert_eq!(report.code(), Some(1));
    assert_eq!(requests(&github), 1);
    assert_eq!(
        report.warnings(),
        [
            "hotcrate: warning: there is nothing to report: GitHub wants no more requests for now: it asks to wait for 3600.0 s"
        ]
    );
}

#[test]
fn a_token_without_permission_is_told_what_it_takes() {
    let sandbox = Sandbox::new();
    let github = mixed();
    github.state().permission = Permission::None;
    let call = Call {
        sandbox: &sandbox,
        github: &github,
    };
    let report = call.hotcrate("report", &[]);
    assert_eq!(report.code(), Some(1));
    assert_eq!(
        report.warnings(),
        [
            "hotcrate: warning: there is nothing to report: the token may not list caches, which takes `actions: read`: Resource not accessible by integration"
        ]
    );
}

#[test]
fn a_repository_that_is_not_there_is_told_as_one_that_is_not_shown() {
    let sandbox = Sandbox::new();
    let github = mixed();
    let home = sandbox.path("home");
    let report = sandbox
        .hotcrate(&home)
        .default_store()
        .env("GITHUB_API_URL", github.url())
        .option("--repo", "octo/other")
        .look("report");
    assert_eq!(report.code(), Some(1));
    assert!(
        report
            .stderr
            .contains("no caches of octo/other to those who have no token"),
        "{}",
        report.stderr
    );
}

#[test]
fn without_knowing_which_branches_exist_everything_counts_as_readable() {
    let sandbox = Sandbox::new();
    let github = mixed();
    let refused = Fault {
        status: 403,
        ..Fault::status(403)
    };
    github.state().faults.push_back(("POST /graphql", refused));
    let call = Call {
        sandbox: &sandbox,
        github: &github,
    };
    let json = call.hotcrate("report", &["--json"]).success();
    let survey: Value = serde_json::from_str(&json.stdout).unwrap();
    assert_eq!(survey["unreadable"]["entries"], 0);
    let note = survey["notes"][0].as_str().unwrap();
    assert!(
        note.starts_with("which branches and pull requests still exist is not known"),
        "{note}"
    );
}

#[test]
fn a_plan_deletes_nothing() {
    let sandbox = Sandbox::new();
    let github = mixed();
    let before = github.keys();
    let plan = Call {
        sandbox: &sandbox,
        github: &github,
    }
    .hotcrate("gc", &["--dry-run"])
    .success();
    assert!(
        plan.stdout
            .contains("2 entries of 2.0 MB to delete, 1 of 1.0 MB stay"),
        "{}",
        plan.stdout
    );
    assert!(
        plan.stdout.contains("its pull request is closed"),
        "{}",
        plan.stdout
    );
    assert_eq!(github.keys(), before);
    assert!(
        !github
            .state()
            .journal
            .iter()
            .any(|line| line.starts_with("DELETE"))
    );
}

#[test]
fn gc_deletes_what_is_dead_of_our_own_and_then_has_nothing_to_do() {
    let sandbox = Sandbox::new();
    let github = mixed();
    let call = Call {
        sandbox: &sandbox,
        github: &github,
    };
    let first = call.hotcrate("gc", &[]).success();
    assert!(
        first.stderr.contains("deleted 2 of 2 entries, 2.0 MB"),
        "{}",
        first.stderr
    );
    assert_eq!(
        github.keys(),
        [
            deps(1, 2),
            "v0-rust-test-Linux-x64-11111111-22222222".to_owned(),
            "v0-rust-test-Linux-x64-11111111-33333333".to_owned(),
        ]
    );
    let second = call.hotcrate("gc", &[]).success();
    assert!(
        second.stdout.contains("0 entries of 0 B to delete"),
        "{}",
        second.stdout
    );
}

#[test]
fn with_a_prefix_gc_deletes_somebody_elses() {
    let sandbox = Sandbox::new();
    let github = mixed();
    Call {
        sandbox: &sandbox,
        github: &github,
    }
    .hotcrate("gc", &["--prefix", "v0-rust-"])
    .success();
    assert_eq!(github.keys().len(), 4);
    assert!(
        !github
            .keys()
            .contains(&"v0-rust-test-Linux-x64-11111111-22222222".to_owned())
    );
}

#[test]
fn under_a_budget_what_was_used_longest_ago_goes_first() {
    let sandbox = Sandbox::new();
    let github = FakeGitHub::start(vec![
        cache(1, &deps(1, 1), 20, 9),
        cache(2, &deps(2, 1), 20, 8),
        cache(3, &deps(3, 1), 20, 7),
    ]);
    Call {
        sandbox: &sandbox,
        github: &github,
    }
    .hotcrate("gc", &["--max-size", "2MB"])
    .success();
    assert_eq!(github.keys(), [deps(2, 1), deps(3, 1)]);
}

#[rstest]
#[case::may_not_read(Permission::None)]
#[case::may_not_write(Permission::Read)]
fn without_permission_gc_says_so_in_one_line_and_fails_nothing(#[case] permission: Permission) {
    let sandbox = Sandbox::new();
    let github = mixed();
    github.state().permission = permission;
    let gc = Call {
        sandbox: &sandbox,
        github: &github,
    }
    .hotcrate("gc", &[])
    .success();
    let notes: Vec<_> = gc
        .stderr
        .lines()
        .filter(|line| line.contains("may not"))
        .collect();
    assert_eq!(notes.len(), 1, "{}", gc.stderr);
    assert!(notes[0].contains("which takes `actions: "), "{}", gc.stderr);
    assert_eq!(github.keys().len(), 5);
    let deletions = |line: &&String| line.starts_with(DELETE);
    assert!(github.state().journal.iter().filter(deletions).count() <= 1);
}

#[test]
fn what_is_gone_when_its_turn_comes_is_no_trouble() {
    let sandbox = Sandbox::new();
    let github = mixed();
    github
        .state()
        .faults
        .push_back((DELETE, Fault::status(404)));
    let gc = Call {
        sandbox: &sandbox,
        github: &github,
    }
    .hotcrate("gc", &[])
    .success();
    assert!(
        gc.stderr.contains("deleted 1 of 2 entries"),
        "{}",
        gc.stderr
    );
    assert!(gc.warnings().is_empty(), "{}", gc.stderr);
}

#[test]
fn on_github_the_repository_is_that_of_the_run() {
    let sandbox = Sandbox::new();
    let github = mixed();
    let home = sandbox.path("home");
    let report = sandbox
        .hotcrate(&home)
        .default_store()
        .env("GITHUB_ACTIONS", "true")
        .env("GITHUB_REPOSITORY", REPOSITORY)
        .env("GITHUB_API_URL", github.url())
        .env("GITHUB_TOKEN", TOKEN)
        .look("report")
        .success();
    assert!(
        report.stdout.starts_with("octo/crab: "),
        "{}",
        report.stdout
    );
}

#[rstest]
#[case("--repo", "crab", "OWNER/NAME")]
#[case("--quota", "much", "50GB")]
fn a_wrong_value_is_named_with_what_is_accepted(
    #[case] option: &str,
    #[case] value: &str,
    #[case] expected: &str,
) {
    let sandbox = Sandbox::new();
    let home = sandbox.path("home");
    let report = sandbox.hotcrate(&home).option(option, value).look("report");
    assert_eq!(report.code(), Some(2), "{}", report.stderr);
    for words in [option, value, expected] {
        assert!(report.stderr.contains(words), "{words}: {}", report.stderr);
    }
}
