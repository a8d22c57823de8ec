//! What is known, and how each thing heard changes it. Pure: what the time is, is told.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::rpc::{AuditEntry, ClientUse, Info, Status, Usage};

use super::super::words::day_of;
use super::keys::Act;
use super::look::{Look, Pane, Then};
use super::recent::{self, Happening, Level, Recent};
use super::series::Series;

/// Logins shown at most: as many as a daemon opens.
const MOST_LOGINS: usize = 256;
/// Clients told apart among those that borrow; names could be invented.
const MOST_CLIENTS: usize = 256;
/// Under which name those beyond are summed.
const OTHERS: &str = "others";
/// Over which time the same lending on one connection is counted before the trail tells of it.
const COUNTED_OVER: Duration = Duration::from_secs(10);

/// What the feed tells.
#[derive(Debug)]
pub(super) enum Heard {
    /// There is a daemon.
    Linked(Box<Info>),
    /// There is none any more.
    Lost {
        /// Why.
        why: String,
        /// When it is looked for again.
        again_at: Timestamp,
    },
    /// All logins of a vendor.
    Logins(String, Vec<Status>),
    /// One of them is another now.
    Changed(Box<Status>),
    /// How a login's limits stand, and who used what; or why that is not known.
    Usage(String, String, Result<Box<Usage>, String>),
    /// What is new in the audit trail.
    Trail(Vec<AuditEntry>),
    /// A question that the daemon refused, in words.
    Trouble(String),
    /// All that `r` asked for has been asked.
    Asked,
}

/// How the daemon stands.
#[derive(Debug, PartialEq)]
pub(super) enum Link {
    /// Nothing was heard of it yet.
    Connecting,
    /// It answers.
    Up,
    /// It is gone.
    Down { why: String, again_at: Timestamp },
}

/// The limits of one login.
#[derive(Debug)]
pub(super) struct Limits {
    pub(super) vendor: String,
    pub(super) account: String,
    pub(super) usage: Usage,
    /// Why they are not known.
    pub(super) trouble: Option<String>,
}

/// One client, by whatever way it uses the login.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Borrower {
    pub(super) name: String,
    pub(super) streams: u64,
    pub(super) requests: u64,
    /// Since the daemon started.
    pub(super) tokens: u64,
    pub(super) tokens_today: u64,
    /// How often a token was lent to it.
    pub(super) lent: u64,
    pub(super) last_at: Option<Timestamp>,
    pub(super) pid: Option<u32>,
}

/// What the audit trail tells of one client.
#[derive(Debug, Default)]
struct Traced {
    lent: u64,
    last_at: Option<Timestamp>,
    pid: Option<u32>,
}

/// Everything that is shown.
#[derive(Debug)]
pub(super) struct Model {
    pub(super) now: Timestamp,
    pub(super) link: Link,
    pub(super) info: Option<Info>,
    pub(super) logins: Vec<Status>,
    pub(super) limits: Vec<Limits>,
    pub(super) recent: Recent,
    /// Calls in each slice: completions carried and tokens lent.
    pub(super) calls: Series,
    /// Tokens in each slice, counted when their completion ends.
    pub(super) tokens: Series,
    pub(super) look: Look,
    /// Whether what `r` asked for is under way.
    pub(super) asking: bool,
    uses: Vec<ClientUse>,
    traced: BTreeMap<String, Traced>,
    /// All tokens used since the start, as last told.
    used: Option<u64>,
}

impl Model {
    pub(super) fn new(now: Timestamp) -> Self {
        Self {
            now,
            link: Link::Connecting,
            info: None,
            logins: Vec::new(),
            limits: Vec::new(),
            recent: Recent::default(),
            calls: Series::default(),
            tokens: Series::default(),
            look: Look::default(),
            asking: false,
            uses: Vec::new(),
            traced: BTreeMap::new(),
            used: None,
        }
    }

    /// The time is now this.
    pub(super) fn tick(&mut self, now: Timestamp) {
        self.now = now;
        self.calls.advance(now);
        self.tokens.advance(now);
    }

    /// A key was pressed.
    pub(super) fn act(&mut self, act: Act) -> Then {
        let count = self.count(self.look.pane);
        let then = self.look.act(act, count);
        self.asking |= then == Then::Ask;
        then
    }

