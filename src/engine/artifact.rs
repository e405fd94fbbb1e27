//! Artefacts in the engine: finds out what a command builds from, and takes what it built from the store, or puts it there.
//!
//! Invariants: nothing is stored of a build whose sources changed while it ran; what is put in place is what an equal
//! build made, verified, or nothing is. Trouble with either leaves the command to run as if there were no store.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    path::{Path, PathBuf},
    time::{SystemTime, UNIX_EPOCH},
};

use anyhow::{Context as _, bail};
use walkdir::WalkDir;

use super::{bucket::discover, git_signs::git_sign, store::open_store};
use crate::{
    archive::{
        self, Compression, Group, Member, PackOptions, UnpackOptions, budget::ByteBudget,
        path::RelativePath,
    },
    artifact::{
        ArtifactFacts, Fingerprint, FingerprintRequest, StoredPath, TreeRequest, TreeState,
        fingerprint, path_digest, read_tree,
    },
    bucket::Checkout,
    console::Console,
    deadline::Deadline,
    environment::Environment,
    freshness::Head,
    key::{JobIdentity, KeyPart, PartName},
    place::{self, Staging, replace},
    project::{self, Project},
    report::render_bytes,
    runner::GitHubContext,
    settings::Settings,
    store::{Found, Reservation, Store},
    time_limits::{RESTORE_TIMEOUT, SAVE_TIMEOUT},
    unit,
};

/// What is to be built.
#[derive(Clone, Debug)]
pub struct ArtifactRequest {
    /// The paths of the artefacts, relative to the project, as the user wrote them.
    pub paths: Vec<String>,
    /// The command that makes them.
    pub command: Vec<OsString>,
    /// Whether the commit counts although nothing reads git.
    pub commit: bool,
    /// Files and directories that count although git ignores them, relative to the project.
    pub included: Vec<String>,
}

/// Without git nobody knows what a command builds from.
#[derive(Debug, thiserror::Error)]
#[error(
    "{} is no git checkout: what an artefact is built from is told by git",
    .0.display()
)]
pub struct NoCheckout(pub PathBuf);

/// The artefacts of one project, and what they are built from now.
pub struct Artifacts<'run> {
    settings: &'run Settings,
    environment: &'run Environment,
    console: &'run Console,
    request: &'run ArtifactRequest,
    checkout: Checkout,
    project: Project,
    store: Box<dyn Store>,
    parts: Vec<KeyPart>,
    reads_git: bool,
    state: Sources,
    print: Fingerprint,
}

/// What a command builds from, as far as it can change under its hands.
#[derive(Debug, PartialEq, Eq)]
struct Sources {
    tree: TreeState,
    head: Option<String>,
    outside: Option<String>,
}

/// What became of a build's artefacts.
#[derive(Debug, PartialEq, Eq)]
pub enum Kept {
    /// They are stored, with this many bytes.
    Stored(u64),
    /// They are not, for this reason, which is no trouble.
    Not(String),
}

impl<'run> Artifacts<'run> {
    /// Finds out what the command would build from. Fails with [`NoCheckout`] where that cannot be known.
    pub fn find(
        request: &'run ArtifactRequest,
        settings: &'run Settings,
        environment: &'run Environment,
        console: &'run Console,
    ) -> anyhow::Result<Self> {
        let checkout = Checkout::around(&settings.project);
        if !checkout.has_repository() {
            return Err(NoCheckout(settings.project.clone()).into());
        }
        let (project, tree) = rayon::join(
            || discover(settings, environment),
            || tree(request, &checkout, settings, environment),
        );
        let project = project?;
        let facts = project.key_facts(environment, &settings.env_vars, JobIdentity::Local);
        let mut parts = facts.deps()?.parts;
        parts.retain(|part| part.name != PartName::Job);
        let github = GitHubContext::read(environment);
        let sign = git_sign(&project);
        if let Some(sign) = &sign {
            console.detail(&format!("the commit counts: {sign}"));
        }
        let reads_git = request.commit || sign.is_some();
        let state = Sources {
            tree: tree?,
            head: head(reads_git, &checkout, environment)?,
            outside: outside(&project, &checkout, environment),
        };
        Ok(Self {
            store: open_store(settings, environment, console, &project, github.as_ref())?,
            print: print(
                request,
                &state,
                &parts,
                &checkout.place_of(&settings.project),
            ),
            settings,
            environment,
            console,
            request,
            checkout,
            project,
            parts,
            reads_git,
            state,
        })
    }

    /// The fingerprint.
    pub fn fingerprint(&self) -> Fingerprint {
        self.print
    }

    /// Where the artefacts lie, absolute.
    pub fn destinations(&self) -> Vec<PathBuf> {
        destinations(self.request, self.settings)
    }

