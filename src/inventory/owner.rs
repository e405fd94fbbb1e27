//! Whose an entry is, told by its key.
//!
//! Other tools' keys are recognised by how they begin, as their own documentation has it. A key that nobody claims is
//! its own owner's: what it has before the first piece with a digit.

use std::fmt;

use serde::{Serialize, Serializer};

use crate::{key::ParsedKey, tier::TierName};

/// How keys of well-known actions begin, and what to call those.
const TOOLS: [(&str, &str); 17] = [
    // Named after what is built, and not after a tier.
    ("hotcrate-artifact-", "hotcrate artifact"),
    ("setup-uv-", "setup-uv"),
    ("setup-go-", "setup-go"),
    ("node-cache-", "setup-node"),
    ("setup-python-", "setup-python"),
    ("setup-java-", "setup-java"),
    ("dotnet-cache-", "setup-dotnet"),
    ("setup-ruby-bundler-cache-", "setup-ruby"),
    ("gradle-", "setup-gradle"),
    ("mise-v", "mise-action"),
    ("buildkit-blob-", "docker build"),
    ("index-buildkit", "docker build"),
    ("codeql-", "CodeQL"),
    ("golangci-lint.cache-", "golangci-lint"),
    ("pre-commit-", "pre-commit"),
    ("sccache/", SCCACHE),
    (".sccache", SCCACHE),
];
const SCCACHE: &str = "sccache";
const RUST_CACHE: &str = "rust-cache";

/// Whose an entry is.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Owner {
    /// hotcrate's, of this tier.
    Hotcrate(TierName),
    /// hotcrate's, of a release with other tiers or keys than this one.
    OtherHotcrate,
    /// Swatinem/rust-cache's.
    RustCache,
    /// sccache's own backend for the Actions cache, which stores every object as an entry.
    Sccache,
    /// That of another tool that is known by its keys.
    Tool(&'static str),
    /// Somebody's whose keys begin like this.
    Unknown(String),
}

impl Owner {
    /// Whose the entry called `key` is.
    pub fn of(key: &str) -> Self {
        if let Some(parsed) = ParsedKey::parse(key) {
            return Self::Hotcrate(parsed.tier);
        }
        if key.starts_with("hotcrate-v") {
            return Self::OtherHotcrate;
        }
        if rust_cache_rest(key).is_some() {
            return Self::RustCache;
        }
        if is_sccache_object(key) {
            return Self::Sccache;
        }
        match TOOLS.iter().find(|(prefix, _)| key.starts_with(prefix)) {
            Some((_, SCCACHE)) => Self::Sccache,
            Some((_, tool)) => Self::Tool(tool),
            None => Self::Unknown(beginning(key)),
        }
    }

    /// Whether hotcrate stored it.
    pub fn is_hotcrate(&self) -> bool {
        matches!(self, Self::Hotcrate(_) | Self::OtherHotcrate)
    }

    /// The tool: the same for all of hotcrate's tiers.
    pub fn tool(&self) -> String {
        match self {
            Self::Hotcrate(_) | Self::OtherHotcrate => "hotcrate".to_owned(),
            other => other.to_string(),
        }
    }
}

impl fmt::Display for Owner {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Hotcrate(tier) => formatter.pad(&format!("hotcrate {tier}")),
            Self::OtherHotcrate => formatter.pad("hotcrate, another release"),
            Self::RustCache => formatter.pad(RUST_CACHE),
            Self::Sccache => formatter.pad(SCCACHE),
            Self::Tool(name) => formatter.pad(name),
            Self::Unknown(beginning) => formatter.pad(beginning),
        }
    }
}

