//! Requests to GitHub's API: who asks, how long to wait, when to ask again.
//!
//! GitHub says how it wants to be asked in "Best practices for using the REST API": one request at a time, a second
//! between those that change something, and after a 403 or 429 not before `retry-after`, or before `x-ratelimit-reset`
//! if nothing remains, or before a minute is over.

use std::{
    fmt, io,
    sync::{Mutex, PoisonError},
    thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use secrecy::ExposeSecret as _;
use serde::{Deserialize, de::DeserializeOwned};
use ureq::{
    Agent,
    http::{HeaderValue, Method, Request, Uri, header},
    tls::TlsConfig,
};

use super::{GitHubAddress, GitHubError};
use crate::{
    environment::Environment,
    network::{self, Proxies},
};

/// What no answer exceeds, in bytes: a page has 100 entries with keys of up to 512 characters.
const LONGEST_ANSWER: u64 = 8 << 20;
/// How often a request is made at most.
const MOST_ATTEMPTS: u32 = 3;
/// Before a request is made again after an error. Doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// How far apart requests are that change something.
const PACE: Duration = Duration::from_secs(1);
/// How long to leave GitHub alone where it says that there were too many requests, and not until when.
const UNTOLD_WAIT: Duration = Duration::from_mins(1);
/// The version of the REST API that is spoken.
const API_VERSION: &str = "2022-11-28";
/// How much of GitHub's own words is told.
const LONGEST_MESSAGE: usize = 200;

/// How long to wait for what.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// For a connection.
    pub connect: Duration,
    /// For a whole request, connection and answer included.
    pub call: Duration,
    /// The longest that GitHub may ask to be left alone; who is asked for more gives up.
    pub longest_wait: Duration,
    /// How a pause is made.
    pub sleep: fn(Duration),
}

impl Default for Patience {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            call: Duration::from_secs(15),
            longest_wait: Duration::from_mins(1),
            sleep: thread::sleep,
        }
    }
}

/// GitHub's API, asked about one repository.
pub struct GitHub {
    pub(super) address: GitHubAddress,
    host: String,
    patience: Patience,
    agent: Agent,
    last_change: Mutex<Option<Instant>>,
}

/// What to ask for.
pub(super) struct Call<'a> {
    /// What this does, for the message if it may not be done.
    pub attempt: &'static str,
    /// The permission that it takes.
    pub needs: &'static str,
    pub method: Method,
    pub url: String,
    pub body: Option<&'a [u8]>,
    /// Whether it changes something.
    pub changes: bool,
}

/// An answer that was understood as such.
pub(super) struct Answer {
    pub status: u16,
    body: Vec<u8>,
}

impl GitHub {
    /// Prepares to ask. Makes no request yet.
    pub fn new(
        address: GitHubAddress,
        environment: &Environment,
        patience: Patience,
    ) -> Result<Self, GitHubError> {
        let bad_address = || GitHubError::BadAddress {
            address: address.rest.clone(),
        };
        let uri: Uri = address.rest.parse().map_err(|_| bad_address())?;
        let scheme = uri.scheme_str().unwrap_or_default();
        if !matches!(scheme, "http" | "https") {
            return Err(bad_address());
        }
        let host = uri.host().unwrap_or_default().to_owned();
        let agent = agent(environment, scheme == "https", &patience)?;
        Ok(Self {
            address,
            host,
            patience,
            agent,
            last_change: Mutex::default(),
        })
    }

    /// Makes a call, again where that may help. A 404 is an answer like others; what else is none is an error.
    pub(super) fn call(&self, call: &Call<'_>) -> Result<Answer, GitHubError> {
        let mut pause = FIRST_PAUSE;
        let mut attempt = 1;
        loop {
            if call.changes {
                self.keep_pace();
            }
            let (error, wait) = match self.try_call(call) {
                Ok(answer) => return Ok(answer),
                Err(failure) => failure,
            };
            let Some(wait) = wait.or_else(|| passes(&error).then_some(pause)) else {
                return Err(error);
            };
            if attempt == MOST_ATTEMPTS || wait > self.patience.longest_wait {
                return Err(error);
            }
            tracing::debug!("asking again in {wait:?}: {error}");
            (self.patience.sleep)(wait);
            pause *= 2;
            attempt += 1;
        }
    }

    /// Makes a call whose answer is JSON.
    pub(super) fn ask<T: DeserializeOwned>(
        &self,
        call: &Call<'_>,
        what: &'static str,
    ) -> Result<T, GitHubError> {
        let answer = self.call(call)?;
        if answer.status == 404 {
            return Err(self.not_found());
        }
        serde_json::from_slice(&answer.body).map_err(|source| GitHubError::NotUnderstood {
            host: self.host.clone(),
            what,
            source,
        })
    }

