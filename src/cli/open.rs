//! `valetkey open`: the page that the daemon serves, behind an address that works once.
//!
//! The address opens the page to whoever has it first. So it is printed only where no browser could be
//! opened or where it was asked for, with a word on how long it is worth something.

use std::io;

use serde_json::value::{RawValue, to_raw_value};

use crate::clock::{Clock, Timestamp};
use crate::rpc::{Empty, PageOpened};

use super::Done;
use super::args::Open;
use super::browser;
use super::connect::Context;
use super::failure::{Exit, Failure};
use super::output::{self, FAINT, note, note_wrapped, say};
use super::words::{plain, span};

pub(super) fn run(context: &Context, verb: &Open) -> Done {
    let params = to_raw_value(&Empty {}).map_err(io::Error::from)?;
    let mut client = context.client()?;
    let answer: Box<RawValue> = client.call_raw("page.open", &params, &mut |_, _| {})?;
    if verb.json {
        return Ok(output::json(&answer)?);
    }
    let opened: PageOpened = serde_json::from_str(answer.get()).map_err(|error| {
        Failure::new(Exit::Failed, format!("the daemon's answer is no address: {error}"))
    })?;
    let absent = browser::is_absent();
    if !verb.no_browser && !absent && browser::open(&opened.url) {
        note("The page opens in your browser.")?;
        return Ok(note(format_args!(
            "{FAINT}Nothing there? `valetkey open --no-browser` prints an address.{FAINT:#}"
        ))?);
    }
    say(plain(&opened.url))?;
    note_wrapped(&secrecy(opened.expires_at, Clock::System.now()))?;
    if absent && !verb.no_browser {
        note_wrapped(&elsewhere(&opened.url))?;
    }
    Ok(())
}

/// What an address is worth, and for how long.
fn secrecy(expires_at: Timestamp, now: Timestamp) -> String {
    // A moment has passed since it was made; two minutes are two minutes to a person.
    let left = span(expires_at.since(now) + std::time::Duration::from_secs(1));
    format!("It opens the page once, within {left}, to whoever has it: keep it to yourself.")
}

/// How to get at it from another machine, which the address does not lead to from there.
fn elsewhere(url: &str) -> String {
    let port = url.split(['/', ':']).nth(4).unwrap_or_default();
    format!(
        "This looks like a machine without a browser. From yours, forward the port first: ssh -L {0}:127.0.0.1:{0} HOST",
        plain(port)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_to_forward_is_the_addresss() {
        let said = elsewhere("http://127.0.0.1:40123/enter/abc");
        assert!(said.ends_with("ssh -L 40123:127.0.0.1:40123 HOST"), "{said}");
        assert!(elsewhere("nonsense").contains("ssh -L"), "and never a panic");
    }

    #[test]
    fn the_life_of_the_link_is_said_as_a_person_would() {
        let made = Timestamp(1_800_000_000_000);
        let said = secrecy(made.plus(std::time::Duration::from_secs(120)), made.shifted(7));
        assert!(said.contains("within 2 minutes"), "{said}");
    }
}
