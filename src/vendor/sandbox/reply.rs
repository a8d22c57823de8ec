//! One turn of the model, as server-sent events: pure, from a request to bytes.
//!
//! The order and members are those of the Responses API, with the backend's own habit of sending an
//! empty `output` at the end: a client has to gather the items as they come. A test may have a script
//! of its own played instead, since what a relay must survive is mostly what a good turn does not hold.

use axum::body::Bytes;
use serde_json::{Value, json};

use super::settings::{Finish, Settings, ToolCall};
use crate::secret::random_base64url;

/// Bytes of text to a token, near enough for a made-up bill.
const BYTES_PER_TOKEN: usize = 4;

/// What thinking costs on that bill.
const REASONING_TOKENS: usize = 16;

/// What the model tells of its thinking where it is asked to.
const SUMMARY: &str = "**Choosing** what to say.";

/// Collects events, numbers them and counts output items.
#[derive(Default)]
struct Script {
    events: Vec<Bytes>,
    items: usize,
}

impl Script {
    fn say(&mut self, kind: &str, mut event: Value) {
        event["type"] = kind.into();
        event["sequence_number"] = self.events.len().into();
        self.events.push(written(kind, &event));
    }

    /// An event about the item under way.
    fn tell(&mut self, kind: &str, mut event: Value) {
        event["output_index"] = self.items.into();
        self.say(kind, event);
    }
}

fn written(kind: &str, event: &Value) -> Bytes {
    Bytes::from(format!("event: {kind}\ndata: {event}\n\n"))
}

/// What answers a request whose form was found good: the script that was set, or the usual turn.
pub(super) fn pieces(request: &Value, settings: &Settings, now_secs: u64) -> Vec<Bytes> {
    if let Some(events) = &settings.events {
        return events.iter().map(as_told).collect();
    }
    let mut events = turn(request, settings, now_secs);
    if settings.finish != Finish::Clean {
        events.pop();
    }
    events
}

/// One piece of a test's own script.
fn as_told(event: &Value) -> Bytes {
    match event {
        Value::String(text) => Bytes::from(text.clone()),
        event => written(event["type"].as_str().unwrap_or("message"), event),
    }
}

fn turn(request: &Value, settings: &Settings, now_secs: u64) -> Vec<Bytes> {
    let head = json!({
        "id": format!("resp_{}", random_base64url(18)),
        "object": "response",
        "created_at": now_secs,
        "model": request["model"],
        "store": false,
        "output": [],
        "error": null,
        "incomplete_details": null,
    });
    let state = |status: &str, usage: Value| {
        let mut response = head.clone();
        response["status"] = status.into();
        response["usage"] = usage;
        json!({ "response": response })
    };
    let mut script = Script::default();
    script.say("response.created", state("in_progress", Value::Null));
    script.say("response.in_progress", state("in_progress", Value::Null));
    reasoning(&mut script, request);
    let calls = settings.call_tool.iter().flat_map(|calls| calls.as_slice());
    let calls = calls.filter_map(|call| Some((call, offered(request, &call.name)?)));
    let calls: Vec<_> = if answered(request) { Vec::new() } else { calls.collect() };
    let written = if calls.is_empty() {
        message(&mut script, &settings.reply)
    } else {
        calls.into_iter().map(|(call, tool)| tool_call(&mut script, call, &tool)).sum()
    };
    let read =
        request["input"].to_string().len() + request["instructions"].as_str().map_or(0, str::len);
    let read = read.div_ceil(BYTES_PER_TOKEN);
    let written = written.div_ceil(BYTES_PER_TOKEN) + REASONING_TOKENS;
    let usage = json!({
        "input_tokens": read,
        "input_tokens_details": { "cached_tokens": 0 },
        "output_tokens": written,
        "output_tokens_details": { "reasoning_tokens": REASONING_TOKENS },
        "total_tokens": read + written,
    });
    script.say("response.completed", state("completed", usage));
    script.events
}

/// A tool that the client carries out itself.
struct Tool<'a> {
    custom: bool,
    /// The group in which it is offered, as the stock Codex CLI offers all of its own.
    namespace: Option<&'a str>,
}

/// The tool of this name that a request offers, at its top or among its input.
fn offered<'a>(request: &'a Value, name: &str) -> Option<Tool<'a>> {
    let mut carried = items(request).filter(|item| item["type"] == "additional_tools");
    among(&request["tools"], name).or_else(|| carried.find_map(|item| among(&item["tools"], name)))
}

