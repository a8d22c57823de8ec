//! What happened lately, made of two sources: how logins change, and what the audit trail tells. Pure.

use std::collections::VecDeque;

use crate::clock::Timestamp;
use crate::rpc::{AuditEntry, ClientId, State, Status};

use super::view::words::countdown;

/// Kept of each kind: some screens full, and more than anybody scrolls through.
const MOST_HAPPENINGS: usize = 300;

/// What succeeds all the time, and is shown only where all calls are asked for.
const EVERYDAY: [&str; 7] = [
    "token",
    "responses.create",
    "chat.completions.create",
    "models",
    "usage",
    "subscribe",
    "unsubscribe",
];

/// How much a happening matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Level {
    /// One call of many.
    Everyday,
    /// Worth a line.
    Good,
    /// Worth a look.
    Warn,
    /// Worth a hand.
    Error,
}

/// One line of the pane.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Happening {
    pub(super) at: Timestamp,
    pub(super) level: Level,
    /// The client, or the login that changed.
    pub(super) who: String,
    /// The method and what came of it, or a sentence.
    pub(super) what: String,
    /// `vendor/account`, where one was meant.
    pub(super) login: Option<String>,
    /// How many like it in a row.
    pub(super) count: u64,
}

/// What happened, the latest last; the everyday apart, so that it cannot push the rest out.
#[derive(Debug, Default)]
pub(super) struct Recent {
    everyday: VecDeque<Happening>,
    other: VecDeque<Happening>,
}

impl Recent {
    /// Adds one in the order of time and says whether that makes a new line: one like its neighbour is
    /// counted with it.
    pub(super) fn add(&mut self, new: Happening) -> bool {
        let kept = match new.level {
            Level::Everyday => &mut self.everyday,
            _ => &mut self.other,
        };
        let place = kept.iter().rposition(|old| old.at <= new.at).map_or(0, |at| at + 1);
        let before = place.checked_sub(1).and_then(|at| kept.get_mut(at));
        if let Some(old) = before.filter(|old| old.is_like(&new)) {
            old.count = old.count.saturating_add(new.count);
            old.at = new.at;
            return false;
        }
        kept.insert(place, new);
        if kept.len() > MOST_HAPPENINGS {
            kept.pop_front();
        }
        true
    }

    /// The latest first; with the everyday where that is asked for.
    pub(super) fn told(&self, all: bool) -> Vec<&Happening> {
        let mut told: Vec<&Happening> =
            self.other.iter().chain(self.everyday.iter().filter(|_| all)).rev().collect();
        told.sort_by_key(|happening| std::cmp::Reverse(happening.at));
        told
    }
}

impl Happening {
    fn is_like(&self, other: &Self) -> bool {
        (self.level, &self.who, &self.what, &self.login)
            == (other.level, &other.who, &other.what, &other.login)
    }
}

/// What a client is called: the name of its key or lease, else its program.
pub(super) fn client_name(client: &ClientId) -> String {
    let program = || client.exe.as_deref()?.rsplit(['/', '\\']).next().map(str::to_owned);
    client.name.clone().or_else(program).unwrap_or_else(|| "unknown".to_owned())
}

/// A line of the audit trail as a happening.
pub(super) fn of_entry(entry: &AuditEntry) -> Happening {
    let everyday = EVERYDAY.contains(&entry.method.as_str());
    let level = match entry.outcome.as_str() {
        // A client that has read enough hangs up.
        "ok" | "cancelled" if everyday => Level::Everyday,
        "ok" => Level::Good,
        "cancelled" => Level::Warn,
        _ => Level::Error,
    };
    let login = match (&entry.vendor, &entry.account) {
        (Some(vendor), Some(account)) => Some(format!("{vendor}/{account}")),
        (vendor, _) => vendor.clone(),
    };
    Happening {
        at: entry.at,
        level,
        who: client_name(&entry.client),
        what: format!("{} {}", entry.method, entry.outcome),
        login,
        count: entry.count.unwrap_or(1),
    }
}

/// What a login's change means, told at the time that it happened.
pub(super) fn of_change(old: Option<&Status>, new: &Status, now: Timestamp) -> Vec<Happening> {
    let mut told = Vec::new();
    let mut tell = |at, level, what: String| {
        let who = format!("{}/{}", new.vendor, new.account);
        told.push(Happening { at, level, login: Some(who.clone()), who, what, count: 1 });
    };
    let was = old.map(|old| old.state);
    if let Some(at) =
        new.last_refresh_at.filter(|at| old.and_then(|old| old.last_refresh_at) != Some(*at))
    {
        let lives = new.expires_at.map_or_else(String::new, |ends| {
            format!("; the token lives {}", countdown(ends.since(at)))
        });
        let what = if was == Some(State::SignedOut) { "signed in" } else { "renewed" };
        tell(at, Level::Good, format!("{what}{lives}"));
    }
    if let Some(problem) = &new.last_error
        && old.and_then(|old| old.last_error.as_ref()) != Some(problem)
    {
        let level = if new.state == State::LoginRequired { Level::Error } else { Level::Warn };
        tell(problem.at, level, problem.message.clone());
    }
    match (was, new.state) {
        (Some(was), is) if was == is => {}
        (Some(_), State::SignedOut) => tell(now, Level::Warn, "signed out".to_owned()),
        (_, State::LoginRequired) if new.last_error.is_none() => {
            tell(now, Level::Error, "somebody has to sign in".to_owned());
        }
        (Some(_), State::Locked) => tell(now, Level::Warn, "locked".to_owned()),
        _ => {}
    }
    told
}

