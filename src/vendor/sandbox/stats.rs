//! What was asked of the sandbox: numbers that a test can hold a client to.

use std::collections::BTreeMap;

use axum::http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::seen::Seen;
use crate::clock::Timestamp;

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
    /// Streams that are being sent.
    pub(super) streaming: u64,
    /// Given up by the client, before the answer or in the middle of its stream.
    pub(super) aborted: u64,
    /// When the latest of those was.
    pub(super) aborted_at: Option<Timestamp>,
    /// Some headers of the latest one.
    pub(super) last_headers: BTreeMap<String, String>,
}

impl Count {
    fn abort(&mut self, left_at: Option<Timestamp>) {
        if left_at.is_some() {
            self.aborted += 1;
            self.aborted_at = left_at;
        }
    }
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
    /// What completions were asked for.
    pub(super) seen: Seen,
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

    /// `left_at` is when the client left without an answer.
    pub(super) fn leave(&mut self, endpoint: Endpoint, left_at: Option<Timestamp>) {
        let count = self.endpoints.entry(endpoint).or_default();
        count.in_flight = count.in_flight.saturating_sub(1);
        count.answered += u64::from(left_at.is_none());
        count.abort(left_at);
    }

    pub(super) fn begin_stream(&mut self, endpoint: Endpoint) {
        self.endpoints.entry(endpoint).or_default().streaming += 1;
    }

    /// `left_at` is when the client left before its end.
    pub(super) fn end_stream(&mut self, endpoint: Endpoint, left_at: Option<Timestamp>) {
        let count = self.endpoints.entry(endpoint).or_default();
        count.streaming = count.streaming.saturating_sub(1);
        count.abort(left_at);
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
            "aborted": self.of(Endpoint::Responses).aborted,
            "models_requests": self.of(Endpoint::Models).requests,
            "endpoints": self.endpoints,
        })
    }
}
