//! The `tools` tier: binaries that appeared in CARGO_HOME/bin during the job, with their install records.
//!
//! Invariants: nothing that was in `bin` before the job is ever taken, whatever happened to it since; nothing of
//! rustup's is ever taken, since a proxy brought to another machine hides the toolchain there. A package is taken with
//! all of its binaries and its record, or not at all: without its record `cargo install` fails on a binary, and
//! without its binaries cargo-binstall takes a package for installed.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
};

use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::{
    records::{BINSTALL_JSON, CRATES_TOML, CRATES2_JSON, InstallRecord, Records},
    walk::{TierFile, file_bytes},
};
use crate::{
    archive::path::RelativePath,
    key::{Digest, Fact, KeyPart, PartName},
};

/// What rustup puts into `bin` (rust-lang/rustup, `TOOLS` and `DUP_TOOLS`), without the `.exe` of Windows.
const OF_RUSTUP: [&str; 15] = [
    "rustup",
    "rustup-init",
    "rustc",
    "rustdoc",
    "cargo",
    "rust-lldb",
    "rust-gdb",
    "rust-gdbgui",
    "rls",
    "cargo-clippy",
    "clippy-driver",
    "cargo-miri",
    "rust-analyzer",
    "rustfmt",
    "cargo-fmt",
];

/// What CARGO_HOME/bin held before hotcrate or the job put anything there. Kept in the state until the save.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ToolsBefore {
    /// The names of all entries.
    pub names: BTreeSet<String>,
}

/// One tool: a package with its record, or a binary that nobody recorded.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tool {
    /// The package as Cargo names it, or the binary's name.
    pub name: String,
    /// What tells this tool from another of its name: of a binary without a record, its SHA-256.
    pub digest: Option<Digest>,
    /// Its files in the order of placing, relative to CARGO_HOME.
    pub files: Vec<TierFile>,
    /// Its record, if it has one.
    pub record: Option<InstallRecord>,
}

/// The tools that a job installed. The list travels with the entry, since records are merged, not copied.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ToolsTree {
    /// CARGO_HOME, absolute.
    pub cargo_home: PathBuf,
    /// The tools, sorted by name.
    pub tools: Vec<Tool>,
    /// What was left out, and why, for people.
    pub notes: Vec<String>,
}

impl ToolsTree {
    /// What the entry holds, as the last part of its key.
    pub fn set(&self) -> KeyPart {
        set(&self.tools)
    }
}

/// What an entry with these tools holds, as the last part of its key: packages with version and source, and the
/// content of what has no record.
pub fn set(tools: &[Tool]) -> KeyPart {
    KeyPart::new(
        PartName::Set,
        tools.iter().map(|tool| {
            let value = match (&tool.digest, &tool.record) {
                (Some(digest), _) => digest.to_string(),
                (None, Some(record)) => record.bins.iter().cloned().collect::<Vec<_>>().join(" "),
                (None, None) => String::new(),
            };
            Fact::new(format!("tool {}", tool.name), value)
        }),
    )
}

/// Lists CARGO_HOME/bin. To be called at the start, before the `tools` tier is restored: then restored tools count as
/// this job's own, and the set stays the same until the job installs something else.
pub fn snapshot(cargo_home: &Path) -> ToolsBefore {
    let names = fs::read_dir(cargo_home.join("bin"))
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.file_name().to_string_lossy().into_owned())
        .collect();
    ToolsBefore { names }
}

/// Finds what appeared in CARGO_HOME/bin since `before`.
///
/// Fails neither on what cannot be read nor on what cannot be understood: that is left out with a note.
pub fn new_tools(before: &ToolsBefore, cargo_home: &Path) -> ToolsTree {
    let mut tree = ToolsTree {
        cargo_home: cargo_home.to_owned(),
        ..ToolsTree::default()
    };
    let mut new = new_binaries(before, cargo_home);
    if new.is_empty() {
        return tree;
    }
    let records = match read_records(cargo_home) {
        Ok(records) => records,
        Err(reason) => {
            // Binaries without their records would make `cargo install` fail.
            tree.notes.push(format!("no tools are kept: {reason}"));
            return tree;
        }
    };
    for record in records.installed() {
        if let Some(files) = take_recorded(&record, &mut new) {
            tree.tools.push(Tool {
                name: record.package.clone(),
                digest: None,
                files,
                record: Some(record),
            });
        } else if record.bins.iter().any(|bin| new.remove(bin).is_some()) {
            let package = &record.package;
            let note = format!("{package} is left out: some of its binaries are not new");
            tree.notes.push(note);
        }
    }
    for (name, files) in new {
        let content = files.first().map(|file| file.path.below(cargo_home));
        match content.map(fs::read).transpose() {
            Ok(content) => tree.tools.push(Tool {
                name,
                digest: content.map(|bytes| Digest::of_bytes(&bytes)),
                files,
                record: None,
            }),
            Err(error) => tree.notes.push(format!("{name} is left out: {error}")),
        }
    }
    tree.tools.sort_by(|one, other| one.name.cmp(&other.name));
    tree
}

