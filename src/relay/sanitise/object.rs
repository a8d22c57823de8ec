//! JSON objects taken apart one level deep, and put together again.
//!
//! A request or an answer of a megabyte is changed in a few places. What is not changed stays the text it
//! was: it is neither built into a tree nor written anew, so that numbers, escapes and the order of
//! members come out as they went in, and nothing is so deep that it could exhaust a stack.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;
use std::ops::Range;

use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

/// Up to so many members, comparing each with each is quicker than a table.
const FEW: usize = 24;

/// The members of an object in their order, values as they stand. Of a name that comes twice the last
/// counts, as with most readers of JSON.
#[derive(Debug)]
pub(in crate::relay) struct Object<'a> {
    members: Vec<(Cow<'a, str>, &'a str)>,
}

/// A name as it stands, where it has no escapes in it.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de> Deserialize<'de> for Object<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Members;
        impl<'de> Visitor<'de> for Members {
            type Value = Vec<(Cow<'de, str>, &'de str)>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Vec::new();
                while let Some(Name(name)) = map.next_key()? {
                    members.push((name, map.next_value::<&RawValue>()?.get()));
                }
                Ok(members)
            }
        }
        let mut members = deserializer.deserialize_map(Members)?;
        drop_repeated(&mut members);
        Ok(Self { members })
    }
}

fn drop_repeated(members: &mut Vec<(Cow<'_, str>, &str)>) {
    let last: Vec<bool> = if members.len() <= FEW {
        let again = |at: usize| members[at + 1..].iter().any(|(name, _)| *name == members[at].0);
        (0..members.len()).map(|at| !again(at)).collect()
    } else {
        let places = members.iter().enumerate().map(|(at, (name, _))| (&**name, at));
        let places: HashMap<&str, usize> = places.collect();
        members.iter().enumerate().map(|(at, (name, _))| places[&**name] == at).collect()
    };
    let mut last = last.into_iter();
    members.retain(|_| last.next().unwrap_or(true));
}

impl<'a> Object<'a> {
    /// Reads an object, and nothing else. White space around it is allowed.
    pub(in crate::relay) fn read(text: &'a str) -> Option<Self> {
        is_object(text).then(|| serde_json::from_str(text).ok()).flatten()
    }

    /// The value of a member, as it stands.
    pub(in crate::relay) fn get(&self, name: &str) -> Option<&'a str> {
        self.members.iter().find(|(known, _)| known == name).map(|(_, value)| *value)
    }

    /// The value of a member that is a string without escapes, as names and kinds are.
    pub(in crate::relay) fn word(&self, name: &str) -> Option<Cow<'a, str>> {
        self.get(name).and_then(string)
    }

    pub(in crate::relay) fn members(&self) -> &[(Cow<'a, str>, &'a str)] {
        &self.members
    }

    pub(in crate::relay) fn members_mut(&mut self) -> &mut Vec<(Cow<'a, str>, &'a str)> {
        &mut self.members
    }

    /// The object with these members in place of its own, each where its own stood, or behind all others
    /// where it had none; `None` leaves a member out.
    pub(in crate::relay) fn with(&self, changes: &[(&str, Option<&str>)]) -> String {
        let length = |value: Option<&str>| value.map_or(0, str::len) + 32;
        let own: usize =
            self.members.iter().map(|(name, value)| name.len() + value.len() + 4).sum();
        let new: usize = changes.iter().map(|(_, value)| length(*value)).sum();
        let mut written = Writer::new(own + new);
        for (name, value) in &self.members {
            match changes.iter().find(|(changed, _)| changed == name) {
                None => written.member(name, value),
                Some((_, Some(value))) => written.member(name, value),
                Some((_, None)) => {}
            }
        }
        for (name, value) in changes {
            if let Some(value) = value.filter(|_| self.get(name).is_none()) {
                written.member(name, value);
            }
        }
        written.finish()
    }
}

/// Writes an object.
pub(in crate::relay) struct Writer(String);

impl Writer {
    pub(in crate::relay) fn new(capacity: usize) -> Self {
        let mut out = String::with_capacity(capacity + 2);
        out.push('{');
        Self(out)
    }

