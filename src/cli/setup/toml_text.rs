//! A TOML file changed in its text, at the places that a parser tells.
//!
//! Whoever parses a file and prints it again has lost something of it: line endings, a byte order mark,
//! the order of tables. So the parser (toml_edit) is only asked where things stand, lines are put in and
//! taken out there, and every other byte stays what it is.

use std::ops::Range;

use toml_edit::{Document, Item, Table, TableLike};

use super::agent::Refused;

/// A text that is TOML.
pub(super) struct TomlText<'t> {
    text: &'t str,
    document: Document<&'t str>,
}

impl<'t> TomlText<'t> {
    /// # Errors
    /// [`Refused::Broken`].
    pub(super) fn parse(text: &'t str) -> Result<Self, Refused> {
        let document = Document::parse(text).map_err(|error| {
            let at = error.span().map_or(0, |span| span.start);
            Refused::broken(text, at, format!("not TOML: {}", error.message()))
        })?;
        Ok(Self { text, document })
    }

    /// What stands under this path, however it is written.
    pub(super) fn get(&self, path: &[&str]) -> Option<&Item> {
        let top: &dyn TableLike = self.document.as_table();
        let (last, above) = path.split_last()?;
        let table = above.iter().try_fold(top, |table, name| table.get(name)?.as_table_like())?;
        table.get(last)
    }

    /// The text of a value under this path.
    pub(super) fn text_of(&self, path: &[&str]) -> Option<&str> {
        self.get(path)?.as_str()
    }

