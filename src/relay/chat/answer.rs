//! What an answer of the Responses API says, in the words of Chat Completions.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use super::json::{self, Members, Object};
use super::names::Names;

/// Characters of an id or a model's name at most: they are repeated in every chunk of a stream.
const LONGEST_WORD: usize = 256;

/// What a model utters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Speech {
    Text,
    Refusal,
    /// What it thought before, as far as that is told.
    Thought,
}

impl Speech {
    /// The member of a chat message that it goes to. That for thoughts is not OpenAI's, but most clients
    /// that show them know it.
    pub(super) fn member(self) -> &'static str {
        match self {
            Self::Text => "content",
            Self::Refusal => "refusal",
            Self::Thought => "reasoning_content",
        }
    }
}

/// A Response object, none of it judged yet.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Response<'a> {
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    created_at: Option<&'a RawValue>,
    #[serde(borrow)]
    model: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) usage: Option<&'a RawValue>,
    #[serde(borrow)]
    incomplete_details: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) error: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) service_tier: Option<&'a RawValue>,
    #[serde(borrow)]
    output: Option<&'a RawValue>,
    #[serde(borrow)]
    status: Option<&'a RawValue>,
}

/// The JSON text of what may be there.
pub(super) fn raw(value: Option<&RawValue>) -> Option<&str> {
    value.map(RawValue::get)
}

