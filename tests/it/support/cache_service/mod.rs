//! A cache service of GitHub Actions that behaves like the real one as far as is known, and fails on request.
//!
//! It speaks version 2 (Twirp and blobs behind signed URLs) and version 1, keeps scopes apart by the token's claim `ac`,
//! never changes an entry, and notes every request. The service and the storage are two addresses, as they are two hosts
//! in the real world: a token that reaches the storage is refused, and shows in the notes.

mod blobs;
mod faults;
mod http;
mod token;
mod v1;
mod v2;

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use self::{
    blobs::{Blob, Grant},
    faults::Injection,
    http::{Request, Response, Server},
};
pub(crate) use self::{faults::Fault, token::token};

/// What a request is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Op {
    LookUp,
    Reserve,
    /// Bytes on their way in.
    Upload,
    /// The list of blocks.
    List,
    /// Makes an entry visible.
    Commit,
    Download,
}

/// The two hosts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Host {
    Service,
    Storage,
}

/// A request that was made.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    pub(crate) host: Host,
    pub(crate) op: Option<Op>,
    pub(crate) method: String,
    pub(crate) target: String,
    pub(crate) headers: Vec<(String, String)>,
    /// Of requests to the service; the storage's would fill the memory.
    pub(crate) body: Vec<u8>,
    pub(crate) status: Option<u16>,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let header = self.headers.iter().find(|(known, _)| known == name)?;
        Some(&header.1)
    }
}

/// An entry, reserved or stored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stored {
    pub(crate) id: u64,
    pub(crate) scope: String,
    pub(crate) key: String,
    pub(crate) version: String,
    /// `None` as long as it is reserved only.
    pub(crate) size: Option<u64>,
    /// When it was reserved.
    pub(crate) since: jiff::Timestamp,
}

/// The entries of a service, for whoever else knows of them: GitHub's API.
#[derive(Clone)]
pub(crate) struct Entries(Arc<State>);

impl Entries {
    /// Those that are stored.
    pub(crate) fn stored(&self) -> Vec<Stored> {
        let mut entries = self.0.lock().entries.clone();
        entries.retain(|entry| entry.size.is_some());
        entries
    }

    /// Deletes an entry, if there is one of that number.
    pub(crate) fn delete(&self, id: u64) -> bool {
        let mut inner = self.0.lock();
        let before = inner.entries.len();
        inner.entries.retain(|entry| entry.id != id);
        inner.entries.len() < before
    }
}

#[derive(Default)]
struct Inner {
    entries: Vec<Stored>,
    blobs: HashMap<u64, Blob>,
    grants: HashMap<String, Grant>,
    next_id: u64,
    injections: Vec<Injection>,
    seen: Vec<Seen>,
    /// How many requests a signed URL is good for.
    uses_of_a_url: Option<u32>,
    storage: String,
    foreign_url: Option<ForeignUrl>,
}

type ForeignUrl = Box<dyn Fn(u64, bool) -> String + Send>;

/// What all connections share.
#[derive(Default)]
pub(crate) struct State(Mutex<Inner>);

impl State {
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A running service. Stops when dropped.
pub(crate) struct CacheService {
    state: Arc<State>,
    service: Server,
    storage: Server,
}

impl CacheService {
    /// Starts a service at ports that are free.
    pub(crate) fn start() -> Self {
        Self::start_at(SocketAddr::from(([127, 0, 0, 1], 0)))
    }

    /// Starts a service at `address`, with its storage at a port that is free.
    pub(crate) fn start_at(address: SocketAddr) -> Self {
        let state = Arc::new(State::default());
        let at = |host, address| {
            let state = Arc::clone(&state);
            Server::start(address, move |request| answer(&state, host, request))
        };
        let storage = at(Host::Storage, SocketAddr::new(address.ip(), 0));
        let service = at(Host::Service, address);
        state.lock().storage = format!("http://{}", storage.address());
        Self {
            state,
            service,
            storage,
        }
    }

    /// The variables that a runner of this service sets for an action, in version 1 or 2.
    pub(crate) fn variables(&self, version: u32, token: &str) -> Vec<(&'static str, String)> {
        let base = format!("http://{}", self.service.address());
        let mut variables = vec![("ACTIONS_RUNTIME_TOKEN", token.to_owned())];
        variables.extend(match version {
            2 => [
                ("ACTIONS_CACHE_SERVICE_V2", "True".to_owned()),
                ("ACTIONS_RESULTS_URL", format!("{base}/")),
            ],
            _ => [
                ("ACTIONS_CACHE_URL", format!("{base}/secret/")),
                ("GITHUB_SERVER_URL", "https://git.example".to_owned()),
            ],
        });
        variables
    }

    /// Has the next `times` requests about `op` fail, after `skip` that don't.
    pub(crate) fn fail(&self, op: Op, skip: u32, times: u32, fault: Fault) {
        self.state.lock().injections.push(Injection {
            op,
            skip,
            times,
            fault,
        });
    }

    /// No further request fails.
    #[cfg(target_os = "linux")]
    pub(crate) fn mend(&self) {
        self.state.lock().injections.clear();
    }

    /// Signed URLs that are handed out from now on are good for so many requests.
    pub(crate) fn let_urls_expire_after(&self, uses: u32) {
        self.state.lock().uses_of_a_url = Some(uses);
    }

