//! Why a tier is saved or not, and the words for it.

use std::fmt;

use super::CacheMode;

/// Why a tier is saved. Its words fit after "saved, as ".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SaveReason {
    /// The run is one of the default branch.
    DefaultBranch {
        /// The branch.
        branch: String,
        /// What is new.
        new: String,
    },
    /// `save-if` asks for it.
    SaveIf {
        /// What is new.
        new: String,
    },
    /// The run takes place outside GitHub.
    Local {
        /// What is new.
        new: String,
    },
}

/// Why a tier is not saved. Its words fit after "not saved: ".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SkipReason {
    /// `save-if` is `false`.
    SaveIf,
    /// The command failed, outside GitHub.
    CommandFailed,
    /// The job failed.
    JobFailed,
    /// The job was cancelled.
    JobCancelled,
    /// The workflow's `cache-mode` forbids it.
    CacheMode(CacheMode),
    /// A run of a merge queue.
    MergeQueue,
    /// A run of a pull request.
    PullRequest,
    /// Another event whose runs don't save.
    Event {
        /// The event's name; empty if it is unknown.
        name: String,
    },
    /// The run belongs to no reference.
    NoReference,
    /// Nothing says which branch is the default one.
    DefaultBranchUnknown,
    /// The run is one of another branch, or of a tag.
    OtherBranch {
        /// The reference, without `refs/heads/`.
        reference: String,
        /// The default branch.
        default_branch: String,
    },
    /// There is nothing new.
    Unchanged,
    /// There is too little new.
    BelowThreshold {
        /// The share of the tier that is new, in percent.
        percent: u8,
        /// The share from which on an entry is worth it, in percent.
        threshold_percent: u8,
    },
}

impl fmt::Display for SaveReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::DefaultBranch { branch, new } => {
                write!(formatter, "{new} (on the default branch, {branch})")
            }
            Self::SaveIf { new } => write!(formatter, "{new} (`save-if` asks for it)"),
            Self::Local { new } => formatter.write_str(new),
        }
    }
}

impl fmt::Display for SkipReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SaveIf => formatter.write_str("`save-if` is false"),
            Self::CommandFailed => {
                formatter.write_str("the command failed, and `cache-on-failure` is not set")
            }
            Self::JobFailed => {
                formatter.write_str("the job failed, and `cache-on-failure` is not set")
            }
            Self::JobCancelled => {
                formatter.write_str("the job was cancelled, and `cache-on-failure` is not set")
            }
            Self::CacheMode(mode) => {
                let mode = mode.as_str();
                write!(formatter, "the workflow's `cache-mode` is `{mode}`")
            }
            Self::MergeQueue => formatter
                .write_str("nothing can read what a merge queue's throw-away branch has saved"),
            Self::PullRequest => formatter.write_str(
                "pull requests restore the default branch's entries and save none, unless `save-if` is true",
            ),
            Self::Event { name } if name.is_empty() => {
                formatter.write_str("the event that started this run is unknown")
            }
            Self::Event { name } => write!(formatter, "runs started by `{name}` never save"),
            Self::NoReference => formatter.write_str("the run belongs to no branch"),
            Self::DefaultBranchUnknown => formatter.write_str(
                "the event does not say which branch is the default one; `save-if` can stand in",
            ),
            Self::OtherBranch {
                reference,
                default_branch,
            } => write!(
                formatter,
                "{reference} is not the default branch, {default_branch}"
            ),
            Self::Unchanged => formatter.write_str("nothing is new"),
            Self::BelowThreshold {
                percent,
                threshold_percent,
            } => write!(
                formatter,
                "{percent} % of it is new, and {threshold_percent} % would be worth an entry"
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_to_save_has_words() {
        let new = "34 units were compiled here".to_owned();
        let words = [
            SaveReason::DefaultBranch {
                branch: "main".to_owned(),
                new: new.clone(),
            },
            SaveReason::SaveIf { new: new.clone() },
            SaveReason::Local { new },
        ]
        .map(|reason| reason.to_string())
        .join("\n");
        insta::assert_snapshot!(words, @r"
        34 units were compiled here (on the default branch, main)
        34 units were compiled here (`save-if` asks for it)
        34 units were compiled here
        ");
    }

    #[test]
    fn every_reason_to_skip_has_words() {
        let words = [
            SkipReason::SaveIf,
            SkipReason::CommandFailed,
            SkipReason::JobFailed,
            SkipReason::JobCancelled,
            SkipReason::CacheMode(CacheMode::Read),
            SkipReason::MergeQueue,
            SkipReason::PullRequest,
            SkipReason::Event {
                name: "issue_comment".to_owned(),
            },
            SkipReason::Event {
                name: String::new(),
            },
            SkipReason::NoReference,
            SkipReason::DefaultBranchUnknown,
            SkipReason::OtherBranch {
                reference: "feature/x".to_owned(),
                default_branch: "main".to_owned(),
            },
            SkipReason::Unchanged,
            SkipReason::BelowThreshold {
                percent: 4,
                threshold_percent: 10,
            },
        ]
        .map(|reason| reason.to_string())
        .join("\n");
        insta::assert_snapshot!(words, @r"
        `save-if` is false
        the command failed, and `cache-on-failure` is not set
        the job failed, and `cache-on-failure` is not set
        the job was cancelled, and `cache-on-failure` is not set
        the workflow's `cache-mode` is `read`
        nothing can read what a merge queue's throw-away branch has saved
        pull requests restore the default branch's entries and save none, unless `save-if` is true
        runs started by `issue_comment` never save
        the event that started this run is unknown
        the run belongs to no branch
        the event does not say which branch is the default one; `save-if` can stand in
        feature/x is not the default branch, main
        nothing is new
        4 % of it is new, and 10 % would be worth an entry
        ");
    }
}
