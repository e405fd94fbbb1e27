//! sccache around the compiler for one run: chosen, got ready, started, asked what it did, and stopped.
//!
//! Invariant: a build hears of it only after its program answered and its server started. Trouble means that the build
//! goes without, and is told once.

use std::{
    path::PathBuf,
    sync::{Mutex, PoisonError},
};

use anyhow::Context as _;

use super::sccache::SccacheWork;
use crate::{
    console::Console,
    environment::Environment,
    fail_open::{self, Trouble},
    key::{Digest, KeyPart},
    platform_directory,
    project::Project,
    report::{RunReport, SccacheReport},
    sccache::{
        Address, Bound, Choice, InUse, NotUsed, ObtainError, PUBLISHED_AT, Program, Release,
        Source, Surroundings, bound_of, choose, obtain, on_path, user_config_file,
    },
    settings::Settings,
};

/// The run's sccache.
pub(super) struct Wrapper<'run> {
    environment: &'run Environment,
    console: &'run Console,
    /// Where objects live unless the user says so.
    directory: Option<PathBuf>,
    choice: Choice,
    /// System and architecture, as Rust names them.
    platform: (&'static str, &'static str),
    /// Whether units are to be compiled incrementally, although sccache then does not cache them.
    is_incremental: bool,
    /// What came of the choice, once it has been tried.
    settled: Mutex<Option<Result<InUse, NotUsed>>>,
}

impl<'run> Wrapper<'run> {
    /// Decides whether to use sccache. Starts nothing.
    pub(super) fn choose(
        settings: &Settings,
        project: &Project,
        environment: &'run Environment,
        console: &'run Console,
    ) -> Self {
        let own_config = user_config_file(environment).and_then(|path| {
            let text = fs_err::read_to_string(&path).ok()?;
            Some((path.display().to_string(), text.parse().ok()?))
        });
        let files = project
            .workspaces
            .iter()
            .flat_map(|workspace| &workspace.config);
        let surroundings = Surroundings {
            cargo_config: files
                .map(|file| (file.label.as_str(), &file.table))
                .collect(),
            on_path: on_path(environment, &settings.project),
            own_config,
        };
        Self {
            environment,
            console,
            directory: own_directory(project, environment),
            platform: (std::env::consts::OS, std::env::consts::ARCH),
            is_incremental: settings.incremental,
            choice: choose(&settings.sccache, environment, &surroundings),
            settled: Mutex::new(None),
        }
    }

    /// Gets the program, and asks it what it is. If it is not used, the user hears why, where that is news.
    pub(super) fn make_ready(&self) {
        let ready = match &self.choice {
            Choice::Leave(reason) => Err(reason.clone()),
            Choice::Use(source) => {
                fail_open::attempt("sccache cannot be used", || self.ready(source))
                    .map_err(|Trouble(text)| NotUsed::Unusable(text))
            }
        };
        match &ready {
            Err(NotUsed::Unusable(text)) => self.console.notice(text),
            Err(reason) if reason.is_news() => {
                self.console
                    .note(&format!("sccache is left alone: {reason}"));
            }
            _ => {}
        }
        self.settle(ready);
    }

    fn ready(&self, source: &Source) -> anyhow::Result<InUse> {
        let program = match source {
            Source::Program(path) => Program::ask(path, self.environment)?,
            Source::Release => Program::ask(&self.published()?, self.environment)?,
        };
        let bound = bound_of(self.environment).map_err(|value| {
            anyhow::anyhow!(
                "SCCACHE_CACHE_SIZE {value:?} is not a size; it takes a number and K, M, G or T, such as 512M"
            )
        })?;
        let directory = self.directory.clone();
        let directory = directory.context("neither HOME nor its like is set")?;
        let address = Address::reserve(self.environment)?;
        self.with_wrapper(&program, directory, bound, address.clone())
            .inspect_err(|_| address.release())
    }

    /// The published release, which stays in the runner's tool cache or the user's cache directory.
    fn published(&self) -> anyhow::Result<PathBuf> {
        let (os, architecture) = self.platform;
        let release =
            Release::for_platform(os, architecture).ok_or_else(|| ObtainError::NoRelease {
                os: os.to_owned(),
                architecture: architecture.to_owned(),
            })?;
        let users = || Some(platform_directory::cache(self.environment)?.join("tools"));
        let tool_cache = self
            .environment
            .path("RUNNER_TOOL_CACHE")
            .or_else(users)
            .context("neither RUNNER_TOOL_CACHE nor HOME or its like is set")?;
        let program = obtain(&release, PUBLISHED_AT, &tool_cache, self.environment)?;
        Ok(program)
    }

