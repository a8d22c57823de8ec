//! Every case under `tests/golden/chat`, and the bounds.
//!
//! A file in `request/` holds a chat request and either the Responses request that it becomes, with what
//! is told as dropped, or the refusal. A file in `stream/` holds the events of an answer and the chunks
//! that a client gets, and, with a final object, the completion.

mod properties;

use std::path::{Path, PathBuf};

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
