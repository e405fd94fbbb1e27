//! Which of the references that entries belong to still exist, and which pull requests are open: in one GraphQL query.
//!
//! REST would take a request for each hundred branches and each hundred pull requests of the repository, whether they have
//! entries or not. What GraphQL says nothing of, or refuses to say, stays unknown.

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
};

use serde::Deserialize;
use serde_json::{Map, Value, json};
use ureq::http::Method;

use super::{GitHub, GitHubError, client::Call};
use crate::inventory::RefState;

/// How many references are asked about at most, to stay within what GitHub computes for one query.
pub(super) const MOST_REFERENCES: usize = 300;

/// What to look up for a reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Subject<'a> {
    PullRequest(u64),
    Reference(&'a str),
}

#[derive(Deserialize)]
struct Answer {
    data: Option<Repository>,
    #[serde(default)]
    errors: Vec<Refusal>,
}

#[derive(Deserialize)]
struct Repository {
    repository: Option<Map<String, Value>>,
}

#[derive(Deserialize)]
struct Refusal {
    message: Option<String>,
    #[serde(default)]
    path: Vec<Value>,
}

impl GitHub {
    /// What is known of `references`, full names such as `refs/pull/7/merge`. Those that nothing is known of are missing.
    pub(super) fn ref_states(
        &self,
        references: &[&str],
    ) -> Result<BTreeMap<String, RefState>, GitHubError> {
        let body = query(
            self.address.repository.owner(),
            self.address.repository.name(),
            references,
        );
        let body = body.to_string();
        let call = Call {
            attempt: "see branches and pull requests",
            needs: "contents: read, pull-requests: read",
            method: Method::POST,
            url: self.address.graphql.clone(),
            body: Some(body.as_bytes()),
            changes: false,
        };
        states(references, self.ask(&call, "a GraphQL response")?)
    }
}

fn subject(reference: &str) -> Option<Subject<'_>> {
    match reference.strip_prefix("refs/pull/") {
        Some(rest) => {
            let (number, _) = rest.split_once('/')?;
            number.parse().ok().map(Subject::PullRequest)
        }
        None if reference.starts_with("refs/") => Some(Subject::Reference(reference)),
        None => None,
    }
}

/// The query, as the body of a request. Every reference is known by its place among `references`.
fn query(owner: &str, name: &str, references: &[&str]) -> Value {
    let mut declared = "$owner: String!, $name: String!".to_owned();
    let mut asked = String::new();
    let mut variables = Map::new();
    variables.insert("owner".to_owned(), json!(owner));
    variables.insert("name".to_owned(), json!(name));
    for (index, reference) in references.iter().enumerate() {
        // Writing to a string can't fail.
        let _infallible = match subject(reference) {
            Some(Subject::PullRequest(number)) => {
                write!(
                    asked,
                    " r{index}: pullRequest(number: {number}) {{ state }}"
                )
            }
            Some(Subject::Reference(full)) => {
                variables.insert(format!("r{index}"), json!(full));
                declared.extend([", $r", &index.to_string(), ": String!"]);
                write!(asked, " r{index}: ref(qualifiedName: $r{index}) {{ name }}")
            }
            None => Ok(()),
        };
    }
    json!({
        "query": format!(
            "query({declared}) {{ repository(owner: $owner, name: $name) {{ defaultBranchRef {{ name }}{asked} }} }}"
        ),
        "variables": variables,
    })
}

