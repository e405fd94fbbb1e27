//! Filling a new bucket with the dependencies of another target directory of the same workspace.
//!
//! No lock is taken on the source, so a build that runs there is not waited for: a unit counts only if its fingerprint is,
//! once all of its files are copied, the one that was read before. Cargo empties it before it touches an output.
//!
//! Invariant: the bucket's target directory comes into being by one rename, with whole units in it, or not at all.

use std::{
    collections::{HashMap, HashSet},
    io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use rayon::prelude::*;

use crate::{
    bucket::{CopyError, Copying, Made, may_be_linked, seedable},
    place::{Staging, place_whole},
    unit::{self, FileKind, SourceRoots, TargetTree, Unit, UnitFile, UnitId},
};

/// What a bucket started with.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Seeded {
    /// The target directory that it came from.
    pub source: PathBuf,
    /// How many units.
    pub units: usize,
    /// How many files share their blocks with the source's, are the source's, or are copies.
    pub files: [usize; 3],
}

/// Fills `target`, which does not exist, from the first of `sources` that has units to give. `None`: none has.
pub(super) fn seed(
    target: &Path,
    sources: &[PathBuf],
    roots: &SourceRoots,
) -> anyhow::Result<Option<Seeded>> {
    for source in sources.iter().filter(|source| source.is_dir()) {
        let tree = unit::read_target(source, roots)?;
        // That they were looked at is no use of them.
        if let Err(error) = unit::put_back(&tree) {
            tracing::debug!("{error}");
        }
        let holders: HashSet<&UnitId> = tree
            .units
            .par_iter()
            .filter(|unit| unit.origin.is_cargo_home())
            .filter(|unit| unit::holds_target_path(&tree.directory, unit))
            .map(|unit| &unit.id)
            .collect();
        let units = seedable(&tree.units, |unit| holders.contains(&unit.id));
        if units.is_empty() {
            continue;
        }
        let staging = Staging::create(target)?;
        let seeding = Seeding {
            tree: &tree,
            to: staging.path(),
            copying: Copying::default(),
            made: Default::default(),
        };
        let count = seeding.run(&units)?;
        place_whole(&staging)?;
        return Ok(Some(Seeded {
            source: source.clone(),
            units: count,
            files: seeding.made.map(AtomicUsize::into_inner),
        }));
    }
    Ok(None)
}

struct Seeding<'a> {
    tree: &'a TargetTree,
    to: &'a Path,
    copying: Copying,
    made: [AtomicUsize; 3],
}

impl Seeding<'_> {
    /// Copies `units` and the files that belong to none, and returns how many units came whole.
    fn run(&self, units: &[&Unit]) -> anyhow::Result<usize> {
        let whole: Vec<bool> = units
            .par_iter()
            .map(|unit| self.unit(unit))
            .collect::<Result<_, CopyError>>()?;
        for file in &self.tree.shared {
            if let Err(error) = self.file(file, false)
                && error.source.kind() != io::ErrorKind::NotFound
            {
                return Err(error.into());
            }
        }
        Ok(whole.into_iter().filter(|whole| *whole).count())
    }

    /// Whether the unit was copied whole: its source may be removed or compiled anew meanwhile.
    fn unit(&self, unit: &Unit) -> Result<bool, CopyError> {
        match self.files(unit) {
            Ok(()) if unit::is_as_read(&self.tree.directory, unit) => Ok(true),
            Ok(()) => {
                self.drop_unit(unit);
                Ok(false)
            }
            Err(error) if error.source.kind() == io::ErrorKind::NotFound => {
                self.drop_unit(unit);
                Ok(false)
            }
            Err(error) => Err(error),
        }
    }

    fn files(&self, unit: &Unit) -> Result<(), CopyError> {
        let mut names: HashMap<(u64, u64), PathBuf> = HashMap::new();
        for file in &unit.files {
            let to = file.path.below(self.to);
            if let Some(first) = file.inode.and_then(|inode| names.get(&inode)) {
                let failed = failed(first, &to);
                make_parent(&to).map_err(&failed)?;
                fs_err::hard_link(first, &to).map_err(&failed)?;
                continue;
            }
            self.file(file, may_be_linked(unit.kind, &file.path))?;
            if let Some(inode) = file.inode.filter(|_| file.kind == FileKind::File) {
                names.insert(inode, to);
            }
        }
        // Deepest first: what is put into a directory changes its time.
        let directories = unit.files.iter().rev();
        for file in directories.filter(|file| file.kind == FileKind::Directory) {
            let (from, to) = (
                file.path.below(&self.tree.directory),
                file.path.below(self.to),
            );
            let kept = fs_err::metadata(&from)
                .and_then(|found| filetime::set_file_mtime(&to, found.modified()?.into()));
            kept.map_err(failed(&from, &to))?;
        }
        Ok(())
    }

    fn file(&self, file: &UnitFile, may_link: bool) -> Result<(), CopyError> {
        let (from, to) = (
            file.path.below(&self.tree.directory),
            file.path.below(self.to),
        );
        let failed = failed(&from, &to);
        match file.kind {
            FileKind::Directory => fs_err::create_dir_all(&to).map_err(failed),
            FileKind::Link => make_parent(&to)
                .and_then(|()| copy_link(&from, &to))
                .map_err(failed),
            FileKind::File => {
                make_parent(&to).map_err(failed)?;
                let made = self.copying.copy(&from, &to, may_link)?;
                let slot = match made {
                    Made::Cloned => 0,
                    Made::Linked => 1,
                    Made::Copied => 2,
                };
                self.made[slot].fetch_add(1, Ordering::Relaxed);
                Ok(())
            }
        }
    }

    /// Takes back what was copied of a unit that is not whole.
    fn drop_unit(&self, unit: &Unit) {
        if let Err(error) = unit::remove_units(self.to, [unit]) {
            // Without its fingerprint, which goes first, it is no unit.
            tracing::debug!("{error}");
        }
    }
}

fn failed<'a>(from: &'a Path, to: &'a Path) -> impl Fn(io::Error) -> CopyError + 'a {
    move |source| CopyError {
        from: from.to_owned(),
        to: to.to_owned(),
        source,
    }
}

fn make_parent(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), fs_err::create_dir_all)
}

#[cfg(unix)]
fn copy_link(from: &Path, to: &Path) -> io::Result<()> {
    let modified =
        filetime::FileTime::from_last_modification_time(&fs_err::symlink_metadata(from)?);
    fs_err::os::unix::fs::symlink(fs_err::read_link(from)?, to)?;
    filetime::set_symlink_file_times(to, modified, modified)
}

/// Making links takes a right that few have: the unit is left to Cargo.
#[cfg(not(unix))]
fn copy_link(_from: &Path, _to: &Path) -> io::Result<()> {
    Err(io::ErrorKind::NotFound.into())
}
