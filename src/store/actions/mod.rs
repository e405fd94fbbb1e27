//! The cache service of GitHub Actions as the store, in the two versions that there are of it.
//!
//! ```text
//!   service   which service there is: addresses, token, version      v2  three calls, bytes in a blob
//!   http      requests and their limits ◀── connect, resolve        v1  GitHub Enterprise Server, act, Forgejo, Gitea
//!   download  an entry in ranges, side by side                       blob  the storage behind version 2
//!   upload    an entry in parts, while it is being compressed
//! ```
//!
//! Scopes are the service's own: a run reads its branch's entries, then those of the branches that it may read, and
//! writes to its branch. Entries can't be deleted here.
//!
//! Invariants: the token goes to the service and nowhere else; neither it nor a signed URL is ever printed; a key is
//! reserved once, when the first part of its entry is there; every wait has a limit. Once the service has failed in a
//! way that would meet every request, no further one of that direction (reading, writing) is made: one warning is
//! enough, and a job must not wait for it again.

mod blob;
mod connect;
mod download;
mod error;
mod http;
mod resolve;
mod secret;
mod service;
mod upload;
mod v1;
mod v2;

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

pub use error::ActionsError;
pub use http::Limits;
pub use service::{ServiceAddress, Version};

use self::{
    http::Http,
    secret::SignedUrl,
    service::{Hit, Service},
};
use super::{Found, Lookup, Reservation, Store, StoreError, name::check_key};
use crate::{
    deadline::Deadline, environment::Environment, policy::CacheMode, stream::RangedSource,
};

/// Which service, and how to use it.
#[derive(Clone, Debug)]
pub struct ActionsOptions {
    /// The service.
    pub service: ServiceAddress,
    /// What tells entries of other formats apart: 64 hexadecimal digits. Only entries of the same are found.
    pub version: String,
    /// What the workflow permits.
    pub cache_mode: CacheMode,
    /// How long to wait for what.
    pub limits: Limits,
    /// Called with everything that a log has to hide.
    pub mask: fn(&str),
}

impl ActionsOptions {
    /// The usual limits, nothing forbidden, and nobody to tell secrets to.
    pub fn new(service: ServiceAddress, version: String) -> Self {
        Self {
            service,
            version,
            cache_mode: CacheMode::Unrestricted,
            limits: Limits::default(),
            mask: |_| {},
        }
    }
}

/// A cache service.
pub struct ActionsStore {
    description: String,
    cache_mode: CacheMode,
    shared: Arc<Shared>,
}

/// What a store shares with the transfers that it began.
struct Shared {
    http: Http,
    service: Box<dyn Service>,
    /// Where entries that were found can be had, by their keys.
    addresses: Mutex<HashMap<String, SignedUrl>>,
    reading_is_over: AtomicBool,
    writing_is_over: AtomicBool,
}

impl ActionsStore {
    /// Gets ready to use the service. Asks it nothing yet.
    ///
    /// `environment` names proxies and certificates. Fails if a proxy can't be used.
    pub fn open(options: ActionsOptions, environment: &Environment) -> Result<Self, StoreError> {
        let ActionsOptions {
            service,
            version,
            cache_mode,
            limits,
            mask,
        } = options;
        let ServiceAddress {
            version: interface,
            base,
            host,
            token,
        } = service;
        let http = Http::new(environment, limits)?;
        let service: Box<dyn Service> = match (interface, token) {
            (Version::V2, Some(token)) => Box::new(v2::V2 {
                base,
                token,
                version,
                mask,
            }),
            (_, token) => Box::new(v1::V1 {
                base,
                token,
                version,
                mask,
            }),
        };
        let number = match interface {
            Version::V1 => 1,
            Version::V2 => 2,
        };
        Ok(Self {
            description: format!("Actions cache service at {host} (version {number})"),
            cache_mode,
            shared: Arc::new(Shared {
                http,
                service,
                addresses: Mutex::default(),
                reading_is_over: AtomicBool::new(false),
                writing_is_over: AtomicBool::new(false),
            }),
        })
    }
}

impl Store for ActionsStore {
    fn describe(&self) -> String {
        self.description.clone()
    }

    fn look_up(
        &self,
        key: &str,
        restore_keys: &[String],
        deadline: Deadline,
    ) -> Result<Option<Found>, StoreError> {
        self.check_before(key, restore_keys, deadline)?;
        self.ask(&keys(key, restore_keys))
    }

    /// One request asks for both: every one costs a tenth of a second and more. But the service prefers the run's own branch, so
    /// what it names may hide an entry of the default branch that will do; only then is it asked again.
    fn look_up_or_nearest(
        &self,
        key: &str,
        restore_keys: &[String],
        nearest: &str,
        deadline: Deadline,
    ) -> Result<Lookup, StoreError> {
        self.check_before(key, restore_keys, deadline)?;
        check_key(nearest)?;
        let keys = keys(key, restore_keys);
        let will_do = |found: &Found| keys.iter().any(|key| found.key.starts_with(key));
        let widened: Vec<_> = keys.iter().copied().chain([nearest]).collect();
        Ok(match self.ask(&widened)? {
            None => Lookup::Nothing { nearest: None },
            Some(found) if will_do(&found) => Lookup::Found(found),
            nearest => match self.ask(&keys)? {
                Some(found) => Lookup::Found(found),
                None => Lookup::Nothing { nearest },
            },
        })
    }

