//! What changed in the sources, and for whom it counts. Pure.

use std::collections::BTreeMap;

use super::{Change, Made, Present, SourceKind, SourceManifest, Sources, reach::is_below};

/// Whether a change counts for everybody who may read the path, or only for those who say so or have a habit of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Weight {
    Full,
    /// The path did not come with a checkout.
    Slight,
}

/// Every path that changed, came or went, less the leavings of the job that was stored, or of this one.
pub(super) fn weighed_changes(
    manifest: &SourceManifest,
    present: &Present<'_>,
) -> Vec<(String, Change, Weight)> {
    all_changes(manifest, present.sources)
        .filter_map(|(name, change)| {
            let weight = weight(manifest, present, name, change)?;
            Some((name.to_owned(), change, weight))
        })
        .collect()
}

/// What a change counts for; `None` if it is a leaving.
fn weight(
    manifest: &SourceManifest,
    present: &Present<'_>,
    name: &str,
    change: Change,
) -> Option<Weight> {
    let made = match manifest.entries.get(name) {
        Some(entry) if change == Change::Deleted => entry.made,
        _ if present.ignored.contains(name) => Made::Early,
        _ => Made::Before,
    };
    let is_leaving = match made {
        Made::Before => return Some(Weight::Full),
        Made::Early => is_installed(name),
        Made::Late => true,
    };
    let mut readers = present.inputs.readers.iter();
    (!is_leaving || readers.any(|reader| reader.says(name))).then_some(Weight::Slight)
}

/// Every path that changed, came or went. Of directories only empty ones are told: others show in what is in them.
fn all_changes<'a>(
    manifest: &'a SourceManifest,
    sources: &'a Sources,
) -> impl Iterator<Item = (&'a str, Change)> {
    let now = sources.entries.iter().filter_map(|(name, found)| {
        let is_directory = found.kind == SourceKind::Directory;
        match manifest.entries.get(name) {
            Some(recorded) if recorded.kind != found.kind => Some((name.as_str(), Change::Changed)),
            Some(_) if is_directory => None,
            Some(recorded) if Some(recorded.digest) == found.digest => None,
            Some(_) => Some((name.as_str(), Change::Changed)),
            None if is_directory && has_children(&sources.entries, name) => None,
            None => Some((name.as_str(), Change::Added)),
        }
    });
    let gone = manifest.entries.iter().filter_map(|(name, recorded)| {
        let is_listed_below =
            recorded.kind == SourceKind::Directory && has_children(&manifest.entries, name);
        (!sources.entries.contains_key(name) && !is_listed_below)
            .then_some((name.as_str(), Change::Deleted))
    });
    now.chain(gone)
}

fn has_children<T>(entries: &BTreeMap<String, T>, directory: &str) -> bool {
    let below = format!("{directory}/");
    let next = entries.range(below.clone()..).next();
    next.is_some_and(|(name, _)| name.starts_with(&below))
}

pub(super) fn is_source(name: &str) -> bool {
    name.rsplit_once('.')
        .is_some_and(|(_, extension)| extension == "rs")
}

/// Whether `name` is a manifest of the package at `root`, or of a directory around it.
pub(super) fn is_manifest_around(name: &str, root: &str) -> bool {
    let directory = name.strip_suffix("/Cargo.toml");
    directory.is_some_and(|directory| directory == root || is_below(root, directory))
}

/// Whether `name` lies in what a package manager installs, or in a tool's cache: thousands of files that come and go
/// with jobs, and that no crate is made of.
pub(super) fn is_installed(name: &str) -> bool {
    const DIRECTORIES: [&str; 12] = [
        ".venv",
        "venv",
        "node_modules",
        "__pycache__",
        ".pytest_cache",
        ".mypy_cache",
        ".ruff_cache",
        ".tox",
        ".nox",
        ".direnv",
        ".gradle",
        ".cache",
    ];
    name.split('/').any(|part| DIRECTORIES.contains(&part))
}

/// Extensions of what no linker reads: texts, pictures, what tests compare with. A crate that includes one names it.
const READ_BY_NO_LINKER: [&str; 14] = [
    "css", "csv", "html", "js", "json", "md", "png", "py", "snap", "sql", "svg", "ts", "yaml",
    "yml",
];

/// Whether people, tools or tests read `name`, and neither a compiler nor a linker does; manifests are in Cargo's own
/// fingerprints.
pub(super) fn is_ignorable(name: &str, root: &str) -> bool {
    let below = name
        .strip_prefix(root)
        .map(|rest| rest.trim_start_matches('/'));
    let below = below.unwrap_or_else(|| name.split_once('/').map_or(name, |(_, rest)| rest));
    let file = below.rsplit('/').next().unwrap_or(below);
    let extension = file.rsplit_once('.').map_or("", |(_, extension)| extension);
    READ_BY_NO_LINKER.contains(&extension)
        || ["README", "LICENSE", "CHANGELOG"]
            .iter()
            .any(|start| file.starts_with(start))
        || [".github/", "docs/"]
            .iter()
            .any(|directory| below.starts_with(directory))
        || matches!(file, "Cargo.toml" | "Cargo.lock")
}
