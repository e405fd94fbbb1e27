//! One walk over a target directory, which sorts what it meets by where it lies and reads no file.
//!
//! A profile directory is known by what is in it, never by its name: target triples, custom profiles and nested target
//! directories (`llvm-cov-target`, `miri`) need no list. Stating comes before reading: access times are still those
//! that Cargo left.
//!
//! What can't be listed or named becomes a note, and marks the piece it is part of as unpackable.

use std::{
    fs::{FileType, Metadata},
    io,
    path::{Component, Path, PathBuf},
    time::SystemTime,
};

use super::{
    FileKind, LeftOut, LeftOutReason, Note, UnitFile,
    fingerprint::{is_hash, split_hash},
};
use crate::archive::path::RelativePath;

/// How deep below the target directory profile directories are looked for: `miri/<triple>/<profile>` and one more.
pub(super) const DEEPEST_PROFILE: usize = 4;
const LOCKS: [&str; 4] = [
    ".cargo-lock",
    ".cargo-build-lock",
    ".cargo-artifact-lock",
    ".lock",
];
const SCRATCH: [&str; 5] = ["tmp", "cargo-timings", "package", "nextest", "criterion"];

/// A file, link or directory with what its `stat` says.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub file: UnitFile,
    pub modified: SystemTime,
    pub accessed: SystemTime,
    /// Where a link points to, within the target directory.
    pub link: Option<RelativePath>,
}

impl Entry {
    pub(super) fn name(&self) -> &str {
        self.file.path.file_name()
    }

    /// What comes after the last dot of the name. Cargo writes no extension in capitals.
    pub(super) fn extension(&self) -> Option<&str> {
        extension(self.name())
    }
}

/// What comes after the last dot of `name`.
pub(super) fn extension(name: &str) -> Option<&str> {
    name.rsplit_once('.').map(|(_, extension)| extension)
}

/// A directory that belongs together, or a single file, with the name that tells to whom.
#[derive(Debug, Default)]
pub(super) struct Piece {
    pub name: String,
    pub entries: Vec<Entry>,
    /// Whether something in it can't be packed.
    pub is_unpackable: bool,
}

/// What lies in one profile directory.
#[derive(Debug)]
pub(super) struct Profile {
    pub path: RelativePath,
    /// `.fingerprint/<package>-<hash>`.
    pub fingerprints: Vec<Piece>,
    /// `deps/*`, named by the first part.
    pub deps: Vec<Piece>,
    /// `examples/*`, likewise.
    pub examples: Vec<Piece>,
    /// `build/<package>-<hash>`.
    pub builds: Vec<Piece>,
    /// `build/<package>/<hash>`: the package, and the piece named by the hash.
    pub units: Vec<(String, Piece)>,
    /// The files of the profile directory itself.
    pub loose: Vec<Piece>,
}

/// What lies in a target directory.
#[derive(Debug, Default)]
pub(super) struct Scan {
    pub profiles: Vec<Profile>,
    pub shared: Vec<UnitFile>,
    pub artefacts: Vec<UnitFile>,
    pub left_out: Vec<LeftOut>,
    pub notes: Vec<Note>,
}

/// Walks over the target directory `root`. Fails only if `root` itself can't be listed.
pub(super) fn scan(root: &Path) -> io::Result<Scan> {
    let mut scanner = Scanner {
        root,
        scan: Scan::default(),
    };
    let children = scanner.list(None)?;
    scanner.level(children, 0);
    Ok(scanner.scan)
}

struct Child {
    path: RelativePath,
    file_type: FileType,
}

impl Child {
    fn name(&self) -> &str {
        self.path.file_name()
    }
}

struct Scanner<'a> {
    root: &'a Path,
    scan: Scan,
}

