//! Whoever issues the tokens: the questions we ask an issuer, and what its answers can mean.
//!
//! A dialect (so far [`openai`]) turns wire formats into the few outcome types below, and nothing
//! above this room knows a path, a header or an error code of any vendor. The outcome of a refresh is
//! a class, not an error source: what matters is whether the refresh token may have been used up.

pub mod callback;
pub mod carrier;
pub mod jwks;
pub mod openai;
pub mod page;
pub mod pkce;
pub mod reach;
pub mod redact;
pub mod sandbox;
pub mod wire;

use std::time::Duration;

use crate::clock::Timestamp;
use crate::secret::{AccessToken, IdToken, RefreshToken, Secret};

pub use openai::OpenAi;

/// Who granted something: it is never shown to anybody else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    /// The issuer's identifier, without a trailing slash.
    pub issuer: String,
    /// Where its tokens are renewed.
    pub token_endpoint: String,
    /// The client that it was granted to.
    pub client_id: String,
}

/// What an issuer granted. Absent members keep what is held already (RFC 6749 section 6).
#[derive(Clone, Debug, Default)]
pub struct Grant {
    /// The token to lend.
    pub access_token: Option<AccessToken>,
    /// The token that buys the next grant.
    pub refresh_token: Option<RefreshToken>,
    /// Says who signed in.
    pub id_token: Option<IdToken>,
    /// The access token's life in seconds.
    pub expires_in: Option<u64>,
    /// The issuer's clock less ours, in milliseconds, from its `Date`.
    pub skew_millis: i64,
}

/// What a verified token says of its owner.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Identity {
    /// The vendor's id of the account.
    pub account_id: Option<String>,
    /// The e-mail address.
    pub email: Option<String>,
    /// The subscription's plan.
    pub plan: Option<String>,
    /// Whether requests must carry the FedRAMP header.
    pub fedramp: bool,
    /// The token's own end.
    pub expires_at: Option<Timestamp>,
}

/// What came of showing the issuer a refresh token.
#[derive(Debug)]
pub enum Refreshed {
    /// The next tokens.
    Granted(Grant),
    /// Not processed, the refresh token is unused: try again.
    Harmless {
        /// How long the issuer asks to be left alone.
        retry_after: Option<Duration>,
        /// Why, redacted.
        message: String,
    },
    /// It may have been processed: the refresh token may be used up.
    Unknown {
        /// Why, redacted.
        message: String,
    },
    /// The issuer refused this very token for good.
    Refused {
        /// The OAuth error code.
        reason: String,
        /// The issuer's words, redacted.
        message: String,
    },
}

/// Why a question that is not a refresh got no good answer.
#[derive(Debug, thiserror::Error)]
pub enum VendorError {
    /// No answer, or one that says "later".
    #[error("the vendor cannot be reached: {message}")]
    Unreachable {
        /// Why, redacted.
        message: String,
        /// Which bound passed, if one did.
        which: Option<&'static str>,
    },
    /// An answer that says no.
    #[error("the vendor answered HTTP {status} ({reason})")]
    Refused {
        /// The HTTP status.
        status: u16,
        /// The error code, or `refused` or `garbled` where there is none.
        reason: String,
        /// The vendor's words, redacted.
        body: String,
    },
    /// Device codes are switched off for this account or workspace.
    #[error("sign-in with a device code is switched off for this account")]
    DeviceLoginOff,
}

impl From<wire::NoAnswer> for VendorError {
    fn from(error: wire::NoAnswer) -> Self {
        Self::Unreachable { message: error.message, which: error.timeout }
    }
}

/// A device code, as the person and we need it (RFC 8628 section 3.2).
#[derive(Debug)]
pub struct Device {
    /// What we poll with.
    pub device_id: Secret,
    /// What the person types.
    pub user_code: String,
    /// The least time between two polls.
    pub interval: Duration,
    /// Where the person types it.
    pub verification_uri: String,
    /// The same page with the code filled in.
    pub verification_uri_complete: String,
}

/// What came of asking whether the person has typed the code.
#[derive(Debug)]
pub enum DevicePoll {
    /// Not yet.
    Pending,
    /// Not yet, and ask less often.
    SlowDown(Option<Duration>),
    /// Yes: a code to exchange, with the verifier that belongs to it.
    Approved {
        /// The authorization code.
        code: Secret,
        /// Its PKCE verifier.
        verifier: Secret,
    },
}
