//! Another program's login becomes ours: kept first, renewed at once, and given back where that fails.
//!
//! Until the issuer has taken the refresh token from us there are two owners, and each may undo the other. So
//! nothing is lent before the token was renewed, and until then what was held before is lent, and is held
//! again where the issuer cannot be reached or says no. On the disk the adopted login stands first,
//! so that whatever ends this process leaves one of the two behind, with the mark of a refresh that was begun.

use std::sync::Arc;

use tokio::sync::oneshot;

use super::flight::{self, Check, Outcome};
use super::landing::{counted, differing_account, renew};
use super::{Granted, Owner, blocking};
use crate::clock::Timestamp;
use crate::login::state::Problem;
use crate::login::{LoginError, schedule};
use crate::store::ledger::Entry;
use crate::store::{Mark, Record, StoreError};
use crate::vendor::jwks::Disbelief;
use crate::vendor::{Grant, Identity, OpenAi, Refreshed};

/// When an issuer that says nothing may be asked again.
const AGAIN: std::time::Duration = std::time::Duration::from_secs(5);

type Reply = oneshot::Sender<Result<(), LoginError>>;

/// An import that waits for a flight to land.
pub(super) type Queued = (Box<Granted>, Reply);

/// A login on its way to become ours.
pub(super) struct Importing {
    /// As it stands on the disk.
    record: Record,
    /// The refresh token that the other program's file holds.
    shown: String,
    /// The epoch in which it was begun; in a later one it comes too late.
    begun_in: u64,
    /// Whether the issuer has taken the other program's refresh token, so that there is no way back.
    renewed: bool,
    reply: Reply,
}

impl Importing {
    /// The record, where it is the only copy of a login.
    pub(super) fn renewed(&self) -> Option<&Record> {
        self.renewed.then_some(&self.record)
    }

    pub(super) fn numbers(&self) -> Entry {
        Entry { epoch: self.record.epoch, generation: self.record.generation }
    }
}

impl Owner {
    /// Begins an import, or has it wait for the flight under way: its answer must not be lost.
    pub(super) async fn import(&mut self, granted: Box<Granted>, reply: Reply) {
        if self.importing.is_some() || self.queued_import.is_some() {
            let _ = reply.send(Err(LoginError::Overloaded));
        } else if self.flight.is_some() {
            self.queued_import = Some((granted, reply));
        } else {
            self.begin_import(*granted, reply).await;
        }
    }

    /// Begins the import that waited, if any.
    pub(super) async fn import_queued(&mut self) {
        if let Some((granted, reply)) = self.queued_import.take() {
            self.begin_import(*granted, reply).await;
        }
    }

    async fn begin_import(&mut self, granted: Granted, reply: Reply) {
        match self.may_import(&granted) {
            Ok(true) => {}
            Ok(false) => return drop(reply.send(Ok(()))),
            Err(error) => return drop(reply.send(Err(error))),
        }
        let now = self.parts.clock.now();
        let Entry { epoch, generation } = self.next_epoch();
        let generation = generation + 1;
        let (vendor, shown) = (Arc::clone(&granted.vendor), granted.refresh_token.fingerprint());
        let record = granted.into_record(Entry { epoch, generation }, now);
        let (slot, kept) = (self.parts.slot.clone(), record.clone());
        if let Err(error) = blocking(move || slot.keep(&kept, None)).await {
            return drop(reply.send(Err(error.into())));
        }
        if let Err(error) = self.claim(shown.clone()).await {
            return drop(reply.send(self.give_back(error, now).await));
        }
        tracing::info!(vendor = %self.parts.vendor_name, account = %self.parts.account, "another program's login is kept; renewing it");
        let mark = Mark { epoch, generation, attempt: 0, begun_at: now };
        let slot = self.parts.slot.clone();
        // Never without room for the answer: a login that is not adopted is not lost.
        let asked = flight::refresh(slot, &vendor, record.clone(), mark, false);
        self.flight = Some(asked.for_import());
        self.importing =
            Some(Importing { record, shown, begun_in: self.epoch, renewed: false, reply });
    }

    /// Whether there is anything to do, or why it must not be done.
    fn may_import(&self, granted: &Granted) -> Result<bool, LoginError> {
        if self.parts.stop.is_cancelled() {
            return Err(LoginError::Stopping);
        }
        if granted.epoch != self.epoch {
            return Err(LoginError::Cancelled);
        }
        if let Some(held) = &self.held
            && held.record.refresh_token.is(&granted.refresh_token)
        {
            return match self.finality() {
                Some(problem) => Err(LoginError::LoginRequired { problem: Some(problem) }),
                None => Ok(false),
            };
        }
        self.may_replace(granted)?;
        if self.parts.ledger.is_used(&granted.refresh_token.fingerprint()) {
            return Err(used_before());
        }
        if self.save_at.is_some() {
            // What is held is in memory only: nothing may be written over its place.
            return Err(LoginError::Storage {
                message: "the login held now could not be saved yet; nothing was changed".into(),
                path: self.parts.slot.path(),
            });
        }
        Ok(true)
    }

