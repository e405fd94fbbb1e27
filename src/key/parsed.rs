//! Keys read back: what the key of a stored entry says where nothing but its name can be had.
//!
//! A key holds digests alone, so two keys tell which parts differ and not how: that stands in the entries' headers.

use super::{PartName, question::KEY_VERSION};
use crate::tier::TierName;

/// The parts that a tier's key has, in their order. The head of [`super::recipe`] says what enters them.
pub fn part_names(tier: TierName) -> &'static [PartName] {
    use PartName::{
        Env, Generation, Interface, Job, List, Lock, Packages, Platform, Set, Toolchain, Tree,
    };
    match tier {
        TierName::Registry => &[Packages, Set],
        TierName::Deps => &[Platform, Toolchain, Env, Job, Lock, Set],
        TierName::Workspace => &[Platform, Toolchain, Env, Job, Interface, Tree],
        TierName::Sccache => &[Platform, Toolchain, Job, Lock, Generation],
        TierName::Tools => &[Platform, Job, Set],
        TierName::Extra => &[Platform, Job, List, Lock, Set],
    }
}

/// A key of hotcrate, taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParsedKey {
    /// The tier.
    pub tier: TierName,
    /// The parts and their digits, in the order of the key.
    pub parts: Vec<(PartName, String)>,
}

impl ParsedKey {
    /// Reads a full key. `None` for what no release that is known here stored: another version, an unknown tier, more
    /// parts or fewer, or other digits than a digest's.
    pub fn parse(key: &str) -> Option<Self> {
        let rest = key.strip_prefix(KEY_VERSION)?.strip_prefix('-')?;
        let mut pieces = rest.split('-');
        let tier = pieces.next()?.parse().ok()?;
        let names = part_names(tier);
        let digits: Vec<_> = pieces.collect();
        let is_digest = |text: &&str| {
            text.len() == 8
                && text
                    .bytes()
                    .all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
        };
        (digits.len() == names.len() && digits.iter().all(is_digest)).then(|| Self {
            tier,
            parts: names
                .iter()
                .copied()
                .zip(digits.into_iter().map(str::to_owned))
                .collect(),
        })
    }

    /// The digits of a part, if the tier's keys have it.
    pub fn digits(&self, part: PartName) -> Option<&str> {
        self.parts
            .iter()
            .find(|(name, _)| *name == part)
            .map(|(_, digits)| digits.as_str())
    }

    /// What stays the same from one entry of a job to the next: the key up to the job, or where the tier has no such part,
    /// or has more behind it that a job chooses, up to the last part. Ends in `-`.
    pub fn series(&self) -> String {
        let last = self.parts.len() - 1;
        let count = match self.tier {
            TierName::Registry => last,
            // The list of directories is the job's own choice, and one job may have two.
            TierName::Extra => self.count_to(PartName::List),
            TierName::Deps | TierName::Workspace | TierName::Sccache | TierName::Tools => {
                self.count_to(PartName::Job)
            }
        };
        self.prefix(count)
    }

    /// How many parts there are up to and with `part`; all but the last where there is no such part.
    fn count_to(&self, part: PartName) -> usize {
        let position = self.parts.iter().position(|(name, _)| *name == part);
        position.map_or(self.parts.len() - 1, |index| index + 1)
    }

    /// The key without its last part: entries that share that answer the same lookup, and the newest does, so that it is
    /// all that any job can get. Ends in `-`.
    pub fn stem(&self) -> String {
        self.prefix(self.parts.len() - 1)
    }

    fn prefix(&self, count: usize) -> String {
        let mut prefix = format!("{KEY_VERSION}-{}-", self.tier);
        for (_, digits) in &self.parts[..count] {
            prefix.push_str(digits);
            prefix.push('-');
        }
        prefix
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const DEPS: &str = "hotcrate-v1-deps-11111111-22222222-33333333-44444444-55555555-66666666";

    #[test]
    fn a_key_is_read_back_part_by_part() {
        let parsed = ParsedKey::parse(DEPS).expect("it is a key");
        assert_eq!(parsed.tier, TierName::Deps);
        assert_eq!(parsed.digits(PartName::Job), Some("44444444"));
        assert_eq!(parsed.digits(PartName::Tree), None);
        insta::assert_snapshot!(parsed.series(), @"hotcrate-v1-deps-11111111-22222222-33333333-44444444-");
        insta::assert_snapshot!(parsed.stem(), @"hotcrate-v1-deps-11111111-22222222-33333333-44444444-55555555-");
    }

    #[rstest]
    #[case::registry(
        "hotcrate-v1-registry-11111111-22222222",
        "hotcrate-v1-registry-11111111-"
    )]
    #[case::sccache(
        "hotcrate-v1-sccache-11111111-22222222-33333333-44444444-55555555",
        "hotcrate-v1-sccache-11111111-22222222-33333333-"
    )]
    #[case::tools(
        "hotcrate-v1-tools-11111111-22222222-33333333",
        "hotcrate-v1-tools-11111111-22222222-"
    )]
    #[case::extra(
        "hotcrate-v1-extra-11111111-22222222-33333333-44444444-55555555",
        "hotcrate-v1-extra-11111111-22222222-33333333-"
    )]
    #[case::workspace(
        "hotcrate-v1-workspace-11111111-22222222-33333333-44444444-55555555-66666666",
        "hotcrate-v1-workspace-11111111-22222222-33333333-44444444-"
    )]
    fn a_series_goes_as_far_as_one_job_stays_the_same(#[case] key: &str, #[case] series: &str) {
        assert_eq!(ParsedKey::parse(key).expect("it is a key").series(), series);
    }

    #[rstest]
    #[case("hotcrate-v2-registry-11111111-22222222")]
    #[case("hotcrate-v1-cake-11111111-22222222")]
    #[case("hotcrate-v1-registry-11111111")]
    #[case("hotcrate-v1-registry-11111111-22222222-33333333")]
    #[case("hotcrate-v1-registry-1111111-22222222")]
    #[case("hotcrate-v1-registry-1111111G-22222222")]
    #[case("v0-rust-test-Linux-x64-11111111-22222222")]
    #[case("")]
    fn what_is_no_key_of_ours_is_not_taken_for_one(#[case] key: &str) {
        assert_eq!(ParsedKey::parse(key), None);
    }
}
