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
    /// When it was renewed last; the sign-in counts as the first time.
    pub last_refresh_at: Option<Timestamp>,
    /// What went wrong last, until it goes right again.
    pub last_error: Option<Problem>,
}

impl Status {
    /// What may be told of a login that is not held.
    #[must_use]
    pub fn signed_out(vendor: &str, account: &str) -> Self {
        Self {
            vendor: vendor.to_owned(),
            account: account.to_owned(),
            connected: false,
            state: State::SignedOut,
            account_email: None,
            account_id: None,
            plan: None,
            expires_at: None,
            refresh_at: None,
            last_refresh_at: None,
            last_error: None,
        }
    }
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

/// The facts that a state is derived from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Facts {
    /// When the held access token ends, if one is held.
    pub expires_at: Option<Timestamp>,
    /// Whether the held token may be handed out at all: believed, and not rejected for good.
    pub lendable: bool,
    /// Whether only the person can help: no refresh will be tried.
    pub refused: bool,
    /// Whether the issuer is being asked.
    pub refreshing: bool,
    /// Whether something went wrong since it last went right.
    pub troubled: bool,
}

impl Facts {
    /// The state that follows from the facts.
    #[must_use]
    pub fn state(&self) -> State {
        match self {
            Self { refused: true, .. } => State::LoginRequired,
            Self { expires_at: None, .. } => State::SignedOut,
            Self { refreshing: true, .. } => State::Refreshing,
            Self { troubled: true, .. } => State::Degraded,
            _ => State::Active,
        }
    }

    /// Whether a usable token can be lent at `now`.
    #[must_use]
    pub fn connected(&self, now: Timestamp) -> bool {
        self.lendable && self.expires_at.is_some_and(|end| end > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn facts() -> impl Strategy<Value = Facts> {
        (proptest::option::of(0_u64..2_000), any::<[bool; 4]>()).prop_map(|(end, [a, b, c, d])| {
            Facts {
                expires_at: end.map(Timestamp),
                lendable: a,
                refused: b,
                refreshing: c,
                troubled: d,
            }
        })
    }

    proptest! {
        #[test]
        fn nobody_is_connected_without_a_living_believed_token(facts in facts()) {
            let connected = facts.connected(Timestamp(1_000));
            prop_assert_eq!(connected, facts.lendable && facts.expires_at > Some(Timestamp(1_000)));
        }

        #[test]
        fn a_refusal_shows_whatever_else_is_going_on(facts in facts()) {
            prop_assert_eq!(facts.state() == State::LoginRequired, facts.refused);
        }
    }
}
