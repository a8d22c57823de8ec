//! Every login of this person: which exist, which is meant, and what happens to all of them at once.

mod adopting;
mod changes;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::owner::{self, Parts};
use super::pending::{Aim, Pending};
use super::state::Status;
use super::{Login, LoginError};
use crate::clock::Clock;
use crate::config::{Config, Refresh};
use crate::meter::Meter;
use crate::store::{Ledger, Store, StoreError, is_account_name};
use crate::vendor::OpenAi;

/// The account of who never names one.
pub const DEFAULT_ACCOUNT: &str = "default";

/// Logins open at once, of all vendors: each is a task and a file.
const MOST_LOGINS: usize = 256;

/// All logins. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Logins {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    store: Store,
    ledger: Ledger,
    clock: Clock,
    meter: Meter,
    stop: CancellationToken,
    lost: CancellationToken,
    /// What must end before the process does: words to an issuer.
    tracker: TaskTracker,
    pending: Pending,
    known: RwLock<Known>,
    /// One account is opened at a time, so that none gets two owners.
    opening: tokio::sync::Mutex<()>,
    owners: Mutex<JoinSet<Result<(), StoreError>>>,
    changes: watch::Sender<u64>,
}

#[derive(Debug)]
struct Known {
    vendors: BTreeMap<String, Arc<OpenAi>>,
    default_vendor: String,
    policy: Refresh,
    logins: BTreeMap<String, BTreeMap<String, Login>>,
    /// What a caller gets who names nothing: looked up once, not at each call.
    default_login: Option<Login>,
}

/// Which login a caller means, by name.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Named {
    /// The vendor.
    pub vendor: String,
    /// The account.
    pub account: String,
}

impl Logins {
    /// Loads every login there is a file for, and the default one, and starts their owners.
    ///
    /// # Errors
    /// Where the ledger or a folder cannot be read.
    pub async fn open(
        store: Store,
        config: &Config,
        clock: Clock,
        stop: CancellationToken,
    ) -> Result<Self, StoreError> {
        let tracker = TaskTracker::new();
        let ledger = store.ledger()?;
        let known = Known {
            vendors: vendors(config, &clock),
            default_vendor: config.default_vendor.clone(),
            policy: config.refresh.clone(),
            logins: BTreeMap::new(),
            default_login: None,
        };
        let found = store.logins()?;
        let logins = Self {
            inner: Arc::new(Inner {
                pending: Pending::new(clock.clone(), stop.clone(), tracker.clone()),
                store,
                ledger,
                clock,
                meter: Meter::default(),
                stop,
                lost: CancellationToken::new(),
                tracker,
                known: RwLock::new(known),
                opening: tokio::sync::Mutex::default(),
                owners: Mutex::default(),
                changes: watch::Sender::new(0),
            }),
        };
        for (vendor, account) in found {
            if is_account_name(&account) {
                let named = Named { vendor, account };
                if let Err(error) = logins.open_login(&named).await {
                    // One unreadable login must not cost a person the others.
                    tracing::error!(vendor = %named.vendor, account = %named.account, %error, "this login cannot be opened");
                }
            }
        }
        logins.settle_default().await;
        Ok(logins)
    }

    /// The login meant by a caller who names nothing, if it is open. Never waits.
    #[must_use]
    pub fn default_login(&self) -> Option<Login> {
        self.known().default_login.clone()
    }

    /// Whom a caller means.
    ///
    /// # Errors
    /// [`LoginError::Invalid`] for a vendor that is not configured or a name that no account can have.
    pub fn name(&self, vendor: Option<&str>, account: Option<&str>) -> Result<Named, LoginError> {
        let known = self.known();
        let vendor = vendor.unwrap_or(&known.default_vendor);
        if !known.vendors.contains_key(vendor) {
            let names: Vec<_> = known.vendors.keys().map(String::as_str).collect();
            return Err(LoginError::Invalid(format!(
                "there is no vendor {vendor:?}; configured: {}",
                names.join(", ")
            )));
        }
        let account = match account {
            Some(account) => account.to_owned(),
            None => self
                .inner
                .ledger
                .current_account(vendor)
                .unwrap_or_else(|| DEFAULT_ACCOUNT.to_owned()),
        };
        if !is_account_name(&account) {
            return Err(LoginError::Invalid(format!(
                "{account:?} cannot name an account: use up to 64 of a-z, 0-9, dot, dash and underscore, beginning with a letter or digit"
            )));
        }
        Ok(Named { vendor: vendor.to_owned(), account })
    }

    /// The login of that name. Asking for one that was never signed in makes none.
    ///
    /// # Errors
    /// [`LoginError::LoginRequired`] where there is none; [`LoginError::Storage`] where its files
    /// cannot be read.
    pub async fn login(&self, named: &Named) -> Result<Login, LoginError> {
        if let Some(login) = self.find(named) {
            return Ok(login);
        }
        if !self.inner.store.slot(&named.vendor, &named.account).is_taken() {
            return Err(LoginError::LoginRequired { problem: None });
        }
        self.open_login(named).await
    }

    /// What may be told of the login of that name, held or not.
    ///
    /// # Errors
    /// [`LoginError::Storage`] where its files cannot be read.
    pub async fn status(&self, named: &Named) -> Result<Status, LoginError> {
        match self.login(named).await {
            Ok(login) => Ok(login.status()),
            Err(LoginError::LoginRequired { .. }) => {
                Ok(Status::signed_out(&named.vendor, &named.account))
            }
            Err(error) => Err(error),
        }
    }