    /// Adds a member, whose value is JSON already.
    pub(in crate::relay) fn member(&mut self, name: &str, value: &str) {
        if self.0.len() > 1 {
            self.0.push(',');
        }
        if name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_') {
            self.0.extend(["\"", name, "\":", value]);
        } else {
            self.0.extend([quoted(name).as_str(), ":", value]);
        }
    }

    pub(in crate::relay) fn finish(mut self) -> String {
        self.0.push('}');
        self.0
    }
}

/// A list of values that are JSON already.
pub(in crate::relay) fn list_of<T: AsRef<str>>(values: &[T]) -> String {
    let mut out = String::with_capacity(
        values.iter().map(|value| value.as_ref().len() + 1).sum::<usize>() + 2,
    );
    out.push('[');
    for (at, value) in values.iter().enumerate() {
        out.push_str(if at > 0 { "," } else { "" });
        out.push_str(value.as_ref());
    }
    out.push(']');
    out
}

/// The elements of a list, as they stand.
pub(in crate::relay) fn list(text: &str) -> Option<Vec<&str>> {
    let elements: Vec<&RawValue> = serde_json::from_str(text).ok()?;
    Some(elements.into_iter().map(RawValue::get).collect())
}

/// Text as a JSON string.
pub(in crate::relay) fn quoted(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// What a JSON string says; `None` for what is no string, or one that is no text (half a surrogate pair).
pub(in crate::relay) fn string(value: &str) -> Option<Cow<'_, str>> {
    let inner = within_quotes(value)?;
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Some(Cow::Borrowed(inner));
    }
    serde_json::from_str(value).ok().map(Cow::Owned)
}

/// A JSON string without its quotes, escapes as they stand: texts can be joined without reading them.
pub(in crate::relay) fn within_quotes(value: &str) -> Option<&str> {
    value.strip_prefix('"')?.strip_suffix('"')
}

/// Whether a value is an object, by its first character.
pub(in crate::relay) fn is_object(value: &str) -> bool {
    value.trim_ascii_start().starts_with('{')
}

/// Where `inner` stands in `outer`, of which it was taken.
pub(in crate::relay) fn span(outer: &str, inner: &str) -> Range<usize> {
    let start = (inner.as_ptr() as usize).wrapping_sub(outer.as_ptr() as usize);
    start..start.wrapping_add(inner.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_is_put_together_as_it_was() {
        let object = Object::read(r#" {"a": 1e400, "b\n":[ 1 ] ,"c":"\ud800"} "#).unwrap();
        assert_eq!(object.with(&[]), r#"{"a":1e400,"b\n":[ 1 ],"c":"\ud800"}"#);
        let changes = [("a", Some("2")), ("c", None), ("d", Some("[]")), ("e", None)];
        assert_eq!(object.with(&changes), r#"{"a":2,"b\n":[ 1 ],"d":[]}"#);
        assert_eq!(Object::read("{}").unwrap().with(&[("a", Some("1"))]), r#"{"a":1}"#);
    }

    #[test]
    fn of_a_repeated_name_the_last_counts_however_many_there_are() {
        assert_eq!(
            Object::read(r#"{"a":1,"b":2,"\u0061":3}"#).unwrap().with(&[]),
            r#"{"b":2,"a":3}"#
        );
        let many: Vec<String> =
            (0..100_000).map(|at| format!(r#""k{}":{at}"#, at % 50_000)).collect();
        let text = format!("{{{}}}", many.join(","));
        let object = Object::read(&text).unwrap();
        assert_eq!(object.members().len(), 50_000);
        assert_eq!(object.get("k49999"), Some("99999"));
    }

    #[test]
    fn what_is_no_object_is_none() {
        for text in ["", "[]", "1", "\"{}\"", "null", "{", "{}x", "{\"a\":}", "{\"\\ud800\":1}"] {
            assert!(Object::read(text).is_none(), "{text}");
        }
    }

    #[test]
    fn depth_costs_no_stack() {
        let deep = format!(r#"{{"a":{}{}}}"#, "[".repeat(500_000), "]".repeat(500_000));
        assert_eq!(Object::read(&deep).unwrap().with(&[]), deep);
    }

    #[test]
    fn strings_are_read_where_they_are_text() {
        assert_eq!(string(r#""a""#).as_deref(), Some("a"));
        assert_eq!(string(r#""\u00e9\n""#).as_deref(), Some("é\n"));
        assert_eq!(string(r#""\ud800""#), None);
        assert_eq!(string("1"), None);
        assert_eq!(string("\""), None);
    }
}
