//! Tools that were put in place and not recorded yet when their process was killed.
//!
//! A binary without its record is one that `cargo install` refuses to replace. So before tools are put in place, a note of
//! their files goes into the staging directory, and once they are recorded it goes away. Whoever removes the staging
//! directory of a dead process takes back what its note names.
//!
//! Invariants: nothing is taken back but the very file that was put there (its size and time, to the nanosecond; of a
//! link, where it leads), and nothing of a tool that any record names by now. Where the records cannot be locked or
//! read, everything stays as it is, the note included, until the next run.

use std::{
    collections::BTreeSet,
    io,
    path::{Path, PathBuf},
    time::Duration,
};

use fs_err as fs;
use serde::{Deserialize, Serialize};

use super::{CargoLocks, Staging};
use crate::{
    archive::path::RelativePath,
    tier::{Records, Tool, records::CRATES_TOML, tools::is_tool_path},
};

/// The name of the note in a staging directory.
const NOTE: &str = "unrecorded.json";

/// What is about to be put in place.
#[derive(Debug, Serialize, Deserialize)]
struct Note {
    /// CARGO_HOME, absolute.
    home: PathBuf,
    /// The files of each tool.
    tools: Vec<Vec<NotedFile>>,
}

#[derive(Debug, Serialize, Deserialize)]
struct NotedFile {
    /// Relative to CARGO_HOME.
    path: RelativePath,
    /// What tells the file from another in its place: see [`mark`].
    mark: String,
}

/// Notes those of `tools`, as they lie in staging, that have records to be written.
pub(super) fn note(staging: &Staging, tools: &[&Tool]) -> io::Result<()> {
    let recorded = tools.iter().filter(|tool| tool.record.is_some());
    let noted = recorded.map(|tool| {
        let files = tool.files.iter().map(|file| {
            Ok(NotedFile {
                mark: mark(&file.path.below(staging.path()))?,
                path: file.path.clone(),
            })
        });
        files.collect::<io::Result<Vec<_>>>()
    });
    let note = Note {
        home: staging.root().to_owned(),
        tools: noted.collect::<io::Result<_>>()?,
    };
    if note.tools.is_empty() {
        return Ok(());
    }
    fs::write(staging.beside(NOTE), serde_json::to_vec(&note)?)
}

/// Forgets the note: everything in it is recorded, or was taken back.
pub(super) fn forget(staging: &Staging) {
    if let Err(error) = fs::remove_file(staging.beside(NOTE))
        && error.kind() != io::ErrorKind::NotFound
    {
        // Records protect what is in it.
        tracing::debug!("a note stays: {error}");
    }
}

/// Takes back what the note in `directory`, the staging directory of a dead process, names, if there is one.
pub(super) fn take_back(directory: &Path) -> io::Result<()> {
    let json = match fs::read(directory.join(NOTE)) {
        Ok(json) => json,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(error),
    };
    let Ok(note) = serde_json::from_slice::<Note>(&json) else {
        // Killed while it was written: nothing was in place by then.
        return Ok(());
    };
    let records = note.home.join(CRATES_TOML);
    let records = fs::canonicalize(&records).unwrap_or(records);
    let mut locks = CargoLocks::hold_files(std::slice::from_ref(&records), Duration::ZERO)
        .map_err(io::Error::other)?;
    let text = match locks.file_mut(&records) {
        Some(file) => io::read_to_string(file)?,
        None => fs::read_to_string(&records)?,
    };
    let installed = Records::parse(&text, "", "").map_err(io::Error::other)?;
    let recorded: BTreeSet<_> = installed
        .installed()
        .into_iter()
        .flat_map(|record| record.bins)
        .collect();
    for files in &note.tools {
        let is_recorded = files.iter().any(|file| {
            let name = file.path.file_name();
            // cargo-binstall records names without `.exe`.
            recorded.contains(name) || recorded.contains(name.trim_end_matches(".exe"))
        });
        if !is_recorded {
            take_back_tool(&note.home, files)?;
        }
    }
    Ok(())
}

fn take_back_tool(home: &Path, files: &[NotedFile]) -> io::Result<()> {
    for file in files.iter().filter(|file| is_tool_path(&file.path)) {
        let path = file.path.below(home);
        match mark(&path) {
            Ok(found) if found == file.mark => {
                fs::remove_file(&path)?;
                tracing::debug!("{} had no record and is gone", path.display());
            }
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// What tells a file from another in its place: size and time, or where a link leads.
fn mark(path: &Path) -> io::Result<String> {
    let found = fs::symlink_metadata(path)?;
    if found.is_symlink() {
        return Ok(format!("link to {}", fs::read_link(path)?.display()));
    }
    let time = filetime::FileTime::from_last_modification_time(&found);
    Ok(format!("{} bytes of {time}", found.len()))
}
