//! One request out, the head of its answer in, both at the same time.
//!
//! A server may answer before it has read everything: "too large", "not you". Whoever writes first and
//! reads afterwards meets a broken pipe instead of that answer.

use std::io;
use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use bytes::buf::Chain;
use bytes::{Buf as _, Bytes, BytesMut};
use http::Method;
use tokio::io::{AsyncWrite as _, AsyncWriteExt as _};
use tokio::time::{Instant, Sleep, sleep};

use super::STALE_WITHIN;
use super::head::{self, Head};
use super::stream::{Stream, Stride};

/// Bodies up to this size are put behind their head, so that both leave in one packet or record. A
/// larger one is sent from where it lies.
const MAX_JOINED_BYTES: usize = 16 << 10;

/// A request on its way out.
pub(super) struct Sending {
    rest: Chain<Bytes, Bytes>,
    whole: usize,
    over: bool,
}

/// What an exchange leaves behind.
pub(super) struct Answered {
    pub(super) stream: Stream,
    pub(super) head: Head,
    /// What arrived behind the head already.
    pub(super) early: Bytes,
    /// What the server has not taken yet although it answers.
    pub(super) unsent: Option<Sending>,
}

/// Why there is no answer.
#[derive(Debug)]
pub(super) struct Broken {
    /// Whether a part of the request went out.
    pub(super) sent: bool,
    /// Whether a kept connection that had ended before would have failed just so.
    pub(super) stale: bool,
    pub(super) timeout: Option<&'static str>,
    pub(super) message: String,
}

impl Sending {
    pub(super) fn new(head: Bytes, body: Bytes) -> Self {
        let whole = head.len() + body.len();
        let rest = if body.len() <= MAX_JOINED_BYTES {
            let joined = [head, body].concat();
            Bytes::from(joined).chain(Bytes::new())
        } else {
            head.chain(body)
        };
        Self { rest, whole, over: false }
    }

    /// Sends as much as is taken now; ready when all of it has left.
    pub(super) fn poll(
        &mut self,
        stream: &mut Stream,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        while self.rest.has_remaining() {
            match pin!(stream.write_buf(&mut self.rest)).poll(cx)? {
                Poll::Ready(0) => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                Poll::Ready(_) => {}
                Poll::Pending => return Poll::Pending,
            }
        }
        let flushed = Pin::new(stream).poll_flush(cx);
        self.over = matches!(flushed, Poll::Ready(Ok(())));
        flushed
    }

    fn begun(&self) -> bool {
        self.rest.remaining() < self.whole
    }

    /// Whether the body is sent from there.
    #[cfg(test)]
    pub(super) fn lies_at(&self, body: *const u8) -> bool {
        self.rest.last_ref().as_ptr() == body
    }
}

/// Sends a request and reads the head of its answer. `patience` is counted from when the server last
/// took some of the request.
///
/// # Errors
/// [`Broken`], where no head came that can be understood.
pub(super) async fn exchange(
    mut stream: Stream,
    sending: Sending,
    method: &Method,
    patience: Duration,
) -> Result<Answered, Broken> {
    let mut talk = Talk::new(sending);
    let mut deadline = pin!(sleep(patience));
    let head =
        std::future::poll_fn(|cx| talk.poll(&mut stream, cx, method, &mut deadline, patience));
    let head = head.await?;
    let Talk { sending, refused, arrived, .. } = talk;
    // An answer that says no is not argued with (RFC 9112 section 9.5); a good one may come while
    // the server still reads.
    let unsent = (!sending.over).then_some(sending);
    let gives_up = unsent.is_some() && (refused.is_some() || !head.status.is_success());
    let head = Head { persists: head.persists && !gives_up, ..head };
    // An empty rest would still hold on to the memory of the head for as long as the body lasts.
    let early = if arrived.is_empty() { Bytes::new() } else { arrived.freeze() };
    Ok(Answered { stream, head, early, unsent: unsent.filter(|_| !gives_up) })
}

/// What is known while both are under way.
struct Talk {
    sending: Sending,
    /// Why the server takes no more of the request. It may have answered before.
    refused: Option<io::Error>,
    arrived: BytesMut,
    /// Whether any byte of an answer has arrived.
    heard: bool,
    /// Bytes of 1xx answers.
    seen: usize,
    stride: Stride,
    since: Instant,
}

impl Talk {
    fn new(sending: Sending) -> Self {
        Self {
            sending,
            refused: None,
            arrived: BytesMut::new(),
            heard: false,
            seen: 0,
            stride: Stride::default(),
            since: Instant::now(),
        }
    }

    fn poll(
        &mut self,
        stream: &mut Stream,
        cx: &mut Context<'_>,
        method: &Method,
        deadline: &mut Pin<&mut Sleep>,
        patience: Duration,
    ) -> Poll<Result<Head, Broken>> {
        if !self.sending.over && self.refused.is_none() {
            let before = self.sending.rest.remaining();
            if let Poll::Ready(Err(error)) = self.sending.poll(stream, cx) {
                self.refused = Some(error);
            }
            if self.sending.rest.remaining() < before {
                deadline.as_mut().reset(Instant::now() + patience);
            }
        }
        loop {
            let room = head::MAX_HEAD_BYTES;
            let found = match stream.poll_into(cx, &mut self.arrived, room, &mut self.stride) {
                Poll::Pending => break,
                Poll::Ready(found) => found,
            };
            match found {
                Ok(0) => return Poll::Ready(Err(self.ended(None))),
                Ok(_) => self.heard = true,
                Err(error) => return Poll::Ready(Err(self.ended(Some(error)))),
            }
            match head::decode(&mut self.arrived, &mut self.seen, method) {
                Ok(Some(head)) => return Poll::Ready(Ok(head)),
                Ok(None) => {}
                Err(message) => return Poll::Ready(Err(self.broken(None, message))),
            }
        }
        if deadline.as_mut().poll(cx).is_ready() {
            let message = format!("no answer within {patience:?}");
            return Poll::Ready(Err(self.broken(Some("first_byte"), message)));
        }
        Poll::Pending
    }

    /// The connection ended, or failed.
    fn ended(&mut self, error: Option<io::Error>) -> Broken {
        let ends = error.as_ref().is_none_or(|error| {
            use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
            let kind = error.kind();
            matches!(kind, BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
        });
        let message = match self.refused.take().or(error) {
            Some(error) => format!("the connection broke before an answer: {error}"),
            None => "the connection ended before an answer".to_owned(),
        };
        let stale = ends && !self.heard && self.since.elapsed() <= STALE_WITHIN;
        Broken { stale, ..self.broken(None, message) }
    }

    fn broken(&self, timeout: Option<&'static str>, message: String) -> Broken {
        Broken { sent: self.sending.begun(), stale: false, timeout, message }
    }
}
