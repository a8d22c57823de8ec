//! Logins under way: from the first code or address to tokens that are verified and handed to the owner.
//!
//! Until then a login is only a promise that somebody else may break: the person walks away, a later
//! login or a logout overtakes it, a stranger guesses at the callback. Each ends in exactly one way, and
//! whatever was granted to one that did not end well is revoked rather than left lying about.

mod browser;
mod device;
mod entry;
mod settle;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::state::LoginProgress;
use super::{Login, LoginError};
use crate::clock::{Clock, Timestamp};
use crate::secret::random_base64url;
use crate::vendor::callback::Listening;
use crate::vendor::{Device, OpenAi};

use entry::Entry;
pub use entry::Progress;

/// How long a person has to come back with a browser (the OpenHands SDK gives as long).
const BROWSER_LIFE: Duration = Duration::from_secs(5 * 60);
/// How long a device code lives (openai/codex, `device_code_auth.rs`).
const DEVICE_LIFE: Duration = Duration::from_secs(15 * 60);
/// Handles held at once, ended ones included: more than any person starts in a quarter of an hour.
const MOST: usize = 64;
/// Random bytes in a handle: 43 characters.
const ID_BYTES: usize = 32;

/// A login that was begun.
#[derive(Debug)]
pub struct Begun {
    /// Its handle.
    pub login_id: String,
    /// When the handle ends.
    pub expires_at: Timestamp,
    /// How often it makes sense to ask.
    pub interval: Duration,
    /// What the person has to do.
    pub way: Way,
}

/// What the person has to do.
#[derive(Debug)]
pub enum Way {
    /// Open this address.
    Browser {
        /// The address.
        authorize_url: String,
    },
    /// Type this code.
    Device {
        /// The code.
        user_code: String,
        /// Where to type it.
        verification_uri: String,
        /// The same with the code filled in.
        verification_uri_complete: String,
    },
}

/// For whom a login is begun.
#[derive(Clone, Debug)]
pub struct Aim {
    /// The vendor's dialect.
    pub vendor: Arc<OpenAi>,
    /// The login that will hold the tokens.
    pub login: Login,
    /// Vendor and account, by name.
    pub name: (String, String),
    /// Whether it may replace a login of another account.
    pub replace: bool,
}

/// All logins under way.
#[derive(Clone)]
pub struct Pending {
    inner: Arc<Inner>,
}

struct Inner {
    clock: Clock,
    /// The daemon is going down: nobody is waited for any more.
    stop: CancellationToken,
    /// What must end before the process does: a code being exchanged, a grant being revoked.
    tracker: TaskTracker,
    entries: Mutex<HashMap<String, Arc<Entry>>>,
    /// One listener for each list of ports, shared by the logins that wait for a browser.
    listeners: tokio::sync::Mutex<HashMap<Vec<u16>, Listening>>,
}

impl std::fmt::Debug for Pending {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Pending(..)")
    }
}

impl Pending {
    /// Nothing under way yet.
    #[must_use]
    pub fn new(clock: Clock, stop: CancellationToken, tracker: TaskTracker) -> Self {
        let inner = Inner {
            clock,
            stop,
            tracker,
            entries: Mutex::default(),
            listeners: tokio::sync::Mutex::default(),
        };
        Self { inner: Arc::new(inner) }
    }

    /// Begins a login with a browser on this machine, or on another by the pasted address.
    ///
    /// # Errors
    /// [`LoginError::PortInUse`], [`LoginError::Overloaded`].
    pub async fn begin_browser(&self, aim: Aim) -> Result<Begun, LoginError> {
        self.make_place()?;
        let (expected, authorize_url) = browser::expect(self, &aim.vendor).await?;
        let entry = self.enter(aim, BROWSER_LIFE, Some(expected));
        let begun = Begun {
            login_id: entry.id.clone(),
            expires_at: entry.expires_at,
            interval: Duration::from_secs(1),
            way: Way::Browser { authorize_url },
        };
        let pending = self.clone();
        tokio::spawn(async move {
            pending.outlive(&entry).await;
            pending.close_listeners().await;
        });
        Ok(begun)
    }

