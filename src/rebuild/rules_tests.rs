//! Every rule, on facts made by hand: what it finds, and that it finds nothing where there is nothing.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use super::*;
use crate::{
    archive::path::RelativePath,
    unit::{UnitId, UnitKind},
};

const NOW: u64 = 1_000_000_000_000;

fn path(text: &str) -> RelativePath {
    RelativePath::new(text).expect("it is plain")
}

/// What a test knows of a build.
struct Known {
    units: Snapshot,
    rebuilt: Vec<Rebuilt>,
    made_new: BTreeMap<String, Vec<MadeNew>>,
    inputs: InputStates,
    is_ci: bool,
    is_incremental: bool,
    lockfiles: Vec<LockfileState>,
}

impl Known {
    fn of(units: Vec<UnitSnapshot>) -> Self {
        let root = RootSnapshot {
            units,
            incomplete: Vec::new(),
        };
        Self {
            units: Snapshot {
                roots: BTreeMap::from([(path("target"), root)]),
            },
            rebuilt: Vec::new(),
            made_new: BTreeMap::new(),
            inputs: InputStates::new(),
            is_ci: false,
            is_incremental: false,
            lockfiles: Vec::new(),
        }
    }

    fn input(mut self, name: &str, state: Option<(u64, &str)>) -> Self {
        let state = state.map(|(modified, newest)| InputState {
            modified,
            newest: PathBuf::from(newest),
        });
        self.inputs.insert(PathBuf::from(name), state);
        self
    }

    fn compiled(mut self, causes: &[Cause]) -> Self {
        let units = &self.units.roots[&path("target")].units;
        self.rebuilt = units
            .iter()
            .map(|unit| Rebuilt {
                place: (path("target"), unit.id.clone()),
                kind: unit.kind,
                causes: causes.to_vec(),
                because_of: None,
            })
            .collect();
        self
    }

    /// Everything that is found, as people read it.
    fn told(&self) -> String {
        let found = diagnose(&Facts {
            units: &self.units,
            rebuilt: &self.rebuilt,
            made_new: &self.made_new,
            inputs: &self.inputs,
            targets: &BTreeMap::from([(path("target"), PathBuf::from("/p/target"))]),
            project: Path::new("/p"),
            cargo_home: Path::new("/home/u/.cargo"),
            now: NOW,
            is_ci: self.is_ci,
            is_incremental: self.is_incremental,
            lockfiles: &self.lockfiles,
        });
        let lines = found.iter().map(|diagnosis| {
            format!(
                "{}: {}\n  {}",
                diagnosis.rule, diagnosis.finding, diagnosis.advice
            )
        });
        lines.collect::<Vec<_>>().join("\n")
    }
}

fn unit(package: &str, hash: &str, kind: UnitKind, record: TargetSnapshot) -> UnitSnapshot {
    UnitSnapshot {
        id: UnitId {
            profile: path("debug"),
            package: package.to_owned(),
            hash: hash.to_owned(),
        },
        kind,
        version: None,
        package_root: Some(Path::new("/p/crates").join(package)),
        compiled_at: NOW / 2,
        targets: vec![record],
    }
}

fn script(record: TargetSnapshot) -> UnitSnapshot {
    unit("core", "1", UnitKind::BuildScriptRun, record)
}

fn declaring(file: &str) -> UnitSnapshot {
    script(TargetSnapshot {
        files: vec![file.to_owned()],
        reference: Some(NOW / 2),
        ..TargetSnapshot::default()
    })
}

fn reading(name: &str, value: &str) -> UnitSnapshot {
    script(TargetSnapshot {
        variables: BTreeMap::from([(name.to_owned(), Some(Value::of(name, value)))]),
        ..TargetSnapshot::default()
    })
}

fn library(hash: &str, change: impl Fn(&mut UnitSnapshot)) -> UnitSnapshot {
    let mut unit = unit(
        "core",
        hash,
        UnitKind::Library,
        TargetSnapshot {
            rustc: 1,
            ..TargetSnapshot::default()
        },
    );
    change(&mut unit);
    unit
}

#[test]
fn a_build_without_faults_gets_no_advice() {
    let good = declaring("build.rs");
    let known = Known::of(vec![
        good,
        library("2", |_| {}),
        reading("PYO3_PYTHON", "/usr/bin/python3"),
    ]);
    let known = known
        .input(
            "/p/crates/core/build.rs",
            Some((NOW / 3, "/p/crates/core/build.rs")),
        )
        .compiled(&[Cause::Toolchain]);
    assert_eq!(known.told(), "");
}

