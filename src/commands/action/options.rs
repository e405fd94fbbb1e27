//! What the inputs mean: the same [`Settings`] as of a command line, and what only the action has.

use std::{ffi::OsString, path::PathBuf};

use clap::Parser as _;
use secrecy::SecretString;
use serde_json::Value;

use crate::{
    cli::{Cli, Command, CommonArguments},
    commands::action::{artifacts, handover},
    engine::ArtifactRequest,
    environment::Environment,
    policy::JobStatus,
    runner::{INPUTS, InputError, Inputs, Meaning},
    settings::{Settings, SettingsError},
    tier::TierName,
};

/// Which halves of the work a step does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mode {
    /// Restore here, save at the job's end.
    Auto,
    /// Restore here, save nothing.
    Restore,
    /// Replay here what an earlier step restored.
    Replay,
    /// Save here.
    Save,
}

/// Checked inputs.
#[derive(Clone, Debug)]
pub(super) struct Options {
    /// Which halves of the work to do.
    pub(super) mode: Mode,
    /// What holds for a command line as well.
    pub(super) settings: Settings,
    /// What the job builds, where that may be built before.
    pub(super) artifacts: Option<ArtifactRequest>,
    /// How the job stands; `None` where the runner does not say.
    pub(super) job: Option<JobStatus>,
    /// Whether to delete what the job's new entries take the place of.
    pub(super) collects: bool,
    /// What the repository's entries are listed and deleted with, if there is anything.
    pub(super) token: Option<SecretString>,
    /// Variables to set for the rest of the job.
    pub(super) variables: Vec<(&'static str, String)>,
    /// What the user should know of the inputs.
    pub(super) notices: Vec<String>,
    /// Where the state between the halves lies.
    pub(super) handover: PathBuf,
}

/// An input that cannot be used.
#[derive(Debug, thiserror::Error)]
pub(super) enum OptionsError {
    /// One of the action's own.
    #[error("wrong input: {0}")]
    Input(#[from] InputError),
    /// One that a command line has as well. Options and inputs have the same names.
    #[error("wrong input: {}", .0.to_string().trim_start_matches("--"))]
    Settings(#[from] SettingsError),
    /// The command line that the inputs make is none. The tests prove that no input can bring this about.
    #[error("the inputs cannot be read: {0}")]
    CommandLine(String),
}

impl Options {
    /// Checks the inputs.
    pub(super) fn check(inputs: &Inputs, environment: &Environment) -> Result<Self, OptionsError> {
        let here = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("."));
        let mode = mode(inputs)?;
        let arguments = command_line(inputs)?;
        let mut settings = Settings::check(&arguments, &here, environment)?;
        name_job(inputs, &mut settings)?;
        settings.lookup_only = inputs.is_true("lookup-only")?;
        let place = handover::Place::of(inputs, &settings.project, environment);
        settings.report = Some(match inputs.text("report") {
            "" => place.report(),
            path => here.join(path),
        });
        Ok(Self {
            mode,
            settings,
            artifacts: artifacts::request(inputs)?,
            job: JobStatus::parse(inputs.text("job-status")),
            collects: inputs.is_true("gc")?,
            token: Some(inputs.text("token"))
                .filter(|token| !token.is_empty())
                .map(SecretString::from),
            variables: variables(inputs, environment)?,
            notices: notices(inputs)?,
            handover: place.state(),
        })
    }

    /// Makes the directory of the state and the report.
    pub(super) fn make_room(&self) -> anyhow::Result<()> {
        if let Some(directory) = self.handover.parent() {
            fs_err::create_dir_all(directory)?;
        }
        Ok(())
    }

    /// The environment that the rest of the job has, and in which tools are started: keys are made of that.
    pub(super) fn environment(&self, environment: &Environment) -> Environment {
        let environment = self.settings.time_limits.in_environment(environment);
        self.variables
            .iter()
            .fold(environment, |environment, (name, value)| {
                environment.with(*name, value)
            })
    }
}

fn mode(inputs: &Inputs) -> Result<Mode, InputError> {
    match inputs.text("mode") {
        "auto" => Ok(Mode::Auto),
        "restore" => Ok(Mode::Restore),
        "replay" => Ok(Mode::Replay),
        "save" => Ok(Mode::Save),
        other => Err(InputError::new(
            "mode",
            other,
            "`auto`, `restore`, `replay` or `save`",
        )),
    }
}

/// The options that the inputs stand for, checked by whoever checks a command line.
fn command_line(inputs: &Inputs) -> Result<CommonArguments, OptionsError> {
    let mut line: Vec<OsString> = vec!["hotcrate".into(), "restore".into()];
    let mut option = |name: &str, value: &str| line.push(format!("--{name}={value}").into());
    for input in INPUTS {
        let value = inputs.text(input.name);
        match input.meaning {
            Meaning::Option if !value.is_empty() => option(input.name, value),
            Meaning::Option | Meaning::Switch | Meaning::Own => {}
        }
    }
    option("tiers", &tiers(inputs)?);
    // A path with a blank in it cannot be written here, as it cannot for rust-cache.
    let directories: Vec<_> = inputs
        .text("cache-directories")
        .split_whitespace()
        .collect();
    option("cache-directories", &directories.join("\n"));
    match inputs.text("store") {
        "auto" => {}
        store => option("store", store),
    }
    for input in INPUTS {
        if input.meaning == Meaning::Switch && inputs.is_true(input.name)? {
            line.push(format!("--{}", input.name).into());
        }
    }
    let cli =
        Cli::try_parse_from(line).map_err(|error| OptionsError::CommandLine(error.to_string()))?;
    match cli.command {
        Command::Restore(arguments) => Ok(arguments),
        other => Err(OptionsError::CommandLine(format!("{other:?}"))),
    }
}

/// The tiers, without those that rust-cache's names for parts of its cache switch off.
fn tiers(inputs: &Inputs) -> Result<String, InputError> {
    let mut off = Vec::new();
    if inputs.switch("cache-targets")? == Some(false) {
        off.extend([TierName::Deps, TierName::Workspace]);
    }
    if inputs.switch("cache-workspace-crates")? == Some(false) {
        off.push(TierName::Workspace);
    }
    if inputs.switch("cache-bin")? == Some(false) {
        off.push(TierName::Tools);
    }
    let is_on = |name: &&str| off.iter().all(|tier| tier.as_str() != *name);
    let listed = inputs.text("tiers");
    let named: Vec<_> = listed
        .split(|character: char| character == ',' || character.is_whitespace())
        .filter(is_on)
        .collect();
    Ok(named.join(","))
}

fn name_job(inputs: &Inputs, settings: &mut Settings) -> Result<(), InputError> {
    let given = |name: &str| Some(inputs.text(name).to_owned()).filter(|text| !text.is_empty());
    let names = &mut settings.job_names;
    // The default of rust-cache: whoever moves over from it and had it written down means nothing by it.
    names.prefix = given("prefix-key").filter(|prefix| prefix != "v0-rust");
    names.key = given("key");
    names.key_alone = inputs.switch("add-job-id-key")? == Some(false);
    names.matrix = match inputs.text("matrix") {
        "" => None,
        text => Some(
            serde_json::from_str::<Value>(text)
                .map_err(|_| InputError::new("matrix", text, "the job's matrix as JSON"))?,
        ),
    };
    Ok(())
}

/// What to set for the rest of the job, where the user has not set it.
fn variables(
    inputs: &Inputs,
    environment: &Environment,
) -> Result<Vec<(&'static str, String)>, InputError> {
    let is_free = |names: &[&str]| names.iter().all(|name| environment.os(name).is_none());
    let mut variables = Vec::new();
    // What it makes is not cached, and it makes units larger and, in a job that builds once, later.
    let wants_it = inputs.is_true("incremental")?;
    if !wants_it && is_free(&["CARGO_INCREMENTAL", "CARGO_BUILD_INCREMENTAL"]) {
        variables.push(("CARGO_INCREMENTAL", "0".to_owned()));
    }
    match inputs.text("debuginfo") {
        "" => {}
        level @ ("none" | "line-directives-only" | "line-tables-only" | "limited" | "full") => {
            for name in ["CARGO_PROFILE_DEV_DEBUG", "CARGO_PROFILE_TEST_DEBUG"] {
                if is_free(&[name]) {
                    variables.push((name, level.to_owned()));
                }
            }
        }
        other => {
            let accepted =
                "`none`, `line-directives-only`, `line-tables-only`, `limited` or `full`";
            return Err(InputError::new("debuginfo", other, accepted));
        }
    }
    Ok(variables)
}

/// What stands in place of those inputs of rust-cache that mean nothing here.
fn notices(inputs: &Inputs) -> Result<Vec<String>, InputError> {
    let mut notices = Vec::new();
    if inputs.switch("add-rust-environment-hash-key")? == Some(false) {
        notices.push("add-rust-environment-hash-key: false has no effect: what another compiler made is of no use, and after a change of the lockfile the closest entry is restored anyway");
    }
    if inputs.is_true("cache-all-crates")? {
        notices.push("cache-all-crates: true has no effect: every crate that Cargo.lock names is kept, and no other is needed");
    }
    if inputs.text("cache-provider") != "github" {
        notices.push("cache-provider has no effect: `store` says where entries live");
    }
    if inputs.text("cmd-format") != "{0}" {
        notices.push("cmd-format has no effect: put cargo and rustc on PATH before this step");
    }
    Ok(notices.into_iter().map(str::to_owned).collect())
}
