//! From facts to questions: what enters which part of a key, and which parts make each tier's key.
//!
//! | what | platform | toolchain | env | job | packages | lock | interface | tree | list |
//! |---|---|---|---|---|---|---|---|---|---|
//! | OS, architecture, distribution, libc | ✓ | | | | | | | | |
//! | CPU and its features, if a flag says `native` | ✓ | | | | | | | | |
//! | absolute CARGO_HOME, `prefix-key` | ✓ | | | | | | | | |
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
//! | `sccache` | platform, toolchain, job, lock, *generation* | platform, toolchain |
//! | `tools` | platform, job, *set* | platform |
//! | `extra` | platform, job, list, lock, *set* | platform, job, list |
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
    /// What the user wants all entries to begin with, but those of `registry`, which hold what anybody can download.
    pub prefix: Option<String>,
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

    /// The question of the tier `sccache`. What a flag or a variable changes is in the names of its objects, and so not
    /// in its key. Fails if the toolchain is unknown.
    pub fn sccache(&self) -> Result<Question, UnknownToolchain> {
        Ok(Question {
            tier: TierName::Sccache,
            parts: vec![self.platform(), self.toolchain()?, self.job(), self.lock()],
            least: 2,
            open_ended: true,
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
            open_ended: true,
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
        facts.extend(known("prefix-key", &self.prefix));
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::{prelude::*, sample::subsequence};

    use super::*;
    use crate::key::parsed::part_names;
    use crate::key::{Match, ParsedKey, compare};

    fn facts() -> KeyFacts {
        let list = |facts: &[(&str, &str)]| -> Vec<Fact> {
            facts
                .iter()
                .map(|&(label, value)| Fact::new(label, value))
                .collect()
        };
        KeyFacts {
            platform: Platform {
                os: "linux".into(),
                arch: "x86_64".into(),
                distribution: Some("ubuntu 24.04".into()),
                libc: Some("glibc 2.39".into()),
                cpu: None,
            },
            cargo_home: "/home/runner/.cargo".into(),
            locations: list(&[("workspace .", "/w"), ("target target", "/w/target")]),
            toolchain: Some(Toolchain {
                compilers: vec![Compiler {
                    release: "1.95.0".into(),
                    commit_date: "2026-04-14".into(),
                    commit_hash: "59807616e1fa2540724bfbac14d7976d7e4a3860".into(),
                    host: "x86_64-unknown-linux-gnu".into(),
                    summary: "rustc 1.95.0 (59807616e 2026-04-14)".into(),
                }],
                targets: vec!["wasm32-wasip1".into(), "x86_64-unknown-linux-musl".into()],
            }),
            env: list(&[("CC", "sha256:1"), ("RUSTFLAGS", "sha256:2")]),
            prefix: None,
            job: JobIdentity::Local,
            packages: list(&[
                ("package memchr", "2.8.3 crates.io 1"),
                ("package syn", "1.0.109 crates.io 2"),
                ("package syn", "2.0.1 crates.io 3"),
            ]),
            settings: list(&[
                ("Cargo.toml [profile.dev]", "{debug = 1}"),
                ("a/Cargo.toml [features]", "{x = []}"),
            ]),
        }
    }

    fn tree() -> KeyPart {
        KeyPart::new(PartName::Tree, [Fact::new("HEAD", "1")])
    }

    /// Every question of a project, for one interface, tree and list.
    fn questions(facts: &KeyFacts) -> Vec<Question> {
        let interface = Digest::of_bytes(b"interface");
        vec![
            facts.registry(),
            facts.deps().expect("the toolchain is known"),
            facts
                .workspace(interface, &tree())
                .expect("the toolchain is known"),
            facts.sccache().expect("the toolchain is known"),
            facts.tools(),
            facts.extra(&["a".into(), "b".into()]),
        ]
    }

    /// Tier and part of everything that differs between the keys of two projects.
    fn differing(one: &KeyFacts, other: &KeyFacts) -> String {
        let mut found = Vec::new();
        for (one, other) in questions(one).into_iter().zip(questions(other)) {
            for (a, b) in one.parts.iter().zip(&other.parts) {
                if a.digest() != b.digest() {
                    found.push(format!("{}/{}", one.tier, a.name.as_str()));
                }
            }
        }
        found.join(" ")
    }

    const PLATFORM: &str =
        "deps/platform workspace/platform sccache/platform tools/platform extra/platform";

    #[rstest::rstest]
    #[case::os(|f: &mut KeyFacts| f.platform.os = "macos".into(), PLATFORM)]
    #[case::arch(|f: &mut KeyFacts| f.platform.arch = "aarch64".into(), PLATFORM)]
    #[case::distribution(|f: &mut KeyFacts| f.platform.distribution = Some("ubuntu 22.04".into()), PLATFORM)]
    #[case::no_distribution(|f: &mut KeyFacts| f.platform.distribution = None, PLATFORM)]
    #[case::libc(|f: &mut KeyFacts| f.platform.libc = Some("musl 1.2.5".into()), PLATFORM)]
    #[case::cpu(|f: &mut KeyFacts| f.platform.cpu = Some(Cpu { model: "Xeon".into(), features: vec![] }), PLATFORM)]
    #[case::cargo_home(|f: &mut KeyFacts| f.cargo_home = "/root/.cargo".into(), PLATFORM)]
    #[case::checkout(|f: &mut KeyFacts| f.locations[0].value = "/elsewhere".into(), "workspace/platform")]
    #[case::target_directory(|f: &mut KeyFacts| f.locations[1].value = "/elsewhere".into(), "workspace/platform")]
    #[case::release(|f: &mut KeyFacts| compiler(f).release = "1.94.0".into(), "deps/toolchain workspace/toolchain sccache/toolchain")]
    #[case::commit(|f: &mut KeyFacts| compiler(f).commit_hash = "0".into(), "deps/toolchain workspace/toolchain sccache/toolchain")]
    #[case::host(|f: &mut KeyFacts| compiler(f).host = "x".into(), "deps/toolchain workspace/toolchain sccache/toolchain")]
    #[case::build(|f: &mut KeyFacts| compiler(f).summary = "x".into(), "deps/toolchain workspace/toolchain sccache/toolchain")]
    #[case::targets(|f: &mut KeyFacts| targets(f).truncate(1), "deps/toolchain workspace/toolchain sccache/toolchain")]
    #[case::env_value(|f: &mut KeyFacts| f.env[0].value = "sha256:3".into(), "deps/env workspace/env")]
    #[case::env_name(|f: &mut KeyFacts| f.env[0].label = "CXX".into(), "deps/env workspace/env")]
    #[case::job(|f: &mut KeyFacts| f.job = JobIdentity::Shared("x".into()), "deps/job workspace/job sccache/job tools/job extra/job")]
    #[case::package(|f: &mut KeyFacts| f.packages[0].value = "2.8.2 crates.io 0".into(), "registry/packages deps/lock sccache/lock extra/lock")]
    #[case::one_version(|f: &mut KeyFacts| drop(f.packages.pop()), "registry/packages deps/lock sccache/lock extra/lock")]
    #[case::setting(|f: &mut KeyFacts| f.settings[0].value = "{}".into(), "deps/lock sccache/lock extra/lock")]
    fn each_fact_changes_exactly_the_parts_that_it_should(
        #[case] change: fn(&mut KeyFacts),
        #[case] expected: &str,
    ) {
        let mut changed = facts();
        change(&mut changed);
        assert_eq!(differing(&facts(), &changed), expected);
    }

    fn compiler(facts: &mut KeyFacts) -> &mut Compiler {
        let toolchain = facts.toolchain.as_mut().expect("it is known");
        &mut toolchain.compilers[0]
    }

    fn targets(facts: &mut KeyFacts) -> &mut Vec<String> {
        &mut facts.toolchain.as_mut().expect("it is known").targets
    }

    #[test]
    fn restore_keys_go_as_far_as_the_table_says() {
        let counts: Vec<_> = questions(&facts())
            .iter()
            .map(|question| {
                let parts: Vec<_> = question
                    .parts
                    .iter()
                    .map(|part| part.name.as_str())
                    .collect();
                let set = match part_names(question.tier).last() {
                    Some(last) if question.open_ended => format!("-{}", last.as_str()),
                    _ => String::new(),
                };
                format!(
                    "{}: {}{set}, at least ({})",
                    question.tier,
                    parts.join("-"),
                    parts[..question.least].join("-")
                )
            })
            .collect();
        insta::assert_snapshot!(counts.join("\n"), @"
        registry: packages-set, at least ()
        deps: platform-toolchain-env-job-lock-set, at least (platform-toolchain-env)
        workspace: platform-toolchain-env-job-interface-tree, at least (platform-toolchain-env-job-interface)
        sccache: platform-toolchain-job-lock-generation, at least (platform-toolchain)
        tools: platform-job-set, at least (platform)
        extra: platform-job-list-lock-set, at least (platform-job-list)
        ");
    }

    /// Keys of one release must be found by the next: these may never change.
    #[test]
    fn keys_stay_the_same_from_release_to_release() {
        let keys: Vec<_> = questions(&facts()).iter().map(Question::key).collect();
        insta::assert_snapshot!(keys.join("\n"), @r"
        hotcrate-v1-registry-9c8b897e-
        hotcrate-v1-deps-dc267d6a-9eb8716d-b3677fde-7fd7787e-05b6b3bc-
        hotcrate-v1-workspace-8a153bf4-9eb8716d-b3677fde-7fd7787e-06eba26c-ca6f0582
        hotcrate-v1-sccache-dc267d6a-9eb8716d-7fd7787e-05b6b3bc-
        hotcrate-v1-tools-dc267d6a-7fd7787e-
        hotcrate-v1-extra-dc267d6a-7fd7787e-e265ed11-05b6b3bc-
        ");
    }

    #[test]
    fn without_a_toolchain_only_target_directories_go_without_keys() {
        let mut facts = facts();
        let registry = facts.registry();
        facts.toolchain = None;
        assert_eq!(facts.deps(), Err(UnknownToolchain));
        assert!(facts.workspace(Digest::of_bytes(b""), &tree()).is_err());
        assert_eq!(facts.registry(), registry);
    }

    #[test]
    fn an_entry_answers_its_own_question_exactly() {
        for question in questions(&facts()) {
            assert_eq!(compare(&question.parts, &question), Match::Exact);
        }
    }

    #[test]
    fn a_spoilt_key_is_not_taken_again_and_another_one_answers_the_same_question() {
        for question in questions(&facts()) {
            let last = part_names(question.tier).last().expect("a key has parts");
            let set = KeyPart::new(*last, [Fact::new("entry", "1")]);
            let set = question.open_ended.then_some(&set);
            let first = question.full_key(set, &BTreeSet::new());
            let second = question.full_key(set, &BTreeSet::from([first.clone()]));
            assert_eq!(second == first, !question.open_ended);
            assert!(second.starts_with(&question.key()) && ParsedKey::parse(&second).is_some());
        }
    }

    #[test]
    fn every_key_is_read_back_into_the_parts_that_it_was_made_of() {
        for question in questions(&facts()) {
            let last = part_names(question.tier).last().expect("a key has parts");
            let set = KeyPart::new(*last, [Fact::new("entry", "1")]);
            let set = question.open_ended.then_some(&set);
            let parsed =
                ParsedKey::parse(&question.full_key(set, &BTreeSet::new())).expect("it is a key");
            let parts: Vec<_> = question
                .parts
                .iter()
                .chain(set)
                .map(|part| (part.name, part.digest().short()))
                .collect();
            assert_eq!((parsed.tier, parsed.parts), (question.tier, parts));
        }
    }

    proptest! {
        #[test]
        fn the_order_in_which_facts_are_found_never_matters(
            packages in Just(facts().packages).prop_shuffle(),
            settings in Just(facts().settings).prop_shuffle(),
            env in Just(facts().env).prop_shuffle(),
            locations in Just(facts().locations).prop_shuffle(),
            targets in Just(vec!["wasm32-wasip1", "x86_64-unknown-linux-musl"]).prop_shuffle(),
            directories in Just(vec!["a".to_owned(), "b".to_owned()]).prop_shuffle(),
            again in subsequence(facts().packages, 0..3),
        ) {
            let mut shuffled = facts();
            // Two workspaces may lock the same package: it counts once.
            shuffled.packages = packages.into_iter().chain(again).collect();
            shuffled.settings = settings;
            shuffled.env = env;
            shuffled.locations = locations;
            *self::targets(&mut shuffled) = targets.into_iter().map(str::to_owned).collect();
            prop_assert_eq!(questions(&shuffled), questions(&facts()));
            prop_assert_eq!(
                shuffled.extra(&directories).key(),
                facts().extra(&["a".into(), "b".into()]).key()
            );
        }

        #[test]
        fn whatever_a_package_is_called_it_counts_for_downloads_and_dependencies_only(
            name in "[a-z]{1,8}",
            version in "[0-9]\\.[0-9]\\.[0-9]",
        ) {
            let mut more = facts();
            more.packages.push(Fact::new(format!("package x{name}"), version));
            prop_assert_eq!(
                differing(&facts(), &more),
                "registry/packages deps/lock sccache/lock extra/lock"
            );
        }
    }
}
