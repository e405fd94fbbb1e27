//! How a stored entry's parts compare with those asked for.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::{Fact, KeyPart, PartName, Question};

/// How a stored entry's parts compare with those asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Match {
    /// Every part that was asked for is equal, by value.
    Exact,
    /// Some parts differ.
    Partial(Vec<PartDifference>),
}

/// A part that differs between the stored entry and the question.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartDifference {
    /// The part.
    pub part: PartName,
    /// Its facts that differ, sorted by label.
    pub changes: Vec<FactChange>,
}

/// A fact that differs: `None` where one side does not have it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FactChange {
    /// The fact's label.
    pub label: String,
    /// Its value in the stored entry.
    pub old: Option<String>,
    /// Its value now.
    pub new: Option<String>,
}

/// Compares the parts of a stored entry with those of a question, by value and not by digest.
pub fn compare(stored: &[KeyPart], question: &Question) -> Match {
    let differences: Vec<_> = question
        .parts
        .iter()
        .filter_map(|asked| {
            let found = stored.iter().find(|part| part.name == asked.name);
            let changes = changed_facts(found.map_or(&[][..], KeyPart::facts), asked.facts());
            // A part without facts on either side has no changes, yet a missing part is a difference.
            (found.is_none() || !changes.is_empty()).then_some(PartDifference {
                part: asked.name,
                changes,
            })
        })
        .collect();
    if differences.is_empty() {
        Match::Exact
    } else {
        Match::Partial(differences)
    }
}

/// The facts that differ between two sorted lists. Facts that share a label (two versions of one package) are paired
/// so that the most similar values belong together.
fn changed_facts(old: &[Fact], new: &[Fact]) -> Vec<FactChange> {
    let mut by_label: BTreeMap<&str, (Vec<&str>, Vec<&str>)> = BTreeMap::new();
    for fact in old {
        if new.binary_search(fact).is_err() {
            by_label.entry(&fact.label).or_default().0.push(&fact.value);
        }
    }
    for fact in new {
        if old.binary_search(fact).is_err() {
            by_label.entry(&fact.label).or_default().1.push(&fact.value);
        }
    }
    let mut changes = Vec::new();
    for (label, (mut gone, mut come)) in by_label {
        let mut push = |old: Option<&str>, new: Option<&str>| {
            changes.push(FactChange {
                label: label.to_owned(),
                old: old.map(str::to_owned),
                new: new.map(str::to_owned),
            });
        };
        while let Some((from, to)) = closest_pair(&gone, &come) {
            push(Some(gone.remove(from)), Some(come.remove(to)));
        }
        for value in gone {
            push(Some(value), None);
        }
        for value in come {
            push(None, Some(value));
        }
    }
    changes
}

/// The indices of the two values that share the longest beginning; the first such pair where several do.
fn closest_pair(gone: &[&str], come: &[&str]) -> Option<(usize, usize)> {
    let common = |a: &str, b: &str| {
        a.bytes()
            .zip(b.bytes())
            .take_while(|(one, other)| one == other)
            .count()
    };
    let pairs = gone.iter().enumerate().flat_map(|(from, old)| {
        come.iter()
            .enumerate()
            .map(move |(to, new)| (common(old, new), from, to))
    });
    // `max_by_key` takes the last of equals: reversed, so that the order of the facts decides.
    pairs
        .max_by_key(|&(length, from, to)| (length, std::cmp::Reverse((from, to))))
        .map(|(_, from, to)| (from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(values: &[(&str, &str)]) -> Vec<Fact> {
        values
            .iter()
            .map(|&(label, value)| Fact::new(label, value))
            .collect()
    }

    #[test]
    fn of_two_versions_of_one_package_the_similar_ones_are_paired() {
        let old = facts(&[("package syn", "1.0.109 x"), ("package syn", "2.0.1 x")]);
        let new = facts(&[("package syn", "2.0.2 x")]);
        let changes = changed_facts(&old, &new);
        let pairs: Vec<_> = changes
            .iter()
            .map(|change| (change.old.as_deref(), change.new.as_deref()))
            .collect();
        assert_eq!(
            pairs,
            [
                (Some("2.0.1 x"), Some("2.0.2 x")),
                (Some("1.0.109 x"), None)
            ]
        );
    }

    #[test]
    fn a_part_that_the_entry_lacks_is_a_difference_even_without_facts() {
        let question = Question {
            tier: crate::tier::TierName::Deps,
            parts: vec![KeyPart::new(PartName::Env, [])],
            least: 0,
            open_ended: true,
        };
        assert!(matches!(compare(&[], &question), Match::Partial(_)));
        assert_eq!(compare(&question.parts, &question), Match::Exact);
    }
}
