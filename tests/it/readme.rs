//! README says what the binary does.

use std::{collections::BTreeSet, path::Path};

use fs_err as fs;
use hotcrate::process::user_command;

use crate::support::{Sandbox, copy_tree, fixture};

fn readme() -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap()
}

/// Names of the options in some text: `--store`, `--max-size`.
fn options_in(text: &str) -> BTreeSet<String> {
    text.split(|character: char| !(character.is_ascii_lowercase() || character == '-'))
        .filter(|word| {
            word.strip_prefix("--")
                .is_some_and(|name| name.starts_with(|first: char| first.is_ascii_lowercase()))
        })
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_settings_table_names_every_option_and_no_other() {
    let mut of_binary = BTreeSet::new();
    for subcommand in [
        "run",
        "restore",
        "save",
        "plan",
        "report",
        "gc",
        "explain",
        "target-dir",
        "artifact",
        "clean",
    ] {
        let help = user_command(env!("CARGO_BIN_EXE_hotcrate").as_ref())
            .args([subcommand, "--help"])
            .output()
            .unwrap();
        assert!(help.status.success());
        let help = String::from_utf8(help.stdout).unwrap();
        // An option's own line begins with it; prose may mention others.
        for line in help.lines().map(str::trim_start) {
            if line.starts_with('-') {
                of_binary.extend(options_in(line));
            }
        }
    }
    of_binary.remove("--help");
    let text = readme();
    let table = text
        .lines()
        .filter(|line| line.starts_with("| `--"))
        .filter_map(|line| line.split('|').nth(1))
        .flat_map(options_in)
        .collect::<BTreeSet<_>>();
    assert_eq!(table, of_binary);
}

#[test]
fn every_subcommand_is_explained() {
    let help = user_command(env!("CARGO_BIN_EXE_hotcrate").as_ref())
        .arg("--help")
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let text = readme();
    let subcommands: Vec<_> = help
        .lines()
        .skip_while(|line| !line.starts_with("Commands:"))
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect();
    assert!(subcommands.contains(&"run"), "{help}");
    for name in subcommands {
        assert!(text.contains(&format!("hotcrate {name}")), "{name}");
    }
}

/// The first command of README, run twice as it stands, but for where the binary and the project lie.
#[cfg(unix)]
#[test]
fn the_first_command_run_twice_shows_what_hotcrate_is_for() {
    let text = readme();
    let command = text
        .split_once("```sh\n")
        .and_then(|(_, rest)| rest.split_once("\n```"))
        .unwrap()
        .0;
    let cargo_run = "cargo run --release --locked --";
    assert!(command.contains(cargo_run), "{command}");

    let sandbox = Sandbox::new();
    let repository = sandbox.path("repository");
    copy_tree(
        &fixture("workspace"),
        &repository.join("tests/fixtures/workspace"),
    );
    let command = command.replace(cargo_run, env!("CARGO_BIN_EXE_hotcrate"));
    let run = || {
        let output = sandbox
            .command("sh", &repository)
            .args(["-c", &command])
            .output()
            .unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{command}\n{stderr}");
        crate::support::Build::parse(&stderr)
    };
    let first = run();
    assert!(first.compiled_dependencies().len() > 20, "{first:?}");
    let second = run();
    assert!(second.compiled.is_empty(), "{second:?}");
}
