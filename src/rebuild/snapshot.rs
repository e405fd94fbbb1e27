//! What Cargo's fingerprints say of the units in target directories, kept apart from them: Cargo overwrites its
//! records of a unit when it compiles it.

use std::{collections::BTreeMap, path::PathBuf};

use serde::{Deserialize, Serialize};

use super::{MadeNew, Value};
use crate::{
    archive::path::RelativePath,
    unit::{UnitId, UnitKind},
};

/// The records of all target directories at one time.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Snapshot {
    /// Every root by its name, with its units, sorted by their names.
    pub roots: BTreeMap<RelativePath, RootSnapshot>,
}

/// The records of one target directory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootSnapshot {
    /// The complete units, sorted by their names.
    pub units: Vec<UnitSnapshot>,
    /// `<package>-<hash>` of the units that were there without an output, or without a part of their fingerprint.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub incomplete: Vec<String>,
}

/// The records of one unit. Names on the wire are short: there may be a thousand of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitSnapshot {
    /// The unit's name within its target directory.
    #[serde(flatten)]
    pub id: UnitId,
    /// What it is for.
    pub kind: UnitKind,
    /// The version of a package from a registry, or the revision of one from git.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// The directory of its package, absolute; `None` for one in CARGO_HOME, whose files Cargo does not check, and
    /// where that can't be told.
    #[serde(rename = "root", default, skip_serializing_if = "Option::is_none")]
    pub package_root: Option<PathBuf>,
    /// When it was compiled, in nanoseconds since the Unix epoch.
    #[serde(rename = "at")]
    pub compiled_at: u64,
    /// Its targets: nearly always one.
    pub targets: Vec<TargetSnapshot>,
}

/// Cargo's record of one target of a unit, with what its dep-info or its build script's output says.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetSnapshot {
    /// The name of the fingerprint's file: `lib-serde`, `test-integration-test-it`.
    pub name: String,
    /// The fingerprint's value, as its file has it.
    pub value: String,
    /// Cargo's number for the compiler; 0 where the fingerprint's JSON could not be read.
    pub rustc: u64,
    /// The enabled features.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub features: Vec<String>,
    /// 8 hexadecimal digits that stand for the features that the manifest declares.
    #[serde(rename = "declared")]
    pub declared_features: String,
    /// Cargo's number for the target's settings in the manifest.
    pub target: u64,
    /// Cargo's number for the profile.
    pub profile: u64,
    /// Cargo's number for the path of the crate's root: absolute for packages outside the workspace.
    pub path: u64,
    /// Cargo's number for further configuration.
    pub config: u64,
    /// Cargo's number for the platform that is compiled for.
    #[serde(rename = "for")]
    pub compile_kind: u64,
    /// RUSTFLAGS, or RUSTDOCFLAGS, as they were given.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub rustflags: Vec<String>,
    /// The name of each dependency as the crate knows it, and the value that its fingerprint had.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub deps: Vec<(String, String)>,
    /// Files that it says it reads, relative to its package or absolute. Those of a build script may be directories.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub files: Vec<String>,
    /// Files that it says it reads, relative to the target directory or absolute.
    #[serde(rename = "made", default, skip_serializing_if = "Vec::is_empty")]
    pub made_files: Vec<String>,
    /// Variables that it says it reads, with what may be kept of their values; `None` where one was not set.
    #[serde(rename = "vars", default, skip_serializing_if = "BTreeMap::is_empty")]
    pub variables: BTreeMap<String, Option<Value>>,
    /// What stands for all files of the package, where nothing tells which it reads: build scripts that declare
    /// nothing, and documentation. For path packages the newest modification time with the file that has it, as
    /// `<seconds>.<nanoseconds>s (<file>)`.
    #[serde(rename = "whole", default, skip_serializing_if = "Option::is_none")]
    pub whole_package: Option<String>,
    /// The time that no input may be newer than, in nanoseconds since the Unix epoch.
    #[serde(rename = "since", default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<u64>,
}

/// What is known before a build, to explain it by afterwards.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Baseline {
    /// The records of what was there.
    pub records: Snapshot,
    /// What the replay made new, by package.
    #[serde(default)]
    pub made_new: BTreeMap<String, Vec<MadeNew>>,
    /// Where it comes from.
    #[serde(default)]
    pub basis: Basis,
}

/// What a build is compared with.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Basis {
    /// What was restored, and what was there besides.
    Entry,
    /// What was there, with nothing restored.
    Directory,
    /// Older units of the same directory: what the build overwrote, nobody took down.
    #[default]
    OlderUnits,
}

impl RootSnapshot {
    /// The records of the unit `id`, if it is there.
    pub fn unit(&self, id: &UnitId) -> Option<&UnitSnapshot> {
        let at = self.units.binary_search_by(|unit| unit.id.cmp(id)).ok()?;
        self.units.get(at)
    }
}

impl Snapshot {
    /// Whether no unit is in it.
    pub fn is_empty(&self) -> bool {
        self.roots.values().all(|root| root.units.is_empty())
    }
}

impl UnitSnapshot {
    /// The files that it says it reads, absolute; `target` is its target directory.
    pub fn inputs(&self, target: &std::path::Path) -> Vec<PathBuf> {
        let mut inputs = Vec::new();
        for record in &self.targets {
            if let Some(root) = &self.package_root {
                inputs.extend(record.files.iter().map(|file| root.join(file)));
            }
            inputs.extend(record.made_files.iter().map(|file| target.join(file)));
        }
        inputs
    }

    /// The value of each of its fingerprints.
    pub fn values(&self) -> impl Iterator<Item = &str> {
        self.targets.iter().map(|target| target.value.as_str())
    }
}
