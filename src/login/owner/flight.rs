//! One request to the issuer, in a task that nobody cancels.
//!
//! A refresh that is dropped half-way leaves nobody who knows whether the token was used. So it runs to
//! its end whatever happens around it, and its outcome comes back to the owner as a value.

use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;

use super::blocking;
use crate::store::{Mark, Record, Room, Slot, StoreError};
use crate::vendor::jwks::Disbelief;
use crate::vendor::{Identity, OpenAi, Refreshed};

/// How long the issuer's keys are waited for at a refresh, where the account is known already.
const CHECK_TIMEOUT: Duration = Duration::from_secs(5);

/// A task under way.
#[derive(Debug)]
pub(super) struct Flight {
    /// The epoch it belongs to; what lands in a later one comes too late.
    pub(super) epoch: u64,
    vendor: Arc<OpenAi>,
    kind: Kind,
    /// Whether it is a step of an import.
    for_import: bool,
    task: JoinHandle<Outcome>,
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

    /// The same as a step of an import: what is held is not what it is about.
    pub(super) fn for_import(self) -> Self {
        Self { for_import: true, ..self }
    }
}

/// How a flight ended.
#[derive(Debug)]
pub(super) struct Landing {
    pub(super) epoch: u64,
    /// Who was asked, which by now need not be whom the configuration names.
    pub(super) vendor: Arc<OpenAi>,
    pub(super) for_import: bool,
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
    let outcome = (&mut under_way.task).await.unwrap_or(Outcome::Lost);
    let (epoch, vendor) = (under_way.epoch, Arc::clone(&under_way.vendor));
    let for_import = under_way.for_import;
    *flight = None;
    Landing { epoch, vendor, for_import, outcome }
}

/// Begins a refresh of `record`. A token that is `dead` is worth asking for even without room for the answer.
pub(super) fn refresh(
    slot: Slot,
    vendor: &Arc<OpenAi>,
    record: Record,
    mark: Mark,
    dead: bool,
) -> Flight {
    let (epoch, vendor) = (record.epoch, Arc::clone(vendor));
    let task = tokio::spawn(ask(slot, Arc::clone(&vendor), record, mark, dead));
    Flight { epoch, vendor, kind: Kind::Refresh, for_import: false, task }
}

/// What the disk says before the issuer is asked.
enum Prepared {
    Newer(Box<Record>),
    Room(Room),
    Full(StoreError),
}

/// Room first, then the file once more, then the issuer, once.
async fn ask(slot: Slot, vendor: Arc<OpenAi>, record: Record, mark: Mark, dead: bool) -> Outcome {
    let (held, places) = (record.clone(), slot.clone());
    let prepared = blocking(move || {
        // Whoever else wrote here had the lock before us: what it knows is newer.
        Ok(match places.newer_than(held.epoch, held.generation)? {
            Some(newer) => Prepared::Newer(Box::new(newer)),
            None => places.make_room(&mark, &held).map_or_else(Prepared::Full, Prepared::Room),
        })
    });
    let room = match prepared.await {
        Err(error) => return Outcome::NoRoom(error),
        Ok(Prepared::Newer(newer)) => return Outcome::Newer(newer),
        Ok(Prepared::Room(room)) => Some(room),
        // There is nothing to wait for; the answer is kept in memory until it can be saved.
        Ok(Prepared::Full(error)) if dead => {
            tracing::error!(%error, "there is no room for the issuer's answer; asking all the same, the token is dead");
            None
        }
        Ok(Prepared::Full(error)) => return Outcome::NoRoom(error),
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
}

/// Begins the check of a kept token's signature and account.
pub(super) fn check(vendor: &Arc<OpenAi>, record: &Record, check: Check) -> Flight {
    let (asked, token) = (Arc::clone(vendor), record.access_token.clone());
    let task = tokio::spawn(async move {
        let identified = asked.identify(&token, None, check.skew_millis);
        let checked = tokio::time::timeout(CHECK_TIMEOUT, identified).await;
        let late = || Err(Disbelief::KeysUnreachable("no answer in time".into()));
        Outcome::Checked(checked.unwrap_or_else(|_| late()), check)
    });
    Flight {
        epoch: record.epoch,
        vendor: Arc::clone(vendor),
        kind: Kind::Check,
        for_import: false,
        task,
    }
}
