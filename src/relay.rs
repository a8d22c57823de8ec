//! What passes through to the vendor's API with a token that stays here.
//!
//! A completion is shaped to what the backend takes, sent with a borrowed token, and its answer passed
//! on as it comes. What a client is answered is decided before its first byte: until then a token that
//! was refused is renewed, an overload waited out, a parameter that nobody takes dropped. After it
//! nothing is repeated, because nobody can take back what was said.

mod attempt;
pub mod chat;
pub mod failure;
mod flight;
pub mod flow;
pub mod forms;
pub mod headers;
mod keeping;
pub mod models;
pub mod passing;
mod reached;
pub mod rebuild;
pub mod routing;
pub mod sanitise;
pub mod sse;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]
mod tests;
pub mod usage;
mod verdict;

use std::collections::BTreeMap;
use std::fmt;
use std::future::poll_fn;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::task::{Context, Poll, ready};

use bytes::Bytes;
use http::HeaderMap;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, broadcast};

use crate::clock::Clock;
use crate::config::{self, SystemPrompt};
use crate::login::directory::Named;
use crate::login::{LoginError, Logins};
use crate::meter::{Meter, OpenStream, Via};
use crate::vendor::carrier::Carrier;
use chat::Asked;
pub use failure::Failure;
use flow::{Flow, Piece};
use models::{Catalogue, Known, ModelsSource};
pub use reached::Reached;
use routing::{RouteError, Routing};
use sanitise::{Shaped, Terms};
use usage::{Begun, Tokens, Uses};

/// Parameters remembered as refused, of each vendor. There are not so many that a backend could know.
const MOST_LEARNED: usize = 64;

/// A completion, as a client asks for it.
pub struct Ask {
    /// Which API it speaks, and in which dialect.
    pub via: Via,
    /// Who it is, for the counts: a key's name, or a program's.
    pub client: String,
    /// Whose login it shall go through.
    pub named: Named,
    /// The request's headers; none over JSON-RPC.
    pub headers: HeaderMap,
    /// The request's body.
    pub body: Bytes,
}

/// Without headers and body: what people write to a model is nobody's business.
impl fmt::Debug for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ask")
            .field("via", &self.via)
            .field("client", &self.client)
            .finish_non_exhaustive()
    }
}

/// A completion whose answer has begun.
#[derive(Debug)]
pub struct Carried {
    /// Headers for the client.
    pub headers: HeaderMap,
    /// What was dropped of its request, by name.
    pub dropped: Vec<String>,
    /// Whether it wants a stream.
    pub stream: bool,
    /// The answer, in the Responses API's events.
    pub flow: Counted,
    /// What the client asked in Chat Completions' terms, if it did.
    pub chat: Option<Asked>,
}

/// Where the relay keeps what outlives the daemon. None of it is worth more than a question to the API.
#[derive(Clone, Debug)]
pub struct Kept {
    /// The folder of the lists of models.
    pub models: PathBuf,
    /// The file of the counts by the day.
    pub usage: PathBuf,
}

/// Carries completions. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Relay {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    logins: Logins,
    clock: Clock,
    carrier: Carrier,
    catalogue: Catalogue,
    uses: Uses,
    reached: reached::Teller,
    routing: Routing,
    settings: RwLock<config::Relay>,
    /// What each vendor's backend was found to refuse.
    learned: Mutex<BTreeMap<String, Arc<[String]>>>,
    streams: Arc<Semaphore>,
    meter: Meter,
}

impl Relay {
    /// A relay over these logins.
    #[must_use]
    pub fn new(logins: Logins, clock: Clock, settings: config::Relay, kept: Kept) -> Self {
        let streams = Arc::new(Semaphore::new(settings.max_streams));
        Self {
            inner: Arc::new(Inner {
                meter: logins.meter().clone(),
                logins,
                clock,
                carrier: Carrier::new(),
                catalogue: Catalogue::new(kept.models),
                uses: Uses::open(kept.usage),
                reached: reached::Teller::default(),
                routing: Routing::default(),
                settings: RwLock::new(settings),
                learned: Mutex::default(),
                streams,
            }),
        }
    }

