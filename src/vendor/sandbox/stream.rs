//! Bodies that take their time, or end before they should.
//!
//! Server-sent events arrive in pieces with pauses between them, a connection can break in the middle
//! of an answer, and a model can fall silent for good. All are one body: pieces in order, then an end
//! that is clean or not. Whether the client stayed to hear it is counted.

use std::collections::VecDeque;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::{Body, Bytes, HttpBody};
use http_body::Frame;

use super::settings::Finish;
use super::stats::Endpoint;
use super::world::App;
use crate::clock::Clock;

type Wait = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Pieces of a body, sent one by one.
pub(super) struct Pieces {
    left: VecDeque<Bytes>,
    clock: Clock,
    pause: Duration,
    waiting: Option<Wait>,
    ending: Ending,
    audience: Option<Audience>,
}

enum Ending {
    Clean,
    Break(Break),
    /// Silence until this is over, and then a break.
    Hang(Wait),
}

/// A connection that breaks, but only after what went before has left this process.
#[derive(Default)]
struct Break {
    flushed: bool,
}

impl Break {
    fn poll(&mut self, cx: &Context<'_>) -> Poll<io::Error> {
        if self.flushed {
            return Poll::Ready(io::ErrorKind::ConnectionReset.into());
        }
        self.flushed = true;
        cx.waker().wake_by_ref();
        Poll::Pending
    }
}

impl Pieces {
    /// All of `pieces`, with `pause` between them, to a client whose leaving is noticed.
    pub(super) fn stream(
        app: &App,
        pieces: Vec<Bytes>,
        pause: Duration,
        finish: Finish,
    ) -> (Body, Ended) {
        let ending = match finish {
            Finish::Clean => Ending::Clean,
            Finish::Cut => Ending::Break(Break::default()),
            Finish::Hang => Ending::Hang(until_cleared(Arc::clone(app))),
        };
        let ended = Ended::default();
        let audience = Audience { app: Arc::clone(app), counted: false, ended: ended.clone() };
        let body = Body::new(Self {
            left: pieces.into(),
            clock: app.clock.clone(),
            pause,
            waiting: None,
            ending,
            audience: Some(audience),
        });
        (body, ended)
    }

    /// `start` and then a broken connection.
    pub(super) fn broken_after(start: Bytes, clock: &Clock) -> Body {
        Body::new(Self {
            left: if start.is_empty() { VecDeque::new() } else { [start].into() },
            clock: clock.clone(),
            pause: Duration::ZERO,
            waiting: None,
            ending: Ending::Break(Break::default()),
            audience: None,
        })
    }

    fn has_ended(&self) {
        if let Some(audience) = &self.audience {
            audience.ended.set();
        }
    }
}

/// Waits until faults are cleared or the sandbox stops.
fn until_cleared(app: App) -> Wait {
    Box::pin(async move {
        let before = app.world().faults.cleared;
        app.wait_until(|world| world.faults.cleared > before).await;
    })
}

impl HttpBody for Pieces {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if let Some(audience) = &mut self.audience {
            audience.count();
        }
        if let Some(waiting) = &mut self.waiting {
            ready!(waiting.as_mut().poll(cx));
            self.waiting = None;
        }
        if let Some(piece) = self.left.pop_front() {
            if !self.pause.is_zero() && !self.left.is_empty() {
                let (clock, until) = (self.clock.clone(), self.clock.now().plus(self.pause));
                self.waiting = Some(Box::pin(async move { clock.sleep_until(until).await }));
            }
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        if let Ending::Hang(silence) = &mut self.ending {
            ready!(silence.as_mut().poll(cx));
            self.ending = Ending::Break(Break::default());
        }
        let last = match &mut self.ending {
            Ending::Break(end) => Some(Err(ready!(end.poll(cx)))),
            Ending::Clean | Ending::Hang(_) => None,
        };
        self.has_ended();
        Poll::Ready(last)
    }
}

/// Whether a stream has come to the end that was meant for it.
#[derive(Clone, Debug, Default)]
pub(super) struct Ended(Arc<AtomicBool>);

impl Ended {
    fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Counts a stream while it is sent, and as aborted where its client leaves before the end.
struct Audience {
    app: App,
    counted: bool,
    ended: Ended,
}

impl Audience {
    /// Called when the first piece is asked for: a stream that a fault replaces never begins.
    fn count(&mut self) {
        if !self.counted {
            self.counted = true;
            self.app.world().stats.begin_stream(Endpoint::Responses);
            self.app.announce();
        }
    }
}

impl Drop for Audience {
    fn drop(&mut self) {
        if self.counted {
            let left = !self.ended.0.load(Ordering::Relaxed);
            let left_at = left.then(|| self.app.now());
            self.app.world().stats.end_stream(Endpoint::Responses, left_at);
            self.app.announce();
        }
    }
}

/// The first bytes of a stream, as they come, and then a broken connection.
pub(super) struct Cut {
    body: Body,
    left: usize,
    end: Break,
    ended: Ended,
}

impl Cut {
    /// `ended` belongs to the stream, whose end this is.
    pub(super) fn after(body: Body, most: usize, ended: Ended) -> Body {
        Body::new(Self { body, left: most, end: Break::default(), ended })
    }
}

impl HttpBody for Cut {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.left == 0 {
            let error = ready!(self.end.poll(cx));
            self.ended.set();
            return Poll::Ready(Some(Err(error)));
        }
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        Poll::Ready(frame.map(|frame| {
            let mut data = frame
                .map_err(io::Error::other)?
                .into_data()
                .map_err(|_| io::Error::from(io::ErrorKind::InvalidData))?;
            data.truncate(self.left);
            self.left -= data.len();
            Ok(Frame::data(data))
        }))
    }
}
