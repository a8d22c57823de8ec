//! What a person changes among the logins: who is current, who is signed out, what is configured.

use std::sync::Arc;

use super::{DEFAULT_ACCOUNT, Logins, Named, vendors};
use crate::config::Config;
use crate::login::owner::Message;
use crate::login::state::{State, Status};
use crate::login::{Login, LoginError};

impl Logins {
    /// Every account of a vendor that is or was signed in, and the one named, which stands first.
    ///
    /// # Errors
    /// As [`Self::status`].
    pub async fn accounts(&self, current: &Named) -> Result<Vec<Status>, LoginError> {
        let mut statuses = vec![self.status(current).await?];
        let logins = self.known().logins.get(&current.vendor).cloned().unwrap_or_default();
        let others = logins
            .values()
            .map(Login::status)
            .filter(|status| status.state != State::SignedOut && status.account != current.account);
        statuses.extend(others);
        Ok(statuses)
    }

    /// Makes an account the one meant by callers who name none.
    ///
    /// # Errors
    /// [`LoginError::Storage`] where that cannot be remembered.
    pub async fn use_account(&self, named: &Named) -> Result<Status, LoginError> {
        let status = self.status(named).await?;
        if status.state == State::SignedOut && named.account != DEFAULT_ACCOUNT {
            return Err(LoginError::Invalid(format!(
                "nobody is signed in as {:?}; sign in first with: valetkey login --account {}",
                named.account, named.account
            )));
        }
        let (ledger, name) = (self.inner.ledger.clone(), named.clone());
        let written = tokio::task::spawn_blocking(move || {
            ledger.set_current_account(&name.vendor, &name.account)
        });
        written.await.map_err(|_| LoginError::Stopping)??;
        self.settle_default().await;
        Ok(status)
    }

    /// Forgets a login and ends those under way for it. Answers whether the issuer confirmed.
    ///
    /// # Errors
    /// [`LoginError::Storage`] where something of it could not be removed.
    pub async fn logout(&self, named: &Named, revoke: bool) -> Result<bool, LoginError> {
        self.inner.pending.cancel_all(&(named.vendor.clone(), named.account.clone()), None);
        match self.login(named).await {
            Ok(login) => login.logout(revoke).await,
            Err(LoginError::LoginRequired { .. }) => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Puts another configuration in force. What is in flight goes on as it was begun.
    pub async fn configure(&self, config: &Config) {
        let logins = {
            let mut known = self.known_mut();
            let fresh = vendors(config, &self.inner.clock);
            let before = std::mem::take(&mut known.vendors);
            // An unchanged vendor keeps its client and its keys.
            known.vendors = fresh
                .into_iter()
                .map(|(name, vendor)| {
                    match before.get(&name).filter(|old| old.config() == vendor.config()) {
                        Some(old) => (name, Arc::clone(old)),
                        None => (name, vendor),
                    }
                })
                .collect();
            known.default_vendor.clone_from(&config.default_vendor);
            known.policy = config.refresh.clone();
            known.logins.clone()
        };
        for (vendor, accounts) in logins {
            for login in accounts.into_values() {
                let message = Message::Configure {
                    vendor: self.vendor(&vendor),
                    policy: config.refresh.clone(),
                };
                let _ = login.mailbox.send(message).await;
            }
        }
        self.settle_default().await;
    }

    /// Looks up once whom callers mean who name nothing.
    pub(super) async fn settle_default(&self) {
        let login = match self.name(None, None) {
            Ok(named) => self.aim(&named, false).await.map(|aim| aim.login),
            Err(error) => Err(error),
        };
        if let Err(error) = &login {
            tracing::error!(%error, "the default login cannot be opened");
        }
        self.known_mut().default_login = login.ok();
    }
}
