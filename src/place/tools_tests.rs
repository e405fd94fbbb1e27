//! Tests of [`super`], with real Cargo where its opinion counts.

use std::{ffi::OsStr, process::Output};

use super::*;
use crate::{
    archive::path::RelativePath,
    place::remove_stale,
    process::user_command,
    tier::{
        ToolsBefore,
        tools::{new_tools, snapshot},
    },
};

/// Installs a package of that name with `cargo install --path` into `home`.
fn cargo_install(project: &Path, home: &Path, name: &str) -> Output {
    let package = project.join(name);
    fs::create_dir_all(package.join("src")).unwrap();
    let manifest = format!(
        "[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[workspace]\n"
    );
    fs::write(package.join("Cargo.toml"), manifest).unwrap();
    fs::write(package.join("src/main.rs"), "fn main() {}").unwrap();
    cargo(
        home,
        &[
            "install",
            "--offline",
            "--debug",
            "--path",
            package.to_str().unwrap(),
        ],
    )
}

fn cargo(home: &Path, arguments: &[&str]) -> Output {
    user_command(OsStr::new(env!("CARGO")))
        .args(arguments)
        .current_dir(home)
        .env("CARGO_HOME", home)
        .env_remove("CARGO_TARGET_DIR")
        .env_remove("CARGO_INSTALL_ROOT")
        .output()
        .unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Unpacks `tools` of one CARGO_HOME for another one, as the archive does, and merges them.
fn carry(tools: &[Tool], from: &Path, to: &Path) -> Result<MergedTools, PlaceError> {
    let staging = Staging::create(to).unwrap();
    for file in tools.iter().flat_map(|tool| &tool.files) {
        let target = file.path.below(staging.path());
        fs::create_dir_all(target.parent().unwrap()).unwrap();
        fs::copy(file.path.below(from), target).unwrap();
    }
    merge_tools(&staging, tools, Duration::ZERO)
}

#[test]
fn cargo_knows_a_restored_tool_and_installs_over_it_without_force() {
    let project = tempfile::tempdir().unwrap();
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let before = snapshot(first.path());
    assert!(
        cargo_install(project.path(), first.path(), "restored")
            .status
            .success()
    );
    let tree = new_tools(&before, first.path());
    assert_eq!(tree.tools.len(), 1);

    // The other home has a tool of its own.
    assert!(
        cargo_install(project.path(), second.path(), "local")
            .status
            .success()
    );
    let merged = carry(&tree.tools, first.path(), second.path()).unwrap();
    assert_eq!(merged.placed, [tree.tools[0].name.clone()]);

    let listed = text(&cargo(second.path(), &["install", "--list"]).stdout);
    assert!(
        listed.contains("local v0.1.0") && listed.contains("restored v0.1.0"),
        "{listed}"
    );
    let again = cargo_install(project.path(), second.path(), "restored");
    assert!(again.status.success(), "{}", text(&again.stderr));
    assert!(
        text(&again.stderr).contains("Replac"),
        "{}",
        text(&again.stderr)
    );
}

/// What the records are for: without them the same `cargo install` fails.
#[test]
fn a_binary_without_its_record_is_what_cargo_fails_on() {
    let project = tempfile::tempdir().unwrap();
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    assert!(
        cargo_install(project.path(), first.path(), "bare")
            .status
            .success()
    );
    let mut tools = new_tools(&ToolsBefore::default(), first.path()).tools;
    tools[0].record = None;
    carry(&tools, first.path(), second.path()).unwrap();
    let again = cargo_install(project.path(), second.path(), "bare");
    assert!(text(&again.stderr).contains("already exists in destination"));
}

fn tool(name: &str) -> Tool {
    let package = format!("{name} 1.0.0 (registry+https://example.com)");
    serde_json::from_value(serde_json::json!({
        "name": package,
        "digest": null,
        "files": [{ "path": format!("bin/{name}"), "bytes": 8 }],
        "record": {
            "package": package,
            "bins": [name],
            "crates2": { "bins": [name], "profile": "release" },
            "binstall": { "name": name, "current_version": "1.0.0", "bins": [name] },
        },
    }))
    .unwrap()
}

/// A CARGO_HOME, and another one with the binaries of `tools` in it.
fn homes(tools: &[Tool]) -> (tempfile::TempDir, tempfile::TempDir) {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for file in tools.iter().flat_map(|tool| &tool.files) {
        let path = file.path.below(from.path());
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, "restored").unwrap();
    }
    (from, to)
}

