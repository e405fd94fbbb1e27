//! Every cause, from records made by hand. What Cargo really records is in `tests/it/reasons.rs`.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    slice,
};

use rstest::rstest;

use super::*;
use crate::{
    archive::path::RelativePath,
    unit::{UnitId, UnitKind},
};

const COMPILED_AT: u64 = 1_000;
const AGAIN_AT: u64 = 2_000;

fn path(text: &str) -> RelativePath {
    RelativePath::new(text).expect("it is plain")
}

/// A library of a path package, with a source.
fn unit(package: &str, hash: &str) -> UnitSnapshot {
    UnitSnapshot {
        id: UnitId {
            profile: path("debug"),
            package: package.to_owned(),
            hash: hash.to_owned(),
        },
        kind: UnitKind::Library,
        version: None,
        package_root: Some(Path::new("/p/crates").join(package)),
        compiled_at: COMPILED_AT,
        targets: vec![TargetSnapshot {
            name: format!("lib-{package}"),
            value: format!("{package}-{hash}"),
            rustc: 1,
            files: vec!["src/lib.rs".to_owned()],
            reference: Some(COMPILED_AT),
            ..TargetSnapshot::default()
        }],
    }
}

/// The same unit, compiled again.
fn again(unit: &UnitSnapshot) -> UnitSnapshot {
    let mut unit = unit.clone();
    unit.targets[0].reference = Some(AGAIN_AT);
    unit
}

fn on(mut unit: UnitSnapshot, dependency: &UnitSnapshot) -> UnitSnapshot {
    let record = &dependency.targets[0];
    let name = dependency.id.package.replace('-', "_");
    unit.targets[0].deps.push((name, record.value.clone()));
    unit
}

fn snapshot(units: &[UnitSnapshot]) -> Snapshot {
    let mut units = units.to_vec();
    units.sort_by(|a, b| a.id.cmp(&b.id));
    let root = RootSnapshot {
        units,
        incomplete: vec!["killed-0".to_owned()],
    };
    Snapshot {
        roots: BTreeMap::from([(path("target"), root)]),
    }
}

/// A build in the making, with nothing but what tests put into it.
#[derive(Default)]
struct Recorded {
    before: Vec<UnitSnapshot>,
    compiled: Vec<UnitSnapshot>,
    inputs: InputStates,
    fresh: BTreeSet<Place>,
    made_new: BTreeMap<String, Vec<MadeNew>>,
    known: BTreeMap<Place, String>,
}

impl Recorded {
    fn of(before: &[UnitSnapshot], compiled: &[UnitSnapshot]) -> Self {
        Self {
            before: before.to_vec(),
            compiled: compiled.to_vec(),
            ..Self::default()
        }
    }

    fn input(mut self, name: &str, modified: Option<u64>) -> Self {
        let state = modified.map(|modified| InputState {
            modified,
            newest: PathBuf::from(name),
        });
        self.inputs.insert(PathBuf::from(name), state);
        self
    }

    /// The reason of each compiled unit, in the order of their names.
    fn reasons(&self) -> Vec<String> {
        let rebuilt = self.explain();
        (0..rebuilt.len())
            .map(|index| reason(&rebuilt, index))
            .collect()
    }

    fn explain(&self) -> Vec<Rebuilt> {
        let before = if self.before.is_empty() {
            Snapshot::default()
        } else {
            snapshot(&self.before)
        };
        explain(&Build {
            before: &before,
            compiled: &snapshot(&self.compiled),
            inputs: &self.inputs,
            fresh: &self.fresh,
            targets: &BTreeMap::from([(path("target"), PathBuf::from("/p/target"))]),
            project: Path::new("/p"),
            made_new: &self.made_new,
            known: &self.known,
            basis: Basis::Entry,
        })
    }
}

/// A unit that differs from another only in what `change` does.
fn differing(change: impl Fn(&mut TargetSnapshot)) -> Vec<String> {
    let old = unit("core", "1");
    let mut new = again(&old);
    change(&mut new.targets[0]);
    Recorded::of(&[old], &[new]).reasons()
}

