//! Settings: what the options and inputs mean, checked once.
//!
//! Invariant: nothing behind this module sees an unchecked value. A wrong value is the user's to mend: one error
//! that names the setting, what was given, and what is accepted.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
};

use crate::{
    cli::{CommonArguments, TimeoutArguments},
    environment::Environment,
    freshness::BuildScripts,
    project::{WorkspaceLine, WorkspaceLineError, without_verbatim_prefix},
    sccache::SccacheSetting,
    tier::{
        TierName,
        extra::{self, ExtraError, ExtraRoots},
    },
    time_limits::{
        CALL_TIMEOUT, CONNECT_TIMEOUT, NoDuration, RESTORE_TIMEOUT, SAVE_TIMEOUT, STALL_TIMEOUT,
        TOOL_TIMEOUT, TimeLimits,
    },
};

/// The bound on the store unless the user sets one.
pub const DEFAULT_MAX_SIZE: &str = "10GiB";

/// How much is said while hotcrate works.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verbosity {
    /// Warnings and errors.
    Quiet,
    /// Those, and a few lines of what happens.
    Normal,
    /// Everything.
    Verbose,
}

/// What becomes of trouble with the cache.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureMode {
    /// One warning, and a cold build.
    Open,
    /// A failure of the command, for those who test their setup.
    Strict,
}

/// What tells this job's entries from those of others, beside what the runner says of the job.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct JobNames {
    /// Entries are good only for runs with the same prefix.
    pub prefix: Option<String>,
    /// One more name of the job.
    pub key: Option<String>,
    /// Whether workflow, job and matrix don't count: only `key` does.
    pub key_alone: bool,
    /// The values of the job's matrix.
    pub matrix: Option<serde_json::Value>,
}

/// Where entries live.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum StoreChoice {
    /// The cache service where the runner hands one down, else the platform's cache directory.
    Auto,
    /// The cache service of GitHub Actions, or one that speaks like it.
    Actions,
    /// A directory, absolute; `None` for the platform's cache directory.
    Directory(Option<PathBuf>),
}

/// Checked settings.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The project's directory, absolute, links resolved.
    pub project: PathBuf,
    /// Where entries live.
    pub store: StoreChoice,
    /// Where the JSON report goes, absolute.
    pub report: Option<PathBuf>,
    /// The bound on the store, in bytes.
    pub max_bytes: u64,
    /// The workspaces of the project.
    pub workspaces: Vec<WorkspaceLine>,
    /// The tiers in use.
    pub tiers: BTreeSet<TierName>,
    /// Whether incremental caches are stored with the workspace crates.
    pub incremental: bool,
    /// When build scripts of restored workspace crates run again.
    pub build_scripts: BuildScripts,
    /// Whether to use sccache, and which.
    pub sccache: SccacheSetting,
    /// What stands in for workflow, job and matrix.
    pub shared_key: Option<String>,
    /// What tells this job from others where `shared_key` does not.
    pub job_names: JobNames,
    /// Whether entries are only looked up, and none is restored.
    pub lookup_only: bool,
    /// Names of further environment variables that enter the key.
    pub env_vars: Vec<String>,
    /// Further directories to cache.
    pub cache_directories: ExtraRoots,
    /// Whether a failed command is saved after, too.
    pub cache_on_failure: bool,
    /// Whether to save in spite of the rules about branches and pull requests, or not at all; `None` for the rules.
    pub save_if: Option<bool>,
    /// The share of an entry's compile seconds, 0 to 1, that must be new for it to be saved again.
    pub save_threshold: f64,
    /// How long to wait for what.
    pub time_limits: TimeLimits,
    /// What becomes of trouble with the cache.
    pub failure_mode: FailureMode,
    /// How much is said.
    pub verbosity: Verbosity,
}

