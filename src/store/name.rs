//! Names of projects, scopes and entries as file names.
//!
//! Invariants: different names never share a file, even where the file system takes `A` for `a`, folds Unicode, or
//! reserves `con`; and no name leads out of its directory. A file name consists of lower-case letters, digits, `-`,
//! `_`, `.` and, for all other bytes, `%` and two digits. What would become too long for a file system is cut, and a
//! digest of the whole name stands behind `~`.

use std::fmt;

use super::StoreError;
use crate::key::Digest;

/// The longest file name of a project or a scope, in bytes: two of them and a key fit into Windows's customary limit.
const LONGEST_FILE_NAME: usize = 100;
/// How many digits of a digest stand behind a name that was cut.
const CUT_DIGITS: usize = 32;
/// The longest key, in bytes. hotcrate's own are half as long, and the Actions cache service takes 512.
const LONGEST_KEY: usize = 200;

/// The name of a project or of a scope, as a store keeps it.
///
/// Shown, it is the name itself, but for names that had to be cut: of those the beginning and `…`. To compare a
/// stored name with one at hand, ask [`StoredName::is`].
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoredName(String);

impl StoredName {
    /// The stored form of `name`, which may be any text.
    pub fn of(name: &str) -> Self {
        let encoded = encode(name);
        if encoded.len() <= LONGEST_FILE_NAME {
            return Self(encoded);
        }
        let mut head = LONGEST_FILE_NAME - CUT_DIGITS - 1;
        // Not through the middle of an escape.
        if let Some(percent) = encoded[head - 2..head].find('%') {
            head = head - 2 + percent;
        }
        let digest = Digest::of_bytes(name.as_bytes()).to_string();
        Self(format!("{}~{}", &encoded[..head], &digest[..CUT_DIGITS]))
    }

    /// Reads a file name back; `None` if it is not one that [`StoredName::of`] makes.
    pub fn from_file_name(file_name: &str) -> Option<Self> {
        let is_ours = match file_name.split_once('~') {
            Some((head, digest)) => {
                let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
                digest.len() == CUT_DIGITS && digest.bytes().all(is_digit) && decode(head).is_some()
            }
            None => decode(file_name).is_some_and(|name| Self::of(&name).0 == file_name),
        };
        is_ours.then(|| Self(file_name.to_owned()))
    }

    /// The file name.
    pub fn as_file_name(&self) -> &str {
        &self.0
    }

    /// Whether this is the stored form of `name`.
    pub fn is(&self, name: &str) -> bool {
        *self == Self::of(name)
    }
}

impl fmt::Display for StoredName {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (head, mark) = match self.0.split_once('~') {
            Some((head, _)) => (head, "…"),
            None => (self.0.as_str(), ""),
        };
        let name = decode(head);
        write!(formatter, "{}{mark}", name.as_deref().unwrap_or(head))
    }
}

/// Checks a key, or a restore key, before it becomes part of a path or a request.
pub(super) fn check_key(key: &str) -> Result<(), StoreError> {
    let is_allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    let reason = if key.is_empty() {
        "it is empty"
    } else if key.len() > LONGEST_KEY {
        "it is longer than 200 bytes"
    } else if !key.bytes().all(is_allowed) {
        "it has something else in it than a-z, 0-9 and `-`"
    } else {
        return Ok(());
    };
    Err(StoreError::InvalidKey {
        key: key.chars().take(LONGEST_KEY).collect(),
        reason,
    })
}

fn encode(name: &str) -> String {
    // No byte of any name is encoded as a lone `%`.
    if name.is_empty() {
        return "%".to_owned();
    }
    let last = name.len() - 1;
    let mut encoded = String::with_capacity(name.len());
    for (index, byte) in name.bytes().enumerate() {
        let is_plain = match byte {
            b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' => index > 0 || !is_reserved(name),
            // Leading dots hide a file or name a directory, trailing ones are dropped by Windows.
            b'.' => index > 0 && index < last,
            _ => false,
        };
        if is_plain {
            encoded.push(char::from(byte));
        } else {
            encoded.push('%');
            for digit in [byte >> 4, byte & 15] {
                encoded.extend(char::from_digit(digit.into(), 16));
            }
        }
    }
    encoded
}

/// Whether Windows takes `name` for a device, with or without an extension.
/// <https://learn.microsoft.com/windows/win32/fileio/naming-a-file>
fn is_reserved(name: &str) -> bool {
    let stem = name.split('.').next().unwrap_or(name);
    match stem.as_bytes() {
        b"con" | b"prn" | b"aux" | b"nul" => true,
        [rest @ .., digit] => (rest == b"com" || rest == b"lpt") && digit.is_ascii_digit(),
        [] => false,
    }
}