    /// A value as it is written.
    pub(super) fn written(&self, path: &[&str]) -> Option<&'t str> {
        let item = self.get(path)?;
        item.as_value()?;
        self.text.get(item.span()?)
    }

    /// The text with this value at the top level, as `key = value`: in the place of the one that is there,
    /// else after the last that is, else before everything.
    pub(super) fn with_top(&self, key: &str, value: &str) -> Result<String, Refused> {
        let line = format!("{key} = {value}{}", self.line_end());
        match self.get(&[key]) {
            Some(item) => {
                let span = item.as_value().and(item.span()).ok_or_else(|| not_a_value(key))?;
                Ok(replaced(self.text, span, value))
            }
            None => Ok(match self.last_value(self.document.as_table()) {
                Some(end) => self.with_line_after(end, &line),
                None if self.text.is_empty() => line,
                None => format!("{line}{}{}", self.line_end(), self.text),
            }),
        }
    }

    /// The text with this value in the table under a header, after what it holds already.
    pub(super) fn with_value(
        &self,
        table: &str,
        key: &str,
        value: &str,
    ) -> Result<String, Refused> {
        let found = self.get(&[table]).and_then(Item::as_table).filter(|table| !table.is_dotted());
        let header = found.filter(|table| !table.is_implicit()).and_then(|table| {
            let after = self.last_value(table).or(table.span().map(|span| span.end));
            after.map(|end| {
                self.with_line_after(end, &format!("{key} = {value}{}", self.line_end()))
            })
        });
        header.ok_or_else(|| {
            Refused::Shape(format!("`{table}` does not stand under a header [{table}]"))
        })
    }

    /// The text without the line of a value that has one of its own.
    pub(super) fn without_line(&self, path: &[&str]) -> String {
        let line = self
            .written(path)
            .and(self.get(path))
            .and_then(Item::span)
            .map(|span| self.lines_of(span));
        let Some(mut line) = line else { return self.text.to_owned() };
        // A first line of ours had a blank one after it.
        if line.start == 0 {
            let rest = &self.text[line.end..];
            line.end += rest.len() - rest.strip_prefix(self.line_end()).unwrap_or(rest).len();
        }
        replaced(self.text, line, "")
    }

    /// The text with the value under this path as it was once written.
    pub(super) fn with_written(&self, path: &[&str], value: &str) -> String {
        let span = self.written(path).and(self.get(path)).and_then(Item::span);
        span.map_or_else(|| self.text.to_owned(), |span| replaced(self.text, span, value))
    }

    /// The text with lines at its end, a blank one before them. The lines end in `\n`, and are written
    /// with the file's own line ends.
    pub(super) fn with_block(&self, lines: &str) -> String {
        let end = self.line_end();
        let between = match self.text {
            "" => String::new(),
            text if text.ends_with('\n') => end.to_owned(),
            _ => end.repeat(2),
        };
        format!("{}{between}{}", self.text, lines.replace('\n', end))
    }

    /// The text without the tables that stand under headers at this path and below it, and without the
    /// blank line that set them apart.
    ///
    /// # Errors
    /// [`Refused::Shape`] where they are written in another way.
    pub(super) fn without_tables(&self, path: &[&str]) -> Result<String, Refused> {
        let Some(item) = self.get(path) else { return Ok(self.text.to_owned()) };
        let name = path.join(".");
        let mut ranges = Vec::new();
        let table = item.as_table().filter(|table| !table.is_dotted());
        let table = table.ok_or_else(|| {
            Refused::Shape(format!("`{name}` does not stand under a header [{name}]"))
        })?;
        self.tables(table, &mut ranges);
        ranges.sort_by_key(|range| range.start);
        let mut text = self.text.to_owned();
        for range in ranges.into_iter().rev() {
            let range = self.with_blank_line(range);
            text.replace_range(range, "");
        }
        Ok(text)
    }

    /// The places of a table under a header and of those below it, in whole lines.
    fn tables(&self, table: &Table, ranges: &mut Vec<Range<usize>>) {
        if let Some(header) = table.span().filter(|_| !table.is_implicit()) {
            let end = self.last_value(table).unwrap_or(header.end);
            ranges.push(self.lines_of(header.start..end));
        }
        for (_, item) in table.iter() {
            match item {
                Item::Table(below) if !below.is_dotted() => self.tables(below, ranges),
                Item::ArrayOfTables(below) => {
                    below.iter().for_each(|table| self.tables(table, ranges))
                }
                _ => {}
            }
        }
    }

    /// Where the last of the values ends that stand in this table itself.
    fn last_value(&self, table: &Table) -> Option<usize> {
        let ends = table.iter().filter_map(|(_, item)| match item {
            Item::Value(_) => item.span().map(|span| span.end),
            Item::Table(below) if below.is_dotted() => self.last_value(below),
            _ => None,
        });
        ends.max()
    }

    /// `range` and the rest of its first and last lines, the last line's end included.
    fn lines_of(&self, range: Range<usize>) -> Range<usize> {
        let start = self.text[..range.start].rfind('\n').map_or(0, |at| at + 1);
        start..self.end_of_line(range.end)
    }

    fn end_of_line(&self, at: usize) -> usize {
        self.text[at..].find('\n').map_or(self.text.len(), |ahead| at + ahead + 1)
    }

    /// `lines` and a blank line before them, where what is left does not need it to set two things apart.
    fn with_blank_line(&self, lines: Range<usize>) -> Range<usize> {
        let (before, after) = (&self.text[..lines.start], &self.text[lines.end..]);
        let blank = before.strip_suffix("\r\n").or(before.strip_suffix('\n'));
        let blank = blank.filter(|above| above.is_empty() || above.ends_with('\n'));
        match blank {
            Some(above)
                if after.trim_start_matches(['\r', '\n']).len() < after.len()
                    || after.is_empty() =>
            {
                above.len()..lines.end
            }
            _ => lines,
        }
    }

    /// The text with a line after the one in which `at` stands.
    fn with_line_after(&self, at: usize, line: &str) -> String {
        let end = self.end_of_line(at);
        let (before, after) = self.text.split_at(end);
        let missing = if before.ends_with('\n') { "" } else { self.line_end() };
        format!("{before}{missing}{line}{after}")
    }

    /// How lines end in this file, by its first.
    fn line_end(&self) -> &'static str {
        let first = self.text.find('\n').map(|at| &self.text[..at]);
        if first.is_some_and(|line| line.ends_with('\r')) { "\r\n" } else { "\n" }
    }
}

/// A string as TOML writes it.
pub(super) fn quoted(text: &str) -> String {
    toml_edit::Value::from(text).to_string()
}

/// Strings as a TOML list.
pub(super) fn list(words: &[String]) -> String {
    format!("[{}]", words.iter().map(|word| quoted(word)).collect::<Vec<_>>().join(", "))
}

fn replaced(text: &str, range: Range<usize>, with: &str) -> String {
    let mut text = text.to_owned();
    text.replace_range(range, with);
    text
}

fn not_a_value(key: &str) -> Refused {
    Refused::Shape(format!("`{key}` is a table here, and not a value"))
}
