//! When to save.
//!
//! [`decide_save`] is asked once for each tier. On GitHub everything that could make an entry useless to others
//! (a pull request's own scope, a merge queue's throw-away branch) or dangerous to them (an event that anyone can
//! trigger, which runs in the scope of the default branch) says no, and all of it must say yes.

use super::{SaveReason, SkipReason};

/// Everything that the decision depends on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SaveContext<'run> {
    /// Where the run takes place.
    pub place: Place<'run>,
    /// How the job, or outside GitHub the command, stands.
    pub job: JobStatus,
    /// The `cache-on-failure` setting: save although the job failed or was cancelled.
    pub cache_on_failure: bool,
    /// The `save-if` setting, if it is set: `true` lifts the rule about branches, and for pull requests the one about
    /// events; `false` forbids saving.
    pub save_if: Option<bool>,
    /// What there is to save in the tier.
    pub novelty: Novelty,
}

/// Where a run takes place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place<'run> {
    /// Outside GitHub.
    Local,
    /// On GitHub, or on a server that speaks like it.
    GitHub(GitHubFacts<'run>),
}

/// What GitHub says of a run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct GitHubFacts<'run> {
    /// The event's name, such as `push`; empty if it is unknown.
    pub event: &'run str,
    /// The full reference that the run was started for, such as `refs/heads/main`.
    pub reference: Option<&'run str>,
    /// The name of the repository's default branch, if anything says it: never a guess.
    pub default_branch: Option<&'run str>,
    /// What the workflow permits.
    pub cache_mode: CacheMode,
}

/// How the job stands at the time of saving.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobStatus {
    /// Nothing failed so far.
    Succeeded,
    /// A step, or the command, failed.
    Failed,
    /// Somebody stopped it.
    Cancelled,
}

impl JobStatus {
    /// Reads the value of GitHub's `job.status`; `None` for any other text.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "success" => Some(Self::Succeeded),
            "failure" => Some(Self::Failed),
            "cancelled" => Some(Self::Cancelled),
            _ => None,
        }
    }
}

/// The workflow's `cache-mode`, which the runner hands down as `ACTIONS_CACHE_MODE`. The cache service has the last
/// word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum CacheMode {
    /// Not set, or set to something that this release does not know.
    #[default]
    Unrestricted,
    /// `none`: neither read nor write.
    None,
    /// `read`: read only.
    Read,
    /// `write`: read and write.
    Write,
    /// `write-only`: don't read.
    WriteOnly,
}

impl CacheMode {
    /// Reads the variable's value as GitHub's own client does: trimmed, in any case, and what is unknown permits.
    pub fn parse(text: Option<&str>) -> Self {
        let text = text.unwrap_or_default().trim().to_ascii_lowercase();
        match text.as_str() {
            "none" => Self::None,
            "read" => Self::Read,
            "write" => Self::Write,
            "write-only" => Self::WriteOnly,
            _ => Self::Unrestricted,
        }
    }

    /// Whether entries may be looked up.
    pub fn may_read(self) -> bool {
        !matches!(self, Self::None | Self::WriteOnly)
    }

    /// Whether entries may be stored.
    pub fn may_write(self) -> bool {
        !matches!(self, Self::None | Self::Read)
    }

    /// The value as it stands in a workflow; empty where there is no limit.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Unrestricted => "",
            Self::None => "none",
            Self::Read => "read",
            Self::Write => "write",
            Self::WriteOnly => "write-only",
        }
    }
}

/// What a tier has that the store does not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Novelty {
    /// Something worth an entry.
    New {
        /// What, in words that end the sentence "saved, as …": `34 units were compiled here`.
        why: String,
    },
    /// Nothing: the entry that was restored says it all.
    Unchanged,
    /// Something, but not enough.
    BelowThreshold {
        /// The share of the tier that is new, in percent, rounded down.
        percent: u8,
        /// The share from which on an entry is worth it, in percent.
        threshold_percent: u8,
    },
}

/// The answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SaveDecision {
    /// Save the tier.
    Save(SaveReason),
    /// Leave it.
    Skip(SkipReason),
}

