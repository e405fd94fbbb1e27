//! Tests of [`super`]; the last ones with real Cargo and crates.io.

use std::time::Duration;
#[cfg(unix)]
use std::{ffi::OsStr, process::Output};

use fs_err as fs;

use super::*;
#[cfg(unix)]
use crate::process::user_command;

const CRATES_IO: &str = "registry+https://github.com/rust-lang/crates.io-index";
#[cfg(unix)]
const INDEX: &str = "index.crates.io-1949cf8c6b5b557f";

fn package(name: &str, source: Option<&str>) -> LockedPackage {
    LockedPackage {
        name: name.to_owned(),
        version: "1.0.0".to_owned(),
        source: source.map(str::to_owned),
        checksum: None,
    }
}

/// A CARGO_HOME with these files, each holding its own name.
fn home(files: &[&str]) -> tempfile::TempDir {
    let home = tempfile::tempdir().unwrap();
    for file in files {
        let path = home.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, file).unwrap();
    }
    home
}

fn names(home: &Path, packages: &[LockedPackage]) -> Vec<String> {
    let tree = read_registry(home, packages);
    assert_eq!(tree.notes, [""; 0]);
    tree.names().map(str::to_owned).collect()
}

#[rstest::rstest]
#[case("a", "1/a")]
#[case("ab", "2/ab")]
#[case("abc", "3/a/abc")]
#[case("abcd", "ab/cd/abcd")]
#[case("Inflector", "in/fl/inflector")]
fn an_index_file_lies_where_cargo_puts_it(#[case] name: &str, #[case] path: &str) {
    assert_eq!(index_file(name), path);
}

#[test]
fn only_what_the_lockfile_names_is_taken() {
    let home = home(&[
        "registry/cache/one/serde-1.0.0.crate",
        "registry/cache/one/serde-0.9.0.crate",
        "registry/cache/one/other-1.0.0.crate",
        "registry/index/one/config.json",
        "registry/index/one/.cache/se/rd/serde",
        "registry/index/one/.cache/ot/he/other",
        "registry/src/one/serde-1.0.0/Cargo.toml",
        "git/checkouts/repo-0123456789abcdef/abc/Cargo.toml",
        "credentials.toml",
        ".global-cache",
        ".package-cache",
    ]);
    assert_eq!(
        names(
            home.path(),
            &[package("serde", Some(CRATES_IO)), package("member", None)]
        ),
        [
            "registry/cache/one/serde-1.0.0.crate",
            "registry/index/one/.cache/se/rd/serde",
            "registry/index/one/config.json",
        ]
    );
}

#[test]
fn an_index_file_of_a_package_that_was_not_downloaded_is_taken_since_resolving_needs_it() {
    let home = home(&[
        "registry/index/one/config.json",
        "registry/index/one/.cache/wi/nd/windows",
    ]);
    assert_eq!(
        names(home.path(), &[package("windows", Some(CRATES_IO))]).len(),
        2
    );
}

#[test]
fn every_registry_that_has_the_package_counts_and_no_other() {
    let home = home(&[
        "registry/cache/mirror/serde-1.0.0.crate",
        "registry/cache/own/internal-1.0.0.crate",
        "registry/cache/unused/other-1.0.0.crate",
        "registry/index/mirror/config.json",
        "registry/index/mirror/.cache/se/rd/serde",
        "registry/index/own/config.json",
        "registry/index/own/.cache/in/te/internal",
        "registry/index/unused/config.json",
    ]);
    let packages = [
        package("serde", Some(CRATES_IO)),
        package("internal", Some("sparse+https://crates.example/index/")),
    ];
    let names = names(home.path(), &packages);
    assert_eq!(names.len(), 6);
    assert!(!names.iter().any(|name| name.contains("unused")));
}

