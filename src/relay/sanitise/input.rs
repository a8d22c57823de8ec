//! The items of a request: system prompts to where the backend takes them, and nothing that points at
//! what it has not kept.
//!
//! Texts are joined as the JSON strings they are, escapes and all: nothing is decoded, so nothing can
//! come out otherwise than it was written.

use std::borrow::Cow;

use super::object::{Object, list, list_of, within_quotes};
use super::parameter::{has, remove_everywhere};
use super::{Refusal, refuse};
use crate::config::SystemPrompt;

/// How deep in an item a cache breakpoint is looked for: they stand in parts of its content.
const DEPTH: usize = 6;

const BREAKPOINT: &str = "prompt_cache_breakpoint";

/// What an item must hold one of to be of any interest here.
const TELLING: [&str; 5] =
    [r#""system""#, r#""id""#, "item_reference", r#""reasoning""#, BREAKPOINT];

/// Items as the backend takes them.
pub(super) struct Items<'a> {
    /// The list, as JSON.
    pub(super) list: Cow<'a, str>,
    /// The system prompts that travel as instructions: JSON strings without their quotes.
    pub(super) system: Vec<String>,
    /// What was left out, as the client is told.
    pub(super) dropped: Vec<&'static str>,
}

/// Shapes the value of `input`, system prompts as `system` says.
pub(super) fn shape<'a>(input: &'a str, system: SystemPrompt) -> Result<Items<'a>, Refusal> {
    let untouched = |list| Ok(Items { list, system: Vec::new(), dropped: Vec::new() });
    if input.starts_with('"') {
        return untouched(Cow::Owned(format!("[{}]", message(input))));
    }
    if !input.starts_with('[') {
        return Err(refuse("`input` is a text or a list of items.", "input"));
    }
    if !matters(input) {
        return untouched(Cow::Borrowed(input));
    }
    let items = list(input).ok_or_else(|| refuse("`input` cannot be read.", "input"))?;
    let mut shaping = Shaping {
        mode: system,
        leading: true,
        place: None,
        texts: Vec::new(),
        dropped: Vec::new(),
    };
    let mut kept: Vec<Cow<'a, str>> = Vec::with_capacity(items.len());
    for item in items {
        if let Some(item) = shaping.item(item, kept.len())? {
            kept.push(item);
        }
    }
    let mut system = shaping.texts;
    if let Some(place) = shaping.place {
        prefix(&mut kept, &system, place);
        system.clear();
    }
    Ok(Items { list: Cow::Owned(list_of(&kept)), system, dropped: shaping.dropped })
}

/// Whether anything in there may have to be changed. Quicker by far than looking at each item.
fn matters(input: &str) -> bool {
    TELLING.iter().any(|telling| has(input, telling)) || has_escaped_letters(input)
}

/// Whether letters are written as `\u0069`, behind which any word may hide.
fn has_escaped_letters(input: &str) -> bool {
    let escapes = memchr::memmem::find_iter(input.as_bytes(), b"\\u00");
    escapes.into_iter().any(|at| matches!(input.as_bytes().get(at + 4), Some(b'2' | b'5'..=b'7')))
}

struct Shaping {
    mode: SystemPrompt,
    /// Nothing but system prompts so far.
    leading: bool,
    /// Where the first prompt stood that goes in front of a user's message.
    place: Option<usize>,
    texts: Vec<String>,
    dropped: Vec<&'static str>,
}

