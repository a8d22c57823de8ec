//! The client that the command line and the tests use: blocking, one call at a time.
//!
//! A person waits for `valetkey token`, so there is no runtime here, no thread and no look-up: one
//! connect, one check of who listens, one write, one read.

use std::io::{self, Read as _, Write as _};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::{RawValue, to_raw_value};

use super::codec::{Lines, Next};
use super::error::RpcError;
use super::message::{self, Incoming};
use crate::platform::ipc;

/// The longest answer that is read: well above the longest message that a daemon takes.
const MAX_ANSWER_BYTES: usize = 256 << 20;

/// What is read at once; a token's answer fits.
const READ_BYTES: usize = 8 * 1024;

/// How long a daemon that does not read may hold up whoever takes a call back.
const CANCEL_TIME_MAX: Duration = Duration::from_secs(1);

/// A connection to the daemon.
#[derive(Debug)]
pub struct Client {
    stream: ipc::BlockingStream,
    input: Lines,
    last_id: u64,
    timeout: Option<Duration>,
}

/// Takes one call of a [`Client`] back, whose own thread waits for the answer meanwhile.
#[derive(Debug)]
pub struct Canceller {
    stream: ipc::BlockingStream,
    id: u64,
}

impl Canceller {
    /// Asks the daemon to end the call. Nobody waits for what comes of it: a daemon that does not
    /// get this ends the call when the connection ends.
    pub fn cancel(mut self) {
        let mut line = Vec::new();
        let params = serde_json::json!({ "id": self.id });
        if message::write_notification(&mut line, "cancel", &params).is_ok() {
            line.push(b'\n');
            // See above: neither a bound that cannot be set nor a line that does not go out matters.
            let _ = self.stream.set_timeout(Some(CANCEL_TIME_MAX));
            let _ = self.stream.write_all(&line);
        }
    }
}

/// Why there is no connection.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// Nobody listens, or not for us.
    #[error("no daemon answers at {socket}: {source}")]
    Unreachable {
        /// Where.
        socket: String,
        /// The system's reason.
        source: io::Error,
    },
    /// Another user's process listens there: whatever it lends is not ours, and it must not see what we ask.
    #[error("the socket {socket} belongs to another user{}", uid.map(|uid| format!(" (uid {uid})")).unwrap_or_default())]
    ForeignServer {
        /// Where.
        socket: String,
        /// Whose, where the system tells.
        uid: Option<u32>,
    },
}

impl ClientError {
    /// Whether nobody can ever listen at this address, because the system takes no such name.
    #[must_use]
    pub fn is_of_the_name(&self) -> bool {
        matches!(self, Self::Unreachable { source, .. } if source.kind() == io::ErrorKind::InvalidInput)
    }
}

/// Why a call has no result.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// The daemon refused it.
    #[error("{0}")]
    Refused(RpcError),
    /// The connection broke, or the time-out passed (`TimedOut`).
    #[error("the daemon was lost: {0}")]
    Lost(#[source] io::Error),
    /// What came back makes no sense.
    #[error("the daemon's answer makes no sense: {0}")]
    Garbled(String),
}

impl Client {
    /// Connects, and makes sure that the process at the other end runs under our own user.
    ///
    /// # Errors
    /// See [`ClientError`].
    pub fn connect(socket: &str) -> Result<Self, ClientError> {
        let unreachable = |source| ClientError::Unreachable { socket: socket.to_owned(), source };
        let stream = ipc::connect_blocking(socket).map_err(unreachable)?;
        if let ipc::Server::Foreign(uid) = stream.server().map_err(unreachable)? {
            return Err(ClientError::ForeignServer { socket: socket.to_owned(), uid });
        }
        Ok(Self { stream, input: Lines::new(MAX_ANSWER_BYTES), last_id: 0, timeout: None })
    }

    /// Bounds the whole of each later call.
    pub fn set_timeout(&mut self, timeout: Option<Duration>) {
        self.timeout = timeout;
    }

    /// A way to take back the next call from another thread.
    ///
    /// # Errors
    /// Where this process may open nothing more.
    pub fn canceller(&self) -> io::Result<Canceller> {
        Ok(Canceller { stream: self.stream.another()?, id: self.last_id + 1 })
    }

