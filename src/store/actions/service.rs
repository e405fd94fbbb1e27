//! Which cache service there is, and what is asked of each kind.
//!
//! The rules are those of GitHub's own client (`@actions/cache`, its `config.ts`), and one more: a container action is
//! given the address of version 2 without the variable that asks for it.

use ureq::http::Uri;

use super::{error::ActionsError, http::Http, secret::SignedUrl, secret::Token};
use crate::environment::Environment;

/// The two versions of the cache service's interface.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Version {
    /// What GitHub Enterprise Server, act, Forgejo and Gitea speak.
    V1,
    /// What github.com speaks.
    V2,
}

/// A cache service and how to get at it.
#[derive(Clone, Debug)]
pub struct ServiceAddress {
    /// Which interface it has.
    pub version: Version,
    /// Where it is: scheme and host, for version 1 with a path that ends in `/`.
    pub(super) base: String,
    /// The host, which may be shown.
    pub host: String,
    /// Empty for services that ask for none.
    pub(super) token: Option<Token>,
}

impl ServiceAddress {
    /// Finds the service that the runner hands down in `environment`. Fails with what is missing.
    pub fn read(environment: &Environment) -> Result<Self, ActionsError> {
        const RESULTS: &str = "ACTIONS_RESULTS_URL";
        const CACHE: &str = "ACTIONS_CACHE_URL";
        const TOKEN: &str = "ACTIONS_RUNTIME_TOKEN";
        let token = environment.text(TOKEN).map(Token::new);
        let not_handed_down = |variable| ActionsError::NotHandedDown { variable };
        match version(environment) {
            Version::V2 => {
                let url = environment.text(RESULTS).ok_or(not_handed_down(RESULTS))?;
                let (uri, host) =
                    parse(url).ok_or(ActionsError::BadAddress { variable: RESULTS })?;
                Ok(Self {
                    version: Version::V2,
                    base: origin(&uri),
                    host,
                    token: Some(token.ok_or(not_handed_down(TOKEN))?),
                })
            }
            Version::V1 => {
                let (variable, url) = [CACHE, RESULTS]
                    .iter()
                    .find_map(|name| Some((*name, environment.text(name)?)))
                    .ok_or(not_handed_down(CACHE))?;
                let (uri, host) = parse(url).ok_or(ActionsError::BadAddress { variable })?;
                let path = uri.path().trim_end_matches('/');
                Ok(Self {
                    version: Version::V1,
                    base: format!("{}{path}/", origin(&uri)),
                    host,
                    token,
                })
            }
        }
    }
}

fn version(environment: &Environment) -> Version {
    let is_set = |name| environment.text(name).is_some();
    if is_enterprise_server(environment.text("GITHUB_SERVER_URL")) {
        Version::V1
    } else if is_set("ACTIONS_CACHE_SERVICE_V2")
        || (is_set("ACTIONS_RESULTS_URL") && !is_set("ACTIONS_CACHE_URL"))
    {
        Version::V2
    } else {
        Version::V1
    }
}

/// Whether a server is another one than github.com and its tenants, by its address.
fn is_enterprise_server(address: Option<&str>) -> bool {
    let Some(address) = address else {
        return false;
    };
    let host =
        parse(address.trim()).map_or_else(String::new, |(_, host)| host.to_ascii_lowercase());
    host != "github.com" && !host.ends_with(".ghe.com") && !host.ends_with(".localhost")
}

fn parse(address: &str) -> Option<(Uri, String)> {
    let uri: Uri = address.parse().ok()?;
    let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
    let host = uri.host().filter(|_| is_web)?.to_owned();
    Some((uri, host))
}

/// Scheme, host and port. Whoever is named before an `@` is left out: there is a token for that.
fn origin(uri: &Uri) -> String {
    let scheme = uri.scheme_str().unwrap_or("https");
    let host = uri.host().unwrap_or_default();
    match uri.port_u16() {
        Some(port) => format!("{scheme}://{host}:{port}"),
        None => format!("{scheme}://{host}"),
    }
}

/// What a lookup found.
#[derive(Debug)]
pub(super) struct Hit {
    /// The entry's full key.
    pub(super) key: String,
    /// The scope, where the service tells.
    pub(super) scope: String,
    /// Where to get it, for some minutes.
    pub(super) address: SignedUrl,
}

/// A cache service: the part that differs between the versions.
pub(super) trait Service: Send + Sync {
    /// Asks for an entry called like the first of `keys`, or like the closest of the others.
    fn look_up(&self, http: &Http, keys: &[&str]) -> Result<Option<Hit>, ActionsError>;

    /// Reserves a key for an entry, of `size` bytes if that is known. `None`: it is taken.
    ///
    /// Never to be asked twice: if the first question was heard and the answer lost, the key is reserved for nobody.
    fn reserve(
        &self,
        http: &Http,
        key: &str,
        size: Option<u64>,
    ) -> Result<Option<Box<dyn Slot>>, ActionsError>;
}

