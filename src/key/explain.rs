//! Why an entry does not match exactly, in words that people use.
//!
//! Invariant: the text is bounded, whatever the facts hold, and is one line without control characters.

use super::{FactChange, PartDifference, part::is_digest};

/// How many characters of a label or of a value are told.
const LONGEST_LABEL: usize = 60;
const LONGEST_VALUE: usize = 40;
/// Words of at least so many hexadecimal digits are commits and checksums: their beginning is enough.
const LONG_HASH: usize = 16;

/// All differences in one line: `toolchain: rustc 1.94.0 → 1.95.0; lock: memchr 2.8.2 → 2.8.3, 2 more`.
pub fn explain(differences: &[PartDifference]) -> String {
    let parts: Vec<_> = differences.iter().map(explain_part).collect();
    parts.join("; ")
}

/// One part's differences: `lock: memchr 2.8.2 → 2.8.3, 2 more`.
pub fn explain_part(difference: &PartDifference) -> String {
    let part = difference.part.as_str();
    // What changed tells more than what came or went with it.
    let mut changes: Vec<_> = difference.changes.iter().collect();
    changes.sort_by_key(|change| change.old.is_none() || change.new.is_none());
    let told = match changes.as_slice() {
        [] => "not in the stored entry".to_owned(),
        [only] => sentence(only),
        [first, second] => format!("{}, {}", sentence(first), sentence(second)),
        [first, others @ ..] => format!("{}, {} more", sentence(first), others.len()),
    };
    format!("{part}: {told}")
}

fn sentence(change: &FactChange) -> String {
    let label = change
        .label
        .strip_prefix("package ")
        .unwrap_or(&change.label);
    let label = bounded(label, LONGEST_LABEL);
    match (change.old.as_deref(), change.new.as_deref()) {
        (Some(old), Some(new)) if is_digest(old) || is_digest(new) => format!("{label} changed"),
        (Some(old), Some(new)) => {
            let words = words_that_tell(old, new);
            format!(
                "{label} {} → {}",
                beginning(old, words),
                beginning(new, words)
            )
        }
        (None, Some(value)) => format!("{label}{} is new", alone(value)),
        (Some(value), None) => format!("{label}{} is gone", alone(value)),
        (None, None) => label,
    }
}

/// The first word of a value that stands alone, with a space before it; nothing for a digest.
fn alone(value: &str) -> String {
    if is_digest(value) || value.is_empty() {
        String::new()
    } else {
        format!(" {}", beginning(value, 1))
    }
}

/// How many words of two values it takes to see that they differ.
fn words_that_tell(old: &str, new: &str) -> usize {
    let common = old
        .split_whitespace()
        .zip(new.split_whitespace())
        .take_while(|(one, other)| one == other)
        .count();
    common + 1
}

fn beginning(value: &str, words: usize) -> String {
    if value.trim().is_empty() {
        return "nothing".to_owned();
    }
    let words: Vec<_> = value
        .split_whitespace()
        .take(words)
        .map(|word| {
            let is_hash =
                word.len() >= LONG_HASH && word.bytes().all(|byte| byte.is_ascii_hexdigit());
            if is_hash { &word[..8] } else { word }
        })
        .collect();
    bounded(&words.join(" "), LONGEST_VALUE)
}

fn bounded(text: &str, longest: usize) -> String {
    let clean: String = text
        .chars()
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .collect();
    if clean.chars().count() <= longest {
        return clean;
    }
    let mut short: String = clean.chars().take(longest - 1).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{Fact, KeyPart, Match, PartName, Question, compare};
    use crate::tier::TierName;

    fn explained(part: PartName, old: &[Fact], new: &[Fact]) -> String {
        let question = Question {
            tier: TierName::Deps,
            parts: vec![KeyPart::new(part, new.iter().cloned())],
            least: 0,
            open_ended: true,
        };
        match compare(&[KeyPart::new(part, old.iter().cloned())], &question) {
            Match::Exact => "exact".to_owned(),
            Match::Partial(differences) => explain(&differences),
        }
    }

    #[test]
    fn a_new_compiler_is_named_by_its_release() {
        let compiler = |release: &str| {
            [Fact::new(
                "rustc",
                format!("{release} 2026-04-14 59807616e1fa2540724bfbac14d7976d7e4a3860"),
            )]
        };
        let text = explained(
            PartName::Toolchain,
            &compiler("1.94.0"),
            &compiler("1.95.0"),
        );
        insta::assert_snapshot!(text, @"toolchain: rustc 1.94.0 → 1.95.0");
    }

    #[test]
    fn two_nightlies_are_told_apart_by_their_dates() {
        let compiler = |date: &str| [Fact::new("rustc", format!("1.97.0-nightly {date} 0123"))];
        let text = explained(
            PartName::Toolchain,
            &compiler("2026-05-01"),
            &compiler("2026-05-02"),
        );
        insta::assert_snapshot!(text, @"toolchain: rustc 1.97.0-nightly 2026-05-01 → 1.97.0-nightly 2026-05-02");
    }

    #[test]
    fn of_many_changed_packages_one_is_named_and_the_rest_counted() {
        let package =
            |name: &str, version: &str| Fact::new(format!("package {name}"), version.to_owned());
        let text = explained(
            PartName::Lock,
            &[package("memchr", "2.8.2"), package("aho", "1.0.0")],
            &[package("memchr", "2.8.3"), package("zed", "0.1.0")],
        );
        insta::assert_snapshot!(text, @"lock: memchr 2.8.2 → 2.8.3, 2 more");
    }

    #[test]
    fn of_an_environment_variable_only_the_name_is_told() {
        let text = explained(
            PartName::Env,
            &[
                Fact::digested("RUSTFLAGS", "-Dwarnings"),
                Fact::digested("CC", "clang"),
            ],
            &[Fact::digested("RUSTFLAGS", "-Ctarget-cpu=native")],
        );
        insta::assert_snapshot!(text, @"env: RUSTFLAGS changed, CC is gone");
    }

    #[test]
    fn the_system_is_named_with_both_versions() {
        let text = explained(
            PartName::Platform,
            &[Fact::new("distribution", "ubuntu 22.04")],
            &[Fact::new("distribution", "ubuntu 24.04")],
        );
        insta::assert_snapshot!(text, @"platform: distribution ubuntu 22.04 → ubuntu 24.04");
    }

    #[test]
    fn a_package_whose_checksum_alone_differs_shows_it() {
        let package = |sum: &str| [Fact::new("package a", format!("1.0.0 crates.io {sum}"))];
        let text = explained(
            PartName::Packages,
            &package("00112233445566778899"),
            &package("ff112233445566778899"),
        );
        insta::assert_snapshot!(text, @"packages: a 1.0.0 crates.io 00112233 → 1.0.0 crates.io ff112233");
    }

    #[test]
    fn nothing_that_a_fact_holds_can_break_or_flood_the_line() {
        let text = explained(
            PartName::Job,
            &[Fact::new("matrix os", "\n::error::x ".repeat(1000))],
            &[Fact::new(format!("matrix {}", "y".repeat(1000)), "\r1")],
        );
        assert!(text.chars().all(|character| !character.is_control()));
        assert!(text.chars().count() < 300, "{text}");
    }
}
