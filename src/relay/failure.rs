//! Why no completion came, in the one form from which every surface makes its errors.
//!
//! A client tells a wrong request from a spent limit from a moment's overload by the status, the code
//! and two headers, and does the wrong thing for minutes where they are wrong: retries what cannot
//! work, gives up what would. So that is decided in one place, for OpenAI's libraries, for the Codex
//! CLI and for JSON-RPC alike.

use std::time::Duration;

use bytes::Bytes;
use http::HeaderMap;
use serde_json::{Value, json};

use super::sanitise::Refusal;
use crate::clock::Timestamp;
use crate::login::LoginError;

/// The pause that an overload asks for where nobody named one.
pub const PAUSE: Duration = Duration::from_secs(1);

/// Why no completion came, or why it broke off.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// No token can be had.
    #[error(transparent)]
    Login(#[from] LoginError),
    /// The request cannot be carried.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// No such model, or not in this subscription.
    #[error("there is no model {asked:?} in this subscription; there is: {}", models.join(", "))]
    UnknownModel {
        /// What was asked for.
        asked: String,
        /// What there is.
        models: Vec<String>,
    },
    /// The subscription's limit is reached: nothing to retry before it ends.
    #[error("{}", .0.message)]
    UsageLimit(Box<UsageLimit>),
    /// The API said no.
    #[error("{}", .0.message)]
    Api(Box<ApiError>),
    /// Too much is carried already.
    #[error("{0}")]
    Overloaded(String),
    /// A bound passed.
    #[error("the API gave no answer in time ({which})")]
    Timeout {
        /// `connect`, `first_byte` or `idle`.
        which: &'static str,
    },
    /// The API cannot be reached, or the connection broke before it answered.
    #[error("the API cannot be reached: {0}")]
    Unreachable(String),
    /// The API's answer broke off.
    #[error("the API's answer broke off before it was complete: {0}")]
    Broken(String),
    /// Where this account's requests must go cannot be told.
    #[error("{0}")]
    Routing(String),
}

/// A spent subscription, as the API tells it.
#[derive(Clone, Debug)]
pub struct UsageLimit {
    /// The API's words.
    pub message: String,
    /// When it ends.
    pub resets_at: Option<Timestamp>,
    /// The plan.
    pub plan: Option<String>,
    /// The API's own body, untouched: clients read the end of the limit from it.
    pub body: Bytes,
    /// The headers that come back with it.
    pub headers: HeaderMap,
}

/// What the API said, as far as it could be understood.
#[derive(Clone, Debug, Default, thiserror::Error)]
#[error("{message}")]
pub struct ApiError {
    /// The HTTP status that tells clients the truth.
    pub status: u16,
    /// OpenAI's `error.type`.
    pub kind: Option<String>,
    /// OpenAI's `error.code`.
    pub code: Option<String>,
    /// OpenAI's `error.param`.
    pub param: Option<String>,
    /// One sentence.
    pub message: String,
    /// The pause that was asked for.
    pub retry_after: Option<Duration>,
    /// The body as it came, redacted and cut.
    pub body: String,
    /// The headers that come back with it.
    pub headers: HeaderMap,
}

impl From<ApiError> for Failure {
    fn from(error: ApiError) -> Self {
        Self::Api(Box::new(error))
    }
}

impl Failure {
    /// The HTTP status. The Codex CLI shows the text of a 400 as it is, while it answers a 401 with a
    /// dozen blind retries, a 403 with five and a 502 with thirty, but waits as a 503 with `Retry-After`
    /// tells it (all seen with 0.169.0): for `codex` each becomes what keeps it calm.
    #[must_use]
    pub fn status(&self, codex: bool) -> u16 {
        match self.plain_status() {
            401 | 403 if codex => 400,
            500..=504 if codex => 503,
            status => status,
        }
    }

    fn plain_status(&self) -> u16 {
        match self {
            Self::Login(error) => login_status(error),
            Self::Refused(_) => 400,
            Self::UnknownModel { .. } => 404,
            Self::UsageLimit(_) => 429,
            Self::Api(error) => error.status,
            Self::Overloaded(_) => 503,
            Self::Timeout { .. } => 504,
            Self::Unreachable(_) | Self::Broken(_) | Self::Routing(_) => 502,
        }
    }

    /// Seconds after which another try makes sense, for `Retry-After` (RFC 9110 section 10.2.3).
    #[must_use]
    pub fn retry_after_secs(&self, codex: bool) -> Option<u64> {
        let asked = match self {
            Self::Login(LoginError::Unreachable { retry_after, .. }) => Some(*retry_after),
            Self::Api(error) => error.retry_after,
            _ => None,
        };
        let pause = asked.or_else(|| (self.status(codex) == 503).then_some(PAUSE));
        pause
            .map(|pause| u64::try_from(pause.as_millis().div_ceil(1000)).unwrap_or(u64::MAX).max(1))
    }

    /// Whether a client must be kept from trying again on its own: OpenAI's libraries heed
    /// `x-should-retry`.
    #[must_use]
    pub fn is_final(&self) -> bool {
        match self {
            Self::UsageLimit(_) | Self::Login(LoginError::LoginRequired { .. }) => true,
            Self::Api(error) => error.code.as_deref() == Some("insufficient_quota"),
            _ => false,
        }
    }

    /// The API's own headers that a client may read more from: limits and ids.
    #[must_use]
    pub fn headers(&self) -> Option<&HeaderMap> {
        match self {
            Self::UsageLimit(limit) => Some(&limit.headers),
            Self::Api(error) => Some(&error.headers),
            _ => None,
        }
    }

