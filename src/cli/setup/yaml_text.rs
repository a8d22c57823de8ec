//! A YAML file changed in its text, at the places that a parser tells.
//!
//! YAML has a dozen ways to write the same thing, and printing it again loses comments, quotes and
//! indentation. So a parser is only asked where things stand: whole lines are put in and taken out, or one
//! value on a line is changed, and every other byte stays what it is. What was made is parsed again and
//! compared, value by value; a shape in which that does not come out is refused.

use std::collections::HashSet;
use std::ops::Range;

use super::agent::Refused;

mod tree;

pub(super) use tree::{Node, Value};
use tree::{Tree, found, says_nothing};

/// A text that is YAML: one document of `key: value` lines, or nothing but comments.
pub(super) struct YamlText<'t> {
    text: &'t str,
    top: Vec<(Node, Node)>,
    /// How far the top level is indented, in spaces; 0 but for odd files.
    indent: usize,
}

impl<'t> YamlText<'t> {
    /// # Errors
    /// [`Refused::Broken`]; [`Refused::Shape`] for YAML that is not one block of `key: value` lines.
    pub(super) fn parse(text: &'t str) -> Result<Self, Refused> {
        if text.replace("\r\n", "").contains('\r') {
            return Err(shape("its lines end in the way of old Macs"));
        }
        let Some(root) = Tree::read(text)? else {
            return Ok(Self { text, top: Vec::new(), indent: 0 });
        };
        let Value::Map(top) = root.value else {
            return Err(shape("it holds something else than `key: value` lines"));
        };
        if text[root.at.start..].starts_with('{') {
            return Err(shape("all of it stands in braces"));
        }
        let mut keys = HashSet::new();
        if let Some(doubled) =
            top.iter().filter_map(|(key, _)| key.text()).find(|key| !keys.insert(*key))
        {
            return Err(Refused::Shape(format!("`{doubled}` stands there twice")));
        }
        let indent =
            top.first().map_or(0, |(key, _)| key.at.start - line_start(text, key.at.start));
        Ok(Self { text, top, indent })
    }

    /// Whether it says nothing at all, but for comments.
    pub(super) fn is_empty(&self) -> bool {
        self.top.is_empty()
    }

    /// What stands under a key at the top.
    pub(super) fn get(&self, key: &str) -> Option<&Node> {
        found(&self.top, key).map(|(_, value)| value)
    }

    /// The text of a scalar at the top.
    pub(super) fn text_of(&self, key: &str) -> Option<&str> {
        self.get(key)?.text()
    }

