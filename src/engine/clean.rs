//! Cleaning in the engine: looks at what there is, and deletes what the plan names.
//!
//! Invariants: nothing is deleted but buckets, whole units in target directories of the project, and entries of the store;
//! and none of those while somebody holds its lock. What is deleted is what was looked at: both happen under one lock only
//! when it is deleted, so a thing that is used in between stays.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;
use walkdir::WalkDir;

use super::{bucket, locked::locked_versions, store};
use crate::{
    bucket::{
        BucketKind, BucketLock, BucketPlace, BucketRecord, Checkout, ProjectBuckets, find_buckets,
        going,
    },
    clean::{
        self, CleanItem, CleanPlan, CleanReason, CleanRequest, Fate, HeldFile, StaleReason,
        StaleRequest, Thing, ThingKind, UnitUse, stale_units,
    },
    console::Console,
    environment::Environment,
    place::{CargoLocks, LockPlace, PlaceError},
    project::Project,
    settings::Settings,
    store::{DirOptions, DirStore, StoredEntry, identity_of},
    unit::{self, AccessTimes, SourceRoots, Unit, UnitRecord},
};

/// What can be cleaned, and what it is.
pub struct Cleaning<'run> {
    console: &'run Console,
    store: DirStore,
    things: Vec<Thing>,
    handles: Vec<Handle>,
}

/// How a thing is deleted.
enum Handle {
    Bucket(BucketPlace),
    Remains(PathBuf),
    Units {
        directory: PathBuf,
        /// The lock of the bucket that it lies in, if it lies in one.
        lock: Option<PathBuf>,
        units: Vec<Unit>,
    },
    Entry(StoredEntry),
}

/// What became of a plan.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Cleaned {
    /// How many bytes are free that were not.
    pub freed: u64,
    /// What stays although the plan names it, with the reason.
    pub stays: Vec<(String, String)>,
}

impl<'run> Cleaning<'run> {
    /// Looks at what there is, for a `request`: buckets and entries of all projects, units in the target directories of
    /// this one.
    pub fn find(
        request: &CleanRequest,
        settings: &Settings,
        environment: &Environment,
        console: &'run Console,
    ) -> anyhow::Result<Self> {
        let home = bucket::home(environment)?;
        let project = bucket::discover(settings, environment)?;
        let own = own_buckets(&project, &home);
        let names = project
            .workspaces
            .iter()
            .flat_map(|workspace| &workspace.members);
        let identity = identity_of(
            &settings.project,
            environment,
            names.map(|member| member.name.as_str()),
        );
        let store = DirStore::open(DirOptions {
            directory: store::directory(settings, environment)?,
            project: identity.clone(),
            scopes: crate::runner::scopes_of(None),
            max_bytes: settings.max_bytes,
            lock_wait: DirStore::DEFAULT_LOCK_WAIT,
        })?;
        let mut cleaning = Self {
            console,
            things: Vec::new(),
            handles: Vec::new(),
            store,
        };
        let found = find_buckets(&home);
        for directory in found.remains {
            let thing = thing_of_remains(&directory);
            cleaning.add(thing, Handle::Remains(directory));
        }
        let mut targets = own_targets(&project);
        for place in found.buckets {
            let is_own = own.iter().any(|own| place.directory.starts_with(own));
            let thing = thing_of_bucket(&place, is_own);
            if is_own && matches!(thing.fate, Fate::Open) && !request.all {
                targets.push((place.target(), Some((place.clone(), cleaning.things.len()))));
            }
            cleaning.add(thing, Handle::Bucket(place));
        }
        for (directory, bucket) in targets {
            cleaning.add_units(&directory, bucket, &project, request)?;
        }
        for entry in cleaning.store.entries()? {
            let is_own = entry.project.is(identity.as_str());
            let thing = thing_of_entry(&entry, is_own);
            cleaning.add(thing, Handle::Entry(entry));
        }
        Ok(cleaning)
    }

    /// Decides what to delete, without doing so.
    pub fn plan(&self, request: &CleanRequest) -> CleanPlan {
        clean::plan(&self.things, request)
    }

    /// Deletes what `plan` names. One thing that cannot be deleted leaves the others to be.
    pub fn apply(&self, plan: &CleanPlan) -> Cleaned {
        let mut cleaned = Cleaned::default();
        for item in &plan.delete {
            match self.delete(item) {
                Ok(bytes) => cleaned.freed += bytes,
                Err(error) => {
                    let stays = (item.name.clone(), format!("{error:#}"));
                    cleaned.stays.push(stays);
                }
            }
        }
        cleaned
    }

    fn add(&mut self, thing: Thing, handle: Handle) {
        self.things.push(thing);
        self.handles.push(handle);
    }

