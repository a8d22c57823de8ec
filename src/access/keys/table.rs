//! Keys and leases in memory, found by what is known of them.
//!
//! An entry is found by the first eight bytes of the key's digest and then compared as a whole in
//! constant time. How long the finding takes may tell something of those eight bytes, which is of no use
//! to anybody: they are the outcome of SHA-256 and lead back to no key. Comparing all entries instead
//! would cost each request a thousand comparisons.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::file::Kept;
use super::{Bound, Holder, KeyInfo, Scope};
use crate::clock::Timestamp;
use crate::secret::same;

/// The SHA-256 of a key.
pub(super) type Digest = [u8; 32];

/// What is kept of a key in place of it.
pub(super) fn digest(key: &str) -> Digest {
    let digest = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, key.as_bytes());
    digest.as_ref().try_into().expect("SHA-256 gives 32 bytes")
}

/// One key or lease.
#[derive(Debug)]
pub(super) struct Entry {
    digest: Digest,
    holder: Arc<Holder>,
    created_at: Timestamp,
    expires_at: Option<Timestamp>,
    /// Milliseconds since the epoch; zero for never.
    used_at: AtomicU64,
    is_lease: bool,
}

impl Entry {
    pub(super) fn lease(
        digest: Digest,
        client: &str,
        bound: Bound,
        now: Timestamp,
        expires_at: Timestamp,
    ) -> Self {
        let entry = Self::key(digest, client, Vec::new(), bound, now, Some(expires_at));
        Self { is_lease: true, ..entry }
    }

    pub(super) fn key(
        digest: Digest,
        name: &str,
        scopes: Vec<Scope>,
        bound: Bound,
        now: Timestamp,
        expires_at: Option<Timestamp>,
    ) -> Self {
        let holder =
            Holder { name: name.to_owned(), scopes, bound, ended: CancellationToken::new() };
        Self {
            digest,
            holder: Arc::new(holder),
            created_at: now,
            expires_at,
            used_at: AtomicU64::new(0),
            is_lease: false,
        }
    }

    fn from_kept(kept: Kept) -> Self {
        let entry = Self::key(
            kept.sha256,
            &kept.name,
            kept.scopes,
            kept.bound,
            kept.created_at,
            kept.expires_at,
        );
        entry.used_at.store(kept.last_used_at.map_or(0, |at| at.0), Ordering::Relaxed);
        entry
    }

    /// What is written down of it.
    pub(super) fn kept(&self) -> Kept {
        Kept {
            name: self.holder.name.clone(),
            sha256: self.digest,
            created_at: self.created_at,
            expires_at: self.expires_at,
            last_used_at: self.last_used_at(),
            scopes: self.holder.scopes.clone(),
            bound: self.holder.bound.clone(),
        }
    }

    fn last_used_at(&self) -> Option<Timestamp> {
        let at = self.used_at.load(Ordering::Relaxed);
        (at > 0).then_some(Timestamp(at))
    }

    fn has_ended(&self, now: Timestamp) -> bool {
        self.expires_at.is_some_and(|end| end <= now)
    }
}

/// All of them.
#[derive(Debug, Default)]
pub(super) struct Table {
    by_prefix: HashMap<u64, Entry>,
}

impl Table {
    pub(super) fn of(kept: Vec<Kept>) -> Self {
        let mut table = Self::default();
        for entry in kept.into_iter().map(Entry::from_kept) {
            table.insert(entry);
        }
        table
    }

    pub(super) fn insert(&mut self, entry: Entry) {
        self.by_prefix.insert(prefix(&entry.digest), entry);
    }

    pub(super) fn has_room_for(&self, digest: &Digest) -> bool {
        !self.by_prefix.contains_key(&prefix(digest))
    }

    /// Who holds the key of this digest, and whether it is a key rather than a lease. Notes the use.
    pub(super) fn look_up(&self, digest: &Digest, now: Timestamp) -> Option<(Arc<Holder>, bool)> {
        let entry = self.by_prefix.get(&prefix(digest))?;
        if !same(&entry.digest, digest) || entry.has_ended(now) {
            return None;
        }
        entry.used_at.store(now.0, Ordering::Relaxed);
        Some((Arc::clone(&entry.holder), !entry.is_lease))
    }

    /// The key of this name.
    pub(super) fn find(&self, name: &str) -> Option<&Entry> {
        self.by_prefix.values().find(|entry| !entry.is_lease && entry.holder.name == name)
    }

    pub(super) fn keys(&self) -> usize {
        self.by_prefix.values().filter(|entry| !entry.is_lease).count()
    }

    pub(super) fn leases(&self) -> usize {
        self.by_prefix.values().filter(|entry| entry.is_lease).count()
    }

    pub(super) fn sweep_keys(&mut self, now: Timestamp) {
        self.by_prefix.retain(|_, entry| entry.is_lease || !entry.has_ended(now));
    }

    pub(super) fn sweep_leases(&mut self, now: Timestamp) {
        self.by_prefix.retain(|_, entry| !entry.is_lease || !entry.has_ended(now));
    }

    /// Ends the lease of this client that was not used, or not made, for longest; false where it has none.
    pub(super) fn end_least_used_lease(&mut self, client: &str) -> bool {
        let its_own = |entry: &&Entry| entry.is_lease && entry.holder.name == client;
        let least_used = self
            .by_prefix
            .values()
            .filter(its_own)
            .min_by_key(|entry| entry.last_used_at().unwrap_or(entry.created_at));
        let Some(found) = least_used.map(|entry| prefix(&entry.digest)) else { return false };
        if let Some(entry) = self.by_prefix.remove(&found) {
            entry.holder.ended.cancel();
        }
        true
    }

    /// How long until the first lease ends.
    pub(super) fn first_end(&self, now: Timestamp) -> Option<Duration> {
        let leases = self.by_prefix.values().filter(|entry| entry.is_lease);
        leases.filter_map(|entry| entry.expires_at).min().map(|end| end.since(now))
    }

    /// Takes out the key of this name and the leases of this client, and ends what they were opened for;
    /// gives how many of each.
    pub(super) fn remove(&mut self, name: &str) -> (usize, usize) {
        let (mut keys, mut leases) = (0, 0);
        for (_, entry) in self.by_prefix.extract_if(|_, entry| entry.holder.name == name) {
            entry.holder.ended.cancel();
            *(if entry.is_lease { &mut leases } else { &mut keys }) += 1;
        }
        (keys, leases)
    }

    /// What is to be written down, by name.
    pub(super) fn kept(&self) -> Vec<Kept> {
        let keys = self.by_prefix.values().filter(|entry| !entry.is_lease);
        let mut kept: Vec<Kept> = keys.map(Entry::kept).collect();
        kept.sort_by(|left, right| left.name.cmp(&right.name));
        kept
    }

    /// What may be told, by name.
    pub(super) fn list(&self) -> Vec<KeyInfo> {
        let told = |kept: Kept| KeyInfo {
            name: kept.name,
            created_at: kept.created_at,
            expires_at: kept.expires_at,
            last_used_at: kept.last_used_at,
        };
        self.kept().into_iter().map(told).collect()
    }
}

fn prefix(digest: &Digest) -> u64 {
    let first = digest.first_chunk().expect("a digest is longer than eight bytes");
    u64::from_le_bytes(*first)
}