#[test]
fn a_git_index_is_one_piece_and_taken_only_if_in_use() {
    let home = home(&[
        "registry/cache/github.com-1/serde-1.0.0.crate",
        "registry/index/github.com-1/.git/HEAD",
        "registry/index/github.com-1/.cache/se/rd/serde",
        "registry/index/github.com-2/.git/HEAD",
        "registry/index/github.com-2/.cache/se/rd/serde",
    ]);
    let tree = read_registry(home.path(), &[package("serde", Some(CRATES_IO))]);
    let pieces: Vec<_> = tree
        .pieces
        .iter()
        .map(|piece| (piece.path.as_str(), piece.is_directory, piece.files.len()))
        .collect();
    assert_eq!(
        pieces,
        [
            ("registry/cache/github.com-1/serde-1.0.0.crate", false, 1),
            ("registry/index/github.com-1", true, 7),
        ]
    );
}

#[test]
fn an_empty_crate_file_is_no_download() {
    let home = home(&[]);
    let cache = home.path().join("registry/cache/one");
    fs::create_dir_all(&cache).unwrap();
    fs::write(cache.join("serde-1.0.0.crate"), "").unwrap();
    assert!(names(home.path(), &[package("serde", Some(CRATES_IO))]).is_empty());
}

#[test]
fn a_crate_file_that_was_cut_off_is_left_out() {
    let home = home(&[
        "registry/cache/one/whole-1.0.0.crate",
        "registry/cache/one/torn-1.0.0.crate",
    ]);
    let mut packages = [
        package("whole", Some(CRATES_IO)),
        package("torn", Some(CRATES_IO)),
    ];
    let content = b"registry/cache/one/whole-1.0.0.crate";
    packages[0].checksum = Some(Digest::of_bytes(content).to_string());
    packages[1].checksum = Some(Digest::of_bytes(b"all of it").to_string());
    let mut tree = read_registry(home.path(), &packages);
    tree.leave_out_damaged(&packages);
    assert_eq!(
        tree.names().collect::<Vec<_>>(),
        ["registry/cache/one/whole-1.0.0.crate"]
    );
    assert_eq!(tree.notes.len(), 1);
}

#[test]
fn a_lockfile_cannot_lead_out_of_cargo_home() {
    let home = home(&["registry/cache/one/serde-1.0.0.crate"]);
    fs::write(home.path().join("credentials-1.0.0.crate"), "secret").unwrap();
    let tree = read_registry(
        home.path(),
        &[package("../../../credentials", Some(CRATES_IO))],
    );
    assert!(tree.pieces.is_empty());
    assert!(!tree.notes.is_empty());
}

#[test]
fn a_home_that_is_absent_holds_nothing() {
    let tree = read_registry(
        Path::new("/does/not/exist"),
        &[package("serde", Some(CRATES_IO))],
    );
    assert!(tree.pieces.is_empty());
}

#[test]
fn content_makes_no_new_set_and_a_download_does() {
    let packages = [
        package("serde", Some(CRATES_IO)),
        package("syn", Some(CRATES_IO)),
    ];
    let home = home(&[
        "registry/cache/one/serde-1.0.0.crate",
        "registry/index/one/config.json",
        "registry/index/one/.cache/se/rd/serde",
    ]);
    let first = read_registry(home.path(), &packages);
    let restored: Vec<_> = first.names().map(str::to_owned).collect();

    fs::write(
        home.path().join("registry/index/one/.cache/se/rd/serde"),
        "newer",
    )
    .unwrap();
    let same = read_registry(home.path(), &packages);
    assert_eq!(same.set(), first.set());
    assert!(same.novelty(&restored).is_empty());

    fs::write(home.path().join("registry/cache/one/syn-1.0.0.crate"), "x").unwrap();
    let more = read_registry(home.path(), &packages);
    assert_ne!(more.set(), first.set());
    let novelty: Vec<_> = more
        .novelty(&restored)
        .iter()
        .map(|piece| piece.path.file_name())
        .collect();
    assert_eq!(novelty, ["syn-1.0.0.crate"]);
}

/// Gives everything in `home` the modification time `time`.
fn set_times(home: &Path, time: SystemTime) {
    for entry in walkdir::WalkDir::new(home) {
        let path = entry.unwrap().into_path();
        filetime::set_file_mtime(path, time.into()).unwrap();
    }
}

fn changed(tree: &RegistryTree, time: SystemTime) -> Vec<&str> {
    tree.changed_since(time)
        .iter()
        .map(|piece| piece.path.as_str())
        .collect()
}

