//! The owner of one login: one loop, one credential, one refresh at a time.
//!
//! It is an actor because a rotating token leaves no room for a second opinion: every question that
//! could lead to the issuer comes through one mailbox, is looked at again when its turn comes (the
//! refresh it wants may have happened meanwhile), and at most one request is under way. That request
//! runs in a task of its own which nobody cancels, so that status, logout and lending go on meanwhile.

mod flight;
mod landing;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use super::schedule::{self, Bucket};
use super::state::{Facts, Problem, Status};
use super::{Identity, Lending, Lent, Login, LoginError, Published, RefreshToken};
use crate::clock::{Clock, Timestamp};
use crate::config::Refresh as Policy;
use crate::secret::AccessToken;
use crate::store::{Interrupted, Ledger, Record, Slot, StoreError, ledger::Entry};
use crate::vendor::OpenAi;
use flight::{Check, Flight};

/// Messages waiting for the owner: callers beyond it wait in line to be put in line.
const MAILBOX: usize = 64;
/// The longest that a logout waits for the issuer to confirm (openai/codex waits as long).
const REVOKE_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a save that failed is tried again, at most.
const SAVE_BACKOFF: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(60));

/// What an owner is asked.
pub(super) enum Message {
    /// Lend a token that lives at least so long.
    Lend { min_ttl: Duration, reply: oneshot::Sender<Lending> },
    /// The API refused the token of this generation.
    Reject { generation: u64, min_ttl: Duration, reply: oneshot::Sender<Lending> },
    /// Somebody signed in.
    Adopt { granted: Box<Granted>, reply: oneshot::Sender<Result<(), LoginError>> },
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

struct Waiter {
    reply: oneshot::Sender<Lending>,
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
    /// Callers waiting for the flight; as many as there are calls in flight, which connections bound.
    waiters: Vec<Waiter>,
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
    /// One copy of what could not be saved stands in the state directory.
    rescued: bool,
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
        waiters: Vec::new(),
        refresh_at: None,
        retry_at: None,
        failures: 0,
        unknowns: 0,
        verify_at: None,
        save_at: None,
        save_failures: 0,
        rescued: false,
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
                message = self.mailbox.recv() => match message {
                    Some(message) => self.handle(message).await,
                    None => return self.settle().await,
                },
                () = sleep_until(&clock, wake_at) => self.on_time().await,
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
            Message::Logout { revoke, reply } => self.logout(revoke, reply).await,
            Message::Configure { vendor, policy } => self.configure(vendor, policy),
            Message::Ping(reply) => drop(reply.send(())),
        }
    }

    fn lend(&mut self, min_ttl: Duration, reply: oneshot::Sender<Lending>, now: Timestamp) {
        // Looked at again: the refresh that this caller wants may have happened while it stood in line.
        let answer = match self.lendable(now) {
            Some(lent) if lent.suffices(min_ttl, now) => Ok(lent),
            held => match self.obstacle(now) {
                None => {
                    self.waiters.push(Waiter { reply });
                    return self.ensure_flight(now, false);
                }
                Some(obstacle) => held.ok_or(obstacle),
            },
        };
        let _ = reply.send(answer);
    }

    fn reject(
        &mut self,
        generation: u64,
        min_ttl: Duration,
        reply: oneshot::Sender<Lending>,
        now: Timestamp,
    ) {
        let current = self.held.as_ref().is_some_and(|held| held.record.generation == generation);
        if !current {
            return self.lend(min_ttl, reply, now);
        }
        if self.flight.is_some() {
            return self.waiters.push(Waiter { reply });
        }
        if let Some(problem) = self.finality() {
            if let Some(held) = &mut self.held {
                held.rejected = true;
            }
            self.publish();
            let _ = reply.send(Err(LoginError::LoginRequired { problem: Some(problem) }));
        } else if self.parts.vendor.is_some()
            && !self.parts.stop.is_cancelled()
            && self.forced.take(now)
        {
            self.waiters.push(Waiter { reply });
            self.ensure_flight(now, true);
        } else {
            let _ = reply.send(self.lendable(now).ok_or_else(|| self.unreachable(now)));
        }
    }

    /// Why no refresh may be begun now, if so. A flight under way is no obstacle: one waits for it.
    fn obstacle(&self, now: Timestamp) -> Option<LoginError> {
        let finality = self.finality();
        if finality.is_some() || (self.held.is_none() && self.candidate.is_none()) {
            return Some(LoginError::LoginRequired {
                problem: finality.or_else(|| self.problem.clone()),
            });
        }
        if self.flight.is_some() {
            return None;
        }
        if self.parts.vendor.is_none() || self.parts.stop.is_cancelled() {
            return Some(LoginError::Stopping);
        }
        self.retry_at.filter(|at| *at > now).map(|_| self.unreachable(now))
    }

    fn unreachable(&self, now: Timestamp) -> LoginError {
        LoginError::Unreachable {
            message: self
                .problem
                .as_ref()
                .map_or_else(|| "no answer yet".to_owned(), |p| p.message.clone()),
            retry_after: self.retry_at.map_or(schedule::FLOOR, |at| at.since(now)),
        }
    }

    /// Why no refresh will ever help again, if so.
    fn finality(&self) -> Option<Problem> {
        let held = self.held.as_ref()?;
        let refusal = held.record.refused.as_ref();
        let refused = refusal.map(|r| Problem {
            reason: r.reason.clone(),
            message: r.message.clone(),
            at: r.at,
        });
        refused.or_else(|| held.foreign.clone())
    }

    fn lendable(&self, now: Timestamp) -> Option<Arc<Lent>> {
        let held = self.held.as_ref().filter(|held| held.lendable())?;
        (held.record.expires_at > now).then(|| Arc::clone(&held.lent))
    }

    /// Begins a refresh unless one is under way.
    fn ensure_flight(&mut self, now: Timestamp, rejected: bool) {
        let (Some(held), Some(vendor), None) = (&self.held, &self.parts.vendor, &self.flight)
        else {
            return;
        };
        let dead = held.record.expires_at <= now;
        self.flight = Some(flight::refresh(
            &self.parts,
            vendor,
            &held.record,
            self.unknowns,
            now,
            dead,
            rejected,
        ));
        self.publish();
    }

    async fn on_time(&mut self) {
        let now = self.parts.clock.now();
        if self.save_at.is_some_and(|at| at <= now) {
            self.save_again(now).await;
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

    /// When something is to be done without being asked.
    fn wake_at(&self, stopping: bool) -> Option<Timestamp> {
        let now = self.parts.clock.now();
        let quiet = self.quiet(stopping);
        let due = self.refresh_at.filter(|_| !quiet).map(|at| at.max(self.retry_at.unwrap_or(at)));
        let verify = self.verify_at.filter(|_| !quiet);
        // A token's death changes what is shown.
        let death = self.held.as_ref().map(|held| held.record.expires_at).filter(|at| *at > now);
        [due, verify, self.save_at, death].into_iter().flatten().min()
    }

    /// Whether the issuer is to be left alone until something else happens.
    fn quiet(&self, stopping: bool) -> bool {
        stopping
            || self.flight.is_some()
            || self.parts.vendor.is_none()
            || self.finality().is_some()
    }

    fn configure(&mut self, vendor: Option<Arc<OpenAi>>, policy: Policy) {
        self.parts.vendor = vendor;
        self.parts.policy = policy;
        if let Some(Held { record, rejected, .. }) = self.held.take() {
            // Anew: what the API wants beside the token may have changed too.
            self.held = Some(Held { rejected, ..self.hold(record) });
        }
        self.plan();
        self.publish();
    }

    async fn adopt(&mut self, granted: Granted, now: Timestamp) -> Result<(), LoginError> {
        if granted.epoch != self.epoch {
            return Err(LoginError::Cancelled);
        }
        let held_account = self.held.as_ref().and_then(|held| held.record.account_id.clone());
        match (held_account, &granted.identity.account_id) {
            (Some(held), Some(seen)) if held != *seen && !granted.replace => {
                return Err(LoginError::AccountMismatch { held, seen: seen.clone() });
            }
            _ => {}
        }
        let (epoch, generation) = (self.epoch + 1, self.generation + 1);
        let record = Record {
            epoch,
            generation,
            source: granted.vendor.source(),
            access_token: granted.access_token,
            refresh_token: granted.refresh_token,
            issued_at: now,
            expires_at: granted.expires_at,
            last_refresh_at: None,
            account_id: granted.identity.account_id,
            email: granted.identity.email,
            plan: granted.identity.plan,
            fedramp: granted.identity.fedramp,
            verified: true,
            refused: None,
        };
        let (slot, kept) = (self.parts.slot.clone(), record.clone());
        blocking(move || slot.keep(&kept, None)).await?;
        self.note_in_ledger(Entry { epoch, generation }).await;
        if let Some((old, _)) = self.give_up() {
            // Only now that the new grant is safe.
            self.revoke(old);
        }
        self.take_up(Some(record), now);
        tracing::info!(vendor = %self.parts.vendor_name, account = %self.parts.account, generation, "signed in");
        Ok(())
    }

    async fn logout(&mut self, revoke: bool, reply: oneshot::Sender<Result<bool, LoginError>>) {
        let entry = Entry { epoch: self.epoch + 1, generation: self.generation };
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
            let _ = waiter.reply.send(Err(LoginError::LoginRequired { problem: None }));
        }
        self.publish();
        if let Err(error) = removed {
            let _ = reply.send(Err(error.into()));
            return;
        }
        tracing::info!(vendor = %self.parts.vendor_name, account = %self.parts.account, "signed out");
        match (given_up, self.parts.vendor.clone()) {
            (Some((token, foreign)), Some(vendor)) if revoke && !foreign => {
                // The issuer may be slow: the owner goes on meanwhile.
                self.parts.tracker.spawn(async move {
                    let asked = tokio::time::timeout(REVOKE_TIMEOUT, vendor.revoke(&token)).await;
                    let _ = reply.send(Ok(matches!(asked, Ok(Ok(())))));
                });
            }
            _ => drop(reply.send(Ok(false))),
        }
    }

    /// Asks the issuer to end a grant that nobody needs any more; best effort, in the background.
    fn revoke(&self, token: RefreshToken) {
        if let Some(vendor) = self.parts.vendor.clone() {
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
    }

    async fn note_in_ledger(&self, entry: Entry) {
        let (ledger, name) = (self.parts.ledger.clone(), self.name.clone());
        if let Err(error) = blocking(move || ledger.set_entry(&name, entry)).await {
            // The credential itself carries the same numbers.
            tracing::warn!(%error, "the ledger lags behind the credential");
        }
    }

    /// Lets go of the login: its newest refresh token, and whether it belongs to another issuer.
    fn give_up(&mut self) -> Option<(RefreshToken, bool)> {
        let held = self.held.take();
        let foreign = held.as_ref().is_some_and(|held| held.foreign.is_some());
        let newest = self.candidate.take().or_else(|| held.map(|held| held.record));
        newest.map(|record| (record.refresh_token, foreign))
    }

    /// Makes a record the one held, forgetting all that belonged to the last.
    fn take_up(&mut self, record: Option<Record>, now: Timestamp) {
        self.failures = 0;
        self.unknowns = 0;
        self.retry_at = None;
        self.verify_at = None;
        self.save_at = None;
        self.save_failures = 0;
        self.rescued = false;
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
    fn note_interruption(&mut self, interrupted: Option<Interrupted>, now: Timestamp) {
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

    fn hold(&self, record: Record) -> Held {
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

    /// Sets when the held token is due.
    fn plan(&mut self) {
        let jitter = crate::secret::random_unit();
        let lead = self.parts.policy.lead;
        self.refresh_at = self.held.as_ref().map(|held| {
            schedule::refresh_at(held.record.issued_at, held.record.expires_at, lead, jitter)
        });
    }

    fn publish(&self) {
        let held = self.held.as_ref();
        let shown = held.map(|held| &held.record).or(self.candidate.as_ref());
        let lendable = held.is_some_and(Held::lendable);
        let finality = self.finality();
        let asking = self
            .flight
            .as_ref()
            .is_some_and(|flight| flight.is_refresh() && flight.epoch == self.epoch);
        let facts = Facts {
            expires_at: shown.map(|record| record.expires_at),
            lendable,
            refused: finality.is_some(),
            refreshing: asking || self.candidate.is_some(),
            troubled: self.problem.is_some(),
        };
        let plan = self.refresh_at.map(|at| at.max(self.retry_at.unwrap_or(at)));
        let status = Status {
            vendor: self.parts.vendor_name.clone(),
            account: self.parts.account.clone(),
            connected: facts.connected(self.parts.clock.now()),
            state: facts.state(),
            account_email: shown.and_then(|record| record.email.clone()),
            account_id: shown.and_then(|record| record.account_id.clone()),
            plan: shown.and_then(|record| record.plan.clone()),
            expires_at: facts.expires_at,
            refresh_at: plan.filter(|_| finality.is_none()),
            last_refresh_at: shown.and_then(|record| record.last_refresh_at),
            last_error: finality.or_else(|| self.problem.clone()),
        };
        let lent = held.filter(|_| lendable).map(|held| Arc::clone(&held.lent));
        self.published.send_if_modified(|current| {
            let same = current.status == status
                && current.epoch == self.epoch
                && current.lent.as_ref().map(Arc::as_ptr) == lent.as_ref().map(Arc::as_ptr);
            if !same {
                *current = Arc::new(Published { lent, epoch: self.epoch, facts, status });
            }
            !same
        });
    }
}

impl Held {
    fn lendable(&self) -> bool {
        !self.rejected && self.foreign.is_none()
    }
}

impl Published {
    fn nobody(parts: &Parts, epoch: u64) -> Self {
        let facts = Facts::default();
        let status = Status {
            vendor: parts.vendor_name.clone(),
            account: parts.account.clone(),
            connected: false,
            state: facts.state(),
            account_email: None,
            account_id: None,
            plan: None,
            expires_at: None,
            refresh_at: None,
            last_refresh_at: None,
            last_error: None,
        };
        Self { lent: None, epoch, facts, status }
    }
}

/// What the configuration has against a grant: it is never shown to anybody but who granted it.
fn foreign(record: &Record, vendor: Option<&OpenAi>, now: Timestamp) -> Option<Problem> {
    let source = vendor?.source();
    (record.source != source).then(|| Problem {
        reason: "issuer_changed".into(),
        message: format!(
            "this login was granted by {}, but the configuration now names {}; sign in again, or restore the setting",
            record.source.issuer, source.issuer
        ),
        at: now,
    })
}

async fn sleep_until(clock: &Clock, moment: Option<Timestamp>) {
    match moment {
        Some(moment) => clock.sleep_until(moment).await,
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
