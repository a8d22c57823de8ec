//! Printing: lines for people, JSON for programs, colours where a terminal wants them.

use std::fmt::Display;
use std::io::{self, IsTerminal as _, Write as _};

use anstyle::{AnsiColor, Style};
use serde_json::value::RawValue;

use super::words::wrapped;

/// The columns of a terminal whose width is not told.
const COLUMNS_USUAL: usize = 80;
/// Longer lines of prose tire the eye.
const COLUMNS_COMFORTABLE: usize = 90;

/// What matters in a line.
pub(crate) const STRONG: Style = Style::new().bold();
/// What may be overlooked.
pub(crate) const FAINT: Style = Style::new().dimmed();
/// All is well.
pub(crate) const GOOD: Style = AnsiColor::Green.on_default();
/// Look here soon.
pub(crate) const WARN: Style = AnsiColor::Yellow.on_default();
/// Something is wrong.
pub(crate) const ERROR: Style = AnsiColor::Red.on_default().bold();
/// The next step.
pub(crate) const HINT: Style = AnsiColor::Cyan.on_default();

/// One line to standard output; colours are taken out where nobody could see them.
pub(crate) fn say(line: impl Display) -> io::Result<()> {
    writeln!(anstream::stdout(), "{line}")
}

/// One line to standard error: what accompanies an answer without being part of it.
pub(crate) fn note(line: impl Display) -> io::Result<()> {
    writeln!(anstream::stderr(), "{line}")
}

/// JSON to standard output: as it came for a program, set out for a person.
pub(crate) fn json(value: &RawValue) -> io::Result<()> {
    if !io::stdout().is_terminal() {
        return writeln!(io::stdout(), "{}", value.get());
    }
    let value: serde_json::Value = serde_json::from_str(value.get())?;
    writeln!(io::stdout(), "{value:#}")
}

/// Sentences to standard error, broken between words where the window or a comfortable line ends.
pub(crate) fn note_wrapped(text: &str) -> io::Result<()> {
    wrapped(text, columns().min(COLUMNS_COMFORTABLE)).into_iter().try_for_each(note)
}

/// The width of the terminal that standard error is.
pub(crate) fn columns() -> usize {
    terminal_size::terminal_size_of(io::stderr())
        .map_or(COLUMNS_USUAL, |(width, _)| usize::from(width.0))
}

/// The width of the terminal that standard output is.
pub(crate) fn columns_of_stdout() -> usize {
    terminal_size::terminal_size_of(io::stdout())
        .map_or(COLUMNS_USUAL, |(width, _)| usize::from(width.0))
}

/// Whether more than ASCII can be shown: unless the terminal or the locale says that it cannot (POSIX
/// "Environment Variables", chapter 8.2).
pub(crate) fn beyond_ascii() -> bool {
    let set = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    shows_more(
        set("TERM").as_deref(),
        ["LC_ALL", "LC_CTYPE", "LANG"].into_iter().find_map(set).as_deref(),
    )
}

fn shows_more(terminal: Option<&str>, locale: Option<&str>) -> bool {
    let utf8 = |locale: &str| {
        let locale = locale.to_ascii_lowercase();
        locale.contains("utf-8") || locale.contains("utf8")
    };
    terminal != Some("dumb") && locale.is_none_or(utf8)
}

/// Whether a person sits at both ends: can be asked, and sees the question.
pub(crate) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Whether both what this program answers and what it says beside it go to a person's terminal. Where
/// the answer goes on to a pager, the terminal is that program's.
pub(crate) fn is_watched() -> bool {
    io::stdout().is_terminal() && io::stderr().is_terminal()
}

/// Whether this program's standard error is seen by a person: spinners and pictures go there.
pub(crate) fn is_seen() -> bool {
    io::stderr().is_terminal()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_locale_or_a_terminal_can_ask_for_ascii() {
        assert!(shows_more(None, None));
        assert!(shows_more(Some("xterm"), Some("de_DE.UTF-8")));
        assert!(shows_more(None, Some("C.utf8")));
        assert!(!shows_more(Some("dumb"), Some("C.UTF-8")));
        assert!(!shows_more(Some("xterm"), Some("C")));
        assert!(!shows_more(None, Some("de_DE.ISO-8859-15")));
    }
}