    /// The models that there are.
    #[must_use]
    pub fn catalogue(&self) -> &Catalogue {
        &self.inner.catalogue
    }

    /// How much of each subscription is used, and by whom.
    #[must_use]
    pub fn uses(&self) -> &Uses {
        &self.inner.uses
    }

    /// Every limit that a completion meets from now on, each time that one does.
    #[must_use]
    pub fn limits_reached(&self) -> broadcast::Receiver<Reached> {
        self.inner.reached.listen()
    }

    /// The account was signed out: what was learned for it is nobody's any more.
    pub async fn forget(&self, named: &Named) {
        self.inner.catalogue.forget(named).await;
        self.inner.uses.forget(named);
        self.inner.routing.forget(named);
    }

    /// Puts other settings in force; what is under way goes on by the old ones. How many completions are
    /// carried at once stays as it was at the start.
    pub fn configure(&self, settings: config::Relay) {
        *self.inner.settings.write().unwrap_or_else(PoisonError::into_inner) = settings;
    }

    /// Sends a completion and waits for the beginning of its answer. Dropping what is given back cancels it.
    ///
    /// # Errors
    /// [`Failure`], with nothing of an answer passed on.
    pub async fn carry(&self, ask: Ask) -> Result<Carried, Failure> {
        let named = ask.named.clone();
        let carried = self.begin(ask).await;
        if let Err(failure) = &carried {
            self.inner.failed(&named, failure);
        }
        carried
    }

    async fn begin(&self, ask: Ask) -> Result<Carried, Failure> {
        let inner = &self.inner;
        let Ok(place) = Arc::clone(&inner.streams).try_acquire_owned() else {
            return Err(Failure::Overloaded(
                "too many completions are under way here; try again shortly".to_owned(),
            ));
        };
        let begun = inner.uses.begins(&ask.client);
        let login = inner.logins.login(&ask.named).await?;
        let vendor = inner.logins.vendor(&ask.named.vendor).ok_or(LoginError::NotFound)?;
        let chat = match ask.via {
            Via::HttpResponses | Via::RpcResponses => None,
            Via::HttpChat | Via::RpcChat => Some(chat::request(&ask.body)?),
        };
        let known = inner.catalogue.known(&inner.logins, &inner.clock, &ask.named).await?;
        let settings = inner.settings();
        let body = chat.as_ref().map_or(ask.body.as_ref(), |asked| asked.body.as_slice());
        let shaped = inner.shaped(&ask, body, &known, settings.system)?;
        let route = inner
            .routing
            .route(&vendor, &login, &ask.named, &inner.clock)
            .await
            .map_err(unrouted)?;
        let stream = chat.as_ref().map_or(shaped.stream, |asked| asked.stream);
        let mut dropped = chat.as_ref().map_or_else(Vec::new, |asked| asked.dropped.clone());
        dropped.extend(shaped.dropped);
        let attempt = attempt::Attempt {
            inner,
            ask: &ask,
            vendor,
            login,
            route,
            settings,
            // Only a Responses stream can carry a failure of the request's own as an event.
            events: chat.is_none() && stream,
        };
        let (answer, flow) = attempt.carry(shaped.body.into(), &mut dropped).await?;
        inner.uses.observe_headers(&ask.named, &answer, inner.clock.now());
        if let Some(etag) = answer.get("x-models-etag").and_then(|etag| etag.to_str().ok()) {
            inner.catalogue.note_etag(&ask.named, etag);
        }
        dropped.sort_unstable();
        dropped.dedup();
        let flow = Counted {
            flow,
            client: ask.client,
            named: ask.named,
            inner: Arc::clone(inner),
            _place: place,
            _begun: begun,
            _open: inner.meter.stream_opened(ask.via),
        };
        Ok(Carried { headers: headers::back(&answer), dropped, stream, flow, chat })
    }
}

