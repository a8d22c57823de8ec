//! One peer: reads its lines, answers what can be answered at once, keeps track of what cannot.
//!
//! A connection is one task, and a call that [`Session::now`] answers never leaves it: read, look,
//! append the answer, and one write for all lines that arrived together. That is what makes lending
//! a token cost hardly more than an echo. Slow calls run beside it and come back through bounded
//! ways, so that the memory one peer can take is known: its input buffer, its output up to
//! `HIGH_WATER_BYTES` and one answer more, and what its calls in flight hold.
//!
//! While the peer does not read its answers nothing more is read from it, and nothing is taken from
//! its slow calls either: it is slowed down, and it alone.

mod budget;
mod calls;
mod exchange;
mod session;
#[cfg(test)]
mod tests;

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::time::{Instant, Sleep};
use tokio_util::sync::CancellationToken;

use super::codec::{Lines, Next};
use super::error::{Kind, RpcError};
use super::message;
use crate::access::peer::Peer;
use crate::platform::ipc::Stream;

pub use budget::Budget;
pub(crate) use budget::Charge;
use calls::Calls;
pub(crate) use exchange::exchange;
pub use session::{Gone, Later, Now, Outbox, Refusal, Served, Service, Session};

/// Answers waiting to be written, above which nothing more is taken on. A pipelining client gets its
/// answers in writes of about this size.
const HIGH_WATER_BYTES: usize = 256 * 1024;

/// What an output buffer may keep between answers: some tokens' worth.
const KEPT_BYTES: usize = 16 * 1024;

/// Lines up to this length are not counted in the shared budget: with the largest number of clients
/// they come to a few megabytes.
pub(crate) const UNCOUNTED_BYTES: usize = 4 * 1024;

/// Notifications waiting for a slow reader, before whoever sends them waits too.
const OUTBOX_LINES: usize = 64;

/// How often a peer that has stopped sending is looked at, while it is owed answers, to see whether
/// it is still there. Only such peers cost a timer.
const HANG_UP_CHECK: Duration = Duration::from_millis(200);

/// How long a peer that is refused may take to say its first byte, which tells its dialect.
const REFUSAL_PATIENCE: Duration = Duration::from_secs(5);

/// What a connection is served with.
pub(super) struct Terms<S> {
    pub(super) service: Arc<S>,
    pub(super) longest_line: usize,
    pub(super) budget: Budget,
    pub(super) stop: CancellationToken,
}

/// Serves one peer of our own user until it or we are done.
pub(super) async fn run<S: Service>(mut stream: Stream, peer: Peer, terms: &Terms<S>) {
    let mut input = Lines::new(terms.longest_line);
    let first = tokio::select! {
        biased;
        read = stream.read_buf(input.space()) => read,
        () = terms.stop.cancelled() => return,
    };
    if !matches!(first, Ok(1..)) {
        return;
    }
    if !speaks_lines(input.held()) {
        return terms.service.other(stream, input.held().to_vec(), peer).await;
    }
    let (outbox, notifications) = Outbox::new(OUTBOX_LINES);
    let session = terms.service.open(peer, outbox);
    let connection = Connection {
        stream,
        input,
        charge: terms.budget.nothing(),
        calls: Calls::new(session, notifications, terms.budget.clone()),
        out: Vec::new(),
        ended: false,
        stopping: false,
        overlong: false,
        check: None,
    };
    if let Err(e) = connection.serve(&terms.stop).await {
        tracing::debug!(error = %e, "a peer is gone");
    }
}

/// The first byte decides the dialect.
pub(crate) fn speaks_lines(input: &[u8]) -> bool {
    matches!(input.first(), Some(b'{' | b'[' | b' ' | b'\t' | b'\r' | b'\n'))
}

/// Turns a peer away in the dialect of its first byte.
pub(super) async fn refuse<S: Service>(mut stream: Stream, refusal: Refusal, service: &S) {
    let mut first = Vec::with_capacity(1024);
    let read = tokio::time::timeout(REFUSAL_PATIENCE, stream.read_buf(&mut first)).await;
    if !matches!(read, Ok(Ok(1..))) {
        return;
    }
    if !speaks_lines(&first) {
        return service.refuse_other(stream, first, refusal).await;
    }
    let error = match refusal {
        Refusal::Stranger => {
            RpcError::new(Kind::Denied, "This daemon serves the user it runs as, and nobody else.")
        }
        Refusal::Crowd => overloaded("Too many clients are connected; try again shortly."),
    };
    let mut line = Vec::new();
    message::write_error(&mut line, None, &error);
    line.push(b'\n');
    if stream.write_all(&line).await.is_ok() {
        stream.linger().await;
    }
}

