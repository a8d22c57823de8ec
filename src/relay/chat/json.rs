//! JSON as it came and as it goes on: values are told apart and copied, but never built into a tree.
//!
//! A conversation may be megabytes of text, every bit of which is already a JSON string and stays one.
//! Copying it raw is the fastest way and the exact one: no escape is spelt differently at the far end.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use serde::Deserialize;
use serde::de::{Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

/// Members of one object at most. The API knows some forty; a bound keeps `{"a":0,"a":0,…}` from
/// costing many times its size.
const MAX_MEMBERS: usize = 256;

/// Elements of one list at most: more messages than any model's window could hold.
const MAX_ELEMENTS: usize = 65_536;

/// An object's members in their order, each value as it was written. Of a repeated one the last counts.
#[derive(Clone, Debug, Default)]
pub(super) struct Members<'a>(Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'a> Members<'a> {
    /// A member's JSON text; `null` is the same as its absence, as it is to OpenAI's API.
    pub(super) fn get(&self, name: &str) -> Option<&'a str> {
        let (_, value) = self.0.iter().find(|(known, _)| known == name)?;
        Some(value.get()).filter(|text| *text != "null")
    }

    fn add<E: Error>(&mut self, name: Cow<'a, str>, value: &'a RawValue) -> Result<(), E> {
        if let Some(known) = self.0.iter_mut().find(|(known, _)| *known == name) {
            known.1 = value;
        } else if self.0.len() < MAX_MEMBERS {
            self.0.push((name, value));
        } else {
            return Err(E::custom("too many members in one object"));
        }
        Ok(())
    }

    /// Every member that is not `null`.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &'a str)> {
        let members = self.0.iter().map(|(name, value)| (name.as_ref(), value.get()));
        members.filter(|(_, value)| *value != "null")
    }
}

#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

impl<'de: 'a, 'a> Deserialize<'de> for Members<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Ordered<'a>(PhantomData<Members<'a>>);
        impl<'de: 'a, 'a> Visitor<'de> for Ordered<'a> {
            type Value = Members<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut members = Members::default();
                while let Some(Name(name)) = map.next_key()? {
                    members.add(name, map.next_value()?)?;
                }
                Ok(members)
            }
        }
        deserializer.deserialize_map(Ordered(PhantomData))
    }
}

/// A request whose messages were taken apart while it was first read: they are nearly all of it, and
/// looking through a megabyte twice is what the translation would cost most for.
#[derive(Debug, Default)]
pub(super) struct Chat<'a> {
    pub(super) messages: Option<List<Members<'a>>>,
    pub(super) rest: Members<'a>,
}

impl<'de: 'a, 'a> Deserialize<'de> for Chat<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Parted<'a>(PhantomData<Chat<'a>>);
        impl<'de: 'a, 'a> Visitor<'de> for Parted<'a> {
            type Value = Chat<'a>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                let mut chat = Chat::default();
                while let Some(Name(name)) = map.next_key()? {
                    if name == "messages" {
                        chat.messages = map.next_value()?;
                    } else {
                        chat.rest.add(name, map.next_value()?)?;
                    }
                }
                Ok(chat)
            }
        }
        deserializer.deserialize_map(Parted(PhantomData))
    }
}

/// A list of bounded length.
#[derive(Debug)]
pub(super) struct List<T>(pub(super) Vec<T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for List<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bounded<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de>> Visitor<'de> for Bounded<T> {
            type Value = List<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Self::Value, A::Error> {
                let mut elements = Vec::new();
                while elements.len() < MAX_ELEMENTS {
                    match seq.next_element()? {
                        Some(element) => elements.push(element),
                        None => return Ok(List(elements)),
                    }
                }
                match seq.next_element::<IgnoredAny>()? {
                    None => Ok(List(elements)),
                    Some(_) => Err(A::Error::custom("too many elements in one list")),
                }
            }
        }
        deserializer.deserialize_seq(Bounded(PhantomData))
    }
}