    /// Something was heard.
    pub(super) fn hear(&mut self, heard: Heard, now: Timestamp) {
        self.tick(now);
        match heard {
            Heard::Linked(info) => self.linked(*info),
            Heard::Lost { why, again_at } => {
                if self.link == Link::Up {
                    self.daemon_did(Level::Error, &format!("is gone: {why}"));
                }
                self.asking = false;
                self.link = Link::Down { why, again_at };
            }
            Heard::Logins(vendor, logins) => {
                let gone = |status: &Status| {
                    status.vendor == vendor
                        && logins.iter().all(|new| new.account != status.account)
                };
                self.logins.retain(|status| !gone(status));
                logins.into_iter().for_each(|status| self.changed(status));
            }
            Heard::Changed(status) => self.changed(*status),
            Heard::Usage(vendor, account, answer) => self.used(vendor, account, answer),
            Heard::Trail(entries) => entries.iter().for_each(|entry| self.traced(entry)),
            Heard::Trouble(what) => self.daemon_did(Level::Warn, &what),
            Heard::Asked => self.asking = false,
        }
    }

    fn linked(&mut self, info: Info) {
        let another = self.info.as_ref().is_some_and(|old| old.started_at != info.started_at);
        if matches!(self.link, Link::Down { .. }) {
            let what = if another { "is back, started anew" } else { "is back" };
            self.daemon_did(Level::Good, what);
        }
        if another {
            // It counts from its start.
            self.traced.clear();
            self.uses.clear();
            self.used = Some(0);
        }
        self.logins.retain(|status| info.vendors.contains(&status.vendor));
        self.limits.retain(|limits| info.vendors.contains(&limits.vendor));
        self.info = Some(info);
        self.link = Link::Up;
    }

    fn changed(&mut self, status: Status) {
        let same = |old: &Status| old.vendor == status.vendor && old.account == status.account;
        let place = self.logins.iter().position(same);
        let old = place.map(|place| &self.logins[place]);
        for happening in recent::of_change(old, &status, self.now) {
            self.happened(happening);
        }
        match place {
            Some(place) => self.logins[place] = status,
            None if self.logins.len() < MOST_LOGINS => self.logins.push(status),
            None => {}
        }
    }

    fn used(&mut self, vendor: String, account: String, answer: Result<Box<Usage>, String>) {
        let (usage, trouble) = match answer {
            Ok(mut usage) => {
                self.count_uses(std::mem::take(&mut usage.clients));
                (Some(*usage), None)
            }
            Err(trouble) => (None, Some(trouble)),
        };
        let same = |old: &Limits| old.vendor == vendor && old.account == account;
        match self.limits.iter().position(same) {
            Some(place) => {
                let old = &mut self.limits[place];
                // A memory without anything in it does not answer why the vendor told nothing.
                let learned = usage.as_ref().is_some_and(|usage| usage.observed_at.is_some());
                if learned || trouble.is_some() {
                    old.trouble = trouble;
                }
                old.usage = usage.unwrap_or_else(|| std::mem::take(&mut old.usage));
            }
            None if self.limits.len() < MOST_LOGINS => {
                let usage = usage.unwrap_or_default();
                self.limits.push(Limits { vendor, account, usage, trouble });
            }
            None => {}
        }
    }

    fn count_uses(&mut self, uses: Vec<ClientUse>) {
        let since_start = uses.iter().filter(|used| used.day.is_none());
        let all = since_start.map(tokens).fold(0, u64::saturating_add);
        // What was used before this was watched has no place in its minutes.
        let new = all.saturating_sub(self.used.unwrap_or(all));
        if new > 0 {
            self.tokens.add(self.now, new as f64, Duration::ZERO);
        }
        (self.used, self.uses) = (Some(all), uses);
    }

    fn traced(&mut self, entry: &AuditEntry) {
        let happening = recent::of_entry(entry);
        let lent = entry.method == "token" && entry.outcome == "ok";
        if lent || entry.method.ends_with(".create") {
            let over = if entry.count.is_some() { COUNTED_OVER } else { Duration::ZERO };
            self.calls.add(entry.at, happening.count as f64, over);
            if self.info.as_ref().is_none_or(|info| entry.at >= info.started_at) {
                let room = self.traced.len() < MOST_CLIENTS;
                let known = room || self.traced.contains_key(&happening.who);
                let name = if known { happening.who.clone() } else { OTHERS.to_owned() };
                let traced = self.traced.entry(name).or_default();
                traced.lent = traced.lent.saturating_add(if lent { happening.count } else { 0 });
                traced.last_at = traced.last_at.max(Some(entry.at));
                traced.pid = entry.client.pid.or(traced.pid);
            }
        }
        self.happened(happening);
    }