fn among<'a>(tools: &'a Value, name: &str) -> Option<Tool<'a>> {
    let named = |tool: &Value| tool["name"] == name;
    tools.as_array()?.iter().find_map(|tool| match tool["type"].as_str()? {
        "function" if named(tool) => Some(Tool { custom: false, namespace: None }),
        "custom" if named(tool) => Some(Tool { custom: true, namespace: None }),
        "namespace" => {
            let inner = among(&tool["tools"], name)?;
            Some(Tool { namespace: tool["name"].as_str(), ..inner })
        }
        _ => None,
    })
}

/// Whether a tool was called already, and this is what it gave.
fn answered(request: &Value) -> bool {
    let kind = items(request).last().and_then(|item| item["type"].as_str());
    kind.is_some_and(|kind| kind.ends_with("_call_output"))
}

fn items(request: &Value) -> impl Iterator<Item = &Value> {
    request["input"].as_array().into_iter().flatten()
}

/// The model's thinking: sealed, for the client to send back, and told in a sentence where it is asked to.
fn reasoning(script: &mut Script, request: &Value) {
    let id = format!("rs_{}", random_base64url(18));
    let sealed = match request["include"].as_array() {
        Some(included) if included.contains(&json!("reasoning.encrypted_content")) => {
            json!(format!("gAAAA{}", random_base64url(48)))
        }
        _ => Value::Null,
    };
    let item = |summary: Value| json!({ "item": { "id": id, "type": "reasoning", "summary": summary, "encrypted_content": sealed } });
    script.tell("response.output_item.added", item(json!([])));
    let asked = request["reasoning"]["summary"].as_str().is_some_and(|summary| summary != "none");
    let part = |text: &str| json!({ "type": "summary_text", "text": text });
    if asked {
        let with =
            |name: &str, value: Value| json!({ "item_id": id, "summary_index": 0, name: value });
        script.tell("response.reasoning_summary_part.added", with("part", part("")));
        for word in SUMMARY.split_inclusive(' ') {
            script.tell("response.reasoning_summary_text.delta", with("delta", word.into()));
        }
        script.tell("response.reasoning_summary_text.done", with("text", SUMMARY.into()));
        script.tell("response.reasoning_summary_part.done", with("part", part(SUMMARY)));
    }
    let summary = if asked { json!([part(SUMMARY)]) } else { json!([]) };
    script.tell("response.output_item.done", item(summary));
    script.items += 1;
}

fn message(script: &mut Script, text: &str) -> usize {
    let id = format!("msg_{}", random_base64url(18));
    let item = |status: &str, content: Value| {
        let item = json!({ "id": id, "type": "message", "role": "assistant", "status": status, "content": content });
        json!({ "item": item })
    };
    let with = |name: &str, value: Value| json!({ "item_id": id, "content_index": 0, name: value });
    let part = |text: &str| json!({ "type": "output_text", "text": text, "annotations": [] });
    script.tell("response.output_item.added", item("in_progress", json!([])));
    script.tell("response.content_part.added", with("part", part("")));
    for word in text.split_inclusive(' ') {
        script.tell("response.output_text.delta", with("delta", word.into()));
    }
    script.tell("response.output_text.done", with("text", text.into()));
    script.tell("response.content_part.done", with("part", part(text)));
    script.tell("response.output_item.done", item("completed", json!([part(text)])));
    script.items += 1;
    text.len()
}

