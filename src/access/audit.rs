//! The audit trail.
use serde::{Deserialize, Serialize};

use crate::clock::Timestamp;

/// One line of the trail. Names a token by its generation only.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    /// When.
    pub at: Timestamp,
    /// Who asked.
    pub client: ClientId,
    /// For what.
    pub method: String,
    /// Of which vendor.
    #[serde(default)]
    pub vendor: Option<String>,
    /// Of which account.
    #[serde(default)]
    pub account: Option<String>,
    /// `ok`, or the error's kind.
    pub outcome: String,
    /// Which token was lent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub generation: Option<u64>,
    /// How many like it in a row on one connection; absent for one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}

/// The process at the other end, as the kernel names it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClientId {
    /// Process id.
    #[serde(default)]
    pub pid: Option<u32>,
    /// User id.
    #[serde(default)]
    pub uid: Option<u32>,
    /// The program's path.
    #[serde(default)]
    pub exe: Option<String>,
}
