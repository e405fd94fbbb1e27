//! Scopes: which branch an entry belongs to, and whose entries a run may read.
//!
//! Invariants: the scope of a branch or tag is its full Git reference, so that no branch, whatever its name, is
//! taken for `local`, for a tag, or for a pull request. A run's own scope is the first that it reads, and the only
//! one that it writes. A pull request's scope is that of its merge reference and never the name of its head branch,
//! which a stranger chooses.

use std::fmt;

/// The branch, tag or pull request that an entry belongs to; or `local`, for runs outside CI.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Scope(String);

impl Scope {
    const LOCAL: &str = "local";

    /// The scope of runs outside CI.
    pub fn local() -> Self {
        Self(Self::LOCAL.to_owned())
    }

    /// The scope of a branch, by its name without `refs/heads/`.
    pub fn branch(name: &str) -> Self {
        Self(format!("refs/heads/{name}"))
    }

    /// The scope of a full Git reference, such as `refs/heads/main` or `refs/pull/7/merge`. What does not begin with
    /// `refs/` is taken for the name of a branch.
    pub fn reference(reference: &str) -> Self {
        if reference.starts_with("refs/") {
            Self(reference.to_owned())
        } else {
            Self::branch(reference)
        }
    }

    /// The full reference, or `local`.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Scope {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(&self.0)
    }
}

/// The scopes of one run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scopes {
    own: Scope,
    /// What else is read, in that order; never `own`, and none twice.
    others: Vec<Scope>,
}

impl Scopes {
    /// A run that writes to `own`, and reads `own` and then `others` in their order. Repetitions are left out.
    pub fn new(own: Scope, others: impl IntoIterator<Item = Scope>) -> Self {
        let mut scopes = Self {
            own,
            others: Vec::new(),
        };
        for scope in others {
            if scope != scopes.own && !scopes.others.contains(&scope) {
                scopes.others.push(scope);
            }
        }
        scopes
    }

    /// A run outside CI: it knows of no scope but `local`.
    pub fn local() -> Self {
        Self::new(Scope::local(), [])
    }

    /// A run on GitHub: its own reference, then the base branch, the default branch and `local`.
    ///
    /// `reference` is the full reference that the run was started for; branches go by their names. Without a
    /// reference the run's own scope is `local`.
    pub fn of_run(
        reference: Option<&str>,
        base_branch: Option<&str>,
        default_branch: Option<&str>,
    ) -> Self {
        let branches = [base_branch, default_branch];
        Self::new(
            reference.map_or_else(Scope::local, Scope::reference),
            branches
                .into_iter()
                .flatten()
                .map(Scope::branch)
                .chain([Scope::local()]),
        )
    }

    /// The scope that the run writes to.
    pub fn own(&self) -> &Scope {
        &self.own
    }

    /// The scopes that the run reads, in the order of reading: its own comes first.
    pub fn readable(&self) -> impl Iterator<Item = &Scope> {
        std::iter::once(&self.own).chain(&self.others)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(scopes: &Scopes) -> String {
        let readable: Vec<_> = scopes.readable().map(Scope::as_str).collect();
        readable.join(", ")
    }

    #[test]
    fn a_pull_request_reads_itself_then_its_base_then_the_default_branch_then_local() {
        let scopes = Scopes::of_run(Some("refs/pull/7/merge"), Some("release/2"), Some("main"));
        assert_eq!(scopes.own().as_str(), "refs/pull/7/merge");
        insta::assert_snapshot!(
            words(&scopes),
            @"refs/pull/7/merge, refs/heads/release/2, refs/heads/main, local"
        );
    }

    #[test]
    fn no_scope_is_read_twice() {
        let scopes = Scopes::of_run(Some("refs/heads/main"), Some("main"), Some("main"));
        insta::assert_snapshot!(words(&scopes), @"refs/heads/main, local");
        insta::assert_snapshot!(words(&Scopes::of_run(None, None, None)), @"local");
    }

    #[test]
    fn a_branch_called_local_or_like_a_tag_is_neither() {
        assert_ne!(Scope::branch("local"), Scope::local());
        assert_ne!(Scope::reference("local"), Scope::local());
        assert_ne!(Scope::branch("v1"), Scope::reference("refs/tags/v1"));
        assert_ne!(
            Scope::branch("refs/tags/v1"),
            Scope::reference("refs/tags/v1")
        );
    }

    #[test]
    fn a_branch_is_the_same_scope_by_its_name_and_by_its_reference() {
        assert_eq!(Scope::branch("main"), Scope::reference("refs/heads/main"));
    }
}
