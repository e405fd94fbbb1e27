//! The committed binaries: each is the one that is listed, and says that it was made from what it was made from.
//!
//! Whether they are up to date with the tree is not asked here: `tests/run` says it, and the release refuses.

use std::path::{Path, PathBuf};

use hotcrate::{key::Digest, process::user_command};

#[cfg(unix)]
use crate::support::Sandbox;
use crate::support::interop::say_skipped;

/// The repository's `dist`.
fn dist() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("dist")
}

/// Every committed binary, with its target.
pub(crate) fn binaries() -> Vec<(String, PathBuf)> {
    let mut binaries: Vec<_> = walkdir::WalkDir::new(dist().join("bin"))
        .into_iter()
        .filter_map(Result::ok)
        .filter(|entry| entry.file_type().is_file())
        .map(|entry| {
            let target = entry.path().parent().and_then(Path::file_name).unwrap();
            (target.to_str().unwrap().to_owned(), entry.path().to_owned())
        })
        .collect();
    binaries.sort();
    if binaries.is_empty() {
        say_skipped("no binary is committed yet");
    }
    binaries
}

/// Whether this machine can run a binary for `target`. One that is linked statically runs on any Linux.
fn runs_here(target: &str) -> bool {
    let system = match std::env::consts::OS {
        "macos" => "-apple-darwin",
        "windows" => "-pc-windows-gnu",
        _ => "-unknown-linux-musl",
    };
    target == format!("{}{system}", std::env::consts::ARCH)
}

#[test]
fn every_committed_binary_that_runs_here_says_what_it_was_made_from() {
    for (target, binary) in binaries() {
        if !runs_here(&target) {
            continue;
        }
        let output = user_command(binary.as_os_str())
            .arg("--version")
            .output()
            .unwrap();
        let version = fs_err::read_to_string(dist().join("VERSION")).unwrap();
        assert_eq!(
            String::from_utf8(output.stdout).unwrap(),
            version,
            "{target}"
        );
    }
}

#[test]
fn every_committed_binary_is_the_one_that_is_listed() {
    let listed = fs_err::read_to_string(dist().join("SHA256SUMS")).unwrap_or_default();
    for (target, binary) in binaries() {
        let digest = Digest::of_bytes(&fs_err::read(&binary).unwrap());
        let name = binary.file_name().unwrap().to_str().unwrap();
        let line = format!("{digest}  bin/{target}/{name}");
        assert!(
            listed.lines().any(|listed| listed == line),
            "{line} is missing from\n{listed}"
        );
    }
}

/// What `dist/build.sh` of the tree at `root` says, and whether it is content.
#[cfg(unix)]
fn build_script(sandbox: &Sandbox, root: &Path, arguments: &[&str]) -> (bool, String) {
    let output = sandbox
        .command("bash", root)
        .arg("dist/build.sh")
        .args(arguments)
        .output()
        .unwrap();
    (
        output.status.success(),
        String::from_utf8(output.stderr).unwrap(),
    )
}

/// A tree of sources with the repository's own build script, and a binary that was made from them.
#[cfg(unix)]
fn tree_with_a_binary(sandbox: &Sandbox) -> PathBuf {
    let root = sandbox.path("tree");
    for (name, text) in [
        ("Cargo.toml", "[package]\nversion = \"1.2.3\"\n"),
        ("Cargo.lock", "version = 4\n"),
        ("src/main.rs", "fn main() {}\n"),
        ("dist/bin/x86_64-unknown-linux-musl/hotcrate", "ELF"),
    ] {
        let path = root.join(name);
        fs_err::create_dir_all(path.parent().unwrap()).unwrap();
        fs_err::write(path, text).unwrap();
    }
    fs_err::copy(dist().join("build.sh"), root.join("dist/build.sh")).unwrap();
    let (recorded, said) = build_script(sandbox, &root, &["--record"]);
    assert!(recorded, "{said}");
    root
}

