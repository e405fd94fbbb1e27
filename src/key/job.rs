//! Whose entries a job shares: the `job` part of a key.

use std::fmt::Write as _;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Fact;

/// Which runs take each other's entries first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum JobIdentity {
    /// Outside CI: all runs of the project on this store.
    Local,
    /// All jobs that were given the same `shared-key`.
    Shared(String),
    /// One job of one workflow, with its matrix values.
    Ci {
        /// The workflow's name or file, as the service tells it.
        workflow: String,
        /// The job's id within the workflow.
        job: String,
        /// The matrix values, as JSON; `None`, `null` and `{}` mean the same.
        matrix: Option<Value>,
        /// The user's addition.
        key: Option<String>,
    },
}

impl JobIdentity {
    /// The facts of the `job` part: one for each matrix value, so that a difference names it.
    pub fn facts(&self) -> Vec<Fact> {
        match self {
            Self::Local => vec![Fact::new("identity", "local")],
            Self::Shared(key) => vec![Fact::new("shared-key", key)],
            Self::Ci {
                workflow,
                job,
                matrix,
                key,
            } => {
                let mut facts = vec![Fact::new("workflow", workflow), Fact::new("job", job)];
                facts.extend(key.iter().map(|key| Fact::new("key", key)));
                match matrix {
                    None | Some(Value::Null) => {}
                    Some(Value::Object(values)) => {
                        facts.extend(values.iter().map(|(name, value)| {
                            Fact::new(format!("matrix {name}"), canonical_json(value))
                        }));
                    }
                    Some(other) => facts.push(Fact::new("matrix", canonical_json(other))),
                }
                facts
            }
        }
    }
}

/// What people call the job with these facts: `ci / test (os=ubuntu)`, `shared-key all`, `local`.
pub fn job_name(facts: &[Fact]) -> String {
    let value = |label: &str| {
        facts
            .iter()
            .find(|fact| fact.label == label)
            .map(|fact| fact.value.as_str())
    };
    if let Some(shared) = value("shared-key") {
        return format!("shared-key {shared}");
    }
    let Some(job) = value("job") else {
        return value("identity").unwrap_or_default().to_owned();
    };
    let told = facts.iter().filter_map(|fact| {
        let is_key = fact.label == "key";
        let name = fact
            .label
            .strip_prefix("matrix ")
            .or(is_key.then_some("key"))?;
        Some(format!("{name}={}", fact.value))
    });
    let told: Vec<_> = told.collect();
    let workflow = value("workflow").filter(|workflow| !workflow.is_empty());
    let mut name =
        workflow.map_or_else(|| job.to_owned(), |workflow| format!("{workflow} / {job}"));
    if !told.is_empty() {
        name.extend([" (", &told.join(", "), ")"]);
    }
    name
}

/// `value` as JSON without spaces, the keys of all objects sorted. A lone string stands without quotes.
fn canonical_json(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => {
            let mut text = String::new();
            write_canonical(&mut text, other);
            text
        }
    }
}

fn write_canonical(text: &mut String, value: &Value) {
    match value {
        Value::Object(values) => {
            let mut entries: Vec<_> = values.iter().collect();
            entries.sort_by_key(|(name, _)| *name);
            text.push('{');
            for (index, (name, value)) in entries.into_iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_canonical(text, &Value::String(name.clone()));
                text.push(':');
                write_canonical(text, value);
            }
            text.push('}');
        }
        Value::Array(values) => {
            text.push('[');
            for (index, value) in values.iter().enumerate() {
                if index > 0 {
                    text.push(',');
                }
                write_canonical(text, value);
            }
            text.push(']');
        }
        // Writing to a string can't fail.
        scalar => drop(write!(text, "{scalar}")),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::key::{KeyPart, PartName};

    fn part(matrix: Option<Value>) -> KeyPart {
        let job = JobIdentity::Ci {
            workflow: "ci".into(),
            job: "test".into(),
            matrix,
            key: None,
        };
        KeyPart::new(PartName::Job, job.facts())
    }

    #[rstest::rstest]
    #[case(Some(Value::Null))]
    #[case(Some(json!({})))]
    fn an_empty_matrix_is_no_matrix(#[case] matrix: Option<Value>) {
        assert_eq!(part(matrix), part(None));
    }

    #[test]
    fn the_order_of_matrix_values_never_matters() {
        let parse = |text| serde_json::from_str(text).expect("it is JSON");
        assert_eq!(
            part(parse(r#"{"os":"ubuntu","rust":{"b":[1,2],"a":null}}"#)),
            part(parse(r#"{"rust":{"a":null,"b":[1,2]},"os":"ubuntu"}"#)),
        );
    }

    #[test]
    fn the_legs_of_a_matrix_are_told_apart() {
        assert_ne!(
            part(Some(json!({"os": "ubuntu"}))),
            part(Some(json!({"os": "windows"})))
        );
        assert_ne!(part(Some(json!({"os": "ubuntu"}))), part(None));
    }

    #[test]
    fn a_shared_key_is_not_a_job_of_that_name() {
        let facts = |job: JobIdentity| job.facts();
        assert_ne!(
            facts(JobIdentity::Shared("local".into())),
            facts(JobIdentity::Local)
        );
    }

    #[test]
    fn a_job_is_called_by_its_workflow_and_its_matrix() {
        let name = |job: JobIdentity| job_name(&job.facts());
        let ci = |workflow: &str, matrix| JobIdentity::Ci {
            workflow: workflow.into(),
            job: "test".into(),
            matrix,
            key: None,
        };
        let matrix = Some(json!({"os": "ubuntu", "rust": [1, 2]}));
        assert_eq!(name(ci("ci", matrix)), "ci / test (os=ubuntu, rust=[1,2])");
        assert_eq!(name(ci("", None)), "test");
        assert_eq!(name(JobIdentity::Local), "local");
        assert_eq!(name(JobIdentity::Shared("all".into())), "shared-key all");
    }
}
