//! One run of hotcrate on one project: what was found out about it, and the order in which tiers are handled.

use std::{
    cell::OnceCell,
    num::NonZeroUsize,
    thread,
    time::{Duration, SystemTime},
};

use anyhow::Context as _;

use super::{
    extra::ExtraWork, locked::locked_packages, registry::RegistryWork, restore, save,
    target::TargetWork, tools::ToolsWork, work::TierWork,
};
use crate::{
    archive::budget::ByteBudget,
    console::Console,
    environment::Environment,
    fail_open::{self, Trouble},
    key::{JobIdentity, KeyFacts, Question},
    place, platform_directory,
    policy::{JobStatus, Novelty, Place, SaveContext},
    project::{self, Project, Request},
    report::{RestoreOutcome, RestoreReport, RunReport, SaveOutcome, SaveReport},
    runner::{GitHubContext, scopes_of},
    settings::Settings,
    state::RunState,
    store::{DirOptions, DirStore, Store, identity_of},
    tier::{TierName, extra::ExtraRoots, tools},
};

/// How long hotcrate waits for a Cargo that is using a directory before it leaves the tier alone.
const LOCK_WAIT: Duration = Duration::from_secs(30);

/// How the job, or the command, stands when its work is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobResult {
    /// It succeeded.
    Succeeded,
    /// It failed, or was stopped.
    Failed,
}

/// What a run knows of its project.
pub struct Session<'run> {
    pub(super) settings: &'run Settings,
    pub(super) console: &'run Console,
    pub(super) store: Box<dyn Store>,
    pub(super) budget: ByteBudget,
    pub(super) threads: usize,
    pub(super) lock_wait: Duration,
    project: Project,
    facts: KeyFacts,
    extra: ExtraRoots,
    github: Option<GitHubContext>,
}

impl<'run> Session<'run> {
    /// Finds out about the project and opens the store. Changes nothing in the project.
    pub fn begin(
        settings: &'run Settings,
        environment: &'run Environment,
        console: &'run Console,
    ) -> anyhow::Result<Self> {
        let request = Request {
            directory: settings.project.clone(),
            cwd: std::env::current_dir().context("failed to find the working directory")?,
            workspaces: settings.workspaces.clone(),
        };
        let project = project::discover(&request, environment)?;
        for note in &project.notes {
            console.note(&note.to_string());
        }
        let github = GitHubContext::read(environment);
        let job = job_identity(settings, github.as_ref());
        let facts = project.key_facts(environment, &settings.env_vars, job);
        Ok(Self {
            store: open_store(settings, environment, &project, github.as_ref())?,
            budget: ByteBudget::new(ByteBudget::DEFAULT_BYTES),
            threads: thread::available_parallelism().map_or(1, NonZeroUsize::get),
            lock_wait: LOCK_WAIT,
            settings,
            console,
            project,
            facts,
            extra: settings.cache_directories.clone(),
            github,
        })
    }

    /// Restores every tier in use. Trouble with one is told and leaves the others alone.
    pub fn restore(&self, report: &mut RunReport) -> RunState {
        let mut state = RunState::new(&self.settings.project, SystemTime::now());
        state.tools_before = Some(tools::snapshot(&self.project.cargo_home));
        for root in self.roots() {
            if let Err(error) = place::remove_stale(&root) {
                self.console
                    .detail(&format!("stale staging stays: {error}"));
            }
        }
        let works = self.works();
        for (tier, work) in &works {
            let question = match self.question(*tier) {
                Ok(question) => question,
                Err(reason) => {
                    report.tier_mut(*tier).restore = Some(not_restored(&reason));
                    continue;
                }
            };
            let restored = fail_open::attempt(&format!("{tier} not restored"), || {
                restore::restore_tier(self, work.as_ref(), &question)
            });
            let told = match restored {
                Ok(restored) => {
                    if let Some(entry) = restored.entry {
                        state.restored.insert(*tier, entry);
                    }
                    restored.report
                }
                Err(trouble) => self.restore_failed(&question, trouble),
            };
            state.questions.insert(*tier, question);
            report.tier_mut(*tier).restore = Some(told);
        }
        state.access_times_move = super::target::arm(self);
        state.started_at = SystemTime::now();
        state
    }

    /// Saves every tier in use that has something new. `state` is what the restore left, if there was one.
    pub fn save(&self, state: Option<&RunState>, job: JobResult, report: &mut RunReport) {
        for (tier, work) in self.works() {
            let known = state.and_then(|state| state.questions.get(&tier).cloned());
            let question = match known.map_or_else(|| self.question(tier), Ok) {
                Ok(question) => question,
                Err(reason) => {
                    report.tier_mut(tier).save = Some(not_saved(&reason));
                    continue;
                }
            };
            let saved = fail_open::attempt(&format!("{tier} not saved"), || {
                save::save_tier(self, work.as_ref(), &question, state, job)
            });
            report.tier_mut(tier).save = Some(match saved {
                Ok(saved) => {
                    if let Some(units) = saved.units {
                        report.units = units;
                    }
                    saved.report
                }
                Err(trouble) => self.save_failed(trouble),
            });
        }
    }

