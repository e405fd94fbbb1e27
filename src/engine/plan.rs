//! What a run would do, found out without touching anything.

use std::path::Path;

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
            tiers: self
                .works()
                .into_iter()
                .map(|(tier, work)| {
                    let roots = work.roots();
                    let roots = roots.iter().map(|(name, directory)| RootPlan {
                        name: name.to_string(),
                        directory: directory.clone(),
                        bytes: size_of(tier, directory),
                    });
                    self.tier_plan(tier, roots.collect())
                })
                .collect(),
            notes: self
                .project()
                .notes
                .iter()
                .map(ToString::to_string)
                .collect(),
        }
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

/// The size of what a tier could take from one of its directories, in bytes: links and what is extracted from archives
/// left out. `None` if it is not there.
fn size_of(tier: TierName, directory: &Path) -> Option<u64> {
    let parts: &[&str] = match tier {
        TierName::Registry => &["registry/cache", "registry/index", "git/db"],
        TierName::Tools => &["bin"],
        TierName::Deps | TierName::Workspace | TierName::Extra => &["."],
    };
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
