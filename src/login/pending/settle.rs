//! From a grant to a held login: verified, handed to the owner, or revoked.

use std::sync::Arc;
use std::time::Duration;

use super::Pending;
use super::entry::Entry;
use crate::login::LoginError;
use crate::login::owner::Granted;
use crate::login::state::LoginProgress;
use crate::secret::Secret;
use crate::vendor::Grant;
use crate::vendor::jwks::Disbelief;

/// How often the keys are asked for again while a login waits for them.
const KEYS_AGAIN: Duration = Duration::from_secs(2);
/// The life of an access token whose issuer does not say and that names no end itself.
const ASSUMED_LIFE: Duration = Duration::from_secs(3600);

impl Pending {
    /// Verifies what was granted and hands it to the owner; revokes it where it comes to nothing.
    async fn settle(&self, entry: &Entry, grant: Grant) -> Result<(), LoginError> {
        let refresh_token = grant.refresh_token.clone();
        let settled = self.hand_over(entry, grant).await;
        if let (Err(error), Some(token)) = (&settled, refresh_token) {
            tracing::info!(%error, "the sign-in came to nothing; its grant is revoked");
            let vendor = Arc::clone(&entry.aim.vendor);
            self.inner.tracker.spawn(async move {
                if let Err(error) = vendor.revoke(&token).await {
                    tracing::warn!(%error, "a grant that nobody took was not revoked");
                }
            });
        }
        settled
    }

    async fn hand_over(&self, entry: &Entry, grant: Grant) -> Result<(), LoginError> {
        let received = self.inner.clock.now();
        let missing =
            |what: &str| LoginError::Unbelievable(format!("the issuer granted no {what}"));
        let access_token = grant.access_token.ok_or_else(|| missing("access token"))?;
        let refresh_token = grant
            .refresh_token
            .ok_or_else(|| missing("refresh token (is offline_access among the scopes?)"))?;
        let identity = loop {
            let identified = entry.aim.vendor.identify(
                &access_token,
                grant.id_token.as_ref(),
                grant.skew_millis,
            );
            match identified.await {
                Ok(identity) => break identity,
                Err(Disbelief::Bad(why)) => return Err(LoginError::Unbelievable(why)),
                Err(ended @ Disbelief::Ended) => {
                    return Err(LoginError::Unbelievable(ended.to_string()));
                }
                Err(Disbelief::KeysUnreachable(why)) => {
                    tracing::warn!(%why, "a sign-in waits for the issuer's keys");
                    let again = self.inner.clock.now().plus(KEYS_AGAIN);
                    tokio::select! {
                        () = entry.ended.cancelled() => return Err(LoginError::Cancelled),
                        () = self.inner.stop.cancelled() => return Err(LoginError::Stopping),
                        () = self.inner.clock.sleep_until(again) => {}
                    }
                }
            }
        };
        let told = grant.expires_in.map(|secs| received.plus(Duration::from_secs(secs)));
        let expires_at = [told, identity.expires_at].into_iter().flatten().min();
        if !entry.commit() {
            return Err(LoginError::Cancelled);
        }
        let granted = Granted {
            vendor: Arc::clone(&entry.aim.vendor),
            access_token,
            refresh_token,
            identity,
            expires_at: expires_at.unwrap_or_else(|| received.plus(ASSUMED_LIFE)),
            epoch: entry.epoch,
            replace: entry.aim.replace,
        };
        entry.aim.login.adopt(granted).await
    }

    /// Trades a code for tokens, and the tokens for an ended login.
    pub(super) async fn finish(
        &self,
        entry: &Entry,
        code: &Secret,
        verifier: &Secret,
        redirect_uri: &str,
    ) -> Result<(), LoginError> {
        let result = match entry.aim.vendor.exchange(code, verifier, redirect_uri).await {
            Ok(grant) => self.settle(entry, grant).await,
            Err(error) => Err(error.into()),
        };
        match &result {
            Ok(()) => entry.end_committed(LoginProgress::Complete, None),
            Err(LoginError::Cancelled) => entry.end_committed(LoginProgress::Cancelled, None),
            Err(error) => entry.end_committed(LoginProgress::Failed, Some(error.clone())),
        }
        result
    }
}