#[cfg(unix)]
#[test]
fn the_check_tells_whether_binaries_were_made_from_these_sources() {
    let sandbox = Sandbox::new();
    let root = tree_with_a_binary(&sandbox);
    let version = fs_err::read_to_string(root.join("dist/VERSION")).unwrap();
    assert!(version.starts_with("hotcrate 1.2.3 (sources "), "{version}");
    let check = || build_script(&sandbox, &root, &["--check"]);
    assert!(check().0, "{}", check().1);

    let source = root.join("src/main.rs");
    fs_err::write(&source, "fn main() { todo!() }\n").unwrap();
    let (fresh, said) = check();
    assert!(!fresh && said.contains("stale: dist/VERSION"), "{said}");
    fs_err::write(&source, "fn main() {}\n").unwrap();

    fs_err::rename(&source, root.join("src/other.rs")).unwrap();
    assert!(!check().0, "a file that was renamed is another source");
    fs_err::rename(root.join("src/other.rs"), &source).unwrap();
    assert!(check().0, "{}", check().1);
}

#[cfg(unix)]
#[test]
fn the_check_refuses_a_binary_that_is_changed_unlisted_or_missing() {
    let sandbox = Sandbox::new();
    let root = tree_with_a_binary(&sandbox);
    let check = || build_script(&sandbox, &root, &["--check"]);
    let binary = root.join("dist/bin/x86_64-unknown-linux-musl/hotcrate");
    let other = root.join("dist/bin/aarch64-unknown-linux-musl/hotcrate");
    fs_err::create_dir_all(other.parent().unwrap()).unwrap();

    fs_err::write(&other, "ELF").unwrap();
    let (fresh, said) = check();
    assert!(!fresh && said.contains("aarch64"), "{said}");
    fs_err::remove_file(&other).unwrap();

    fs_err::write(&binary, "FLE").unwrap();
    let (fresh, said) = check();
    assert!(!fresh && said.contains("is not what"), "{said}");

    fs_err::rename(&binary, &other).unwrap();
    let (fresh, said) = check();
    assert!(
        !fresh && said.contains("missing: dist/bin/x86_64"),
        "{said}"
    );
}

#[cfg(unix)]
#[test]
fn a_binary_stays_listed_only_beside_binaries_of_the_same_sources() {
    let sandbox = Sandbox::new();
    let root = tree_with_a_binary(&sandbox);
    let other = root.join("dist/bin/aarch64-unknown-linux-musl/hotcrate");
    fs_err::create_dir_all(other.parent().unwrap()).unwrap();
    fs_err::write(&other, "ELF too").unwrap();
    let record_other = || {
        let (recorded, said) =
            build_script(&sandbox, &root, &["--record", "aarch64-unknown-linux-musl"]);
        assert!(recorded, "{said}");
        fs_err::read_to_string(root.join("dist/SHA256SUMS")).unwrap()
    };
    assert_eq!(record_other().lines().count(), 2);
    assert!(build_script(&sandbox, &root, &["--check"]).0);

    fs_err::write(root.join("Cargo.lock"), "version = 5\n").unwrap();
    let sums = record_other();
    assert_eq!(sums.lines().count(), 1, "{sums}");
    let (fresh, said) = build_script(&sandbox, &root, &["--check"]);
    assert!(
        !fresh
            && said.contains("stale: dist/bin/x86_64")
            && !said.contains("stale: dist/bin/aarch64"),
        "{said}"
    );
}

#[test]
fn the_release_pins_what_it_uses_restores_no_cache_and_grants_nothing_by_default() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(".github/workflows/release.yml");
    let text = fs_err::read_to_string(path).unwrap();
    let used: Vec<_> = text
        .lines()
        .filter_map(|line| line.trim_start_matches([' ', '-']).strip_prefix("uses: "))
        .collect();
    assert!(!used.is_empty());
    for action in used {
        let (name, version) = action
            .split_once(" # v")
            .expect("the version stands beside it");
        let commit = name.split_once('@').unwrap().1;
        assert!(
            commit.len() == 40 && Digest::parse(&commit.repeat(2)[..64]).is_some(),
            "{action}"
        );
        assert!(version.split('.').count() == 3, "{action}");
        assert!(
            !name.contains("cache") && !name.contains("hotcrate"),
            "{action}"
        );
    }
    assert!(
        text.contains("\npermissions: {}\n"),
        "each job says what it needs"
    );
    assert!(
        text.contains("\ncache-mode: none\n"),
        "the service is told as well"
    );
}
