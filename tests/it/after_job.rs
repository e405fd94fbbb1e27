//! The end of a job on GitHub: what is stored is told on its page, and with `gc: true` thinned out.

use std::path::PathBuf;

use fs_err as fs;
use jiff::{SignedDuration, Timestamp};
use rstest::rstest;
use serde_json::Value;

use crate::support::{
    CacheService, Sandbox, Step, Stepped, checkout, fixture,
    github::{Cache, FakeGitHub, Fault, Permission, REPOSITORY, TOKEN},
    token,
};

const MAIN: &str = "refs/heads/main";
const LIST: &str = "GET /repos/octo/crab/actions/caches?";
const DELETE: &str = "DELETE /repos/octo/crab/actions/caches/";

/// A job of a repository, with the cache service and the API that it has.
struct Job {
    sandbox: Sandbox,
    service: CacheService,
    github: FakeGitHub,
    clone: PathBuf,
}

impl Job {
    fn new() -> Self {
        let sandbox = Sandbox::new();
        let service = CacheService::start();
        Self {
            clone: checkout(&sandbox, &fixture("small"), "clone"),
            github: FakeGitHub::of(&service),
            service,
            sandbox,
        }
    }

    /// A step that caches two directories and nothing else: that needs no build.
    fn step(&self) -> Step<'_> {
        let variables = self.service.variables(2, &token(&[(MAIN, 3)]));
        variables
            .iter()
            .fold(Step::new(&self.sandbox), |step, (name, value)| {
                step.env(name, value)
            })
            .env("GITHUB_API_URL", &self.github.url())
            .env("GITHUB_REPOSITORY", REPOSITORY)
            .input("store", "auto")
            .input("tiers", "extra")
            .input("cache-directories", "one two")
            .input("token", TOKEN)
    }

    /// Runs both halves of a step in a job that makes the directory `name` meanwhile.
    fn run(&self, step: &Step<'_>, name: &str) -> (Stepped, Stepped) {
        let main = step.main(&self.clone);
        fs::create_dir_all(self.clone.join(name)).unwrap();
        fs::write(self.clone.join(name).join("file"), name).unwrap();
        let post = step.post(&self.clone, &main);
        assert!(post.status.success(), "{post:#?}");
        (main, post)
    }

    fn requests(&self, beginning: &str) -> usize {
        let journal = &self.github.state().journal;
        let is_such = |line: &&String| line.starts_with(beginning);
        journal.iter().filter(is_such).count()
    }

    fn keys(&self) -> Vec<String> {
        let entries = self.service.entries().into_iter();
        entries.map(|entry| entry.key).collect()
    }
}

/// An entry of 40 MB that was stored two days ago, and not used since.
fn old(id: u64, key: &str, scope: &str) -> Cache {
    let at = (Timestamp::now() - SignedDuration::from_hours(48)).to_string();
    Cache {
        id,
        key: key.to_owned(),
        scope: scope.to_owned(),
        bytes: 40_000_000,
        created_at: at.clone(),
        used_at: at,
    }
}

/// What the JSON report of a step says.
fn report(main: &Stepped) -> Value {
    serde_json::from_str(&fs::read_to_string(main.output("report")).unwrap()).unwrap()
}

