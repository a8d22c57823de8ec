//! The error table: every way in which a call can fail, its code and the words for it.
//!
//! One type crosses the wire, so that each surface (lines, HTTP, the command line) shows the same
//! sentence and the same next step.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::login::LoginError;
use crate::relay::Failure;

/// What went wrong, for programs. Each kind has one code.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// The line is not JSON (JSON-RPC 2.0 section 5.1).
    ParseError,
    /// The JSON is not a request.
    InvalidRequest,
    /// No such method.
    MethodNotFound,
    /// The parameters do not fit the method.
    InvalidParams,
    /// A defect of ours.
    InternalError,
    /// Nobody is signed in, or the issuer refused the refresh token for good.
    LoginRequired,
    /// `login.start` without the person's consent.
    ConsentRequired,
    /// The model is not one of the subscription's.
    UnsupportedModel,
    /// The API refused or broke.
    UpstreamError,
    /// The subscription's limit is reached.
    UsageLimit,
    /// Unknown or expired `login_id`.
    LoginNotFound,
    /// The caller may not.
    Denied,
    /// Too many clients, calls or bytes in flight.
    Overloaded,
    /// The token is dead and the issuer cannot be reached.
    IssuerUnreachable,
    /// A bound passed.
    Timeout,
    /// The credential could not be read or saved.
    StorageError,
    /// No callback port is free.
    PortInUse,
    /// The issuer answered for another account than the one held.
    AccountMismatch,
    /// By `cancel`.
    Cancelled,
}

impl Kind {
    /// The number on the wire.
    #[must_use]
    pub fn code(self) -> i32 {
        match self {
            Self::ParseError => -32700,
            Self::InvalidRequest => -32600,
            Self::MethodNotFound => -32601,
            Self::InvalidParams => -32602,
            Self::InternalError => -32603,
            Self::LoginRequired => -32001,
            Self::ConsentRequired => -32002,
            Self::UnsupportedModel => -32003,
            Self::UpstreamError => -32004,
            Self::UsageLimit => -32005,
            Self::LoginNotFound => -32006,
            Self::Denied => -32007,
            Self::Overloaded => -32008,
            Self::IssuerUnreachable => -32009,
            Self::Timeout => -32010,
            Self::StorageError => -32011,
            Self::PortInUse => -32012,
            Self::AccountMismatch => -32013,
            Self::Cancelled => -32800,
        }
    }
}

/// An error as it stands in the `error` member of an answer.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, thiserror::Error)]
#[error("{message}")]
pub struct RpcError {
    /// The number of the table.
    pub code: i32,
    /// One sentence for a person, naming what to do.
    pub message: String,
    /// What programs read.
    pub data: ErrorData,
}

/// The `data` member of an [`RpcError`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ErrorData {
    /// The kind, by name.
    pub kind: Kind,
    /// The next step, as one sentence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hint: Option<String>,
    /// Seconds after which another try makes sense.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after: Option<u64>,
    /// Members that only some kinds have (`reason`, `notice`, `models`, `which`, `path`, `status`, `body` …).
    #[serde(flatten)]
    pub more: Map<String, Value>,
}

impl RpcError {
    /// An error of this kind that says `message`.
    #[must_use]
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            code: kind.code(),
            message: message.into(),
            data: ErrorData { kind, hint: None, retry_after: None, more: Map::new() },
        }
    }

    /// Adds the next step.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.data.hint = Some(hint.into());
        self
    }

    /// Adds when to try again, in seconds (at least one).
    #[must_use]
    pub fn retry_after(mut self, after: std::time::Duration) -> Self {
        self.data.retry_after =
            Some(after.as_millis().div_ceil(1000).max(1).try_into().unwrap_or(u64::MAX));
        self
    }

    /// Adds a member that only this kind has.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.data.more.insert(name.to_owned(), value.into());
        self
    }

    /// The kind, for deciding.
    #[must_use]
    pub fn kind(&self) -> Kind {
        self.data.kind
    }
}