/// A setting with a value that it does not accept.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The project is no directory.
    #[error("--project {}: {reason}; it takes the directory of a Cargo project", path.display())]
    Project {
        /// The path as it was given.
        path: PathBuf,
        /// Why it cannot be used.
        reason: String,
    },
    /// A store that there is not.
    #[error("--store {value:?} is no store; it takes auto, actions, dir, or a directory")]
    Store {
        /// The value as it was given.
        value: String,
    },
    /// A size that cannot be read.
    #[error(
        "--max-size {value:?} is not a size; it takes a number and a unit, such as 500MB or 10GiB"
    )]
    MaxSize {
        /// The value as it was given.
        value: String,
    },
    /// An unknown tier.
    #[error("--tiers: {0}")]
    Tiers(#[from] crate::tier::UnknownTier),
    /// Neither of the ways of caching workspace crates.
    #[error("--workspace-crates {value:?} is neither of what it takes: auto or off")]
    WorkspaceCrates {
        /// The value as it was given.
        value: String,
    },
    /// None of the rules for build scripts.
    #[error("--build-scripts {value:?} is none of what it takes: auto, always or never")]
    BuildScripts {
        /// The value as it was given.
        value: String,
    },
    /// No program, and none of the words.
    #[error(
        "--sccache {value:?} is none of what it takes: auto, true, false, or the path of a program"
    )]
    Sccache {
        /// The value as it was given.
        value: String,
    },
    /// A line that names no workspace.
    #[error("--workspaces: {0}; it takes lines of the form DIR or DIR -> TARGET")]
    Workspaces(#[from] WorkspaceLineError),
    /// A directory that is not cached.
    #[error(
        "--cache-directories: {0}; it takes directories, one a line, that hold nothing but a cache"
    )]
    CacheDirectories(#[from] ExtraError),
    /// Neither yes nor no.
    #[error("--save-if {value:?} is neither of what it takes: true or false")]
    SaveIf {
        /// The value as it was given.
        value: String,
    },
    /// A share that is none.
    #[error("--save-threshold {value:?} is not a share; it takes a percentage from 0 to 100")]
    SaveThreshold {
        /// The value as it was given.
        value: String,
    },
    /// A duration that is none.
    #[error("--{0}")]
    TimeLimit(#[from] NoDuration),
    /// The name of an environment variable that cannot be one.
    #[error(
        "--env-vars: {name:?} cannot be the name of an environment variable; it takes names, separated by spaces or commas"
    )]
    EnvVars {
        /// The name as it was given.
        name: String,
    },
}

impl Settings {
    /// Checks the options. `current_directory` is what relative paths are relative to; `environment` says where the
    /// home directory is. Where a variable of CI that is not set may come as the empty text, that means the default.
    pub fn check(
        arguments: &CommonArguments,
        current_directory: &Path,
        environment: &Environment,
    ) -> Result<Self, SettingsError> {
        let absolute = |path: &PathBuf| current_directory.join(path);
        let project = check_project(&arguments.project, current_directory)?;
        let directories: Vec<_> = arguments
            .cache_directories
            .lines()
            .map(str::to_owned)
            .collect();
        let home = home(environment);
        Ok(Self {
            cache_directories: extra::roots(&directories, &project, home.as_deref())?,
            project,
            store: check_store(arguments.store.as_deref(), current_directory)?,
            report: arguments.report.as_ref().map(absolute),
            max_bytes: check_size(&arguments.max_size)?,
            workspaces: WorkspaceLine::parse_all(&arguments.workspaces)?,
            tiers: check_tiers(&arguments.tiers, &arguments.workspace_crates)?,
            incremental: arguments.incremental,
            build_scripts: check_build_scripts(&arguments.build_scripts)?,
            sccache: check_sccache(&arguments.sccache, current_directory)?,
            shared_key: Some(arguments.shared_key.trim())
                .filter(|name| !name.is_empty())
                .map(str::to_owned),
            job_names: JobNames::default(),
            lookup_only: false,
            env_vars: words(&arguments.env_vars)
                .map(check_env_name)
                .collect::<Result<_, _>>()?,
            cache_on_failure: arguments.cache_on_failure,
            save_if: check_save_if(&arguments.save_if)?,
            save_threshold: check_share(&arguments.save_threshold)?,
            time_limits: check_time_limits(&arguments.timeouts)?,
            failure_mode: if arguments.strict {
                FailureMode::Strict
            } else {
                FailureMode::Open
            },
            verbosity: match (arguments.quiet, arguments.verbose) {
                (true, _) => Verbosity::Quiet,
                (false, true) => Verbosity::Verbose,
                (false, false) => Verbosity::Normal,
            },
        })
    }
}

/// The words of a list that is separated by white space or commas.
fn words(list: &str) -> impl Iterator<Item = &str> {
    list.split(|character: char| character == ',' || character.is_whitespace())
        .filter(|word| !word.is_empty())
}