fn records_in(home: &Path) -> String {
    [CRATES_TOML, CRATES2_JSON, BINSTALL_JSON]
        .map(|name| fs::read_to_string(home.join(name)).unwrap_or_default())
        .join("\n")
}

#[test]
fn all_three_records_come_with_a_tool() {
    let tools = [tool("nextest")];
    let (from, to) = homes(&tools);
    carry(&tools, from.path(), to.path()).unwrap();
    for name in [CRATES_TOML, CRATES2_JSON, BINSTALL_JSON] {
        assert!(
            fs::read_to_string(to.path().join(name))
                .unwrap()
                .contains("nextest"),
            "{name}"
        );
    }
    assert!(to.path().join("bin/nextest").exists());
}

#[test]
fn a_binary_that_is_there_stays_and_gets_no_record() {
    let tools = [tool("present"), tool("absent")];
    let (from, to) = homes(&tools);
    fs::create_dir(to.path().join("bin")).unwrap();
    fs::write(to.path().join("bin/present"), "of before").unwrap();
    let merged = carry(&tools, from.path(), to.path()).unwrap();
    assert_eq!(merged.placed, [tools[1].name.clone()]);
    assert_eq!(merged.skipped[0].name, tools[0].name);
    assert_eq!(
        fs::read_to_string(to.path().join("bin/present")).unwrap(),
        "of before"
    );
    let records = records_in(to.path());
    assert!(records.contains("absent") && !records.contains("present"));
}

#[test]
fn a_record_that_is_there_stays_and_keeps_the_tool_out() {
    let tools = [tool("same")];
    let (from, to) = homes(&tools);
    let of_before = "[v1]\n\"same 0.9.0 (registry+https://example.com)\" = [\"same\"]\n";
    fs::write(to.path().join(CRATES_TOML), of_before).unwrap();
    let merged = carry(&tools, from.path(), to.path()).unwrap();
    assert!(merged.placed.is_empty());
    assert!(merged.skipped[0].reason.contains("same 0.9.0"));
    assert_eq!(
        fs::read_to_string(to.path().join(CRATES_TOML)).unwrap(),
        of_before
    );
    assert!(!to.path().join("bin/same").exists());
}

#[test]
fn records_that_cannot_be_understood_keep_tools_out_and_stay() {
    let tools = [tool("any")];
    let (from, to) = homes(&tools);
    fs::write(to.path().join(CRATES2_JSON), "{ broken").unwrap();
    let error = carry(&tools, from.path(), to.path()).unwrap_err();
    assert!(matches!(error, PlaceError::Records { .. }));
    assert_eq!(
        fs::read_to_string(to.path().join(CRATES2_JSON)).unwrap(),
        "{ broken"
    );
    assert!(!to.path().join("bin").exists());
}

/// The metadata cannot be replaced: a directory lies where it would be written aside.
#[test]
fn binaries_are_taken_back_if_their_records_cannot_be_written() {
    let tools = [tool("any")];
    let (from, to) = homes(&tools);
    let staging = Staging::create(to.path()).unwrap();
    fs::create_dir(staging.path().join("bin")).unwrap();
    fs::copy(from.path().join("bin/any"), staging.path().join("bin/any")).unwrap();
    fs::create_dir(staging.aside(&CRATES2_JSON.replace('/', "-"))).unwrap();
    let error = merge_tools(&staging, &tools, Duration::ZERO).unwrap_err();
    assert!(matches!(error, PlaceError::File { step: "write", .. }));
    assert!(!to.path().join("bin/any").exists());
    assert!(!records_in(to.path()).contains("any"));
}

/// What an entry says is not believed.
#[rstest::rstest]
#[case("bin/rustc")]
#[case("bin/cargo.exe")]
#[case("config.toml")]
#[case("bin/nested/tool")]
fn what_is_no_tool_is_never_put_in_place(#[case] path: &str) {
    let mut tools = [tool("any")];
    tools[0].files[0].path = RelativePath::new(path).unwrap();
    let (from, to) = homes(&tools);
    let merged = carry(&tools, from.path(), to.path()).unwrap();
    assert!(merged.placed.is_empty() && merged.skipped.len() == 1);
    assert!(!to.path().join(path).exists());
    assert!(!records_in(to.path()).contains("any"));
}

