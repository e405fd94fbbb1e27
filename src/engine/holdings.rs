//! What is stored, wherever that is: a repository's caches, or a project's part of a directory.

use std::{
    collections::{BTreeMap, BTreeSet},
    thread,
    time::Duration,
};

use anyhow::Context as _;
use jiff::Timestamp;
use secrecy::{ExposeSecret as _, SecretString};

use super::{session::job_identity, store};
use crate::{
    archive,
    deadline::Deadline,
    entry::EntryFacts,
    environment::Environment,
    github::{GitHub, GitHubAddress, Patience, RepositoryName, Wanted},
    inventory::{Count, Limit, ListedEntry, Listing, Place, Unlisted},
    key::{JobIdentity, KeyPart, ParsedKey, PartName, job_name},
    project,
    runner::{GitHubContext, scopes_of},
    settings::{Settings, StoreChoice},
    store::{
        DirOptions, DirStore, Found, ProjectIdentity, Store as _, StoredEntry, identity_of,
        origin_url,
    },
    time_limits::TimeLimits,
};

/// How long a job's end waits for what at most: whoever waits for it wants to go home.
const PATIENCE_OF_JOB: Patience = Patience {
    connect: Duration::from_secs(5),
    call: Duration::from_secs(10),
    longest_wait: Duration::from_secs(10),
    sleep: thread::sleep,
};

/// What is stored, and where.
pub struct Holdings {
    place: Held,
    limit: Option<u64>,
    job: Option<JobIdentity>,
}

enum Held {
    Repository(GitHub),
    Directory {
        store: DirStore,
        project: ProjectIdentity,
        name: String,
        max_bytes: u64,
    },
}

/// How long GitHub is waited for under `limits`.
fn patience(limits: &TimeLimits) -> Patience {
    Patience {
        connect: limits.connect,
        call: limits.call,
        ..Patience::default()
    }
}

impl Holdings {
    /// Finds out where to look: in the repository, if one is named; else in the directory of `--store`; else, on GitHub, in
    /// the repository of the run; else in the platform's cache directory. `limit` is what may be stored, if the user knows.
    pub fn find(
        settings: &Settings,
        environment: &Environment,
        repository: Option<&RepositoryName>,
        limit: Option<u64>,
    ) -> anyhow::Result<Self> {
        let context = GitHubContext::read(environment);
        let of_run = || -> Option<RepositoryName> {
            context
                .as_ref()
                .filter(|_| !matches!(settings.store, StoreChoice::Directory(_)))?
                .repository
                .as_deref()?
                .parse()
                .ok()
        };
        let place = match repository.cloned().or_else(of_run) {
            Some(repository) => {
                let address = GitHubAddress::read(repository, environment);
                Held::Repository(GitHub::new(
                    address,
                    environment,
                    patience(&settings.time_limits),
                )?)
            }
            None => directory(settings, environment, context.as_ref())?,
        };
        Ok(Self {
            place,
            limit,
            job: context.map(|context| job_identity(settings, Some(&context))),
        })
    }

    /// Where the entries of the job live that this step belongs to. `None` where nobody may be asked about them: there is
    /// no token, or the service is none of a repository's.
    pub fn of_job(
        settings: &Settings,
        environment: &Environment,
        token: Option<&SecretString>,
    ) -> anyhow::Result<Option<Self>> {
        let context = GitHubContext::read(environment);
        let place = if store::is_service(settings, environment, context.as_ref()) {
            let name = context.as_ref().and_then(|it| it.repository.as_deref());
            let repository = name.and_then(|name| name.parse().ok());
            let (Some(repository), Some(token)) = (repository, token) else {
                return Ok(None);
            };
            let address = GitHubAddress::read(repository, environment);
            let address = address.with_token(token.expose_secret());
            let set = patience(&settings.time_limits);
            let patience = Patience {
                connect: set.connect.min(PATIENCE_OF_JOB.connect),
                call: set.call.min(PATIENCE_OF_JOB.call),
                ..PATIENCE_OF_JOB
            };
            Held::Repository(GitHub::new(address, environment, patience)?)
        } else {
            directory(settings, environment, context.as_ref())?
        };
        Ok(Some(Self {
            place,
            limit: None,
            job: context.map(|context| job_identity(settings, Some(&context))),
        }))
    }

    /// The digits that this job has in keys, where it is known.
    pub(super) fn job_digits(&self) -> Option<String> {
        let job = KeyPart::new(PartName::Job, self.job.as_ref()?.facts());
        Some(job.digest().short())
    }

    /// Whether they live in a repository's caches.
    pub(super) fn is_of_repository(&self) -> bool {
        matches!(self.place, Held::Repository(_))
    }

    /// Lists entries whose keys begin with `prefix`, and with `refs` what is known of the branches they belong to.
    pub fn list(&self, prefix: &str, refs: bool) -> anyhow::Result<Listing> {
        self.list_pages(prefix, refs, None)
    }

    /// The same, with so many pages of a repository's entries at most.
    pub(super) fn list_pages(
        &self,
        prefix: &str,
        refs: bool,
        pages: Option<usize>,
    ) -> anyhow::Result<Listing> {
        let now = Timestamp::now();
        match &self.place {
            Held::Repository(github) => {
                let wanted = Wanted {
                    prefix: prefix.to_owned(),
                    scope: None,
                    limit: self.limit,
                    refs,
                    pages,
                };
                let mut listing = github.list(&wanted, now)?;
                if let Some(job) = &self.job {
                    let part = KeyPart::new(PartName::Job, job.facts());
                    let name = job_name(part.facts());
                    listing.jobs.insert(part.digest().short(), name);
                }
                Ok(listing)
            }
            Held::Directory {
                store,
                project,
                name,
                max_bytes,
            } => {
                let mut listing = list_directory(store, project, prefix)?;
                listing.place = Place::Directory(name.clone());
                listing.taken_at = now;
                listing.limit = Limit {
                    bytes: self.limit.unwrap_or(*max_bytes),
                    is_known: true,
                };
                Ok(listing)
            }
        }
    }

