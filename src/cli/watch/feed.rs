//! What the daemon tells: one connection, on a thread of its own.
//!
//! Logins tell of their changes by themselves. Who used what, and the audit trail, have to be asked for,
//! which is done at a steady pace; the vendor is asked for the limits only when this view begins and when
//! the person wants it, because a view that is left open overnight is no person who wants to know.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::value::{RawValue, to_raw_value};

use super::model::Heard;
use super::series::SLICE;
use super::trail::Tail;
use crate::clock::Clock;
use crate::rpc::client::{CallError, Client};
use crate::rpc::{
    Accounts, AccountsList, AuditEntries, AuditTail, Empty, Info, Status, Usage, UsageParams,
};

/// How long an answer that the daemon has in memory, or on its disk, may take.
const ANSWER_TIME_MAX: Duration = Duration::from_secs(10);
/// How long the vendor's answer about limits is waited for; a later one is seen in the daemon's memory.
const VENDOR_TIME_MAX: Duration = Duration::from_secs(3);
/// How soon a wish of the person is noticed, at the cost of so many wake-ups.
const LOOK_UP_EVERY: Duration = Duration::from_millis(500);
/// Rounds between two looks at the whole of it: vendors and accounts come and go seldom.
const ROUNDS_OF_ALL: u32 = 15;
/// Entries read of the audit trail at first and where too much has happened, and as a rule.
const TAIL: (usize, usize) = (1000, 100);
/// Changes taken in while an answer is waited for, of more logins than anybody has; what is left out is seen
/// in the next look at the whole.
const CHANGES_MAX: usize = 1024;
/// Logins whose limits are asked for in one round.
const MOST_ASKED: usize = 16;
/// The pauses before a daemon that is gone is looked for again: twice as long each time.
const PAUSE: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(8));

/// What the person wants of the feed.
#[derive(Clone, Debug, Default)]
pub(super) struct Wishes(Arc<AtomicBool>);

