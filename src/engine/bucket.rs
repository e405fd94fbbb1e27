//! Buckets in the engine: finds the one that a checkout builds in, and makes it ready.
//!
//! Invariants: when a bucket is handed out, it holds no crate of a workspace that another checkout compiled: Cargo could
//! not tell those from this one's, as their times say nothing about its sources. A bucket that cannot be filled is an
//! empty one, and that is told.

use std::{
    collections::BTreeSet,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, bail};

use super::seed::{Seeded, seed};
use crate::{
    bucket::{
        BucketKind, BucketLock, BucketPlace, BucketRecord, Checkout, Choice, IfBusy,
        ProjectBuckets, Surroundings, choose,
    },
    bucket_settings::BucketSettings,
    console::Console,
    environment::Environment,
    fail_open::{self, Trouble},
    place::{self, CargoLocks, LockPlace},
    platform_directory,
    project::{self, Project, Request, Workspace},
    settings::Settings,
    unit::{self, SourceRoots},
};

/// How long a Cargo that builds in the bucket is waited for before crates of another checkout are removed from it.
const LOCK_WAIT: Duration = Duration::from_secs(30);
/// How many isolated buckets one checkout may have in use at once.
const MOST_BUCKETS: u32 = 64;
/// What a `CACHEDIR.TAG` holds: <https://bford.info/cachedir/>.
const CACHEDIR_TAG: &str = "Signature: 8a477f597d28d172789f06886806bc55\n\
    # This directory holds target directories of hotcrate. It can be deleted at any time.\n";

/// What a bucket is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// Somebody else is told where it is; Cargo keeps its builds apart by itself.
    Tell,
    /// A command is run in it: nobody else of hotcrate's gets it until that is over.
    Build,
}

/// The bucket of a checkout, ready to be built in.
#[derive(Debug)]
#[must_use = "the bucket is let go when this is dropped"]
pub struct TargetBucket {
    /// Why it is this one.
    pub choice: Choice,
    /// The target directory, absolute.
    pub target: PathBuf,
    /// Whether Cargo's build directory, which the project has set apart, has to be named as well.
    names_build_directory: bool,
    _lock: Option<BucketLock>,
}

impl TargetBucket {
    /// The variables that make Cargo build in it.
    pub fn variables(&self) -> Vec<(&'static str, &Path)> {
        let mut variables = vec![("CARGO_TARGET_DIR", self.target.as_path())];
        if self.names_build_directory {
            variables.push(("CARGO_BUILD_BUILD_DIR", self.target.as_path()));
        }
        variables
    }

    /// What does the same in Cargo's configuration.
    pub fn cargo_config(&self) -> String {
        let path = toml::Value::String(self.target.display().to_string());
        let build = if self.names_build_directory {
            format!("build-dir = {path}\n")
        } else {
            String::new()
        };
        format!("[build]\ntarget-dir = {path}\n{build}")
    }
}

/// Finds the bucket of the checkout that the project lies in, and makes it ready for `purpose`.
pub fn open_bucket(
    purpose: Purpose,
    settings: &Settings,
    about: &BucketSettings,
    environment: &Environment,
    console: &Console,
) -> anyhow::Result<TargetBucket> {
    let project = discover(settings, environment)?;
    let [workspace] = project.workspaces.as_slice() else {
        bail!(
            "a bucket is for one workspace, and --workspaces names several: name one of them with --project"
        );
    };
    if settings.workspaces.iter().any(|line| line.target.is_some()) {
        bail!("--workspaces says where the workspace is built, and so a bucket cannot");
    }
    let checkout = Checkout::around(&workspace.root);
    let surroundings = Surroundings {
        checkout: &checkout,
        patterns: &about.patterns,
        in_ci: is_ci(environment),
    };
    let choice = choose(about.mode, surroundings);
    let home = home(environment)?;
    let opening = Opening {
        project: &project,
        workspace,
        checkout: &checkout,
        place_in_checkout: checkout.place_of(&workspace.root),
        buckets: ProjectBuckets::of(&home, &checkout, &checkout.place_of(&workspace.root)),
        console,
    };
    tag(&home)?;
    let (place, lock) = opening.claim(purpose, &choice, about.if_busy)?;
    Ok(TargetBucket {
        target: place.target(),
        choice,
        names_build_directory: workspace.build_directory != workspace.target_directory,
        _lock: lock.filter(|_| purpose == Purpose::Build),
    })
}

/// The directory of everything that hotcrate keeps.
pub(super) fn home(environment: &Environment) -> anyhow::Result<PathBuf> {
    platform_directory::cache(environment).context(
        "failed to find a home for buckets: neither HOTCRATE_HOME nor HOME or its like is set",
    )
}

/// What is built in the project's directory.
pub(super) fn discover(settings: &Settings, environment: &Environment) -> anyhow::Result<Project> {
    let request = Request {
        directory: settings.project.clone(),
        cwd: std::env::current_dir().context("failed to find the working directory")?,
        workspaces: settings.workspaces.clone(),
    };
    Ok(project::discover(&request, environment)?)
}

/// Every CI system sets CI; some people set it to `false`.
fn is_ci(environment: &Environment) -> bool {
    let says_no = |value: &str| matches!(value, "false" | "0" | "no");
    environment.text("CI").is_some_and(|value| !says_no(value))
}

/// Tells programs that make backups to leave all buckets out.
fn tag(home: &Path) -> anyhow::Result<()> {
    let all = ProjectBuckets::all(home);
    fs_err::create_dir_all(&all)?;
    let tag = all.join("CACHEDIR.TAG");
    if !tag.exists() {
        fs_err::write(tag, CACHEDIR_TAG)?;
    }
    Ok(())
}