    fn daemon_did(&mut self, level: Level, what: &str) {
        let (who, what) = ("daemon".to_owned(), what.to_owned());
        self.happened(Happening { at: self.now, level, who, what, login: None, count: 1 });
    }

    fn happened(&mut self, happening: Happening) {
        let listed = self.look.all || happening.level != Level::Everyday;
        let shown = listed && self.is_shown(&happening);
        let new_line = self.recent.add(happening);
        if shown && new_line {
            self.look.shift(Pane::Recent);
        }
    }

    fn is_shown(&self, happening: &Happening) -> bool {
        let login = happening.login.as_deref().unwrap_or_default();
        self.look.shows(&[&happening.who, &happening.what, login])
    }

    /// The logins that the filter lets through, those with a token first.
    pub(super) fn logins(&self) -> Vec<&Status> {
        let shown = |status: &&Status| {
            let name = format!("{}/{}", status.vendor, status.account);
            self.look.shows(&[&name, status.account_email.as_deref().unwrap_or_default()])
        };
        let mut shown: Vec<&Status> = self.logins.iter().filter(shown).collect();
        shown.sort_by_key(|status| status.expires_at.is_none());
        shown
    }

    /// The limits that the filter lets through, of those who are signed in.
    pub(super) fn limits(&self) -> Vec<&Limits> {
        let shown = |limits: &&Limits| {
            let same = |status: &&Status| {
                status.vendor == limits.vendor && status.account == limits.account
            };
            let held =
                self.logins.iter().find(same).is_some_and(|status| status.expires_at.is_some());
            let name = format!("{}/{}", limits.vendor, limits.account);
            held && self.look.shows(&[&name])
        };
        self.limits.iter().filter(shown).collect()
    }

    /// The clients that the filter lets through: those at work now, then the greediest.
    pub(super) fn borrowers(&self) -> Vec<Borrower> {
        let mut all: BTreeMap<&str, Borrower> = BTreeMap::new();
        let today = day_of(self.now);
        for used in &self.uses {
            let since_start = used.day.is_none();
            if !since_start && used.day.as_ref() != Some(&today) {
                continue;
            }
            let borrower = all.entry(&used.client).or_default();
            if since_start {
                (borrower.streams, borrower.requests) = (used.streams, used.requests);
                borrower.tokens = tokens(used);
            } else {
                borrower.tokens_today = tokens(used);
            }
        }
        for (name, traced) in &self.traced {
            let borrower = all.entry(name).or_default();
            borrower.lent = traced.lent;
            (borrower.last_at, borrower.pid) = (traced.last_at, traced.pid);
        }
        let mut all: Vec<Borrower> = all
            .into_iter()
            .filter(|(name, _)| self.look.shows(&[name]))
            .map(|(name, borrower)| Borrower { name: name.to_owned(), ..borrower })
            .collect();
        all.sort_by_key(|it| {
            std::cmp::Reverse((it.streams > 0, it.tokens, it.tokens_today, it.lent))
        });
        all
    }

    /// What happened, as far as the filter lets it through.
    pub(super) fn recent(&self) -> Vec<&Happening> {
        let mut told = self.recent.told(self.look.all);
        told.retain(|happening| self.is_shown(happening));
        told
    }

    /// How many rows a pane has.
    pub(super) fn count(&self, pane: Pane) -> usize {
        match pane {
            Pane::Logins => self.logins().len(),
            Pane::Limits => self.limits().iter().map(|limits| limits.rows()).sum(),
            Pane::Borrowers => self.borrowers().len(),
            Pane::Recent => self.recent().len(),
        }
    }
}

impl Limits {
    /// A row for each window, or one that says why there is none.
    pub(super) fn rows(&self) -> usize {
        self.usage.windows.len().max(1)
    }
}

fn tokens(used: &ClientUse) -> u64 {
    used.input_tokens.saturating_add(used.output_tokens)
}

#[cfg(test)]
mod tests;