    /// Bytes are kept elsewhere from now on, where `url` says: of a blob's number, and whether it is to be written.
    pub(crate) fn keep_bytes_at(&self, url: impl Fn(u64, bool) -> String + Send + 'static) {
        self.state.lock().foreign_url = Some(Box::new(url));
    }

    /// Removes the bytes of all entries, as if they had been evicted since they were found.
    pub(crate) fn lose_bytes(&self) {
        self.state.lock().blobs.clear();
    }

    /// Changes a byte in the middle of every entry.
    #[cfg(target_os = "linux")]
    pub(crate) fn damage_bytes(&self) {
        for blob in self.state.lock().blobs.values_mut() {
            blob.damage();
        }
    }

    /// Every connection is cut, and no other comes about.
    pub(crate) fn die(&self) {
        self.service.stop();
        self.storage.stop();
    }

    /// All requests so far.
    pub(crate) fn seen(&self) -> Vec<Seen> {
        self.state.lock().seen.clone()
    }

    /// How many requests there were about `op`.
    pub(crate) fn count(&self, op: Op) -> usize {
        let is_about = |seen: &&Seen| seen.op == Some(op);
        self.state.lock().seen.iter().filter(is_about).count()
    }

    /// The entries, for GitHub's API.
    pub(crate) fn shared(&self) -> Entries {
        Entries(Arc::clone(&self.state))
    }

    /// All entries, also those that are reserved only.
    pub(crate) fn entries(&self) -> Vec<Stored> {
        self.state.lock().entries.clone()
    }

    /// The bytes of the entry called `key`.
    pub(crate) fn bytes_of(&self, key: &str) -> Option<Vec<u8>> {
        let inner = self.state.lock();
        let entry = inner.entries.iter().find(|entry| entry.key == key)?;
        Some(inner.blobs.get(&entry.id)?.content()?.to_vec())
    }
}

impl Drop for CacheService {
    fn drop(&mut self) {
        self.die();
    }
}

/// Answers a request, or makes it fail if it is its turn to.
fn answer(state: &State, host: Host, request: &Request) -> Response {
    let op = op_of(host, request);
    let number = {
        let mut inner = state.lock();
        inner.seen.push(Seen {
            host,
            op,
            method: request.method.clone(),
            target: request.target.clone(),
            headers: request.headers.clone(),
            body: match host {
                Host::Service if op != Some(Op::Upload) => request.body.clone(),
                _ => Vec::new(),
            },
            status: None,
        });
        inner.seen.len() - 1
    };
    let fault = op.and_then(|op| faults::next(&mut state.lock().injections, op));
    let response = match fault {
        Some(fault) => fault.apply(|| dispatch(state, host, request)),
        None => dispatch(state, host, request),
    };
    state.lock().seen[number].status = Some(response.status);
    response
}

fn dispatch(state: &State, host: Host, request: &Request) -> Response {
    let mut inner = state.lock();
    match host {
        Host::Storage => blobs::answer(&mut inner, request),
        Host::Service if v1::is_for(request) => v1::answer(&mut inner, request),
        Host::Service => v2::answer(&mut inner, request),
    }
}

fn op_of(host: Host, request: &Request) -> Option<Op> {
    match host {
        Host::Storage => blobs::op_of(request),
        Host::Service if v1::is_for(request) => v1::op_of(request),
        Host::Service => v2::op_of(request),
    }
}

impl Inner {
    /// Reserves a key. `None`: there is an entry of it, or a reservation.
    fn reserve(&mut self, scope: &str, key: &str, version: &str) -> Option<u64> {
        let is_same =
            |entry: &Stored| entry.scope == scope && entry.key == key && entry.version == version;
        if self.entries.iter().any(is_same) {
            return None;
        }
        self.next_id += 1;
        self.entries.push(Stored {
            id: self.next_id,
            scope: scope.to_owned(),
            key: key.to_owned(),
            version: version.to_owned(),
            size: None,
            since: jiff::Timestamp::now(),
        });
        Some(self.next_id)
    }

    /// Finds an entry. Scope by scope: the first key exactly, then each key as a prefix, the newest first.
    fn look_up(&self, scopes: &[String], keys: &[String], version: &str) -> Option<Stored> {
        let mut found = scopes.iter().filter_map(|scope| {
            let stored = || {
                let newest_first = self.entries.iter().rev();
                newest_first.filter(|entry| {
                    entry.scope == *scope && entry.version == version && entry.size.is_some()
                })
            };
            let exact = keys
                .first()
                .and_then(|key| stored().find(|entry| entry.key == *key));
            exact.or_else(|| {
                keys.iter()
                    .find_map(|key| stored().find(|entry| entry.key.starts_with(key)))
            })
        });
        found.next().cloned()
    }

    /// Makes a reserved entry visible, if there are so many bytes of it.
    fn commit(&mut self, id: u64, size: u64) -> bool {
        let content = self.blobs.get(&id).and_then(Blob::content);
        let has_size = content.is_some_and(|content| content.len() as u64 == size)
            || self.foreign_url.is_some();
        let entry = self.entries.iter_mut().find(|entry| entry.id == id);
        match entry.filter(|_| has_size && size > 0) {
            Some(entry) => {
                entry.size = Some(size);
                true
            }
            None => false,
        }
    }
}
