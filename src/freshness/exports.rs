//! Which of the crates that it is compiled with a library hands on to those that use it. Pure.
//!
//! Nobody can call a macro of a crate that they don't depend on themselves, unless a library between exports it: by a
//! `pub use`, which the text of a macro that it exports needs as well. The text of its sources tells, and finds too much
//! rather than too little.
//!
//! **The documented limit**: a `pub use` of which a macro of somebody else makes every word.

use std::collections::BTreeSet;

use super::signs::without_comments;

/// What stands in front of the names in a `use`, and names no crate.
const KEYWORDS: &[&str] = &["$crate", "as", "crate", "self", "super"];

/// Stands for a word that a macro makes.
const GENERATED: &str = "$";

/// Those of the crates `names` that a library whose source files hold `sources` may export.
pub(super) fn exported(sources: &[String], names: &BTreeSet<String>) -> BTreeSet<String> {
    let sources: Vec<_> = sources.iter().map(|text| without_comments(text)).collect();
    let declarations: Vec<_> = sources.iter().flat_map(|text| declarations(text)).collect();
    let is_exported = |name: &&String| may_export(&declarations, name);
    names.iter().filter(is_exported).cloned().collect()
}

/// A `use` or an `extern crate`.
struct Declaration<'a> {
    is_public: bool,
    is_extern: bool,
    /// Whether more is named than its words say.
    is_open: bool,
    words: BTreeSet<&'a str>,
}

/// Whether one of `declarations` makes `name`, or what was imported from it, public.
fn may_export(declarations: &[Declaration<'_>], name: &str) -> bool {
    let mut meant = BTreeSet::from([name]);
    loop {
        let before = meant.len();
        for declaration in declarations {
            if declaration.is_public && declaration.words.contains(GENERATED) {
                return true;
            }
            if declaration.words.is_disjoint(&meant) {
                continue;
            }
            if declaration.is_public || declaration.is_extern || declaration.is_open {
                return true;
            }
            meant.extend(&declaration.words);
        }
        if meant.len() == before {
            return false;
        }
    }
}

/// The declarations in the text of a source file.
fn declarations(source: &str) -> Vec<Declaration<'_>> {
    [("use", false), ("extern crate", true)]
        .into_iter()
        .flat_map(|(text, is_extern)| {
            let places = source.match_indices(text);
            places.filter_map(move |(at, _)| declaration(source, at, text.len(), is_extern))
        })
        .collect()
}

/// The declaration whose keyword of `length` bytes is `at` a place in `source`, if it is one.
fn declaration(source: &str, at: usize, length: usize, is_extern: bool) -> Option<Declaration<'_>> {
    let (before, rest) = (&source[..at], &source[at + length..]);
    if before.ends_with(is_in_word) || rest.starts_with(is_in_word) {
        return None;
    }
    let rest = rest.split(';').next().unwrap_or_default();
    let words = rest.split(|letter: char| !is_in_word(letter) && letter != '$');
    let words = words.filter(|word| !word.is_empty() && !KEYWORDS.contains(word));
    let is_public = before.trim_end().strip_suffix("pub");
    Some(Declaration {
        is_public: is_public.is_some_and(|before| !before.ends_with(is_in_word)),
        is_extern,
        is_open: rest.contains('*'),
        words: words
            .map(|word| {
                if word.starts_with('$') {
                    GENERATED
                } else {
                    word
                }
            })
            .collect(),
    })
}

fn is_in_word(letter: char) -> bool {
    letter.is_alphanumeric() || letter == '_'
}

#[cfg(test)]
mod tests {
    use super::*;

    #[rstest::rstest]
    #[case("pub use mac::list;")]
    #[case("pub use ::mac::list as enumerate;")]
    #[case("pub use {core::fmt, mac::{self, list}};")]
    #[case("pub use mac as list;")]
    #[case("pub extern crate mac;")]
    #[case("#[macro_use]\nextern crate mac;\nuse crate::list;")]
    #[case("use mac::parts;\npub use parts::list;")]
    #[case("use mac as other;\nmod inner { pub use super::other::list; }")]
    #[case("use mac::*;")]
    #[case("macro_rules! hand_on { ($name:ident) => { pub use $name; } }\nhand_on!(mac);")]
    fn what_others_can_name_is_exported(#[case] source: &str) {
        assert_eq!(exported_of(source), ["mac"]);
    }

    #[rstest::rstest]
    #[case("")]
    #[case("use mac::list;\npub const FILES: &str = list!();")]
    #[case("pub(crate) use mac::list;\npub use other::list_of_all;")]
    #[case("pub use machine::list;\nuse mac;")]
    #[case("/// Like `pub use mac::list;`\nfn because() {}")]
    #[case("macro_rules! a { () => { use $crate::b; } }\nuse mac::list;")]
    fn what_a_library_uses_for_itself_is_not_exported(#[case] source: &str) {
        assert_eq!(exported_of(source), [""; 0]);
    }

    fn exported_of(source: &str) -> Vec<String> {
        let names = BTreeSet::from(["mac".to_owned()]);
        exported(&[source.to_owned()], &names).into_iter().collect()
    }
}
