//! Cleaning: what of all that hotcrate keeps on this machine, and of the units in a project's target directories, is of
//! no use any more. Pure: what is there is handed in, and what is to go comes out, each with its reason.
//!
//! - A bucket goes if the checkout that it belongs to is gone, and so does what an earlier cleaning left half done.
//! - Units go by whole units, and none that a unit that stays was compiled against: [`stale_units`] has the rules.
//! - With an age, buckets, units and stored entries go that nobody used for as long.
//! - With a size, buckets and entries go, those used longest ago first, until what is left fits into it.
//! - With `all`, every bucket and every stored entry of the project goes.
//!
//! Invariant: what a plan says that it frees is what deleting it frees. Hard links make that more than a sum: a file is
//! freed with its last name, by whichever item has that.

mod plan;
mod stale;

pub use plan::{
    CleanItem, CleanPlan, CleanReason, CleanRequest, Fate, HeldFile, Thing, ThingKind, plan,
};
pub use stale::{StaleReason, StaleRequest, UnitUse, stale_units};
