//! The state of a repository's caches as lines of text: tables, what goes next, and what to do.

use comfy_table::{CellAlignment, Table, presets};
use jiff::{SignedDuration, Timestamp};

use super::{render_age, render_bytes};
use crate::inventory::{Count, NextEvicted, Place, Quota, Share, Survey};

/// How many rows a table has at most; what is left is summed up.
const MOST_ROWS: usize = 12;
/// How much of a key is shown.
const LONGEST_KEY: usize = 90;
/// From this share of the limit on it matters where the limit comes from.
const WORTH_KNOWING: f64 = 0.8;

/// The survey as lines of text.
pub fn render_survey(survey: &Survey) -> Vec<String> {
    let mut lines = vec![headline(survey)];
    lines.extend(survey.notes.iter().map(|note| format!("note: {note}")));
    if !survey.quota.limit_is_known && survey.quota.fullness() >= WORTH_KNOWING {
        lines.push("note: the limit is the usual one; `--quota` takes another".to_owned());
    }
    if survey.quota.used.entries == 0 {
        return lines;
    }
    for (title, shares) in [
        ("By owner", &survey.owners),
        ("By branch", &survey.branches),
        ("By job", &survey.jobs),
    ] {
        if !shares.is_empty() {
            lines.push(String::new());
            lines.extend(share_table(title, shares));
        }
    }
    lines.push(String::new());
    lines.extend(state_table(survey));
    lines.push(String::new());
    lines.push("Next to go".to_owned());
    lines.extend(next_evicted(survey));
    if !survey.advice.is_empty() {
        lines.push(String::new());
        lines.push("Advice".to_owned());
        let advice = survey.advice.iter();
        lines.extend(advice.map(|advice| format!("  - {}", plain(&advice.text, usize::MAX))));
    }
    lines
}

/// The entries that go first, one a line, each with when that is.
fn next_evicted(survey: &Survey) -> Vec<String> {
    survey
        .eviction
        .next
        .iter()
        .map(|next| {
            format!(
                "  {} ({}, {}): {}",
                plain(&next.key, LONGEST_KEY),
                plain(&next.scope, LONGEST_KEY),
                render_bytes(next.bytes),
                render_fate(next, &survey.place, survey.taken_at)
            )
        })
        .collect()
}

/// When an entry goes.
pub(super) fn render_fate(next: &NextEvicted, place: &Place, now: Timestamp) -> String {
    let unused = render_age(now.duration_since(next.used_at));
    let when = match (next.after_bytes, place) {
        (0, Place::Repository(_)) => "goes within the hour".to_owned(),
        (0, Place::Directory(_)) => "goes with the next save".to_owned(),
        (bytes, _) => format!("goes when {} more are stored", render_bytes(bytes)),
    };
    let expiry = next
        .expires_at
        .map(|time| time.duration_since(now))
        .filter(|_| next.after_bytes > 0)
        .map_or_else(String::new, |left| {
            if left <= SignedDuration::ZERO {
                ", or any time now for want of use".to_owned()
            } else {
                format!(", or in {} for want of use", render_age(left))
            }
        });
    format!("unused for {unused}, {when}{expiry}")
}

fn headline(survey: &Survey) -> String {
    let Quota {
        used, limit_bytes, ..
    } = survey.quota;
    format!(
        "{}: {} of {} ({}) in {}, at {:.0}",
        survey.place,
        render_bytes(used.bytes),
        render_bytes(limit_bytes),
        render_percent(survey.quota.fullness()),
        render_entries(used.entries),
        survey.taken_at
    )
}

/// A share in whole percent.
pub(super) fn render_percent(share: f64) -> String {
    format!("{:.0} %", share * 100.0)
}

/// A number of entries, in words.
pub fn render_entries(entries: u64) -> String {
    let plural = if entries == 1 { "y" } else { "ies" };
    format!("{entries} entr{plural}")
}

fn share_table(title: &str, shares: &[Share]) -> Vec<String> {
    let mut table = table(&[title, "entries", "size", "dead"]);
    let (shown, others) = shares.split_at(shares.len().min(MOST_ROWS));
    for share in shown {
        table.add_row([
            plain(&share.name, LONGEST_KEY),
            share.count.entries.to_string(),
            render_bytes(share.count.bytes),
            render_dead(share.dead),
        ]);
    }
    if !others.is_empty() {
        let (mut count, mut dead) = (Count::default(), Count::default());
        for share in others {
            count.entries += share.count.entries;
            count.bytes += share.count.bytes;
            dead.entries += share.dead.entries;
            dead.bytes += share.dead.bytes;
        }
        table.add_row([
            format!("{} others", others.len()),
            count.entries.to_string(),
            render_bytes(count.bytes),
            render_dead(dead),
        ]);
    }
    lines_of(&table)
}

fn state_table(survey: &Survey) -> Vec<String> {
    let mut table = table(&["State", "entries", "size"]);
    let rows = [
        ("superseded by newer ones", survey.superseded),
        ("out of everybody's reach", survey.unreadable),
        ("never restored", survey.never_restored),
    ];
    for (state, count) in rows {
        table.add_row([
            state.to_owned(),
            count.entries.to_string(),
            render_bytes(count.bytes),
        ]);
    }
    if let Some(unlisted) = &survey.unlisted {
        table.add_row([
            plain(&unlisted.why, LONGEST_KEY),
            unlisted.count.entries.to_string(),
            render_bytes(unlisted.count.bytes),
        ]);
    }
    lines_of(&table)
}

