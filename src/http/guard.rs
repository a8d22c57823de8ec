//! Who may ask for what: one question, put to every request before any route sees it.
//!
//! Any page in any browser on this machine can send requests to a loopback port, and a name that its
//! owner points at 127.0.0.1 makes them look local to the browser (DNS rebinding). A browser cannot hide
//! either: it sends the page's `Origin`, and the name in `Host`. So both are looked at first, and only
//! then the key. On the socket the kernel has vouched for the caller; a browser cannot reach it, so an
//! `Origin` there means that somebody has put a bridge to it.

mod rules;
mod until;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::door::Arrival;
use super::{Caller, Shared, body, error};
use crate::access::keys::{Holder, Scope};
use crate::login::directory::Named;
pub(super) use rules::{Current, Rules};
use until::Until;

/// Refusals of keys are noted in the trail once in so many milliseconds, with how many there were since:
/// somebody who guesses must not push everything else out of it.
const NOTE_EVERY_MILLIS: u64 = 1000;

/// Refusals since the last that was noted.
#[derive(Debug, Default)]
pub(super) struct Refusals {
    count: AtomicU64,
    noted_at: AtomicU64,
}

/// Lets a request in, or answers why not.
pub(super) async fn admit(
    State(shared): State<Arc<Shared>>,
    request: Request,
    next: Next,
) -> Response {
    let (mut parts, body) = request.into_parts();
    let Some(arrival) = parts.extensions.remove::<Arrival>() else {
        // A defect: every connection says where it is from.
        let message = "The request came from nowhere.";
        return error(StatusCode::INTERNAL_SERVER_ERROR, "server_error", None, message, None);
    };
    if arrival.socket {
        if parts.headers.contains_key(header::ORIGIN) {
            body::discard(&parts.headers, body).await;
            return forbidden("Web pages have no way in here.");
        }
        parts.extensions.insert(Caller {
            name: arrival.program().to_owned(),
            bound: None,
            peer: arrival.peer,
            socket: true,
        });
        return proceed(parts, body, next).await;
    }
    let rules = shared.rules.get();
    if !rules.knows_host(&parts) {
        body::discard(&parts.headers, body).await;
        return forbidden(
            "The request is for another host. If that name is meant to lead here, add it to `http.allow_hosts`.",
        );
    }
    match rules.origin(&parts.headers) {
        Err(()) => {
            body::discard(&parts.headers, body).await;
            forbidden(
                "Web pages have no way in here. If this one is meant to, add its origin to `http.allow_origins`.",
            )
        }
        Ok(None) => keyed(&shared, arrival, parts, body, next).await,
        Ok(Some(origin)) if is_preflight(&parts) => preflight(&parts.headers, origin),
        Ok(Some(origin)) => {
            let mut answer = keyed(&shared, arrival, parts, body, next).await;
            allow_origin(answer.headers_mut(), origin);
            answer
        }
    }
}

/// Looks at the key and at what it opens.
async fn keyed(
    shared: &Shared,
    arrival: Arrival,
    mut parts: Parts,
    body: Body,
    next: Next,
) -> Response {
    let holder = match holder(shared, &arrival, &parts) {
        Ok(holder) => holder,
        Err(refusal) => {
            body::discard(&parts.headers, body).await;
            return *refusal;
        }
    };
    parts.extensions.insert(caller(&holder, arrival));
    let ended = &holder.ended;
    let answer = tokio::select! {
        biased;
        () = ended.cancelled() => return unauthorized_answer(),
        answer = proceed(parts, body, next) => answer,
    };
    // What is on its way already ends with the key, too.
    answer.map(|body| Until::wrap(body, ended.clone()))
}

/// Whose key opens what is asked for, or the answer that none does.
fn holder(shared: &Shared, arrival: &Arrival, parts: &Parts) -> Result<Arc<Holder>, Box<Response>> {
    let shown = match shown_key(&parts.headers) {
        Ok(Some(shown)) => shown,
        Ok(None) if is_codex(&parts.headers) => return Err(Box::new(helper_failed())),
        Ok(None) | Err(()) => return Err(Box::new(unauthorized(shared, arrival))),
    };
    let Some(holder) = shared.keys.check(shown) else {
        return Err(Box::new(unauthorized(shared, arrival)));
    };
    match needed_scope(parts.uri.path()) {
        Some(needed) if !holder.scopes.contains(&needed) => Err(Box::new(out_of_scope(needed))),
        _ => Ok(holder),
    }
}

