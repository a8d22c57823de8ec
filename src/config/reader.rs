//! Walks a parsed TOML tree and says, for every fault, where it is, what was found and what was
//! expected.

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::ConfigError;

/// The text being read, for turning byte positions into lines.
#[derive(Clone, Copy)]
pub(super) struct Source<'t> {
    pub(super) text: &'t str,
    pub(super) path: &'t Path,
}

impl Source<'_> {
    /// An error at `span`.
    pub(super) fn wrong(&self, span: Range<usize>, message: impl Into<String>) -> ConfigError {
        let before = self.text.get(..span.start).unwrap_or(self.text);
        let line_start = before.rfind('\n').map_or(0, |at| at + 1);
        ConfigError::Wrong {
            path: self.path.to_owned(),
            line: before.matches('\n').count() + 1,
            column: before[line_start..].chars().count() + 1,
            message: message.into(),
        }
    }
}

/// One table of the file, whose keys are all known.
pub(super) struct Section<'t> {
    source: Source<'t>,
    /// As in the file's brackets; empty for the top level.
    name: String,
    table: &'t DeTable<'t>,
    span: Range<usize>,
}

impl<'t> Section<'t> {
    /// Takes a table and refuses keys that are not among `known`.
    pub(super) fn new(
        source: Source<'t>,
        name: String,
        table: &'t Spanned<DeTable<'t>>,
        known: &[&str],
    ) -> Result<Self, ConfigError> {
        Self::over(source, name, table.get_ref(), table.span(), known)
    }

    fn over(
        source: Source<'t>,
        name: String,
        table: &'t DeTable<'t>,
        span: Range<usize>,
        known: &[&str],
    ) -> Result<Self, ConfigError> {
        let section = Self { source, name, table, span };
        for key in table.keys() {
            if !known.contains(&key.get_ref().as_ref()) {
                return Err(section.unknown(key, known));
            }
        }
        Ok(section)
    }

    fn unknown(&self, key: &Spanned<toml::de::DeString<'_>>, known: &[&str]) -> ConfigError {
        let found = key.get_ref().as_ref();
        let place = if self.name.is_empty() {
            "at the top".to_owned()
        } else {
            format!("in [{}]", self.name)
        };
        let message = match nearest(found, known) {
            Some(near) => format!("unknown key `{found}` {place}; did you mean `{near}`?"),
            None => format!("unknown key `{found}` {place}; expected one of {}", known.join(", ")),
        };
        self.source.wrong(key.span(), message)
    }

