//! Whose login is held: taken up at a start or a sign-in, given up at a logout, each in an epoch of its own.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::flight::Check;
use super::importing::Importing;
use super::{Granted, Held, Owner, blocking};
use crate::clock::Timestamp;
use crate::login::schedule::{self, Bucket};
use crate::login::state::Problem;
use crate::login::{Lent, LoginError};
use crate::secret::RefreshToken;
use crate::store::ledger::Entry;
use crate::store::{Interrupted, Record, Source};
use crate::vendor::{OpenAi, Origin};

/// The longest that a logout waits for the issuer to confirm (openai/codex waits as long).
const REVOKE_TIMEOUT: Duration = Duration::from_secs(10);

impl Owner {
    pub(super) async fn adopt(
        &mut self,
        granted: Granted,
        now: Timestamp,
    ) -> Result<(), LoginError> {
        if granted.epoch != self.epoch {
            return Err(LoginError::Cancelled);
        }
        self.may_replace(&granted)?;
        let entry = self.next_epoch();
        let (epoch, generation) = (entry.epoch, entry.generation + 1);
        let record = Record {
            last_refresh_at: Some(now),
            ..granted.into_record(Entry { epoch, generation }, now)
        };
        let (slot, kept) = (self.parts.slot.clone(), record.clone());
        blocking(move || slot.keep(&kept, None)).await?;
        self.note_in_ledger(Entry { epoch, generation }).await;
        if let Some((vendor, old)) = self.give_up() {
            // Only now that the new grant is safe.
            self.revoke(vendor, old);
        }
        self.take_up(Some(record), now);
        tracing::info!(vendor = %self.parts.vendor_name, account = %self.parts.account, generation, "signed in");
        Ok(())
    }

    /// Whether a login may take the place of the one held.
    pub(super) fn may_replace(&self, granted: &Granted) -> Result<(), LoginError> {
        let held = self.held.as_ref().map(|held| &held.record).or(self.candidate.as_ref());
        let held_account = held.and_then(|record| record.account_id.clone());
        match (held_account, &granted.identity.account_id) {
            (Some(held), Some(seen)) if held != *seen && !granted.replace => {
                Err(LoginError::AccountMismatch { held, seen: seen.clone() })
            }
            _ => Ok(()),
        }
    }

    /// An epoch that nothing on the disk belongs to yet, with the highest generation known.
    pub(super) fn next_epoch(&self) -> Entry {
        let adopting = self.importing.as_ref().map(Importing::numbers).unwrap_or_default();
        Entry {
            epoch: self.epoch.max(adopting.epoch) + 1,
            generation: self.generation.max(adopting.generation),
        }
    }

    pub(super) async fn logout(
        &mut self,
        revoke: bool,
        reply: oneshot::Sender<Result<bool, LoginError>>,
    ) {
        let entry = self.next_epoch();
        let (ledger, slot, name) =
            (self.parts.ledger.clone(), self.parts.slot.clone(), self.name.clone());
        let removed = blocking(move || {
            let bumped = ledger.set_entry(&name, entry);
            slot.remove_all()?;
            // A full disk may have taken the number only now that something was removed.
            bumped.or_else(|_| ledger.set_entry(&name, entry))
        })
        .await;
        self.epoch = entry.epoch;
        let given_up = self.give_up();
        self.take_up(None, self.parts.clock.now());
        for waiter in self.waiters.drain(..) {
            let _ = waiter.send(Err(LoginError::LoginRequired { problem: None }));
        }
        self.publish();
        if let Err(error) = removed {
            let _ = reply.send(Err(error.into()));
            return;
        }
        tracing::info!(vendor = %self.parts.vendor_name, account = %self.parts.account, "signed out");
        match given_up.filter(|_| revoke) {
            Some((vendor, token)) => {
                // The issuer may be slow: the owner goes on meanwhile.
                self.parts.tracker.spawn(async move {
                    let asked = tokio::time::timeout(REVOKE_TIMEOUT, vendor.revoke(&token)).await;
                    let _ = reply.send(Ok(matches!(asked, Ok(Ok(())))));
                });
            }
            None => drop(reply.send(Ok(false))),
        }
    }

    /// Asks the issuer to end a grant that nobody needs any more; best effort, in the background.
    pub(super) fn revoke(&self, vendor: Arc<OpenAi>, token: RefreshToken) {
        self.parts.tracker.spawn(async move {
            match tokio::time::timeout(REVOKE_TIMEOUT, vendor.revoke(&token)).await {
                Ok(Ok(())) => tracing::info!("a grant that is no longer needed was revoked"),
                Ok(Err(error)) => {
                    tracing::warn!(%error, "a grant that is no longer needed was not revoked")
                }
                Err(_) => {
                    tracing::warn!("a grant that is no longer needed was not revoked in time")
                }
            }
        });
    }

