//! The command line: names and help of its options, and nothing else. What they mean is in [`crate::settings`].

use std::{ffi::OsString, path::PathBuf};

use clap::{
    Args, Parser, Subcommand, ValueEnum,
    builder::{FalseyValueParser, OsStringValueParser, TypedValueParser as _},
};

use crate::time_limits::{
    CALL_TIMEOUT, CONNECT_TIMEOUT, RESTORE_TIMEOUT, SAVE_TIMEOUT, STALL_TIMEOUT, TOOL_TIMEOUT,
};

/// What `--version` says. `dist/build.sh` adds the digest of the sources that a binary was made from.
const VERSION: &str = match option_env!("HOTCRATE_BUILD_VERSION") {
    Some(version) => version,
    None => env!("CARGO_PKG_VERSION"),
};

/// Keeps Rust builds warm: restores what Cargo downloaded and compiled, and saves it again.
#[derive(Debug, Parser)]
#[command(version = VERSION, about, max_term_width = 100)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Restores, runs a command, and saves if it succeeded. Exits with the command's own status.
    Run(RunArguments),
    /// Restores what is stored for this project.
    Restore(CommonArguments),
    /// Lets sources that were generated since `hotcrate restore` count as what they were when the restored crates were
    /// compiled. Run it right before Cargo.
    Replay(CommonArguments),
    /// Saves what has become new since `hotcrate restore`.
    Save(CommonArguments),
    /// Prints every tier's key and what is behind it, and whether a run would save. Touches nothing.
    Plan(PlanArguments),
    /// Explains which units the last build compiled, why, and what makes units dirty without need. Changes nothing.
    Doctor(PlanArguments),
    /// Prints how full a repository's caches are, of what, what goes next, and what to do about it.
    Report(ReportArguments),
    /// Deletes entries that newer ones took the place of, or that nobody can restore.
    Gc(GcArguments),
    /// Tells how two entries differ, or how what is stored differs from what this project asks for.
    Explain(ExplainArguments),
    /// Prints which target directory this checkout should build in, so that checkouts of one project don't build into
    /// each other's.
    TargetDir(TargetDirArguments),
    /// Puts in place what a command builds if it was built before from the same sources, and else runs it and stores
    /// that.
    Artifact(ArtifactArguments),
    /// Deletes what is of no use any more on this machine: target directories of checkouts that are gone, stale units,
    /// and with an age or a size more. Prints the plan first.
    Clean(CleanArguments),
    /// What `dist/launcher.cjs` calls on a runner: settings come from the action's inputs.
    #[command(hide = true)]
    Action(ActionArguments),
}

/// Options of `action`.
#[derive(Debug, Args)]
pub struct ActionArguments {
    /// Which half of the action's step to run.
    #[arg(value_enum)]
    pub stage: Stage,
}

/// The halves of an action's step.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Stage {
    /// Where the step stands in the job.
    Main,
    /// At the job's end.
    Post,
}

/// Options of `run`.
#[derive(Debug, Args)]
pub struct RunArguments {
    /// Options of every subcommand.
    #[command(flatten)]
    pub common: CommonArguments,
    /// Which target directory to build in: `auto`, `shared` or `isolated`, as of `target-dir` [default: the project's
    /// own].
    #[arg(
        long,
        value_name = "MODE",
        env = "HOTCRATE_TARGET_MODE",
        default_value = "",
        hide_default_value = true
    )]
    pub target_mode: String,
    /// Folders whose checkouts get a target directory of their own with `auto`: patterns as in .gitignore, one a line.
    #[arg(
        long,
        value_name = "LINES",
        env = "HOTCRATE_WORKTREE_PATTERNS",
        default_value = "",
        hide_default_value = true
    )]
    pub worktree_patterns: String,
    /// What to do while another run builds in that directory: `wait`, or take an `isolated` one.
    #[arg(
        long,
        value_name = "WHAT",
        env = "HOTCRATE_IF_BUSY",
        default_value = "wait"
    )]
    pub if_busy: String,
    /// The command to run, with its arguments.
    #[arg(required = true, trailing_var_arg = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

/// Options of `target-dir`.
#[derive(Debug, Args)]
pub struct TargetDirArguments {
    /// Options of every subcommand.
    #[command(flatten)]
    pub common: CommonArguments,
    /// `shared`: the project's one warm directory. `isolated`: one for this worktree, or this branch, which starts with the
    /// dependencies of the shared one. `auto`: shared for the primary checkout; isolated for linked worktrees, folders
    /// that match `--worktree-patterns`, and in CI.
    #[arg(
        long,
        value_name = "MODE",
        env = "HOTCRATE_TARGET_MODE",
        default_value = "auto"
    )]
    pub mode: String,
    /// Folders whose checkouts get a directory of their own with `auto`: patterns as in .gitignore, one a line.
    #[arg(
        long,
        value_name = "LINES",
        env = "HOTCRATE_WORKTREE_PATTERNS",
        default_value = "",
        hide_default_value = true
    )]
    pub worktree_patterns: String,
    /// Print what a POSIX shell takes to have Cargo build there: `eval "$(hotcrate target-dir --shell)"`.
    #[arg(long, conflicts_with = "cargo_config")]
    pub shell: bool,
    /// Print what to put into `.cargo/config.toml`.
    #[arg(long)]
    pub cargo_config: bool,
}