#[test]
fn each_of_cargos_numbers_has_a_word() {
    assert_eq!(differing(|new| new.rustc = 2), ["toolchain changed"]);
    assert_eq!(differing(|new| new.profile = 2), ["profile changed"]);
    assert_eq!(differing(|new| new.path = 2), ["its sources lie elsewhere"]);
    assert_eq!(
        differing(|new| new.config = 2),
        ["Cargo's configuration changed"]
    );
    assert_eq!(
        differing(|new| new.target = 2),
        ["its target's settings in its manifest changed"]
    );
    assert_eq!(
        differing(|new| new.compile_kind = 2),
        ["the platform that is compiled for changed"]
    );
    assert_eq!(
        differing(|new| new.declared_features = "x".to_owned()),
        ["the features in its manifest changed"]
    );
    assert_eq!(
        differing(|new| new.rustflags = vec!["-Copt-level=1".to_owned()]),
        ["rustflags changed: +-Copt-level=1"]
    );
}

#[test]
fn a_new_toolchain_is_the_whole_reason() {
    let reasons = differing(|new| {
        new.rustc = 2;
        new.profile = 2;
        new.deps = vec![("other".to_owned(), "x".to_owned())];
    });
    assert_eq!(reasons, ["toolchain changed"]);
}

#[test]
fn records_without_numbers_say_nothing_of_numbers() {
    let reasons = differing(|new| {
        new.rustc = 0;
        new.profile = 2;
    });
    assert_eq!(reasons.len(), 1);
    assert!(
        reasons[0].starts_with("Cargo's records do not tell"),
        "{reasons:?}"
    );
}

#[rstest]
#[case::newer_than_the_unit(Some(1_500), "src/lib.rs changed")]
#[case::gone(None, "src/lib.rs is missing")]
fn a_file_is_the_reason(#[case] modified: Option<u64>, #[case] expected: &str) {
    let old = unit("core", "1");
    let made = Recorded::of(slice::from_ref(&old), &[again(&old)]);
    let made = made.input("/p/crates/core/src/lib.rs", modified);
    assert_eq!(made.reasons(), [expected]);
}

#[test]
fn a_file_of_the_same_time_is_not_newer() {
    let old = unit("core", "1");
    let made = Recorded::of(slice::from_ref(&old), &[again(&old)]);
    let made = made.input("/p/crates/core/src/lib.rs", Some(COMPILED_AT));
    assert!(made.reasons()[0].starts_with("Cargo's records do not tell"));
}

#[test]
fn what_changed_after_the_compilation_counts_only_if_nothing_else_does() {
    let mut old = unit("core", "1");
    old.targets[0].files.push("src/a.rs".to_owned());
    let made = Recorded::of(slice::from_ref(&old), &[again(&old)])
        .input("/p/crates/core/src/a.rs", Some(1_500))
        .input("/p/crates/core/src/lib.rs", Some(2_500));
    assert_eq!(made.reasons(), ["src/a.rs changed"]);
    let made = Recorded::of(slice::from_ref(&old), &[again(&old)])
        .input("/p/crates/core/src/lib.rs", Some(2_500));
    assert_eq!(made.reasons(), ["src/lib.rs changed"]);
}

#[test]
fn a_file_of_another_package_is_named_from_the_project_and_one_elsewhere_in_full() {
    let mut old = unit("core", "1");
    old.targets[0].made_files = vec!["/p/README.md".to_owned(), "/usr/include/x.h".to_owned()];
    let made = Recorded::of(slice::from_ref(&old), &[again(&old)])
        .input("/p/README.md", Some(1_500))
        .input("/usr/include/x.h", Some(1_500));
    assert_eq!(
        made.reasons(),
        ["/usr/include/x.h changed; README.md changed"]
    );
}

