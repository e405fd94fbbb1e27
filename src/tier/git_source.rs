//! Which of CARGO_HOME's git databases belong to the git sources of a lockfile.
//!
//! Cargo calls a database `<last part of the canonical URL>-<16 digits>[-shallow]`. The digits are a hash that has
//! changed between releases of Cargo, so databases are matched by the name before it, and by the URL in `FETCH_HEAD`
//! where several have the same name. A repository too many costs space; one too few costs a clone.

use std::{
    collections::{BTreeSet, VecDeque},
    path::Path,
};

use super::walk::directories_in;

/// How many repositories the submodules of one lockfile may add: a bound on work, no real project comes near it.
const MOST_SUBMODULES: usize = 1000;

/// A git repository as Cargo compares them.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct GitSource {
    /// The URL without query, revision, trailing `/` and `.git`; on GitHub `https` and in lower case.
    url: String,
}

impl GitSource {
    /// Reads the `source` of a lockfile's package; `None` unless that is git.
    pub(super) fn parse(source: &str) -> Option<Self> {
        source.strip_prefix("git+").map(Self::of_url)
    }

    /// Brings a URL into the form that Cargo compares (rust-lang/cargo, `util/canonical_url.rs`).
    fn of_url(url: &str) -> Self {
        let url = url.split(['#', '?']).next().unwrap_or(url);
        let url = url.strip_suffix('/').unwrap_or(url);
        let (scheme, rest) = url.split_once("://").unwrap_or(("", url));
        let host = rest.split('/').next().unwrap_or(rest);
        let host = host.rsplit_once('@').map_or(host, |(_user, host)| host);
        let url = if host.eq_ignore_ascii_case("github.com") {
            format!("https://{}", rest.to_lowercase())
        } else {
            format!("{}://{rest}", scheme.to_lowercase())
        };
        let url = url.strip_suffix(".git").unwrap_or(&url).to_owned();
        Self { url }
    }

    /// What Cargo's names for the repository begin with, before `-<hash>`.
    fn name(&self) -> &str {
        let path = self
            .url
            .split_once("://")
            .map_or(&*self.url, |(_, rest)| rest);
        match path.rsplit_once('/') {
            Some((_, name)) if !name.is_empty() => name,
            _ => "_empty",
        }
    }

    fn owns(&self, database: &str) -> bool {
        let database = database.strip_suffix("-shallow").unwrap_or(database);
        database
            .strip_prefix(self.name())
            .and_then(|rest| rest.strip_prefix('-'))
            .is_some_and(|hash| hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_hexdigit()))
    }
}

/// The directories in `git/db` for `sources` and for the submodules of their checkouts, sorted.
pub(super) fn git_databases(cargo_home: &Path, sources: &BTreeSet<GitSource>) -> BTreeSet<String> {
    let databases = directories_in(&cargo_home.join("git/db"));
    if databases.is_empty() {
        return BTreeSet::new();
    }
    let mut found = BTreeSet::new();
    let mut seen = sources.clone();
    let mut open: VecDeque<_> = sources.iter().cloned().collect();
    while let Some(source) = open.pop_front() {
        for database in databases_of(cargo_home, &databases, &source) {
            for submodule in submodules(cargo_home, database) {
                if seen.len() < sources.len() + MOST_SUBMODULES && seen.insert(submodule.clone()) {
                    open.push_back(submodule);
                }
            }
            found.insert(database.clone());
        }
    }
    found
}

fn databases_of<'a>(
    cargo_home: &Path,
    databases: &'a [String],
    source: &GitSource,
) -> Vec<&'a String> {
    let by_name: Vec<_> = databases
        .iter()
        .filter(|database| source.owns(database))
        .collect();
    let by_url: Vec<_> = by_name
        .iter()
        .copied()
        .filter(|database| was_fetched_from(&cargo_home.join("git/db").join(database), source))
        .collect();
    // The URL that git writes down can be another one, rewritten by git's own configuration.
    if by_url.is_empty() { by_name } else { by_url }
}

/// Whether `FETCH_HEAD` of a database names this source: `<commit>\t…\t[branch 'main' of ]<url>`.
fn was_fetched_from(database: &Path, source: &GitSource) -> bool {
    fs_err::read_to_string(database.join("FETCH_HEAD")).is_ok_and(|text| {
        text.lines()
            .filter_map(|line| line.split_whitespace().next_back())
            .any(|url| GitSource::of_url(url) == *source)
    })
}