    /// Acts on a step of the import that landed.
    pub(super) async fn conclude_import(&mut self, vendor: Arc<OpenAi>, outcome: Outcome) {
        let Some(importing) = self.importing.take() else { return };
        if importing.begun_in != self.epoch {
            return self.overtaken(importing, vendor, outcome).await;
        }
        let now = self.parts.clock.now();
        if let Some(counted) = counted(&outcome) {
            self.parts.meter.refreshed(counted);
        }
        if !importing.renewed && untouched(&outcome) {
            self.disclaim(importing.shown.clone()).await;
        }
        let answer = match outcome {
            Outcome::Asked(Refreshed::Granted(grant), room) => {
                return self.renewed(importing, vendor, grant, room, now).await;
            }
            Outcome::Checked(result, check) => {
                self.checked_import(&importing.record, result, check, now).await
            }
            other => self.not_renewed(&importing.record, other, now).await,
        };
        // Whoever is answered looks at what is published.
        self.publish();
        let _ = importing.reply.send(answer);
    }

    /// The renewed token was looked at: what was held before is let go only for one that can be lent.
    async fn checked_import(
        &mut self,
        record: &Record,
        result: Result<Identity, Disbelief>,
        check: Check,
        now: Timestamp,
    ) -> Result<(), LoginError> {
        let why = match &result {
            Err(Disbelief::Bad(why)) => Some(why.clone()),
            Ok(identity) => differing_account(record, identity)
                .map(|(held, seen)| format!("it is for the account {seen}, not for {held}")),
            Err(_) => None,
        };
        if let (Some(why), true) = (why, self.held.is_some()) {
            self.disbelieve(record, &why, now).await;
            return Err(LoginError::Unbelievable(format!(
                "the issuer's answer was not accepted ({why}); the login held before is held on"
            )));
        }
        let unsaved = self.save_at.is_some();
        self.change_over(record, true).await;
        self.candidate = Some(record.clone());
        self.checked(result, check, now).await;
        if unsaved {
            self.save_again(now).await;
        }
        self.retry_at.get_or_insert(now.plus(schedule::FLOOR));
        let refused = |problem| Err(LoginError::LoginRequired { problem: Some(problem) });
        self.finality().map_or(Ok(()), refused)
    }

    /// Every way in which a step can end that brought no new token.
    async fn not_renewed(
        &mut self,
        record: &Record,
        outcome: Outcome,
        now: Timestamp,
    ) -> Result<(), LoginError> {
        match outcome {
            Outcome::Asked(Refreshed::Harmless { retry_after, message }, _) => {
                let retry_after = retry_after.unwrap_or(AGAIN);
                self.give_back(LoginError::Unreachable { message, retry_after }, now).await
            }
            Outcome::Asked(Refreshed::Refused { reason, message }, _) => {
                tracing::warn!(%reason, %message, "the issuer refused the other program's refresh token");
                let message = format!(
                    "the other program's login is itself over ({reason}): sign in with `valetkey login`"
                );
                let problem = Some(Problem { reason, message, at: now });
                self.give_back(LoginError::LoginRequired { problem }, now).await
            }
            Outcome::NoRoom(error) => self.give_back(error.into(), now).await,
            Outcome::Asked(Refreshed::Unknown { message }, _) => {
                self.in_doubt(record, message, now).await
            }
            Outcome::Newer(newer) => {
                self.take_up(Some(*newer), now);
                Ok(())
            }
            // Of a check, that is: the token was renewed.
            Outcome::Lost if record.last_refresh_at.is_some() => {
                self.change_over(record, true).await;
                self.take_up(Some(record.clone()), now);
                self.save_again(now).await;
                Ok(())
            }
            // The two that bring something do not come here.
            Outcome::Lost | Outcome::Checked(..) | Outcome::Asked(Refreshed::Granted(_), _) => {
                self.in_doubt(record, "the refresh ended unexpectedly".into(), now).await
            }
        }
    }

    /// The issuer took the token: from here on the adopted login is ours alone, saved or not.
    async fn renewed(
        &mut self,
        mut importing: Importing,
        vendor: Arc<OpenAi>,
        grant: Grant,
        room: Option<crate::store::Room>,
        now: Timestamp,
    ) {
        let check =
            Check { skew_millis: grant.skew_millis, life_assumed: grant.expires_in.is_none() };
        let to_check = grant.access_token.is_some();
        importing.record = renew(&importing.record, grant, importing.record.generation + 1, now);
        importing.renewed = true;
        self.save(importing.record.clone(), room, now).await;
        if to_check {
            self.flight = Some(flight::check(&vendor, &importing.record, check).for_import());
            self.importing = Some(importing);
            return;
        }
        // The issuer kept the access token, which was believed before.
        let Importing { record, reply, .. } = importing;
        self.change_over(&record, true).await;
        self.take_up(Some(record.clone()), now);
        self.retry_at = Some(schedule::after_unknown(now, record.expires_at, 1));
        self.save(record, None, now).await;
        self.publish();
        let _ = reply.send(Ok(()));
    }