impl Serialize for Owner {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What entries of the same purpose share, and the digits of their job, told by a key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Series {
    /// What the keys of all of them begin with.
    pub name: String,
    /// What those share that answer the very same lookup, of which only the newest is ever found.
    pub stem: Option<String>,
    /// The job: its digits in a key of hotcrate, its name in one of rust-cache.
    pub job: Option<String>,
}

impl Series {
    /// The series of the entry called `key`.
    pub(super) fn of(key: &str) -> Self {
        if let Some(parsed) = ParsedKey::parse(key) {
            return Self {
                name: parsed.series(),
                stem: Some(parsed.stem()),
                job: parsed.digits(crate::key::PartName::Job).map(str::to_owned),
            };
        }
        Self {
            name: without_last_hash(key).to_owned(),
            stem: None,
            job: rust_cache_rest(key).and_then(rust_cache_job),
        }
    }
}

/// What follows `v0-rust-`, or another number, in a key of rust-cache.
fn rust_cache_rest(key: &str) -> Option<&str> {
    let rest = key.strip_prefix('v')?;
    let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
    (digits > 0).then(|| rest[digits..].strip_prefix("-rust-"))?
}

/// The job, or the shared key: what stands before the platform as Node.js names it.
fn rust_cache_job(rest: &str) -> Option<String> {
    ["-Linux-", "-Darwin-", "-Windows_NT-"]
        .iter()
        .find_map(|platform| rest.split_once(platform))
        .map(|(job, _)| job.to_owned())
}

/// Whether `key` looks like an object of sccache: three directories of one digit, and then a digest with these digits.
fn is_sccache_object(key: &str) -> bool {
    let pieces: Vec<_> = key.rsplitn(5, '/').take(4).collect();
    let [digest, third, second, first] = pieces.as_slice() else {
        return false;
    };
    let directories = format!("{first}{second}{third}");
    directories.len() == 3
        && digest.len() >= 32
        && digest.starts_with(&directories)
        && digest.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// `key` without a digest or a number at its end, where it has one: those change while the purpose stays.
fn without_last_hash(key: &str) -> &str {
    let Some((head, last)) = key.rsplit_once('-') else {
        return key;
    };
    let is_number = !last.is_empty() && last.bytes().all(|byte| byte.is_ascii_digit());
    let is_digest = last.len() >= 6 && last.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_number || is_digest {
        &key[..=head.len()]
    } else {
        key
    }
}

/// The pieces of a key up to the first with a digit in it, but at least the first, and no more than people can read.
fn beginning(key: &str) -> String {
    const LONGEST: usize = 40;
    let mut taken = String::new();
    for piece in key.split_inclusive(['-', '_', '/', '.', ':', ' ']) {
        if !taken.is_empty() && piece.bytes().any(|byte| byte.is_ascii_digit()) {
            break;
        }
        taken.push_str(piece);
    }
    let short: String = taken.chars().take(LONGEST).collect();
    if short == key {
        short
    } else {
        format!("{short}…")
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("hotcrate-v1-registry-11111111-22222222", "hotcrate registry")]
    #[case("hotcrate-v2-registry-11111111", "hotcrate, another release")]
    #[case("v0-rust-test-Linux-x64-11111111-22222222", "rust-cache")]
    #[case("v1-rust-x", "rust-cache")]
    #[case("sccache/0/a/1/0a1bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "sccache")]
    #[case("0/a/1/0a1bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb", "sccache")]
    #[case("0/a/1/ffffffffffffffffffffffffffffffffffff", "0/a/…")]
    #[case(".sccache_check", "sccache")]
    #[case("node-cache-Linux-x64-npm-1234abcd", "setup-node")]
    #[case("buildkit-blob-1-sha256:0000", "docker build")]
    #[case("Linux-cargo-0123456789abcdef", "Linux-cargo-…")]
    #[case("v-rust-x", "v-rust-x")]
    #[case("", "")]
    fn owners_are_known_by_their_keys(#[case] key: &str, #[case] owner: &str) {
        assert_eq!(Owner::of(key).to_string(), owner);
    }

    #[rstest]
    #[case(
        "v0-rust-test-Linux-x64-11111111-22222222",
        "v0-rust-test-Linux-x64-11111111-",
        Some("test")
    )]
    #[case(
        "v0-rust-a-b-Windows_NT-x64-11111111-22222222",
        "v0-rust-a-b-Windows_NT-x64-11111111-",
        Some("a-b")
    )]
    #[case("Linux-cargo-0123456789abcdef", "Linux-cargo-", None)]
    #[case("docs-17", "docs-", None)]
    #[case("docs-latest", "docs-latest", None)]
    #[case("docs", "docs", None)]
    #[case("docs-", "docs-", None)]
    fn what_changes_at_the_end_of_a_key_is_no_part_of_its_series(
        #[case] key: &str,
        #[case] name: &str,
        #[case] job: Option<&str>,
    ) {
        let series = Series::of(key);
        assert_eq!(series.name, name);
        assert_eq!(series.job.as_deref(), job);
        assert_eq!(series.stem, None);
    }
}
