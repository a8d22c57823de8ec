//! What the backend's refusals mean. Pure.
//!
//! The backend speaks in three shapes (`{"detail"}`, `{"error": {…}}`, a web page of whatever stands
//! before it), tells some limits with a 404, and tells overloads inside a stream that began with a
//! 200 (openai/codex issues 9634 and 26173, earendil-works/pi issue 4172). What counts for a client is
//! one question: try again, later, or never.

use std::time::Duration;

use http::{HeaderMap, header};
use serde_json::Value;

use super::failure::{ApiError, Failure, UsageLimit};
use super::headers;
use super::passing::Failed;
use crate::clock::Timestamp;
use crate::vendor::redact::redact;
use crate::vendor::wire;

/// The codes by which a spent subscription is told.
const LIMITS: [&str; 3] = ["usage_limit_reached", "usage_limit_exceeded", "usage_not_included"];
/// The codes that mean "not now".
const OVERLOADS: [&str; 4] =
    ["server_is_overloaded", "slow_down", "overloaded_error", "service_unavailable"];
/// The code that means "not so fast".
const TOO_FAST: &str = "rate_limit_exceeded";
/// The codes by which a stream tells that the request itself was wrong.
const WRONG: [&str; 5] = [
    "context_length_exceeded",
    "invalid_prompt",
    "invalid_encrypted_content",
    "invalid_request_error",
    "cyber_policy",
];
/// The longest pause that is believed: a limit's end is told by `resets_at`, not by this.
const MAX_PAUSE: Duration = Duration::from_secs(3600);

/// What an answer other than 200 means.
#[must_use]
pub(super) fn refused(status: u16, headers: &HeaderMap, body: &[u8], now: Timestamp) -> Failure {
    let parsed: Value = serde_json::from_slice(body).unwrap_or(Value::Null);
    let error = if parsed["error"].is_object() { &parsed["error"] } else { &parsed };
    let text = |name: &str| error[name].as_str().filter(|text| !text.is_empty()).map(str::to_owned);
    let (kind, code) = (text("type"), text("code"));
    let said = text("message")
        .or_else(|| detail(&parsed["detail"]))
        .or_else(|| parsed["error"].as_str().map(str::to_owned));
    let message = said.map_or_else(|| unexplained(status, body), |said| redact(said.as_bytes()));
    if is_limit(kind.as_deref(), code.as_deref()) {
        return limit(error, message, body, headers::back(headers));
    }
    let status = match (kind.as_deref(), code.as_deref()) {
        _ if status < 400 => 502,
        (_, Some("model_not_found")) => 404,
        _ => status,
    };
    ApiError {
        status,
        kind,
        code,
        param: text("param"),
        message,
        retry_after: headers
            .get(header::RETRY_AFTER)
            .and_then(|value| wire::retry_after(value, now)),
        body: redact(body),
        headers: headers::back(headers),
    }
    .into()
}

/// What a failure told inside a stream means, where nothing of the stream was passed on.
#[must_use]
pub(super) fn failed(failed: &Failed) -> Failure {
    let parsed: Value = serde_json::from_str(&failed.raw).unwrap_or(Value::Null);
    let error = [&parsed["response"]["error"], &parsed["error"], &parsed]
        .into_iter()
        .find(|error| error["message"].is_string() || error["code"].is_string())
        .unwrap_or(&Value::Null);
    let (kind, code) = (failed.kind.as_deref(), failed.code.as_deref());
    if is_limit(kind, code) {
        let body = serde_json::json!({ "error": as_refused(error, failed) }).to_string();
        return limit(error, failed.message.clone(), body.as_bytes(), HeaderMap::new());
    }
    ApiError {
        status: match code.or(kind) {
            Some(code) if is_overload(Some(code), None) => 503,
            Some(code) if WRONG.contains(&code) => 400,
            Some("insufficient_quota") => 429,
            _ => 502,
        },
        kind: failed.kind.clone(),
        code: failed.code.clone(),
        param: error["param"].as_str().map(str::to_owned),
        message: redact(failed.message.as_bytes()),
        retry_after: try_again_in(&failed.message),
        body: redact(failed.raw.as_bytes()),
        headers: HeaderMap::new(),
    }
    .into()
}

