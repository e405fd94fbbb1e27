//! What becomes of runs by the event that started them: from the runner's variables and the event's payload to the
//! decision, for a first run, for a second one that finds everything, and for one that failed.

use std::fmt::Write as _;

use rstest::rstest;

use super::GitHubContext;
use crate::policy::{JobStatus, Novelty, Place, SaveContext, SaveDecision, Scope, decide_save};

/// A payload with the object that most of them have.
fn of_repository(rest: &str) -> String {
    let rest = if rest.is_empty() {
        String::new()
    } else {
        format!(", {rest}")
    };
    format!(r#"{{"repository": {{"full_name": "acme/app", "default_branch": "main"}}{rest}}}"#)
}

fn pull_request(head: &str) -> String {
    of_repository(&format!(
        r#""number": 7, "pull_request": {{
            "base": {{"ref": "main", "repo": {{"full_name": "acme/app"}}}},
            "head": {{"ref": "patch", "repo": {{"full_name": "{head}"}}}}
        }}"#
    ))
}

/// What is read, and whether it is saved: one line a question.
fn told(variables: &[(&str, &str)], payload: &str) -> String {
    let directory = tempfile::tempdir().unwrap();
    let event = directory.path().join("event.json");
    fs_err::write(&event, payload).unwrap();
    let environment = [
        ("GITHUB_ACTIONS", "true"),
        ("GITHUB_EVENT_PATH", event.to_str().unwrap()),
    ];
    let environment = environment.iter().chain(variables).copied().collect();
    let run = GitHubContext::read(&environment).unwrap();

    let scopes = run.scopes();
    let readable: Vec<_> = scopes.readable().map(Scope::as_str).collect();
    let mut told = format!("reads  {}", readable.join(", "));
    let new = Novelty::New {
        why: "34 units were compiled here".to_owned(),
    };
    for (name, job, novelty) in [
        ("first", JobStatus::Succeeded, new.clone()),
        ("second", JobStatus::Succeeded, Novelty::Unchanged),
        ("failed", JobStatus::Failed, new),
    ] {
        let decision = decide_save(&SaveContext {
            place: Place::GitHub(run.facts()),
            job,
            cache_on_failure: false,
            save_if: None,
            novelty,
        });
        let (verdict, why) = match decision {
            SaveDecision::Save(reason) => ("saved", reason.to_string()),
            SaveDecision::Skip(reason) => ("not saved", reason.to_string()),
        };
        write!(told, "\n{name:<6} {verdict}: {why}").unwrap();
    }
    told
}

/// A run of an event on a reference.
fn on(event: &str, reference: &str, payload: &str) -> String {
    told(
        &[("GITHUB_EVENT_NAME", event), ("GITHUB_REF", reference)],
        payload,
    )
}