    fn is_given_up(&self) -> bool {
        self.shared.reading_is_over.load(Ordering::Relaxed)
    }

    fn open(&self, found: &Found, deadline: Deadline) -> Result<Box<dyn RangedSource>, StoreError> {
        check_key(&found.key)?;
        self.shared.http.begin(deadline);
        let known = self.shared.lock_addresses().remove(&found.key);
        let address = if let Some(address) = known {
            address
        } else {
            let hit = self.shared.look_up_exactly(&found.key)?;
            let gone = || StoreError::Gone {
                key: found.key.clone(),
            };
            hit.ok_or_else(gone)?.address
        };
        let entry = download::Entry::open(Arc::clone(&self.shared), &found.key, address)?;
        Ok(Box::new(entry))
    }

    fn discard(&self, _found: &Found) -> Result<bool, StoreError> {
        // The service deletes nothing for a job's token. What is not used goes after a week.
        Ok(false)
    }

    fn begin(&self, key: &str, deadline: Deadline) -> Result<Reservation, StoreError> {
        check_key(key)?;
        self.shared.http.begin(deadline);
        self.check_mode(self.cache_mode.may_write(), "writing")?;
        if self.shared.writing_is_over.load(Ordering::Relaxed) {
            return Err(given_up());
        }
        let upload = upload::EntryUpload::new(Arc::clone(&self.shared), key);
        Ok(Reservation::Granted(Box::new(upload)))
    }
}

/// What is asked for first, and what then.
fn keys<'a>(key: &'a str, restore_keys: &'a [String]) -> Vec<&'a str> {
    std::iter::once(key)
        .chain(restore_keys.iter().map(String::as_str))
        .collect()
}

impl ActionsStore {
    /// What holds for every lookup, before anybody is asked.
    fn check_before(
        &self,
        key: &str,
        restore_keys: &[String],
        deadline: Deadline,
    ) -> Result<(), StoreError> {
        check_key(key)?;
        restore_keys.iter().try_for_each(|key| check_key(key))?;
        self.shared.http.begin(deadline);
        self.check_mode(self.cache_mode.may_read(), "reading")
    }

    /// Asks for the first of `keys`, or else the closest of the others, and remembers where it can be had.
    fn ask(&self, keys: &[&str]) -> Result<Option<Found>, StoreError> {
        let hit = self.shared.look_up(keys)?;
        Ok(hit.map(|hit| {
            let found = Found {
                key: hit.key,
                scope: hit.scope,
            };
            self.shared
                .lock_addresses()
                .insert(found.key.clone(), hit.address);
            found
        }))
    }

    fn check_mode(&self, is_permitted: bool, what: &str) -> Result<(), StoreError> {
        if is_permitted {
            return Ok(());
        }
        let mode = self.cache_mode.as_str();
        Err(StoreError::Off {
            reason: format!("the workflow's `cache-mode: {mode}` forbids {what}"),
        })
    }
}

impl Shared {
    /// What the service finds for `keys`, if it is what was asked for.
    fn look_up(&self, keys: &[&str]) -> Result<Option<Hit>, StoreError> {
        if self.reading_is_over.load(Ordering::Relaxed) {
            return Err(given_up());
        }
        let hit = self
            .service
            .look_up(&self.http, keys)
            .map_err(|error| self.failed_to_read(error))?;
        // Some servers compare keys in their own way.
        let is_asked_for = |hit: &Hit| {
            check_key(&hit.key).is_ok() && keys.iter().any(|key| hit.key.starts_with(key))
        };
        Ok(hit.filter(is_asked_for))
    }

    /// What the service finds under `key` itself.
    fn look_up_exactly(&self, key: &str) -> Result<Option<Hit>, StoreError> {
        Ok(self.look_up(&[key])?.filter(|hit| hit.key == key))
    }

    /// Words a failure, and remembers one that every further read would meet.
    fn failed_to_read(&self, error: ActionsError) -> StoreError {
        if error.is_lasting() {
            self.reading_is_over.store(true, Ordering::Relaxed);
        }
        worded(error)
    }

    /// Words a failure, and remembers one that every further write would meet.
    fn failed_to_write(&self, error: ActionsError) -> StoreError {
        if error.is_lasting() {
            self.writing_is_over.store(true, Ordering::Relaxed);
        }
        worded(error)
    }

    fn lock_addresses(&self) -> std::sync::MutexGuard<'_, HashMap<String, SignedUrl>> {
        self.addresses
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// A deadline is the same for every store.
fn worded(error: ActionsError) -> StoreError {
    match error {
        ActionsError::TimeUp(time_up) => time_up.into(),
        error => error.into(),
    }
}

fn given_up() -> StoreError {
    StoreError::Off {
        reason: "the cache service was given up, as the warning says".to_owned(),
    }
}
