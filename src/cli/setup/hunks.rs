//! What was changed in a text, line by line, so that it can be taken back when the rest has changed since.
//!
//! A backup answers for a file that nobody has touched. Where the person went on editing it, only our own
//! lines may go: they are looked for as they were written, and taken out where they stand now.

use serde::{Deserialize, Serialize};
use similar::{DiffTag, TextDiff};

/// Lines that took the place of others. Both are whole lines; either may be empty.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Hunk {
    took: String,
    put: String,
}

/// What leads from `old` to `new`, in order. Nothing where it could not be led back from `new` alone.
pub(super) fn between(old: &str, new: &str) -> Vec<Hunk> {
    let finest = changes(old, new);
    if back(new, &finest).as_deref() == Some(old) {
        return finest;
    }
    let coarsest = vec![outer(old, new)];
    if back(new, &coarsest).as_deref() == Some(old) { coarsest } else { Vec::new() }
}

/// `text` with every hunk taken back; nothing where one of them is not there any more, or not only once.
pub(super) fn back(text: &str, hunks: &[Hunk]) -> Option<String> {
    if hunks.is_empty() {
        return None;
    }
    let mut text = text.to_owned();
    for hunk in hunks.iter().rev() {
        let at = only_place(&text, &hunk.put)?;
        text.replace_range(at..at + hunk.put.len(), &hunk.took);
    }
    Some(text)
}

/// Where the whole lines `lines` stand, if they stand in one place only.
fn only_place(text: &str, lines: &str) -> Option<usize> {
    if lines.is_empty() {
        return None;
    }
    let whole = |at: usize| {
        let end = at + lines.len();
        (at == 0 || text[..at].ends_with('\n'))
            && (end == text.len() || text[..end].ends_with('\n'))
    };
    let mut places = text.match_indices(lines).map(|(at, _)| at).filter(|at| whole(*at));
    let first = places.next()?;
    places.next().is_none().then_some(first)
}

fn lines(text: &str) -> Vec<&str> {
    text.split_inclusive('\n').collect()
}

fn changes(old: &str, new: &str) -> Vec<Hunk> {
    let (old, new) = (lines(old), lines(new));
    let diff = TextDiff::from_slices(&old, &new);
    let mut hunks: Vec<Hunk> = Vec::new();
    let mut joined = false;
    for operation in diff.ops() {
        if operation.tag() == DiffTag::Equal {
            joined = false;
            continue;
        }
        let took = old[operation.old_range()].concat();
        let put = new[operation.new_range()].concat();
        match hunks.last_mut() {
            Some(last) if joined => {
                last.took.push_str(&took);
                last.put.push_str(&put);
            }
            _ => hunks.push(Hunk { took, put }),
        }
        joined = true;
    }
    hunks
}

/// One hunk from the first to the last line that differs.
fn outer(old: &str, new: &str) -> Hunk {
    let (old, new) = (lines(old), lines(new));
    let begin = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let most = old.len().min(new.len()) - begin;
    let end = old.iter().rev().zip(new.iter().rev()).take(most).take_while(|(a, b)| a == b).count();
    Hunk { took: old[begin..old.len() - end].concat(), put: new[begin..new.len() - end].concat() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn our_lines_go_and_the_persons_later_ones_stay() {
        let (old, new) = ("a\nb\n", "a\nours\nb\n\nours too\n");
        let hunks = between(old, new);
        assert_eq!(back(new, &hunks).as_deref(), Some(old));
        assert_eq!(
            back("new\na\nours\nb\nmore\n\nours too\nend\n", &hunks).as_deref(),
            Some("new\na\nb\nmore\nend\n")
        );
        assert_eq!(back("a\nchanged\nb\n\nours too\n", &hunks), None);
        assert_eq!(back("a\nours\nours\nb\n\nours too\n", &hunks), None, "which of them");
        assert_eq!(back("a\nours and more\nb\n\nours too\n", &hunks), None, "a line is whole");
    }

    #[test]
    fn a_last_line_without_its_end_comes_back_without_it() {
        let (old, new) = ("a\r\nb", "a\r\nb\r\nours\r\n");
        assert_eq!(back(new, &between(old, new)).as_deref(), Some(old));
    }

    #[test]
    fn what_only_takes_away_cannot_be_found_again() {
        assert!(between("a\nb\n", "a\n").is_empty());
        assert_eq!(back("a\n", &[]), None);
    }

    proptest! {
        #[test]
        fn back_is_never_something_else(old in "([ab]\n){0,6}", new in "([abc]\n){0,6}") {
            let hunks = between(&old, &new);
            if !hunks.is_empty() {
                prop_assert_eq!(back(&new, &hunks), Some(old));
            }
        }

        #[test]
        fn what_was_put_in_comes_out(before in "([a-c]{0,2}\n){0,9}", after in "([a-c]{0,2}\n?){0,9}") {
            let (old, new) = (format!("{before}{after}"), format!("{before}\nours\nb\n{after}"));
            prop_assert_eq!(back(&new, &between(&old, &new)), Some(old));
        }
    }
}
