//! The repository's quota as a Mermaid pie, for the page of a job: by owner, with what is dead and what is free.
//!
//! GitHub draws it from a fenced block. Values are megabytes: Mermaid rounds to two decimals.

use std::fmt::Write as _;

use super::{HoldingsReport, render_bytes};

/// How many owners have a slice of their own.
const MOST_SLICES: usize = 6;
/// The longest label, in characters.
const LONGEST_LABEL: usize = 40;
const MEGABYTE: f64 = 1e6;

/// The pie as a fenced block of Markdown, with a line end behind it; nothing if nothing is stored.
pub(super) fn render_quota_pie(holdings: &HoldingsReport) -> String {
    if holdings.quota.used.bytes == 0 {
        return String::new();
    }
    let mut pie = format!(
        "```mermaid\npie showData title Caches of {} in MB ({} of {})\n",
        label(&holdings.place.to_string()),
        render_bytes(holdings.quota.used.bytes),
        render_bytes(holdings.quota.limit_bytes)
    );
    for (name, bytes) in slices(holdings) {
        // Writing to a string can't fail.
        let _infallible = writeln!(pie, "    \"{}\" : {:.2}", label(&name), megabytes(bytes));
    }
    pie.push_str("```\n");
    pie
}

/// Owners with what of theirs is alive, the largest first; then the others together, what is dead, and what is free.
fn slices(holdings: &HoldingsReport) -> Vec<(String, u64)> {
    let mut owners: Vec<_> = holdings
        .owners
        .iter()
        .map(|share| {
            let alive = share.count.bytes.saturating_sub(share.dead.bytes);
            (share.name.clone(), alive)
        })
        .collect();
    owners.sort_by_key(|(_, bytes)| std::cmp::Reverse(*bytes));
    let small = owners.split_off(owners.len().min(MOST_SLICES));
    let unlisted = holdings
        .unlisted
        .as_ref()
        .map_or(0, |unlisted| unlisted.count.bytes);
    let others = small.iter().map(|(_, bytes)| bytes).sum::<u64>() + unlisted;
    let free = holdings
        .quota
        .limit_bytes
        .saturating_sub(holdings.quota.used.bytes);
    owners.extend([
        ("others".to_owned(), others),
        ("dead".to_owned(), holdings.dead.bytes),
        ("free".to_owned(), free),
    ]);
    // Less than the smallest value that is written is no slice.
    owners.retain(|(_, bytes)| megabytes(*bytes) >= 0.01);
    owners
}

#[expect(clippy::cast_precision_loss, reason = "two decimals are written")]
fn megabytes(bytes: u64) -> f64 {
    bytes as f64 / MEGABYTE
}

/// A label that means nothing to Mermaid or Markdown, whoever chose the text.
fn label(text: &str) -> String {
    text.chars()
        .take(LONGEST_LABEL)
        .map(|character| {
            if character.is_alphanumeric() || " -_./…,".contains(character) {
                character
            } else {
                '_'
            }
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::{
        ListedEntry,
        fixture::{entry, listing},
        survey,
    };

    fn pie(entries: Vec<ListedEntry>) -> String {
        let holdings = HoldingsReport::of(&survey(&listing(entries)));
        render_quota_pie(&holdings)
    }

    #[test]
    fn the_quota_is_a_pie_by_owner_with_what_is_dead_and_free() {
        let deps = |set: u32| {
            format!("hotcrate-v1-deps-11111111-22222222-33333333-44444444-55555555-{set:08}")
        };
        let entries = vec![
            entry(&deps(1)).megabytes(60).created(2).build(),
            entry(&deps(2)).megabytes(61).created(1).build(),
            entry("v0-rust-test-Linux-x64-11111111-22222222")
                .megabytes(9_000)
                .build(),
            entry("evil\"\n```-x").megabytes(3).build(),
        ];
        insta::assert_snapshot!(pie(entries), @r#"
        ```mermaid
        pie showData title Caches of octo/crab in MB (9.1 GB of 10.0 GB)
            "rust-cache" : 9000.00
            "hotcrate deps" : 61.00
            "evil_____-x" : 3.00
            "dead" : 60.00
            "free" : 876.00
        ```
        "#);
    }

    #[test]
    fn small_owners_share_a_slice() {
        let entries = (b'a'..=b'j')
            .map(|letter| {
                let key = char::from(letter).to_string();
                entry(&key).megabytes(u64::from(letter)).build()
            })
            .collect();
        let pie = pie(entries);
        assert!(pie.contains("\"others\" : 394.00"), "{pie}");
        assert_eq!(pie.matches(" : ").count(), MOST_SLICES + 2, "{pie}");
    }

    #[test]
    fn where_nothing_is_stored_there_is_no_pie() {
        assert_eq!(pie(Vec::new()), "");
    }
}