fn caller(holder: &Holder, arrival: Arrival) -> Caller {
    let bound =
        Named { vendor: holder.bound.vendor.clone(), account: holder.bound.account.clone() };
    Caller { name: holder.name.clone(), bound: Some(bound), peer: arrival.peer, socket: false }
}

async fn proceed(parts: Parts, body: Body, next: Next) -> Response {
    if parts.method == Method::GET && parts.uri.path() == "/v1/responses" && wants_socket(&parts) {
        // The Codex CLI goes on with plain HTTP at once.
        let message = "There are no WebSockets here; use POST /v1/responses.";
        let mut answer = error(
            StatusCode::UPGRADE_REQUIRED,
            "invalid_request_error",
            Some("upgrade_required"),
            message,
            None,
        );
        answer.headers_mut().insert(header::UPGRADE, HeaderValue::from_static("HTTP/1.1"));
        answer.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
        return answer;
    }
    next.run(Request::from_parts(parts, body)).await
}

fn wants_socket(parts: &Parts) -> bool {
    let upgrade = parts.headers.get(header::UPGRADE);
    upgrade.is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// What a key must be made for to open this path, beside `/v1` and `/healthz`.
fn needed_scope(path: &str) -> Option<Scope> {
    if path == "/metrics" {
        Some(Scope::Metrics)
    } else if path.starts_with("/api/") {
        Some(Scope::Subscription)
    } else {
        None
    }
}

/// The key in a request's head: a bearer (RFC 6750 section 2.1), or `x-api-key`, which some clients can
/// only send. An error where there is something else, or more than one.
fn shown_key(headers: &HeaderMap) -> Result<Option<&str>, ()> {
    if let Some(value) = only(headers, header::AUTHORIZATION.as_str())? {
        let (scheme, key) = value.split_once(' ').ok_or(())?;
        return if scheme.eq_ignore_ascii_case("bearer") { Ok(Some(key.trim())) } else { Err(()) };
    }
    only(headers, "x-api-key")
}

fn only<'a>(headers: &'a HeaderMap, name: &str) -> Result<Option<&'a str>, ()> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    match values.next() {
        None => value.to_str().map(Some).map_err(drop),
        Some(_) => Err(()),
    }
}

/// The Codex CLI and what is built on it say so themselves.
fn is_codex(headers: &HeaderMap) -> bool {
    headers.get("originator").is_some_and(|value| value.as_bytes().starts_with(b"codex_"))
}

fn helper_failed() -> Response {
    let message = "No key was sent: the command that Codex runs for one (`auth.command` in its configuration) failed. Run `valetkey lease --client codex` by hand to see why.";
    error(
        StatusCode::BAD_REQUEST,
        "invalid_request_error",
        Some("auth_helper_failed"),
        message,
        None,
    )
}

fn unauthorized(shared: &Shared, arrival: &Arrival) -> Response {
    if let Some(count) = shared.refusals.to_note(shared.clock.now().0) {
        shared.dispatcher.note_refusal(&arrival.peer, "http", count);
    }
    unauthorized_answer()
}

fn unauthorized_answer() -> Response {
    let message = "The key is missing, wrong, expired or revoked. Make one with: valetkey key add NAME, or for a while with: valetkey lease";
    let mut answer = error(
        StatusCode::UNAUTHORIZED,
        "invalid_request_error",
        Some("invalid_api_key"),
        message,
        None,
    );
    answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    answer
}

fn out_of_scope(needed: Scope) -> Response {
    let name = if needed == Scope::Metrics { "metrics" } else { "subscription" };
    let message = format!(
        "This key opens /v1 and no more; make one with: valetkey key add NAME --scope {name}"
    );
    let code = Some("insufficient_scope");
    error(StatusCode::FORBIDDEN, "permission_error", code, &message, None)
}

