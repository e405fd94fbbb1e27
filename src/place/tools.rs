//! Bringing tools back: binaries into CARGO_HOME/bin, their records into Cargo's and cargo-binstall's files.
//!
//! Invariants: a binary is added only where there is none, a record only with its binaries and only where none is
//! changed by it. The metadata files are replaced by whole new ones, written aside, while Cargo's own locks on them are
//! held. If they can't be, the binaries are taken back. A kill between the two leaves binaries without records, which the
//! next run takes back by a note in the staging directory ([`super::unrecorded`]); the other order would leave what
//! cargo-binstall takes for installed.

use std::{
    collections::BTreeSet,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    time::Duration,
};

use fs_err as fs;

use super::{CargoLocks, Piece, PlaceError, Staging, place_pieces, put::take_back, unrecorded};
use crate::tier::{
    InstallRecord, Records, Tool,
    records::{BINSTALL_JSON, CRATES_TOML, CRATES2_JSON},
    tools::is_tool_path,
};

/// What became of restored tools.
#[derive(Debug, Default)]
pub struct MergedTools {
    /// The names of those that were put in place.
    pub placed: Vec<String>,
    /// Those that were not.
    pub skipped: Vec<SkippedTool>,
}

/// A tool that was not put in place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SkippedTool {
    /// Its name.
    pub name: String,
    /// Why, for people.
    pub reason: String,
}

/// Puts `tools`, whose files were unpacked into a staging directory for CARGO_HOME, in place with their records.
///
/// `wait` bounds the waiting for a `cargo install` that is running. Fails if the records that are there cannot be read
/// or added to; then no tool with a record is in place.
pub fn merge_tools(
    staging: &Staging,
    tools: &[Tool],
    wait: Duration,
) -> Result<MergedTools, PlaceError> {
    let home = staging.root();
    let records: Vec<_> = tools
        .iter()
        .filter_map(|tool| tool.record.as_ref())
        .collect();
    let mut files = RecordFiles::lock(home, &records, wait)?;
    let mut installed = files.read()?;
    let mut merged = MergedTools::default();
    let mut candidates = Vec::new();
    let mut claimed = BTreeSet::new();
    for tool in tools {
        let conflict = tool
            .record
            .as_ref()
            .and_then(|record| installed.conflict(record));
        if !tool.files.iter().all(|file| is_tool_path(&file.path)) {
            merged.skip(tool, "it has files that are no tools");
            continue;
        }
        // An archive could name one file twice; the first has it.
        let is_new = tool.files.iter().all(|file| claimed.insert(&file.path));
        match conflict {
            None if is_new => candidates.push(tool),
            None => merged.skip(tool, "another tool has the same file"),
            Some(reason) => merged.skip(tool, reason),
        }
    }
    let pieces: Vec<_> = candidates.iter().map(|tool| piece(tool)).collect();
    let bin = home.join("bin");
    fs::create_dir_all(&bin).map_err(PlaceError::file("create", bin))?;
    unrecorded::note(staging, &candidates).map_err(PlaceError::file("note tools in", home))?;
    let outcome = place_pieces(staging, &pieces)?;
    for index in outcome.placed.iter().copied() {
        if let Some(record) = &candidates[index].record {
            installed.add(record);
        }
    }
    let has_new_records = outcome
        .placed
        .iter()
        .any(|&index| candidates[index].record.is_some());
    if has_new_records && let Err(failure) = files.replace(staging, &installed) {
        for &index in &outcome.placed {
            if candidates[index].record.is_some() {
                take_back(staging, &pieces[index])?;
            }
        }
        return Err(failure);
    }
    unrecorded::forget(staging);
    merged.placed = outcome
        .placed
        .iter()
        .map(|&index| candidates[index].name.clone())
        .collect();
    for &index in &outcome.present {
        merged.skip(candidates[index], "a binary of that name is there already");
    }
    if let Some(stopped) = outcome.stopped {
        for tool in &candidates[stopped.piece..] {
            merged.skip(tool, format!("placing failed: {}", stopped.error));
        }
    }
    Ok(merged)
}

