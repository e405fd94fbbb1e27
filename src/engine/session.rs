//! One run of hotcrate on one project: what was found out about it, and the order in which tiers are handled.

use std::{
    num::NonZeroUsize,
    thread,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;

use super::{
    extra::ExtraWork,
    judged::{self, JudgedRoot},
    locked::{locked_packages, locked_packages_now},
    reading, rebuilt,
    registry::RegistryWork,
    restore,
    save::{self, Saved},
    store::open_store,
    target::TargetWork,
    tools::ToolsWork,
    work::TierWork,
    workspace::WorkspaceWork,
    wrapper::Wrapper,
};
use crate::{
    archive::budget::ByteBudget,
    console::Console,
    deadline::Deadline,
    entry::Contents,
    environment::Environment,
    fail_open::{self, Trouble},
    freshness::{self, Moment},
    key::{Fact, JobIdentity, KeyFacts, KeyPart, PartName, Question},
    place,
    policy::{JobStatus, Novelty, Place, SaveContext, SaveDecision, SkipReason, decide_save},
    project::{self, Project, Request},
    rebuild::Basis,
    report::{RestoreOutcome, RestoreReport, RunReport, SaveOutcome, SaveReport},
    runner::GitHubContext,
    settings::Settings,
    state::RunState,
    store::Store,
    tier::{
        TierName,
        extra::ExtraRoots,
        tools::{self, ToolsBefore},
    },
    time_limits::{RESTORE_TIMEOUT, SAVE_TIMEOUT},
};

/// How long hotcrate waits for a Cargo that is using a directory before it leaves the tier alone.
const LOCK_WAIT: Duration = Duration::from_secs(30);

/// What is said of the tiers behind the one that the deadline stopped: that one was warned of.
const NO_TIME_LEFT: &str = "no time was left";
/// What is said of all tiers at the end of a job whose restore met nothing but trouble.
const CUT_OFF: &str = "the restore met nothing but trouble";

/// How the job, or the command, stands when its work is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobResult {
    /// It succeeded.
    Succeeded,
    /// It failed, or was stopped.
    Failed,
    /// Somebody stopped the whole job.
    Cancelled,
}

