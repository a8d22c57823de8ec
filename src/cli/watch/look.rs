//! What the person looks at: the pane, the row, the filter. Pure.

use super::keys::Act;

/// The longest filter, in characters: more does not fit into the line that it is typed in.
const LONGEST_FILTER: usize = 40;
/// Rows that a page turns by.
const PAGE: usize = 10;

/// The panes that have rows to move in, in the order of Tab.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pane {
    /// Who is signed in.
    Logins,
    /// What is left.
    Limits,
    /// Who uses it.
    Borrowers,
    /// What happened.
    Recent,
}

impl Pane {
    /// All of them.
    pub(super) const ALL: [Self; 4] = [Self::Logins, Self::Limits, Self::Borrowers, Self::Recent];

    fn moved(self, by: usize) -> Self {
        Self::ALL[(self as usize + by) % Self::ALL.len()]
    }
}

/// What the person looks at.
#[derive(Debug)]
pub(super) struct Look {
    pub(super) pane: Pane,
    /// The row chosen in each pane.
    rows: [usize; Pane::ALL.len()],
    /// What is looked for, in small letters; nothing for everything.
    pub(super) filter: String,
    /// Whether the filter is being typed.
    pub(super) typing: bool,
    /// Whether the keys are being explained.
    pub(super) help: bool,
    /// Whether everyday calls are shown among what happened.
    pub(super) all: bool,
}

impl Default for Look {
    fn default() -> Self {
        let (rows, filter) = ([0; Pane::ALL.len()], String::new());
        Self { pane: Pane::Logins, rows, filter, typing: false, help: false, all: false }
    }
}

/// What a key comes to beyond another look.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Then {
    /// Nothing.
    Stay,
    /// Everything is asked again.
    Ask,
    /// The person has seen enough.
    Quit,
    /// The person broke it off.
    Interrupt,
}

impl Look {
    /// The row chosen in a pane of so many.
    pub(super) fn row(&self, pane: Pane, count: usize) -> usize {
        self.rows[pane as usize].min(count.saturating_sub(1))
    }

    /// Something new stands above what is looked at, which stays what it is.
    pub(super) fn shift(&mut self, pane: Pane) {
        let row = &mut self.rows[pane as usize];
        *row += usize::from(*row > 0);
    }

    /// Whether the filter lets through what is told by these words.
    pub(super) fn shows(&self, words: &[&str]) -> bool {
        self.filter.is_empty()
            || words.iter().any(|word| word.to_lowercase().contains(&self.filter))
    }

    /// Does what a key asks for; `count` is how many rows the pane has.
    pub(super) fn act(&mut self, act: Act, count: usize) -> Then {
        if self.help && !matches!(act, Act::Interrupt | Act::Quit) {
            // Any key puts the explanation away, and is not taken for what it explains.
            self.help = false;
            return Then::Stay;
        }
        let row = self.row(self.pane, count);
        let to = &mut self.rows[self.pane as usize];
        match act {
            Act::Up => *to = row.saturating_sub(1),
            Act::Down => *to = (row + 1).min(count.saturating_sub(1)),
            Act::PageUp => *to = row.saturating_sub(PAGE),
            Act::PageDown => *to = (row + PAGE).min(count.saturating_sub(1)),
            Act::First => *to = 0,
            Act::Last => *to = count.saturating_sub(1),
            Act::NextPane => self.pane = self.pane.moved(1),
            Act::PreviousPane => self.pane = self.pane.moved(Pane::ALL.len() - 1),
            Act::Filter => self.typing = true,
            Act::Type(letter) => {
                let room = self.filter.chars().count() < LONGEST_FILTER;
                if room && !letter.is_control() {
                    self.filter.extend(letter.to_lowercase());
                    self.rows = [0; Pane::ALL.len()];
                }
            }
            Act::Erase => drop(self.filter.pop()),
            Act::Done => self.typing = false,
            Act::Help => self.help = true,
            Act::All => self.all = !self.all,
            Act::Ask => return Then::Ask,
            Act::Back if self.typing || !self.filter.is_empty() => {
                self.typing = false;
                self.filter.clear();
            }
            Act::Back | Act::Quit => return Then::Quit,
            Act::Interrupt => return Then::Interrupt,
            Act::Nothing => {}
        }
        Then::Stay
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_and_panes_are_moved_in_within_their_bounds() {
        let mut look = Look::default();
        for (act, row) in [
            (Act::Up, 0),
            (Act::Down, 1),
            (Act::PageDown, 4),
            (Act::Down, 4),
            (Act::PageUp, 0),
            (Act::Last, 4),
            (Act::First, 0),
        ] {
            assert_eq!(look.act(act, 5), Then::Stay);
            assert_eq!(look.row(Pane::Logins, 5), row, "{act:?}");
        }
        assert_eq!(look.act(Act::Last, 0), Then::Stay);
        assert_eq!(look.row(Pane::Logins, 0), 0);
        look.act(Act::PreviousPane, 5);
        assert_eq!(look.pane, Pane::Recent);
        look.act(Act::NextPane, 5);
        assert_eq!(look.pane, Pane::Logins);
        look.shift(Pane::Logins);
        assert_eq!(look.row(Pane::Logins, 9), 0, "who looks at the latest sees the latest");
        look.act(Act::Down, 9);
        look.shift(Pane::Logins);
        assert_eq!(look.row(Pane::Logins, 9), 2);
    }

    #[test]
    fn a_filter_is_typed_kept_and_cleared_before_escape_ends_it() {
        let mut look = Look::default();
        look.act(Act::Filter, 0);
        for letter in "CodeXy\u{7}".chars() {
            look.act(Act::Type(letter), 0);
        }
        look.act(Act::Erase, 0);
        assert_eq!((look.filter.as_str(), look.typing), ("codex", true));
        look.act(Act::Done, 0);
        assert!(!look.typing && look.shows(&["x", "my-Codex"]) && !look.shows(&["aider", "code"]));
        for _ in 0..100 {
            look.act(Act::Type('x'), 0);
        }
        assert_eq!(look.filter.chars().count(), LONGEST_FILTER);
        assert_eq!(look.act(Act::Back, 0), Then::Stay);
        assert!(look.filter.is_empty() && look.shows(&["aider"]));
        assert_eq!(look.act(Act::Back, 0), Then::Quit);
    }

    #[test]
    fn any_key_puts_the_help_away_but_the_end_is_the_end() {
        let mut look = Look::default();
        look.act(Act::Help, 0);
        assert_eq!((look.act(Act::Nothing, 0), look.help), (Then::Stay, false));
        look.act(Act::Help, 0);
        assert_eq!(look.act(Act::Ask, 0), Then::Stay);
        assert_eq!(look.act(Act::Ask, 0), Then::Ask);
        look.act(Act::Help, 0);
        assert_eq!(look.act(Act::Quit, 0), Then::Quit);
        look.help = false;
        assert_eq!(look.act(Act::Interrupt, 0), Then::Interrupt);
        assert_eq!(look.act(Act::All, 0), Then::Stay);
        assert!(look.all);
    }
}
