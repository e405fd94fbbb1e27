//! What is read off target directories that real Cargo made, in both layouts.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
    sync::OnceLock,
};

use rstest::rstest;

use super::{
    ARMED, AccessTimes, FileKind, Layout, LeftOutReason, Origin, TargetTree, Unit, UnitKind,
    UnitRecord, arm, compiled_here,
    fixture::{Fixture, move_unit},
    interface, known_interfaces, probe,
};

/// A project with every kind of target, and dependencies of every origin but vendored ones.
fn everything(layout: Layout) -> &'static Fixture {
    static V1: OnceLock<Fixture> = OnceLock::new();
    static V2: OnceLock<Fixture> = OnceLock::new();
    let cell = match layout {
        Layout::V1 => &V1,
        Layout::V2 => &V2,
    };
    cell.get_or_init(|| {
        let fixture = Fixture::new(layout, false);
        write_everything(&fixture);
        for command in [
            &["test", "--no-run"][..],
            &["build", "--examples", "--bins"],
            &["check", "--tests"],
            &["clippy"],
            &["doc", "--no-deps"],
            &["build", "--release", "-p", "app"],
            &["build", "-p", "app", "--target", host()],
        ] {
            fixture.cargo(command);
        }
        fixture
    })
}

fn write_everything(fixture: &Fixture) {
    fixture.write(
        "git/gitty/Cargo.toml",
        "[package]\nname = \"gitty\"\nversion = \"0.3.0\"\nedition = \"2021\"\n",
    );
    fixture.write("git/gitty/src/lib.rs", "");
    for arguments in [
        &["init", "-q", "git"][..],
        &["-C", "git", "add", "-A"],
        &[
            "-C",
            "git",
            "-c",
            "user.name=n",
            "-c",
            "user.email=e",
            "commit",
            "-qm",
            "m",
        ],
    ] {
        fixture.run("git", &fixture.target, arguments);
    }
    let git = fixture.workspace.join("git");
    let git = git.to_str().expect("UTF-8").replace(' ', "%20");
    fixture.write("Cargo.toml", "[workspace]\nmembers = [\"app\", \"mac\", \"native\", \"own itoa\"]\nresolver = \"2\"\nexclude = [\"git\"]\n");
    fixture.package(
        "app",
        "app",
        &format!(
            "[dependencies]\nmac = {{ path = \"../mac\" }}\nnative = {{ path = \"../native\" }}\n\
             own = {{ package = \"itoa\", path = \"../own itoa\" }}\nitoa = \"1\"\npaste = \"1\"\n\
             gitty = {{ git = \"file://{git}\" }}\n[dev-dependencies]\ncfg-if = \"1\"\n"
        ),
    );
    fixture.write("app/src/main.rs", "fn main() {}\n");
    fixture.write("app/examples/an-example.rs", "fn main() {}\n");
    fixture.write("app/tests/it.rs", "#[test]\nfn it() {}\n");
    fixture.package("mac", "mac", "[lib]\nproc-macro = true\n");
    fixture.package(
        "native",
        "native",
        "[lib]\ncrate-type = [\"cdylib\", \"rlib\"]\n",
    );
    fixture.write(
        "native/build.rs",
        "fn main() {\n    println!(\"cargo:rerun-if-changed=build.rs\");\n    let out = std::env::var(\"OUT_DIR\").unwrap();\n    \
         std::fs::create_dir_all(out.clone() + \"/empty\").unwrap();\n    \
         std::fs::write(out + \"/generated.rs\", \"\").unwrap();\n}\n",
    );
    // The name of a package from the registry, and a space in its path.
    fixture.package("own itoa", "itoa", "");
}

fn host() -> &'static str {
    static HOST: OnceLock<String> = OnceLock::new();
    HOST.get_or_init(|| {
        let output = crate::process::user_command("rustc".as_ref())
            .arg("-vV")
            .output()
            .expect("it starts");
        let text = String::from_utf8(output.stdout).expect("UTF-8");
        let host = text
            .lines()
            .find_map(|line| line.strip_prefix("host: "))
            .expect("it says so");
        host.to_owned()
    })
}

