//! `valetkey status`: one fact a line, the token's life as a bar, and what to do where something is wrong.

use std::io;

use anstyle::Style;
use serde_json::value::{RawValue, to_raw_value};

use crate::clock::{Clock, Timestamp};
use crate::rpc::{State, Status};

use super::Done;
use super::args;
use super::connect::Context;
use super::failure::{Exit, Failure};
use super::output::{self, ERROR, FAINT, GOOD, HINT, STRONG, WARN, say};
use super::words::{bar, life_left, moment, plain};

/// The bar's width in characters: wide enough to see a tenth, narrow enough for any window.
const BAR_WIDTH: usize = 24;

pub(super) fn run(context: &Context, verb: &args::Status) -> Done {
    let params = to_raw_value(&verb.target.which()).map_err(io::Error::from)?;
    let answer: Box<RawValue> = context.client()?.call_raw("status", &params, &mut |_, _| {})?;
    let status: Status = serde_json::from_str(answer.get()).map_err(|error| {
        Failure::new(Exit::Failed, format!("the daemon's answer is not a status: {error}"))
    })?;
    if verb.json {
        output::json(&answer)?;
    } else {
        for line in lines(&status, Clock::System.now()) {
            say(line)?;
        }
    }
    if status.connected { Ok(()) } else { Err(Failure::silent(Exit::LoginRequired)) }
}

/// How a login stands, in two words and their colour.
pub(super) fn state_in_words(status: &Status) -> (&'static str, Style) {
    match status.state {
        State::SignedOut => ("signed out", FAINT),
        State::Active => ("connected", GOOD),
        State::Refreshing => ("refreshing", GOOD),
        State::Degraded => ("degraded", WARN),
        State::LoginRequired => ("login required", ERROR),
        State::Locked => ("locked", WARN),
    }
}

/// The person's view.
pub(super) fn lines(status: &Status, now: Timestamp) -> Vec<String> {
    let (state, style) = state_in_words(status);
    let which = format!("{}/{}", status.vendor, status.account);
    let mut lines = vec![match status.account_email.as_deref().map(plain) {
        Some(email) => {
            format!("{style}● {state}{style:#}  {STRONG}{email}{STRONG:#}  {FAINT}{which}{FAINT:#}")
        }
        None => format!("{style}● {state}{style:#}  {FAINT}{which}{FAINT:#}"),
    }];
    let mut fact =
        |name: &str, value: String| lines.push(format!("  {FAINT}{name:9}{FAINT:#}{value}"));
    if let Some(plan) = &status.plan {
        fact("plan", plain(plan));
    }
    if let Some(ends) = status.expires_at {
        fact("token", life(status, ends, now));
    }
    match (status.last_refresh_at, status.refresh_at) {
        (Some(last), Some(next)) => {
            fact("renewed", format!("{}, next {}", moment(last, now), moment(next, now)))
        }
        (Some(last), None) => fact("renewed", moment(last, now)),
        (None, Some(next)) => fact("renewal", moment(next, now)),
        (None, None) => {}
    }
    if let Some(problem) = &status.last_error {
        let at = moment(problem.at, now);
        fact(
            "problem",
            format!("{WARN}{}{WARN:#} {FAINT}({at}){FAINT:#}", plain(&problem.message)),
        );
    }
    let hint = match status.state {
        State::SignedOut => Some("run `valetkey login`"),
        State::LoginRequired if status.connected => {
            Some("the token is lent until its end; run `valetkey login` before that")
        }
        State::LoginRequired => Some("run `valetkey login`"),
        State::Degraded => Some(
            "it is tried again by itself; `valetkey rpc audit.tail` shows who borrows meanwhile",
        ),
        State::Active | State::Refreshing | State::Locked => None,
    };
    if let Some(hint) = hint {
        lines.push(format!("  {HINT}{:9}{HINT:#}{hint}", "hint"));
    }
    lines
}

fn life(status: &Status, ends: Timestamp, now: Timestamp) -> String {
    if ends <= now {
        return format!("{ERROR}ended {}{ERROR:#}", moment(ends, now));
    }
    let Some(began) = status.last_refresh_at else {
        return format!("ends {}", moment(ends, now));
    };
    let left = life_left(began, ends, now);
    let style = if left > 0.25 { GOOD } else { WARN };
    let (full, empty) = bar(left, BAR_WIDTH);
    format!(
        "{style}{full}{style:#}{FAINT}{empty}{FAINT:#} {:.0} %, ends {}",
        left * 100.0,
        moment(ends, now)
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::login::state::Problem;

    const NOW: Timestamp = Timestamp(1_800_000_000_000);

    fn active() -> Status {
        Status {
            vendor: "openai".into(),
            account: "default".into(),
            connected: true,
            state: State::Active,
            account_email: Some("ann@example.org".into()),
            account_id: Some("acc".into()),
            plan: Some("plus".into()),
            expires_at: Some(NOW.shifted(7_500_000 * 100)),
            refresh_at: Some(NOW.shifted(550_000 * 1000)),
            last_refresh_at: Some(NOW.shifted(-250_000 * 1000)),
            last_error: None,
        }
    }

    fn shown(status: &Status) -> Vec<String> {
        lines(status, NOW)
            .iter()
            .map(|line| anstream::adapter::strip_str(line).to_string())
            .collect()
    }

    #[test]
    fn a_healthy_login_is_four_facts() {
        assert_eq!(
            shown(&active()),
            [
                "● connected  ann@example.org  openai/default",
                "  plan     plus",
                "  token    ━━━━━━━━━━━━━━━━━━────── 75 %, ends in 8 days",
                "  renewed  2 days ago, next in 6 days",
            ]
        );
    }

    #[test]
    fn a_problem_is_told_with_its_time_and_the_next_step() {
        let problem = Problem {
            reason: "x".into(),
            message: "The issuer\u{7} refused.".into(),
            at: NOW.shifted(-120_000),
        };
        let status = Status { state: State::LoginRequired, last_error: Some(problem), ..active() };
        let shown = shown(&status);
        assert_eq!(shown[4], "  problem  The issuer  refused. (2 minutes ago)");
        assert_eq!(
            shown[5],
            "  hint     the token is lent until its end; run `valetkey login` before that"
        );
    }

    #[test]
    fn nobody_signed_in_is_two_lines() {
        let status = Status {
            connected: false,
            state: State::SignedOut,
            account_email: None,
            plan: None,
            expires_at: None,
            refresh_at: None,
            last_refresh_at: None,
            ..active()
        };
        assert_eq!(
            shown(&status),
            ["● signed out  openai/default", "  hint     run `valetkey login`"]
        );
    }
}
