//! Local keys and leases: bearers for the loopback door that are worth nothing anywhere else.
//!
//! A client that can only send a bearer to a URL gets one of these instead of a token of the vendor's.
//! What is kept of one is its SHA-256: with 256 random bits beneath it there is nothing to guess, so a
//! slow hash would only make every request dearer (NIST SP 800-63B section 5.1.2.2 asks for one where
//! a person chose the secret).

mod file;
mod table;
#[cfg(test)]
mod tests;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::clock::{Clock, Timestamp};
use crate::config::valid_name;
use crate::secret::{Secret, random_base64url};
use file::Kept;
use table::{Digest, Entry, Table};

/// How a key begins, so that a person or a scanner of leaked secrets knows what it is.
const PREFIX: &str = "vk_";

/// Random bytes in a key: 43 characters after the prefix.
const KEY_BYTES: usize = 32;

/// Keys at once: more than one person names.
pub const MOST_KEYS: usize = 256;

/// Leases at once. Each is a line in memory, and a helper that asks for one a minute comes to some sixty.
pub const MOST_LEASES: usize = 1024;

/// How long a lease lives, in seconds: at least, unless asked for otherwise, and at most.
pub const LEASE_SECS: (u64, u64, u64) = (60, 3600, 86_400);

/// How long a key that is to end lives at least and at most, in seconds: a minute and ten years.
pub const KEY_SECS: (u64, u64) = (60, 10 * 366 * 86_400);

/// Characters in a client's name, at most: it stands in every line of the trail.
const CLIENT_CHARS: usize = 64;

/// How long the times of use gather before they are saved.
const GATHER: Duration = Duration::from_secs(60);

/// What a key opens beside `/v1` and `/healthz`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Scope {
    /// The REST endpoints that sign in and out.
    Subscription,
    /// The daemon's counters.
    Metrics,
}

/// What may be told of a key.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct KeyInfo {
    /// Its name.
    pub name: String,
    /// When it was made.
    pub created_at: Timestamp,
    /// When it ends; never where absent.
    pub expires_at: Option<Timestamp>,
    /// When it was last shown at the door.
    pub last_used_at: Option<Timestamp>,
}

/// The login that a key lends from: the one that was current when it was made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Bound {
    /// The vendor.
    pub vendor: String,
    /// The account.
    pub account: String,
}

/// Who shows a key that is good.
#[derive(Debug)]
pub struct Holder {
    /// The key's name, or the lease's client.
    pub name: String,
    /// What it opens beside the usual.
    pub scopes: Vec<Scope>,
    /// From which login it lends.
    pub bound: Bound,
    /// Cancelled when the key is revoked: what it was opened for ends with it.
    pub ended: CancellationToken,
}

/// Why a key was not made, or not ended.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeysError {
    /// What was asked for does not fit.
    #[error("{0}")]
    Invalid(String),
    /// There are as many as there may be; `retry_after` says when a lease ends by itself.
    #[error("{message}")]
    TooMany {
        /// Of what.
        message: String,
        /// When there is room again, where that is known.
        retry_after: Option<Duration>,
    },
    /// The file could not be written.
    #[error("{message}")]
    Storage {
        /// Why, and what holds meanwhile.
        message: String,
        /// Which file.
        path: PathBuf,
    },
}

/// All keys and leases. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Keys {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    clock: Clock,
    path: PathBuf,
    table: Mutex<Table>,
    /// One change of the file at a time.
    writing: tokio::sync::Mutex<()>,
    /// The file is behind what is known.
    behind: AtomicBool,
    due: Notify,
    /// Why the file is not to be touched: one lies there that could neither be read nor moved away.
    blocked: Option<String>,
}

impl Keys {
    /// Reads the keys kept in `dir`. A file that cannot be used is kept aside; whatever is wrong costs
    /// keys, which can be made again, and never the daemon.
    #[must_use]
    pub fn open(dir: &Path, clock: Clock) -> Self {
        let path = dir.join("keys.json");
        let (kept, blocked) = match file::load(&path, clock.now()) {
            Ok(kept) => (kept, None),
            Err(why) => {
                tracing::error!(file = %path.display(), %why, "the keys cannot be read, and none can be made until that is mended");
                (Vec::new(), Some(why))
            }
        };
        let inner = Inner {
            clock,
            path,
            table: Mutex::new(Table::of(kept)),
            writing: tokio::sync::Mutex::default(),
            behind: AtomicBool::new(false),
            due: Notify::new(),
            blocked,
        };
        Self { inner: Arc::new(inner) }
    }

    /// A new lease for `client`, and when it ends. Earlier ones of the same client live on, as what runs
    /// already holds them, until there are as many as there may be: a client that asks without end then
    /// pays with its own.
    ///
    /// # Errors
    /// [`KeysError::Invalid`], [`KeysError::TooMany`].
    pub fn lease(
        &self,
        client: &str,
        ttl: Option<u64>,
        bound: Bound,
    ) -> Result<(Secret, Timestamp), KeysError> {
        let (least, usual, most) = LEASE_SECS;
        let ttl = ttl.unwrap_or(usual);
        if !(least..=most).contains(&ttl) {
            let why = format!("a lease lives from {least} to {most} seconds, not {ttl}");
            return Err(KeysError::Invalid(why));
        }
        let count = client.chars().count();
        if count == 0 || count > CLIENT_CHARS || client.chars().any(char::is_control) {
            let why = format!("`client` is a name of 1 to {CLIENT_CHARS} characters");
            return Err(KeysError::Invalid(why));
        }
        let now = self.inner.clock.now();
        let expires_at = now.plus(Duration::from_secs(ttl));
        let mut table = self.table();
        table.sweep_leases(now);
        if table.leases() >= MOST_LEASES && !table.end_least_used_lease(client) {
            let message = format!("{MOST_LEASES} leases are out; wait until one ends");
            return Err(KeysError::TooMany { message, retry_after: table.first_end(now) });
        }
        let (key, digest) = draw(&table);
        table.insert(Entry::lease(digest, client, bound, now, expires_at));
        Ok((key, expires_at))
    }

