//! What an outcome means: keep, check, publish, answer, in that order, and both failure roads.

use std::sync::Arc;

use super::flight::{self, Check, Landing, Outcome};
use super::tenure::source;
use super::{Owner, blocking};
use crate::clock::Timestamp;
use crate::login::schedule;
use crate::login::state::Problem;
use crate::meter::Outcome as Counted;
use crate::secret::random_unit;
use crate::store::{Record, Refusal, Room};
use crate::vendor::jwks::Disbelief;
use crate::vendor::{Grant, Identity, OpenAi, Refreshed};

/// How often a token whose keys were out of reach is checked again.
const CHECK_AGAIN: std::time::Duration = std::time::Duration::from_secs(60);
/// The life of an access token whose issuer does not say (RFC 6749 section 5.1 only recommends it).
const ASSUMED_LIFE_SECS: u64 = 3600;

impl Owner {
    /// Acts on a flight that landed, then tells everybody.
    pub(super) async fn conclude(&mut self, landing: Landing) {
        let Landing { epoch, vendor, for_import, outcome } = landing;
        if for_import {
            self.conclude_import(vendor, outcome).await;
        } else if epoch == self.epoch && (self.held.is_some() || self.candidate.is_some()) {
            self.act_on(outcome).await;
        } else {
            self.too_late(vendor, outcome).await;
        }
        self.publish();
        let now = self.parts.clock.now();
        let in_vain = self.lendable(now).is_none() && self.obstacle(now).is_none();
        if in_vain && !self.waiters.is_empty() {
            // What landed had ended already and nothing speaks against asking: who waits, waits on.
            self.ensure_flight(now, false);
        }
        if self.flight.is_none() {
            self.answer();
            self.import_queued().await;
        }
    }

    async fn act_on(&mut self, outcome: Outcome) {
        let now = self.parts.clock.now();
        if let Some(counted) = counted(&outcome) {
            self.parts.meter.refreshed(counted);
        }
        match outcome {
            Outcome::NoRoom(error) => {
                self.wait_and_retry("storage_error", error.to_string(), None, now)
            }
            Outcome::Newer(record) => {
                tracing::info!(
                    generation = record.generation,
                    "another process had refreshed already"
                );
                self.take_up(Some(*record), now);
            }
            Outcome::Asked(Refreshed::Granted(grant), room) => self.granted(grant, room, now).await,
            Outcome::Asked(Refreshed::Harmless { retry_after, message }, _) => {
                self.wait_and_retry("refresh_failed", message, retry_after, now);
            }
            Outcome::Asked(Refreshed::Unknown { message }, _) => self.unknown(message, now),
            Outcome::Asked(Refreshed::Refused { reason, message }, room) => {
                self.refused(Refusal { reason, message, at: now }, room, now).await;
            }
            Outcome::Checked(result, check) => self.checked(result, check, now).await,
            Outcome::Lost => self.unknown("the refresh ended unexpectedly".into(), now),
        }
    }

    /// Harmless: the refresh token is unused, try again after a pause.
    fn wait_and_retry(
        &mut self,
        reason: &str,
        message: String,
        asked: Option<std::time::Duration>,
        now: Timestamp,
    ) {
        self.failures = self.failures.saturating_add(1);
        let pause = schedule::backoff(self.failures, self.parts.policy.backoff, random_unit());
        self.retry_at = Some(now.plus(pause.max(asked.unwrap_or_default())));
        tracing::warn!(reason, %message, "the refresh has to wait");
        self.problem = Some(Problem { reason: reason.into(), message, at: now });
    }

    /// Unknown: the refresh token may be used up, and showing it again may end the login.
    pub(super) fn unknown(&mut self, message: String, now: Timestamp) {
        self.unknowns = self.unknowns.saturating_add(1);
        let expires_at = self.held.as_ref().map_or(now, |held| held.record.expires_at);
        if expires_at <= now {
            return self.wait_and_retry("outcome_unknown", message, None, now);
        }
        self.retry_at = Some(schedule::after_unknown(now, expires_at, self.unknowns));
        tracing::warn!(%message, attempts = self.unknowns, "nobody knows whether the refresh token was used; the held token is lent on");
        self.problem = Some(Problem { reason: "outcome_unknown".into(), message, at: now });
    }