/// Options of `clean`.
#[derive(Debug, Args)]
pub struct CleanArguments {
    /// Options of every subcommand.
    #[command(flatten)]
    pub common: CommonArguments,
    /// Print what would be deleted, and delete nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Delete also what nobody has used for this long, such as `14d`.
    #[arg(
        long,
        value_name = "DURATION",
        default_value = "",
        hide_default_value = true
    )]
    pub older_than: String,
    /// Delete every target directory and every stored entry of this project; the checkout's own target directory is
    /// left to `cargo clean`.
    #[arg(long)]
    pub all: bool,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `artifact`.
#[derive(Debug, Args)]
pub struct ArtifactArguments {
    /// Options of every subcommand.
    #[command(flatten)]
    pub common: CommonArguments,
    /// The files or directories that the command makes, relative to the project; again for each, or one a line.
    #[arg(long, value_name = "PATHS", required = true)]
    pub paths: Vec<String>,
    /// Files or directories that it reads although git ignores them, or that lie elsewhere; again for each, or one a line.
    #[arg(long, value_name = "PATHS")]
    pub include: Vec<String>,
    /// Let the commit count, and not only what it holds. Where a package shows signs of reading git it counts anyway.
    #[arg(long)]
    pub commit: bool,
    /// Run the command in any case.
    #[arg(long, env = "HOTCRATE_REBUILD", value_parser = FalseyValueParser::new())]
    pub rebuild: bool,
    /// The command to run, with its arguments.
    #[arg(required = true, trailing_var_arg = true, value_name = "CMD")]
    pub command: Vec<OsString>,
}

/// Options of `plan` and `doctor`.
#[derive(Debug, Args)]
pub struct PlanArguments {
    /// Options of every subcommand.
    #[command(flatten)]
    pub common: CommonArguments,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of `report`.
#[derive(Debug, Args)]
pub struct ReportArguments {
    /// Options of every subcommand.
    #[command(flatten)]
    pub common: CommonArguments,
    /// The repository on GitHub [default: on GitHub that of the run, elsewhere none: the directory of `--store`].
    #[arg(
        long,
        value_name = "OWNER/NAME",
        default_value = "",
        hide_default_value = true
    )]
    pub repo: String,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
    /// Write a page with charts to FILE.
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
    /// How much the repository may store, where somebody raised that from 10GB.
    #[arg(
        long,
        value_name = "SIZE",
        default_value = "",
        hide_default_value = true
    )]
    pub quota: String,
}

/// Options of `explain`.
#[derive(Debug, Args)]
pub struct ExplainArguments {
    /// Options of every subcommand.
    #[command(flatten)]
    pub common: CommonArguments,
    /// Keys of entries, or how they begin. Two are compared with each other, one with what this project asks for;
    /// without any, the newest entry of every tier is.
    #[arg(value_name = "KEY", num_args = 0..=2)]
    pub keys: Vec<String>,
    /// Compare the one key with the newest entry of its tier.
    #[arg(long, value_enum, value_name = "WHICH")]
    pub against: Option<Against>,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// What an entry can be compared with, beside another one that is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Against {
    /// The newest one.
    Latest,
}

/// Options of `gc`.
#[derive(Debug, Args)]
pub struct GcArguments {
    /// Options of every subcommand.
    #[command(flatten)]
    pub common: CommonArguments,
    /// The repository on GitHub [default: on GitHub that of the run, elsewhere none: the directory of `--store`].
    #[arg(
        long,
        value_name = "OWNER/NAME",
        default_value = "",
        hide_default_value = true
    )]
    pub repo: String,
    /// Print what would be deleted, and delete nothing.
    #[arg(long)]
    pub dry_run: bool,
    /// Delete entries whose keys begin with PREFIX, whoever stored them, in place of hotcrate's own.
    #[arg(
        long,
        value_name = "PREFIX",
        default_value = "",
        hide_default_value = true
    )]
    pub prefix: String,
    /// Print JSON.
    #[arg(long)]
    pub json: bool,
}

/// Options of every subcommand.
#[derive(Debug, Args)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a switch of its own on the command line"
)]
pub struct CommonArguments {
    /// The project's directory.
    #[arg(long, value_name = "DIR", default_value = ".")]
    pub project: PathBuf,

