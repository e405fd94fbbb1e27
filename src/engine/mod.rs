//! The engine: puts discovery, keys, tiers, archives and stores together into a restore and a save.
//!
//! Every tier goes the same way, in `restore` and `save`; what is peculiar to one is behind the trait `TierWork`,
//! one file a tier. Invariant: trouble with one tier leaves the others working, and what was there before as it was.

mod after_job;
mod artifact;
mod bucket;
mod clean;
mod doctor;
mod explain;
mod gc;
mod git_signs;
mod holdings;
mod incremental;
mod judged;
mod locked;
mod moved;
mod plan;
mod reading;
mod rebuilt;
mod replay;
mod restore;
mod save;
mod seed;
mod session;
mod sources;
mod store;
mod work;
mod wrapper;

mod extra;
mod registry;
mod sccache;
mod target;
mod tools;
mod unit_set;
mod workspace;

pub use after_job::{AfterJob, Housekeeping};
pub use artifact::{ArtifactRequest, Artifacts, Kept, NoCheckout, tell_kept};
pub use bucket::{Purpose, TargetBucket, open_bucket};
pub use clean::{Cleaned, Cleaning};
pub use explain::ExplainRequest;
pub use gc::{Collected, is_denied};
pub use holdings::Holdings;
pub use session::{JobResult, Session};
