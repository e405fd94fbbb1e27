//! Cargo.lock as facts: the `packages` part of a key.

use cargo_lock::{Lockfile, Package, SourceId};

use super::Fact;

/// Why a Cargo.lock could not be read.
#[derive(Debug, thiserror::Error)]
#[error("failed to parse Cargo.lock")]
pub struct LockfileError {
    #[source]
    source: cargo_lock::Error,
}

/// Parses the text of a Cargo.lock, of any version that Cargo wrote so far.
pub fn parse(text: &str) -> Result<Lockfile, LockfileError> {
    text.parse().map_err(|source| LockfileError { source })
}

/// One fact for each package that has a source: `package memchr`, `2.8.3 crates.io <checksum>`.
///
/// Path packages have no source and don't count; their versions are the workspace's own. Two versions of one
/// package are two facts of the same label.
pub fn facts(lockfile: &Lockfile) -> Vec<Fact> {
    lockfile.packages.iter().filter_map(package_fact).collect()
}

fn package_fact(package: &Package) -> Option<Fact> {
    let source = package.source.as_ref()?;
    let mut value = format!("{} {}", package.version, source_text(source));
    if let Some(checksum) = &package.checksum {
        value.push(' ');
        value.push_str(&checksum.to_string());
    }
    Some(Fact::new(format!("package {}", package.name), value))
}

/// The source as Cargo.lock has it, `crates.io` for short, and without a user's name or password in its address.
fn source_text(source: &SourceId) -> String {
    if source.is_default_registry() {
        return "crates.io".to_owned();
    }
    without_credentials(&source.to_string())
}

/// Removes what stands between `//` and `@` in the host's part of an address.
pub(super) fn without_credentials(address: &str) -> String {
    let Some((scheme, rest)) = address.split_once("://") else {
        return address.to_owned();
    };
    let host_ends = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    let (host, path) = rest.split_at(host_ends);
    let host = host.rsplit_once('@').map_or(host, |(_, host)| host);
    format!("{scheme}://{host}{path}")
}

#[cfg(test)]
mod tests {
    use super::*;

    const LOCK: &str = r#"
version = 4
[[package]]
name = "mine"
version = "0.1.0"
dependencies = ["memchr"]

[[package]]
name = "memchr"
version = "2.8.3"
source = "registry+https://github.com/rust-lang/crates.io-index"
checksum = "6d0d8b92cd8358e8d229c11df9358decae64d137c5be540952c5ca7b25aea768"

[[package]]
name = "forked"
version = "1.0.0"
source = "git+https://me:secret@example.org/forked?branch=main#0123456789abcdef0123456789abcdef01234567"
"#;

    #[test]
    fn each_package_with_a_source_is_one_fact_and_no_password_is_told() {
        let facts = facts(&parse(LOCK).expect("it is a lockfile"));
        let lines: Vec<_> = facts
            .iter()
            .map(|fact| format!("{} = {}", fact.label, fact.value))
            .collect();
        insta::assert_snapshot!(lines.join("\n"), @r"
        package memchr = 2.8.3 crates.io 6d0d8b92cd8358e8d229c11df9358decae64d137c5be540952c5ca7b25aea768
        package forked = 1.0.0 git+https://example.org/forked?branch=main#0123456789abcdef0123456789abcdef01234567
        ");
    }

    #[test]
    fn the_version_of_a_path_package_does_not_count() {
        let bumped = LOCK.replace("version = \"0.1.0\"", "version = \"0.2.0\"");
        assert_ne!(LOCK, bumped);
        let of = |text| facts(&parse(text).expect("it is a lockfile"));
        assert_eq!(of(LOCK), of(&bumped));
    }

    #[test]
    fn the_revision_of_a_git_package_counts() {
        let moved = LOCK.replace("#0123", "#9123");
        let of = |text| facts(&parse(text).expect("it is a lockfile"));
        assert_ne!(of(LOCK), of(&moved));
    }

    #[test]
    fn what_is_no_lockfile_is_an_error() {
        assert!(parse("<<<<<<< HEAD\n").is_err());
    }
}
