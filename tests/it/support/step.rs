//! One half of the action's step, started as the launcher starts it, without a runner around.

use std::{collections::BTreeMap, path::Path, process::ExitStatus};

use fs_err as fs;

use super::Sandbox;

/// A step that is about to be started.
pub(crate) struct Step<'a> {
    sandbox: &'a Sandbox,
    variables: Vec<(String, String)>,
}

impl<'a> Step<'a> {
    /// A step of a push to main, with a store in the sandbox.
    pub(crate) fn new(sandbox: &'a Sandbox) -> Self {
        fs::write(
            sandbox.path("event.json"),
            r#"{"repository": {"default_branch": "main"}}"#,
        )
        .unwrap();
        let path = |name: &str| sandbox.path(name).to_str().unwrap().to_owned();
        let step = Self {
            sandbox,
            variables: Vec::new(),
        };
        step.env("GITHUB_ACTIONS", "true")
            .env("GITHUB_EVENT_NAME", "push")
            .env("GITHUB_EVENT_PATH", &path("event.json"))
            .env("GITHUB_REF", "refs/heads/main")
            .env("GITHUB_JOB", "build")
            .env("GITHUB_WORKFLOW", "ci")
            .env("RUNNER_TEMP", &path("runner-temp"))
            .input("store", &path("store"))
            .input("job-status", "success")
    }

    /// Sets a variable.
    pub(crate) fn env(mut self, name: &str, value: &str) -> Self {
        self.variables.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Sets an input.
    pub(crate) fn input(self, name: &str, value: &str) -> Self {
        let name = format!("INPUT_{}", name.to_uppercase());
        self.env(&name, value)
    }

    /// `hotcrate action main` in `directory`.
    pub(crate) fn main(&self, directory: &Path) -> Stepped {
        self.start("main", directory, &BTreeMap::new())
    }

    /// `hotcrate action post` after `main`.
    pub(crate) fn post(&self, directory: &Path, main: &Stepped) -> Stepped {
        self.start("post", directory, &main.state)
    }

    fn start(&self, half: &str, directory: &Path, state: &BTreeMap<String, String>) -> Stepped {
        const FILES: [&str; 4] = ["OUTPUT", "STATE", "ENV", "STEP_SUMMARY"];
        let mut command = self
            .sandbox
            .command(env!("CARGO_BIN_EXE_hotcrate"), directory);
        command.args(["action", half]);
        for file in FILES {
            let path = self.sandbox.path(format!("step-{file}"));
            fs::write(&path, "").unwrap();
            command.env(format!("GITHUB_{file}"), path);
        }
        for (name, value) in state {
            command.env(format!("STATE_{name}"), value);
        }
        for (name, value) in &self.variables {
            command.env(name, value);
        }
        let output = command.output().unwrap();
        let read =
            |file: &str| fs::read_to_string(self.sandbox.path(format!("step-{file}"))).unwrap();
        Stepped {
            status: output.status,
            log: String::from_utf8(output.stderr).unwrap(),
            outputs: values(&read("OUTPUT")),
            state: values(&read("STATE")),
            variables: values(&read("ENV")),
            summary: read("STEP_SUMMARY"),
        }
    }
}

/// A half that has ended, with what it told the runner.
#[derive(Debug)]
pub(crate) struct Stepped {
    pub(crate) status: ExitStatus,
    pub(crate) log: String,
    pub(crate) outputs: BTreeMap<String, String>,
    pub(crate) state: BTreeMap<String, String>,
    pub(crate) variables: BTreeMap<String, String>,
    pub(crate) summary: String,
}

impl Stepped {
    /// Annotations of a kind, `error`, `warning` or `notice`: their texts.
    pub(crate) fn annotations(&self, kind: &str) -> Vec<&str> {
        let start = format!("::{kind} title=hotcrate::");
        let lines = self.log.lines();
        lines.filter_map(|line| line.strip_prefix(&start)).collect()
    }

    /// The value of an output that must be there.
    #[track_caller]
    pub(crate) fn output(&self, name: &str) -> &str {
        let value = self.outputs.get(name);
        value.unwrap_or_else(|| panic!("there is no output {name}: {self:#?}"))
    }
}

/// Reads `NAME<<MARK`, lines, `MARK`: the later of two values counts.
fn values(text: &str) -> BTreeMap<String, String> {
    let mut values = BTreeMap::new();
    let mut lines = text.lines();
    while let Some((name, mark)) = lines.next().and_then(|line| line.split_once("<<")) {
        let value: Vec<_> = lines.by_ref().take_while(|line| *line != mark).collect();
        values.insert(name.to_owned(), value.join("\n"));
    }
    values
}
