//! Units: what Cargo compiled, read off a target directory.
//!
//! Both of Cargo's layouts are read, told apart by looking at each profile directory and not by a version. Reading
//! changes no content; it stats files and reads fingerprints and `.d` files, but takes access times of a file before
//! it reads that file. What cannot be understood is left out and named in [`TargetTree::left_out`] or
//! [`TargetTree::notes`]; the rest is read all the same.
//!
//! Invariant: every file below a target directory is in exactly one of a [`Unit`], `shared`, `artefacts` and
//! `left_out` (there, a directory stands for all that lies in it). A [`Unit`] is complete: Cargo's fingerprint says
//! so, and it has outputs.
//!
//! ```text
//! read ─▶ scan ─▶ draft ─▶ {fingerprint, source_roots} ─▶ Unit ─▶ {record, interface, access, shift}
//! ```

mod access;
mod dep_info;
mod draft;
mod embedded_path;
mod fingerprint;
mod interface;
mod profiles;
mod read;
mod record;
mod remove;
mod scan;
mod shift;
mod snapshot;
mod source_roots;

#[cfg(test)]
mod damage_tests;
#[cfg(all(test, unix))]
mod fixture;
#[cfg(all(test, unix))]
mod fixture_tests;

use std::{
    collections::BTreeSet,
    path::PathBuf,
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use crate::archive::path::RelativePath;

pub use access::{ARMED, AccessError, AccessTimes, arm, probe, put_back};
pub use dep_info::{
    Declared, DepInfo, crate_root, parse_dep_info, parse_output, prerequisites, with_more_files,
};
pub use embedded_path::{file_holds, holds_target_path};
pub use interface::{Interface, InterfaceError, interface};
pub use profiles::profile_directories;
pub use read::{ReadError, is_as_read, read_target};
pub use record::{UnitRecord, compiled_here, known_interfaces};
pub use remove::{RemoveError, remove_units};
pub use shift::{ShiftError, make_older};
pub use snapshot::{input_states, snapshot};
pub use source_roots::SourceRoots;

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
///
/// Cargo gives one hash to all documentation of a package, and, where file names carry no hash (dynamic libraries of
/// path packages; their executables for MSVC and emscripten), to those of its targets as well. They are one unit
/// here: they share a fingerprint directory and could not be told apart by name.
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
    /// A library, compiled with code; static and dynamic libraries too.
    Library,
    /// A library or binary that was only checked: metadata and no code.
    Check,
    /// A test or benchmark that was only checked.
    TestCheck,
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
    /// Documentation. Its output lies in `doc/`, which is no part of the unit.
    Doc,
}

impl UnitKind {
    /// The kind in words.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Library => "library",
            Self::Check => "check",
            Self::ProcMacro => "procedural macro",
            Self::BuildScript => "build script",
            Self::BuildScriptRun => "build script run",
            Self::Executable => "executable",
            Self::Test => "test",
            Self::TestCheck => "test check",
            Self::Doc => "documentation",
        }
    }
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

/// What lies at a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    /// A plain file.
    File,
    /// A symbolic link, which points nowhere out of the target directory.
    Link,
    /// A directory. Only those below a build script's `out` are listed: empty ones matter there.
    Directory,
}

/// One file, link or directory of a unit, or of a target directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnitFile {
    /// Where it lies, relative to the target directory.
    pub path: RelativePath,
    /// What it is.
    pub kind: FileKind,
    /// Its size in bytes; 0 unless it is a plain file.
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
    /// What Cargo recorded of it. Where its JSON could not be read, only `value` is there and `rustc` is 0.
    pub fingerprint: Option<Fingerprint>,
    /// What Cargo recorded of the other targets that share this unit's hash, documentation last.
    pub more_fingerprints: Vec<Fingerprint>,
    /// Its files, outputs first, then the rest of the fingerprint, then the fingerprint's hash files. Uplifted
    /// hard links are among the outputs; copies that Cargo made where it could not link are left out.
    pub files: Vec<UnitFile>,
    /// When it was compiled: the modification time of its fingerprint's hash file.
    pub compiled_at: SystemTime,
    /// How long it took to compile, from Cargo's own time stamps, if those are there.
    pub compile_time: Option<Duration>,
    /// The newest access time of its fingerprint's hash files, taken before [`read_target`] read them. A second
    /// reading sees the access times of the first one: decide by the first reading after the job.
    pub accessed_at: SystemTime,
}

impl Unit {
    /// Whether Cargo looked at the unit after `since`: [`ARMED`] where the unit was unpacked or [`arm`]ed, the
    /// job's start otherwise. Cargo reads the fingerprint of every unit that a command asks for, fresh or not. Says
    /// nothing where access times are [`AccessTimes::Frozen`].
    pub fn was_used(&self, since: SystemTime) -> bool {
        self.accessed_at > since
    }

    /// Every fingerprint of the unit: the first one and those that share its hash.
    pub fn fingerprints(&self) -> impl Iterator<Item = &Fingerprint> {
        self.fingerprint.iter().chain(&self.more_fingerprints)
    }

    /// Size of its files in bytes, hard links counted once.
    pub fn bytes(&self) -> u64 {
        let mut seen = BTreeSet::new();
        self.files
            .iter()
            .filter(|file| file.inode.is_none_or(|inode| seen.insert(inode)))
            .map(|file| file.bytes)
            .sum()
    }
}

/// Why something under a target directory is not stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum LeftOutReason {
    /// Incremental compilation: large, and of little use to another checkout.
    Incremental,
    /// Scratch space and reports: `tmp`, `cargo-timings`, `package`, `nextest`, `criterion`.
    Scratch,
    /// A lock file.
    Lock,
    /// Outputs without a fingerprint: a compilation was killed.
    Orphan,
    /// A unit whose fingerprint is missing, empty or unreadable, or that has no outputs.
    Incomplete,
    /// A copy or a remainder of a final artefact, which Cargo makes again from the unit.
    Leftover,
    /// A unit with something in it that an archive can't hold.
    Unpackable,
    /// Nothing that Cargo is known to make.
    Unknown,
}

/// A file or directory that is not stored.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeftOut {
    /// Where it lies, relative to the target directory, with `/` between the parts.
    pub path: String,
    /// Why it is left out.
    pub reason: LeftOutReason,
}

/// Something that people may want to know about a target directory.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// The file, directory or unit, relative to the target directory.
    pub path: String,
    /// What is the matter with it.
    pub text: String,
}

/// Everything in one target directory, sorted into what is worth storing and what is not.
#[derive(Clone, Debug, Default)]
pub struct TargetTree {
    /// The target directory, absolute.
    pub directory: PathBuf,
    /// Its units, sorted by name.
    pub units: Vec<Unit>,
    /// Files that belong to no unit but to the directory: `CACHEDIR.TAG`, `.rustc_info.json`, and what build scripts
    /// put beside the executables (shared libraries they need to start). They go with the `deps` tier.
    pub shared: Vec<UnitFile>,
    /// Final artefacts of no single unit: `doc/` and `.rustdoc_fingerprint.json`. They go with the `workspace` tier.
    pub artefacts: Vec<UnitFile>,
    /// What is not stored, sorted.
    pub left_out: Vec<LeftOut>,
    /// What people may want to know, sorted.
    pub notes: Vec<Note>,
}
