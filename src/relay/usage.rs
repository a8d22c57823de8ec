//! How much of the subscription is used, and by whom.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// What is known of a subscription's limits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// The plan.
    pub plan: Option<String>,
    /// The windows, the shortest first.
    pub windows: Vec<Window>,
    /// When this was observed; nothing where nothing was.
    pub observed_at: Option<Timestamp>,
    /// What each local client has used of it.
    #[serde(default)]
    pub clients: Vec<ClientUse>,
}

/// One window of a limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// `primary`, `secondary`, or a limit's own name.
    pub name: String,
    /// How much of it is used, in percent.
    pub used_percent: f64,
    /// How long it is, in minutes.
    pub window_minutes: Option<u64>,
    /// When it begins anew.
    pub resets_at: Option<Timestamp>,
}

/// What one local client has used since the daemon started, or on one day.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClientUse {
    /// A key's or lease's name, or the program on the socket.
    pub client: String,
    /// The day (UTC, `2026-11-22`); absent for the sum since the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day: Option<String>,
    /// Completions carried.
    pub requests: u64,
    /// Tokens read by the model.
    pub input_tokens: u64,
    /// Those of them that its cache held.
    pub cached_tokens: u64,
    /// Tokens that it wrote.
    pub output_tokens: u64,
}