#[test]
fn a_temporary_path_in_a_variable_is_named_with_its_readers() {
    let known = Known::of(vec![reading(
        "PYO3_PYTHON",
        "/tmp/pip-build-env-abc/bin/python",
    )]);
    insta::assert_snapshot!(known.told(), @r"
    temporary-variable: PYO3_PYTHON, which core reads, is a temporary path: /tmp/pip-build-env-abc/bin/python
      pip and other build front ends make a new environment for each build: build without isolation (`--no-build-isolation`), or set it to an interpreter that stays.
    ");
    let known = Known::of(vec![
        reading("FIXTURES", "/tmp/x"),
        library("2", |unit| {
            unit.id.package = "other".to_owned();
            unit.targets[0].variables = reading("FIXTURES", "/tmp/x").targets[0].variables.clone();
        }),
    ]);
    insta::assert_snapshot!(known.told(), @r"
    temporary-variable: FIXTURES, which core, other read, is a temporary path: /tmp/x
      Set it to a path that stays the same from one build to the next.
    ");
    let own = Known::of(vec![reading("CARGO_MANIFEST_DIR", "/tmp/x")]);
    assert_eq!(own.told(), "");
}

#[test]
fn a_declared_file_that_is_missing_is_named_with_the_line_to_take_out() {
    let known = Known::of(vec![declaring("gone.txt")]).input("/p/crates/core/gone.txt", None);
    insta::assert_snapshot!(known.told(), @r"
    missing-input: the build script of core declares gone.txt, which does not exist, and so runs in every build
      Correct or take out the line `cargo::rerun-if-changed=gone.txt`.
    ");
}

#[test]
fn a_script_of_a_dependency_is_not_the_projects_to_mend() {
    let mut dependency = declaring("gone.txt");
    dependency.package_root = None;
    let known = Known::of(vec![dependency]).input("/p/crates/core/gone.txt", None);
    assert_eq!(known.told(), "");
}

#[rstest::rstest]
#[case::the_target_directory("../../target/debug/build/core-1/out")]
#[case::a_directory_around_it("../..")]
fn a_declared_output_is_named(#[case] declared: &str) {
    let known = Known::of(vec![declaring(declared)]);
    let told = known.told();
    assert!(told.starts_with("output-as-input: "), "{told}");
    assert!(told.contains(declared), "{told}");
}

#[test]
fn a_declared_directory_that_something_writes_to_is_named_with_what_was_written() {
    let known = Known::of(vec![declaring("gen")]).input(
        "/p/crates/core/gen",
        Some((NOW / 2 + 1, "/p/crates/core/gen/out.rs")),
    );
    insta::assert_snapshot!(known.told(), @r"
    written-input: the build script of core declares the directory gen, and crates/core/gen/out.rs there is newer than its last run
      If the build writes there, the script runs in every build: write to OUT_DIR, or declare the files that the script reads.
    ");
}

#[test]
fn a_script_that_declares_nothing_is_told_what_to_print() {
    let known = Known::of(vec![script(TargetSnapshot {
        whole_package: Some("1.0s (src/lib.rs)".to_owned()),
        ..TargetSnapshot::default()
    })]);
    insta::assert_snapshot!(known.told().replace('\\', "/"), @r"
    no-inputs-declared: the build script of core declares no inputs, and so runs whenever a file of the package is new
      Let the script in crates/core print `cargo::rerun-if-changed=build.rs`, and such a line for each file, or `cargo::rerun-if-env-changed=NAME` for each variable, that it reads.
    ");
}

#[test]
fn what_the_replay_could_not_trust_is_told() {
    let mut known = Known::of(Vec::new());
    known.made_new = BTreeMap::from([(
        "core".to_owned(),
        vec![MadeNew {
            what: NewPart::Script,
            why: "its build script declares no inputs and HEAD changed".to_owned(),
        }],
    )]);
    insta::assert_snapshot!(known.told(), @r"
    undeclared-reads: core was compiled again: its build script declares no inputs and HEAD changed
      Let its build script declare all that it reads (`cargo::rerun-if-changed`, `cargo::rerun-if-env-changed`), or trust all build scripts with `build-scripts: never`.
    ");
}

#[rstest::rstest]
#[case(LockfileKind::Committed, "")]
#[case(LockfileKind::Modified, "Cargo.lock is not what was committed")]
#[case(LockfileKind::Untracked, "Cargo.lock is not in git")]
#[case(LockfileKind::Missing, "Cargo.lock does not exist")]
fn a_lockfile_that_drifts_is_told(#[case] state: LockfileKind, #[case] expected: &str) {
    let mut known = Known::of(Vec::new());
    known.lockfiles = vec![LockfileState {
        path: "Cargo.lock".to_owned(),
        state,
    }];
    let told = known.told();
    assert!(
        told.contains(expected) && told.is_empty() == expected.is_empty(),
        "{told}"
    );
}

#[test]
fn a_moved_cargo_home_is_told_once_for_all_units() {
    let moved = Cause::SourcePath {
        in_cargo_home: true,
    };
    let known = Known::of(vec![library("1", |_| {}), library("2", |_| {})]).compiled(&[moved]);
    insta::assert_snapshot!(known.told(), @r"
    cargo-home-moved: 2 units of dependencies were compiled again because CARGO_HOME lies elsewhere than before (/home/u/.cargo now)
      Cargo keeps its absolute path in their fingerprints: give CARGO_HOME the same path in every job.
    ");
}

#[test]
fn flags_with_paths_of_this_checkout_are_told() {
    let flags = |flags: &[&str]| {
        let flags: Vec<_> = flags.iter().map(|flag| (*flag).to_owned()).collect();
        Known::of(vec![library("1", |unit| {
            unit.targets[0].rustflags.clone_from(&flags);
        })])
        .told()
    };
    insta::assert_snapshot!(flags(&["--remap-path-prefix=/p=/x"]), @r"
    paths-in-flags: RUSTFLAGS hold a path of this machine: --remap-path-prefix=/p=/x
      At another path every unit is compiled again: build at the same path everywhere, or leave such flags to release builds.
    ");
    assert_eq!(
        flags(&["-Ctarget-cpu=native", "-L/usr/lib/x", "--cfg=marked"]),
        ""
    );
}

#[test]
fn flags_and_compilers_that_take_turns_are_told_and_those_that_follow_each_other_are_not() {
    let build = |hash: &str, flag: &str, rustc: u64, at: u64| {
        library(hash, |unit| {
            unit.targets[0].rustflags = vec![flag.to_owned()];
            unit.targets[0].rustc = rustc;
            unit.compiled_at = at;
        })
    };
    let in_turn = Known::of(vec![
        build("1", "-Ca", 1, 10),
        build("2", "-Cb", 2, 20),
        build("3", "-Ca", 1, 30),
        build("4", "-Cb", 2, 40),
    ]);
    insta::assert_snapshot!(in_turn.told(), @r"
    alternating-flags: debug is built with different RUSTFLAGS in turn: -Ca / -Cb
      Set RUSTFLAGS once for the whole job, or give the other command, or the editor, a target directory of its own.
    alternating-toolchains: 2 compilers build into target in turn
      Select one toolchain for the job (`rust-toolchain.toml`), or give the other, or the editor, a target directory of its own.
    ");
    let one_after_the_other = Known::of(vec![
        build("1", "-Ca", 1, 10),
        build("3", "-Ca", 1, 20),
        build("2", "-Cb", 2, 30),
        build("4", "-Cb", 2, 40),
    ]);
    assert_eq!(one_after_the_other.told(), "");
}

#[test]
fn features_that_differ_between_two_builds_of_a_library_are_told_if_both_were_made_now() {
    let with = |hash: &str, feature: &str| {
        library(hash, |unit| {
            unit.targets[0].features = vec![feature.to_owned()];
        })
    };
    let known = Known::of(vec![with("1", "a"), with("2", "b")]);
    assert_eq!(known.told(), "", "one of them is of another day");
    insta::assert_snapshot!(known.compiled(&[Cause::NothingRestored]).told(), @r"
    alternating-features: core was compiled more than once, with different features
      Commands that build different packages of a workspace enable different features: let all of them name the same packages (`--workspace`), or unify the features (`cargo hakari`).
    ");
}

#[test]
fn a_library_for_the_host_and_for_the_target_is_no_fault() {
    let with = |hash: &str, feature: &str, profile: u64| {
        library(hash, |unit| {
            unit.targets[0].features = vec![feature.to_owned()];
            unit.targets[0].profile = profile;
        })
    };
    let known = Known::of(vec![with("1", "a", 1), with("2", "b", 2)]);
    assert_eq!(known.compiled(&[Cause::NothingRestored]).told(), "");
}

#[test]
fn times_in_the_future_are_told_with_their_files() {
    let known = Known::of(Vec::new())
        .input("/p/src/lib.rs", Some((NOW * 2, "/p/src/lib.rs")))
        .input("/p/src/a.rs", Some((NOW + 1, "/p/src/a.rs")));
    insta::assert_snapshot!(known.told(), @r"
    future-times: modification times lie in the future, so that what reads them is compiled in every build: src/lib.rs
      Set the clock of the machine that wrote them right, and `touch` them.
    ");
}

#[test]
fn incremental_compilation_is_told_in_ci_alone() {
    let mut known = Known::of(Vec::new());
    known.is_incremental = true;
    assert_eq!(known.told(), "");
    known.is_ci = true;
    insta::assert_snapshot!(known.told(), @r"
    incremental: CI compiles incrementally: what that writes is large, and hotcrate does not keep it
      Set CARGO_INCREMENTAL=0 for the whole workflow.
    ");
}