/// JSON text as what it should be; nothing where it is something else.
pub(super) fn read<'a, T: Deserialize<'a>>(json: &'a str) -> Option<T> {
    serde_json::from_str(json).ok()
}

/// A list's elements as they were written.
pub(super) fn elements(json: &str) -> Option<Vec<&RawValue>> {
    read::<List<&RawValue>>(json).map(|list| list.0)
}

/// Whether JSON text is a string.
pub(super) fn is_string(json: &str) -> bool {
    json.starts_with('"')
}

/// What stands between the quotes of a string, escapes and all; nothing where it is none.
pub(super) fn inner(json: &str) -> Option<&str> {
    json.strip_prefix('"')?.strip_suffix('"')
}

/// The characters of a string; nothing where it is none, or holds half of a surrogate pair.
pub(super) fn text(json: &str) -> Option<Cow<'_, str>> {
    let inner = inner(json)?;
    if inner.contains('\\') {
        return serde_json::from_str(json).ok().map(Cow::Owned);
    }
    Some(Cow::Borrowed(inner))
}

/// Whether a value says nothing: an empty string, list or object.
pub(super) fn is_empty(json: &str) -> bool {
    match json.as_bytes() {
        [b'"', b'"'] => true,
        [b'[' | b'{', between @ .., _] => between.trim_ascii().is_empty(),
        _ => false,
    }
}

/// Writes text as a JSON string.
pub(super) fn put_text(out: &mut Vec<u8>, text: &str) {
    serde_json::to_writer(out, text).expect("any text can be written to memory");
}

/// Writes the strings as one, with `between` (as JSON spells it) between them. What is no string is left out.
pub(super) fn put_joined<'a>(
    out: &mut Vec<u8>,
    strings: impl IntoIterator<Item = &'a str>,
    between: &str,
) {
    out.push(b'"');
    for (at, part) in strings.into_iter().filter_map(inner).enumerate() {
        if at > 0 {
            out.extend_from_slice(between.as_bytes());
        }
        out.extend_from_slice(part.as_bytes());
    }
    out.push(b'"');
}

/// A comma, unless what is written next comes first in its list.
pub(super) fn put_comma(out: &mut Vec<u8>) {
    if out.last().is_some_and(|last| *last != b'[') {
        out.push(b',');
    }
}

/// An object being written. The names are this program's own and need no escapes.
pub(super) struct Object<'o> {
    out: &'o mut Vec<u8>,
    begun: bool,
}

impl<'o> Object<'o> {
    pub(super) fn begin(out: &'o mut Vec<u8>) -> Self {
        out.push(b'{');
        Self { out, begun: false }
    }

    /// Writes a member's name; its value is to be written to what is returned.
    pub(super) fn member(&mut self, name: &str) -> &mut Vec<u8> {
        let before: &[u8] = if self.begun { b",\"" } else { b"\"" };
        self.begun = true;
        self.out.extend_from_slice(before);
        self.out.extend_from_slice(name.as_bytes());
        self.out.extend_from_slice(b"\":");
        self.out
    }

    /// A member that is JSON already.
    pub(super) fn raw(&mut self, name: &str, json: &str) -> &mut Self {
        self.member(name).extend_from_slice(json.as_bytes());
        self
    }

    /// A member that is JSON already, where there is one.
    pub(super) fn raw_if(&mut self, name: &str, json: Option<&str>) -> &mut Self {
        if let Some(json) = json {
            self.raw(name, json);
        }
        self
    }

    /// A member that is JSON already, under a name that somebody else gave it.
    pub(super) fn foreign(&mut self, name: &str, json: &str) {
        if self.begun {
            self.out.push(b',');
        }
        self.begun = true;
        put_text(self.out, name);
        self.out.push(b':');
        self.out.extend_from_slice(json.as_bytes());
    }

    /// A member that is a string.
    pub(super) fn text(&mut self, name: &str, text: &str) -> &mut Self {
        put_text(self.member(name), text);
        self
    }

    pub(super) fn end(self) {
        self.out.push(b'}');
    }
}
