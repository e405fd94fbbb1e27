//! Artefacts by fingerprint: what a command built, kept under a digest of all that it was built from.
//!
//! ```text
//! TreeState (what lies in the checkout) ─┐
//! command, paths, toolchain, environment ┼─▶ fingerprint [pure] ─▶ key ─▶ ArtifactFacts (at the head of the entry)
//! ```
//!
//! Invariant: two builds have one fingerprint only if every file that git tracks, or neither tracks nor ignores, has the
//! same content and mode, in submodules as well, and so do the command and what else a key holds. What git ignores is not
//! looked at, unless the user names it. What cannot be read is an error: there is no fingerprint of a guess.

mod entry;
mod fingerprint;
mod tree;

pub use entry::{ArtifactFacts, StoredPath, path_digest};
pub use fingerprint::{Fingerprint, FingerprintRequest, fingerprint};
pub use tree::{TreeError, TreeRequest, TreeState, read_tree};
