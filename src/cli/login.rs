//! `valetkey login`: the person's side of signing in.
//!
//! The daemon runs the login; this verb asks for consent, shows an address or a code, opens the
//! browser (the daemon never does: it may be headless or confined) and waits. Ctrl-C cancels the
//! login before it ends the command, so that a code left on a screen is worth nothing.

mod show;

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, channel};
use std::time::Duration;

use crate::config::{Config, VendorKind};
use crate::rpc::client::CallError;
use crate::rpc::{
    Kind, LoginComplete, LoginId, LoginMethod, LoginPoll, LoginProgress, LoginStart, LoginStarted,
    LoginWait, State, Status,
};

use super::Done;
use super::args::Login;
use super::connect::Context;
use super::failure::{Exit, Failure};
use super::interrupt::Interrupt;
use super::output::{FAINT, STRONG, WARN, can_ask, note, note_wrapped};
use super::words::plain;
pub(super) use show::{person, signed_in};

/// How often the countdown moves and Ctrl-C is looked for while the person signs in.
const TICK: Duration = Duration::from_millis(100);

/// The longest line that can be a redirect address; more is not read.
const PASTE_BYTES_MAX: u64 = 16 * 1024;

/// What a person signs in under, shown at every login.
pub(super) const NOTICE: &str = "Signing in uses your own ChatGPT account, as its end user under OpenAI's Terms of Use \
                      (https://openai.com/policies/terms-of-use/).";

/// The same, where the stand-in vendor is signed in to.
pub(super) const SANDBOX_NOTICE: &str = "This is the sandbox: no real account is used.";

pub(super) fn run(context: &Context, verb: &Login) -> Done {
    let mut client = context.client()?;
    let before: Status = client.call("status", &verb.target.which())?;
    if before.connected && before.state != State::LoginRequired && !verb.force {
        let who = show::person(&before);
        note(format_args!(
            "Already signed in as {STRONG}{who}{STRONG:#}; `valetkey login --force` signs in again."
        ))?;
        return Ok(());
    }
    let sandbox = is_sandbox(context, &before.vendor);
    note_wrapped(if sandbox { SANDBOX_NOTICE } else { NOTICE })?;
    let started = start(&mut client, verb)?;
    // From here on Ctrl-C has something to cancel.
    let interrupt = Interrupt::watch()?;
    let opened = show::started(&started, verb.no_browser)?;
    let events = listen(context, &started)?;
    let outcome = wait(&mut client, &started, &events, &interrupt, opened)?;
    finish(&outcome)
}

/// Whether the vendor is the stand-in, as far as the configuration can be read here.
pub(super) fn is_sandbox(context: &Context, vendor: &str) -> bool {
    let config = context
        .paths()
        .ok()
        .and_then(|paths| Config::load(&paths.config_file).ok())
        .unwrap_or_default();
    config.vendors.get(vendor).is_some_and(|vendor| vendor.kind == VendorKind::Sandbox)
}

/// Starts the login, asking for the person's consent where none is on record.
fn start(client: &mut crate::rpc::client::Client, verb: &Login) -> Result<LoginStarted, Failure> {
    let mut params = LoginStart {
        vendor: verb.target.vendor.clone(),
        account: verb.target.account.clone(),
        method: if verb.device { LoginMethod::Device } else { LoginMethod::Browser },
        consent: verb.yes,
        replace: verb.force,
    };
    let refused = match client.call("login.start", &params) {
        Ok(started) => return Ok(started),
        Err(CallError::Refused(error)) if error.kind() == Kind::ConsentRequired => error,
        Err(other) => return Err(other.into()),
    };
    let notice = refused
        .data
        .more
        .get("notice")
        .and_then(|notice| notice.as_str())
        .unwrap_or(&refused.message);
    note("")?;
    for paragraph in notice.lines() {
        note_wrapped(&plain(paragraph))?;
    }
    if !can_ask() {
        return Err(Failure::new(
            Exit::Usage,
            "the notice above has to be accepted once, and there is no terminal to ask on",
        )
        .hint("run `valetkey login` on a terminal, or accept it with `valetkey login --yes`"));
    }
    if !accepted()? {
        return Err(Failure::new(Exit::Failed, "nothing was done: the notice was not accepted")
            .hint("run `valetkey login` to read it again"));
    }
    params.consent = true;
    Ok(client.call("login.start", &params)?)
}

fn accepted() -> io::Result<bool> {
    write!(anstream::stderr(), "\nContinue and accept? {FAINT}[y/N]{FAINT:#} ")?;
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(is_yes(&answer))
}

