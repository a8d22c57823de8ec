//! What outlives a login: its epoch and generation, the current account, the person's consent.
//!
//! A logout removes the credential with everything in it, yet a late answer, a copy on another disk or
//! a client that remembers a generation must still find itself outdated. So these few numbers stand
//! in a file of their own, which holds no secret.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::file::read;
use super::{StoreError, format};
use crate::clock::Timestamp;
use crate::platform::files;

/// Fingerprints of used refresh tokens that are remembered: more logins than anybody adopts, a few lines each.
const USED_MOST: usize = 64;

/// The numbers of one login.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Only records of at least this epoch may be used.
    pub epoch: u64,
    /// The highest generation known to have been given out.
    pub generation: u64,
}

#[derive(Clone, Debug, Default, Serialize, Deserialize)]
struct Content {
    #[serde(default)]
    logins: BTreeMap<String, Entry>,
    #[serde(default)]
    current: BTreeMap<String, String>,
    #[serde(default)]
    consent: BTreeMap<String, Timestamp>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    used: Vec<String>,
}

/// The ledger: shared by all owners, each change written before it is believed.
#[derive(Clone, Debug)]
pub struct Ledger {
    path: PathBuf,
    content: Arc<Mutex<Content>>,
}

impl Ledger {
    pub(super) fn load(data: &Path) -> Result<Self, StoreError> {
        let path = data.join("ledger.json");
        let bytes = read(&path).map_err(|source| StoreError::new("read", &path, source))?;
        let content = match bytes.map(|bytes| format::decode::<Content>(&bytes)) {
            None => Content::default(),
            Some(Ok(content)) => content,
            Some(Err(why)) => {
                let aside = path.with_extension(format!(
                    "json.damaged-{}",
                    crate::clock::Clock::System.now().compact()
                ));
                std::fs::rename(&path, &aside)
                    .map_err(|source| StoreError::new("keep aside", &path, source))?;
                tracing::warn!(file = %path.display(), %why, aside = %aside.display(), "the ledger could not be used; it was kept aside");
                Content::default()
            }
        };
        Ok(Self { path, content: Arc::new(Mutex::new(content)) })
    }

    /// The numbers of a login; zeros for one never seen.
    #[must_use]
    pub fn entry(&self, name: &str) -> Entry {
        self.read(|content| content.logins.get(name).copied().unwrap_or_default())
    }

    /// Writes the numbers of a login.
    ///
    /// # Errors
    /// Where the file cannot be written; the numbers are then as before.
    pub fn set_entry(&self, name: &str, entry: Entry) -> Result<(), StoreError> {
        self.write(|content| content.logins.extend([(name.to_owned(), entry)]))
    }

    /// The account meant by callers that name none.
    #[must_use]
    pub fn current_account(&self, vendor: &str) -> Option<String> {
        self.read(|content| content.current.get(vendor).cloned())
    }

    /// Changes the account meant by callers that name none.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn set_current_account(&self, vendor: &str, account: &str) -> Result<(), StoreError> {
        self.write(|content| content.current.extend([(vendor.to_owned(), account.to_owned())]))
    }

    /// When the person accepted this vendor's notice.
    #[must_use]
    pub fn consented_at(&self, vendor: &str) -> Option<Timestamp> {
        self.read(|content| content.consent.get(vendor).copied())
    }

    /// Records the person's acceptance.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn record_consent(&self, vendor: &str, now: Timestamp) -> Result<(), StoreError> {
        self.write(|content| content.consent.extend([(vendor.to_owned(), now)]))
    }

    /// Whether a refresh token with this fingerprint was adopted from another program before, and used.
    /// That program's file may still hold it, and an issuer that sees it again ends the whole login.
    #[must_use]
    pub fn is_used(&self, fingerprint: &str) -> bool {
        self.read(|content| content.used.iter().any(|used| used == fingerprint))
    }

    /// Remembers that the refresh token with this fingerprint is about to be used. Answers whether it
    /// never was before.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn claim_use(&self, fingerprint: &str) -> Result<bool, StoreError> {
        let mut fresh = false;
        self.write(|content| {
            fresh = content.used.iter().all(|used| used != fingerprint);
            if fresh {
                let surplus = (content.used.len() + 1).saturating_sub(USED_MOST);
                content.used.drain(..surplus);
                content.used.push(fingerprint.to_owned());
            }
        })?;
        Ok(fresh)
    }

    /// Takes that back: the issuer did not take the token.
    ///
    /// # Errors
    /// Where the file cannot be written.
    pub fn disclaim_use(&self, fingerprint: &str) -> Result<(), StoreError> {
        self.write(|content| content.used.retain(|used| used != fingerprint))
    }

    fn read<T>(&self, look: impl FnOnce(&Content) -> T) -> T {
        look(&self.content.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn write(&self, change: impl FnOnce(&mut Content)) -> Result<(), StoreError> {
        let mut held = self.content.lock().unwrap_or_else(PoisonError::into_inner);
        let mut next = held.clone();
        change(&mut next);
        files::replace(&self.path, &format::encode(&next))
            .map_err(|source| StoreError::new("save", &self.path, source))?;
        *held = next;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_accounts_and_consent_survive_a_restart() {
        let dir = tempfile::tempdir().expect("a folder");
        let ledger = Ledger::load(dir.path()).expect("begins empty");
        ledger.set_entry("openai", Entry { epoch: 3, generation: 41 }).expect("writes");
        ledger.set_current_account("openai", "work").expect("writes");
        ledger.record_consent("openai", Timestamp(5)).expect("writes");
        let again = Ledger::load(dir.path()).expect("loads");
        assert_eq!(again.entry("openai"), Entry { epoch: 3, generation: 41 });
        assert_eq!(again.current_account("openai").as_deref(), Some("work"));
        assert_eq!(again.consented_at("openai"), Some(Timestamp(5)));
        assert_eq!(again.entry("other"), Entry::default());
    }

    #[test]
    fn used_tokens_are_remembered_and_the_oldest_forgotten() {
        let dir = tempfile::tempdir().expect("a folder");
        let ledger = Ledger::load(dir.path()).expect("begins empty");
        for n in 0..=USED_MOST {
            assert!(ledger.claim_use(&format!("f{n}")).expect("writes"));
            assert!(!ledger.claim_use(&format!("f{n}")).expect("writes"));
        }
        ledger.disclaim_use("f2").expect("writes");
        let again = Ledger::load(dir.path()).expect("loads");
        assert!(again.is_used("f1") && again.is_used(&format!("f{USED_MOST}")));
        assert!(!again.is_used("f0") && !again.is_used("f2") && !again.is_used("f"));
    }

    #[test]
    fn a_damaged_ledger_is_kept_aside() {
        let dir = tempfile::tempdir().expect("a folder");
        std::fs::write(dir.path().join("ledger.json"), "{").expect("writes");
        assert_eq!(
            Ledger::load(dir.path()).expect("begins anew").entry("openai"),
            Entry::default()
        );
        let kept = std::fs::read_dir(dir.path()).expect("reads").flatten().next().expect("kept");
        assert!(kept.file_name().to_string_lossy().starts_with("ledger.json.damaged-"));
    }
}