    /// A word for counters and the audit trail, as JSON-RPC names the kinds.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Login(error) => match error {
                LoginError::LoginRequired { .. } => "login_required",
                LoginError::Unreachable { .. } => "issuer_unreachable",
                LoginError::Timeout { .. } => "timeout",
                LoginError::Storage { .. } => "storage_error",
                LoginError::Overloaded | LoginError::Stopping => "overloaded",
                LoginError::Invalid(_) => "invalid_params",
                _ => "upstream_error",
            },
            Self::Refused(_) => "invalid_params",
            Self::UnknownModel { .. } => "unsupported_model",
            Self::UsageLimit(_) => "usage_limit",
            Self::Overloaded(_) => "overloaded",
            Self::Timeout { .. } => "timeout",
            Self::Api(_) | Self::Unreachable(_) | Self::Broken(_) | Self::Routing(_) => {
                "upstream_error"
            }
        }
    }

    /// The body of an HTTP answer: OpenAI's error object, or the API's own body where clients read
    /// more from it.
    #[must_use]
    pub fn body(&self) -> Bytes {
        match self {
            Self::UsageLimit(limit) => limit.body.clone(),
            _ => self.error_object().to_string().into(),
        }
    }

    /// `{"error": {message, type, code, param}}`.
    #[must_use]
    pub fn error_object(&self) -> Value {
        let (kind, code, param): (&str, Value, Value) = match self {
            Self::Login(LoginError::LoginRequired { .. }) => {
                ("authentication_error", "login_required".into(), Value::Null)
            }
            Self::Refused(refusal) => (
                "invalid_request_error",
                refusal.code.map_or(Value::Null, Value::from),
                refusal.param.clone().map_or(Value::Null, Value::from),
            ),
            Self::UnknownModel { .. } => {
                ("invalid_request_error", "model_not_found".into(), "model".into())
            }
            Self::UsageLimit(_) => {
                ("usage_limit_reached", "usage_limit_reached".into(), Value::Null)
            }
            Self::Api(error) => {
                let kind = error.kind.as_deref().unwrap_or(match error.status {
                    400..=499 => "invalid_request_error",
                    _ => "server_error",
                });
                let text = |text: &Option<String>| text.clone().map_or(Value::Null, Value::from);
                (kind, text(&error.code), text(&error.param))
            }
            Self::Broken(_) => ("server_error", "upstream_stream_truncated".into(), Value::Null),
            other => ("server_error", other.kind().into(), Value::Null),
        };
        json!({ "error": {
            "message": self.sentence(), "type": kind, "param": param, "code": code,
        }})
    }

    /// The sentence for a person, with the next step where there is one.
    #[must_use]
    pub fn sentence(&self) -> String {
        match self {
            Self::Login(error @ LoginError::LoginRequired { .. }) => {
                format!("{error}; sign in with: valetkey login")
            }
            other => other.to_string(),
        }
    }
}

fn login_status(error: &LoginError) -> u16 {
    match error {
        LoginError::LoginRequired { .. } => 401,
        LoginError::Invalid(_) => 400,
        LoginError::NotFound => 404,
        LoginError::Unreachable { .. } | LoginError::Overloaded | LoginError::Stopping => 503,
        LoginError::Timeout { .. } => 504,
        LoginError::Storage { .. } => 500,
        _ => 502,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn login_required() -> Failure {
        Failure::Login(LoginError::LoginRequired { problem: None })
    }

    #[test]
    fn nobody_signed_in_is_401_but_for_the_codex_cli() {
        assert_eq!(login_required().status(false), 401);
        assert_eq!(login_required().status(true), 400);
        assert!(login_required().sentence().contains("valetkey login"));
        let unreachable = Failure::Unreachable("refused".into());
        assert_eq!((unreachable.status(false), unreachable.retry_after_secs(false)), (502, None));
        assert_eq!((unreachable.status(true), unreachable.retry_after_secs(true)), (503, Some(1)));
    }

    #[test]
    fn a_usage_limit_keeps_its_body_and_is_final() {
        let body = Bytes::from_static(br#"{"error":{"type":"usage_limit_reached","resets_at":7}}"#);
        let failure = Failure::UsageLimit(Box::new(UsageLimit {
            message: "The usage limit has been reached".into(),
            resets_at: None,
            plan: None,
            body: body.clone(),
            headers: HeaderMap::new(),
        }));
        assert_eq!((failure.status(false), failure.body()), (429, body));
        assert!(failure.is_final());
        let spent = |code: &str| {
            let code = Some(code.to_owned());
            Failure::from(ApiError { status: 429, code, ..ApiError::default() })
        };
        assert!(spent("insufficient_quota").is_final());
        assert!(!spent("rate_limit_exceeded").is_final());
    }

    #[test]
    fn an_overload_says_when_to_come_back() {
        assert_eq!(Failure::Overloaded("full".into()).retry_after_secs(false), Some(1));
        let error = ApiError { status: 503, retry_after: None, ..ApiError::default() };
        assert_eq!(Failure::from(error.clone()).retry_after_secs(false), Some(1));
        let later =
            ApiError { status: 429, retry_after: Some(Duration::from_millis(6500)), ..error };
        assert_eq!(Failure::from(later).retry_after_secs(false), Some(7));
    }

    #[test]
    fn errors_have_openais_shape() {
        let failure = Failure::UnknownModel { asked: "gpt-1".into(), models: vec!["gpt-9".into()] };
        let object = failure.error_object();
        assert_eq!(object["error"]["code"], "model_not_found");
        assert_eq!(object["error"]["param"], "model");
        assert!(object["error"]["message"].as_str().is_some_and(|text| text.contains("gpt-9")));
        assert_eq!(failure.status(false), 404);
    }
}
