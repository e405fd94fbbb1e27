//! Freshness: keeping path packages warm across checkouts without ever keeping anything stale.
//!
//! Cargo judges path packages by modification times, and a checkout makes all of them new. At save time the sources
//! are recorded with their exact times ([`SourceManifest`]). After a restore, paths whose content is what it was get
//! their recorded times back, all others one that is newer than every restored artefact ([`plan`], [`replay()`]).
//!
//! That alone would keep what Cargo can't see: build scripts and procedural macros that read more than they say.
//! What each unit *said* that it reads is taken from the target directory ([`Inputs`]); a change that a unit could
//! read without saying so makes the unit new, and what steps may change after that Cargo is made to watch ([`watch()`]).
//! The rules are those of `reference/cargo-freshness.md`, sections
//! 1.5 and 8.
//!
//! Invariant: the outputs of a build after a replay are those of a clean build, as far as units don't hide what
//! they read from every sign ([`signs`], [`macros`]). In doubt a path stays new, which costs a compilation and nothing else.
//!
//! ```text
//! scan ─▶ Sources ─┬─▶ SourceManifest (in the entry)
//!   Inputs ────────┤
//!                  └─▶ plan ─▶ ReplayPlan ─▶ watch ─▶ replay      [plan and watch are pure]
//! ```

mod changes;
mod exports;
mod git;
mod guard;
mod inputs;
pub mod macros;
mod manifest;
mod outside;
mod packages;
mod reach;
mod reason;
mod replay;
pub mod signs;
mod sources;
mod undeclared;
mod watch;

#[cfg(test)]
mod danger_tests;
#[cfg(test)]
mod fixture;
#[cfg(test)]
mod guard_tests;
#[cfg(test)]
mod macro_tests;
#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod property_world;
#[cfg(test)]
mod script_tests;
#[cfg(test)]
mod window_tests;

pub use git::{Head, Listing, PathSet, ignored_paths};
pub use guard::{BuildScripts, Present, ReplayPlan, plan};
pub use inputs::{Inputs, Reader, Script};
pub use manifest::{Job, Made, Recorded, SourceManifest};
pub use outside::OutsideFiles;
pub use packages::Package;
pub use reason::{Change, Reason};
pub use replay::{
    Changed, ReplayError, Replayed, already_warm, make_everything_new, put_back, replay,
};
pub use sources::{Found, Mtime, ScanError, SourceKind, SourceTree, SourceTrees, Sources, scan};
pub use undeclared::Verdicts;
pub use watch::{Moment, Watch, settle_directories, watch};