fn check_project(given: &Path, current_directory: &Path) -> Result<PathBuf, SettingsError> {
    let refused = |reason: String| SettingsError::Project {
        path: given.to_owned(),
        reason,
    };
    let path = current_directory.join(given);
    let path = fs_err::canonicalize(&path).map_err(|error| {
        refused(match error.kind() {
            std::io::ErrorKind::NotFound => "no such directory".to_owned(),
            _ => error.to_string(),
        })
    })?;
    if !path.is_dir() {
        return Err(refused("not a directory".to_owned()));
    }
    Ok(without_verbatim_prefix(path))
}

fn check_tiers(tiers: &str, workspace_crates: &str) -> Result<BTreeSet<TierName>, SettingsError> {
    let mut tiers: BTreeSet<TierName> = words(tiers).map(str::parse).collect::<Result<_, _>>()?;
    match workspace_crates.trim() {
        "" | "auto" => {}
        "off" => {
            tiers.remove(&TierName::Workspace);
        }
        _ => {
            return Err(SettingsError::WorkspaceCrates {
                value: workspace_crates.to_owned(),
            });
        }
    }
    Ok(tiers)
}

fn check_build_scripts(value: &str) -> Result<BuildScripts, SettingsError> {
    match value.trim() {
        "" | "auto" => Ok(BuildScripts::Auto),
        "always" => Ok(BuildScripts::Always),
        "never" => Ok(BuildScripts::Never),
        _ => Err(SettingsError::BuildScripts {
            value: value.to_owned(),
        }),
    }
}

fn check_store(
    given: Option<&Path>,
    current_directory: &Path,
) -> Result<StoreChoice, SettingsError> {
    let Some(given) = given.filter(|given| !given.as_os_str().is_empty()) else {
        return Ok(StoreChoice::Auto);
    };
    match given.to_str() {
        Some("auto") => Ok(StoreChoice::Auto),
        Some("actions") => Ok(StoreChoice::Actions),
        Some("dir") => Ok(StoreChoice::Directory(None)),
        Some(address) if address.contains("://") => Err(SettingsError::Store {
            value: address.to_owned(),
        }),
        _ => Ok(StoreChoice::Directory(Some(current_directory.join(given)))),
    }
}

/// What `~` stands for.
fn home(environment: &Environment) -> Option<PathBuf> {
    let name = if cfg!(windows) { "USERPROFILE" } else { "HOME" };
    environment.path(name)
}

/// A path is told from a misspelt word by its separator.
fn check_sccache(value: &str, current_directory: &Path) -> Result<SccacheSetting, SettingsError> {
    match value.trim() {
        "" | "auto" => Ok(SccacheSetting::Auto),
        "true" => Ok(SccacheSetting::On),
        "false" => Ok(SccacheSetting::Off),
        path if Path::new(path).components().count() > 1 => {
            Ok(SccacheSetting::At(current_directory.join(path)))
        }
        _ => Err(SettingsError::Sccache {
            value: value.to_owned(),
        }),
    }
}

fn check_save_if(value: &str) -> Result<Option<bool>, SettingsError> {
    match value.trim() {
        "" => Ok(None),
        "true" => Ok(Some(true)),
        "false" => Ok(Some(false)),
        _ => Err(SettingsError::SaveIf {
            value: value.to_owned(),
        }),
    }
}

fn check_size(value: &str) -> Result<u64, SettingsError> {
    let size = match value.trim() {
        "" => DEFAULT_MAX_SIZE,
        size => size,
    };
    parse_size(size).ok_or_else(|| SettingsError::MaxSize {
        value: value.to_owned(),
    })
}

/// Reads a size with its unit: bytes, but not none.
pub fn parse_size(text: &str) -> Option<u64> {
    let size = text.trim().parse::<bytesize::ByteSize>().ok()?;
    Some(size.as_u64()).filter(|bytes| *bytes > 0)
}

fn check_share(value: &str) -> Result<f64, SettingsError> {
    value
        .trim()
        .trim_end_matches('%')
        .parse::<f64>()
        .ok()
        .filter(|percent| (0.0..=100.0).contains(percent))
        .map(|percent| percent / 100.0)
        .ok_or_else(|| SettingsError::SaveThreshold {
            value: value.to_owned(),
        })
}