    /// A new key of this name, which is shown now and never again.
    ///
    /// # Errors
    /// [`KeysError`]; there is no key then.
    pub async fn add(
        &self,
        name: &str,
        ttl: Option<u64>,
        scopes: Vec<Scope>,
        bound: Bound,
    ) -> Result<Secret, KeysError> {
        if !valid_name(name) {
            return Err(KeysError::Invalid(format!(
                "{name:?} cannot name a key: use up to 64 of a-z, 0-9, dot, dash and underscore, beginning with a letter or digit"
            )));
        }
        let (least, most) = KEY_SECS;
        if let Some(ttl) = ttl.filter(|ttl| !(least..=most).contains(ttl)) {
            let why = format!(
                "a key lives from {least} to {most} seconds, or for ever without `ttl`; not {ttl}"
            );
            return Err(KeysError::Invalid(why));
        }
        let _alone = self.inner.writing.lock().await;
        let now = self.inner.clock.now();
        let (key, entry, mut keep) = {
            let mut table = self.table();
            table.sweep_keys(now);
            if table.find(name).is_some() {
                let why = format!("there is a key {name:?} already; revoke it first");
                return Err(KeysError::Invalid(why));
            }
            if table.keys() >= MOST_KEYS {
                let message = format!("there are {MOST_KEYS} keys; revoke one that is not needed");
                return Err(KeysError::TooMany { message, retry_after: None });
            }
            let (key, digest) = draw(&table);
            let expires_at = ttl.map(|ttl| now.plus(Duration::from_secs(ttl)));
            let entry = Entry::key(digest, name, scopes, bound, now, expires_at);
            (key, entry, table.kept())
        };
        keep.push(entry.kept());
        self.save(keep).await?;
        self.table().insert(entry);
        Ok(key)
    }

    /// Every key, by name. Leases end by themselves and are not listed.
    #[must_use]
    pub fn list(&self) -> Vec<KeyInfo> {
        self.table().list()
    }

    /// Ends the key of this name and the leases of a client of this name, now and with whatever they
    /// were opened for.
    ///
    /// # Errors
    /// [`KeysError::Invalid`] where there is neither; [`KeysError::Storage`] where the file still holds
    /// the key: it is ended all the same, and saving is tried again.
    pub async fn revoke(&self, name: &str) -> Result<(), KeysError> {
        // Before any wait: who gives up waiting must not leave a key that opens.
        let (keys, leases) = self.table().remove(name);
        if keys + leases == 0 {
            return Err(KeysError::Invalid(format!("there is no key {name:?}")));
        }
        if keys == 0 {
            return Ok(());
        }
        self.mark();
        let _alone = self.inner.writing.lock().await;
        self.write_behind().await
    }

    /// Who holds this key; nothing where it is none of ours, has ended or was revoked.
    #[must_use]
    pub fn check(&self, shown: &str) -> Option<Arc<Holder>> {
        let random = shown.strip_prefix(PREFIX)?;
        if random.len() != 43 {
            return None;
        }
        let now = self.inner.clock.now();
        let (holder, is_key) = self.table().look_up(&table::digest(shown), now)?;
        if is_key {
            self.mark();
        }
        Some(holder)
    }

    /// Saves the times of use now and then until `stop` is cancelled, and once more then. Costs no wake-up
    /// while no key is shown.
    pub async fn keep_up(&self, stop: CancellationToken) {
        loop {
            tokio::select! {
                () = stop.cancelled() => {}
                () = self.inner.due.notified() => tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(GATHER) => {}
                },
            }
            let _alone = self.inner.writing.lock().await;
            if let Err(error) = self.write_behind().await {
                tracing::warn!(%error, "the keys could not be saved");
            }
            if stop.is_cancelled() {
                return;
            }
        }
    }

    fn mark(&self) {
        if !self.inner.behind.swap(true, Ordering::Relaxed) {
            self.inner.due.notify_one();
        }
    }

    async fn write_behind(&self) -> Result<(), KeysError> {
        if !self.inner.behind.swap(false, Ordering::Relaxed) {
            return Ok(());
        }
        let kept = self.table().kept();
        self.save(kept).await.inspect_err(|_| self.mark())
    }

    async fn save(&self, kept: Vec<Kept>) -> Result<(), KeysError> {
        let path = self.inner.path.clone();
        let failed = |why: String| KeysError::Storage {
            message: format!("the keys could not be saved: {why}"),
            path: self.inner.path.clone(),
        };
        if let Some(why) = &self.inner.blocked {
            return Err(failed(why.clone()));
        }
        let saved = tokio::task::spawn_blocking(move || file::save(&path, &kept)).await;
        match saved {
            Ok(Ok(())) => Ok(()),
            Ok(Err(error)) => Err(failed(error.to_string())),
            Err(_) => Err(failed("the daemon is stopping".to_owned())),
        }
    }

    fn table(&self) -> MutexGuard<'_, Table> {
        self.inner.table.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A key that no other shares its place in the table with, which chance alone would see to.
fn draw(table: &Table) -> (Secret, Digest) {
    loop {
        let key = format!("{PREFIX}{}", random_base64url(KEY_BYTES));
        let digest = table::digest(&key);
        if table.has_room_for(&digest) {
            return (Secret::new(key), digest);
        }
    }
}
