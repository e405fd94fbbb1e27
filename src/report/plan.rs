//! What `hotcrate plan` tells: keys, what is behind them, and what would be saved.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::render_bytes;
use crate::{key::KeyPart, tier::TierName};

/// What a run would do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PlanReport {
    /// [`super::SCHEMA`].
    pub schema: u32,
    /// The project's directory, absolute.
    pub project: PathBuf,
    /// The store, in words.
    pub store: String,
    /// Whether a successful run would save what is new.
    pub save: SavePlan,
    /// The tiers in use, in their order.
    pub tiers: Vec<TierPlan>,
    /// What the user should hear of.
    pub notes: Vec<String>,
}

/// Whether a run saves, if it succeeds and something is new.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct SavePlan {
    /// Whether it saves.
    pub saves: bool,
    /// Why, in words.
    pub reason: String,
}

/// One tier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct TierPlan {
    /// The tier.
    pub tier: TierName,
    /// Why it is left out, in words, if it is.
    pub skipped: Option<String>,
    /// The key asked for.
    pub key: String,
    /// The prefixes asked for after it.
    pub restore_keys: Vec<String>,
    /// The parts of the key.
    pub parts: Vec<PartPlan>,
    /// The directories.
    pub roots: Vec<RootPlan>,
}

/// One part of a key.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct PartPlan {
    /// Its digits in the key.
    pub digest: String,
    /// The part, with the values behind it.
    pub part: KeyPart,
}

/// One directory of a tier.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RootPlan {
    /// Its name in archives.
    pub name: String,
    /// Where it is, absolute.
    pub directory: PathBuf,
    /// The size of all files in those parts of it that the tier takes from, in bytes; `None` if it is not there.
    pub bytes: Option<u64>,
}

/// The plan as lines of text.
pub fn render_plan(plan: &PlanReport) -> Vec<String> {
    let saves = if plan.save.saves { "yes" } else { "no" };
    let mut lines = vec![
        format!("project  {}", plan.project.display()),
        format!("store    {}", plan.store),
        format!("saves    {saves}: {}", plan.save.reason),
    ];
    lines.extend(plan.notes.iter().map(|note| format!("note     {note}")));
    for tier in &plan.tiers {
        lines.push(String::new());
        lines.extend(tier_lines(tier));
    }
    lines
}

fn tier_lines(tier: &TierPlan) -> Vec<String> {
    let mut lines = vec![tier.tier.to_string()];
    if let Some(reason) = &tier.skipped {
        lines.push(format!("  skipped      {reason}"));
        return lines;
    }
    lines.push(format!("  key          {}", tier.key));
    for key in &tier.restore_keys {
        lines.push(format!("  restore key  {key}"));
    }
    for root in &tier.roots {
        let size = root
            .bytes
            .map_or_else(|| "not there".to_owned(), render_bytes);
        let directory = root.directory.display();
        lines.push(format!(
            "  root         {} = {directory} ({size})",
            root.name
        ));
    }
    for part in &tier.parts {
        lines.push(format!("  {} {}", part.digest, part.part.name.as_str()));
        for fact in part.part.facts() {
            lines.push(format!("    {} = {}", fact.label, fact.value));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::key::{Fact, PartName};

    #[test]
    fn a_plan_shows_every_value_behind_every_key() {
        let part = KeyPart::new(PartName::Packages, [Fact::new("package serde", "1.0.229")]);
        let plan = PlanReport {
            schema: super::super::SCHEMA,
            project: PathBuf::from("/work"),
            store: "directory /cache".to_owned(),
            save: SavePlan {
                saves: true,
                reason: "what is new".to_owned(),
            },
            tiers: vec![
                TierPlan {
                    tier: TierName::Registry,
                    skipped: None,
                    key: "hotcrate-v1-registry-00000000-".to_owned(),
                    restore_keys: vec!["hotcrate-v1-registry-".to_owned()],
                    parts: vec![PartPlan {
                        digest: "00000000".to_owned(),
                        part,
                    }],
                    roots: vec![RootPlan {
                        name: "cargo-home".to_owned(),
                        directory: PathBuf::from("/home/.cargo"),
                        bytes: Some(1_500_000),
                    }],
                },
                TierPlan {
                    tier: TierName::Workspace,
                    skipped: Some("it is off".to_owned()),
                    key: String::new(),
                    restore_keys: Vec::new(),
                    parts: Vec::new(),
                    roots: Vec::new(),
                },
            ],
            notes: vec!["there is no Cargo.lock".to_owned()],
        };
        insta::assert_snapshot!(render_plan(&plan).join("\n"), @r"
        project  /work
        store    directory /cache
        saves    yes: what is new
        note     there is no Cargo.lock

        registry
          key          hotcrate-v1-registry-00000000-
          restore key  hotcrate-v1-registry-
          root         cargo-home = /home/.cargo (1.5 MB)
          00000000 packages
            package serde = 1.0.229

        workspace
          skipped      it is off
        ");
    }
}
