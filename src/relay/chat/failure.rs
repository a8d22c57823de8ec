//! A stream that failed, in the shape in which OpenAI's SDKs expect an error in the midst of a stream.

use super::json::{self, Members, Object};

/// What is said where upstream says nothing.
const NO_REASON: &str = r#""The answer was broken off by an error, and no reason was given.""#;

/// Writes `{"error": {message, type, code, param}}` from an error object as it came, members of any type.
pub(super) fn put_error(out: &mut Vec<u8>, error: &Members<'_>) {
    let string = |name| error.get(name).filter(|text| json::is_string(text));
    let code = string("code");
    // In an event of type `error` that word is the event's own.
    let kind = string("type").filter(|kind| *kind != r#""error""#);
    let mut whole = Object::begin(out);
    let mut written = Object::begin(whole.member("error"));
    written.raw("message", string("message").unwrap_or(NO_REASON));
    written.raw("type", kind.unwrap_or_else(|| class(code)));
    written.raw("code", code.unwrap_or("null"));
    written.raw("param", string("param").unwrap_or("null"));
    written.end();
    whole.end();
}

/// The `type` for a code that came without one.
fn class(code: Option<&str>) -> &'static str {
    match code.and_then(json::inner).unwrap_or_default() {
        "rate_limit_exceeded" => r#""rate_limit_error""#,
        "insufficient_quota" => r#""insufficient_quota""#,
        "usage_limit_reached" | "usage_limit_exceeded" => r#""usage_limit_reached""#,
        "usage_not_included" => r#""usage_not_included""#,
        "context_length_exceeded" | "model_not_found" | "bio_policy" | "cyber_policy" => {
            r#""invalid_request_error""#
        }
        code if code.starts_with("invalid_") => r#""invalid_request_error""#,
        _ => r#""server_error""#,
    }
}
