//! What a workflow run is, read from its environment and its event's payload.
//!
//! The names of the variables are GitHub's documented default environment variables; act, Gitea and Forgejo set the
//! same.

use crate::{
    environment::Environment,
    policy::{CacheMode, GitHubFacts, Scopes},
    runner::EventPayload,
};

/// A run on GitHub, or on a server that speaks like it. A field is `None` where the runner says nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GitHubContext {
    /// GITHUB_EVENT_NAME: what started the run, such as `push`; empty if it is unknown.
    pub event_name: String,
    /// GITHUB_REF: the full reference that the run was started for. Checking out another changes nothing about it.
    pub reference: Option<String>,
    /// GITHUB_REF_NAME: the reference's short name, for people.
    pub ref_name: Option<String>,
    /// GITHUB_HEAD_REF: a pull request's head branch. Its author chose the name: show it, decide nothing by it.
    pub head_ref: Option<String>,
    /// GITHUB_BASE_REF: the branch that a pull request is to be merged into.
    pub base_ref: Option<String>,
    /// GITHUB_SHA: the commit.
    pub sha: Option<String>,
    /// GITHUB_JOB: the job's id in the workflow, the same for every leg of a matrix.
    pub job: Option<String>,
    /// GITHUB_WORKFLOW: the workflow's name, or its path if it has none.
    pub workflow: Option<String>,
    /// GITHUB_RUN_ID: the run's number in its repository's server.
    pub run_id: Option<String>,
    /// GITHUB_RUN_ATTEMPT: counts the attempts of a run from 1.
    pub run_attempt: Option<String>,
    /// GITHUB_REPOSITORY: `owner/name`.
    pub repository: Option<String>,
    /// GITHUB_SERVER_URL: `https://github.com`, or another server.
    pub server_url: Option<String>,
    /// GITHUB_API_URL: where the server's REST API is.
    pub api_url: Option<String>,
    /// ACTIONS_CACHE_MODE: what the workflow permits.
    pub cache_mode: CacheMode,
    /// What the event's payload says.
    pub payload: EventPayload,
}

impl GitHubContext {
    /// Reads the variables, and the payload that GITHUB_EVENT_PATH names. `None` outside GitHub: where GITHUB_ACTIONS
    /// is not `true`.
    pub fn read(environment: &Environment) -> Option<Self> {
        if environment.text("GITHUB_ACTIONS") != Some("true") {
            return None;
        }
        let text = |name| environment.text(name).map(str::to_owned);
        Some(Self {
            event_name: text("GITHUB_EVENT_NAME").unwrap_or_default(),
            reference: text("GITHUB_REF"),
            ref_name: text("GITHUB_REF_NAME"),
            head_ref: text("GITHUB_HEAD_REF"),
            base_ref: text("GITHUB_BASE_REF"),
            sha: text("GITHUB_SHA"),
            job: text("GITHUB_JOB"),
            workflow: text("GITHUB_WORKFLOW"),
            run_id: text("GITHUB_RUN_ID"),
            run_attempt: text("GITHUB_RUN_ATTEMPT"),
            repository: text("GITHUB_REPOSITORY"),
            server_url: text("GITHUB_SERVER_URL"),
            api_url: text("GITHUB_API_URL"),
            cache_mode: CacheMode::parse(environment.text("ACTIONS_CACHE_MODE")),
            payload: environment
                .path("GITHUB_EVENT_PATH")
                .map(|path| EventPayload::read(&path))
                .unwrap_or_default(),
        })
    }

    /// The repository's default branch, without `refs/heads/`: from the payload, or for a scheduled run, which has none
    /// there, the branch that it runs on. Never a guess.
    pub fn default_branch(&self) -> Option<&str> {
        let scheduled_on = || {
            let reference = self.reference.as_deref()?;
            reference
                .strip_prefix("refs/heads/")
                .filter(|_| self.event_name == "schedule")
        };
        self.payload.default_branch.as_deref().or_else(scheduled_on)
    }

    /// The branch that this run's changes are to be merged into, without `refs/heads/`.
    pub fn base_branch(&self) -> Option<&str> {
        self.base_ref
            .as_deref()
            .or(self.payload.base_branch.as_deref())
    }

    /// The scopes that this run reads and writes.
    pub fn scopes(&self) -> Scopes {
        Scopes::of_run(
            self.reference.as_deref(),
            self.base_branch(),
            self.default_branch(),
        )
    }

    /// What [`crate::policy::decide_save`] needs to know of this run.
    pub fn facts(&self) -> GitHubFacts<'_> {
        GitHubFacts {
            event: &self.event_name,
            reference: self.reference.as_deref(),
            default_branch: self.default_branch(),
            cache_mode: self.cache_mode,
        }
    }
}