/// Every file below `directory`, relative to `root`.
fn files_below(directory: &Path, root: &Path, files: &mut BTreeSet<String>) {
    for entry in fs_err::read_dir(directory).expect("listed") {
        let entry = entry.expect("listed");
        if entry.file_type().expect("known").is_dir() {
            files_below(&entry.path(), root, files);
        } else {
            let path = entry.path();
            files.insert(
                path.strip_prefix(root)
                    .expect("below")
                    .to_str()
                    .expect("UTF-8")
                    .to_owned(),
            );
        }
    }
}

fn assert_all_accounted_for(tree: &TargetTree) {
    let mut files = BTreeSet::new();
    files_below(&tree.directory, &tree.directory, &mut files);
    let mut times: BTreeMap<&str, usize> = BTreeMap::new();
    let kept = tree
        .units
        .iter()
        .flat_map(|unit| &unit.files)
        .chain(&tree.shared)
        .chain(&tree.artefacts);
    for file in kept.filter(|file| file.kind != FileKind::Directory) {
        *times.entry(file.path.as_str()).or_default() += 1;
    }
    for file in &files {
        let left_out = tree
            .left_out
            .iter()
            .filter(|left_out| {
                *file == left_out.path || file.starts_with(&format!("{}/", left_out.path))
            })
            .count();
        let kept = times.get(file.as_str()).copied().unwrap_or_default();
        assert_eq!(kept + left_out, 1, "{file}");
    }
    assert_eq!(
        times.keys().filter(|path| !files.contains(**path)).count(),
        0
    );
}

/// How many units a profile directory has of each package, kind and origin.
fn summary(tree: &TargetTree, profile: &str) -> String {
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    for unit in tree
        .units
        .iter()
        .filter(|unit| unit.id.profile.as_str() == profile)
    {
        let origin = match &unit.origin {
            Origin::Registry { package, .. } => package.split('-').next().expect("a part"),
            Origin::Git { repository, .. } => repository.split('-').next().expect("a part"),
            Origin::Elsewhere => ".",
        };
        *counts
            .entry(format!("{} {:?} {origin}", unit.id.package, unit.kind))
            .or_default() += 1;
    }
    let lines: Vec<_> = counts
        .into_iter()
        .map(|(unit, count)| format!("{unit} {count}\n"))
        .collect();
    lines.concat()
}

fn the<'a>(
    tree: &'a TargetTree,
    profile: &str,
    package: &str,
    kind: UnitKind,
    is_ours: bool,
) -> &'a Unit {
    tree.units
        .iter()
        .find(|unit| {
            unit.id.profile.as_str() == profile
                && unit.id.package == package
                && unit.kind == kind
                && unit.origin.is_cargo_home() != is_ours
        })
        .unwrap_or_else(|| panic!("no {package} {kind:?} in {profile}"))
}

#[rstest]
fn every_file_is_in_exactly_one_place(#[values(Layout::V1, Layout::V2)] layout: Layout) {
    let tree = everything(layout).read();
    assert_all_accounted_for(&tree);
    let reasons: BTreeSet<_> = tree
        .left_out
        .iter()
        .map(|left_out| left_out.reason)
        .collect();
    let expected = [
        LeftOutReason::Incremental,
        LeftOutReason::Scratch,
        LeftOutReason::Lock,
    ];
    assert_eq!(reasons, expected.into(), "{:?}", tree.left_out);
    assert_eq!(tree.notes, []);
    assert!(tree.units.iter().all(|unit| unit.layout == layout));
    assert!(
        tree.shared
            .iter()
            .all(|file| ["CACHEDIR.TAG", ".rustc_info.json"].contains(&file.path.file_name()))
    );
    assert!(
        tree.artefacts
            .iter()
            .any(|file| file.path.as_str() == "doc/app/index.html")
    );
}

