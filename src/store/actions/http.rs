//! Requests: what every one of them is held to, and what their failures mean.
//!
//! Invariants: no redirect is followed, so a token goes where it was sent and nowhere else; calls and transfers have
//! connections of their own; every wait has a limit; and no error holds a path or a query.

use std::{
    io::{self, ErrorKind, Read as _},
    sync::OnceLock,
    time::Duration,
};

use ureq::{
    Agent, AsSendBody, Body, Timeout,
    http::{HeaderMap, Request, Response, Uri, header},
    tls::{RootCerts, TlsConfig},
    unversioned::resolver::DefaultResolver,
};

use super::{
    connect::{CurrentDeadline, connector},
    error::ActionsError,
    resolve::RememberingResolver,
};
use crate::{
    deadline::{Deadline, TimeUp},
    environment::Environment,
    network::{Proxies, root_certificates},
};

/// What no answer to a call exceeds, in bytes.
const LONGEST_ANSWER: u64 = 1 << 20;
/// How many connections stay open for the next request: as many as transfers use at once.
const IDLE_CONNECTIONS: usize = 16;
/// What is read from, or written to, a connection at once, in bytes.
const BUFFER: usize = 256 << 10;

/// How long to wait for what.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// For a connection, the look-up of the host's name included.
    pub connect: Duration,
    /// For the whole of a call to the service, connection and answer included.
    pub call: Duration,
    /// For the next bytes of a transfer.
    pub stall: Duration,
    /// Before a request is made for the second time. Doubles with each further one.
    pub first_pause: Duration,
    /// The longest that a service may ask to be left alone; who asks for more is left alone for good.
    pub longest_wait: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            call: Duration::from_secs(15),
            stall: Duration::from_secs(30),
            first_pause: Duration::from_secs(1),
            longest_wait: Duration::from_mins(1),
        }
    }
}

/// What a request is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    /// A question to the service: short, and under one limit as a whole.
    Call,
    /// Bytes of an entry: as long as they take, if only they move.
    Transfer,
}

/// Makes requests.
#[derive(Debug)]
pub(super) struct Http {
    limits: Limits,
    deadline: CurrentDeadline,
    proxies: Proxies,
    environment: Environment,
    roots: OnceLock<RootCerts>,
    agents: [OnceLock<Agent>; 4],
}

/// An answer, read to its end.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) host: String,
    pub(super) status: u16,
    pub(super) headers: HeaderMap,
    pub(super) body: Vec<u8>,
}

impl Http {
    /// Everything that requests need to know of `environment` is read here, but for certificates: those when the first
    /// secure connection is made.
    pub(super) fn new(environment: &Environment, limits: Limits) -> Result<Self, ActionsError> {
        let certificates = ["SSL_CERT_FILE", "SSL_CERT_DIR"];
        Ok(Self {
            limits,
            deadline: CurrentDeadline::never(),
            proxies: Proxies::read(environment)?,
            environment: certificates
                .iter()
                .filter_map(|name| Some((*name, environment.os(name)?)))
                .collect(),
            roots: OnceLock::new(),
            agents: [const { OnceLock::new() }; 4],
        })
    }

    pub(super) fn limits(&self) -> &Limits {
        &self.limits
    }

    /// Something begins that has to be over by `deadline`.
    pub(super) fn begin(&self, deadline: Deadline) {
        self.deadline.set(deadline);
    }

    /// Sleeps, but not beyond the deadline. Fails if that has passed.
    pub(super) fn sleep(&self, pause: Duration) -> Result<(), TimeUp> {
        let deadline = self.deadline.get();
        std::thread::sleep(deadline.bound(pause));
        deadline.check()
    }

    /// Makes a request and reads the whole answer, which has to be a short one.
    pub(super) fn ask(
        &self,
        purpose: Purpose,
        request: Request<impl AsSendBody>,
    ) -> Result<Answer, ActionsError> {
        let host = host_of(request.uri());
        let response = self.start(purpose, request)?;
        self.finish(&host, purpose, response)
    }

    /// Reads what is left of an answer that was started, which has to be a short one.
    pub(super) fn finish(
        &self,
        host: &str,
        purpose: Purpose,
        response: Response<Body>,
    ) -> Result<Answer, ActionsError> {
        let (parts, body) = response.into_parts();
        let mut bytes = Vec::new();
        body.into_reader()
            .take(LONGEST_ANSWER)
            .read_to_end(&mut bytes)
            .map_err(|error| self.failure(host, purpose, ureq::Error::from(error)))?;
        Ok(Answer {
            host: host.to_owned(),
            status: parts.status.as_u16(),
            headers: parts.headers,
            body: bytes,
        })
    }

    /// Makes a request whose answer's body is left for [`Http::read_into`].
    pub(super) fn start(
        &self,
        purpose: Purpose,
        request: Request<impl AsSendBody>,
    ) -> Result<Response<Body>, ActionsError> {
        self.deadline.get().check()?;
        let host = host_of(request.uri());
        let is_secure = request.uri().scheme_str() == Some("https");
        self.agent(purpose, is_secure)
            .run(request)
            .map_err(|error| self.failure(&host, purpose, error))
    }