    /// Calls `method` and passes over whatever notifications come meanwhile.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn call<P: Serialize, R: DeserializeOwned>(
        &mut self,
        method: &str,
        params: &P,
    ) -> Result<R, CallError> {
        let params = to_raw_value(params).map_err(|e| CallError::Garbled(e.to_string()))?;
        let mut line = Vec::new();
        let result = self.exchange(method, &params, &mut line, &mut |_, _| {})?;
        serde_json::from_str(result.get()).map_err(|e| CallError::Garbled(e.to_string()))
    }

    /// As [`Self::call`], with parameters and result as they are on the wire, and with a look at each
    /// notification that comes before the answer.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn call_raw(
        &mut self,
        method: &str,
        params: &RawValue,
        on_notification: &mut dyn FnMut(&str, &RawValue),
    ) -> Result<Box<RawValue>, CallError> {
        let mut line = Vec::new();
        self.exchange(method, params, &mut line, on_notification).map(ToOwned::to_owned)
    }

    /// Shows each notification that comes within `span`, and passes over answers that nobody waits for
    /// any more.
    ///
    /// # Errors
    /// See [`CallError`].
    pub fn wait(
        &mut self,
        span: Duration,
        on_notification: &mut dyn FnMut(&str, &RawValue),
    ) -> Result<(), CallError> {
        let end = Instant::now() + span;
        loop {
            match self.read_line(Some(end)) {
                Ok(line) => {
                    if let Incoming::Notification { method, params } = understood(&line)? {
                        on_notification(&method, params.unwrap_or(RawValue::NULL));
                    }
                }
                Err(CallError::Lost(e)) if e.kind() == io::ErrorKind::TimedOut => return Ok(()),
                Err(e) => return Err(e),
            }
        }
    }

    /// Not generic: each type of parameters would bring a copy of all this.
    fn exchange<'a>(
        &mut self,
        method: &str,
        params: &RawValue,
        line: &'a mut Vec<u8>,
        on_notification: &mut dyn FnMut(&str, &RawValue),
    ) -> Result<&'a RawValue, CallError> {
        self.last_id += 1;
        let id = self.last_id;
        message::write_call(line, Some(id), method, &params)
            .map_err(|e| CallError::Garbled(e.to_string()))?;
        line.push(b'\n');
        let deadline = self.timeout.map(|timeout| Instant::now() + timeout);
        self.bound(deadline)?;
        // A daemon that turned us away has said why and may have closed already.
        let written = self.stream.write_all(line);
        loop {
            *line = match self.read_line(deadline) {
                Ok(read) => read,
                Err(CallError::Lost(e)) => return Err(CallError::Lost(written.err().unwrap_or(e))),
                Err(e) => return Err(e),
            };
            match understood(line)? {
                Incoming::Notification { method, params } => {
                    on_notification(&method, params.unwrap_or(RawValue::NULL));
                }
                // Refused before the id was read; only the call at hand can be meant.
                Incoming::Answer { id: seen, outcome: Err(error) } if seen.get() == "null" => {
                    return Err(CallError::Refused(error));
                }
                Incoming::Answer { id: seen, .. } if seen.get() == id.to_string() => break,
                // The late answer of a call that timed out.
                Incoming::Answer { .. } => {}
            }
        }
        match understood(line)? {
            Incoming::Answer { outcome, .. } => outcome.map_err(CallError::Refused),
            Incoming::Notification { .. } => {
                Err(CallError::Garbled("an answer turned into a notification".into()))
            }
        }
    }

    fn read_line(&mut self, deadline: Option<Instant>) -> Result<Vec<u8>, CallError> {
        loop {
            match self.input.next() {
                Next::Line(line) => return Ok(line.to_vec()),
                Next::TooLong => return Err(CallError::Garbled("it is too long".into())),
                Next::More => {}
            }
            self.bound(deadline)?;
            let mut chunk = [0; READ_BYTES];
            match self.stream.read(&mut chunk) {
                Ok(0) => return Err(CallError::Lost(io::ErrorKind::UnexpectedEof.into())),
                Ok(count) => self.input.space().extend_from_slice(&chunk[..count]),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => {
                    return Err(CallError::Lost(io::ErrorKind::TimedOut.into()));
                }
                Err(e) => return Err(CallError::Lost(e)),
            }
        }
    }

    /// Lets no read or write outlast the deadline. Costs nothing where there is none.
    fn bound(&mut self, deadline: Option<Instant>) -> Result<(), CallError> {
        let Some(deadline) = deadline else {
            return Ok(());
        };
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(CallError::Lost(io::ErrorKind::TimedOut.into()));
        }
        self.stream.set_timeout(Some(left)).map_err(CallError::Lost)
    }
}

fn understood(line: &[u8]) -> Result<Incoming<'_>, CallError> {
    let text = std::str::from_utf8(line).map_err(|e| CallError::Garbled(e.to_string()))?;
    message::incoming(text).map_err(CallError::Garbled)
}
