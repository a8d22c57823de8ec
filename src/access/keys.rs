//! Local keys and leases: bearers for the loopback door that are worth nothing anywhere else.
//!
//! A client that can only send a bearer to a URL gets one of these instead of a token of the vendor's.

use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// What a key opens beside `/v1` and `/healthz`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// The REST endpoints that sign in and out.
    Subscription,
    /// The daemon's counters.
    Metrics,
}

/// What may be told of a key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyInfo {
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends; never where absent.
    pub expires_at: Option<Timestamp>,
    /// When it was last shown at the door.
    pub last_used_at: Option<Timestamp>,
}
