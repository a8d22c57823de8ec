//! Ctrl-C, for verbs that have something to put away before they end.
//!
//! The first one only sets a flag, which the verb looks at between its steps. The second ends the
//! process there and then: a verb may be held up in a write that nobody reads.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::platform::signals;

use super::failure::{Exit, Failure};

/// Whether the person has asked for the end.
#[derive(Clone)]
pub(super) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    /// Listens for Ctrl-C and for a polite `kill` from now on.
    pub(super) fn watch() -> Result<Self, Failure> {
        let asked = Arc::new(AtomicBool::new(false));
        signals::on_interrupt(&asked, Exit::Interrupted as i32).map_err(|error| {
            Failure::new(Exit::Failed, format!("Ctrl-C could not be listened for: {error}"))
        })?;
        Ok(Self(asked))
    }

    pub(super) fn is_asked(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