#[test]
fn the_page_of_a_job_shows_the_quota_by_owner_and_what_goes_next() {
    let job = Job::new();
    let rust_cache = "v0-rust-test-Linux-x64-11111111-22222222";
    job.github.state().caches = vec![
        old(1, rust_cache, MAIN),
        old(2, "node-cache-Linux-x64-npm-11111111", "refs/pull/7/merge"),
    ];
    job.github.state().pull_requests.insert(7, "CLOSED");
    let (main, post) = job.run(&job.step(), "one");
    for words in [
        "octo/crab: **80.0 MB of 10.0 GB** (1 %) in 3 entries; 40.0 MB of it is dead",
        "\n```mermaid\npie showData title Caches of octo/crab",
        "\n    \"rust-cache\" : 40.00\n",
        "\n    \"dead\" : 40.00\n",
        "What is evicted next",
        "unused for 2 days, goes when 9.9 GB more are stored, or in 4 days for want of use",
    ] {
        assert!(post.summary.contains(words), "{words}: {}", post.summary);
    }
    let holdings = &report(&main)["holdings"];
    assert_eq!(holdings["quota"]["entries"], 3);
    assert_eq!(holdings["dead"]["bytes"], 40_000_000);
    assert_eq!(holdings["next_evicted"][0]["key"], rust_cache);
    // A page of the list, and one question about branches.
    assert_eq!(job.requests(""), 2, "{:?}", job.github.state().journal);
    assert_eq!(post.annotations("warning"), [""; 0]);
}

#[test]
fn where_a_tier_finds_nothing_what_its_job_has_on_other_branches_is_listed() {
    let job = Job::new();
    let step = job.step();
    let (main, _) = job.run(&step, "one");
    let stored = job.keys();
    assert_eq!(stored.len(), 1, "{stored:?}");
    let matched = main.output("extra-matched-key");
    assert_eq!(matched, "");

    // The entry is another branch's: this run cannot read it.
    assert!(job.service.shared().delete(1));
    let other_job = "hotcrate-v1-extra-11111111-22222222-33333333-44444444-55555555";
    job.github.state().caches = vec![
        old(1, &stored[0], "refs/heads/feature"),
        old(2, other_job, MAIN),
    ];
    let main = step.main(&job.clone);
    fs::remove_dir_all(job.clone.join("one")).unwrap();
    let post = step.post(&job.clone, &main);
    let row = format!(
        "| <code>{}</code> | refs/heads/feature | 40.0 MB | 2 days |",
        stored[0]
    );
    let (_, list) = post
        .summary
        .split_once("What is stored for this job where it found nothing that fits")
        .unwrap_or_else(|| panic!("{}", post.summary));
    let (list, _) = list.split_once("</details>").unwrap();
    assert!(list.contains(&row), "{list}");
    assert!(!list.contains(other_job), "{list}");
    let listed = &report(&main)["holdings"]["stored_for_job"];
    assert_eq!(listed.as_array().map(Vec::len), Some(1), "{listed}");
}

#[test]
fn without_a_token_nobody_is_asked() {
    let job = Job::new();
    let (main, post) = job.run(&job.step().input("token", ""), "one");
    assert_eq!(job.requests(""), 0, "{:?}", job.github.state().journal);
    assert!(!post.summary.contains("mermaid"), "{}", post.summary);
    assert!(!post.summary.contains("is not known"), "{}", post.summary);
    assert!(report(&main)["holdings"].is_null());
}

#[rstest]
#[case::may_not_read(None, "the token may not list caches, which takes `actions: read`")]
#[case::is_asked_to_wait(Some(Fault::too_many(3600)), "GitHub wants no more requests for now")]
#[case::is_limited(
    Some(Fault::secondary_limit(3600)),
    "GitHub wants no more requests for now"
)]
#[case::finds_nothing(Some(Fault::status(404)), "GitHub shows no caches of octo/crab")]
fn who_is_not_told_asks_once_and_says_so_on_the_page_alone(
    #[case] fault: Option<Fault>,
    #[case] expected: &str,
) {
    let job = Job::new();
    match fault {
        Some(fault) => job.github.state().faults.push_back((LIST, fault)),
        None => job.github.state().permission = Permission::None,
    }
    let (_, post) = job.run(&job.step().input("strict", "true"), "one");
    assert_eq!(job.requests(""), 1, "{:?}", job.github.state().journal);
    let line = format!(
        "<sub>How full the quota is, is not known: {}",
        expected.replace("`actions: read`", "<code>actions: read</code>")
    );
    assert!(post.summary.contains(&line), "{}", post.summary);
    assert_eq!(post.annotations("warning"), [""; 0]);
    assert!(!post.log.contains(expected), "{}", post.log);
}