/// A refusal for want of room.
fn overloaded(message: &str) -> RpcError {
    RpcError::new(Kind::Overloaded, message).retry_after(Duration::from_secs(1))
}

struct Connection<S: Session> {
    stream: Stream,
    input: Lines,
    /// What the incomplete line takes of the shared budget.
    charge: Charge,
    calls: Calls<S>,
    /// Whole lines to be written.
    out: Vec<u8>,
    /// The peer will send no more.
    ended: bool,
    /// The daemon is to stop: nothing more is read.
    stopping: bool,
    /// A line was too long: nothing after it is looked at.
    overlong: bool,
    /// When to look next whether the peer is still there.
    check: Option<Pin<Box<Sleep>>>,
}

impl<S: Session> Connection<S> {
    async fn serve(mut self, stop: &CancellationToken) -> io::Result<()> {
        let mut stopped = pin!(stop.cancelled());
        loop {
            let more = self.take_lines();
            if !self.out.is_empty() {
                self.write().await?;
            }
            if more {
                continue;
            }
            if self.overlong {
                self.stream.linger().await;
                return Ok(());
            }
            if (self.ended || self.stopping) && self.calls.idle() {
                return Ok(());
            }
            poll_fn(|context| self.poll_wait(context, stopped.as_mut())).await?;
        }
    }

    /// Answers the lines at hand; true where it stopped early because the answers are to be written first.
    fn take_lines(&mut self) -> bool {
        while !self.overlong {
            if self.out.len() >= HIGH_WATER_BYTES {
                return true;
            }
            match self.input.next() {
                Next::Line(line) => {
                    // From here on it is counted as what becomes of it.
                    self.charge.set(0);
                    self.calls.line(line, &mut self.out);
                }
                Next::TooLong => {
                    self.overlong = true;
                    let error = RpcError::new(
                        Kind::InvalidRequest,
                        "The line is too long; the connection ends.",
                    )
                    .hint("`daemon.max_message_bytes` sets how long a line may be.");
                    self.refuse_line(&error);
                }
                Next::More => break,
            }
        }
        if !self.overlong {
            if self.ended
                && let Some(line) = self.input.last()
            {
                self.calls.line(line, &mut self.out);
            }
            self.count_input();
        }
        false
    }

    /// Counts what is held of a line not yet complete, or gives the line up where that is too much.
    fn count_input(&mut self) {
        let pending = self.input.pending();
        let counted = if pending > UNCOUNTED_BYTES { pending } else { 0 };
        if !self.charge.set(counted) {
            self.input.skip();
            self.charge.set(0);
            self.refuse_line(&overloaded("Too many bytes are in flight; try again shortly."));
        }
    }

    fn refuse_line(&mut self, error: &RpcError) {
        message::write_error(&mut self.out, None, error);
        self.out.push(b'\n');
    }

    async fn write(&mut self) -> io::Result<()> {
        self.stream.write_all(&self.out).await?;
        self.stream.flush().await?;
        self.out.clear();
        self.out.shrink_to(KEPT_BYTES);
        self.calls.flushed();
        Ok(())
    }

    /// Takes whatever is there first: answers of slow calls, notifications, input, the end.
    fn poll_wait(
        &mut self,
        context: &mut Context<'_>,
        stopped: Pin<&mut impl Future<Output = ()>>,
    ) -> Poll<io::Result<()>> {
        let mut progress = self.calls.poll(context, &mut self.out) || !self.out.is_empty();
        if !self.stopping {
            if stopped.poll(context).is_ready() {
                self.stopping = true;
                progress = true;
            } else if !self.ended
                && let Poll::Ready(read) =
                    pin!(self.stream.read_buf(self.input.space())).poll(context)
            {
                self.ended = read? == 0;
                progress = true;
            }
        }
        if self.ended && !self.calls.idle() && self.peer_is_gone(context) {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        if progress { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// A peer that will send no more may wait for its answers or be gone altogether, and no work is
    /// to be done for nobody. Looks now, and sees to it that it is asked again.
    fn peer_is_gone(&mut self, context: &mut Context<'_>) -> bool {
        loop {
            if self.stream.hung_up(context) {
                return true;
            }
            let check =
                self.check.get_or_insert_with(|| Box::pin(tokio::time::sleep(HANG_UP_CHECK)));
            if check.as_mut().poll(context).is_pending() {
                return false;
            }
            check.as_mut().reset(Instant::now() + HANG_UP_CHECK);
        }
    }
}
