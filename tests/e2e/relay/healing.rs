//! What is put right before a client notices.

use serde_json::json;

use super::*;

#[test]
fn a_token_that_is_refused_is_renewed_once_and_the_question_asked_again() {
    let relay = Relay::new();
    // The first completion asks for models and for the way, too: any of these may meet a refusal.
    relay.told(RESPONSES, &question(json!({})));
    relay.sandbox.lever("revoke_access", &json!({}));
    let told = relay.told(RESPONSES, &question(json!({"stream": true})));
    assert!(told.contains("response.completed"));
    assert_eq!((relay.sandbox.asked(), relay.sandbox.stat("refreshes")), (3, 1));
    relay.told(RESPONSES, &question(json!({})));
    assert_eq!((relay.sandbox.asked(), relay.sandbox.stat("refreshes")), (4, 1));
}

#[test]
fn four_that_meet_a_refused_token_at_once_cost_one_renewal() {
    let relay = Relay::new();
    relay.told(RESPONSES, &question(json!({})));
    relay.sandbox.fault(json!({"on": "refresh", "latency_ms": 300}));
    relay.sandbox.lever("revoke_access", &json!({}));
    let asked: Vec<_> = (0..4).map(|_| relay.send(RESPONSES, &[], &question(json!({})))).collect();
    for mut answer in asked.into_iter().map(Asked::answer) {
        answer.has_status(200);
    }
    assert_eq!(relay.sandbox.stat("refresh_requests"), 1);
    assert_eq!(relay.sandbox.stat("responses"), 5);
    assert!(relay.sandbox.asked() <= 9, "each was asked twice at most");
}

#[test]
fn a_token_that_is_refused_for_good_costs_one_renewal_and_is_told() {
    let relay = Relay::new();
    let body = json!({"error": {"message": "Your authentication token has been invalidated.", "code": "token_invalidated"}});
    relay.sandbox.fault(json!({"on": "responses", "times": 0, "status": 401, "body": body}));
    let mut answer = relay.ask(RESPONSES, &question(json!({})));
    assert_eq!(answer.status, 401);
    assert!(answer.error()["message"].as_str().unwrap().contains("invalidated"));
    assert_eq!((relay.sandbox.asked(), relay.sandbox.stat("refreshes")), (2, 1));
}

#[test]
fn a_parameter_that_the_backend_no_longer_takes_is_learned_from_its_refusal() {
    let relay = Relay::new();
    // Nobody has heard of it: only the backend's answer tells.
    let body = question(json!({"fancy_new_thing": {"a": 1}}));
    let answer = relay.ask(RESPONSES, &body);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("x-valetkey-dropped"), Some("fancy_new_thing"));
    assert_eq!(relay.sandbox.asked(), 2);
    assert!(relay.sent().get("fancy_new_thing").is_none());
    let again = relay.ask(RESPONSES, &body);
    assert_eq!((again.status, again.header("x-valetkey-dropped")), (200, Some("fancy_new_thing")));
    assert_eq!(relay.sandbox.asked(), 3, "it is remembered");
}

#[test]
fn a_refusal_of_what_the_request_did_not_hold_is_not_answered_with_the_same_request() {
    let relay = Relay::new();
    let detail = json!({"detail": "Unsupported parameter: something_else"});
    relay.sandbox.fault(json!({"on": "responses", "times": 0, "status": 400, "body": detail}));
    let mut answer = relay.ask(RESPONSES, &question(json!({})));
    assert_eq!(answer.status, 400);
    assert_eq!(answer.error()["message"], "Unsupported parameter: something_else");
    assert_eq!(relay.sandbox.asked(), 1);
}

#[test]
fn an_overload_told_in_the_place_of_an_answer_is_waited_out() {
    let relay = Relay::new();
    for (path, body) in [
        (RESPONSES, question(json!({"stream": true}))),
        (RESPONSES, question(json!({}))),
        (CHAT, chat(json!({"stream": true}))),
    ] {
        let before = relay.sandbox.asked();
        relay.script(json!([created(), in_progress(), failed("server_is_overloaded", "busy")]), 1);
        let told = relay.told(path, &body);
        assert!(!told.contains("overloaded"), "{told}");
        assert_eq!(relay.sandbox.asked(), before + 2);
    }
}

#[test]
fn a_moments_trouble_on_the_way_is_not_noticed() {
    let relay = Relay::new();
    for fault in [
        json!({"status": 502, "body": "<html>Bad gateway</html>"}),
        json!({"status": 503}),
        json!({"status": 504}),
        json!({"drop": "before"}),
        json!({"drop": "after"}),
    ] {
        let before = relay.sandbox.asked();
        let mut whole = json!({"on": "responses"});
        merge(&mut whole, fault.clone());
        relay.sandbox.fault(whole);
        relay.told(RESPONSES, &question(json!({"stream": true})));
        assert_eq!(relay.sandbox.asked(), before + 2, "{fault}");
    }
}

#[test]
fn what_was_begun_is_never_begun_again() {
    let relay = Relay::new();
    relay.sandbox.settings(json!({"events": [created(), delta("one")], "finish": "cut"}));
    let (text, whole) = relay.ask(RESPONSES, &question(json!({"stream": true}))).rest();
    assert!(text.contains("one") && (!whole || text.contains("error")), "{text}");
    assert_eq!(relay.sandbox.asked(), 1);
}
