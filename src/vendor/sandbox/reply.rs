//! One turn of the model, as server-sent events: pure, from a request to bytes.
//!
//! The order and members are those of the Responses API, with the backend's own habit of sending an
//! empty `output` at the end: a client has to gather the items as they come.

use axum::body::Bytes;
use serde_json::{Value, json};

use super::settings::{Settings, ToolCall};
use crate::secret::random_base64url;

/// Bytes of text to a token, near enough for a made-up bill.
const BYTES_PER_TOKEN: usize = 4;

/// Collects events and numbers them.
#[derive(Default)]
struct Script(Vec<Bytes>);

impl Script {
    fn say(&mut self, kind: &str, mut event: Value) {
        event["type"] = kind.into();
        event["sequence_number"] = self.0.len().into();
        self.0.push(Bytes::from(format!("event: {kind}\ndata: {event}\n\n")));
    }
}

/// The events that answer a request whose form was found good.
pub(super) fn events(request: &Value, settings: &Settings, now_secs: u64) -> Vec<Bytes> {
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
    let written = match &settings.call_tool {
        Some(call) if offered(request, &call.name) && !answered(request) => {
            function_call(&mut script, call)
        }
        _ => message(&mut script, &settings.reply),
    };
    let read =
        request["input"].to_string().len() + request["instructions"].as_str().map_or(0, str::len);
    let (read, written) = (read.div_ceil(BYTES_PER_TOKEN), written.div_ceil(BYTES_PER_TOKEN));
    let usage = json!({
        "input_tokens": read,
        "input_tokens_details": { "cached_tokens": 0 },
        "output_tokens": written,
        "output_tokens_details": { "reasoning_tokens": 0 },
        "total_tokens": read + written,
    });
    script.say("response.completed", state("completed", usage));
    script.0
}

/// Whether the request offers a function of this name, at its top or among its input.
fn offered(request: &Value, name: &str) -> bool {
    let among = |tools: &Value| {
        tools.as_array().is_some_and(|tools| {
            tools.iter().any(|tool| tool["type"] == "function" && tool["name"] == name)
        })
    };
    among(&request["tools"])
        || items(request).any(|item| item["type"] == "additional_tools" && among(&item["tools"]))
}

/// Whether the function was called already, and this is what it gave.
fn answered(request: &Value) -> bool {
    items(request).last().is_some_and(|item| item["type"] == "function_call_output")
}

fn items(request: &Value) -> impl Iterator<Item = &Value> {
    request["input"].as_array().into_iter().flatten()
}

fn message(script: &mut Script, text: &str) -> usize {
    let id = format!("msg_{}", random_base64url(18));
    let item = |status: &str, content: Value| {
        let item = json!({ "id": id, "type": "message", "role": "assistant", "status": status, "content": content });
        json!({ "output_index": 0, "item": item })
    };
    let place = json!({ "item_id": id, "output_index": 0, "content_index": 0 });
    let with = |name: &str, value: Value| {
        let mut event = place.clone();
        event[name] = value;
        event
    };
    let part = |text: &str| json!({ "type": "output_text", "text": text, "annotations": [] });
    script.say("response.output_item.added", item("in_progress", json!([])));
    script.say("response.content_part.added", with("part", part("")));
    for word in text.split_inclusive(' ') {
        script.say("response.output_text.delta", with("delta", word.into()));
    }
    script.say("response.output_text.done", with("text", text.into()));
    script.say("response.content_part.done", with("part", part(text)));
    script.say("response.output_item.done", item("completed", json!([part(text)])));
    text.len()
}

fn function_call(script: &mut Script, call: &ToolCall) -> usize {
    let (id, call_id) =
        (format!("fc_{}", random_base64url(18)), format!("call_{}", random_base64url(18)));
    let arguments = match &call.arguments {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    };
    let item = |status: &str, arguments: &str| {
        let item = json!({
            "id": id, "type": "function_call", "status": status,
            "call_id": call_id, "name": call.name, "arguments": arguments,
        });
        json!({ "output_index": 0, "item": item })
    };
    script.say("response.output_item.added", item("in_progress", ""));
    script.say(
        "response.function_call_arguments.delta",
        json!({ "item_id": id, "output_index": 0, "delta": arguments }),
    );
    script.say(
        "response.function_call_arguments.done",
        json!({ "item_id": id, "output_index": 0, "arguments": arguments }),
    );
    script.say("response.output_item.done", item("completed", &arguments));
    arguments.len()
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]
mod tests {
    use super::*;

    fn parsed(request: &Value, settings: &Settings) -> Vec<Value> {
        events(request, settings, 1_800_000_000)
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
        settings.call_tool = Some(ToolCall { name: "look".into(), arguments: json!({"at": 1}) });
        let tool = json!({"type": "function", "name": "look"});
        let called = |request: &Value| {
            parsed(request, &settings).iter().any(|event| event["item"]["type"] == "function_call")
        };
        assert!(!called(&json!({"input": [{"role": "user"}]})));
        assert!(called(&json!({"input": [{"role": "user"}], "tools": [tool]})));
        let lite = json!({"type": "additional_tools", "tools": [tool]});
        assert!(called(&json!({"input": [lite, {"role": "user"}]})));
        assert!(!called(&json!({"input": [lite, {"type": "function_call_output"}]})));
    }
}
