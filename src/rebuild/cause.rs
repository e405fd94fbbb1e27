//! Why a unit was compiled, in words that people use.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Basis, ValueChange};

/// Longer lists than this are cut.
const MOST_LISTED: usize = 6;
const LONGEST_FLAG: usize = 60;

/// Why everything is compiled where nothing was there before.
pub const NOTHING_RESTORED: &str = "nothing was restored";

/// Something that made Cargo compile a unit, found in the unit's own records.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Cause {
    /// No entry was restored.
    NothingRestored,
    /// There was nothing to compare with.
    New {
        /// What it is compared with.
        basis: Basis,
    },
    /// Another build of the same target was there, and used as well.
    OneMore {
        /// In what they differ.
        differs: String,
    },
    /// Something of it was there, and not all.
    Incomplete,
    /// Its package has another version, or revision.
    Version {
        /// The earlier one.
        old: String,
        /// The later one.
        new: String,
    },
    /// Nothing that Cargo records of it differs, and yet it goes by another hash.
    Identity,
    /// Another compiler.
    Toolchain,
    /// Other features are enabled.
    Features {
        /// Those that were not.
        added: Vec<String>,
        /// Those that are not any more.
        removed: Vec<String>,
    },
    /// The manifest declares other features.
    DeclaredFeatures,
    /// The manifest says something else of the target: its name, kind, edition.
    TargetSettings,
    /// The sources lie elsewhere.
    SourcePath {
        /// Whether they lie in CARGO_HOME.
        in_cargo_home: bool,
    },
    /// Other settings of the profile, or other arguments after `--` of `cargo rustc`.
    Profile,
    /// Other flags.
    Flags {
        /// Those that were not given.
        added: Vec<String>,
        /// Those that are not given any more.
        removed: Vec<String>,
    },
    /// Other configuration.
    Configuration,
    /// Another platform is compiled for.
    Platform,
    /// A variable has another value.
    Variable {
        /// Its name.
        name: String,
        /// How it changed.
        change: ValueChange,
    },
    /// A file that it reads is newer than the unit.
    File {
        /// The file, as people know it.
        path: String,
    },
    /// A file that it reads is not there.
    MissingFile {
        /// The file, as people know it.
        path: String,
    },
    /// Its build script, or its documentation, is judged by all files of the package.
    WholePackage {
        /// The file that is newest, as people know it.
        path: Option<String>,
        /// Whether it is a build script that declares nothing.
        is_script: bool,
    },
    /// It has other dependencies.
    Dependencies {
        /// Those that it did not have.
        added: Vec<String>,
        /// Those that it does not have any more.
        removed: Vec<String>,
    },
    /// A dependency is another build, which this run did not make.
    OtherBuild {
        /// The dependency.
        name: String,
    },
    /// The replay made its sources new, or its build script run again.
    Replay {
        /// Why, in the guard's words.
        why: String,
    },
    /// Something else that the engine knows.
    Known {
        /// What it is.
        why: String,
    },
    /// The records tell nothing.
    Unknown,
}

impl Cause {
    /// Whether it says no more than that the unit was not there.
    pub(super) fn is_vague(&self) -> bool {
        matches!(
            self,
            Self::NothingRestored | Self::New { .. } | Self::OneMore { .. } | Self::Unknown
        )
    }

    /// Whether it is about the whole build, so that all units that have it belong together.
    pub(super) fn is_general(&self) -> bool {
        matches!(
            self,
            Self::NothingRestored
                | Self::New { .. }
                | Self::Toolchain
                | Self::SourcePath { .. }
                | Self::Profile
                | Self::Flags { .. }
                | Self::Configuration
                | Self::Platform
                | Self::Variable { .. }
                | Self::Known { .. }
                | Self::Unknown
        )
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingRestored => formatter.write_str(NOTHING_RESTORED),
            Self::New { basis } => formatter.write_str(match basis {
                Basis::Entry => "new: the entry that was restored does not have it",
                Basis::Directory => "new: it was not there before",
                Basis::OlderUnits => "compiled, and nobody took down what was there before",
            }),
            Self::OneMore { differs } => {
                write!(
                    formatter,
                    "one more build of it, beside the one that was there: {differs}"
                )
            }
            Self::Incomplete => formatter.write_str("its output was missing"),
            Self::Version { old, new } => write!(formatter, "new in Cargo.lock: {old} → {new}"),
            Self::Identity => {
                formatter.write_str("its version changed, or where its package comes from")
            }
            Self::Toolchain => formatter.write_str("toolchain changed"),
            Self::Features { added, removed } => {
                write!(formatter, "features changed: {}", signed(added, removed))
            }
            Self::DeclaredFeatures => formatter.write_str("the features in its manifest changed"),
            Self::TargetSettings => {
                formatter.write_str("its target's settings in its manifest changed")
            }
            Self::SourcePath {
                in_cargo_home: true,
            } => formatter.write_str("its sources lie elsewhere: CARGO_HOME moved"),
            Self::SourcePath {
                in_cargo_home: false,
            } => formatter.write_str("its sources lie elsewhere"),
            Self::Profile => formatter.write_str("profile changed"),
            Self::Flags { added, removed } => {
                write!(formatter, "rustflags changed: {}", signed(added, removed))
            }
            Self::Configuration => formatter.write_str("Cargo's configuration changed"),
            Self::Platform => formatter.write_str("the platform that is compiled for changed"),
            Self::Variable { name, change } => write!(formatter, "env {name} {change}"),
            Self::File { path } => write!(formatter, "{path} changed"),
            Self::MissingFile { path } => write!(formatter, "{path} is missing"),
            Self::WholePackage { path, is_script } => {
                if *is_script {
                    formatter.write_str("its build script declares no inputs and ")?;
                }
                match path {
                    Some(path) => write!(formatter, "{path} changed"),
                    None => formatter.write_str("its package changed"),
                }
            }
            Self::Dependencies { added, removed } => {
                write!(
                    formatter,
                    "dependencies changed: {}",
                    signed(added, removed)
                )
            }
            Self::OtherBuild { name } => {
                write!(formatter, "depends on another build of {name} than before")
            }
            Self::Replay { why } | Self::Known { why } => formatter.write_str(why),
            Self::Unknown => formatter.write_str(
                "Cargo's records do not tell: an output was missing, or older than another",
            ),
        }
    }
}

/// `+added -removed`, cut where it is long.
fn signed(added: &[String], removed: &[String]) -> String {
    let added = added.iter().map(|name| ('+', name));
    let removed = removed.iter().map(|name| ('-', name));
    let all: Vec<_> = added.chain(removed).collect();
    let mut words: Vec<_> = all
        .iter()
        .take(MOST_LISTED)
        .map(|(sign, name)| format!("{sign}{}", cut(name)))
        .collect();
    if all.len() > MOST_LISTED {
        words.push(format!("and {} more", all.len() - MOST_LISTED));
    }
    words.join(" ")
}

fn cut(text: &str) -> String {
    if text.chars().count() <= LONGEST_FLAG {
        return text.to_owned();
    }
    let start: String = text.chars().take(LONGEST_FLAG).collect();
    format!("{start}…")
}

/// Why the guard of the replay made a package new, or its build script run again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct MadeNew {
    /// What of the package it made new.
    pub what: NewPart,
    /// Why, in words.
    pub why: String,
}

/// What of a package the replay made new.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NewPart {
    /// The runs of its build script.
    Script,
    /// All of it.
    Package,
}
