//! Adopting a login that another program holds: read, believed, and only then handed to its owner.

use std::time::Duration;

use super::{Logins, Named};
use crate::login::LoginError;
use crate::login::imported::{self, ImportSource, Imported};
use crate::login::owner::Granted;
use crate::login::state::Status;
use crate::secret::Secret;
use crate::vendor::jwks::Disbelief;
use crate::vendor::{OpenAi, Origin};

/// The longest that the issuer's keys are waited for.
const KEYS_TIMEOUT: Duration = Duration::from_secs(30);
/// When keys that were out of reach may be asked for again.
const KEYS_AGAIN: Duration = Duration::from_secs(5);

impl Logins {
    /// Makes the login in another program's file ours: verified, kept, and renewed at once, so that the
    /// other copy is worth nothing. Where an error is answered, nothing was changed. The answer is as of a
    /// token that was renewed, or (`degraded`) one of which nobody knows whether it was.
    ///
    /// # Errors
    /// [`LoginError::Invalid`] for a file without such a login, [`LoginError::Unbelievable`] for tokens that
    /// the issuer did not sign, [`LoginError::AccountMismatch`], [`LoginError::Unreachable`],
    /// [`LoginError::LoginRequired`] where the issuer refuses what is in the file,
    /// [`LoginError::Storage`], [`LoginError::Overloaded`] where another import is under way.
    pub async fn import(
        &self,
        named: &Named,
        source: ImportSource,
        contents: &Secret,
        replace: bool,
    ) -> Result<Status, LoginError> {
        let imported = imported::parse(source, contents)
            .map_err(|unusable| LoginError::Invalid(unusable.to_string()))?;
        let aim = self.aim(named, replace).await?;
        // Before anything is asked: a logout meanwhile must find this outdated.
        let epoch = aim.login.epoch();
        may_be_of(&aim.vendor, &imported)?;
        let recognised = aim.vendor.recognise(&imported.access_token, imported.id_token.as_ref());
        let identity = match tokio::time::timeout(KEYS_TIMEOUT, recognised).await {
            Ok(Ok(identity)) => identity,
            Ok(Err(Disbelief::KeysUnreachable(why))) => return Err(unreachable(&why)),
            Ok(Err(error)) => return Err(LoginError::Unbelievable(error.to_string())),
            Err(_) => return Err(unreachable("its signing keys did not come in time")),
        };
        let now = self.inner.clock.now();
        let ends = [identity.expires_at, imported.expires_at].into_iter().flatten().min();
        let granted = Granted {
            vendor: aim.vendor,
            access_token: imported.access_token,
            refresh_token: imported.refresh_token,
            identity,
            expires_at: ends.unwrap_or(now),
            epoch,
            replace,
        };
        aim.login.import(granted).await?;
        Ok(aim.login.status())
    }
}

fn unreachable(why: &str) -> LoginError {
    LoginError::Unreachable { message: why.to_owned(), retry_after: KEYS_AGAIN }
}

/// A refresh token is shown to nobody but the issuer that granted it, in no other client's name.
fn may_be_of(vendor: &OpenAi, imported: &Imported) -> Result<(), LoginError> {
    let Origin { issuer, client_id, .. } = vendor.origin();
    match &imported.provenance {
        Some((by, to)) if by.trim_end_matches('/') != issuer || *to != client_id => {
            Err(LoginError::Invalid(format!(
                "the login there was granted by another issuer or to another client than the configured one ({issuer})"
            )))
        }
        _ => Ok(()),
    }
}
