//! One invocation of the binary, and what came of it.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    process::{Command, ExitStatus, Output},
    sync::atomic::{AtomicU32, Ordering},
};

use fs_err as fs;

use super::{Build, Report, Sandbox};

/// Sandboxes are shared by the threads of one test at most, reports by nobody.
static REPORTS: AtomicU32 = AtomicU32::new(0);

/// A hotcrate that is about to be started.
pub(crate) struct Hotcrate<'a> {
    sandbox: &'a Sandbox,
    directory: PathBuf,
    store: Option<PathBuf>,
    options: Vec<String>,
    variables: Vec<(String, Option<String>)>,
}

impl<'a> Hotcrate<'a> {
    pub(crate) fn new(sandbox: &'a Sandbox, directory: &Path) -> Self {
        Self {
            sandbox,
            directory: directory.to_owned(),
            store: Some(sandbox.store()),
            options: Vec::new(),
            variables: Vec::new(),
        }
    }

    /// Adds an option and its value.
    pub(crate) fn option(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.options.push(name.to_owned());
        self.options
            .push(value.as_ref().to_str().unwrap().to_owned());
        self
    }

    /// Adds an option without a value.
    pub(crate) fn flag(mut self, name: &str) -> Self {
        self.options.push(name.to_owned());
        self
    }

    /// Another store than the sandbox's.
    pub(crate) fn store(mut self, store: impl Into<PathBuf>) -> Self {
        self.store = Some(store.into());
        self
    }

    /// No `--store`: the platform's default.
    pub(crate) fn default_store(mut self) -> Self {
        self.store = None;
        self
    }

    /// Sets a variable.
    pub(crate) fn env(mut self, name: &str, value: impl AsRef<Path>) -> Self {
        let value = value.as_ref().to_str().unwrap().to_owned();
        self.variables.push((name.to_owned(), Some(value)));
        self
    }

    /// Removes a variable.
    pub(crate) fn without_env(mut self, name: &str) -> Self {
        self.variables.push((name.to_owned(), None));
        self
    }

    /// `hotcrate run -- COMMAND`.
    pub(crate) fn run<A: AsRef<OsStr>>(self, command: &[A]) -> Finished {
        self.call("run", command)
    }

    /// `hotcrate <subcommand> -- COMMAND`.
    pub(crate) fn call<A: AsRef<OsStr>>(self, subcommand: &str, command: &[A]) -> Finished {
        let report = self.report();
        let mut hotcrate = self.command(subcommand, &report);
        hotcrate.arg("--").args(command);
        finish(hotcrate, &report)
    }

    /// `hotcrate restore`.
    pub(crate) fn restore(self) -> Finished {
        let report = self.report();
        finish(self.command("restore", &report), &report)
    }

    /// `hotcrate save`.
    pub(crate) fn save(self) -> Finished {
        let report = self.report();
        finish(self.command("save", &report), &report)
    }

    /// `hotcrate replay`, which writes no report.
    pub(crate) fn replay(self) -> Finished {
        let nowhere = self.sandbox.path("no-report");
        finish(self.invocation("replay"), &nowhere)
    }

    /// `hotcrate plan`, which writes no report.
    pub(crate) fn plan(self) -> Finished {
        self.look("plan")
    }

    /// A subcommand that runs nothing and writes no report of a run.
    pub(crate) fn look(self, subcommand: &str) -> Finished {
        let nowhere = self.sandbox.path("no-report");
        finish(self.invocation(subcommand), &nowhere)
    }

    /// `hotcrate doctor`, which writes no report here.
    pub(crate) fn doctor(self) -> Finished {
        let nowhere = self.sandbox.path("no-report");
        finish(self.invocation("doctor"), &nowhere)
    }

    /// The command line of `hotcrate <subcommand>`, with a report at `report`: for tests that start it themselves.
    pub(crate) fn command(&self, subcommand: &str, report: &Path) -> Command {
        let mut command = self.invocation(subcommand);
        command.arg("--report").arg(report);
        command
    }

    /// A path for a report of its own.
    pub(crate) fn report(&self) -> PathBuf {
        let number = REPORTS.fetch_add(1, Ordering::Relaxed);
        self.sandbox.path(format!("report-{number}.json"))
    }

    fn invocation(&self, subcommand: &str) -> Command {
        let mut command = self
            .sandbox
            .build(env!("CARGO_BIN_EXE_hotcrate"), &self.directory);
        command.arg(subcommand).args(&self.options);
        if let Some(store) = &self.store {
            command.arg("--store").arg(store);
        }
        for (name, value) in &self.variables {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        command
    }
}

fn finish(mut command: Command, report: &Path) -> Finished {
    let output = command.output().unwrap();
    Finished::new(&output, report)
}

/// A hotcrate that has ended.
pub(crate) struct Finished {
    pub(crate) status: ExitStatus,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    /// Cargo's part of standard error.
    pub(crate) build: Build,
    report: Option<Report>,
}

impl Finished {
    pub(crate) fn new(output: &Output, report: &Path) -> Self {
        let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
        Self {
            status: output.status,
            stdout: String::from_utf8_lossy(&output.stdout).into_owned(),
            build: Build::parse(&stderr),
            stderr,
            report: report.exists().then(|| {
                let text = fs::read_to_string(report).unwrap();
                serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"))
            }),
        }
    }

    /// Fails the test unless it succeeded.
    #[track_caller]
    pub(crate) fn success(self) -> Self {
        assert!(self.status.success(), "{}\n{}", self.status, self.stderr);
        self
    }

    /// The exit code, where there is one.
    pub(crate) fn code(&self) -> Option<i32> {
        self.status.code()
    }

    /// The report that was written.
    #[track_caller]
    pub(crate) fn report(&self) -> &Report {
        self.report
            .as_ref()
            .unwrap_or_else(|| panic!("no report was written:\n{}", self.stderr))
    }

    /// hotcrate's own warnings, not Cargo's.
    pub(crate) fn warnings(&self) -> Vec<&str> {
        self.stderr
            .lines()
            .filter(|line| line.starts_with("hotcrate: warning"))
            .collect()
    }

    /// Fails the test unless no registry or git package was compiled, but for those that the report explains, and
    /// unless there were such packages at all.
    #[track_caller]
    pub(crate) fn warm(self) -> Self {
        let cold: Vec<_> = self
            .build
            .compiled_dependencies()
            .into_iter()
            .filter(|package| !self.report().explains_rebuilding(&package.name))
            .collect();
        assert!(
            cold.is_empty(),
            "compiled without need: {cold:?}\n{}",
            self.stderr
        );
        assert!(
            !self.build.fresh_dependencies().is_empty(),
            "no dependency was looked at:\n{}",
            self.stderr
        );
        self
    }
}
