//! The owner of one login: one loop, one credential, one refresh at a time.
//!
//! It is an actor because a rotating token leaves no room for a second opinion: every question that
//! could lead to the issuer comes through one mailbox, is looked at again when its turn comes (the
//! refresh it wants may have happened meanwhile), and at most one request is under way. That request
//! runs in a task of its own which nobody cancels, so that status, logout and lending go on meanwhile.

mod flight;
mod importing;
mod landing;
mod lending;
mod publishing;
mod saving;
mod tenure;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::schedule::Bucket;
use super::state::Problem;
use super::{Identity, Lending, Lent, Login, LoginError, Published, RefreshToken};
use crate::clock::{Clock, Timestamp, is_set_back};
use crate::config::Refresh as Policy;
use crate::meter::Meter;
use crate::secret::AccessToken;
use crate::store::{Ledger, Record, Slot, StoreError};
use crate::vendor::OpenAi;
use flight::Flight;
use importing::{Importing, Queued};

/// Messages waiting for the owner: callers beyond it wait in line to be put in line.
const MAILBOX: usize = 64;

/// What an owner is asked.
pub(super) enum Message {
    /// Lend a token that lives at least so long.
    Lend { min_ttl: Duration, reply: oneshot::Sender<Lending> },
    /// The API refused the token of this generation.
    Reject { generation: u64, min_ttl: Duration, reply: oneshot::Sender<Lending> },
    /// Somebody signed in.
    Adopt { granted: Box<Granted>, reply: oneshot::Sender<Result<(), LoginError>> },
    /// Another program's login is to become ours: kept, renewed at once, or given back untouched.
    Import { granted: Box<Granted>, reply: oneshot::Sender<Result<(), LoginError>> },
    /// Forget the login; answers whether the issuer confirmed the revocation.
    Logout { revoke: bool, reply: oneshot::Sender<Result<bool, LoginError>> },
    /// The configuration changed; no vendor means that it is no longer in it.
    Configure { vendor: Option<Arc<OpenAi>>, policy: Policy },
    /// Are you there?
    Ping(oneshot::Sender<()>),
}

/// A login that was completed and verified.
#[derive(Debug)]
pub(super) struct Granted {
    pub(super) vendor: Arc<OpenAi>,
    pub(super) access_token: AccessToken,
    pub(super) refresh_token: RefreshToken,
    pub(super) identity: Identity,
    pub(super) expires_at: Timestamp,
    /// The epoch in which the sign-in was begun.
    pub(super) epoch: u64,
    /// Whether it may replace a login of another account.
    pub(super) replace: bool,
}

/// What an owner is made of.
#[derive(Debug)]
pub(super) struct Parts {
    pub(super) vendor_name: String,
    pub(super) account: String,
    pub(super) vendor: Option<Arc<OpenAi>>,
    pub(super) slot: Slot,
    pub(super) ledger: Ledger,
    pub(super) clock: Clock,
    pub(super) meter: Meter,
    pub(super) policy: Policy,
    pub(super) stop: CancellationToken,
    pub(super) tracker: TaskTracker,
}

/// The login as held.
#[derive(Debug)]
struct Held {
    record: Record,
    lent: Arc<Lent>,
    /// An API refused the token, and no other can be had.
    rejected: bool,
    /// What the configuration has against it: it came from another issuer or client.
    foreign: Option<Problem>,
}

struct Owner {
    parts: Parts,
    name: String,
    mailbox: mpsc::Receiver<Message>,
    published: watch::Sender<Arc<Published>>,
    /// Grows with each login and logout.
    epoch: u64,
    /// The highest generation given out.
    generation: u64,
    held: Option<Held>,
    /// A record that is kept but not yet checked; what was held before is lent until it is.
    candidate: Option<Record>,
    flight: Option<Flight>,
    /// Another program's login on its way to become ours; what was held before is lent meanwhile.
    importing: Option<Importing>,
    /// One that waits for a flight to land.
    queued_import: Option<Queued>,
    /// Callers waiting for the flight; as many as there are calls in flight, which connections bound.
    waiters: Vec<oneshot::Sender<Lending>>,
    /// When the held token is due by the schedule.
    refresh_at: Option<Timestamp>,
    /// No attempt before this, whatever the schedule says.
    retry_at: Option<Timestamp>,
    failures: u32,
    unknowns: u32,
    /// When to try again to check a token whose keys were out of reach.
    verify_at: Option<Timestamp>,
    /// When to try again to save what could not be saved.
    save_at: Option<Timestamp>,
    save_failures: u32,
    problem: Option<Problem>,
    forced: Bucket,
}

