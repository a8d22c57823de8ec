//! Connections kept for the next request: a handshake costs two or three round trips, and a person
//! waits for the first word.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::time::Instant;

use super::connect::Target;
use super::stream::Stream;

/// The most connections kept, for all origins together: a burst of agents at the same time, each with
/// one. What is kept beyond that costs the server more than it saves us.
pub(super) const MAX_IDLE: usize = 16;
/// The longest time that one is kept. Servers and the boxes between end idle connections after a
/// minute or more; looked at when the pool is used, so that no timer runs while nothing does.
pub(super) const IDLE_FOR: Duration = Duration::from_secs(60);

/// The kept connections, most recently used last.
#[derive(Default)]
pub(super) struct Pool {
    idle: Mutex<VecDeque<Idle>>,
}

struct Idle {
    target: Target,
    stream: Stream,
    since: Instant,
}

impl Pool {
    /// The most recently used connection there that still lives.
    pub(super) async fn take(&self, target: &Target) -> Option<Stream> {
        if !self.lock().iter().any(|idle| idle.target == *target) {
            return None;
        }
        // Lets the runtime look at the sockets first, or an end that has arrived is not known yet.
        tokio::task::yield_now().await;
        let mut cx = Context::from_waker(Waker::noop());
        let mut idle = self.lock();
        loop {
            let at = idle.iter().rposition(|idle| idle.target == *target)?;
            let mut stream = idle.remove(at)?.stream;
            if !stream.is_spent(&mut cx) {
                return Some(stream);
            }
        }
    }

    /// Keeps a connection on which nothing is under way.
    pub(super) fn put(&self, target: Target, stream: Stream) {
        let mut idle = self.lock();
        if idle.len() >= MAX_IDLE {
            idle.pop_front();
        }
        idle.push_back(Idle { target, stream, since: Instant::now() });
    }

    /// How many are kept.
    pub(super) fn len(&self) -> usize {
        self.lock().len()
    }

    /// The connections, without those that were kept too long.
    fn lock(&self) -> MutexGuard<'_, VecDeque<Idle>> {
        // No code that can panic runs under this lock but the library's own; the list is whole.
        let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
        while idle.front().is_some_and(|oldest| oldest.since.elapsed() >= IDLE_FOR) {
            idle.pop_front();
        }
        idle
    }
}
