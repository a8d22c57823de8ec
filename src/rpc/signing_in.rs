//! What the methods that sign in and out, and choose an account, take and answer.

use serde::{Deserialize, Serialize};

use super::{ImportSource, LoginProgress, RpcError, Status};
use crate::clock::Timestamp;

/// Parameters of `login.start`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginStart {
    /// As in [`Which`](super::Which).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// As in [`Which`](super::Which).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// The way to sign in.
    pub method: LoginMethod,
    /// The person's acceptance of the notice.
    #[serde(default)]
    pub consent: bool,
    /// Allows a login of another account to replace the one held.
    #[serde(default)]
    pub replace: bool,
}

/// The ways to sign in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum LoginMethod {
    /// Authorization code with PKCE through a browser (RFC 8252).
    Browser,
    /// A code typed on another device.
    Device,
}

/// Result of `login.start`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LoginStarted {
    /// The handle for the other `login.*` methods.
    pub login_id: String,
    /// As asked for.
    pub method: LoginMethod,
    /// When the handle ends.
    pub expires_at: Timestamp,
    /// Seconds between polls that make sense.
    pub interval: u64,
    /// Browser: where the person signs in.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authorize_url: Option<String>,
    /// Device: what the person types.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user_code: Option<String>,
    /// Device: where the person types it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification_uri: Option<String>,
    /// Device: the same with the code filled in, where the vendor has such a page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub verification_uri_complete: Option<String>,
}

/// Parameters of `login.poll` and `login.cancel`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginId {
    /// From `login.start`.
    pub login_id: String,
}

/// Parameters of `login.wait`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginWait {
    /// From `login.start`.
    pub login_id: String,
    /// Seconds to wait at most; until the handle ends unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout: Option<u64>,
}

/// Parameters of `login.complete`.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LoginComplete {
    /// From `login.start`.
    pub login_id: String,
    /// The address of the browser's last page.
    pub redirect_url: String,
}

/// Result of `login.poll`, `login.wait`, `login.complete` and `login.cancel`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct LoginPoll {
    /// The login's account as it stands.
    #[serde(flatten)]
    pub status: Status,
    /// How this login goes.
    pub login: LoginProgress,
    /// Why it failed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub error: Option<RpcError>,
}

/// Parameters of `logout`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LogoutParams {
    /// As in [`Which`](super::Which).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// As in [`Which`](super::Which).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Whether the issuer is asked to revoke the grant (RFC 7009); yes unless told otherwise.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub revoke: Option<bool>,
}

/// Result of `logout`.
#[derive(Debug, Serialize, Deserialize)]
pub struct LoggedOut {
    /// Disconnected.
    #[serde(flatten)]
    pub status: Status,
    /// Whether the issuer confirmed the revocation.
    pub revoked: bool,
}

/// Parameters of `accounts.list`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountsList {
    /// As in [`Which`](super::Which).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
}

/// Result of `accounts.list`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Accounts {
    /// One for each account of the vendor, the current one first.
    pub accounts: Vec<Status>,
}

/// Parameters of `accounts.use`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AccountsUse {
    /// As in [`Which`](super::Which).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// The account that callers who name none shall get from now on.
    pub account: String,
}

/// Parameters of `import`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImportParams {
    /// Whose file it is.
    pub source: ImportSource,
    /// What stands in it.
    pub contents: crate::secret::Secret,
    /// As in [`Which`](super::Which).
    #[serde(default)]
    pub vendor: Option<String>,
    /// As in [`Which`](super::Which).
    #[serde(default)]
    pub account: Option<String>,
    /// Allows a login of another account to take the place of the one held.
    #[serde(default)]
    pub replace: bool,
}
