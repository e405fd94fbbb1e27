//! Where a unit's sources lie, read from the paths in its own `.d` file. Pure, but for [`SourceRoots::new`].
//!
//! Invariant: no name of a package, crate or directory decides, only whether a source lies below a CARGO_HOME. What
//! can't be told is [`Origin::Elsewhere`], which costs a rebuild at worst: such units are stored with the workspace.
//!
//! Facts: the first prerequisite of the first rule is the crate's root (measured, `tiers.md` section 1); rustc escapes
//! spaces with `\` and nothing else; Cargo hands rustc paths relative to the workspace's root for path packages and
//! absolute ones otherwise (cargo `path_args`).

use std::path::{Path, PathBuf};

use super::Origin;

/// The directories that tell where sources come from.
#[derive(Clone, Debug, Default)]
pub struct SourceRoots {
    /// Every spelling of the CARGO_HOMEs, absolute: as Cargo is given them, and with links resolved.
    pub cargo_homes: Vec<PathBuf>,
    /// The directories that relative paths in `.d` files may be relative to, absolute: the workspaces' roots.
    pub bases: Vec<PathBuf>,
}

impl SourceRoots {
    /// The roots for `cargo_home`, as it is given and as it is without links, and the workspace roots `bases`.
    /// A CARGO_HOME that does not exist (yet) is taken as given.
    pub fn new(cargo_home: &Path, bases: impl IntoIterator<Item = PathBuf>) -> Self {
        let mut cargo_homes = vec![cargo_home.to_owned()];
        if let Ok(canonical) = fs_err::canonicalize(cargo_home)
            && canonical != cargo_home
        {
            cargo_homes.push(canonical);
        }
        Self {
            cargo_homes,
            bases: bases.into_iter().collect(),
        }
    }

    /// The origin of a unit whose `.d` file has the content `dep_info`.
    pub(super) fn origin_of_dep_info(&self, dep_info: &str) -> Origin {
        first_prerequisite(dep_info).map_or(Origin::Elsewhere, |source| self.origin_of(&source))
    }

    /// The origin of the source file `source`, a path as it stands in a `.d` file.
    pub fn origin_of(&self, source: &str) -> Origin {
        let source = NormalPath::new(source);
        let candidates: Vec<_> = if source.is_absolute {
            vec![source]
        } else {
            self.bases
                .iter()
                .map(|base| NormalPath::new(&base.to_string_lossy()).join(&source))
                .collect()
        };
        let homes: Vec<_> = self
            .cargo_homes
            .iter()
            .map(|home| NormalPath::new(&home.to_string_lossy()))
            .collect();
        candidates
            .iter()
            .flat_map(|source| homes.iter().filter_map(|home| source.below(home)))
            .find_map(origin_in_cargo_home)
            .unwrap_or(Origin::Elsewhere)
    }
}

/// The origin that a path within CARGO_HOME stands for. Vendored or other files there are of no such origin.
fn origin_in_cargo_home(parts: &[String]) -> Option<Origin> {
    match parts {
        [first, second, index, package, _, ..] if first == "registry" && second == "src" => {
            Some(Origin::Registry {
                index: index.clone(),
                package: package.clone(),
            })
        }
        [first, second, repository, revision, _, ..] if first == "git" && second == "checkouts" => {
            Some(Origin::Git {
                repository: repository.clone(),
                revision: revision.clone(),
            })
        }
        _ => None,
    }
}

/// A path cut into parts by the rules of the platform that it looks like, so that spellings compare.
struct NormalPath {
    is_absolute: bool,
    is_windows: bool,
    parts: Vec<String>,
}

impl NormalPath {
    fn new(path: &str) -> Self {
        let has_drive =
            matches!(path.as_bytes(), [letter, b':', ..] if letter.is_ascii_alphabetic());
        let is_windows = has_drive || path.starts_with(r"\\") || cfg!(windows);
        let mut text = if is_windows {
            path.replace('\\', "/")
        } else {
            path.to_owned()
        };
        if is_windows {
            // `\\?\C:\x` and `\\?\UNC\server\x` are what canonicalising makes of `C:\x` and `\\server\x`.
            if let Some(rest) = text.strip_prefix("//?/UNC/") {
                text = format!("//{rest}");
            } else if let Some(rest) = text.strip_prefix("//?/") {
                text = rest.to_owned();
            }
        }
        let is_absolute =
            text.starts_with('/') || matches!(text.as_bytes(), [_, b':', ..] if is_windows);
        let mut parts = Vec::new();
        push_parts(&mut parts, text.split('/'));
        Self {
            is_absolute,
            is_windows,
            parts,
        }
    }

    fn join(mut self, relative: &Self) -> Self {
        push_parts(&mut self.parts, relative.parts.iter().map(String::as_str));
        self
    }

    /// The parts of this path below `directory`, if it lies there.
    fn below(&self, directory: &Self) -> Option<&[String]> {
        let equal = |(mine, its): (&String, &String)| {
            mine == its || (self.is_windows && mine.to_lowercase() == its.to_lowercase())
        };
        let lies_there = !directory.parts.is_empty()
            && self.parts.len() > directory.parts.len()
            && self.parts.iter().zip(&directory.parts).all(equal);
        lies_there.then(|| &self.parts[directory.parts.len()..])
    }
}

/// Adds parts, dropping `.` and resolving `..` by the text alone. A leading `..` stays, for a base to take up.
fn push_parts<'a>(parts: &mut Vec<String>, more: impl Iterator<Item = &'a str>) {
    for part in more {
        match part {
            "" | "." => {}
            ".." if parts.last().is_some_and(|last| last != "..") => {
                parts.pop();
            }
            part => parts.push(part.to_owned()),
        }
    }
}

