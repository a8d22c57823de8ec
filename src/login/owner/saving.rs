//! Onto the disk, whatever the disk says: a second copy elsewhere, another try, and a last one at the end.

use std::time::Duration;

use super::importing::Importing;
use super::{Owner, blocking};
use crate::clock::Timestamp;
use crate::login::schedule;
use crate::login::state::Problem;
use crate::secret::random_unit;
use crate::store::ledger::Entry;
use crate::store::{Record, Refusal, Room, StoreError};

/// How often a save that failed is tried again: at first, and at the longest.
const SAVE_BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

impl Owner {
    /// Saves a record, or a second copy of it elsewhere, or neither: then again and again.
    pub(super) async fn save(&mut self, record: Record, room: Option<Room>, now: Timestamp) {
        let slot = self.parts.slot.clone();
        let saved = blocking(move || {
            slot.keep(&record, room).map_err(|error| {
                let rescued = slot.rescue(&record).is_ok();
                (error, rescued)
            })
        });
        match saved.await {
            Ok(()) => {
                self.save_at = None;
                self.save_failures = 0;
                self.problem =
                    self.problem.take().filter(|problem| problem.reason != "storage_error");
            }
            Err((error, rescued)) => {
                tracing::error!(%error, rescued, "the login could not be saved; trying again");
                self.save_failures = self.save_failures.saturating_add(1);
                self.save_at = Some(now.plus(schedule::backoff(
                    self.save_failures,
                    SAVE_BACKOFF,
                    random_unit(),
                )));
                self.problem = Some(Problem {
                    reason: "storage_error".into(),
                    message: error.to_string(),
                    at: now,
                });
            }
        }
    }

    /// What must not be lost: what was adopted and renewed, the candidate, else what is held.
    fn newest(&self) -> Option<Record> {
        let held = self.held.as_ref().map(|held| &held.record);
        let adopted = self.importing.as_ref().and_then(Importing::renewed);
        adopted.or(self.candidate.as_ref()).or(held).cloned()
    }

    /// Tries again to save the newest record.
    pub(super) async fn save_again(&mut self, now: Timestamp) {
        match self.newest() {
            Some(record) => self.save(record, None, now).await,
            None => self.save_at = None,
        }
    }

    /// The last thing before the end: what is only in memory must reach a disk.
    pub(super) async fn settle(&mut self) -> Result<(), StoreError> {
        if self.save_at.is_none() {
            return Ok(());
        }
        let Some(record) = self.newest() else { return Ok(()) };
        let slot = self.parts.slot.clone();
        blocking(move || slot.keep(&record, None).or_else(|_| slot.rescue(&record))).await
    }

    /// Keeps aside what cannot be believed; what was held before lives out its time, unrefreshed.
    pub(super) async fn quarantine(
        &mut self,
        record: Record,
        reason: &str,
        why: String,
        now: Timestamp,
    ) {
        let message = format!("the issuer's answer was not accepted: {why}; sign in again");
        tracing::error!(reason, %why, "the issuer's answer is kept aside and not lent");
        let refusal = Refusal { reason: reason.into(), message, at: now };
        let previous = self
            .held
            .take()
            .map(|held| held.record)
            .filter(|held| held.generation < record.generation);
        let mut kept = previous.unwrap_or_else(|| {
            // Nothing older is known: this record stays, but dead.
            Record { expires_at: record.issued_at, ..record.clone() }
        });
        kept.refused = Some(refusal);
        let slot = self.parts.slot.clone();
        let aside = blocking(move || slot.quarantine(&record, now)).await;
        if let Err(error) = aside {
            tracing::error!(%error, "it could not be kept aside");
        }
        self.note_in_ledger(Entry { epoch: self.epoch, generation: self.generation }).await;
        self.held = Some(self.hold(kept.clone()));
        self.plan();
        self.save(kept, None, now).await;
    }
}
