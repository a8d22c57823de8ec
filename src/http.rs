//! The HTTP dialect: the same daemon for clients that can speak to a URL only.
//!
//! It is spoken at two doors. The socket lets in who runs under our user, as the kernel vouches. On
//! loopback TCP anything on the machine can knock, a web page included, so there every request has to
//! show a key and has to come from where it claims (`guard`). Behind either door the routes are the
//! same, and what they do is done by the rooms below. A browser has a listener of its own while somebody
//! looks at the daemon's page (`page`).

pub(crate) mod body;
mod door;
mod guard;
mod metrics;
mod openai;
pub(crate) mod page;
mod segment;
mod stream;
mod subscription;
mod turned_away;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Extension, Request, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use serde_json::json;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::access::keys::Keys;
use crate::access::peer::Peer;
use crate::clock::Clock;
use crate::login::Logins;
use crate::login::directory::Named;
use crate::meter::Meter;
use crate::platform::ipc::Stream;
use crate::relay::Relay;
use crate::rpc::connection::{self, Budget, Outbox, Refusal, Served, Service};
use crate::rpc::dispatch::{self, Dispatcher};
use crate::rpc::server::Limits;
use body::Bounds;
use guard::Rules;
use subscription::Handles;

/// What the doors are made of.
#[derive(Debug)]
pub(crate) struct Parts {
    /// Every login.
    pub(crate) logins: Logins,
    /// Keys and leases.
    pub(crate) keys: Keys,
    /// The time.
    pub(crate) clock: Clock,
    /// What is counted.
    pub(crate) meter: Meter,
    /// The methods.
    pub(crate) dispatcher: Dispatcher,
    /// What carries completions.
    pub(crate) relay: Relay,
    /// The bounds of the line dialect, which hold here too.
    pub(crate) limits: Limits,
    /// The count of bytes in flight, shared with the line dialect.
    pub(crate) budget: Budget,
    /// Ends every connection in good order.
    pub(crate) stop: CancellationToken,
}

/// Both doors. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Http(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    shared: Arc<Shared>,
    router: Router,
    /// Connections of the loopback door at once, and those being turned away there.
    clients: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
    tasks: TaskTracker,
    listening: tokio::sync::Mutex<Option<door::Listening>>,
    stop: CancellationToken,
}

/// What the routes share.
#[derive(Debug)]
struct Shared {
    logins: Logins,
    keys: Keys,
    clock: Clock,
    meter: Meter,
    dispatcher: Dispatcher,
    relay: Relay,
    bounds: Bounds,
    rules: guard::Current,
    refusals: guard::Refusals,
    handles: Handles,
}

/// Who sent a request.
#[derive(Clone, Debug)]
pub(crate) struct Caller {
    /// The key's name, or the program on the socket.
    pub(crate) name: String,
    /// The login that the key lends from; on the socket, whichever the request means.
    pub(crate) bound: Option<Named>,
    /// The process, as far as it is known.
    pub(crate) peer: Peer,
    /// Whether it came by the socket.
    pub(crate) socket: bool,
}

impl Caller {
    /// The key that was shown, for the trail.
    pub(crate) fn key(&self) -> Option<&str> {
        (!self.socket).then_some(self.name.as_str())
    }
}

impl Http {
    /// The doors, the loopback one still closed.
    pub(crate) fn new(parts: Parts) -> Self {
        let shared = Arc::new(Shared {
            logins: parts.logins,
            keys: parts.keys,
            clock: parts.clock,
            meter: parts.meter,
            dispatcher: parts.dispatcher,
            relay: parts.relay,
            bounds: Bounds::new(parts.limits.max_message_bytes, parts.budget),
            rules: guard::Current::default(),
            refusals: guard::Refusals::default(),
            handles: Handles::default(),
        });
        let places = parts.limits.max_clients.min(Semaphore::MAX_PERMITS);
        Self(Arc::new(Inner {
            router: router(&shared),
            shared,
            clients: Arc::new(Semaphore::new(places)),
            refusals: Arc::new(Semaphore::new(door::MAX_REFUSALS)),
            tasks: TaskTracker::new(),
            listening: tokio::sync::Mutex::default(),
            stop: parts.stop,
        }))
    }

