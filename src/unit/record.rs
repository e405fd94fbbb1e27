//! What an entry's header keeps of a unit, so that the next job can judge the unit without unpacking it. Pure.
//!
//! Invariant: a record describes a unit in a target directory only if that is the very build that was stored. A build
//! is told by its fingerprint's value and by how long it took, to the nanosecond: no second compilation takes as long,
//! while shifting all times of restored files changes neither.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::{Deserialize, Serialize};

use super::{Fingerprint, Layout, Origin, Unit, UnitId, UnitKind};
use crate::key::Digest;

/// A stored unit. Field names are short on the wire: an entry may hold a thousand of them.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnitRecord {
    /// The unit's name within its target directory.
    #[serde(flatten)]
    pub id: UnitId,
    /// The layout it is stored in.
    pub layout: Layout,
    /// What it is for.
    pub kind: UnitKind,
    /// Where its sources lay.
    pub origin: Origin,
    /// Size of its files in bytes, hard links counted once.
    pub bytes: u64,
    /// How long it took to compile, in nanoseconds, if Cargo's time stamps tell.
    #[serde(rename = "ns", default, skip_serializing_if = "Option::is_none")]
    pub compile_nanos: Option<u64>,
    /// At how many saves in a row no job had used it.
    #[serde(rename = "unused", default, skip_serializing_if = "is_zero")]
    pub unused_saves: u32,
    /// Cargo's number for the compiler; 0 where the fingerprint's JSON could not be read.
    pub rustc: u64,
    /// The first 16 hexadecimal digits of the SHA-256 of the enabled features as Cargo lists them.
    pub features: String,
    /// Cargo's number for the target of the package.
    pub target: u64,
    /// Cargo's number for the profile.
    #[serde(rename = "settings")]
    pub profile_number: u64,
    /// Cargo's number for the platform that is compiled for.
    #[serde(rename = "compile-kind")]
    pub compile_kind: u64,
    /// The values of its fingerprints, as the hash files have them; nearly always one.
    pub values: Vec<String>,
    /// The fingerprint values of its dependencies, sorted.
    pub deps: Vec<String>,
    /// The digest of what dependents are compiled against, once [`super::interface()`] has found it: see there.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub interface: Option<Digest>,
    /// Whether its outputs hold the absolute path of the target directory, so that it is of use nowhere else.
    #[serde(rename = "holds-target", default, skip_serializing_if = "is_false")]
    pub holds_target: bool,
}

impl UnitRecord {
    /// The record of `unit`. From `previous`, the record of the restored unit of that name if there was one, the count
    /// of unused saves is taken over, and what is known of the interface where `previous` describes this very build.
    pub fn of(unit: &Unit, previous: Option<&Self>) -> Self {
        let first = unit.fingerprint.clone().unwrap_or_default();
        let deps: BTreeSet<_> = unit
            .fingerprints()
            .flat_map(|print| &print.deps)
            .map(|(_, value)| value.clone())
            .collect();
        Self {
            id: unit.id.clone(),
            layout: unit.layout,
            kind: unit.kind,
            origin: unit.origin.clone(),
            bytes: unit.bytes(),
            compile_nanos: nanos(unit.compile_time),
            unused_saves: previous.map_or(0, |previous| previous.unused_saves),
            rustc: first.rustc,
            features: digits(&Digest::of_bytes(first.features.as_bytes())),
            target: first.target,
            profile_number: first.profile,
            compile_kind: first.compile_kind,
            values: values(unit.fingerprints()),
            deps: deps.into_iter().collect(),
            interface: previous
                .filter(|previous| previous.describes(unit))
                .and_then(|previous| previous.interface),
            holds_target: previous
                .is_some_and(|previous| previous.describes(unit) && previous.holds_target),
        }
    }

    /// Whether `unit` is the build that this record was made of, restored and not compiled again.
    pub fn describes(&self, unit: &Unit) -> bool {
        self.id == unit.id
            && self.layout == unit.layout
            && self.values == values(unit.fingerprints())
            && self.compile_nanos.is_some()
            && self.compile_nanos == nanos(unit.compile_time)
    }

    /// How long it took to compile; nothing where that is not known.
    pub fn compile_time(&self) -> Duration {
        Duration::from_nanos(self.compile_nanos.unwrap_or_default())
    }
}

/// The units that no record describes: those that were compiled since, or that no entry held.
pub fn compiled_here(units: &[Unit], restored: &[UnitRecord]) -> BTreeSet<UnitId> {
    let restored = by_id(restored);
    units
        .iter()
        .filter(|unit| {
            !restored
                .get(&unit.id)
                .is_some_and(|record| record.describes(unit))
        })
        .map(|unit| unit.id.clone())
        .collect()
}

/// The interface digests that the records of restored units still hold for `units`.
pub fn known_interfaces(units: &[Unit], restored: &[UnitRecord]) -> BTreeMap<UnitId, Digest> {
    let restored = by_id(restored);
    units
        .iter()
        .filter_map(|unit| {
            let record = restored
                .get(&unit.id)
                .filter(|record| record.describes(unit))?;
            Some((unit.id.clone(), record.interface?))
        })
        .collect()
}

fn by_id(records: &[UnitRecord]) -> BTreeMap<&UnitId, &UnitRecord> {
    records.iter().map(|record| (&record.id, record)).collect()
}

fn values<'a>(prints: impl Iterator<Item = &'a Fingerprint>) -> Vec<String> {
    prints.map(|print| print.value.clone()).collect()
}

fn nanos(time: Option<Duration>) -> Option<u64> {
    time.and_then(|time| u64::try_from(time.as_nanos()).ok())
}

fn digits(digest: &Digest) -> String {
    digest.to_string().chars().take(16).collect()
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_zero(count: &u32) -> bool {
    *count == 0
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
fn is_false(flag: &bool) -> bool {
    !flag
}