impl Scanner<'_> {
    fn absolute(&self, path: Option<&RelativePath>) -> PathBuf {
        path.map_or_else(|| self.root.to_owned(), |path| path.below(self.root))
    }

    fn leave_out(&mut self, path: &RelativePath, reason: LeftOutReason) {
        self.scan.left_out.push(LeftOut {
            path: path.to_string(),
            reason,
        });
    }

    fn note(&mut self, path: impl Into<String>, text: impl Into<String>) {
        self.scan.notes.push(Note {
            path: path.into(),
            text: text.into(),
        });
    }

    /// The children of a directory that have names an archive can hold; the others are noted and left out.
    fn list(&mut self, directory: Option<&RelativePath>) -> io::Result<Vec<Child>> {
        let mut children = Vec::new();
        for child in fs_err::read_dir(self.absolute(directory))? {
            let child = child?;
            let name = child.file_name();
            let path = match (directory, name.to_str()) {
                (None, Some(name)) => RelativePath::new(name).ok(),
                (Some(directory), Some(name)) => {
                    RelativePath::new(format!("{directory}/{name}")).ok()
                }
                (_, None) => None,
            };
            if let Some(path) = path {
                children.push(Child {
                    path,
                    file_type: child.file_type()?,
                });
            } else {
                let name = name.to_string_lossy();
                let path = directory.map_or_else(
                    || name.to_string(),
                    |directory| format!("{directory}/{name}"),
                );
                self.scan.left_out.push(LeftOut {
                    path: path.clone(),
                    reason: LeftOutReason::Unpackable,
                });
                self.note(path, "its name has no place in an archive");
            }
        }
        Ok(children)
    }

    /// As [`Scanner::list`]; a directory that can't be listed is noted and empty.
    fn list_or_note(&mut self, directory: &RelativePath) -> Vec<Child> {
        match self.list(Some(directory)) {
            Ok(children) => children,
            Err(error) => {
                self.note(directory.as_str(), format!("could not be read: {error}"));
                self.leave_out(directory, LeftOutReason::Unpackable);
                Vec::new()
            }
        }
    }

    fn entry(&mut self, child: &Child) -> Option<Entry> {
        let absolute = child.path.below(self.root);
        let described = fs_err::symlink_metadata(&absolute).map_err(|error| error.to_string());
        let described = described.and_then(|metadata| {
            let (kind, link) = if metadata.is_symlink() {
                let target = fs_err::read_link(&absolute).map_err(|error| error.to_string())?;
                let target = link_target(&child.path, &target).ok_or_else(|| {
                    format!(
                        "it is a link out of the target directory, to {}",
                        target.display()
                    )
                })?;
                (FileKind::Link, Some(target))
            } else if metadata.is_dir() {
                (FileKind::Directory, None)
            } else if metadata.is_file() {
                (FileKind::File, None)
            } else {
                return Err("it is neither a file nor a link".to_owned());
            };
            Ok(entry(child.path.clone(), kind, link, &metadata))
        });
        match described {
            Ok(entry) => Some(entry),
            Err(text) => {
                self.note(child.path.as_str(), text);
                self.leave_out(&child.path, LeftOutReason::Unpackable);
                None
            }
        }
    }

    /// A directory of a target directory that is no profile directory.
    fn level(&mut self, children: Vec<Child>, depth: usize) {
        for child in children {
            if child.file_type.is_dir() {
                self.directory(&child, depth);
                continue;
            }
            match child.name() {
                "CACHEDIR.TAG" | ".rustc_info.json" if child.file_type.is_file() => {
                    if let Some(entry) = self.entry(&child) {
                        self.scan.shared.push(entry.file);
                    }
                }
                ".rustdoc_fingerprint.json" if child.file_type.is_file() => {
                    if let Some(entry) = self.entry(&child) {
                        self.scan.artefacts.push(entry.file);
                    }
                }
                name if LOCKS.contains(&name) => self.leave_out(&child.path, LeftOutReason::Lock),
                _ => self.leave_out(&child.path, LeftOutReason::Unknown),
            }
        }
    }

    fn directory(&mut self, child: &Child, depth: usize) {
        let name = child.name();
        if name == "doc" {
            self.documentation(&child.path);
        } else if SCRATCH.contains(&name) || name.starts_with(".hotcrate-") {
            self.leave_out(&child.path, LeftOutReason::Scratch);
        } else if name == "incremental" {
            self.leave_out(&child.path, LeftOutReason::Incremental);
        } else if depth == DEEPEST_PROFILE {
            self.leave_out(&child.path, LeftOutReason::Unknown);
        } else {
            let children = self.list_or_note(&child.path);
            if self.is_profile(&children) {
                self.profile(child.path.clone(), children);
                return;
            }
            let kept = |scan: &Scan| scan.profiles.len() + scan.shared.len() + scan.artefacts.len();
            let (kept_before, left_out_before) = (kept(&self.scan), self.scan.left_out.len());
            self.level(children, depth + 1);
            if kept(&self.scan) == kept_before {
                self.scan.left_out.truncate(left_out_before);
                self.leave_out(&child.path, LeftOutReason::Unknown);
            }
        }
    }

    fn documentation(&mut self, path: &RelativePath) {
        let mut piece = Piece::default();
        self.collect(path, &mut piece);
        for entry in piece.entries {
            if LOCKS.contains(&entry.name()) {
                self.leave_out(&entry.file.path, LeftOutReason::Lock);
            } else if entry.file.kind != FileKind::Directory {
                self.scan.artefacts.push(entry.file);
            }
        }
    }

    /// Whether a directory with these children is a profile directory. Lock files tell, but are not packed: in what
    /// was just restored, only the units do.
    fn is_profile(&mut self, children: &[Child]) -> bool {
        let is_directory = |name| {
            children
                .iter()
                .find(|child| child.name() == name && child.file_type.is_dir())
        };
        if is_directory(".fingerprint").is_some()
            || children
                .iter()
                .any(|child| LOCKS[..3].contains(&child.name()))
        {
            return true;
        }
        let Some(build) = is_directory("build") else {
            return false;
        };
        let packages = self.list_or_note(&build.path);
        packages
            .iter()
            .filter(|package| package.file_type.is_dir())
            .any(|package| has_unit_directories(&self.list_or_note(&package.path)))
    }

    fn profile(&mut self, path: RelativePath, children: Vec<Child>) {
        let mut profile = Profile {
            path,
            fingerprints: Vec::new(),
            deps: Vec::new(),
            examples: Vec::new(),
            builds: Vec::new(),
            units: Vec::new(),
            loose: Vec::new(),
        };
        for child in children {
            if !child.file_type.is_dir() {
                if LOCKS.contains(&child.name()) {
                    self.leave_out(&child.path, LeftOutReason::Lock);
                } else {
                    profile.loose.push(self.piece(&child));
                }
                continue;
            }
            match child.name() {
                ".fingerprint" => profile.fingerprints = self.pieces(&child.path),
                "deps" => profile.deps = self.pieces(&child.path),
                "examples" => profile.examples = self.pieces(&child.path),
                "build" => self.builds(&child.path, &mut profile),
                "incremental" => self.leave_out(&child.path, LeftOutReason::Incremental),
                "doc" => self.documentation(&child.path),
                name if name.starts_with(".hotcrate-") => {
                    self.leave_out(&child.path, LeftOutReason::Scratch);
                }
                name if extension(name) == Some("dSYM") => {
                    self.leave_out(&child.path, LeftOutReason::Leftover);
                }
                _ => self.leave_out(&child.path, LeftOutReason::Unknown),
            }
        }
        self.scan.profiles.push(profile);
    }

    /// A piece for each child of `directory`. Artifact dependencies lie one level deeper, below `artifact`.
    fn pieces(&mut self, directory: &RelativePath) -> Vec<Piece> {
        let mut pieces = Vec::new();
        for child in self.list_or_note(directory) {
            if child.file_type.is_dir() && child.name() == "artifact" {
                pieces.extend(self.pieces(&child.path));
            } else {
                pieces.push(self.piece(&child));
            }
        }
        pieces
    }

    fn builds(&mut self, directory: &RelativePath, profile: &mut Profile) {
        for child in self.list_or_note(directory) {
            if !child.file_type.is_dir() {
                self.leave_out(&child.path, LeftOutReason::Unknown);
                continue;
            }
            let children = self.list_or_note(&child.path);
            if split_hash(child.name()).is_some() && !has_unit_directories(&children) {
                profile.builds.push(self.piece(&child));
                continue;
            }
            for unit in children {
                if unit.file_type.is_dir() && is_hash(unit.name()) {
                    let piece = self.piece(&unit);
                    profile.units.push((child.name().to_owned(), piece));
                } else {
                    self.leave_out(&unit.path, LeftOutReason::Unknown);
                }
            }
        }
    }

    fn piece(&mut self, child: &Child) -> Piece {
        let mut piece = Piece {
            name: child.name().to_owned(),
            ..Piece::default()
        };
        if child.file_type.is_dir() {
            self.collect(&child.path, &mut piece);
        } else {
            match self.entry(child) {
                Some(entry) => piece.entries.push(entry),
                None => piece.is_unpackable = true,
            }
        }
        piece
    }

    /// Adds everything below `directory` to `piece`.
    fn collect(&mut self, directory: &RelativePath, piece: &mut Piece) {
        let notes = self.scan.notes.len();
        let children = self.list_or_note(directory);
        for child in children {
            if let Some(entry) = self.entry(&child) {
                piece.entries.push(entry);
            }
            if child.file_type.is_dir() {
                self.collect(&child.path, piece);
            }
        }
        piece.is_unpackable |= self.scan.notes.len() > notes;
    }
}

