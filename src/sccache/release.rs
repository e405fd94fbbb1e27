//! The release of sccache that is fetched where none is on PATH.
//!
//! Digests are of the archives that mozilla/sccache publishes with release 0.16.0. They are those of taiki-e/install-action's
//! `manifests/sccache.json`, and for each archive those of at least one other public repository that pins it.

use crate::key::Digest;

/// The version.
pub const VERSION: &str = "0.16.0";

/// One published archive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Release {
    /// What it was built for, as its name has it.
    pub target: &'static str,
    /// The SHA-256 of the archive.
    pub sha256: &'static str,
}

/// By `std::env::consts::OS` and `ARCH`. Those for Linux are static: they run on every distribution.
const RELEASES: [(&str, &str, Release); 5] = [
    (
        "linux",
        "x86_64",
        Release {
            target: "x86_64-unknown-linux-musl",
            sha256: "aec995a83ad3dff3d14b6314e08858b7b73d35ca85a5bcf3d3a9ec07dee35588",
        },
    ),
    (
        "linux",
        "aarch64",
        Release {
            target: "aarch64-unknown-linux-musl",
            sha256: "f73a5c39f96bb6ebb89cc7915cf182260d4cbf30765322c5e793d0fe8bd80784",
        },
    ),
    (
        "macos",
        "x86_64",
        Release {
            target: "x86_64-apple-darwin",
            sha256: "f7dbd055db75a938ab1539f5316c5d08e73a1b94c40ab170ddcc617f5bf18343",
        },
    ),
    (
        "macos",
        "aarch64",
        Release {
            target: "aarch64-apple-darwin",
            sha256: "ded590cae2c72042c61178632906bef62d635fa20d45f8b22110a2241f430960",
        },
    ),
    (
        "windows",
        "x86_64",
        Release {
            target: "x86_64-pc-windows-msvc",
            sha256: "c82319cc392b693e9fc72e6567cce47e218308f00fbf1df942e39b62e30f98da",
        },
    ),
];

impl Release {
    /// The archive for a platform, by Rust's names of system and architecture, if there is one.
    pub fn for_platform(os: &str, architecture: &str) -> Option<Self> {
        RELEASES
            .iter()
            .find(|(of_os, of_architecture, _)| *of_os == os && *of_architecture == architecture)
            .map(|(.., release)| *release)
    }

    /// The directory in the archive that holds the program; with `.tar.gz` the archive's name.
    pub fn name(&self) -> String {
        format!("sccache-v{VERSION}-{}", self.target)
    }

    /// Whether `archive` is the one that was published.
    pub fn is_of(&self, archive: &[u8]) -> bool {
        Digest::of_bytes(archive).to_string() == self.sha256
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_five_platforms_have_a_release_and_others_have_none() {
        for (os, architecture, release) in RELEASES {
            assert_eq!(Release::for_platform(os, architecture), Some(release));
            assert_eq!(release.sha256.len(), 64);
        }
        assert_eq!(Release::for_platform("linux", "riscv64"), None);
        assert_eq!(Release::for_platform("freebsd", "x86_64"), None);
    }

    #[test]
    fn the_name_is_the_published_one() {
        let release = Release::for_platform("windows", "x86_64").expect("there is one");
        insta::assert_snapshot!(release.name(), @"sccache-v0.16.0-x86_64-pc-windows-msvc");
    }
}
