//! The handles under which sign-ins are polled: opaque, ours, and short-lived.

use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::clock::Timestamp;
use crate::secret::random_base64url;

/// Random bytes in a handle: 43 characters.
const HANDLE_BYTES: usize = 32;

/// Handles at once. Sign-ins under way are bounded more tightly, but a handle may outlive one that was
/// cancelled; the oldest gives way.
const MOST: usize = 256;

/// What a handle stands for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Handle {
    /// Where it was begun.
    pub(super) vendor: String,
    /// The sign-in.
    pub(super) login_id: String,
    /// The login's epoch when it was begun.
    pub(super) epoch: u64,
    /// When it ends.
    pub(super) expires_at: Timestamp,
}

/// All of them.
#[derive(Debug, Default)]
pub(in crate::http) struct Handles(Mutex<HashMap<String, Handle>>);

impl Handles {
    /// Keeps what a new handle stands for, and gives the handle.
    pub(super) fn keep(&self, handle: Handle, now: Timestamp) -> String {
        let mut handles = self.locked();
        handles.retain(|_, handle| handle.expires_at > now);
        if handles.len() >= MOST
            && let Some(oldest) = handles
                .iter()
                .min_by_key(|(_, handle)| handle.expires_at)
                .map(|(key, _)| key.clone())
        {
            handles.remove(&oldest);
        }
        let key = random_base64url(HANDLE_BYTES);
        handles.insert(key.clone(), handle);
        key
    }

    /// What a handle stands for, while it lives.
    pub(super) fn find(&self, key: &str, now: Timestamp) -> Option<Handle> {
        self.locked().get(key).filter(|handle| handle.expires_at > now).cloned()
    }

    /// Ends a handle.
    pub(super) fn forget(&self, key: &str) {
        self.locked().remove(key);
    }

    fn locked(&self) -> MutexGuard<'_, HashMap<String, Handle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn handle(end: u64) -> Handle {
        let (vendor, login_id) = ("openai".into(), format!("login {end}"));
        Handle { vendor, login_id, epoch: 1, expires_at: Timestamp(end) }
    }

    #[test]
    fn a_handle_leads_to_its_login_until_it_ends() {
        let handles = Handles::default();
        let key = handles.keep(handle(100), Timestamp(0));
        assert_eq!(key.len(), 43);
        assert_eq!(handles.find(&key, Timestamp(99)), Some(handle(100)));
        assert_eq!(handles.find(&key, Timestamp(100)), None);
        handles.forget(&key);
        assert_eq!(handles.find(&key, Timestamp(0)), None);
    }

    #[test]
    fn handles_are_bounded_and_the_oldest_gives_way() {
        let handles = Handles::default();
        let keys: Vec<_> = (0..=MOST as u64)
            .map(|number| handles.keep(handle(1000 + number), Timestamp(0)))
            .collect();
        assert_eq!(handles.find(&keys[0], Timestamp(0)), None);
        assert!(keys[1..].iter().all(|key| handles.find(key, Timestamp(0)).is_some()));
        handles.keep(handle(9000), Timestamp(5000));
        assert_eq!(handles.locked().len(), 1, "those that ended are gone");
    }
}
