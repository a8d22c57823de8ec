//! A conversation's messages as the items of a Responses request, in the same order.

use super::calls::{Call, Calls};
use super::json::{self, List, Members, Object};
use super::names::Names;
use super::parts::{self, Part};
use super::path::Path;
use super::{Told, refuse};
use crate::relay::sanitise::Refusal;

/// Characters kept of a result that belongs to no call. It is sent as text so that it is not lost,
/// and a screenful or four says what it was.
const LOOSE_RESULT: usize = 16_000;

/// Members that a client sends back because an answer held them. Nothing is lost without them.
const ECHOES: [&str; 9] = [
    "annotations",
    "images",
    "parsed",
    "provider_specific_fields",
    "reasoning",
    "reasoning_content",
    "reasoning_details",
    "thinking_blocks",
    "id",
];

/// The messages being translated.
pub(super) struct Translation<'t> {
    out: &'t mut Vec<u8>,
    names: &'t mut Names,
    told: &'t mut Told,
    calls: Calls,
    /// The role that system messages go under.
    system: &'static str,
}

impl<'t> Translation<'t> {
    /// Items are appended to `out`, which stands behind the `[` of their list.
    pub(super) fn new(
        out: &'t mut Vec<u8>,
        names: &'t mut Names,
        told: &'t mut Told,
        system: &'static str,
    ) -> Self {
        Self { out, names, told, calls: Calls::default(), system }
    }

    /// Appends what the message at this place amounts to: an item, several, or none.
    pub(super) fn message(&mut self, at: usize, message: &Members<'_>) -> Result<(), Refusal> {
        let messages = Path::of("messages");
        let path = messages.at(at);
        let role = message.get("role").and_then(json::text).unwrap_or_default();
        let known: &[&str] = match role.as_ref() {
            "system" => self.plain(self.system, message, &path)?,
            "developer" => self.plain("developer", message, &path)?,
            "user" => self.plain("user", message, &path)?,
            "assistant" => self.assistant(message, &path)?,
            "tool" => self.tool(message, &path)?,
            "function" => self.function(message, &path)?,
            "" => {
                return Err(refuse(
                    path.member("role"),
                    "missing_required_parameter",
                    "Each message needs a `role`.",
                ));
            }
            other => {
                let other: String = other.chars().take(40).collect();
                return Err(refuse(
                    path.member("role"),
                    "invalid_value",
                    format!(
                        "`{other}` is no role: use system, developer, user, assistant or tool."
                    ),
                ));
            }
        };
        for (name, value) in message.iter() {
            let expected = ["role", "content"].contains(&name) || known.contains(&name);
            if !expected && !ECHOES.contains(&name) && !json::is_empty(value) {
                self.told.nested("messages[]", name);
            }
        }
        Ok(())
    }

