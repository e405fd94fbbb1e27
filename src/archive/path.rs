//! Names inside an archive, which can lead nowhere but into a root.
//!
//! Invariant: a [`RelativePath`] joined to a directory stays below that directory, on every platform, as long as no
//! component of it is a link (who writes through one checks that). Nothing unchecked ever becomes a path.

use std::{
    fmt,
    path::{Component, Path, PathBuf},
};

use serde::{Deserialize, Serialize};

/// A UTF-8 path with `/` between its parts, relative, without `.`, `..`, empty parts, or what Windows reads as
/// something else (drive letters, `\`, `:`). On Windows, without names that it gives to devices or cannot keep either.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct RelativePath(String);

/// Why some text is not a [`RelativePath`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path:?} does not stay inside its root ({reason})")]
pub struct EscapingPath {
    /// The path as it was found.
    pub path: String,
    /// Which rule it breaks.
    pub reason: &'static str,
}

impl RelativePath {
    /// Checks `path`, which has `/` between its parts.
    pub fn new(path: impl Into<String>) -> Result<Self, EscapingPath> {
        let path = path.into();
        match refusal(&path) {
            None => Ok(Self(path)),
            Some(reason) => Err(EscapingPath { path, reason }),
        }
    }

    /// Turns a native path that is relative already into a [`RelativePath`]. Fails if it is not UTF-8.
    pub fn from_native(path: &Path) -> Result<Self, EscapingPath> {
        let escaping = |reason| EscapingPath {
            path: path.display().to_string(),
            reason,
        };
        let mut parts = Vec::new();
        for component in path.components() {
            match component {
                Component::Normal(part) => {
                    parts.push(part.to_str().ok_or_else(|| escaping("it is not UTF-8"))?);
                }
                Component::CurDir => {}
                Component::ParentDir => return Err(escaping("it has a `..` in it")),
                Component::RootDir | Component::Prefix(_) => {
                    return Err(escaping("it is absolute"));
                }
            }
        }
        Self::new(parts.join("/"))
    }

    /// The text, with `/` between the parts.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The parts of the path, outermost first.
    pub fn parts(&self) -> impl DoubleEndedIterator<Item = &str> {
        self.0.split('/')
    }

    /// The texts of the directories above this path, the nearest first.
    pub fn ancestors(&self) -> impl Iterator<Item = &str> {
        std::iter::successors(Some(self.0.as_str()), |path| {
            path.rsplit_once('/').map(|(above, _)| above)
        })
        .skip(1)
    }

    /// The last part.
    pub fn file_name(&self) -> &str {
        self.0.rsplit('/').next().unwrap_or(&self.0)
    }

    /// The path without its last part, or `None` if there is only one.
    pub fn parent(&self) -> Option<Self> {
        self.0
            .rsplit_once('/')
            .map(|(parent, _)| Self(parent.to_owned()))
    }

    /// This path with `below` added behind it.
    #[must_use]
    pub fn join(&self, below: &Self) -> Self {
        Self(format!("{}/{}", self.0, below.0))
    }

    /// The rest of this path below `directory`, if it lies there and is not `directory` itself.
    pub fn strip_prefix(&self, directory: &Self) -> Option<Self> {
        let rest = self.0.strip_prefix(directory.as_str())?.strip_prefix('/')?;
        Some(Self(rest.to_owned()))
    }

    /// The native path of this one below `directory`.
    pub fn below(&self, directory: &Path) -> PathBuf {
        let mut path = directory.to_owned();
        path.extend(self.parts());
        path
    }
}

impl fmt::Display for RelativePath {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(&self.0)
    }
}

impl TryFrom<String> for RelativePath {
    type Error = EscapingPath;

    fn try_from(path: String) -> Result<Self, Self::Error> {
        Self::new(path)
    }
}

impl From<RelativePath> for String {
    fn from(path: RelativePath) -> Self {
        path.0
    }
}