fn check_time_limits(given: &TimeoutArguments) -> Result<TimeLimits, NoDuration> {
    Ok(TimeLimits {
        restore: RESTORE_TIMEOUT.parse(&given.restore_timeout)?,
        save: SAVE_TIMEOUT.parse(&given.save_timeout)?,
        connect: CONNECT_TIMEOUT.parse(&given.connect_timeout)?,
        call: CALL_TIMEOUT.parse(&given.call_timeout)?,
        stall: STALL_TIMEOUT.parse(&given.stall_timeout)?,
        tool: TOOL_TIMEOUT.parse(&given.tool_timeout)?,
    })
}

fn check_env_name(name: &str) -> Result<String, SettingsError> {
    let plain = name
        .chars()
        .all(|character| character.is_ascii_alphanumeric() || character == '_');
    if plain && !name.starts_with(|first: char| first.is_ascii_digit()) {
        Ok(name.to_owned())
    } else {
        Err(SettingsError::EnvVars {
            name: name.to_owned(),
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser as _;

    use super::*;
    use crate::cli::{Cli, Command};

    fn check(options: &[&str]) -> Result<Settings, String> {
        let line = ["hotcrate", "restore"].iter().chain(options);
        let Command::Restore(arguments) = Cli::try_parse_from(line)
            .map_err(|error| error.to_string())?
            .command
        else {
            unreachable!("the line says restore");
        };
        let here = std::env::current_dir().expect("tests run somewhere");
        let home_name = if cfg!(windows) { "USERPROFILE" } else { "HOME" };
        let environment = Environment::from_iter([(home_name, here.join("home"))]);
        Settings::check(&arguments, &here, &environment).map_err(|error| error.to_string())
    }

    #[test]
    fn without_options_every_tier_is_used_and_ten_gibibytes_are_kept() {
        let settings = check(&[]).expect("no option is needed");
        assert_eq!(settings.tiers.len(), TierName::ALL.len());
        assert_eq!(settings.max_bytes, 10 << 30);
        assert!((settings.save_threshold - 0.1).abs() < f64::EPSILON);
        assert_eq!(settings.shared_key, None);
    }

    #[test]
    fn a_wrong_value_is_named_with_what_is_accepted() {
        let refused = |options: &[&str]| check(options).expect_err("the value is wrong");
        insta::assert_snapshot!(refused(&["--store", "s3://bucket"]), @r#"--store "s3://bucket" is no store; it takes auto, actions, dir, or a directory"#);
        insta::assert_snapshot!(refused(&["--max-size", "many"]), @r#"--max-size "many" is not a size; it takes a number and a unit, such as 500MB or 10GiB"#);
        insta::assert_snapshot!(refused(&["--max-size", "0"]), @r#"--max-size "0" is not a size; it takes a number and a unit, such as 500MB or 10GiB"#);
        insta::assert_snapshot!(refused(&["--tiers", "registry,dependencies"]), @r#"--tiers: unknown tier "dependencies": expected one of registry, deps, workspace, sccache, tools, extra"#);
        insta::assert_snapshot!(refused(&["--save-threshold", "lots"]), @r#"--save-threshold "lots" is not a share; it takes a percentage from 0 to 100"#);
        insta::assert_snapshot!(refused(&["--workspaces", "a\nb -> c -> d"]), @r#"--workspaces: line 2, "b -> c -> d", has more than one `->`; it takes lines of the form DIR or DIR -> TARGET"#);
        insta::assert_snapshot!(refused(&["--cache-directories", "data\n~"]), @"--cache-directories: ~ is the home directory or above it, and not something to cache; it takes directories, one a line, that hold nothing but a cache");
        insta::assert_snapshot!(refused(&["--workspace-crates", "on"]), @r#"--workspace-crates "on" is neither of what it takes: auto or off"#);
        insta::assert_snapshot!(refused(&["--build-scripts", "sometimes"]), @r#"--build-scripts "sometimes" is none of what it takes: auto, always or never"#);
        insta::assert_snapshot!(refused(&["--save-if", "maybe"]), @r#"--save-if "maybe" is neither of what it takes: true or false"#);
        insta::assert_snapshot!(refused(&["--restore-timeout", "soon"]), @r#"--restore-timeout "soon" is not a duration; it takes one above zero, such as 5m, 90s or 300 (seconds)"#);
        insta::assert_snapshot!(refused(&["--env-vars", "FOO=1"]), @r#"--env-vars: "FOO=1" cannot be the name of an environment variable; it takes names, separated by spaces or commas"#);
        insta::assert_snapshot!(refused(&["--project", "no/such/place"]), @"--project no/such/place: no such directory; it takes the directory of a Cargo project");
        insta::assert_snapshot!(refused(&["--project", "Cargo.toml"]), @"--project Cargo.toml: not a directory; it takes the directory of a Cargo project");
    }

    #[test]
    fn workspace_crates_can_be_left_alone() {
        let settings = check(&["--workspace-crates", "off"]).expect("it is a mode");
        assert!(!settings.tiers.contains(&TierName::Workspace));
        assert!(settings.tiers.contains(&TierName::Deps));
    }

    #[test]
    fn an_empty_value_is_none() {
        let settings = check(&[
            "--store=",
            "--max-size=",
            "--workspaces=",
            "--cache-directories=",
            "--save-if=",
        ])
        .expect("empty values stand for the defaults");
        assert_eq!(settings.store, StoreChoice::Auto);
        assert_eq!(settings.max_bytes, 10 << 30);
        assert_eq!(settings.workspaces, [WorkspaceLine::project()]);
        assert!(settings.cache_directories.roots.is_empty());
        assert_eq!(settings.save_if, None);
    }

    #[test]
    fn every_limit_in_time_can_be_set() {
        let limits = |limits: TimeLimits| {
            let limits = [
                ("restore", limits.restore),
                ("save", limits.save),
                ("connect", limits.connect),
                ("call", limits.call),
                ("stall", limits.stall),
                ("tool", limits.tool),
            ];
            limits.map(|(name, limit)| (name, limit.as_secs()))
        };
        let default = limits(check(&[]).expect("no option is needed").time_limits);
        assert_eq!(default.map(|(_, limit)| limit), [300, 600, 5, 15, 30, 60]);
        for (name, _) in default {
            let option = format!("--{name}-timeout=7s");
            let set = check(&[&option]).expect("it is a duration").time_limits;
            for ((_, before), (other, after)) in default.iter().zip(limits(set)) {
                assert_eq!(after, if other == name { 7 } else { *before }, "{other}");
            }
        }
    }

    #[rstest::rstest]
    #[case("auto", StoreChoice::Auto)]
    #[case("actions", StoreChoice::Actions)]
    #[case("dir", StoreChoice::Directory(None))]
    #[case("/srv/cache", StoreChoice::Directory(Some("/srv/cache".into())))]
    fn the_store_is_named_by_a_word_or_a_directory(
        #[case] value: &str,
        #[case] expected: StoreChoice,
    ) {
        let settings = check(&["--store", value]).expect("it is one");
        // Windows puts the drive before it.
        let here = std::env::current_dir().expect("tests run somewhere");
        let expected = match expected {
            StoreChoice::Directory(Some(directory)) => {
                StoreChoice::Directory(Some(here.join(directory)))
            }
            other => other,
        };
        assert_eq!(settings.store, expected);
    }

    #[test]
    fn a_directory_is_relative_to_where_hotcrate_runs() {
        let settings = check(&["--store", "./actions"]).expect("it is a directory");
        let here = std::env::current_dir().expect("tests run somewhere");
        assert_eq!(
            settings.store,
            StoreChoice::Directory(Some(here.join("./actions")))
        );
    }

    #[rstest::rstest]
    #[case("true", true)]
    #[case(" false\n", false)]
    fn saving_can_be_asked_for_and_forbidden(#[case] value: &str, #[case] expected: bool) {
        let settings = check(&["--save-if", value]).expect("it is a word for it");
        assert_eq!(settings.save_if, Some(expected));
    }

    #[test]
    fn directories_are_found_below_the_home_and_the_project() {
        let settings = check(&["--cache-directories", "data\n\n~/models"]).expect("both will do");
        let directories: Vec<_> = settings
            .cache_directories
            .roots
            .iter()
            .map(|root| root.directory.clone())
            .collect();
        let home = std::env::current_dir()
            .expect("tests run somewhere")
            .join("home");
        assert!(directories.contains(&settings.project.join("data")));
        assert!(directories.contains(&home.join("models")));
    }

    #[test]
    fn lists_are_separated_by_spaces_lines_or_commas() {
        let settings = check(&["--env-vars", "FOO, BAR\nBAZ"]).expect("these are names");
        assert_eq!(settings.env_vars, ["FOO", "BAR", "BAZ"]);
    }
}