fn tool_call(script: &mut Script, call: &ToolCall, tool: &Tool<'_>) -> usize {
    let call_id = format!("call_{}", random_base64url(18));
    let given = match &call.arguments {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let (prefix, item_type, told, member) = if tool.custom {
        ("ctc", "custom_tool_call", "response.custom_tool_call_input", "input")
    } else {
        ("fc", "function_call", "response.function_call_arguments", "arguments")
    };
    let id = format!("{prefix}_{}", random_base64url(18));
    let item = |status: &str, given: &str| {
        let mut item = json!({
            "id": id, "type": item_type, "status": status,
            "call_id": call_id, "name": call.name, member: given,
        });
        if let Some(namespace) = tool.namespace {
            item["namespace"] = namespace.into();
        }
        json!({ "item": item })
    };
    script.tell("response.output_item.added", item("in_progress", ""));
    script.tell(&format!("{told}.delta"), json!({ "item_id": id, "delta": given }));
    script.tell(&format!("{told}.done"), json!({ "item_id": id, member: given }));
    script.tell("response.output_item.done", item("completed", &given));
    script.items += 1;
    given.len()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]
mod tests {
    use super::super::settings::Calls;
    use super::*;

    fn parsed(request: &Value, settings: &Settings) -> Vec<Value> {
        pieces(request, settings, 1_800_000_000)
            .iter()
            .map(|bytes| {
                let text = std::str::from_utf8(bytes).unwrap();
                let data = text.lines().find_map(|line| line.strip_prefix("data: ")).unwrap();
                let event: Value = serde_json::from_str(data).unwrap();
                assert!(text.starts_with(&format!("event: {}\n", event["type"].as_str().unwrap())));
                event
            })
            .collect()
    }

    #[test]
    fn a_turn_is_told_in_order_and_ends_with_an_empty_output() {
        let mut settings = Settings::new(true, 60);
        settings.reply = "one two three".into();
        let events =
            parsed(&json!({"model": "m", "input": [{"role": "user", "content": "hi"}]}), &settings);
        let numbers: Vec<u64> =
            events.iter().map(|event| event["sequence_number"].as_u64().unwrap()).collect();
        assert_eq!(numbers, (0..events.len() as u64).collect::<Vec<_>>());
        let text: String = events.iter().filter_map(|event| event["delta"].as_str()).collect();
        assert_eq!(text, "one two three");
        let last = events.last().unwrap();
        assert_eq!(last["type"], "response.completed");
        assert_eq!(last["response"]["output"], json!([]));
        assert!(last["response"]["usage"]["total_tokens"].as_u64().unwrap() > 0);
    }

    #[test]
    fn a_function_is_called_once_and_only_where_it_is_offered() {
        let mut settings = Settings::new(true, 60);
        let look = ToolCall { name: "look".into(), arguments: json!({"at": 1}) };
        settings.call_tool = Some(Calls::One(look));
        let tool = json!({"type": "function", "name": "look"});
        let called = |request: &Value| {
            parsed(request, &settings).iter().any(|event| event["item"]["type"] == "function_call")
        };
        assert!(!called(&json!({"input": [{"role": "user"}]})));
        assert!(called(&json!({"input": [{"role": "user"}], "tools": [tool]})));
        let group = json!({"type": "namespace", "name": "group", "tools": [tool]});
        let lite = json!({"type": "additional_tools", "tools": [group]});
        assert!(called(&json!({"input": [lite, {"role": "user"}]})));
        assert!(!called(&json!({"input": [lite, {"type": "function_call_output"}]})));
    }

    #[test]
    fn several_tools_are_called_side_by_side_each_in_its_own_kind() {
        let calls = json!([{"name": "look", "arguments": {"at": 1}}, {"name": "nobody", "arguments": {}},
            {"name": "patch", "arguments": "*** Begin"}]);
        let settings = Settings::new(true, 60).changed(&json!({"call_tool": calls})).unwrap();
        let tools =
            json!([{"type": "function", "name": "look"}, {"type": "custom", "name": "patch"}]);
        let events = parsed(&json!({"input": [{"role": "user"}], "tools": tools}), &settings);
        let done: Vec<_> = events
            .iter()
            .filter(|event| event["type"] == "response.output_item.done")
            .map(|event| (event["output_index"].as_u64().unwrap(), &event["item"]))
            .collect();
        let kinds: Vec<_> =
            done.iter().map(|(at, item)| (*at, item["type"].as_str().unwrap())).collect();
        assert_eq!(kinds, [(0, "reasoning"), (1, "function_call"), (2, "custom_tool_call")]);
        assert_eq!(done[1].1["arguments"], r#"{"at":1}"#);
        assert_eq!(done[2].1["input"], "*** Begin");
    }

    #[test]
    fn thinking_is_sealed_for_who_asks_and_told_to_who_asks() {
        let settings = Settings::new(true, 60);
        let thought = |request: Value| {
            let events = parsed(&request, &settings);
            events.iter().find(|event| event["type"] == "response.output_item.done").unwrap()["item"].clone()
        };
        let open = thought(json!({"input": []}));
        assert_eq!((&open["encrypted_content"], &open["summary"]), (&Value::Null, &json!([])));
        let sealed = thought(json!({"input": [], "include": ["reasoning.encrypted_content"],
            "reasoning": {"summary": "auto"}}));
        assert!(sealed["encrypted_content"].as_str().unwrap().len() > 60);
        assert_eq!(sealed["summary"][0]["text"], SUMMARY);
    }

    #[test]
    fn a_script_is_played_to_the_letter_and_a_turn_that_does_not_end_lacks_its_last_event() {
        let script =
            json!({"events": [": hum\n\n", {"type": "error", "code": "x"}, "data: {\"half"]});
        let settings = Settings::new(true, 60).changed(&script).unwrap();
        let played: Vec<_> = pieces(&json!({"input": []}), &settings, 0);
        assert_eq!(
            played,
            [
                ": hum\n\n",
                "event: error\ndata: {\"code\":\"x\",\"type\":\"error\"}\n\n",
                "data: {\"half"
            ]
        );
        let cut = Settings::new(true, 60).changed(&json!({"finish": "hang"})).unwrap();
        let events = parsed(&json!({"input": []}), &cut);
        assert_eq!(events.last().unwrap()["type"], "response.output_item.done");
    }
}
