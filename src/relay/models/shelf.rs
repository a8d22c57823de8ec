//! One account's list while the daemon runs: how old it is, what was heard of it since, and whether the
//! vendor should be asked. Pure decisions; the asking is the catalogue's.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use super::super::flight::SingleFlight;
use super::super::keeping::within;
use super::known::Known;
use crate::clock::Timestamp;

/// How long an answer is used without asking again, as the Codex CLI does.
const FRESH: Duration = Duration::from_secs(300);
/// How long a question that failed is not repeated, and the least time between two renewals that nobody
/// waits for: a vendor in trouble is not to be asked by every completion.
const QUIET: Duration = Duration::from_secs(30);
/// The longest validator that is compared, in bytes; longer ones tell nothing.
const LONGEST_ETAG: usize = 256;

/// The place of one account's list.
#[derive(Debug, Default)]
pub(super) struct Shelf {
    state: Mutex<State>,
    pub(super) flight: SingleFlight<bool>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    /// Whether the disk was looked at.
    pub(super) recalled: bool,
    pub(super) memory: Option<Memory>,
    pub(super) asked_at: Option<Timestamp>,
    pub(super) failed_at: Option<Timestamp>,
    /// What an answer's `x-models-etag` said last of the list held.
    noted: Option<Note>,
    /// The validator of another list that was heard of, and because of which the vendor is asked once.
    doubt: Option<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Note {
    Current,
    Outdated,
}

/// A list, and whom it was told.
#[derive(Clone, Debug)]
pub(super) struct Memory {
    pub(super) at: Timestamp,
    pub(super) whose: Whose,
    pub(super) known: Arc<Known>,
}

/// What stands behind an account's name. A list is served to nobody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Whose {
    pub(super) api_base: String,
    pub(super) account_id: Option<String>,
}

impl Shelf {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub(super) fn held(&self, whose: &Whose) -> Option<Arc<Known>> {
        let memory = self.memory.as_ref().filter(|memory| memory.whose == *whose)?;
        Some(Arc::clone(&memory.known))
    }

    /// Whether the list, where there is one, is no longer to be taken for the newest.
    pub(super) fn is_due(&mut self, now: Timestamp, whose: &Whose) -> bool {
        let Some(memory) = self.memory.as_mut().filter(|memory| memory.whose == *whose) else {
            return true;
        };
        match self.noted {
            Some(Note::Current) => {
                memory.at = now;
                self.noted = None;
                false
            }
            Some(Note::Outdated) => true,
            None => !within(now, memory.at, FRESH),
        }
    }

    pub(super) fn failed_lately(&self, now: Timestamp) -> bool {
        self.failed_at.is_some_and(|at| within(now, at, QUIET))
    }

    /// Whether a renewal that nobody waits for may begin now; it counts as begun.
    pub(super) fn may_ask_unasked(&mut self, now: Timestamp) -> bool {
        let may = !self.asked_at.is_some_and(|at| within(now, at, QUIET));
        if may {
            self.asked_at = Some(now);
        }
        may
    }

    pub(super) fn learn(&mut self, memory: Memory) {
        self.memory = Some(memory);
        (self.failed_at, self.noted) = (None, None);
    }

    pub(super) fn note(&mut self, etag: &str) {
        let held = self.memory.as_ref().and_then(|memory| memory.known.etag.as_deref());
        if held.is_some_and(|held| opaque(held) == opaque(etag)) {
            self.noted = Some(Note::Current);
        } else if self.doubt.as_deref() != Some(etag) && etag.len() <= LONGEST_ETAG {
            // Once for each: a header that never agrees with the list's own would make it due for ever.
            self.doubt = Some(etag.to_owned());
            self.noted = Some(Note::Outdated);
        }
    }
}

/// A validator without its dress, as weak comparison wants it (RFC 9110 section 8.8.3.2).
fn opaque(etag: &str) -> &str {
    let etag = etag.trim();
    etag.strip_prefix("W/").unwrap_or(etag).trim_matches('"')
}
