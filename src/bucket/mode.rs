//! Which bucket a checkout builds in. Pure.

use std::{fmt, path::Path, str::FromStr};

use globset::{GlobBuilder, GlobMatcher};

use super::Checkout;

/// What the user asks for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TargetMode {
    /// The shared bucket for the primary checkout, an isolated one for all others.
    #[default]
    Auto,
    /// The project's one warm bucket.
    Shared,
    /// A bucket of its own for this worktree, or for this branch.
    Isolated,
}

/// A word that is none of the modes.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is none of the modes: auto, shared, isolated")]
pub struct UnknownMode(pub String);

impl FromStr for TargetMode {
    type Err = UnknownMode;

    /// The empty text, which a variable that is not set may come as, is `auto`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim() {
            "" | "auto" => Ok(Self::Auto),
            "shared" => Ok(Self::Shared),
            "isolated" => Ok(Self::Isolated),
            _ => Err(UnknownMode(text.to_owned())),
        }
    }
}

/// What becomes of a build whose bucket another one is using.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum IfBusy {
    /// It waits, as Cargo does.
    #[default]
    Wait,
    /// It takes an isolated bucket that is free.
    Isolated,
}

/// A word that is neither of them.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither of what it takes: wait or isolated")]
pub struct UnknownPolicy(pub String);

impl FromStr for IfBusy {
    type Err = UnknownPolicy;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.trim() {
            "" | "wait" => Ok(Self::Wait),
            "isolated" => Ok(Self::Isolated),
            _ => Err(UnknownPolicy(text.to_owned())),
        }
    }
}

/// Folders whose checkouts get a bucket of their own.
#[derive(Clone, Debug, Default)]
pub struct WorktreePatterns(Vec<(String, GlobMatcher)>);

impl WorktreePatterns {
    /// Reads patterns, one a line, in the words of `.gitignore`: one without a `/` is about the checkout's own name, another
    /// about its whole path.
    pub fn parse(lines: &str) -> Result<Self, globset::Error> {
        let patterns = lines.lines().map(str::trim).filter(|line| !line.is_empty());
        patterns
            .map(|pattern| {
                let glob = GlobBuilder::new(pattern).literal_separator(true).build()?;
                Ok((pattern.to_owned(), glob.compile_matcher()))
            })
            .collect::<Result<_, _>>()
            .map(Self)
    }

    /// The first pattern that the checkout in `root` matches.
    pub fn matching(&self, root: &Path) -> Option<&str> {
        let is_match = |(pattern, glob): &&(String, GlobMatcher)| {
            if pattern.contains('/') {
                glob.is_match(root)
            } else {
                root.file_name().is_some_and(|name| glob.is_match(name))
            }
        };
        self.0
            .iter()
            .find(is_match)
            .map(|(pattern, _)| pattern.as_str())
    }
}

/// Whose bucket it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum BucketKind {
    /// The project's.
    Shared,
    /// One worktree's, or one branch's.
    Isolated,
}

impl BucketKind {
    /// The kind in a word.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Shared => "shared",
            Self::Isolated => "isolated",
        }
    }
}

/// What a choice is made by.
#[derive(Clone, Copy, Debug)]
pub struct Surroundings<'a> {
    /// The checkout.
    pub checkout: &'a Checkout,
    /// The user's patterns.
    pub patterns: &'a WorktreePatterns,
    /// Whether this is a job of CI.
    pub in_ci: bool,
}

/// The bucket that was chosen, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Choice {
    /// Whose it is.
    pub kind: BucketKind,
    /// Why, in words that go on from "shared, ".
    pub reason: String,
}

impl fmt::Display for Choice {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}, {}", self.kind.as_str(), self.reason)
    }
}

/// Chooses a bucket.
pub fn choose(mode: TargetMode, surroundings: Surroundings<'_>) -> Choice {
    let Surroundings {
        checkout,
        patterns,
        in_ci,
    } = surroundings;
    let (kind, reason) = match mode {
        TargetMode::Shared => (BucketKind::Shared, "as asked for".to_owned()),
        TargetMode::Isolated => (BucketKind::Isolated, "as asked for".to_owned()),
        TargetMode::Auto if checkout.worktree.is_some() => {
            (BucketKind::Isolated, "for a linked worktree".to_owned())
        }
        TargetMode::Auto => match patterns.matching(&checkout.root) {
            Some(pattern) => (
                BucketKind::Isolated,
                format!("as the folder matches {pattern}"),
            ),
            None if in_ci => (BucketKind::Isolated, "for a job of CI".to_owned()),
            None => (BucketKind::Shared, "for the primary checkout".to_owned()),
        },
    };
    Choice { kind, reason }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn chosen(mode: TargetMode, root: &str, worktree: Option<&str>, in_ci: bool) -> String {
        let checkout = Checkout {
            root: PathBuf::from(root),
            repository: PathBuf::from("/work/project/.git"),
            worktree: worktree.map(str::to_owned),
            branch: None,
        };
        let patterns =
            WorktreePatterns::parse("agent-*\n/srv/**/scratch\n").expect("they are sound");
        let surroundings = Surroundings {
            checkout: &checkout,
            patterns: &patterns,
            in_ci,
        };
        choose(mode, surroundings).to_string()
    }

    #[rstest::rstest]
    #[case::primary("/work/project", None, false, "shared, for the primary checkout")]
    #[case::linked("/work/fix", Some("fix"), false, "isolated, for a linked worktree")]
    #[case::named(
        "/work/agent-7",
        None,
        false,
        "isolated, as the folder matches agent-*"
    )]
    #[case::below(
        "/srv/a/b/scratch",
        None,
        false,
        "isolated, as the folder matches /srv/**/scratch"
    )]
    #[case::not_below("/work/agent-7/x", None, false, "shared, for the primary checkout")]
    #[case::ci("/work/project", None, true, "isolated, for a job of CI")]
    fn auto_goes_by_the_checkout(
        #[case] root: &str,
        #[case] worktree: Option<&str>,
        #[case] in_ci: bool,
        #[case] expected: &str,
    ) {
        assert_eq!(chosen(TargetMode::Auto, root, worktree, in_ci), expected);
    }

    #[test]
    fn what_the_user_asks_for_holds_everywhere() {
        let shared = chosen(TargetMode::Shared, "/work/agent-7", Some("x"), true);
        assert_eq!(shared, "shared, as asked for");
        let isolated = chosen(TargetMode::Isolated, "/work/project", None, false);
        assert_eq!(isolated, "isolated, as asked for");
    }

    #[test]
    fn a_word_that_is_no_mode_is_refused_with_those_that_are() {
        let error = "own".parse::<TargetMode>().expect_err("there is none");
        insta::assert_snapshot!(error, @r#""own" is none of the modes: auto, shared, isolated"#);
        assert_eq!("".parse(), Ok(TargetMode::Auto));
        assert_eq!(" isolated ".parse(), Ok(TargetMode::Isolated));
    }
}
