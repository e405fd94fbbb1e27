//! Writing an entry: parts go out while the next ones are still being compressed.
//!
//! Invariants: the key is reserved when there is a part to send, and not before; bytes that wait or are under way never
//! exceed [`MOST_UNDER_WAY`], but for a single part that is larger; nothing is committed unless every part arrived.

use std::{
    collections::VecDeque,
    sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use super::{
    Shared,
    error::{ActionsError, Retry},
    service::{Part, Slot},
};
use crate::{
    store::{StoreError, Upload},
    stream::{ByteSink, StreamError},
};

/// A part is sent from this size on, in bytes. Every request costs a quarter of a second on the real service.
const PART_LEAST: usize = 8 << 20;
/// How many bytes may wait or be under way at once.
const MOST_UNDER_WAY: usize = 40 << 20;
/// How many parts are sent at once: one connection does not fill the line.
const SENDERS: usize = 5;

/// An entry that is being written. Dropping it leaves a reservation that the service forgets after a day.
pub(super) struct EntryUpload {
    shared: Arc<Shared>,
    key: String,
    /// Bytes that don't make a part yet.
    pending: Vec<Vec<u8>>,
    pending_bytes: usize,
    /// Since there was a part to send.
    sending: Option<Sending>,
    failed: bool,
}

impl EntryUpload {
    pub(super) fn new(shared: Arc<Shared>, key: &str) -> Self {
        Self {
            shared,
            key: key.to_owned(),
            pending: Vec::new(),
            pending_bytes: 0,
            sending: None,
            failed: false,
        }
    }

    fn append(&mut self, bytes: Vec<u8>) -> Result<(), StoreError> {
        if self.failed {
            return Err(self.incomplete());
        }
        self.pending_bytes += bytes.len();
        self.pending.push(bytes);
        if self.pending_bytes < PART_LEAST {
            return Ok(());
        }
        let sent = self.send_pending();
        self.failed = sent.is_err();
        sent
    }

    fn send_pending(&mut self) -> Result<(), StoreError> {
        let sending = match &mut self.sending {
            Some(sending) => sending,
            none => {
                let slot = reserve(&self.shared, &self.key, None)?;
                none.insert(Sending::new(Arc::clone(&self.shared), slot))
            }
        };
        let bytes = take_all(&mut self.pending);
        self.pending_bytes = 0;
        sending
            .submit(bytes)
            .map_err(|error| self.shared.failed_to_write(error))
    }

    fn finish(mut self) -> Result<(), StoreError> {
        if self.failed || (self.sending.is_none() && self.pending_bytes == 0) {
            return Err(self.incomplete());
        }
        if self.sending.is_none() {
            return self.finish_whole();
        }
        if self.pending_bytes > 0 {
            self.send_pending()?;
        }
        let incomplete = self.incomplete();
        let sending = self.sending.take().ok_or(incomplete)?;
        sending
            .finish()
            .map_err(|error| self.shared.failed_to_write(error))
    }

    /// Everything fits into one request.
    fn finish_whole(mut self) -> Result<(), StoreError> {
        let bytes = take_all(&mut self.pending);
        let size = bytes.len() as u64;
        let slot = reserve(&self.shared, &self.key, Some(size))?;
        slot.put_whole(&self.shared.http, &bytes)
            .and_then(|()| slot.finish(&self.shared.http, 0, size))
            .map_err(|error| self.shared.failed_to_write(error))
    }

    fn incomplete(&self) -> StoreError {
        StoreError::Incomplete {
            key: self.key.clone(),
        }
    }
}

impl ByteSink for EntryUpload {
    fn write_all(&mut self, bytes: Vec<u8>) -> Result<(), StreamError> {
        Ok(self.append(bytes)?)
    }
}

impl Upload for EntryUpload {
    fn finish(self: Box<Self>) -> Result<bool, StoreError> {
        match (*self).finish() {
            Ok(()) => Ok(true),
            Err(StoreError::Taken { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }
}

/// All pieces as one, without copying where there is one only.
fn take_all(pieces: &mut Vec<Vec<u8>>) -> Vec<u8> {
    let mut pieces = std::mem::take(pieces);
    if pieces.len() == 1 {
        return pieces.pop().unwrap_or_default();
    }
    pieces.concat()
}

/// Reserves the key. Asks a second time only where the first can't have been heard.
fn reserve(shared: &Shared, key: &str, size: Option<u64>) -> Result<Box<dyn Slot>, StoreError> {
    let http = &shared.http;
    let ask = || shared.service.reserve(http, key, size);
    let mut answer = ask();
    if let Err(error @ ActionsError::RateLimited { .. }) = &answer
        && let Retry::Once(wait) = error.retry(http.limits().longest_wait)
        && http.sleep(wait).is_ok()
    {
        answer = ask();
    }
    match answer {
        Ok(Some(slot)) => Ok(slot),
        Ok(None) => Err(StoreError::Taken {
            key: key.to_owned(),
        }),
        Err(error) if error.leaves_doubt() => {
            Err(shared.failed_to_write(ActionsError::ReservationUnknown {
                source: Box::new(error),
            }))
        }
        Err(error) => Err(shared.failed_to_write(error)),
    }
}

/// The threads that send parts.
struct Sending {
    line: Arc<Line>,
    threads: usize,
    parts: u32,
    bytes: u64,
}

/// What the threads share.
struct Line {
    shared: Arc<Shared>,
    slot: Box<dyn Slot>,
    state: Mutex<LineState>,
    changed: Condvar,
}

#[derive(Default)]
struct LineState {
    waiting: VecDeque<Part>,
    /// Bytes of the parts that wait and of those that are being sent.
    under_way: usize,
    failure: Option<ActionsError>,
    closed: bool,
}

impl Sending {
    fn new(shared: Arc<Shared>, slot: Box<dyn Slot>) -> Self {
        Self {
            line: Arc::new(Line {
                shared,
                slot,
                state: Mutex::default(),
                changed: Condvar::new(),
            }),
            threads: 0,
            parts: 0,
            bytes: 0,
        }
    }

    /// Waits for room, and leaves a part to the threads.
    fn submit(&mut self, bytes: Vec<u8>) -> Result<(), ActionsError> {
        let size = bytes.len();
        let mut state = self
            .line
            .wait_while(|state| state.under_way > 0 && state.under_way + size > MOST_UNDER_WAY)?;
        state.under_way += size;
        state.waiting.push_back(Part {
            number: self.parts,
            offset: self.bytes,
            bytes,
        });
        drop(state);
        self.parts += 1;
        self.bytes += size as u64;
        if self.threads < SENDERS {
            let line = Arc::clone(&self.line);
            thread::spawn(move || line.work());
            self.threads += 1;
        }
        self.line.changed.notify_all();
        Ok(())
    }

    /// Waits for all parts, and commits them.
    fn finish(self) -> Result<(), ActionsError> {
        drop(self.line.wait_while(|state| state.under_way > 0)?);
        let Line { shared, slot, .. } = &*self.line;
        slot.finish(&shared.http, self.parts, self.bytes)
    }
}

impl Drop for Sending {
    fn drop(&mut self) {
        let mut state = self.line.lock();
        state.closed = true;
        state.waiting.clear();
        self.line.changed.notify_all();
    }
}

impl Line {
    fn work(&self) {
        while let Some(part) = self.next() {
            let mut sent = Sent {
                line: self,
                bytes: part.bytes.len(),
                result: None,
            };
            sent.result = Some(self.slot.put_part(&self.shared.http, &part));
        }
    }

    /// Waits for a part. `None`: there is nothing more to do.
    fn next(&self) -> Option<Part> {
        let mut state = self
            .changed
            .wait_while(self.lock(), |state| {
                state.waiting.is_empty() && !state.closed && state.failure.is_none()
            })
            .unwrap_or_else(PoisonError::into_inner);
        if state.failure.is_some() {
            return None;
        }
        state.waiting.pop_front()
    }

    /// Waits until `is_so` is no more. Fails as soon as a part does.
    fn wait_while(
        &self,
        mut is_so: impl FnMut(&LineState) -> bool,
    ) -> Result<MutexGuard<'_, LineState>, ActionsError> {
        let mut state = self
            .changed
            .wait_while(self.lock(), |state| state.failure.is_none() && is_so(state))
            .unwrap_or_else(PoisonError::into_inner);
        match state.failure.take() {
            // That it was taken must not let the others go on.
            Some(failure) => {
                state.closed = true;
                state.waiting.clear();
                Err(failure)
            }
            None => Ok(state),
        }
    }

    fn lock(&self) -> MutexGuard<'_, LineState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Tells the line that a part is under way no more, however sending it ended.
struct Sent<'a> {
    line: &'a Line,
    bytes: usize,
    result: Option<Result<(), ActionsError>>,
}

impl Drop for Sent<'_> {
    fn drop(&mut self) {
        let mut state = self.line.lock();
        state.under_way -= self.bytes;
        let failure = match self.result.take() {
            Some(Ok(())) => None,
            Some(Err(error)) => Some(error),
            // The thread panicked.
            None => Some(ActionsError::NotKept {
                message: "internal error".to_owned(),
            }),
        };
        if let Some(failure) = failure {
            state.failure.get_or_insert(failure);
        }
        self.line.changed.notify_all();
    }
}