    /// Puts in place what an equal build made. `Ok(false)`: none is stored that is of use here.
    pub fn take(&self) -> anyhow::Result<bool> {
        let deadline = Deadline::after(self.settings.time_limits.restore, RESTORE_TIMEOUT.name);
        let key = self.print.key(&self.settings.project);
        let Some(found) = self.store.look_up(&key, &[self.print.prefix()], deadline)? else {
            return Ok(false);
        };
        let taken = self.take_found(&found, deadline);
        if let Err(error) = &taken
            && error.chain().any(archive::is_damage)
            && let Err(kept) = self.store.discard(&found)
        {
            let detail = format!("the damaged entry {} stays: {kept}", found.key);
            self.console.detail(&detail);
        }
        taken
    }

    fn take_found(&self, found: &Found, deadline: Deadline) -> anyhow::Result<bool> {
        let source = self.store.open(found, deadline)?;
        let archive = archive::open(source.as_ref())
            .with_context(|| format!("failed to open the entry {}", found.key))?;
        let facts = ArtifactFacts::parse(archive.facts())
            .filter(|facts| facts.is_good_in(&self.settings.project));
        let Some(facts) = facts else {
            return Ok(false);
        };
        if facts
            .paths
            .iter()
            .map(|stored| &stored.path)
            .ne(&self.request.paths)
        {
            return Ok(false);
        }
        let destinations = self.destinations();
        // One that was killed behind its last rename left nothing to do but this.
        let parents: BTreeSet<_> = destinations
            .iter()
            .filter_map(|path| path.parent())
            .collect();
        for parent in parents {
            if let Err(error) = place::remove_stale(parent) {
                let detail = format!("stale staging stays: {error}");
                self.console.detail(&detail);
            }
        }
        let missing: BTreeMap<_, _> = facts
            .paths
            .iter()
            .zip(destinations)
            .enumerate()
            .filter(|(_, (stored, path))| {
                stored.sha256.is_none() || stored.sha256 != path_digest(path)
            })
            .map(|(index, (_, path))| Ok((root_of(index)?, path)))
            .collect::<anyhow::Result<_>>()?;
        if missing.is_empty() {
            return Ok(true);
        }
        let mut staged = BTreeMap::new();
        for (root, path) in &missing {
            let parent = path.parent().context("an artefact without a directory")?;
            fs_err::create_dir_all(parent)?;
            staged.insert(root.clone(), Staging::create(parent)?);
        }
        let nowhere = PathBuf::new();
        let roots = (0..facts.paths.len())
            .map(|index| {
                let root = root_of(index)?;
                let place = staged.get(&root).map_or(nowhere.as_path(), Staging::path);
                Ok((root, place.to_owned()))
            })
            .collect::<anyhow::Result<BTreeMap<_, _>>>()?;
        let budget = ByteBudget::new(ByteBudget::DEFAULT_BYTES);
        let options = UnpackOptions {
            deadline,
            ..UnpackOptions::new(&budget)
        };
        let is_missing = |member: &RelativePath| {
            staged
                .keys()
                .any(|root| member.strip_prefix(root).is_some())
        };
        let bytes: u64 = archive
            .members()
            .filter(|member| is_missing(member.name))
            .map(|member| member.size)
            .sum();
        let transfer = self.console.transfer("restoring the artefacts", bytes);
        archive::unpack(
            &archive,
            source.as_ref(),
            &roots,
            &is_missing,
            &options,
            &transfer,
        )
        .with_context(|| format!("failed to unpack {}", found.key))?;
        drop(transfer);
        for (root, path) in &missing {
            let staging = &staged[root];
            let name = path.file_name().context("an artefact without a name")?;
            replace(staging, &staging.path().join(name), path)?;
        }
        Ok(true)
    }

    /// Stores what the command made, if it made it from what was found before.
    pub fn keep(&self) -> anyhow::Result<Kept> {
        if self.settings.save_if == Some(false) {
            return Ok(Kept::Not("`save-if` is false".to_owned()));
        }
        let now = Sources {
            tree: tree(
                self.request,
                &self.checkout,
                self.settings,
                self.environment,
            )?,
            head: head(self.reads_git, &self.checkout, self.environment)?,
            outside: outside(&self.project, &self.checkout, self.environment),
        };
        if now != self.state {
            let what = now.tree.first_difference(&self.state.tree);
            let what = what.unwrap_or("what it is built from");
            return Ok(Kept::Not(format!("{what} changed while the command ran")));
        }
        let destinations = self.destinations();
        for path in &destinations {
            if fs_err::symlink_metadata(path).is_err() {
                bail!("the command did not make {}", path.display());
            }
        }
        let key = self.print.key(&self.settings.project);
        let facts = self.facts(key.clone(), &destinations);
        let deadline = Deadline::after(self.settings.time_limits.save, SAVE_TIMEOUT.name);
        let mut upload = match self.store.begin(&key, deadline)? {
            Reservation::Granted(upload) => upload,
            Reservation::Taken => return Ok(Kept::Not("it is stored already".to_owned())),
        };
        let groups = [Group {
            compression: Compression::Normal,
            members: members(&destinations)?,
        }];
        let budget = ByteBudget::new(ByteBudget::DEFAULT_BYTES);
        let options = PackOptions {
            deadline,
            ..PackOptions::new(&budget)
        };
        let json = serde_json::to_vec(&facts)?;
        let transfer = self.console.transfer("storing the artefacts", 0);
        let packed = archive::pack(&json, &groups, &options, upload.as_mut(), &transfer)
            .context("failed to pack the artefacts")?;
        drop(transfer);
        Ok(if upload.finish()? {
            Kept::Stored(packed.volume.packed_bytes)
        } else {
            Kept::Not("it is stored already".to_owned())
        })
    }