    fn add_units(
        &mut self,
        directory: &Path,
        bucket: Option<(BucketPlace, usize)>,
        project: &Project,
        request: &CleanRequest,
    ) -> anyhow::Result<()> {
        let (bucket, within) = bucket.unzip();
        let lock = bucket.as_ref().map(BucketPlace::lock);
        let bases = project
            .workspaces
            .iter()
            .map(|workspace| workspace.root.clone());
        let tree = unit::read_target(directory, &SourceRoots::new(&project.cargo_home, bases))?;
        // That they were looked at is no use of them.
        if let Err(error) = unit::put_back(&tree) {
            self.console.detail(&error.to_string());
        }
        let access_times = unit::probe(directory).unwrap_or(AccessTimes::Frozen);
        if access_times == AccessTimes::Frozen && request.older_than.is_some() {
            self.console.note(&format!(
                "{}: access times don't move there, and so no unit goes for its age",
                directory.display()
            ));
        }
        // A bucket of another checkout is built with a lockfile that is not this one's.
        let is_here = bucket.as_ref().is_none_or(|place| {
            let record = BucketRecord::read(place);
            let root = project
                .workspaces
                .first()
                .map(|workspace| Checkout::around(&workspace.root));
            record.map(|record| record.checkout) == root.map(|checkout| checkout.root)
        });
        let locked = locked_versions(project).filter(|_| is_here);
        let uses: Vec<_> = tree
            .units
            .iter()
            .map(|unit| use_of(unit, access_times))
            .collect();
        let stale = stale_units(&StaleRequest {
            units: &uses,
            locked: locked.as_ref(),
            now: SystemTime::now(),
            older_than: request.older_than,
            access_times,
        });
        if stale.is_empty() {
            return Ok(());
        }
        let units: Vec<Unit> = stale
            .iter()
            .map(|(index, _)| tree.units[*index].clone())
            .collect();
        let files = units.iter().flat_map(|unit| &unit.files);
        let files = files.filter_map(|file| held_file(&file.path.below(directory)));
        let fate = match lock_target(directory, lock.as_deref()) {
            Ok(_locks) => Fate::Goes(CleanReason::Stale(counted(&stale))),
            Err(error) => Fate::Stays(format!("{error:#}")),
        };
        let thing = Thing {
            kind: ThingKind::Units,
            name: format!("{} units in {}", units.len(), directory.display()),
            is_own: true,
            used_at: 0,
            fate,
            within,
            files: files.collect(),
        };
        let handle = Handle::Units {
            directory: directory.to_owned(),
            lock,
            units,
        };
        self.add(thing, handle);
        Ok(())
    }

    fn delete(&self, item: &CleanItem) -> anyhow::Result<u64> {
        match &self.handles[item.thing] {
            Handle::Bucket(place) => {
                let locks = lock_target(&place.target(), Some(&place.lock()))?;
                let aside = going(place);
                // Cargo's lock files lie in it, and some systems move nothing that is open.
                let BucketLocks { bucket, cargo } = locks;
                drop(cargo);
                fs_err::rename(&place.directory, &aside)?;
                drop(bucket);
                remove_tree(&aside)
            }
            Handle::Remains(directory) => remove_tree(directory),
            Handle::Units {
                directory,
                lock,
                units,
            } => {
                let _locks = lock_target(directory, lock.as_deref())?;
                let unused = units
                    .iter()
                    .filter(|unit| unit::is_as_read(directory, unit));
                Ok(unit::remove_units(directory, unused)?)
            }
            Handle::Entry(entry) => Ok(if self.store.remove(entry)? {
                entry.bytes
            } else {
                0
            }),
        }
    }
}

/// The target directories of the project that are no buckets.
fn own_targets(project: &Project) -> Vec<(PathBuf, Option<(BucketPlace, usize)>)> {
    let roots = project.roots.iter().map(|root| root.directory.clone());
    let is_plain = |directory: &PathBuf| {
        let mut above = directory.ancestors();
        directory.is_dir() && !above.any(|above| above.ends_with("buckets-v1"))
    };
    roots.filter(is_plain).map(|root| (root, None)).collect()
}

/// The directories of this project's buckets: those of each of its workspaces.
fn own_buckets(project: &Project, home: &Path) -> Vec<PathBuf> {
    let workspaces = project.workspaces.iter();
    workspaces
        .map(|workspace| {
            let checkout = Checkout::around(&workspace.root);
            let place = checkout.place_of(&workspace.root);
            let buckets = ProjectBuckets::of(home, &checkout, &place);
            buckets.directory().to_owned()
        })
        .collect()
}

fn thing_of_bucket(place: &BucketPlace, is_own: bool) -> Thing {
    let record = BucketRecord::read(place);
    let (files, changed_at) = files_below(&place.directory);
    let used_at = record.as_ref().map_or(0, |record| record.used_at);
    let fate = match lock_target(&place.target(), Some(&place.lock())) {
        Err(error) => Fate::Stays(format!("{error:#}")),
        Ok(_locks) => match &record {
            None => Fate::Goes(CleanReason::Remains),
            Some(record) => match owner_that_is_gone(record) {
                Some(gone) => Fate::Goes(CleanReason::CheckoutGone(gone.display().to_string())),
                None => Fate::Open,
            },
        },
    };
    Thing {
        kind: ThingKind::Bucket,
        name: place.directory.display().to_string(),
        is_own,
        used_at: used_at.max(changed_at),
        fate,
        within: None,
        files,
    }
}

