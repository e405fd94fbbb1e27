//! Moving what was unpacked from staging into the root.
//!
//! Invariants: a move replaces nothing, whoever made what is there and when; the files of a piece go in the order in
//! which they are listed, a directory that is wholly theirs by one rename in place of its last file; directories that
//! are made here end up with the modes and times of the staged ones. Hard links, links and times survive, since
//! nothing is copied.

use std::{
    collections::{HashMap, HashSet},
    fs::Permissions,
    io,
    path::{Path, PathBuf},
};

use filetime::FileTime;
use fs_err as fs;

use super::{
    PlaceError, STAGING_PREFIX, Staging,
    moves::{FileSystem, Moves},
    staging::{RootState, root_state},
};
use crate::archive::path::RelativePath;

/// Files that are put in place together or not at all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Piece {
    /// What to call it in messages.
    pub name: String,
    /// Its files and links in the order of placing, the one that makes it count last, relative to the root. A
    /// directory in this list stands for all that it holds.
    pub files: Vec<RelativePath>,
}

/// What became of the pieces, by their indices.
#[derive(Debug, Default)]
pub struct Placed {
    /// Put in place, whole.
    pub placed: Vec<usize>,
    /// Left out: something of them was there already.
    pub present: Vec<usize>,
    /// The piece at which placing stopped; it was taken back, and those after it were not tried.
    pub stopped: Option<Stopped>,
}

/// Why placing stopped before the last piece.
#[derive(Debug)]
pub struct Stopped {
    /// The index of the piece.
    pub piece: usize,
    /// What went wrong.
    pub error: PlaceError,
}

/// Makes the staged tree the root, by one rename. `Ok(false)`: there is a root by now, and it was left alone.
///
/// Directories above the root are made if they are missing. Afterwards [`Staging::path`] is gone.
pub fn place_whole(staging: &Staging) -> Result<bool, PlaceError> {
    let root = staging.root();
    let made = make_above(root)?;
    match FileSystem.move_new(staging.path(), root) {
        Ok(()) => Ok(true),
        Err(error) => {
            remove_empty(made.iter().rev());
            if error.kind() == io::ErrorKind::AlreadyExists {
                Ok(false)
            } else {
                Err(PlaceError::file("put in place", root)(error))
            }
        }
    }
}

/// Makes the staged tree the root if that is absent or an empty directory, all or nothing. `Ok(false)`: it holds
/// something, and was left alone.
pub fn place_where_empty(staging: &Staging) -> Result<bool, PlaceError> {
    let root = staging.root();
    if matches!(root_state(root)?, RootState::Absent { .. }) {
        return place_whole(staging);
    }
    let is_occupied = names_in(root)?.iter().any(|name| {
        // Staging directories, our own among them, are no content.
        !name
            .as_encoded_bytes()
            .starts_with(STAGING_PREFIX.as_bytes())
    });
    if is_occupied {
        return Ok(false);
    }
    let files = names_in(staging.path())?
        .iter()
        .map(|name| {
            RelativePath::from_native(Path::new(name)).map_err(|error| {
                let source = io::Error::new(io::ErrorKind::InvalidFilename, error);
                PlaceError::file("put in place", root.join(name))(source)
            })
        })
        .collect::<Result<_, _>>()?;
    let whole = Piece {
        name: root.display().to_string(),
        files,
    };
    let placed = place_pieces(staging, &[whole])?;
    match placed.stopped {
        Some(stopped) => Err(stopped.error),
        None => Ok(placed.present.is_empty()),
    }
}

/// Puts those pieces in place of which nothing is in the root yet.
///
/// Fails only if the staged tree cannot be read; then nothing was moved.
pub fn place_pieces(staging: &Staging, pieces: &[Piece]) -> Result<Placed, PlaceError> {
    place_pieces_by(&FileSystem, staging.path(), staging.root(), pieces)
}

/// Moves a piece that this process put in place back to staging.
pub(super) fn take_back(staging: &Staging, piece: &Piece) -> Result<(), PlaceError> {
    let mut done = Vec::new();
    for file in &piece.files {
        // A directory may have been moved whole: then there is none left in staging to move its files back to.
        if let Some(above) = file.below(staging.path()).parent() {
            fs::create_dir_all(above).map_err(PlaceError::file("create", above))?;
        }
        done.push(file.below(Path::new("")));
    }
    Placing::new(&FileSystem, staging.path(), staging.root()).undo(&piece.name, &done, &[])
}

/// [`place_pieces`] with the changes to the root made by `moves`.
fn place_pieces_by(
    moves: &dyn Moves,
    staged: &Path,
    root: &Path,
    pieces: &[Piece],
) -> Result<Placed, PlaceError> {
    let survey = Survey::of(staged, pieces)?;
    let mut placing = Placing::new(moves, staged, root);
    let mut outcome = Placed::default();
    for (index, piece) in pieces.iter().enumerate() {
        match placing.place(index, piece, &survey) {
            Ok(true) => outcome.placed.push(index),
            Ok(false) => outcome.present.push(index),
            Err(error) => {
                outcome.stopped = Some(Stopped {
                    piece: index,
                    error,
                });
                break;
            }
        }
    }
    placing.set_times(&survey);
    Ok(outcome)
}

