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

/// Whether a person sits at both ends: can be asked, and sees the question.
pub(crate) fn can_ask() -> bool {
    io::stdin().is_terminal() && io::stderr().is_terminal()
}

/// Whether this program's standard error is seen by a person: spinners and pictures go there.
pub(crate) fn is_seen() -> bool {
    io::stderr().is_terminal()
}
