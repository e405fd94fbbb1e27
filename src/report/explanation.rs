//! What `hotcrate explain` tells: how entries differ, part by part and value by value.

use jiff::Timestamp;
use serde::Serialize;

use super::{render_age, render_bytes, survey::plain};
use crate::{
    inventory::ListedEntry,
    key::{PartDifference, PartName, explain_change},
    tier::TierName,
};

/// How many values of one part, pieces of a list, and entries are told.
const MOST_TOLD: usize = 20;
const LONGEST: usize = 240;

/// How entries differ.
#[derive(Clone, Debug, Serialize)]
pub struct Explanation {
    /// [`super::SCHEMA`].
    pub schema: u32,
    /// What was compared.
    pub comparisons: Vec<Comparison>,
    /// Tiers of which this run can read nothing.
    pub missing: Vec<TierName>,
    /// Where tiers are missing: what is stored for this job, on whatever branch, the newest first.
    pub stored: Vec<ListedEntry>,
    /// What is to be known beside that.
    pub notes: Vec<String>,
}

/// How two entries of a tier differ, or an entry and what is asked for.
#[derive(Clone, Debug, Serialize)]
pub struct Comparison {
    /// The tier.
    pub tier: TierName,
    /// The key of the one.
    pub old: String,
    /// The key of the other, or what stands for it.
    pub new: String,
    /// The parts whose values are known and differ.
    pub differences: Vec<PartDifference>,
    /// The parts of which only that is known that they differ.
    pub digits: Vec<DigitChange>,
    /// What only the one holds.
    pub gone: Vec<String>,
    /// What only the other holds.
    pub come: Vec<String>,
    /// What could not be compared, and why.
    pub notes: Vec<String>,
}

/// A part with other digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DigitChange {
    /// The part.
    pub part: PartName,
    /// Its digits in the one key.
    pub old: String,
    /// Its digits in the other.
    pub new: String,
}

/// The explanation as lines of text, told at `now`.
pub fn render_explanation(explanation: &Explanation, now: Timestamp) -> Vec<String> {
    let mut lines: Vec<_> = explanation
        .notes
        .iter()
        .map(|note| format!("note: {}", plain(note, LONGEST)))
        .collect();
    for comparison in &explanation.comparisons {
        separate(&mut lines);
        lines.extend(comparison_lines(comparison));
    }
    if !explanation.missing.is_empty() {
        separate(&mut lines);
        let tiers: Vec<_> = explanation
            .missing
            .iter()
            .map(ToString::to_string)
            .collect();
        lines.push(format!(
            "nothing that this run can read: {}",
            tiers.join(", ")
        ));
        lines.extend(render_stored(&explanation.stored, now));
    }
    lines
}

/// What is stored for a job, one entry a line.
pub fn render_stored(stored: &[ListedEntry], now: Timestamp) -> Vec<String> {
    if stored.is_empty() {
        return vec!["nothing is stored for this job".to_owned()];
    }
    let mut lines = vec!["stored for this job:".to_owned()];
    lines.extend(stored.iter().take(MOST_TOLD).map(|entry| {
        format!(
            "  {} ({}, {}, {} old)",
            plain(&entry.key, LONGEST),
            plain(&entry.scope, LONGEST),
            render_bytes(entry.bytes),
            render_age(now.duration_since(entry.created_at))
        )
    }));
    lines.extend(and_more(stored.len()));
    lines
}

fn separate(lines: &mut Vec<String>) {
    if !lines.is_empty() {
        lines.push(String::new());
    }
}

