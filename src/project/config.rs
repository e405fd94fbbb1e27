//! Cargo's configuration, as far as keys need it: its files, and the two settings that decide before Cargo runs.

use std::{
    collections::BTreeSet,
    ffi::OsString,
    path::{Path, PathBuf},
};

use cargo_config2::{Config, ResolveOptions};
use toml::{Table, Value};

use super::{Note, paths::relative_text};
use crate::{environment::Environment, key::Digest};

/// One file of Cargo's configuration.
#[derive(Clone, Debug)]
pub struct ConfigFile {
    /// What to call it: its path relative to the project, or `$CARGO_HOME/config.toml`.
    pub label: String,
    /// The directory that relative paths in it are relative to.
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

/// The compiler and the default targets that `environment` and the configuration above `directory` name.
pub(super) fn settings(
    directory: &Path,
    cargo_home: &Path,
    environment: &Environment,
    notes: &mut Vec<Note>,
) -> Settings {
    let options = ResolveOptions::default()
        .env(environment.iter())
        .cargo_home(Some(cargo_home.to_owned()))
        // Given, so that nothing is started to find it out: it is not used.
        .host_triple("unknown");
    let config = match Config::load_with_options(directory, options) {
        Ok(config) => config,
        Err(error) => {
            notes.push(Note::ConfigUnreadable {
                path: directory.to_owned(),
                reason: error.to_string(),
            });
            return Settings {
                rustc: environment
                    .os("RUSTC")
                    .unwrap_or("rustc".as_ref())
                    .to_owned(),
                targets: Vec::new(),
            };
        }
    };
    let targets = config.build.target.iter().flatten().map(|target| {
        let specification = target.spec_path().and_then(|path| fs_err::read(path).ok());
        match specification {
            Some(text) => format!("{} {}", target.triple(), Digest::of_bytes(&text)),
            None => target.triple().to_owned(),
        }
    });
    Settings {
        targets: targets.collect(),
        rustc: config
            .build
            .rustc
            .as_ref()
            .map_or_else(|| "rustc".into(), |rustc| rustc.clone().into_os_string()),
    }
}
