//! What is waited for, and for how long.

use std::time::{Duration, Instant};

use serde_json::json;

use super::*;
use crate::support::events;

#[test]
fn an_upstream_that_does_not_begin_is_given_up() {
    let relay = Relay::with("[relay]\nfirst_byte_timeout = \"1s\"");
    relay.sandbox.fault(json!({"on": "responses", "times": 0, "stall": true}));
    let since = Instant::now();
    let mut answer = relay.ask(RESPONSES, &question(json!({"stream": true})));
    answer.has_status(504);
    assert!(since.elapsed() < Duration::from_secs(10), "{:?}", since.elapsed());
    assert_eq!(relay.sandbox.asked(), 1, "the backend may be at work on it: it is not asked again");
    let error = relay.daemon.err("responses.create", question(json!({})));
    assert_eq!((&error["code"], &error["data"]["which"]), (&json!(-32010), &json!("first_byte")));
    relay.sandbox.clear_faults();
}

#[test]
fn an_upstream_that_falls_silent_is_given_up() {
    let relay = Relay::with("[relay]\nidle_timeout = \"1s\"");
    relay.sandbox.settings(json!({"events": [created(), delta("one ")], "finish": "hang"}));
    let (text, _) = relay.ask(RESPONSES, &question(json!({"stream": true}))).rest();
    assert_eq!(kinds(&events(&text)).last(), Some(&"error"), "{text}");
    let (text, _) = relay.ask(CHAT, &chat(json!({"stream": true}))).rest();
    assert!(events(&text).iter().any(|chunk| chunk["error"].is_object()), "{text}");
    assert_eq!(relay.ask(RESPONSES, &question(json!({}))).status, 504);
    let error = relay.daemon.err("responses.create", question(json!({})));
    assert_eq!((&error["code"], &error["data"]["which"]), (&json!(-32010), &json!("idle")));
    relay.sandbox.wait("on=responses&aborted=4");
}

#[test]
fn no_more_is_carried_at_once_than_was_allowed() {
    let relay = Relay::with("[relay]\nmax_streams = 2");
    relay.sandbox.settings(json!({"events": [created(), delta("one ")], "finish": "hang"}));
    let mut first = relay.ask(RESPONSES, &question(json!({"stream": true})));
    first.until("one ");
    let mut line = relay.daemon.connect();
    let call = line.request("responses.create", &question(json!({"stream": true})));
    relay.sandbox.wait("on=responses&streaming=2");

    let mut third = relay.ask(CHAT, &chat(json!({})));
    assert_eq!(third.status, 503);
    assert!(third.header("retry-after").unwrap().parse::<u64>().unwrap() > 0);
    third.error();
    let error = relay.daemon.err("chat.completions.create", chat(json!({})));
    assert_eq!((&error["code"], &error["data"]["kind"]), (&json!(-32008), &json!("overloaded")));
    assert!(error["data"]["retry_after"].as_u64().unwrap() > 0);
    assert_eq!(relay.sandbox.asked(), 2);

    // What else the daemon does is not held up.
    relay.daemon.ok("ping", json!({}));
    line.send(&json!({"jsonrpc": "2.0", "method": "cancel", "params": {"id": call}}));
    assert_eq!(line.answer(call).unwrap_err()["code"], -32800);
    relay.sandbox.settings(json!({"events": null, "finish": "clean"}));
    relay.told(RESPONSES, &question(json!({})));
}

/// The one test that waits: the comments come every 15 seconds, and nobody should set that.
#[test]
fn a_silence_is_filled_with_comments_that_no_reader_of_events_sees() {
    let relay = Relay::new();
    let word =
        |event: Value| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap());
    let begin = word(created()) + &word(delta("one "));
    let end = word(done(0, message("one "))) + &word(completed());
    relay.script(json!([begin, end]), 0);
    relay.sandbox.settings(json!({"event_delay_ms": 16_500}));
    let mut line = relay.daemon.connect();
    let call = line.request("responses.create", &question(json!({"stream": true})));
    let mut talk = relay.ask(CHAT, &chat(json!({"stream": true})));
    let told = relay.told(RESPONSES, &question(json!({"stream": true})));
    assert_eq!(told.matches(": keepalive\n\n").count(), 1, "{told}");
    let without = told.replace(": keepalive\n\n", "");
    assert_eq!(
        kinds(&events(&without)),
        [
            "response.created",
            "response.output_text.delta",
            "response.output_item.done",
            "response.completed"
        ]
    );
    let talk = talk.text();
    assert_eq!(talk.matches(": keepalive\n\n").count(), 1, "{talk}");
    assert!(talk.ends_with("data: [DONE]\n\n"));
    line.answer(call).unwrap();
    assert_eq!(line.notifications.len(), 4, "the line dialect has no comments");
}
