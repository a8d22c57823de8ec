//! A stream of the Responses API as chunks of a chat completion.
//!
//! Each delta becomes one chunk as soon as it comes: a prefix made once, the delta's text as it was
//! written, a suffix. Events that repeat a whole (`….done`) are used only where no delta told it before.

mod event;
mod items;

use serde_json::value::RawValue;

use super::Asked;
use super::answer::{self, Item, Response, Speech};
use super::failure;
use super::json::{self, Members, Object};
use super::names::Names;
use event::{Event, words};
use items::{Items, Which};

/// What every chunk of the answer itself ends with.
const UNFINISHED: &[u8] = br#","logprobs":null,"finish_reason":null}]"#;

/// One answer on its way to a chat client.
#[derive(Debug)]
pub struct Chunks {
    /// The chunk being written. Begins with what all have in common, once that is known.
    line: Vec<u8>,
    /// How long the beginning is that all have in common; nothing before the first chunk.
    common: usize,
    include_usage: bool,
    legacy: bool,
    model: String,
    names: Names,
    items: Items,
    /// Calls told so far.
    calls: usize,
    /// Which part of which item was thought last.
    thought: Option<(Option<usize>, u64)>,
    /// Whether any part of the answer itself was told.
    told: bool,
    ended: bool,
    failed: bool,
}

impl Chunks {
    /// The answer to this request.
    #[must_use]
    pub fn new(asked: &Asked) -> Self {
        Self {
            line: Vec::new(),
            common: 0,
            include_usage: asked.include_usage,
            legacy: asked.legacy,
            model: asked.model.clone(),
            names: asked.names.clone(),
            items: Items::default(),
            calls: 0,
            thought: None,
            told: false,
            ended: false,
            failed: false,
        }
    }

    /// Whether the end was seen and told: a chunk with `finish_reason` (and one with the usage, where it was
    /// asked for), or an error. A stream that ends before was cut off.
    #[must_use]
    pub fn ended(&self) -> bool {
        self.ended
    }

    /// Whether the end was an error, which was emitted as `{"error":{message,type,code,param}}`.
    #[must_use]
    pub fn failed(&self) -> bool {
        self.failed
    }

    /// Takes the data of one event and emits each chunk that it amounts to, as JSON on one line. Events
    /// that mean nothing to a chat client, that are not JSON, or that come after the end are passed over.
    pub fn event(&mut self, data: &str, emit: &mut dyn FnMut(&[u8])) {
        if self.ended {
            return;
        }
        let Ok(event) = serde_json::from_str::<Event<'_>>(data) else { return };
        let Some(kind) = event.kind.as_deref() else { return };
        match kind {
            "response.output_text.delta" => self.delta(&event, Speech::Text, emit),
            "response.refusal.delta" => self.delta(&event, Speech::Refusal, emit),
            "response.reasoning_summary_text.delta" | "response.reasoning_text.delta" => {
                self.delta(&event, Speech::Thought, emit);
            }
            "response.output_text.done" => self.whole_part(&event, Speech::Text, emit),
            "response.refusal.done" => self.whole_part(&event, Speech::Refusal, emit),
            "response.reasoning_summary_text.done" | "response.reasoning_text.done" => {
                self.whole_part(&event, Speech::Thought, emit);
            }
            "response.function_call_arguments.delta" | "response.custom_tool_call_input.delta" => {
                self.arguments(&event, event.delta, false, emit);
            }
            "response.function_call_arguments.done" => {
                self.arguments(&event, event.arguments, true, emit);
            }
            "response.custom_tool_call_input.done" => {
                self.arguments(&event, event.input, true, emit);
            }
            "response.output_item.added" => self.announce(event.which(), &event.item(), emit),
            "response.output_item.done" => self.whole(event.which(), &event.item(), emit),
            "response.created" | "response.queued" | "response.in_progress" => {
                self.begin(&event.response(), emit);
            }
            "response.completed" | "response.incomplete" => self.finish(&event.response(), emit),
            "response.failed" => {
                let error = answer::raw(event.response().error).and_then(json::read);
                self.fail(&error.unwrap_or_default(), emit);
            }
            "error" => {
                let outer: Members<'_> = json::read(data).unwrap_or_default();
                let nested = outer.get("error").and_then(json::read);
                self.fail(&nested.unwrap_or(outer), emit);
            }
            _ => {}
        }
    }

