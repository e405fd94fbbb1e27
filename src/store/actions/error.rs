//! What can go wrong between hotcrate and the cache service, in words for the user of it.
//!
//! Invariant: no message holds more of an address than its host, and nothing of a token.

use std::{io, time::Duration};

use crate::{deadline::TimeUp, network::BadProxy};

/// Why the cache service, or what lies behind it, did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum ActionsError {
    /// The runner did not hand a variable on to this process.
    #[error("{variable} is not set: the runner hands it to actions only, and to no `run:` step")]
    NotHandedDown {
        /// The variable.
        variable: &'static str,
    },
    /// A variable that should hold an address does not.
    #[error("{variable} is not the address of a cache service")]
    BadAddress {
        /// The variable.
        variable: &'static str,
    },
    /// A proxy that can't be used.
    #[error(transparent)]
    BadProxy(#[from] BadProxy),
    /// No connection came about.
    #[error("{host} can't be reached")]
    Unreachable {
        /// The host.
        host: String,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A connection that is not secure.
    #[error("there is no secure connection to {host}: {reason}")]
    Insecure {
        /// The host.
        host: String,
        /// What TLS says.
        reason: String,
    },
    /// A whole call took too long.
    #[error("{host} did not answer within {limit:?}")]
    Silent {
        /// The host.
        host: String,
        /// How long it had.
        limit: Duration,
    },
    /// A transfer stopped moving.
    #[error("{host} stopped in the middle of a transfer: nothing came for {limit:?}")]
    Stalled {
        /// The host.
        host: String,
        /// How long it had.
        limit: Duration,
    },
    /// The connection broke.
    #[error("{host} broke off the connection")]
    BrokenOff {
        /// The host.
        host: String,
        /// How.
        #[source]
        source: io::Error,
    },
    /// The deadline passed.
    #[error(transparent)]
    TimeUp(#[from] TimeUp),
    /// 401.
    #[error(
        "the cache service does not accept this job's token, which is good for some hours only"
    )]
    TokenRefused,
    /// A policy of the service, or of the workflow, forbids reading.
    #[error("this run may not read the cache: {message}")]
    ReadDenied {
        /// What the service says.
        message: String,
    },
    /// A policy of the service, or of the workflow, forbids writing.
    #[error("this run may not write to the cache: {message}")]
    WriteDenied {
        /// What the service says.
        message: String,
    },
    /// 429.
    #[error("the repository asks the cache service too often{}", render_wait(*.wait))]
    RateLimited {
        /// When the service wants to be asked again.
        wait: Option<Duration>,
    },
    /// The quota is used up.
    #[error("the repository's share of the cache service is used up: {message}")]
    QuotaSpent {
        /// What the service says.
        message: String,
    },
    /// The service does not take a request as it is.
    #[error("the cache service refuses the request (status {status}): {message}")]
    Refused {
        /// The status.
        status: u16,
        /// What the service says.
        message: String,
    },
    /// The service is not well.
    #[error("{host} has trouble of its own (status {status})")]
    Trouble {
        /// The host.
        host: String,
        /// The status: 408 or 500 and above.
        status: u16,
    },
    /// Something answered, and not a cache service.
    #[error("{host} answered in a way that no cache service does: {what}")]
    NotUnderstood {
        /// The host.
        host: String,
        /// What was wrong with it.
        what: &'static str,
    },
    /// A request was to be made elsewhere, where the token has no business.
    #[error("{host} sends hotcrate to another address, which it does not follow")]
    Redirected {
        /// The host.
        host: String,
    },
    /// Whether a key is reserved is not known.
    #[error("the cache service may have reserved the key, or not; it is not asked twice")]
    ReservationUnknown {
        /// What happened to the request.
        #[source]
        source: Box<Self>,
    },
    /// The service did not keep what was uploaded.
    #[error("the cache service does not find what was uploaded")]
    NotFound,
    /// The service did not make the entry visible.
    #[error("the cache service did not keep the entry: {message}")]
    NotKept {
        /// What the service says.
        message: String,
    },
    /// The permission to upload ran out: it is good for an hour.
    #[error("the permission to upload to {host} is not valid any more ({code})")]
    UploadRefused {
        /// The host.
        host: String,
        /// The storage's own code, or the status.
        code: String,
    },
    /// The permission to download is refused, also a fresh one.
    #[error("{host} does not let the entry be downloaded ({code})")]
    DownloadRefused {
        /// The host.
        host: String,
        /// The storage's own code, or the status.
        code: String,
    },
    /// The storage sent something else than the part of the entry that was asked for.
    #[error("{host} sent something else than the part that was asked for")]
    WrongPart {
        /// The host.
        host: String,
    },
    /// The storage does not send parts.
    #[error("{host} sends nothing but whole files")]
    NoParts {
        /// The host.
        host: String,
    },
}

