//! Settings of target buckets: checked once, like all others.
//!
//! Invariant: a wrong value is one error that names the setting, what was given, and what is accepted.

use crate::{
    bucket::{IfBusy, TargetMode, UnknownMode, UnknownPolicy, WorktreePatterns},
    environment::Environment,
    platform_directory,
};

/// Checked settings.
#[derive(Clone, Debug)]
pub struct BucketSettings {
    /// Which bucket to build in.
    pub mode: TargetMode,
    /// Folders whose checkouts get a bucket of their own.
    pub patterns: WorktreePatterns,
    /// What becomes of a build whose bucket another one is using.
    pub if_busy: IfBusy,
}

/// A setting with a value that it does not accept.
#[derive(Debug, thiserror::Error)]
pub enum BucketSettingsError {
    /// An unknown mode.
    #[error("the target mode {0}")]
    Mode(#[from] UnknownMode),
    /// A pattern that is none.
    #[error("--worktree-patterns: {0}; it takes patterns as in .gitignore, one a line")]
    Patterns(#[from] globset::Error),
    /// Neither to wait nor not to.
    #[error("--if-busy {0}")]
    IfBusy(#[from] UnknownPolicy),
    /// A home that differs from directory to directory.
    #[error(
        "HOTCRATE_HOME {0:?} is no absolute path; it takes the directory of everything that hotcrate keeps"
    )]
    Home(String),
}

impl BucketSettings {
    /// Checks the values as they were given.
    pub fn check(mode: &str, patterns: &str, if_busy: &str) -> Result<Self, BucketSettingsError> {
        Ok(Self {
            mode: mode.parse()?,
            patterns: WorktreePatterns::parse(patterns)?,
            if_busy: if_busy.parse()?,
        })
    }
}

/// Refuses a home that is relative: it would be another one in every directory.
pub fn check_home(environment: &Environment) -> Result<(), BucketSettingsError> {
    match environment.path(platform_directory::HOME) {
        Some(home) if !home.is_absolute() => {
            Err(BucketSettingsError::Home(home.display().to_string()))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(mode: &str, patterns: &str, if_busy: &str) -> String {
        let error = BucketSettings::check(mode, patterns, if_busy);
        error.expect_err("it is wrong").to_string()
    }

    #[test]
    fn a_wrong_value_is_answered_with_what_is_accepted() {
        insta::assert_snapshot!(refused("own", "", ""), @r#"the target mode "own" is none of the modes: auto, shared, isolated"#);
        insta::assert_snapshot!(refused("", "a[", ""), @"--worktree-patterns: error parsing glob 'a[': unclosed character class; missing ']'; it takes patterns as in .gitignore, one a line");
        insta::assert_snapshot!(refused("", "", "no"), @r#"--if-busy "no" is neither of what it takes: wait or isolated"#);
        let environment = [("HOTCRATE_HOME", "cache")].into_iter().collect();
        let error = check_home(&environment).expect_err("it is relative");
        insta::assert_snapshot!(error, @r#"HOTCRATE_HOME "cache" is no absolute path; it takes the directory of everything that hotcrate keeps"#);
    }

    #[test]
    fn what_is_set_to_nothing_is_not_set() {
        let settings = BucketSettings::check("", "", "");
        let settings = settings.expect("nothing is set");
        assert_eq!(settings.mode, TargetMode::Auto);
        assert_eq!(settings.if_busy, IfBusy::Wait);
    }
}
