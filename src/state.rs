//! What a save needs to know of the restore before it.
//!
//! `hotcrate run` hands the value over; between `hotcrate restore` and `hotcrate save` it lies in a JSON file in the
//! user's state directory, one a project. Invariant: keys are computed once, at restore, before the job changes
//! anything; a save uses those. A file that is missing is no error, one that cannot be read is.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    path::{Path, PathBuf},
    time::SystemTime,
};

use serde::{Deserialize, Serialize, de::DeserializeOwned};

use crate::{
    archive::path::RelativePath,
    entry::EntryFacts,
    environment::Environment,
    freshness::{Changed, Listing},
    key::{Digest, KeyPart, Question},
    rebuild::Baseline,
    sccache::InUse,
    tier::{TierName, tools::ToolsBefore},
};

/// The version of the state file.
const SCHEMA: u32 = 1;

/// The state between a restore and a save.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RunState {
    /// The version of this file.
    pub schema: u32,
    /// The project's directory, absolute.
    pub project: PathBuf,
    /// When the restore was over and the job's own work began.
    pub started_at: SystemTime,
    /// What each tier asked for.
    pub questions: BTreeMap<TierName, Question>,
    /// What was restored.
    pub restored: BTreeMap<TierName, RestoredEntry>,
    /// Keys of entries that are damaged and stay: a save takes others.
    #[serde(default)]
    pub spoilt: BTreeSet<String>,
    /// The tools that were there before the job.
    pub tools_before: Option<ToolsBefore>,
    /// Whether access times move in every root, by its name.
    pub access_times_move: BTreeMap<RelativePath, bool>,
    /// What is known of the units before the job, to explain by what it compiled.
    #[serde(default)]
    pub baseline: Baseline,
    /// What was known of the sources before the job, or why workspace crates are neither restored nor saved; `None` if
    /// they are not cached.
    pub workspace: Option<Result<WorkspaceState, String>>,
    /// The sccache that the job uses, if its server runs.
    #[serde(default)]
    pub sccache: Option<InUse>,
    /// Whether the restore met nothing but trouble that a save would meet as well: then the job goes on as if hotcrate were
    /// not there.
    #[serde(default)]
    pub cut_off: bool,
}

/// What was known of the sources before the job.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct WorkspaceState {
    /// The part of the key that they make.
    pub tree: KeyPart,
    /// What was there.
    pub listing: Listing,
    /// The labels of the trees that were built from before, on this machine: no time in them may be set back.
    pub known_trees: BTreeSet<String>,
    /// Restored files that the replay deleted or added to: another one begins with them as they were, and a save with those
    /// that it added to.
    #[serde(default)]
    pub changed: Vec<Changed>,
}

/// An entry that was restored.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct RestoredEntry {
    /// Its full key.
    pub key: String,
    /// Whether all parts of its key equal those asked for.
    pub exact: bool,
    /// What it says of itself.
    pub facts: EntryFacts,
}

/// Why the state cannot be handed over.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// There is no place for it.
    #[error("failed to find a directory for the state: neither HOME nor its like is set")]
    NoPlace,
    /// The file cannot be read or written.
    #[error("failed to {step}")]
    File {
        /// What was being done.
        step: &'static str,
        /// Why it failed.
        #[source]
        source: io::Error,
    },
    /// The file is none of ours, or of another version.
    #[error("the state of the restore, {path}, cannot be read", path = path.display())]
    Garbled {
        /// The file.
        path: PathBuf,
        /// Why, if it is JSON at all.
        #[source]
        source: serde_json::Error,
    },
    /// The file was written by another version of hotcrate.
    #[error("the state of the restore, {path}, was written by another version of hotcrate", path = path.display())]
    OtherSchema {
        /// The file.
        path: PathBuf,
    },
}

impl RunState {
    /// A state in which nothing has been restored yet.
    pub fn new(project: &Path, now: SystemTime) -> Self {
        Self {
            schema: SCHEMA,
            project: project.to_owned(),
            started_at: now,
            questions: BTreeMap::new(),
            restored: BTreeMap::new(),
            spoilt: BTreeSet::new(),
            tools_before: None,
            access_times_move: BTreeMap::new(),
            baseline: Baseline::default(),
            workspace: None,
            sccache: None,
            cut_off: false,
        }
    }
}

/// Writes `state` for a later [`take`] of the same project, in place of an earlier one.
pub fn write(state: &RunState, environment: &Environment) -> Result<(), StateError> {
    write_json(state, &place(&state.project, environment)?)
}

