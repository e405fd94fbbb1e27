//! From facts to questions: what enters which part of a key, and which parts make each tier's key.
//!
//! | what | platform | toolchain | env | job | packages | lock | interface | tree | list |
//! |---|---|---|---|---|---|---|---|---|---|
//! | OS, architecture, distribution, libc | ✓ | | | | | | | | |
//! | CPU and its features, if a flag says `native` | ✓ | | | | | | | | |
//! | absolute CARGO_HOME | ✓ | | | | | | | | |
//! | absolute workspace and target paths | ✓ (tier `workspace`) | | | | | | | | |
//! | `rustc -vV`, configured build targets | | ✓ | | | | | | | |
//! | the variables of [`super::environment`] | | | ✓ | | | | | | |
//! | workflow, job and matrix, or `shared-key`, or `local` | | | | ✓ | | | | | |
//! | source and checksum of each package of Cargo.lock | | | | | ✓ | ✓ | | | |
//! | without Cargo.lock: the dependency tables of the manifests | | | | | ✓ | ✓ | | | |
//! | the settings of [`super::settings`] | | | | | | ✓ | | | |
//! | the exact builds of the dependencies | | | | | | | ✓ | | |
//! | content of the workspace's files, HEAD | | | | | | | | ✓ | |
//! | the directories of the tier `extra` | | | | | | | | | ✓ |
//!
//! | tier | parts | asked for with at least |
//! |---|---|---|
//! | `registry` | packages, *set* | nothing: anything of this project |
//! | `deps` | platform, toolchain, env, job, lock, *set* | platform, toolchain, env |
//! | `workspace` | platform, toolchain, env, job, interface, tree | all but tree |
//! | `tools` | platform, job, *set* | platform |
//! | `extra` | platform, job, list, lock | platform, job, list |
//!
//! In no key: the image's weekly version (it stands in the header), the checkout's path outside of `platform`, the
//! release of hotcrate.

use super::{Digest, Fact, JobIdentity, KeyPart, PartName, Question};
use crate::tier::TierName;

/// Everything that the keys of a project are made of. Plain values: nothing here was read by this module.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyFacts {
    /// What the job runs on.
    pub platform: Platform,
    /// The absolute CARGO_HOME, as Cargo has it.
    pub cargo_home: String,
    /// Absolute paths that artefacts of path packages may hold: `workspace .`, `target target`.
    pub locations: Vec<Fact>,
    /// The compilers, or `None` if they could not be asked: then no target directory can be keyed.
    pub toolchain: Option<Toolchain>,
    /// The environment's facts, from [`super::environment::facts`].
    pub env: Vec<Fact>,
    /// Whose entries are shared.
    pub job: JobIdentity,
    /// The packages of all lockfiles, from [`super::lockfile::facts`], or what stands in for them.
    pub packages: Vec<Fact>,
    /// Profiles, patches and settings, from [`super::settings`].
    pub settings: Vec<Fact>,
}

/// What a job runs on.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Platform {
    /// The operating system: `linux`, `macos`, `windows`.
    pub os: String,
    /// The architecture: `x86_64`, `aarch64`.
    pub arch: String,
    /// The distribution and its version, or the version of the system: `ubuntu 24.04`, `macos 15`.
    pub distribution: Option<String>,
    /// The C library and its version: `glibc 2.39`, `musl 1.2.5`.
    pub libc: Option<String>,
    /// The CPU, only if a flag asks for `native`.
    pub cpu: Option<Cpu>,
}

/// The CPU that compiles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cpu {
    /// Its model, as the system tells it.
    pub model: String,
    /// Its features, in any order.
    pub features: Vec<String>,
}

/// The compilers that a project selects, and what they are told to build for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Toolchain {
    /// One for each workspace; equal ones count once.
    pub compilers: Vec<Compiler>,
    /// Configured build targets; a target of the user's own carries a digest of its specification.
    pub targets: Vec<String>,
}

/// What `rustc -vV` says.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Compiler {
    /// `1.95.0`, `1.97.0-nightly`.
    pub release: String,
    /// The date of its commit, or `unknown`.
    pub commit_date: String,
    /// Its commit, or `unknown`.
    pub commit_hash: String,
    /// The platform it runs on.
    pub host: String,
    /// Its first line, which alone tells builds by distributions apart.
    pub summary: String,
}

/// Why a tier can't be asked for.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("the project's compiler is unknown, so nothing of a target directory can be restored")]
pub struct UnknownToolchain;

