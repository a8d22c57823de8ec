//! A stand-in for the vendor: an issuer and a backend in one process, over real HTTP, in memory.
//!
//! It exists so that a newcomer can see the whole program work without an account, and so that tests
//! meet an issuer as strict as the real one: refresh tokens work once, a replayed one ends its whole
//! family, tokens are signed and expire, device polls that hurry are refused. The daemon cannot tell
//! it from any other issuer.
//!
//! One origin serves both halves. The issuer is [`Sandbox::url`]; the API begins at `/backend-api`
//! below it. It listens on loopback only, and everything it knows is gone when it stops.
//!
//! The levers stand under `/_sandbox/` and speak JSON:
//!
//! | lever | what it does |
//! |---|---|
//! | `POST faults`, `GET`, `DELETE` | scripts what goes wrong, e.g. `{"on": "refresh", "drop": "after"}` |
//! | `GET settings`, `POST` | who signs in, token lives, the device interval, what the model says: `reply`, `call_tool`, or a stream of the test's own (`events`, `finish`, `times`) |
//! | `POST approve`, `POST deny` | decides for the person: `{"user_code": ...}`, or `{"state": ...}` of an open authorize page |
//! | `POST revoke_access` | every access token issued so far is refused from now on |
//! | `POST revoke_family` | every login is ended, refresh tokens included |
//! | `POST rotate_keys` | signs with a new key; `{"keep": false}` withdraws the old ones |
//! | `GET stats` | counters, and some headers of the latest request of each kind |
//! | `GET wait?on=refresh&in_flight=1` | the counters, once so many requests are in flight, have come (`count`), are `answered`, `streaming` or `aborted` |
//! | `GET requests` | the latest completion requests: headers and bodies, never the token |

mod account;
mod answers;
mod authorize;
mod backend;
mod bounded;
mod catalogue;
mod connection;
mod control;
mod device;
mod faults;
mod form;
mod grants;
mod issuer;
mod keys;
mod reply;
mod seen;
mod settings;
mod stats;
mod stream;
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]
mod tests;
mod world;

use std::io;
use std::net::Ipv4Addr;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::DefaultBodyLimit;
use axum::routing::{get, post};
use axum::{Router, middleware};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::clock::Clock;
use connection::{Cord, Port};
use keys::Keys;
use settings::Settings;
use world::{App, Shared, World};

/// The client id that OpenAI gave its native Codex clients. Public by design: RFC 8252 section 8.5.
const CODEX_CLIENT_ID: &str = "app_EMoamEEZ73f0CkXaXp7hrann";

/// The largest request to the issuer and the levers; a token request has a few hundred bytes.
const SMALL_BODY_BYTES_MOST: usize = 256 * 1024;

/// The largest completion request: a long conversation with some pictures in it.
const LARGE_BODY_BYTES_MOST: usize = 64 * 1024 * 1024;

/// How long a stop waits for answers under way before it leaves them.
const STOP_WAIT: Duration = Duration::from_secs(2);

/// How to start a [`Sandbox`].
#[derive(Clone, Debug)]
pub struct Options {
    /// The port on 127.0.0.1; 0 for any free one.
    pub port: u16,
    /// What codes, tokens and `Date` go by.
    pub clock: Clock,
    /// Logins are approved without a click.
    pub approve: bool,
    /// An access token's life; counted in whole seconds.
    pub access_ttl: Duration,
    /// The one client that is known.
    pub client_id: String,
    /// The ports on which its `/auth/callback` may be.
    pub callback_ports: Vec<u16>,
    /// Allows that callback on every loopback port (RFC 8252 section 7.3). The real issuer does not.
    pub any_callback_port: bool,
}

