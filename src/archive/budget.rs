//! One bound on the memory of all transfers of a process.
//!
//! Invariant: the bytes handed out never exceed the limit, but for a single request that is larger than the limit
//! itself, which is served when nothing else is out, and for what is overdrawn: until that is given back, requests
//! wait. A request never fails. Requests are served in the order in which they came, so that a large one is
//! not passed over for ever.
//!
//! What buffers were given back is kept for whoever needs such next, as long as nobody needs the bytes otherwise: fresh memory
//! costs more than it takes to fill it from a socket.
//!
//! Who takes everything that a piece of work needs in one request, and waits for nothing but other work of which
//! the same holds, can't be part of a deadlock.

use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};

/// Bytes that packing and unpacking may hold at once, shared by all tiers of a process.
#[derive(Debug)]
pub struct ByteBudget {
    limit: u64,
    state: Mutex<State>,
    changed: Condvar,
}

/// What is out, and whose turn it is.
#[derive(Debug, Default)]
struct State {
    used: u64,
    next_ticket: u64,
    now_served: u64,
    /// Buffers that nobody uses. With them, what is out never exceeds the limit either.
    idle: Vec<Vec<u8>>,
}

impl State {
    /// The smallest idle buffer of at least `length` bytes.
    fn pick(&mut self, length: usize) -> Option<Vec<u8>> {
        let (number, _) = (self.idle.iter().enumerate())
            .filter(|(_, buffer)| length > 0 && buffer.len() >= length)
            .min_by_key(|(_, buffer)| buffer.len())?;
        Some(self.idle.swap_remove(number))
    }

    /// Takes idle buffers out until all that is out and idle is within `limit`.
    fn trim(&mut self, limit: u64) -> Vec<Vec<u8>> {
        let mut surplus = Vec::new();
        let total = |state: &Self| {
            let idle: usize = state.idle.iter().map(Vec::len).sum();
            state.used + idle as u64
        };
        while total(self) > limit
            && let Some(buffer) = self.idle.pop()
        {
            surplus.push(buffer);
        }
        surplus
    }
}

/// Bytes taken from a [`ByteBudget`]; dropping gives them back.
#[derive(Debug)]
pub struct Allowance<'budget> {
    budget: &'budget ByteBudget,
    bytes: u64,
}

impl ByteBudget {
    /// What a process takes unless told otherwise: 128 MiB.
    pub const DEFAULT_BYTES: u64 = 128 * 1024 * 1024;

    /// A budget of `limit` bytes.
    pub fn new(limit: u64) -> Self {
        Self {
            limit,
            state: Mutex::default(),
            changed: Condvar::new(),
        }
    }

    /// The limit in bytes.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Waits until `bytes` are free and takes them.
    pub fn take(&self, bytes: u64) -> Allowance<'_> {
        self.take_with_buffer(bytes, 0).0
    }

    /// Waits until `bytes` and a buffer of `length` bytes are free, and takes them. The buffer may be longer, and holds
    /// anything; [`Allowance::give_back_with`] gives back both.
    pub fn take_with_buffer(&self, bytes: u64, length: usize) -> (Allowance<'_>, Vec<u8>) {
        let mut bytes = bytes + length as u64;
        let mut state = self.lock();
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        let mut state = self
            .changed
            .wait_while(state, |state| {
                state.now_served != ticket || (state.used > 0 && state.used + bytes > self.limit)
            })
            .unwrap_or_else(PoisonError::into_inner);
        let buffer = state.pick(length);
        // A longer one is overdrawn.
        bytes += buffer.as_ref().map_or(0, |buffer| buffer.len() - length) as u64;
        state.used += bytes;
        state.now_served += 1;
        let surplus = state.trim(self.limit);
        drop(state);
        self.changed.notify_all();
        // Not while others wait for the lock.
        drop(surplus);
        let allowance = Allowance {
            budget: self,
            bytes,
        };
        (allowance, buffer.unwrap_or_else(|| vec![0; length]))
    }

    fn give_back(&self, bytes: u64) {
        self.lock().used -= bytes;
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Allowance<'_> {
    /// Takes `bytes` more at once, over the limit if need be: for the rare case that an estimate did not hold. Who
    /// waited here instead, for others that may be waiting as well, could wait for ever.
    pub fn overdraw(&mut self, bytes: u64) {
        self.bytes += bytes;
        self.budget.lock().used += bytes;
    }

    /// Gives everything back, and `buffer` with it.
    pub fn give_back_with(self, buffer: Vec<u8>) {
        // Before the bytes are free: they are its own, among others.
        if !buffer.is_empty() {
            self.budget.lock().idle.push(buffer);
        }
        drop(self);
    }

    /// Gives back all but `bytes`; nothing happens if it is no more than that already.
    pub fn shrink_to(&mut self, bytes: u64) {
        if let Some(surplus) = self.bytes.checked_sub(bytes) {
            self.bytes = bytes;
            self.budget.give_back(surplus);
        }
    }
}

