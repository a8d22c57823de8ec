//! What a person sees while signing in: the address or the code, a QR picture, a countdown.

use std::io::{self, IsTerminal as _};
use std::time::Duration;

use anstyle::{AnsiColor, Color, Style};
use indicatif::{ProgressBar, ProgressStyle};
use qrcode::render::unicode::Dense1x2;
use qrcode::{EcLevel, QrCode};

use crate::clock::{Clock, Timestamp};
use crate::rpc::{LoginMethod, LoginStarted, Status};

use super::super::browser;
use super::super::output::{FAINT, GOOD, STRONG, WARN, columns, is_seen, note, note_wrapped, say};
use super::super::words::{moment, plain, span};

/// White on black, whatever the terminal's own colours are.
const INK: Style = Style::new()
    .fg_color(Some(Color::Ansi(AnsiColor::BrightWhite)))
    .bg_color(Some(Color::Ansi(AnsiColor::Black)));

/// What to do with an address that was not opened here.
const PASTE_OR_START: &str = "Open the address anywhere, sign in, and paste the address of the last page here \
                              (it will not load there); or start";

/// Shows where or what to type. Says whether a browser window was opened.
pub(super) fn started(started: &LoginStarted, no_browser: bool) -> io::Result<bool> {
    match started.method {
        LoginMethod::Browser => {
            in_browser(started.authorize_url.as_deref().unwrap_or_default(), no_browser)
        }
        LoginMethod::Device => device(started).map(|()| false),
    }
}

fn in_browser(url: &str, no_browser: bool) -> io::Result<bool> {
    note(format_args!("\nSign in at:\n\n  {STRONG}{}{STRONG:#}\n", plain(url)))?;
    if browser::is_absent() {
        // Without a terminal to paste into, the other way is the only one.
        let how = if io::stdin().is_terminal() { PASTE_OR_START } else { "Start" };
        note_wrapped(&format!(
            "This looks like a machine without a browser. {how} over with `valetkey login --device`."
        ))?;
        return Ok(false);
    }
    Ok(!no_browser && browser::open(url))
}

fn device(started: &LoginStarted) -> io::Result<()> {
    let uri = plain(started.verification_uri.as_deref().unwrap_or_default());
    let complete = started.verification_uri_complete.as_deref().map(plain);
    let code = plain(started.user_code.as_deref().unwrap_or_default());
    if is_seen() {
        // The picture saves typing only where it holds the code, but it always saves the address.
        if let Some(picture) = picture(complete.as_deref().unwrap_or(&uri), columns()) {
            note("")?;
            for line in picture.lines() {
                note(format_args!("  {INK}{line}{INK:#}"))?;
            }
        }
    }
    note(format_args!("\nOn any device, open  {STRONG}{uri}{STRONG:#}"))?;
    note(format_args!("and type the code    {STRONG}{GOOD}{code}{GOOD:#}{STRONG:#}\n"))?;
    note(format_args!(
        "{WARN}Never share this code{WARN:#}, and type it only on that page:\nsuch codes are a phishing target.\n"
    ))
}

/// `text` as a picture of half blocks, where it fits into `columns`. The light modules are what is
/// printed, in [`INK`], so that it can be scanned from dark and from light terminals alike.
fn picture(text: &str, columns: usize) -> Option<String> {
    // The quiet zone of four modules on each side, and what the lines are set in by.
    const MARGIN: usize = 4 + 4 + 2;
    let code = QrCode::with_error_correction_level(text, EcLevel::L).ok()?;
    (code.width() + MARGIN <= columns).then(|| {
        code.render::<Dense1x2>()
            .dark_color(Dense1x2::Light)
            .light_color(Dense1x2::Dark)
            .quiet_zone(true)
            .build()
    })
}

/// The spinner and countdown on standard error; nothing where nobody sees it.
pub(super) struct Waiting {
    bar: ProgressBar,
    expires_at: Timestamp,
    what: &'static str,
}

impl Waiting {
    pub(super) fn begin(started: &LoginStarted, opened: bool) -> Self {
        let what = match (started.method, opened) {
            (LoginMethod::Device, _) => "Waiting for the code to be typed",
            (LoginMethod::Browser, true) => {
                "Waiting for your browser (or paste the last page's address here)"
            }
            (LoginMethod::Browser, false) => {
                "Waiting for the sign-in (or paste the last page's address here)"
            }
        };
        let bar = if is_seen() { ProgressBar::new_spinner() } else { ProgressBar::hidden() };
        bar.set_style(ProgressStyle::default_spinner());
        let waiting = Self { bar, expires_at: started.expires_at, what };
        waiting.tick();
        waiting
    }

    /// Moves the spinner and the countdown on.
    pub(super) fn tick(&self) {
        let left: Duration = self.expires_at.since(Clock::System.now());
        self.bar.set_message(format!("{}, {} left", self.what, span(left)));
        self.bar.tick();
    }

    /// Prints something without the spinner in its way.
    pub(super) fn aside<R>(&self, print: impl FnOnce() -> R) -> R {
        self.bar.suspend(print)
    }

    pub(super) fn end(&self) {
        self.bar.finish_and_clear();
    }
}

/// Who is signed in, as briefly as it can be said.
pub(in super::super) fn person(status: &Status) -> String {
    let who = status.account_email.as_deref().or(status.account_id.as_deref());
    who.map_or_else(|| format!("{}/{}", status.vendor, status.account), plain)
}

/// The line at the end of a login that worked.
pub(in super::super) fn signed_in(status: &Status) -> io::Result<()> {
    let who = person(status);
    let plan = status.plan.as_deref().map(|plan| format!(" ({})", plain(plan))).unwrap_or_default();
    say(format_args!("{GOOD}Signed in{GOOD:#} as {STRONG}{who}{STRONG:#}{plan}."))?;
    if let Some(ends) = status.expires_at {
        let ends = moment(ends, Clock::System.now());
        say(format_args!(
            "{FAINT}The token ends {ends} and is renewed before that, as long as the daemon runs.{FAINT:#}"
        ))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_drawn_only_where_it_fits() {
        let uri = "https://auth.example.org/codex/device";
        let drawn = picture(uri, 80).expect("it fits");
        let widths: Vec<usize> = drawn.lines().map(|line| line.chars().count()).collect();
        assert!(widths.iter().all(|width| *width == widths[0] && *width <= 80), "{widths:?}");
        assert_eq!(picture(uri, 20), None);
        assert_eq!(picture(&"x".repeat(10_000), 80), None, "no code holds that much");
    }
}