#[test]
fn a_piece_that_was_written_to_is_told_by_its_time() {
    let packages = [
        package("serde", Some(CRATES_IO)),
        package("repo", Some("git+https://github.com/us/repo#12")),
    ];
    let database = "git/db/repo-0123456789abcdef";
    let home = home(&[
        "registry/cache/one/serde-1.0.0.crate",
        "registry/index/one/config.json",
        "registry/index/one/.cache/se/rd/serde",
        "git/db/repo-0123456789abcdef/HEAD",
        "git/db/repo-0123456789abcdef/objects/pack/old.pack",
    ]);
    let restored = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    set_times(home.path(), restored);
    let tree = read_registry(home.path(), &packages);
    assert_eq!(tree.pieces.len(), 4);
    assert!(changed(&tree, restored).is_empty());

    let index = "registry/index/one/.cache/se/rd/serde";
    fs::write(home.path().join(index), "newer").unwrap();
    assert_eq!(changed(&tree, restored), [index]);

    set_times(home.path(), restored);
    let objects = home.path().join(database).join("objects/pack");
    fs::write(objects.join("new.pack"), "newer").unwrap();
    let tree = read_registry(home.path(), &packages);
    assert_eq!(changed(&tree, restored), [database]);

    // A pack that was taken away leaves its trace in the directory alone.
    set_times(home.path(), restored);
    fs::remove_file(objects.join("old.pack")).unwrap();
    let tree = read_registry(home.path(), &packages);
    assert_eq!(changed(&tree, restored), [database]);
}

#[cfg(unix)]
fn run(program: &str, directory: &Path, home: &Path, arguments: &[&str]) -> Output {
    let output = user_command(OsStr::new(program))
        .args(arguments)
        .current_dir(directory)
        .env("CARGO_HOME", home)
        .env_remove("CARGO_TARGET_DIR")
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {arguments:?}: {stderr}");
    output
}

#[cfg(unix)]
fn git(directory: &Path, arguments: &[&str]) {
    let identity = ["-c", "user.name=t", "-c", "user.email=t@example.com"];
    let arguments: Vec<_> = identity.iter().chain(arguments).copied().collect();
    run("git", directory, directory, &arguments);
}

#[cfg(unix)]
fn write_package(directory: &Path, name: &str, code: (&str, &str), dependencies: &str) {
    fs::create_dir_all(directory.join("src")).unwrap();
    let manifest = format!(
        "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n\
         [workspace]\n[dependencies]\n{dependencies}"
    );
    fs::write(directory.join("Cargo.toml"), manifest).unwrap();
    fs::write(directory.join("src").join(code.0), code.1).unwrap();
}

#[cfg(unix)]
fn locked_packages(lockfile: &Path) -> Vec<LockedPackage> {
    let lockfile: toml::Table = fs::read_to_string(lockfile).unwrap().parse().unwrap();
    let packages = lockfile["package"].as_array().unwrap();
    packages
        .iter()
        .map(|package| {
            let text = |field| Some(package.get(field)?.as_str()?.to_owned());
            LockedPackage {
                name: text("name").unwrap(),
                version: text("version").unwrap(),
                source: text("source"),
                checksum: text("checksum"),
            }
        })
        .collect()
}

#[rstest::rstest]
#[case("registry/cache/one/serde-1.0.0.crate", true)]
#[case("registry/index/one/config.json", true)]
#[case("git/db/repo-0123456789abcdef", true)]
#[case("registry/CACHEDIR.TAG", true)]
#[case("config.toml", false)]
#[case("credentials.toml", false)]
#[case("bin/cargo", false)]
#[case("registry/src/one/serde-1.0.0/build.rs", false)]
fn an_entry_brings_nothing_but_downloads(#[case] name: &str, #[case] is_piece: bool) {
    assert_eq!(is_piece_name(&RelativePath::new(name).unwrap()), is_piece);
}

