//! Which members may be in an archive together: the rules that keep writing inside the roots.
//!
//! Packing and opening hold to the same rules, so that nothing is stored that could not be restored.
//!
//! The rule for symlinks is stricter than what the text of one link needs: `..` may only stand at its front. The
//! directories that lead to a link are real ones, so these lead to real ones; behind them, every link passed through
//! obeys the rule itself. Otherwise `a -> .` and `b -> a/../..` would lead out together.

use std::{borrow::Cow, collections::HashMap};

use super::{
    index::{Content, IndexMember},
    path::RelativePath,
};

/// A member that breaks a rule, and the rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Refusal<'a> {
    pub(super) member: &'a RelativePath,
    pub(super) reason: &'static str,
}

/// Checks that every name is there once, and that nothing but directories has anything below it.
pub(super) fn check_tree(members: &[IndexMember]) -> Result<(), Refusal<'_>> {
    let mut kinds = HashMap::with_capacity(members.len());
    for member in members {
        let is_directory = member.content == Content::Directory;
        if kinds
            .insert(folded(member.name.as_str()), is_directory)
            .is_some()
        {
            return Err(Refusal {
                member: &member.name,
                reason: "it is there twice",
            });
        }
    }
    let mut checked = Cow::Borrowed("");
    for member in members {
        let name = folded(member.name.as_str());
        let mut above = &name[..];
        while let Some((parent, _)) = above.rsplit_once('/') {
            // Neighbours mostly share their directory, and it was checked with the first of them.
            if parent == checked {
                break;
            }
            if kinds.get(parent) == Some(&false) {
                return Err(Refusal {
                    member: &member.name,
                    reason: "it lies below something that is not a directory",
                });
            }
            above = parent;
        }
        if let Some((parent, _)) = name.rsplit_once('/') {
            checked = Cow::Owned(parent.to_owned());
        }
    }
    Ok(())
}

/// The rule that a symlink breaks, if it breaks one. `depth`: how many directories lie between its root and it.
///
/// `target` is what the link says, with `/` between the parts.
pub fn symlink_refusal(depth: usize, target: &str) -> Option<&'static str> {
    if target.is_empty() {
        return Some("it is a symlink to nothing");
    }
    if target.starts_with('/') {
        return Some("it is a symlink to an absolute path");
    }
    if target.contains(['\\', ':', '\0']) {
        return Some("it is a symlink with a character in it that separates paths on Windows");
    }
    let mut parts = target.split('/').filter(|part| !matches!(*part, "" | "."));
    let up = parts.by_ref().take_while(|part| *part == "..").count();
    if up > depth {
        return Some("it is a symlink that leads out of its root");
    }
    if parts.any(|part| part == "..") {
        return Some("it is a symlink that goes down and up again");
    }
    None
}

/// `name` as the file system of this platform tells names apart.
fn folded(name: &str) -> Cow<'_, str> {
    if cfg!(any(windows, target_os = "macos")) {
        Cow::Owned(name.to_lowercase())
    } else {
        Cow::Borrowed(name)
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::beside(0, "file", true)]
    #[case::one_up(1, "../file", true)]
    #[case::to_the_root_itself(2, "../..", true)]
    #[case::dots_that_say_nothing(0, "./a//b", true)]
    #[case::out(0, "..", false)]
    #[case::further_out(1, "../../file", false)]
    #[case::down_and_up(3, "link/../file", false)]
    #[case::hidden_behind_a_dot(0, "./..", false)]
    #[case::absolute(9, "/etc", false)]
    #[case::drive(9, "C:/", false)]
    #[case::nothing(0, "", false)]
    fn a_symlink_may_go_up_only_at_its_front_and_only_within_its_root(
        #[case] depth: usize,
        #[case] target: &str,
        #[case] allowed: bool,
    ) {
        assert_eq!(symlink_refusal(depth, target).is_none(), allowed);
    }

    fn tree(members: &[(&str, Content)]) -> Vec<IndexMember> {
        members
            .iter()
            .map(|(name, content)| IndexMember {
                name: RelativePath::new(*name).unwrap(),
                mode: 0o644,
                modified: UNIX_EPOCH,
                content: content.clone(),
            })
            .collect()
    }

    const FILE: Content = Content::File { offset: 0, size: 0 };

    fn reason(members: &[(&str, Content)]) -> Option<&'static str> {
        check_tree(&tree(members))
            .err()
            .map(|refusal| refusal.reason)
    }

    #[test]
    fn directories_may_have_members_below_them_and_need_not_be_members() {
        let members = [
            ("r/a", Content::Directory),
            ("r/a/b", FILE),
            ("r/c/d", FILE),
            ("r/a/c", FILE),
        ];
        assert_eq!(reason(&members), None);
    }

    #[test]
    fn a_name_that_is_there_twice_is_refused() {
        let members = [("r/a", FILE), ("r/b", FILE), ("r/a", FILE)];
        assert_eq!(reason(&members), Some("it is there twice"));
    }

    #[rstest]
    #[case(FILE)]
    #[case(Content::HardLink { to: 0 })]
    #[case(Content::Symlink { target: "b".to_owned() })]
    fn nothing_but_a_directory_has_members_below_it(
        #[case] above: Content,
        #[values(true, false)] first: bool,
    ) {
        let mut members = [("r/a", above), ("r/a/x/y", FILE)];
        if !first {
            members.reverse();
        }
        assert_eq!(
            reason(&members),
            Some("it lies below something that is not a directory")
        );
    }
}