fn states(references: &[&str], answer: Answer) -> Result<BTreeMap<String, RefState>, GitHubError> {
    let Some(repository) = answer.data.and_then(|data| data.repository) else {
        let message = answer
            .errors
            .into_iter()
            .find_map(|refusal| refusal.message);
        return Err(GitHubError::Refused {
            message: message.unwrap_or_else(|| "it does not say why".to_owned()),
        });
    };
    let refused: BTreeSet<&str> = answer
        .errors
        .iter()
        .flat_map(|refusal| &refusal.path)
        .filter_map(Value::as_str)
        .collect();
    // Whoever can't see the default branch sees no other, and that they are not shown means nothing.
    let sees_branches = repository
        .get("defaultBranchRef")
        .is_some_and(Value::is_object);
    let mut states = BTreeMap::new();
    for (index, reference) in references.iter().enumerate() {
        let alias = format!("r{index}");
        let found = repository
            .get(&alias)
            .filter(|_| !refused.contains(alias.as_str()));
        let state = match (subject(reference), found) {
            (Some(Subject::PullRequest(_)), Some(found)) => match found["state"].as_str() {
                Some("OPEN") => Some(RefState::Live),
                Some("CLOSED" | "MERGED") => Some(RefState::Closed),
                _ => None,
            },
            (Some(Subject::Reference(_)), Some(Value::Object(_))) => Some(RefState::Live),
            (Some(Subject::Reference(_)), Some(Value::Null)) if sees_branches => {
                Some(RefState::Deleted)
            }
            _ => None,
        };
        states.extend(state.map(|state| ((*reference).to_owned(), state)));
    }
    Ok(states)
}

#[cfg(test)]
mod tests {
    use super::*;

    const REFERENCES: [&str; 6] = [
        "refs/heads/main",
        "refs/heads/gone\"} evil",
        "refs/pull/7/merge",
        "refs/pull/8/merge",
        "refs/pull/9/merge",
        "local",
    ];

    fn known(answer: &Value) -> String {
        let answer = serde_json::from_value(answer.clone()).expect("it is an answer");
        match states(&REFERENCES, answer) {
            Ok(states) => states
                .iter()
                .map(|(reference, state)| format!("{reference}: {state:?}"))
                .collect::<Vec<_>>()
                .join("\n"),
            Err(error) => error.to_string(),
        }
    }

    #[test]
    fn every_reference_is_asked_for_once_and_names_are_never_part_of_the_query() {
        let body = query("octo", "crab", &REFERENCES);
        insta::assert_snapshot!(body["query"].as_str().expect("it is text"), @"query($owner: String!, $name: String!, $r0: String!, $r1: String!) { repository(owner: $owner, name: $name) { defaultBranchRef { name } r0: ref(qualifiedName: $r0) { name } r1: ref(qualifiedName: $r1) { name } r2: pullRequest(number: 7) { state } r3: pullRequest(number: 8) { state } r4: pullRequest(number: 9) { state } } }");
        assert_eq!(body["variables"]["r1"], REFERENCES[1]);
    }

    #[test]
    fn what_is_there_is_told_from_what_is_gone_and_from_what_nobody_says() {
        insta::assert_snapshot!(known(&json!({
            "data": {"repository": {
                "defaultBranchRef": {"name": "main"}, "r0": {"name": "main"}, "r1": null,
                "r2": {"state": "OPEN"}, "r3": {"state": "MERGED"}, "r4": null,
            }},
            "errors": [{"type": "NOT_FOUND", "path": ["repository", "r4"], "message": "no such pull request"}],
        })), @r#"
        refs/heads/gone"} evil: Deleted
        refs/heads/main: Live
        refs/pull/7/merge: Live
        refs/pull/8/merge: Closed
        "#);
    }

    #[test]
    fn who_may_not_see_branches_takes_none_for_deleted() {
        insta::assert_snapshot!(known(&json!({
            "data": {"repository": {"defaultBranchRef": null, "r0": null, "r1": null, "r2": {"state": "OPEN"}}},
        })), @"refs/pull/7/merge: Live");
        insta::assert_snapshot!(known(&json!({
            "data": {"repository": {"defaultBranchRef": {"name": "main"}, "r1": null}},
            "errors": [{"type": "FORBIDDEN", "path": ["repository", "r1"], "message": "no"}],
        })), @"");
    }

    #[test]
    fn a_query_that_is_refused_as_a_whole_is_an_error() {
        insta::assert_snapshot!(
            known(&json!({"data": null, "errors": [{"message": "Something went wrong"}]})),
            @"GitHub did not answer the query: Something went wrong"
        );
    }
}