/// Decides whether to save a tier.
pub fn decide_save(context: &SaveContext<'_>) -> SaveDecision {
    refuse_by_settings(context)
        .and_then(|()| match &context.place {
            Place::Local => Ok(Permission::Local),
            Place::GitHub(run) => permit_on_github(run, context.save_if == Some(true)),
        })
        .and_then(|permission| Ok(permission.with(worth(&context.novelty)?)))
        .map_or_else(SaveDecision::Skip, SaveDecision::Save)
}

/// Why the run itself may save.
enum Permission {
    DefaultBranch(String),
    SaveIf,
    Local,
}

impl Permission {
    fn with(self, new: String) -> SaveReason {
        match self {
            Self::DefaultBranch(branch) => SaveReason::DefaultBranch { branch, new },
            Self::SaveIf => SaveReason::SaveIf { new },
            Self::Local => SaveReason::Local { new },
        }
    }
}

fn refuse_by_settings(context: &SaveContext<'_>) -> Result<(), SkipReason> {
    if context.save_if == Some(false) {
        return Err(SkipReason::SaveIf);
    }
    match context.job {
        JobStatus::Failed if !context.cache_on_failure => Err(match context.place {
            Place::Local => SkipReason::CommandFailed,
            Place::GitHub(_) => SkipReason::JobFailed,
        }),
        JobStatus::Cancelled if !context.cache_on_failure => Err(SkipReason::JobCancelled),
        JobStatus::Succeeded | JobStatus::Failed | JobStatus::Cancelled => Ok(()),
    }
}

fn permit_on_github(run: &GitHubFacts<'_>, asked: bool) -> Result<Permission, SkipReason> {
    if !run.cache_mode.may_write() {
        return Err(SkipReason::CacheMode(run.cache_mode));
    }
    let queue = "refs/heads/gh-readonly-queue/";
    if run.event == "merge_group" || run.reference.is_some_and(|name| name.starts_with(queue)) {
        return Err(SkipReason::MergeQueue);
    }
    match run.event {
        "push" | "schedule" | "workflow_dispatch" | "repository_dispatch" => {}
        "pull_request" if asked => {}
        "pull_request" => return Err(SkipReason::PullRequest),
        // Among these are events that strangers trigger and that run in the default branch's scope, such as
        // `pull_request_target` and `issue_comment`: no setting opens them, as not every store defends itself.
        name => {
            let name = name.to_owned();
            return Err(SkipReason::Event { name });
        }
    }
    match branch_rule(run) {
        Ok(branch) => Ok(Permission::DefaultBranch(branch)),
        Err(_) if asked => Ok(Permission::SaveIf),
        Err(reason) => Err(reason),
    }
}

/// The default branch's name, if the run is one of it.
fn branch_rule(run: &GitHubFacts<'_>) -> Result<String, SkipReason> {
    let reference = run.reference.ok_or(SkipReason::NoReference)?;
    let branch = reference.strip_prefix("refs/heads/");
    // Scheduled runs are always the default branch's, and their payload does not name it.
    let default_branch = if run.event == "schedule" {
        run.default_branch.or(branch)
    } else {
        run.default_branch
    };
    let default_branch = default_branch.ok_or(SkipReason::DefaultBranchUnknown)?;
    if branch == Some(default_branch) {
        Ok(default_branch.to_owned())
    } else {
        Err(SkipReason::OtherBranch {
            reference: branch.unwrap_or(reference).to_owned(),
            default_branch: default_branch.to_owned(),
        })
    }
}

/// What is new, if it is worth an entry.
fn worth(novelty: &Novelty) -> Result<String, SkipReason> {
    match novelty {
        Novelty::New { why } => Ok(why.clone()),
        Novelty::Unchanged => Err(SkipReason::Unchanged),
        &Novelty::BelowThreshold {
            percent,
            threshold_percent,
        } => Err(SkipReason::BelowThreshold {
            percent,
            threshold_percent,
        }),
    }
}

#[cfg(test)]
mod tests {
    use proptest::{prelude::*, sample};
    use rstest::rstest;

    use super::*;

    const MAIN: &str = "refs/heads/main";

    fn novelty() -> Novelty {
        Novelty::New {
            why: "34 units were compiled here".to_owned(),
        }
    }

