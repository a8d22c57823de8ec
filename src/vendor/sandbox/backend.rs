//! The Codex backend: who may ask, and one turn of a very simple model.

use std::sync::Arc;
use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::answers::{detail, json_answer};
use super::catalogue;
use super::form;
use super::grants::{Access, AccessRefusal};
use super::reply;
use super::stats::Endpoint;
use super::stream::Pieces;
use super::world::{App, Caller, Shared, World};
use crate::secret::random_base64url;

/// The two windows of the subscription's limit, in minutes.
pub(super) const WINDOWS_MINUTES: (u64, u64) = (300, 10_080);

/// Whether the bearer may pass; else the answer that tells why not.
pub(super) fn admit<'a>(
    app: &Shared,
    world: &'a World,
    headers: &HeaderMap,
) -> Result<&'a Access, Box<Response>> {
    let token = headers
        .get(header::AUTHORIZATION)
        .and_then(|value| value.to_str().ok())
        .and_then(|value| value.split_once(' '))
        .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
        .map(|(_, token)| token.trim());
    let Some(token) = token else {
        return Err(Box::new(detail(StatusCode::UNAUTHORIZED, "Unauthorized")));
    };
    let access = world.grants.admit(token, app.now()).map_err(|refusal| {
        let (code, text) = match refusal {
            AccessRefusal::Expired => (
                "token_expired",
                "Provided authentication token is expired. Please try signing in again.",
            ),
            AccessRefusal::Revoked => (
                "token_invalidated",
                "Your authentication token has been invalidated. Please try signing in again.",
            ),
            AccessRefusal::Unknown => (
                "invalid_token",
                "Could not parse your authentication token. Please try signing in again.",
            ),
        };
        let error = json!({ "message": text, "type": null, "param": null, "code": code });
        Box::new(json_answer(StatusCode::UNAUTHORIZED, &json!({ "error": error, "status": 401 })))
    })?;
    let named = headers.get("chatgpt-account-id").map(HeaderValue::as_bytes);
    if named.is_some_and(|named| named != access.account_id.as_bytes()) {
        return Err(Box::new(detail(StatusCode::FORBIDDEN, "The account is not the token's")));
    }
    Ok(access)
}

/// `POST /backend-api/codex/responses`
pub(super) async fn responses(caller: Caller, body: Bytes) -> Response {
    let app = Arc::clone(&caller.app);
    let now = app.now();
    app.world().stats.seen.add(now, &caller.headers, body.clone());
    caller
        .answer(Endpoint::Responses, |_, world, headers, _| turn(&app, world, headers, &body))
        .await
}

/// `GET` of the same address is a WebSocket's, which the sandbox does not speak: clients fall back.
pub(super) async fn websocket(caller: Caller) -> Response {
    caller
        .answer(Endpoint::Responses, |_, _, headers, _| {
            if headers.contains_key(header::UPGRADE) {
                detail(StatusCode::UPGRADE_REQUIRED, "Use POST")
            } else {
                detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed")
            }
        })
        .await
}

fn turn(app: &App, world: &mut World, headers: &HeaderMap, body: &[u8]) -> Response {
    if let Err(refusal) = admit(app, world, headers) {
        return *refusal;
    }
    let encoding = headers.get(header::CONTENT_ENCODING).map(HeaderValue::as_bytes);
    if encoding.is_some_and(|encoding| encoding != b"identity") {
        return detail(StatusCode::UNSUPPORTED_MEDIA_TYPE, "Unsupported content encoding");
    }
    let Ok(request) = serde_json::from_slice::<Value>(body) else {
        return detail(StatusCode::BAD_REQUEST, "The body is not JSON");
    };
    let lite =
        headers.get("x-openai-internal-codex-responses-lite").is_some_and(|value| value == "true");
    if let Err(flaw) = form::check(&request, lite) {
        return flaw.answer();
    }
    world.stats.turns += 1;
    let pieces = reply::pieces(&request, &world.settings, app.now().as_secs());
    let pause = Duration::from_millis(world.settings.event_delay_ms);
    let (body, ended) = Pieces::stream(app, pieces, pause, world.settings.finish);
    world.settings.count_down();
    let mut response = body.into_response();
    response.extensions_mut().insert(ended);
    let answer = response.headers_mut();
    answer
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    answer.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    stamp(app, world, answer);
    response
}

/// The headers by which the backend tells of limits and of itself.
fn stamp(app: &Shared, world: &World, headers: &mut HeaderMap) {
    let now = app.now().as_secs();
    let used = used_percent(world);
    let mut put = |name: &'static str, value: String| {
        if let Ok(value) = HeaderValue::try_from(value) {
            headers.insert(name, value);
        }
    };
    let (short, long) = WINDOWS_MINUTES;
    put("x-codex-primary-used-percent", used.to_string());
    put("x-codex-primary-window-minutes", short.to_string());
    put("x-codex-primary-reset-after-seconds", (short * 60).to_string());
    put("x-codex-primary-reset-at", now.saturating_add(short * 60).to_string());
    put("x-codex-secondary-used-percent", (used / 10).to_string());
    put("x-codex-secondary-window-minutes", long.to_string());
    put("x-codex-secondary-reset-after-seconds", (long * 60).to_string());
    put("x-codex-secondary-reset-at", now.saturating_add(long * 60).to_string());
    put("x-codex-credits-has-credits", "False".into());
    put("x-codex-credits-unlimited", "False".into());
    put("x-codex-plan-type", world.settings.plan.clone());
    put("x-request-id", random_base64url(16));
    put("x-models-etag", catalogue::etag());
}

pub(super) fn used_percent(world: &World) -> u64 {
    world.settings.used_percent.unwrap_or(world.stats.turns).min(100)
}

/// `GET /backend-api/codex/models`
pub(super) async fn models(caller: Caller, fields: catalogue::Version) -> Response {
    caller
        .answer(Endpoint::Models, |app, world, headers, _| match admit(app, world, headers) {
            Err(refusal) => *refusal,
            Ok(_) => catalogue::answer(&fields, headers),
        })
        .await
}