fn write_json(value: &impl Serialize, path: &Path) -> Result<(), StateError> {
    let failed = |step| move |source| StateError::File { step, source };
    let directory = path.parent().ok_or(StateError::NoPlace)?;
    fs_err::create_dir_all(directory).map_err(failed("make the state directory"))?;
    let json = serde_json::to_vec(value).map_err(|source| StateError::Garbled {
        path: path.to_owned(),
        source,
    })?;
    let file = tempfile::NamedTempFile::new_in(directory)
        .map_err(failed("make a file in the state directory"))?;
    fs_err::write(file.path(), json).map_err(failed("write the state"))?;
    file.persist(path)
        .map_err(|error| failed("put the state in place")(error.error))?;
    Ok(())
}

/// What `hotcrate doctor` knows of the last restore of a project.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct LastRestore {
    /// The version of this file.
    pub schema: u32,
    /// The project's directory, absolute.
    pub project: PathBuf,
    /// When the restore was over and the job's own work began.
    pub started_at: SystemTime,
    /// What was known of the units then.
    pub baseline: Baseline,
}

/// Keeps for [`last_restore`] what `state` knows of the units before the job, in place of what was kept before.
pub fn keep_last_restore(state: &RunState, environment: &Environment) -> Result<(), StateError> {
    let last = LastRestore {
        schema: SCHEMA,
        project: state.project.clone(),
        started_at: state.started_at,
        baseline: state.baseline.clone(),
    };
    let path = file_of("last-restore", &state.project, environment)?;
    write_json(&last, &path)
}

/// What was kept of the last restore of the project, if there was one. It stays where it is.
pub fn last_restore(
    project: &Path,
    environment: &Environment,
) -> Result<Option<LastRestore>, StateError> {
    let path = file_of("last-restore", project, environment)?;
    let Some(json) = read_file(&path)? else {
        return Ok(None);
    };
    let last: LastRestore = parse(&json, &path)?;
    Ok(Some(last).filter(|last| last.project == project))
}

/// Removes the state that an earlier restore of the project left: once a new one begins, nothing of it is true.
pub fn clear(project: &Path, environment: &Environment) -> Result<(), StateError> {
    match fs_err::remove_file(place(project, environment)?) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            let step = "remove the state";
            Err(StateError::File { step, source })
        }
        _ => Ok(()),
    }
}

/// Takes the state that the last restore of the project left, if there is one: a second save finds none.
pub fn take(project: &Path, environment: &Environment) -> Result<Option<RunState>, StateError> {
    let path = place(project, environment)?;
    let Some(json) = read_file(&path)? else {
        return Ok(None);
    };
    fs_err::remove_file(&path).map_err(|source| StateError::File {
        step: "remove the state",
        source,
    })?;
    own_state(&json, &path, project)
}

/// The state that the last restore of the project left, if there is one; it stays for a later [`take`].
pub fn read(project: &Path, environment: &Environment) -> Result<Option<RunState>, StateError> {
    let path = place(project, environment)?;
    match read_file(&path)? {
        Some(json) => own_state(&json, &path, project),
        None => Ok(None),
    }
}

