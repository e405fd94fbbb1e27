//! Cargo's configuration, as far as keys need it: its files, and the two settings that decide before Cargo runs.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    path::{Path, PathBuf},
};

use toml::{Table, Value};

use super::{Note, paths::relative_text};
use crate::{environment::Environment, key::Digest};

/// One file of Cargo's configuration.
#[derive(Clone, Debug)]
pub struct ConfigFile {
    /// What to call it: its path relative to the project, or `$CARGO_HOME/config.toml`.
    pub label: String,
    /// The directory that relative paths in it are relative to: the one that holds `.cargo`.
    pub base: PathBuf,
    /// What it says.
    pub table: Table,
}

/// What the configuration decides before Cargo runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Settings {
    /// The compiler's program.
    pub(super) rustc: OsString,
    /// The default targets; for a target of the user's own with a digest of its specification.
    pub(super) targets: Vec<String>,
}

/// Reads all configuration files that hold for `directory`, the closest first: as Cargo does, in each directory
/// above it and in `cargo_home`, with the files that they include.
pub(super) fn read_files(
    directory: &Path,
    project: &Path,
    cargo_home: &Path,
    notes: &mut Vec<Note>,
) -> Vec<ConfigFile> {
    let mut reader = Reader {
        files: Vec::new(),
        seen: BTreeSet::new(),
        notes,
    };
    for ancestor in directory.ancestors() {
        let folder = ancestor.join(".cargo");
        if folder != cargo_home {
            let label = relative_text(project, &folder);
            reader.read_folder(&folder, ancestor, &label);
        }
    }
    let base = cargo_home.parent().unwrap_or(cargo_home);
    reader.read_folder(cargo_home, base, "$CARGO_HOME");
    reader.files
}

struct Reader<'a> {
    files: Vec<ConfigFile>,
    seen: BTreeSet<PathBuf>,
    notes: &'a mut Vec<Note>,
}

impl Reader<'_> {
    fn read_folder(&mut self, folder: &Path, base: &Path, label: &str) {
        // Where both are there, Cargo takes the one without an extension.
        for name in ["config", "config.toml"] {
            let path = folder.join(name);
            if path.is_file() {
                self.read_file(&path, base, &format!("{label}/{name}"));
                return;
            }
        }
    }

    fn read_file(&mut self, path: &Path, base: &Path, label: &str) {
        if !self.seen.insert(path.to_owned()) {
            return;
        }
        let table = match read_table(path) {
            Ok(table) => table,
            Err(reason) => {
                self.notes.push(Note::ConfigUnreadable {
                    path: path.to_owned(),
                    reason,
                });
                return;
            }
        };
        let included = included_files(&table);
        self.files.push(ConfigFile {
            label: label.to_owned(),
            base: base.to_owned(),
            table,
        });
        for name in included {
            let path = path.parent().unwrap_or(base).join(&name);
            if path.is_file() {
                self.read_file(&path, base, &format!("{label} include {name}"));
            }
        }
    }
}

/// The paths of `include`: a text, or a list of texts and of tables with a `path`.
fn included_files(config: &Table) -> Vec<String> {
    let path_of = |value: &Value| match value {
        Value::String(path) => Some(path.clone()),
        Value::Table(table) => Some(table.get("path")?.as_str()?.to_owned()),
        _ => None,
    };
    match config.get("include") {
        Some(Value::Array(values)) => values.iter().filter_map(path_of).collect(),
        Some(value) => path_of(value).into_iter().collect(),
        None => Vec::new(),
    }
}

/// Reads a TOML file; the error is worded.
pub(super) fn read_table(path: &Path) -> Result<Table, String> {
    let text = fs_err::read_to_string(path).map_err(|error| error.to_string())?;
    text.parse()
        .map_err(|error: toml::de::Error| error.to_string())
}

/// The compiler and the default targets that `environment`, or else the configuration (the closest file first), names.
/// Relative paths in the environment are relative to `directory`, where Cargo runs.
///
/// Only these keys are looked at: a setting elsewhere in a file that is new to hotcrate never hides them.
pub(super) fn settings(
    files: &[ConfigFile],
    directory: &Path,
    environment: &Environment,
) -> Settings {
    let from_environment = ["RUSTC", "CARGO_BUILD_RUSTC"]
        .into_iter()
        .find_map(|name| environment.os(name));
    let rustc = match from_environment {
        Some(program) => program.to_owned(),
        None => files
            .iter()
            .find_map(|file| {
                let program = build_value(file, "rustc")?.as_str()?;
                // A bare name is looked for on the PATH, anything else lies relative to the file.
                let is_bare = Path::new(program).components().count() == 1;
                Some(if is_bare {
                    program.into()
                } else {
                    file.base.join(program).into_os_string()
                })
            })
            .unwrap_or_else(|| "rustc".into()),
    };
    let targets = match environment.text("CARGO_BUILD_TARGET") {
        Some(target) => vec![target_text(target, directory)],
        None => files.iter().flat_map(configured_targets).collect(),
    };
    Settings { rustc, targets }
}