/// The whole point of the tier: what is carried over is all that Cargo needs, without a network.
#[cfg(unix)]
#[test]
fn cargo_builds_offline_from_what_was_read() {
    let world = tempfile::tempdir().unwrap();
    let at = |name| world.path().join(name);
    let (home, app) = (at("cargo-home"), at("app"));

    write_package(
        &at("dependency"),
        "of-git",
        ("lib.rs", "pub fn five() -> u8 { 5 }"),
        "",
    );
    git(&at("dependency"), &["init", "--quiet"]);
    git(&at("dependency"), &["add", "."]);
    git(
        &at("dependency"),
        &["commit", "--quiet", "--message", "first"],
    );
    git(
        world.path(),
        &["clone", "--quiet", "--bare", "dependency", "of-git.git"],
    );

    let dependencies = format!(
        "itoa = \"1\"\nof-git = {{ git = 'file://{}' }}\n",
        at("of-git.git").display()
    );
    let main = "fn main() { print!(\"{}\", itoa::Buffer::new().format(of_git::five())) }";
    write_package(&app, "app", ("main.rs", main), &dependencies);
    run(env!("CARGO"), &app, &home, &["build", "--quiet"]);

    let packages = locked_packages(&app.join("Cargo.lock"));
    let mut tree = read_registry(&home, &packages);
    tree.leave_out_damaged(&packages);
    assert_eq!(tree.notes, [""; 0]);
    assert!(
        tree.names()
            .any(|name| name.starts_with(&format!("registry/cache/{INDEX}/itoa-")))
    );
    assert!(tree.names().any(|name| name.starts_with("git/db/of-git-")));

    // A fresh machine: what was read, at the same path, and nothing else.
    let old = at("old-home");
    fs::rename(&home, &old).unwrap();
    fs::remove_dir_all(app.join("target")).unwrap();
    fs::remove_dir_all(at("of-git.git")).unwrap();
    for file in tree.pieces.iter().flat_map(|piece| &piece.files) {
        let (from, to) = (file.path.below(&old), file.path.below(&home));
        if from.is_dir() {
            fs::create_dir_all(to).unwrap();
        } else {
            fs::create_dir_all(to.parent().unwrap()).unwrap();
            fs::copy(from, to).unwrap();
        }
    }
    let output = run(
        env!("CARGO"),
        &app,
        &home,
        &["run", "--quiet", "--offline", "--locked"],
    );
    assert_eq!(output.stdout, b"5");

    // Nothing was downloaded, so there is nothing to save.
    let restored: Vec<_> = tree.names().map(str::to_owned).collect();
    let now = read_registry(&home, &packages);
    assert!(now.novelty(&restored).is_empty());
    assert_eq!(now.set(), tree.set());
}

/// Cargo keeps the objects of every revision in one database, whose name stays.
#[cfg(unix)]
#[test]
fn another_revision_of_a_git_dependency_changes_its_database_and_nothing_else_does() {
    let world = tempfile::tempdir().unwrap();
    let at = |name| world.path().join(name);
    let (home, app, dependency) = (at("cargo-home"), at("app"), at("dependency"));
    let commit = |code: &str| {
        write_package(&dependency, "of-git", ("lib.rs", code), "");
        git(&dependency, &["add", "."]);
        git(&dependency, &["commit", "--quiet", "--message", "next"]);
    };
    fs::create_dir_all(&dependency).unwrap();
    git(&dependency, &["init", "--quiet"]);
    commit("pub fn five() -> u8 { 5 }");
    let source = format!("of-git = {{ git = 'file://{}' }}\n", dependency.display());
    write_package(&app, "app", ("main.rs", "fn main() {}"), &source);
    let cargo = |arguments: &[&str]| run(env!("CARGO"), &app, &home, arguments);
    let read = || read_registry(&home, &locked_packages(&app.join("Cargo.lock")));
    cargo(&["build", "--quiet"]);
    let names: Vec<_> = read().names().map(str::to_owned).collect();

    let restored = SystemTime::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    set_times(&home, restored);
    fs::remove_dir_all(home.join("git/checkouts")).unwrap();
    cargo(&["build", "--quiet"]);
    assert!(changed(&read(), restored).is_empty());

    commit("pub fn five() -> u8 { 6 - 1 }");
    cargo(&["update", "--quiet"]);
    let now = read();
    assert!(now.novelty(&names).is_empty());
    let changed = changed(&now, restored);
    assert_eq!(changed.len(), 1);
    assert!(changed[0].starts_with("git/db/dependency-"), "{changed:?}");
}