    /// Fills `bytes` from `filled` on with what comes of a body, and counts that in `filled`. Ends with an error if there is
    /// less or more of it; of the latter, nothing is counted.
    pub(super) fn read_into(
        &self,
        body: Body,
        host: &str,
        bytes: &mut [u8],
        filled: &mut usize,
    ) -> Result<(), ActionsError> {
        let mut reader = body.into_reader();
        loop {
            // One more than is wanted, to see the end: a connection is of further use only then.
            let mut beyond = [0];
            let is_full = *filled == bytes.len();
            let room = if is_full {
                &mut beyond
            } else {
                &mut bytes[*filled..]
            };
            match reader.read(room) {
                Ok(0) if is_full => return Ok(()),
                Ok(read) if read > 0 && !is_full => *filled += read,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    let error = ureq::Error::from(error);
                    return Err(self.failure(host, Purpose::Transfer, error));
                }
                Ok(_) => {
                    // What goes on behind its end was something else from its start, perhaps.
                    if is_full {
                        *filled = 0;
                    }
                    return Err(ActionsError::WrongPart {
                        host: host.to_owned(),
                    });
                }
            }
        }
    }

    fn agent(&self, purpose: Purpose, is_secure: bool) -> &Agent {
        let number = usize::from(purpose == Purpose::Transfer) * 2 + usize::from(is_secure);
        self.agents[number].get_or_init(|| self.new_agent(purpose, is_secure))
    }

    fn new_agent(&self, purpose: Purpose, is_secure: bool) -> Agent {
        let mut config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("hotcrate/", env!("CARGO_PKG_VERSION")))
            .max_idle_connections(IDLE_CONNECTIONS)
            .max_idle_connections_per_host(IDLE_CONNECTIONS)
            .timeout_resolve(Some(self.limits.connect))
            .timeout_connect(Some(self.limits.connect))
            .timeout_per_read(Some(self.limits.stall))
            .timeout_per_write(Some(self.limits.stall));
        config = match purpose {
            Purpose::Call => config.timeout_global(Some(self.limits.call)),
            Purpose::Transfer => config.input_buffer_size(BUFFER).output_buffer_size(BUFFER),
        };
        let proxies = &self.proxies;
        config = if is_secure {
            let roots = self
                .roots
                .get_or_init(|| root_certificates(&self.environment));
            let provider = rustls::crypto::ring::default_provider();
            let tls = TlsConfig::builder()
                .root_certs(roots.clone())
                .unversioned_rustls_crypto_provider(provider.into());
            config.proxy(proxies.secure.clone()).tls_config(tls.build())
        } else {
            config.proxy(proxies.plain.clone())
        };
        let connector = connector(self.deadline.clone());
        let resolver = RememberingResolver::new(DefaultResolver::default());
        Agent::with_parts(config.build(), connector, resolver)
    }

    /// What a failed request means. Nothing of the address gets into it but the host.
    fn failure(&self, host: &str, purpose: Purpose, error: ureq::Error) -> ActionsError {
        if let Err(time_up) = self.deadline.get().check() {
            return time_up.into();
        }
        let host = host.to_owned();
        match error {
            ureq::Error::Timeout(Timeout::Resolve | Timeout::Connect) => {
                let source = ErrorKind::TimedOut.into();
                ActionsError::Unreachable { host, source }
            }
            ureq::Error::Timeout(_) if purpose == Purpose::Call => ActionsError::Silent {
                host,
                limit: self.limits.call,
            },
            ureq::Error::Timeout(_) => ActionsError::Stalled {
                host,
                limit: self.limits.stall,
            },
            ureq::Error::HostNotFound => {
                let source = io::Error::other("there is no such host");
                ActionsError::Unreachable { host, source }
            }
            ureq::Error::ConnectProxyFailed(reason) => {
                let source = io::Error::other(format!("the proxy refused: {reason}"));
                ActionsError::Unreachable { host, source }
            }
            ureq::Error::Io(source) if is_of_connecting(&source) => {
                ActionsError::Unreachable { host, source }
            }
            ureq::Error::Rustls(error) => ActionsError::Insecure {
                host,
                reason: error.to_string(),
            },
            ureq::Error::Tls(reason) => ActionsError::Insecure {
                host,
                reason: reason.to_owned(),
            },
            // TLS reports what is wrong with a certificate as data that is not valid.
            ureq::Error::Io(source) if source.kind() == ErrorKind::InvalidData => {
                ActionsError::Insecure {
                    host,
                    reason: source.to_string(),
                }
            }
            ureq::Error::Io(source) => ActionsError::BrokenOff { host, source },
            _ => ActionsError::NotUnderstood {
                host,
                what: "it is not HTTP",
            },
        }
    }
}

fn is_of_connecting(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionRefused
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable
            | ErrorKind::AddrNotAvailable
    )
}

/// The host of an address: what of it may be told.
pub(super) fn host_of(address: &Uri) -> String {
    address.host().unwrap_or_default().to_owned()
}

impl Answer {
    /// When the service wants to be asked again, if it says so in seconds.
    pub(super) fn retry_after(&self) -> Option<Duration> {
        let seconds = self.headers.get(header::RETRY_AFTER)?.to_str().ok()?;
        seconds.trim().parse().ok().map(Duration::from_secs)
    }

    /// What statuses mean wherever they come from; `None` for a success, and for what only the asker understands.
    pub(super) fn common_failure(&self) -> Option<ActionsError> {
        let host = self.host.clone();
        match self.status {
            300..=399 => Some(ActionsError::Redirected { host }),
            429 => Some(ActionsError::RateLimited {
                wait: self.retry_after(),
            }),
            408 | 500.. => Some(ActionsError::Trouble {
                host,
                status: self.status,
            }),
            _ => None,
        }
    }
}