fn read_file(path: &Path) -> Result<Option<Vec<u8>>, StateError> {
    match fs_err::read(path) {
        Ok(content) => Ok(Some(content)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(source) => {
            let step = "read the state";
            Err(StateError::File { step, source })
        }
    }
}

/// The state in `json`, if it is the project's own.
fn own_state(json: &[u8], path: &Path, project: &Path) -> Result<Option<RunState>, StateError> {
    let state: RunState = parse(json, path)?;
    // The name of the file holds no more than 32 bits of the project's path.
    Ok(Some(state).filter(|state| state.project == project))
}

fn parse<T: DeserializeOwned>(json: &[u8], path: &Path) -> Result<T, StateError> {
    #[derive(Deserialize)]
    struct Head {
        schema: u32,
    }
    let garbled = |source| StateError::Garbled {
        path: path.to_owned(),
        source,
    };
    let head: Head = serde_json::from_slice(json).map_err(garbled)?;
    if head.schema != SCHEMA {
        return Err(StateError::OtherSchema {
            path: path.to_owned(),
        });
    }
    serde_json::from_slice(json).map_err(garbled)
}

/// Remembers that the checkouts `seen` of the project were here, each by what tells it from every other one, and returns
/// those that were here before. A list that cannot be read counts as empty.
pub fn see_checkouts(
    project: &Path,
    seen: &BTreeSet<String>,
    environment: &Environment,
) -> Result<BTreeSet<String>, StateError> {
    let path = file_of("checkouts", project, environment)?;
    let before: BTreeSet<String> = read_file(&path)?
        .and_then(|json| serde_json::from_slice(&json).ok())
        .unwrap_or_default();
    if !seen.is_subset(&before) {
        let all: BTreeSet<_> = before.union(seen).collect();
        write_json(&all, &path)?;
    }
    Ok(before)
}

fn place(project: &Path, environment: &Environment) -> Result<PathBuf, StateError> {
    file_of("run", project, environment)
}

/// One file of each kind a project, named by the digest of the project's directory.
fn file_of(kind: &str, project: &Path, environment: &Environment) -> Result<PathBuf, StateError> {
    let directory = crate::platform_directory::state(environment).ok_or(StateError::NoPlace)?;
    let digest = Digest::of_bytes(project.as_os_str().as_encoded_bytes());
    Ok(directory.join(format!("{kind}-{}.json", digest.short())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        rebuild::{RootSnapshot, TargetSnapshot, UnitSnapshot},
        unit::{UnitId, UnitKind},
    };

    fn home() -> (tempfile::TempDir, Environment) {
        let home = tempfile::tempdir().expect("there is room");
        // By what Linux, macOS and Windows find it.
        let environment = ["XDG_STATE_HOME", "HOME", "LOCALAPPDATA"]
            .map(|name| (name, home.path()))
            .into_iter()
            .collect();
        (home, environment)
    }

    #[test]
    fn a_save_finds_the_state_of_its_own_project_once() {
        let (_home, environment) = home();
        let state = RunState::new(Path::new("/work/project"), SystemTime::UNIX_EPOCH);
        write(&state, &environment).expect("there is a place");

        let other = take(Path::new("/work/other"), &environment).expect("no file is no error");
        assert!(other.is_none());
        let found = take(Path::new("/work/project"), &environment).expect("it can be read");
        assert_eq!(found.expect("it is there").started_at, state.started_at);
        let again = take(Path::new("/work/project"), &environment).expect("no file is no error");
        assert!(again.is_none());
    }

    #[test]
    fn a_checkout_is_known_from_the_second_time_on() {
        let (_home, environment) = home();
        let see = |names: &[&str]| {
            let seen = names.iter().map(|&name| name.to_owned()).collect();
            see_checkouts(Path::new("/p"), &seen, &environment).expect("there is a place")
        };
        assert!(see(&["one"]).is_empty());
        assert!(see(&["two"]).contains("one"));
        let before = see(&["one"]);
        assert!(before.contains("one") && before.contains("two"));
    }

    #[test]
    fn what_was_kept_of_the_last_restore_can_be_read_again_and_again() {
        let (_home, environment) = home();
        let project = Path::new("/work/project");
        let mut state = RunState::new(project, SystemTime::UNIX_EPOCH);
        let unit = UnitSnapshot {
            id: UnitId {
                profile: RelativePath::new("debug").expect("it is plain"),
                package: "core".to_owned(),
                hash: "0123456789abcdef".to_owned(),
            },
            kind: UnitKind::Library,
            version: None,
            package_root: Some(project.to_owned()),
            compiled_at: u64::MAX,
            targets: vec![TargetSnapshot {
                name: "lib-core".to_owned(),
                reference: Some(u64::MAX),
                ..TargetSnapshot::default()
            }],
        };
        let root = RootSnapshot {
            units: vec![unit],
            incomplete: Vec::new(),
        };
        let name = RelativePath::new("target").expect("it is plain");
        state.baseline.records.roots.insert(name, root);
        keep_last_restore(&state, &environment).expect("there is a place");
        for _ in 0..2 {
            let last = last_restore(project, &environment).expect("it can be read");
            assert_eq!(last.expect("it is there").baseline, state.baseline);
        }
        let other = last_restore(Path::new("/work/other"), &environment);
        assert!(other.expect("no file is no error").is_none());
    }

    #[test]
    fn a_garbled_state_is_an_error_that_names_the_file() {
        let (_home, environment) = home();
        let path = place(Path::new("/p"), &environment).expect("there is a place");
        fs_err::create_dir_all(path.parent().expect("it has one")).expect("it can be made");
        fs_err::write(&path, b"{").expect("it can be written");
        let error = take(Path::new("/p"), &environment).expect_err("it is garbled");
        assert!(error.to_string().contains(&path.display().to_string()));
    }
}