    /// Where entries live: `actions` (the cache service of GitHub Actions), `dir` (the platform's cache directory), a
    /// directory, or `auto` [default: auto, which is the cache service where the runner hands one down, else dir].
    // A parser that takes the empty value, which a variable of CI that is not set comes as.
    #[arg(
        long,
        value_name = "STORE",
        env = "HOTCRATE_STORE",
        value_parser = OsStringValueParser::new().map(PathBuf::from)
    )]
    pub store: Option<PathBuf>,

    /// Write what happened to FILE, as JSON.
    #[arg(long, value_name = "FILE")]
    pub report: Option<PathBuf>,

    /// How large the store may grow before the entries used longest ago are deleted [default: 10GiB].
    #[arg(
        long,
        value_name = "SIZE",
        env = "HOTCRATE_MAX_SIZE",
        default_value = "",
        hide_default_value = true
    )]
    pub max_size: String,

    /// Cargo workspaces, one a line: `DIR` or `DIR -> TARGET`, relative to the project.
    #[arg(long, value_name = "LINES", default_value = ".")]
    pub workspaces: String,

    /// Which tiers to use: a list of registry, deps, workspace, sccache, tools, extra.
    #[arg(
        long,
        value_name = "TIERS",
        default_value = "registry,deps,workspace,sccache,tools,extra"
    )]
    pub tiers: String,

    /// Whether workspace crates are cached: `auto`, or `off`.
    #[arg(long, value_name = "MODE", default_value = "auto")]
    pub workspace_crates: String,

    /// Store the compiler's incremental caches with the workspace crates.
    #[arg(long)]
    pub incremental: bool,

    /// When build scripts of restored workspace crates run again although nothing that they declare changed: `auto` where
    /// they declare nothing or show signs of reading git, the clock or undeclared variables, `always`, or `never`.
    #[arg(long, value_name = "MODE", default_value = "auto")]
    pub build_scripts: String,

    /// Whether to compile through sccache: `auto` if it is on PATH; `true` fetches a release where it is not; `false`; or
    /// the path of a program.
    #[arg(
        long,
        value_name = "SCCACHE",
        env = "HOTCRATE_SCCACHE",
        default_value = "auto"
    )]
    pub sccache: String,

    /// A name that stands in the key in place of workflow, job and matrix.
    #[arg(long, value_name = "NAME", default_value = "")]
    pub shared_key: String,

    /// More environment variables that change what is built: names, separated by spaces or commas.
    #[arg(long, value_name = "NAMES", default_value = "")]
    pub env_vars: String,

    /// More directories to cache, one a line.
    #[arg(long, value_name = "LINES", default_value = "")]
    pub cache_directories: String,

    /// Save also when the command failed.
    #[arg(long)]
    pub cache_on_failure: bool,

    /// Whether to save at all: `true` saves on every branch and for pull requests too, `false` never [default: on
    /// GitHub, on the default branch only; elsewhere always].
    #[arg(
        long,
        value_name = "BOOL",
        default_value = "",
        hide_default_value = true
    )]
    pub save_if: String,

    /// The share of an entry's compile seconds, in percent, that must be new for it to be saved again.
    #[arg(long, value_name = "PERCENT", default_value = "10")]
    pub save_threshold: String,

    /// How long to wait for what.
    #[command(flatten)]
    pub timeouts: TimeoutArguments,

    /// Let trouble with the cache fail the command.
    #[arg(long)]
    pub strict: bool,

    /// Say nothing but warnings and errors.
    #[arg(long, short, conflicts_with = "verbose")]
    pub quiet: bool,

    /// Say more.
    #[arg(long, short)]
    pub verbose: bool,
}

/// Limits in time. Each is a duration, `5m`, or a number of seconds.
#[derive(Debug, Args)]
pub struct TimeoutArguments {
    /// How long a restore may take before it is given up: `5m`, or a number of seconds.
    #[arg(long, value_name = "DURATION", default_value = RESTORE_TIMEOUT.default)]
    pub restore_timeout: String,

    /// How long a save may take before it is given up.
    #[arg(long, value_name = "DURATION", default_value = SAVE_TIMEOUT.default)]
    pub save_timeout: String,

    /// How long a connection to a server may take to come about.
    #[arg(long, value_name = "DURATION", default_value = CONNECT_TIMEOUT.default)]
    pub connect_timeout: String,

    /// How long a server may take to answer a question.
    #[arg(long, value_name = "DURATION", default_value = CALL_TIMEOUT.default)]
    pub call_timeout: String,

    /// How long a transfer may stand still.
    #[arg(long, value_name = "DURATION", default_value = STALL_TIMEOUT.default)]
    pub stall_timeout: String,

    /// How long cargo, rustc or git may take to answer a question.
    #[arg(long, value_name = "DURATION", default_value = TOOL_TIMEOUT.default)]
    pub tool_timeout: String,
}