#[test]
fn a_full_repository_is_looked_at_in_six_requests() {
    let job = Job::new();
    let entries = (1..=900).map(|number| {
        let key = format!("hotcrate-v1-registry-11111111-{number:08}");
        old(number, &key, &format!("refs/pull/{}/merge", number % 50))
    });
    job.github.state().caches = entries.collect();
    let (_, post) = job.run(&job.step(), "one");
    assert!(post.summary.contains("in 901 entries"), "{}", post.summary);
    let journal = &job.github.state().journal;
    assert!(journal.len() <= 6, "{journal:?}");
}

#[test]
fn gc_deletes_what_the_jobs_new_entry_took_the_place_of_and_nothing_else() {
    let job = Job::new();
    let step = job.step().input("gc", "true");
    let (_, first) = job.run(&step, "one");
    assert!(!first.log.contains("deleted"), "{}", first.log);
    let old_key = job.keys().remove(0);
    // Of the same series, and each of them somebody else's.
    let others = [
        old(1, &old_key, "refs/heads/feature"),
        old(2, "v0-rust-test-Linux-x64-11111111-22222222", MAIN),
        old(3, "v0-rust-test-Linux-x64-11111111-33333333", MAIN),
        old(4, "hotcrate-v1-registry-11111111-22222222", MAIN),
        old(5, "hotcrate-v1-registry-11111111-33333333", MAIN),
    ];
    job.github.state().caches = others.to_vec();

    fs::remove_dir_all(job.clone.join("one")).unwrap();
    let (main, second) = job.run(&step, "two");
    assert_eq!(main.output("extra-outcome"), "exact", "{main:#?}");
    let keys = job.keys();
    assert_eq!(keys.len(), 1, "{keys:?}");
    assert_ne!(keys[0], old_key);
    assert_eq!(job.github.keys().len(), others.len());
    assert!(
        second.log.contains("gc        1 deleted, "),
        "{}",
        second.log
    );
    assert!(
        second.summary.contains("`gc` deleted 1 entry of "),
        "{}",
        second.summary
    );
    assert_eq!(report(&main)["collected"]["deleted"]["entries"], 1);
    assert_eq!(second.annotations("warning"), [""; 0]);
}

#[test]
fn gc_without_permission_is_one_line_and_fails_nothing() {
    for permission in [Permission::None, Permission::Read] {
        let job = Job::new();
        let step = job.step().input("gc", "true").input("strict", "true");
        job.run(&step, "one");
        job.github.state().permission = permission;
        fs::remove_dir_all(job.clone.join("one")).unwrap();
        let (_, post) = job.run(&step, "two");
        assert_eq!(job.keys().len(), 2);
        let lines: Vec<_> = post
            .log
            .lines()
            .filter(|line| line.contains("which takes `actions: "))
            .collect();
        assert_eq!(lines.len(), 1, "{}", post.log);
        assert!(lines[0].contains("note: nothing "), "{lines:?}");
        assert_eq!(post.annotations("warning"), [""; 0]);
        assert!(job.requests(DELETE) <= 1);
    }
}

#[test]
fn gc_thins_out_a_directory_alike() {
    let job = Job::new();
    let store = job.sandbox.store();
    let step = job
        .step()
        .input("store", store.to_str().unwrap())
        .input("gc", "true");
    let stored = || crate::support::entries_of_store(&store, Some("extra")).len();
    job.run(&step, "one");
    assert_eq!(stored(), 1);
    fs::remove_dir_all(job.clone.join("one")).unwrap();
    let (_, post) = job.run(&step, "two");
    assert_eq!(stored(), 1, "{}", post.log);
    assert!(post.log.contains("gc        1 deleted, "), "{}", post.log);
    assert_eq!(job.requests(""), 0);
    assert!(post.summary.contains("in 1 entry."), "{}", post.summary);
}