impl From<Failure> for RpcError {
    fn from(failure: Failure) -> Self {
        let (message, pause) = (failure.sentence(), failure.retry_after_secs(false));
        let error = match failure {
            Failure::Login(error) => return error.into(),
            Failure::Refused(refusal) => match refusal.param {
                Some(param) => Self::new(Kind::InvalidParams, message).with("param", param),
                None => Self::new(Kind::InvalidParams, message),
            },
            Failure::UnknownModel { models, .. } => {
                Self::new(Kind::UnsupportedModel, message).with("models", models)
            }
            Failure::UsageLimit(limit) => {
                let body = String::from_utf8_lossy(&limit.body).into_owned();
                let resets_at = limit.resets_at.map(|at| at.0);
                Self::new(Kind::UsageLimit, message)
                    .hint("nothing is to be had before it resets; see: valetkey usage")
                    .with("resets_at", resets_at)
                    .with("plan", limit.plan)
                    .with("body", body)
            }
            Failure::Api(error) => {
                let told = Self::new(Kind::UpstreamError, message).with("status", error.status);
                told.with("reason", error.code.or(error.kind)).with("body", error.body)
            }
            Failure::Overloaded(_) => Self::new(Kind::Overloaded, message),
            Failure::Timeout { which } => Self::new(Kind::Timeout, message).with("which", which),
            Failure::Unreachable(_) => {
                Self::new(Kind::UpstreamError, message).with("reason", "unreachable")
            }
            Failure::Broken(_) => {
                Self::new(Kind::UpstreamError, message).with("reason", "upstream_stream_truncated")
            }
            Failure::Routing(_) => {
                Self::new(Kind::UpstreamError, message).with("reason", "routing")
            }
        };
        match pause {
            Some(secs) => error.retry_after(std::time::Duration::from_secs(secs)),
            None => error,
        }
    }
}

impl From<LoginError> for RpcError {
    fn from(error: LoginError) -> Self {
        let message = error.to_string();
        match error {
            LoginError::LoginRequired { problem } => {
                let reason = problem.map_or_else(|| "signed_out".to_owned(), |problem| problem.reason);
                Self::new(Kind::LoginRequired, message).hint("sign in with: valetkey login").with("reason", reason)
            }
            LoginError::Unreachable { retry_after, .. } => {
                Self::new(Kind::IssuerUnreachable, message).retry_after(retry_after)
            }
            LoginError::Timeout { which } => Self::new(Kind::Timeout, message).with("which", which),
            LoginError::Storage { path, .. } => Self::new(Kind::StorageError, message)
                .hint("nothing was lost; make room or rights there and try again")
                .with("path", path.display().to_string()),
            LoginError::AccountMismatch { .. } => Self::new(Kind::AccountMismatch, message)
                .hint("to replace the login use: valetkey login --force; to hold both: valetkey login --account NAME"),
            LoginError::PortInUse { ports } => Self::new(Kind::PortInUse, message)
                .hint("end what listens there, or sign in with: valetkey login --device")
                .with("ports", ports),
            LoginError::NotFound => Self::new(Kind::LoginNotFound, message).hint("start again with: valetkey login"),
            LoginError::Refused { status, reason, body, .. } => {
                let error = Self::new(Kind::UpstreamError, message).with("reason", reason).with("body", body);
                match status {
                    Some(status) => error.with("status", status),
                    None => error,
                }
            }
            LoginError::DeviceLoginOff => Self::new(Kind::UpstreamError, message)
                .hint("switch it on in ChatGPT under Settings, Security (or ask the workspace's administrator), or sign in with a browser: valetkey login")
                .with("reason", "device_login_off")
                .with("status", 404),
            LoginError::Unbelievable(_) => Self::new(Kind::UpstreamError, message)
                .hint("is this machine's clock right, and is nothing between it and the issuer?")
                .with("reason", "unbelievable_token"),
            LoginError::Cancelled => Self::new(Kind::Cancelled, message),
            LoginError::Invalid(_) => Self::new(Kind::InvalidParams, message),
            LoginError::Overloaded => {
                Self::new(Kind::Overloaded, message).retry_after(std::time::Duration::from_secs(60))
            }
            LoginError::Stopping => Self::new(Kind::Overloaded, message).retry_after(std::time::Duration::from_secs(1)),
        }
    }
}
