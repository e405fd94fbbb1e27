//! The JSON report, as a reader outside the project would declare it.

use std::path::Path;

use fs_err as fs;
use serde::Deserialize;

/// Schema 1 of `--report`.
#[derive(Debug, Deserialize)]
pub(crate) struct Report {
    pub(crate) schema: u32,
    pub(crate) tiers: Vec<Tier>,
    pub(crate) units: Units,
    pub(crate) sccache: Option<Sccache>,
}

/// What sccache did.
#[derive(Debug, Deserialize)]
pub(crate) struct Sccache {
    pub(crate) hits: u64,
    pub(crate) misses: u64,
    pub(crate) not_cacheable: u64,
    pub(crate) written: u64,
    pub(crate) fell_back: u64,
    pub(crate) note: Option<String>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Tier {
    #[serde(rename = "tier")]
    pub(crate) name: String,
    pub(crate) restore: Option<Half>,
    pub(crate) save: Option<Half>,
}

/// The restoring or the saving of one tier.
#[derive(Clone, Debug, Deserialize)]
pub(crate) struct Half {
    pub(crate) outcome: String,
    pub(crate) reason: Option<String>,
    pub(crate) key: Option<String>,
    pub(crate) matched_key: Option<String>,
    pub(crate) bytes: Option<u64>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct Units {
    pub(crate) reused: Option<u64>,
    pub(crate) rebuilt: Option<u64>,
    #[serde(rename = "rebuilt_units")]
    pub(crate) compiled: Vec<RebuiltUnit>,
    pub(crate) seconds_spared: Option<f64>,
}

#[derive(Debug, Deserialize)]
pub(crate) struct RebuiltUnit {
    pub(crate) unit: String,
    pub(crate) reason: String,
}

impl Report {
    /// How restoring `tier` went.
    #[track_caller]
    pub(crate) fn restore(&self, tier: &str) -> Half {
        let half = self.tier(tier).restore.clone();
        half.unwrap_or_else(|| panic!("the report says nothing of restoring {tier}: {self:#?}"))
    }

    /// How saving `tier` went.
    #[track_caller]
    pub(crate) fn save(&self, tier: &str) -> Half {
        let half = self.tier(tier).save.clone();
        half.unwrap_or_else(|| panic!("the report says nothing of saving {tier}: {self:#?}"))
    }

    /// Whether a rebuilt unit of `package` is named, with a reason.
    pub(crate) fn explains_rebuilding(&self, package: &str) -> bool {
        self.units
            .compiled
            .iter()
            .any(|unit| unit.unit.contains(package) && !unit.reason.is_empty())
    }

    /// Whether the report says anything of `tier`.
    pub(crate) fn has_tier(&self, name: &str) -> bool {
        self.tiers.iter().any(|tier| tier.name == name)
    }

    /// What sccache did.
    #[track_caller]
    pub(crate) fn sccache(&self) -> &Sccache {
        let sccache = self.sccache.as_ref();
        sccache.unwrap_or_else(|| panic!("the report says nothing of sccache: {self:#?}"))
    }

    #[track_caller]
    fn tier(&self, name: &str) -> &Tier {
        self.tiers
            .iter()
            .find(|tier| tier.name == name)
            .unwrap_or_else(|| panic!("the report has no tier {name}: {self:#?}"))
    }
}

impl Half {
    /// The reason, or nothing.
    pub(crate) fn reason(&self) -> &str {
        self.reason.as_deref().unwrap_or_default()
    }
}

/// The report that a step wrote to `path`.
#[track_caller]
pub(crate) fn read_report(path: &Path) -> Report {
    let text = fs::read_to_string(path).unwrap();
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in {text}"))
}
