//! The bytes of all messages in flight, counted once for all connections.
//!
//! Each connection is bounded by itself, but a thousand of them at their bounds are not what a small
//! daemon may grow to.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// The shared count. Clones count together.
#[derive(Clone, Debug)]
pub struct Budget(Arc<Account>);

#[derive(Debug)]
struct Account {
    used: AtomicUsize,
    limit: usize,
}

impl Budget {
    /// A budget of `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self(Arc::new(Account { used: AtomicUsize::new(0), limit }))
    }

    /// A charge that counts nothing yet.
    pub(crate) fn nothing(&self) -> Charge {
        Charge { budget: self.clone(), bytes: 0 }
    }

    /// A charge of `bytes`, where there is room for it.
    pub(crate) fn take(&self, bytes: usize) -> Option<Charge> {
        let mut charge = self.nothing();
        charge.set(bytes).then_some(charge)
    }
}

/// A part of the budget, given back on drop.
#[derive(Debug)]
pub(crate) struct Charge {
    budget: Budget,
    bytes: usize,
}

impl Charge {
    /// Counts `bytes` from now on. False, and nothing changed, where there is no room for more.
    pub(crate) fn set(&mut self, bytes: usize) -> bool {
        if bytes == self.bytes {
            return true;
        }
        let Account { used, limit } = &*self.budget.0;
        if bytes <= self.bytes {
            used.fetch_sub(self.bytes - bytes, Ordering::Relaxed);
        } else {
            let more = bytes - self.bytes;
            let fits = |used: usize| used.checked_add(more).filter(|sum| sum <= limit);
            if used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_err() {
                return false;
            }
        }
        self.bytes = bytes;
        true
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        self.set(0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_given_back_can_be_taken_again() {
        let budget = Budget::new(100);
        let mut first = budget.take(60).expect("room");
        assert!(budget.take(41).is_none());
        let second = budget.take(40).expect("just room");
        assert!(!first.set(61) && first.set(10));
        drop(second);
        assert!(first.set(100));
        drop(first);
        assert!(budget.take(100).is_some());
        assert!(budget.take(usize::MAX).is_none());
    }
}
