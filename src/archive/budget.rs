//! One bound on the memory of all transfers of a process.
//!
//! Invariant: the bytes handed out never exceed the limit, but for a single request that is larger than the limit
//! itself, which is served when nothing else is out. A request waits; it never fails.

use std::sync::{Condvar, Mutex, PoisonError};

/// Bytes that packing and unpacking may hold at once, shared by all tiers of a process.
#[derive(Debug)]
pub struct ByteBudget {
    limit: u64,
    used: Mutex<u64>,
    freed: Condvar,
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
            used: Mutex::new(0),
            freed: Condvar::new(),
        }
    }

    /// The limit in bytes.
    pub fn limit(&self) -> u64 {
        self.limit
    }

    /// Waits until `bytes` are free and takes them.
    pub fn take(&self, bytes: u64) -> Allowance<'_> {
        let used = self.used.lock().unwrap_or_else(PoisonError::into_inner);
        let mut used = self
            .freed
            .wait_while(used, |used| *used > 0 && *used + bytes > self.limit)
            .unwrap_or_else(PoisonError::into_inner);
        *used += bytes;
        Allowance {
            budget: self,
            bytes,
        }
    }
}

impl Drop for Allowance<'_> {
    fn drop(&mut self) {
        let mut used = self
            .budget
            .used
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        *used -= self.bytes;
        self.budget.freed.notify_all();
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
}
