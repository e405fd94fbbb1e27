//! Units: what Cargo compiled, read off a target directory.
//!
//! Both of Cargo's layouts are read, told apart by looking at each profile directory and not by a version. Reading
//! changes nothing; it stats files and reads fingerprints and `.d` files, but takes access times of a file before
//! it reads that file. A target directory that cannot be understood in part yields the units that can be.

pub mod embedded_path;

use std::{
    path::PathBuf,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use crate::archive::path::RelativePath;

/// Which of Cargo's layouts a profile directory has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// `.fingerprint/<package>-<hash>`, `deps/*-<hash>*`, `build/<package>-<hash>`.
    V1,
    /// `build/<package>/<hash>/{fingerprint,out,run,…}`.
    V2,
}

/// What names a unit within one target directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct UnitId {
    /// The profile directory, relative to the target directory: `debug`, `x86_64-unknown-linux-musl/release`.
    pub profile: RelativePath,
    /// The package's name.
    pub package: String,
    /// The 16 hexadecimal digits that Cargo tells units of one package apart by.
    pub hash: String,
}

/// What a unit is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnitKind {
    /// A library, compiled with code.
    Library,
    /// A library or binary that was only checked: metadata and no code.
    Check,
    /// A procedural macro.
    ProcMacro,
    /// A build script, compiled.
    BuildScript,
    /// A run of a build script: what it printed and wrote.
    BuildScriptRun,
    /// An executable: binary, example.
    Executable,
    /// A test or benchmark executable.
    Test,
    /// Documentation.
    Doc,
}

/// Where a unit's sources lie. Names are never looked at.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Origin {
    /// Below `$CARGO_HOME/registry/src/<index>/<name>-<version>`: the last two parts of it.
    Registry {
        /// The registry's directory, such as `index.crates.io-1949cf8c6b5b557f`.
        index: String,
        /// `<name>-<version>` as the directory is called.
        package: String,
    },
    /// Below `$CARGO_HOME/git/checkouts/<repository>/<revision>`.
    Git {
        /// The checkout's directory, such as `serde-6b3d8a2f1c0e9d75`.
        repository: String,
        /// The short revision.
        revision: String,
    },
    /// Anywhere else: path packages, vendored sources. Also where nothing tells.
    Elsewhere,
}

impl Origin {
    /// Whether the unit belongs to the `deps` tier.
    pub fn is_cargo_home(&self) -> bool {
        !matches!(self, Self::Elsewhere)
    }
}

/// What Cargo recorded of a unit in its fingerprint's JSON, as far as it tells units apart.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fingerprint {
    /// The value in the fingerprint's hash file, in hexadecimal as Cargo writes it.
    pub value: String,
    /// Cargo's number for the compiler.
    pub rustc: u64,
    /// The enabled features, as Cargo lists them.
    pub features: String,
    /// Cargo's number for the target of the package.
    pub target: u64,
    /// Cargo's number for the profile.
    pub profile: u64,
    /// Cargo's number for the platform that is compiled for.
    pub compile_kind: u64,
    /// Name of each dependency, and the fingerprint value it had, in hexadecimal as in `value`.
    pub deps: Vec<(String, String)>,
}

/// One file or link of a unit, or of a target directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitFile {
    /// Where it lies, relative to the target directory.
    pub path: RelativePath,
    /// Its size in bytes.
    pub bytes: u64,
    /// Device and inode, where the platform has them: equal ones are hard links of each other.
    pub inode: Option<(u64, u64)>,
    /// Whether Cargo takes it as the sign that the unit is complete: such files go in place last.
    pub is_fingerprint: bool,
}

/// One compiled unit, with all of its files.
#[derive(Clone, Debug)]
pub struct Unit {
    /// Its name within the target directory.
    pub id: UnitId,
    /// The layout it was read from.
    pub layout: Layout,
    /// What it is for.
    pub kind: UnitKind,
    /// Where its sources lie.
    pub origin: Origin,
    /// What Cargo recorded of it, if that could be read.
    pub fingerprint: Option<Fingerprint>,
    /// Its files, directories left out, the fingerprint's last. Uplifted hard links are among them.
    pub files: Vec<UnitFile>,
    /// When it was compiled: the modification time of its fingerprint's hash file.
    pub compiled_at: SystemTime,
    /// How long it took to compile, from Cargo's own time stamps, if those are there.
    pub compile_time: Option<Duration>,
    /// The newest access time of its fingerprint's hash file before hotcrate read it.
    pub accessed_at: SystemTime,
}

/// Everything in one target directory that is worth storing.
#[derive(Clone, Debug)]
pub struct TargetTree {
    /// The target directory, absolute.
    pub directory: PathBuf,
    /// Its units, sorted by name.
    pub units: Vec<Unit>,
    /// Files that belong to no unit but to the directory: `CACHEDIR.TAG`, `.rustc_info.json`.
    pub shared: Vec<UnitFile>,
    /// Final artefacts of no single unit, such as `doc/`: they go with the `workspace` tier.
    pub artefacts: Vec<UnitFile>,
}
