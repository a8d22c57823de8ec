//! How much of the subscription is used, and by whom.
//!
//! The limits are told with every answer that is carried, for nothing. The page that tells them too is
//! asked only where a person wants to know and nothing was carried for a while, and never on a schedule:
//! an account whose usage page is asked all the time does not look like a person's.

mod account;
mod counts;
mod limits;

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use http::HeaderMap;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use serde_json::value::RawValue;

use super::keeping;
use crate::clock::{Clock, Timestamp};
use crate::login::directory::Named;
use crate::login::{LoginError, Logins};
use account::{Account, keeps_to_itself};
use counts::{Counts, UnderWay};
use limits::Told;

/// The counts are saved this long after the first that is not, and at the end.
const SAVE_AFTER: Duration = Duration::from_secs(60);
/// The longest event read, in bytes; the real one has some hundred.
const LONGEST_EVENT: usize = 16 * 1024;
/// Accounts remembered at most: as many as logins can be open.
const MOST_ACCOUNTS: usize = 256;

/// What is known of a subscription's limits.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// The plan.
    pub plan: Option<String>,
    /// The windows: the subscription's own first, the shortest first.
    pub windows: Vec<Window>,
    /// When this was observed; nothing where nothing was.
    pub observed_at: Option<Timestamp>,
    /// What each local client has used of it.
    #[serde(default)]
    pub clients: Vec<ClientUse>,
}

/// One window of a limit.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Window {
    /// `primary`, `secondary`, or a limit's own name.
    pub name: String,
    /// How much of it is used, in percent.
    pub used_percent: f64,
    /// How long it is, in minutes.
    pub window_minutes: Option<u64>,
    /// When it begins anew.
    pub resets_at: Option<Timestamp>,
}

/// What one local client has used since the daemon started, or on one day.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct ClientUse {
    /// A key's or lease's name, or the program on the socket.
    pub client: String,
    /// The day (UTC, `2026-11-22`); absent for the sum since the start.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub day: Option<String>,
    /// Completions carried.
    pub requests: u64,
    /// Tokens read by the model.
    pub input_tokens: u64,
    /// Those of them that its cache held.
    pub cached_tokens: u64,
    /// Tokens that it wrote.
    pub output_tokens: u64,
    /// Completions under way now, from the moment that they were asked for; on the sums since the start
    /// only, and absent where there are none.
    #[serde(default, skip_serializing_if = "is_none")]
    pub streams: u64,
}

fn is_none(count: &u64) -> bool {
    *count == 0
}

/// What one completion has cost.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Tokens {
    /// Tokens read by the model.
    pub input: u64,
    /// Those of them that its cache held.
    pub cached: u64,
    /// Tokens that it wrote.
    pub output: u64,
}

/// Reads the limits and counts what is used. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Uses {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    file: PathBuf,
    accounts: Mutex<HashMap<Named, Arc<Account>>>,
    counting: Mutex<Counting>,
    /// One writer at a time, so that the latest counts are what stays.
    disk: Mutex<()>,
}

#[derive(Debug, Default)]
struct Counting {
    counts: Counts,
    under_way: UnderWay,
    /// Something was counted that the file does not know.
    unsaved: bool,
    /// Somebody will save it.
    planned: bool,
}

impl Uses {
    /// A meter whose counts by the day are kept in this file; what is missing or broken there is nothing.
    #[must_use]
    pub fn open(file: PathBuf) -> Self {
        let bytes = keeping::read(&file, counts::MOST_BYTES);
        let counts = bytes.as_deref().map(Counts::decode);
        if let Some(None) = counts {
            tracing::warn!(file = %file.display(), "the counts kept here cannot be read; they begin anew");
        }
        let counting =
            Counting { counts: counts.flatten().unwrap_or_default(), ..Counting::default() };
        let (accounts, counting, disk) = (Mutex::default(), Mutex::new(counting), Mutex::default());
        Self { inner: Arc::new(Inner { file, accounts, counting, disk }) }
    }

    /// The headers of an answer of the backend, whatever its status.
    pub fn observe_headers(&self, named: &Named, headers: &HeaderMap, now: Timestamp) {
        self.observe(named, limits::from_headers(headers, now), now);
    }

    /// An event of a stream; all but `codex.rate_limits` tell nothing.
    pub fn observe_event(&self, named: &Named, event: &RawValue, now: Timestamp) {
        if event.get().len() > LONGEST_EVENT {
            return;
        }
        let event: Value = serde_json::from_str(event.get()).unwrap_or_default();
        if let Some(told) = limits::from_event(&event, now) {
            self.observe(named, told, now);
        }
    }