    /// The first chunk, at once: the client sees that somebody is there.
    fn begin(&mut self, response: &Response<'_>, emit: &mut dyn FnMut(&[u8])) {
        if self.common > 0 {
            return;
        }
        let mut head = Object::begin(&mut self.line);
        response.put_head(&mut head, "chat.completion.chunk", &self.model);
        self.line.extend_from_slice(br#","choices":["#);
        self.common = self.line.len();
        self.chunk(&[br#"{"role":"assistant","content":""}"#], emit);
    }

    /// A chunk with a delta that is given in pieces.
    fn chunk(&mut self, delta: &[&[u8]], emit: &mut dyn FnMut(&[u8])) {
        self.line.truncate(self.common);
        self.line.extend_from_slice(br#"{"index":0,"delta":"#);
        delta.iter().for_each(|piece| self.line.extend_from_slice(piece));
        self.line.extend_from_slice(UNFINISHED);
        self.close(emit);
    }

    fn close(&mut self, emit: &mut dyn FnMut(&[u8])) {
        self.line.extend_from_slice(if self.include_usage { br#","usage":null}"# } else { b"}" });
        emit(&self.line);
    }

    /// What is uttered, as one delta brings it.
    fn delta(&mut self, event: &Event<'_>, speech: Speech, emit: &mut dyn FnMut(&[u8])) {
        let Some(text) = words(event.delta) else { return };
        // A part that is not numbered may be any: better not to repeat a whole than to tell it twice.
        let part = event.part().unwrap_or(u64::MAX);
        let item = self.items.of(event.which());
        let at = item.map(|(at, item)| {
            item.tell(speech, part);
            at
        });
        self.say(speech, (at, part), text, emit);
    }

    fn whole_part(&mut self, event: &Event<'_>, speech: Speech, emit: &mut dyn FnMut(&[u8])) {
        if let Some(text) = words(event.text.or(event.refusal)) {
            self.done(event.which(), speech, (event.part().unwrap_or(0), text), emit);
        }
    }

    /// What is uttered, as a whole, unless deltas told it before.
    fn done(
        &mut self,
        which: Which<'_>,
        speech: Speech,
        (part, text): (u64, &str),
        emit: &mut dyn FnMut(&[u8]),
    ) {
        if self.items.told_of_any(speech, part) {
            return;
        }
        // Past the bound of items nothing is known, and only deltas are sure to be new.
        let Some((at, item)) = self.items.of(which) else { return };
        if !item.tell(speech, part) && text != r#""""# {
            self.say(speech, (Some(at), part), text, emit);
        }
    }

    /// A chunk with a JSON string. Thoughts are set apart by a blank line.
    fn say(
        &mut self,
        speech: Speech,
        part: (Option<usize>, u64),
        text: &str,
        emit: &mut dyn FnMut(&[u8]),
    ) {
        self.begin(&Response::default(), emit);
        let mut set_apart: &[u8] = b"\"";
        if speech == Speech::Thought {
            let last = self.thought.replace(part);
            if last.is_some_and(|last| last != part) {
                set_apart = br#""\n\n"#;
            }
        } else {
            self.told = true;
        }
        let Some(rest) = text.strip_prefix('"') else { return };
        let member = speech.member().as_bytes();
        self.chunk(&[b"{\"", member, b"\":", set_apart, rest.as_bytes(), b"}"], emit);
    }

    /// A call begins: its id and what is called.
    fn announce(&mut self, which: Which<'_>, item: &Item<'_>, emit: &mut dyn FnMut(&[u8])) {
        let own = item.id();
        let which = Which { id: which.id.or(own.as_deref()), ..which };
        let known = self.items.of(which).map(|(_, known)| known);
        let Some((custom, known)) = item.call().zip(known) else { return };
        if known.call.is_some() {
            return;
        }
        let at = self.calls;
        known.call = Some((at, custom));
        self.calls += 1;
        self.told = true;
        if self.legacy && at > 0 {
            // There is room for one call in this form.
            return;
        }
        self.begin(&Response::default(), emit);
        let mut delta = Vec::with_capacity(128);
        if self.legacy {
            delta.extend_from_slice(br#"{"function_call":"#);
            item.put_called(&mut delta, "arguments", r#""""#, &self.names);
            delta.extend_from_slice(b"}");
        } else {
            delta.extend_from_slice(br#"{"tool_calls":["#);
            item.put_call(&mut delta, Some(at), r#""""#, &self.names);
            delta.extend_from_slice(b"]}");
        }
        self.chunk(&[&delta], emit);
    }

    fn arguments(
        &mut self,
        event: &Event<'_>,
        given: Option<&RawValue>,
        whole: bool,
        emit: &mut dyn FnMut(&[u8]),
    ) {
        if let Some(given) = words(given) {
            self.argue(event.which(), given, whole, emit);
        }
    }

    /// Arguments of a call that was announced; of another the whole will come with its end.
    fn argue(&mut self, which: Which<'_>, given: &str, whole: bool, emit: &mut dyn FnMut(&[u8])) {
        let Some((_, item)) = self.items.of(which) else { return };
        let Some((at, custom)) = item.call else { return };
        if (whole && item.arguments) || (self.legacy && at > 0) {
            return;
        }
        item.arguments = true;
        if self.legacy {
            return self
                .chunk(&[br#"{"function_call":{"arguments":"#, given.as_bytes(), b"}}"], emit);
        }
        let index = at.to_string();
        let called: &[u8] =
            if custom { br#","custom":{"input":"# } else { br#","function":{"arguments":"# };
        let pieces: [&[u8]; 5] =
            [br#"{"tool_calls":[{"index":"#, index.as_bytes(), called, given.as_bytes(), b"}}]}"];
        self.chunk(&pieces, emit);
    }

    /// An item that is whole: whatever of it was not told before.
    fn whole(&mut self, which: Which<'_>, item: &Item<'_>, emit: &mut dyn FnMut(&[u8])) {
        let own = item.id();
        let which = Which { id: which.id.or(own.as_deref()), ..which };
        for speech in [Speech::Thought, Speech::Text, Speech::Refusal] {
            for part in item.said(speech) {
                self.done(which, speech, part, emit);
            }
        }
        self.announce(which, item, emit);
        if let Some(given) = item.arguments().filter(|given| *given != r#""""#) {
            self.argue(which, given, true, emit);
        }
    }

    fn finish(&mut self, response: &Response<'_>, emit: &mut dyn FnMut(&[u8])) {
        self.begin(response, emit);
        if !self.told {
            // Nothing was streamed: perhaps everything is here.
            for (index, item) in (0..).zip(response.items()) {
                self.whole(Which { index: Some(index), id: None }, &item, emit);
            }
        }
        let called = if self.legacy { "function_call" } else { "tool_calls" };
        let reason = response.finish_reason((self.calls > 0).then_some(called));
        self.line.truncate(self.common);
        self.line.extend_from_slice(br#"{"index":0,"delta":{},"logprobs":null,"finish_reason":""#);
        self.line.extend_from_slice(reason.as_bytes());
        self.line.extend_from_slice(br#""}]"#);
        self.close(emit);
        if let Some(usage) = response.usage.filter(|_| self.include_usage) {
            self.line.truncate(self.common);
            self.line.extend_from_slice(br#"],"usage":"#);
            answer::put_usage(&mut self.line, usage.get());
            self.line.push(b'}');
            emit(&self.line);
        }
        self.ended = true;
    }

    fn fail(&mut self, error: &Members<'_>, emit: &mut dyn FnMut(&[u8])) {
        self.line.clear();
        failure::put_error(&mut self.line, error);
        emit(&self.line);
        (self.ended, self.failed) = (true, true);
    }
}
