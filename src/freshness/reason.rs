//! Why something is compiled again, in words that people use.

use std::fmt;

use super::signs::Sign;

/// How a path differs from what was recorded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Change {
    /// Its content, or what it is.
    Changed,
    /// It was not there.
    Added,
    /// It is not there any more.
    Deleted,
}

impl fmt::Display for Change {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Changed => "changed",
            Self::Added => "was added",
            Self::Deleted => "was deleted",
        })
    }
}

/// Why a package is made new, or its build script runs again.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// A unit of the package names the path, so that Cargo sees the change itself.
    Source(String, Change),
    /// No unit of the package names the path, and it may be read all the same.
    Unnamed(String, Change),
    /// A procedural macro that the package uses may read the path.
    Macro {
        /// The path.
        path: String,
        /// What happened to it.
        change: Change,
        /// The package of the macro.
        used: String,
    },
    /// The macro may read git, and git's state is another one.
    MacroMayAskGit(String),
    /// The macro shows a sign of reading the clock, the machine or a variable.
    MacroSign(String, Sign),
    /// The macro lists directories, and a step before Cargo may put something there.
    UntilCargo(String),
    /// The build script may read the path, and does not declare it.
    Undeclared(String, Change),
    /// A file outside all sources differs.
    Outside(String),
    /// What a unit reads could not be told.
    NotUnderstood,
    /// The build script declares no inputs, and git's state is another one.
    DeclaresNothing,
    /// The build script shows a sign of reading something undeclared that is, or may be, another.
    Sign(Sign),
    /// `build-scripts: always`.
    Always,
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Source(path, change) => write!(formatter, "{path} {change}"),
            Self::Unnamed(path, change) => {
                write!(
                    formatter,
                    "{path} {change}, and no unit says whether it reads it"
                )
            }
            Self::Macro { path, change, used } => {
                write!(
                    formatter,
                    "{path} {change}, and its procedural macro {used} may read it"
                )
            }
            Self::MacroMayAskGit(used) => write!(
                formatter,
                "its procedural macro {used} may read git and HEAD changed"
            ),
            Self::MacroSign(used, Sign::Variable(name)) if name != "*" => {
                write!(
                    formatter,
                    "its procedural macro {used} reads env {name} untracked"
                )
            }
            Self::MacroSign(used, _) => write!(
                formatter,
                "its procedural macro {used} may read the clock or the environment"
            ),
            Self::UntilCargo(used) => write!(
                formatter,
                "its procedural macro {used} lists directories, and steps before Cargo may change them: \
                 `hotcrate replay` right before Cargo keeps it"
            ),
            Self::Undeclared(path, change) => {
                write!(
                    formatter,
                    "{path} {change}, and its build script does not declare what it reads"
                )
            }
            Self::Outside(path) => write!(formatter, "{path} changed, outside the sources"),
            Self::NotUnderstood => formatter.write_str("what it reads could not be told"),
            Self::DeclaresNothing => {
                formatter.write_str("its build script declares no inputs and HEAD changed")
            }
            Self::Sign(Sign::Git(what)) => {
                write!(
                    formatter,
                    "its build script may read git ({what}) and HEAD changed"
                )
            }
            Self::Sign(Sign::World(what)) => {
                write!(
                    formatter,
                    "its build script may read the clock or the machine ({what})"
                )
            }
            Self::Sign(Sign::Variable(name)) if name == "*" => formatter
                .write_str("its build script reads environment variables that it does not declare"),
            Self::Sign(Sign::Variable(name)) => {
                write!(
                    formatter,
                    "its build script reads env {name} and does not declare it"
                )
            }
            Self::Sign(
                Sign::Elsewhere(what)
                | Sign::Files(what)
                | Sign::Lists(what)
                | Sign::Manifests(what),
            ) => {
                write!(
                    formatter,
                    "its build script may read other packages ({what})"
                )
            }
            Self::Always => formatter.write_str("build-scripts is always"),
        }
    }
}
