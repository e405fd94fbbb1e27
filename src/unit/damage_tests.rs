//! What is made of target directories that Cargo did not leave in order, or that only other platforms have.
//!
//! The directories are written by hand, after what real ones hold.

use std::{collections::BTreeSet, path::Path};

use proptest::prelude::*;
use rstest::rstest;
use tempfile::TempDir;

use super::{LeftOutReason, Origin, SourceRoots, TargetTree, UnitKind, read_target};

const HASH: &str = "0123456789abcdef";
const OTHER: &str = "fedcba9876543210";

/// A target directory with these files, each with its content; directories end in `/`.
fn target(files: &[(&str, &str)]) -> TempDir {
    let directory = tempfile::tempdir().expect("a temporary directory");
    for (path, content) in files {
        let path = directory.path().join(path);
        fs_err::create_dir_all(path.parent().expect("it has one")).expect("created");
        if content.is_empty() && path.to_string_lossy().ends_with('/') {
            fs_err::create_dir_all(path).expect("created");
        } else {
            fs_err::write(path, content).expect("written");
        }
    }
    directory
}

fn read(directory: &Path) -> TargetTree {
    let sources = SourceRoots {
        cargo_homes: vec!["/home/u/.cargo".into()],
        bases: vec!["/w".into()],
    };
    read_target(directory, &sources).expect("readable")
}

fn library(hash: &str) -> Vec<(String, String)> {
    let source = "/home/u/.cargo/registry/src/index/one-1.0.0/src/lib.rs";
    [
        (
            format!("debug/.fingerprint/one-{hash}/lib-one"),
            hash.to_owned(),
        ),
        (
            format!("debug/.fingerprint/one-{hash}/lib-one.json"),
            r#"{"rustc":1}"#.to_owned(),
        ),
        (
            format!("debug/.fingerprint/one-{hash}/dep-lib-one"),
            String::new(),
        ),
        (
            format!("debug/.fingerprint/one-{hash}/invoked.timestamp"),
            String::new(),
        ),
        (format!("debug/deps/one-{hash}.d"), format!("t: {source}\n")),
        (format!("debug/deps/libone-{hash}.rmeta"), "m".to_owned()),
        (format!("debug/deps/libone-{hash}.rlib"), "r".to_owned()),
    ]
    .into()
}

fn files_of(owned: &[(String, String)]) -> Vec<(&str, &str)> {
    owned
        .iter()
        .map(|(path, content)| (path.as_str(), content.as_str()))
        .collect()
}

fn reasons(tree: &TargetTree) -> BTreeSet<LeftOutReason> {
    tree.left_out
        .iter()
        .map(|left_out| left_out.reason)
        .collect()
}

#[test]
fn a_target_directory_that_does_not_exist_is_empty() {
    assert!(read(Path::new("/nowhere/target")).units.is_empty());
}

#[rstest]
#[case::outputs_of_a_killed_compilation(
    "debug/.fingerprint/one-0123456789abcdef/lib-one",
    None,
    LeftOutReason::Incomplete
)]
#[case::an_emptied_hash(
    "debug/.fingerprint/one-0123456789abcdef/lib-one",
    Some(""),
    LeftOutReason::Incomplete
)]
#[case::half_a_hash(
    "debug/.fingerprint/one-0123456789abcdef/lib-one",
    Some("0123"),
    LeftOutReason::Incomplete
)]
fn a_unit_without_a_whole_hash_is_not_stored(
    #[case] path: &str,
    #[case] content: Option<&str>,
    #[case] reason: LeftOutReason,
) {
    let files = library(HASH);
    let directory = target(&files_of(&files));
    let path = directory.path().join(path);
    match content {
        Some(content) => fs_err::write(path, content).expect("written"),
        None => fs_err::remove_file(path).expect("removed"),
    }
    let tree = read(directory.path());
    assert!(tree.units.is_empty());
    assert_eq!(reasons(&tree), [reason].into());
    assert!(tree.left_out.len() >= files.len() - 1);
}

#[test]
fn outputs_without_a_fingerprint_and_fingerprints_without_outputs_are_not_stored() {
    let mut files = library(HASH);
    files.retain(|(path, _)| !path.contains("deps"));
    let orphans: Vec<_> = library(OTHER)
        .into_iter()
        .filter(|(path, _)| path.contains("deps"))
        .collect();
    files.extend(orphans);
    let directory = target(&files_of(&files));
    let tree = read(directory.path());
    assert!(tree.units.is_empty());
    assert_eq!(
        reasons(&tree),
        [LeftOutReason::Orphan, LeftOutReason::Incomplete].into()
    );
    assert_eq!(tree.left_out.len(), files.len());
}