/// A key that is reserved, with room for the entry's bytes. Parts may come in any order and at the same time.
pub(super) trait Slot: Send + Sync {
    /// Puts a whole entry there.
    fn put_whole(&self, http: &Http, bytes: &[u8]) -> Result<(), ActionsError>;

    /// Puts one of several parts there. Putting the same part again does no harm.
    fn put_part(&self, http: &Http, part: &Part) -> Result<(), ActionsError>;

    /// Makes of `parts` parts, of `size` bytes in all, an entry that can be found. `parts` is 0 for an entry that was put
    /// there as a whole.
    fn finish(&self, http: &Http, parts: u32, size: u64) -> Result<(), ActionsError>;
}

/// A part of an entry.
#[derive(Debug)]
pub(super) struct Part {
    /// Its number, from 0.
    pub(super) number: u32,
    /// Where it starts in the entry, in bytes.
    pub(super) offset: u64,
    pub(super) bytes: Vec<u8>,
}

/// Asks until an answer comes, or trying again is of no use: for requests that do no harm twice.
pub(super) fn persist<T>(
    http: &Http,
    attempts: u32,
    mut ask: impl FnMut() -> Result<T, ActionsError>,
) -> Result<T, ActionsError> {
    use super::error::Retry;

    let mut pause = http.limits().first_pause;
    let mut may_wait = true;
    let mut attempt = 1;
    loop {
        let error = match ask() {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        let wait = match error.retry(http.limits().longest_wait) {
            Retry::Soon if attempt < attempts => {
                // Jobs that were turned away together would come back together.
                let wait = pause.mul_f64(fastrand::f64().mul_add(0.5, 0.75));
                pause *= 2;
                wait
            }
            Retry::Once(wait) if std::mem::take(&mut may_wait) => wait,
            Retry::Soon | Retry::Once(_) | Retry::Never => return Err(error),
        };
        attempt += 1;
        tracing::debug!("{error}; once more in {wait:?}");
        http.sleep(wait)?;
    }
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    fn read(variables: &[(&str, &str)]) -> Result<ServiceAddress, ActionsError> {
        ServiceAddress::read(&variables.iter().copied().collect())
    }

    const TOKEN: (&str, &str) = ("ACTIONS_RUNTIME_TOKEN", "t");
    const RESULTS: (&str, &str) = ("ACTIONS_RESULTS_URL", "https://results.example/some/path");
    const CACHE: (&str, &str) = ("ACTIONS_CACHE_URL", "http://act.local:3456/secret");
    const FLAG: (&str, &str) = ("ACTIONS_CACHE_SERVICE_V2", "false");

    #[rstest]
    #[case::github(&[TOKEN, RESULTS, CACHE, FLAG], Version::V2)]
    #[case::container_action(&[TOKEN, RESULTS], Version::V2)]
    #[case::act(&[RESULTS, CACHE], Version::V1)]
    #[case::data_residency(&[TOKEN, RESULTS, FLAG, ("GITHUB_SERVER_URL", "https://Us.GHE.com")], Version::V2)]
    #[case::github_named(&[TOKEN, RESULTS, FLAG, ("GITHUB_SERVER_URL", "https://github.com")], Version::V2)]
    #[case::enterprise_server(&[TOKEN, RESULTS, CACHE, FLAG, ("GITHUB_SERVER_URL", "https://git.corp")], Version::V1)]
    #[case::localhost(&[TOKEN, CACHE, FLAG, ("GITHUB_SERVER_URL", "http://localhost:3000")], Version::V1)]
    fn the_version_is_chosen_as_githubs_own_client_does(
        #[case] variables: &[(&str, &str)],
        #[case] expected: Version,
    ) {
        assert_eq!(read(variables).unwrap().version, expected);
    }

    #[test]
    fn only_the_origin_of_version_2_counts_and_the_path_of_version_1() {
        assert_eq!(
            read(&[TOKEN, RESULTS, FLAG]).unwrap().base,
            "https://results.example"
        );
        assert_eq!(
            read(&[CACHE]).unwrap().base,
            "http://act.local:3456/secret/"
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        let missing = |variables: &[(&str, &str)]| read(variables).unwrap_err();
        insta::assert_snapshot!(missing(&[]), @"ACTIONS_CACHE_URL is not set: the runner hands it to actions only, and to no `run:` step");
        insta::assert_snapshot!(missing(&[RESULTS]), @"ACTIONS_RUNTIME_TOKEN is not set: the runner hands it to actions only, and to no `run:` step");
        insta::assert_snapshot!(missing(&[TOKEN, FLAG]), @"ACTIONS_RESULTS_URL is not set: the runner hands it to actions only, and to no `run:` step");
        insta::assert_snapshot!(missing(&[("ACTIONS_CACHE_URL", "cache.example")]), @"ACTIONS_CACHE_URL is not the address of a cache service");
    }

    #[test]
    fn a_service_without_a_token_is_one_of_version_1() {
        assert!(read(&[CACHE]).unwrap().token.is_none());
    }
}
