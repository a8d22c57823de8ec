//! A limit that was reached, as it is told to whoever wants to tell the person.

use tokio::sync::broadcast;

use super::failure::{Failure, UsageLimit};
use crate::clock::Timestamp;
use crate::login::directory::Named;

/// Reached limits that a slow listener may lag behind by. One that lags more misses the oldest, which
/// the latest repeat.
const KEPT: usize = 16;

/// A usage limit that a completion met.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reached {
    /// Whose.
    pub named: Named,
    /// When it is lifted, where the API says so.
    pub resets_at: Option<Timestamp>,
    /// The plan, where the API says so.
    pub plan: Option<String>,
}

/// Tells of reached limits; nobody has to listen.
#[derive(Clone, Debug)]
pub(super) struct Teller(broadcast::Sender<Reached>);

impl Default for Teller {
    fn default() -> Self {
        Self(broadcast::Sender::new(KEPT))
    }
}

impl Teller {
    /// Tells it if this failure is one.
    pub(super) fn tell(&self, named: &Named, failure: &Failure) {
        if let Failure::UsageLimit(limit) = failure {
            let UsageLimit { resets_at, plan, .. } = limit.as_ref();
            let (named, resets_at, plan) = (named.clone(), *resets_at, plan.clone());
            // An error says that nobody listens.
            let _ = self.0.send(Reached { named, resets_at, plan });
        }
    }

    pub(super) fn listen(&self) -> broadcast::Receiver<Reached> {
        self.0.subscribe()
    }
}
