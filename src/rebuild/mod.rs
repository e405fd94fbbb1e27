//! Why units were compiled again, told from what Cargo recorded of them before and after.
//!
//! Cargo overwrites its record of a unit when it compiles it. So the records are taken down before a build
//! ([`Snapshot`]) and compared afterwards with those of the units that it compiled ([`explain()`]): the unit's own causes
//! ([`Cause`]), or else the unit that it depends on and that has one. [`diagnose()`] says what to do about what comes
//! back with every build.
//!
//! Invariant: nothing here reads, decides or changes anything about a build; what the records do not tell is said to be
//! unknown. Values of environment variables go in only as far as people may see them ([`Value`]).
//!
//! ```text
//! unit ─▶ Snapshot (before) ─┐
//! unit ─▶ Snapshot (after) ──┴─▶ explain ─▶ Rebuilt ─▶ group ─▶ report
//! ```

mod cause;
mod compare;
mod diagnose;
mod explain;
mod group;
mod rules;
mod snapshot;
mod value;

#[cfg(test)]
mod explain_tests;
#[cfg(test)]
mod rules_tests;

pub use cause::{Cause, MadeNew, NOTHING_RESTORED, NewPart};
pub use compare::{InputState, InputStates};
pub use diagnose::{Diagnosis, Facts, LockfileKind, LockfileState, diagnose};
pub use explain::{Build, Place, Rebuilt, explain};
pub use group::{Group, group, reason};
pub use snapshot::{Baseline, Basis, RootSnapshot, Snapshot, TargetSnapshot, UnitSnapshot};
pub use value::{Value, ValueChange, is_secret, is_temporary};
