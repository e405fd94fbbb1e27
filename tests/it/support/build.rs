//! What Cargo says that it did, as sets of packages.

use std::{collections::BTreeSet, fmt};

/// Where a package comes from, as Cargo's status lines tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Source {
    /// A registry: the line names no place.
    Registry,
    /// A git repository.
    Git,
    /// A path: a package of the workspace, or vendored.
    Path,
}

/// A package in one of Cargo's status lines.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Package {
    pub(crate) name: String,
    pub(crate) version: String,
    pub(crate) source: Source,
}

impl fmt::Debug for Package {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            formatter,
            "{} {} ({:?})",
            self.name, self.version, self.source
        )
    }
}

/// One run of Cargo with `-v`.
#[derive(Debug, Default)]
pub(crate) struct Build {
    /// Packages of which something was compiled, checked or documented.
    pub(crate) compiled: BTreeSet<Package>,
    /// Packages of which something was found fresh. Known only of a run with `-v`.
    pub(crate) fresh: BTreeSet<Package>,
}

impl Build {
    /// Reads Cargo's standard error. Lines that are no status lines are passed over.
    pub(crate) fn parse(stderr: &str) -> Self {
        let mut build = Self::default();
        for line in stderr.lines() {
            let Some((status, rest)) = line.trim_start().split_once(' ') else {
                continue;
            };
            let set = match status {
                "Compiling" | "Checking" | "Documenting" => &mut build.compiled,
                "Fresh" => &mut build.fresh,
                _ => continue,
            };
            set.extend(parse_package(rest));
        }
        build
    }

    /// Compiled packages that came from a registry or from git: what a warm start must not show.
    pub(crate) fn compiled_dependencies(&self) -> BTreeSet<&Package> {
        dependencies(&self.compiled)
    }

    /// Fresh packages that came from a registry or from git.
    pub(crate) fn fresh_dependencies(&self) -> BTreeSet<&Package> {
        dependencies(&self.fresh)
    }

    /// Names of the compiled packages that came from a registry or from git.
    pub(crate) fn compiled_dependency_names(&self) -> BTreeSet<&str> {
        names(&self.compiled_dependencies())
    }

    /// Whether something of `name` was compiled, wherever it came from.
    pub(crate) fn has_compiled(&self, name: &str) -> bool {
        self.compiled.iter().any(|package| package.name == name)
    }
}

fn dependencies(packages: &BTreeSet<Package>) -> BTreeSet<&Package> {
    packages
        .iter()
        .filter(|package| package.source != Source::Path)
        .collect()
}

fn names<'a>(packages: &BTreeSet<&'a Package>) -> BTreeSet<&'a str> {
    packages
        .iter()
        .map(|package| package.name.as_str())
        .collect()
}

/// `serde v1.0.0`, `app v0.1.0 (/work/app)`, `dep v0.1.0 (https://example.org/dep#1234abcd)`.
fn parse_package(text: &str) -> Option<Package> {
    let mut words = text.splitn(3, ' ');
    let name = words.next()?;
    let version = words.next()?.strip_prefix('v')?;
    let place = words.next().map(|place| place.trim_matches(['(', ')']));
    let source = match place {
        None => Source::Registry,
        Some(place) if place.starts_with("registry ") => Source::Registry,
        Some(place) if place.contains("://") => Source::Git,
        Some(_) => Source::Path,
    };
    Some(Package {
        name: name.to_owned(),
        version: version.to_owned(),
        source,
    })
}

#[test]
fn status_lines_become_packages_with_their_sources() {
    let build = Build::parse(
        "    Updating crates.io index\n   Compiling itoa v1.0.18\n    Checking app v0.1.0 (/work/app)\n   \
         Compiling dep v0.2.0 (file:///srv/dep.git#0123abcd)\n       Fresh memchr v2.8.3\n       Dirty cfg-if v1.0.0: x\n     \
         Running `rustc --crate-name itoa`\nhotcrate: deps: exact\n    Finished `dev` profile in 1s\n",
    );
    let compiled: Vec<_> = build
        .compiled
        .iter()
        .map(|package| (package.name.as_str(), package.source))
        .collect();
    assert_eq!(
        compiled,
        [
            ("app", Source::Path),
            ("dep", Source::Git),
            ("itoa", Source::Registry)
        ]
    );
    assert_eq!(
        build
            .compiled_dependency_names()
            .into_iter()
            .collect::<Vec<_>>(),
        ["dep", "itoa"]
    );
    assert_eq!(build.fresh_dependencies().len(), 1);
}
