//! What is worth a notice, and what it says. Pure.
//!
//! A status is published whenever anything about a login changes, and a spent subscription is met by
//! every request: told as they come, both would teach a person to switch notices off. So what was told
//! is remembered, for as long as the daemon runs.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::clock::Timestamp;
use crate::login::state::{State, Status};
use crate::relay::Reached;

/// How much later an end of a limit has to be than the one told, to be another limit: the API rounds.
const ANOTHER_END: Duration = Duration::from_secs(60);
/// How long a limit without a known end is not told again.
const QUIET_WITHOUT_END: Duration = Duration::from_secs(3600);
/// The longest value handed to a command, in characters.
const VALUE_CHARS_MAX: usize = 1000;

/// What a command can be run for. Its number is its place among the queues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Event {
    /// A login cannot be refreshed any more.
    LoginRequired,
    /// The subscription is spent for now.
    Limit,
    /// A new token is held.
    Refresh,
}

impl Event {
    pub(super) const ALL: [Self; 3] = [Self::LoginRequired, Self::Limit, Self::Refresh];

    /// As the command is told.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::LoginRequired => "login_required",
            Self::Limit => "limit",
            Self::Refresh => "refresh",
        }
    }

    /// As the configuration names its command.
    pub(super) fn setting(self) -> &'static str {
        match self {
            Self::LoginRequired => "hooks.on_login_required",
            Self::Limit => "hooks.on_limit",
            Self::Refresh => "hooks.on_refresh",
        }
    }
}

/// Something to tell the person. Never holds a token.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Notice {
    pub(super) event: Event,
    vendor: String,
    account: String,
    state: Option<State>,
    reason: Option<String>,
    /// One sentence for a person.
    message: String,
    resets_at: Option<Timestamp>,
    plan: Option<String>,
}

impl Notice {
    /// What the command finds in its environment. What is not known is not there.
    pub(super) fn environment(&self) -> Vec<(&'static str, String)> {
        let known = [
            ("VALETKEY_EVENT", Some(self.event.name().to_owned())),
            ("VALETKEY_VENDOR", Some(self.vendor.clone())),
            ("VALETKEY_ACCOUNT", Some(self.account.clone())),
            ("VALETKEY_STATE", self.state.map(state)),
            ("VALETKEY_REASON", self.reason.clone()),
            ("VALETKEY_MESSAGE", Some(self.message.clone())),
            ("VALETKEY_RESETS_AT", self.resets_at.map(|at| at.0.to_string())),
            ("VALETKEY_PLAN", self.plan.clone()),
        ];
        known.into_iter().filter_map(|(name, value)| Some((name, fit(&value?)))).collect()
    }
}

/// What is remembered of each login, by vendor and account: as many as logins can be open.
#[derive(Debug, Default)]
pub(super) struct Memory(BTreeMap<(String, String), Seen>);

#[derive(Debug, Default)]
struct Seen {
    /// The epoch, and when the token held in it came.
    token: Option<(u64, Option<Timestamp>)>,
    /// The refusal that was told, by when and why.
    refusal: Option<(Timestamp, String)>,
    /// When the limit that was told is over.
    limit: Option<Timestamp>,
}

impl Memory {
    /// What is new about a login, of what somebody `wants` to hear.
    pub(super) fn look(
        &mut self,
        epoch: u64,
        status: &Status,
        default_vendor: &str,
        wants: impl Fn(Event) -> bool,
    ) -> Vec<Notice> {
        let mut notices = Vec::new();
        let seen = self.seen(&status.vendor, &status.account);
        let token = (epoch, status.last_refresh_at);
        let before = seen.token.replace(token);
        // The first look finds what was there, and another epoch is another sign-in.
        let renewed = before.is_some_and(|(was, at)| was == epoch && at < status.last_refresh_at);
        if status.state == State::LoginRequired {
            let told = status.last_error.as_ref().map(|why| (why.at, why.reason.clone()));
            if wants(Event::LoginRequired) && told.is_some() && seen.refusal != told {
                seen.refusal = told;
                notices.push(login_required(status, default_vendor));
            }
        } else if renewed && wants(Event::Refresh) {
            let message = format!("{} was refreshed.", login(status));
            notices.push(Notice { message, ..notice(Event::Refresh, status) });
        }
        notices
    }