    /// Puts a configuration in force: who may knock, and where the loopback door is. One that cannot be
    /// opened is no reason to lend nothing: the log says what to do, and so does whoever needs it.
    pub(crate) async fn configure(&self, config: &crate::config::Http) {
        self.0.shared.rules.set(Rules::new(config));
        self.listen(config.listen).await;
    }

    /// Waits until every connection of the loopback door has ended, which `stop` makes them do.
    pub(crate) async fn ended(&self) {
        self.0.tasks.close();
        self.0.tasks.wait().await;
    }
}

/// The socket's two dialects behind one service.
impl Service for Http {
    type Session = dispatch::Caller;

    fn open(&self, peer: Peer, outbox: Outbox) -> dispatch::Caller {
        self.0.shared.dispatcher.open(peer, outbox)
    }

    fn refused(&self, peer: &Peer) {
        self.0.shared.dispatcher.refused(peer);
    }

    fn other(&self, stream: Stream, read: Vec<u8>, peer: Peer) -> Served {
        let http = self.clone();
        Box::pin(async move { http.serve_socket(stream, read, peer).await })
    }

    fn refuse_other(&self, stream: Stream, read: Vec<u8>, refusal: Refusal) -> Served {
        Box::pin(turned_away::peer(stream, read, refusal))
    }
}

fn router(shared: &Arc<Shared>) -> Router {
    Router::new()
        .route("/healthz", get(health))
        .route("/metrics", get(metrics::show))
        .route("/rpc", post(rpc))
        .merge(subscription::routes())
        .merge(openai::routes())
        .with_state(Arc::clone(shared))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        .layer(from_fn_with_state(Arc::clone(shared), guard::admit))
}

/// That we are here, and which process that is: a client can compare it with what the socket says.
async fn health(State(shared): State<Arc<Shared>>) -> Response {
    let body = json!({
        "status": "ok",
        "pid": std::process::id(),
        "started_at": shared.dispatcher.0.about().started_at,
    });
    axum::Json(body).into_response()
}

/// One message or one batch of the line dialect. For who is known by the kernel only: a key lends, and
/// does not rule.
async fn rpc(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    request: Request,
) -> Response {
    if !caller.socket {
        return unknown(request).await;
    }
    let (parts, body) = request.into_parts();
    let body = match body::read(&parts.headers, body, &shared.bounds).await {
        Ok(body) => body,
        Err(refusal) => return refusal,
    };
    let budget = shared.bounds.budget();
    let answer = connection::exchange(&shared.dispatcher, caller.peer, &body, budget).await;
    if answer.is_empty() {
        return StatusCode::NO_CONTENT.into_response();
    }
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], answer).into_response()
}

async fn unknown(request: Request) -> Response {
    let (parts, body) = request.into_parts();
    body::discard(&parts.headers, body).await;
    let message = "There is no such route here.";
    error(StatusCode::NOT_FOUND, "invalid_request_error", Some("not_found"), message, None)
}

async fn wrong_method(request: Request) -> Response {
    let (parts, body) = request.into_parts();
    body::discard(&parts.headers, body).await;
    let message = "This route does not take that method.";
    let code = Some("method_not_allowed");
    error(StatusCode::METHOD_NOT_ALLOWED, "invalid_request_error", code, message, None)
}

/// An error in the shape that OpenAI's clients read
/// (<https://platform.openai.com/docs/guides/error-codes>).
pub(crate) fn error(
    status: StatusCode,
    kind: &str,
    code: Option<&str>,
    message: &str,
    param: Option<&str>,
) -> Response {
    (status, axum::Json(error_body(kind, code, message, param))).into_response()
}

fn error_body(
    kind: &str,
    code: Option<&str>,
    message: &str,
    param: Option<&str>,
) -> serde_json::Value {
    json!({ "error": { "message": message, "type": kind, "param": param, "code": code } })
}
