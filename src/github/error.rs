//! What can go wrong between hotcrate and GitHub's API, in words for the user of it.
//!
//! Invariant: no message holds more of an address than its host, and nothing of a token.

use std::{io, time::Duration};

use crate::{network::BadProxy, report::render_seconds};

/// Why GitHub's API did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum GitHubError {
    /// A variable with an address that is none.
    #[error(
        "{address:?} is not the address of GitHub's API; GITHUB_API_URL takes https://HOST/PATH"
    )]
    BadAddress {
        /// As it was given.
        address: String,
    },
    /// A token with characters that no token has.
    #[error("GITHUB_TOKEN holds something that is no token")]
    BadToken,
    /// A proxy that can't be used.
    #[error(transparent)]
    BadProxy(#[from] BadProxy),
    /// No answer came.
    #[error("{host} did not answer")]
    Unreachable {
        /// The host.
        host: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The token is unknown, or has expired.
    #[error("GitHub does not take the token: {message}")]
    Unauthorized {
        /// GitHub's words.
        message: String,
    },
    /// The token may not do that.
    #[error("the token may not {attempt}, which takes `{needs}`: {message}")]
    Denied {
        /// What was tried.
        attempt: &'static str,
        /// Which permission that takes.
        needs: &'static str,
        /// GitHub's words.
        message: String,
    },
    /// There is no such repository, or none that the token may see.
    #[error(
        "GitHub shows no caches of {repository} to {asker}: it takes a repository's name and, if that is private, a token with `actions: read`"
    )]
    NotFound {
        /// The repository.
        repository: String,
        /// Who asked.
        asker: &'static str,
    },
    /// Too many requests.
    #[error("GitHub wants no more requests for now{}", wait.map_or_else(String::new, |wait| format!(": it asks to wait for {}", render_seconds(wait.as_secs_f64()))))]
    RateLimited {
        /// For how long, as far as it said.
        wait: Option<Duration>,
    },
    /// An error of GitHub's own, or one that nobody expects.
    #[error("{host} answered with status {status}: {message}")]
    Trouble {
        /// The host.
        host: String,
        /// The status.
        status: u16,
        /// Its words.
        message: String,
    },
    /// An answer that is not what was asked for.
    #[error("{host} answered with something else than {what}")]
    NotUnderstood {
        /// The host.
        host: String,
        /// What it should have been.
        what: &'static str,
        /// What is wrong with it.
        #[source]
        source: serde_json::Error,
    },
    /// GraphQL said no to the whole query.
    #[error("GitHub did not answer the query: {message}")]
    Refused {
        /// Its words.
        message: String,
    },
}

impl GitHubError {
    /// Whether it is the token's fault, or the want of one: the same would happen to every further request.
    pub fn is_of_permission(&self) -> bool {
        matches!(
            self,
            Self::Unauthorized { .. } | Self::Denied { .. } | Self::NotFound { .. }
        )
    }
}