    /// A scalar or empty list at the top as it is written; empty where nothing stands behind the colon.
    pub(super) fn written(&self, key: &str) -> Option<&'t str> {
        let (_, value) = found(&self.top, key)?;
        let empty = matches!(&value.value, Value::List(items) if items.is_empty());
        (empty || value.text().is_some()).then(|| &self.text[value.at.clone()])
    }

    /// The items of a list at the top; none where there is no such list.
    pub(super) fn items(&self, list: &str) -> &[Node] {
        match self.get(list).map(|node| &node.value) {
            Some(Value::List(items)) => items,
            _ => &[],
        }
    }

    /// The text with `key: value` at the top: in the place of a value on one line, else at the end. An empty
    /// `value` leaves the key alone on its line.
    ///
    /// # Errors
    /// [`Refused::Shape`] where another kind of value stands there.
    pub(super) fn with_top(&self, key: &str, value: &str) -> Result<String, Refused> {
        let Some((name, now)) = found(&self.top, key) else {
            return Ok(self.with_lines(&[format!("{key}: {value}")]));
        };
        let empty = matches!(&now.value, Value::List(items) if items.is_empty());
        let place = &self.text[name.at.end..now.at.end];
        if now.marked.is_some() || !(now.text().is_some() || empty) || place.contains('\n') {
            return Err(Refused::Shape(format!(
                "the value of `{key}` is not a word or two on its line"
            )));
        }
        let gap = if value.is_empty() { "" } else { " " };
        let behind = self.behind_colon(name, now)?;
        Ok(spliced(self.text, behind..now.at.end.max(behind), &format!("{gap}{value}")))
    }

    /// The text without a key at the top and the lines of its value.
    pub(super) fn without_top(&self, key: &str) -> String {
        let Some((name, value)) = found(&self.top, key) else { return self.text.to_owned() };
        let lines = self.lines_of(name.at.start..value.at.end.max(name.at.end));
        spliced(self.text, lines, "")
    }

    /// The text with items at the beginning of a list at the top; the list is made where it is missing. Each
    /// item is its lines, the first of which begins with `- `.
    ///
    /// # Errors
    /// [`Refused::Shape`] where something else stands there, or a list in brackets.
    pub(super) fn with_items(&self, list: &str, items: &[Vec<String>]) -> Result<String, Refused> {
        let lines: Vec<&String> = items.iter().flatten().collect();
        let deeper =
            |by: usize| lines.iter().map(|line| format!("{:by$}{line}", "")).collect::<Vec<_>>();
        let Some((name, now)) = found(&self.top, list) else {
            let all = [vec![format!("{list}:")], deeper(2)].concat();
            return Ok(self.with_lines(&all));
        };
        let block = matches!(&now.value, Value::List(items) if !items.is_empty())
            && !self.text[now.at.start..].starts_with('[');
        if !block {
            if !says_nothing(&now.value) {
                return Err(Refused::Shape(format!(
                    "`{list}` is not a list with a line for each item"
                )));
            }
            let bare = self.with_top(list, "")?;
            let parsed = YamlText::parse(&bare)?;
            let (name, _) = found(&parsed.top, list).expect("it was there before its value went");
            return Ok(parsed.with_lines_after(name.at.end, &deeper(self.indent + 2)));
        }
        let first = self.items(list).first().map_or(now.at.start, |item| item.at.start);
        let above = self.text[name.at.end..first].lines().skip(1);
        let dash = above
            .filter(|line| line.trim_start().starts_with('-'))
            .map(|line| line.find('-'))
            .next();
        let indent =
            dash.flatten().ok_or_else(|| shape("a list does not begin on a line of its own"))?;
        Ok(self.with_lines_after(name.at.end, &deeper(indent)))
    }

    /// The text without those items of a list at the top. The list stays, though it be empty.
    ///
    /// # Errors
    /// [`Refused::Shape`] where an item does not have its lines to itself.
    pub(super) fn without_items(
        &self,
        list: &str,
        goes: impl Fn(&Node) -> bool,
    ) -> Result<String, Refused> {
        let mut text = self.text.to_owned();
        for item in self.items(list).iter().rev().filter(|item| goes(item)) {
            let before = &self.text[line_start(self.text, item.at.start)..item.at.start];
            if before.trim() != "-" {
                return Err(Refused::Shape(format!(
                    "an item of `{list}` shares its lines with others"
                )));
            }
            text.replace_range(self.lines_of(item.at.clone()), "");
        }
        Ok(text)
    }

    /// Everything but these keys at the top and those items of `list`: what an edit has to leave as it is. A
    /// list that holds nothing else counts as missing.
    pub(super) fn beside(
        &self,
        keys: &[&str],
        list: &str,
        ours: impl Fn(&Node) -> bool,
    ) -> Vec<(Node, Node)> {
        let mut rest = self.top.clone();
        rest.retain(|(key, _)| !keys.iter().any(|ours| key.text() == Some(ours)));
        for (key, value) in &mut rest {
            if let (Some(name), Value::List(items)) = (key.text(), &mut value.value)
                && name == list
            {
                items.retain(|item| !ours(item));
            }
        }
        rest.retain(|(key, value)| key.text() != Some(list) || !says_nothing(&value.value));
        rest
    }

    /// Right behind the colon between a key and its value.
    fn behind_colon(&self, name: &Node, value: &Node) -> Result<usize, Refused> {
        let between = self.text[name.at.end..].find(':').map(|ahead| name.at.end + ahead + 1);
        let empty = value.at.is_empty();
        let fits = between.filter(|colon| empty || *colon <= value.at.start);
        fits.ok_or_else(|| shape("a key is written without a colon on its line"))
    }

    /// The text with lines at its end.
    fn with_lines(&self, lines: &[String]) -> String {
        let lines = lines.iter().map(|line| format!("{:width$}{line}", "", width = self.indent));
        self.with_lines_after(self.text.len(), &lines.collect::<Vec<_>>())
    }

    /// The text with lines after the one in which `at` stands.
    fn with_lines_after(&self, at: usize, lines: &[String]) -> String {
        let end = line_end(self.text);
        let at = if at == self.text.len() { at } else { self.end_of_line(at) };
        let (before, after) = self.text.split_at(at);
        let missing = if before.is_empty() || before.ends_with('\n') { "" } else { end };
        format!("{before}{missing}{}{end}{after}", lines.join(end))
    }

    /// The whole lines in which a range stands, the last line's end included.
    fn lines_of(&self, range: Range<usize>) -> Range<usize> {
        // A literal block ends where the next thing begins; its own last line is before that.
        let last = self.text[range.clone()].trim_end().len() + range.start;
        line_start(self.text, range.start)..self.end_of_line(last)
    }

    fn end_of_line(&self, at: usize) -> usize {
        self.text[at..].find('\n').map_or(self.text.len(), |ahead| at + ahead + 1)
    }
}

/// A string as a YAML scalar: bare where nobody could take it for something else.
pub(super) fn scalar(text: &str) -> String {
    let usual = |letter: char| letter.is_ascii_alphanumeric() || "-_./:".contains(letter);
    let bare = text.starts_with(|letter: char| letter.is_ascii_alphabetic())
        && text.chars().all(usual)
        && !text.ends_with(':')
        // Longer than every word that means a truth, a nothing or a number.
        && text.len() > "false".len();
    if bare { text.to_owned() } else { serde_json::Value::from(text).to_string() }
}

fn shape(why: &str) -> Refused {
    Refused::Shape(why.to_owned())
}

fn spliced(text: &str, range: Range<usize>, with: &str) -> String {
    let mut text = text.to_owned();
    text.replace_range(range, with);
    text
}

fn line_start(text: &str, at: usize) -> usize {
    text[..at].rfind('\n').map_or(0, |before| before + 1)
}

/// How lines end in a text, by its first.
fn line_end(text: &str) -> &'static str {
    let first = text.find('\n').map(|at| &text[..at]);
    if first.is_some_and(|line| line.ends_with('\r')) { "\r\n" } else { "\n" }
}

#[cfg(test)]
mod tests;
