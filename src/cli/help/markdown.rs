//! As much of Markdown as the README uses, read into blocks. Pure.
//!
//! The README is the one text that explains this program; what a terminal is shown of it is rendered
//! from these blocks. It is our own text, so a test holds that it uses nothing else.

/// A section: a heading of the second or third level, and what stands under it up to the next heading.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Section<'a> {
    /// 2 or 3.
    pub(crate) level: usize,
    pub(crate) heading: &'a str,
    pub(crate) blocks: Vec<Block<'a>>,
}

/// A block of a section.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Block<'a> {
    /// Lines that belong together.
    Paragraph(String),
    /// The items of a list, each with its lines joined.
    List(Vec<String>),
    /// Lines to be shown as they stand.
    Code(Vec<&'a str>),
    /// Rows of cells, the headings first; those may all be empty.
    Table(Vec<Vec<String>>),
}

/// The sections of a document. What stands before the first of them is left out.
pub(crate) fn sections(text: &str) -> Vec<Section<'_>> {
    let mut sections: Vec<Section<'_>> = Vec::new();
    let mut lines = text.lines().peekable();
    while let Some(line) = lines.next() {
        if let Some((level, heading)) = heading(line) {
            sections.push(Section { level, heading, blocks: Vec::new() });
            continue;
        }
        let block = if line.starts_with("```") {
            Some(Block::Code(lines.by_ref().take_while(|line| !line.starts_with("```")).collect()))
        } else if line.starts_with('|') {
            let mut rows = vec![cells(line)];
            while let Some(row) = lines.next_if(|line| line.starts_with('|')) {
                rows.push(cells(row));
            }
            rows.retain(|row| !is_rule(row));
            Some(Block::Table(rows))
        } else if let Some(first) = line.strip_prefix("- ") {
            let mut items = vec![first.to_owned()];
            while let Some(next) = lines.next_if(|line| is_prose(line) || line.starts_with("- ")) {
                match (next.strip_prefix("- "), items.last_mut()) {
                    (None, Some(item)) => join(item, next),
                    (item, _) => items.push(item.unwrap_or(next).to_owned()),
                }
            }
            Some(Block::List(items))
        } else if is_prose(line) {
            let mut paragraph = line.to_owned();
            while let Some(next) = lines.next_if(|line| is_prose(line)) {
                join(&mut paragraph, next);
            }
            Some(Block::Paragraph(paragraph))
        } else {
            None
        };
        if let (Some(block), Some(section)) = (block, sections.last_mut()) {
            section.blocks.push(block);
        }
    }
    sections
}

fn heading(line: &str) -> Option<(usize, &str)> {
    let level = line.bytes().take_while(|byte| *byte == b'#').count();
    let heading = line.get(level..)?.strip_prefix(' ')?;
    matches!(level, 2 | 3).then_some((level, heading.trim()))
}

/// Whether a line goes on with a paragraph or an item rather than beginning something else.
fn is_prose(line: &str) -> bool {
    let other = ["```", "|", "- ", "# ", "## ", "### "];
    !line.trim().is_empty() && !other.iter().any(|begin| line.starts_with(begin))
}

fn join(text: &mut String, line: &str) {
    text.push(' ');
    text.push_str(line.trim());
}

/// The cells of a row. A bar within code does not end a cell where it is escaped.
fn cells(row: &str) -> Vec<String> {
    let row = row.trim().trim_start_matches('|');
    let row = row.strip_suffix('|').unwrap_or(row).replace("\\|", "\u{0}");
    row.split('|').map(|cell| cell.trim().replace('\u{0}', "|")).collect()
}

/// The row that only sets the headings apart.
fn is_rule(row: &[String]) -> bool {
    row.iter().all(|cell| !cell.is_empty() && cell.bytes().all(|byte| matches!(byte, b'-' | b':')))
}

/// A run of text in one manner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Run {
    pub(crate) text: String,
    pub(crate) manner: Manner,
}

/// How a run of text is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Manner {
    Plain,
    Strong,
    Code,
}