    /// Counts one completion of a local client: a key's or lease's name, or the program on the socket.
    pub fn count(&self, client: &str, tokens: Tokens, now: Timestamp) {
        let plan = {
            let mut counting = self.counting();
            counting.counts.count(client, tokens, now);
            counting.unsaved = true;
            !std::mem::replace(&mut counting.planned, true)
        };
        if !plan {
            return;
        }
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => {
                let meter = self.clone();
                runtime.spawn(async move {
                    tokio::time::sleep(SAVE_AFTER).await;
                    meter.save().await;
                });
            }
            // Nobody to wait: the end of the daemon saves.
            Err(_) => self.counting().planned = false,
        }
    }

    /// A completion of this client begins. It is under way until what is given back is dropped.
    #[must_use]
    pub fn begins(&self, client: &str) -> Begun {
        let client = self.counting().under_way.begin(client);
        Begun { uses: self.clone(), client }
    }

    /// Saves what is not saved yet. For the end of the daemon; meanwhile it happens by itself.
    pub async fn save(&self) {
        let meter = self.clone();
        let saved = tokio::task::spawn_blocking(move || {
            let inner = &meter.inner;
            let _alone = inner.disk.lock().unwrap_or_else(PoisonError::into_inner);
            let bytes = {
                let mut counting = meter.counting();
                counting.planned = false;
                if !std::mem::take(&mut counting.unsaved) {
                    return;
                }
                counting.counts.encode()
            };
            if let Err(error) = keeping::write(&inner.file, &bytes) {
                tracing::warn!(file = %inner.file.display(), %error, "the counts could not be kept");
                // Tried again with the next completion, or at the end.
                meter.counting().unsaved = true;
            }
        });
        let _ = saved.await;
    }

    /// What is remembered of a login's limits, and who used what: asks nobody, however old it is.
    ///
    /// # Errors
    /// Where there is no such login.
    pub async fn remembered(&self, logins: &Logins, named: &Named) -> Result<Usage, LoginError> {
        let status = logins.login(named).await?.status();
        let usage = match self.account(named) {
            Some(account) => {
                let mut seen = account.seen();
                seen.belongs_to(status.account_id);
                seen.told()
            }
            None => Usage::default(),
        };
        Ok(Usage { plan: usage.plan.or(status.plan), clients: self.clients(), ..usage })
    }

    /// How a login's limits stand, as observed lately or else asked of the vendor, and who used what.
    ///
    /// # Errors
    /// Where there is no such login, or the vendor cannot be asked and nothing is remembered. A vendor
    /// that keeps its limits to itself is no error: then nothing was observed.
    pub async fn usage(
        &self,
        logins: &Logins,
        clock: &Clock,
        named: &Named,
    ) -> Result<Usage, LoginError> {
        let login = logins.login(named).await?;
        let vendor = logins.vendor(&named.vendor).ok_or(LoginError::NotFound)?;
        let account = self.account(named).ok_or(LoginError::Overloaded)?;
        let status = login.status();
        account.seen().belongs_to(status.account_id);
        if account.seen().is_due(clock.now()) {
            account.flight.ask(account.ask(&vendor, &login, clock)).await;
        }
        let (usage, failure) = {
            let seen = account.seen();
            (seen.told(), seen.failure.clone())
        };
        match failure {
            Some(error) if usage.observed_at.is_none() && !keeps_to_itself(&error) => Err(error),
            _ => {
                let plan = usage.plan.or(status.plan);
                Ok(Usage { plan, clients: self.clients(), ..usage })
            }
        }
    }

    /// Every account of which something was observed, for those who only look. Without the clients.
    #[must_use]
    pub fn snapshot(&self) -> Vec<(Named, Usage)> {
        let accounts = self.accounts();
        let told = accounts.iter().map(|(named, account)| (named.clone(), account.seen().told()));
        told.filter(|(_, usage)| usage.observed_at.is_some()).collect()
    }

    /// What each client has used since the start and by the day, and what it has under way.
    #[must_use]
    pub fn clients(&self) -> Vec<ClientUse> {
        let counting = self.counting();
        counting.under_way.told(counting.counts.told())
    }

    /// The account was signed out: its limits are nobody's any more.
    pub fn forget(&self, named: &Named) {
        self.accounts().remove(named);
    }

    fn observe(&self, named: &Named, told: Told, now: Timestamp) {
        if told.limits.is_empty() {
            return;
        }
        if let Some(account) = self.account(named) {
            account.seen().learn(told, now);
        }
    }

    fn account(&self, named: &Named) -> Option<Arc<Account>> {
        let mut accounts = self.accounts();
        let room = accounts.contains_key(named) || accounts.len() < MOST_ACCOUNTS;
        room.then(|| Arc::clone(accounts.entry(named.clone()).or_default()))
    }

    fn accounts(&self) -> MutexGuard<'_, HashMap<Named, Arc<Account>>> {
        self.inner.accounts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn counting(&self) -> MutexGuard<'_, Counting> {
        self.inner.counting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A completion under way, for as long as this lives: however it ends, it is dropped.
#[derive(Debug)]
pub struct Begun {
    uses: Uses,
    /// Under which it was counted.
    client: String,
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.uses.counting().under_way.end(&self.client);
    }
}
