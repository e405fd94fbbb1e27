//! What makes units dirty with every build, and what to do about it. Pure: each rule looks at the facts and finds
//! something, or nothing.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::{InputStates, MadeNew, Rebuilt, Snapshot, rules};
use crate::archive::path::RelativePath;

/// What is known after a build.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The records of all units that are there.
    pub units: &'a Snapshot,
    /// Those that the build compiled, and why.
    pub rebuilt: &'a [Rebuilt],
    /// What the replay before it made new, by package.
    pub made_new: &'a BTreeMap<String, Vec<MadeNew>>,
    /// What lies at the paths that units of path packages say they read.
    pub inputs: &'a InputStates,
    /// Where the target directories lie, by name.
    pub targets: &'a BTreeMap<RelativePath, PathBuf>,
    /// The project's directory, absolute.
    pub project: &'a Path,
    /// CARGO_HOME, absolute.
    pub cargo_home: &'a Path,
    /// The time, in nanoseconds since the Unix epoch.
    pub now: u64,
    /// Whether this is a run of CI.
    pub is_ci: bool,
    /// Whether Cargo left files for incremental compilation.
    pub is_incremental: bool,
    /// The lockfiles, and how git has them.
    pub lockfiles: &'a [LockfileState],
}

/// A Cargo.lock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LockfileState {
    /// Where it lies, or would, relative to the project.
    pub path: String,
    /// What git says of it.
    pub state: LockfileKind,
}

/// How a lockfile stands to what is committed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LockfileKind {
    /// It is as it was committed, or git can't tell.
    Committed,
    /// It was changed since.
    Modified,
    /// It is not in git, though the project is.
    Untracked,
    /// It is not there.
    Missing,
}

/// Something that costs compilations, and what to do about it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Diagnosis {
    /// The rule that found it.
    pub rule: String,
    /// What was found, in one sentence without a stop.
    pub finding: String,
    /// What to do about it, in one or two sentences.
    pub advice: String,
}

/// A rule: what it finds, each with its advice.
type Rule = fn(&Facts<'_>) -> Vec<(String, String)>;

/// The rules by their names, in the order in which their findings are told.
const RULES: [(&str, Rule); 14] = [
    ("temporary-variable", rules::temporary_variable),
    ("missing-input", rules::missing_input),
    ("output-as-input", rules::output_as_input),
    ("written-input", rules::written_input),
    ("no-inputs-declared", rules::no_inputs_declared),
    ("undeclared-reads", rules::undeclared_reads),
    ("lockfile", rules::lockfile),
    ("cargo-home-moved", rules::cargo_home_moved),
    ("paths-in-flags", rules::paths_in_flags),
    ("alternating-flags", rules::alternating_flags),
    ("alternating-features", rules::alternating_features),
    ("alternating-toolchains", rules::alternating_toolchains),
    ("future-times", rules::future_times),
    ("incremental", rules::incremental),
];

/// Everything that the rules find.
pub fn diagnose(facts: &Facts<'_>) -> Vec<Diagnosis> {
    RULES
        .iter()
        .flat_map(|(name, rule)| {
            rule(facts).into_iter().map(|(finding, advice)| Diagnosis {
                rule: (*name).to_owned(),
                finding,
                advice,
            })
        })
        .collect()
}
