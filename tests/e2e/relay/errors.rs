//! Failures in the shape that keeps each client calm.

use serde_json::{Value, json};

use super::*;
use crate::support::{events, eventually};

const LIMIT: &str = r#"{"error":{"type":"usage_limit_reached","message":"The usage limit has been reached","plan_type":"plus","resets_at":1999999999,"eligible_promo":null,"resets_in_seconds":3600}}"#;

#[test]
fn a_spent_subscription_is_told_in_the_backends_own_words_and_asked_once() {
    let relay = Relay::new();
    relay.sandbox.fault(json!({"on": "responses", "times": 0, "status": 429, "body": LIMIT}));
    for (path, body) in [
        (RESPONSES, question(json!({}))),
        (RESPONSES, question(json!({"stream": true}))),
        (CHAT, chat(json!({"stream": true}))),
    ] {
        let before = relay.sandbox.asked();
        let mut answer = relay.ask(path, &body);
        assert_eq!((answer.status, answer.header("x-should-retry")), (429, Some("false")));
        assert_eq!(answer.text(), LIMIT);
        assert_eq!(relay.sandbox.asked(), before + 1);
    }
    let error = relay.daemon.err("responses.create", question(json!({})));
    assert_eq!((&error["code"], &error["data"]["kind"]), (&json!(-32005), &json!("usage_limit")));
    assert_eq!(error["data"]["resets_at"], 1_999_999_999_000_u64);
    assert_eq!(error["data"]["plan"], "plus");
}

#[test]
fn a_limit_told_inside_a_stream_is_a_limit() {
    let relay = Relay::new();
    let mut end = failed("usage_limit_reached", "The usage limit has been reached");
    end["response"]["error"]["resets_at"] = 1_999_999_999.into();
    relay.script(json!([created(), end]), 0);
    let mut answer = relay.ask(RESPONSES, &question(json!({"stream": true})));
    assert_eq!((answer.status, answer.header("x-should-retry")), (429, Some("false")));
    assert_eq!(answer.json()["error"]["resets_at"], 1_999_999_999);
    assert_eq!(relay.sandbox.asked(), 1);
}

#[test]
fn a_lasting_overload_is_a_503_that_says_when_to_come_back() {
    let relay = Relay::new();
    relay.script(
        json!([created(), in_progress(), failed("server_is_overloaded", "We are overloaded.")]),
        0,
    );
    for (path, body) in [(RESPONSES, question(json!({"stream": true}))), (CHAT, chat(json!({})))] {
        let before = relay.sandbox.asked();
        let mut answer = relay.ask(path, &body);
        assert_eq!(answer.status, 503);
        assert!(answer.header("retry-after").unwrap().parse::<u64>().unwrap() > 0);
        assert_eq!(answer.error()["code"], "server_is_overloaded");
        let tries = relay.sandbox.asked() - before;
        assert!((2..=5).contains(&tries), "{tries} tries");
    }
    let error = relay.daemon.err("responses.create", question(json!({"stream": true})));
    assert_eq!((&error["code"], &error["data"]["status"]), (&json!(-32004), &json!(503)));
}

#[test]
fn an_overload_that_is_slow_to_be_told_is_waited_out_too() {
    let relay = Relay::new();
    let busy = failed("server_is_overloaded", "We are overloaded.");
    let limits = json!({"type": "codex.rate_limits", "plan_type": "plus"});
    for (path, body) in
        [(RESPONSES, question(json!({"stream": true}))), (CHAT, chat(json!({"stream": true})))]
    {
        let before = relay.sandbox.asked();
        relay.sandbox.settings(json!({
            "events": [created(), in_progress(), limits, busy], "times": 1, "event_delay_ms": 200, "reply": "hi",
        }));
        let text = relay.told(path, &body);
        assert!(!text.contains("overloaded"), "{text}");
        assert_eq!(relay.sandbox.asked() - before, 2);
    }
}

