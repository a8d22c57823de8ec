//! Every case under `tests/golden/chat`, and what holds of any input.
//!
//! A file in `request/` holds a chat request and either the Responses request that it becomes, with what
//! is told as dropped, or the refusal. A file in `stream/` holds the events of an answer and the chunks
//! that a client gets, and, with a final object, the completion.

use std::path::{Path, PathBuf};

use proptest::prelude::*;
use serde_json::{Value, json};

use super::{Asked, Chunks, completion, request};

fn cases(folder: &str) -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/chat").join(folder);
    let files = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
    let mut files: Vec<PathBuf> = files.collect();
    files.sort();
    let read = |path: PathBuf| {
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let case = serde_json::from_str(&std::fs::read_to_string(&path).unwrap());
        (name.clone(), case.unwrap_or_else(|error| panic!("{name}: {error}")))
    };
    files.into_iter().map(read).collect()
}

fn parsed(json: &[u8]) -> Value {
    serde_json::from_slice(json).unwrap_or_else(|error| {
        panic!("{error}: {}", String::from_utf8_lossy(json));
    })
}

fn streamed(asked: &Asked, events: &[Value]) -> (Vec<Value>, Chunks) {
    let (mut chunks, mut seen) = (Chunks::new(asked), Vec::new());
    for event in events {
        // A string stands for data as it came, which need not be JSON.
        let data = event.as_str().map_or_else(|| event.to_string(), str::to_owned);
        chunks.event(&data, &mut |chunk| seen.push(parsed(chunk)));
    }
    (seen, chunks)
}

fn shown(value: &Value) -> String {
    serde_json::to_string_pretty(value).unwrap()
}

#[test]
fn requests_become_what_is_written_down() {
    let cases = cases("request");
    assert!(cases.len() >= 25, "only {} cases found", cases.len());
    for (name, case) in cases {
        let body = case["chat"].as_str().map_or_else(|| case["chat"].to_string(), str::to_owned);
        match (request(body.as_bytes()), case.get("refused")) {
            (Ok(asked), None) => {
                let sent = parsed(&asked.body);
                assert_eq!(shown(&sent), shown(&case["responses"]), "{name}");
                assert_eq!(json!(asked.dropped), case["dropped"], "{name}");
                assert_eq!(sent["stream"], asked.stream, "{name}");
            }
            (Err(refusal), Some(expected)) => {
                let told = json!({
                    "param": refusal.param, "code": refusal.code, "message": refusal.message,
                });
                assert_eq!(&told, expected, "{name}");
            }
            (Ok(asked), Some(_)) => panic!("{name}: not refused: {}", parsed(&asked.body)),
            (Err(refusal), None) => panic!("{name}: refused: {refusal}"),
        }
    }
}

#[test]
fn answers_become_what_is_written_down() {
    let cases = cases("stream");
    assert!(cases.len() >= 15, "only {} cases found", cases.len());
    for (name, case) in cases {
        let asked = request(case["chat"].to_string().as_bytes()).unwrap();
        let (chunks, state) = streamed(&asked, case["events"].as_array().unwrap());
        assert_eq!(shown(&json!(chunks)), shown(&case["chunks"]), "{name}");
        assert_eq!(json!([state.ended(), state.failed()]), case["ended, failed"], "{name}");
        if let Some(response) = case.get("response") {
            let whole = completion(&response.to_string(), &asked).unwrap();
            assert_eq!(shown(&parsed(&whole)), shown(&case["completion"]), "{name}");
        }
    }
}