    fn not_found(&self) -> GitHubError {
        GitHubError::NotFound {
            repository: self.address.repository.to_string(),
            asker: if self.address.token.is_some() {
                "this token"
            } else {
                "those who have no token (GITHUB_TOKEN)"
            },
        }
    }

    /// Waits until a second has passed since the last change.
    fn keep_pace(&self) {
        let mut last = self
            .last_change
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = *last {
            let left = PACE.saturating_sub(last.elapsed());
            if !left.is_zero() {
                (self.patience.sleep)(left);
            }
        }
        *last = Some(Instant::now());
    }

    /// Makes a call once. With an error comes how long to wait before the next, if GitHub said that there were too many.
    fn try_call(&self, call: &Call<'_>) -> Result<Answer, (GitHubError, Option<Duration>)> {
        let unreachable = |error: ureq::Error| {
            let source = match error {
                ureq::Error::Io(source) => source,
                other => io::Error::other(other),
            };
            let host = self.host.clone();
            (GitHubError::Unreachable { host, source }, None)
        };
        let request = self.request(call).map_err(|error| (error, None))?;
        let response = self.agent.run(request).map_err(unreachable)?;
        let (parts, body) = response.into_parts();
        let body = body
            .into_with_config()
            .limit(LONGEST_ANSWER)
            .read_to_vec()
            .map_err(unreachable)?;
        let status = parts.status.as_u16();
        if matches!(status, 200..=299 | 404) {
            return Ok(Answer { status, body });
        }
        let header = |name: &str| {
            parts
                .headers
                .get(name)
                .and_then(|value| value.to_str().ok())
        };
        let message = message(&body);
        let limit = limit_of(status, &header, &message);
        if let Some(limit) = limit {
            let wait = limit.wait(now_seconds());
            return Err((GitHubError::RateLimited { wait: Some(wait) }, Some(wait)));
        }
        let error = match status {
            401 => GitHubError::Unauthorized { message },
            403 => GitHubError::Denied {
                attempt: call.attempt,
                needs: call.needs,
                message,
            },
            _ => GitHubError::Trouble {
                host: self.host.clone(),
                status,
                message,
            },
        };
        Err((error, None))
    }

    fn request(&self, call: &Call<'_>) -> Result<Request<Vec<u8>>, GitHubError> {
        let mut request = Request::builder()
            .method(call.method.clone())
            .uri(&call.url)
            .header(header::ACCEPT, "application/vnd.github+json")
            .header("X-GitHub-Api-Version", API_VERSION);
        if let Some(token) = &self.address.token {
            let value = format!("Bearer {}", token.expose_secret());
            let mut value = HeaderValue::try_from(value).map_err(|_| GitHubError::BadToken)?;
            value.set_sensitive(true);
            request = request.header(header::AUTHORIZATION, value);
        }
        let body = call.body.map(<[u8]>::to_vec).unwrap_or_default();
        request.body(body).map_err(|_| GitHubError::BadAddress {
            address: self.address.rest.clone(),
        })
    }
}

impl fmt::Debug for GitHub {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter
            .debug_struct("GitHub")
            .field("address", &self.address)
            .finish_non_exhaustive()
    }
}

fn agent(
    environment: &Environment,
    is_secure: bool,
    patience: &Patience,
) -> Result<Agent, GitHubError> {
    let proxies = Proxies::read(environment)?;
    let config = Agent::config_builder()
        .http_status_as_error(false)
        // A redirect leads to another repository or host: neither was asked for.
        .max_redirects(0)
        .max_redirects_will_error(false)
        .user_agent(concat!("hotcrate/", env!("CARGO_PKG_VERSION")))
        .timeout_resolve(Some(patience.connect))
        .timeout_connect(Some(patience.connect))
        .timeout_global(Some(patience.call));
    let config = if is_secure {
        let provider = rustls::crypto::ring::default_provider();
        let tls = TlsConfig::builder()
            .root_certs(network::root_certificates(environment))
            .unversioned_rustls_crypto_provider(provider.into());
        config.proxy(proxies.secure).tls_config(tls.build())
    } else {
        config.proxy(proxies.plain)
    };
    Ok(Agent::new_with_config(config.build()))
}

/// Whether an error may be gone when the request is made again.
fn passes(error: &GitHubError) -> bool {
    match error {
        GitHubError::Unreachable { .. } => true,
        GitHubError::Trouble { status, .. } => *status >= 500 || *status == 408,
        _ => false,
    }
}

