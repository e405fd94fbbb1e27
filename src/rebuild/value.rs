//! Values of environment variables, as far as people may see them.
//!
//! Invariant: a value that could be a secret is never kept, only a digest that tells whether it changed. Shown are
//! paths and short plain words, and those only of variables whose names do not speak of secrets.

use std::{fmt, path::Path};

use serde::{Deserialize, Serialize};

use crate::key::Digest;

/// The longest word that is shown: shorter than any key worth stealing.
const LONGEST_WORD: usize = 12;
const LONGEST_PATH: usize = 240;

/// Words between `_` in names of variables that hold secrets.
const SECRET_WORDS: [&str; 14] = [
    "AUTH",
    "COOKIE",
    "CREDENTIAL",
    "CREDENTIALS",
    "JWT",
    "KEY",
    "KEYS",
    "PASS",
    "PASSPHRASE",
    "PAT",
    "PRIVATE",
    "PSK",
    "SESSION",
    "SIGNATURE",
];
/// Parts of such names, wherever they stand.
const SECRET_PARTS: [&str; 6] = [
    "TOKEN",
    "SECRET",
    "PASSWORD",
    "PASSWD",
    "APIKEY",
    "CREDENTIAL",
];

/// What is kept of a value.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Value {
    /// The value itself.
    Shown(String),
    /// 8 hexadecimal digits of its SHA-256.
    Hidden(String),
}

impl Value {
    /// What is kept of the value `text` of the variable `name`.
    pub fn of(name: &str, text: &str) -> Self {
        if !is_secret(name) && (is_path(text) || is_word(text)) {
            Self::Shown(text.to_owned())
        } else {
            Self::Hidden(Digest::of_bytes(text.as_bytes()).short())
        }
    }

    /// The value, if it may be shown and is a path.
    pub fn as_path(&self) -> Option<&str> {
        match self {
            Self::Shown(text) if is_path(text) => Some(text),
            Self::Shown(_) | Self::Hidden(_) => None,
        }
    }
}

/// Whether `name` speaks of a secret.
pub fn is_secret(name: &str) -> bool {
    let name = name.to_uppercase();
    name.split('_').any(|word| SECRET_WORDS.contains(&word))
        || SECRET_PARTS.iter().any(|part| name.contains(part))
}

fn is_word(text: &str) -> bool {
    text.len() <= LONGEST_WORD
        && text
            .chars()
            .all(|character| character.is_ascii_alphanumeric() || "._-+,= ".contains(character))
}

fn is_path(text: &str) -> bool {
    let has_drive =
        matches!(text.as_bytes(), [letter, b':', b'\\' | b'/', ..] if letter.is_ascii_alphabetic());
    let is_anchored = text.starts_with('/') || text.starts_with(r"\\") || has_drive;
    is_anchored
        && text.len() <= LONGEST_PATH
        && !text.contains("://")
        && !text.contains(['@', '?', '\n'])
}

/// How a variable changed, in words: `: /a/x → /b/x` with what both have in common cut out, or nothing to show.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct ValueChange {
    /// The earlier value; `None` where the variable was not set.
    pub old: Option<Value>,
    /// The later one.
    pub new: Option<Value>,
}

impl fmt::Display for ValueChange {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.old, &self.new) {
            (None, Some(Value::Shown(new))) => write!(formatter, "was set: {new}"),
            (None, _) => formatter.write_str("was set"),
            (Some(Value::Shown(old)), None) => write!(formatter, "was removed: {old}"),
            (Some(_), None) => formatter.write_str("was removed"),
            (Some(Value::Shown(old)), Some(Value::Shown(new))) => {
                let (old, new) = without_common_parts(old, new);
                write!(formatter, "changed: {old} → {new}")
            }
            (Some(_), Some(_)) => formatter.write_str("changed"),
        }
    }
}

/// Two paths without the directories that both begin and end with: `…/tmp-1/… → …/tmp-2/…`. A short beginning stays.
fn without_common_parts(old: &str, new: &str) -> (String, String) {
    if !is_path(old) || !is_path(new) {
        return (quoted(old), quoted(new));
    }
    let (a, b): (Vec<_>, Vec<_>) = (parts(old), parts(new));
    let start = a.iter().zip(&b).take_while(|(a, b)| a == b).count();
    let start = start.min(a.len().min(b.len()) - 1);
    // The first part is the root: what differs right below it is shown as it is.
    let start = if start < 2 { 0 } else { start };
    let longest_end = (a.len() - start).min(b.len() - start).saturating_sub(1);
    let end = a
        .iter()
        .rev()
        .zip(b.iter().rev())
        .take(longest_end)
        .take_while(|(a, b)| a == b)
        .count();
    let end = if end < 2 { 0 } else { end };
    let shown = |parts: &[&str]| {
        let mut text = parts[start..parts.len() - end].join("/");
        if start > 0 {
            text.insert_str(0, "…/");
        }
        if end > 0 {
            text.push_str("/…");
        }
        text
    };
    (shown(&a), shown(&b))
}

