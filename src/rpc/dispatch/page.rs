//! The page in a browser, as the calls see it: who opens it, and what it may call.
//!
//! A page is a guest. It shows what is known and does what a person does by hand, sign in and out; it
//! lends nothing, makes no keys and ends no daemon, so that whatever a browser may be tricked into is
//! bounded here, below any door. The listener that serves it belongs to a room above this one, so it
//! is reached through a slot.

use std::sync::Arc;

use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot};

use super::trail::Trail;
use super::{Caller, Dispatcher, Surface};
use crate::access::peer::Peer;
use crate::login::LoginError;
use crate::rpc::connection::{Later, Now, Outbox, Service, Session};
use crate::rpc::error::{Kind, RpcError};
use crate::rpc::{Empty, PageOpened};

/// A request for an address that opens the page; the answer is that, or why there is none.
pub type PageRequest = oneshot::Sender<Result<PageOpened, RpcError>>;

/// Requests waiting their turn. Each takes no longer than opening a port.
const WAITING: usize = 4;

/// What the page is called in the trail.
const NAME: &str = "page";

/// The methods that the page may call. Neither a token, nor a key, nor another page comes of any.
const ALLOWED: [&str; 14] = [
    "ping",
    "info",
    "status",
    "accounts.list",
    "accounts.use",
    "usage",
    "models",
    "audit.tail",
    "login.start",
    "login.wait",
    "login.poll",
    "login.cancel",
    "login.complete",
    "logout",
];

impl Surface {
    /// Where requests for the page arrive from now on. Whoever takes them serves the page.
    #[must_use]
    pub fn page_requests(&self) -> mpsc::Receiver<PageRequest> {
        let (requests, taken) = mpsc::channel(WAITING);
        *self.page() = Some(requests);
        taken
    }
}

/// An address that opens the page, once.
pub(super) async fn open(surface: &Surface, _: Empty) -> Result<PageOpened, RpcError> {
    let stopping = || RpcError::from(LoginError::Stopping);
    let requests = surface.page().clone().ok_or_else(stopping)?;
    let (reply, answer): (PageRequest, _) = oneshot::channel();
    requests.send(reply).await.map_err(|_| stopping())?;
    answer.await.map_err(|_| stopping())?
}

/// The dispatcher, as far as the page may use it.
#[derive(Clone, Debug)]
pub(crate) struct ForPage(pub(crate) Dispatcher);

impl Service for ForPage {
    type Session = PageCaller;

    fn open(&self, peer: Peer, outbox: Outbox) -> PageCaller {
        let trail = Trail::new(Arc::clone(&self.0.0), peer);
        PageCaller(self.0.caller(trail.named(Some(NAME.to_owned())).looking_on(), outbox))
    }

    fn refused(&self, peer: &Peer) {
        self.0.refused(peer);
    }
}

/// The calls of one request of the page.
#[derive(Debug)]
pub(crate) struct PageCaller(Caller);

impl Session for PageCaller {
    fn now(&mut self, method: &str, params: Option<&RawValue>, result: &mut Vec<u8>) -> Now {
        if !ALLOWED.contains(&method) {
            let message = format!("{method:?} is not for the page");
            return Now::Error(RpcError::new(Kind::Denied, message).hint("use the command line"));
        }
        self.0.now(method, params, result)
    }

    fn later(&mut self, id: Option<&RawValue>, method: &str, params: Option<&RawValue>) -> Later {
        self.0.later(id, method, params)
    }

    fn flushed(&mut self) {
        self.0.flushed();
    }

    fn streams(&self, method: &str, params: Option<&RawValue>) -> bool {
        self.0.streams(method, params)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_that_lends_or_rules_is_for_the_page() {
        for method in [
            "token",
            "lease",
            "keys.add",
            "keys.list",
            "keys.revoke",
            "shutdown",
            "reload",
            "import",
            "page.open",
            "responses.create",
            "chat.completions.create",
            "subscribe",
        ] {
            assert!(!ALLOWED.contains(&method), "{method}");
        }
    }
}
