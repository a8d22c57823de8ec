//! From a method's name to what it does: the only place where calls meet logins.
//!
//! Lending is answered here and now, from bytes made once a generation. Everything else becomes a future
//! that the connection runs beside its other calls.

mod completions;
mod elsewhere;
mod keys;
mod methods;
mod page;
mod subscription;
mod trail;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;
use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;

use super::connection::{Later, Now, Outbox, Service, Session};
use super::message::named;
use super::{Rejected, RpcError, TokenParams};
use crate::access::audit::Audit;
use crate::access::keys::Keys;
use crate::access::peer::Peer;
use crate::clock::{Clock, Timestamp};
use crate::login::{Lent, LoginError, Logins};
use crate::meter::Meter;
use crate::relay::Relay;
pub use elsewhere::Present;
pub(crate) use page::ForPage;
pub use page::PageRequest;
use trail::Trail;

/// Seconds that a lent token lives at least, unless the caller says otherwise.
const MIN_TTL_SECS: u64 = 60;

/// A request to read the configuration again; the answer says what is wrong with it.
pub type ReloadRequest = oneshot::Sender<Result<(), String>>;

/// What the daemon tells of itself.
#[derive(Clone, Debug)]
pub struct About {
    /// When it started.
    pub started_at: Timestamp,
    /// Where it listens.
    pub socket: String,
}

/// How the loopback door stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Loopback {
    /// The configuration asks for none.
    #[default]
    Closed,
    /// It asks for one here, which could not be had.
    Unavailable(SocketAddr),
    /// It is open here.
    Open(SocketAddr),
}

/// What the surface is made of.
#[derive(Debug)]
pub struct Parts {
    /// Every login.
    pub logins: Logins,
    /// Keys and leases.
    pub keys: Keys,
    /// The trail.
    pub audit: Audit,
    /// The time.
    pub clock: Clock,
    /// What carries completions.
    pub relay: Relay,
    /// What the daemon tells of itself.
    pub about: About,
}

/// Everything that calls act on.
#[derive(Debug)]
pub struct Surface {
    logins: Logins,
    meter: Meter,
    keys: Keys,
    audit: Audit,
    clock: Clock,
    about: About,
    relay: Relay,
    reload: mpsc::Sender<ReloadRequest>,
    stop: CancellationToken,
    clients: watch::Sender<usize>,
    loopback: Mutex<Loopback>,
    /// Reaches whoever serves the page.
    page: Mutex<Option<mpsc::Sender<PageRequest>>>,
}

impl Surface {
    /// A surface of these parts. `reload` reaches whoever owns the configuration; `stop` ends the daemon.
    #[must_use]
    pub fn new(parts: Parts, reload: mpsc::Sender<ReloadRequest>, stop: CancellationToken) -> Self {
        let Parts { logins, keys, audit, clock, relay, about } = parts;
        Self {
            meter: logins.meter().clone(),
            logins,
            keys,
            audit,
            clock,
            about,
            relay,
            reload,
            stop,
            clients: watch::Sender::new(0),
            loopback: Mutex::default(),
            page: Mutex::default(),
        }
    }

    /// What the daemon tells of itself.
    #[must_use]
    pub fn about(&self) -> &About {
        &self.about
    }

    /// How the loopback door stands.
    #[must_use]
    pub fn loopback(&self) -> Loopback {
        *self.loopback.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells how the loopback door stands from now on.
    pub fn set_loopback(&self, loopback: Loopback) {
        *self.loopback.lock().unwrap_or_else(PoisonError::into_inner) = loopback;
    }

    fn page(&self) -> MutexGuard<'_, Option<mpsc::Sender<PageRequest>>> {
        self.page.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many clients are connected, as it changes.
    #[must_use]
    pub fn clients(&self) -> watch::Receiver<usize> {
        self.clients.subscribe()
    }
}

/// The service that connections are served with.
#[derive(Clone, Debug)]
pub struct Dispatcher(pub Arc<Surface>);

impl Dispatcher {
    fn caller(&self, trail: Trail, outbox: Outbox) -> Caller {
        let surface = Arc::clone(&self.0);
        Caller { _present: Present::note(&surface), trail, surface, outbox, subscribed: None }
    }
}

/// Runs a call to its end, counts how it failed, and notes it.
async fn run(
    surface: &Surface,
    trail: Trail,
    method: &str,
    params: Option<&RawValue>,
) -> Result<Box<RawValue>, RpcError> {
    let called = methods::call(surface, method, params).await;
    if let Err(error) = &called {
        surface.meter.error(&methods::kind_name(error));
    }
    trail.note_call(method, params, &called);
    called.map(|(result, _)| result)
}

impl Service for Dispatcher {
    type Session = Caller;

    fn open(&self, peer: Peer, outbox: Outbox) -> Caller {
        self.caller(Trail::new(Arc::clone(&self.0), peer), outbox)
    }

