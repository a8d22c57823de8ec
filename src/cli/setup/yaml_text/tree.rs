//! A YAML document as nodes that know where they stand.

use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

use super::super::agent::Refused;

/// How deep lists and mappings may stand in each other. People write five; a recursion over them has an end.
const DEPTH_MAX: usize = 64;

/// A value and where it stands. Two are equal when they say the same, wherever that is.
#[derive(Clone, Debug)]
pub(in super::super) struct Node {
    pub(in super::super) value: Value,
    /// An anchor or a tag: somebody else may refer to it, or it is more than it looks.
    pub(super) marked: Option<(usize, Option<Tag>)>,
    /// In bytes of the text.
    pub(super) at: Range<usize>,
}

/// What a node holds.
#[derive(Clone, Debug, PartialEq)]
pub(in super::super) enum Value {
    /// A scalar, and whether it stands in quotes (`"1"` is no number).
    Text(String, bool),
    /// A list.
    List(Vec<Node>),
    /// A mapping, in the order of the file.
    Map(Vec<(Node, Node)>),
    /// A reference to an anchor.
    Alias(usize),
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value && self.marked == other.marked
    }
}

impl Node {
    /// The text of a scalar.
    pub(in super::super) fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Text(text, _) => Some(text),
            _ => None,
        }
    }

    /// Whether it says all that `other` does; its mappings may say more.
    pub(in super::super) fn covers(&self, other: &Node) -> bool {
        match (&self.value, &other.value) {
            (Value::Map(these), Value::Map(others)) => others.iter().all(|(key, other)| {
                let key = key.text().unwrap_or_default();
                found(these, key).is_some_and(|(_, this)| this.covers(other))
            }),
            (this, other) => this == other,
        }
    }

    /// What stands under a key of a mapping.
    pub(in super::super) fn get(&self, key: &str) -> Option<&Node> {
        match &self.value {
            Value::Map(pairs) => found(pairs, key).map(|(_, value)| value),
            _ => None,
        }
    }
}

/// The pair of a key.
pub(super) fn found<'n>(pairs: &'n [(Node, Node)], key: &str) -> Option<&'n (Node, Node)> {
    pairs.iter().find(|(name, _)| name.text() == Some(key))
}

/// Whether a value stands for none: an empty list, or one of the ways to write null.
pub(super) fn says_nothing(value: &Value) -> bool {
    match value {
        Value::List(items) => items.is_empty(),
        Value::Text(text, quoted) => !quoted && ["", "~", "null"].contains(&text.as_str()),
        _ => false,
    }
}

/// A document on the way from events to nodes.
pub(super) struct Tree<'t> {
    text: &'t str,
    /// Where each character begins, and the end: the parser counts characters.
    bytes: Vec<usize>,
    open: Vec<Open>,
    root: Option<Node>,
}

/// A list or mapping whose end has not been met.
struct Open {
    start: usize,
    marked: Option<(usize, Option<Tag>)>,
    is_map: bool,
    nodes: Vec<Node>,
}

impl<'t> Tree<'t> {
    /// The only document of a text; nothing where it says nothing.
    pub(super) fn read(text: &'t str) -> Result<Option<Node>, Refused> {
        let bytes = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
        let mut tree = Self { text, bytes, open: Vec::new(), root: None };
        let mut documents = 0;
        for event in Parser::new_from_str(text) {
            let (event, span) = event.map_err(|error| {
                Refused::broken(
                    text,
                    tree.byte(error.marker().index()),
                    format!("not YAML: {}", error.info()),
                )
            })?;
            documents += usize::from(matches!(event, Event::DocumentStart(_)));
            if documents > 1 {
                return Err(super::shape("it holds more than one document"));
            }
            tree.take(event, span)?;
        }
        Ok(tree.root.filter(|root| !(root.at.is_empty() && says_nothing(&root.value))))
    }

    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Refused> {
        let at = self.byte(span.start.index())..self.byte(span.end.index());
        match event {
            Event::SequenceStart(anchor, tag) => {
                self.begin(at.start, false, marks(anchor, tag.as_deref()))
            }
            Event::MappingStart(anchor, tag) => {
                self.begin(at.start, true, marks(anchor, tag.as_deref()))
            }
            Event::SequenceEnd | Event::MappingEnd => {
                self.end(at.start);
                Ok(())
            }
            Event::Scalar(text, style, anchor, tag) => {
                let at = self.scalar_at(at, style);
                let quoted = !matches!(style, ScalarStyle::Plain);
                let value = Value::Text(text.into_owned(), quoted);
                self.put(Node { value, marked: marks(anchor, tag.as_deref()), at });
                Ok(())
            }
            Event::Alias(anchor) => {
                self.put(Node { value: Value::Alias(anchor), marked: None, at });
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn begin(
        &mut self,
        start: usize,
        is_map: bool,
        marked: Option<(usize, Option<Tag>)>,
    ) -> Result<(), Refused> {
        if self.open.len() == DEPTH_MAX {
            return Err(super::shape("it is nested deeper than anybody could read"));
        }
        self.open.push(Open { start, marked, is_map, nodes: Vec::new() });
        Ok(())
    }

    fn end(&mut self, end: usize) {
        let Some(open) = self.open.pop() else { return };
        // With a bracket one ends there; without, the end is told where the next thing begins.
        let bracket = self.text[end..].starts_with([']', '}']);
        let last = open.nodes.last().map_or(open.start, |node| node.at.end);
        let at = open.start..if bracket { (end + 1).max(last) } else { last };
        let value = if open.is_map {
            let mut pairs = Vec::with_capacity(open.nodes.len() / 2);
            let mut nodes = open.nodes.into_iter();
            while let (Some(key), Some(value)) = (nodes.next(), nodes.next()) {
                pairs.push((key, value));
            }
            Value::Map(pairs)
        } else {
            Value::List(open.nodes)
        };
        self.put(Node { value, marked: open.marked, at });
    }

    fn put(&mut self, node: Node) {
        match self.open.last_mut() {
            Some(open) => open.nodes.push(node),
            None => self.root = Some(node),
        }
    }

    /// Where a scalar stands, without what the parser counts as its tail: a comment behind quotes, blank
    /// lines below a literal block.
    fn scalar_at(&self, at: Range<usize>, style: ScalarStyle) -> Range<usize> {
        let written = &self.text[at.clone()];
        let length = match style {
            ScalarStyle::DoubleQuoted => quoted_length(written, '"'),
            ScalarStyle::SingleQuoted => quoted_length(written, '\''),
            _ => written.trim_end().len(),
        };
        at.start..at.start + length
    }

    fn byte(&self, character: usize) -> usize {
        self.bytes.get(character).copied().unwrap_or(self.text.len())
    }
}

fn marks(anchor: usize, tag: Option<&Tag>) -> Option<(usize, Option<Tag>)> {
    (anchor != 0 || tag.is_some()).then(|| (anchor, tag.cloned()))
}

/// How long a quoted scalar is, its quotes included. A doubled single quote is two scalars side by side
/// here, which has the same length.
fn quoted_length(written: &str, quote: char) -> usize {
    let mut letters = written.char_indices().skip(1).peekable();
    while let Some((at, letter)) = letters.next() {
        let next = letters.peek().map(|(_, next)| *next);
        if quote == '"' && letter == '\\' || quote == '\'' && letter == quote && next == Some(quote)
        {
            letters.next();
        } else if letter == quote {
            return at + 1;
        }
    }
    written.len()
}
