//! `valetkey accounts`: who is signed in, and who is meant by callers that name nobody.

use std::io;

use serde::Serialize;
use serde_json::value::to_raw_value;

use crate::clock::{Clock, Timestamp};
use crate::rpc::{Accounts, Status};

use super::Done;
use super::args::{self, AccountsAction, AccountsList, AccountsUse};
use super::connect::Context;
use super::output::{self, FAINT, GOOD, STRONG, say};
use super::status;
use super::words::{moment, plain};

pub(super) fn run(context: &Context, verb: &args::Accounts) -> Done {
    match &verb.action {
        None => list(context, &verb.list),
        Some(AccountsAction::List(verb)) => list(context, verb),
        Some(AccountsAction::Use(verb)) => choose(context, verb),
    }
}

fn list(context: &Context, verb: &AccountsList) -> Done {
    let params = crate::rpc::AccountsList { vendor: verb.vendor.clone() };
    if verb.json {
        return raw(context, "accounts.list", &params);
    }
    let answer: Accounts = context.client()?.call("accounts.list", &params)?;
    if answer.accounts.is_empty() {
        return Ok(say("No account is known; `valetkey login` makes the first.")?);
    }
    let now = Clock::System.now();
    let rows: Vec<Row> = answer.accounts.iter().map(|account| Row::of(account, now)).collect();
    let wide = |cell: fn(&Row) -> &str| {
        rows.iter().map(|row| cell(row).chars().count()).max().unwrap_or(0)
    };
    let (names, people) = (wide(|row| &row.name), wide(|row| &row.person));
    for (index, row) in rows.iter().enumerate() {
        // The daemon lists the current account first.
        let (mark, style) = if index == 0 { ("*", STRONG) } else { (" ", anstyle::Style::new()) };
        let Row { name, person, state, end, state_style } = row;
        say(format_args!(
            "{GOOD}{mark}{GOOD:#} {style}{name:names$}{style:#}  {person:people$}  {state_style}{state:14}{state_style:#}  {FAINT}{end}{FAINT:#}"
        ))?;
    }
    Ok(())
}

struct Row {
    name: String,
    person: String,
    state: &'static str,
    state_style: anstyle::Style,
    end: String,
}

impl Row {
    fn of(account: &Status, now: Timestamp) -> Self {
        let (state, state_style) = status::state_in_words(account);
        Self {
            name: account.account.clone(),
            person: account.account_email.as_deref().map_or_else(|| "-".to_owned(), plain),
            state,
            state_style,
            end: account
                .expires_at
                .map(|at| format!("token ends {}", moment(at, now)))
                .unwrap_or_default(),
        }
    }
}

fn choose(context: &Context, verb: &AccountsUse) -> Done {
    let params =
        crate::rpc::AccountsUse { vendor: verb.vendor.clone(), account: verb.account.clone() };
    if verb.json {
        return raw(context, "accounts.use", &params);
    }
    let account: Status = context.client()?.call("accounts.use", &params)?;
    say(format_args!(
        "Callers of {} who name no account now get {STRONG}{}{STRONG:#}.",
        account.vendor, account.account
    ))?;
    Ok(())
}

fn raw(context: &Context, method: &str, params: &impl Serialize) -> Done {
    let params = to_raw_value(params).map_err(io::Error::from)?;
    Ok(output::json(&context.client()?.call_raw(method, &params, &mut |_, _| {})?)?)
}