impl Wishes {
    /// Asks for everything anew, the limits included.
    pub(super) fn ask(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    fn taken(&self) -> bool {
        self.0.swap(false, Ordering::Relaxed)
    }

    fn are_there(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Nobody listens any more.
struct Over;

/// Why a connection was left.
enum Left {
    /// The daemon is lost.
    Lost(CallError),
    /// Nobody listens any more.
    Over,
}

impl From<Over> for Left {
    fn from(_: Over) -> Self {
        Self::Over
    }
}

impl From<CallError> for Left {
    fn from(error: CallError) -> Self {
        Self::Lost(error)
    }
}

/// Tells what there is to tell until `tell` says that nobody listens. A daemon that goes is looked for
/// again, at `socket`; none is started.
pub(super) fn run(
    client: Client,
    socket: &str,
    wishes: &Wishes,
    tell: &mut dyn FnMut(Heard) -> bool,
) {
    let mut feed = Feed { client, wishes, tell, logins: BTreeMap::new(), tail: Tail::default() };
    loop {
        let Err(left) = feed.follow();
        let Left::Lost(error) = left else { return };
        match feed.again(socket, error.to_string()) {
            Ok(client) => feed.client = client,
            Err(Over) => return,
        }
    }
}

struct Feed<'a> {
    client: Client,
    wishes: &'a Wishes,
    tell: &'a mut dyn FnMut(Heard) -> bool,
    /// Whether each login known has a token, by vendor and account.
    logins: BTreeMap<(String, String), bool>,
    tail: Tail,
}

/// What never is: a connection is followed until it is left.
enum Never {}

impl Feed<'_> {
    /// Follows one connection until it breaks.
    fn follow(&mut self) -> Result<Never, Left> {
        self.client.set_timeout(Some(ANSWER_TIME_MAX));
        // Before the first look, so that no change falls between the two.
        let _: Option<Empty> = self.ask("subscribe", &Empty {})?;
        self.wishes.ask();
        let mut rounds_to_all = 0;
        loop {
            if rounds_to_all == 0 || self.wishes.are_there() {
                self.look_at_all()?;
                rounds_to_all = ROUNDS_OF_ALL;
            }
            rounds_to_all -= 1;
            self.look_at_usage()?;
            self.look_at_trail()?;
            if self.wishes.taken() {
                self.ask_the_vendors()?;
                self.tell(Heard::Asked)?;
            }
            self.wait()?;
        }
    }

    fn look_at_all(&mut self) -> Result<(), Left> {
        let Some(info) = self.ask::<_, Info>("info", &Empty {})? else { return Ok(()) };
        let vendors = info.vendors.clone();
        self.tell(Heard::Linked(Box::new(info)))?;
        self.logins.retain(|(vendor, _), _| vendors.contains(vendor));
        for vendor in vendors {
            let of = AccountsList { vendor: Some(vendor.clone()) };
            if let Some(listed) = self.ask::<_, Accounts>("accounts.list", &of)? {
                self.logins.retain(|(of, _), _| *of != vendor);
                listed.accounts.iter().for_each(|status| self.note(status));
                self.tell(Heard::Logins(vendor, listed.accounts))?;
            }
        }
        Ok(())
    }

    /// What the daemon remembers, which costs nobody anything.
    fn look_at_usage(&mut self) -> Result<(), Left> {
        for (vendor, account) in self.asked(|_| true) {
            let usage = self.usage(&vendor, &account, true).map(Some);
            self.tell_usage(vendor, account, usage)?;
        }
        Ok(())
    }

    /// The daemon asks the vendor where what it remembers is old.
    fn ask_the_vendors(&mut self) -> Result<(), Left> {
        for (vendor, account) in self.asked(|held| held) {
            self.client.set_timeout(Some(VENDOR_TIME_MAX));
            let usage = match self.usage(&vendor, &account, false) {
                Err(CallError::Lost(error)) if error.kind() == std::io::ErrorKind::TimedOut => {
                    Ok(None)
                }
                usage => usage.map(Some),
            };
            self.client.set_timeout(Some(ANSWER_TIME_MAX));
            self.tell_usage(vendor, account, usage)?;
        }
        Ok(())
    }

    fn usage(
        &mut self,
        vendor: &str,
        account: &str,
        remembered: bool,
    ) -> Result<Result<Box<Usage>, String>, CallError> {
        let (vendor, account) = (Some(vendor.to_owned()), Some(account.to_owned()));
        match self.call::<_, Usage>("usage", &UsageParams { vendor, account, remembered }) {
            Ok(usage) => Ok(Ok(Box::new(usage))),
            Err(CallError::Refused(error)) => Ok(Err(error.message)),
            Err(error) => Err(error),
        }
    }

    fn tell_usage(
        &mut self,
        vendor: String,
        account: String,
        usage: Result<Option<Result<Box<Usage>, String>>, CallError>,
    ) -> Result<(), Left> {
        match usage? {
            Some(answer) => Ok(self.tell(Heard::Usage(vendor, account, answer))?),
            None => Ok(()),
        }
    }

    fn look_at_trail(&mut self) -> Result<(), Left> {
        let (most, usual) = TAIL;
        let first = self.tail.is_empty();
        let Some(mut read) = self.trail(if first { most } else { usual })? else { return Ok(()) };
        if self.tail.leaves_gap(&read) {
            let Some(more) = self.trail(most)? else { return Ok(()) };
            read = more;
        }
        let fresh = self.tail.fresh(read);
        if fresh.gap {
            let what = "more happened than the audit trail tells at once";
            self.tell(Heard::Trouble(what.to_owned()))?;
        }
        if !fresh.entries.is_empty() {
            self.tell(Heard::Trail(fresh.entries))?;
        }
        Ok(())
    }

    fn trail(&mut self, limit: usize) -> Result<Option<Vec<crate::rpc::AuditEntry>>, Left> {
        let tail: Option<AuditEntries> =
            self.ask("audit.tail", &AuditTail { limit: Some(limit) })?;
        Ok(tail.map(|tail| tail.entries))
    }

    /// Until the next round, or a wish; what changes meanwhile is told at once.
    fn wait(&mut self) -> Result<(), Left> {
        let end = Instant::now() + SLICE;
        while !self.wishes.are_there() {
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            let mut changed = Vec::new();
            let mut noted = |method: &str, params: &RawValue| gather(&mut changed, method, params);
            self.client.wait(left.min(LOOK_UP_EVERY), &mut noted)?;
            self.tell_changes(changed)?;
        }
        Ok(())
    }

    /// A question; what the daemon refuses is told as trouble.
    fn ask<P: Serialize, R: DeserializeOwned>(
        &mut self,
        method: &str,
        params: &P,
    ) -> Result<Option<R>, Left> {
        match self.call(method, params) {
            Ok(answer) => Ok(Some(answer)),
            Err(CallError::Refused(error)) => {
                self.tell(Heard::Trouble(format!("{method}: {}", error.message)))?;
                Ok(None)
            }
            Err(error) => Err(error.into()),
        }
    }

    fn call<P: Serialize, R: DeserializeOwned>(
        &mut self,
        method: &str,
        params: &P,
    ) -> Result<R, CallError> {
        let garbled = |error: serde_json::Error| CallError::Garbled(error.to_string());
        let params = to_raw_value(params).map_err(garbled)?;
        let mut changed = Vec::new();
        let mut noted = |method: &str, params: &RawValue| gather(&mut changed, method, params);
        let answer = self.client.call_raw(method, &params, &mut noted);
        // Nobody listening is noticed by whoever tells next.
        let _ = self.tell_changes(changed);
        serde_json::from_str(answer?.get()).map_err(garbled)
    }

    fn tell_changes(&mut self, changed: Vec<Status>) -> Result<(), Over> {
        changed.into_iter().try_for_each(|status| {
            self.note(&status);
            self.tell(Heard::Changed(Box::new(status)))
        })
    }

    fn note(&mut self, status: &Status) {
        let name = (status.vendor.clone(), status.account.clone());
        self.logins.insert(name, status.expires_at.is_some());
    }

    /// The names of those logins whose limits are asked for.
    fn asked(&self, wanted: impl Fn(bool) -> bool) -> Vec<(String, String)> {
        let wanted = self.logins.iter().filter(|(_, held)| wanted(**held));
        wanted.map(|(name, _)| name.clone()).take(MOST_ASKED).collect()
    }

    /// Looks for a daemon until there is one, ever less often; a wish looks at once.
    fn again(&mut self, socket: &str, mut why: String) -> Result<Client, Over> {
        let (mut pause, longest) = PAUSE;
        loop {
            let again_at = Clock::System.now().plus(pause);
            self.tell(Heard::Lost { why, again_at })?;
            let end = Instant::now() + pause;
            while !self.wishes.taken() && Instant::now() < end {
                std::thread::sleep(
                    LOOK_UP_EVERY.min(end.saturating_duration_since(Instant::now())),
                );
            }
            match Client::connect(socket) {
                Ok(client) => return Ok(client),
                Err(error) => why = error.to_string(),
            }
            pause = (2 * pause).min(longest);
        }
    }

    fn tell(&mut self, heard: Heard) -> Result<(), Over> {
        if (self.tell)(heard) { Ok(()) } else { Err(Over) }
    }
}

/// Takes in a change that is told while something else is waited for, unless there are too many already.
fn gather(changed: &mut Vec<Status>, method: &str, params: &RawValue) {
    if changed.len() < CHANGES_MAX {
        changed.extend(status(method, params));
    }
}

/// The login of a notification that one has changed.
fn status(method: &str, params: &RawValue) -> Option<Status> {
    (method == "status.changed").then(|| serde_json::from_str(params.get()).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_daemon_that_never_stops_telling_fills_no_memory() {
        let params = to_raw_value(&serde_json::json!({
            "vendor": "v", "account": "a", "connected": false, "state": "signed_out", "account_email": null,
            "account_id": null, "plan": null, "expires_at": null, "refresh_at": null, "last_refresh_at": null,
            "last_error": null,
        }))
        .unwrap();
        let mut changed = Vec::new();
        gather(&mut changed, "status.else", &params);
        assert!(changed.is_empty());
        for _ in 0..2 * CHANGES_MAX {
            gather(&mut changed, "status.changed", &params);
        }
        assert_eq!(changed.len(), CHANGES_MAX);
    }
}