/// The runs of a paragraph, an item or a cell. A link becomes its text and where it leads: `topic` says
/// how a place in this document is named.
pub(crate) fn runs(text: &str, topic: impl Fn(&str) -> String) -> Vec<Run> {
    let mut runs: Vec<Run> = Vec::new();
    let mut rest = text;
    let mut push = |text: &str, manner| match runs.last_mut() {
        Some(Run { text: last, manner: same }) if *same == manner => last.push_str(text),
        _ if text.is_empty() => {}
        _ => runs.push(Run { text: text.to_owned(), manner }),
    };
    while let Some(at) = rest.find(['`', '*', '[']) {
        let (before, mark) = rest.split_at(at);
        push(before, Manner::Plain);
        rest = if let Some((code, after)) = between(mark, "`", "`") {
            push(&format!("`{code}`"), Manner::Code);
            after
        } else if let Some((strong, after)) = between(mark, "**", "**") {
            push(strong, Manner::Strong);
            after
        } else if let Some((emphasis, after)) = between(mark, "*", "*") {
            push(emphasis, Manner::Plain);
            after
        } else if let Some((text, (target, after))) =
            between(mark, "[", "](").and_then(|(text, after)| Some((text, after.split_once(')')?)))
        {
            push(text, Manner::Plain);
            match target.strip_prefix('#') {
                Some(anchor) => push(&format!(" ({})", topic(anchor)), Manner::Plain),
                None => push(&format!(" ({target})"), Manner::Plain),
            }
            after
        } else {
            let (first, after) = mark.split_at(1);
            push(first, Manner::Plain);
            after
        };
    }
    push(rest, Manner::Plain);
    runs
}

/// What stands between two marks at the beginning of a text, and what follows.
fn between<'a>(text: &'a str, open: &str, close: &str) -> Option<(&'a str, &'a str)> {
    let inner = text.strip_prefix(open)?;
    inner.split_once(close).filter(|(inner, _)| !inner.is_empty() && !inner.starts_with(' '))
}

/// The name by which a heading is linked to, as GitHub makes it.
pub(crate) fn anchor(heading: &str) -> String {
    let kept = heading.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.flat_map(char::to_lowercase).map(|c| if c == ' ' { '-' } else { c }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = "# Title\n\nLost.\n\n## One *thing*\n\nA line\nand another.\n\n- item\n  goes on\n- second\n\n```sh\n# no heading\n- no item\n```\n| a | b |\n|---|:-:|\n| `x \\| y` | |\n### Sub-topic, too\ntext";

    #[test]
    fn a_document_falls_into_sections_and_blocks() {
        let sections = sections(TEXT);
        let headings: Vec<_> = sections.iter().map(|s| (s.level, s.heading)).collect();
        assert_eq!(headings, [(2, "One *thing*"), (3, "Sub-topic, too")]);
        assert_eq!(
            sections[0].blocks,
            [
                Block::Paragraph("A line and another.".into()),
                Block::List(vec!["item goes on".into(), "second".into()]),
                Block::Code(vec!["# no heading", "- no item"]),
                Block::Table(vec![
                    vec!["a".into(), "b".into()],
                    vec!["`x | y`".into(), String::new()]
                ]),
            ]
        );
        assert_eq!(sections[1].blocks, [Block::Paragraph("text".into())]);
    }

    #[test]
    fn links_show_where_they_lead_and_marks_are_gone() {
        let shown = |text| -> Vec<(String, Manner)> {
            let runs = runs(text, |anchor| format!("help {anchor}"));
            runs.into_iter().map(|run| (run.text, run.manner)).collect()
        };
        let text =
            "**Now** run `a * b`, see [below](#the-end) or [it](https://x.y/), 2 * 3 [x] *so*.";
        let plain = |text: &str| (text.to_owned(), Manner::Plain);
        assert_eq!(
            shown(text),
            [
                ("Now".to_owned(), Manner::Strong),
                plain(" run "),
                ("`a * b`".to_owned(), Manner::Code),
                plain(", see below (help the-end) or it (https://x.y/), 2 * 3 [x] so."),
            ]
        );
        assert_eq!(shown(""), []);
    }

    #[test]
    fn anchors_are_those_of_the_page_on_the_web() {
        assert_eq!(anchor("OpenAI's libraries, too"), "openais-libraries-too");
        assert_eq!(anchor("The Codex CLI"), "the-codex-cli");
    }

    proptest! {
        #[test]
        fn any_text_is_read(text in "([#|`*\\[\\]()\\-: a\\n\\\\]|```){0,80}") {
            for section in sections(&text) {
                for block in section.blocks {
                    if let Block::Paragraph(text) = block {
                        let _ = runs(&text, str::to_owned);
                    }
                }
            }
            let joined: String = runs(&text, str::to_owned).into_iter().map(|run| run.text).collect();
            prop_assert!(joined.len() <= text.len() + 3);
        }
    }
}
