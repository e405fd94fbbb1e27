//! The rules of pruning, one by one, and what holds whatever the units are.

use std::collections::BTreeSet;

use proptest::prelude::*;
use rstest::rstest;

use super::*;
use crate::{
    archive::path::RelativePath,
    unit::{Layout, Origin, UnitKind},
};

/// A library of `package` (`<name>-<version>` from the registry, or a name of the workspace) with this hash, compiled
/// against the units with these hashes. Its fingerprint's value is its hash.
fn record(package: &str, hash: &str, deps: &[&str]) -> UnitRecord {
    let (name, origin) = match package.split_once('-') {
        Some((name, _)) => (
            name,
            Origin::Registry {
                index: "index".to_owned(),
                package: package.to_owned(),
            },
        ),
        None => (package, Origin::Elsewhere),
    };
    UnitRecord {
        id: UnitId {
            profile: RelativePath::new("debug").expect("plain"),
            package: name.to_owned(),
            hash: hash.to_owned(),
        },
        layout: Layout::V1,
        kind: UnitKind::Library,
        origin,
        bytes: 1,
        compile_nanos: Some(1_000_000_000),
        unused_saves: 0,
        rustc: 1,
        features: String::new(),
        target: 1,
        profile_number: 1,
        compile_kind: 0,
        values: vec![hash.to_owned()],
        deps: deps.iter().map(|dep| (*dep).to_owned()).collect(),
        interface: None,
        holds_target: false,
    }
}

fn candidate(record: &UnitRecord, used: bool) -> Candidate<'_> {
    Candidate {
        record,
        used,
        compiled_here: false,
    }
}

fn locked(packages: &[&str]) -> LockedPackages {
    LockedPackages {
        registry: packages
            .iter()
            .map(|package| (*package).to_owned())
            .collect(),
        git_revisions: ["1a2b3c4d5e6f".to_owned()].into(),
    }
}

fn request<'a>(units: Vec<Candidate<'a>>, locked: &'a LockedPackages) -> PruneRequest<'a> {
    PruneRequest {
        units,
        locked: Some(locked),
        restored: Restored::Exact,
        job_succeeded: true,
        access_times: AccessTimes::Move,
    }
}

/// A line for each unit: what becomes of it and why.
fn outcome(plan: &PrunePlan) -> String {
    let keep = plan.keep.iter().map(|kept| {
        format!(
            "keep {}-{} ({})",
            kept.id.package, kept.id.hash, kept.unused_saves
        )
    });
    let drop = plan
        .drop
        .iter()
        .map(|(id, reason)| format!("drop {}-{}: {reason}", id.package, id.hash));
    keep.chain(drop).collect::<Vec<_>>().join("\n")
}

/// memchr was updated; regex is compiled against it, app against regex; a test of the job uses memchr with other deps.
fn after_a_bump() -> [UnitRecord; 6] {
    [
        record("memchr-2.8.3", "m1", &[]),
        record("regex-1.0.0", "r1", &["m1"]),
        record("app", "a1", &["r1"]),
        record("memchr-2.8.2", "m2", &[]),
        record("regex-1.0.0", "r2", &["m2"]),
        record("app", "a2", &["r2"]),
    ]
}