    /// The login of that name, if it is open. Never waits.
    #[must_use]
    pub fn find(&self, named: &Named) -> Option<Login> {
        self.known()
            .logins
            .get(&named.vendor)
            .and_then(|accounts| accounts.get(&named.account))
            .cloned()
    }

    /// What a sign-in for that name needs.
    ///
    /// # Errors
    /// [`LoginError::Storage`] where its files cannot be read, [`LoginError::Overloaded`] where there
    /// are too many accounts.
    pub async fn aim(&self, named: &Named, replace: bool) -> Result<Aim, LoginError> {
        let vendor =
            self.known().vendors.get(&named.vendor).cloned().ok_or(LoginError::NotFound)?;
        let login = match self.login(named).await {
            Err(LoginError::LoginRequired { .. }) => self.open_login(named).await?,
            other => other?,
        };
        Ok(Aim { vendor, login, name: (named.vendor.clone(), named.account.clone()), replace })
    }

    /// Logins under way.
    #[must_use]
    pub fn pending(&self) -> &Pending {
        &self.inner.pending
    }

    /// The dialect of a configured vendor.
    #[must_use]
    pub fn vendor(&self, name: &str) -> Option<Arc<OpenAi>> {
        self.known().vendors.get(name).cloned()
    }

    /// What a person accepts before the first sign-in there.
    #[must_use]
    pub fn notice(&self, named: &Named) -> String {
        self.vendor(&named.vendor).map(|vendor| vendor.notice()).unwrap_or_default()
    }

    /// The configured vendors' names.
    #[must_use]
    pub fn vendor_names(&self) -> Vec<String> {
        self.known().vendors.keys().cloned().collect()
    }

    /// Consent, current accounts and epochs.
    #[must_use]
    pub fn ledger(&self) -> &Ledger {
        &self.inner.ledger
    }

    /// Every login that is open.
    #[must_use]
    pub fn all(&self) -> Vec<Login> {
        self.known().logins.values().flat_map(BTreeMap::values).cloned().collect()
    }

    /// The daemon's counters: refreshes are counted here, the rest by whoever is given them.
    #[must_use]
    pub fn meter(&self) -> &Meter {
        &self.inner.meter
    }

    /// Counts up whenever a status changes or a login is opened.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<u64> {
        self.inner.changes.subscribe()
    }

    /// Waits for an owner to end before it was told to: a defect that only a restart cures.
    pub async fn owner_lost(&self) {
        self.inner.lost.cancelled().await;
    }

    /// Waits for every owner to end in order, and for what they still had to tell the issuer, after
    /// `stop` was cancelled.
    ///
    /// # Errors
    /// Where a login is in memory only and no disk took it.
    pub async fn ended(&self) -> Result<(), StoreError> {
        let owners =
            std::mem::take(&mut *self.inner.owners.lock().unwrap_or_else(PoisonError::into_inner));
        let ended = owners.join_all().await.into_iter().collect();
        self.inner.tracker.close();
        self.inner.tracker.wait().await;
        ended
    }

    async fn open_login(&self, named: &Named) -> Result<Login, LoginError> {
        let _alone = self.inner.opening.lock().await;
        if let Some(login) = self.find(named) {
            return Ok(login);
        }
        if self.all().len() >= MOST_LOGINS {
            return Err(LoginError::Overloaded);
        }
        let parts = {
            let known = self.known();
            Parts {
                vendor_name: named.vendor.clone(),
                account: named.account.clone(),
                vendor: known.vendors.get(&named.vendor).cloned(),
                slot: self.inner.store.slot(&named.vendor, &named.account),
                ledger: self.inner.ledger.clone(),
                clock: self.inner.clock.clone(),
                meter: self.inner.meter.clone(),
                policy: known.policy.clone(),
                stop: self.inner.stop.clone(),
                tracker: self.inner.tracker.clone(),
            }
        };
        let (login, owner) = owner::start(parts).await?;
        let (stop, lost) = (self.inner.stop.clone(), self.inner.lost.clone());
        let mut owners = self.inner.owners.lock().unwrap_or_else(PoisonError::into_inner);
        owners.spawn(async move {
            let ended = owner.await;
            if !stop.is_cancelled() {
                tracing::error!(?ended, "the owner of a login ended unexpectedly");
                lost.cancel();
            }
            ended.unwrap_or(Ok(()))
        });
        drop(owners);
        let accounts = &mut self.known_mut().logins;
        accounts
            .entry(named.vendor.clone())
            .or_default()
            .insert(named.account.clone(), login.clone());
        self.forward_changes(&login);
        Ok(login)
    }

    fn forward_changes(&self, login: &Login) {
        let (mut published, changes) = (login.watch(), self.inner.changes.clone());
        changes.send_modify(|count| *count += 1);
        tokio::spawn(async move {
            while published.changed().await.is_ok() {
                changes.send_modify(|count| *count += 1);
            }
        });
    }

    fn known(&self) -> std::sync::RwLockReadGuard<'_, Known> {
        self.inner.known.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn known_mut(&self) -> std::sync::RwLockWriteGuard<'_, Known> {
        self.inner.known.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn vendors(config: &Config, clock: &Clock) -> BTreeMap<String, Arc<OpenAi>> {
    let made = config
        .vendors
        .iter()
        .map(|(name, vendor)| (name.clone(), Arc::new(OpenAi::new(vendor.clone(), clock))));
    made.collect()
}