impl KeyFacts {
    /// The question of the tier `registry`.
    pub fn registry(&self) -> Question {
        Question {
            tier: TierName::Registry,
            parts: vec![self.packages()],
            least: 0,
            open_ended: true,
        }
    }

    /// The question of the tier `deps`. Fails if the toolchain is unknown.
    pub fn deps(&self) -> Result<Question, UnknownToolchain> {
        Ok(Question {
            tier: TierName::Deps,
            parts: vec![
                self.platform(),
                self.toolchain()?,
                self.env(),
                self.job(),
                self.lock(),
            ],
            least: 3,
            open_ended: true,
        })
    }

    /// The question of the tier `workspace`, which belongs to one `interface` of the dependencies. `tree` is the part
    /// from [`crate::project::tree`]. Fails if the toolchain is unknown.
    pub fn workspace(
        &self,
        interface: Digest,
        tree: &KeyPart,
    ) -> Result<Question, UnknownToolchain> {
        let mut located = self.platform_facts();
        located.extend(self.locations.iter().cloned());
        Ok(Question {
            tier: TierName::Workspace,
            parts: vec![
                KeyPart::new(PartName::Platform, located),
                self.toolchain()?,
                self.env(),
                self.job(),
                interface_part(interface),
                tree.clone(),
            ],
            least: 5,
            open_ended: false,
        })
    }

    /// The question of the tier `tools`.
    pub fn tools(&self) -> Question {
        Question {
            tier: TierName::Tools,
            parts: vec![self.platform(), self.job()],
            least: 1,
            open_ended: true,
        }
    }

    /// The question of the tier `extra`, for the directories that the user listed, in any order and as written.
    pub fn extra(&self, directories: &[String]) -> Question {
        let list = directories
            .iter()
            .map(|directory| Fact::new("directory", directory));
        Question {
            tier: TierName::Extra,
            parts: vec![
                self.platform(),
                self.job(),
                KeyPart::new(PartName::List, list),
                self.lock(),
            ],
            least: 3,
            open_ended: false,
        }
    }

    fn platform(&self) -> KeyPart {
        KeyPart::new(PartName::Platform, self.platform_facts())
    }

    fn platform_facts(&self) -> Vec<Fact> {
        let platform = &self.platform;
        let mut facts = vec![
            Fact::new("os", &platform.os),
            Fact::new("architecture", &platform.arch),
            Fact::new("CARGO_HOME", &self.cargo_home),
        ];
        let known = |label: &str, value: &Option<String>| {
            value.as_ref().map(|value| Fact::new(label, value))
        };
        facts.extend(known("distribution", &platform.distribution));
        facts.extend(known("libc", &platform.libc));
        if let Some(cpu) = &platform.cpu {
            let mut features = cpu.features.clone();
            features.sort();
            facts.push(Fact::new("cpu", &cpu.model));
            facts.push(Fact::digested("cpu features", features.join(" ")));
        }
        facts
    }

    fn toolchain(&self) -> Result<KeyPart, UnknownToolchain> {
        let toolchain = self.toolchain.as_ref().ok_or(UnknownToolchain)?;
        let compilers = toolchain.compilers.iter().flat_map(|compiler| {
            [
                Fact::new(
                    "rustc",
                    format!(
                        "{} {} {} {}",
                        compiler.release,
                        compiler.commit_date,
                        compiler.commit_hash,
                        compiler.summary
                    ),
                ),
                Fact::new("host", &compiler.host),
            ]
        });
        let targets = toolchain
            .targets
            .iter()
            .map(|target| Fact::new("target", target));
        Ok(KeyPart::new(PartName::Toolchain, compilers.chain(targets)))
    }

    fn env(&self) -> KeyPart {
        KeyPart::new(PartName::Env, self.env.iter().cloned())
    }

    fn job(&self) -> KeyPart {
        KeyPart::new(PartName::Job, self.job.facts())
    }

    fn packages(&self) -> KeyPart {
        KeyPart::new(PartName::Packages, self.packages.iter().cloned())
    }

    fn lock(&self) -> KeyPart {
        let facts = self.packages.iter().chain(&self.settings);
        KeyPart::new(PartName::Lock, facts.cloned())
    }
}

/// The part that ties workspace artefacts to the builds of the dependencies that they were compiled against.
pub fn interface_part(interface: Digest) -> KeyPart {
    let fact = Fact::new("dependencies", interface.to_string());
    KeyPart::new(PartName::Interface, [fact])
}