    /// Nobody knows whether the other program's refresh token was used: it stays with us, as one of our own
    /// would. What was held before is let go, but not revoked.
    async fn in_doubt(
        &mut self,
        record: &Record,
        message: String,
        now: Timestamp,
    ) -> Result<(), LoginError> {
        self.change_over(record, false).await;
        self.take_up(Some(record.clone()), now);
        self.unknown(message, now);
        Ok(())
    }

    /// Lets go of what was held before and begins the epoch of the adopted login.
    async fn change_over(&mut self, record: &Record, revoke: bool) {
        let Record { epoch, generation, .. } = *record;
        self.note_in_ledger(Entry { epoch, generation }).await;
        match self.give_up().filter(|_| revoke) {
            Some((vendor, old)) if !old.is(&record.refresh_token) => self.revoke(vendor, old),
            _ => {}
        }
        self.take_up(None, self.parts.clock.now());
        (self.epoch, self.generation) = (epoch, generation);
        tracing::info!(vendor = %self.parts.vendor_name, account = %self.parts.account, generation, "another program's login was adopted");
    }

    /// What was held before is held on, and stands on the disk again; where nothing was, nothing does.
    async fn give_back(&mut self, error: LoginError, now: Timestamp) -> Result<(), LoginError> {
        self.put_back(now).await.map_err(LoginError::from)?;
        tracing::warn!(%error, "another program's login was not adopted; all is as it was");
        Err(error)
    }

    async fn put_back(&mut self, now: Timestamp) -> Result<(), StoreError> {
        let slot = self.parts.slot.clone();
        let Some(record) = self.held.as_ref().map(|held| held.record.clone()) else {
            let Err(error) = blocking(move || slot.discard()).await else { return Ok(()) };
            // What cannot be removed must not be taken for a login at the next start.
            let Entry { epoch, generation } = self.next_epoch();
            self.epoch = epoch + 1;
            self.note_in_ledger(Entry { epoch: self.epoch, generation }).await;
            return Err(error);
        };
        let begun = Mark {
            epoch: record.epoch,
            generation: record.generation,
            attempt: self.unknowns.saturating_sub(1),
            begun_at: now,
        };
        self.save(record.clone(), None, now).await;
        if self.unknowns > 0 {
            // The mark of its own last refresh went with the files of the other.
            if let Err(error) = blocking(move || slot.make_room(&begun, &record)).await {
                tracing::warn!(%error, "a restart would not know that a refresh was begun");
            }
        }
        Ok(())
    }

    /// The renewed token is kept aside, and what was held before is held on.
    async fn disbelieve(&mut self, record: &Record, why: &str, now: Timestamp) {
        tracing::error!(%why, "the issuer's answer is kept aside and not lent");
        let (slot, record) = (self.parts.slot.clone(), record.clone());
        if let Err(error) = blocking(move || slot.quarantine(&record, now)).await {
            tracing::error!(%error, "it could not be kept aside");
        }
        if let Err(error) = self.put_back(now).await {
            tracing::error!(%error, "what was held before could not be saved again");
        }
    }

    /// A logout or a login came first: nothing of the import may stay.
    async fn overtaken(&mut self, importing: Importing, vendor: Arc<OpenAi>, outcome: Outcome) {
        if importing.renewed {
            self.revoke(Arc::clone(&vendor), importing.record.refresh_token);
        }
        if !importing.renewed && untouched(&outcome) {
            self.disclaim(importing.shown).await;
        }
        self.too_late(vendor, outcome).await;
        let _ = importing.reply.send(Err(LoginError::Cancelled));
    }

    /// Notes that this token is about to be shown, which must not happen twice.
    async fn claim(&self, shown: String) -> Result<(), LoginError> {
        let ledger = self.parts.ledger.clone();
        let fresh = blocking(move || ledger.claim_use(&shown)).await?;
        if fresh { Ok(()) } else { Err(used_before()) }
    }

    /// The issuer did not take the token: it may be shown again.
    async fn disclaim(&self, shown: String) {
        let ledger = self.parts.ledger.clone();
        if let Err(error) = blocking(move || ledger.disclaim_use(&shown)).await {
            tracing::warn!(%error, "the other program's login cannot be adopted later");
        }
    }
}

/// Whether the refresh token was shown to nobody, or not taken.
fn untouched(outcome: &Outcome) -> bool {
    matches!(
        outcome,
        Outcome::NoRoom(_)
            | Outcome::Asked(Refreshed::Harmless { .. } | Refreshed::Refused { .. }, _)
    )
}

fn used_before() -> LoginError {
    LoginError::Invalid(
        "the token in this file was used when it was adopted before, and shown again it would end the login"
            .into(),
    )
}
