//! What holds of any input.

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{parsed, plain, streamed};
use crate::relay::chat::{Chunks, completion, request};

/// Words that the code looks for, so that made-up values come near to what is real.
fn word() -> impl Strategy<Value = String> {
    let known = [
        "model",
        "messages",
        "role",
        "content",
        "type",
        "text",
        "image_url",
        "url",
        "file",
        "file_data",
        "tools",
        "tool_calls",
        "tool_call_id",
        "function",
        "custom",
        "name",
        "arguments",
        "input",
        "parameters",
        "tool_choice",
        "functions",
        "function_call",
        "response_format",
        "json_schema",
        "schema",
        "reasoning",
        "reasoning_effort",
        "effort",
        "stream",
        "stream_options",
        "include_usage",
        "system",
        "user",
        "assistant",
        "tool",
        "id",
        "call_id",
        "summary",
        "output",
        "response",
        "delta",
        "item",
        "item_id",
        "error",
        "message",
        "code",
        "usage",
        "output_text",
        "summary_text",
        "reasoning_items",
        "encrypted_content",
        "incomplete_details",
        "reason",
        "refusal",
        "status",
        "allowed_tools",
        "completed",
        "object",
        "properties",
        "n",
        "service_tier",
    ];
    prop_oneof![4 => proptest::sample::select(known.to_vec()).prop_map(str::to_owned), 1 => ".{0,8}"]
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        word().prop_map(Value::from),
    ];
    leaf.prop_recursive(5, 64, 6, |inner| {
        prop_oneof![
            proptest::collection::vec(inner.clone(), 0..6).prop_map(Value::from),
            proptest::collection::vec((word(), inner), 0..8).prop_map(object),
        ]
    })
}

fn object(members: Vec<(String, Value)>) -> Value {
    Value::Object(members.into_iter().collect())
}

fn message() -> impl Strategy<Value = Value> {
    let role = proptest::sample::select(vec![
        "system",
        "developer",
        "user",
        "assistant",
        "tool",
        "function",
    ]);
    let call = (word(), word(), value()).prop_map(|(id, name, given)| {
        json!({"id": id, "type": "function", "function": {"name": name, "arguments": given}})
    });
    let part = prop_oneof![
        ".*".prop_map(|text| json!({"type": "text", "text": text})),
        ".*".prop_map(|url| json!({"type": "image_url", "image_url": {"url": url}})),
    ];
    let content = prop_oneof![
        ".*".prop_map(Value::from),
        proptest::collection::vec(part, 0..4).prop_map(Value::from),
        value(),
    ];
    (role, content, proptest::collection::vec(call, 0..3), word(), value()).prop_map(
        |(role, content, calls, id, more)| {
            let mut message = json!({"role": role, "content": content, "tool_call_id": id});
            if role == "assistant" {
                message["tool_calls"] = json!(calls);
            }
            if let (Value::Object(more), Some(message)) = (more, message.as_object_mut()) {
                more.into_iter().for_each(|(name, value)| {
                    message.entry(name).or_insert(value);
                });
            }
            message
        },
    )
}

fn event() -> impl Strategy<Value = Value> {
    let kinds = [
        "response.created",
        "response.in_progress",
        "response.output_text.delta",
        "response.output_text.done",
        "response.refusal.delta",
        "response.refusal.done",
        "response.reasoning_summary_text.delta",
        "response.reasoning_summary_text.done",
        "response.output_item.added",
        "response.output_item.done",
        "response.function_call_arguments.delta",
        "response.function_call_arguments.done",
        "response.custom_tool_call_input.delta",
        "response.custom_tool_call_input.done",
        "response.completed",
        "response.incomplete",
        "response.failed",
        "error",
    ];
    let item = prop_oneof![
        (word(), word(), ".*").prop_map(|(id, name, given)| json!({
            "type": "function_call", "id": id, "call_id": id, "name": name, "arguments": given
        })),
        ".*".prop_map(|text| json!({
            "type": "message", "content": [{"type": "output_text", "text": text}]
        })),
        value(),
    ];
    let text = prop_oneof![3 => ".*".prop_map(Value::from), 1 => value()];
    let kind = proptest::sample::select(kinds.to_vec());
    (kind, text, item, value(), 0..3_u64).prop_map(|(kind, text, item, response, index)| {
        json!({
            "type": kind, "delta": text, "text": text, "refusal": text, "arguments": text,
            "item": item, "response": response, "output_index": index, "summary_index": index,
        })
    })
}

