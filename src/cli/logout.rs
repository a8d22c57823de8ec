//! `valetkey logout`.

use crate::rpc::{LoggedOut, LogoutParams, State, Status};

use super::Done;
use super::args::Logout;
use super::connect::Context;
use super::output::{FAINT, GOOD, WARN, say};

pub(super) fn run(context: &Context, verb: &Logout) -> Done {
    let target = verb.target.clone();
    let params = LogoutParams {
        vendor: target.vendor,
        account: target.account,
        revoke: verb.no_revoke.then_some(false),
    };
    let mut client = context.client()?;
    let before: Status = client.call("status", &verb.target.which())?;
    // The daemon is told all the same: it also ends sign-ins under way.
    let answer: LoggedOut = client.call("logout", &params)?;
    let which = format!("{}/{}", answer.status.vendor, answer.status.account);
    if before.state == State::SignedOut {
        return Ok(say(format_args!("Nobody was signed in to {which}."))?);
    }
    say(format_args!(
        "{GOOD}Signed out{GOOD:#} of {which}; nothing of the login is left on this machine."
    ))?;
    match (verb.no_revoke, answer.revoked) {
        (true, _) => say(format_args!("{FAINT}The issuer was not asked to revoke it.{FAINT:#}"))?,
        (false, true) => say(format_args!("{FAINT}The issuer has revoked it.{FAINT:#}"))?,
        (false, false) => say(format_args!(
            "{WARN}The issuer did not confirm that it revoked it;{WARN:#} what was lent may live until its end."
        ))?,
    }
    Ok(())
}
