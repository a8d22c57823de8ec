//! A section of the README as a terminal shows it: wrapped, indented, tables in columns. Pure.

use anstyle::Style;

use super::markdown::{Block, Manner, Section, runs};
use crate::cli::output::{HINT, STRONG};

/// What stands before a line of code.
const INDENT: &str = "    ";
/// What stands between two columns of a table.
const GAP: usize = 2;
/// The narrowest that a column is made.
const COLUMN_MIN: usize = 8;

/// A section in lines of at most `width` columns, code and long words excepted; `topic` says how a place
/// in the same document is named.
pub(crate) fn section(
    section: &Section<'_>,
    width: usize,
    topic: &dyn Fn(&str) -> String,
) -> String {
    let mut out = format!("{STRONG}{}{STRONG:#}\n", section.heading);
    for block in &section.blocks {
        out.push('\n');
        match block {
            Block::Paragraph(text) => lines(&mut out, "", "", &words(text, topic), width),
            Block::List(items) => {
                for item in items {
                    lines(&mut out, "- ", "  ", &words(item, topic), width);
                }
            }
            Block::Code(code) => {
                for line in code {
                    out.push_str(format!("{INDENT}{line}").trim_end());
                    out.push('\n');
                }
            }
            Block::Table(rows) => table(&mut out, rows, width, topic),
        }
    }
    out
}

/// A word with its manner within: what no line is broken in.
#[derive(Clone, Debug, Default)]
struct Word {
    styled: String,
    width: usize,
}

impl Word {
    fn push(&mut self, text: &str, style: Style) {
        self.styled.push_str(&format!("{style}{text}{style:#}"));
        self.width += text.chars().count();
    }
}

/// The words of a text.
fn words(text: &str, topic: &dyn Fn(&str) -> String) -> Vec<Word> {
    let mut words: Vec<Word> = Vec::new();
    let mut open = false;
    for run in runs(text, topic) {
        let style = match run.manner {
            Manner::Plain => Style::new(),
            Manner::Strong => STRONG,
            Manner::Code => HINT,
        };
        for (at, part) in run.text.split(' ').enumerate() {
            open &= at == 0;
            if part.is_empty() {
                continue;
            }
            if !open {
                words.push(Word::default());
                open = true;
            }
            if let Some(word) = words.last_mut() {
                word.push(part, style);
            }
        }
        open &= !run.text.ends_with(' ');
    }
    words
}

/// Words in lines.
fn wrap(words: &[Word], width: usize) -> Vec<Word> {
    let mut lines: Vec<Word> = Vec::new();
    for word in words {
        match lines.last_mut() {
            Some(line) if line.width + 1 + word.width <= width => {
                line.styled.push(' ');
                line.styled.push_str(&word.styled);
                line.width += 1 + word.width;
            }
            _ => lines.push(word.clone()),
        }
    }
    lines
}

fn lines(out: &mut String, first: &str, others: &str, words: &[Word], width: usize) {
    let room = width.saturating_sub(first.chars().count());
    for (at, line) in wrap(words, room).into_iter().enumerate() {
        out.push_str(if at == 0 { first } else { others });
        out.push_str(&line.styled);
        out.push('\n');
    }
}

fn table(out: &mut String, rows: &[Vec<String>], width: usize, topic: &dyn Fn(&str) -> String) {
    let columns = rows.iter().map(Vec::len).max().unwrap_or_default();
    let cells: Vec<Vec<Vec<Word>>> =
        rows.iter().map(|row| row.iter().map(|cell| words(cell, topic)).collect()).collect();
    let widths = widths(&cells, columns, width);
    for (at, row) in cells.iter().enumerate() {
        let wrapped: Vec<Vec<Word>> =
            row.iter().zip(&widths).map(|(cell, width)| wrap(cell, *width)).collect();
        let height = wrapped.iter().map(Vec::len).max().unwrap_or_default();
        for line in 0..height {
            let mut text = String::new();
            let mut missing = 0;
            for (cell, width) in wrapped.iter().zip(&widths) {
                let empty = Word::default();
                let word = cell.get(line).unwrap_or(&empty);
                if word.width > 0 {
                    text.push_str(&" ".repeat(missing));
                    missing = 0;
                    let style = if at == 0 { STRONG } else { Style::new() };
                    text.push_str(&format!("{style}{}{style:#}", word.styled));
                }
                missing += width.saturating_sub(word.width) + GAP;
            }
            out.push_str(&text);
            out.push('\n');
        }
    }
}