    /// Of system, developer and user. Gives the members it has seen to.
    fn plain(
        &mut self,
        role: &str,
        message: &Members<'_>,
        path: &Path<'_>,
    ) -> Result<&'static [&'static str], Refusal> {
        let path = path.member("content");
        let Some(content) = message.get("content") else {
            return Err(refuse(
                path,
                "missing_required_parameter",
                "The message has no `content`.",
            ));
        };
        let parts = parts::read(content, false, &path, self.told)?;
        self.item(role, &parts);
        Ok(&[])
    }

    fn item(&mut self, role: &str, parts: &[Part<'_>]) {
        json::put_comma(self.out);
        let mut item = Object::begin(self.out);
        item.raw("type", r#""message""#).text("role", role);
        let content = item.member("content");
        content.push(b'[');
        let said = role == "assistant";
        parts
            .iter()
            .for_each(|part| if said { part.put_output(content) } else { part.put_input(content) });
        content.push(b']');
        item.end();
    }

    /// What was thought, then what was said, then what was called: in this order the model produced it.
    fn assistant(
        &mut self,
        message: &Members<'_>,
        path: &Path<'_>,
    ) -> Result<&'static [&'static str], Refusal> {
        if let Some(thoughts) = message.get("reasoning_items").and_then(json::read) {
            self.thoughts(&thoughts);
        }
        let mut said = Vec::new();
        if let Some(content) = message.get("content") {
            let path = path.member("content");
            said = parts::read(content, true, &path, self.told)?;
        }
        said.extend(message.get("refusal").filter(|text| json::is_string(text)).map(Part::Refusal));
        let calls = message.get("tool_calls").filter(|calls| !json::is_empty(calls));
        let legacy = message.get("function_call").filter(|_| calls.is_none());
        if calls.is_some() || legacy.is_some() {
            // An empty message between a call and its result keeps the two from being matched.
            said.retain(|part| !matches!(part, Part::Text(r#""""#) | Part::Refusal(r#""""#)));
        }
        if !said.is_empty() {
            self.item("assistant", &said);
        }
        if let Some(calls) = calls {
            self.tool_calls(calls, &path.member("tool_calls"))?;
        }
        if let Some(call) = legacy {
            self.legacy_call(call, &path.member("function_call"))?;
        }
        Ok(&["reasoning_items", "refusal", "tool_calls", "function_call"])
    }

    /// Encrypted reasoning that a client was given and gives back. What is not encrypted the API cannot take.
    fn thoughts(&mut self, items: &List<Members<'_>>) {
        for item in &items.0 {
            let Some(encrypted) = item.get("encrypted_content").filter(|it| json::is_string(it))
            else {
                continue;
            };
            let summary = item.get("summary").filter(|summary| summary.starts_with('['));
            json::put_comma(self.out);
            let mut thought = Object::begin(self.out);
            thought.raw("type", r#""reasoning""#).raw("summary", summary.unwrap_or("[]"));
            thought.raw("encrypted_content", encrypted);
            thought.end();
        }
    }

    fn tool_calls(&mut self, calls: &str, path: &Path<'_>) -> Result<(), Refusal> {
        let Some(List(calls)) = json::read::<List<Members<'_>>>(calls) else {
            return Err(refuse(path, "invalid_type", "`tool_calls` is a list of calls."));
        };
        for (at, call) in calls.iter().enumerate() {
            let path = path.at(at);
            let kind = call.get("type").and_then(json::text).unwrap_or_default();
            let custom = match kind.as_ref() {
                "function" => false,
                "custom" => true,
                // Left out by some clients, and clear from the rest.
                "" => call.get("custom").is_some(),
                _ => {
                    return Err(refuse(
                        path.member("type"),
                        "invalid_value",
                        "A call is of type function or custom.",
                    ));
                }
            };
            let id = call.get("id").and_then(json::text).unwrap_or_default();
            let id = self.calls.made(&id, custom);
            let member = if custom { "custom" } else { "function" };
            let made = call.get(member).and_then(json::read).unwrap_or_default();
            self.call(&id, custom, &made, &path.member(member))?;
        }
        Ok(())
    }

    fn legacy_call(&mut self, call: &str, path: &Path<'_>) -> Result<(), Refusal> {
        let call: Members<'_> = json::read(call).unwrap_or_default();
        let name = call.get("name").and_then(json::text).unwrap_or_default();
        let id = self.calls.made_by_name(&name);
        self.call(&id, false, &call, path)
    }

    fn call(
        &mut self,
        id: &str,
        custom: bool,
        made: &Members<'_>,
        path: &Path<'_>,
    ) -> Result<(), Refusal> {
        let name = made.get("name").and_then(json::text).filter(|name| !name.is_empty());
        let Some(name) = name else {
            return Err(refuse(
                path.member("name"),
                "missing_required_parameter",
                "The call does not say what is called.",
            ));
        };
        json::put_comma(self.out);
        let mut item = Object::begin(self.out);
        let kind = if custom { r#""custom_tool_call""# } else { r#""function_call""# };
        item.raw("type", kind).text("call_id", id).text("name", &self.names.sent(&name));
        let (member, absent) = if custom { ("input", r#""""#) } else { ("arguments", r#""{}""#) };
        match made.get(member) {
            None => item.raw(member, absent),
            Some(given) if json::is_string(given) => item.raw(member, given),
            // Given as the object itself instead of its text.
            Some(given) => item.text(member, given),
        };
        item.end();
        Ok(())
    }

    fn tool(
        &mut self,
        message: &Members<'_>,
        path: &Path<'_>,
    ) -> Result<&'static [&'static str], Refusal> {
        let id = message.get("tool_call_id").and_then(json::text).unwrap_or_default();
        let call = self.calls.answered(&id);
        self.result(call, &id, message.get("content"), path)?;
        // The name is the call's.
        Ok(&["tool_call_id", "name"])
    }

    fn function(
        &mut self,
        message: &Members<'_>,
        path: &Path<'_>,
    ) -> Result<&'static [&'static str], Refusal> {
        let name = message.get("name").and_then(json::text).unwrap_or_default();
        let call = self.calls.answered_by_name(&name);
        self.result(call, &name, message.get("content"), path)?;
        Ok(&["name"])
    }

    fn result(
        &mut self,
        call: Option<Call>,
        id: &str,
        content: Option<&str>,
        path: &Path<'_>,
    ) -> Result<(), Refusal> {
        let parts = match content {
            Some(list) if list.starts_with('[') => {
                parts::read(list, false, &path.member("content"), self.told)?
            }
            _ => Vec::new(),
        };
        let Some(call) = call else {
            self.loose_result(id, content.unwrap_or_default(), &parts);
            return Ok(());
        };
        json::put_comma(self.out);
        let mut item = Object::begin(self.out);
        let custom = r#""custom_tool_call_output""#;
        item.raw("type", if call.custom { custom } else { r#""function_call_output""# });
        item.text("call_id", &call.id);
        let output = item.member("output");
        match content {
            Some(text) if json::is_string(text) => output.extend_from_slice(text.as_bytes()),
            Some(list) if list.starts_with('[') => put_result(output, &parts),
            // Given as a value instead of its text.
            Some(other) => json::put_text(output, other),
            None => output.extend_from_slice(br#""""#),
        }
        item.end();
        Ok(())
    }

    /// A result of no known call. The API refuses it as such, and without it the model would miss something
    /// that the client believes it has been told. As the assistant's own words it has no more weight than
    /// the result had: text from a tool must not speak as the user or the developer.
    fn loose_result(&mut self, id: &str, content: &str, parts: &[Part<'_>]) {
        let decoded = |json| json::text(json).unwrap_or(std::borrow::Cow::Borrowed(json));
        let mut result = String::new();
        if parts.is_empty() {
            result.push_str(&decoded(content));
        }
        for part in parts {
            match part {
                Part::Text(text) | Part::Refusal(text) => result.push_str(&decoded(text)),
                Part::Image { .. } => result.push_str("[an image]"),
                Part::File { .. } => result.push_str("[a file]"),
            }
            result.push('\n');
        }
        let kept = result.char_indices().nth(LOOSE_RESULT).map_or(result.len(), |(end, _)| end);
        let cut = if kept < result.len() { "\n[the rest was cut off]" } else { "" };
        let id: String = if id.is_empty() { "no id" } else { id }.chars().take(100).collect();
        let kept = result[..kept].trim_end();
        let said = format!("[The result of an earlier tool call ({id})]\n{kept}{cut}");
        let mut text = Vec::new();
        json::put_text(&mut text, &said);
        let text = String::from_utf8(text).expect("JSON is written as UTF-8");
        self.item("assistant", &[Part::Text(&text)]);
    }
}

/// Text alone is one string, a line for each part. With anything else it is a list.
fn put_result(out: &mut Vec<u8>, parts: &[Part<'_>]) {
    if let Some(texts) = parts.iter().map(|part| part.text()).collect::<Option<Vec<_>>>() {
        return json::put_joined(out, texts, "\\n");
    }
    out.push(b'[');
    parts.iter().for_each(|part| part.put_input(out));
    out.push(b']');
}