    /// Deletes an entry of a listing. `Ok(false)`: it was gone already.
    pub fn delete(&self, entry: &ListedEntry) -> anyhow::Result<bool> {
        match &self.place {
            Held::Repository(github) => {
                let id = entry.id.context("an entry without a number")?;
                Ok(github.delete(id)?)
            }
            Held::Directory { store, project, .. } => {
                let stored = store.entries()?;
                let mut same = stored.iter().filter(|stored| {
                    stored.project.is(project.as_str())
                        && stored.scope.to_string() == entry.scope
                        && stored.key == entry.key
                });
                // Names that had to be cut may look alike: then nobody knows which one is meant.
                match (same.next(), same.next()) {
                    (Some(stored), None) => Ok(store.remove(stored)?),
                    _ => Ok(false),
                }
            }
        }
    }
}

fn directory(
    settings: &Settings,
    environment: &Environment,
    context: Option<&GitHubContext>,
) -> anyhow::Result<Held> {
    let directory = store::directory(settings, environment)?;
    let project = identity(settings, environment)?;
    Ok(Held::Directory {
        name: format!("{} in {}", project, directory.display()),
        project: project.clone(),
        max_bytes: settings.max_bytes,
        store: DirStore::open(DirOptions {
            directory,
            project,
            scopes: scopes_of(context),
            max_bytes: settings.max_bytes,
            lock_wait: DirStore::DEFAULT_LOCK_WAIT,
        })?,
    })
}

/// The project's identity. Its packages are only looked for where it has no origin.
fn identity(settings: &Settings, environment: &Environment) -> anyhow::Result<ProjectIdentity> {
    let origin = origin_url(&settings.project, environment);
    if let Some(identity) = origin.and_then(|address| ProjectIdentity::from_origin(&address)) {
        return Ok(identity);
    }
    let request = project::Request {
        directory: settings.project.clone(),
        cwd: std::env::current_dir().context("failed to find the working directory")?,
        workspaces: settings.workspaces.clone(),
    };
    let project = project::discover(&request, environment)?;
    let names = project
        .workspaces
        .iter()
        .flat_map(|workspace| &workspace.members)
        .map(|member| member.name.as_str());
    Ok(identity_of(&settings.project, environment, names))
}

fn list_directory(
    store: &DirStore,
    project: &ProjectIdentity,
    prefix: &str,
) -> anyhow::Result<Listing> {
    let (ours, others): (Vec<_>, Vec<_>) = store
        .entries()?
        .into_iter()
        .partition(|stored| stored.project.is(project.as_str()));
    let mut count = Count::default();
    for stored in &others {
        count.add(stored.bytes);
    }
    let entries: Vec<_> = ours
        .iter()
        .filter(|stored| stored.key.starts_with(prefix))
        .map(listed)
        .collect::<Result<_, _>>()?;
    Ok(Listing {
        place: Place::Directory(String::new()),
        taken_at: Timestamp::UNIX_EPOCH,
        jobs: job_names(store, &entries),
        entries,
        unlisted: (count.entries > 0).then(|| Unlisted {
            why: "other projects".to_owned(),
            count,
        }),
        limit: Limit {
            bytes: 0,
            is_known: true,
        },
        refs: BTreeMap::new(),
        notes: Vec::new(),
    })
}

fn listed(stored: &StoredEntry) -> anyhow::Result<ListedEntry> {
    let time = |time| Timestamp::try_from(time).context("an entry with an impossible time");
    Ok(ListedEntry {
        id: None,
        key: stored.key.clone(),
        scope: stored.scope.to_string(),
        version: String::new(),
        bytes: stored.bytes,
        created_at: time(stored.created_at)?,
        used_at: time(stored.used_at)?,
    })
}

/// What the jobs are called that stored `entries`, by their digits: it stands in the header of any entry of theirs.
fn job_names(store: &DirStore, entries: &[ListedEntry]) -> BTreeMap<String, String> {
    let mut names = BTreeMap::new();
    let mut unreadable = BTreeSet::new();
    for entry in entries {
        let Some(parsed) = ParsedKey::parse(&entry.key) else {
            continue;
        };
        let Some(digits) = parsed.digits(PartName::Job) else {
            continue;
        };
        if names.contains_key(digits) || !unreadable.insert(entry.key.clone()) {
            continue;
        }
        let found = Found {
            key: entry.key.clone(),
            scope: entry.scope.clone(),
        };
        match header(store, &found, &parsed) {
            Ok(facts) => {
                let part = facts.parts.iter().find(|part| part.name == PartName::Job);
                if let Some(part) = part {
                    names.insert(digits.to_owned(), job_name(part.facts()));
                }
            }
            Err(error) => tracing::debug!("the job of {} is not known: {error:#}", entry.key),
        }
    }
    names
}

fn header(store: &DirStore, found: &Found, parsed: &ParsedKey) -> anyhow::Result<EntryFacts> {
    let source = store.open(found, Deadline::never())?;
    let archive = archive::open(source.as_ref())?;
    Ok(EntryFacts::from_json(archive.facts(), parsed.tier)?)
}