    /// A limit that was reached, if it was not told already.
    pub(super) fn limit(
        &mut self,
        reached: &Reached,
        status: Option<&Status>,
        now: Timestamp,
    ) -> Option<Notice> {
        let named = &reached.named;
        let seen = self.seen(&named.vendor, &named.account);
        let end = reached.resets_at.unwrap_or_else(|| now.plus(QUIET_WITHOUT_END));
        if seen.limit.is_some_and(|told| now < told && end <= told.plus(ANOTHER_END)) {
            return None;
        }
        seen.limit = Some(end);
        let whose = format!("the login \"{}\" at {}", named.account, named.vendor);
        let until =
            reached.resets_at.map(|at| format!(" It is lifted in {}.", span(at.since(now))));
        let message =
            format!("The usage limit of {whose} is reached.{}", until.unwrap_or_default());
        Some(Notice {
            event: Event::Limit,
            vendor: named.vendor.clone(),
            account: named.account.clone(),
            state: status.map(|status| status.state),
            reason: Some("usage_limit".to_owned()),
            message,
            resets_at: reached.resets_at,
            plan: reached.plan.clone().or_else(|| status?.plan.clone()),
        })
    }

    fn seen(&mut self, vendor: &str, account: &str) -> &mut Seen {
        self.0.entry((vendor.to_owned(), account.to_owned())).or_default()
    }
}

fn notice(event: Event, status: &Status) -> Notice {
    Notice {
        event,
        vendor: status.vendor.clone(),
        account: status.account.clone(),
        state: Some(status.state),
        reason: status.last_error.as_ref().map(|why| why.reason.clone()),
        message: String::new(),
        resets_at: None,
        plan: status.plan.clone(),
    }
}

fn login_required(status: &Status, default_vendor: &str) -> Notice {
    let mut command = "valetkey login".to_owned();
    if status.vendor != default_vendor {
        command = format!("{command} --vendor {}", status.vendor);
    }
    if status.account != crate::login::directory::DEFAULT_ACCOUNT {
        command = format!("{command} --account {}", status.account);
    }
    let message = format!("{} cannot be renewed any more. Sign in again: {command}", login(status));
    Notice { message, ..notice(Event::LoginRequired, status) }
}

/// A login as the beginning of a sentence.
fn login(status: &Status) -> String {
    format!("The login \"{}\" at {}", status.account, status.vendor)
}

/// A state as it stands in a status on the wire.
fn state(state: State) -> String {
    let word = serde_json::to_value(state).ok();
    word.as_ref().and_then(|word| word.as_str()).unwrap_or_default().to_owned()
}

/// A time to wait, in the two largest units that matter.
fn span(time: Duration) -> String {
    let minutes = time.as_secs().div_ceil(60);
    match (minutes / 1440, minutes / 60 % 24, minutes % 60) {
        (0, 0, minutes) => format!("{minutes} min"),
        (0, hours, minutes) => format!("{hours} h {minutes} min"),
        (days, hours, _) => format!("{days} d {hours} h"),
    }
}

