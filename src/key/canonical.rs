//! One text for all spellings of a TOML value.
//!
//! Invariant: values that mean the same to Cargo give the same text, whatever the order of their keys; values that
//! do not, differ. The text is made here and by no crate, so that no update of one changes keys.

use toml::Value;

use super::Fact;

/// A text of at most so many bytes is told as it is, a longer one only as a digest.
const LONGEST_TEXT: usize = 120;

/// Keys of lists whose order means nothing.
const UNORDERED: &[&str] = &[
    "members",
    "default-members",
    "exclude",
    "features",
    "crate-type",
];

/// The fact of a value: its text if that is short and holds no address, in which a password may stand.
pub(super) fn fact(label: &str, value: &Value) -> Fact {
    let text = canonical(value);
    if text.len() > LONGEST_TEXT || text.contains("://") {
        Fact::digested(label, text)
    } else {
        Fact::new(label, text)
    }
}

/// `value` in one line, keys sorted, and the lists sorted whose order means nothing.
pub(super) fn canonical(value: &Value) -> String {
    match value {
        Value::Table(table) => {
            let mut entries: Vec<_> = table.iter().collect();
            entries.sort_by_key(|(key, _)| *key);
            let entries: Vec<_> = entries
                .into_iter()
                .map(|(key, value)| {
                    let value = if UNORDERED.contains(&key.as_str()) {
                        canonical(&sorted(value))
                    } else {
                        canonical(value)
                    };
                    format!("{} = {value}", key_text(key))
                })
                .collect();
            format!("{{{}}}", entries.join(", "))
        }
        Value::Array(values) => {
            let values: Vec<_> = values.iter().map(canonical).collect();
            format!("[{}]", values.join(", "))
        }
        Value::String(text) => quoted(text),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => format!("{number:?}"),
        Value::Boolean(flag) => flag.to_string(),
        Value::Datetime(time) => time.to_string(),
    }
}

/// A table with all of its lists sorted: `[features]`.
pub(super) fn with_sorted_lists(value: &Value) -> Value {
    match value {
        Value::Table(table) => Value::Table(
            table
                .iter()
                .map(|(key, value)| (key.clone(), sorted(value)))
                .collect(),
        ),
        other => other.clone(),
    }
}

fn sorted(value: &Value) -> Value {
    match value {
        Value::Array(values) => {
            let mut values = values.clone();
            values.sort_by_cached_key(canonical);
            Value::Array(values)
        }
        other => other.clone(),
    }
}

fn key_text(key: &str) -> String {
    let is_bare = !key.is_empty()
        && key
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'));
    if is_bare { key.to_owned() } else { quoted(key) }
}

fn quoted(text: &str) -> String {
    let mut quoted = String::from("\"");
    for character in text.chars() {
        if matches!(character, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn value(text: &str) -> Value {
        Value::Table(text.parse().expect("it is TOML"))
    }

    #[test]
    fn spelling_does_not_matter_and_meaning_does() {
        let same = "b = 1\na = { x = 'y' } # comment";
        insta::assert_snapshot!(canonical(&value(same)), @r#"{a = {x = "y"}, b = 1}"#);
        assert_eq!(
            canonical(&value(same)),
            canonical(&value("a.x = \"y\"\nb = 1"))
        );
        assert_ne!(
            canonical(&value("a = '1'")),
            canonical(&value("a = 1")),
            "a string is not a number"
        );
        assert_ne!(
            canonical(&value("rustflags = ['a', 'b']")),
            canonical(&value("rustflags = ['b', 'a']")),
            "the order of flags matters"
        );
    }

    proptest! {
        /// Quotes can't be forged: no two lists of strings have the same text.
        #[test]
        fn different_lists_have_different_texts(
            one in proptest::collection::vec("[a\",\\\\ ]{0,4}", 0..4),
            other in proptest::collection::vec("[a\",\\\\ ]{0,4}", 0..4),
        ) {
            let text = |strings: &[String]| {
                canonical(&Value::Array(strings.iter().cloned().map(Value::String).collect()))
            };
            prop_assert_eq!(text(&one) == text(&other), one == other);
        }
    }
}
