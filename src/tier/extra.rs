//! The `extra` tier: directories that the user listed, as they are.
//!
//! Invariant: a root's name depends on what the user wrote, never on where it leads on this machine, so that an entry
//! of one machine fits another. A directory that holds far more than a cache (`/`, HOME, what the project lies in) is
//! refused: restoring into it could not be undone, and packing it would take credentials along.
//!
//! An entry says which of the listed directories it holds, and its key ends in a digest of that: an entry can't be
//! changed once it is stored, so a directory that came to be only later needs a key of its own. What lies in the
//! directories is in no key: as long as the lockfile stays, so does the entry.

use std::{
    collections::BTreeMap,
    path::{Component, Path, PathBuf},
};

use super::walk::{TierFile, walk};
use crate::{
    archive::path::RelativePath,
    key::{DigestBuilder, Fact, KeyPart, PartName},
};

/// A directory of the list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExtraRoot {
    /// Its name as a root in archives: `extra/` and 8 hexadecimal digits of what the user wrote.
    pub name: RelativePath,
    /// What the user wrote, without `.` parts and doubled or trailing separators.
    pub written: String,
    /// Where it is, absolute.
    pub directory: PathBuf,
}

/// The directories of a list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtraRoots {
    /// Each directory once, sorted by name.
    pub roots: Vec<ExtraRoot>,
    /// What of the list was left out, and why, for people.
    pub notes: Vec<String>,
}

/// What a directory of the list holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExtraTree {
    /// All files, links and directories below it, sorted by path, relative to it. Links are not followed.
    pub files: Vec<TierFile>,
    /// What was left out, and why, for people.
    pub notes: Vec<String>,
}

/// A directory that cannot be cached.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExtraError {
    /// It holds far more than a cache.
    #[error("{written} is {what}, and not something to cache")]
    TooBroad {
        /// What the user wrote.
        written: String,
        /// What it is.
        what: &'static str,
    },
    /// It begins with `~`, and there is no home directory, or it is another user's.
    #[error("{written} lies in a home directory that is not known")]
    NoHome {
        /// What the user wrote.
        written: String,
    },
}

/// Turns the list of the setting into roots. Relative entries count from `project`, which is absolute, as is `home`.
/// Looks at nothing on disk, and so gives the same answer before a restore and after the job.
pub fn roots(
    list: &[String],
    project: &Path,
    home: Option<&Path>,
) -> Result<ExtraRoots, ExtraError> {
    let mut by_directory: BTreeMap<PathBuf, String> = BTreeMap::new();
    let mut notes = Vec::new();
    for written in list {
        let written = tidy(written.trim());
        if written.is_empty() {
            continue;
        }
        let directory = resolve(&written, project, home)?;
        if let Some(what) = too_broad(&directory, project, home) {
            return Err(ExtraError::TooBroad { written, what });
        }
        // Of several spellings of one directory the first in the alphabet names it, whatever their order in the list.
        let kept = by_directory
            .entry(directory)
            .or_insert_with(|| written.clone());
        if written != *kept {
            notes.push(format!("{written} is the same directory as {kept}"));
            if written < *kept {
                *kept = written;
            }
        }
    }
    let mut roots: Vec<ExtraRoot> = Vec::new();
    // Sorted by path, a directory comes right before all that lies in it.
    for (directory, written) in by_directory {
        match roots.last() {
            Some(outer) if directory.starts_with(&outer.directory) => {
                notes.push(format!(
                    "{written} lies in {}, which is listed",
                    outer.written
                ));
            }
            _ => roots.push(ExtraRoot {
                name: root_name(&written),
                written,
                directory,
            }),
        }
    }
    roots.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(ExtraRoots { roots, notes })
}

impl ExtraRoots {
    /// The list as the part of the key that names it.
    pub fn list(&self) -> KeyPart {
        KeyPart::new(
            PartName::List,
            self.roots
                .iter()
                .map(|root| Fact::new("directory", &root.written)),
        )
    }
}