    /// Final: stop asking, remember it, lend what lives.
    async fn refused(&mut self, refusal: Refusal, room: Option<Room>, now: Timestamp) {
        tracing::error!(reason = %refusal.reason, "the issuer refused the refresh token for good: sign in again");
        let Some(held) = &mut self.held else { return };
        held.record.refused = Some(refusal);
        let record = held.record.clone();
        self.retry_at = None;
        self.problem = None;
        self.save(record, room, now).await;
    }

    async fn granted(&mut self, grant: Grant, room: Option<Room>, now: Timestamp) {
        let Some(held) = &self.held else { return };
        let check =
            Check { skew_millis: grant.skew_millis, life_assumed: grant.expires_in.is_none() };
        let renewed = grant.access_token.is_some();
        let record = renew(&held.record, grant, self.generation + 1, now);
        // From here on the old refresh token is dead and this is the login, saved or not.
        self.generation = record.generation;
        self.unknowns = 0;
        self.retry_at = Some(now.plus(schedule::FLOOR));
        self.problem = None;
        self.save(record.clone(), room, now).await;
        tracing::info!(generation = record.generation, "refreshed");
        if renewed {
            self.candidate = Some(record);
            self.check_candidate(check);
        } else {
            // The issuer kept the access token: asking again soon would bring nothing new.
            self.failures = 0;
            self.retry_at = Some(schedule::after_unknown(now, record.expires_at, 1));
            self.held = Some(self.hold(record));
        }
    }

    /// Begins the check of the candidate. One whose issuer the configuration no longer names can be
    /// checked by nobody: it is held as it is.
    pub(super) fn check_candidate(&mut self, check: Check) {
        let Some(record) = self.candidate.take() else { return };
        match self.parts.vendor.as_ref().filter(|vendor| source(vendor) == record.source) {
            Some(vendor) => {
                self.flight = Some(flight::check(vendor, &record, check));
                self.candidate = Some(record);
            }
            None => {
                self.verify_at = Some(self.parts.clock.now());
                self.held = Some(self.hold(record));
                self.plan();
            }
        }
    }

    /// Begins another check of a held token whose keys were out of reach before.
    pub(super) fn check_held(&mut self) {
        self.verify_at = None;
        if let (Some(held), Some(vendor), None) = (&self.held, &self.parts.vendor, &self.flight) {
            self.flight = Some(flight::check(vendor, &held.record, Check::default()));
        }
    }

    pub(super) async fn checked(
        &mut self,
        result: Result<Identity, Disbelief>,
        check: Check,
        now: Timestamp,
    ) {
        let Some(mut record) =
            self.candidate.take().or_else(|| self.held.as_ref().map(|held| held.record.clone()))
        else {
            return;
        };
        match result {
            Ok(identity) => match differing_account(&record, &identity) {
                Some((held, seen)) => {
                    let why = format!(
                        "the issuer answered for the account {seen}, but this login is for {held}"
                    );
                    self.quarantine(record, "account_mismatch", why, now).await;
                }
                None => {
                    believe(&mut record, identity, check);
                    let unsaved = self.save_at.is_some();
                    self.hold_checked(record.clone(), now);
                    if !unsaved {
                        self.save(record, None, now).await;
                    }
                }
            },
            Err(Disbelief::KeysUnreachable(why)) => {
                tracing::warn!(%why, "the token is lent unchecked, for the account known before");
                self.verify_at = Some(now.plus(CHECK_AGAIN));
                self.hold_checked(record, now);
            }
            Err(Disbelief::Ended) => {
                record.expires_at = record.expires_at.min(now);
                self.hold_checked(record, now);
            }
            // It ended before anybody could look, and an ended token is never believed: no verdict.
            Err(Disbelief::Bad(why)) if record.expires_at <= now => {
                tracing::warn!(%why, "the token ended unchecked");
                self.hold_checked(record, now);
            }
            Err(Disbelief::Bad(why)) => {
                self.quarantine(record, "unbelievable_token", why, now).await
            }
        }
    }

