//! What was asked of the sandbox: numbers that a test can hold a client to.

use std::collections::BTreeMap;

use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// Headers worth remembering. Never `authorization`: what is counted here may be printed.
const HEADERS_KEPT: &[&str] = &[
    "accept",
    "chatgpt-account-id",
    "content-type",
    "if-none-match",
    "openai-beta",
    "originator",
    "session-id",
    "user-agent",
    "version",
    "x-openai-internal-codex-responses-lite",
];

/// What can be asked, as named in faults and counters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Endpoint {
    Authorize,
    /// `/oauth/token` with an authorization code.
    Token,
    /// `/oauth/token` with a refresh token.
    Refresh,
    Revoke,
    Jwks,
    DeviceCode,
    DeviceToken,
    DevicePage,
    Responses,
    Models,
    Usage,
    Accounts,
    Settings,
}

/// The count of one endpoint.
#[derive(Clone, Debug, Default, Serialize)]
pub(super) struct Count {
    /// Arrived.
    pub(super) requests: u64,
    /// Arrived and neither answered nor given up.
    pub(super) in_flight: u64,
    /// Answered, well or not.
    pub(super) answered: u64,
    /// Some headers of the latest one.
    pub(super) last_headers: BTreeMap<String, String>,
}

/// All counts since the start.
#[derive(Default)]
pub(super) struct Stats {
    endpoints: BTreeMap<Endpoint, Count>,
    pub(super) refreshes: u64,
    pub(super) reuse_detected: u64,
    pub(super) revocations: u64,
    pub(super) code_exchanges: u64,
    pub(super) polls_too_fast: u64,
    pub(super) turns: u64,
}

impl Stats {
    pub(super) fn arrive(&mut self, endpoint: Endpoint, headers: &HeaderMap) {
        let count = self.endpoints.entry(endpoint).or_default();
        count.requests += 1;
        count.in_flight += 1;
        count.last_headers = HEADERS_KEPT
            .iter()
            .filter_map(|name| {
                Some(((*name).to_owned(), headers.get(*name)?.to_str().ok()?.to_owned()))
            })
            .collect();
    }

    pub(super) fn leave(&mut self, endpoint: Endpoint, answered: bool) {
        let count = self.endpoints.entry(endpoint).or_default();
        count.in_flight = count.in_flight.saturating_sub(1);
        count.answered += u64::from(answered);
    }

    pub(super) fn of(&self, endpoint: Endpoint) -> Count {
        self.endpoints.get(&endpoint).cloned().unwrap_or_default()
    }

    /// As `/_sandbox/stats` shows them.
    pub(super) fn to_json(&self, families_alive: usize, families_revoked: usize) -> Value {
        json!({
            "refresh_requests": self.of(Endpoint::Refresh).requests,
            "refreshes": self.refreshes,
            "reuse_detected": self.reuse_detected,
            "families": { "alive": families_alive, "revoked": families_revoked },
            "revocations": self.revocations,
            "code_exchanges": self.code_exchanges,
            "device_polls": self.of(Endpoint::DeviceToken).requests,
            "polls_too_fast": self.polls_too_fast,
            "jwks_requests": self.of(Endpoint::Jwks).requests,
            "responses": self.turns,
            "models_requests": self.of(Endpoint::Models).requests,
            "endpoints": self.endpoints,
        })
    }
}
