//! What the halves of a step, and a later `mode: save` step, need to know of the restore.
//!
//! One JSON file in RUNNER_TEMP, which a runner empties before and after each job, so that a step of the same project
//! finds it: its name is made of the inputs that say what is cached. Only its path goes through the runner.

use std::{
    io,
    path::{Path, PathBuf},
};

use anyhow::{Context as _, bail};
use serde::{Deserialize, Serialize};

use crate::{
    environment::Environment, key::DigestBuilder, report::RunReport, runner::Inputs,
    state::RunState,
};

/// The version of the file.
const SCHEMA: u32 = 1;

/// The state of a job's cache.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Handover {
    schema: u32,
    /// What the restore left for the save.
    pub(super) state: RunState,
    /// What the restore reported, and the save if there was one.
    pub(super) report: RunReport,
    /// What the user was told that need not be told again.
    #[serde(default)]
    pub(super) notices: Vec<String>,
    /// Whether a save has been made.
    pub(super) is_saved: bool,
}

impl Handover {
    /// What a restore leaves.
    pub(super) fn new(state: RunState, report: RunReport) -> Self {
        Self {
            schema: SCHEMA,
            state,
            report,
            notices: Vec::new(),
            is_saved: false,
        }
    }

    /// Writes the file.
    pub(super) fn write(&self, path: &Path) -> anyhow::Result<()> {
        fs_err::write(path, serde_json::to_vec(self)?)?;
        Ok(())
    }

    /// Reads the file; `None` if there is none.
    pub(super) fn read(path: &Path) -> anyhow::Result<Option<Self>> {
        #[derive(Deserialize)]
        struct Head {
            schema: u32,
        }
        let json = match fs_err::read(path) {
            Ok(json) => json,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let garbled = || {
            format!(
                "the state of the restore, {}, cannot be read",
                path.display()
            )
        };
        let head: Head = serde_json::from_slice(&json).with_context(garbled)?;
        if head.schema != SCHEMA {
            bail!("{}", garbled());
        }
        serde_json::from_slice(&json)
            .with_context(garbled)
            .map(Some)
    }
}

/// Where a step keeps its files.
#[derive(Debug)]
pub(super) struct Place {
    directory: PathBuf,
    name: String,
}

impl Place {
    /// The place of a step with these inputs, for the project in `project`.
    pub(super) fn of(inputs: &Inputs, project: &Path, environment: &Environment) -> Self {
        let mut digest = DigestBuilder::new();
        digest.field("project", project.as_os_str().as_encoded_bytes());
        for name in ["workspaces", "prefix-key", "shared-key", "key"] {
            digest.field(name, inputs.text(name).as_bytes());
        }
        let temporary = environment.path("RUNNER_TEMP");
        Self {
            directory: temporary
                .unwrap_or_else(std::env::temp_dir)
                .join("hotcrate"),
            name: digest.finish().short(),
        }
    }

    /// The file of the state.
    pub(super) fn state(&self) -> PathBuf {
        self.directory.join(format!("state-{}.json", self.name))
    }

    /// The file of the JSON report.
    pub(super) fn report(&self) -> PathBuf {
        self.directory.join(format!("report-{}.json", self.name))
    }
}
