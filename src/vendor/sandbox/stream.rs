//! Bodies that take their time, or end before they should.
//!
//! Server-sent events arrive in pieces with pauses between them, and a connection can break in the
//! middle of an answer whose length was announced. Both are one body: pieces in order, then an end
//! that is either clean or not.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use http_body::Frame;

use crate::clock::Clock;

/// Pieces of a body, sent one by one.
pub(super) struct Pieces {
    left: VecDeque<Bytes>,
    clock: Clock,
    pause: Duration,
    waiting: Option<Pin<Box<dyn Future<Output = ()> + Send>>>,
    ending: Ending,
}

#[derive(PartialEq)]
enum Ending {
    Clean,
    /// Breaks off, but only after what went before has left this process.
    Flush,
    Break,
}

impl Pieces {
    /// All of `pieces`, with `pause` between them.
    pub(super) fn spaced(pieces: Vec<Bytes>, pause: Duration, clock: &Clock) -> Body {
        Body::new(Self {
            left: pieces.into(),
            clock: clock.clone(),
            pause,
            waiting: None,
            ending: Ending::Clean,
        })
    }

    /// `start` and then a broken connection.
    pub(super) fn broken_after(start: Bytes, clock: &Clock) -> Body {
        let left = if start.is_empty() { VecDeque::new() } else { [start].into() };
        Body::new(Self {
            left,
            clock: clock.clone(),
            pause: Duration::ZERO,
            waiting: None,
            ending: Ending::Flush,
        })
    }
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(waiting) = &mut self.waiting {
            if waiting.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
            self.waiting = None;
        }
        if let Some(piece) = self.left.pop_front() {
            if !self.pause.is_zero() && !self.left.is_empty() {
                let (clock, until) = (self.clock.clone(), self.clock.now().plus(self.pause));
                self.waiting = Some(Box::pin(async move { clock.sleep_until(until).await }));
            }
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        match self.ending {
            Ending::Clean => Poll::Ready(None),
            Ending::Flush => {
                self.ending = Ending::Break;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            Ending::Break => Poll::Ready(Some(Err(io::ErrorKind::ConnectionReset.into()))),
        }
    }
}
