//! Bearers for the loopback door: made, listed and ended. What opens the door is never in a list.

use serde::Serialize;

use super::{Loopback, Surface};
use crate::access::keys::{Bound, KeysError};
use crate::clock::Timestamp;
use crate::rpc::error::{Kind, RpcError};
use crate::rpc::{Empty, Keys, KeysAdd, KeysRevoke, LeaseParams};

/// [`crate::rpc::Leased`], as it is written.
#[derive(Serialize)]
pub(super) struct LeasedAnswer {
    key: String,
    expires_at: Timestamp,
    base_url: String,
}

/// [`crate::rpc::KeyAdded`], as it is written.
#[derive(Serialize)]
pub(super) struct KeyAddedAnswer {
    name: String,
    key: String,
}

/// A lease for the login that is current now. There is none where there is no door that it opens.
pub(super) fn lease(surface: &Surface, params: LeaseParams) -> Result<LeasedAnswer, RpcError> {
    let address = match surface.loopback() {
        Loopback::Open(address) => address,
        Loopback::Closed => {
            return Err(RpcError::new(
                Kind::Denied,
                "the HTTP door is closed; set `listen = \"127.0.0.1:8459\"` under `[http]` in the configuration",
            )
            .hint("[http] listen = \"127.0.0.1:8459\", then: valetkey rpc reload"));
        }
        Loopback::Unavailable(address) => {
            let message = format!(
                "the HTTP door could not be opened at {address}; the daemon's log says why"
            );
            return Err(RpcError::new(Kind::Denied, message).hint(
                "end what listens there or set another port as `listen` under `[http]`, then: valetkey rpc reload",
            ));
        }
    };
    let (key, expires_at) = surface.keys.lease(&params.client, params.ttl, bound(surface)?)?;
    Ok(LeasedAnswer {
        key: key.expose().to_owned(),
        expires_at,
        base_url: format!("http://{address}/v1"),
    })
}

/// A key for the login that is current now.
pub(super) async fn add(surface: &Surface, params: KeysAdd) -> Result<KeyAddedAnswer, RpcError> {
    let KeysAdd { name, ttl, scopes } = params;
    let mut scopes = scopes.unwrap_or_default();
    scopes.sort_unstable();
    scopes.dedup();
    let key = surface.keys.add(&name, ttl, scopes, bound(surface)?).await?;
    Ok(KeyAddedAnswer { name, key: key.expose().to_owned() })
}

/// Every key.
pub(super) fn list(surface: &Surface, _: Empty) -> Keys {
    Keys { keys: surface.keys.list() }
}

/// Ends a key.
pub(super) async fn revoke(surface: &Surface, params: KeysRevoke) -> Result<Empty, RpcError> {
    surface.keys.revoke(&params.name).await?;
    Ok(Empty {})
}

/// Whom callers mean now who name nobody.
fn bound(surface: &Surface) -> Result<Bound, RpcError> {
    let named = surface.logins.name(None, None)?;
    Ok(Bound { vendor: named.vendor, account: named.account })
}

impl From<KeysError> for RpcError {
    fn from(error: KeysError) -> Self {
        let message = error.to_string();
        match error {
            KeysError::Invalid(_) => Self::new(Kind::InvalidParams, message),
            KeysError::TooMany { retry_after, .. } => {
                let error = Self::new(Kind::Overloaded, message);
                match retry_after {
                    Some(after) => error.retry_after(after),
                    None => error,
                }
            }
            KeysError::Storage { path, .. } => Self::new(Kind::StorageError, message)
                .hint("make room or rights there and try again")
                .with("path", path.display().to_string()),
        }
    }
}