/// An item of an answer, and how it is streamed: by deltas, by the end of each part, or only whole.
fn streamed_item() -> impl Strategy<Value = (Value, u8)> {
    let parts = || proptest::collection::vec(".{0,6}", 1..4);
    let item = prop_oneof![
        parts().prop_map(|texts| {
            let part = |text| json!({"type": "output_text", "text": text, "annotations": []});
            json!({"type": "message", "content": texts.into_iter().map(part).collect::<Vec<_>>()})
        }),
        parts().prop_map(|texts| {
            let part = |text| json!({"type": "summary_text", "text": text});
            json!({"type": "reasoning", "summary": texts.into_iter().map(part).collect::<Vec<_>>()})
        }),
        ".{0,6}".prop_map(|text| {
            json!({"type": "message", "content": [{"type": "refusal", "refusal": text}]})
        }),
        (".{1,3}", ".{0,6}").prop_map(|(name, given)| {
            json!({"type": "function_call", "name": name, "arguments": given})
        }),
        (".{1,3}", ".{0,6}").prop_map(|(name, given)| {
            json!({"type": "custom_tool_call", "name": name, "input": given})
        }),
    ];
    (item, 0..3_u8)
}

/// The events by which an item is streamed.
fn events_of(index: usize, item: &Value, how: u8) -> Vec<Value> {
    let id = &item["id"];
    let mut started = item.clone();
    let (kind, member, list) = match item["type"].as_str().unwrap() {
        "reasoning" => ("reasoning_summary_text", "text", "summary"),
        "function_call" => ("function_call_arguments", "arguments", ""),
        "custom_tool_call" => ("custom_tool_call_input", "input", ""),
        _ if item["content"][0]["type"] == "refusal" => ("refusal", "refusal", "content"),
        _ => ("output_text", "text", "content"),
    };
    let texts: Vec<&Value> = match item[list].as_array() {
        Some(parts) => parts.iter().map(|part| &part[member]).collect(),
        None => vec![&item[member]],
    };
    started[if list.is_empty() { member } else { list }] = json!(null);
    let mut events = vec![json!({
        "type": "response.output_item.added", "output_index": index, "item": started,
    })];
    for (part, text) in texts.into_iter().enumerate() {
        let place = |kind: String| {
            json!({
                "type": kind, "output_index": index, "item_id": id, "content_index": part,
            })
        };
        if how == 0 {
            for character in text.as_str().unwrap().chars() {
                let mut event = place(format!("response.{kind}.delta"));
                event["delta"] = json!(character);
                events.push(event);
            }
        }
        if how < 2 {
            let mut event = place(format!("response.{kind}.done"));
            event[member] = text.clone();
            events.push(event);
        }
    }
    events.push(json!({
        "type": "response.output_item.done", "output_index": index, "item": item,
    }));
    events
}

/// A message put together from chunks, as an SDK does it.
fn gathered(chunks: &[Value]) -> Value {
    let mut message = json!({"role": "assistant", "content": null, "refusal": null});
    let mut calls: Vec<Value> = Vec::new();
    let append = |to: &mut Value, more: &Value| {
        let whole = format!("{}{}", to.as_str().unwrap_or_default(), more.as_str().unwrap());
        *to = json!(whole);
    };
    for delta in chunks.iter().map(|chunk| &chunk["choices"][0]["delta"]) {
        for member in ["content", "refusal", "reasoning_content"] {
            if let Some(text) = delta.get(member).filter(|text| **text != "") {
                append(&mut message[member], text);
            }
        }
        let Some(call) = delta["tool_calls"].get(0) else { continue };
        let index = usize::try_from(call["index"].as_u64().unwrap()).unwrap();
        if index == calls.len() {
            let mut call = call.clone();
            call.as_object_mut().unwrap().remove("index");
            calls.push(call);
        } else {
            let (kind, member) = match call.get("custom") {
                Some(_) => ("custom", "input"),
                None => ("function", "arguments"),
            };
            append(&mut calls[index][kind][member], &call[kind][member]);
        }
    }
    if !calls.is_empty() {
        message["tool_calls"] = json!(calls);
    }
    message
}

