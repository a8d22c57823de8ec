//! The seam between the wire and what calls do.

use std::future::Future;
use std::pin::Pin;

use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::mpsc;

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

    /// Answers by waiting. The future is dropped when the call is cancelled or the peer is gone.
    fn later(&mut self, method: &str, params: Option<&RawValue>) -> Later;

    /// Answers given by [`Self::now`] have been written to the peer: time for bookkeeping that must
    /// delay nobody.
    fn flushed(&mut self) {}

    /// Whether the method sends notifications before its answer, for which a batch has no place.
    fn streams(&self, method: &str) -> bool {
        let _ = method;
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
pub struct Outbox(pub(super) mpsc::Sender<Vec<u8>>);

/// The peer is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the peer is gone")]
pub struct Gone;

impl Outbox {
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
        self.0.send(line).await.map_err(|_| Gone)
    }

    /// Resolves when the peer is gone: the end of whatever was done for it alone.
    pub async fn gone(&self) {
        self.0.closed().await;
    }
}