/// The rule that `path` breaks, if it breaks one.
fn refusal(path: &str) -> Option<&'static str> {
    if path.is_empty() {
        return Some("it is empty");
    }
    if path.starts_with('/') {
        return Some("it is absolute");
    }
    if path.contains('\0') {
        return Some("it has a NUL in it");
    }
    // `C:x` and `file:stream` mean something else on Windows, and `\` separates parts there. Cargo makes no such
    // names on any platform that could then be restored on another, so they are refused everywhere.
    if path.contains('\\') || path.contains(':') {
        return Some("it has a character in it that separates paths on Windows");
    }
    path.split('/').find_map(|part| match part {
        "" => Some("it has an empty part"),
        "." => Some("it has a `.` in it"),
        ".." => Some("it has a `..` in it"),
        // Good names elsewhere: a build script may well write an `aux.rs`.
        _ if cfg!(windows) => windows_refusal(part),
        _ => None,
    })
}

/// Whether Windows keeps a file or directory of the name `part` under that name.
pub fn is_windows_name(part: &str) -> bool {
    windows_refusal(part).is_none()
}

/// The rule of Windows that the name `part` breaks, if it breaks one.
///
/// From Microsoft's "Naming Files, Paths, and Namespaces": a device stays one with whatever stands behind a dot, and
/// dots and spaces at the end are dropped, so that two names become one.
fn windows_refusal(part: &str) -> Option<&'static str> {
    const DEVICES: [&str; 6] = ["con", "prn", "aux", "nul", "conin$", "conout$"];
    const PORTS: [&str; 2] = ["com", "lpt"];

    if part.contains(['<', '>', '"', '|', '?', '*']) || part.contains(|letter| letter < ' ') {
        return Some("it has a character in it that Windows has no names with");
    }
    if part.ends_with([' ', '.']) {
        return Some("it ends in what Windows drops");
    }
    let stem = part.split('.').next().unwrap_or(part).trim_end_matches(' ');
    let stem = stem.to_lowercase();
    let is_port = PORTS.iter().any(|port| {
        stem.strip_prefix(port).is_some_and(|number| {
            matches!(number, "1" | "2" | "3" | "4" | "5" | "6" | "7" | "8" | "9")
                || matches!(number, "\u{b9}" | "\u{b2}" | "\u{b3}")
        })
    });
    (is_port || DEVICES.contains(&stem.as_str())).then_some("it is the name of a device on Windows")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("")]
    #[case("/etc/passwd")]
    #[case("..")]
    #[case("a/../../b")]
    #[case("a/./b")]
    #[case("a//b")]
    #[case("a/")]
    #[case("C:evil")]
    #[case("a\\..\\b")]
    #[case("nul\0")]
    fn a_path_that_could_leave_its_root_is_refused(#[case] path: &str) {
        assert!(RelativePath::new(path).is_err());
    }

    #[rstest::rstest]
    #[case("nul", false)]
    #[case("AUX.rs", false)]
    #[case("con.tar.gz", false)]
    #[case("com1", false)]
    #[case("LPT\u{b2}.txt", false)]
    #[case("nul .txt", false)]
    #[case("what?", false)]
    #[case("a\tb", false)]
    #[case("dot.", false)]
    #[case("space ", false)]
    #[case("auxiliary.rs", true)]
    #[case("com", true)]
    #[case("com10", true)]
    #[case("libnul-0123456789abcdef.rlib", true)]
    #[case(".fingerprint", true)]
    fn what_windows_takes_for_something_else_is_refused_there(
        #[case] part: &str,
        #[case] allowed: bool,
    ) {
        assert_eq!(windows_refusal(part).is_none(), allowed);
        if !cfg!(windows) {
            assert!(RelativePath::new(part).is_ok(), "a good name elsewhere");
        }
    }

    #[test]
    fn a_plain_path_stays_below_the_directory_it_is_joined_to() {
        let path = RelativePath::new("target/debug/deps").expect("it is plain");
        assert_eq!(
            path.below(Path::new("base")),
            Path::new("base/target/debug/deps")
        );
        assert_eq!(path.file_name(), "deps");
        assert_eq!(path.parent().expect("it has one").as_str(), "target/debug");
    }

    #[test]
    fn stripping_a_prefix_respects_whole_parts() {
        let path = RelativePath::new("target/debug").expect("it is plain");
        let strip = |prefix| path.strip_prefix(&RelativePath::new(prefix).expect("it is plain"));
        assert_eq!(strip("target").expect("it lies there").as_str(), "debug");
        assert_eq!(strip("targ"), None);
        assert_eq!(strip("target/debug"), None);
    }
}
