//! What those ask who look again and again: who uses the login, and what was done with it.

use serde::{Deserialize, Serialize};

use super::AuditEntry;

/// Parameters of `usage`.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct UsageParams {
    /// As in [`super::Which`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// As in [`super::Which`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Asks the vendor nothing, however old what is remembered is: for those who look again and again.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub remembered: bool,
}

/// Parameters of `audit.tail`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AuditTail {
    /// How many entries at most; 100 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<usize>,
}

/// Result of `audit.tail`.
#[derive(Debug, Serialize, Deserialize)]
pub struct AuditEntries {
    /// The newest last.
    pub entries: Vec<AuditEntry>,
}