/// What an entry holds, as the last part of its key: the directories, as the user wrote them.
pub fn set(held: &[String]) -> KeyPart {
    let facts = held.iter().map(|written| Fact::new("directory", written));
    KeyPart::new(PartName::Set, facts)
}

impl ExtraRoot {
    /// Lists what the directory holds. `Err` is a note for people: there is nothing to pack.
    ///
    /// To put an unpacked one back, use [`crate::place::place_where_empty`]: it is whole or not at all.
    pub fn read(&self) -> Result<ExtraTree, String> {
        if !self.directory.is_dir() {
            return Err(format!("{} is not there", self.written));
        }
        // A link that the user listed is followed; links below it are not.
        let directory = fs_err::canonicalize(&self.directory).map_err(|error| error.to_string())?;
        let walked = walk(&directory, None);
        Ok(ExtraTree {
            files: walked.files,
            notes: walked.notes,
        })
    }
}

/// Removes what does not change the meaning of a path, and writes `/` between its parts.
fn tidy(written: &str) -> String {
    let separator = |letter: char| letter == '/' || (cfg!(windows) && letter == '\\');
    let parts: Vec<_> = written
        .split(separator)
        .filter(|part| !part.is_empty() && *part != ".")
        .collect();
    let start = if written.starts_with(separator) {
        "/"
    } else {
        ""
    };
    let tidied = format!("{start}{}", parts.join("/"));
    // `.` alone is the project itself.
    if tidied.is_empty() && !written.is_empty() {
        ".".to_owned()
    } else {
        tidied
    }
}

fn resolve(written: &str, project: &Path, home: Option<&Path>) -> Result<PathBuf, ExtraError> {
    let no_home = || ExtraError::NoHome {
        written: written.to_owned(),
    };
    let path = match written.strip_prefix('~') {
        None => project.join(written),
        Some("") => home.ok_or_else(no_home)?.to_owned(),
        Some(rest) => {
            let below = rest.strip_prefix('/').ok_or_else(no_home)?;
            home.ok_or_else(no_home)?.join(below)
        }
    };
    Ok(without_parents(&path))
}

/// Resolves `..` by name. (Links are not looked at: the directory may not be there yet.)
fn without_parents(path: &Path) -> PathBuf {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                plain.pop();
            }
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    plain
}

fn too_broad(directory: &Path, project: &Path, home: Option<&Path>) -> Option<&'static str> {
    if directory.parent().is_none() {
        return Some("the root of the file system");
    }
    if home.is_some_and(|home| without_parents(home).starts_with(directory)) {
        return Some("the home directory or above it");
    }
    if without_parents(project).starts_with(directory) {
        return Some("the project or above it");
    }
    None
}

