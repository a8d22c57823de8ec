//! The seam between the wire and what calls do.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc};

use crate::access::peer::Peer;
use crate::platform::ipc::Stream;
use crate::rpc::error::RpcError;
use crate::rpc::message;

/// What accepts connections: makes one [`Session`] for each peer that speaks in lines.
pub trait Service: Send + Sync + 'static {
    /// The behaviour of one connection.
    type Session: Session;

    /// A peer of our own user has said its first byte. `outbox` reaches it for as long as it stays.
    fn open(&self, peer: Peer, outbox: Outbox) -> Self::Session;

    /// A peer of another user is turned away.
    fn refused(&self, peer: &Peer);

    /// Serves a peer of our own user that speaks something else than lines; `read` is what it has said
    /// so far. Who knows nothing else hangs up.
    fn other(&self, stream: Stream, read: Vec<u8>, peer: Peer) -> Served {
        let _ = (stream, read, peer);
        Box::pin(async {})
    }

    /// Turns away a peer that speaks something else than lines, in its own dialect where that is known.
    fn refuse_other(&self, stream: Stream, read: Vec<u8>, refusal: Refusal) -> Served {
        let _ = (stream, read, refusal);
        Box::pin(async {})
    }
}

/// A connection that is served in another dialect, until it ends.
pub type Served = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Why a peer is turned away before it has said anything.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Another user.
    Stranger,
    /// One connection too many.
    Crowd,
}

/// What one connection's calls do.
pub trait Session: Send + 'static {
    /// Tries to answer without waiting; where that works, appends the bytes of the `result` member.
    fn now(&mut self, method: &str, params: Option<&RawValue>, result: &mut Vec<u8>) -> Now;

    /// Answers by waiting. The future is dropped when the call is cancelled or the peer is gone. `id` is
    /// the call's, for notifications that belong to it.
    fn later(&mut self, id: Option<&RawValue>, method: &str, params: Option<&RawValue>) -> Later;

    /// Answers given by [`Self::now`] have been written to the peer: time for bookkeeping that must
    /// delay nobody.
    fn flushed(&mut self) {}

    /// Whether the call sends notifications before its answer, for which a batch has no place.
    fn streams(&self, method: &str, params: Option<&RawValue>) -> bool {
        let _ = (method, params);
        false
    }
}

/// What [`Session::now`] came to.
#[derive(Debug)]
pub enum Now {
    /// The result is appended.
    Done,
    /// Refused.
    Error(RpcError),
    /// It takes waiting, and nothing is appended: [`Session::later`] is to be asked.
    Later,
}

/// A call under way.
pub type Later = Pin<Box<dyn Future<Output = Result<Box<RawValue>, RpcError>> + Send>>;

/// Sends notifications to one peer.
#[derive(Clone, Debug)]
pub struct Outbox {
    lines: mpsc::Sender<Lines>,
    /// What may wait for the peer in all, in bytes: streams send many lines at once.
    room: Arc<Semaphore>,
}

/// Whole lines on their way to the peer, and the room that they take.
#[derive(Debug)]
pub(super) struct Lines {
    pub(super) bytes: Vec<u8>,
    _room: OwnedSemaphorePermit,
}

/// Bytes that wait for a slow reader at most, before whoever sends them waits too.
const OUTBOX_BYTES: usize = 256 * 1024;

/// The peer is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the peer is gone")]
pub struct Gone;

impl Outbox {
    /// An outbox, and where what is put into it comes out.
    pub(super) fn new(lines: usize) -> (Self, mpsc::Receiver<Lines>) {
        let (lines, taken) = mpsc::channel(lines);
        (Self { lines, room: Arc::new(Semaphore::new(OUTBOX_BYTES)) }, taken)
    }

    /// Sends whole lines, each of them a notification, and waits while the peer is slow to read.
    ///
    /// # Errors
    /// [`Gone`] when there is nobody to read them any more.
    pub async fn lines(&self, bytes: Vec<u8>) -> Result<(), Gone> {
        // What is larger than the room waits until it has all of it.
        let size = u32::try_from(bytes.len().min(OUTBOX_BYTES)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room).acquire_many_owned(size).await.map_err(|_| Gone)?;
        self.lines.send(Lines { bytes, _room: room }).await.map_err(|_| Gone)
    }

    /// Sends a notification, and waits while the peer is slow to read.
    ///
    /// # Errors
    /// [`Gone`] when there is nobody to read it any more.
    ///
    /// # Panics
    /// Where `params` cannot be written as JSON, which is a defect of the caller's type.
    pub async fn notify(&self, method: &str, params: &impl Serialize) -> Result<(), Gone> {
        let mut line = Vec::new();
        message::write_notification(&mut line, method, params).expect("parameters are plain data");
        line.push(b'\n');
        self.lines(line).await
    }

    /// Resolves when the peer is gone: the end of whatever was done for it alone.
    pub async fn gone(&self) {
        self.lines.closed().await;
    }
}