/// The submodules that the checkouts of a database name. Newer Cargos keep databases of those too.
fn submodules(cargo_home: &Path, database: &str) -> Vec<GitSource> {
    let checkouts = cargo_home.join("git/checkouts").join(database);
    directories_in(&checkouts)
        .iter()
        .filter_map(|revision| {
            fs_err::read_to_string(checkouts.join(revision).join(".gitmodules")).ok()
        })
        .flat_map(|text| {
            text.lines()
                .filter_map(|line| line.trim().strip_prefix("url"))
                .filter_map(|rest| rest.trim_start().strip_prefix('='))
                .map(|url| GitSource::of_url(url.trim()))
                .collect::<Vec<_>>()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("git+https://github.com/Serde-rs/Serde.git?branch=main#0123", "serde")]
    #[case("git+ssh://git@github.com/a/b.git#0123", "b")]
    #[case("git+https://example.com/Group/Repo/#0123", "Repo")]
    #[case("git+file:///srv/dep-repo.git#0123", "dep-repo")]
    #[case("git+https://example.com#0123", "_empty")]
    fn a_repository_is_called_as_cargo_calls_it(#[case] source: &str, #[case] name: &str) {
        assert_eq!(GitSource::parse(source).unwrap().name(), name);
    }

    #[test]
    fn a_registry_is_no_git_source() {
        assert_eq!(
            GitSource::parse("registry+https://github.com/rust-lang/crates.io-index"),
            None
        );
    }

    #[rstest::rstest]
    #[case("serde-0123456789abcdef", true)]
    #[case("serde-0123456789abcdef-shallow", true)]
    #[case("serde-json-0123456789abcdef", false)]
    #[case("serde-0123", false)]
    #[case("serde", false)]
    fn databases_are_known_by_the_name_before_the_hash(
        #[case] database: &str,
        #[case] is_its: bool,
    ) {
        let source = GitSource::parse("git+https://github.com/serde-rs/serde#0123").unwrap();
        assert_eq!(source.owns(database), is_its);
    }

    fn database(home: &Path, name: &str, fetch_head: &str) {
        let directory = home.join("git/db").join(name);
        fs_err::create_dir_all(&directory).unwrap();
        fs_err::write(directory.join("FETCH_HEAD"), fetch_head).unwrap();
    }

    fn found(home: &Path, source: &str) -> Vec<String> {
        let sources = BTreeSet::from([GitSource::parse(source).unwrap()]);
        git_databases(home, &sources).into_iter().collect()
    }

    const OURS: &str = "repo-0123456789abcdef";
    const FORK: &str = "repo-fedcba9876543210";

    #[test]
    fn of_two_repositories_with_one_name_the_one_that_was_fetched_is_taken() {
        let home = tempfile::tempdir().unwrap();
        database(
            home.path(),
            OURS,
            "12\t\t'HEAD' of https://github.com/Us/Repo\n",
        );
        database(
            home.path(),
            FORK,
            "34\t\thttps://github.com/them/repo.git\n",
        );
        assert_eq!(
            found(home.path(), "git+https://github.com/us/repo.git#12"),
            [OURS]
        );
    }

    #[test]
    fn where_no_url_tells_all_of_that_name_are_taken() {
        let home = tempfile::tempdir().unwrap();
        database(home.path(), OURS, "");
        database(home.path(), FORK, "34\t\thttps://mirror.example/repo\n");
        database(home.path(), "other-0123456789abcdef", "");
        assert_eq!(
            found(home.path(), "git+https://github.com/us/repo#12"),
            [OURS, FORK]
        );
    }

    #[test]
    fn databases_of_submodules_come_along() {
        let home = tempfile::tempdir().unwrap();
        database(home.path(), OURS, "");
        database(home.path(), "zlib-0123456789abcdef", "");
        let checkout = home.path().join("git/checkouts").join(OURS).join("abc1234");
        fs_err::create_dir_all(&checkout).unwrap();
        let modules =
            "[submodule \"zlib\"]\n\tpath = zlib\n\turl = https://github.com/madler/zlib.git\n";
        fs_err::write(checkout.join(".gitmodules"), modules).unwrap();
        assert_eq!(
            found(home.path(), "git+https://github.com/us/repo#12"),
            [OURS, "zlib-0123456789abcdef"]
        );
    }
}