    /// Holds what was looked at. One that ended meanwhile (the machine slept) is simply due; an issuer
    /// whose tokens are dead on arrival must not be asked in a loop.
    fn hold_checked(&mut self, record: Record, now: Timestamp) {
        let dead_on_arrival = record.expires_at <= record.issued_at.plus(schedule::FLOOR);
        self.held = Some(self.hold(record));
        self.plan();
        if dead_on_arrival {
            let message = "the issuer's token had ended when it came".to_owned();
            self.wait_and_retry("dead_on_arrival", message, None, now);
        } else {
            self.failures = 0;
        }
    }

    /// What landed belongs to a login that was given up meanwhile: nothing of it may stay.
    pub(super) async fn too_late(&mut self, vendor: Arc<OpenAi>, outcome: Outcome) {
        if let Outcome::Asked(Refreshed::Granted(Grant { refresh_token: Some(token), .. }), _) =
            outcome
        {
            self.revoke(vendor, token);
        }
        // No other flight has begun since, so a spare that stands there is this one's.
        let slot = self.parts.slot.clone();
        if let Err(error) = blocking(move || slot.clear_mark()).await {
            tracing::warn!(%error, "a spare file of an ended login stands");
        }
        // A login taken up meanwhile may still wait to be checked.
        if self.held.as_ref().is_some_and(|held| !held.record.verified) {
            self.check_held();
        }
    }
}

/// Under which name a refresh is counted; a check of a token is none.
pub(super) fn counted(outcome: &Outcome) -> Option<Counted> {
    Some(match outcome {
        Outcome::NoRoom(_) => Counted::NoRoom,
        Outcome::Newer(_) => Counted::Newer,
        Outcome::Asked(Refreshed::Granted(_), _) => Counted::Granted,
        Outcome::Asked(Refreshed::Harmless { .. }, _) => Counted::Harmless,
        Outcome::Asked(Refreshed::Unknown { .. }, _) | Outcome::Lost => Counted::Unknown,
        Outcome::Asked(Refreshed::Refused { .. }, _) => Counted::Refused,
        Outcome::Checked(..) => return None,
    })
}

/// The record after a refresh. What the answer leaves out stays as it was (RFC 6749 section 6).
pub(super) fn renew(before: &Record, grant: Grant, generation: u64, now: Timestamp) -> Record {
    let mut record = Record { generation, last_refresh_at: Some(now), ..before.clone() };
    if let Some(token) = grant.refresh_token {
        record.refresh_token = token;
    }
    if let Some(token) = grant.access_token {
        let life = std::time::Duration::from_secs(grant.expires_in.unwrap_or(ASSUMED_LIFE_SECS));
        record.access_token = token;
        record.issued_at = now;
        record.expires_at = now.plus(life);
        record.verified = false;
    }
    record
}

pub(super) fn differing_account(record: &Record, identity: &Identity) -> Option<(String, String)> {
    let (held, seen) = (record.account_id.as_ref()?, identity.account_id.as_ref()?);
    (held != seen).then(|| (held.clone(), seen.clone()))
}

/// Takes over what a checked token says.
fn believe(record: &mut Record, identity: Identity, check: Check) {
    record.verified = true;
    record.account_id = identity.account_id.or(record.account_id.take());
    record.email = identity.email.or(record.email.take());
    record.plan = identity.plan.or(record.plan.take());
    record.fedramp = identity.fedramp;
    if let Some(end) = identity.expires_at {
        record.expires_at = if check.life_assumed { end } else { record.expires_at.min(end) };
    }
}
