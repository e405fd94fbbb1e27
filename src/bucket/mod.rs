//! Buckets: target directories outside of the checkouts that are built in them, so that checkouts of one project at the
//! same time start warm and never write one directory.
//!
//! ```text
//! <home>/buckets-v1/              changes its name when a release can't use what an older one made
//!   CACHEDIR.TAG
//!   <project>/                    one for each repository and workspace in it
//!     <bucket>.lock               held while hotcrate builds in the bucket, fills it or removes it; never removed itself
//!     <bucket>/
//!       bucket.json               whose it is: [`BucketRecord`]
//!       target/                   what Cargo is told to build in
//! ```
//!
//! The home is the same from every worktree of a repository, as git's own files say which those are. Invariants: what is
//! chosen depends on the checkout and the settings alone ([`choose`], pure); a bucket starts with whole units of
//! dependencies, or with nothing; no file that a build may write in place has a second name in another bucket.

mod checkout;
mod copy;
mod lock;
mod mode;
mod names;
mod record;
mod seed;
mod survey;

pub use checkout::Checkout;
pub use copy::{CopyError, Copying, Made};
pub use lock::{BucketLock, LockError};
pub use mode::{
    BucketKind, Choice, IfBusy, Surroundings, TargetMode, UnknownMode, UnknownPolicy,
    WorktreePatterns, choose,
};
pub use names::{BucketPlace, ProjectBuckets};
pub use record::{BucketRecord, RecordError};
pub use seed::{may_be_linked, seedable};
pub use survey::{FoundBuckets, find_buckets, going};