fn forbidden(message: &str) -> Response {
    error(StatusCode::FORBIDDEN, "permission_error", Some("denied"), message, None)
}

/// The question that a browser asks before the real one (Fetch standard, CORS-preflight fetch).
fn is_preflight(parts: &Parts) -> bool {
    parts.method == Method::OPTIONS
        && parts.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

fn preflight(asked: &HeaderMap, origin: HeaderValue) -> Response {
    let mut answer = StatusCode::NO_CONTENT.into_response();
    let headers = answer.headers_mut();
    allow_origin(headers, origin);
    headers.insert(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static("GET, POST, OPTIONS"),
    );
    headers.insert(header::ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("600"));
    if let Some(wanted) = asked.get(header::ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
    }
    if asked.contains_key("access-control-request-private-network") {
        headers.insert("access-control-allow-private-network", HeaderValue::from_static("true"));
    }
    answer
}

fn allow_origin(headers: &mut HeaderMap, origin: HeaderValue) {
    headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
    headers.append(header::VARY, HeaderValue::from_static("origin"));
    headers.insert(
        header::ACCESS_CONTROL_EXPOSE_HEADERS,
        HeaderValue::from_static("retry-after, x-request-id, x-valetkey-dropped"),
    );
}

impl Refusals {
    /// Counts one; how many there are to note, where it is time to.
    pub(super) fn to_note(&self, now_millis: u64) -> Option<u64> {
        let count = self.count.fetch_add(1, Ordering::Relaxed) + 1;
        let noted_at = self.noted_at.load(Ordering::Relaxed);
        if noted_at <= now_millis && now_millis - noted_at < NOTE_EVERY_MILLIS {
            return None;
        }
        self.noted_at.store(now_millis, Ordering::Relaxed);
        self.count.store(0, Ordering::Relaxed);
        Some(count)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let pairs = pairs
            .iter()
            .map(|(name, value)| (name.parse().unwrap(), HeaderValue::from_str(value).unwrap()));
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.append::<header::HeaderName>(name, value);
        }
        headers
    }

    #[test]
    fn a_key_is_a_bearer_or_an_api_key_and_there_is_one() {
        for (given, expected) in [
            (headers(&[]), Ok(None)),
            (headers(&[("authorization", "Bearer vk_x")]), Ok(Some("vk_x"))),
            (headers(&[("authorization", "bEARER  vk_x ")]), Ok(Some("vk_x"))),
            (headers(&[("x-api-key", "vk_y")]), Ok(Some("vk_y"))),
            (headers(&[("authorization", "Bearer vk_x"), ("x-api-key", "vk_y")]), Ok(Some("vk_x"))),
            (headers(&[("authorization", "Basic vk_x"), ("x-api-key", "vk_y")]), Err(())),
            (headers(&[("authorization", "vk_x")]), Err(())),
            (headers(&[("authorization", "Bearer a"), ("authorization", "Bearer b")]), Err(())),
            (headers(&[("x-api-key", "a"), ("x-api-key", "b")]), Err(())),
        ] {
            assert_eq!(shown_key(&given), expected, "{given:?}");
        }
    }

    #[test]
    fn a_key_opens_completions_and_more_only_where_it_was_made_for_it() {
        for (path, scope) in [
            ("/v1/responses", None),
            ("/healthz", None),
            ("/nowhere", None),
            ("/metrics", Some(Scope::Metrics)),
            ("/api/llm/subscription/openai/logout", Some(Scope::Subscription)),
        ] {
            assert_eq!(needed_scope(path), scope, "{path}");
        }
    }

    #[test]
    fn refusals_are_noted_once_a_second_with_their_number() {
        let refusals = Refusals::default();
        assert_eq!(refusals.to_note(5000), Some(1));
        assert_eq!([5000, 5500, 5999].map(|now| refusals.to_note(now)), [None; 3]);
        assert_eq!(refusals.to_note(6000), Some(4));
        assert_eq!(refusals.to_note(1000), Some(1), "a clock set back silences nobody");
    }
}