#[test]
fn a_unit_without_json_is_stored_all_the_same() {
    let mut files = library(HASH);
    files.retain(|(path, _)| !path.contains(".json"));
    let directory = target(&files_of(&files));
    let tree = read(directory.path());
    let [unit] = tree.units.as_slice() else {
        panic!("{:?}", tree.left_out);
    };
    assert_eq!(unit.kind, UnitKind::Library);
    assert!(unit.origin.is_cargo_home());
    assert_eq!(
        unit.fingerprint
            .as_ref()
            .map(|print| (print.value.as_str(), print.rustc)),
        Some((HASH, 0))
    );
}

#[test]
fn executables_without_hashes_share_a_unit_with_their_package() {
    let directory = target(&[
        ("debug/.fingerprint/app-0123456789abcdef/bin-my-app", HASH),
        ("debug/.fingerprint/app-0123456789abcdef/bin-other", OTHER),
        (
            "debug/.fingerprint/app-0123456789abcdef/example-simple",
            HASH,
        ),
        (
            "debug/.fingerprint/app-0123456789abcdef/doc-bin-other",
            OTHER,
        ),
        ("debug/deps/my_app.exe", "e"),
        ("debug/deps/my_app.pdb", "e"),
        (
            "debug/deps/my_app.d",
            r"C:\t\debug\deps\my_app.d: src\main.rs",
        ),
        ("debug/deps/other.exe", "e"),
        ("debug/examples/simple.exe", "e"),
        ("debug/my-app.exe", "e"),
        ("debug/my-app.d", ""),
        ("debug/my_app.pdb", "e"),
    ]);
    let tree = read(directory.path());
    let [unit] = tree.units.as_slice() else {
        panic!("{:?}", tree.left_out);
    };
    assert_eq!(unit.kind, UnitKind::Executable);
    assert_eq!(unit.origin, Origin::Elsewhere);
    assert_eq!(unit.fingerprints().count(), 4);
    assert_eq!(unit.files.len(), 9);
    // What was copied and not linked is made again by Cargo.
    let left_out: Vec<_> = tree
        .left_out
        .iter()
        .map(|left_out| left_out.path.as_str())
        .collect();
    assert_eq!(
        left_out,
        ["debug/my-app.d", "debug/my-app.exe", "debug/my_app.pdb"]
    );
    assert_eq!(reasons(&tree), [LeftOutReason::Leftover].into());
}

#[test]
fn nested_target_directories_are_read_as_profiles_of_their_own() {
    let mut files = Vec::new();
    for (nest, hash) in [
        ("", HASH),
        ("llvm-cov-target/", HASH),
        ("miri/x86_64-unknown-linux-gnu/", OTHER),
    ] {
        files.extend(
            library(hash)
                .into_iter()
                .map(|(path, content)| (format!("{nest}{path}"), content)),
        );
    }
    files.extend([
        ("llvm-cov-target/CACHEDIR.TAG".to_owned(), "t".to_owned()),
        ("llvm-cov-target/a.profraw".to_owned(), "t".to_owned()),
        ("criterion/one/report.html".to_owned(), "t".to_owned()),
        ("site/deep/below/index.html".to_owned(), "t".to_owned()),
        (
            ".hotcrate-staging/debug/.fingerprint/one-0123456789abcdef/lib-one".to_owned(),
            HASH.to_owned(),
        ),
    ]);
    let directory = target(&files_of(&files));
    let tree = read(directory.path());
    let profiles: Vec<_> = tree
        .units
        .iter()
        .map(|unit| unit.id.profile.as_str())
        .collect();
    assert_eq!(
        profiles,
        [
            "debug",
            "llvm-cov-target/debug",
            "miri/x86_64-unknown-linux-gnu/debug"
        ]
    );
    let left_out: Vec<_> = tree
        .left_out
        .iter()
        .map(|left_out| left_out.path.as_str())
        .collect();
    assert_eq!(
        left_out,
        [
            ".hotcrate-staging",
            "criterion",
            "llvm-cov-target/a.profraw",
            "site"
        ]
    );
    assert_eq!(tree.shared.len(), 1);
}

fn script_run() -> Vec<(String, String)> {
    [
        (
            "debug/.fingerprint/two-fedcba9876543210/run-build-script-build-script-build",
            OTHER,
        ),
        ("debug/build/two-fedcba9876543210/output", ""),
        ("debug/build/two-fedcba9876543210/invoked.timestamp", ""),
        ("debug/build/two-fedcba9876543210/out/", ""),
        ("debug/build/two-fedcba9876543210/out/empty/", ""),
    ]
    .map(|(path, content)| (path.to_owned(), content.to_owned()))
    .into()
}

