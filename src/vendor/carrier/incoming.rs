//! The body of an answer, as much at a time as has arrived.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use bytes::{Bytes, BytesMut};

use super::connect::Target;
use super::exchange::Sending;
use super::framing::{Framing, Stand};
use super::pool::Pool;
use super::stream::{Stream, Stride};

/// Where a connection is kept behind its answer.
pub(super) type Home = (Arc<Pool>, Target);

/// The body of an answer. Dropped before its end it closes the connection at once, which is how a
/// server learns that nobody listens any more.
pub struct Incoming {
    /// Gone when the body is over, or has failed.
    stream: Option<Stream>,
    /// What arrived with the head.
    early: Bytes,
    framing: Framing,
    /// The rest of a request that is answered before it was taken.
    unsent: Option<Box<Sending>>,
    /// None where the connection may not be used again.
    home: Option<Home>,
    /// What went wrong behind data that had to be handed over first.
    failure: Option<io::Error>,
    stride: Stride,
}

impl Incoming {
    pub(super) fn new(
        stream: Stream,
        early: Bytes,
        framing: Framing,
        unsent: Option<Sending>,
        home: Option<Home>,
    ) -> Self {
        let (stream, unsent) = (Some(stream), unsent.map(Box::new));
        let stride = Stride::default();
        let mut body = Self { stream, early, framing, unsent, home, failure: None, stride };
        // One without a body is over already.
        body.settle();
        body
    }

    /// Appends whatever has arrived, at most `at_most` bytes (at least 1), and says how many: 0 is the
    /// clean end, and only that. Never waits once it has something.
    ///
    /// An `out` that is empty gives its memory back while there is nothing to put in it.
    ///
    /// # Errors
    /// An end in the middle (`UnexpectedEof`), a fault in the framing (`InvalidData`), or the socket's.
    /// What arrived before is handed over first.
    pub fn poll_more(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut BytesMut,
        at_most: usize,
    ) -> Poll<io::Result<usize>> {
        self.send_rest(cx);
        let before = out.len();
        let end = before.saturating_add(at_most.max(1));
        // Each turn takes some bytes from the wire or is the last; the runtime's budget bounds them.
        loop {
            let found = out.len() - before;
            let done = self.settle();
            if done || out.len() >= end {
                return match self.failure.take_if(|_| found == 0) {
                    Some(failure) => Poll::Ready(Err(failure)),
                    None => Poll::Ready(Ok(found)),
                };
            }
            let at = out.len();
            match self.poll_raw(cx, out, end - at) {
                Poll::Pending if found > 0 => return Poll::Ready(Ok(found)),
                Poll::Pending => {
                    if out.is_empty() {
                        *out = BytesMut::new();
                    }
                    return Poll::Pending;
                }
                Poll::Ready(Ok(0)) => self.close(),
                Poll::Ready(Ok(raw)) => {
                    let passed = self.framing.pass(&mut out[at..]);
                    out.truncate(at + passed.kept);
                    if passed.used < raw {
                        // Bytes that nobody asked for: what follows could not be trusted.
                        self.home = None;
                    }
                }
                Poll::Ready(Err(error)) => self.fail(error),
            }
        }
    }

    /// [`Incoming::poll_more`] to wait for. Nothing is lost where it is dropped.
    ///
    /// # Errors
    /// As there.
    pub async fn more(&mut self, out: &mut BytesMut, at_most: usize) -> io::Result<usize> {
        std::future::poll_fn(|cx| self.poll_more(cx, out, at_most)).await
    }

    /// The whole rest where it is no longer than `at_most` bytes: error bodies, lists. How long that may
    /// take is the caller's to bound.
    ///
    /// # Errors
    /// As [`Incoming::more`], and `InvalidData` where it is longer.
    pub async fn whole(mut self, at_most: usize) -> io::Result<Bytes> {
        let mut out = BytesMut::new();
        loop {
            let room = (at_most - out.len()).saturating_add(1);
            if self.more(&mut out, room).await? == 0 {
                return Ok(out.freeze());
            }
            if out.len() > at_most {
                return Err(malformed(&format!("the answer is longer than {at_most} bytes")));
            }
        }
    }

    /// The next bytes as they came over the wire; 0 is the connection's end.
    fn poll_raw(
        &mut self,
        cx: &mut Context<'_>,
        out: &mut BytesMut,
        at_most: usize,
    ) -> Poll<io::Result<usize>> {
        if !self.early.is_empty() {
            let taken = self.early.split_to(self.early.len().min(at_most));
            out.extend_from_slice(&taken);
            if self.early.is_empty() {
                // An empty rest would hold on to memory for as long as the body lasts.
                self.early = Bytes::new();
            }
            return Poll::Ready(Ok(taken.len()));
        }
        let Some(stream) = &mut self.stream else { return Poll::Ready(Ok(0)) };
        let found = ready!(stream.poll_into(cx, out, at_most, &mut self.stride));
        Poll::Ready(found)
    }

    fn send_rest(&mut self, cx: &mut Context<'_>) {
        let (Some(unsent), Some(stream)) = (&mut self.unsent, &mut self.stream) else { return };
        match unsent.poll(stream, cx) {
            Poll::Pending => {}
            Poll::Ready(Ok(())) => self.unsent = None,
            // The server wants no more of it; its answer goes on.
            Poll::Ready(Err(_)) => (self.unsent, self.home) = (None, None),
        }
    }

    /// The connection has ended: well, where nothing else marks the end of the body.
    fn close(&mut self) {
        self.framing.close();
        if self.framing.stand() == Stand::Open {
            let kind = io::ErrorKind::UnexpectedEof;
            self.fail(io::Error::new(kind, "the answer ended in the middle"));
        }
    }

    fn fail(&mut self, error: io::Error) {
        (self.stream, self.unsent, self.home) = (None, None, None);
        self.early = Bytes::new();
        // Never over: whoever asks again is told again.
        self.framing = Framing::Length(u64::MAX);
        self.failure = Some(error);
    }

    /// Lets go of the connection where nothing more is to come from it; says whether that is so.
    fn settle(&mut self) -> bool {
        match self.framing.stand() {
            _ if self.failure.is_some() => return true,
            Stand::Open => return false,
            Stand::Broken(why) => {
                self.fail(malformed(why));
                return true;
            }
            Stand::Over => {}
        }
        let clean = self.early.is_empty() && self.unsent.is_none();
        if let (Some(stream), Some((pool, target)), true) =
            (self.stream.take(), self.home.take(), clean)
        {
            pool.put(target, stream);
        }
        true
    }
}

fn malformed(why: &str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, why)
}

impl fmt::Debug for Incoming {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let open = self.stream.is_some();
        f.debug_struct("Incoming").field("open", &open).finish_non_exhaustive()
    }
}
