//! Why an entry does not match exactly, in words that people use.
//!
//! Invariant: the text is bounded, whatever the facts hold, and is one line without control characters. Values with a
//! structure of their own (TOML, JSON) are told whole or not at all: words cut out of them say nothing.

use std::cmp::Reverse;

use super::{FactChange, PartDifference, part::is_digest};

/// How many characters of a label or of a value are told.
const LONGEST_LABEL: usize = 60;
const LONGEST_VALUE: usize = 40;
/// From so many characters on, further parts are only named.
const LONG_LINE: usize = 240;
/// Words of at least so many hexadecimal digits are commits and checksums: their beginning is enough.
const LONG_HASH: usize = 16;
/// How the labels of packages begin.
const PACKAGE: &str = "package ";

/// All differences in one line: `toolchain: rustc 1.94.0 → 1.95.0; lock: memchr 2.8.2 → 2.8.3, 2 more`. Where there
/// are many, the last ones are only named: `…; also env, job`.
pub fn explain(differences: &[PartDifference]) -> String {
    let mut line = String::new();
    for (index, difference) in differences.iter().enumerate() {
        if line.chars().count() >= LONG_LINE {
            let others: Vec<_> = differences[index..]
                .iter()
                .map(|difference| difference.part.as_str())
                .collect();
            return format!("{line}; also {}", others.join(", "));
        }
        if index > 0 {
            line.push_str("; ");
        }
        line.push_str(&explain_part(difference));
    }
    line
}

/// One part's differences: `lock: memchr 2.8.2 → 2.8.3, 2 more`.
pub fn explain_part(difference: &PartDifference) -> String {
    let part = difference.part.as_str();
    // What changed tells more than what came or went with it, and packages more than the manifests that ask for them.
    let mut changes: Vec<_> = difference.changes.iter().collect();
    changes.sort_by_key(|change| {
        let on_both_sides = change.old.is_some() && change.new.is_some();
        Reverse((change.label.starts_with(PACKAGE), on_both_sides))
    });
    let told = match changes.as_slice() {
        [] => "not in the stored entry".to_owned(),
        [only] => explain_change(only),
        [first, second] => format!("{}, {}", explain_change(first), explain_change(second)),
        [first, others @ ..] => format!("{}, {} more", explain_change(first), others.len()),
    };
    format!("{part}: {told}")
}

/// One change: `memchr 2.8.2 → 2.8.3`.
pub fn explain_change(change: &FactChange) -> String {
    let label = change.label.strip_prefix(PACKAGE).unwrap_or(&change.label);
    let label = bounded(label, LONGEST_LABEL);
    match (change.old.as_deref(), change.new.as_deref()) {
        (Some(old), Some(new)) => match both(old, new) {
            Some((old, new)) => format!("{label} {old} → {new}"),
            None => format!("{label} changed"),
        },
        (None, Some(value)) => format!("{label}{} is new", alone(value)),
        (Some(value), None) => format!("{label}{} is gone", alone(value)),
        (None, None) => label,
    }
}

/// As much of two values as shows the difference, if a line has room for that.
fn both(old: &str, new: &str) -> Option<(String, String)> {
    if is_digest(old) || is_digest(new) {
        return None;
    }
    let (old, new) = if is_structured(old) || is_structured(new) {
        (whole(old)?, whole(new)?)
    } else {
        let words = words_that_tell(old, new);
        (beginning(old, words), beginning(new, words))
    };
    (old != new).then_some((old, new))
}

/// What tells a value that stands alone, with a space before it; nothing for a digest, or for what has no room.
fn alone(value: &str) -> String {
    let told = if is_digest(value) || value.is_empty() {
        None
    } else if is_structured(value) {
        whole(value)
    } else {
        Some(beginning(value, 1))
    };
    told.map_or_else(String::new, |told| format!(" {told}"))
}

/// Whether a value is a table, a list or a quoted text, in TOML or JSON.
fn is_structured(value: &str) -> bool {
    value.starts_with(['{', '[', '"'])
}

/// The whole value, if it is short.
fn whole(value: &str) -> Option<String> {
    (value.chars().count() <= LONGEST_VALUE).then(|| bounded(value, LONGEST_VALUE))
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
        .map(short_word)
        .collect();
    bounded(&words.join(" "), LONGEST_VALUE)
}

