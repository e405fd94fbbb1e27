//! What `hotcrate doctor` tells: which units the last build compiled, why, and what makes units dirty without need.
//! Reads target directories, sources and git, and changes nothing: access times are put back.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;

use super::{rebuilt, session::Session, target::source_roots};
use crate::{
    archive::path::RelativePath,
    environment::Environment,
    process::Tool,
    rebuild::{
        self, Baseline, Facts, LockfileKind, LockfileState, RootSnapshot, Snapshot, UnitSnapshot,
    },
    report::{Compared, DoctorReport, SCHEMA},
    state::LastRestore,
    unit::{self, LeftOutReason},
};

/// Units of one build follow each other more closely than this.
const LONGEST_PAUSE: Duration = Duration::from_mins(2);
/// Times of files are taken from a clock that ticks coarsely, up to this much behind.
const CLOCK_GRAIN: Duration = Duration::from_millis(20);

impl Session<'_> {
    /// Explains the build since `last`, or else the newest one by the times of its units.
    pub fn doctor(
        &self,
        last: Option<LastRestore>,
        environment: &Environment,
    ) -> anyhow::Result<DoctorReport> {
        let (units, is_incremental) = self.look()?;
        let (baseline, since, compared) = if let Some(last) = last {
            let since = nanos(last.started_at);
            (last.baseline, since, Compared::LastRestore)
        } else {
            let since = start_of_newest_build(&units);
            let baseline = Baseline {
                records: keep(&units, |_, unit| unit.compiled_at < since),
                ..Baseline::default()
            };
            (baseline, since, Compared::Times)
        };
        let grain = u64::try_from(CLOCK_GRAIN.as_nanos())?;
        let compiled = keep(&units, |root, unit| {
            let earlier = baseline.records.roots.get(root);
            let earlier = earlier.and_then(|earlier| earlier.unit(&unit.id));
            unit.compiled_at >= since.saturating_sub(grain)
                && earlier.is_none_or(|earlier| earlier.compiled_at != unit.compiled_at)
        });
        let (fresh, known) = (BTreeSet::new(), BTreeMap::new());
        let rebuilt = rebuilt::explain_build(self, &baseline, &compiled, &fresh, &known);
        let targets = rebuilt::targets(self);
        let now = nanos(SystemTime::now());
        let diagnoses = rebuild::diagnose(&Facts {
            units: &units,
            rebuilt: &rebuilt,
            made_new: &baseline.made_new,
            inputs: &unit::input_states(inputs(&units, &targets)),
            targets: &targets,
            project: &self.project().directory,
            cargo_home: &self.project().cargo_home,
            now,
            is_ci: environment.os("CI").is_some(),
            is_incremental,
            lockfiles: &self.lockfiles(environment),
        });
        Ok(DoctorReport {
            schema: SCHEMA,
            compared_with: compared,
            age_seconds: now.saturating_sub(since) / 1_000_000_000,
            units: rebuilt::report(&rebuilt),
            diagnoses,
        })
    }

    /// The records of all units that are there, and whether Cargo compiled incrementally.
    fn look(&self) -> anyhow::Result<(Snapshot, bool)> {
        let sources = source_roots(self);
        let mut units = Snapshot::default();
        let mut is_incremental = false;
        for root in &self.project().roots {
            if !root.directory.is_dir() {
                continue;
            }
            let tree = unit::read_target(&root.directory, &sources)
                .with_context(|| format!("failed to read {}", root.directory.display()))?;
            // A job in the middle goes on being told what it used.
            if let Err(error) = unit::put_back(&tree) {
                self.console.detail(&error.to_string());
            }
            let mut left_out = tree.left_out.iter();
            is_incremental |= left_out.any(|left| left.reason == LeftOutReason::Incremental);
            let snapshot = unit::snapshot(&tree, &sources, |_| true);
            units.roots.insert(root.name.clone(), snapshot);
        }
        Ok((units, is_incremental))
    }

    fn lockfiles(&self, environment: &Environment) -> Vec<LockfileState> {
        let workspaces = self.project().workspaces.iter();
        let states = workspaces.map(|workspace| {
            let path = workspace.root.join("Cargo.lock");
            let shown = path
                .strip_prefix(&self.project().directory)
                .unwrap_or(&path);
            LockfileState {
                path: shown.display().to_string(),
                state: lockfile_kind(&workspace.root, environment),
            }
        });
        states.collect()
    }
}

/// How the lockfile in `workspace` stands to git, where that can be told.
fn lockfile_kind(workspace: &Path, environment: &Environment) -> LockfileKind {
    if !workspace.join("Cargo.lock").is_file() {
        return LockfileKind::Missing;
    }
    let status = Tool::new("git", workspace, environment)
        // Without the locks that it can do without, as it would write its index anew.
        .args(["--no-optional-locks", "status", "--porcelain", "--ignored"])
        .args(["--", "Cargo.lock"])
        .output();
    match status.as_deref().unwrap_or_default().get(..2) {
        None => LockfileKind::Committed,
        Some("??" | "!!") => LockfileKind::Untracked,
        Some(_) => LockfileKind::Modified,
    }
}

/// Every path that a unit of a path package says it reads, absolute.
fn inputs(units: &Snapshot, targets: &BTreeMap<RelativePath, PathBuf>) -> BTreeSet<PathBuf> {
    let roots = units.roots.iter();
    let inputs = roots.flat_map(|(name, root)| {
        let target = targets.get(name);
        let own = root.units.iter().filter(|unit| unit.package_root.is_some());
        own.filter_map(move |unit| Some(unit.inputs(target?)))
    });
    inputs.flatten().collect()
}

/// The records of those units for which `is_kept` holds.
fn keep(units: &Snapshot, is_kept: impl Fn(&RelativePath, &UnitSnapshot) -> bool) -> Snapshot {
    let roots = units.roots.iter().map(|(name, root)| {
        let kept = root.units.iter().filter(|unit| is_kept(name, unit));
        let snapshot = RootSnapshot {
            units: kept.cloned().collect(),
            incomplete: Vec::new(),
        };
        (name.clone(), snapshot)
    });
    Snapshot {
        roots: roots.collect(),
    }
}

/// When the newest build compiled its first unit, in nanoseconds since the Unix epoch: what was compiled before it was so
/// well before.
fn start_of_newest_build(units: &Snapshot) -> u64 {
    let units = units.roots.values().flat_map(|root| &root.units);
    let mut times: Vec<_> = units.map(|unit| unit.compiled_at).collect();
    times.sort_unstable();
    let pauses = times.iter().rev().zip(times.iter().rev().skip(1));
    let start = pauses
        .into_iter()
        .find(|(later, earlier)| u128::from(*later - *earlier) > LONGEST_PAUSE.as_nanos())
        .map(|(later, _)| *later);
    start.or_else(|| times.first().copied()).unwrap_or_default()
}

fn nanos(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
