//! Waiting for a code to be typed: we ask as often as the issuer allows, clients as often as they like.

use std::sync::Arc;
use std::time::Duration;

use super::Pending;
use super::entry::Entry;
use crate::login::LoginError;
use crate::login::state::LoginProgress;
use crate::vendor::{Device, DevicePoll, VendorError};

/// What an issuer that finds us too fast gets on top (RFC 8628 section 3.5).
const SLOW_DOWN: Duration = Duration::from_secs(5);

/// Asks until the person has typed the code, the login has ended otherwise, or the issuer says no.
pub(super) async fn watch(pending: &Pending, entry: &Arc<Entry>, device: Device) {
    let clock = &pending.inner.clock;
    let mut interval = device.interval;
    loop {
        let next = clock.now().plus(interval);
        if next >= entry.expires_at {
            return;
        }
        tokio::select! {
            () = entry.ended.cancelled() => return,
            () = pending.inner.stop.cancelled() => return,
            () = clock.sleep_until(next) => {}
        }
        match entry.aim.vendor.device_poll(&device).await {
            Ok(DevicePoll::Pending) => {}
            Ok(DevicePoll::SlowDown(asked)) => {
                interval = (interval + SLOW_DOWN).max(asked.unwrap_or_default())
            }
            // A network that comes and goes must not cost the person the code that is being typed.
            Err(VendorError::Unreachable { message, .. }) => {
                tracing::warn!(%message, "the issuer could not be asked whether the code was typed");
            }
            Ok(DevicePoll::Approved { code, verifier }) => {
                if entry.ended.is_cancelled() {
                    return;
                }
                let redirect_uri = entry.aim.vendor.device_redirect_uri();
                if let Err(error) = pending.finish(entry, &code, &verifier, &redirect_uri).await {
                    tracing::warn!(%error, "the sign-in with a device code failed");
                }
                return;
            }
            Err(error) => {
                tracing::warn!(%error, "the issuer refused the device code");
                entry.end(LoginProgress::Failed, Some(LoginError::from(error)));
                return;
            }
        }
    }
}
