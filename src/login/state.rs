//! The states a login can be in, as clients see them. Pure.
//!
//! What is shown is derived from the facts the owner holds, in one function; no state is ever set by
//! hand, so none can contradict the token beneath it.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// How a login stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// Nobody is signed in.
    SignedOut,
    /// A token is held and all is well.
    Active,
    /// The issuer is being asked for the next token just now.
    Refreshing,
    /// Refreshing or saving fails; the token still lives.
    Degraded,
    /// The issuer refused the refresh token for good, or its answer could not be believed.
    LoginRequired,
    /// The person locked the login.
    Locked,
}

/// How a login under way goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoginProgress {
    /// The person has not finished yet.
    Pending,
    /// Signed in, verified and kept.
    Complete,
    /// It will not come to anything; `error` says why.
    Failed,
    /// The person took too long.
    Expired,
    /// Cancelled, or overtaken by a later login or a logout.
    Cancelled,
}

/// What anybody may know of a login. Never holds a token.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Status {
    /// The vendor's name in the configuration.
    pub vendor: String,
    /// The account's name at that vendor.
    pub account: String,
    /// Whether a usable token can be lent now.
    pub connected: bool,
    /// How it stands.
    pub state: State,
    /// The verified e-mail address, where there is one.
    pub account_email: Option<String>,
    /// The vendor's own id of the account.
    pub account_id: Option<String>,
    /// The subscription's plan.
    pub plan: Option<String>,
    /// When the held access token ends.
    pub expires_at: Option<Timestamp>,
    /// When it is to be renewed.
    pub refresh_at: Option<Timestamp>,
    /// When it was renewed last.
    pub last_refresh_at: Option<Timestamp>,
    /// What went wrong last, until it goes right again.
    pub last_error: Option<Problem>,
}

/// What went wrong, in a [`Status`].
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Problem {
    /// One word for programs: an OAuth error code, or one of ours.
    pub reason: String,
    /// One sentence for a person.
    pub message: String,
    /// When it happened.
    pub at: Timestamp,
}
