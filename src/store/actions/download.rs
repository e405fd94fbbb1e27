//! Reading an entry in ranges, from several threads at once.
//!
//! Invariants: what is handed out is exactly the range that was asked for, of an entry whose size never changed; a
//! transfer that breaks goes on where it broke; a URL whose time is over is replaced once for all threads.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use ureq::http::{HeaderMap, Request, header};

use super::{
    Shared,
    blob::code_of,
    error::ActionsError,
    http::{Answer, Purpose},
    secret::SignedUrl,
    service::persist,
};
use crate::{
    store::StoreError,
    stream::{FIRST_RANGE, RangedSource, StreamError, check_range},
};

/// How often a range is asked for that comes to nothing.
const ATTEMPTS: u32 = 5;
/// How often a URL is replaced: each is good for minutes, and no restore may last for an hour.
const MOST_ADDRESSES: u32 = 8;

/// An entry of the service.
pub(super) struct Entry {
    shared: Arc<Shared>,
    key: String,
    total: u64,
    address: Mutex<Address>,
    /// The first range, which came with the size. Handed out once.
    head: Mutex<Vec<u8>>,
}

/// Where the entry can be had, and the how-manieth address that is.
struct Address {
    url: SignedUrl,
    number: u32,
}

/// Why a range did not come.
enum Failure {
    /// The address is good no more.
    Expired {
        code: String,
        number: u32,
    },
    Gone,
    Other(ActionsError),
}

impl From<ActionsError> for Failure {
    fn from(error: ActionsError) -> Self {
        Self::Other(error)
    }
}

impl Entry {
    /// Opens the entry called `key` at `url`: asks for its first range, which tells the size of the whole.
    pub(super) fn open(shared: Arc<Shared>, key: &str, url: SignedUrl) -> Result<Self, StoreError> {
        let mut entry = Self {
            shared,
            key: key.to_owned(),
            total: 0,
            address: Mutex::new(Address { url, number: 0 }),
            head: Mutex::default(),
        };
        let head = entry.with_fresh_addresses(Self::first_range)?;
        entry.total = head.total;
        entry.head = Mutex::new(head.bytes);
        Ok(entry)
    }

    /// Runs `ask`, and again with a new address as long as the storage refuses the old one.
    fn with_fresh_addresses<T>(
        &self,
        mut ask: impl FnMut(&Self) -> Result<T, Failure>,
    ) -> Result<T, StoreError> {
        loop {
            match ask(self) {
                Ok(answer) => return Ok(answer),
                Err(Failure::Expired { code, number }) => self.renew(number, &code)?,
                Err(Failure::Gone) => return Err(self.gone()),
                Err(Failure::Other(error)) => return Err(self.shared.failed_to_read(error)),
            }
        }
    }

    fn gone(&self) -> StoreError {
        StoreError::Gone {
            key: self.key.clone(),
        }
    }

    /// Gets another address, unless another thread has done so since the one called `refused` was taken.
    fn renew(&self, refused: u32, code: &str) -> Result<(), StoreError> {
        let mut address = lock(&self.address);
        if address.number != refused {
            return Ok(());
        }
        if refused >= MOST_ADDRESSES {
            let error = ActionsError::DownloadRefused {
                host: address.url.host().to_owned(),
                code: code.to_owned(),
            };
            return Err(self.shared.failed_to_read(error));
        }
        tracing::debug!("the address of {} is good no more ({code})", self.key);
        let hit = self.shared.look_up_exactly(&self.key)?;
        *address = Address {
            url: hit.ok_or_else(|| self.gone())?.address,
            number: refused + 1,
        };
        Ok(())
    }

    fn address(&self) -> (SignedUrl, u32) {
        let address = lock(&self.address);
        (address.url.clone(), address.number)
    }

    fn first_range(&self) -> Result<Head, Failure> {
        let mut head = Head::default();
        let attempt = || -> Result<Result<(), Failure>, ActionsError> {
            let (url, number) = self.address();
            let wanted = FIRST_RANGE - 1;
            let response = match self.request(&url, &format!("bytes=0-{wanted}"))? {
                Ok(response) => response,
                Err(answer) => return refusal(&answer, number).map(Err),
            };
            let (parts, body) = response.into_parts();
            let no_parts = || ActionsError::NoParts {
                host: url.host().to_owned(),
            };
            let wrong = || ActionsError::WrongPart {
                host: url.host().to_owned(),
            };
            let total = if parts.status == 206 {
                let range = ContentRange::of(&parts.headers).ok_or_else(wrong)?;
                if range.first != 0 || range.last != range.total.min(FIRST_RANGE) - 1 {
                    return Err(wrong());
                }
                range.total
            } else {
                // Who sends the whole instead may do so, where that is not more.
                let length = body.content_length().ok_or_else(no_parts)?;
                if length > FIRST_RANGE {
                    return Err(no_parts());
                }
                length
            };
            let wanted = usize::try_from(total.min(FIRST_RANGE)).map_err(|_| no_parts())?;
            head.total = total;
            head.bytes = vec![0; wanted];
            self.shared
                .http
                .read_into(body, url.host(), &mut head.bytes, &mut 0)?;
            Ok(Ok(()))
        };
        persist(&self.shared.http, ATTEMPTS, attempt)??;
        Ok(head)
    }

