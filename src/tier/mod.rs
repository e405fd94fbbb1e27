//! What belongs to which tier.

mod name;

pub use name::{TierName, UnknownTier};
