//! The structure that `src/lib.rs` promises: which module may know which, how long a file may be, what heads it.

use std::path::{Path, PathBuf};

use fs_err as fs;
use walkdir::WalkDir;

const LONGEST_FILE: usize = 600;

/// What a module may know: everything below it, and nothing beside or above it. Pure ones may know each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Layer {
    /// Words that everybody shares.
    Words,
    /// Decisions: no clock, no environment, no files, no processes.
    Pure,
    /// What the modules with effects share: starting processes, finding the user's directories.
    Ground,
    /// Modules with effects. They do not know each other.
    Effects,
    /// What is given to whoever puts the others together.
    Wiring,
    /// Puts the others together.
    Engine,
    /// The subcommands.
    Commands,
    /// The command line and `main`.
    Top,
}

/// Every module of `src`, by its path; the longest that fits counts.
const LAYERS: [(&str, Layer); 43] = [
    ("archive", Layer::Effects),
    ("archive::path", Layer::Words),
    ("artifact", Layer::Effects),
    ("bucket", Layer::Effects),
    ("bucket_settings", Layer::Wiring),
    ("clean", Layer::Pure),
    ("cli", Layer::Top),
    ("commands", Layer::Commands),
    ("console", Layer::Effects),
    ("deadline", Layer::Words),
    ("engine", Layer::Engine),
    ("entry", Layer::Pure),
    ("environment", Layer::Words),
    ("fail_open", Layer::Wiring),
    ("files", Layer::Ground),
    ("freshness", Layer::Effects),
    ("github", Layer::Effects),
    ("inventory", Layer::Pure),
    ("key", Layer::Pure),
    ("key::digest", Layer::Words),
    ("key::Digest", Layer::Words),
    ("key::DigestBuilder", Layer::Words),
    ("main", Layer::Top),
    ("network", Layer::Ground),
    ("place", Layer::Effects),
    ("platform_directory", Layer::Ground),
    ("policy", Layer::Pure),
    ("process", Layer::Ground),
    ("project", Layer::Effects),
    ("prune", Layer::Pure),
    ("rebuild", Layer::Pure),
    ("report", Layer::Pure),
    ("repository_settings", Layer::Wiring),
    ("runner", Layer::Effects),
    ("runner::workflow_command", Layer::Words),
    ("sccache", Layer::Effects),
    ("settings", Layer::Wiring),
    ("state", Layer::Effects),
    ("store", Layer::Effects),
    ("stream", Layer::Words),
    ("tier", Layer::Effects),
    ("time_limits", Layer::Pure),
    ("unit", Layer::Effects),
];

/// Words that lie in a module with effects.
const SHARED_TYPES: [&str; 11] = [
    // What rules are about. The last covers UnitId, UnitKind, UnitRecord, and so on.
    "unit::AccessTimes",
    "unit::Fingerprint",
    "unit::Layout",
    "unit::Origin",
    "unit::Unit",
    "tier::TierName",
    "tier::UnknownTier",
    "tier::name",
    // How much to say is the user's word.
    "settings::Verbosity",
    // Settings are checked arguments.
    "cli::CommonArguments",
    "cli::TimeoutArguments",
];

/// A module and one that it may know although the layers forbid it, with the reason.
const EXCEPTIONS: [(&str, &str, &str); 12] = [
    (
        "repository_settings",
        "settings::parse_size",
        "sizes are written in one way",
    ),
    ("commands", "cli", "dispatches on the parsed command line"),
    ("freshness", "unit", "asks units what they read"),
    ("main", "cli", "parses it"),
    (
        "entry",
        "freshness::SourceManifest",
        "travels with the units that were compiled from it",
    ),
    (
        "entry",
        "tier::Tool",
        "records of tools travel with their entry",
    ),
    (
        "place::tools",
        "tier",
        "records are merged, and not put in place as files",
    ),
    ("place::unrecorded", "tier", "takes back what has no record"),
    (
        "state",
        "freshness::Changed",
        "keeps what a replay changed in the target directory",
    ),
    (
        "state",
        "freshness::Listing",
        "keeps what the sources were before the job",
    ),
    (
        "state",
        "sccache::InUse",
        "keeps how the server is reached that the restore started",
    ),
    (
        "state",
        "tier::tools",
        "keeps what was in CARGO_HOME/bin before",
    ),
];

#[test]
fn dependencies_point_one_way() {
    let mut breaches = Vec::new();
    for (path, text) in sources() {
        let from = module_of(&path);
        if from.ends_with("tests") {
            continue;
        }
        for to in crate_paths(&production_part(&text)) {
            if !may_know(&from, &to) {
                breaches.push(format!("{}: crate::{to}", path.display()));
            }
        }
    }
    assert!(breaches.is_empty(), "{breaches:#?}");
}

#[test]
fn every_module_has_a_layer() {
    for (path, _) in sources() {
        let module = module_of(&path);
        assert!(
            module == "lib" || layer(&module).is_some(),
            "{module} is new: say in this file which layer it belongs to"
        );
    }
}

#[test]
fn every_file_can_be_read_to_its_end_and_begins_by_saying_what_it_is_for() {
    for (path, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= LONGEST_FILE, "{}: {lines} lines", path.display());
        assert!(text.starts_with("//! "), "{}: no header", path.display());
    }
}