    pub(super) async fn note_in_ledger(&self, entry: Entry) {
        let (ledger, name) = (self.parts.ledger.clone(), self.name.clone());
        if let Err(error) = blocking(move || ledger.set_entry(&name, entry)).await {
            // The credential itself carries the same numbers.
            tracing::warn!(%error, "the ledger lags behind the credential");
        }
    }

    /// Lets go of the login: its newest refresh token, and the vendor that granted it. Nothing where the
    /// configuration knows that vendor no longer: the token is shown to nobody else.
    pub(super) fn give_up(&mut self) -> Option<(Arc<OpenAi>, RefreshToken)> {
        let held = self.held.take().map(|held| held.record);
        let newest = self.candidate.take().or(held)?;
        let vendor = self.parts.vendor.clone().filter(|vendor| source(vendor) == newest.source)?;
        Some((vendor, newest.refresh_token))
    }

    /// Makes a record the one held, forgetting all that belonged to the last.
    pub(super) fn take_up(&mut self, record: Option<Record>, now: Timestamp) {
        self.failures = 0;
        self.unknowns = 0;
        self.retry_at = None;
        self.verify_at = None;
        self.save_at = None;
        self.save_failures = 0;
        self.problem = None;
        self.candidate = None;
        self.held = None;
        self.forced = Bucket::new(now);
        let Some(record) = record else { return self.plan() };
        self.epoch = self.epoch.max(record.epoch);
        self.generation = self.generation.max(record.generation);
        // A token that has ended is lent to nobody: there is nothing to check.
        if record.verified || self.flight.is_some() || record.expires_at <= now {
            self.held = Some(self.hold(record));
        } else {
            // Saved, but the run that saved it ended before it was checked.
            self.candidate = Some(record);
            self.check_candidate(Check::default());
        }
        self.plan();
    }

    /// A refresh of the record just loaded was begun by an earlier run, which did not live to tell.
    pub(super) fn note_interruption(&mut self, interrupted: Option<Interrupted>, now: Timestamp) {
        let record = self.held.as_ref().map(|held| &held.record).or(self.candidate.as_ref());
        let (Some(interrupted), Some(record)) = (interrupted, record) else { return };
        self.unknowns = interrupted.attempts;
        self.retry_at = Some(schedule::after_unknown(now, record.expires_at, self.unknowns));
        self.problem = Some(Problem {
            reason: "outcome_unknown".into(),
            message: "a refresh was cut off; the held token is lent while it lives".into(),
            at: now,
        });
    }

    pub(super) fn hold(&self, record: Record) -> Held {
        let headers = self.parts.vendor.as_ref().map_or_else(Vec::new, |vendor| {
            vendor.api_headers(&record.access_token, record.account_id.as_deref(), record.fedramp)
        });
        let lent = Arc::new(Lent {
            vendor: self.parts.vendor_name.clone(),
            account: self.parts.account.clone(),
            generation: record.generation,
            access_token: record.access_token.clone(),
            issued_at: record.issued_at,
            expires_at: record.expires_at,
            account_id: record.account_id.clone(),
            headers,
            encoded: std::sync::OnceLock::new(),
        });
        let foreign = foreign(&record, self.parts.vendor.as_deref(), self.parts.clock.now());
        Held { record, lent, rejected: false, foreign }
    }
}

impl Granted {
    /// As it is kept in this epoch, verified and not renewed yet.
    pub(super) fn into_record(self, numbers: Entry, now: Timestamp) -> Record {
        Record {
            epoch: numbers.epoch,
            generation: numbers.generation,
            source: source(&self.vendor),
            access_token: self.access_token,
            refresh_token: self.refresh_token,
            issued_at: now,
            expires_at: self.expires_at,
            last_refresh_at: None,
            account_id: self.identity.account_id,
            email: self.identity.email,
            plan: self.identity.plan,
            fedramp: self.identity.fedramp,
            verified: true,
            refused: None,
        }
    }
}

impl Held {
    pub(super) fn lendable(&self) -> bool {
        !self.rejected && self.foreign.is_none()
    }
}

/// What the configuration has against a grant: it is never shown to anybody but who granted it.
pub(super) fn foreign(record: &Record, vendor: Option<&OpenAi>, now: Timestamp) -> Option<Problem> {
    let source = source(vendor?);
    (record.source != source).then(|| Problem {
        reason: "issuer_changed".into(),
        message: format!(
            "this login was granted by {}, but the configuration now names {}; sign in again, or restore the setting",
            record.source.issuer, source.issuer
        ),
        at: now,
    })
}

/// What is kept of a grant's origin.
pub(super) fn source(vendor: &OpenAi) -> Source {
    let Origin { issuer, token_endpoint, client_id } = vendor.origin();
    Source { issuer, token_endpoint, client_id }
}