/// A limit told inside a stream, with all that was said of it, as an answer of its own would tell it:
/// the Codex CLI knows a limit by its `type`, and an event may name it by its `code` alone.
fn as_refused(error: &Value, failed: &Failed) -> Value {
    let mut told = error.as_object().cloned().unwrap_or_default();
    let word = |word: Option<&String>| word.map_or(Value::Null, |word| word.as_str().into());
    let (kind, code) = (failed.kind.as_ref(), failed.code.as_ref());
    let limit = if is_limit(kind.map(String::as_str), None) { kind } else { code };
    told.insert("type".into(), word(limit));
    for (name, value) in [
        ("message", failed.message.as_str().into()),
        ("code", word(code.or(kind))),
        ("param", Value::Null),
    ] {
        told.entry(name).or_insert(value);
    }
    told.into()
}

/// Whether the very same request may well succeed in a moment, nothing of an answer having been passed on.
#[must_use]
pub(super) fn passes(failure: &Failure) -> bool {
    match failure {
        Failure::Unreachable(_) | Failure::Broken(_) => true,
        Failure::Api(error) => matches!(error.status, 502..=504),
        _ => false,
    }
}

/// Whether a failure told inside a stream is about the moment or the subscription, not the request:
/// then a real status says it better than an event.
#[must_use]
pub(super) fn is_for_the_status(failed: &Failed) -> bool {
    let (kind, code) = (failed.kind.as_deref(), failed.code.as_deref());
    is_overload(code, kind) || is_limit(kind, code)
}

fn is_overload(code: Option<&str>, kind: Option<&str>) -> bool {
    [code, kind].into_iter().flatten().any(|word| OVERLOADS.contains(&word) || word == TOO_FAST)
}

fn is_limit(kind: Option<&str>, code: Option<&str>) -> bool {
    [code, kind].into_iter().flatten().any(|word| LIMITS.contains(&word))
}

fn limit(error: &Value, message: String, body: &[u8], headers: HeaderMap) -> Failure {
    let resets_at = error["resets_at"].as_u64().filter(|secs| *secs < u64::MAX / 1000);
    Failure::UsageLimit(Box::new(UsageLimit {
        message,
        resets_at: resets_at.map(Timestamp::from_secs),
        plan: error["plan_type"].as_str().map(str::to_owned),
        body: body.to_vec().into(),
        headers,
    }))
}

/// `detail` is a sentence, or a list of complaints in the manner of FastAPI.
fn detail(detail: &Value) -> Option<String> {
    match detail {
        Value::String(text) => Some(text.clone()),
        Value::Null => None,
        other => Some(other.to_string()),
    }
}

/// A page or nothing: the body would tell a person little and a program less.
fn unexplained(status: u16, body: &[u8]) -> String {
    let page = body.trim_ascii_start().starts_with(b"<");
    match status {
        200 => "the API answered with a document instead of a stream of events".to_owned(),
        403 if page => {
            "the API's front door turned the request away (HTTP 403, a web page)".to_owned()
        }
        413 => "the request is too large for the API (HTTP 413)".to_owned(),
        _ if page || body.is_empty() => format!("the API answered HTTP {status} without a reason"),
        _ => format!("the API answered HTTP {status}: {}", redact(body)),
    }
}