proptest! {
    #[test]
    fn a_streamed_answer_says_what_the_whole_says(
        items in proptest::collection::vec(streamed_item(), 0..5),
    ) {
        let (mut output, mut events) = (Vec::new(), vec![json!({"type": "response.created"})]);
        for (index, (mut item, how)) in items.into_iter().enumerate() {
            item["id"] = json!(format!("item_{index}"));
            if item.get("name").is_some() {
                item["call_id"] = json!(format!("call_{index}"));
            }
            events.extend(events_of(index, &item, how));
            output.push(item);
        }
        // On this login the last event holds no output.
        events.push(json!({"type": "response.completed", "response": {"output": []}}));
        let (chunks, _) = streamed(&plain(), &events);
        let response = json!({"status": "completed", "output": output});
        let whole = parsed(&completion(&response.to_string(), &plain()).unwrap());
        let mut expected = whole["choices"][0]["message"].clone();
        // What is empty is told in no chunk; and empty thoughts set nothing apart.
        let mut seen = gathered(&chunks);
        for message in [&mut expected, &mut seen] {
            for member in ["content", "refusal", "reasoning_content"] {
                let text = message[member].as_str().unwrap_or_default().to_owned();
                let apart = member == "reasoning_content";
                message[member] = json!(if apart { text.replace('\n', "") } else { text });
            }
        }
        prop_assert_eq!(seen, expected);
        let reason = &chunks.last().unwrap()["choices"][0]["finish_reason"];
        prop_assert_eq!(reason, &whole["choices"][0]["finish_reason"]);
    }

    #[test]
    fn any_body_is_translated_or_refused(body in proptest::collection::vec(any::<u8>(), 0..200)) {
        if let Ok(asked) = request(&body) {
            parsed(&asked.body);
        }
    }

    #[test]
    fn any_json_is_translated_or_refused(body in value()) {
        if let Ok(asked) = request(body.to_string().as_bytes()) {
            parsed(&asked.body);
        }
    }

    #[test]
    fn no_text_of_a_conversation_is_lost(
        messages in proptest::collection::vec(message(), 1..6), more in value(),
    ) {
        let mut body = json!({"model": "m", "messages": messages});
        if let (Value::Object(more), Some(body)) = (more, body.as_object_mut()) {
            more.into_iter().for_each(|(name, value)| {
                body.entry(name).or_insert(value);
            });
        }
        if let Ok(asked) = request(body.to_string().as_bytes()) {
            let sent = parsed(&asked.body);
            let input = sent["input"].as_array().unwrap();
            for message in messages.iter().filter(|message| message["role"] != "tool" && message["role"] != "function") {
                let text = message["content"].as_str().unwrap_or_default();
                let holds = |item: &&Value| item["content"][0]["text"] == text;
                prop_assert!(text.is_empty() || input.iter().any(|item| holds(&item)), "{}", text);
            }
        }
    }

    #[test]
    fn every_chunk_is_one(
        events in proptest::collection::vec(event(), 0..20), usage in any::<bool>(),
    ) {
        let body = json!({
            "model": "m", "messages": [{"role": "user", "content": "hi"}],
            "stream_options": {"include_usage": usage},
        });
        let asked = request(body.to_string().as_bytes()).unwrap();
        let (mut chunks, mut seen) = (Chunks::new(&asked), Vec::new());
        for event in &events {
            chunks.event(&event.to_string(), &mut |chunk| {
                assert!(!chunk.contains(&b'\n'));
                seen.push(parsed(chunk));
            });
        }
        let ends = events.iter().any(|event| {
            ["response.completed", "response.incomplete", "response.failed", "error"]
                .contains(&event["type"].as_str().unwrap())
        });
        prop_assert_eq!(chunks.ended(), ends);
        let mut finished = 0;
        for (at, chunk) in seen.iter().enumerate() {
            if chunk.get("error").is_some() {
                prop_assert!(at + 1 == seen.len() && chunks.failed());
                continue;
            }
            prop_assert!(chunk["id"].as_str().unwrap().starts_with("chatcmpl-"));
            prop_assert_eq!(&chunk["object"], "chat.completion.chunk");
            prop_assert!(chunk["created"].is_u64() && chunk["model"].is_string());
            prop_assert_eq!(&chunk["id"], &seen[0]["id"]);
            prop_assert_eq!(chunk.get("usage").is_some(), usage);
            let choices = chunk["choices"].as_array().unwrap();
            prop_assert_eq!(choices.is_empty(), chunk["usage"].is_object());
            for choice in choices {
                prop_assert_eq!(&choice["index"], 0);
                prop_assert_eq!(choice["delta"].get("role").is_some(), at == 0);
                finished += usize::from(choice["finish_reason"].is_string());
            }
        }
        prop_assert_eq!(finished == 1, chunks.ended() && !chunks.failed());
    }

    #[test]
    fn any_response_becomes_a_completion(response in value(), events in proptest::collection::vec(event(), 0..6)) {
        let asked = plain();
        for response in events.iter().map(|event| &event["response"]).chain([&response]) {
            if let Ok(whole) = completion(&response.to_string(), &asked) {
                let whole = parsed(&whole);
                prop_assert_eq!(&whole["object"], "chat.completion");
                prop_assert_eq!(&whole["choices"][0]["message"]["role"], "assistant");
                prop_assert!(whole["choices"][0]["finish_reason"].is_string());
            }
        }
    }
}