#[rstest]
fn kinds_and_origins_are_those_that_cargo_built(#[values(Layout::V1, Layout::V2)] layout: Layout) {
    let tree = everything(layout).read();
    insta::allow_duplicates! {
        insta::assert_snapshot!(summary(&tree, "release"), @r"
        app Executable . 1
        app Library . 1
        gitty Library git 1
        itoa Library . 1
        itoa Library itoa 1
        mac ProcMacro . 1
        native BuildScript . 1
        native BuildScriptRun . 1
        native Library . 1
        paste BuildScript paste 1
        paste BuildScriptRun paste 1
        paste ProcMacro paste 1
        ");
        // The script is compiled for the host, its run belongs to the target.
        insta::assert_snapshot!(summary(&tree, &format!("{}/debug", host())), @r"
        app Executable . 1
        app Library . 1
        gitty Library git 1
        itoa Library . 1
        itoa Library itoa 1
        native BuildScriptRun . 1
        native Library . 1
        ");
        // In V1 the documentation of `native` has the hash of the library itself, whose file names carry none.
        let debug = summary(&tree, "debug");
        assert_eq!(debug.contains("native Doc"), layout == Layout::V2);
        insta::assert_snapshot!(debug.replace("native Doc . 1\n", ""), @r"
        app Check . 3
        app Doc . 1
        app Executable . 2
        app Library . 1
        app Test . 3
        app TestCheck . 3
        cfg-if Check cfg 1
        cfg-if Library cfg 1
        gitty Check git 1
        gitty Library git 1
        itoa Check . 2
        itoa Check itoa 1
        itoa Doc . 1
        itoa Library . 1
        itoa Library itoa 1
        itoa Test . 1
        itoa TestCheck . 1
        mac Check . 1
        mac Doc . 1
        mac ProcMacro . 2
        mac Test . 1
        mac TestCheck . 1
        native BuildScript . 2
        native BuildScriptRun . 2
        native Check . 2
        native Library . 1
        native Test . 1
        native TestCheck . 1
        paste BuildScript paste 1
        paste BuildScriptRun paste 1
        paste ProcMacro paste 1
        ");
    }
}

#[rstest]
fn every_unit_knows_when_and_how_long_it_was_compiled(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
) {
    for unit in everything(layout).read().units {
        let print = unit.fingerprint.as_ref().expect("it has one");
        assert_ne!(print.rustc, 0, "{:?}", unit.id);
        assert!(unit.compile_time.is_some(), "{:?}", unit.id);
        let last = unit.files.last().expect("it has files");
        assert!(
            last.is_fingerprint && !last.path.as_str().contains(".json"),
            "{last:?}"
        );
    }
}

/// The values that fingerprints name their dependencies by are those of the dependencies' own fingerprints.
#[rstest]
fn dependencies_are_found_by_their_values(#[values(Layout::V1, Layout::V2)] layout: Layout) {
    let tree = everything(layout).read();
    let values: BTreeSet<_> = tree
        .units
        .iter()
        .flat_map(Unit::fingerprints)
        .map(|print| &print.value)
        .collect();
    for unit in &tree.units {
        for (name, value) in unit.fingerprints().flat_map(|print| &print.deps) {
            assert!(values.contains(value), "{name} of {:?}", unit.id);
        }
    }
}

#[rstest]
#[case::registry_library("cfg-if", UnitKind::Library, false, &["cfg_if", "app", "it", "an-example"])]
#[case::registry_macro("paste", UnitKind::ProcMacro, false, &["paste", "app", "it", "an-example"])]
#[case::registry_script("paste", UnitKind::BuildScript, false, &["build-script-build", "paste", "app", "it", "an-example"])]
#[case::registry_script_run("paste", UnitKind::BuildScriptRun, false, &["paste", "app", "it", "an-example"])]
#[case::git_library("gitty", UnitKind::Library, false, &["gitty", "app", "it", "an-example"])]
#[case::library_of_a_shared_name("itoa", UnitKind::Library, true, &["itoa", "app", "it", "an-example"])]
#[case::dynamic_library("native", UnitKind::Library, true, &["native", "app", "it", "an-example"])]
#[case::executable("app", UnitKind::Executable, true, &["app", "an-example"])]
fn a_unit_can_be_taken_out_and_put_back(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
    #[case] package: &str,
    #[case] kind: UnitKind,
    #[case] is_ours: bool,
    #[case] at_most: &[&str],
) {
    let fixture = everything(layout);
    let copy = fixture.copy(&format!("{layout:?}-{package}-{kind:?}"));
    let tree = fixture.read_at(&copy);
    let unit = the(&tree, "debug", package, kind, is_ours);
    let aside = tempfile::tempdir_in(&fixture.workspace).expect("a temporary directory");
    let command = ["test", "--no-run"];

    move_unit(unit, &copy, aside.path());
    let without = fixture.read_at(&copy);
    assert_eq!(without.units.len(), tree.units.len() - 1);
    move_unit(unit, aside.path(), &copy);
    assert_eq!(
        fixture.build(&copy, &command).compiled,
        BTreeSet::new(),
        "put back"
    );

    move_unit(unit, &copy, aside.path());
    let compiled = fixture.build(&copy, &command).compiled;
    assert!(!compiled.is_empty());
    let at_most: BTreeSet<_> = at_most.iter().map(|name| (*name).to_owned()).collect();
    assert!(compiled.is_subset(&at_most), "{compiled:?}");
    fs_err::remove_dir_all(&copy).expect("removed");
}

#[rstest]
fn armed_units_tell_which_ones_a_command_used(#[values(Layout::V1, Layout::V2)] layout: Layout) {
    let fixture = everything(layout);
    let copy = fixture.copy(&format!("{layout:?}-access"));
    if probe(&copy).expect("probed") == AccessTimes::Frozen {
        return;
    }
    arm(&fixture.read_at(&copy)).expect("armed");
    fixture.build(&copy, &["build", "--release", "-p", "app"]);
    let tree = fixture.read_at(&copy);
    for unit in &tree.units {
        assert_eq!(
            unit.was_used(ARMED),
            unit.id.profile.as_str() == "release",
            "{:?}",
            unit.id
        );
    }
    fs_err::remove_dir_all(&copy).expect("removed");
}

#[rstest]
fn records_with_their_interfaces_come_back_from_json_and_are_small(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
) {
    let tree = everything(layout).read();
    let found = interface(&tree.directory, &tree.units, &BTreeMap::new()).expect("hashed");
    let mut records: Vec<_> = tree
        .units
        .iter()
        .map(|unit| UnitRecord::of(unit, None))
        .collect();
    for record in &mut records {
        record.interface = found.units.get(&record.id).copied();
    }
    let json = serde_json::to_string(&records).expect("JSON");
    assert_eq!(
        serde_json::from_str::<Vec<UnitRecord>>(&json).expect("the same"),
        records
    );
    assert!(
        json.len() / records.len() < 900,
        "{}",
        json.len() / records.len()
    );

    assert_eq!(compiled_here(&tree.units, &records), BTreeSet::new());
    assert_eq!(compiled_here(&tree.units, &records[1..]).len(), 1);
    // With all digests known, nothing is read: not even that the files are gone shows.
    let known = known_interfaces(&tree.units, &records);
    let nowhere = Path::new("/nowhere");
    assert_eq!(
        interface(nowhere, tree.units.iter().rev(), &known).expect("known"),
        found
    );
    assert!(interface(nowhere, &tree.units, &BTreeMap::new()).is_err());
}

/// CARGO_HOME below the workspace, reached through a link, beside vendored sources.
#[rstest]
fn a_cargo_home_in_the_repository_is_no_vendored_source(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
) {
    let mut fixture = Fixture::new(layout, true);
    fixture.package("vendor/itoa", "itoa", "");
    fixture.package(
        ".",
        "root",
        "[dependencies]\nitoa = { path = \"vendor/itoa\" }\ncfg-if = \"1\"\n",
    );
    let link = fixture.workspace.join("linked home");
    fs_err::os::unix::fs::symlink(&fixture.cargo_home, &link).expect("linked");
    fixture.cargo_home = link;
    fixture.cargo(&["build"]);
    insta::allow_duplicates! {
        insta::assert_snapshot!(summary(&fixture.read(), "debug"), @r"
        cfg-if Library cfg 1
        itoa Library . 1
        root Library . 1
        ");
    }
}

/// With a build directory of its own, the target directory holds nothing but links of what is in there.
#[rstest]
fn final_artefacts_beside_a_build_directory_are_left_out(
    #[values(Layout::V1, Layout::V2)] layout: Layout,
) {
    let fixture = Fixture::new(layout, false);
    fixture.package(".", "root", "");
    fixture.write("src/main.rs", "fn main() {}\n");
    fixture.cargo(&["build", "--config", "build.build-dir='built'"]);
    let tree = fixture.read();
    assert_all_accounted_for(&tree);
    assert_eq!(tree.units.len(), 0);
    assert_eq!(tree.shared.len(), 1, "{:?}", tree.shared);
    let built = fixture.read_at(&fixture.workspace.join("built"));
    assert_all_accounted_for(&built);
    insta::allow_duplicates! {
        insta::assert_snapshot!(summary(&built, "debug"), @r"
        root Executable . 1
        root Library . 1
        ");
    }
}