pub(super) fn is_yes(answer: &str) -> bool {
    matches!(answer.trim().to_ascii_lowercase().as_str(), "y" | "yes")
}

/// What can happen while the person signs in.
enum Event {
    /// The daemon says that the login changed, or that it does not answer any more.
    Daemon(Box<Result<LoginPoll, CallError>>),
    /// The person pasted something.
    Pasted(String),
}

/// Waits for the daemon's word on a connection of its own, and for a pasted address.
fn listen(context: &Context, started: &LoginStarted) -> Result<Receiver<Event>, Failure> {
    let (tell, events) = channel();
    let mut waiting = context.client()?;
    let params = LoginWait { login_id: started.login_id.clone(), timeout: None };
    let daemon = tell.clone();
    std::thread::spawn(move || {
        loop {
            let answer = waiting.call::<_, LoginPoll>("login.wait", &params);
            let pending = matches!(&answer, Ok(poll) if poll.login == LoginProgress::Pending);
            if pending {
                continue;
            }
            let _ = daemon.send(Event::Daemon(Box::new(answer)));
            return;
        }
    });
    if started.method == LoginMethod::Browser && io::stdin().is_terminal() {
        std::thread::spawn(move || read_pasted(&tell));
    }
    Ok(events)
}

fn read_pasted(tell: &Sender<Event>) {
    use std::io::Read as _;
    loop {
        let mut line = String::new();
        match io::stdin().lock().take(PASTE_BYTES_MAX).read_line(&mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) if line.trim().is_empty() => {}
            Ok(_) => {
                if tell.send(Event::Pasted(line.trim().to_owned())).is_err() {
                    return;
                }
            }
        }
    }
}

fn wait(
    client: &mut crate::rpc::client::Client,
    started: &LoginStarted,
    events: &Receiver<Event>,
    interrupt: &Interrupt,
    opened: bool,
) -> Result<LoginPoll, Failure> {
    let waiting = show::Waiting::begin(started, opened);
    loop {
        if interrupt.is_asked() {
            waiting.end();
            let cancelled: Result<LoginPoll, _> =
                client.call("login.cancel", &LoginId { login_id: started.login_id.clone() });
            // The other connection may have told of the end before Ctrl-C did.
            return match cancelled {
                Ok(poll) if poll.login == LoginProgress::Complete => Ok(poll),
                _ => Err(Failure::new(Exit::Interrupted, "the login was cancelled")),
            };
        }
        match events.recv_timeout(TICK) {
            Ok(Event::Daemon(answer)) => {
                waiting.end();
                return Ok((*answer)?);
            }
            Ok(Event::Pasted(redirect_url)) => {
                let params = LoginComplete { login_id: started.login_id.clone(), redirect_url };
                match client.call::<_, LoginPoll>("login.complete", &params) {
                    Ok(poll) if poll.login != LoginProgress::Pending => {
                        waiting.end();
                        return Ok(poll);
                    }
                    Ok(_) => {}
                    Err(CallError::Refused(error)) => {
                        let message = plain(&error.message);
                        waiting.aside(|| {
                            note(format_args!("{WARN}That was not it:{WARN:#} {message}"))
                        })?;
                    }
                    Err(other) => return Err(other.into()),
                }
            }
            Err(RecvTimeoutError::Timeout) => waiting.tick(),
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Failure::new(
                    Exit::Failed,
                    "the login could not be followed to its end",
                )
                .hint("`valetkey status` says whether it was completed"));
            }
        }
    }
}

fn finish(outcome: &LoginPoll) -> Done {
    match outcome.login {
        LoginProgress::Complete => Ok(show::signed_in(&outcome.status)?),
        LoginProgress::Failed => Err(match &outcome.error {
            Some(error) => error.clone().into(),
            None => {
                Failure::new(Exit::Failed, "the login failed").hint("run `valetkey login` again")
            }
        }),
        LoginProgress::Expired => {
            Err(Failure::new(Exit::Failed, "nobody finished the login in time")
                .hint("run `valetkey login` again"))
        }
        LoginProgress::Cancelled | LoginProgress::Pending => Err(Failure::new(
            Exit::Failed,
            "the login was cancelled: a later one or a logout took its place",
        )
        .hint("`valetkey status` says who is signed in")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_plain_yes_is_consent() {
        assert!(is_yes("y\n") && is_yes(" YES "));
        for no in ["", "\n", "n", "yeah", "ja", "1"] {
            assert!(!is_yes(no), "{no:?}");
        }
    }
}