#[test]
fn a_running_cargo_install_is_waited_for_no_longer_than_told() {
    let tools = [tool("any")];
    let (from, to) = homes(&tools);
    let of_cargo = fs::File::create(to.path().join(CRATES_TOML)).unwrap();
    of_cargo.lock().unwrap();
    let error = carry(&tools, from.path(), to.path()).unwrap_err();
    assert!(matches!(error, PlaceError::Locked { path, .. } if path.ends_with(CRATES_TOML)));
}

#[cfg(unix)]
#[test]
fn metadata_that_is_a_link_stays_one() {
    let tools = [tool("any")];
    let (from, to) = homes(&tools);
    let elsewhere = tempfile::tempdir().unwrap();
    let real = elsewhere.path().join("crates.toml");
    fs::write(&real, "").unwrap();
    fs::os::unix::fs::symlink(&real, to.path().join(CRATES_TOML)).unwrap();
    carry(&tools, from.path(), to.path()).unwrap();
    assert!(
        fs::symlink_metadata(to.path().join(CRATES_TOML))
            .unwrap()
            .is_symlink()
    );
    assert!(fs::read_to_string(real).unwrap().contains("any"));
}

/// Puts `tools` in place without their records, and leaves the staging directory of a process that was killed then.
fn place_and_be_killed(tools: &[Tool], from: &Path, to: &Path) {
    let staging = Staging::create(to).unwrap();
    fs::create_dir(staging.path().join("bin")).unwrap();
    fs::create_dir_all(to.join("bin")).unwrap();
    for file in tools.iter().flat_map(|tool| &tool.files) {
        fs::copy(file.path.below(from), file.path.below(staging.path())).unwrap();
    }
    unrecorded::note(&staging, &tools.iter().collect::<Vec<_>>()).unwrap();
    let pieces: Vec<_> = tools.iter().map(piece).collect();
    assert_eq!(
        place_pieces(&staging, &pieces).unwrap().placed.len(),
        tools.len()
    );
    let dead = to.join(format!("{}1-2-3", super::super::STAGING_PREFIX));
    fs::create_dir(&dead).unwrap();
    let living = staging.path().parent().unwrap();
    for name in ["lock", "unrecorded.json"] {
        fs::copy(living.join(name), dead.join(name)).unwrap();
    }
}

#[test]
fn a_kill_between_a_binary_and_its_record_leaves_nothing_that_cargo_install_refuses() {
    let project = tempfile::tempdir().unwrap();
    let (first, second) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    assert!(
        cargo_install(project.path(), first.path(), "killed")
            .status
            .success()
    );
    let tools = new_tools(&ToolsBefore::default(), first.path()).tools;
    place_and_be_killed(&tools, first.path(), second.path());
    assert!(second.path().join("bin/killed").exists());

    assert_eq!(remove_stale(second.path()).unwrap(), 1);
    assert!(!second.path().join("bin/killed").exists());
    let again = cargo_install(project.path(), second.path(), "killed");
    assert!(again.status.success(), "{}", text(&again.stderr));
}

#[test]
fn of_what_a_killed_process_placed_only_its_own_files_without_records_are_taken_back() {
    let tools = [tool("recorded"), tool("replaced"), tool("bare")];
    let (from, to) = homes(&tools);
    place_and_be_killed(&tools, from.path(), to.path());
    let record = "[v1]\n\"recorded 1.0.0 (registry+https://example.com)\" = [\"recorded\"]\n";
    fs::write(to.path().join(CRATES_TOML), record).unwrap();
    fs::write(to.path().join("bin/replaced"), "by somebody else").unwrap();

    assert_eq!(remove_stale(to.path()).unwrap(), 1);
    assert!(to.path().join("bin/recorded").exists());
    assert!(to.path().join("bin/replaced").exists());
    assert!(!to.path().join("bin/bare").exists());
}

#[test]
fn while_the_records_cannot_be_read_nothing_is_taken_back() {
    let tools = [tool("any")];
    let (from, to) = homes(&tools);
    place_and_be_killed(&tools, from.path(), to.path());
    fs::write(to.path().join(CRATES_TOML), "[v1").unwrap();
    assert_eq!(remove_stale(to.path()).unwrap(), 0);
    assert!(to.path().join("bin/any").exists());
    fs::write(to.path().join(CRATES_TOML), "").unwrap();
    assert_eq!(remove_stale(to.path()).unwrap(), 1);
    assert!(!to.path().join("bin/any").exists());
}