/// Which piece what lies below a staged directory belongs to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Owner {
    /// There is nothing below it but directories.
    #[default]
    Nobody,
    /// All of it belongs to the piece of this index.
    Piece(usize),
    /// Several pieces, or also something of none.
    Mixed,
}

impl Owner {
    fn and(self, other: Self) -> Self {
        match (self, other) {
            (Self::Nobody, owner) | (owner, Self::Nobody) => owner,
            (one, other) if one == other => one,
            _ => Self::Mixed,
        }
    }
}

/// What is known of a staged directory before anything is moved out of it.
struct StagedDirectory {
    owner: Owner,
    modified: FileTime,
    permissions: Permissions,
}

/// The directories of the staged tree, by their paths within it.
struct Survey(HashMap<PathBuf, StagedDirectory>);

impl Survey {
    fn of(staged: &Path, pieces: &[Piece]) -> Result<Self, PlaceError> {
        let mut owners = HashMap::new();
        for (index, piece) in pieces.iter().enumerate() {
            for file in &piece.files {
                owners.insert(file.below(Path::new("")), index);
            }
        }
        let mut directories: HashMap<PathBuf, StagedDirectory> = HashMap::new();
        let mut walk = walkdir::WalkDir::new(staged).min_depth(1).into_iter();
        while let Some(entry) = walk.next() {
            let entry = entry.map_err(|error| {
                let path = error.path().unwrap_or(staged).to_owned();
                PlaceError::file("read", path)(error.into())
            })?;
            let Ok(path) = entry.path().strip_prefix(staged).map(Path::to_owned) else {
                continue;
            };
            let owner = owners.get(&path).copied();
            if entry.file_type().is_dir() && owner.is_none() {
                let facts = entry
                    .metadata()
                    .map_err(|error| PlaceError::file("look at", entry.path())(error.into()))?;
                directories.insert(
                    path,
                    StagedDirectory {
                        owner: Owner::Nobody,
                        modified: FileTime::from_last_modification_time(&facts),
                        permissions: facts.permissions(),
                    },
                );
                continue;
            }
            if entry.file_type().is_dir() {
                walk.skip_current_dir();
            }
            let owner = owner.map_or(Owner::Mixed, Owner::Piece);
            for above in path.ancestors().skip(1) {
                if let Some(directory) = directories.get_mut(above) {
                    directory.owner = directory.owner.and(owner);
                }
            }
        }
        Ok(Self(directories))
    }

    /// The outermost directory that holds `file`, belongs to the piece alone, and is not in the root.
    fn movable_directory<'a>(&self, piece: usize, file: &'a Path, root: &Path) -> Option<&'a Path> {
        file.ancestors()
            .skip(1)
            .filter(|above| {
                self.0
                    .get(*above)
                    .is_some_and(|directory| directory.owner == Owner::Piece(piece))
            })
            .filter(|above| is_absent(&root.join(above)))
            .last()
    }
}

/// The work of putting pieces of one staged tree into one root.
struct Placing<'a> {
    moves: &'a dyn Moves,
    staged: &'a Path,
    root: &'a Path,
    /// Directories of the root that are known to be there, by their paths in it.
    there: HashSet<PathBuf>,
    /// Those of them that were made here, for a piece that stayed.
    made: Vec<PathBuf>,
}

impl<'a> Placing<'a> {
    fn new(moves: &'a dyn Moves, staged: &'a Path, root: &'a Path) -> Self {
        Self {
            moves,
            staged,
            root,
            there: HashSet::from([PathBuf::new()]),
            made: Vec::new(),
        }
    }

    /// Puts one piece in place. `Ok(false)`: something of it is there, and nothing was changed.
    fn place(&mut self, index: usize, piece: &Piece, survey: &Survey) -> Result<bool, PlaceError> {
        for file in &piece.files {
            let staged = file.below(self.staged);
            if is_absent(&staged) {
                return Err(PlaceError::NotStaged {
                    piece: piece.name.clone(),
                    path: staged,
                });
            }
            if !is_absent(&file.below(self.root)) {
                return Ok(false);
            }
        }
        let mut made = Vec::new();
        let mut done = Vec::new();
        for path in steps(index, piece, survey, self.root) {
            match self.step(&path, survey, &mut made) {
                Ok(()) => done.push(path),
                Err(failure) => {
                    self.undo(&piece.name, &done, &made)?;
                    return match failure {
                        PlaceError::File { source, .. } if is_in_the_way(&source) => Ok(false),
                        failure => Err(failure),
                    };
                }
            }
        }
        self.made.append(&mut made);
        Ok(true)
    }