    /// The table under `key`, which may hold only the keys `known`; `None` where it is absent.
    pub(super) fn section(
        &self,
        key: &str,
        known: &[&str],
    ) -> Result<Option<Section<'t>>, ConfigError> {
        let Some(value) = self.table.get(key) else {
            return Ok(None);
        };
        let DeValue::Table(table) = value.get_ref() else {
            return Err(self.expected(key, value, &format!("a table, as [{key}]")));
        };
        Self::over(self.source, self.join(key), table, value.span(), known).map(Some)
    }

    /// The tables under `key` whose names are the person's own, with those names.
    pub(super) fn named_sections(
        &self,
        key: &str,
        known: &[&str],
    ) -> Result<Vec<(String, Section<'t>)>, ConfigError> {
        let Some(value) = self.table.get(key) else {
            return Ok(Vec::new());
        };
        let DeValue::Table(tables) = value.get_ref() else {
            return Err(self.expected(key, value, &format!("tables, as [{key}.NAME]")));
        };
        let mut sections = Vec::new();
        for (name, value) in tables {
            let name = name.get_ref().as_ref();
            let DeValue::Table(table) = value.get_ref() else {
                return Err(self.expected(name, value, &format!("a table, as [{key}.{name}]")));
            };
            let full = format!("{}.{name}", self.join(key));
            sections.push((
                name.to_owned(),
                Self::over(self.source, full, table, value.span(), known)?,
            ));
        }
        Ok(sections)
    }

    /// A text, turned into what it means by `read`.
    pub(super) fn text<T>(
        &self,
        key: &str,
        expected: &str,
        read: impl FnOnce(&str) -> Option<T>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(value) = self.table.get(key) else {
            return Ok(None);
        };
        let meant = value.get_ref().as_str().and_then(read);
        meant.map(Some).ok_or_else(|| self.expected(key, value, expected))
    }

    /// A text whose reader can say more exactly what is wrong with it.
    pub(super) fn told<T>(
        &self,
        key: &str,
        expected: &str,
        read: impl FnOnce(&str) -> Result<T, &'static str>,
    ) -> Result<Option<T>, ConfigError> {
        let Some(value) = self.table.get(key) else {
            return Ok(None);
        };
        let Some(text) = value.get_ref().as_str() else {
            return Err(self.expected(key, value, expected));
        };
        match read(text) {
            Ok(meant) => Ok(Some(meant)),
            Err(why) => {
                let message =
                    format!("`{key}` {why}: found {}, expected {expected}", shown(value.get_ref()));
                Err(self.source.wrong(value.span(), message))
            }
        }
    }

    /// A whole number in `range`.
    pub(super) fn number(
        &self,
        key: &str,
        range: std::ops::RangeInclusive<u64>,
    ) -> Result<Option<u64>, ConfigError> {
        let Some(value) = self.table.get(key) else {
            return Ok(None);
        };
        match integer(value.get_ref()).filter(|n| range.contains(n)) {
            Some(number) => Ok(Some(number)),
            None => Err(self.expected(
                key,
                value,
                &format!("a whole number from {} to {}", range.start(), range.end()),
            )),
        }
    }

    /// A list, each item turned into what it means by `read`.
    pub(super) fn list<T>(
        &self,
        key: &str,
        expected: &str,
        read: impl Fn(&DeValue<'_>) -> Option<T>,
    ) -> Result<Option<Vec<T>>, ConfigError> {
        let Some(value) = self.table.get(key) else {
            return Ok(None);
        };
        let DeValue::Array(items) = value.get_ref() else {
            return Err(self.expected(key, value, expected));
        };
        let mut list = Vec::new();
        for item in items.iter() {
            list.push(read(item.get_ref()).ok_or_else(|| self.expected(key, item, expected))?);
        }
        Ok(Some(list))
    }

    /// An error at the value of `key` (or at the section, where it is absent).
    pub(super) fn wrong(&self, key: &str, message: impl Into<String>) -> ConfigError {
        let span = self.table.get(key).map_or_else(|| self.span.clone(), Spanned::span);
        self.source.wrong(span, message)
    }

    fn expected(&self, key: &str, value: &Spanned<DeValue<'_>>, expected: &str) -> ConfigError {
        let message = format!("`{key}`: found {}, expected {expected}", shown(value.get_ref()));
        self.source.wrong(value.span(), message)
    }

    fn join(&self, key: &str) -> String {
        if self.name.is_empty() { key.to_owned() } else { format!("{}.{key}", self.name) }
    }
}

/// A decimal whole number that is not negative.
pub(super) fn integer(value: &DeValue<'_>) -> Option<u64> {
    value.as_integer().filter(|i| i.radix() == 10).and_then(|i| i.as_str().parse().ok())
}

/// A value as it is named in an error: short ones are quoted, others only called by their type.
fn shown(value: &DeValue<'_>) -> String {
    const QUOTED_CHARS_MAX: usize = 60;
    match value {
        DeValue::String(text) if text.chars().count() <= QUOTED_CHARS_MAX => {
            format!("{:?}", without_password(text))
        }
        DeValue::String(_) => "a long text".to_owned(),
        DeValue::Integer(number) => format!("the number {}", number.as_str()),
        DeValue::Float(number) => format!("the number {}", number.as_str()),
        DeValue::Boolean(truth) => truth.to_string(),
        DeValue::Datetime(_) => "a date".to_owned(),
        DeValue::Array(_) => "a list".to_owned(),
        DeValue::Table(_) => "a table".to_owned(),
    }
}

/// An address without who signs in there, and with what: errors are pasted into reports.
fn without_password(text: &str) -> Cow<'_, str> {
    match text.rsplit_once('@') {
        Some((_, host)) => format!("…@{host}").into(),
        None => text.into(),
    }
}

/// The known key that differs least, where one differs little enough to have been meant.
fn nearest<'k>(found: &str, known: &[&'k str]) -> Option<&'k str> {
    let (distance, near) = known.iter().map(|key| (distance(found, key), *key)).min()?;
    (distance <= near.len().div_ceil(3)).then_some(near)
}

/// Levenshtein's distance in characters; keys are short, so the simple quadratic form serves.
fn distance(left: &str, right: &str) -> usize {
    // A mistyped key is never much longer than a real one; this bounds the work for hostile files.
    const CHARS_MAX: usize = 64;
    let right: Vec<char> = right.chars().collect();
    let mut row: Vec<usize> = (0..=right.len()).collect();
    for (i, l) in left.chars().take(CHARS_MAX).enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, r) in right.iter().enumerate() {
            let replaced = diagonal + usize::from(l != *r);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[right.len()]
}