    fn refused(&self, peer: &Peer) {
        Trail::new(Arc::clone(&self.0), peer.clone()).note("connect", None, "denied", None);
    }
}

/// One connection's calls.
#[derive(Debug)]
pub struct Caller {
    surface: Arc<Surface>,
    trail: Trail,
    outbox: Outbox,
    subscribed: Option<CancellationToken>,
    _present: Present,
}

impl Drop for Caller {
    fn drop(&mut self) {
        if let Some(subscription) = self.subscribed.take() {
            subscription.cancel();
        }
    }
}

impl Session for Caller {
    fn now(&mut self, method: &str, params: Option<&RawValue>, result: &mut Vec<u8>) -> Now {
        match method {
            "token" => self.lend_now(params, result),
            "ping" => match named::<super::Empty>(params) {
                Ok(_) => {
                    result.extend_from_slice(b"{}");
                    Now::Done
                }
                Err(error) => Now::Error(error),
            },
            "subscribe" | "unsubscribe" => match named::<super::Empty>(params) {
                Ok(_) => {
                    self.subscribe(method == "subscribe");
                    result.extend_from_slice(b"{}");
                    Now::Done
                }
                Err(error) => Now::Error(error),
            },
            _ => Now::Later,
        }
    }

    fn later(&mut self, id: Option<&RawValue>, method: &str, params: Option<&RawValue>) -> Later {
        if method == "audit.tail" {
            self.trail.settle();
        }
        let (surface, trail) = (Arc::clone(&self.surface), self.trail.branch());
        if let Some(via) = completions::via(method) {
            let call = completions::Call { surface, trail, outbox: self.outbox.clone(), via };
            return Box::pin(call.run(id.map(ToOwned::to_owned), params.map(ToOwned::to_owned)));
        }
        let (method, params) = (method.to_owned(), params.map(ToOwned::to_owned));
        Box::pin(async move { run(&surface, trail, &method, params.as_deref()).await })
    }

    fn flushed(&mut self) {
        self.trail.flushed();
    }

    fn streams(&self, method: &str, params: Option<&RawValue>) -> bool {
        completions::via(method).is_some() && completions::wants_stream(params)
    }
}

impl Caller {
    /// The fast way: no wait, no task switch, no allocation beyond the answer's own bytes.
    fn lend_now(&mut self, params: Option<&RawValue>, result: &mut Vec<u8>) -> Now {
        let params: TokenParams = match named(params) {
            Ok(params) => params,
            Err(error) => return Now::Error(error),
        };
        if params.rejected.is_some() {
            return Now::Later;
        }
        let logins = &self.surface.logins;
        let login = if params.vendor.is_none() && params.account.is_none() {
            logins.default_login()
        } else {
            let named = logins.name(params.vendor.as_deref(), params.account.as_deref());
            named.ok().and_then(|named| logins.find(&named))
        };
        match login.and_then(|login| login.try_lend(min_ttl(&params))) {
            Some(lent) => {
                write_token(&lent, self.surface.clock.now(), result);
                self.trail.lent(&lent);
                self.surface.meter.lent();
                Now::Done
            }
            None => Now::Later,
        }
    }

    fn subscribe(&mut self, on: bool) {
        match (&self.subscribed, on) {
            (None, true) => {
                let ended = CancellationToken::new();
                subscription::start(
                    self.surface.logins.clone(),
                    self.outbox.clone(),
                    ended.clone(),
                );
                self.subscribed = Some(ended);
            }
            (Some(_), false) => {
                if let Some(subscription) = self.subscribed.take() {
                    subscription.cancel();
                }
            }
            _ => {}
        }
    }
}

fn min_ttl(params: &TokenParams) -> Duration {
    Duration::from_secs(params.min_ttl.unwrap_or(MIN_TTL_SECS))
}

/// Waits for a token that suffices, refreshing where the caller was refused with the current one.
async fn lend(surface: &Surface, params: &TokenParams) -> Result<Arc<Lent>, LoginError> {
    let named = surface.logins.name(params.vendor.as_deref(), params.account.as_deref())?;
    let login = surface.logins.login(&named).await?;
    match &params.rejected {
        None => login.lend(min_ttl(params)).await,
        Some(Rejected::Generation(generation)) => login.reject(*generation, min_ttl(params)).await,
        Some(Rejected::Token(token)) => login.reject_token(token, min_ttl(params)).await,
    }
}

/// Writes the `token` result: what changes with time, then what was encoded once.
fn write_token(lent: &Lent, now: Timestamp, out: &mut Vec<u8>) {
    use std::io::Write as _;
    let rest = lent.encoded(encode);
    let _ = write!(out, "{{\"expires_in\":{},", lent.expires_at.since(now).as_secs());
    out.extend_from_slice(rest);
}

/// Everything of a `token` result but `expires_in`, without the opening brace.
fn encode(lent: &Lent) -> Box<[u8]> {
    #[derive(Serialize)]
    struct Rest<'a> {
        access_token: &'a str,
        token_type: &'static str,
        expires_at: Timestamp,
        generation: u64,
        vendor: &'a str,
        account: &'a str,
        account_id: Option<&'a str>,
        headers: std::collections::BTreeMap<&'a str, &'a str>,
    }
    let rest = Rest {
        access_token: lent.access_token.expose(),
        token_type: "Bearer",
        expires_at: lent.expires_at,
        generation: lent.generation,
        vendor: &lent.vendor,
        account: &lent.account,
        account_id: lent.account_id.as_deref(),
        headers: lent.headers.iter().map(|(name, value)| (*name, value.as_str())).collect(),
    };
    let json = serde_json::to_vec(&rest).expect("strings and numbers serialise");
    json[1..].into()
}