fn root_name(written: &str) -> RelativePath {
    let mut builder = DigestBuilder::new();
    let digits = builder.field("directory", written).finish().short();
    RelativePath::new(format!("extra/{digits}"))
        .expect("invariant: hexadecimal digits make a plain path")
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROJECT: &str = "/work/project";
    const HOME: &str = "/home/me";

    fn plan(list: &[&str]) -> Result<ExtraRoots, ExtraError> {
        let list: Vec<_> = list.iter().map(|&written| written.to_owned()).collect();
        roots(&list, Path::new(PROJECT), Some(Path::new(HOME)))
    }

    fn directories(list: &[&str]) -> Vec<PathBuf> {
        let roots = plan(list).unwrap().roots;
        let mut directories: Vec<_> = roots.into_iter().map(|root| root.directory).collect();
        directories.sort();
        directories
    }

    #[rstest::rstest]
    #[case("models", "/work/project/models")]
    #[case("./a//b/", "/work/project/a/b")]
    #[case("../shared", "/work/shared")]
    #[case("~/.cache/x", "/home/me/.cache/x")]
    #[case("/opt/x", "/opt/x")]
    #[case(" target-x ", "/work/project/target-x")]
    fn a_listed_directory_is_where_the_user_means(#[case] written: &str, #[case] path: &str) {
        assert_eq!(directories(&[written]), [Path::new(path)]);
    }

    #[rstest::rstest]
    #[case("/")]
    #[case("/..")]
    #[case("~")]
    #[case("~/")]
    #[case("/home")]
    #[case(".")]
    #[case("..")]
    #[case("x/..")]
    #[case("/work")]
    #[case("/work/project")]
    fn what_holds_more_than_a_cache_is_refused(#[case] written: &str) {
        assert!(matches!(plan(&[written]), Err(ExtraError::TooBroad { .. })));
    }

    #[rstest::rstest]
    #[case("~other/x", Some(HOME))]
    #[case("~/x", None)]
    fn a_home_that_is_not_known_is_refused(#[case] written: &str, #[case] home: Option<&str>) {
        let list = [written.to_owned()];
        let result = roots(&list, Path::new(PROJECT), home.map(Path::new));
        assert!(matches!(result, Err(ExtraError::NoHome { .. })));
    }

    #[test]
    fn a_directory_that_is_listed_twice_or_lies_in_another_counts_once() {
        let found = plan(&["b/c", "b", "./b", "/work/project/b", "b-2", ""]).unwrap();
        assert_eq!(
            directories(&["b/c", "b", "/work/project/b", "b-2"]),
            ["/work/project/b", "/work/project/b-2"].map(PathBuf::from)
        );
        assert_eq!(found.notes.len(), 2);
    }

    #[test]
    fn names_depend_on_what_was_written_and_not_on_the_order() {
        let names = |list: &[&str]| -> Vec<_> {
            let roots = plan(list).unwrap().roots;
            roots.into_iter().map(|root| root.name).collect()
        };
        assert_eq!(
            names(&["a", "/work/project/b", "b"]),
            names(&["b", "a/", "/work/project/b"])
        );
        let elsewhere = roots(&["a".to_owned()], Path::new("/elsewhere"), None).unwrap();
        assert_eq!(names(&["a"]), [elsewhere.roots[0].name.clone()]);
    }

    fn root_at(directory: &Path) -> ExtraRoot {
        let list = [directory.to_str().unwrap().to_owned()];
        roots(&list, Path::new(PROJECT), None)
            .unwrap()
            .roots
            .remove(0)
    }

    #[test]
    fn a_directory_that_is_missing_is_a_note() {
        let directory = tempfile::tempdir().unwrap();
        let root = root_at(&directory.path().join("missing"));
        assert!(root.read().unwrap_err().contains("is not there"));
    }

    #[cfg(unix)]
    #[test]
    fn links_are_listed_and_not_followed() {
        let directory = tempfile::tempdir().unwrap();
        fs_err::create_dir(directory.path().join("empty")).unwrap();
        fs_err::write(directory.path().join("file"), "12345").unwrap();
        fs_err::os::unix::fs::symlink("/", directory.path().join("link")).unwrap();
        let tree = root_at(directory.path()).read().unwrap();
        let files: Vec<_> = tree
            .files
            .iter()
            .map(|file| (file.path.as_str(), file.bytes))
            .collect();
        assert_eq!(files, [("empty", 0), ("file", 5), ("link", 0)]);
    }

    #[cfg(unix)]
    #[test]
    fn what_cannot_be_packed_is_a_note() {
        let directory = tempfile::tempdir().unwrap();
        let name = <std::ffi::OsStr as std::os::unix::ffi::OsStrExt>::from_bytes(b"\xff");
        fs_err::write(directory.path().join(name), "").unwrap();
        let _socket = std::os::unix::net::UnixListener::bind(directory.path().join("s")).unwrap();
        let tree = root_at(directory.path()).read().unwrap();
        assert!(tree.files.is_empty());
        assert_eq!(tree.notes.len(), 2);
    }

    #[test]
    fn staging_of_hotcrate_is_not_content() {
        let directory = tempfile::tempdir().unwrap();
        fs_err::create_dir_all(directory.path().join(".hotcrate-stage-1/tree")).unwrap();
        assert!(root_at(directory.path()).read().unwrap().files.is_empty());
    }
}