fn render_dead(dead: Count) -> String {
    if dead.entries == 0 {
        String::new()
    } else {
        render_bytes(dead.bytes)
    }
}

/// A table without lines whose columns, but for the first, are numbers.
pub(super) fn table(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::NOTHING)
        .set_header(header.to_vec());
    for (index, column) in table.column_iter_mut().enumerate() {
        if index == 0 {
            column.set_padding((0, 1));
        } else {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    table
}

pub(super) fn lines_of(table: &Table) -> Vec<String> {
    table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect()
}

/// Text from outside, fit for a terminal: without control characters, and no longer than `longest` characters.
pub(super) fn plain(text: &str, longest: usize) -> String {
    let clean = |character: char| {
        if character.is_control() {
            ' '
        } else {
            character
        }
    };
    if text.chars().count() <= longest {
        return text.chars().map(clean).collect();
    }
    let mut short: String = text
        .chars()
        .take(longest.saturating_sub(1))
        .map(clean)
        .collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::{
        RefState,
        fixture::{entry, listing},
        survey,
    };

    fn rendered(survey: &Survey) -> String {
        render_survey(survey).join("\n")
    }

    #[test]
    fn a_survey_tells_whose_what_is_dead_and_what_goes_next() {
        let deps = |set: u32| {
            format!("hotcrate-v1-deps-11111111-22222222-33333333-44444444-55555555-{set:08}")
        };
        let mut listing = listing(vec![
            entry(&deps(1)).megabytes(60).created(2).build(),
            entry(&deps(2)).megabytes(61).created(1).used(0.1).build(),
            entry(&deps(3))
                .megabytes(100)
                .scope("refs/pull/7/merge")
                .created(1)
                .build(),
            entry("v0-rust-test-Linux-x64-11111111-22222222")
                .megabytes(9_000)
                .created(6)
                .used(0.5)
                .build(),
        ]);
        listing
            .refs
            .insert("refs/pull/7/merge".into(), RefState::Closed);
        listing.notes.push("a note".to_owned());
        insta::assert_snapshot!(rendered(&survey(&listing)), @"
        octo/crab: 9.2 GB of 10.0 GB (92 %) in 4 entries, at 2026-11-21T12:00:00Z
        note: a note
        note: the limit is the usual one; `--quota` takes another

        By owner       entries      size      dead
        rust-cache           1    9.0 GB
        hotcrate deps        3  221.0 MB  160.0 MB

        By branch          entries      size      dead
        refs/heads/main          3    9.1 GB   60.0 MB
        refs/pull/7/merge        1  100.0 MB  100.0 MB

        By job    entries      size      dead
        test            1    9.0 GB
        44444444        3  221.0 MB  160.0 MB

        State                     entries      size
        superseded by newer ones        1   60.0 MB
        out of everybody's reach        1  100.0 MB
        never restored                  2  160.0 MB

        Next to go
          hotcrate-v1-deps-11111111-22222222-33333333-44444444-55555555-00000001 (refs/heads/main, 60.0 MB): unused for 2 days, goes when 779.0 MB more are stored, or in 5 days for want of use
          hotcrate-v1-deps-11111111-22222222-33333333-44444444-55555555-00000003 (refs/pull/7/merge, 100.0 MB): unused for 24 hours, goes when 839.0 MB more are stored, or in 6 days for want of use
          v0-rust-test-Linux-x64-11111111-22222222 (refs/heads/main, 9.0 GB): unused for 12 hours, goes when 939.0 MB more are stored, or in 6 days for want of use
          hotcrate-v1-deps-11111111-22222222-33333333-44444444-55555555-00000002 (refs/heads/main, 61.0 MB): unused for 2 hours, goes when 9.9 GB more are stored, or in 6 days for want of use

        Advice
          - rust-cache (9.0 GB) and hotcrate (221.0 MB) store the same crates. Remove rust-cache from the jobs that use hotcrate; `hotcrate gc --prefix v0-rust-` thins out what it leaves behind.
        ");
    }

    #[test]
    fn an_empty_repository_has_no_tables() {
        insta::assert_snapshot!(rendered(&survey(&listing(Vec::new()))), @"octo/crab: 0 B of 10.0 GB (0 %) in 0 entries, at 2026-11-21T12:00:00Z");
    }

    #[test]
    fn nothing_in_a_key_or_a_branch_reaches_the_terminal_as_a_command() {
        let entries = vec![
            entry("evil\u{1b}[31m\nkey")
                .scope("refs/heads/\u{7}x\r")
                .build(),
        ];
        let text = rendered(&survey(&listing(entries)));
        let is_harmless = |character: char| character == '\n' || !character.is_control();
        assert!(text.chars().all(is_harmless), "{text:?}");
    }

    #[test]
    fn of_very_many_branches_the_small_ones_are_summed_up() {
        let entries = (1..=20_u64)
            .map(|number| {
                entry("k")
                    .id(number)
                    .scope(&format!("refs/heads/b{number:02}"))
                    .megabytes(number)
                    .build()
            })
            .collect();
        let text = rendered(&survey(&listing(entries)));
        assert!(text.contains("8 others"), "{text}");
        assert!(!text.contains("b08  "), "{text}");
    }
}
