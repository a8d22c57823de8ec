//! Accepts connections, bounds how many there are, and ends them in an orderly way.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::connection::{self, Budget, Refusal, Service, Terms};
use crate::access::peer::Peer;
use crate::platform::ipc::{Listener, Stream};

/// Connections being turned away at once; those beyond are closed without a word, so that not even
/// refusing can pile up.
const MAX_REFUSALS: usize = 64;

/// The first and the longest pause after an `accept` that failed, as it does over and over while the
/// process has no file descriptor left.
const ACCEPT_PAUSE: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// The bounds of all connections together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at once.
    pub max_clients: usize,
    /// The longest line, in bytes.
    pub max_message_bytes: usize,
    /// Bytes of messages in flight.
    pub max_inflight_bytes: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { max_clients: 1024, max_message_bytes: 64 << 20, max_inflight_bytes: 128 << 20 }
    }
}

impl Limits {
    /// The count of bytes in flight, to be shared by everything that takes messages in.
    #[must_use]
    pub fn budget(&self) -> Budget {
        Budget::new(self.max_inflight_bytes)
    }
}

/// Serves until `stop` fires and every connection has been answered what it is owed. How long that
/// may take is for the caller to bound. `budget` counts for other doors too.
pub async fn serve<S: Service>(
    listener: Listener,
    service: Arc<S>,
    limits: Limits,
    budget: Budget,
    stop: CancellationToken,
) {
    let server = Server {
        terms: Arc::new(Terms {
            service,
            longest_line: limits.max_message_bytes,
            budget,
            stop: stop.clone(),
        }),
        clients: Arc::new(Semaphore::new(limits.max_clients.min(Semaphore::MAX_PERMITS))),
        refusals: Arc::new(Semaphore::new(MAX_REFUSALS)),
        tasks: TaskTracker::new(),
    };
    let mut pause = ACCEPT_PAUSE.0;
    loop {
        let accepted = tokio::select! {
            biased;
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok(stream) => {
                pause = ACCEPT_PAUSE.0;
                server.admit(stream);
            }
            Err(e) => {
                tracing::warn!(error = %e, "no connection can be accepted just now");
                wait(pause, &stop).await;
                pause = (pause * 2).min(ACCEPT_PAUSE.1);
            }
        }
    }
    drop(listener);
    server.tasks.close();
    server.tasks.wait().await;
}

async fn wait(pause: Duration, stop: &CancellationToken) {
    tokio::select! {
        () = tokio::time::sleep(pause) => {}
        () = stop.cancelled() => {}
    }
}

struct Server<S> {
    terms: Arc<Terms<S>>,
    clients: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
    tasks: TaskTracker,
}

impl<S: Service> Server<S> {
    /// Finds a connection its place. Each is a task of its own, so a panic in one ends that one. A
    /// stranger takes up no client's place.
    fn admit(&self, stream: Stream) {
        let Ok(peer) = Peer::of(&stream) else { return };
        if !peer.is_me() {
            self.terms.service.refused(&peer);
            self.refuse(stream, Refusal::Stranger);
        } else if let Ok(place) = self.clients.clone().try_acquire_owned() {
            let terms = self.terms.clone();
            self.tasks.spawn(async move {
                connection::run(stream, peer, &terms).await;
                drop(place);
            });
        } else {
            self.refuse(stream, Refusal::Crowd);
        }
    }

    fn refuse(&self, stream: Stream, refusal: Refusal) {
        let Ok(place) = self.refusals.clone().try_acquire_owned() else {
            return;
        };
        let terms = self.terms.clone();
        self.tasks.spawn(async move {
            tokio::select! {
                () = connection::refuse(stream, refusal, &*terms.service) => {}
                () = terms.stop.cancelled() => {}
            }
            drop(place);
        });
    }
}
