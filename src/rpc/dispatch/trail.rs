//! What one connection leaves in the audit trail.
//!
//! Lending is noted after the answer is out, and a client that asks again and again on one connection
//! leaves one line and then a count, not a line each: the trail tells who borrowed what and when, and must
//! not cost more than the lending.

use std::sync::Arc;
use std::time::Duration;

use serde_json::value::RawValue;

use super::Surface;
use super::methods::Called;
use crate::access::audit::{ClientId, Entry};
use crate::access::peer::Peer;
use crate::clock::Timestamp;
use crate::login::Lent;
use crate::login::directory::Named;
use crate::platform::process;

/// How long the same lending on one connection is counted before it is written.
const SETTLE: Duration = Duration::from_secs(10);

/// Calls that only look, and that clients make over and over.
const LOOKS: [&str; 10] = [
    "ping",
    "info",
    "status",
    "login.poll",
    "login.wait",
    "accounts.list",
    "keys.list",
    "usage",
    "audit.tail",
    "cancel",
];

/// Calls that a page makes over and over for as long as it is looked at. That it was opened is noted.
const LOOKS_ON: [&str; 2] = ["usage", "models"];

/// The line of a completion, written when this is dropped: one that its client gave up, or left, was
/// asked for all the same.
#[derive(Debug)]
pub(crate) struct Line {
    trail: Trail,
    method: &'static str,
    named: Option<Named>,
    outcome: &'static str,
}

impl Line {
    pub(super) fn begin(mut trail: Trail, method: &'static str, named: Named) -> Self {
        // Looked up now: one that is killed meanwhile has no name any more when the line is written.
        trail.client();
        Self { trail, method, named: Some(named), outcome: "cancelled" }
    }

    /// What came of it.
    pub(crate) fn ends(mut self, outcome: &'static str) {
        self.outcome = outcome;
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        self.trail.note(self.method, self.named.take(), self.outcome, None);
    }
}

#[derive(Debug)]
pub(super) struct Trail {
    surface: Arc<Surface>,
    peer: Peer,
    /// The key that was shown, where one was.
    name: Option<String>,
    /// It looks on, as a page does.
    looks_on: bool,
    client: Option<ClientId>,
    /// Lent since the last write, not yet noted.
    fresh: Option<Arc<Lent>>,
    /// The lending noted last, and how often it has been repeated since.
    noted: Option<(Arc<Lent>, Timestamp, u64)>,
}

impl Trail {
    pub(super) fn new(surface: Arc<Surface>, peer: Peer) -> Self {
        Self { surface, peer, name: None, looks_on: false, client: None, fresh: None, noted: None }
    }

    /// The same for who showed a key of this name.
    pub(super) fn named(mut self, name: Option<String>) -> Self {
        self.name = name;
        self
    }

    /// The same for a page, whose looks are not worth a line each.
    pub(super) fn looking_on(mut self) -> Self {
        self.looks_on = true;
        self
    }

    /// The trail of a call that runs beside the connection.
    pub(super) fn branch(&self) -> Self {
        Self {
            surface: Arc::clone(&self.surface),
            peer: self.peer.clone(),
            name: self.name.clone(),
            looks_on: self.looks_on,
            client: self.client.clone(),
            fresh: None,
            noted: None,
        }
    }

    /// A token was put into the answer.
    pub(super) fn lent(&mut self, lent: &Arc<Lent>) {
        match &mut self.noted {
            Some((noted, _, count)) if Arc::ptr_eq(noted, lent) => *count += 1,
            _ => {
                self.settle();
                self.fresh = Some(Arc::clone(lent));
            }
        }
    }

    /// The answers are out.
    pub(super) fn flushed(&mut self) {
        let now = self.surface.clock.now();
        if let Some(lent) = self.fresh.take() {
            let client = self.client();
            self.write(client, &lent, None, now);
            self.noted = Some((lent, now, 0));
        } else if self
            .noted
            .as_ref()
            .is_some_and(|(_, at, count)| *count > 0 && now.since(*at) >= SETTLE)
        {
            self.settle();
        }
    }

    /// Writes what has only been counted so far.
    pub(super) fn settle(&mut self) {
        let now = self.surface.clock.now();
        let Some((lent, at, count)) = &mut self.noted else { return };
        if *count == 0 {
            return;
        }
        let (lent, repeated) = (Arc::clone(lent), std::mem::take(count));
        *at = now;
        let client = self.client();
        self.write(client, &lent, Some(repeated), now);
    }

    /// One line about a call that ran beside the connection.
    pub(super) fn note_call(mut self, method: &str, params: Option<&RawValue>, called: &Called) {
        if LOOKS.contains(&method) || (self.looks_on && LOOKS_ON.contains(&method)) {
            return;
        }
        let outcome = match called {
            Ok(_) => "ok".to_owned(),
            Err(error) => super::methods::kind_name(error),
        };
        let named = super::methods::meant(&self.surface, params);
        let generation = called.as_ref().ok().and_then(|(_, generation)| *generation);
        self.note(method, named, &outcome, generation);
    }

    /// One line.
    pub(super) fn note(
        &mut self,
        method: &str,
        named: Option<Named>,
        outcome: &str,
        generation: Option<u64>,
    ) {
        self.note_many(method, named, outcome, generation, None);
    }

    /// One line for so many like it.
    pub(super) fn note_many(
        &mut self,
        method: &str,
        named: Option<Named>,
        outcome: &str,
        generation: Option<u64>,
        count: Option<u64>,
    ) {
        let (vendor, account) = named.map(|named| (named.vendor, named.account)).unzip();
        let entry = Entry {
            at: self.surface.clock.now(),
            client: self.client(),
            method: method.to_owned(),
            vendor,
            account,
            outcome: outcome.to_owned(),
            generation,
            count,
        };
        self.surface.audit.record(entry);
    }

    fn write(&self, client: ClientId, lent: &Lent, count: Option<u64>, at: Timestamp) {
        self.surface.audit.record(Entry {
            at,
            client,
            method: "token".to_owned(),
            vendor: Some(lent.vendor.clone()),
            account: Some(lent.account.clone()),
            outcome: "ok".to_owned(),
            generation: Some(lent.generation),
            count,
        });
    }

    /// What the client is called in the counts: its program.
    pub(super) fn client_name(&self) -> String {
        let exe =
            self.client.as_ref().and_then(|client| client.exe.clone()).or_else(|| self.peer.exe());
        exe.as_deref().and_then(process::program).unwrap_or("unknown").to_owned()
    }

    /// Looked up once a connection, and only for one that did something.
    fn client(&mut self) -> ClientId {
        let (peer, name) = (&self.peer, &self.name);
        let client = self.client.get_or_insert_with(|| ClientId {
            pid: peer.pid,
            uid: peer.uid,
            exe: peer.exe(),
            name: name.clone(),
        });
        client.clone()
    }
}

impl Drop for Trail {
    fn drop(&mut self) {
        if self.noted.as_ref().is_some_and(|(_, _, count)| *count > 0) {
            self.settle();
        }
    }
}