impl Default for Options {
    /// As the real issuer: ten-day tokens, callbacks on 1455 and 1457 only, a person who decides.
    fn default() -> Self {
        Self {
            port: 0,
            clock: Clock::System,
            approve: false,
            access_ttl: Duration::from_secs(10 * 24 * 3600),
            client_id: CODEX_CLIENT_ID.to_owned(),
            callback_ports: vec![1455, 1457],
            any_callback_port: false,
        }
    }
}

/// A running stand-in vendor. Ends when stopped or dropped.
#[derive(Debug)]
pub struct Sandbox {
    url: String,
    stop: DropGuard,
    server: JoinHandle<()>,
}

impl Sandbox {
    /// Makes a signing key, binds the port and serves in the background of the current runtime.
    ///
    /// # Errors
    /// Where the port cannot be bound.
    pub async fn start(options: Options) -> io::Result<Self> {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, options.port)).await?;
        let url = format!("http://127.0.0.1:{}", listener.local_addr()?.port());
        let keys = tokio::task::spawn_blocking(Keys::generate).await.map_err(io::Error::other)?;
        let settings = Settings::new(options.approve, options.access_ttl.as_secs());
        let app = Arc::new(Shared::new(url.clone(), &options, World::new(settings, keys)));
        let stop = app.stop.clone();
        let server = tokio::spawn(serve(listener, app, stop.clone()));
        Ok(Self { url, stop: stop.drop_guard(), server })
    }

    /// `http://127.0.0.1:PORT`: the issuer's name, and with `/backend-api` behind it the API's base.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Stops listening, ends stalled answers, and waits a moment for those under way.
    pub async fn stop(self) {
        let Self { stop, mut server, .. } = self;
        drop(stop);
        if tokio::time::timeout(STOP_WAIT, &mut server).await.is_err() {
            server.abort();
        }
    }
}

async fn serve(listener: TcpListener, app: App, stop: CancellationToken) {
    let service = routes(app).into_make_service_with_connect_info::<Cord>();
    let served =
        axum::serve(Port(listener), service).with_graceful_shutdown(stop.cancelled_owned()).await;
    if let Err(error) = served {
        tracing::warn!(%error, "the sandbox stopped serving");
    }
}

fn routes(app: App) -> Router {
    let issuer = Router::new()
        .route("/oauth/authorize", get(authorize::authorize).post(authorize::decided))
        .route("/oauth/token", post(issuer::token))
        .route("/oauth/revoke", post(issuer::revoke))
        .route("/.well-known/jwks.json", get(issuer::jwks))
        .route("/api/accounts/deviceauth/usercode", post(device::usercode))
        .route("/api/accounts/deviceauth/token", post(device::poll))
        .route("/codex/device", get(device::page).post(device::typed));
    let backend = Router::new()
        .route("/codex/models", get(backend::models))
        .route("/wham/usage", get(account::usage))
        .route("/codex/usage", get(account::usage))
        .route("/wham/accounts/check", get(account::accounts))
        .route("/wham/settings/user", get(account::settings));
    let turns = Router::new()
        .route("/backend-api/codex/responses", post(backend::responses).get(backend::websocket))
        .layer(DefaultBodyLimit::max(LARGE_BODY_BYTES_MOST));
    let levers = Router::new()
        .route(
            "/faults",
            post(control::add_faults).get(control::list_faults).delete(control::clear_faults),
        )
        .route("/settings", post(control::settings).get(control::settings))
        .route("/approve", post(control::approve))
        .route("/deny", post(control::deny))
        .route("/revoke_access", post(control::revoke_access))
        .route("/revoke_family", post(control::revoke_family))
        .route("/rotate_keys", post(control::rotate_keys))
        .route("/stats", get(control::stats))
        .route("/requests", get(control::requests))
        .route("/wait", get(control::wait))
        .layer(middleware::from_fn(control::same_origin));
    issuer
        .nest("/backend-api", backend)
        .nest("/_sandbox", levers)
        .layer(DefaultBodyLimit::max(SMALL_BODY_BYTES_MOST))
        .merge(turns)
        .with_state(app)
}