#[test]
fn a_push_to_the_default_branch_saves_what_is_new() {
    insta::assert_snapshot!(on("push", "refs/heads/main", &of_repository("")), @r"
    reads  refs/heads/main, local
    first  saved: 34 units were compiled here (on the default branch, main)
    second not saved: nothing is new
    failed not saved: the job failed, and `cache-on-failure` is not set
    ");
}

#[test]
fn a_push_to_another_branch_reads_the_default_branch_and_saves_nothing() {
    insta::assert_snapshot!(on("push", "refs/heads/feature", &of_repository("")), @r"
    reads  refs/heads/feature, refs/heads/main, local
    first  not saved: feature is not the default branch, main
    second not saved: feature is not the default branch, main
    failed not saved: the job failed, and `cache-on-failure` is not set
    ");
}

#[test]
fn a_tag_reads_the_default_branch_and_saves_nothing() {
    insta::assert_snapshot!(on("push", "refs/tags/v1.0.0", &of_repository("")), @r"
    reads  refs/tags/v1.0.0, refs/heads/main, local
    first  not saved: refs/tags/v1.0.0 is not the default branch, main
    second not saved: refs/tags/v1.0.0 is not the default branch, main
    failed not saved: the job failed, and `cache-on-failure` is not set
    ");
}

#[test]
fn a_release_reads_the_default_branch_and_saves_nothing() {
    let payload = of_repository(r#""action": "published", "release": {"tag_name": "v1.0.0"}"#);
    insta::assert_snapshot!(on("release", "refs/tags/v1.0.0", &payload), @r"
    reads  refs/tags/v1.0.0, refs/heads/main, local
    first  not saved: runs started by `release` never save
    second not saved: runs started by `release` never save
    failed not saved: the job failed, and `cache-on-failure` is not set
    ");
}

/// Of the repository itself, of a fork, and of Dependabot, which is treated like a fork: the run knows no difference, and
/// makes none.
#[rstest]
#[case::own("acme/app", "somebody")]
#[case::fork("stranger/app", "stranger")]
#[case::dependabot("acme/app", "dependabot[bot]")]
fn a_pull_request_reads_its_base_and_saves_nothing(#[case] head: &str, #[case] actor: &str) {
    let variables = [
        ("GITHUB_EVENT_NAME", "pull_request"),
        ("GITHUB_REF", "refs/pull/7/merge"),
        ("GITHUB_HEAD_REF", "patch"),
        ("GITHUB_BASE_REF", "main"),
        ("GITHUB_ACTOR", actor),
    ];
    insta::allow_duplicates! {
        insta::assert_snapshot!(told(&variables, &pull_request(head)), @r"
        reads  refs/pull/7/merge, refs/heads/main, local
        first  not saved: pull requests restore the default branch's entries and save none, unless `save-if` is true
        second not saved: pull requests restore the default branch's entries and save none, unless `save-if` is true
        failed not saved: the job failed, and `cache-on-failure` is not set
        ");
    }
}

#[test]
fn a_pull_request_to_a_release_branch_reads_that_before_the_default_branch() {
    let variables = [
        ("GITHUB_EVENT_NAME", "pull_request"),
        ("GITHUB_REF", "refs/pull/7/merge"),
        ("GITHUB_BASE_REF", "release/2"),
    ];
    insta::assert_snapshot!(told(&variables, &pull_request("acme/app")), @r"
    reads  refs/pull/7/merge, refs/heads/release/2, refs/heads/main, local
    first  not saved: pull requests restore the default branch's entries and save none, unless `save-if` is true
    second not saved: pull requests restore the default branch's entries and save none, unless `save-if` is true
    failed not saved: the job failed, and `cache-on-failure` is not set
    ");
}

/// It runs with the rights of the default branch on what a stranger proposes: GitHub gives it a token that cannot write.
#[test]
fn a_pull_request_target_never_saves_although_it_runs_on_the_default_branch() {
    let variables = [
        ("GITHUB_EVENT_NAME", "pull_request_target"),
        ("GITHUB_REF", "refs/heads/main"),
        ("GITHUB_BASE_REF", "main"),
    ];
    insta::assert_snapshot!(told(&variables, &pull_request("stranger/app")), @r"
    reads  refs/heads/main, local
    first  not saved: runs started by `pull_request_target` never save
    second not saved: runs started by `pull_request_target` never save
    failed not saved: the job failed, and `cache-on-failure` is not set
    ");
}

#[rstest]
#[case::comment("issue_comment", r#""issue": {"number": 7}"#)]
#[case::workflow_run("workflow_run", r#""workflow_run": {"head_branch": "patch"}"#)]
fn what_anyone_can_start_never_saves_although_it_runs_on_the_default_branch(
    #[case] event: &str,
    #[case] rest: &str,
) {
    let told = on(event, "refs/heads/main", &of_repository(rest)).replace(event, "EVENT");
    insta::allow_duplicates! {
        insta::assert_snapshot!(told, @r"
        reads  refs/heads/main, local
        first  not saved: runs started by `EVENT` never save
        second not saved: runs started by `EVENT` never save
        failed not saved: the job failed, and `cache-on-failure` is not set
        ");
    }
}

#[test]
fn a_merge_queue_reads_the_branch_that_it_merges_into_and_saves_nothing() {
    let reference = "refs/heads/gh-readonly-queue/main/pr-7-0123abcd";
    let payload = of_repository(r#""merge_group": {"base_ref": "refs/heads/main"}"#);
    insta::assert_snapshot!(on("merge_group", reference, &payload), @r"
    reads  refs/heads/gh-readonly-queue/main/pr-7-0123abcd, refs/heads/main, local
    first  not saved: nothing can read what a merge queue's throw-away branch has saved
    second not saved: nothing can read what a merge queue's throw-away branch has saved
    failed not saved: the job failed, and `cache-on-failure` is not set
    ");
}

/// Its payload has no `repository`: the branch that it runs on is the default one.
#[test]
fn a_scheduled_run_saves_what_is_new() {
    insta::assert_snapshot!(on("schedule", "refs/heads/main", r#"{"schedule": "0 4 * * *"}"#), @r"
    reads  refs/heads/main, local
    first  saved: 34 units were compiled here (on the default branch, main)
    second not saved: nothing is new
    failed not saved: the job failed, and `cache-on-failure` is not set
    ");
}

#[rstest]
#[case::by_hand("workflow_dispatch")]
#[case::by_api("repository_dispatch")]
fn a_run_that_was_asked_for_saves_what_is_new_on_the_default_branch(#[case] event: &str) {
    insta::allow_duplicates! {
        insta::assert_snapshot!(on(event, "refs/heads/main", &of_repository("")), @r"
        reads  refs/heads/main, local
        first  saved: 34 units were compiled here (on the default branch, main)
        second not saved: nothing is new
        failed not saved: the job failed, and `cache-on-failure` is not set
        ");
    }
}

#[test]
fn a_run_that_was_asked_for_on_another_branch_saves_nothing() {
    insta::assert_snapshot!(on("workflow_dispatch", "refs/heads/x", &of_repository("")), @r"
    reads  refs/heads/x, refs/heads/main, local
    first  not saved: x is not the default branch, main
    second not saved: x is not the default branch, main
    failed not saved: the job failed, and `cache-on-failure` is not set
    ");
}

/// A reusable workflow has event, reference and payload of its caller; only the file it comes from is another.
#[test]
fn a_reusable_workflow_does_as_its_caller() {
    let of_caller = [
        ("GITHUB_EVENT_NAME", "push"),
        ("GITHUB_REF", "refs/heads/main"),
    ];
    let reusable = [
        of_caller[0],
        of_caller[1],
        (
            "GITHUB_WORKFLOW_REF",
            "acme/shared/.github/workflows/rust.yml@refs/heads/main",
        ),
    ];
    let payload = of_repository("");
    assert_eq!(told(&reusable, &payload), told(&of_caller, &payload));
}

#[test]
fn a_token_that_cannot_write_saves_nothing() {
    let variables = [
        ("GITHUB_EVENT_NAME", "push"),
        ("GITHUB_REF", "refs/heads/main"),
        ("ACTIONS_CACHE_MODE", "read"),
    ];
    insta::assert_snapshot!(told(&variables, &of_repository("")), @r"
    reads  refs/heads/main, local
    first  not saved: the workflow's `cache-mode` is `read`
    second not saved: the workflow's `cache-mode` is `read`
    failed not saved: the job failed, and `cache-on-failure` is not set
    ");
}

#[test]
fn an_event_without_a_payload_says_nothing_of_the_default_branch() {
    insta::assert_snapshot!(on("push", "refs/heads/main", ""), @r"
    reads  refs/heads/main, local
    first  not saved: the event does not say which branch is the default one; `save-if` can stand in
    second not saved: the event does not say which branch is the default one; `save-if` can stand in
    failed not saved: the job failed, and `cache-on-failure` is not set
    ");
}
