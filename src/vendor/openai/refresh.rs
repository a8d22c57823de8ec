//! What an answer to a refresh means: by its error code first, by its status only where there is none. Pure.

use reqwest::StatusCode;
use serde::Deserialize;
use serde_json::Value;

use crate::secret::{AccessToken, IdToken, RefreshToken};
use crate::vendor::wire::Answer;
use crate::vendor::{Grant, Refreshed};

/// Error codes that are about the very refresh token we showed (openai/codex, `classify_refresh_token_failure`;
/// `token_expired` is reported in decolua/9router issue 1821).
const FINAL: [&str; 5] = [
    "invalid_grant",
    "refresh_token_expired",
    "refresh_token_reused",
    "refresh_token_invalidated",
    "token_expired",
];
/// Error codes about the request, not the token (RFC 6749 section 5.2): it was not processed.
const NOT_PROCESSED: [&str; 6] = [
    "invalid_request",
    "invalid_client",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "temporarily_unavailable",
];

/// An answer of the token endpoint; each member may be missing (`RefreshResponse` in openai/codex).
#[derive(Deserialize)]
pub(super) struct TokenAnswer {
    pub(super) access_token: Option<AccessToken>,
    pub(super) refresh_token: Option<RefreshToken>,
    pub(super) id_token: Option<IdToken>,
    pub(super) expires_in: Option<u64>,
}

/// What an answer to a refresh means. Nothing else decides whether a login is given up.
#[must_use]
pub fn classify(answer: &Answer) -> Refreshed {
    let message = answer.describe();
    let retry_after = answer.retry_after;
    if answer.status.is_success() {
        return match answer.json::<TokenAnswer>() {
            // A body without any token is no answer of a token endpoint, whatever it is.
            Some(tokens) if tokens.access_token.is_some() || tokens.refresh_token.is_some() => {
                Refreshed::Granted(grant(tokens, answer.skew_millis))
            }
            _ => Refreshed::Unknown { message: format!("HTTP {} without tokens", answer.status) },
        };
    }
    match error_code(&answer.body) {
        Some(reason) if FINAL.contains(&reason.as_str()) => Refreshed::Refused { reason, message },
        Some(reason) if NOT_PROCESSED.contains(&reason.as_str()) => {
            Refreshed::Harmless { retry_after, message }
        }
        _ => match answer.status {
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::FORBIDDEN
            | StatusCode::SERVICE_UNAVAILABLE => Refreshed::Harmless { retry_after, message },
            _ => Refreshed::Unknown { message },
        },
    }
}

/// The error code of a body in any of the shapes seen: `error.code`, `error` as a string, `code`; lower-cased.
pub(super) fn error_code(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let error = &body["error"];
    [&error["code"], error, &body["code"]]
        .into_iter()
        .find_map(Value::as_str)
        .map(str::to_ascii_lowercase)
}

pub(super) fn grant(tokens: TokenAnswer, skew_millis: i64) -> Grant {
    Grant {
        access_token: tokens.access_token,
        refresh_token: tokens.refresh_token,
        id_token: tokens.id_token,
        expires_in: tokens.expires_in,
        skew_millis,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status: StatusCode::from_u16(status).expect("a status"),
            body: body.as_bytes().to_vec(),
            retry_after: None,
            skew_millis: 0,
            is_dated: false,
            etag: None,
        }
    }

    fn class(status: u16, body: &str) -> &'static str {
        match classify(&answer(status, body)) {
            Refreshed::Granted(_) => "granted",
            Refreshed::Harmless { .. } => "harmless",
            Refreshed::Unknown { .. } => "unknown",
            Refreshed::Refused { .. } => "refused",
        }
    }

    #[test]
    fn outcomes_are_classed_by_code_before_status() {
        for (status, body, expected) in [
            (200, r#"{"access_token":"a"}"#, "granted"),
            (200, r#"{"refresh_token":"r"}"#, "granted"),
            (200, "{}", "unknown"),
            (200, "<html>sign in to the wifi</html>", "unknown"),
            (200, r#"{"access_token":"#, "unknown"),
            (200, r#"["at","rt","it",3600]"#, "unknown"),
            (400, r#"{"error":"invalid_grant"}"#, "refused"),
            (401, r#"{"error":{"code":"refresh_token_reused"}}"#, "refused"),
            (503, r#"{"error":{"code":"REFRESH_TOKEN_INVALIDATED"}}"#, "refused"),
            (401, r#"{"code":"token_expired"}"#, "refused"),
            (400, r#"{"error":"invalid_client"}"#, "harmless"),
            (403, "<html>blocked</html>", "harmless"),
            (429, "", "harmless"),
            (503, "", "harmless"),
            (401, "<html></html>", "unknown"),
            (401, r#"{"error":{"code":"something_new"}}"#, "unknown"),
            (302, "", "unknown"),
            (408, "", "unknown"),
            (500, "", "unknown"),
            (502, "", "unknown"),
            (504, "", "unknown"),
        ] {
            assert_eq!(class(status, body), expected, "{status} {body}");
        }
    }
}
