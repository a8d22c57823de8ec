//! One request to the issuer, in a task that nobody cancels.
//!
//! A refresh that is dropped half-way leaves nobody who knows whether the token was used. So it runs to
//! its end whatever happens around it, and its outcome comes back to the owner as a value.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::{Parts, blocking};
use crate::clock::Timestamp;
use crate::secret::AccessToken;
use crate::store::{Mark, Record, Room, StoreError};
use crate::vendor::jwks::Disbelief;
use crate::vendor::{Identity, OpenAi, Refreshed};

/// How long the issuer's keys are waited for at a refresh, where the account is known already.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// A task under way.
#[derive(Debug)]
pub(super) struct Flight {
    /// The epoch it belongs to; what lands in a later one comes too late.
    pub(super) epoch: u64,
    kind: Kind,
    task: JoinHandle<Landing>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Refresh,
    Check,
}

impl Flight {
    pub(super) fn is_refresh(&self) -> bool {
        self.kind == Kind::Refresh
    }
}

/// How a flight ended.
#[derive(Debug)]
pub(super) struct Landing {
    pub(super) epoch: u64,
    pub(super) outcome: Outcome,
}

/// What a flight brought.
#[derive(Debug)]
pub(super) enum Outcome {
    /// There was no room for an answer, so nothing was asked.
    NoRoom(StoreError),
    /// Another process had saved a newer credential.
    Newer(Box<Record>),
    /// The issuer was asked.
    Asked(Refreshed, Option<Room>),
    /// A kept token was checked.
    Checked(Result<Identity, Disbelief>, Check),
    /// The task panicked: a defect, treated as an unknown outcome.
    Lost,
}

/// What is known about a token that is to be checked.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Check {
    /// The issuer's clock less ours.
    pub(super) skew_millis: i64,
    /// Whether the issuer did not say how long the token lives, so that only the token itself tells.
    pub(super) life_assumed: bool,
}

/// Waits for the flight to land and clears its place; for ever where there is none.
pub(super) async fn land(flight: &mut Option<Flight>) -> Landing {
    let Some(under_way) = flight else { return std::future::pending().await };
    let landed = (&mut under_way.task).await;
    let epoch = under_way.epoch;
    *flight = None;
    landed.unwrap_or(Landing { epoch, outcome: Outcome::Lost })
}

/// Begins a refresh of `record`: room first, then the file once more, then the issuer, once.
pub(super) fn refresh(
    parts: &Parts,
    vendor: &Arc<OpenAi>,
    record: &Record,
    unknowns: u32,
    now: Timestamp,
    dead: bool,
    rejected: bool,
) -> Flight {
    let (slot, vendor, record) = (parts.slot.clone(), Arc::clone(vendor), record.clone());
    let epoch = record.epoch;
    tracing::info!(vendor = %parts.vendor_name, account = %parts.account, generation = record.generation, dead, rejected, "refreshing");
    let task = tokio::spawn(async move {
        let outcome = async {
            let mark =
                Mark { epoch, generation: record.generation, attempt: unknowns, begun_at: now };
            let (held, places) = (record.clone(), slot.clone());
            let prepared = blocking(move || {
                // Whoever else wrote here had the lock before us: what it knows is newer.
                let newer = places.newer_than(held.epoch, held.generation)?;
                Ok((newer, places.make_room(&mark, &held)))
            });
            let room = match prepared.await {
                Err(error) => return Outcome::NoRoom(error),
                Ok((Some(newer), _)) => return Outcome::Newer(Box::new(newer)),
                Ok((None, Ok(room))) => Some(room),
                // A dead token leaves nothing to wait for; the answer is kept in memory until it can be saved.
                Ok((None, Err(error))) if dead => {
                    tracing::error!(%error, "there is no room for the issuer's answer; asking all the same, the token is dead");
                    None
                }
                Ok((None, Err(error))) => return Outcome::NoRoom(error),
            };
            let refreshed = vendor.refresh(&record.refresh_token).await;
            if matches!(refreshed, Refreshed::Harmless { .. }) && room.is_some() {
                drop(room);
                if let Err(error) = blocking(move || slot.clear_mark()).await {
                    tracing::warn!(%error, "the mark of a refresh that did not happen stands");
                }
                return Outcome::Asked(refreshed, None);
            }
            Outcome::Asked(refreshed, room)
        };
        Landing { epoch, outcome: outcome.await }
    });
    Flight { epoch, kind: Kind::Refresh, task }
}

/// Begins the check of a kept token's signature and account.
pub(super) fn check(vendor: &Arc<OpenAi>, record: &Record, check: Check) -> Flight {
    let (vendor, epoch) = (Arc::clone(vendor), record.epoch);
    let token: AccessToken = record.access_token.clone();
    let task = tokio::spawn(async move {
        let checked =
            tokio::time::timeout(CHECK_TIMEOUT, vendor.identify(&token, None, check.skew_millis))
                .await;
        let result =
            checked.unwrap_or_else(|_| Err(Disbelief::KeysUnreachable("no answer in time".into())));
        Landing { epoch, outcome: Outcome::Checked(result, check) }
    });
    Flight { epoch, kind: Kind::Check, task }
}