/// How wide each column is: as wide as its text, or, where that does not fit, the widest ones less so.
fn widths(cells: &[Vec<Vec<Word>>], columns: usize, width: usize) -> Vec<usize> {
    let natural = |column: usize| {
        let whole = |cell: &Vec<Word>| {
            cell.iter().map(|word| word.width + 1).sum::<usize>().saturating_sub(1)
        };
        cells.iter().filter_map(|row| row.get(column)).map(whole).max().unwrap_or_default()
    };
    let mut widths: Vec<usize> = (0..columns).map(natural).collect();
    let room = width.saturating_sub(GAP * columns.saturating_sub(1));
    while widths.iter().sum::<usize>() > room {
        match widths.iter_mut().max() {
            Some(widest) if *widest > COLUMN_MIN => *widest -= 1,
            _ => break,
        }
    }
    widths
}

/// The text with nothing in it that a plain terminal could not show.
pub(crate) fn ascii(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            _ if c.is_ascii() => out.push(c),
            '…' => out.push_str("..."),
            '–' | '─' => out.push('-'),
            '━' => out.push('='),
            '✓' => out.push('+'),
            '✗' | '×' => out.push('x'),
            '›' => out.push('>'),
            '●' => out.push('*'),
            '▁'..='█' => out.push('#'),
            'µ' => out.push('u'),
            '’' => out.push('\''),
            _ => out.push('?'),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::help::markdown::sections;
    use proptest::prelude::*;

    fn shown(text: &str, width: usize) -> String {
        let text = format!("## Heading\n{text}");
        let rendered = section(&sections(&text)[0], width, &|anchor| format!("-> {anchor}"));
        anstream::adapter::strip_str(&rendered).to_string()
    }

    #[test]
    fn prose_and_lists_are_wrapped_and_code_is_not() {
        let text = "one two `three four`**,** five\n\n- six seven eight nine\n\n```\n$ a very long line of code\n\n```";
        let lines = "Heading\n\none two\n`three\nfour`, five\n\n- six seven\n  eight nine\n\n    $ a very long line of code\n\n";
        assert_eq!(shown(text, 12), lines);
    }

    #[test]
    fn tables_stand_in_columns_and_their_widest_gives_way() {
        let text = "| a | long heading |\n|---|---|\n| `x` | one two three four five |\n| y | |";
        assert_eq!(
            shown(text, 80),
            "Heading\n\na    long heading\n`x`  one two three four five\ny\n"
        );
        assert_eq!(
            shown(text, 20),
            "Heading\n\na    long heading\n`x`  one two three\n     four five\ny\n"
        );
    }

    #[test]
    fn what_a_plain_terminal_cannot_show_is_shown_otherwise() {
        assert_eq!(ascii("a … ✓ ━─ é"), "a ... + =- ?");
    }

    proptest! {
        #[test]
        fn lines_fit_wherever_words_do(
            words in prop::collection::vec("[a-z]{1,8}|`[a-z]{1,6}`|\\*\\*[a-z]{1,4}\\*\\*", 1..30),
            width in 10_usize..60,
        ) {
            for line in shown(&words.join(" "), width).lines() {
                prop_assert!(line.chars().count() <= width, "{line:?}");
            }
            let row = format!("| {} |\n|---|---|\n| {} | b |", words.join(" | "), words.join(" "));
            prop_assert!(shown(&row, width).lines().count() > 2);
        }
    }
}