/// A value that an environment can hold and a notification can show: short, and in one line.
fn fit(value: &str) -> String {
    let plain = value.chars().map(|c| if c.is_control() { ' ' } else { c });
    plain.take(VALUE_CHARS_MAX).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::login::directory::Named;
    use crate::login::state::Problem;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn status(state: State, refreshed: u64) -> Status {
        Status {
            state,
            last_refresh_at: Some(NOW.plus(Duration::from_secs(refreshed))),
            plan: Some("plus".into()),
            ..Status::signed_out("openai", "work")
        }
    }

    fn refused(at: u64) -> Status {
        let message = "no\nmore".to_owned();
        let problem = Problem { reason: "invalid_grant".into(), message, at: Timestamp(at) };
        Status { last_error: Some(problem), ..status(State::LoginRequired, 0) }
    }

    fn events(memory: &mut Memory, epoch: u64, status: &Status) -> Vec<Event> {
        let notices = memory.look(epoch, status, "openai", |_| true);
        notices.iter().map(|notice| notice.event).collect()
    }

    fn variable(notice: &Notice, name: &str) -> Option<String> {
        notice.environment().into_iter().find(|(known, _)| *known == name).map(|(_, value)| value)
    }

    #[test]
    fn a_refresh_is_told_once_and_a_sign_in_is_none() {
        let mut memory = Memory::default();
        assert_eq!(events(&mut memory, 1, &status(State::Active, 0)), []);
        assert_eq!(events(&mut memory, 1, &status(State::Refreshing, 0)), []);
        assert_eq!(events(&mut memory, 1, &status(State::Active, 5)), [Event::Refresh]);
        assert_eq!(events(&mut memory, 1, &status(State::Degraded, 5)), []);
        assert_eq!(events(&mut memory, 2, &status(State::Active, 9)), [], "signed in again");
        assert_eq!(events(&mut memory, 3, &Status::signed_out("openai", "work")), []);
        assert_eq!(events(&mut memory, 4, &status(State::Active, 12)), [], "and again");
    }

    #[test]
    fn a_refusal_is_told_once_and_another_one_again() {
        let mut memory = Memory::default();
        assert_eq!(events(&mut memory, 1, &refused(7)), [Event::LoginRequired]);
        assert_eq!(events(&mut memory, 1, &refused(7)), []);
        assert_eq!(events(&mut memory, 2, &status(State::Active, 8)), []);
        assert_eq!(events(&mut memory, 2, &refused(9)), [Event::LoginRequired]);
    }

    #[test]
    fn a_refusal_that_nobody_wanted_to_hear_of_is_told_when_somebody_does() {
        let mut memory = Memory::default();
        assert_eq!(memory.look(1, &refused(7), "openai", |_| false), []);
        let told = memory.look(1, &refused(7), "sandbox", |_| true);
        let value = |name| variable(&told[0], name);
        let message = value("VALETKEY_MESSAGE").expect("a sentence");
        assert!(message.ends_with("valetkey login --vendor openai --account work"), "{message}");
        assert_eq!(value("VALETKEY_STATE").as_deref(), Some("login_required"));
        assert_eq!(value("VALETKEY_REASON").as_deref(), Some("invalid_grant"));
        assert_eq!(value("VALETKEY_RESETS_AT"), None);
    }

    #[test]
    fn a_limit_is_told_once_for_each_of_its_ends() {
        let mut memory = Memory::default();
        let named = Named { vendor: "openai".into(), account: "default".into() };
        let mut at = |resets: Option<u64>, after: u64| {
            let secs = |secs| NOW.plus(Duration::from_secs(secs));
            let reached = Reached { named: named.clone(), resets_at: resets.map(secs), plan: None };
            memory.limit(&reached, None, secs(after))
        };
        let first = at(Some(8_040), 0).expect("news");
        let message = variable(&first, "VALETKEY_MESSAGE").expect("a sentence");
        assert!(message.ends_with("It is lifted in 2 h 14 min."), "{message}");
        assert_eq!(at(Some(8_041), 5), None, "the same, rounded otherwise");
        assert_eq!(at(None, 6), None);
        assert!(at(Some(300_000), 7).is_some(), "a longer one");
        assert_eq!(at(Some(8_040), 8), None, "within it");
        assert!(at(None, 300_001).is_some(), "it was lifted, and reached again");
        assert_eq!(at(None, 300_002), None);
    }

    #[test]
    fn values_fit_into_an_environment() {
        assert_eq!(fit("a\0b\nc"), "a b c");
        assert_eq!(fit(&"é".repeat(5000)).chars().count(), VALUE_CHARS_MAX);
        for (secs, shown) in
            [(0, "0 min"), (59, "1 min"), (3_600, "1 h 0 min"), (90_000, "1 d 1 h")]
        {
            assert_eq!(span(Duration::from_secs(secs)), shown);
        }
    }
}
