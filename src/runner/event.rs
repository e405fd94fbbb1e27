//! The event's payload: the JSON file that GITHUB_EVENT_PATH names.
//!
//! Only what hotcrate decides by is read. Each part may be missing: a scheduled run's payload has no `repository`, and
//! a pull request whose fork was deleted has `null` for it.

use std::path::Path;

use serde::Deserialize;

/// What the payload says, with `None` for whatever it does not.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EventPayload {
    /// The repository's default branch, without `refs/heads/`.
    pub default_branch: Option<String>,
    /// The branch that a pull request or a merge queue's group is to be merged into, without `refs/heads/`.
    pub base_branch: Option<String>,
    /// For a pull request: whether its commits come from another repository than the one that runs.
    pub is_from_fork: Option<bool>,
}

impl EventPayload {
    /// Reads the file at `path`. A file that is missing or no JSON of the expected shape yields an empty payload.
    pub fn read(path: &Path) -> Self {
        match fs_err::read(path) {
            Ok(json) => Self::parse(&json),
            Err(error) => {
                tracing::debug!("there is no event payload: {error}");
                Self::default()
            }
        }
    }

    /// Reads the payload's text; anything but JSON of the expected shape yields an empty payload.
    pub fn parse(json: &[u8]) -> Self {
        match serde_json::from_slice::<Event>(json) {
            Ok(event) => event.into(),
            Err(error) => {
                tracing::debug!("the event payload is not understood: {error}");
                Self::default()
            }
        }
    }
}

/// The payload as GitHub documents it under "Webhook events and payloads".
#[derive(Deserialize)]
struct Event {
    repository: Option<Repository>,
    pull_request: Option<PullRequest>,
    merge_group: Option<MergeGroup>,
}

#[derive(Deserialize)]
struct Repository {
    default_branch: Option<String>,
    full_name: Option<String>,
}

#[derive(Deserialize)]
struct PullRequest {
    base: Option<Side>,
    head: Option<Side>,
}

#[derive(Deserialize)]
struct Side {
    r#ref: Option<String>,
    repo: Option<Repository>,
}

#[derive(Deserialize)]
struct MergeGroup {
    /// A full reference, unlike that of a pull request.
    base_ref: Option<String>,
}

impl From<Event> for EventPayload {
    fn from(event: Event) -> Self {
        let is_from_fork = event.is_from_fork();
        let pull_request_base = event
            .pull_request
            .and_then(|pull_request| pull_request.base?.r#ref);
        let merge_group_base = event.merge_group.and_then(|group| group.base_ref);
        let base_branch = pull_request_base.or(merge_group_base);
        Self {
            default_branch: event
                .repository
                .and_then(|repository| repository.default_branch)
                .filter(|branch| !branch.is_empty()),
            base_branch: base_branch
                .map(|name| name.strip_prefix("refs/heads/").unwrap_or(&name).to_owned())
                .filter(|branch| !branch.is_empty()),
            is_from_fork,
        }
    }
}

impl Event {
    /// Compares names: `head.repo.fork` says only that the head is a fork of something, which the repository that
    /// runs may be as well.
    fn is_from_fork(&self) -> Option<bool> {
        let pull_request = self.pull_request.as_ref()?;
        let here = self.repository.as_ref()?.full_name.as_deref()?;
        let head = pull_request.head.as_ref()?;
        let there = head
            .repo
            .as_ref()
            .and_then(|repo| repo.full_name.as_deref());
        // No repository at the head: the fork was deleted.
        Some(there.is_none_or(|there| !there.eq_ignore_ascii_case(here)))
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[test]
    fn a_pull_request_names_its_base_and_its_fork() {
        let payload = EventPayload::parse(
            br#"{
                "action": "opened", "number": 7,
                "repository": {"id": 1, "full_name": "us/it", "default_branch": "trunk"},
                "pull_request": {
                    "base": {"ref": "release/2", "repo": {"full_name": "us/it"}},
                    "head": {"ref": "main", "repo": {"full_name": "them/it", "fork": true}}
                }
            }"#,
        );
        assert_eq!(
            payload,
            EventPayload {
                default_branch: Some("trunk".to_owned()),
                base_branch: Some("release/2".to_owned()),
                is_from_fork: Some(true),
            }
        );
    }

    #[rstest]
    #[case::same_repository(r#"{"repo": {"full_name": "Us/it", "fork": true}}"#, Some(false))]
    #[case::deleted_fork(r#"{"repo": null}"#, Some(true))]
    #[case::unknown("null", None)]
    fn a_fork_is_known_by_its_name(#[case] head: &str, #[case] expected: Option<bool>) {
        let payload = EventPayload::parse(
            format!(
                r#"{{"repository": {{"full_name": "us/it"}}, "pull_request": {{"head": {head}}}}}"#
            )
            .as_bytes(),
        );
        assert_eq!(payload.is_from_fork, expected);
    }

    #[test]
    fn a_merge_group_names_its_base_by_a_full_reference() {
        let payload = EventPayload::parse(
            br#"{"merge_group": {"base_ref": "refs/heads/main", "head_sha": "abc"}}"#,
        );
        assert_eq!(payload.base_branch.as_deref(), Some("main"));
    }

    #[rstest]
    #[case::schedule(r#"{"schedule": "0 4 * * *"}"#)]
    #[case::nulls(r#"{"repository": null, "pull_request": null, "merge_group": null}"#)]
    #[case::empty_names(r#"{"repository": {"default_branch": ""}}"#)]
    #[case::another_shape(r#"{"repository": "us/it"}"#)]
    #[case::garbled(r#"{"repository": {"default_br"#)]
    #[case::no_json("<html>")]
    #[case::empty("")]
    fn a_payload_that_says_nothing_is_normal(#[case] json: &str) {
        assert_eq!(
            EventPayload::parse(json.as_bytes()),
            EventPayload::default()
        );
    }

    #[test]
    fn a_missing_file_is_normal() {
        let directory = tempfile::tempdir().unwrap();
        assert_eq!(
            EventPayload::read(&directory.path().join("event.json")),
            EventPayload::default()
        );
    }
}
