//! The surface: every method a client may call, its parameters and its result as types.
//!
//! Whoever speaks to the daemon (the command line, the tests, another program's author reading this
//! page) sees the whole of it here. How bytes become calls is the business of the modules below;
//! what a call does is decided in `dispatch`.

pub mod client;
pub mod codec;
pub mod connection;
mod discreet;
pub mod dispatch;
pub mod error;
mod looks;
pub mod message;
pub mod server;
mod signing_in;

use serde::{Deserialize, Serialize};

pub use crate::access::audit::{ClientId, Entry as AuditEntry};
pub use crate::access::keys::{KeyInfo, Scope};
pub use crate::login::imported::ImportSource;
pub use crate::login::state::{LoginProgress, State, Status};
pub use crate::relay::models::{Model, ModelsSource};
pub use crate::relay::usage::{ClientUse, Usage, Window};
pub use error::{ErrorData, Kind, RpcError};
pub use looks::{AuditEntries, AuditTail, UsageParams};
pub use signing_in::{
    Accounts, AccountsList, AccountsUse, ImportParams, LoggedOut, LoginComplete, LoginId,
    LoginMethod, LoginPoll, LoginStart, LoginStarted, LoginWait, LogoutParams,
};

use crate::clock::Timestamp;

/// The version of this surface, told by `info`.
pub const PROTOCOL: u32 = 1;

/// No parameters at all: `{}` or absent.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Empty {}

/// Which login is meant; absent members mean the default vendor and its current account.
#[derive(Debug, Default, Clone, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Which {
    /// The vendor's name in the configuration.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// The account's name at that vendor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
}

/// Parameters of `token`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TokenParams {
    /// As in [`Which`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// As in [`Which`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Seconds the token must still live; 60 unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_ttl: Option<u64>,
    /// A token, or its generation, that the API answered 401 to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected: Option<Rejected>,
}

/// How a caller names the token it was refused with.
#[derive(Serialize, Deserialize)]
#[serde(untagged, expecting = "`rejected` is a token or its generation")]
pub enum Rejected {
    /// By its generation.
    Generation(u64),
    /// By the token itself.
    Token(String),
}

/// Result of `token`, as the command line reads it. The daemon writes it from [`crate::login::Lent`].
#[derive(Deserialize)]
pub struct TokenResult {
    /// The bearer token.
    pub access_token: crate::secret::AccessToken,
    /// When it ends.
    pub expires_at: Timestamp,
    /// Seconds until then.
    pub expires_in: u64,
    /// Grows with every refresh and login.
    pub generation: u64,
    /// The headers that the vendor's API wants, `Authorization` included.
    pub headers: std::collections::BTreeMap<String, String>,
}

/// Parameters of `models`.
#[derive(Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModelsParams {
    /// As in [`Which`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub vendor: Option<String>,
    /// As in [`Which`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub account: Option<String>,
    /// Asks the vendor even where an answer is remembered.
    #[serde(default)]
    pub refresh: bool,
}

/// Result of `models`.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Models {
    /// The vendor asked.
    pub vendor: String,
    /// What it offers.
    pub models: Vec<Model>,
    /// Where the list comes from.
    pub source: ModelsSource,
}

/// Parameters of `lease`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LeaseParams {
    /// Who it is for: a name for the audit trail and the counts.
    pub client: String,
    /// Seconds that it lives; an hour unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u64>,
}

/// Result of `lease`.
#[derive(Deserialize)]
pub struct Leased {
    /// The bearer for the loopback door.
    pub key: crate::secret::Secret,
    /// When it ends.
    pub expires_at: Timestamp,
    /// What a client takes for the API's address: `http://127.0.0.1:PORT/v1`.
    pub base_url: String,
}

/// Parameters of `keys.add`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeysAdd {
    /// Its name, as accounts are named.
    pub name: String,
    /// Seconds that it lives; for ever unless given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ttl: Option<u64>,
    /// What it opens beside `/v1` and `/healthz`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scopes: Option<Vec<Scope>>,
}

/// Result of `keys.add`: the only time that the key is shown.
#[derive(Deserialize)]
pub struct KeyAdded {
    /// As asked for.
    pub name: String,
    /// The key.
    pub key: crate::secret::Secret,
}

/// Result of `keys.list`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Keys {
    /// By name.
    pub keys: Vec<KeyInfo>,
}

/// Parameters of `keys.revoke`.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KeysRevoke {
    /// Which.
    pub name: String,
}

/// Result of `page.open`.
#[derive(Serialize, Deserialize)]
pub struct PageOpened {
    /// An address on loopback that opens the page once.
    pub url: String,
    /// When it stops doing so.
    pub expires_at: Timestamp,
}

/// Result of `info`.
#[derive(Debug, Serialize, Deserialize)]
pub struct Info {
    /// `valetkey`.
    pub name: String,
    /// The daemon's version.
    pub version: String,
    /// [`PROTOCOL`].
    pub protocol: u32,
    /// The daemon's process id.
    pub pid: u32,
    /// When it started.
    pub started_at: Timestamp,
    /// Seconds since then.
    pub uptime: u64,
    /// Where it listens.
    pub socket: String,
    /// The loopback listener's address, where there is one.
    pub http: Option<String>,
    /// The configured vendors' names.
    pub vendors: Vec<String>,
}