impl<'a> Response<'a> {
    /// Writes what every object of an answer begins with, up to and without `choices`.
    pub(super) fn put_head(&self, object: &mut Object<'_>, kind: &str, asked_model: &str) {
        let word = |value: Option<&'a RawValue>| {
            raw(value).and_then(json::text).filter(|it| !it.is_empty() && it.len() <= LONGEST_WORD)
        };
        let id = word(self.id).unwrap_or(Cow::Borrowed("0"));
        object.text("id", &format!("chatcmpl-{}", id.strip_prefix("resp_").unwrap_or(&id)));
        object.text("object", kind);
        let created = raw(self.created_at).and_then(whole).unwrap_or(0);
        object.raw("created", &created.to_string());
        object.text("model", word(self.model).as_deref().unwrap_or(asked_model));
    }

    /// The items of its output.
    pub(super) fn items(&self) -> Vec<Item<'a>> {
        let items = raw(self.output).and_then(json::elements).unwrap_or_default();
        items.into_iter().filter_map(|item| json::read(item.get())).collect()
    }

    /// Why it ended, as OpenAI names it. `called` is the word for an end with calls to carry out.
    pub(super) fn finish_reason(&self, called: Option<&'static str>) -> &'static str {
        if raw(self.status) != Some(r#""completed""#) {
            let details = raw(self.incomplete_details).and_then(json::read::<Members<'_>>);
            match details.as_ref().and_then(|details| details.get("reason")) {
                Some(r#""max_output_tokens""# | r#""max_tokens""#) => return "length",
                Some(r#""content_filter""#) => return "content_filter",
                _ => {}
            }
        }
        called.unwrap_or("stop")
    }
}

/// A number of seconds or tokens, which some write with a fraction.
fn whole(json: &str) -> Option<u64> {
    json.parse().ok().or_else(|| {
        let number: f64 = json.parse().ok()?;
        (0.0..1e15).contains(&number).then_some(number as u64)
    })
}

/// One item of an output, none of it judged yet.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Item<'a> {
    #[serde(borrow, rename = "type")]
    kind: Option<Cow<'a, str>>,
    #[serde(borrow)]
    id: Option<&'a RawValue>,
    #[serde(borrow)]
    call_id: Option<&'a RawValue>,
    #[serde(borrow)]
    name: Option<&'a RawValue>,
    #[serde(borrow)]
    arguments: Option<&'a RawValue>,
    #[serde(borrow)]
    input: Option<&'a RawValue>,
    #[serde(borrow)]
    content: Option<&'a RawValue>,
    #[serde(borrow)]
    summary: Option<&'a RawValue>,
    #[serde(borrow)]
    pub(super) encrypted_content: Option<&'a RawValue>,
}

impl<'a> Item<'a> {
    pub(super) fn kind(&self) -> &str {
        self.kind.as_deref().unwrap_or_default()
    }

    /// Its own id.
    pub(super) fn id(&self) -> Option<Cow<'a, str>> {
        raw(self.id).and_then(json::text)
    }

    /// Whether it is a call of a tool that the client carries out, and if so whether of a custom one.
    pub(super) fn call(&self) -> Option<bool> {
        match self.kind() {
            "function_call" => Some(false),
            "custom_tool_call" => Some(true),
            _ => None,
        }
    }

    /// What it utters in this way: the JSON strings of its parts, with their places.
    pub(super) fn said(&self, speech: Speech) -> Vec<(u64, &'a str)> {
        match (speech, self.kind()) {
            (Speech::Text, "message") => strings(self.content, r#""output_text""#, "text"),
            (Speech::Refusal, "message") => strings(self.content, r#""refusal""#, "refusal"),
            (Speech::Thought, "reasoning") => {
                let summary = strings(self.summary, r#""summary_text""#, "text");
                if !summary.is_empty() {
                    return summary;
                }
                strings(self.content, r#""reasoning_text""#, "text")
            }
            _ => Vec::new(),
        }
    }

    /// What the call is made with, as a JSON string.
    pub(super) fn arguments(&self) -> Option<&'a str> {
        raw(self.arguments.or(self.input)).filter(|text| json::is_string(text))
    }

    /// Writes a call's id and what is called. `arguments` is a JSON string; `index` is the call's place in a
    /// stream.
    pub(super) fn put_call(
        &self,
        out: &mut Vec<u8>,
        index: Option<usize>,
        arguments: &str,
        names: &Names,
    ) {
        let mut call = Object::begin(out);
        if let Some(index) = index {
            call.raw("index", &index.to_string());
        }
        let id = [self.call_id, self.id].into_iter().flatten().map(RawValue::get);
        match id.into_iter().find(|id| json::is_string(id)) {
            Some(id) => call.raw("id", id),
            None => call.text("id", &format!("call_{}", index.unwrap_or(0))),
        };
        let custom = self.call() == Some(true);
        let kind = if custom { "custom" } else { "function" };
        call.text("type", kind);
        self.put_called(
            call.member(kind),
            if custom { "input" } else { "arguments" },
            arguments,
            names,
        );
        call.end();
    }

    /// Writes `{"name", "arguments"}`.
    pub(super) fn put_called(&self, out: &mut Vec<u8>, with: &str, arguments: &str, names: &Names) {
        let mut called = Object::begin(out);
        let name = raw(self.name).filter(|name| json::is_string(name)).unwrap_or(r#""""#);
        match json::text(name).filter(|_| !names.is_empty()) {
            Some(sent) => called.text("name", names.original(&sent)),
            None => called.raw("name", name),
        };
        called.raw(with, arguments);
        called.end();
    }
}

fn strings<'a>(parts: Option<&'a RawValue>, kind: &str, member: &str) -> Vec<(u64, &'a str)> {
    let parts = raw(parts).and_then(json::read::<json::List<Members<'a>>>);
    let parts = parts.map(|list| list.0).unwrap_or_default();
    let of_kind = (0..).zip(&parts).filter(|(_, part)| part.get("type") == Some(kind));
    let texts = of_kind.filter_map(|(at, part)| Some((at, part.get(member)?)));
    texts.filter(|(_, text)| json::is_string(text)).collect()
}

/// The counts of tokens under their names in Chat Completions.
pub(super) fn put_usage(out: &mut Vec<u8>, usage: &str) {
    let usage: Members<'_> = json::read(usage).unwrap_or_default();
    let count = |members: &Members<'_>, name| members.get(name).and_then(whole);
    let details = |name| usage.get(name).and_then(json::read::<Members<'_>>).unwrap_or_default();
    let (input, output) = (details("input_tokens_details"), details("output_tokens_details"));
    let prompt = count(&usage, "input_tokens").unwrap_or(0);
    let completion = count(&usage, "output_tokens").unwrap_or(0);
    let total = count(&usage, "total_tokens").unwrap_or(prompt.saturating_add(completion));
    let mut written = Object::begin(out);
    written.raw("prompt_tokens", &prompt.to_string());
    written.raw("completion_tokens", &completion.to_string());
    written.raw("total_tokens", &total.to_string());
    let mut prompt = Object::begin(written.member("prompt_tokens_details"));
    prompt.raw("cached_tokens", &count(&input, "cached_tokens").unwrap_or(0).to_string());
    if let Some(stored) = count(&input, "cache_write_tokens") {
        prompt.raw("cache_write_tokens", &stored.to_string());
    }
    prompt.end();
    let mut completion = Object::begin(written.member("completion_tokens_details"));
    completion
        .raw("reasoning_tokens", &count(&output, "reasoning_tokens").unwrap_or(0).to_string());
    completion.end();
    written.end();
}

impl Item<'_> {
    /// Writes reasoning in the form in which a client may give it back, see `reasoning_items` of a request.
    pub(super) fn put_thought(&self, out: &mut Vec<u8>) {
        let mut thought = Object::begin(out);
        thought.raw_if("id", raw(self.id)).raw("type", r#""reasoning""#);
        thought.raw("summary", raw(self.summary).unwrap_or("[]"));
        thought.raw_if("encrypted_content", raw(self.encrypted_content));
        thought.end();
    }
}