    fn on_github<'run>(event: &'run str, reference: &'run str) -> SaveContext<'run> {
        SaveContext {
            place: Place::GitHub(GitHubFacts {
                event,
                reference: Some(reference).filter(|reference| !reference.is_empty()),
                default_branch: Some("main").filter(|_| event != "schedule"),
                cache_mode: CacheMode::Unrestricted,
            }),
            job: JobStatus::Succeeded,
            cache_on_failure: false,
            save_if: None,
            novelty: novelty(),
        }
    }

    /// `default`, `save-if` or `local` for a permission; the variant's name for a refusal.
    fn verdict(context: &SaveContext<'_>) -> &'static str {
        match decide_save(context) {
            SaveDecision::Save(SaveReason::DefaultBranch { .. }) => "default",
            SaveDecision::Save(SaveReason::SaveIf { .. }) => "save-if",
            SaveDecision::Save(SaveReason::Local { .. }) => "local",
            SaveDecision::Skip(reason) => match reason {
                SkipReason::SaveIf => "SaveIf",
                SkipReason::CommandFailed => "CommandFailed",
                SkipReason::JobFailed => "JobFailed",
                SkipReason::JobCancelled => "JobCancelled",
                SkipReason::CacheMode(_) => "CacheMode",
                SkipReason::MergeQueue => "MergeQueue",
                SkipReason::PullRequest => "PullRequest",
                SkipReason::Event { .. } => "Event",
                SkipReason::NoReference => "NoReference",
                SkipReason::DefaultBranchUnknown => "DefaultBranchUnknown",
                SkipReason::OtherBranch { .. } => "OtherBranch",
                SkipReason::Unchanged => "Unchanged",
                SkipReason::BelowThreshold { .. } => "BelowThreshold",
            },
        }
    }

    /// Which events and references save: with `save-if` left alone, `true`, and `false`.
    #[rstest]
    #[case::push("push", MAIN, ["default", "default", "SaveIf"])]
    #[case::schedule("schedule", MAIN, ["default", "default", "SaveIf"])]
    #[case::by_hand("workflow_dispatch", MAIN, ["default", "default", "SaveIf"])]
    #[case::by_api("repository_dispatch", MAIN, ["default", "default", "SaveIf"])]
    #[case::push_to_a_branch("push", "refs/heads/feature", ["OtherBranch", "save-if", "SaveIf"])]
    #[case::by_hand_on_a_branch("workflow_dispatch", "refs/heads/x", ["OtherBranch", "save-if", "SaveIf"])]
    #[case::tag("push", "refs/tags/v1", ["OtherBranch", "save-if", "SaveIf"])]
    #[case::tag_called_main("push", "refs/tags/main", ["OtherBranch", "save-if", "SaveIf"])]
    #[case::no_reference("push", "", ["NoReference", "save-if", "SaveIf"])]
    #[case::pull_request("pull_request", "refs/pull/7/merge", ["PullRequest", "save-if", "SaveIf"])]
    #[case::merge_group(
        "merge_group", "refs/heads/gh-readonly-queue/main/pr-7-abc", ["MergeQueue", "MergeQueue", "SaveIf"]
    )]
    #[case::push_of_a_merge_queue(
        "push", "refs/heads/gh-readonly-queue/main/pr-7-abc", ["MergeQueue", "MergeQueue", "SaveIf"]
    )]
    #[case::pull_request_target("pull_request_target", MAIN, ["Event", "Event", "SaveIf"])]
    #[case::comment("issue_comment", MAIN, ["Event", "Event", "SaveIf"])]
    #[case::workflow_run("workflow_run", MAIN, ["Event", "Event", "SaveIf"])]
    #[case::release("release", "refs/tags/v1", ["Event", "Event", "SaveIf"])]
    #[case::unknown("", MAIN, ["Event", "Event", "SaveIf"])]
    fn events_and_references(
        #[case] event: &str,
        #[case] reference: &str,
        #[case] expected: [&str; 3],
    ) {
        for (save_if, expected) in [None, Some(true), Some(false)].into_iter().zip(expected) {
            let context = SaveContext {
                save_if,
                ..on_github(event, reference)
            };
            assert_eq!(verdict(&context), expected, "save-if: {save_if:?}");
        }
    }

    /// How the job stands, with `cache-on-failure` off and on.
    #[rstest]
    #[case(JobStatus::Succeeded, ["default", "default"])]
    #[case(JobStatus::Failed, ["JobFailed", "default"])]
    #[case(JobStatus::Cancelled, ["JobCancelled", "default"])]
    fn jobs_that_did_not_succeed_save_only_when_told_to(
        #[case] job: JobStatus,
        #[case] expected: [&str; 2],
    ) {
        for (cache_on_failure, expected) in [false, true].into_iter().zip(expected) {
            let context = SaveContext {
                job,
                cache_on_failure,
                ..on_github("push", MAIN)
            };
            assert_eq!(verdict(&context), expected);
        }
    }

    #[rstest]
    #[case(None, "default")]
    #[case(Some(""), "default")]
    #[case(Some("write"), "default")]
    #[case(Some("write-only"), "default")]
    #[case(Some("surprise"), "default")]
    #[case(Some("read"), "CacheMode")]
    #[case(Some(" READ\n"), "CacheMode")]
    #[case(Some("none"), "CacheMode")]
    fn the_cache_mode_has_a_veto(#[case] mode: Option<&str>, #[case] expected: &str) {
        for save_if in [None, Some(true)] {
            let mut context = SaveContext {
                save_if,
                ..on_github("push", MAIN)
            };
            if let Place::GitHub(run) = &mut context.place {
                run.cache_mode = CacheMode::parse(mode);
            }
            assert_eq!(verdict(&context), expected);
        }
    }

    #[test]
    fn a_mode_that_only_writes_does_not_read() {
        assert!(!CacheMode::WriteOnly.may_read());
        assert!(!CacheMode::None.may_read());
        assert!(CacheMode::Read.may_read());
        assert!(CacheMode::Unrestricted.may_read());
    }

    #[test]
    fn the_default_branch_is_never_guessed() {
        let mut context = on_github("workflow_dispatch", MAIN);
        if let Place::GitHub(run) = &mut context.place {
            run.default_branch = None;
        }
        assert_eq!(verdict(&context), "DefaultBranchUnknown");
        context.save_if = Some(true);
        assert_eq!(verdict(&context), "save-if");
    }

    #[rstest]
    #[case(JobStatus::Succeeded, "local")]
    #[case(JobStatus::Failed, "CommandFailed")]
    #[case(JobStatus::Cancelled, "JobCancelled")]
    fn outside_github_a_command_that_succeeded_saves(
        #[case] job: JobStatus,
        #[case] expected: &str,
    ) {
        let context = SaveContext {
            place: Place::Local,
            job,
            ..on_github("", "")
        };
        assert_eq!(verdict(&context), expected);
    }

    #[rstest]
    #[case("success", Some(JobStatus::Succeeded))]
    #[case("failure", Some(JobStatus::Failed))]
    #[case("cancelled", Some(JobStatus::Cancelled))]
    #[case("", None)]
    fn job_statuses_are_read_as_github_writes_them(
        #[case] text: &str,
        #[case] expected: Option<JobStatus>,
    ) {
        assert_eq!(JobStatus::parse(text), expected);
    }

    proptest! {
        /// What no setting may ever lift.
        #[test]
        fn nothing_new_and_no_permission_never_save(
            event in sample::select(vec!["push", "schedule", "pull_request", "issue_comment", "merge_group"]),
            reference in sample::select(vec!["", MAIN, "refs/tags/v1", "refs/pull/1/merge"]),
            mode in sample::select(vec![CacheMode::Unrestricted, CacheMode::None, CacheMode::Read]),
            job in sample::select(vec![JobStatus::Succeeded, JobStatus::Failed, JobStatus::Cancelled]),
            (cache_on_failure, save_if, is_new) in any::<(bool, Option<bool>, bool)>(),
        ) {
            let mut context = SaveContext {
                job,
                cache_on_failure,
                save_if,
                novelty: if is_new { novelty() } else { Novelty::Unchanged },
                ..on_github(event, reference)
            };
            if let Place::GitHub(run) = &mut context.place {
                run.cache_mode = mode;
            }
            if let SaveDecision::Save(_) = decide_save(&context) {
                prop_assert!(is_new);
                prop_assert!(mode.may_write());
                prop_assert!(save_if != Some(false));
                prop_assert!(job == JobStatus::Succeeded || cache_on_failure);
                prop_assert!(event != "merge_group" && event != "issue_comment");
                prop_assert!(save_if == Some(true) || reference == MAIN);
            }
        }
    }
}
