//! `valetkey import`: a login that another program holds becomes ours.
//!
//! Two owners of one refresh token log each other out, so that the other one's copy has to go. This verb
//! reads the file, warns and asks; the daemon verifies and renews; and only when that is done is the
//! other program's file touched, if the person wants it.

mod file;
mod other;

use std::io::{self, BufRead as _, Write as _};
use std::path::Path;
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde::Serialize;

use crate::platform::process;
use crate::rpc::{ImportSource, State, Status};

use super::Done;
use super::args::Import;
use super::connect::Context;
use super::failure::{Exit, Failure};
use super::login::{self, person, signed_in};
use super::others;
use super::output::{FAINT, GOOD, STRONG, WARN, can_ask, is_seen, json, note, note_wrapped};
use super::words::plain;
use file::Found;
use other::SignedOut;

/// How often the spinner moves.
const TICK: Duration = Duration::from_millis(100);

/// What the daemon is asked; the contents go to it and nowhere else.
#[derive(Serialize)]
struct Params<'a> {
    source: ImportSource,
    contents: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    vendor: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account: Option<&'a str>,
    replace: bool,
}

/// What was done, for programs.
#[derive(Serialize)]
struct Report<'a> {
    program: ImportSource,
    file: &'a Path,
    /// Whether the daemon holds it now.
    adopted: bool,
    /// Whether nobody knows if the issuer has renewed it.
    in_doubt: bool,
    /// Whether the other program is signed out of its copy.
    other_signed_out: bool,
    /// Where that copy is kept.
    backup: Option<&'a Path>,
    status: &'a Status,
}

pub(super) fn run(context: &Context, verb: &Import) -> Done {
    let found = Found::open(verb.program.source(), verb.path.as_deref())?;
    let mut client = context.client()?;
    let before: Status = client.call("status", &verb.target.which())?;
    if before.connected && before.state != State::LoginRequired && !verb.force {
        let signed_out = held_already(verb, &found, &before)?;
        return report(verb, &found, &before, false, false, signed_out.as_ref());
    }
    warn(&found, login::is_sandbox(context, &before.vendor))?;
    accept(verb)?;
    let params = Params {
        source: found.source,
        contents: &found.text,
        vendor: verb.target.vendor.as_deref(),
        account: verb.target.account.as_deref(),
        replace: verb.force,
    };
    let waiting = spinner();
    let adopted = client.call("import", &params);
    waiting.finish_and_clear();
    let status: Status = adopted?;
    let doubt = status.last_error.as_ref().is_some_and(|error| error.reason == "outcome_unknown");
    let signed_out =
        if doubt { in_doubt(&found).map(|()| None)? } else { settle(verb, &found, &status)? };
    report(verb, &found, &status, true, doubt, signed_out.as_ref())
}

/// The program's name as an argument of `import` and `setup`.
fn word(source: ImportSource) -> &'static str {
    match source {
        ImportSource::Codex => "codex",
        ImportSource::Openhands => "openhands",
        ImportSource::Opencode => "opencode",
    }
}

/// Somebody is signed in. Where it is the person whom the file names, the other program can still be signed out
/// of its copy, for which nothing has to be adopted.
fn held_already(verb: &Import, found: &Found, held: &Status) -> Result<Option<SignedOut>, Failure> {
    let (who, program, word) = (person(held), others::name(found.source), word(found.source));
    let same = found.account_id().is_some() && found.account_id() == held.account_id.as_deref();
    if same && verb.sign_out_other {
        let signed_out = other::sign_out(found)?;
        note(format_args!("Already signed in as {STRONG}{who}{STRONG:#}, who is not touched."))?;
        tell_signed_out(program, &signed_out)?;
        return Ok(Some(signed_out));
    }
    note(format_args!(
        "Already signed in as {STRONG}{who}{STRONG:#}, nothing was changed; `valetkey import {word} --force` adopts the other login all the same."
    ))?;
    if same {
        note_wrapped(&format!(
            "It is for the same account: `valetkey import {word} --sign-out-other` signs {program} out of its copy."
        ))?;
    }
    Ok(None)
}

/// Says what is about to happen, and whose login it seems to be.
fn warn(found: &Found, sandbox: bool) -> Done {
    let (program, path) = (others::name(found.source), plain(&found.path.display().to_string()));
    let who = found.who().map_or_else(String::new, |who| format!(" for {}", plain(&who)));
    note_wrapped(&format!("In {path}, {program} holds a login{who} (as the file says)."))?;
    note("")?;
    note_wrapped(&format!(
        "Importing it makes valetkey its owner: it is verified and renewed at once, and the copy of {program} is then worth nothing. Two owners of one login log each other out: once {program} tries to renew its copy, the issuer may end the login for both. So {program} should be signed out of its copy afterwards, but not by its own logout, which would end the login that was just adopted."
    ))?;
    if process::is_running(word(found.source)) {
        note("")?;
        note(format_args!(
            "{WARN}It seems to be running:{WARN:#} end it first, or it may renew its copy meanwhile."
        ))?;
    }
    note("")?;
    Ok(note_wrapped(if sandbox { login::SANDBOX_NOTICE } else { login::NOTICE })?)
}

