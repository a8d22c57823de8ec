//! The sandbox's one state, and the one way in which a request gets at it.
//!
//! Every route goes through [`Caller::answer`]: there requests are counted, faults strike and the
//! clock is put into `Date`, so that no handler can forget to. A handler itself is a plain function of
//! the state, with no waiting in it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::Value;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::bounded::Bounded;
use super::connection::Cord;
use super::device::Device;
use super::faults::{Fault, Faults, Twist};
use super::grants::Grants;
use super::issuer::{Asked, Code};
use super::keys::Keys;
use super::settings::Settings;
use super::stats::{Endpoint, Stats};
use super::stream::{Cut, Ended, Pieces};
use crate::clock::{Clock, Timestamp};

/// Logins under way that are remembered.
pub(super) const PENDING_MOST: usize = 1000;

/// The largest answer of our own that a fault may be asked to cut.
const ANSWER_BYTES_MOST: usize = 16 * 1024 * 1024;

/// What all handlers share.
pub(super) type App = Arc<Shared>;

/// The parts that never change, and the lock around those that do.
pub(super) struct Shared {
    /// Our origin, which is also the issuer's name.
    pub(super) url: String,
    pub(super) clock: Clock,
    pub(super) client_id: String,
    pub(super) callback_ports: Vec<u16>,
    pub(super) any_callback_port: bool,
    /// Ends stalls and waits when the sandbox stops.
    pub(super) stop: CancellationToken,
    world: Mutex<World>,
    changed: watch::Sender<()>,
}

/// The parts that change.
pub(super) struct World {
    pub(super) settings: Settings,
    pub(super) faults: Faults,
    pub(super) stats: Stats,
    pub(super) keys: Keys,
    pub(super) grants: Grants,
    /// Authorize pages that wait for a person, by the handle in their form.
    pub(super) asked: Bounded<Asked>,
    /// Authorization codes.
    pub(super) codes: Bounded<Code>,
    /// Device logins, by `device_auth_id`.
    pub(super) devices: Bounded<Device>,
}

impl World {
    pub(super) fn new(settings: Settings, keys: Keys) -> Self {
        Self {
            settings,
            faults: Faults::default(),
            stats: Stats::default(),
            keys,
            grants: Grants::new(),
            asked: Bounded::new(PENDING_MOST),
            codes: Bounded::new(PENDING_MOST),
            devices: Bounded::new(PENDING_MOST),
        }
    }
}

impl Shared {
    pub(super) fn new(url: String, options: &super::Options, world: World) -> Self {
        Self {
            url,
            clock: options.clock.clone(),
            client_id: options.client_id.clone(),
            callback_ports: options.callback_ports.clone(),
            any_callback_port: options.any_callback_port,
            stop: CancellationToken::new(),
            world: Mutex::new(world),
            changed: watch::Sender::new(()),
        }
    }

    pub(super) fn now(&self) -> Timestamp {
        self.clock.now()
    }

    /// The state, for a moment. A handler that panicked has left it whole enough to go on.
    pub(super) fn world(&self) -> MutexGuard<'_, World> {
        self.world.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Tells those who wait for a number that one may have changed.
    pub(super) fn announce(&self) {
        self.changed.send_replace(());
    }

    /// Waits until `holds` does, or the sandbox stops.
    pub(super) async fn wait_until(&self, holds: impl Fn(&World) -> bool) {
        let mut changes = self.changed.subscribe();
        while !holds(&self.world()) {
            tokio::select! {
                change = changes.changed() => if change.is_err() { return },
                () = self.stop.cancelled() => return,
            }
        }
    }

    async fn pause(&self, millis: u64) {
        let until = self.now().plus(Duration::from_millis(millis));
        tokio::select! {
            () = self.clock.sleep_until(until) => (),
            () = self.stop.cancelled() => (),
        }
    }

    fn date(&self, skew_secs: i64) -> Option<HeaderValue> {
        let now = self.now().shifted(skew_secs.saturating_mul(1000));
        // HTTP dates end with the year 9999, and so does a sandbox whose clock was set beyond it.
        let last = 253_402_300_799;
        let shown = UNIX_EPOCH + Duration::from_secs(now.as_secs().min(last));
        HeaderValue::try_from(httpdate::fmt_http_date(shown)).ok()
    }
}

/// Who asks: the connection and the headers of one request.
pub(super) struct Caller {
    pub(super) app: App,
    pub(super) headers: HeaderMap,
    cord: Cord,
}