fn has_unit_directories(children: &[Child]) -> bool {
    children
        .iter()
        .any(|child| child.file_type.is_dir() && is_hash(child.name()))
}

fn entry(
    path: RelativePath,
    kind: FileKind,
    link: Option<RelativePath>,
    metadata: &Metadata,
) -> Entry {
    Entry {
        file: UnitFile {
            path,
            kind,
            bytes: if kind == FileKind::File {
                metadata.len()
            } else {
                0
            },
            inode: inode(metadata),
            is_fingerprint: false,
        },
        modified: metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH),
        accessed: metadata.accessed().unwrap_or(SystemTime::UNIX_EPOCH),
        link,
    }
}

#[cfg(unix)]
#[expect(
    clippy::unnecessary_wraps,
    reason = "the standard library knows no such number elsewhere"
)]
fn inode(metadata: &Metadata) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    Some((metadata.dev(), metadata.ino()))
}

#[cfg(not(unix))]
fn inode(_metadata: &Metadata) -> Option<(u64, u64)> {
    None
}

/// Where the link `link` with the text `target` points to, relative to the target directory, by the text alone.
/// `None` if that is outside.
fn link_target(link: &RelativePath, target: &Path) -> Option<RelativePath> {
    let parent = link.parent();
    let mut parts: Vec<&str> = parent.iter().flat_map(RelativePath::parts).collect();
    for component in target.components() {
        match component {
            Component::Normal(part) => parts.push(part.to_str()?),
            Component::CurDir => {}
            Component::ParentDir => {
                parts.pop()?;
            }
            Component::RootDir | Component::Prefix(_) => return None,
        }
    }
    RelativePath::new(parts.join("/")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("libz.so.1", Some("debug/build/z/out/libz.so.1"))]
    #[case("../../x/y", Some("debug/build/x/y"))]
    #[case("../../../../inside", Some("inside"))]
    #[case("../../../../../outside", None)]
    #[case("/usr/lib/libz.so", None)]
    fn links_are_followed_by_their_text_alone(
        #[case] target: &str,
        #[case] expected: Option<&str>,
    ) {
        let link = RelativePath::new("debug/build/z/out/libz.so").expect("plain");
        let found = link_target(&link, Path::new(target));
        assert_eq!(found.as_ref().map(RelativePath::as_str), expected);
    }
}