#[test]
fn a_pause_that_is_asked_for_is_the_clients_to_make() {
    let relay = Relay::new();
    let body = json!({"error": {"message": "slow down", "type": "rate_limit_error", "code": "rate_limit_exceeded"}});
    relay.sandbox.fault(
        json!({"on": "responses", "status": 429, "body": body, "headers": {"retry-after": "17"}}),
    );
    let mut answer = relay.ask(RESPONSES, &question(json!({})));
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("17")));
    assert_eq!(answer.error()["code"], "rate_limit_exceeded");
    assert_eq!(answer.header("x-should-retry"), None);
    assert_eq!(relay.sandbox.asked(), 1);
    let hurry = failed("rate_limit_exceeded", "Rate limit reached. Please try again in 16.5s.");
    relay.script(json!([created(), hurry]), 1);
    let answer = relay.ask(RESPONSES, &question(json!({"stream": true})));
    assert!(matches!(answer.status, 429 | 503), "{}", answer.status);
    assert_eq!(answer.header("retry-after"), Some("17"));
    assert_eq!(relay.sandbox.asked(), 2);
}

#[test]
fn the_backends_short_refusals_become_errors_that_libraries_can_read() {
    let relay = Relay::new();
    for (status, body, message) in [
        (400, json!({"detail": "Input must be a list"}), "Input must be a list"),
        (403, json!({"detail": "Not on this plan"}), "Not on this plan"),
        (
            404,
            json!({"error": {"message": "Item with id 'rs_1' not found."}}),
            "Item with id 'rs_1' not found.",
        ),
        (422, json!({"detail": [{"loc": ["body"], "msg": "field required"}]}), "field required"),
    ] {
        relay.sandbox.fault(json!({"on": "responses", "status": status, "body": body}));
        let before = relay.sandbox.asked();
        let mut answer = relay.ask(RESPONSES, &question(json!({"stream": true})));
        assert_eq!(answer.status, status);
        assert!(answer.error()["message"].as_str().unwrap().contains(message));
        assert_eq!(relay.sandbox.asked(), before + 1, "{status} is not tried again");
    }
    let page = "<html><title>Just a moment...</title></html>";
    relay.sandbox.fault(json!({"on": "responses", "status": 403, "body": page}));
    let mut answer = relay.ask(RESPONSES, &question(json!({})));
    assert_eq!(answer.status, 403);
    assert!(!answer.error()["message"].as_str().unwrap().contains('<'));
}

#[test]
fn a_request_that_is_too_long_fails_as_each_client_expects() {
    let relay = Relay::new();
    let end =
        failed("context_length_exceeded", "Your input exceeds the context window of this model.");
    relay.script(json!([created(), end]), 0);
    let mut answer = relay.ask(RESPONSES, &question(json!({})));
    assert_eq!(answer.status, 400);
    assert_eq!(answer.error()["code"], "context_length_exceeded");
    let mut answer = relay.ask(CHAT, &chat(json!({"stream": true})));
    answer.has_status(400);
    // Who reads events is told in one.
    let told = events(&relay.told(RESPONSES, &question(json!({"stream": true}))));
    assert_eq!(kinds(&told), ["response.created", "response.failed"]);
    assert_eq!(relay.sandbox.asked(), 3);
}

#[test]
fn a_failure_after_the_first_word_is_told_in_the_stream() {
    let relay = Relay::new();
    let script = json!([created(), delta("one "), failed("server_is_overloaded", "busy")]);
    relay.script(script, 0);
    let told = events(&relay.told(RESPONSES, &question(json!({"stream": true}))));
    assert_eq!(kinds(&told).last(), Some(&"response.failed"));
    let chunks = events(&relay.told(CHAT, &chat(json!({"stream": true}))));
    let error = chunks.iter().find(|chunk| chunk["error"].is_object()).expect("an error");
    assert_eq!(error["error"]["code"], "server_is_overloaded");
    assert!(chunks.iter().all(|chunk| chunk["choices"][0]["finish_reason"].is_null()));
    assert_eq!(relay.sandbox.asked(), 2);
    let mut whole = relay.ask(RESPONSES, &question(json!({})));
    assert_eq!(whole.status, 503);
    assert_eq!(whole.error()["code"], "server_is_overloaded");
}