impl FromRequestParts<App> for Caller {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, app: &App) -> Result<Self, StatusCode> {
        let ConnectInfo(cord) = ConnectInfo::<Cord>::from_request_parts(parts, app)
            .await
            .map_err(|_| StatusCode::INTERNAL_SERVER_ERROR)?;
        Ok(Self { app: Arc::clone(app), headers: parts.headers.clone(), cord })
    }
}

/// Counts a request in, and out again even when its client leaves first.
struct Visit {
    app: App,
    endpoint: Endpoint,
    answered: bool,
}

impl Drop for Visit {
    fn drop(&mut self) {
        let left_at = (!self.answered).then(|| self.app.now());
        self.app.world().stats.leave(self.endpoint, left_at);
        self.app.announce();
    }
}

impl Caller {
    /// Answers with what `work` makes of the state, or with what the next fault makes of that.
    pub(super) async fn answer(
        self,
        endpoint: Endpoint,
        work: impl FnOnce(&Shared, &mut World, &HeaderMap, &Twist) -> Response,
    ) -> Response {
        let app = &self.app;
        let fault = {
            let mut world = app.world();
            world.stats.arrive(endpoint, &self.headers);
            world.faults.take(endpoint)
        };
        let mut visit = Visit { app: Arc::clone(app), endpoint, answered: false };
        app.announce();
        let mut response = match fault {
            None => work(app, &mut app.world(), &self.headers, &Twist::default()),
            Some(fault) => self.spoiled(fault, work).await,
        };
        let skew = app.world().settings.date_skew_secs;
        if let Some(date) = app.date(skew) {
            response.headers_mut().insert(header::DATE, date);
        }
        visit.answered = true;
        response
    }

    async fn spoiled(
        &self,
        fault: Fault,
        work: impl FnOnce(&Shared, &mut World, &HeaderMap, &Twist) -> Response,
    ) -> Response {
        let app = &self.app;
        if fault.stall {
            let before = app.world().faults.cleared;
            app.wait_until(|world| world.faults.cleared > before).await;
        }
        if fault.latency_ms > 0 {
            app.pause(fault.latency_ms).await;
        }
        let mut response = StatusCode::OK.into_response();
        if fault.works() && !app.stop.is_cancelled() {
            response = work(app, &mut app.world(), &self.headers, &fault.twist);
        }
        app.announce();
        if fault.answer_latency_ms > 0 {
            app.pause(fault.answer_latency_ms).await;
        }
        if fault.drop.is_some() || app.stop.is_cancelled() {
            self.cord.cut();
            // A stream that is not sent has not been given up by anybody.
            *response.body_mut() = Body::empty();
            return response;
        }
        dressed(response, &fault, &app.clock).await
    }
}

/// The answer with the fault's status, body, headers and length.
async fn dressed(mut response: Response, fault: &Fault, clock: &Clock) -> Response {
    if fault.status.is_some() || fault.body.is_some() {
        response = replaced(fault);
    }
    for (name, value) in &fault.headers {
        if let (Ok(name), Ok(value)) = (HeaderName::try_from(name), HeaderValue::try_from(value)) {
            response.headers_mut().insert(name, value);
        }
    }
    match fault.truncate {
        Some(most) => cut_short(response, most, clock).await,
        None => response,
    }
}

/// The status and body of the fault itself.
fn replaced(fault: &Fault) -> Response {
    let status = fault.status.and_then(|status| StatusCode::from_u16(status).ok());
    let status = status.unwrap_or_default();
    let text = match &fault.body {
        None => return status.into_response(),
        Some(Value::String(text)) => text.clone(),
        Some(other) => other.to_string(),
    };
    let kind = if text.starts_with('<') { "text/html; charset=utf-8" } else { "application/json" };
    (status, [(header::CONTENT_TYPE, kind)], text).into_response()
}

/// The first `most` bytes of a body, and then a broken connection.
async fn cut_short(response: Response, most: usize, clock: &Clock) -> Response {
    let (mut parts, body) = response.into_parts();
    if let Some(ended) = parts.extensions.remove::<Ended>() {
        return Response::from_parts(parts, Cut::after(body, most, ended));
    }
    let whole = to_bytes(body, ANSWER_BYTES_MOST).await.unwrap_or_default();
    // A stream has no length to announce: it just ends without its last chunk.
    let kind = parts.headers.get(header::CONTENT_TYPE);
    if !kind.is_some_and(|kind| kind.as_bytes().starts_with(b"text/event-stream")) {
        let length = whole.len().into();
        parts.headers.insert(header::CONTENT_LENGTH, length);
    }
    let body = if most >= whole.len() {
        Body::from(whole)
    } else {
        Pieces::broken_after(whole.slice(..most), clock)
    };
    Response::from_parts(parts, body)
}