fn render_wait(wait: Option<Duration>) -> String {
    wait.map_or_else(String::new, |wait| {
        format!(", and is to be left alone for {} s", wait.as_secs())
    })
}

/// What to do after a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Retry {
    /// It would fail again, or nobody knows what it did.
    Never,
    /// After a pause that grows.
    Soon,
    /// After this pause, once.
    Once(Duration),
}

impl ActionsError {
    /// Whether the same request may be made again, which must be one that does no harm twice. `longest_wait` is how long
    /// a service may ask to be left alone.
    pub(super) fn retry(&self, longest_wait: Duration) -> Retry {
        match self {
            Self::Trouble { .. } | Self::BrokenOff { .. } | Self::WrongPart { .. } => Retry::Soon,
            // Half a minute is gone already, and the next connection may fare better: a second try, and no third.
            Self::Stalled { .. } => Retry::Once(Duration::ZERO),
            Self::RateLimited { wait: Some(wait) } if *wait <= longest_wait => Retry::Once(*wait),
            _ => Retry::Never,
        }
    }

    /// Whether nobody knows what became of the request: it may have been heard and acted upon.
    pub(super) fn leaves_doubt(&self) -> bool {
        matches!(
            self,
            Self::Silent { .. }
                | Self::BrokenOff { .. }
                | Self::Trouble { .. }
                | Self::NotUnderstood { .. }
                | Self::TimeUp(_)
        )
    }

    /// Whether every further request would meet the same.
    pub(super) fn is_lasting(&self) -> bool {
        match self {
            Self::NotHandedDown { .. }
            | Self::BadAddress { .. }
            | Self::BadProxy(_)
            | Self::Unreachable { .. }
            | Self::Insecure { .. }
            | Self::Silent { .. }
            | Self::Stalled { .. }
            | Self::BrokenOff { .. }
            | Self::TokenRefused
            | Self::ReadDenied { .. }
            | Self::WriteDenied { .. }
            | Self::RateLimited { .. }
            | Self::QuotaSpent { .. }
            | Self::Trouble { .. }
            | Self::NotUnderstood { .. }
            | Self::Redirected { .. }
            | Self::NoParts { .. } => true,
            Self::ReservationUnknown { source } => source.is_lasting(),
            // Another restore or save has another deadline.
            Self::TimeUp(_)
            | Self::Refused { .. }
            | Self::NotFound
            | Self::NotKept { .. }
            | Self::UploadRefused { .. }
            | Self::DownloadRefused { .. }
            | Self::WrongPart { .. } => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    const MINUTE: Duration = Duration::from_mins(1);

    fn limited(wait: u64) -> ActionsError {
        ActionsError::RateLimited {
            wait: Some(Duration::from_secs(wait)),
        }
    }

    #[rstest]
    #[case(ActionsError::Trouble { host: String::new(), status: 503 }, Retry::Soon)]
    #[case(limited(30), Retry::Once(Duration::from_secs(30)))]
    #[case(limited(600), Retry::Never)]
    #[case(ActionsError::RateLimited { wait: None }, Retry::Never)]
    #[case(ActionsError::TokenRefused, Retry::Never)]
    #[case(ActionsError::Silent { host: String::new(), limit: MINUTE }, Retry::Never)]
    fn a_request_is_repeated_only_where_that_may_help(
        #[case] error: ActionsError,
        #[case] expected: Retry,
    ) {
        assert_eq!(error.retry(MINUTE), expected);
    }

    #[test]
    fn a_service_that_wants_to_be_left_alone_is_quoted() {
        insta::assert_snapshot!(limited(600), @"the repository asks the cache service too often, and is to be left alone for 600 s");
        insta::assert_snapshot!(ActionsError::RateLimited { wait: None }, @"the repository asks the cache service too often");
    }
}
