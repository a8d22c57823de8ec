//! The final object, gathered from a stream. Pure.
//!
//! The Codex backend ends a stream with an object whose `output` is empty, though all of it was streamed
//! before (openai/codex, BerriAI/litellm #27562). Clients read their answer there, so the one place that
//! puts the output together again is here: a stream on its way through has it patched in, and who asked
//! for no stream gets the object.

mod complete;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::ops::Range;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::passing::{Kind, Seen};
use super::sanitise::object::{Object, Writer, list, list_of, span};

/// What is kept of all items: far more than a model writes, little enough for a few streams at once.
const KEPT_BYTES: usize = 32 << 20;

/// What an item costs beside its text.
const ITEM_BYTES: usize = 128;

/// The items of an output as they have come so far.
#[derive(Debug, Default)]
pub(super) struct Items {
    /// By `output_index`; those without one are appended behind all others, in their order.
    kept: BTreeMap<(bool, u64), Item>,
    bytes: usize,
    /// Something is missing: too much came, and nothing is rebuilt.
    spoilt: bool,
}

#[derive(Debug)]
enum Item {
    /// `response.output_item.done`
    Whole(String),
    /// Nothing but its texts came so far: their JSON strings by `content_index`.
    Texts { id: String, texts: BTreeMap<u64, String> },
}