    /// Puts the wrapper in place, and asks sccache once more, through it: where that works, a build works.
    fn with_wrapper(
        &self,
        program: &Program,
        directory: PathBuf,
        bound: Bound,
        address: Address,
    ) -> anyhow::Result<InUse> {
        let binary = std::env::current_exe().context("failed to find this program")?;
        let wrapper = address.make_wrapper(&binary)?;
        let mut in_use = InUse::new(program, directory, bound, address, self.environment)
            .context("a path of it is not UTF-8")?;
        if self.is_incremental {
            in_use.leave_incremental_as_it_is();
        }
        let variables = in_use.variables.iter();
        let variables = variables.map(|(name, value)| (name.as_str(), value.as_ref()));
        let environment = self.environment.iter().chain(variables).collect();
        Program::ask(&wrapper, &environment)?;
        Ok(in_use)
    }

    /// Goes by what an earlier process found out.
    pub(super) fn recall(&self, in_use: Option<&InUse>) {
        let reason = || NotUsed::Unusable("it was not in use".to_owned());
        self.settle(in_use.cloned().ok_or_else(reason));
    }

    /// Why the tier is left out, in words, if it is. Before anything was tried, what was chosen counts.
    pub(super) fn refusal(&self) -> Option<String> {
        match (&*self.lock(), &self.choice) {
            (Some(Ok(_)), _) | (None, Choice::Use(_)) => None,
            (Some(Err(reason)), _) | (None, Choice::Leave(reason)) => Some(reason.to_string()),
        }
    }

    /// The tier, as an entry of that generation.
    pub(super) fn work(&self, generation: KeyPart, threshold: f64) -> SccacheWork {
        let in_use = self.in_use();
        let bound_bytes = in_use.as_ref().map_or(0, |in_use| in_use.bound_bytes);
        let users = || self.environment.path("SCCACHE_DIR");
        SccacheWork {
            directory: in_use
                .map(|in_use| in_use.directory)
                .or_else(users)
                .or_else(|| self.directory.clone())
                .unwrap_or_default(),
            bound_bytes,
            generation,
            threshold,
        }
    }

    /// The directory of the objects, if sccache is ready.
    pub(super) fn objects(&self) -> Option<PathBuf> {
        Some(self.in_use()?.directory)
    }

    /// Starts the server, if sccache is ready. What comes back is what the build is to be told; `None`: it goes without.
    pub(super) fn start(&self) -> Option<InUse> {
        let in_use = self.in_use()?;
        let started = fail_open::attempt("sccache is not used: its server does not start", || {
            Ok(in_use.start(self.environment)?)
        });
        match started {
            Ok(()) => Some(in_use),
            Err(Trouble(text)) => {
                self.console.notice(&text);
                in_use.address.release();
                self.settle(Err(NotUsed::Unusable(text)));
                None
            }
        }
    }

    /// Asks the server what it did, stops it, and waits until it is gone.
    pub(super) fn finish(&self, report: &mut RunReport) {
        let Some(in_use) = self.in_use() else {
            return;
        };
        let stats = fail_open::attempt("what sccache did is not known", || {
            Ok(in_use.stats(self.environment)?)
        });
        report.sccache = Some(stats.unwrap_or_else(|Trouble(text)| {
            self.console.trouble(&text);
            SccacheReport::unknown(&in_use.version, text)
        }));
        let stopped = fail_open::attempt("sccache goes on running", || {
            Ok(in_use.stop(self.environment)?)
        });
        match stopped {
            Ok(()) => in_use.address.release(),
            // It may still write: what is packed now might be half of something.
            Err(Trouble(text)) => {
                self.console.trouble(&text);
                self.settle(Err(NotUsed::Unusable(text)));
            }
        }
    }

    fn in_use(&self) -> Option<InUse> {
        self.lock().as_ref()?.as_ref().ok().cloned()
    }

    fn settle(&self, settled: Result<InUse, NotUsed>) {
        *self.lock() = Some(settled);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Option<Result<InUse, NotUsed>>> {
        self.settled.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A directory of this project's: on a runner one that is gone with the job, elsewhere one that stays.
fn own_directory(project: &Project, environment: &Environment) -> Option<PathBuf> {
    if let Some(temporary) = environment.path("RUNNER_TEMP") {
        return Some(temporary.join("hotcrate-sccache"));
    }
    let digest = Digest::of_bytes(project.directory.as_os_str().as_encoded_bytes());
    let caches = platform_directory::cache(environment)?;
    Some(caches.join("sccache").join(digest.short()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Verbosity;

    #[test]
    fn a_platform_without_a_release_goes_without() {
        let environment = Environment::default();
        let console = Console::new(Verbosity::Quiet);
        let wrapper = Wrapper {
            environment: &environment,
            console: &console,
            directory: None,
            platform: ("linux", "riscv64"),
            is_incremental: false,
            choice: Choice::Use(Source::Release),
            settled: Mutex::new(None),
        };
        wrapper.make_ready();
        let refusal = wrapper.refusal().unwrap_or_default();
        insta::assert_snapshot!(refusal, @"sccache cannot be used: sccache 0.16.0 has no release for linux on riscv64");
        assert_eq!(wrapper.start(), None);
        assert!(!console.had_trouble());
    }
}