    fn facts(&self, key: String, destinations: &[PathBuf]) -> ArtifactFacts {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        let created_at = now.map_or(0, |since| since.as_secs());
        let mut facts = ArtifactFacts::new(key, created_at, &self.settings.project);
        facts.parts.clone_from(&self.parts);
        let places: Vec<_> = std::iter::once(&self.checkout.root)
            .chain(self.project.roots.iter().map(|root| &root.directory))
            .collect();
        facts.holds_directory = destinations
            .iter()
            .flat_map(|path| WalkDir::new(path).into_iter().filter_map(Result::ok))
            .filter(|entry| entry.file_type().is_file())
            .any(|entry| {
                places
                    .iter()
                    .any(|place| unit::file_holds(entry.path(), place))
            });
        facts.paths = self
            .request
            .paths
            .iter()
            .zip(destinations)
            .map(|(path, destination)| StoredPath {
                path: path.clone(),
                sha256: path_digest(destination),
            })
            .collect();
        facts
    }
}

/// What was stored, in words.
pub fn tell_kept(kept: &Kept) -> String {
    match kept {
        Kept::Stored(bytes) => format!("stored, {}", render_bytes(*bytes)),
        Kept::Not(reason) => format!("not stored: {reason}"),
    }
}

fn destinations(request: &ArtifactRequest, settings: &Settings) -> Vec<PathBuf> {
    let paths = request.paths.iter();
    paths.map(|path| settings.project.join(path)).collect()
}

fn tree(
    request: &ArtifactRequest,
    checkout: &Checkout,
    settings: &Settings,
    environment: &Environment,
) -> anyhow::Result<TreeState> {
    let included = request
        .included
        .iter()
        .map(|path| (path.clone(), settings.project.join(path)));
    let tree = read_tree(
        &TreeRequest {
            root: &checkout.root,
            outputs: &destinations(request, settings),
            included: &included.collect::<Vec<_>>(),
        },
        environment,
    )?;
    Ok(tree)
}

/// The state of git, where it counts.
fn head(
    counts: bool,
    checkout: &Checkout,
    environment: &Environment,
) -> anyhow::Result<Option<String>> {
    if !counts {
        return Ok(None);
    }
    match Head::of(&checkout.root, environment) {
        Head::At(state) => Ok(Some(state)),
        Head::NoRepository | Head::Unknown => bail!("git does not tell which commit this is"),
    }
}

/// A digest of what lies in path packages outside of the checkout, if there are any.
fn outside(project: &Project, checkout: &Checkout, environment: &Environment) -> Option<String> {
    let mut request = project.tree_request();
    request
        .directories
        .retain(|directory| !directory.starts_with(&checkout.root));
    if request.directories.is_empty() {
        return None;
    }
    let tree = project::read_tree(&request, environment);
    let mut facts = tree.part.facts().iter();
    // The commit is another one's than the one that these lie in.
    let content = facts.find(|fact| fact.label == "content");
    content.map(|content| content.value.clone())
}

fn print(
    request: &ArtifactRequest,
    state: &Sources,
    parts: &[KeyPart],
    place: &str,
) -> Fingerprint {
    fingerprint(&FingerprintRequest {
        tree: &state.tree,
        head: state.head.as_deref(),
        parts,
        command: &request.command,
        place,
        paths: &request.paths,
        outside: state.outside.as_deref(),
    })
}

/// The name of the root that the artefact of this number has in the archive.
fn root_of(index: usize) -> anyhow::Result<RelativePath> {
    Ok(RelativePath::new(index.to_string())?)
}

/// The members of the archive: each artefact under its own root, a directory with all that lies in it.
fn members(destinations: &[PathBuf]) -> anyhow::Result<Vec<Member>> {
    let mut members = Vec::new();
    for (index, destination) in destinations.iter().enumerate() {
        let root = root_of(index)?;
        let parent = destination.parent().unwrap_or(Path::new(""));
        for entry in WalkDir::new(destination).sort_by_file_name() {
            let entry = entry.context("failed to list what the command made")?;
            let below = entry.path().strip_prefix(parent)?;
            members.push(Member {
                name: root.join(&RelativePath::from_native(below)?),
                source: entry.path().to_owned(),
            });
        }
    }
    Ok(members)
}