fn comparison_lines(comparison: &Comparison) -> Vec<String> {
    let mut lines = vec![
        comparison.tier.to_string(),
        format!("  from {}", plain(&comparison.old, LONGEST)),
        format!("  to   {}", plain(&comparison.new, LONGEST)),
    ];
    lines.extend(
        comparison
            .notes
            .iter()
            .map(|note| format!("  note: {}", plain(note, LONGEST))),
    );
    for difference in &comparison.differences {
        lines.push(format!("  {}", difference.part.as_str()));
        let changes = difference.changes.iter().take(MOST_TOLD);
        lines.extend(changes.map(|change| format!("    {}", explain_change(change))));
        lines.extend(and_more(difference.changes.len()).map(|line| format!("  {line}")));
    }
    for change in &comparison.digits {
        let part = change.part.as_str();
        lines.push(format!("  {part}\n    {} → {}", change.old, change.new));
    }
    for (what, names) in [
        ("only the first holds", &comparison.gone),
        ("only the second holds", &comparison.come),
    ] {
        if !names.is_empty() {
            lines.push(format!("  {what}"));
            let names_told = names.iter().take(MOST_TOLD);
            lines.extend(names_told.map(|name| format!("    {}", plain(name, LONGEST))));
            lines.extend(and_more(names.len()).map(|line| format!("  {line}")));
        }
    }
    let is_same = comparison.differences.is_empty()
        && comparison.digits.is_empty()
        && comparison.gone.is_empty()
        && comparison.come.is_empty();
    if is_same {
        lines.push("  no difference".to_owned());
    }
    lines
}

fn and_more(count: usize) -> Option<String> {
    (count > MOST_TOLD).then(|| format!("  and {} more", count - MOST_TOLD))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        inventory::fixture::{entry, now},
        key::FactChange,
    };

    fn comparison() -> Comparison {
        Comparison {
            tier: TierName::Deps,
            old: "hotcrate-v1-deps-1".to_owned(),
            new: "hotcrate-v1-deps-2".to_owned(),
            differences: Vec::new(),
            digits: Vec::new(),
            gone: Vec::new(),
            come: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn told(comparison: Comparison, missing: Vec<TierName>) -> String {
        let explanation = Explanation {
            schema: 1,
            comparisons: vec![comparison],
            missing,
            stored: vec![
                entry("hotcrate-v1-deps-3")
                    .scope("refs/heads/feature")
                    .created(2)
                    .build(),
            ],
            notes: vec!["workspace: it is off".to_owned()],
        };
        render_explanation(&explanation, now()).join("\n")
    }

    #[test]
    fn every_part_is_told_with_its_values_where_they_are_known() {
        let change = |label: &str, old: &str, new: &str| FactChange {
            label: label.to_owned(),
            old: Some(old.to_owned()),
            new: Some(new.to_owned()),
        };
        let comparison = Comparison {
            differences: vec![PartDifference {
                part: PartName::Lock,
                changes: vec![
                    change("package memchr", "2.8.2", "2.8.3"),
                    change("package ryu", "1.0.20", "1.0.21"),
                ],
            }],
            digits: vec![DigitChange {
                part: PartName::Set,
                old: "11111111".to_owned(),
                new: "22222222".to_owned(),
            }],
            come: vec!["memchr 2.8.3 (debug) 0123".to_owned()],
            ..comparison()
        };
        insta::assert_snapshot!(told(comparison, vec![TierName::Tools]), @"
        note: workspace: it is off

        deps
          from hotcrate-v1-deps-1
          to   hotcrate-v1-deps-2
          lock
            memchr 2.8.2 → 2.8.3
            ryu 1.0.20 → 1.0.21
          set
            11111111 → 22222222
          only the second holds
            memchr 2.8.3 (debug) 0123

        nothing that this run can read: tools
        stored for this job:
          hotcrate-v1-deps-3 (refs/heads/feature, 1.0 MB, 2 days old)
        ");
    }

    #[test]
    fn equal_entries_have_no_difference() {
        insta::assert_snapshot!(told(comparison(), Vec::new()), @"
        note: workspace: it is off

        deps
          from hotcrate-v1-deps-1
          to   hotcrate-v1-deps-2
          no difference
        ");
    }

    #[test]
    fn a_job_for_which_nothing_is_stored_is_told_so() {
        assert_eq!(
            render_stored(&[], now()),
            ["nothing is stored for this job"]
        );
    }
}