#[cfg(test)]
mod tests {
    use super::*;

    fn happening(at: u64, level: Level, what: &str) -> Happening {
        let (who, what) = ("codex".to_owned(), what.to_owned());
        Happening { at: Timestamp(at), level, who, what, login: None, count: 1 }
    }

    fn told(recent: &Recent, all: bool) -> Vec<(u64, &str, u64)> {
        recent.told(all).iter().map(|it| (it.at.0, it.what.as_str(), it.count)).collect()
    }

    #[test]
    fn the_latest_is_first_whatever_came_in_which_order_and_the_same_is_counted() {
        let mut recent = Recent::default();
        for (at, level, what) in [
            (5, Level::Error, "token overloaded"),
            (6, Level::Error, "token overloaded"),
            (3, Level::Good, "renewed"),
            (4, Level::Everyday, "token ok"),
            (7, Level::Everyday, "token ok"),
            (8, Level::Warn, "signed out"),
        ] {
            recent.add(happening(at, level, what));
        }
        let least = [(8, "signed out", 1), (6, "token overloaded", 2), (3, "renewed", 1)];
        assert_eq!(told(&recent, false), least);
        assert_eq!(told(&recent, true)[1], (7, "token ok", 2));
        assert_eq!(recent.told(true).len(), 4);
    }

    #[test]
    fn what_happens_all_the_time_pushes_out_no_error() {
        let mut recent = Recent::default();
        recent.add(happening(0, Level::Error, "once"));
        for at in 1..10_000 {
            recent.add(happening(at, Level::Everyday, &format!("call {at}")));
        }
        assert_eq!(told(&recent, false), [(0, "once", 1)]);
        assert_eq!(recent.told(true).len(), MOST_HAPPENINGS + 1);
        assert_eq!(told(&recent, true)[0].0, 9_999);
    }

    #[test]
    fn an_entry_matters_by_its_method_and_outcome() {
        let entry = |method: &str, outcome: &str| {
            let text = format!(
                r#"{{"at":1,"client":{{"pid":2,"uid":3,"exe":"/usr/bin/aider"}},"method":"{method}","vendor":"openai","account":"work","outcome":"{outcome}","count":4}}"#
            );
            of_entry(&serde_json::from_str(&text).unwrap())
        };
        for (method, outcome, level) in [
            ("token", "ok", Level::Everyday),
            ("responses.create", "cancelled", Level::Everyday),
            ("token", "login_required", Level::Error),
            ("logout", "ok", Level::Good),
            ("login.start", "cancelled", Level::Warn),
            ("connect", "denied", Level::Error),
        ] {
            assert_eq!(entry(method, outcome).level, level, "{method} {outcome}");
        }
        let told = entry("token", "ok");
        assert_eq!((told.who.as_str(), told.what.as_str(), told.count), ("aider", "token ok", 4));
        assert_eq!(told.login.as_deref(), Some("openai/work"));
        let named = ClientId { name: Some("ci".into()), ..ClientId::default() };
        assert_eq!(client_name(&named), "ci");
        assert_eq!(client_name(&ClientId::default()), "unknown");
    }

    #[test]
    fn a_login_tells_of_its_renewals_and_troubles_once() {
        let now = Timestamp(10_000_000);
        let out = Status::signed_out("openai", "default");
        let held = Status {
            connected: true,
            state: State::Active,
            last_refresh_at: Some(Timestamp(9_000_000)),
            expires_at: Some(Timestamp(12_600_000)),
            ..out.clone()
        };
        let whats = |old: Option<&Status>, new: &Status| -> Vec<(u64, Level, String)> {
            of_change(old, new, now).into_iter().map(|it| (it.at.0, it.level, it.what)).collect()
        };
        let lives =
            |what: &str| (9_000_000, Level::Good, format!("{what}; the token lives 1 h 0 min"));
        assert_eq!(whats(None, &out), []);
        assert_eq!(whats(None, &held), [lives("renewed")]);
        assert_eq!(whats(Some(&out), &held), [lives("signed in")]);
        assert_eq!(whats(Some(&held), &held), []);
        let refreshing = Status { state: State::Refreshing, ..held.clone() };
        assert_eq!(whats(Some(&held), &refreshing), []);
        let mut refused = Status { state: State::LoginRequired, ..held.clone() };
        let sign_in = (now.0, Level::Error, "somebody has to sign in".to_owned());
        assert_eq!(whats(Some(&held), &refused), [sign_in]);
        refused.last_error =
            serde_json::from_str(r#"{"reason":"x","message":"No.","at":5}"#).unwrap();
        assert_eq!(whats(Some(&held), &refused), [(5, Level::Error, "No.".to_owned())]);
        assert_eq!(whats(Some(&refused), &refused), []);
        assert_eq!(whats(Some(&held), &out), [(now.0, Level::Warn, "signed out".to_owned())]);
    }
}