#[test]
fn the_run_of_a_build_script_keeps_its_empty_directories() {
    let directory = target(&files_of(&script_run()));
    let tree = read(directory.path());
    let paths: Vec<_> = tree
        .units
        .iter()
        .flat_map(|unit| &unit.files)
        .map(|file| file.path.as_str())
        .collect();
    assert_eq!(
        paths,
        [
            "debug/build/two-fedcba9876543210/invoked.timestamp",
            "debug/build/two-fedcba9876543210/out",
            "debug/build/two-fedcba9876543210/out/empty",
            "debug/build/two-fedcba9876543210/output",
            "debug/.fingerprint/two-fedcba9876543210/run-build-script-build-script-build",
        ]
    );
}

#[test]
fn what_a_build_script_put_beside_the_executables_is_shared() {
    let mut files = script_run();
    files.extend(library(HASH));
    for path in [
        "debug/libonnx.so.1",
        "debug/deps/libonnx.so.1",
        "debug/x.profraw",
        "debug/one",
        "debug/one.d",
    ] {
        files.push((path.to_owned(), "x".to_owned()));
    }
    let directory = target(&files_of(&files));
    let tree = read(directory.path());
    let shared: Vec<_> = tree.shared.iter().map(|file| file.path.as_str()).collect();
    assert_eq!(shared, ["debug/deps/libonnx.so.1", "debug/libonnx.so.1"]);
    assert_eq!(tree.left_out.len(), 3);
}

#[cfg(unix)]
#[rstest]
#[case::a_name_that_windows_reads_otherwise("a:b", None)]
#[case::a_link_out_of_the_target_directory("link", Some("../../../../../outside"))]
#[case::an_absolute_link("link", Some("/usr/lib/libz.so"))]
fn a_unit_that_an_archive_cannot_hold_is_left_out_whole(
    #[case] name: &str,
    #[case] link: Option<&str>,
) {
    let directory = target(&files_of(&script_run()));
    let path = directory
        .path()
        .join("debug/build/two-fedcba9876543210/out")
        .join(name);
    match link {
        Some(link) => fs_err::os::unix::fs::symlink(link, path).expect("linked"),
        None => fs_err::write(path, "").expect("written"),
    }
    let tree = read(directory.path());
    assert!(tree.units.is_empty());
    assert_eq!(reasons(&tree), [LeftOutReason::Unpackable].into());
    assert_eq!(tree.notes.len(), 2);
}

#[cfg(unix)]
#[test]
fn names_that_are_not_text_are_noted() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt as _};

    let directory = target(&files_of(&library(HASH)));
    fs_err::write(
        directory
            .path()
            .join("debug/deps")
            .join(OsStr::from_bytes(b"\xff-bad")),
        "",
    )
    .expect("written");
    let tree = read(directory.path());
    assert_eq!(tree.units.len(), 1);
    assert_eq!(tree.notes.len(), 1);
}

#[cfg(unix)]
#[test]
fn uplifted_debug_symbols_are_found_through_their_link() {
    let mut files = library(HASH);
    files.push((
        format!("debug/deps/one-{HASH}.dSYM/Contents/Info.plist"),
        "i".to_owned(),
    ));
    let directory = target(&files_of(&files));
    let link = directory.path().join("debug/one.dSYM");
    fs_err::os::unix::fs::symlink(format!("deps/one-{HASH}.dSYM"), link).expect("linked");
    let tree = read(directory.path());
    assert_eq!(tree.left_out, []);
    assert_eq!(tree.units[0].files.len(), files.len() + 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// However files are cut, removed or overwritten, each is accounted for and nothing panics.
    #[test]
    fn damage_never_stops_the_reading(damage in prop::collection::vec((0_usize..17, 0_u8..4), 0..8)) {
        let mut files = library(HASH);
        files.extend(library(OTHER));
        files.extend(script_run().into_iter().filter(|(path, _)| !path.ends_with('/')));
        let directory = target(&files_of(&files));
        let mut gone = BTreeSet::new();
        for (index, how) in damage {
            let path = directory.path().join(&files[index % files.len()].0);
            match how {
                0 => { fs_err::write(&path, "").expect("written"); gone.remove(&path); }
                1 => { fs_err::write(&path, b"\xff{\"deps\":[[1").expect("written"); gone.remove(&path); }
                2 => { fs_err::write(&path, HASH).expect("written"); gone.remove(&path); }
                _ => if gone.insert(path.clone()) { fs_err::remove_file(&path).expect("removed"); },
            }
        }
        let tree = read(directory.path());
        let stored: usize = tree.units.iter().map(|unit| unit.files.len()).sum();
        prop_assert_eq!(stored + tree.left_out.len() + gone.len(), files.len());
    }
}