impl Shaping {
    /// An item as it goes on, `at` being its place; `None` if it does not.
    fn item<'a>(&mut self, item: &'a str, at: usize) -> Result<Option<Cow<'a, str>>, Refusal> {
        let Some(object) = Object::read(item) else {
            self.leading = false;
            return Ok(Some(Cow::Borrowed(item)));
        };
        let kind = object.word("type");
        let kind = kind.as_deref();
        let bare = object.members().len() == 1 && object.get("id").is_some();
        if kind == Some("item_reference") || bare {
            return Err(refuse(
                "The subscription's backend keeps no items: send the item itself instead of an `item_reference`.",
                "input",
            ));
        }
        // What the model thought is known by these bytes or not at all: its id leads nowhere.
        let sealed = object
            .get("encrypted_content")
            .is_some_and(|sealed| sealed.starts_with('"') && sealed != "\"\"");
        if kind == Some("reasoning") && !sealed {
            self.drop("input.reasoning");
            return Ok(None);
        }
        let message = matches!(kind, None | Some("message"));
        let is_system = message && object.word("role").as_deref() == Some("system");
        if is_system && self.lifts(&object, at) {
            return Ok(None);
        }
        self.leading = false;
        let mut item = Cow::Borrowed(item);
        if is_system {
            item = Cow::Owned(object.with(&[("role", Some(r#""developer""#)), ("id", None)]));
        } else if object.get("id").is_some() {
            item = Cow::Owned(object.with(&[("id", None)]));
        }
        if let Some(without) = remove_everywhere(&item, BREAKPOINT, DEPTH) {
            self.drop(BREAKPOINT);
            item = Cow::Owned(without);
        }
        Ok(Some(item))
    }

    /// Takes a system prompt out of the list, if the mode and its place ask for it and it is all text.
    fn lifts(&mut self, item: &Object<'_>, at: usize) -> bool {
        let wanted = match self.mode {
            SystemPrompt::Instructions => self.leading,
            SystemPrompt::Developer => false,
            SystemPrompt::Prefix => true,
        };
        let Some(text) = item.get("content").filter(|_| wanted).and_then(text) else {
            return false;
        };
        if !text.is_empty() {
            if self.mode == SystemPrompt::Prefix {
                self.place.get_or_insert(at);
            }
            self.texts.push(text);
        }
        true
    }

    fn drop(&mut self, name: &'static str) {
        if !self.dropped.contains(&name) {
            self.dropped.push(name);
        }
    }
}

/// All text of a message's content, as a JSON string without its quotes; `None` where it is not text alone.
fn text(content: &str) -> Option<String> {
    if let Some(text) = within_quotes(content) {
        return Some(text.to_owned());
    }
    let parts = list(content)?.into_iter().map(|part| {
        let part = Object::read(part)?;
        let kind = part.word("type")?;
        let is_text = matches!(&*kind, "input_text" | "output_text" | "text");
        is_text.then(|| within_quotes(part.get("text")?)).flatten()
    });
    let parts: Option<Vec<&str>> = parts.collect();
    parts.map(|parts| parts.join(r"\n\n"))
}

/// Puts the prompts in front of the first user's message, which is made where there is none.
fn prefix(items: &mut Vec<Cow<'_, str>>, texts: &[String], place: usize) {
    let text = format!(r#""Context (system prompt):\n{}\n\n""#, texts.join(r"\n\n---\n\n"));
    let context = part(&text);
    for item in items.iter_mut() {
        let Some(object) = Object::read(item) else { continue };
        let message = object.word("type").is_none_or(|kind| kind == "message");
        if !message || object.word("role").as_deref() != Some("user") {
            continue;
        }
        let Some(content) = object.get("content") else { continue };
        let whole = if content.starts_with('"') {
            format!("[{context},{}]", part(content))
        } else if let Some(parts) = list(content) {
            list_of(&[&[context.as_str()], &*parts].concat())
        } else {
            continue;
        };
        *item = Cow::Owned(object.with(&[("content", Some(&whole))]));
        return;
    }
    items.insert(place.min(items.len()), Cow::Owned(message(&text)));
}

fn part(text: &str) -> String {
    format!(r#"{{"type":"input_text","text":{text}}}"#)
}

/// A user's message of one text, a JSON string already.
fn message(text: &str) -> String {
    format!(r#"{{"type":"message","role":"user","content":[{}]}}"#, part(text))
}