fn build_value<'a>(file: &'a ConfigFile, key: &str) -> Option<&'a Value> {
    file.table.get("build")?.get(key)
}

/// `build.target`: a text, or a list. Cargo joins the lists of all files.
fn configured_targets(file: &ConfigFile) -> Vec<String> {
    let targets = match build_value(file, "target") {
        Some(Value::Array(targets)) => targets.as_slice(),
        Some(target) => std::slice::from_ref(target),
        None => &[],
    };
    targets
        .iter()
        .filter_map(Value::as_str)
        .map(|target| target_text(target, &file.base))
        .collect()
}

/// A target's name; for a specification of the user's own its file's name and a digest of what it says.
fn target_text(target: &str, base: &Path) -> String {
    let path = Path::new(target);
    let is_specification = path
        .extension()
        .is_some_and(|extension| extension.eq_ignore_ascii_case("json"));
    if !is_specification {
        return target.to_owned();
    }
    let name = path.file_stem().unwrap_or_default().to_string_lossy();
    match fs_err::read(base.join(path)) {
        Ok(text) => format!("{name} {}", Digest::of_bytes(&text)),
        Err(_) => name.into_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(base: &str, text: &str) -> ConfigFile {
        ConfigFile {
            label: "c".into(),
            base: base.into(),
            table: text.parse().expect("it is TOML"),
        }
    }

    fn settings_of(files: &[ConfigFile], variables: &[(&str, &str)]) -> Settings {
        settings(files, Path::new("/w"), &variables.iter().copied().collect())
    }

    #[test]
    fn the_environment_wins_over_files_and_close_files_over_far_ones() {
        let files = [
            file(
                "/w/a",
                "[build]\nrustc = 'near'\ntarget = ['one']\njobs = 'default'",
            ),
            file("/w", "[build]\nrustc = 'far'\ntarget = ['two']"),
        ];
        let from_files = settings_of(&files, &[]);
        assert_eq!(from_files.rustc, "near");
        assert_eq!(from_files.targets, ["one", "two"]);
        let from_environment =
            settings_of(&files, &[("RUSTC", "mine"), ("CARGO_BUILD_TARGET", "x")]);
        assert_eq!(from_environment.rustc, "mine");
        assert_eq!(from_environment.targets, ["x"]);
        assert_eq!(settings_of(&[], &[]).rustc, "rustc");
    }

    #[test]
    fn a_compiler_with_a_path_lies_relative_to_its_file() {
        let settings = settings_of(&[file("/w", "build.rustc = 'tools/rustc'")], &[]);
        assert_eq!(settings.rustc, Path::new("/w").join("tools/rustc"));
    }

    #[test]
    fn a_specification_counts_by_what_it_says_and_not_by_where_it_lies() {
        let of = |text: &str| {
            let directory = tempfile::tempdir().expect("there is a temporary directory");
            fs_err::write(directory.path().join("own.json"), text).expect("it is ours");
            let base = directory.path().display().to_string();
            settings_of(&[file(&base, "build.target = 'own.json'")], &[]).targets
        };
        assert_eq!(of("{}"), of("{}"));
        assert_ne!(of("{}"), of("{\"cpu\": \"x\"}"));
    }

    #[test]
    fn files_are_read_from_the_directory_up_with_what_they_include() {
        let directory = tempfile::tempdir().expect("there is a temporary directory");
        let base = super::super::physical(directory.path()).expect("it exists");
        let write = |path: &str, text: &str| {
            let path = base.join(path);
            fs_err::create_dir_all(path.parent().expect("it has one")).expect("it is ours");
            fs_err::write(path, text).expect("it is ours");
        };
        write(
            "p/w/.cargo/config.toml",
            "include = [{ path = 'more.toml' }, 'gone.toml']",
        );
        write(
            "p/w/.cargo/more.toml",
            "include = 'config.toml'\nbuild.target = 'x'",
        );
        write("p/.cargo/config", "a = 1");
        write("p/.cargo/config.toml", "b = 1");
        write(".cargo/config.toml", "c = 1");
        write("home/config.toml", "d = [");
        let mut notes = Vec::new();
        let files = read_files(
            &base.join("p/w"),
            &base.join("p"),
            &base.join("home"),
            &mut notes,
        );
        let labels: Vec<_> = files.iter().map(|file| file.label.as_str()).collect();
        assert_eq!(
            labels[..4],
            [
                "w/.cargo/config.toml",
                "w/.cargo/config.toml include more.toml",
                ".cargo/config",
                "../.cargo/config.toml",
            ]
        );
        assert!(matches!(notes[..], [Note::ConfigUnreadable { .. }]));
    }
}