impl Inner {
    /// Counts a failure, and tells of it where it is a reached limit.
    fn failed(&self, named: &Named, failure: &Failure) {
        self.meter.error(failure.kind());
        self.reached.tell(named, failure);
    }

    /// The request as the backend takes it, for a model that there is.
    fn shaped(
        &self,
        ask: &Ask,
        body: &[u8],
        known: &Known,
        system: SystemPrompt,
    ) -> Result<Shaped, Failure> {
        let codex = headers::is_codex(&ask.headers);
        let terms = Terms {
            system,
            codex,
            models: &known.all,
            learned: &self.learned(&ask.named.vendor),
            needs_instructions: &|model| known.needs_instructions(model),
        };
        let mut shaped = sanitise::shape(body, &terms)?;
        if !codex {
            check_model(&shaped.model, known)?;
        }
        if let Some(name) = shaped.conversation.take() {
            let member = format!("\"prompt_cache_key\":\"{name}\",");
            // Behind the opening brace of an object that is never empty.
            shaped.body.splice(1..1, member.into_bytes());
        }
        Ok(shaped)
    }

    fn settings(&self) -> config::Relay {
        self.settings.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn learned(&self, vendor: &str) -> Arc<[String]> {
        let learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        learned.get(vendor).cloned().unwrap_or_default()
    }

    /// Remembers that this vendor's backend refuses a parameter.
    fn learn(&self, vendor: &str, parameter: &str) {
        let mut all = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        let learned = all.entry(vendor.to_owned()).or_default();
        if learned.len() < MOST_LEARNED && !learned.iter().any(|known| known == parameter) {
            tracing::info!(
                vendor,
                parameter,
                "the backend refuses this parameter; it is dropped from now on"
            );
            *learned = learned.iter().cloned().chain([parameter.to_owned()]).collect();
        }
    }
}

fn unrouted(error: RouteError) -> Failure {
    match error {
        RouteError::Login(error) => Failure::Login(error),
        RouteError::Unreachable { message } => Failure::Unreachable(message),
        other => Failure::Routing(other.to_string()),
    }
}

/// A model that nobody offers is refused here, with those that are. Where the list is only this
/// program's own, it may know less than the backend, and the backend decides.
fn check_model(model: &str, known: &Known) -> Result<(), Failure> {
    let fits = known.source == ModelsSource::Builtin || known.all.is_empty();
    if fits || known.all.iter().any(|id| id == model) {
        return Ok(());
    }
    Err(Failure::UnknownModel { asked: model.to_owned(), models: known.ids.clone() })
}

/// An answer under way that counts itself at its end, however it ends.
#[derive(Debug)]
pub struct Counted {
    flow: Flow,
    client: String,
    named: Named,
    inner: Arc<Inner>,
    _place: OwnedSemaphorePermit,
    _begun: Begun,
    _open: OpenStream,
}

impl Counted {
    /// As [`Flow::poll_piece`].
    ///
    /// # Errors
    /// As there.
    pub fn poll_piece(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Piece, Failure>>> {
        let piece = ready!(self.flow.poll_piece(cx));
        if let Some(Err(failure)) = &piece {
            self.inner.failed(&self.named, failure);
        }
        Poll::Ready(piece)
    }

    /// As [`Self::poll_piece`], to be waited for.
    ///
    /// # Errors
    /// As there.
    pub async fn piece(&mut self) -> Option<Result<Piece, Failure>> {
        poll_fn(|cx| self.poll_piece(cx)).await
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let (inner, seen, now) = (&self.inner, self.flow.seen(), self.inner.clock.now());
        inner.meter.bytes(self.flow.bytes());
        if let Some(limits) = &seen.limits {
            inner.uses.observe_event(&self.named, limits, now);
        }
        let spent = seen.tokens.unwrap_or_default();
        let tokens = Tokens { input: spent.input, cached: spent.cached, output: spent.output };
        inner.uses.count(&self.client, tokens, now);
    }
}