    /// Fills `bytes` from `filled` on, and counts that in `filled`: the range begins `offset` bytes into the entry.
    fn rest_of_range(
        &self,
        offset: u64,
        bytes: &mut [u8],
        filled: &mut usize,
    ) -> Result<(), Failure> {
        let attempt = || -> Result<Result<(), Failure>, ActionsError> {
            let (url, number) = self.address();
            let first = offset + *filled as u64;
            let last = offset + bytes.len() as u64 - 1;
            let response = match self.request(&url, &format!("bytes={first}-{last}"))? {
                Ok(response) => response,
                Err(answer) => return refusal(&answer, number).map(Err),
            };
            let (parts, body) = response.into_parts();
            let host = url.host();
            if parts.status != 206 {
                let host = host.to_owned();
                return Err(ActionsError::NoParts { host });
            }
            let expected = ContentRange {
                first,
                last,
                total: self.total,
            };
            if ContentRange::of(&parts.headers) != Some(expected) {
                let host = host.to_owned();
                return Err(ActionsError::WrongPart { host });
            }
            self.shared.http.read_into(body, host, bytes, filled)?;
            Ok(Ok(()))
        };
        persist(&self.shared.http, ATTEMPTS, attempt)?
    }

    /// A response with a body of the entry's, or else the whole answer.
    fn request(
        &self,
        url: &SignedUrl,
        range: &str,
    ) -> Result<Result<ureq::http::Response<ureq::Body>, Answer>, ActionsError> {
        let http = &self.shared.http;
        let request = Request::get(url.expose())
            .header(header::RANGE, range)
            .body(())
            .map_err(|_| ActionsError::NotUnderstood {
                host: url.host().to_owned(),
                what: "the address of the entry is none",
            })?;
        let response = http.start(Purpose::Transfer, request)?;
        if matches!(response.status().as_u16(), 200 | 206) {
            return Ok(Ok(response));
        }
        http.finish(url.host(), Purpose::Transfer, response)
            .map(Err)
    }
}

/// What a refusal means: try another address, or give up.
fn refusal(answer: &Answer, number: u32) -> Result<Failure, ActionsError> {
    match answer.status {
        401 | 403 => Ok(Failure::Expired {
            code: code_of(answer),
            number,
        }),
        404 | 410 => Ok(Failure::Gone),
        _ => Err(answer
            .common_failure()
            .unwrap_or_else(|| ActionsError::DownloadRefused {
                host: answer.host.clone(),
                code: code_of(answer),
            })),
    }
}

#[derive(Default)]
struct Head {
    total: u64,
    bytes: Vec<u8>,
}

impl RangedSource for Entry {
    fn total(&self) -> u64 {
        self.total
    }

    fn read_exact_at(&self, bytes: &mut [u8], offset: u64) -> Result<(), StreamError> {
        check_range(self.total, offset, bytes.len())?;
        if bytes.is_empty() {
            return Ok(());
        }
        if offset == 0 {
            let mut head = lock(&self.head);
            if head.len() == bytes.len() {
                bytes.copy_from_slice(&std::mem::take(&mut *head));
                return Ok(());
            }
        }
        let mut filled = 0;
        self.with_fresh_addresses(|entry| entry.rest_of_range(offset, bytes, &mut filled))?;
        Ok(())
    }
}

/// `Content-Range: bytes first-last/total`, RFC 9110 section 14.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct ContentRange {
    first: u64,
    last: u64,
    total: u64,
}

impl ContentRange {
    fn of(headers: &HeaderMap) -> Option<Self> {
        let value = headers.get(header::CONTENT_RANGE)?.to_str().ok()?;
        let (range, total) = value.trim().strip_prefix("bytes")?.split_once('/')?;
        let (first, last) = range.trim().split_once('-')?;
        let range = Self {
            first: first.parse().ok()?,
            last: last.parse().ok()?,
            total: total.trim().parse().ok()?,
        };
        (range.first <= range.last && range.last < range.total).then_some(range)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use rstest::rstest;

    use super::*;

    #[rstest]
    #[case("bytes 0-7/20", Some((0, 7, 20)))]
    #[case("bytes 8-19/20", Some((8, 19, 20)))]
    #[case("bytes 8-20/20", None)]
    #[case("bytes 9-8/20", None)]
    #[case("bytes */20", None)]
    #[case("bytes 0-7/*", None)]
    #[case("items 0-7/20", None)]
    fn only_a_range_that_makes_sense_is_believed(
        #[case] value: &str,
        #[case] expected: Option<(u64, u64, u64)>,
    ) {
        let headers = HeaderMap::from_iter([(header::CONTENT_RANGE, value.parse().unwrap())]);
        let range = ContentRange::of(&headers);
        assert_eq!(
            range.map(|range| (range.first, range.last, range.total)),
            expected
        );
    }
}
