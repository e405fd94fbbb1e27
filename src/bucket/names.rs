//! What buckets are called. Pure.

use std::path::{Path, PathBuf};

use super::{BucketKind, Checkout};
use crate::key::DigestBuilder;

/// The directory of all buckets within the home.
const BUCKETS: &str = "buckets-v1";
/// How long a readable part of a name may be.
const LONGEST_WORD: usize = 40;
/// What stands between a bucket's name and a number.
const NUMBER: char = '~';

/// The buckets of one workspace of one repository.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProjectBuckets {
    directory: PathBuf,
}

/// Where one bucket lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BucketPlace {
    /// The bucket's own directory, absolute.
    pub directory: PathBuf,
}

impl ProjectBuckets {
    /// The directory of all projects' buckets in `home`.
    pub fn all(home: &Path) -> PathBuf {
        home.join(BUCKETS)
    }

    /// Those in `home` of the workspace at `place` within the repository of `checkout`: see [`Checkout::place_of`].
    pub fn of(home: &Path, checkout: &Checkout, place: &str) -> Self {
        let digest = DigestBuilder::new()
            .field(
                "repository",
                checkout.repository.as_os_str().as_encoded_bytes(),
            )
            .field("workspace", place)
            .finish();
        let name = match checkout.primary() {
            Some(primary) => word_of_path(&primary),
            None => word_of_path(&checkout.repository),
        };
        Self {
            directory: Self::all(home).join(format!("{name}-{}", digest.short())),
        }
    }

    /// The directory that they lie in.
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The bucket of `kind` for `checkout`; `number` tells further isolated ones of the same checkout apart, from 1.
    pub fn place(&self, kind: BucketKind, checkout: &Checkout, number: u32) -> BucketPlace {
        let name = match (kind, &checkout.worktree, &checkout.branch) {
            (BucketKind::Shared, ..) => "shared".to_owned(),
            (BucketKind::Isolated, Some(worktree), _) => told_apart("worktree", worktree),
            (BucketKind::Isolated, None, Some(branch)) => told_apart("branch", branch),
            (BucketKind::Isolated, None, None) => "detached".to_owned(),
        };
        let name = match number {
            0 | 1 => name,
            number => format!("{name}{NUMBER}{number}"),
        };
        BucketPlace {
            directory: self.directory.join(name),
        }
    }
}

impl BucketPlace {
    /// What Cargo is told to build in.
    pub fn target(&self) -> PathBuf {
        self.directory.join("target")
    }

    /// The file that is locked.
    pub fn lock(&self) -> PathBuf {
        let mut name = self.name().to_owned();
        name.push_str(".lock");
        self.directory.with_file_name(name)
    }

    /// The file that says whose it is.
    pub fn record(&self) -> PathBuf {
        self.directory.join("bucket.json")
    }

    /// The name of its directory.
    pub fn name(&self) -> &str {
        let name = self.directory.file_name().and_then(|name| name.to_str());
        name.unwrap_or_default()
    }
}

/// `worktree-fix-3f2a9c01`: names that look alike once they are plain are told apart by the digest.
fn told_apart(what: &str, name: &str) -> String {
    let digest = DigestBuilder::new().field(what, name).finish();
    format!("{what}-{}-{}", word(name), digest.short())
}

fn word_of_path(path: &Path) -> String {
    let name = path.file_stem().unwrap_or(path.as_os_str());
    word(&name.to_string_lossy())
}

/// `name` in characters that every file system takes, not too many of them.
fn word(name: &str) -> String {
    let plain = |character: char| {
        if character.is_ascii_alphanumeric() || character == '_' {
            character
        } else {
            '-'
        }
    };
    name.chars().take(LONGEST_WORD).map(plain).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkout(root: &str, worktree: Option<&str>, branch: Option<&str>) -> Checkout {
        Checkout {
            root: PathBuf::from(root),
            repository: PathBuf::from("/work/my project/.git"),
            worktree: worktree.map(str::to_owned),
            branch: branch.map(str::to_owned),
        }
    }

    fn name(kind: BucketKind, checkout: &Checkout) -> String {
        let buckets = ProjectBuckets::of(Path::new("/home"), checkout, "");
        let place = buckets.place(kind, checkout, 1);
        place
            .directory
            .strip_prefix("/home")
            .expect("it lies in the home")
            .to_string_lossy()
            .replace('\\', "/")
    }

    #[test]
    fn every_worktree_of_a_repository_has_the_same_shared_bucket() {
        let primary = checkout("/work/my project", None, Some("main"));
        let linked = checkout("/elsewhere/fix", Some("fix"), Some("fix"));
        assert_eq!(
            name(BucketKind::Shared, &primary),
            name(BucketKind::Shared, &linked)
        );
        insta::assert_snapshot!(
            name(BucketKind::Shared, &primary),
            @"buckets-v1/my-project-8d203b3c/shared"
        );
    }

    #[test]
    fn an_isolated_bucket_belongs_to_a_worktree_or_else_to_a_branch() {
        let linked = checkout("/elsewhere/fix", Some("fix"), Some("feature"));
        assert!(name(BucketKind::Isolated, &linked).contains("/worktree-fix-"));
        let of = |branch| checkout("/work/my project", None, Some(branch));
        let one = name(BucketKind::Isolated, &of("a/b"));
        assert!(one.contains("/branch-a-b-"), "{one}");
        assert_ne!(one, name(BucketKind::Isolated, &of("a-b")));
        let detached = checkout("/work/my project", None, None);
        assert!(name(BucketKind::Isolated, &detached).ends_with("/detached"));
    }

    #[test]
    fn two_workspaces_of_a_repository_share_nothing() {
        let primary = checkout("/work/my project", None, None);
        let home = Path::new("/home");
        assert_ne!(
            ProjectBuckets::of(home, &primary, ""),
            ProjectBuckets::of(home, &primary, "tools")
        );
    }

    #[test]
    fn further_buckets_of_a_checkout_are_numbered_and_locked_apart() {
        let linked = checkout("/elsewhere/fix", Some("fix"), None);
        let buckets = ProjectBuckets::of(Path::new("/home"), &linked, "");
        let first = buckets.place(BucketKind::Isolated, &linked, 1);
        let second = buckets.place(BucketKind::Isolated, &linked, 2);
        assert_ne!(first.target(), second.target());
        assert_ne!(first.lock(), second.lock());
        assert!(second.name().ends_with("~2"));
        assert_eq!(first.lock().parent(), Some(buckets.directory()));
    }
}