/// Takes the files of all binaries of a record out of `new`; none if any of them is not new.
fn take_recorded(
    record: &InstallRecord,
    new: &mut BTreeMap<String, Vec<TierFile>>,
) -> Option<Vec<TierFile>> {
    let names: Vec<_> = record
        .bins
        .iter()
        .map(|bin| {
            // cargo-binstall records names without `.exe`.
            let with_suffix = format!("{bin}.exe");
            [bin.clone(), with_suffix]
                .into_iter()
                .find(|name| new.contains_key(name))
        })
        .collect::<Option<_>>()?;
    let mut files: Vec<TierFile> = Vec::new();
    for file in names.iter().filter_map(|name| new.remove(name)).flatten() {
        // Two links of a package may lead to one file.
        if !files.contains(&file) {
            files.push(file);
        }
    }
    (!files.is_empty()).then_some(files)
}

/// The new binaries by name, with their files: a plain file, or a link behind the new file that it leads to
/// (cargo-binstall's `tool -> tool-v1.2.3`).
fn new_binaries(before: &ToolsBefore, cargo_home: &Path) -> BTreeMap<String, Vec<TierFile>> {
    let bin = cargo_home.join("bin");
    let rustup = Rustup::find(&bin);
    let mut plain = BTreeMap::new();
    let mut links = Vec::new();
    for entry in fs::read_dir(&bin).into_iter().flatten().flatten() {
        let Ok(name) = entry.file_name().into_string() else {
            continue;
        };
        let Ok(path) = RelativePath::new(format!("bin/{name}")) else {
            continue;
        };
        if before.names.contains(&name) || is_name_of_rustup(&name) {
            continue;
        }
        match entry.file_type() {
            Ok(kind) if kind.is_symlink() => links.push((name, path)),
            Ok(kind) if kind.is_file() && is_executable(&entry.path()) => {
                if !rustup.is(&entry.path())
                    && let Some(bytes) = file_bytes(&entry.path())
                {
                    plain.insert(name, TierFile { path, bytes });
                }
            }
            _ => {}
        }
    }
    let mut behind_links = BTreeSet::new();
    let mut binaries = BTreeMap::new();
    for (name, path) in links {
        let target = fs::read_link(path.below(cargo_home)).ok();
        let target = target.as_deref().and_then(Path::to_str).unwrap_or_default();
        if let Some(file) = plain.get(target) {
            behind_links.insert(target.to_owned());
            binaries.insert(name, vec![file.clone(), TierFile { path, bytes: 0 }]);
        }
    }
    for (name, file) in plain {
        if !behind_links.contains(&name) {
            binaries.insert(name, vec![file]);
        }
    }
    binaries
}

/// Whether `path`, relative to CARGO_HOME, may belong to a tool: it lies right in `bin`, and is none of rustup's.
pub fn is_tool_path(path: &RelativePath) -> bool {
    path.as_str()
        .strip_prefix("bin/")
        .is_some_and(|name| !name.contains('/') && !is_name_of_rustup(name))
}

fn is_name_of_rustup(name: &str) -> bool {
    OF_RUSTUP.contains(&name.strip_suffix(".exe").unwrap_or(name))
}

#[cfg(unix)]
fn is_executable(path: &Path) -> bool {
    fs::metadata(path).is_ok_and(|facts| crate::files::is_executable(&facts))
}

#[cfg(not(unix))]
fn is_executable(path: &Path) -> bool {
    path.extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("exe"))
}

/// The rustup of a `bin` directory, to tell copies and hard links of it by their content.
struct Rustup(Option<(PathBuf, u64)>);

impl Rustup {
    fn find(bin: &Path) -> Self {
        let path = bin.join(format!("rustup{}", std::env::consts::EXE_SUFFIX));
        Self(file_bytes(&path).map(|bytes| (path, bytes)))
    }

    /// Whether `path` has the same content. Equal hard links have, so nothing needs to be known about inodes.
    fn is(&self, path: &Path) -> bool {
        self.0.as_ref().is_some_and(|(rustup, bytes)| {
            file_bytes(path) == Some(*bytes) && has_same_content(rustup, path)
        })
    }
}

/// What cannot be read is taken for the same: better no tool than a proxy.
fn has_same_content(one: &Path, other: &Path) -> bool {
    match (fs::read(one), fs::read(other)) {
        (Ok(one), Ok(other)) => one == other,
        _ => true,
    }
}