/// What GitHub says of too many requests.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum RequestLimit {
    /// Come back after so many seconds.
    After(u64),
    /// Come back at this time, in seconds since 1970.
    At(u64),
    /// Come back later.
    Untold,
}

impl RequestLimit {
    /// How long to wait, at `now` in seconds since 1970.
    fn wait(self, now: u64) -> Duration {
        match self {
            Self::After(seconds) => Duration::from_secs(seconds),
            Self::At(time) => Duration::from_secs(time.saturating_sub(now).max(1)),
            Self::Untold => UNTOLD_WAIT,
        }
    }
}

/// Whether an answer is about too many requests; a 403 is more often about permissions.
fn limit_of<'a>(
    status: u16,
    header: &impl Fn(&str) -> Option<&'a str>,
    message: &str,
) -> Option<RequestLimit> {
    let number = |name| header(name).and_then(|value| value.trim().parse().ok());
    if !matches!(status, 403 | 429) {
        return None;
    }
    if let Some(seconds) = number("retry-after") {
        return Some(RequestLimit::After(seconds));
    }
    if number("x-ratelimit-remaining") == Some(0) {
        let reset = number("x-ratelimit-reset");
        return Some(reset.map_or(RequestLimit::Untold, RequestLimit::At));
    }
    let is_secondary = message.to_ascii_lowercase().contains("rate limit");
    (status == 429 || is_secondary).then_some(RequestLimit::Untold)
}

fn now_seconds() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_or(0, |since| since.as_secs())
}

/// What GitHub says in an answer that is an error: on one line, and no more than anybody reads.
pub(super) fn message(body: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Error {
        message: String,
    }
    let text = match serde_json::from_slice::<Error>(body) {
        Ok(error) => error.message,
        Err(_) => "it does not say why".to_owned(),
    };
    text.chars()
        .map(|character| {
            if character.is_control() {
                ' '
            } else {
                character
            }
        })
        .take(LONGEST_MESSAGE)
        .collect()
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case::retry_after(429, &[("retry-after", "7")], "", Some(RequestLimit::After(7)))]
    #[case::secondary(403, &[("retry-after", "60")], "You have exceeded a secondary rate limit", Some(RequestLimit::After(60)))]
    #[case::secondary_untold(403, &[], "You have exceeded a secondary rate limit.", Some(RequestLimit::Untold))]
    #[case::primary(403, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1000")], "API rate limit exceeded", Some(RequestLimit::At(1000)))]
    #[case::untold(429, &[], "", Some(RequestLimit::Untold))]
    #[case::permission(403, &[("x-ratelimit-remaining", "4999")], "Resource not accessible by integration", None)]
    #[case::other(500, &[("retry-after", "7")], "", None)]
    fn too_many_requests_are_told_from_missing_permissions(
        #[case] status: u16,
        #[case] headers: &[(&str, &str)],
        #[case] message: &str,
        #[case] expected: Option<RequestLimit>,
    ) {
        let header = |name: &str| {
            headers
                .iter()
                .find(|(found, _)| *found == name)
                .map(|(_, value)| *value)
        };
        assert_eq!(limit_of(status, &header, message), expected);
    }

    #[test]
    fn a_time_that_has_passed_is_waited_for_a_moment() {
        assert_eq!(RequestLimit::At(1000).wait(990), Duration::from_secs(10));
        assert_eq!(RequestLimit::At(1000).wait(2000), Duration::from_secs(1));
        assert_eq!(RequestLimit::Untold.wait(0), UNTOLD_WAIT);
    }

    #[test]
    fn what_github_says_is_one_short_line() {
        let long = format!(r#"{{"message": "a\nb{}"}}"#, "x".repeat(1000));
        let told = message(long.as_bytes());
        assert!(
            told.starts_with("a b") && told.len() == LONGEST_MESSAGE,
            "{told}"
        );
        assert_eq!(message(b"<html>"), "it does not say why");
    }

    #[rstest]
    #[case("")]
    #[case("api.github.com")]
    #[case("ftp://api.github.com")]
    fn an_address_that_is_none_is_named_with_what_is_accepted(#[case] url: &str) {
        let repository = "octo/crab".parse().expect("it is a name");
        let environment = Environment::default();
        let mut address = GitHubAddress::read(repository, &environment);
        url.clone_into(&mut address.rest);
        let error = GitHub::new(address, &environment, Patience::default()).expect_err("no URL");
        assert!(
            error.to_string().contains("GITHUB_API_URL takes https://"),
            "{error}"
        );
    }
}
