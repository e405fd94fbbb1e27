//! Which project an entry belongs to, where a store holds several.
//!
//! Invariants: every clone of a repository has the same identity, by whatever protocol and as whatever user it was
//! cloned; and nothing secret that a URL may hold (user, password, token, query) becomes part of an identity. An
//! address that is not understood yields none: then the names of the packages stand in.

use std::{fmt, path::Path};

use crate::{environment::Environment, key::DigestBuilder, process::Tool};

/// The name of a project within a store: `github.com/owner/name`, or `packages-<SHA-256>`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ProjectIdentity(String);

impl ProjectIdentity {
    /// The identity of a repository by the address of its origin, as `git config remote.origin.url` prints it.
    ///
    /// Understood are URLs (`https://host/path`), the form of scp (`user@host:path`) and absolute paths, with `/` or
    /// `\`. `None` for relative paths, for addresses of remote helpers, and for what has no host or no path.
    pub fn from_origin(origin: &str) -> Option<Self> {
        let origin = origin.trim();
        let identity = if let Some((scheme, rest)) = origin.split_once("://") {
            of_url(scheme, rest)?
        } else if is_absolute(origin) {
            local(origin)?
        } else {
            of_scp(origin)?
        };
        Some(Self(identity))
    }

    /// The identity of a project without an origin: a digest of its packages' names, in any order.
    pub fn from_packages<'name>(names: impl IntoIterator<Item = &'name str>) -> Self {
        let mut names: Vec<_> = names.into_iter().collect();
        names.sort_unstable();
        names.dedup();
        let mut builder = DigestBuilder::new();
        for name in names {
            builder.field("package", name);
        }
        Self(format!("packages-{}", builder.finish()))
    }

    /// The identity as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for ProjectIdentity {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

/// Asks git for the address of the repository's origin, for the repository that `directory` lies in.
///
/// `None` where there is no git, no repository, or no origin. The address may hold credentials: never print it.
pub fn origin_url(directory: &Path, environment: &Environment) -> Option<String> {
    // Not `git remote get-url`: that applies `insteadOf`, which differs from machine to machine.
    let answer = Tool::new("git", directory, environment)
        .args(["config", "--get", "remote.origin.url"])
        .output();
    match answer {
        Ok(address) => Some(address.trim().to_owned()).filter(|address| !address.is_empty()),
        Err(error) => {
            tracing::debug!("git knows no origin: {error}");
            None
        }
    }
}

/// The identity of the project in `directory`: by its origin, else by the names of its `packages`.
pub fn identity_of<'name>(
    directory: &Path,
    environment: &Environment,
    packages: impl IntoIterator<Item = &'name str>,
) -> ProjectIdentity {
    origin_url(directory, environment)
        .and_then(|address| ProjectIdentity::from_origin(&address))
        .unwrap_or_else(|| ProjectIdentity::from_packages(packages))
}

fn of_url(scheme: &str, rest: &str) -> Option<String> {
    let is_scheme_character =
        |character: char| character.is_ascii_alphanumeric() || "+-.".contains(character);
    if scheme.is_empty() || !scheme.chars().all(is_scheme_character) {
        return None;
    }
    let rest = rest.split(['?', '#']).next()?;
    if scheme.eq_ignore_ascii_case("file") {
        return local(rest.strip_prefix("localhost").unwrap_or(rest));
    }
    let (authority, path) = rest.split_once('/')?;
    let host = without_user(authority);
    let (host, port) = match host.find(']') {
        Some(end) => host.split_at(end + 1),
        None => host.split_at(host.find(':').unwrap_or(host.len())),
    };
    // A password with a `/` in it would end the authority early and look like a port: nothing of it may be kept.
    let port = port.strip_prefix(':').unwrap_or(port);
    if !port.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    joined(host, path)
}

/// `user@host:path`: no `/` comes before the `:`.
fn of_scp(origin: &str) -> Option<String> {
    let first_part = origin.split('/').next()?;
    let begin = first_part.len() - without_user(first_part).len();
    let origin = &origin[begin..];
    let host_end = origin
        .find("]:")
        .map_or_else(|| origin.find(':'), |end| Some(end + 1))?;
    let (host, path) = origin.split_at(host_end);
    let path = path.strip_prefix(':')?;
    // `helper::address` belongs to a remote helper.
    if host.contains('/') || path.starts_with(':') {
        return None;
    }
    joined(host, path)
}

fn without_user(authority: &str) -> &str {
    authority.rsplit('@').next().unwrap_or(authority)
}

fn joined(host: &str, path: &str) -> Option<String> {
    let path = plain_path(path);
    // An `@` this far back may end a user or a password with a `/` in it, and host and path be parts of the secret.
    let is_plain = !host.is_empty() && !path.is_empty() && !path.contains('@');
    is_plain.then(|| format!("{}/{path}", host.to_ascii_lowercase()))
}

fn is_absolute(path: &str) -> bool {
    let drive =
        matches!(path.as_bytes(), [letter, b':', b'/' | b'\\', ..] if letter.is_ascii_alphabetic());
    path.starts_with(['/', '\\']) || drive
}

fn local(path: &str) -> Option<String> {
    let path = path.replace('\\', "/");
    let path = plain_path(&path);
    (!path.is_empty()).then(|| format!("local:/{path}"))
}