#[test]
fn nobody_signed_in_is_told_to_each_client_in_its_way() {
    let relay = Relay::signed_out("");
    let mut answer = relay.ask(RESPONSES, &question(json!({})));
    assert_eq!((answer.status, answer.header("x-should-retry")), (401, Some("false")));
    let error = answer.error();
    assert!(error["message"].as_str().unwrap().contains("valetkey login"), "{error}");
    assert_eq!(relay.ask(CHAT, &chat(json!({"stream": true}))).status, 401);
    // It shows the text of a 400, and answers a 401 with a dozen blind tries.
    let mut codex =
        relay.send(RESPONSES, &[("originator", "codex_exec")], &question(json!({}))).answer();
    assert_eq!(codex.status, 400);
    assert!(codex.error()["message"].as_str().unwrap().contains("valetkey login"));
    assert_eq!(relay.daemon.err("chat.completions.create", chat(json!({})))["code"], -32001);
    assert_eq!(relay.sandbox.asked(), 0);
}

#[test]
fn an_issuer_out_of_reach_is_a_503_that_says_when_to_come_back() {
    let relay = Relay::signed_out("");
    relay.sandbox.settings(json!({"access_ttl_secs": 2}));
    relay.daemon.sign_in(&relay.sandbox);
    relay.sandbox.fault(json!({"on": "refresh", "times": 0, "status": 503}));
    // While the token lives it is used.
    let mut answer = eventually("the token's end", || {
        let answer = relay.ask(RESPONSES, &question(json!({"stream": true})));
        (answer.status != 200).then_some(answer)
    });
    answer.has_status(503);
    assert!(answer.header("retry-after").unwrap().parse::<u64>().unwrap() > 0);
    answer.error();
    assert_eq!(relay.daemon.err("responses.create", question(json!({})))["code"], -32009);
}

#[test]
fn an_upstream_that_stays_away_is_a_gateways_error_within_a_bound() {
    let relay = Relay::new();
    relay.sandbox.fault(json!({"on": "responses", "times": 0, "drop": "before"}));
    let mut answer = relay.ask(RESPONSES, &question(json!({"stream": true})));
    answer.has_status(502);
    let tries = relay.sandbox.asked();
    assert!((2..=5).contains(&tries), "{tries} tries");
    // To the Codex CLI a 502 is worth thirty tries, a 503 a few with a pause.
    let codex =
        relay.send(RESPONSES, &[("originator", "codex_exec")], &question(json!({}))).answer();
    assert_eq!(codex.status, 503);
    assert!(codex.header("retry-after").is_some());
    let error: Value = relay.daemon.err("responses.create", question(json!({})));
    assert_eq!(error["code"], -32004);
}

#[test]
fn a_document_in_the_place_of_a_stream_is_read_for_what_it_says() {
    let relay = Relay::new();
    let limit = json!({"error": {
        "type": "usage_limit_reached", "message": "The usage limit has been reached", "resets_at": 1_999_999_999,
    }});
    let json = json!({"content-type": "application/json"});
    relay.sandbox.fault(json!({"on": "responses", "status": 200, "body": limit, "headers": json}));
    let mut answer = relay.ask(RESPONSES, &question(json!({"stream": true})));
    assert_eq!((answer.status, answer.header("x-should-retry")), (429, Some("false")));
    assert_eq!(answer.json()["error"]["resets_at"], 1_999_999_999);
    assert_eq!(relay.sandbox.asked(), 1);
    relay.sandbox.fault(json!({
        "on": "responses", "times": 0, "status": 200, "body": "<html>Sign in to this network</html>",
        "headers": {"content-type": "text/html"},
    }));
    let mut answer = relay.ask(CHAT, &chat(json!({})));
    assert_eq!(answer.status, 502);
    let message = answer.error()["message"].as_str().unwrap().to_owned();
    assert!(message.contains("a document instead of a stream"), "{message}");
}