fn accept(verb: &Import) -> Done {
    if verb.yes {
        return Ok(());
    }
    if !can_ask() {
        return Err(Failure::new(
            Exit::Usage,
            "the notice above has to be accepted, and there is no terminal to ask on",
        )
        .hint(format!(
            "run it on a terminal, or accept it with `valetkey import {} --yes`",
            word(verb.program.source())
        )));
    }
    if ask("Accept, and import it?")? {
        return Ok(());
    }
    Err(Failure::new(Exit::Failed, "nothing was done: the notice was not accepted"))
}

fn ask(question: &str) -> io::Result<bool> {
    write!(anstream::stderr(), "\n{question} {FAINT}[y/N]{FAINT:#} ")?;
    io::stderr().flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    Ok(login::is_yes(&answer))
}

fn spinner() -> ProgressBar {
    if !is_seen() {
        return ProgressBar::hidden();
    }
    let bar = ProgressBar::new_spinner().with_style(ProgressStyle::default_spinner());
    bar.set_message("Verifying the login and renewing it");
    bar.enable_steady_tick(TICK);
    bar
}

/// The issuer's answer was lost: the other program's file may hold the only good copy.
fn in_doubt(found: &Found) -> Done {
    note(format_args!(
        "{WARN}The login is held, but nobody knows whether it was renewed:{WARN:#} the issuer's answer was lost."
    ))?;
    note_wrapped(&format!(
        "valetkey tries again by itself; `valetkey status` tells how it went. {} was left as it is; leave {} alone until then.",
        plain(&found.path.display().to_string()),
        others::name(found.source)
    ))?;
    Ok(())
}

/// The login is ours. What is to become of the other copy?
fn settle(verb: &Import, found: &Found, status: &Status) -> Result<Option<SignedOut>, Failure> {
    let program = others::name(found.source);
    if verb.json {
        note(format_args!("Signed in as {}.", person(status)))?;
    } else {
        signed_in(status)?;
    }
    let wanted = verb.sign_out_other
        || (!verb.keep_other
            && can_ask()
            && ask(&format!(
                "Sign {program} out of its copy? Its file is changed, and a backup kept beside it."
            ))?);
    let signed_out = wanted.then(|| other::sign_out(found)).transpose()?;
    match &signed_out {
        Some(signed_out) => {
            tell_signed_out(program, signed_out)?;
            note_wrapped(
                "The refresh token in that backup is used up. Do not put it back: shown to the issuer again, it would end the login.",
            )?;
        }
        None => {
            note(format_args!(
                "{WARN}Two owners:{WARN:#} {program} still has its copy of this login."
            ))?;
            note_wrapped(&format!("{} Do not use its own logout.", by_hand(found)))?;
        }
    }
    note(format_args!(
        "Next, let it borrow from valetkey: {STRONG}valetkey setup {}{STRONG:#}",
        word(found.source)
    ))?;
    Ok(signed_out)
}

fn tell_signed_out(program: &str, SignedOut { backup, file_stands }: &SignedOut) -> io::Result<()> {
    let backup = plain(&backup.display().to_string());
    let how = if *file_stands { "was copied to" } else { "was moved to" };
    note(format_args!(
        "{GOOD}Signed out:{GOOD:#} {program} has no copy any more; its file {how} {backup}."
    ))
}

/// How a person signs the other program out of its copy later.
fn by_hand(found: &Found) -> String {
    let path = plain(&found.path.display().to_string());
    match found.source {
        ImportSource::Codex | ImportSource::Openhands => {
            format!("Move {path} away before it renews it.")
        }
        ImportSource::Opencode => {
            format!("Take the member \"openai\" out of {path} before it renews it.")
        }
    }
}

fn report(
    verb: &Import,
    found: &Found,
    status: &Status,
    adopted: bool,
    in_doubt: bool,
    signed_out: Option<&SignedOut>,
) -> Done {
    if !verb.json {
        return Ok(());
    }
    let report = Report {
        program: found.source,
        file: &found.path,
        adopted,
        in_doubt,
        other_signed_out: signed_out.is_some(),
        backup: signed_out.map(|signed_out| signed_out.backup.as_path()),
        status,
    };
    let raw = serde_json::value::to_raw_value(&report).map_err(|error| {
        Failure::new(Exit::Failed, format!("the answer cannot be written as JSON: {error}"))
    })?;
    Ok(json(&raw)?)
}
