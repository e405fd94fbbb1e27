//! `action.yml`, `dist/action.yml`, the launcher, README and the code that reads the inputs say the same.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::Path,
};

use fs_err as fs;
use hotcrate::{process::user_command, runner::INPUTS, tier::TierName};
use serde::Deserialize;

#[derive(Debug, Deserialize)]
struct Action {
    name: String,
    description: String,
    inputs: BTreeMap<String, Input>,
    outputs: BTreeMap<String, Output>,
    runs: Runs,
}

#[derive(Debug, PartialEq, Eq, Deserialize)]
struct Input {
    description: String,
    default: String,
}

#[derive(Debug, Deserialize)]
struct Output {
    description: String,
    value: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Runs {
    using: String,
    main: Option<String>,
    post: Option<String>,
    #[serde(default)]
    steps: Vec<Step>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "kebab-case")]
struct Step {
    id: String,
    r#if: String,
    #[serde(default)]
    continue_on_error: bool,
    uses: String,
    with: BTreeMap<String, String>,
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

fn action(path: &str) -> Action {
    yaml_serde::from_str(&read(path)).unwrap()
}

#[test]
fn the_outer_and_the_inner_action_have_the_same_inputs_and_outputs() {
    let (outer, inner) = (action("action.yml"), action("dist/action.yml"));
    assert_eq!(outer.name, inner.name);
    assert_eq!(outer.description, inner.description);
    assert_eq!(outer.inputs, inner.inputs);
    let outputs = |action: &Action| -> Vec<_> {
        let outputs = action.outputs.iter();
        outputs
            .map(|(name, output)| (name.clone(), output.description.clone()))
            .collect()
    };
    assert_eq!(outputs(&outer), outputs(&inner));
}

#[test]
fn the_outer_action_hands_every_input_down_and_every_output_up() {
    let outer = action("action.yml");
    assert_eq!(outer.runs.using, "composite");
    let [open, strict] = outer.runs.steps.as_slice() else {
        panic!("{:#?}", outer.runs);
    };
    let handed_down: BTreeMap<_, _> = outer
        .inputs
        .keys()
        .map(|name| (name.clone(), format!("${{{{ inputs.{name} }}}}")))
        .collect();
    for step in [open, strict] {
        assert_eq!(step.uses, "$/dist");
        assert_eq!(step.with, handed_down, "{}", step.id);
    }
    // One of the two runs, and only the strict one may fail the job.
    assert_eq!(open.r#if, "inputs.strict != 'true'");
    assert!(open.continue_on_error);
    assert_eq!(strict.r#if, "inputs.strict == 'true'");
    assert!(!strict.continue_on_error);
    for (name, output) in &outer.outputs {
        let joined = format!(
            "${{{{ steps.{}.outputs.{name} || steps.{}.outputs.{name} }}}}",
            open.id, strict.id
        );
        assert_eq!(output.value.as_deref(), Some(joined.as_str()));
    }
}

#[test]
fn the_inner_action_starts_files_that_are_there() {
    let inner = action("dist/action.yml");
    assert_eq!(inner.runs.using, "node24");
    for file in [inner.runs.main, inner.runs.post] {
        let file = file.unwrap();
        assert!(
            read(&format!("dist/{file}")).contains("launcher.cjs"),
            "{file}"
        );
    }
}

#[test]
fn the_code_reads_the_inputs_that_the_action_has_with_the_same_defaults() {
    let declared: BTreeMap<_, _> = action("action.yml")
        .inputs
        .into_iter()
        .map(|(name, input)| (name, input.default))
        .collect();
    let read: BTreeMap<_, _> = INPUTS
        .iter()
        .map(|input| (input.name.to_owned(), input.default.to_owned()))
        .collect();
    assert_eq!(declared, read);
}

/// Sets of names in the first cells of README's tables below a heading.
fn table_below(heading: &str) -> BTreeMap<String, String> {
    let text = read("README.md");
    let (_, below) = text
        .split_once(&format!("{heading}\n"))
        .unwrap_or_else(|| panic!("README has no {heading:?}"));
    below
        .lines()
        .skip_while(|line| !line.starts_with('|'))
        .take_while(|line| line.starts_with('|'))
        .skip(2)
        .flat_map(|line| {
            let cells: Vec<_> = line.split('|').map(str::trim).collect();
            let names = cells[1]
                .split(", ")
                .map(|name| name.trim_matches('`').to_owned());
            let default = cells[2].trim_matches('`').to_owned();
            names
                .map(|name| (name, default.clone()))
                .collect::<Vec<_>>()
        })
        .collect()
}

#[test]
fn the_tables_of_the_readme_name_every_input_with_its_default() {
    let mut told = table_below("### Coming from rust-cache");
    assert_eq!(told.len(), 17, "rust-cache has 17 inputs: {told:#?}");
    told.extend(table_below("### More inputs"));
    let declared: BTreeMap<_, _> = action("action.yml")
        .inputs
        .into_iter()
        .map(|(name, input)| (name, input.default))
        .collect();
    assert_eq!(told, declared);
}

#[test]
fn the_table_of_the_readme_names_every_output() {
    let told: BTreeSet<_> = table_below("### Outputs")
        .into_keys()
        .flat_map(|name| match name.strip_prefix("<tier>") {
            Some(rest) => tiers_of_outputs()
                .into_iter()
                .map(|tier| format!("{tier}{rest}"))
                .collect(),
            None => vec![name],
        })
        .collect();
    let declared: BTreeSet<_> = action("action.yml").outputs.into_keys().collect();
    assert_eq!(told, declared);
}

fn tiers_of_outputs() -> BTreeSet<String> {
    action("action.yml")
        .outputs
        .into_keys()
        .filter_map(|name| name.strip_suffix("-outcome").map(str::to_owned))
        .collect()
}

#[test]
fn every_tier_has_outputs_in_the_launcher_as_well() {
    let declared = tiers_of_outputs();
    for tier in TierName::ALL {
        assert!(declared.contains(tier.as_str()), "{tier}");
    }
    let launcher = read("dist/launcher.cjs");
    let (_, list) = launcher.split_once("const TIERS = [").unwrap();
    let (list, _) = list.split_once(']').unwrap();
    let listed: BTreeSet<_> = list
        .split(", ")
        .map(|name| name.trim_matches('\'').to_owned())
        .collect();
    assert_eq!(listed, declared);
}

#[test]
fn the_launcher_knows_the_targets_that_binaries_are_built_for() {
    let launcher = read("dist/launcher.cjs");
    let (_, list) = launcher.split_once("const TARGETS = {").unwrap();
    let (list, _) = list.split_once('}').unwrap();
    let started: BTreeSet<_> = list
        .lines()
        .filter_map(|line| Some(line.split_once(": '")?.1.trim_end_matches("',")))
        .collect();
    let script = read("dist/build.sh");
    let (_, list) = script.split_once("\ntargets=(").unwrap();
    let (list, _) = list.split_once(')').unwrap();
    let built: BTreeSet<_> = list.split_whitespace().collect();
    assert_eq!(started, built);
}

#[test]
fn every_option_of_the_command_line_is_an_input() {
    let help = user_command(env!("CARGO_BIN_EXE_hotcrate").as_ref())
        .args(["restore", "--help"])
        .output()
        .unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    let options = help.lines().filter_map(|line| {
        let line = line.trim_start();
        let (_, name) = line.starts_with('-').then(|| line.split_once("--"))??;
        name.split([' ', '=']).next()
    });
    // How much is said is the runner's business: its debug switch.
    let of_terminals = ["help", "quiet", "verbose"];
    let missing: Vec<_> = options
        .filter(|option| !of_terminals.contains(option))
        .filter(|option| INPUTS.iter().all(|input| input.name != *option))
        .collect();
    assert_eq!(missing, [""; 0], "see \"An input\" in CONTRIBUTING.md");
}

/// The launcher on a platform that hotcrate has never heard of.
#[test]
fn a_platform_without_a_binary_is_one_notice_and_no_failure() {
    let directory = tempfile::tempdir().unwrap();
    let preload = directory.path().join("platform.cjs");
    fs::write(
        &preload,
        "Object.defineProperty(process, 'arch', { value: 's390x' });",
    )
    .unwrap();
    let output = directory.path().join("output");
    let start = |stage: &str, strict: &str| {
        fs::write(&output, "").unwrap();
        let ended = user_command("node".as_ref())
            .arg("--require")
            .arg(&preload)
            .arg(Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("dist/{stage}.cjs")))
            .env("GITHUB_OUTPUT", &output)
            .env("INPUT_STRICT", strict)
            .env_remove("GITHUB_STATE")
            .env(
                "STATE_unsupported",
                if stage == "post" { "true" } else { "" },
            )
            .output()
            .unwrap();
        (
            ended.status.code(),
            String::from_utf8(ended.stdout).unwrap(),
        )
    };
    let (status, said) = start("main", "false");
    assert_eq!(status, Some(0));
    let system = if cfg!(target_os = "macos") {
        "darwin"
    } else {
        std::env::consts::OS
    };
    assert_eq!(
        said,
        format!(
            "::notice title=hotcrate::hotcrate has no binary for {system} on s390x: the job goes on without a cache\n"
        )
    );
    let outputs = fs::read_to_string(&output).unwrap();
    assert!(
        outputs.starts_with("supported=false\ncache-hit=false\n"),
        "{outputs}"
    );
    assert!(outputs.contains("\ndeps-outcome=skipped\n"), "{outputs}");

    let (status, said) = start("post", "false");
    assert_eq!((status, said.as_str()), (Some(0), ""));
    let (status, said) = start("main", "true");
    assert_eq!(status, Some(1));
    assert!(said.starts_with("::error "), "{said}");
}

/// A tag can be moved to other code, a commit cannot. hotcrate's own name is what the reader is to write.
#[test]
fn actions_of_others_are_pinned_to_a_commit_with_its_version_beside_it() {
    let mut texts: Vec<_> = ["README.md", "docs/CI_CACHE.md"]
        .map(|path| (path.to_owned(), read(path)))
        .into();
    let workflows = Path::new(env!("CARGO_MANIFEST_DIR")).join(".github/workflows");
    for file in fs::read_dir(workflows).unwrap() {
        let path = file.unwrap().path();
        texts.push((
            path.display().to_string(),
            fs::read_to_string(path).unwrap(),
        ));
    }
    let mut seen = 0;
    for (path, text) in &texts {
        for line in text.lines() {
            let Some((_, action)) = line.split_once("uses: ") else {
                continue;
            };
            let is_own = ["hotcrate/", "https://github.com/hotcrate/", "./", "$/"]
                .iter()
                .any(|own| action.starts_with(own));
            if is_own {
                continue;
            }
            seen += 1;
            let pinned = action.split_once('@').is_some_and(|(_, rest)| {
                let (commit, version) = rest.split_once(" # ").unwrap_or((rest, ""));
                let is_hex = |character: char| matches!(character, '0'..='9' | 'a'..='f');
                commit.len() == 40 && commit.chars().all(is_hex) && version.starts_with('v')
            });
            assert!(pinned, "{path}: {line}");
        }
    }
    assert!(seen > 0, "no action of others was seen");
}