    /// Makes the directories above `path` and moves it there.
    fn step(
        &mut self,
        path: &Path,
        survey: &Survey,
        made: &mut Vec<PathBuf>,
    ) -> Result<(), PlaceError> {
        let mut missing: Vec<_> = path
            .ancestors()
            .skip(1)
            .take_while(|above| !self.there.contains(*above))
            .collect();
        while let Some(above) = missing.pop() {
            let target = self.root.join(above);
            if !target.is_dir() {
                let permissions = match survey.0.get(above) {
                    Some(directory) => directory.permissions.clone(),
                    None => {
                        return Err(PlaceError::file("look at", self.staged.join(above))(
                            io::ErrorKind::NotFound.into(),
                        ));
                    }
                };
                match self.moves.make_directory(&target, &permissions) {
                    Ok(()) => made.push(above.to_owned()),
                    // Another process was faster: that is a directory as well, or the move below says so.
                    Err(error) if target.is_dir() => tracing::debug!("{error}"),
                    Err(error) => return Err(PlaceError::file("create", target)(error)),
                }
            }
            self.there.insert(above.to_owned());
        }
        let target = self.root.join(path);
        self.moves
            .move_new(&self.staged.join(path), &target)
            .map_err(PlaceError::file("put in place", target))
    }

    /// Takes back what was moved, the last first, and removes the directories that were made for it.
    fn undo(&mut self, piece: &str, done: &[PathBuf], made: &[PathBuf]) -> Result<(), PlaceError> {
        for path in done.iter().rev() {
            let target = self.root.join(path);
            self.moves
                .move_new(&target, &self.staged.join(path))
                .map_err(|source| PlaceError::LeftInPart {
                    piece: piece.to_owned(),
                    path: target,
                    source,
                })?;
        }
        for path in made {
            self.there.remove(path);
        }
        let made: Vec<_> = made.iter().map(|path| self.root.join(path)).collect();
        remove_empty(made.iter().rev());
        Ok(())
    }

    /// Gives the directories that were made here the times of the staged ones.
    fn set_times(&self, survey: &Survey) {
        // Deepest first, so that on file systems where it matters no parent is touched after it was set.
        for path in self.made.iter().rev() {
            if let Some(directory) = survey.0.get(path) {
                let target = self.root.join(path);
                if let Err(error) = filetime::set_file_mtime(&target, directory.modified) {
                    tracing::debug!("failed to set the time of {}: {error}", target.display());
                }
            }
        }
    }
}

/// What is moved for a piece, in order: its files, or directories of it, each in place of its last file.
fn steps(index: usize, piece: &Piece, survey: &Survey, root: &Path) -> Vec<PathBuf> {
    let mut steps = Vec::new();
    let mut seen = HashSet::new();
    for file in piece.files.iter().rev() {
        let file = file.below(Path::new(""));
        let step = survey
            .movable_directory(index, &file, root)
            .map_or_else(|| file.clone(), Path::to_owned);
        if seen.insert(step.clone()) {
            steps.push(step);
        }
    }
    steps.reverse();
    steps
}

/// Whether there is nothing at `path`. What cannot be looked at is there.
fn is_absent(path: &Path) -> bool {
    matches!(fs::symlink_metadata(path), Err(error) if error.kind() == io::ErrorKind::NotFound)
}

/// Whether this error means that something else lies where a piece should go.
fn is_in_the_way(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::AlreadyExists | io::ErrorKind::NotADirectory
    )
}

/// Makes the directories above `path` that are missing, and returns them, outermost first.
fn make_above(path: &Path) -> Result<Vec<PathBuf>, PlaceError> {
    let missing: Vec<_> = path
        .ancestors()
        .skip(1)
        .take_while(|above| !above.is_dir())
        .map(Path::to_owned)
        .collect();
    let mut made = Vec::new();
    for directory in missing.into_iter().rev() {
        match fs::create_dir(&directory) {
            Ok(()) => made.push(directory),
            Err(_) if directory.is_dir() => {}
            Err(error) => {
                remove_empty(made.iter().rev());
                return Err(PlaceError::file("create", directory)(error));
            }
        }
    }
    Ok(made)
}

/// Removes directories that we made, unless somebody has put something into them.
fn remove_empty<'a>(directories: impl Iterator<Item = &'a PathBuf>) {
    for directory in directories {
        if let Err(error) = fs::remove_dir(directory) {
            tracing::debug!("{error}");
        }
    }
}

/// The names of what a directory holds, sorted.
fn names_in(directory: &Path) -> Result<Vec<std::ffi::OsString>, PlaceError> {
    let entries = fs::read_dir(directory).map_err(PlaceError::file("list", directory))?;
    let mut names = entries
        .map(|entry| Ok(entry?.file_name()))
        .collect::<io::Result<Vec<_>>>()
        .map_err(PlaceError::file("list", directory))?;
    names.sort();
    Ok(names)
}

#[cfg(test)]
#[path = "put_tests.rs"]
mod tests;
