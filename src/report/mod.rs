//! What people are told: one value with everything that happened, and its renderings.
//!
//! Nothing here reads or prints anything.

mod chart;
mod cleaning;
mod collection;
mod doctor;
mod explanation;
mod holdings;
mod markdown;
mod page;
mod plan;
mod quota;
mod summary;
mod survey;
mod text;

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::tier::TierName;

pub use cleaning::render_clean_plan;
pub use collection::render_gc_plan;
pub use doctor::{Compared, DoctorReport, render_doctor};
pub use explanation::{Comparison, DigitChange, Explanation, render_explanation, render_stored};
pub use holdings::{CollectionReport, HoldingsReport, of_missed_tiers};
pub use page::render_page;
pub use plan::{PartPlan, PlanReport, RootPlan, SavePlan, TierPlan, render_plan};
pub use summary::render_summary;
pub use survey::{render_entries, render_survey};
pub use text::{
    render_age, render_bytes, render_causes, render_lines, render_seconds, render_span,
};

/// The version of the JSON that `--report` writes. New fields do not change it.
pub const SCHEMA: u32 = 1;

/// What became of a restore.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RestoreOutcome {
    /// An entry was restored whose key parts all equal those asked for.
    Exact,
    /// An entry was restored some of whose key parts differ.
    Partial,
    /// Nothing fitting is stored.
    Miss,
    /// The tier was not restored, on purpose.
    Skipped,
    /// Something went wrong; nothing was changed.
    Failed,
}

/// What became of a save.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum SaveOutcome {
    /// An entry was stored.
    Saved,
    /// Nothing was stored, on purpose.
    Skipped,
    /// Another process stored the same key first.
    Raced,
    /// Something went wrong; the store is as it was.
    Failed,
}

/// A restore of one tier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RestoreReport {
    /// What became of it.
    pub outcome: RestoreOutcome,
    /// Why, in words.
    pub reason: String,
    /// The key asked for; empty if the tier was never asked.
    pub key: String,
    /// The key of the entry that answered.
    pub matched_key: Option<String>,
    /// Size of the entry in bytes.
    pub bytes: Option<u64>,
    /// Seconds from the question to the last file in place.
    pub seconds: f64,
}

impl RestoreReport {
    /// A restore that never came to an entry: no bytes, no time.
    pub fn new(outcome: RestoreOutcome, reason: impl Into<String>) -> Self {
        Self {
            outcome,
            reason: reason.into(),
            key: String::new(),
            matched_key: None,
            bytes: None,
            seconds: 0.0,
        }
    }
}

/// A save of one tier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SaveReport {
    /// What became of it.
    pub outcome: SaveOutcome,
    /// Why, in words.
    pub reason: String,
    /// The key stored under; empty if it never came to that.
    pub key: String,
    /// Size of the entry in bytes.
    pub bytes: Option<u64>,
    /// Seconds from the decision to the entry in the store.
    pub seconds: f64,
}

impl SaveReport {
    /// A save that never came to an entry: no bytes, no time.
    pub fn new(outcome: SaveOutcome, reason: impl Into<String>) -> Self {
        Self {
            outcome,
            reason: reason.into(),
            key: String::new(),
            bytes: None,
            seconds: 0.0,
        }
    }

    /// A save that was left out on purpose.
    pub fn skipped(reason: impl Into<String>) -> Self {
        Self::new(SaveOutcome::Skipped, reason)
    }
}

/// What happened to one tier.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct TierReport {
    /// The tier.
    pub tier: TierName,
    /// Its restore, if this run had one.
    pub restore: Option<RestoreReport>,
    /// Its save, if this run had one.
    pub save: Option<SaveReport>,
}

/// A unit that was compiled in this run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RebuiltUnit {
    /// Package, kind and profile: `serde (library, debug)`.
    pub unit: String,
    /// Why it was compiled, in words.
    pub reason: String,
}

/// A cause for compiling units, with what it came to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct RebuildCause {
    /// The cause, in words.
    pub cause: String,
    /// The packages that have it, sorted.
    pub packages: Vec<String>,
    /// Whether it is one package's own cause, told in that package's words: `src/lib.rs changed`.
    #[serde(skip)]
    pub is_of_package: bool,
    /// How many units have it.
    pub units: usize,
    /// How many more were compiled because they depend on those.
    pub dependents: usize,
}

/// What became of the units.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct UnitsReport {
    /// How many restored units the command used; `None` if access times do not tell.
    pub reused: Option<u64>,
    /// How many units the command compiled; `None` if nothing was looked at.
    pub rebuilt: Option<u64>,
    /// Those units.
    pub rebuilt_units: Vec<RebuiltUnit>,
    /// The causes that they were compiled for, the one with most units first.
    pub causes: Vec<RebuildCause>,
    /// How long the reused units took when they were compiled, all together, in seconds; `None` if it is not known which
    /// those are.
    #[serde(default)]
    pub seconds_spared: Option<f64>,
}

/// What sccache did during the job, by its own account.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SccacheReport {
    /// Its version.
    pub version: String,
    /// Compilations that came from its cache.
    pub hits: u64,
    /// Compilations that were looked for there, and not found.
    pub misses: u64,
    /// Compilations of a kind that it does not cache.
    pub not_cacheable: u64,
    /// How many of those there were for each reason, in its own words.
    pub reasons: BTreeMap<String, u64>,
    /// Compilations that were added to the cache.
    pub written: u64,
    /// How often the cache failed: to answer, to be read, to be written, or in time.
    pub errors: u64,
    /// Compilations that were done without it, because it failed.
    pub fell_back: u64,
    /// Why these counts are not the whole job's, if they are not.
    pub note: Option<String>,
}

impl SccacheReport {
    /// Of an sccache of that version that did not say what it did.
    pub fn unknown(version: &str, why: String) -> Self {
        Self {
            version: version.to_owned(),
            note: Some(why),
            ..Self::default()
        }
    }
}

/// Everything that one run of hotcrate did.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunReport {
    /// [`SCHEMA`].
    pub schema: u32,
    /// The tiers in use, in their order.
    pub tiers: Vec<TierReport>,
    /// The units.
    pub units: UnitsReport,
    /// sccache, if the job used it.
    pub sccache: Option<SccacheReport>,
    /// What is stored where this run's entries live, if that was looked at.
    #[serde(default)]
    pub holdings: Option<HoldingsReport>,
    /// Why that is not known, where somebody was asked and did not say.
    #[serde(default)]
    pub holdings_unknown: Option<String>,
    /// What was deleted, if that was asked for.
    #[serde(default)]
    pub collected: Option<CollectionReport>,
    /// Everything that was worth a warning.
    pub warnings: Vec<String>,
}

impl Default for RunReport {
    fn default() -> Self {
        Self {
            schema: SCHEMA,
            tiers: Vec::new(),
            units: UnitsReport::default(),
            sccache: None,
            holdings: None,
            holdings_unknown: None,
            collected: None,
            warnings: Vec::new(),
        }
    }
}

impl RunReport {
    /// The report of `tier`, made if there is none yet.
    pub fn tier_mut(&mut self, tier: TierName) -> &mut TierReport {
        let index = match self.tiers.binary_search_by_key(&tier, |report| report.tier) {
            Ok(index) => index,
            Err(index) => {
                self.tiers.insert(
                    index,
                    TierReport {
                        tier,
                        restore: None,
                        save: None,
                    },
                );
                index
            }
        };
        &mut self.tiers[index]
    }
}