#[test]
fn dependents_name_the_unit_that_changed_and_not_the_one_between() {
    let core = unit("core", "1");
    let middle = on(unit("middle", "2"), &core);
    let app = on(unit("app", "3"), &middle);
    let before = [core.clone(), middle.clone(), app.clone()];
    let made = Recorded::of(&before, &[again(&core), again(&middle), again(&app)])
        .input("/p/crates/core/src/lib.rs", Some(1_500));
    assert_eq!(
        made.reasons(),
        [
            "depends on core, which changed",
            "src/lib.rs changed",
            "depends on core, which changed"
        ]
    );
    let groups = group(&made.explain());
    assert_eq!(groups.len(), 1);
    assert_eq!((groups[0].units, groups[0].dependents), (1, 2));
}

#[test]
fn what_a_build_script_wrote_is_not_the_reason_of_those_who_read_it() {
    let mut script = unit("core", "1");
    script.kind = UnitKind::BuildScriptRun;
    script.targets[0].variables = BTreeMap::from([(
        "PYO3_PYTHON".to_owned(),
        Some(Value::of("PYO3_PYTHON", "/tmp/a-1/bin/python")),
    )]);
    let mut ran = again(&script);
    ran.targets[0].variables = BTreeMap::from([(
        "PYO3_PYTHON".to_owned(),
        Some(Value::of("PYO3_PYTHON", "/tmp/a-2/bin/python")),
    )]);
    let mut library = on(unit("core", "2"), &script);
    library.targets[0].made_files = vec!["debug/build/core-1/out/x.rs".to_owned()];
    let user = on(unit("user", "3"), &library);
    let before = [script.clone(), library.clone(), user.clone()];
    let made = Recorded::of(&before, &[ran, again(&library), again(&user)])
        .input("/p/target/debug/build/core-1/out/x.rs", Some(1_900));
    insta::assert_snapshot!(made.reasons().join("\n"), @r"
    env PYO3_PYTHON changed: …/a-1/… → …/a-2/…
    its build script ran again: env PYO3_PYTHON changed: …/a-1/… → …/a-2/…
    depends on core, whose build script ran again: env PYO3_PYTHON changed: …/a-1/… → …/a-2/…
    ");
}

#[test]
fn a_script_that_declares_nothing_is_named_with_the_newest_file_of_its_package() {
    let mut old = unit("core", "1");
    old.kind = UnitKind::BuildScriptRun;
    old.targets[0].whole_package = Some("10.000000001s (src/old.rs)".to_owned());
    let mut new = again(&old);
    new.targets[0].whole_package = Some("11.000000001s (src/new.rs)".to_owned());
    assert_eq!(
        Recorded::of(&[old], &[new]).reasons(),
        ["its build script declares no inputs and src/new.rs changed"]
    );
}

#[test]
fn another_version_under_another_hash_is_new_in_the_lockfile() {
    let mut old = unit("serde", "1");
    old.version = Some("1.2.3".to_owned());
    let mut new = unit("serde", "2");
    new.version = Some("1.2.4".to_owned());
    let user = on(unit("user", "3"), &old);
    let mut user_now = on(unit("user", "4"), &new);
    user_now.targets[0].reference = Some(AGAIN_AT);
    assert_eq!(
        Recorded::of(&[old, user], &[new, user_now]).reasons(),
        [
            "new in Cargo.lock: 1.2.3 → 1.2.4",
            "depends on serde, which changed from 1.2.3 to 1.2.4"
        ]
    );
}

#[test]
fn other_features_under_another_hash_are_told_by_name() {
    let mut old = unit("serde", "1");
    old.targets[0].features = vec!["std".to_owned(), "rc".to_owned()];
    let mut new = unit("serde", "2");
    new.targets[0].features = vec!["std".to_owned(), "derive".to_owned()];
    let made = Recorded::of(&[old.clone()], &[new.clone()]);
    assert_eq!(made.reasons(), ["features changed: +derive -rc"]);
    let made = Recorded {
        fresh: BTreeSet::from([(path("target"), old.id.clone())]),
        ..Recorded::of(&[old], &[new])
    };
    assert_eq!(
        made.reasons(),
        ["one more build of it, beside the one that was there: features changed: +derive -rc"]
    );
}

#[test]
fn a_unit_of_another_kind_stands_for_none_that_was_there() {
    let old = unit("core", "1");
    let mut check = unit("core", "2");
    check.kind = UnitKind::Check;
    assert_eq!(
        Recorded::of(&[old], &[check]).reasons(),
        ["new: the entry that was restored does not have it"]
    );
}

#[test]
fn the_replays_reasons_count_before_the_times_that_it_set() {
    let mut script = unit("core", "1");
    script.kind = UnitKind::BuildScriptRun;
    let library = on(unit("core", "2"), &script);
    let app = unit("app", "3");
    let made_new = |what, why: &str| {
        vec![MadeNew {
            what,
            why: why.to_owned(),
        }]
    };
    let before = [script.clone(), library.clone(), app.clone()];
    let made = Recorded {
        made_new: BTreeMap::from([
            (
                "core".to_owned(),
                made_new(
                    NewPart::Script,
                    "its build script declares no inputs and HEAD changed",
                ),
            ),
            (
                "app".to_owned(),
                made_new(
                    NewPart::Package,
                    "data/x.sql changed, and its procedural macro m may read it",
                ),
            ),
        ]),
        ..Recorded::of(&before, &[again(&script), again(&library), again(&app)])
    }
    .input("/p/crates/app/src/lib.rs", Some(1_500));
    insta::assert_snapshot!(made.reasons().join("\n"), @r"
    data/x.sql changed, and its procedural macro m may read it
    its build script declares no inputs and HEAD changed
    its build script ran again: its build script declares no inputs and HEAD changed
    ");
}

#[test]
fn a_library_without_its_code_had_no_output() {
    let mut old = unit("core", "1");
    old.kind = UnitKind::Check;
    let new = again(&unit("core", "1"));
    assert_eq!(
        Recorded::of(&[old], &[new]).reasons(),
        ["its output was missing"]
    );
}

#[test]
fn what_was_not_there_is_told_as_exactly_as_it_is_known() {
    let mut killed = unit("killed", "0");
    killed.targets.clear();
    let moved = unit("moved", "1");
    let made = Recorded {
        known: BTreeMap::from([((path("target"), moved.id.clone()), "it moved".to_owned())]),
        ..Recorded::of(&[unit("other", "9")], &[killed, moved, unit("new", "2")])
    };
    assert_eq!(
        made.reasons(),
        [
            "its output was missing",
            "it moved",
            "new: the entry that was restored does not have it"
        ]
    );
    assert_eq!(
        Recorded::of(&[], &[unit("new", "2")]).reasons(),
        ["nothing was restored"]
    );
}

#[test]
fn units_with_a_cause_of_the_whole_build_are_one_group() {
    let old = [unit("a", "1"), unit("b", "2"), unit("c", "3")];
    let mut new: Vec<_> = old.iter().map(again).collect();
    for unit in &mut new[..2] {
        unit.targets[0].rustc = 2;
    }
    let made = Recorded::of(&old, &new).input("/p/crates/c/src/lib.rs", Some(1_500));
    let groups = group(&made.explain());
    let told: Vec<_> = groups
        .iter()
        .map(|group| (group.cause.as_str(), group.units, group.is_of_package))
        .collect();
    assert_eq!(
        told,
        [
            ("toolchain changed", 2, false),
            ("src/lib.rs changed", 1, true)
        ]
    );
}

#[test]
fn a_run_of_a_build_script_has_the_causes_of_the_library_that_it_is_for() {
    let mut old_run = unit("core", "1");
    old_run.kind = UnitKind::BuildScriptRun;
    let old_library = on(unit("core", "2"), &old_run);
    let mut run = unit("core", "3");
    run.kind = UnitKind::BuildScriptRun;
    let mut library = on(unit("core", "4"), &run);
    library.targets[0].profile = 2;
    assert_eq!(
        Recorded::of(&[old_run, old_library], &[run, library]).reasons(),
        ["profile changed", "profile changed"]
    );
}

#[test]
fn a_unit_under_another_hash_of_which_nothing_else_differs_has_another_version() {
    assert_eq!(
        Recorded::of(&[unit("core", "1")], &[unit("core", "2")]).reasons(),
        ["its version changed, or where its package comes from"]
    );
}