/// The scopes of a run: those of `context` on GitHub, `local` outside.
pub fn scopes_of(context: Option<&GitHubContext>) -> Scopes {
    context.map_or_else(Scopes::local, GitHubContext::scopes)
}

#[cfg(test)]
mod tests {
    use std::ffi::OsString;

    use rstest::rstest;

    use super::*;
    use crate::policy::Scope;

    fn context(variables: &[(&str, &str)]) -> GitHubContext {
        let environment = [("GITHUB_ACTIONS", "true")]
            .iter()
            .chain(variables)
            .copied()
            .collect();
        GitHubContext::read(&environment).unwrap()
    }

    fn readable(scopes: &Scopes) -> String {
        let names: Vec<_> = scopes.readable().map(Scope::as_str).collect();
        names.join(", ")
    }

    #[rstest]
    #[case(&[])]
    #[case(&[("GITHUB_ACTIONS", "")])]
    #[case(&[("GITHUB_ACTIONS", "false"), ("GITHUB_REF", "refs/heads/main")])]
    #[case(&[("CI", "true")])]
    fn outside_github_there_is_no_context_and_the_scope_is_local(
        #[case] variables: &[(&str, &str)],
    ) {
        let environment = variables.iter().copied().collect();
        assert_eq!(GitHubContext::read(&environment), None);
        assert_eq!(scopes_of(None), Scopes::local());
    }

    #[test]
    fn what_the_runner_says_is_taken_as_it_is() {
        let directory = tempfile::tempdir().unwrap();
        let event = directory.path().join("event.json");
        fs_err::write(&event, r#"{"repository": {"default_branch": "trunk"}}"#).unwrap();
        let environment = [
            ("GITHUB_ACTIONS", OsString::from("true")),
            ("GITHUB_EVENT_NAME", "push".into()),
            ("GITHUB_EVENT_PATH", event.into()),
            ("GITHUB_REF", "refs/heads/feature/x".into()),
            ("GITHUB_HEAD_REF", "".into()),
            ("GITHUB_JOB", "test".into()),
            ("GITHUB_RUN_ID", "12".into()),
            ("ACTIONS_CACHE_MODE", "read".into()),
        ]
        .into_iter()
        .collect();
        let context = GitHubContext::read(&environment).unwrap();
        assert_eq!(context.job.as_deref(), Some("test"));
        assert_eq!(context.run_id.as_deref(), Some("12"));
        assert_eq!(context.head_ref, None);
        assert_eq!(
            context.facts(),
            GitHubFacts {
                event: "push",
                reference: Some("refs/heads/feature/x"),
                default_branch: Some("trunk"),
                cache_mode: CacheMode::Read,
            }
        );
        insta::assert_snapshot!(
            readable(&scopes_of(Some(&context))),
            @"refs/heads/feature/x, refs/heads/trunk, local"
        );
    }

    #[test]
    fn a_pull_request_writes_to_its_own_scope_whatever_its_branch_is_called() {
        let mut context = context(&[
            ("GITHUB_EVENT_NAME", "pull_request"),
            ("GITHUB_REF", "refs/pull/7/merge"),
            ("GITHUB_HEAD_REF", "main"),
            ("GITHUB_BASE_REF", "release"),
        ]);
        context.payload.default_branch = Some("main".to_owned());
        assert_eq!(context.scopes().own().as_str(), "refs/pull/7/merge");
        insta::assert_snapshot!(
            readable(&context.scopes()),
            @"refs/pull/7/merge, refs/heads/release, refs/heads/main, local"
        );
    }

    #[test]
    fn a_merge_queue_reads_the_branch_that_it_merges_into() {
        let mut context = context(&[
            ("GITHUB_EVENT_NAME", "merge_group"),
            ("GITHUB_REF", "refs/heads/gh-readonly-queue/main/pr-7-abc"),
        ]);
        context.payload.base_branch = Some("main".to_owned());
        insta::assert_snapshot!(
            readable(&context.scopes()),
            @"refs/heads/gh-readonly-queue/main/pr-7-abc, refs/heads/main, local"
        );
    }

    #[rstest]
    #[case("schedule", "refs/heads/trunk", Some("trunk"))]
    #[case("workflow_dispatch", "refs/heads/trunk", None)]
    #[case("schedule", "refs/tags/trunk", None)]
    fn only_a_scheduled_run_is_known_to_be_the_default_branchs(
        #[case] event: &str,
        #[case] reference: &str,
        #[case] expected: Option<&str>,
    ) {
        let context = context(&[("GITHUB_EVENT_NAME", event), ("GITHUB_REF", reference)]);
        assert_eq!(context.default_branch(), expected);
    }
}