impl MergedTools {
    fn skip(&mut self, tool: &Tool, reason: impl Into<String>) {
        self.skipped.push(SkippedTool {
            name: tool.name.clone(),
            reason: reason.into(),
        });
    }
}

fn piece(tool: &Tool) -> Piece {
    Piece {
        name: tool.name.clone(),
        files: tool.files.iter().map(|file| file.path.clone()).collect(),
    }
}

/// The metadata files of a CARGO_HOME, locked.
struct RecordFiles {
    /// What each is called relative to CARGO_HOME, and where it really lies.
    paths: Vec<(&'static str, PathBuf)>,
    locks: CargoLocks,
}

impl RecordFiles {
    /// Locks those files that `records` go into. Locking makes missing ones, empty, as Cargo does.
    fn lock(home: &Path, records: &[&InstallRecord], wait: Duration) -> Result<Self, PlaceError> {
        let mut names = Vec::new();
        if !records.is_empty() {
            names.extend([CRATES_TOML, CRATES2_JSON]);
        }
        if records.iter().any(|record| record.binstall.is_some()) {
            names.push(BINSTALL_JSON);
            let directory = home.join("binstall");
            fs::create_dir_all(&directory).map_err(PlaceError::file("create", directory))?;
        }
        let paths: Vec<_> = names
            .into_iter()
            .map(|name| {
                let path = home.join(name);
                // A link stays a link: what it leads to is replaced.
                (name, fs::canonicalize(&path).unwrap_or(path))
            })
            .collect();
        let files: Vec<_> = paths.iter().map(|(_, path)| path.clone()).collect();
        let locks = CargoLocks::hold_files(&files, wait)?;
        Ok(Self { paths, locks })
    }

    fn read(&mut self) -> Result<Records, PlaceError> {
        let mut text = |name| -> Result<String, PlaceError> {
            let Some((_, path)) = self.paths.iter().find(|(known, _)| *known == name) else {
                return Ok(String::new());
            };
            let mut text = String::new();
            let result = match self.locks.file_mut(path) {
                Some(file) => file.read_to_string(&mut text).map(|_| ()),
                None => fs::read_to_string(path).map(|content| text = content),
            };
            match result {
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    Err(PlaceError::file("read", path)(error))
                }
                _ => Ok(text),
            }
        };
        let (crates_toml, crates2) = (text(CRATES_TOML)?, text(CRATES2_JSON)?);
        Records::parse(&crates_toml, &crates2, &text(BINSTALL_JSON)?).map_err(|error| {
            PlaceError::Records {
                path: error.file.into(),
                reason: error.reason,
            }
        })
    }

    /// Replaces the files by what `records` says. All are written before any is replaced, so that a full disk
    /// changes nothing.
    fn replace(&self, staging: &Staging, records: &Records) -> Result<(), PlaceError> {
        let mut written = Vec::new();
        for (name, text) in records.files() {
            let Some((_, path)) = self.paths.iter().find(|(known, _)| *known == name) else {
                continue;
            };
            let aside = staging.aside(&name.replace('/', "-"));
            write_like(path, &aside, &text).map_err(PlaceError::file("write", path))?;
            written.push((aside, path));
        }
        // In the order of Records::files Cargo's `.crates.toml` comes first: it alone is a complete record.
        for (aside, path) in written {
            fs::rename(&aside, path).map_err(PlaceError::file("replace", path))?;
        }
        Ok(())
    }
}

/// Writes `text` to `aside`, through to the disk, with the permissions of the file at `path`.
fn write_like(path: &Path, aside: &Path, text: &str) -> io::Result<()> {
    let mut file = fs::File::create(aside)?;
    file.write_all(text.as_bytes())?;
    if let Ok(facts) = fs::metadata(path) {
        file.set_permissions(facts.permissions())?;
    }
    file.sync_all()
}

#[cfg(test)]
#[path = "tools_tests.rs"]
mod tests;
