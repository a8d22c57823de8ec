//! Upstream gone in the middle of an answer: an error to every kind of client, never a clean end.

use serde_json::json;

use super::*;
use crate::support::events;

/// The model begins to speak, and the connection breaks.
fn cut() -> Relay {
    let relay = Relay::new();
    relay
        .sandbox
        .settings(json!({"events": [created(), delta("one "), delta("two")], "finish": "cut"}));
    relay
}

#[test]
fn a_responses_stream_ends_with_an_error_event() {
    let relay = cut();
    let (text, _) = relay.ask(RESPONSES, &question(json!({"stream": true}))).rest();
    let told = events(&text);
    assert_eq!(
        kinds(&told)[..3],
        ["response.created", "response.output_text.delta", "response.output_text.delta"]
    );
    let last = told.last().unwrap();
    assert!(last["type"] == "error" || last["type"] == "response.failed", "{last}");
    assert!(!text.contains("response.completed"));
}

#[test]
fn a_chat_stream_ends_with_an_error_and_without_a_reason_to_stop() {
    let relay = cut();
    let (text, _) = relay.ask(CHAT, &chat(json!({"stream": true}))).rest();
    let chunks = events(&text);
    assert!(chunks.iter().any(|chunk| chunk["error"]["message"].is_string()), "{text}");
    assert!(chunks.iter().all(|chunk| chunk["choices"][0]["finish_reason"].is_null()), "{text}");
}

#[test]
fn a_whole_answer_that_cannot_be_had_is_a_502() {
    let relay = cut();
    for (path, body) in [(RESPONSES, question(json!({}))), (CHAT, chat(json!({})))] {
        let mut answer = relay.ask(path, &body);
        assert_eq!(answer.status, 502);
        answer.error();
        let trail = relay.daemon.ok("audit.tail", json!({"limit": 1}));
        assert_eq!(trail["entries"][0]["outcome"], "upstream_error", "{trail}");
    }
}

#[test]
fn a_call_is_answered_with_an_error_after_the_events_that_came() {
    let relay = cut();
    let mut line = relay.daemon.connect();
    let error = line.call("responses.create", &question(json!({"stream": true}))).unwrap_err();
    assert_eq!(
        (&error["code"], &error["data"]["kind"]),
        (&json!(-32004), &json!("upstream_error"))
    );
    let told: Vec<_> = line
        .notifications
        .iter()
        .map(|told| told["params"]["event"]["type"].as_str().unwrap())
        .collect();
    assert_eq!(
        told,
        ["response.created", "response.output_text.delta", "response.output_text.delta"]
    );
    assert_eq!(relay.daemon.err("chat.completions.create", chat(json!({})))["code"], -32004);
}

#[test]
fn a_clean_end_without_a_last_event_is_a_cut_too() {
    let relay = Relay::new();
    relay.script(json!([created(), delta("one ")]), 0);
    let (text, _) = relay.ask(RESPONSES, &question(json!({"stream": true}))).rest();
    assert_eq!(kinds(&events(&text)).last(), Some(&"error"), "{text}");
    assert_eq!(relay.ask(RESPONSES, &question(json!({}))).status, 502);
    assert_eq!(relay.daemon.err("responses.create", question(json!({})))["code"], -32004);
}

#[test]
fn a_cut_within_an_event_passes_half_of_nothing_on_to_readers_of_objects() {
    let relay = Relay::new();
    let half =
        format!("event: response.output_text.delta\ndata: {}", &delta("three").to_string()[..40]);
    relay.sandbox.settings(json!({"events": [created(), delta("one "), half], "finish": "cut"}));
    let mut line = relay.daemon.connect();
    assert_eq!(
        line.call("responses.create", &question(json!({"stream": true}))).unwrap_err()["code"],
        -32004
    );
    assert_eq!(line.notifications.len(), 2);
    let (text, whole) = relay.ask(RESPONSES, &question(json!({"stream": true}))).rest();
    let told_in_an_event = events(&text).last().unwrap()["type"] == "error";
    assert!(told_in_an_event || !whole, "a clean end: {text}");
    // Cut by bytes, anywhere.
    for most in [1, 60, 400] {
        relay.sandbox.settings(json!({"events": null, "finish": "clean"}));
        relay.sandbox.fault(json!({"on": "responses", "times": 0, "truncate": most}));
        assert_eq!(relay.ask(RESPONSES, &question(json!({}))).status, 502, "{most}");
        relay.sandbox.clear_faults();
    }
}

#[test]
fn what_was_said_to_the_end_is_whole_however_the_connection_then_ended() {
    let relay = Relay::new();
    let script = json!([created(), delta("one"), done(0, message("one")), completed()]);
    relay.sandbox.settings(json!({"events": script, "finish": "cut"}));
    let told = events(&relay.told(RESPONSES, &question(json!({"stream": true}))));
    assert_eq!(kinds(&told).last(), Some(&"response.completed"));
    relay.told(CHAT, &chat(json!({})));
}
