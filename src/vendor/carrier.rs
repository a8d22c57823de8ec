//! How a completion travels to the API and its answer back: streamed, pooled, cancelled by dropping.
//!
//! An answer of this kind is thousands of chunks of a hundred bytes each. A general client hands them
//! over one by one, each through a task and a channel, and that hand-over costs more than everything
//! else done with them. This client does one thing: it posts a body, waits for the head and then takes
//! from the socket whatever is there, undoes the framing of all of it in one pass where it lies, and
//! hands it over at once. There is no task and no channel of its own, and a stream that waits holds no
//! buffer. TCP, TLS, the rules for proxies and the parsing of heads are other people's.
//!
//! # Trying again
//!
//! A server may end a kept connection at any time, and the end may cross a request on the way
//! (RFC 9112 section 9.5). A request that is met by such an end is sent once more on a new connection,
//! and only then: the connection was a kept one, no byte of an answer came, and the failure (an end or
//! a refused write) came within [`STALE_WITHIN`]. Section 9.3.1 allows no more for a request that
//! is not idempotent: an end that comes later may be the end of the work, and one on a new connection
//! cannot be an old end.

mod connect;
mod exchange;
mod framing;
mod head;
mod incoming;
mod pool;
mod stream;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Method, StatusCode};
use hyper_util::client::proxy::matcher::Matcher;
use reqwest::Url;
use rustls::ClientConfig;

use super::wire::NoAnswer;
use connect::{Connector, Target};
use exchange::{Answered, Sending};
pub use incoming::Incoming;
use pool::Pool;

/// How soon after a request a kept connection must fail to count as one that had ended before: some
/// round trips to the far side of the world. A server that had taken the request up would rarely have
/// given it up by then.
pub const STALE_WITHIN: Duration = Duration::from_secs(2);

/// Sends requests to APIs. Cheap to clone; one pool of kept connections for all clones.
#[derive(Clone)]
pub struct Carrier {
    shared: Arc<Shared>,
}

struct Shared {
    connector: Connector,
    pool: Arc<Pool>,
}

/// One request. It names secrets in its headers and is therefore never printed.
pub struct Request<'a> {
    /// The method; not CONNECT.
    pub method: Method,
    /// Where to, over http or https. User name, password and fragment are not sent.
    pub url: &'a Url,
    /// Everything but `host`, `content-length`, `transfer-encoding` and `connection`, which are the
    /// carrier's and left out where they occur.
    pub headers: &'a HeaderMap,
    /// The whole body. It is sent from where it lies.
    pub body: Bytes,
    /// Bound on looking the name up, TCP, the proxy and TLS together.
    pub connect_timeout: Duration,
    /// Bound on the wait for the whole head, counted from when the server last took some of the
    /// request: a server that stops reading is not waited for longer either.
    pub first_byte_timeout: Duration,
}

/// The head of an answer, and what its body comes from.
pub struct Response {
    /// The status, never 1xx.
    pub status: StatusCode,
    /// The headers as sent.
    pub headers: HeaderMap,
    /// The body. Dropping it before its end closes the connection at once.
    pub body: Incoming,
}

impl Carrier {
    /// A carrier that finds proxies and roots of trust where this system keeps them, when it first
    /// needs them.
    #[must_use]
    pub fn new() -> Self {
        Self::build(None, None)
    }

    /// With these instead of the system's, where given.
    fn build(proxies: Option<Matcher>, tls: Option<Arc<ClientConfig>>) -> Self {
        let connector = Connector::new(proxies, tls);
        Self { shared: Arc::new(Shared { connector, pool: Arc::default() }) }
    }

    /// Sends a request and waits for the head of its answer.
    ///
    /// # Errors
    /// [`NoAnswer`], which says whether the request may have been processed. Its `timeout` is
    /// `connect` or `first_byte`.
    pub async fn send(&self, request: Request<'_>) -> Result<Response, NoAnswer> {
        let target = Target::of(&request).map_err(|why| never_sent(None, why))?;
        let head = head::encode(&request);
        let mut kept = self.shared.pool.take(&target).await;
        let mut sent = false;
        // Twice at most: the second time nothing kept is left to fail.
        loop {
            let (stream, fresh) = match kept.take() {
                Some(stream) => (stream, false),
                None => (self.connect(&target, request.connect_timeout, sent).await?, true),
            };
            let sending = Sending::new(head.clone(), request.body.clone());
            let answered =
                exchange::exchange(stream, sending, &request.method, request.first_byte_timeout);
            match answered.await {
                Ok(answered) => return Ok(self.response(answered, target)),
                Err(broken) if broken.stale && !fresh => sent = broken.sent,
                Err(broken) => {
                    let (sent, timeout) = (sent || broken.sent, broken.timeout);
                    return Err(NoAnswer { sent, timeout, message: broken.message });
                }
            }
        }
    }

    /// Boxed: what connecting needs is much, and it is over while the answer streams.
    async fn connect(
        &self,
        target: &Target,
        timeout: Duration,
        sent: bool,
    ) -> Result<stream::Stream, NoAnswer> {
        let connecting = Box::pin(self.shared.connector.connect(target, timeout));
        match tokio::time::timeout(timeout, connecting).await {
            Ok(Ok(stream)) => Ok(stream),
            Ok(Err(why)) => Err(NoAnswer { sent, ..never_sent(None, why.to_string()) }),
            Err(_) => {
                let message = format!("no connection to {target} within {timeout:?}");
                Err(NoAnswer { sent, ..never_sent(Some("connect"), message) })
            }
        }
    }

    fn response(&self, answered: Answered, target: Target) -> Response {
        let Answered { stream, head, early, unsent } = answered;
        let home = head.persists.then(|| (Arc::clone(&self.shared.pool), target));
        let body = Incoming::new(stream, early, head.framing, unsent, home);
        Response { status: head.status, headers: head.headers, body }
    }
}

fn never_sent(timeout: Option<&'static str>, message: String) -> NoAnswer {
    NoAnswer { sent: false, timeout, message }
}

impl Default for Carrier {
    fn default() -> Self {
        Self::new()
    }
}

impl fmt::Debug for Carrier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Carrier").field("idle", &self.shared.pool.len()).finish_non_exhaustive()
    }
}

/// Without headers: cookies come in them.
impl fmt::Debug for Response {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Response").field("status", &self.status).finish_non_exhaustive()
    }
}
