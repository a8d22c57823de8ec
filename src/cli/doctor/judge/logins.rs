//! Whether each login lives, and whether it is renewed as it should be.

use std::time::Duration;

use crate::platform::shell::Shell;
use crate::rpc::{State, Status};

use super::super::super::words::moment;
use super::super::discreet::discreet;
use super::super::facts::{Daemon, Facts, Untold};
use super::Finding;

/// The line on which a daemon that cannot tell of any login is told of.
const LOGIN: &str = "login";

/// How long a renewal may be due before it is late: a slow issuer and some tries need no remark.
const LATE: Duration = Duration::from_secs(300);

/// What is repeated of others' words: the sense of them stands at their beginning.
const SAID_CHARS_MAX: usize = 160;

pub(super) fn tokens(facts: &Facts) -> Vec<Finding> {
    each(facts, LOGIN, token)
}

pub(super) fn refreshes(facts: &Facts) -> Vec<Finding> {
    each(facts, "refresh", refresh)
}

fn each(
    facts: &Facts,
    name: &'static str,
    check: impl Fn(&Facts, &Status) -> Option<Finding>,
) -> Vec<Finding> {
    let Daemon::Answers(told) = &facts.daemon else {
        return vec![Finding::skip(name, "no daemon to ask")];
    };
    match &told.logins {
        Err(Untold { why, refused: true }) if name == LOGIN => {
            vec![Finding::fail(name, format!("the daemon cannot tell: {why}"), "valetkey status")]
        }
        Err(Untold { why, .. }) => {
            vec![Finding::skip(name, format!("the daemon did not tell: {why}"))]
        }
        Ok(logins) => logins.iter().filter_map(|status| check(facts, status)).collect(),
    }
}

fn token(facts: &Facts, status: &Status) -> Option<Finding> {
    let name = "login";
    let who = who(status);
    let ends = status.expires_at.map(|at| moment(at, facts.now));
    let reason = status.last_error.as_ref().map(|error| said(status, &error.reason));
    let because = reason.map(|reason| format!(" ({reason})")).unwrap_or_default();
    let ended = match &ends {
        Some(ends) => format!("its token ended {ends}"),
        None => "it has no token".to_owned(),
    };
    let login = command(status, "login");
    Some(match status.state {
        State::SignedOut => Finding::fail(name, format!("{who}: nobody is signed in"), login),
        State::LoginRequired if status.connected => {
            let last = ends.unwrap_or_default();
            Finding::fail(
                name,
                format!(
                    "{who}: the issuer wants a new sign-in{because}; its last token ends {last}"
                ),
                login,
            )
        }
        State::LoginRequired => Finding::fail(
            name,
            format!("{who}: the issuer wants a new sign-in{because}, and nothing can be lent"),
            login,
        ),
        State::Locked => Finding::warn(name, format!("{who} is locked"), "valetkey status"),
        _ if !status.connected => {
            let what = format!("{who}: {ended} and could not be renewed{because}");
            // Asks for the next token, and shows none.
            Finding::fail(name, what, command(status, "usage"))
        }
        State::Degraded => {
            let ends = ends.unwrap_or_default();
            let what = format!(
                "{who} lends its old token, which ends {ends}: it cannot be renewed just now{because}"
            );
            Finding::warn(name, what, command(status, "usage"))
        }
        State::Active | State::Refreshing => {
            Finding::ok(name, format!("{who} lends; its token ends {}", ends.unwrap_or_default()))
        }
    })
}

fn refresh(facts: &Facts, status: &Status) -> Option<Finding> {
    let name = "refresh";
    let who = who(status);
    if status.state == State::SignedOut {
        return None;
    }
    let last = match status.last_refresh_at {
        Some(at) => format!("the last one was {}", moment(at, facts.now)),
        None => "there was none yet".to_owned(),
    };
    if let Some(error) = &status.last_error {
        let when = moment(error.at, facts.now);
        let what = format!("{who}: it failed {when} ({}); {last}", said(status, &error.message));
        let fix = match (error.reason.as_str(), status.state) {
            ("storage_error", _) => "valetkey paths".to_owned(),
            (_, State::LoginRequired) => command(status, "login"),
            _ => command(status, "usage"),
        };
        return Some(Finding::warn(name, what, fix));
    }
    let overdue = status.refresh_at.filter(|due| facts.now.since(*due) > LATE);
    if let Some(due) = overdue.filter(|_| status.state == State::Active) {
        let what = format!(
            "{who}: the next one was due {} and was not made; {last}",
            moment(due, facts.now)
        );
        return Some(Finding::warn(name, what, super::restart(facts)));
    }
    let next = status.refresh_at.map(|at| format!(", the next is {}", moment(at, facts.now)));
    Some(Finding::ok(name, format!("{who}: {last}{}", next.unwrap_or_default())))
}

/// Accounts go by the names that their owner gave them.
fn who(status: &Status) -> String {
    format!("{}/{}", status.vendor, status.account)
}

fn said(status: &Status, text: &str) -> String {
    let names = [status.account_email.as_deref(), status.account_id.as_deref()];
    let told = discreet(text, &names.map(Option::unwrap_or_default));
    match told.char_indices().nth(SAID_CHARS_MAX) {
        Some((end, _)) => format!("{} ...", told[..end].trim_end()),
        None => told,
    }
}

/// A verb for this very login.
fn command(status: &Status, verb: &str) -> String {
    let word = |name: &str| Shell::NATIVE.quoted(name);
    let (vendor, account) = (word(&status.vendor), word(&status.account));
    format!("valetkey {verb} --vendor {vendor} --account {account}")
}
