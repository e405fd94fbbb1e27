//! What a run would do, found out without touching anything.

use std::{collections::HashMap, path::Path};

use walkdir::WalkDir;

use super::session::{JobResult, Session};
use crate::{
    policy::{Novelty, SaveDecision, decide_save},
    report::{PartPlan, PlanReport, RootPlan, SCHEMA, SavePlan, TierPlan},
    tier::TierName,
};

impl Session<'_> {
    /// Tells every tier's key with all that is behind it, and whether a run would save.
    pub fn plan(&self) -> PlanReport {
        let new = Novelty::New {
            why: "what is new is saved when the command succeeds".to_owned(),
        };
        let save = match decide_save(&self.save_context(JobResult::Succeeded, new)) {
            SaveDecision::Save(reason) => SavePlan {
                saves: true,
                reason: reason.to_string(),
            },
            SaveDecision::Skip(reason) => SavePlan {
                saves: false,
                reason: reason.to_string(),
            },
        };
        PlanReport {
            schema: SCHEMA,
            project: self.project().directory.clone(),
            store: self.store.describe(),
            save,
            tiers: self.tier_plans(),
            notes: self
                .project()
                .notes
                .iter()
                .map(ToString::to_string)
                .collect(),
        }
    }

    fn tier_plans(&self) -> Vec<TierPlan> {
        // Two tiers share the target directories, which can hold many files.
        let mut sizes = HashMap::new();
        let mut plans = Vec::new();
        for &tier in &self.settings.tiers {
            let mut roots = Vec::new();
            for (name, directory) in self.work(tier, None).roots() {
                let place = (parts_of(tier), directory);
                let bytes = *sizes
                    .entry(place.clone())
                    .or_insert_with(|| size_of(place.0, &place.1));
                roots.push(RootPlan {
                    name: name.to_string(),
                    directory: place.1,
                    bytes,
                });
            }
            plans.push(self.tier_plan(tier, roots));
        }
        plans
    }

    fn tier_plan(&self, tier: TierName, roots: Vec<RootPlan>) -> TierPlan {
        match self.question(tier) {
            Ok(question) => TierPlan {
                tier,
                skipped: None,
                key: question.key(),
                restore_keys: question.restore_keys(),
                parts: question
                    .parts
                    .into_iter()
                    .map(|part| PartPlan {
                        digest: part.digest().short(),
                        part,
                    })
                    .collect(),
                roots,
            },
            Err(reason) => TierPlan {
                tier,
                skipped: Some(reason),
                key: String::new(),
                restore_keys: Vec::new(),
                parts: Vec::new(),
                roots,
            },
        }
    }
}

/// The directories that a tier takes from, below each of its roots.
fn parts_of(tier: TierName) -> &'static [&'static str] {
    match tier {
        TierName::Registry => &["registry/cache", "registry/index", "git/db"],
        TierName::Tools => &["bin"],
        TierName::Deps | TierName::Workspace | TierName::Sccache | TierName::Extra => &["."],
    }
}

/// The size of all files below `parts` of a directory, in bytes. `None` if it is not there.
fn size_of(parts: &[&str], directory: &Path) -> Option<u64> {
    directory.is_dir().then(|| {
        parts
            .iter()
            .flat_map(|part| WalkDir::new(directory.join(part)))
            .filter_map(Result::ok)
            .filter_map(|entry| entry.metadata().ok())
            .filter(std::fs::Metadata::is_file)
            .map(|metadata| metadata.len())
            .sum()
    })
}