fn decode(encoded: &str) -> Option<String> {
    if encoded == "%" {
        return Some(String::new());
    }
    let mut bytes = Vec::with_capacity(encoded.len());
    let mut rest = encoded.as_bytes();
    while let [first, behind @ ..] = rest {
        rest = behind;
        if *first == b'%' {
            let digits = rest.get(..2)?;
            let value = u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?;
            bytes.push(value);
            rest = &rest[2..];
        } else {
            bytes.push(*first);
        }
    }
    // A name that was cut may end within a character.
    match String::from_utf8(bytes) {
        Ok(name) => Some(name),
        Err(error) if error.utf8_error().error_len().is_none() => {
            let whole = error.utf8_error().valid_up_to();
            String::from_utf8(error.into_bytes()[..whole].to_vec()).ok()
        }
        Err(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("refs/heads/main", "refs%2fheads%2fmain")]
    #[case("github.com/us/it", "github.com%2fus%2fit")]
    #[case("Main", "%4dain")]
    #[case("..", "%2e%2e")]
    #[case(".git", "%2egit")]
    #[case("end.", "end%2e")]
    #[case("con", "%63on")]
    #[case("nul.tar.gz", "%6eul.tar.gz")]
    #[case("com1", "%63om1")]
    #[case("com", "com")]
    #[case("console", "console")]
    #[case("100%", "100%25")]
    #[case("ü", "%c3%bc")]
    #[case("", "%")]
    fn names_become_file_names_that_are_safe_anywhere(#[case] name: &str, #[case] expected: &str) {
        assert_eq!(StoredName::of(name).as_file_name(), expected);
    }

    #[test]
    fn a_long_name_is_cut_and_stays_distinct() {
        let name = "ü".repeat(200);
        let stored = StoredName::of(&name);
        let other = StoredName::of(&format!("{name}x"));
        assert!(stored.as_file_name().len() <= LONGEST_FILE_NAME);
        assert_ne!(stored, other);
        assert!(stored.is(&name));
        assert!(!stored.is(&format!("{name}x")));
        assert_eq!(stored.to_string(), format!("{}…", "ü".repeat(11)));
    }

    #[rstest]
    #[case("Main")]
    #[case("a b")]
    #[case("%6D")]
    #[case("%6d")]
    #[case("%zz")]
    #[case("%+f")]
    #[case("%c3")]
    #[case("a~b")]
    #[case("..")]
    #[case("")]
    fn a_strangers_file_name_is_not_taken_for_ours(#[case] file_name: &str) {
        assert_eq!(StoredName::from_file_name(file_name), None);
    }

    #[rstest]
    #[case("hotcrate-v1-deps-0123abcd")]
    #[case("hotcrate-v1-deps-")]
    fn keys_of_hotcrate_are_keys(#[case] key: &str) {
        assert!(check_key(key).is_ok());
    }

    #[rstest]
    #[case("")]
    #[case("Key")]
    #[case("a/b")]
    #[case("..")]
    #[case("a b")]
    #[case("ü")]
    fn what_is_no_key_is_refused(#[case] key: &str) {
        assert!(check_key(key).is_err());
        assert!(check_key(&"k".repeat(LONGEST_KEY)).is_ok());
        assert!(check_key(&"k".repeat(LONGEST_KEY + 1)).is_err());
    }

    proptest! {
        #[test]
        fn every_name_is_read_back(name in "\\PC{0,30}|[a-z./]{0,40}") {
            let stored = StoredName::of(&name);
            let file_name = stored.as_file_name();
            prop_assert!(file_name.len() <= LONGEST_FILE_NAME);
            prop_assert!(!file_name.contains(['/', '\\', ':']));
            prop_assert_eq!(file_name.to_lowercase(), file_name);
            prop_assert_eq!(StoredName::from_file_name(file_name), Some(stored.clone()));
            if !file_name.contains('~') {
                prop_assert_eq!(stored.to_string(), name);
            }
        }

        #[test]
        fn different_names_never_share_a_file(one in "\\PC{0,60}", other in "\\PC{0,60}") {
            prop_assert_eq!(one == other, StoredName::of(&one) == StoredName::of(&other));
        }

        #[test]
        fn no_file_name_makes_decoding_panic(file_name in "[%~a-f0-9ü]{0,60}") {
            if let Some(stored) = StoredName::from_file_name(&file_name) {
                prop_assert_eq!(stored.as_file_name(), file_name);
            }
        }
    }
}