fn parts(path: &str) -> Vec<&str> {
    path.split(['/', '\\']).collect()
}

fn quoted(word: &str) -> String {
    if word.is_empty() {
        "empty".to_owned()
    } else {
        word.to_owned()
    }
}

/// Whether `path` lies where things do not last, or has a part that was made up for once.
pub fn is_temporary(path: &str) -> bool {
    const DIRECTORIES: [&str; 6] = [
        "/tmp",
        "/var/tmp",
        "/var/folders",
        "/private/var/folders",
        "/private/tmp",
        "/dev/shm",
    ];
    let below = DIRECTORIES
        .iter()
        .any(|directory| Path::new(path).starts_with(directory));
    let lower = path.to_lowercase();
    below
        || lower.contains(r"\appdata\local\temp\")
        || parts(&lower).iter().any(|part| is_made_up(part))
}

/// Names that pip, `mktemp` and Python's `tempfile` make up, and the directory that a runner empties after each job.
fn is_made_up(part: &str) -> bool {
    let begins = ["pip-build-env-", "pip-install-", "pip-req-build-", "tmp."]
        .iter()
        .any(|start| part.len() > start.len() && part.starts_with(start));
    begins || part == "_temp" || part.starts_with("tmp") && part.len() == "tmp01234567".len()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::a_path("PYO3_PYTHON", "/tmp/pip-build-env-x/bin/python", true)]
    #[case::a_windows_path("PYO3_PYTHON", r"C:\Temp\python.exe", true)]
    #[case::a_switch("OPENSSL_STATIC", "1", true)]
    #[case::a_short_word("PROFILE", "release-lto", true)]
    #[case::nothing("EMPTY", "", true)]
    #[case::a_secret_by_name("GITHUB_TOKEN", "abc", false)]
    #[case::a_path_of_a_key("SSH_KEY_FILE", "/home/u/.ssh/id_rsa", false)]
    #[case::a_password_in_lower_case("db_password", "hunter2", false)]
    #[case::a_long_word("VERGEN_SHA", "0123456789abcdef0123", false)]
    #[case::an_address("DATABASE_URL", "postgres://u:p@h/db", false)]
    #[case::a_path_with_a_query("FEED", "/x?sig=1", false)]
    #[case::two_lines("NOTES", "/a\nsecret", false)]
    fn only_paths_and_short_words_of_harmless_variables_are_kept(
        #[case] name: &str,
        #[case] value: &str,
        #[case] is_shown: bool,
    ) {
        let kept = Value::of(name, value);
        assert_eq!(kept == Value::Shown(value.to_owned()), is_shown, "{kept:?}");
        assert_eq!(kept, Value::of(name, value));
        assert_ne!(kept, Value::of(name, "another"));
    }

    #[rstest]
    #[case(
        Some("/tmp/a-1/bin/python"),
        Some("/tmp/a-2/bin/python"),
        "changed: …/a-1/… → …/a-2/…"
    )]
    #[case(
        Some("/home/u/w/tmp-1"),
        Some("/home/u/w/tmp-2"),
        "changed: …/tmp-1 → …/tmp-2"
    )]
    #[case(Some("/a/x"), Some("/b/x"), "changed: /a/x → /b/x")]
    #[case(
        Some("/usr/bin"),
        Some("/usr/bin/python"),
        "changed: …/bin → …/bin/python"
    )]
    #[case(Some("0"), Some("1"), "changed: 0 → 1")]
    #[case(Some(""), Some("1"), "changed: empty → 1")]
    #[case(Some("/a/b"), None, "was removed: /a/b")]
    #[case(None, Some("1"), "was set: 1")]
    #[case(Some("a value with quite some words in it"), Some("1"), "changed")]
    #[case(None, Some("a value with quite some words in it"), "was set")]
    fn a_change_is_told_as_far_as_both_values_may_be_seen(
        #[case] old: Option<&str>,
        #[case] new: Option<&str>,
        #[case] told: &str,
    ) {
        let kept = |value: Option<&str>| value.map(|value| Value::of("NAME", value));
        let change = ValueChange {
            old: kept(old),
            new: kept(new),
        };
        assert_eq!(change.to_string(), told);
    }

    #[rstest]
    #[case("/tmp/pip-build-env-a1b2c3/bin/python", true)]
    #[case("/home/u/.cache/pip-build-env-abcdef12/bin/python", true)]
    #[case("/data/tmpabcd1234/bin", true)]
    #[case(r"C:\Users\u\AppData\Local\Temp\x", true)]
    #[case("/home/runner/work/_temp/x", true)]
    #[case("/usr/bin/python3", false)]
    #[case("/tmpfiles/x", false)]
    #[case("/home/u/pip-tools/bin", false)]
    fn temporary_paths_are_known(#[case] path: &str, #[case] expected: bool) {
        assert_eq!(is_temporary(path), expected);
    }
}