/// Loads a login and starts its owner. The task ends when `stop` is cancelled and nothing is left to do.
///
/// # Errors
/// Where the files cannot be read: nothing may be built on not knowing.
pub(super) async fn start(
    parts: Parts,
) -> Result<(Login, tokio::task::JoinHandle<Result<(), StoreError>>), StoreError> {
    let now = parts.clock.now();
    let name = crate::store::name(&parts.vendor_name, &parts.account);
    let entry = parts.ledger.entry(&name);
    let slot = parts.slot.clone();
    let loaded = blocking(move || slot.load(entry, now)).await?;
    let (sender, mailbox) = mpsc::channel(MAILBOX);
    let (published, receiver) = watch::channel(Arc::new(Published::nobody(&parts, entry.epoch)));
    let clock = parts.clock.clone();
    let mut owner = Owner {
        forced: Bucket::new(now),
        name,
        mailbox,
        published,
        epoch: entry.epoch,
        generation: entry.generation,
        held: None,
        candidate: None,
        flight: None,
        importing: None,
        queued_import: None,
        waiters: Vec::new(),
        refresh_at: None,
        retry_at: None,
        failures: 0,
        unknowns: 0,
        verify_at: None,
        save_at: None,
        save_failures: 0,
        problem: None,
        parts,
    };
    owner.take_up(loaded.record, now);
    owner.note_interruption(loaded.interrupted, now);
    if let Some(notice) = loaded.notices.into_iter().next() {
        owner.problem = Some(Problem { reason: "storage_error".into(), message: notice, at: now });
    }
    owner.publish();
    let login = Login { published: receiver, mailbox: sender, clock };
    Ok((login, tokio::spawn(owner.run())))
}

impl Owner {
    async fn run(mut self) -> Result<(), StoreError> {
        let (stop, clock) = (self.parts.stop.clone(), self.parts.clock.clone());
        loop {
            if stop.is_cancelled() && self.flight.is_none() {
                return self.settle().await;
            }
            let wake_at = self.wake_at(stop.is_cancelled());
            tokio::select! {
                biased;
                landing = flight::land(&mut self.flight) => self.conclude(landing).await,
                // Before the mailbox, which callers can keep full.
                () = sleep_until(&clock, wake_at) => self.on_time().await,
                message = self.mailbox.recv() => match message {
                    Some(message) => self.handle(message).await,
                    None => return self.settle().await,
                },
                () = stop.cancelled(), if !stop.is_cancelled() => {}
            }
        }
    }

    async fn handle(&mut self, message: Message) {
        let now = self.parts.clock.now();
        match message {
            Message::Lend { min_ttl, reply } => self.lend(min_ttl, reply, now),
            Message::Reject { generation, min_ttl, reply } => {
                self.reject(generation, min_ttl, reply, now)
            }
            Message::Adopt { granted, reply } => {
                let adopted = self.adopt(*granted, now).await;
                self.publish();
                if adopted.is_ok() {
                    // Who waited for a refresh of the last login is served by this one.
                    self.answer();
                }
                let _ = reply.send(adopted);
            }
            Message::Import { granted, reply } => self.import(granted, reply).await,
            Message::Logout { revoke, reply } => self.logout(revoke, reply).await,
            Message::Configure { vendor, policy } => self.configure(vendor, policy),
            Message::Ping(reply) => drop(reply.send(())),
        }
    }

    async fn on_time(&mut self) {
        let now = self.parts.clock.now();
        if self.save_at.is_some_and(|at| at <= now) {
            self.save_again(now).await;
        }
        if self.held.as_ref().is_some_and(|held| is_set_back(held.record.issued_at, now)) {
            // It came by a clock that was wrong: nobody knows when it ends, nor how long a pause was meant.
            self.refresh_at = Some(now);
            if self.unknowns == 0 {
                let longest = now.plus(self.parts.policy.backoff.1);
                self.retry_at = self.retry_at.map(|at| at.min(longest));
            }
        }
        if self.obstacle(now).is_none() && self.refresh_at.is_some_and(|at| at <= now) {
            self.ensure_flight(now, false);
        }
        // A check shows the issuer nothing, so it waits for no back-off.
        if self.verify_at.is_some_and(|at| at <= now) && !self.quiet(self.parts.stop.is_cancelled())
        {
            self.check_held();
        }
        self.publish();
    }

    fn configure(&mut self, vendor: Option<Arc<OpenAi>>, policy: Policy) {
        self.parts.vendor = vendor;
        self.parts.policy = policy;
        if let Some(Held { record, rejected, .. }) = self.held.take() {
            // Headers and what the configuration has against it follow the vendor.
            self.held = Some(Held { rejected, ..self.hold(record) });
        }
        self.plan();
        self.publish();
    }
}

async fn sleep_until(clock: &Clock, moment: Option<Timestamp>) {
    match moment {
        Some(moment) => clock.sleep_until_or_set_back(moment).await,
        None => std::future::pending().await,
    }
}

/// Runs file work where it may block.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
