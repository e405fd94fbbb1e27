//! A store that speaks to the cache service of the tests, and what is done with it.

use std::{sync::LazyLock, time::Duration};

use hotcrate::{
    deadline::Deadline,
    environment::Environment,
    store::{
        ActionsOptions, ActionsStore, Found, Limits, Reservation, ServiceAddress, Store as _,
        StoreError,
    },
};

use super::{CacheService, token};

pub(crate) const VERSION: &str = "00000000000000000000000000000000000000000000000000000000000000aa";
pub(crate) const MAIN: &str = "refs/heads/main";

/// Made once: a debug build takes its time for it.
static NOISE: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let mut state = 0x9E37_79B9_7F4A_7C15_u64;
    let mut bytes = Vec::with_capacity(MOST_NOISE);
    while bytes.len() < MOST_NOISE {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes
});
const MOST_NOISE: usize = 32 << 20;

/// Bytes that compress to nothing and repeat nowhere.
pub(crate) fn noise(length: usize) -> Vec<u8> {
    NOISE[..length].to_vec()
}

/// Limits under which a test of trouble ends at once.
pub(crate) fn impatient() -> Limits {
    Limits {
        connect: Duration::from_secs(5),
        call: Duration::from_secs(1),
        stall: Duration::from_secs(1),
        first_pause: Duration::from_millis(1),
        longest_wait: Duration::from_secs(2),
    }
}

pub(crate) fn options(service: &CacheService, version: u32, token: &str) -> ActionsOptions {
    let environment: Environment = service.variables(version, token).into_iter().collect();
    let address = ServiceAddress::read(&environment).unwrap();
    let mut options = ActionsOptions::new(address, VERSION.to_owned());
    options.limits = Limits {
        call: Duration::from_secs(15),
        stall: Duration::from_secs(30),
        ..impatient()
    };
    options
}

pub(crate) fn open(options: ActionsOptions) -> ActionsStore {
    ActionsStore::open(options, &Environment::default()).unwrap()
}

pub(crate) fn store(service: &CacheService, version: u32) -> ActionsStore {
    open(options(service, version, &token(&[(MAIN, 3)])))
}

pub(crate) fn impatient_store(service: &CacheService, version: u32) -> ActionsStore {
    let mut options = options(service, version, &token(&[(MAIN, 3)]));
    options.limits = impatient();
    open(options)
}

/// Saves `pieces` under `key`; whether it became an entry.
pub(crate) fn save(
    store: &ActionsStore,
    key: &str,
    pieces: &[Vec<u8>],
) -> Result<bool, StoreError> {
    let Reservation::Granted(mut upload) = store.begin(key, Deadline::never())? else {
        return Ok(false);
    };
    for piece in pieces {
        if let Err(error) = upload.write_all(piece.clone()) {
            return Err(*error.downcast().unwrap());
        }
    }
    upload.finish()
}

pub(crate) fn restore(store: &ActionsStore, found: &Found) -> Result<Vec<u8>, StoreError> {
    let source = store.open(found, Deadline::never())?;
    let total = source.total();
    let mut bytes = Vec::new();
    let mut offset = 0;
    while offset < total {
        // The first range as an archive asks for it, then others.
        let length = (total - offset).min(if offset == 0 { 8 << 20 } else { 3 << 20 });
        let range = source.read_range(offset, usize::try_from(length).unwrap());
        bytes.extend(range.map_err(|error| *error.downcast::<StoreError>().unwrap())?);
        offset += length;
    }
    Ok(bytes)
}

/// Looks up `key` and reads what is found.
pub(crate) fn fetch(store: &ActionsStore, key: &str) -> Result<Option<Vec<u8>>, StoreError> {
    let found = store.look_up(key, &[], Deadline::never())?;
    found.map(|found| restore(store, &found)).transpose()
}

/// An error with all of its causes.
pub(crate) fn told(error: StoreError) -> String {
    format!("{:#}", anyhow::Error::from(error))
}
