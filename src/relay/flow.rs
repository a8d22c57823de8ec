//! One answer on its way: read as it comes, bounded in its silences, gone when nobody wants it.
//!
//! There is no task and no queue between the API's socket and the client's: whoever writes to the
//! client polls this, which reads what has arrived and nothing more. So a slow client slows its own
//! upstream down to the vendor's TCP window, and a client that leaves closes it by dropping this.

use std::future::{Future as _, poll_fn};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use tokio::time::{Instant, Sleep};

use super::failure::Failure;
use super::passing::{Passing, Seen};
use crate::vendor::carrier::Incoming;

/// How much is taken at once: what a socket's buffer commonly holds, and few enough writes at full speed.
const PIECE_BYTES: usize = 64 * 1024;
/// How much is taken first: the client shall have the beginning before the rest of a burst is worked on.
const FIRST_BYTES: usize = 4 * 1024;
/// How often a client hears that a silent answer is still on its way. Proxies and clients commonly give
/// up a silent connection after 30 to 60 seconds.
pub const KEEPALIVE: Duration = Duration::from_secs(15);
/// How long an answer may take as a whole: no turn of a model is known to take a quarter of it.
const LIFE: Duration = Duration::from_secs(4 * 3600);
/// How long an upstream that has told the end may keep the connection open.
const GRACE: Duration = Duration::from_secs(1);
/// How long the handshake of an answer is held back after its last event, in the hope of a first word: an
/// overload told in its place can then still become a retry or an honest status.
const HOLD: Duration = Duration::from_millis(500);
/// The same after the head: a client is not to wait for it while signs of life trickle.
const LONGEST_HOLD: Duration = Duration::from_secs(2);
/// Handshake events held back at most.
const HANDSHAKES: usize = 16;

/// An answer under way.
#[derive(Debug)]
pub struct Flow {
    incoming: Incoming,
    passing: Passing,
    /// Fit to go on, not yet taken.
    ready: BytesMut,
    begun: Instant,
    /// When something last arrived.
    heard: Instant,
    timer: Pin<Box<Sleep>>,
    idle_timeout: Duration,
    ended: bool,
    bytes: u64,
}

/// What comes of an answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Piece {
    /// The next bytes of the stream.
    Bytes(Bytes),
    /// Nothing for [`KEEPALIVE`].
    Silence,
}

impl Flow {
    /// An answer whose head has come.
    #[must_use]
    pub fn new(incoming: Incoming, idle_timeout: Duration) -> Self {
        let now = Instant::now();
        let timer = Box::pin(tokio::time::sleep(KEEPALIVE.min(idle_timeout)));
        Self {
            incoming,
            passing: Passing::new(),
            ready: BytesMut::new(),
            begun: now,
            heard: now,
            timer,
            idle_timeout,
            ended: false,
            bytes: 0,
        }
    }

    /// What has been learned of it so far.
    #[must_use]
    pub fn seen(&self) -> &Seen {
        self.passing.seen()
    }

    /// How many bytes have come.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Waits for the first word after the handshake, until nothing has come for half a second.
    ///
    /// # Errors
    /// Where it breaks off before that.
    pub async fn hold(&mut self) -> Result<(), Failure> {
        let mut patience = std::pin::pin!(tokio::time::sleep(HOLD));
        poll_fn(|cx| {
            loop {
                let seen = self.passing.seen();
                if self.ended || seen.content || seen.end.is_some() || seen.handshakes >= HANDSHAKES
                {
                    return Poll::Ready(Ok(()));
                }
                match self.poll_fill(cx) {
                    Poll::Ready(filled) => {
                        filled?;
                        let until = (self.heard + HOLD).min(self.begun + LONGEST_HOLD);
                        patience.as_mut().reset(until);
                    }
                    Poll::Pending => return patience.as_mut().poll(cx).map(Ok),
                }
            }
        })
        .await
    }

    /// The next piece; nothing at the end of a whole answer. After an error there is nothing more.
    ///
    /// # Errors
    /// [`Failure::Broken`] or [`Failure::Timeout`] where it breaks off.
    pub fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, Failure>>> {
        loop {
            if !self.ready.is_empty() {
                return Poll::Ready(Some(Ok(Piece::Bytes(self.ready.split().freeze()))));
            }
            if self.ended {
                return Poll::Ready(None);
            }
            match self.poll_fill(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(failure)) => {
                    self.ended = true;
                    return Poll::Ready(Some(Err(failure)));
                }
                Poll::Pending => {
                    let waited = ready!(self.poll_timer(cx));
                    if let Err(failure) = waited {
                        self.ended = true;
                        return Poll::Ready(Some(Err(failure)));
                    }
                    if !self.ended {
                        return Poll::Ready(Some(Ok(Piece::Silence)));
                    }
                }
            }
        }
    }

    /// Takes what has arrived.
    fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        // Its memory is for the time of a read only: most streams wait most of the time.
        let mut arrived = BytesMut::new();
        let at_most = if self.bytes == 0 { FIRST_BYTES } else { PIECE_BYTES };
        match ready!(self.incoming.poll_more(cx, &mut arrived, at_most)) {
            Ok(0) => {
                self.passing.finish(&mut self.ready);
                if self.passing.seen().end.is_none() {
                    let why = "it ended without a last event".to_owned();
                    return Poll::Ready(Err(Failure::Broken(why)));
                }
                self.ended = true;
                Poll::Ready(Ok(()))
            }
            Ok(count) => {
                self.bytes += count as u64;
                self.heard = Instant::now();
                let fed = self.passing.feed(&arrived, &mut self.ready);
                Poll::Ready(fed.map_err(|error| Failure::Broken(error.to_string())))
            }
            // What was said to the end is whole, however the connection then ended.
            Err(_) if self.passing.seen().end.is_some() => {
                self.passing.finish(&mut self.ready);
                self.ended = true;
                Poll::Ready(Ok(()))
            }
            Err(error) => Poll::Ready(Err(Failure::Broken(error.to_string()))),
        }
    }

    /// Looks at the clock, at most every [`KEEPALIVE`]: traffic resets nothing, so it costs nothing.
    fn poll_timer(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Failure>> {
        if self.passing.seen().end.is_some() && self.timer.deadline() > self.heard + GRACE {
            self.timer.as_mut().reset(self.heard + GRACE);
        }
        loop {
            ready!(self.timer.as_mut().poll(cx));
            let now = Instant::now();
            let silent = now - self.heard;
            if self.passing.seen().end.is_some() && silent >= GRACE {
                self.ended = true;
                return Poll::Ready(Ok(()));
            }
            if silent >= self.idle_timeout {
                return Poll::Ready(Err(Failure::Timeout { which: "idle" }));
            }
            if now - self.begun >= LIFE {
                return Poll::Ready(Err(Failure::Timeout { which: "total" }));
            }
            let next = if silent >= KEEPALIVE { now } else { self.heard } + KEEPALIVE;
            self.timer.as_mut().reset(next.min(self.heard + self.idle_timeout));
            if silent >= KEEPALIVE {
                return Poll::Ready(Ok(()));
            }
        }
    }
}
