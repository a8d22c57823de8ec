//! Which key asks for what. Pure.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// What a key asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    Up,
    Down,
    PageUp,
    PageDown,
    First,
    Last,
    NextPane,
    PreviousPane,
    /// Begins to type the filter.
    Filter,
    Type(char),
    Erase,
    /// Keeps what was typed.
    Done,
    Help,
    /// Shows everyday calls as well, or no longer.
    All,
    /// Asks the daemon for everything anew.
    Ask,
    /// Out of what one is in: the help, the filter, the program.
    Back,
    Quit,
    Interrupt,
    /// Nothing, which is also a way to put the help away.
    Nothing,
}

/// The keys as the help tells them.
pub(super) const KEYS: [(&str, &str); 8] = [
    ("Tab, left, right", "the next pane, the one before"),
    ("up, down, j, k", "the next row, the one before"),
    ("PgUp, PgDn, g, G", "ten rows, the first, the last"),
    ("/", "show only what holds these letters"),
    ("a", "among what happened, show every call, or not"),
    ("r", "ask again now"),
    ("Esc", "clear the filter; then quit"),
    ("q, Ctrl-C", "quit"),
];

/// What a key asks for, if anything; while the filter is typed, letters are letters.
pub(super) fn act(key: KeyEvent, typing: bool) -> Option<Act> {
    // Some terminals tell of the key's release as well.
    if key.kind == KeyEventKind::Release {
        return None;
    }
    let control = key.modifiers.contains(KeyModifiers::CONTROL);
    let common = match key.code {
        KeyCode::Char('c') if control => Some(Act::Interrupt),
        KeyCode::Char('h') if control && typing => Some(Act::Erase),
        KeyCode::Char(_) if control || key.modifiers.contains(KeyModifiers::ALT) => return None,
        KeyCode::Up => Some(Act::Up),
        KeyCode::Down => Some(Act::Down),
        KeyCode::PageUp => Some(Act::PageUp),
        KeyCode::PageDown => Some(Act::PageDown),
        KeyCode::Esc => Some(Act::Back),
        _ => None,
    };
    common.or_else(|| if typing { typed(key.code) } else { pressed(key.code) })
}

fn typed(code: KeyCode) -> Option<Act> {
    match code {
        KeyCode::Char(letter) => Some(Act::Type(letter)),
        KeyCode::Backspace => Some(Act::Erase),
        KeyCode::Enter | KeyCode::Tab => Some(Act::Done),
        _ => None,
    }
}

fn pressed(code: KeyCode) -> Option<Act> {
    Some(match code {
        KeyCode::Char('q') => Act::Quit,
        KeyCode::Char('k') => Act::Up,
        KeyCode::Char('j') => Act::Down,
        KeyCode::Home | KeyCode::Char('g') => Act::First,
        KeyCode::End | KeyCode::Char('G') => Act::Last,
        KeyCode::Tab | KeyCode::Right | KeyCode::Char('l') => Act::NextPane,
        KeyCode::BackTab | KeyCode::Left | KeyCode::Char('h') => Act::PreviousPane,
        KeyCode::Char('/') => Act::Filter,
        KeyCode::Char('?') => Act::Help,
        KeyCode::Char('a') => Act::All,
        KeyCode::Char('r') => Act::Ask,
        _ => Act::Nothing,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(code: KeyCode) -> KeyEvent {
        KeyEvent::new(code, KeyModifiers::NONE)
    }

    #[test]
    fn letters_are_keys_until_a_filter_is_typed() {
        for (letter, act_of) in [
            ('q', Act::Quit),
            ('j', Act::Down),
            ('k', Act::Up),
            ('G', Act::Last),
            ('/', Act::Filter),
            ('?', Act::Help),
            ('r', Act::Ask),
            ('a', Act::All),
        ] {
            assert_eq!(act(key(KeyCode::Char(letter)), false), Some(act_of));
            assert_eq!(act(key(KeyCode::Char(letter)), true), Some(Act::Type(letter)));
        }
        assert_eq!(act(key(KeyCode::Char('z')), false), Some(Act::Nothing));
        assert_eq!(act(key(KeyCode::Enter), true), Some(Act::Done));
        assert_eq!(act(key(KeyCode::Enter), false), Some(Act::Nothing));
        for typing in [true, false] {
            assert_eq!(act(key(KeyCode::Esc), typing), Some(Act::Back));
            assert_eq!(act(key(KeyCode::Down), typing), Some(Act::Down));
        }
    }

    #[test]
    fn ctrl_c_always_ends_it_and_no_other_chord_is_a_letter() {
        for typing in [true, false] {
            let chord = |letter| KeyEvent::new(KeyCode::Char(letter), KeyModifiers::CONTROL);
            assert_eq!(act(chord('c'), typing), Some(Act::Interrupt));
            assert_eq!(act(chord('q'), typing), None);
            let released = KeyEvent { kind: KeyEventKind::Release, ..chord('c') };
            assert_eq!(act(released, typing), None);
        }
        assert_eq!(act(key(KeyCode::BackTab), false), Some(Act::PreviousPane));
        assert_eq!(act(key(KeyCode::Tab), false), Some(Act::NextPane));
    }
}
