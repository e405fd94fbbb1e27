//! Looking up the addresses of hosts, once for many requests.
//!
//! ureq looks up the host of every request, and starts a thread for that, even if the request goes over a connection that is open
//! already: here once for each of the ranges of a restore and for each of the blocks of a save.
//!
//! Invariant: no address is handed out that was looked up longer ago than [`GOOD_FOR`], and what could not be looked up is looked up
//! again.

use std::{
    collections::HashMap,
    fmt,
    sync::{Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use ureq::{
    config::Config,
    http::Uri,
    unversioned::{
        resolver::{DefaultResolver, ResolvedSocketAddrs, Resolver},
        transport::NextTimeout,
    },
};

/// How long an address is taken for a host's own. Longer than the wait between two ranges, and too short for a host that moves
/// to be missed for the rest of a job.
const GOOD_FOR: Duration = Duration::from_secs(10);

/// Looks up hosts by `inner`, and remembers what it says.
pub(super) struct RememberingResolver<R = DefaultResolver> {
    inner: R,
    known: Mutex<HashMap<String, Known>>,
}

/// When a host's addresses were looked up, and what they are.
type Known = (Instant, ResolvedSocketAddrs);

impl<R> RememberingResolver<R> {
    pub(super) fn new(inner: R) -> Self {
        Self {
            inner,
            known: Mutex::default(),
        }
    }

    fn known(&self) -> MutexGuard<'_, HashMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of `host` at the time `now`.
    fn recall(&self, host: &str, now: Instant) -> Option<ResolvedSocketAddrs> {
        let known = self.known();
        let (since, addresses) = known.get(host)?;
        (now.duration_since(*since) < GOOD_FOR).then(|| addresses.clone())
    }
}

impl<R: Resolver> Resolver for RememberingResolver<R> {
    fn resolve(
        &self,
        uri: &Uri,
        config: &Config,
        timeout: NextTimeout,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        // The scheme may tell the port.
        let host = format!("{:?} {:?}", uri.scheme(), uri.authority());
        let now = Instant::now();
        if let Some(addresses) = self.recall(&host, now) {
            return Ok(addresses);
        }
        let addresses = self.inner.resolve(uri, config, timeout)?;
        self.known().insert(host, (now, addresses.clone()));
        Ok(addresses)
    }
}

impl<R> fmt::Debug for RememberingResolver<R> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("RememberingResolver").finish()
    }
}

#[cfg(test)]
mod tests {
    use ureq::{Timeout, unversioned::transport::time};

    use super::*;

    /// Counts what it is asked, and knows every host but one.
    #[derive(Debug, Default)]
    struct Counting(Mutex<Vec<String>>);

    impl Resolver for Counting {
        fn resolve(
            &self,
            uri: &Uri,
            _config: &Config,
            _timeout: NextTimeout,
        ) -> Result<ResolvedSocketAddrs, ureq::Error> {
            self.0.lock().unwrap().push(uri.to_string());
            if uri.host() == Some("unknown.example") {
                return Err(ureq::Error::HostNotFound);
            }
            let mut addresses = self.empty();
            addresses.push(([10, 0, 0, 1], uri.port_u16().unwrap_or(443)).into());
            Ok(addresses)
        }
    }

    fn resolve(
        resolver: &RememberingResolver<Counting>,
        uri: &'static str,
    ) -> Result<ResolvedSocketAddrs, ureq::Error> {
        let timeout = NextTimeout {
            after: time::Duration::NotHappening,
            reason: Timeout::Resolve,
            per_read: None,
            per_write: None,
        };
        resolver.resolve(&Uri::from_static(uri), &Config::default(), timeout)
    }

    #[test]
    fn a_host_is_looked_up_once_for_many_requests() {
        let resolver = RememberingResolver::new(Counting::default());
        let first = resolve(&resolver, "https://blobs.example/a").unwrap();
        let second = resolve(&resolver, "https://blobs.example/b?c").unwrap();
        assert_eq!(first[..], second[..]);
        resolve(&resolver, "https://blobs.example:8443/a").unwrap();
        resolve(&resolver, "http://blobs.example/a").unwrap();
        let asked = resolver.inner.0.lock().unwrap();
        assert_eq!(
            *asked,
            [
                "https://blobs.example/a",
                "https://blobs.example:8443/a",
                "http://blobs.example/a"
            ]
        );
    }

    #[test]
    fn what_was_looked_up_long_ago_is_looked_up_again() {
        let resolver = RememberingResolver::new(Counting::default());
        let uri = "https://blobs.example/a";
        resolve(&resolver, uri).unwrap();
        let host = resolver
            .known
            .lock()
            .unwrap()
            .keys()
            .next()
            .unwrap()
            .clone();
        let since = resolver.known.lock().unwrap()[&host].0;
        assert!(resolver.recall(&host, since).is_some());
        assert!(resolver.recall(&host, since + GOOD_FOR).is_none());
    }

    #[test]
    fn a_host_that_was_not_found_is_looked_up_again() {
        let resolver = RememberingResolver::new(Counting::default());
        for _ in 0..2 {
            assert!(resolve(&resolver, "https://unknown.example/").is_err());
        }
        assert_eq!(resolver.inner.0.lock().unwrap().len(), 2);
    }
}