/// `… Please try again in 6.5s.` and `… in 28ms`: how the backend names a pause inside a stream.
fn try_again_in(message: &str) -> Option<Duration> {
    let rest = message.to_ascii_lowercase();
    let rest = rest.split_once("try again in ")?.1;
    let digits = rest.find(|c: char| !(c.is_ascii_digit() || c == '.')).unwrap_or(rest.len());
    let number: f64 = rest[..digits].trim_end_matches('.').parse().ok()?;
    let secs = if rest[digits..].trim_start().starts_with("ms") { number / 1000.0 } else { number };
    Duration::try_from_secs_f64(secs).ok().map(|pause| pause.min(MAX_PAUSE))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relay::passing::{End, Passing};

    const NOW: Timestamp = Timestamp(784_111_777_000);

    fn api(failure: Failure) -> ApiError {
        match failure {
            Failure::Api(error) => *error,
            other => panic!("{other:?}"),
        }
    }

    fn told(code: &str, message: &str) -> Failed {
        Failed { code: Some(code.into()), kind: None, message: message.into(), raw: "{}".into() }
    }

    #[test]
    fn a_detail_becomes_the_message() {
        let error =
            api(refused(400, &HeaderMap::new(), br#"{"detail":"Input must be a list"}"#, NOW));
        assert_eq!((error.status, error.message.as_str()), (400, "Input must be a list"));
        let error = api(refused(400, &HeaderMap::new(), br#"{"detail":[{"loc":["x"]}]}"#, NOW));
        assert!(error.message.contains("loc"));
    }

    #[test]
    fn a_limit_keeps_every_byte_whatever_its_status() {
        let body = br#"{"error":{"type":"usage_limit_reached","message":"The usage limit has been reached","plan_type":"plus","resets_at":1777936568}}"#;
        for status in [429, 404] {
            match refused(status, &HeaderMap::new(), body, NOW) {
                Failure::UsageLimit(limit) => {
                    assert_eq!(limit.resets_at, Some(Timestamp::from_secs(1_777_936_568)));
                    assert_eq!(limit.plan.as_deref(), Some("plus"));
                    assert_eq!(limit.body.as_ref(), body.as_slice());
                }
                other => panic!("{other:?}"),
            }
        }
    }

    #[test]
    fn a_page_is_not_passed_on() {
        let error = api(refused(403, &HeaderMap::new(), b"<html>Just a moment...</html>", NOW));
        assert!(!error.message.contains("html"), "{error:?}");
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        for (text, secs) in [("7", 7), ("Sun, 06 Nov 1994 08:49:47 GMT", 10)] {
            let headers =
                HeaderMap::from_iter([(header::RETRY_AFTER, http::HeaderValue::from_static(text))]);
            let error = api(refused(503, &headers, b"", NOW));
            assert_eq!(error.retry_after, Some(Duration::from_secs(secs)));
            assert!(passes(&error.into()));
        }
    }

    #[test]
    fn an_overload_or_a_hurry_inside_a_stream_is_a_503() {
        let overload = told("server_is_overloaded", "busy");
        assert!(is_for_the_status(&overload) && passes(&failed(&overload)));
        assert_eq!(api(failed(&overload)).status, 503);
        let hurry = told("rate_limit_exceeded", "Rate limit. Please try again in 6.5s.");
        let error = api(failed(&hurry));
        assert_eq!((error.status, error.retry_after), (503, Some(Duration::from_millis(6500))));
        let wrong = told("context_length_exceeded", "too long");
        assert!(!is_for_the_status(&wrong) && !passes(&failed(&wrong)));
        assert_eq!(api(failed(&wrong)).status, 400);
    }

    #[test]
    fn a_limit_inside_a_stream_is_told_like_one_outside() {
        let limits = [
            r#"{"type":"response.failed","response":{"error":{"code":"usage_limit_reached","message":"spent","resets_at":7}}}"#,
            r#"{"type":"error","code":"usage_limit_reached","message":"spent","resets_at":7,"sequence_number":2}"#,
            r#"{"type":"error","error":{"type":"usage_limit_reached","message":"spent","resets_at":7}}"#,
        ];
        for raw in limits {
            let mut passing = Passing::new();
            let stream = format!("data: {raw}\n\n");
            passing.feed(stream.as_bytes(), &mut bytes::BytesMut::new()).unwrap();
            let Some(End::Failed(told) | End::Error(told)) = passing.seen().end.clone() else {
                panic!("{raw}");
            };
            let Failure::UsageLimit(limit) = failed(&told) else { panic!("{raw}") };
            let body: Value = serde_json::from_slice(&limit.body).unwrap();
            let error = &body["error"];
            assert_eq!(error["type"], "usage_limit_reached", "{raw}");
            assert_eq!(error["code"], "usage_limit_reached", "{raw}");
            assert_eq!((&error["message"], &error["resets_at"]), (&"spent".into(), &7.into()));
            assert_eq!(error.get("param"), Some(&Value::Null), "{raw}");
        }
    }

    #[test]
    fn pauses_in_words_are_read() {
        assert_eq!(try_again_in("Please try again in 28ms."), Some(Duration::from_millis(28)));
        assert_eq!(try_again_in("try again in 3 s"), Some(Duration::from_secs(3)));
        assert_eq!(try_again_in("try again in a while"), None);
        assert_eq!(try_again_in(""), None);
    }

    #[test]
    fn what_is_no_json_is_still_an_error() {
        for body in [&b""[..], b"\xff\xfe", b"null", b"[]", b"\"x\"", b"{\"error\":\"plain\"}"] {
            assert_eq!(api(refused(500, &HeaderMap::new(), body, NOW)).status, 500);
        }
        assert_eq!(api(refused(302, &HeaderMap::new(), b"", NOW)).status, 502);
    }
}