#[test]
fn what_a_lockfile_lost_goes_with_all_that_was_compiled_against_it() {
    let records = after_a_bump();
    let locked = locked(&["memchr-2.8.2", "regex-1.0.0"]);
    let units = records
        .iter()
        .map(|record| candidate(record, record.id.hash.ends_with('2')))
        .collect();
    insta::assert_snapshot!(outcome(&plan(&request(units, &locked))), @r"
    keep memchr-m2 (0)
    keep regex-r2 (0)
    keep app-a2 (0)
    drop memchr-m1: memchr-2.8.3 left the lockfile
    drop regex-r1: compiled against memchr-m1, which can't be fresh again
    drop app-a1: compiled against regex-r1, which can't be fresh again
    ");
}

#[test]
fn a_failed_job_drops_and_counts_nothing() {
    let records = after_a_bump();
    let locked = locked(&[]);
    let units = records
        .iter()
        .map(|record| candidate(record, false))
        .collect();
    let plan = plan(&PruneRequest {
        job_succeeded: false,
        restored: Restored::Partial,
        ..request(units, &locked)
    });
    assert_eq!(plan.drop, []);
    assert!(plan.keep.iter().all(|kept| kept.unused_saves == 0));
}

#[rstest]
#[case(Restored::Exact, 3)]
#[case(Restored::Nothing, 3)]
#[case(Restored::Partial, 1)]
fn units_are_superseded_only_after_a_partial_match(
    #[case] restored: Restored,
    #[case] kept: usize,
) {
    let records = [
        record("regex-1.0.0", "r1", &[]),
        record("regex-1.0.0", "r2", &[]),
        record("regex-1.0.0", "r3", &[]),
    ];
    let locked = locked(&["regex-1.0.0"]);
    let units = records
        .iter()
        .map(|record| candidate(record, record.id.hash == "r3"))
        .collect();
    let plan = plan(&PruneRequest {
        restored,
        ..request(units, &locked)
    });
    assert_eq!(plan.keep.len(), kept);
    for (_, reason) in plan.drop {
        insta::allow_duplicates! { insta::assert_snapshot!(reason, @"superseded by regex-r3"); }
    }
}

#[rstest]
#[case::features(|record: &mut UnitRecord| record.features = "other".to_owned())]
#[case::target(|record: &mut UnitRecord| record.target = 2)]
#[case::settings(|record: &mut UnitRecord| record.profile_number = 2)]
#[case::platform(|record: &mut UnitRecord| record.compile_kind = 2)]
#[case::compiler(|record: &mut UnitRecord| record.rustc = 2)]
#[case::unreadable_fingerprint(|record: &mut UnitRecord| record.rustc = 0)]
#[case::kind(|record: &mut UnitRecord| record.kind = UnitKind::Check)]
#[case::profile(|record: &mut UnitRecord| record.id.profile = RelativePath::new("release").expect("plain"))]
#[case::origin(|record: &mut UnitRecord| record.origin = Origin::Elsewhere)]
fn a_unit_of_another_place_supersedes_nothing(#[case] change: fn(&mut UnitRecord)) {
    let old = record("regex-1.0.0", "r1", &[]);
    let mut new = record("regex-1.0.0", "r2", &[]);
    change(&mut new);
    let locked = locked(&["regex-1.0.0"]);
    let plan = plan(&PruneRequest {
        restored: Restored::Partial,
        ..request(vec![candidate(&old, false), candidate(&new, true)], &locked)
    });
    assert_eq!(plan.drop, []);
}

#[test]
fn a_unit_goes_at_the_third_save_that_did_not_use_it() {
    let locked = locked(&["regex-1.0.0"]);
    let mut unit = record("regex-1.0.0", "r1", &[]);
    for expected in [1, 2] {
        let plan = plan(&request(vec![candidate(&unit, false)], &locked));
        unit.unused_saves = plan.keep[0].unused_saves;
        assert_eq!(unit.unused_saves, expected);
    }
    let used = plan(&request(vec![candidate(&unit, true)], &locked));
    assert_eq!(used.keep[0].unused_saves, 0);
    let unused = plan(&request(vec![candidate(&unit, false)], &locked));
    insta::assert_snapshot!(outcome(&unused), @"drop regex-r1: unused for 3 saves");
}

#[test]
fn what_a_used_unit_was_compiled_against_stays_whatever_speaks_against_it() {
    let dependency = record("memchr-2.8.3", "m1", &[]);
    let dependent = record("regex-1.0.0", "r1", &["m1"]);
    let locked = locked(&[]);
    let units = vec![candidate(&dependency, false), candidate(&dependent, true)];
    assert_eq!(plan(&request(units, &locked)).drop, []);
}

#[test]
fn a_unit_whose_dependency_is_not_there_goes() {
    let unit = record("app", "a1", &["gone"]);
    let locked = locked(&[]);
    let plan = plan(&request(vec![candidate(&unit, false)], &locked));
    insta::assert_snapshot!(outcome(&plan), @"drop app-a1: compiled against a build that is not there any more");
}

#[test]
fn git_sources_are_known_by_the_first_digits_of_their_revision() {
    let git = |revision: &str| UnitRecord {
        origin: Origin::Git {
            repository: "serde-00".to_owned(),
            revision: revision.to_owned(),
        },
        ..record("serde", revision, &[])
    };
    let records = [git("1a2b3c4"), git("1a2b3c5"), git("1a2b3c3")];
    let locked = locked(&[]);
    let units = records
        .iter()
        .map(|record| candidate(record, false))
        .collect();
    insta::assert_snapshot!(outcome(&plan(&request(units, &locked))), @r"
    keep serde-1a2b3c4 (1)
    drop serde-1a2b3c5: serde-00 at 1a2b3c5 left the lockfile
    drop serde-1a2b3c3: serde-00 at 1a2b3c3 left the lockfile
    ");
}

#[test]
fn without_a_lockfile_no_version_has_left() {
    let unit = record("memchr-2.8.3", "m1", &[]);
    let plan = plan(&PruneRequest {
        locked: None,
        ..request(vec![candidate(&unit, false)], &LockedPackages::default())
    });
    assert_eq!(plan.drop, []);
}

#[test]
fn with_frozen_access_times_versions_and_what_was_compiled_decide() {
    let records = [
        record("memchr-2.8.3", "m1", &[]),
        record("regex-1.0.0", "r1", &[]),
        record("regex-1.0.0", "r2", &[]),
        UnitRecord {
            unused_saves: 2,
            ..record("libc-0.2.0", "l1", &[])
        },
    ];
    let locked = locked(&["regex-1.0.0", "libc-0.2.0"]);
    let units = records
        .iter()
        .map(|record| Candidate {
            compiled_here: record.id.hash == "r2",
            // Frozen ones look as if all were used.
            ..candidate(record, true)
        })
        .collect();
    let plan = plan(&PruneRequest {
        restored: Restored::Partial,
        access_times: AccessTimes::Frozen,
        ..request(units, &locked)
    });
    insta::assert_snapshot!(outcome(&plan), @r"
    keep regex-r2 (0)
    keep libc-l1 (2)
    drop memchr-m1: memchr-2.8.3 left the lockfile
    drop regex-r1: superseded by regex-r2
    ");
}

#[test]
fn worth_is_the_share_of_compile_time_spent_here() {
    let mut records = [
        record("memchr-2.8.3", "m1", &[]),
        record("regex-1.0.0", "r1", &[]),
        record("libc-0.2.0", "l1", &[]),
    ];
    records[2].compile_nanos = None;
    let here = [records[0].id.clone(), records[2].id.clone()].into();
    let worth = worth_saving(&records, &here);
    assert_eq!(worth.total, Duration::from_secs(2));
    assert!((worth.share() - 0.5).abs() < 1e-9);
    assert!(worth_saving(&records[2..], &here).share() < 1e-9);
}

/// A graph of units: each depends on earlier ones only, or on a value that nobody has.
fn graphs() -> impl Strategy<Value = Vec<(UnitRecord, bool, bool)>> {
    let unit = (
        0_usize..4,
        prop::collection::vec(0_usize..40, 0..3),
        0_u32..4,
        any::<bool>(),
        any::<bool>(),
    );
    prop::collection::vec(unit, 1..24).prop_map(|units| {
        units
            .into_iter()
            .enumerate()
            .map(
                |(index, (package, deps, unused_saves, used, compiled_here))| {
                    let deps: BTreeSet<_> = deps
                        .into_iter()
                        .filter(|dep| *dep < index || *dep > 36)
                        .map(|dep| dep.to_string())
                        .collect();
                    let deps: Vec<_> = deps.iter().map(String::as_str).collect();
                    let package = ["a-1.0.0", "a-2.0.0", "b-1.0.0", "own"][package];
                    let record = UnitRecord {
                        unused_saves,
                        ..record(package, &index.to_string(), &deps)
                    };
                    (record, used, compiled_here)
                },
            )
            .collect()
    })
}

fn restored() -> impl Strategy<Value = Restored> {
    prop::sample::select(vec![Restored::Nothing, Restored::Exact, Restored::Partial])
}

proptest! {
    #[test]
    fn what_stays_has_all_that_it_was_compiled_against(
        graph in graphs(),
        restored in restored(),
        moves in any::<bool>(),
    ) {
        let locked = locked(&["a-1.0.0", "b-1.0.0"]);
        let access_times = if moves { AccessTimes::Move } else { AccessTimes::Frozen };
        let decide = |only: Option<&BTreeSet<UnitId>>| {
            let units = graph
                .iter()
                .filter(|(record, ..)| only.is_none_or(|only| only.contains(&record.id)))
                .map(|(record, used, compiled_here)| Candidate {
                    record,
                    used: *used,
                    compiled_here: *compiled_here,
                })
                .collect();
            plan(&PruneRequest { restored, access_times, ..request(units, &locked) })
        };
        let first = decide(None);
        prop_assert_eq!(first.keep.len() + first.drop.len(), graph.len());
        let dropped: BTreeSet<_> = first.drop.iter().map(|(id, _)| id.hash.clone()).collect();
        let kept: BTreeSet<_> = first.keep.iter().map(|kept| kept.id.clone()).collect();
        for (record, used, compiled_here) in &graph {
            if kept.contains(&record.id) {
                prop_assert!(record.deps.iter().all(|dep| !dropped.contains(dep)));
            } else {
                prop_assert!(!compiled_here);
                prop_assert!(!(moves && *used));
            }
        }
        prop_assert_eq!(decide(Some(&kept)).drop, vec![]);
    }
}