/// The shared bucket is the repository's, every other one a checkout's.
fn owner_that_is_gone(record: &BucketRecord) -> Option<&Path> {
    let owner = match record.kind {
        BucketKind::Shared => &record.repository,
        BucketKind::Isolated => &record.checkout,
    };
    let is_gone = |path: &Path| {
        let found = fs_err::symlink_metadata(path);
        // What may not be looked at is not gone.
        found.is_err_and(|error| error.kind() == std::io::ErrorKind::NotFound)
    };
    is_gone(owner).then_some(owner.as_path())
}

fn thing_of_remains(directory: &Path) -> Thing {
    let (files, _) = files_below(directory);
    Thing {
        kind: ThingKind::Bucket,
        name: directory.display().to_string(),
        is_own: false,
        used_at: 0,
        fate: Fate::Goes(CleanReason::Remains),
        within: None,
        files,
    }
}

fn thing_of_entry(entry: &StoredEntry, is_own: bool) -> Thing {
    Thing {
        kind: ThingKind::Entry,
        name: format!("{} of {}", entry.key, entry.project),
        is_own,
        used_at: seconds(entry.used_at),
        fate: Fate::Open,
        within: None,
        files: vec![HeldFile {
            inode: None,
            names: 1,
            bytes: entry.bytes,
        }],
    }
}

/// The files below a directory, and when the last of them was changed, in seconds since 1970.
fn files_below(directory: &Path) -> (Vec<HeldFile>, u64) {
    let mut files = Vec::new();
    let mut newest = 0;
    for entry in WalkDir::new(directory).into_iter().filter_map(Result::ok) {
        if !entry.file_type().is_file() {
            continue;
        }
        files.extend(held_file(entry.path()));
        let modified = entry
            .metadata()
            .ok()
            .and_then(|found| found.modified().ok());
        newest = newest.max(modified.map_or(0, seconds));
    }
    (files, newest)
}

/// What is known of a plain file; `None` of anything else, which takes no room.
fn held_file(path: &Path) -> Option<HeldFile> {
    let found = fs_err::symlink_metadata(path)
        .ok()
        .filter(std::fs::Metadata::is_file)?;
    #[cfg(unix)]
    let (inode, names) = {
        use std::os::unix::fs::MetadataExt as _;
        (Some((found.dev(), found.ino())), found.nlink())
    };
    #[cfg(not(unix))]
    let (inode, names) = (None, 1);
    Some(HeldFile {
        inode,
        names,
        bytes: found.len(),
    })
}

/// Removes a directory with all that is in it, and says how many bytes that freed.
fn remove_tree(directory: &Path) -> anyhow::Result<u64> {
    let (files, _) = files_below(directory);
    let mut names: BTreeMap<_, (u64, HeldFile)> = BTreeMap::new();
    let mut freed = 0;
    for file in files {
        match file.inode {
            Some(inode) => names.entry(inode).or_insert((0, file)).0 += 1,
            None => freed += file.bytes,
        }
    }
    let last = names
        .into_values()
        .filter(|(count, file)| *count >= file.names);
    freed += last.map(|(_, file)| file.bytes).sum::<u64>();
    fs_err::remove_dir_all(directory)?;
    Ok(freed)
}

/// Locks that keep everybody out of a target directory.
struct BucketLocks {
    bucket: Option<BucketLock>,
    cargo: CargoLocks,
}

/// Takes them, if nobody holds one.
fn lock_target(target: &Path, bucket: Option<&Path>) -> anyhow::Result<BucketLocks> {
    let bucket = match bucket {
        Some(path) => Some(BucketLock::try_take(path)?.context("a run of hotcrate builds there")?),
        None => None,
    };
    let places: Vec<_> = unit::profile_directories(target)
        .into_iter()
        .map(|profile| LockPlace::Profile {
            root: target.to_owned(),
            profile,
        })
        .collect();
    match CargoLocks::hold(&places, Duration::ZERO) {
        Ok(cargo) => Ok(BucketLocks { bucket, cargo }),
        Err(PlaceError::Locked { .. }) => Err(anyhow::anyhow!("Cargo builds there")),
        Err(error) => Err(error.into()),
    }
}

fn use_of(unit: &Unit, access_times: AccessTimes) -> UnitUse {
    let looked_at = match access_times {
        AccessTimes::Move => unit.accessed_at,
        AccessTimes::Frozen => unit.compiled_at,
    };
    UnitUse {
        record: UnitRecord::of(unit, None),
        used_at: looked_at.max(unit.compiled_at),
    }
}

/// `12 left the lockfile`, `3 of an older generation`.
fn counted(stale: &[(usize, StaleReason)]) -> Vec<String> {
    let mut counts: BTreeMap<StaleReason, usize> = BTreeMap::new();
    for (_, reason) in stale {
        *counts.entry(*reason).or_default() += 1;
    }
    let counts = counts.into_iter();
    counts
        .map(|(reason, count)| format!("{count} {reason}"))
        .collect()
}

fn seconds(time: SystemTime) -> u64 {
    let since = time.duration_since(UNIX_EPOCH);
    since.map_or(0, |since| since.as_secs())
}