    /// Begins a login with a code that is typed on another device.
    ///
    /// # Errors
    /// [`LoginError::DeviceLoginOff`], [`LoginError::Overloaded`], or what the issuer said.
    pub async fn begin_device(&self, aim: Aim) -> Result<Begun, LoginError> {
        self.make_place()?;
        let device: Device = aim.vendor.device_start().await?;
        let entry = self.enter(aim, DEVICE_LIFE, None);
        let begun = Begun {
            login_id: entry.id.clone(),
            expires_at: entry.expires_at,
            interval: device.interval,
            way: Way::Device {
                user_code: device.user_code.clone(),
                verification_uri: device.verification_uri.clone(),
                verification_uri_complete: device.verification_uri_complete.clone(),
            },
        };
        let pending = self.clone();
        let watched = Arc::clone(&entry);
        self.inner.tracker.spawn(async move { device::watch(&pending, &watched, device).await });
        let pending = self.clone();
        tokio::spawn(async move { pending.outlive(&entry).await });
        Ok(begun)
    }

    /// How a login goes, and whose it is.
    ///
    /// # Errors
    /// [`LoginError::NotFound`].
    pub fn poll(&self, id: &str) -> Result<(Login, Progress), LoginError> {
        let entry = self.find(id)?;
        let progress = entry.progress.borrow().clone();
        Ok((entry.aim.login.clone(), progress))
    }

    /// As [`Self::poll`], once it is no longer pending or `timeout` has passed.
    ///
    /// # Errors
    /// [`LoginError::NotFound`].
    pub async fn wait(
        &self,
        id: &str,
        timeout: Option<Duration>,
    ) -> Result<(Login, Progress), LoginError> {
        let entry = self.find(id)?;
        let mut progress = entry.progress.subscribe();
        let ended = progress.wait_for(|progress| progress.login != LoginProgress::Pending);
        // Every login ends within its life, so waiting without a bound of one's own ends too.
        let _ = tokio::time::timeout(timeout.unwrap_or(DEVICE_LIFE * 2), ended).await;
        // Not looked up again: who waited for an end learns of it, though the handle ends with it.
        let progress = entry.progress.borrow().clone();
        Ok((entry.aim.login.clone(), progress))
    }

    /// Takes the address of a browser's last page, for a browser on another machine.
    ///
    /// # Errors
    /// [`LoginError::NotFound`], [`LoginError::Invalid`]; neither ends the login.
    pub async fn complete(
        &self,
        id: &str,
        redirect_url: &str,
    ) -> Result<(Login, Progress), LoginError> {
        let entry = self.find(id)?;
        browser::complete(self, &entry, redirect_url).await?;
        self.poll(id)
    }

    /// Ends a login that is still pending.
    ///
    /// # Errors
    /// [`LoginError::NotFound`].
    pub fn cancel(&self, id: &str) -> Result<(Login, Progress), LoginError> {
        let entry = self.find(id)?;
        entry.end(LoginProgress::Cancelled, None);
        self.poll(id)
    }

    /// Ends every pending login of an account, but for the one named.
    pub fn cancel_all(&self, name: &(String, String), except: Option<&str>) {
        for entry in self.entries().values() {
            if entry.aim.name == *name && Some(entry.id.as_str()) != except {
                entry.end(LoginProgress::Cancelled, None);
            }
        }
    }

    fn entries(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Entry>>> {
        self.inner.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn find(&self, id: &str) -> Result<Arc<Entry>, LoginError> {
        let now = self.inner.clock.now();
        let found = self.entries().get(id).filter(|entry| entry.expires_at > now).cloned();
        found.ok_or(LoginError::NotFound)
    }

    /// Room for one more; the oldest that has ended makes it where there is none.
    fn make_place(&self) -> Result<(), LoginError> {
        let mut entries = self.entries();
        if entries.len() < MOST {
            return Ok(());
        }
        let ended = entries
            .values()
            .filter(|entry| entry.progress.borrow().login != LoginProgress::Pending);
        let oldest = ended.min_by_key(|entry| entry.expires_at).map(|entry| entry.id.clone());
        let oldest = oldest.ok_or(LoginError::Overloaded)?;
        entries.remove(&oldest);
        Ok(())
    }

    fn enter(&self, aim: Aim, life: Duration, browser: Option<browser::Expected>) -> Arc<Entry> {
        let entry = Arc::new(Entry {
            id: random_base64url(ID_BYTES),
            epoch: aim.login.epoch(),
            expires_at: self.inner.clock.now().plus(life),
            progress: watch::Sender::new(Progress::pending()),
            ended: CancellationToken::new(),
            browser,
            aim,
        });
        self.entries().insert(entry.id.clone(), Arc::clone(&entry));
        // Of several logins for one account the latest wins.
        self.cancel_all(&entry.aim.name, Some(&entry.id));
        entry
    }

    /// Stays until the handle's end, which ends the login too if nothing else has.
    async fn outlive(&self, entry: &Entry) {
        self.inner.clock.sleep_until(entry.expires_at).await;
        entry.end(LoginProgress::Expired, None);
        self.entries().remove(&entry.id);
    }
}