#[test]
fn folders_are_at_most_two_deep() {
    let source = source_directory();
    for (path, _) in sources() {
        let depth = path.strip_prefix(&source).unwrap().components().count();
        assert!(depth <= 3, "{}", path.display());
    }
}

#[test]
fn no_module_has_a_name_that_says_nothing() {
    for (path, _) in sources() {
        for part in module_of(&path).split("::") {
            let vague = [
                "util", "utils", "helper", "helpers", "common", "manager", "data", "info", "misc",
            ];
            assert!(!vague.contains(&part), "{}", path.display());
        }
    }
}

fn may_know(from: &str, to: &str) -> bool {
    let top = |path: &str| path.split("::").next().map(str::to_owned);
    if from == "lib" || top(from) == top(to) {
        return true;
    }
    let shared = SHARED_TYPES.iter().any(|shared| to.starts_with(shared));
    let excepted = EXCEPTIONS
        .iter()
        .any(|(who, whom, _)| begins(from, who) && begins(to, whom));
    let allowed = match (layer(from), layer(to)) {
        (Some(Layer::Pure), Some(Layer::Pure)) => true,
        (Some(from), Some(to)) => to < from,
        _ => false,
    };
    shared || excepted || allowed
}

/// The layer of the longest path in the table that `module` begins with.
fn layer(module: &str) -> Option<Layer> {
    LAYERS
        .iter()
        .filter(|(path, _)| begins(module, path))
        .max_by_key(|(path, _)| path.len())
        .map(|(_, layer)| *layer)
}

fn begins(path: &str, with: &str) -> bool {
    path.strip_prefix(with)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}

fn source_directory() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("src")
}

/// Every source file with its text.
fn sources() -> Vec<(PathBuf, String)> {
    WalkDir::new(source_directory())
        .sort_by_file_name()
        .into_iter()
        .map(|entry| entry.unwrap().into_path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| (path.clone(), fs::read_to_string(path).unwrap()))
        .collect()
}

/// `src/key/mod.rs` is `key`, `src/key/digest.rs` is `key::digest`.
fn module_of(path: &Path) -> String {
    let relative = path
        .strip_prefix(source_directory())
        .unwrap()
        .with_extension("");
    let parts: Vec<_> = relative
        .components()
        .map(|part| part.as_os_str().to_string_lossy().into_owned())
        .filter(|part| part != "mod")
        .collect();
    parts.join("::")
}

/// The text without comments and without what follows `#[cfg(test)]`.
fn production_part(text: &str) -> String {
    text.lines()
        .take_while(|line| line.trim() != "#[cfg(test)]")
        .map(|line| line.split("//").next().unwrap_or_default())
        .collect::<Vec<_>>()
        .join("\n")
}

/// Everything that follows `crate::`, with groups in braces taken apart.
fn crate_paths(text: &str) -> Vec<String> {
    text.match_indices("crate::")
        .flat_map(|(at, found)| {
            let mut rest = &text[at + found.len()..];
            use_tree(&mut rest)
        })
        .collect()
}

/// Reads one tree (`a::b`, `a::{b, c::d}`, `{a, b}`) off the beginning of `text`.
fn use_tree(text: &mut &str) -> Vec<String> {
    let end = text
        .find(|character: char| !(character.is_alphanumeric() || "_:*".contains(character)))
        .unwrap_or(text.len());
    let (path, rest) = text.split_at(end);
    *text = rest;
    // In `crate::Thing {` the brace opens no group, for want of the colons.
    let opens_group = rest.starts_with('{') && (path.is_empty() || path.ends_with("::"));
    let path = path.trim_end_matches(':');
    if !opens_group {
        return vec![path.to_owned()];
    }
    *text = &rest[1..];
    let mut found = Vec::new();
    loop {
        *text = text
            .trim_start_matches(|character: char| character.is_whitespace() || character == ',');
        if let Some(rest) = text.strip_prefix('}') {
            *text = rest;
            break;
        }
        if text.is_empty() {
            break;
        }
        let before = text.len();
        for branch in use_tree(text) {
            found.push(match (path, branch.as_str()) {
                ("", branch) => branch.to_owned(),
                (path, "self" | "") => path.to_owned(),
                (path, branch) => format!("{path}::{branch}"),
            });
        }
        if text.len() == before {
            // Neither a path nor a brace: `as` and the like. One character further there may be one again.
            *text = &text[text.chars().next().map_or(0, char::len_utf8)..];
        }
    }
    found
}

#[test]
fn use_trees_are_taken_apart() {
    let text = "use crate::{a::{self, b, c::D}, e};\nuse crate::f::G;\nlet x = crate::h::i(1);";
    assert_eq!(
        crate_paths(text),
        ["a", "a::b", "a::c::D", "e", "f::G", "h::i"]
    );
}

#[test]
fn what_may_know_what_follows_the_layers() {
    for (from, to, may) in [
        ("policy", "key::Question", true),
        ("policy", "state::RunState", false),
        ("engine::restore", "store::Store", true),
        ("store::dir", "archive::Member", false),
        ("store::dir", "archive::path::RelativePath", true),
        ("key", "project::Project", false),
        ("key", "tier::TierName", true),
        ("report", "process::Tool", false),
        ("prune", "unit::UnitId", true),
        ("archive", "commands::run", false),
    ] {
        assert_eq!(may_know(from, to), may, "{from} -> {to}");
    }
}