fn plain() -> Asked {
    request(br#"{"model":"gpt-5.5","stream":true,"messages":[{"role":"user","content":"hi"}]}"#)
        .unwrap()
}

#[test]
fn text_is_sent_as_it_was_spelt() {
    let said = r#""caf\u00e9 \/ \ud83d\ude00 \t é""#;
    let body = format!(r#"{{"model":"m","messages":[{{"role":"user","content":{said}}}]}}"#);
    let asked = request(body.as_bytes()).unwrap();
    assert!(String::from_utf8(asked.body).unwrap().contains(said));

    let mut chunks = Chunks::new(&plain());
    let mut last = String::new();
    let event = format!(r#"{{"type":"response.output_text.delta","delta":{said}}}"#);
    chunks.event(&event, &mut |chunk| last = String::from_utf8(chunk.to_vec()).unwrap());
    assert!(last.contains(said), "{last}");
}

#[test]
fn a_loose_result_is_cut_at_its_bound() {
    let body = json!({"model": "m", "messages": [
        {"role": "tool", "tool_call_id": "gone", "content": "ä".repeat(20_000)},
    ]});
    let sent = parsed(&request(body.to_string().as_bytes()).unwrap().body);
    let text = sent["input"][0]["content"][0]["text"].as_str().unwrap();
    assert_eq!(text.matches('ä').count(), 16_000);
    assert!(text.ends_with("\n[the rest was cut off]"));
}

#[test]
fn what_is_told_as_dropped_is_bounded() {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    for at in 0..200 {
        body[format!("{at:03}{}", "x".repeat(500))] = json!(1);
    }
    let dropped = request(body.to_string().as_bytes()).unwrap().dropped;
    assert_eq!(dropped.len(), 64);
    assert!(dropped.iter().all(|name| name.len() == 80));
}

#[test]
fn objects_and_lists_without_end_are_refused() {
    let members: String = (0..300).map(|at| format!(r#""m{at}":0,"#)).collect();
    let body = format!(r#"{{{members}"model":"m","messages":[]}}"#);
    assert!(request(body.as_bytes()).unwrap_err().message.contains("members"));

    let messages = r#"{"role":"user","content":"hi"},"#.repeat(65_537);
    let body = format!(r#"{{"model":"m","messages":[{}]}}"#, messages.trim_end_matches(','));
    assert_eq!(request(body.as_bytes()).unwrap_err().param.as_deref(), Some("messages"));
}

#[test]
fn depth_is_no_danger() {
    let deep = "[".repeat(200_000);
    for body in [
        deep.clone(),
        format!(r#"{{"messages":{deep}"#),
        format!(
            r#"{{"model":"m","messages":[{{"role":"user","content":{deep}{}}}]}}"#,
            "]".repeat(200_000)
        ),
    ] {
        assert!(request(body.as_bytes()).is_err());
    }
    streamed(&plain(), &[json!(format!(r#"{{"type":"response.completed","response":{deep}"#))]);
}

#[test]
fn ids_made_to_meet_each_other_cost_no_more_than_others() {
    // Each id is the one that the id before it is renamed to.
    let mut ids = vec!["a".to_owned()];
    for at in 0..2000 {
        ids.push(super::names::shortened(&format!("{}_2", ids[at])).into_owned());
    }
    ids.push("a".to_owned());
    let call =
        |id| json!({"id": id, "type": "function", "function": {"name": "f", "arguments": "{}"}});
    let calls: Vec<Value> = ids.iter().map(call).collect();
    let body = json!({"model": "m", "messages": [{"role": "assistant", "tool_calls": calls}]});
    let sent = parsed(&request(body.to_string().as_bytes()).unwrap().body);
    let items = sent["input"].as_array().unwrap();
    let ids: std::collections::BTreeSet<_> =
        items.iter().map(|item| item["call_id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), items.len());
    assert!(ids.iter().all(|id| id.len() <= 64));
}

#[test]
fn every_delta_is_told_however_many_items_there_are() {
    let delta =
        |at: usize| json!({"type": "response.output_text.delta", "output_index": at, "delta": "x"});
    let events: Vec<Value> = (0..3000).map(delta).collect();
    let (seen, _) = streamed(&plain(), &events);
    assert_eq!(seen.len(), 3001);
}

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

proptest! {
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
