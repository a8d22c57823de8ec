//! What this terminal can show: colours or none, all characters or ASCII.

use ratatui::style::{Color, Modifier, Style};
use ratatui::symbols::border;

use crate::cli::words::{bar, plain};

/// From the floor up, for a sparkline: eighths of a line.
const EIGHTHS: [&str; 9] = [" ", "▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"];
/// The same in ASCII, as heavy as each is high.
const PLAIN_EIGHTHS: [&str; 9] = [" ", ".", ".", ":", ":", "|", "|", "#", "#"];

/// What this terminal can show.
#[derive(Clone, Copy, Debug)]
pub(in super::super) struct Theme {
    /// Whether colours are wanted and can be seen.
    pub(in super::super) colour: bool,
    /// Whether there is nothing but ASCII.
    pub(in super::super) ascii: bool,
}

impl Theme {
    fn coloured(self, colour: Color) -> Style {
        if self.colour { Style::new().fg(colour) } else { Style::new() }
    }

    pub(super) fn strong(self) -> Style {
        Style::new().add_modifier(Modifier::BOLD)
    }

    pub(super) fn faint(self) -> Style {
        Style::new().add_modifier(Modifier::DIM)
    }

    pub(super) fn good(self) -> Style {
        self.coloured(Color::Green)
    }

    pub(super) fn warn(self) -> Style {
        self.coloured(Color::Yellow)
    }

    pub(super) fn error(self) -> Style {
        self.coloured(Color::Red).add_modifier(Modifier::BOLD)
    }

    pub(super) fn hint(self) -> Style {
        self.coloured(Color::Cyan)
    }

    /// Where the next letter will stand.
    pub(super) fn cursor(self) -> Style {
        Style::new().add_modifier(Modifier::REVERSED)
    }

    /// A foreign text that cannot drive the terminal and that it can show.
    pub(super) fn shown(self, text: &str) -> String {
        let text = plain(text);
        if !self.ascii {
            return text;
        }
        text.chars().map(|c| if c.is_ascii() { c } else { '?' }).collect()
    }

    /// A bar of `width` characters filled by a share of 0 to 1, as its two parts.
    pub(super) fn bar(self, share: f64, width: usize) -> (String, String) {
        let (full, empty) = bar(share, width);
        if !self.ascii {
            return (full, empty);
        }
        ("#".repeat(full.chars().count()), "-".repeat(empty.chars().count()))
    }

    /// The mark of the row that is chosen.
    pub(super) fn mark(self) -> &'static str {
        if self.ascii { "> " } else { "› " }
    }

    /// The mark of a login.
    pub(super) fn dot(self) -> &'static str {
        if self.ascii { "*" } else { "●" }
    }

    /// What stands between a number and how often it is.
    pub(super) fn times(self) -> &'static str {
        if self.ascii { "x" } else { "×" }
    }

    /// What the line under a title is made of.
    pub(super) fn rule(self) -> &'static str {
        if self.ascii { "-" } else { "─" }
    }

    /// The characters of a sparkline.
    pub(super) fn eighths(self) -> [&'static str; 9] {
        if self.ascii { PLAIN_EIGHTHS } else { EIGHTHS }
    }

    /// What a box is made of.
    pub(super) fn borders(self) -> border::Set<'static> {
        if !self.ascii {
            return border::PLAIN;
        }
        border::Set {
            top_left: "+",
            top_right: "+",
            bottom_left: "+",
            bottom_right: "+",
            vertical_left: "|",
            vertical_right: "|",
            horizontal_top: "-",
            horizontal_bottom: "-",
        }
    }
}
