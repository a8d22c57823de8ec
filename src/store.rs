//! Where logins are kept: one file each, replaced whole, never half-written, never thrown away.
//!
//! Losing the newest refresh token means that a person must sign in again on every machine and agent,
//! so each step here is ordered for the moment at which the power fails. Whoever holds a [`Store`]
//! holds the folder's lock: there is no way to write without it.
//!
//! Around a credential `NAME.json` there may stand
//! - `NAME.spare`: room made before a refresh, holding either the mark "begun" or the whole answer;
//! - `NAME.json.KIND-WHEN`: something that could not be read or believed, kept aside;
//! - in the state directory `rescue/NAME.json`: the answer, where the data directory took no writes.

mod file;
pub mod format;
pub mod ledger;
mod rescue;

use std::fs::File;
use std::io::{self, Read as _, Seek as _, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::platform::files::{self, Untrusted};

pub use file::{Mark, Room, Slot};
pub use format::{Record, Refusal, Source};
pub use ledger::Ledger;
pub use rescue::{Interrupted, Loaded};

/// Why something could not be kept or read. Nothing was lost by it.
#[derive(Debug, thiserror::Error)]
#[error("could not {action} {}: {source}", path.display())]
pub struct StoreError {
    /// `read`, `write`, `create` …
    pub action: &'static str,
    /// What was to be read or written.
    pub path: PathBuf,
    /// What the system said.
    pub source: Untrusted,
}

impl StoreError {
    pub(crate) fn new(action: &'static str, path: &Path, source: impl Into<Untrusted>) -> Self {
        Self { action, path: path.to_owned(), source: source.into() }
    }
}

/// Why the store could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    /// Another daemon owns this data directory.
    #[error("another valetkey daemon{} already owns {}", holder.as_deref().map(|pid| format!(" (process {pid})")).unwrap_or_default(), dir.display())]
    Held {
        /// Its process id, where the lock file tells.
        holder: Option<String>,
        /// The data directory.
        dir: PathBuf,
    },
    /// The folders or the lock could not be made.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The folders of one person's logins, locked for this process.
#[derive(Clone, Debug)]
pub struct Store {
    credentials: PathBuf,
    rescue: PathBuf,
    data: PathBuf,
    tightened: Arc<[PathBuf]>,
    _lock: Arc<File>,
}

impl Store {
    /// Makes the folders where they are missing, tightens them where they are loose, and takes the lock.
    ///
    /// # Errors
    /// [`OpenError::Held`] where another daemon has the lock; [`OpenError::Store`] where a folder cannot
    /// be made or belongs to somebody else.
    pub fn open(data: &Path, state: &Path) -> Result<Self, OpenError> {
        let (credentials, rescue) = (data.join("credentials"), state.join("rescue"));
        let mut tightened = Vec::new();
        for dir in [data, &credentials, state, &rescue] {
            let loose = files::private_dir(dir)
                .map_err(|source| StoreError::new("prepare", dir, source))?;
            if loose {
                tightened.push(dir.to_owned());
            }
        }
        let lock = lock(data)?;
        Ok(Self {
            credentials,
            rescue,
            data: data.to_owned(),
            tightened: tightened.into(),
            _lock: Arc::new(lock),
        })
    }

    /// The folders that were open to others and are now 0700. The log begins after the lock is had,
    /// so whoever begins it has to say so.
    #[must_use]
    pub fn tightened(&self) -> &[PathBuf] {
        &self.tightened
    }

    /// The places of one login.
    #[must_use]
    pub fn slot(&self, vendor: &str, account: &str) -> Slot {
        Slot::new(self, &name(vendor, account))
    }

    /// The ledger of this data directory, and what was wrong with it.
    ///
    /// # Errors
    /// Where it exists and cannot be read; a damaged one is kept aside and a new one begun.
    pub fn ledger(&self) -> Result<Ledger, StoreError> {
        Ledger::load(&self.data)
    }

    /// Every (vendor, account) that has a file here, readable or not.
    ///
    /// # Errors
    /// Where the folder cannot be read.
    pub fn logins(&self) -> Result<Vec<(String, String)>, StoreError> {
        let mut found = std::collections::BTreeSet::new();
        for dir in [&self.credentials, &self.rescue] {
            let entries =
                std::fs::read_dir(dir).map_err(|source| StoreError::new("read", dir, source))?;
            for entry in entries.flatten() {
                if let Some(login) = entry.file_name().to_str().and_then(login_of) {
                    found.insert(login);
                }
            }
        }
        Ok(found.into_iter().collect())
    }
}

/// The file name, without its ending, of a login.
#[must_use]
pub fn name(vendor: &str, account: &str) -> String {
    if account == "default" { vendor.to_owned() } else { format!("{vendor}@{account}") }
}

fn login_of(file: &str) -> Option<(String, String)> {
    let stem = file.strip_suffix(".json").or_else(|| file.strip_suffix(".spare"))?;
    match stem.split_once('@') {
        Some((vendor, account)) => Some((vendor.to_owned(), account.to_owned())),
        None => Some((stem.to_owned(), "default".to_owned())),
    }
}

/// Whether `name` may name an account: it becomes part of a file name on every platform.
#[must_use]
pub fn is_account_name(name: &str) -> bool {
    let bytes = name.as_bytes();
    let plain = |b: &u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let stem = name.split('.').next().unwrap_or_default();
    let numbered = |prefix: &str| {
        stem.strip_prefix(prefix)
            .is_some_and(|n| n.len() == 1 && n.bytes().all(|b| b.is_ascii_digit()))
    };
    let device =
        matches!(stem, "con" | "prn" | "aux" | "nul") || numbered("com") || numbered("lpt");
    bytes.len() <= 64
        && bytes.first().is_some_and(plain)
        && bytes.iter().all(|b| plain(b) || matches!(b, b'.' | b'_' | b'-'))
        && !device
}

fn lock(data: &Path) -> Result<File, OpenError> {
    let path = data.join("valetkey.lock");
    let failed = |source: io::Error| StoreError::new("lock", &path, source);
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(std::fs::TryLockError::WouldBlock) => {
            let mut holder = String::new();
            // On Windows the lock also forbids reading; then the holder stays unnamed.
            let _ = file.read_to_string(&mut holder);
            let holder = Some(holder.trim().to_owned()).filter(|pid| !pid.is_empty());
            return Err(OpenError::Held { holder, dir: data.to_owned() });
        }
        Err(std::fs::TryLockError::Error(source)) => return Err(failed(source).into()),
    }
    // Who holds the lock is a courtesy to the next who asks; a full disk must not stop us from serving.
    let note = file
        .set_len(0)
        .and_then(|()| file.rewind())
        .and_then(|()| writeln!(file, "{}", std::process::id()));
    if let Err(error) = note {
        tracing::warn!(%error, "could not note our process id in the lock file");
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn account_names_are_safe_file_names() {
        for good in ["default", "work", "a", "2", "a.b-c_d", "console", "com10"] {
            assert!(is_account_name(good), "{good}");
        }
        for bad in
            ["", "Work", ".hidden", "-x", "a/b", "con", "nul.txt", "com1", "lpt9.x", "ä", "a b"]
        {
            assert!(!is_account_name(bad), "{bad}");
        }
        assert!(is_account_name(&"a".repeat(64)));
        assert!(!is_account_name(&"a".repeat(65)));
    }

    #[test]
    fn names_and_logins_are_each_others_inverse() {
        for (vendor, account) in [("openai", "default"), ("openai", "work"), ("sandbox", "x.json")]
        {
            let file = format!("{}.json", name(vendor, account));
            assert_eq!(login_of(&file), Some((vendor.to_owned(), account.to_owned())));
        }
        assert_eq!(login_of("openai.json.damaged-20260101T000000.000Z"), None);
    }

    #[test]
    fn a_second_daemon_is_told_who_has_the_folder() {
        let dir = tempfile::tempdir().expect("a folder");
        let (data, state) = (dir.path().join("d"), dir.path().join("s"));
        let first = Store::open(&data, &state).expect("opens");
        match Store::open(&data, &state) {
            Err(OpenError::Held { holder, .. }) => {
                // On Windows the lock may forbid the others to read (Wine does not).
                let named = holder.is_some_and(|holder| holder == std::process::id().to_string());
                assert!(named || cfg!(windows));
            }
            other => panic!("{other:?}"),
        }
        drop(first);
        Store::open(&data, &state).expect("opens once the first is gone");
    }
}
