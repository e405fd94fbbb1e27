//! One bound on the memory of all transfers of a process.
//!
//! Invariant: the bytes handed out never exceed the limit, but for a single request that is larger than the limit
//! itself, which is served when nothing else is out, and for what is overdrawn: until that is given back, all
//! requests wait. A request never fails. Requests are served in the order in which they came, so that a large one is
//! not passed over for ever.
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
        let mut state = self.lock();
        let ticket = state.next_ticket;
        state.next_ticket += 1;
        let mut state = self
            .changed
            .wait_while(state, |state| {
                state.now_served != ticket || (state.used > 0 && state.used + bytes > self.limit)
            })
            .unwrap_or_else(PoisonError::into_inner);
        state.used += bytes;
        state.now_served += 1;
        self.changed.notify_all();
        Allowance {
            budget: self,
            bytes,
        }
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
