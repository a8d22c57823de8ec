//! The Codex backend: who may ask, what it refuses, and one turn of a very simple model.
//!
//! The refusals are as narrow as reported of the real backend (openai/codex issue 26173) and go a
//! little further: a member it is not known to accept is refused, so that a client which works here
//! has not come to rely on being forgiven.

use std::time::Duration;

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde_json::{Value, json};

use super::answers::{detail, json_answer};
use super::catalogue;
use super::grants::{Access, AccessRefusal};
use super::reply;
use super::stats::Endpoint;
use super::stream::Pieces;
use super::world::{Caller, Shared, World};
use crate::secret::random_base64url;

/// The members of a request that the backend is known to take.
const MEMBERS: &[&str] = &[
    "client_metadata",
    "include",
    "input",
    "instructions",
    "model",
    "parallel_tool_calls",
    "prompt_cache_key",
    "reasoning",
    "service_tier",
    "store",
    "stream",
    "text",
    "tool_choice",
    "tools",
];

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
    caller
        .answer(Endpoint::Responses, |app, world, headers, _| turn(app, world, headers, &body))
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

fn turn(app: &Shared, world: &mut World, headers: &HeaderMap, body: &[u8]) -> Response {
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
    if let Err(text) = check(&request, lite) {
        return detail(StatusCode::BAD_REQUEST, &text);
    }
    world.stats.turns += 1;
    let events = reply::events(&request, &world.settings, app.now().as_secs());
    let pause = Duration::from_millis(world.settings.event_delay_ms);
    let mut response = Pieces::spaced(events, pause, &app.clock).into_response();
    let answer = response.headers_mut();
    answer
        .insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    answer.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    stamp(app, world, answer);
    response
}

/// What the backend says of a request's form, in the order in which it is reported to look.
fn check(request: &Value, lite: bool) -> Result<(), String> {
    let members = request.as_object().ok_or("The body must be an object")?;
    let model = request["model"].as_str().ok_or("Model is required")?;
    let Some(known_lite) = catalogue::uses_responses_lite(model) else {
        return Err(format!(
            "The '{model}' model is not supported when using Codex with a ChatGPT account."
        ));
    };
    if request["store"] != json!(false) {
        return Err("Store must be set to false".into());
    }
    if request["stream"] != json!(true) {
        return Err("Stream must be set to true".into());
    }
    if let Some(name) = members.keys().find(|name| !MEMBERS.contains(&name.as_str())) {
        return Err(format!("Unsupported parameter: {name}"));
    }
    let input = request["input"].as_array().ok_or("Input must be a list")?;
    let said = request["instructions"].as_str().is_some_and(|text| !text.is_empty());
    // The stock Codex CLI 0.169 tells every model in developer messages what to do, and sends no
    // `instructions` even to those that take the older form.
    let told = input.iter().any(|item| item["role"] == "developer");
    if !(said || told || known_lite || lite) {
        return Err("Instructions are required".into());
    }
    if input.is_empty() {
        return Err("Input must not be empty".into());
    }
    input.iter().try_for_each(check_item)
}

fn check_item(item: &Value) -> Result<(), String> {
    let item = item.as_object().ok_or("Input items must be objects")?;
    let kind = item.get("type").map_or(Some("message"), Value::as_str);
    let role = item.get("role").and_then(Value::as_str);
    match (kind, role) {
        (_, Some("system")) => Err("System messages are not allowed".into()),
        (Some("message"), Some("user" | "assistant" | "developer")) => Ok(()),
        (Some("message"), _) => Err("Messages need a role: user, assistant or developer".into()),
        (Some(_), _) => Ok(()),
        (None, _) => Err("The type of an input item is a string".into()),
    }
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