/// The first digits of a commit or a checksum; of a git source the commit alone: addresses are long, and rarely change.
fn short_word(word: &str) -> String {
    let is_hash =
        |text: &str| text.len() >= LONG_HASH && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    match word.rsplit_once('#') {
        Some((source, commit)) if source.starts_with("git+") && is_hash(commit) => {
            format!("git {}", &commit[..8])
        }
        _ if is_hash(word) => word[..8].to_owned(),
        _ => word.to_owned(),
    }
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

    #[test]
    fn packages_are_named_before_the_manifests_that_ask_for_them() {
        let manifest =
            |dependencies: &str| Fact::new("crates/a/Cargo.toml [dependencies]", dependencies);
        let text = explained(
            PartName::Lock,
            &[
                manifest(r#"{ryu = "1"}"#),
                Fact::new("package ryu", "1.0.20 crates.io"),
            ],
            &[
                manifest(r#"{libm = "0.2", ryu = "1"}"#),
                Fact::new("package libm", "0.2.15 crates.io"),
                Fact::new("package ryu", "1.0.21 crates.io"),
            ],
        );
        insta::assert_snapshot!(text, @"lock: ryu 1.0.20 → 1.0.21, 2 more");
        let text = explained(
            PartName::Lock,
            &[manifest(r#"{ryu = "1"}"#)],
            &[
                manifest(r#"{libm = "0.2", ryu = "1"}"#),
                Fact::new("package libm", "0.2.15 crates.io"),
            ],
        );
        insta::assert_snapshot!(text, @r#"lock: libm 0.2.15 is new, crates/a/Cargo.toml [dependencies] {ryu = "1"} → {libm = "0.2", ryu = "1"}"#);
    }

    #[test]
    fn a_long_table_is_not_cut_into_words() {
        let manifest = |dependencies: &str| {
            [Fact::new(
                "crates/a/Cargo.toml [dependencies]",
                dependencies,
            )]
        };
        let old = r#"{ryu = "1", serde = {default-features = false, version = "1"}}"#;
        let new = r#"{libm = "0.2", serde = {default-features = false, version = "1"}}"#;
        insta::assert_snapshot!(
            explained(PartName::Lock, &manifest(old), &manifest(new)),
            @"lock: crates/a/Cargo.toml [dependencies] changed"
        );
        insta::assert_snapshot!(
            explained(PartName::Lock, &[], &manifest(new)),
            @"lock: crates/a/Cargo.toml [dependencies] is new"
        );
    }

    #[test]
    fn a_short_setting_is_told_whole() {
        let profile = |value: &str| [Fact::new("Cargo.toml [profile.release]", value)];
        insta::assert_snapshot!(
            explained(PartName::Lock, &profile("{lto = true, strip = true}"), &profile(r#"{lto = "thin"}"#)),
            @r#"lock: Cargo.toml [profile.release] {lto = true, strip = true} → {lto = "thin"}"#
        );
    }

    #[test]
    fn of_a_package_from_git_the_commits_are_told() {
        let package = |commit: char| {
            let commit = commit.to_string().repeat(40);
            [Fact::new(
                "package forked",
                format!("1.0.0 git+https://example.org/a/long/way/forked?branch=main#{commit}"),
            )]
        };
        insta::assert_snapshot!(
            explained(PartName::Lock, &package('a'), &package('b')),
            @"lock: forked 1.0.0 git aaaaaaaa → 1.0.0 git bbbbbbbb"
        );
    }

    #[test]
    fn values_that_would_look_alike_are_not_shown() {
        let cpu = |model: &str| [Fact::new("cpu", format!("{}-{model}", "x".repeat(50)))];
        insta::assert_snapshot!(
            explained(PartName::Platform, &cpu("1"), &cpu("2")),
            @"platform: cpu changed"
        );
    }

    #[test]
    fn of_very_many_differences_the_last_ones_are_only_named() {
        let difference = |part| PartDifference {
            part,
            changes: vec![
                FactChange {
                    label: "y".repeat(100),
                    old: Some("x".repeat(100)),
                    new: Some("z".repeat(100)),
                };
                2
            ],
        };
        let line = explain(&[
            difference(PartName::Platform),
            difference(PartName::Env),
            difference(PartName::Job),
        ]);
        assert!(line.ends_with("; also env, job"), "{line}");
    }
}