/// `path` without what two addresses of the same repository may differ in.
fn plain_path(path: &str) -> &str {
    let path = path.trim_matches('/');
    path.strip_suffix(".git")
        .unwrap_or(path)
        .trim_end_matches('/')
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample};
    use rstest::rstest;

    use super::*;
    use crate::process::user_command;

    #[rstest]
    #[case("https://github.com/rust-lang/cargo")]
    #[case("https://github.com/rust-lang/cargo.git")]
    #[case("https://github.com/rust-lang/cargo/")]
    #[case("https://github.com/rust-lang/cargo.git/\n")]
    #[case("https://GitHub.COM:443/rust-lang/cargo")]
    #[case("https://user:secret@github.com/rust-lang/cargo.git")]
    #[case("https://user:p@ss@github.com/rust-lang/cargo.git")]
    #[case("https://github.com/rust-lang/cargo?token=secret#secret")]
    #[case("ssh://git@github.com:22/rust-lang/cargo.git")]
    #[case("git+ssh://git@github.com/rust-lang/cargo")]
    #[case("git@github.com:rust-lang/cargo.git")]
    #[case("github.com:/rust-lang/cargo")]
    #[case("user:secret@github.com:rust-lang/cargo")]
    fn every_address_of_a_repository_is_the_same_project(#[case] origin: &str) {
        let identity = ProjectIdentity::from_origin(origin).unwrap();
        assert_eq!(identity.as_str(), "github.com/rust-lang/cargo");
    }

    #[rstest]
    #[case("https://example.org/Group/Sub/Name", "example.org/Group/Sub/Name")]
    #[case("ssh://git@[2001:DB8::1]:22/it.git", "[2001:db8::1]/it")]
    #[case("git@[::1]:it.git", "[::1]/it")]
    #[case("file:///srv/git/it.git", "local:/srv/git/it")]
    #[case("/srv/git/it.git/", "local:/srv/git/it")]
    #[case(r"C:\git\it", "local:/C:/git/it")]
    #[case(r"\\server\share\it.git", "local:/server/share/it")]
    fn other_addresses_have_an_identity_of_their_own(#[case] origin: &str, #[case] expected: &str) {
        let identity = ProjectIdentity::from_origin(origin).unwrap();
        assert_eq!(identity.as_str(), expected);
    }

    #[rstest]
    #[case("")]
    #[case("../sibling")]
    #[case("sibling.git")]
    #[case("https://github.com")]
    #[case("https://github.com/")]
    #[case("https:///it")]
    #[case("https://user:sec/ret@github.com/it")]
    #[case("https://sec/ret@github.com/it")]
    #[case("user:sec/ret@github.com:it")]
    #[case("ext::ssh -i secret %S it")]
    #[case("codecommit::eu-west-1://secret@it")]
    #[case("/")]
    fn an_address_that_is_not_understood_has_none(#[case] origin: &str) {
        assert_eq!(ProjectIdentity::from_origin(origin), None);
    }

    #[test]
    fn packages_count_in_any_order_and_all_of_them() {
        let identity = |names: &[&str]| ProjectIdentity::from_packages(names.iter().copied());
        assert_eq!(identity(&["a", "b"]), identity(&["b", "a", "b"]));
        assert_ne!(identity(&["a", "b"]), identity(&["a"]));
        assert_ne!(identity(&["a", "b"]), identity(&["ab"]));
    }

    proptest! {
        #[test]
        fn no_part_of_the_user_gets_into_an_identity(
            user in "[a-z:@%]{0,8}SECRET[a-z:@%/]{0,8}",
            scheme in sample::select(vec!["https://", "ssh://", ""]),
        ) {
            let separator = if scheme.is_empty() { ':' } else { '/' };
            let origin = format!("{scheme}{user}@host.example{separator}owner/name");
            if let Some(identity) = ProjectIdentity::from_origin(&origin) {
                prop_assert!(!identity.as_str().to_lowercase().contains("secret"), "{identity}");
            }
        }
    }

    fn git(directory: &Path, arguments: &[&str]) {
        let status = user_command("git".as_ref())
            .args(arguments)
            .current_dir(directory)
            .status()
            .unwrap();
        assert!(status.success());
    }

    #[test]
    fn the_origin_is_asked_of_git() {
        let directory = tempfile::tempdir().unwrap();
        let environment = Environment::of_process();
        git(directory.path(), &["init", "--quiet"]);
        assert_eq!(origin_url(directory.path(), &environment), None);
        assert_eq!(
            identity_of(directory.path(), &environment, ["it"]),
            ProjectIdentity::from_packages(["it"])
        );

        let origin = "https://x-access-token:secret@github.com/us/it";
        git(directory.path(), &["remote", "add", "origin", origin]);
        assert_eq!(
            identity_of(directory.path(), &environment, ["it"]).as_str(),
            "github.com/us/it"
        );
    }

    #[test]
    fn without_git_the_packages_stand_in() {
        let directory = tempfile::tempdir().unwrap();
        let environment = [("PATH", directory.path())].into_iter().collect();
        assert_eq!(origin_url(directory.path(), &environment), None);
    }
}