fn read_records(cargo_home: &Path) -> Result<Records, String> {
    let read = |name| match fs::read_to_string(cargo_home.join(name)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(String::new()),
        result => result.map_err(|error| error.to_string()),
    };
    let (crates_toml, crates2) = (read(CRATES_TOML)?, read(CRATES2_JSON)?);
    Records::parse(&crates_toml, &crates2, &read(BINSTALL_JSON)?).map_err(|error| error.to_string())
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use super::*;

    /// A CARGO_HOME with a rustup in it, as every runner has.
    fn home() -> tempfile::TempDir {
        let home = tempfile::tempdir().unwrap();
        fs::create_dir(home.path().join("bin")).unwrap();
        add_binary(home.path(), "rustup", "the rustup");
        home
    }

    fn add_binary(home: &Path, name: &str, content: &str) {
        let path = home.join("bin").join(name);
        fs::write(&path, content).unwrap();
        make_executable(&path);
    }

    fn make_executable(path: &Path) {
        use std::os::unix::fs::PermissionsExt as _;
        fs::set_permissions(path, std::fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn names(tree: &ToolsTree) -> Vec<&str> {
        tree.tools.iter().map(|tool| tool.name.as_str()).collect()
    }

    #[test]
    fn nothing_of_rustups_is_ever_taken() {
        let home = home();
        let bin = home.path().join("bin");
        fs::hard_link(bin.join("rustup"), bin.join("hard-link")).unwrap();
        fs::os::unix::fs::symlink("rustup", bin.join("link")).unwrap();
        add_binary(home.path(), "copy", "the rustup");
        add_binary(home.path(), "rustfmt", "a proxy of another release");
        add_binary(home.path(), "tool", "the toolup");
        let tree = new_tools(&ToolsBefore::default(), home.path());
        assert_eq!(names(&tree), ["tool"]);
    }

    #[test]
    fn what_was_there_before_is_never_taken() {
        let home = home();
        add_binary(home.path(), "of-the-image", "1");
        let before = snapshot(home.path());
        add_binary(home.path(), "of-the-image", "changed since");
        add_binary(home.path(), "new", "2");
        let tree = new_tools(&before, home.path());
        assert_eq!(names(&tree), ["new"]);
        assert_eq!(tree.tools[0].files[0].path.as_str(), "bin/new");
    }

    #[test]
    fn what_is_no_program_is_not_taken() {
        let home = home();
        fs::write(home.path().join("bin/notes.txt"), "x").unwrap();
        fs::os::unix::fs::symlink("/bin/sh", home.path().join("bin/sh")).unwrap();
        let tree = new_tools(&ToolsBefore::default(), home.path());
        assert!(tree.tools.is_empty());
    }

    #[test]
    fn a_package_comes_with_all_of_its_binaries_and_its_record() {
        let home = home();
        let before = snapshot(home.path());
        add_binary(home.path(), "one", "1");
        add_binary(home.path(), "two-v1.0.0", "2");
        fs::os::unix::fs::symlink("two-v1.0.0", home.path().join("bin/two")).unwrap();
        let package = "pair 1.0.0 (registry+https://example.com)";
        let text = format!("[v1]\n\"{package}\" = [\"one\", \"two\"]\n");
        fs::write(home.path().join(CRATES_TOML), text).unwrap();
        let tree = new_tools(&before, home.path());
        assert_eq!(names(&tree), [package]);
        let files: Vec<_> = tree.tools[0]
            .files
            .iter()
            .map(|file| file.path.as_str())
            .collect();
        assert_eq!(files, ["bin/one", "bin/two-v1.0.0", "bin/two"]);
        assert_eq!(tree.tools[0].record.as_ref().unwrap().package, package);
    }

    #[test]
    fn a_package_that_was_there_in_part_is_left_out_whole() {
        let home = home();
        add_binary(home.path(), "one", "1");
        let before = snapshot(home.path());
        add_binary(home.path(), "two", "2");
        let text = "[v1]\n\"pair 1.0.0 (x)\" = [\"one\", \"two\"]\n";
        fs::write(home.path().join(CRATES_TOML), text).unwrap();
        let tree = new_tools(&before, home.path());
        assert!(tree.tools.is_empty());
        assert_eq!(tree.notes.len(), 1);
    }

    #[test]
    fn records_that_cannot_be_understood_keep_every_tool_out() {
        let home = home();
        add_binary(home.path(), "tool", "1");
        fs::write(home.path().join(CRATES2_JSON), "{").unwrap();
        let tree = new_tools(&ToolsBefore::default(), home.path());
        assert!(tree.tools.is_empty());
        assert_eq!(tree.notes.len(), 1);
    }

    #[test]
    fn the_set_changes_with_an_unrecorded_binary_and_with_nothing_else() {
        let home = home();
        let set_now = || new_tools(&ToolsBefore::default(), home.path()).set();
        add_binary(home.path(), "tool", "1");
        let first = set_now();
        assert_eq!(set_now(), first);
        add_binary(home.path(), "tool", "2");
        assert_ne!(set_now(), first);
    }

    #[test]
    fn a_home_without_bin_has_no_tools() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(snapshot(home.path()), ToolsBefore::default());
        assert!(
            new_tools(&ToolsBefore::default(), home.path())
                .tools
                .is_empty()
        );
    }
}