impl Drop for Allowance<'_> {
    fn drop(&mut self) {
        self.budget.give_back(self.bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_back_can_be_taken_again() {
        let budget = ByteBudget::new(10);
        drop(budget.take(10));
        let _half = budget.take(5);
        let _other_half = budget.take(5);
    }

    #[test]
    fn a_request_larger_than_the_limit_is_served_alone() {
        let budget = ByteBudget::new(10);
        drop(budget.take(25));
        let _rest = budget.take(10);
    }

    #[test]
    fn an_allowance_that_shrinks_leaves_room_for_others() {
        let budget = ByteBudget::new(10);
        let mut first = budget.take(10);
        first.shrink_to(4);
        let _second = budget.take(6);
        first.shrink_to(9);
        assert_eq!(first.bytes, 4);
    }

    #[test]
    fn what_was_overdrawn_is_given_back_like_the_rest() {
        let budget = ByteBudget::new(10);
        let mut first = budget.take(8);
        first.overdraw(5);
        assert_eq!(budget.lock().used, 13);
        drop(first);
        let _all = budget.take(10);
    }

    #[test]
    fn a_buffer_is_used_again_until_its_bytes_are_needed_otherwise() {
        let budget = ByteBudget::new(10);
        let (memory, mut buffer) = budget.take_with_buffer(2, 5);
        assert_eq!((memory.bytes, buffer.len()), (7, 5));
        buffer.fill(1);
        memory.give_back_with(buffer);
        let (memory, buffer) = budget.take_with_buffer(2, 4);
        assert_eq!((memory.bytes, buffer.as_slice()), (7, &[1; 5][..]));
        memory.give_back_with(buffer);
        let (memory, longer) = budget.take_with_buffer(0, 6);
        assert_eq!(longer, [0; 6]);
        drop(memory);
        assert_eq!(budget.lock().idle, [[0_u8; 0]; 0]);
    }

    #[test]
    fn the_smallest_buffer_that_is_long_enough_is_used_again() {
        let budget = ByteBudget::new(20);
        let taken = [3, 9, 6].map(|length| budget.take_with_buffer(0, length));
        for (memory, buffer) in taken {
            memory.give_back_with(buffer);
        }
        assert_eq!(budget.take_with_buffer(0, 4).1.len(), 6);
    }

    #[test]
    fn many_threads_never_hold_more_than_the_limit() {
        let budget = ByteBudget::new(10);
        let most = Mutex::new(0);
        std::thread::scope(|scope| {
            for bytes in 1..=8 {
                let (budget, most) = (&budget, &most);
                scope.spawn(move || {
                    for _ in 0..50 {
                        let _allowance = budget.take(bytes);
                        let used = budget.lock().used;
                        let mut most = most.lock().unwrap();
                        *most = (*most).max(used);
                    }
                });
            }
        });
        assert!(*most.lock().unwrap() <= 10);
        assert_eq!(budget.lock().used, 0);
    }
}