struct Opening<'a> {
    project: &'a Project,
    workspace: &'a Workspace,
    checkout: &'a Checkout,
    place_in_checkout: String,
    buckets: ProjectBuckets,
    console: &'a Console,
}

impl Opening<'_> {
    /// Takes the bucket, or where that is in use and the user wants it so, one that is free.
    fn claim(
        &self,
        purpose: Purpose,
        choice: &Choice,
        if_busy: IfBusy,
    ) -> anyhow::Result<(BucketPlace, Option<BucketLock>)> {
        let first = self.buckets.place(choice.kind, self.checkout, 1);
        if purpose == Purpose::Tell && !self.needs_work(&first) {
            self.record(&first, choice.kind)?;
            return Ok((first, None));
        }
        if if_busy == IfBusy::Wait || purpose == Purpose::Tell {
            let waiting = || {
                let text = format!("waiting for another build in the bucket {}", first.name());
                self.console.line(&text);
            };
            let lock = BucketLock::take(&first.lock(), waiting)?;
            self.make_ready(&first, choice.kind)?;
            return Ok((first, Some(lock)));
        }
        let isolated = (1..=MOST_BUCKETS).map(|number| {
            self.buckets
                .place(BucketKind::Isolated, self.checkout, number)
        });
        let own = (choice.kind == BucketKind::Shared).then_some(first);
        for place in own.into_iter().chain(isolated) {
            if let Some(lock) = BucketLock::try_take(&place.lock())? {
                let is_shared = place.name() == "shared";
                let kind = if is_shared {
                    BucketKind::Shared
                } else {
                    BucketKind::Isolated
                };
                self.make_ready(&place, kind)?;
                return Ok((place, Some(lock)));
            }
            let text = format!("the bucket {} is in use", place.name());
            self.console.line(&text);
        }
        bail!("{MOST_BUCKETS} buckets of this checkout are in use");
    }

    /// Whether the bucket has to be filled, or something in it removed.
    fn needs_work(&self, place: &BucketPlace) -> bool {
        !place.target().is_dir() || !self.is_own(place)
    }

    /// Whether what was compiled from path packages in the bucket was compiled in this checkout.
    fn is_own(&self, place: &BucketPlace) -> bool {
        BucketRecord::read(place).is_some_and(|record| record.checkout == self.checkout.root)
    }

    /// Fills a new bucket, and takes an old one over from another checkout. The caller holds its lock.
    fn make_ready(&self, place: &BucketPlace, kind: BucketKind) -> anyhow::Result<()> {
        let target = place.target();
        fs_err::create_dir_all(&place.directory)?;
        place::remove_stale(&target)?;
        if !target.is_dir() {
            self.fill(place, kind);
        } else if !self.is_own(place) {
            self.take_over(&target)?;
        }
        self.record(place, kind)
    }

    fn record(&self, place: &BucketPlace, kind: BucketKind) -> anyhow::Result<()> {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let record = BucketRecord::new(
            &self.checkout.repository,
            &self.place_in_checkout,
            kind,
            &self.checkout.root,
            now.map_or(0, |since| since.as_secs()),
        );
        Ok(record.write(place)?)
    }

    /// Fills a new bucket with dependencies that were compiled elsewhere for this workspace: in the shared bucket, or in
    /// the target directory of the primary checkout.
    fn fill(&self, place: &BucketPlace, kind: BucketKind) {
        let shared = self.buckets.place(BucketKind::Shared, self.checkout, 1);
        let of_primary = self
            .checkout
            .primary()
            .map(|primary| primary.join(&self.place_in_checkout).join("target"));
        let sources: Vec<_> = (kind == BucketKind::Isolated)
            .then(|| shared.target())
            .into_iter()
            .chain(of_primary)
            .collect();
        let filled = fail_open::attempt("the bucket starts empty", || {
            seed(&place.target(), &sources, &self.source_roots())
        });
        match filled {
            Ok(Some(seeded)) => self.console.line(&told(&seeded)),
            Ok(None) => {}
            Err(Trouble(text)) => self.console.trouble(&text),
        }
    }

    /// Removes from `target` what another checkout compiled from its path packages.
    fn take_over(&self, target: &Path) -> anyhow::Result<()> {
        let profiles: BTreeSet<_> = unit::profile_directories(target).into_iter().collect();
        let places: Vec<_> = profiles
            .into_iter()
            .map(|profile| LockPlace::Profile {
                root: target.to_owned(),
                profile,
            })
            .collect();
        let _locks = CargoLocks::hold(&places, LOCK_WAIT)?;
        let tree = unit::read_target(target, &self.source_roots())?;
        if let Err(error) = unit::put_back(&tree) {
            tracing::debug!("{error}");
        }
        let foreign: Vec<_> = tree
            .units
            .iter()
            .filter(|unit| !unit.origin.is_cargo_home())
            .collect();
        let count = foreign.len();
        unit::remove_units(target, foreign)?;
        if count > 0 {
            self.console.line(&format!(
                "removed {count} units of workspace crates that another checkout had compiled in this bucket"
            ));
        }
        Ok(())
    }

    fn source_roots(&self) -> SourceRoots {
        SourceRoots::new(&self.project.cargo_home, [self.workspace.root.clone()])
    }
}

fn told(seeded: &Seeded) -> String {
    let [cloned, linked, copied] = seeded.files;
    format!(
        "{} units of dependencies come from {} ({cloned} files cloned, {linked} linked, {copied} copied)",
        seeded.units,
        seeded.source.display()
    )
}