impl Items {
    /// Keeps the item of a `response.output_item.done`.
    pub(super) fn item(&mut self, data: &str) {
        #[derive(Deserialize)]
        struct Done<'a> {
            output_index: Option<u64>,
            #[serde(borrow)]
            item: &'a RawValue,
        }
        let Ok(done) = serde_json::from_str::<Done<'_>>(data) else { return };
        let item = done.item.get();
        if item.starts_with('{') && self.takes(item.len()) {
            let appended = (true, self.kept.len() as u64);
            let place = done.output_index.map_or(appended, |index| (false, index));
            self.kept.insert(place, Item::Whole(item.to_owned()));
        }
    }

    /// Keeps the text of a `response.output_text.done`, for an item that may never come whole.
    pub(super) fn text(&mut self, data: &str) {
        #[derive(Deserialize)]
        struct Done<'a> {
            output_index: u64,
            #[serde(default)]
            content_index: u64,
            #[serde(borrow)]
            item_id: Option<&'a RawValue>,
            #[serde(borrow)]
            text: &'a RawValue,
        }
        let Ok(done) = serde_json::from_str::<Done<'_>>(data) else { return };
        let text = done.text.get();
        if !text.starts_with('"') || !self.takes(text.len()) {
            return;
        }
        let id = done.item_id.map_or_else(String::new, |id| id.get().to_owned());
        let empty = Item::Texts { id, texts: BTreeMap::new() };
        if let Item::Texts { texts, .. } =
            self.kept.entry((false, done.output_index)).or_insert(empty)
        {
            texts.insert(done.content_index, text.to_owned());
        }
    }

    /// An item went by that could not be kept.
    pub(super) fn spoil(&mut self) {
        *self = Self { spoilt: true, ..Self::default() };
    }

    /// Whether as much more may be kept.
    fn takes(&mut self, bytes: usize) -> bool {
        self.bytes += bytes + ITEM_BYTES;
        if self.bytes > KEPT_BYTES {
            self.spoil();
        }
        !self.spoilt
    }

    /// The output as JSON; `None` where nothing was kept.
    fn output(&self) -> Option<String> {
        let items: Vec<Cow<'_, str>> = self.kept.values().map(Item::written).collect();
        (!items.is_empty()).then(|| list_of(&items))
    }

    /// What of a response object is to be replaced, and by what, for its output to be whole; `None` where
    /// it is whole, or nothing better is known.
    pub(super) fn patch(&self, response: &str) -> Option<(Range<usize>, String)> {
        let object = Object::read(response)?;
        let Some(output) = object.get("output") else {
            let comma = if object.members().is_empty() { "" } else { "," };
            let output = self.output()?;
            return Some((1..1, format!(r#""output":{output}{comma}"#)));
        };
        let items = if output == "null" { Vec::new() } else { list(output)? };
        let patched = if items.is_empty() { self.output() } else { self.with_ids(&items) };
        Some((span(response, output), patched?))
    }

    /// These items with the ids that they lack, where items of the same kind came with one at the same place.
    fn with_ids(&self, items: &[&str]) -> Option<String> {
        let patched = |(at, item): (usize, &&str)| {
            let Some(Item::Whole(kept)) = self.kept.get(&(false, at as u64)) else { return None };
            let (item, kept) = (Object::read(item)?, Object::read(kept)?);
            let same = item.get("type") == kept.get("type") && item.get("id").is_none();
            same.then(|| Some(item.with(&[("id", Some(kept.get("id")?))]))).flatten()
        };
        let patched: Vec<Option<String>> = items.iter().enumerate().map(patched).collect();
        patched.iter().any(Option::is_some).then(|| {
            let whole = patched.into_iter().zip(items);
            list_of(&whole.map(|(new, old)| new.unwrap_or((*old).to_owned())).collect::<Vec<_>>())
        })
    }
}

impl Item {
    fn written(&self) -> Cow<'_, str> {
        let (id, texts) = match self {
            Self::Whole(item) => return Cow::Borrowed(item),
            Self::Texts { id, texts } => (id, texts),
        };
        let part = |text: &String| {
            let mut part = Writer::new(text.len() + 64);
            part.member("type", r#""output_text""#);
            part.member("text", text);
            part.member("annotations", "[]");
            part.finish()
        };
        let parts: Vec<String> = texts.values().map(part).collect();
        let mut item = Writer::new(128);
        if !id.is_empty() {
            item.member("id", id);
        }
        item.member("type", r#""message""#);
        item.member("status", r#""completed""#);
        item.member("role", r#""assistant""#);
        item.member("content", &list_of(&parts));
        Cow::Owned(item.finish())
    }
}

/// Where `response` stands in the data of an event.
pub(super) fn response(data: &str) -> Option<&str> {
    #[derive(Deserialize)]
    struct Event<'a> {
        #[serde(borrow)]
        response: &'a RawValue,
    }
    Some(serde_json::from_str::<Event<'_>>(data).ok()?.response.get())
}

/// Gathers the events of a stream into its final object.
#[derive(Debug, Default)]
pub struct Gather {
    items: Items,
    seen: Seen,
    /// What `response.created` said of the response, should the end not repeat it.
    begun: Option<String>,
    last: Option<String>,
}

impl Gather {
    /// Nothing gathered yet.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Takes one event; one without a name goes by the `type` in its data.
    pub fn event(&mut self, name: &str, data: &str) {
        let kind = if name.is_empty() { Kind::of_data(data) } else { Kind::of(name.as_bytes()) };
        self.seen.begun(kind);
        match kind {
            Kind::Item => self.items.item(data),
            Kind::Text => self.items.text(data),
            Kind::Final { .. } => self.last = response(data).map(str::to_owned),
            // It repeats the request, tools and all, of which nothing need be kept.
            Kind::Handshake if self.begun.is_none() => {
                self.begun = response(data).and_then(complete::beginning);
            }
            _ => {}
        }
        if kind.is_read() {
            self.seen.whole(kind, data);
        }
    }

    /// What is known of the stream so far.
    #[must_use]
    pub fn seen(&self) -> &Seen {
        &self.seen
    }

    /// The final object as JSON, with its output and all that clients require of it; `None` unless the
    /// stream has ended with one, and where the output was over 32 MiB and could not be kept.
    #[must_use]
    pub fn response(self) -> Option<String> {
        let mut response = self.last?;
        match self.items.patch(&response) {
            Some((range, output)) => response.replace_range(range, &output),
            None if self.items.spoilt => return None,
            None => {}
        }
        complete::complete(&response, self.begun.as_deref())
    }
}

#[cfg(test)]
mod tests;