/// What a run knows of its project.
pub struct Session<'run> {
    pub(super) settings: &'run Settings,
    pub(super) environment: &'run Environment,
    pub(super) console: &'run Console,
    pub(super) store: Box<dyn Store>,
    pub(super) budget: ByteBudget,
    pub(super) threads: usize,
    pub(super) lock_wait: Duration,
    project: Project,
    facts: KeyFacts,
    extra: ExtraRoots,
    wrapper: Wrapper<'run>,
    github: Option<GitHubContext>,
    now_seconds: u64,
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
        let mut facts = project.key_facts(environment, &settings.env_vars, job);
        facts.prefix.clone_from(&settings.job_names.prefix);
        Ok(Self {
            wrapper: Wrapper::choose(settings, &project, environment, console),
            store: open_store(settings, environment, console, &project, github.as_ref())?,
            budget: ByteBudget::new(ByteBudget::DEFAULT_BYTES),
            threads: thread::available_parallelism().map_or(1, NonZeroUsize::get),
            lock_wait: LOCK_WAIT,
            settings,
            environment,
            console,
            project,
            facts,
            extra: settings.cache_directories.clone(),
            github,
            now_seconds: SystemTime::now()
                .duration_since(UNIX_EPOCH)
                .map_or(0, |since| since.as_secs()),
        })
    }

    /// Restores every tier in use. Trouble with one is told and leaves the others alone. `moment` says what may happen before
    /// Cargo builds.
    pub fn restore(&self, moment: Moment, report: &mut RunReport) -> RunState {
        let deadline = Deadline::after(self.settings.time_limits.restore, RESTORE_TIMEOUT.name);
        let mut state = RunState::new(&self.settings.project, SystemTime::now());
        let builds = !self.settings.lookup_only;
        if builds && self.settings.tiers.contains(&TierName::Sccache) {
            self.wrapper.make_ready();
        }
        for root in self.roots() {
            if let Err(error) = place::remove_stale(&root) {
                let detail = format!("stale staging stays: {error}");
                self.console.detail(&detail);
            }
        }
        // Behind the cleaning: what a killed run left is nobody's.
        let mut tools_before = tools::snapshot(&self.project.cargo_home);
        let mut refusal = self.may_read().err();
        for tier in &self.settings.tiers {
            let restored = if *tier == TierName::Workspace {
                self.restore_workspace(refusal.as_deref(), moment, deadline, &mut state)
            } else {
                self.restore_plain(*tier, refusal.as_deref(), deadline, &mut state)
            };
            if restored.outcome == RestoreOutcome::Failed && deadline.check().is_err() {
                refusal = Some(NO_TIME_LEFT.to_owned());
            }
            report.tier_mut(*tier).restore = Some(restored);
        }
        forget_own_tools(&mut tools_before, &state);
        state.tools_before = Some(tools_before);
        let (records, access_times_move) = rebuilt::look_and_arm(self);
        state.access_times_move = access_times_move;
        state.baseline.records = records;
        let target_tiers = [TierName::Deps, TierName::Workspace];
        let was_restored = target_tiers
            .iter()
            .any(|tier| state.restored.contains_key(tier));
        state.baseline.basis = if was_restored {
            Basis::Entry
        } else {
            Basis::Directory
        };
        state.cut_off = self.is_cut_off(report, deadline);
        if !state.cut_off {
            state.sccache = self.wrapper.start();
        }
        state.started_at = SystemTime::now();
        state
    }

    /// Whether nothing came of a restore but trouble, and of a kind that will not be over at the job's end: one warning is
    /// enough. What was not seen can't be added to either.
    fn is_cut_off(&self, report: &RunReport, deadline: Deadline) -> bool {
        let has = |wanted: &[RestoreOutcome]| {
            let mut restores = report.tiers.iter().filter_map(|tier| tier.restore.as_ref());
            restores.any(|restore| wanted.contains(&restore.outcome))
        };
        let was_answered = has(&[
            RestoreOutcome::Exact,
            RestoreOutcome::Partial,
            RestoreOutcome::Miss,
        ]);
        let is_lasting = self.store.is_given_up() || deadline.check().is_err();
        has(&[RestoreOutcome::Failed]) && !was_answered && is_lasting
    }

    /// Restores a tier that depends on no other, unless there is a `refusal`.
    fn restore_plain(
        &self,
        tier: TierName,
        refusal: Option<&str>,
        deadline: Deadline,
        state: &mut RunState,
    ) -> RestoreReport {
        match (self.question(tier), refusal) {
            (Ok(question), Some(reason)) => {
                state.questions.insert(tier, question);
                RestoreReport::new(RestoreOutcome::Skipped, reason)
            }
            (Ok(question), None) => {
                let work = self.work(tier, None);
                self.restore_tier(work.as_ref(), question, deadline, state)
            }
            (Err(reason), _) => RestoreReport::new(RestoreOutcome::Skipped, reason),
        }
    }

    pub(super) fn restore_tier(
        &self,
        work: &dyn TierWork,
        question: Question,
        deadline: Deadline,
        state: &mut RunState,
    ) -> RestoreReport {
        let tier = work.tier();
        let restored = fail_open::attempt(&format!("{tier} not restored"), || {
            restore::restore_tier(self, work, &question, deadline, &mut state.spoilt)
        });
        let report = match restored {
            Ok(restored) => {
                if let Some(entry) = restored.entry {
                    state.restored.insert(tier, entry);
                }
                restored.report
            }
            Err(Trouble(text)) => {
                self.console.trouble(&text);
                RestoreReport {
                    key: question.key(),
                    ..RestoreReport::new(RestoreOutcome::Failed, text)
                }
            }
        };
        state.questions.insert(tier, question);
        report
    }

    /// Asks sccache what it did, if `state` says that it is in use, and stops its server. A save does so itself.
    pub fn stop_sccache(&self, state: Option<&RunState>, report: &mut RunReport) {
        self.wrapper
            .recall(state.and_then(|state| state.sccache.as_ref()));
        self.wrapper.finish(report);
    }

    /// Saves every tier in use that has something new. `state` is what the restore left, if there was one.
    pub fn save(&self, state: Option<&RunState>, job: JobResult, report: &mut RunReport) {
        let deadline = Deadline::after(self.settings.time_limits.save, SAVE_TIMEOUT.name);
        self.stop_sccache(state, report);
        if state.is_some_and(|state| state.cut_off) {
            for tier in &self.settings.tiers {
                report.tier_mut(*tier).save = Some(SaveReport::skipped(CUT_OFF));
            }
            return;
        }
        let judged = fail_open::attempt("target directories not read", || {
            let workspace = state.and_then(|state| state.workspace.as_ref()?.as_ref().ok());
            if let Some(workspace) = workspace {
                freshness::put_back(&workspace.changed, false)?;
            }
            let roots = reading::read_roots(self, state)?;
            report.units = rebuilt::units_report(self, &roots, state);
            if self.refusal(job).is_some() {
                return Ok(Vec::new());
            }
            let judge = |root| judged::judge(self, root, state, job == JobResult::Succeeded);
            roots.into_iter().map(judge).collect()
        });
        let judged = match judged {
            Ok(judged) => Some(judged),
            Err(Trouble(text)) => {
                self.console.trouble(&text);
                None
            }
        };
        let judged = judged.as_deref();
        let mut deps = None;
        let mut is_stopped = false;
        for tier in &self.settings.tiers {
            let save = if is_stopped {
                SaveReport::skipped(NO_TIME_LEFT)
            } else if *tier == TierName::Workspace {
                self.save_workspace(judged, state, deps.as_ref(), job, deadline)
            } else {
                let saved = self.save_plain(*tier, judged, state, job, deadline);
                let report = saved.report.clone();
                if *tier == TierName::Deps {
                    deps = Some(saved);
                }
                report
            };
            is_stopped |= save.outcome == SaveOutcome::Failed && deadline.check().is_err();
            report.tier_mut(*tier).save = Some(save);
        }
    }

    /// Saves a tier that depends on no other.
    fn save_plain(
        &self,
        tier: TierName,
        judged: Option<&[JudgedRoot]>,
        state: Option<&RunState>,
        job: JobResult,
        deadline: Deadline,
    ) -> Saved {
        let known = state.and_then(|state| state.questions.get(&tier).cloned());
        match known.map_or_else(|| self.question(tier), Ok) {
            Ok(question) => {
                let work = self.work(tier, judged);
                self.save_tier(work.as_ref(), &question, state, job, deadline)
            }
            Err(reason) => Saved::skipped(reason),
        }
    }

    pub(super) fn save_tier(
        &self,
        work: &dyn TierWork,
        question: &Question,
        state: Option<&RunState>,
        job: JobResult,
        deadline: Deadline,
    ) -> Saved {
        let saved = fail_open::attempt(&format!("{} not saved", work.tier()), || {
            save::save_tier(self, work, question, state, job, deadline)
        });
        saved.unwrap_or_else(|Trouble(text)| {
            self.console.trouble(&text);
            Saved {
                report: SaveReport::new(SaveOutcome::Failed, text),
                stored: None,
            }
        })
    }

    /// Why nothing may be saved, whatever there is, if that is so.
    pub(super) fn refusal(&self, job: JobResult) -> Option<SkipReason> {
        let anything = Novelty::New { why: String::new() };
        match decide_save(&self.save_context(job, anything)) {
            SaveDecision::Save(_) => None,
            SaveDecision::Skip(reason) => Some(reason),
        }
    }

    /// Whether the workflow permits to look anything up; why not, in words.
    fn may_read(&self) -> Result<(), String> {
        let mode = self.github.as_ref().map(|github| github.cache_mode);
        match mode {
            Some(mode) if !mode.may_read() => Err(format!(
                "the workflow's `cache-mode` is `{}`",
                mode.as_str()
            )),
            _ => Ok(()),
        }
    }

    /// The run of CI that this is, if it is one.
    pub(super) fn run_id(&self) -> Option<&str> {
        self.github.as_ref()?.run_id.as_deref()
    }

    /// The last part of the key of an entry that belongs to this run: by run and attempt, or by the time outside CI.
    fn generation(&self) -> KeyPart {
        let of_run = self.github.as_ref().and_then(|github| {
            let run = Fact::new("run", github.run_id.as_ref()?);
            let attempt = github.run_attempt.as_deref().unwrap_or("1");
            Some(vec![run, Fact::new("attempt", attempt)])
        });
        let by_time = || {
            let since = SystemTime::now().duration_since(UNIX_EPOCH);
            let nanoseconds = since.map_or(0, |since| since.as_nanos());
            vec![Fact::new("time", nanoseconds.to_string())]
        };
        KeyPart::new(PartName::Generation, of_run.unwrap_or_else(by_time))
    }

    /// The time at which this run began, in seconds since 1970.
    pub(super) fn now_seconds(&self) -> u64 {
        self.now_seconds
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
                JobResult::Cancelled => JobStatus::Cancelled,
            },
            cache_on_failure: self.settings.cache_on_failure,
            save_if: self.settings.save_if,
            novelty,
        }
    }

    /// What the keys are made of.
    pub(super) fn facts(&self) -> &KeyFacts {
        &self.facts
    }

    /// The project.
    pub(super) fn project(&self) -> &Project {
        &self.project
    }

    /// What `tier` needs. `judged` are the target directories as the job left them, once it has.
    pub(super) fn work<'a>(
        &'a self,
        tier: TierName,
        judged: Option<&'a [JudgedRoot]>,
    ) -> Box<dyn TierWork + 'a> {
        match tier {
            TierName::Registry => Box::new(RegistryWork {
                cargo_home: self.project.cargo_home.clone(),
                packages: locked_packages(&self.project),
                packages_now: Box::new(|| locked_packages_now(&self.project)),
            }),
            TierName::Deps => Box::new(self.target_work(tier, judged)),
            TierName::Workspace => Box::new(WorkspaceWork::new(self.target_work(tier, judged))),
            TierName::Sccache => {
                let threshold = self.settings.save_threshold;
                Box::new(self.wrapper.work(self.generation(), threshold))
            }
            TierName::Tools => Box::new(ToolsWork {
                cargo_home: self.project.cargo_home.clone(),
                lock_wait: self.lock_wait,
            }),
            TierName::Extra => Box::new(ExtraWork {
                roots: self.extra.clone(),
            }),
        }
    }

    /// What the tiers of the target directories have in common.
    pub(super) fn target_work<'a>(
        &'a self,
        tier: TierName,
        judged: Option<&'a [JudgedRoot]>,
    ) -> TargetWork<'a> {
        TargetWork {
            session: self,
            tier,
            judged,
            beside: Vec::new(),
        }
    }

    /// What a tier asks the store for, or in words why it asks for nothing.
    pub(super) fn question(&self, tier: TierName) -> Result<Question, String> {
        match tier {
            TierName::Registry => Ok(self.facts.registry()),
            TierName::Deps => self.facts.deps().map_err(|error| error.to_string()),
            TierName::Workspace => self.workspace_question_of_plan(),
            TierName::Sccache => match self.wrapper.refusal() {
                Some(reason) => Err(reason),
                None => self.facts.sccache().map_err(|error| error.to_string()),
            },
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
            .chain(self.wrapper.objects())
            .collect()
    }
}

/// A restored tool was installed by an earlier run of this job: that an earlier restore put it there makes it nobody
/// else's.
fn forget_own_tools(before: &mut ToolsBefore, state: &RunState) {
    let Some(entry) = state.restored.get(&TierName::Tools) else {
        return;
    };
    if let Contents::Tools(tools) = &entry.facts.contents {
        for file in tools.iter().flat_map(|tool| &tool.files) {
            before.names.remove(file.path.file_name());
        }
    }
}

pub(super) fn job_identity(settings: &Settings, github: Option<&GitHubContext>) -> JobIdentity {
    let names = &settings.job_names;
    match (&settings.shared_key, github) {
        (Some(key), _) => JobIdentity::Shared(key.clone()),
        (None, Some(_)) if names.key_alone => {
            JobIdentity::Shared(names.key.clone().unwrap_or_default())
        }
        (None, Some(github)) => JobIdentity::Ci {
            workflow: github.workflow.clone().unwrap_or_default(),
            job: github.job.clone().unwrap_or_default(),
            matrix: names.matrix.clone(),
            key: names.key.clone(),
        },
        (None, None) => JobIdentity::Local,
    }
}