    /// What deciding about a save needs to know.
    pub(super) fn save_context(&self, job: JobResult, novelty: Novelty) -> SaveContext<'_> {
        SaveContext {
            place: self
                .github
                .as_ref()
                .map_or(Place::Local, |github| Place::GitHub(github.facts())),
            job: match job {
                JobResult::Succeeded => JobStatus::Succeeded,
                JobResult::Failed => JobStatus::Failed,
            },
            cache_on_failure: self.settings.cache_on_failure,
            save_if: self.settings.save_if,
            novelty,
        }
    }

    /// The project.
    pub(super) fn project(&self) -> &Project {
        &self.project
    }

    /// The tiers in use, in the order of restoring, with what each needs.
    pub(super) fn works(&self) -> Vec<(TierName, Box<dyn TierWork + '_>)> {
        self.settings
            .tiers
            .iter()
            .map(|tier| {
                let work: Box<dyn TierWork + '_> = match tier {
                    TierName::Registry => Box::new(RegistryWork {
                        cargo_home: self.project.cargo_home.clone(),
                        packages: locked_packages(&self.project),
                    }),
                    TierName::Deps | TierName::Workspace => Box::new(TargetWork {
                        session: self,
                        tier: *tier,
                        reading: OnceCell::new(),
                    }),
                    TierName::Tools => Box::new(ToolsWork {
                        cargo_home: self.project.cargo_home.clone(),
                        lock_wait: self.lock_wait,
                    }),
                    TierName::Extra => Box::new(ExtraWork {
                        roots: self.extra.clone(),
                    }),
                };
                (*tier, work)
            })
            .collect()
    }

    /// What a tier asks the store for, or in words why it asks for nothing.
    pub(super) fn question(&self, tier: TierName) -> Result<Question, String> {
        match tier {
            TierName::Registry => Ok(self.facts.registry()),
            TierName::Deps => self.facts.deps().map_err(|error| error.to_string()),
            // Without a replay of the sources' times, Cargo would take artefacts of another commit for fresh.
            TierName::Workspace => Err("workspace crates are not cached yet".to_owned()),
            TierName::Tools => Ok(self.facts.tools()),
            TierName::Extra if self.extra.roots.is_empty() => {
                Err("no directories are listed".to_owned())
            }
            TierName::Extra => Ok(self.facts.extra(
                &self
                    .extra
                    .roots
                    .iter()
                    .map(|root| root.written.clone())
                    .collect::<Vec<_>>(),
            )),
        }
    }

    fn roots(&self) -> Vec<std::path::PathBuf> {
        let targets = self.project.roots.iter().map(|root| &root.directory);
        let extra = self.extra.roots.iter().map(|root| &root.directory);
        std::iter::once(&self.project.cargo_home)
            .chain(targets)
            .chain(extra)
            .cloned()
            .collect()
    }

    fn restore_failed(&self, question: &Question, Trouble(text): Trouble) -> RestoreReport {
        self.console.trouble(&text);
        RestoreReport {
            outcome: RestoreOutcome::Failed,
            reason: text,
            key: question.key(),
            matched_key: None,
            bytes: None,
            seconds: 0.0,
        }
    }

    fn save_failed(&self, Trouble(text): Trouble) -> SaveReport {
        self.console.trouble(&text);
        SaveReport {
            outcome: SaveOutcome::Failed,
            reason: text,
            key: String::new(),
            bytes: None,
            seconds: 0.0,
        }
    }
}

fn open_store(
    settings: &Settings,
    environment: &Environment,
    project: &Project,
    github: Option<&GitHubContext>,
) -> anyhow::Result<Box<dyn Store>> {
    let directory = settings
        .store
        .clone()
        .or_else(|| platform_directory::cache(environment))
        .context("failed to find a directory for the store: neither HOME nor its like is set, and no --store is given")?;
    let names = project
        .workspaces
        .iter()
        .flat_map(|workspace| &workspace.members)
        .map(|member| member.name.as_str());
    let store = DirStore::open(DirOptions {
        directory,
        project: identity_of(&settings.project, environment, names),
        scopes: scopes_of(github),
        max_bytes: settings.max_bytes,
        lock_wait: DirStore::DEFAULT_LOCK_WAIT,
    })?;
    Ok(Box::new(store))
}

fn job_identity(settings: &Settings, github: Option<&GitHubContext>) -> JobIdentity {
    match (&settings.shared_key, github) {
        (Some(key), _) => JobIdentity::Shared(key.clone()),
        (None, Some(github)) => JobIdentity::Ci {
            workflow: github.workflow.clone().unwrap_or_default(),
            job: github.job.clone().unwrap_or_default(),
            matrix: None,
        },
        (None, None) => JobIdentity::Local,
    }
}

fn not_restored(reason: &str) -> RestoreReport {
    RestoreReport {
        outcome: RestoreOutcome::Skipped,
        reason: reason.to_owned(),
        key: String::new(),
        matched_key: None,
        bytes: None,
        seconds: 0.0,
    }
}

fn not_saved(reason: &str) -> SaveReport {
    SaveReport {
        outcome: SaveOutcome::Skipped,
        reason: reason.to_owned(),
        key: String::new(),
        bytes: None,
        seconds: 0.0,
    }
}