/// The first prerequisite of the first rule that has one, unescaped.
fn first_prerequisite(dep_info: &str) -> Option<String> {
    dep_info
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.split_once(": "))
        .find_map(|(_, prerequisites)| {
            let mut first = String::new();
            for piece in prerequisites.trim_start().split(' ') {
                if let Some(escaped) = piece.strip_suffix('\\') {
                    first.push_str(escaped);
                    first.push(' ');
                } else {
                    first.push_str(piece);
                    break;
                }
            }
            let first = first.trim_end();
            (!first.is_empty()).then(|| first.to_owned())
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roots(home: &str, base: &str) -> SourceRoots {
        SourceRoots {
            cargo_homes: vec![PathBuf::from(home)],
            bases: vec![PathBuf::from(base)],
        }
    }

    fn itoa() -> Origin {
        Origin::Registry {
            index: "index.crates.io-1949cf8c6b5b557f".to_owned(),
            package: "itoa-1.0.18".to_owned(),
        }
    }

    #[rstest::rstest]
    #[case::absolute(
        "/home/u/.cargo",
        "/home/u/.cargo/registry/src/index.crates.io-1949cf8c6b5b557f/itoa-1.0.18/src/lib.rs"
    )]
    #[case::inside_the_repository(
        "/w/app/.cargo",
        ".cargo/registry/src/index.crates.io-1949cf8c6b5b557f/itoa-1.0.18/src/lib.rs"
    )]
    #[case::beside_the_workspace(
        "/w/home",
        "../home/registry/src/index.crates.io-1949cf8c6b5b557f/itoa-1.0.18/src/lib.rs"
    )]
    #[case::windows(
        r"C:\Users\U\.cargo",
        r"c:\users\u\.cargo\registry\src\index.crates.io-1949cf8c6b5b557f\itoa-1.0.18\src\lib.rs"
    )]
    #[case::windows_verbatim(
        r"\\?\D:\home",
        r"D:\home\registry\src\index.crates.io-1949cf8c6b5b557f\itoa-1.0.18\src\lib.rs"
    )]
    #[case::windows_network(
        r"\\?\UNC\server\share",
        r"\\server\share\registry\src\index.crates.io-1949cf8c6b5b557f\itoa-1.0.18\src\lib.rs"
    )]
    fn a_source_below_cargo_home_comes_from_the_registry(#[case] home: &str, #[case] source: &str) {
        assert_eq!(roots(home, "/w/app").origin_of(source), itoa());
    }

    #[rstest::rstest]
    #[case("src/lib.rs")]
    #[case("/w/app/vendor/itoa/src/lib.rs")]
    #[case("/home/u/.cargo-other/registry/src/index/itoa-1.0.18/src/lib.rs")]
    #[case("/home/u/.cargo/registry/src/index")]
    #[case("/home/u/.cargo/registry/../x/src/index/itoa-1.0.18/src/lib.rs")]
    fn any_other_source_lies_elsewhere(#[case] source: &str) {
        assert_eq!(
            roots("/home/u/.cargo", "/w/app").origin_of(source),
            Origin::Elsewhere
        );
    }

    #[cfg(not(windows))]
    #[test]
    fn case_matters_outside_of_windows() {
        let source = "/HOME/u/.cargo/registry/src/index/itoa-1.0.18/src/lib.rs";
        let origin = roots("/home/u/.cargo", "/w/app").origin_of(source);
        assert_eq!(origin, Origin::Elsewhere);
    }

    #[test]
    fn a_git_checkout_is_told_by_its_revision() {
        assert_eq!(
            roots("/c", "/w")
                .origin_of("/c/git/checkouts/serde-6b3d8a2f1c0e9d75/1a2b3c4/serde/src/lib.rs"),
            Origin::Git {
                repository: "serde-6b3d8a2f1c0e9d75".to_owned(),
                revision: "1a2b3c4".to_owned(),
            }
        );
    }

    #[rstest::rstest]
    #[case(
        "t/deps/a.d: src/lib.rs src/b.rs\n\nt/deps/a.rlib: src/lib.rs\n",
        Some("src/lib.rs")
    )]
    #[case("t/a.d: sp\\ ace\\ d/src/lib.rs b.rs\n", Some("sp ace d/src/lib.rs"))]
    #[case(
        "C:\\t\\a.d: C:\\x\\y\\ z\\lib.rs C:\\x\\b.rs\r\n",
        Some("C:\\x\\y z\\lib.rs")
    )]
    #[case("t/a.d:\nt/a.rmeta: src/main.rs\n", Some("src/main.rs"))]
    #[case("# env-dep:X=a: b\nt/a.d: src/lib.rs\n", Some("src/lib.rs"))]
    #[case("", None)]
    #[case("garbage", None)]
    fn the_first_prerequisite_is_found_through_makefile_escapes(
        #[case] dep_info: &str,
        #[case] expected: Option<&str>,
    ) {
        assert_eq!(first_prerequisite(dep_info).as_deref(), expected);
    }

    #[cfg(unix)]
    #[test]
    fn a_linked_cargo_home_is_known_by_both_of_its_names() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let real = directory
            .path()
            .canonicalize()
            .expect("it exists")
            .join("real");
        fs_err::create_dir(&real).expect("created");
        let link = directory.path().join("link");
        fs_err::os::unix::fs::symlink(&real, &link).expect("linked");
        let roots = SourceRoots::new(&link, []);
        for home in [&real, &link] {
            let source =
                home.join("registry/src/index.crates.io-1949cf8c6b5b557f/itoa-1.0.18/src/lib.rs");
            assert_eq!(roots.origin_of(&source.to_string_lossy()), itoa());
        }
    }
}
