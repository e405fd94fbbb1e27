//! GitHub's API, as far as caches are concerned: what a repository holds, which of its branches and pull requests still
//! exist, and deleting.
//!
//! ```text
//!   address  which server, repository and token        caches  the REST calls about caches
//!   client   requests, pauses, patience                refs    one GraphQL query about branches and pull requests
//!   error    what failures mean                        listing all of it as one listing
//! ```
//!
//! Plain HTTP with serde types, and not octocrab: the six calls that are made need neither an async runtime nor models of
//! the whole API, and the pauses that GitHub asks for are decided here anyway. The HTTP client is the one that the
//! store of the Actions cache uses.
//!
//! Invariants: the token goes to the API's own address and nowhere else, and is never printed; at most one request is
//! under way; requests that change something are at least a second apart, as GitHub asks; no wait is longer than
//! [`Patience::longest_wait`]. A listing takes one request for each 100 entries, and one more.

mod address;
mod caches;
mod client;
mod error;
mod listing;
mod refs;

#[cfg(test)]
mod pace_tests;

pub use address::{BadRepository, GitHubAddress, RepositoryName};
pub use client::{GitHub, Patience};
pub use error::GitHubError;
pub use listing::Wanted;
