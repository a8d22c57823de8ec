//! What becomes of a request before the backend sees it.

use serde_json::{Value, json};

use super::*;
use crate::support::{Asked, get};

#[test]
fn a_question_in_one_string_is_asked_as_the_backend_wants_it() {
    let relay = Relay::new();
    relay.told(RESPONSES, &question(json!({"model": PLAIN, "input": "what is it"})));
    let sent = relay.sent();
    assert_eq!((&sent["store"], &sent["stream"]), (&json!(false), &json!(true)));
    assert_eq!(sent["input"][0]["role"], "user");
    assert!(sent["input"][0].to_string().contains("what is it"));
    assert!(sent["include"].as_array().unwrap().contains(&json!("reasoning.encrypted_content")));
    assert!(sent["instructions"].as_str().is_some_and(|text| !text.is_empty()));
}

#[test]
fn what_the_backend_refuses_is_dropped_and_named() {
    let relay = Relay::new();
    let refused = json!({
        "temperature": 0.5, "top_p": 1, "max_output_tokens": 9, "user": "me", "metadata": {"a": "b"},
        "truncation": "auto", "safety_identifier": "x", "prompt_cache_retention": "24h",
    });
    let mut answer = relay.ask(RESPONSES, &question(refused.clone()));
    answer.has_status(200);
    let dropped: Vec<&str> = answer.header("x-valetkey-dropped").unwrap().split(", ").collect();
    for name in refused.as_object().unwrap().keys() {
        assert!(dropped.contains(&name.as_str()), "{name} was dropped in silence: {dropped:?}");
    }
    assert_eq!(relay.sandbox.asked(), 1, "nothing had to be tried");
    let mut answer =
        relay.ask(CHAT, &chat(json!({"max_tokens": 9, "seed": 1, "presence_penalty": 1})));
    answer.has_status(200);
    let dropped = answer.header("x-valetkey-dropped").unwrap().to_owned();
    assert!(
        ["max_tokens", "seed", "presence_penalty"].iter().all(|name| dropped.contains(name)),
        "{dropped}"
    );
    answer.text();
    let whole = relay.ask(RESPONSES, &question(json!({})));
    assert_eq!(whole.header("x-valetkey-dropped"), None);
}

#[test]
fn system_prompts_travel_in_the_way_that_was_chosen() {
    let messages = json!([
        {"role": "system", "content": "First rule."},
        {"role": "system", "content": "Second rule."},
        {"role": "user", "content": "hi"},
        {"role": "assistant", "content": "hello"},
        {"role": "system", "content": "Late rule."},
        {"role": "user", "content": "go on"},
    ]);
    for mode in ["instructions", "developer", "prefix"] {
        let relay = Relay::with(&format!("[relay]\nsystem = \"{mode}\""));
        relay.told(CHAT, &chat(json!({"messages": messages})));
        let sent = relay.sent();
        let input = sent["input"].as_array().unwrap();
        assert!(input.iter().all(|item| item["role"] != "system"), "{mode}");
        let rules = |item: &Value| item["role"] == "developer";
        let instructions = sent["instructions"].as_str().unwrap_or_default();
        match mode {
            "instructions" => {
                assert!(instructions.ends_with("First rule.\n\nSecond rule."), "{instructions}");
                let late: Vec<_> = input.iter().filter(|item| rules(item)).collect();
                assert!(late.len() == 1 && late[0].to_string().contains("Late rule."), "{late:?}");
                assert_eq!(input.iter().position(rules), Some(2), "where it was said");
            }
            "developer" => {
                let told: Vec<_> = input.iter().filter(|item| rules(item)).collect();
                assert_eq!(told.len(), 3);
                assert!(!instructions.contains("rule"), "{instructions}");
            }
            _ => {
                let first = input.iter().find(|item| item["role"] == "user").unwrap();
                let text = first["content"][0]["text"].as_str().unwrap();
                assert!(text.starts_with("Context (system prompt):\nFirst rule."), "{text}");
                assert!(first.to_string().contains("hi"));
            }
        }
        let all = sent.to_string();
        for rule in ["First rule.", "Second rule.", "Late rule."] {
            assert!(all.contains(rule), "{mode} loses {rule}");
        }
    }
}

#[test]
fn a_suffix_sets_the_effort_and_wins_over_the_request() {
    let relay = Relay::new();
    for name in ["gpt-5.5-high", "gpt-5.5:high", "gpt-5.5(high)", "openai/gpt-5.5-high"] {
        let body =
            question(json!({"model": name, "reasoning": {"effort": "low", "summary": "auto"}}));
        relay.told(RESPONSES, &body);
        let sent = relay.sent();
        assert_eq!(sent["model"], PLAIN, "{name}");
        assert_eq!(sent["reasoning"], json!({"effort": "high", "summary": "auto"}), "{name}");
    }
    relay.told(CHAT, &chat(json!({"model": "gpt-5.5-low", "reasoning_effort": "high"})));
    assert_eq!(relay.sent()["reasoning"]["effort"], "low");
}

#[test]
fn a_model_that_nobody_offers_is_refused_with_those_that_are() {
    let relay = Relay::new();
    for (path, body) in
        [(RESPONSES, question(json!({"model": "gpt-0"}))), (CHAT, chat(json!({"model": "gpt-0"})))]
    {
        let mut answer = relay.ask(path, &body);
        assert_eq!(answer.status, 404);
        let error = answer.error();
        assert_eq!((&error["code"], &error["param"]), (&json!("model_not_found"), &json!("model")));
        assert!(error["message"].as_str().unwrap().contains(PLAIN), "{error}");
    }
    let error = relay.daemon.err("responses.create", question(json!({"model": "gpt-0"})));
    assert_eq!(
        (&error["code"], &error["data"]["kind"]),
        (&json!(-32003), &json!("unsupported_model"))
    );
    let models = error["data"]["models"].as_array().unwrap();
    assert!(models.contains(&json!(PLAIN)) && models.contains(&json!(LITE)), "{error}");
    assert_eq!(relay.sandbox.asked(), 0);
    // One that is offered to nobody works for who knows it.
    relay.told(RESPONSES, &question(json!({"model": "gpt-5.5-review"})));
    let mut listed = Asked::send(&relay.daemon.socket(), "GET", "/v1/models", &[], None).answer();
    let data = listed.json()["data"].take();
    let ids: Vec<_> =
        data.as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect();
    assert!(ids.contains(&PLAIN) && !ids.contains(&"gpt-5.5-review"), "{ids:?}");
}

#[test]
fn what_would_change_the_meaning_is_refused_rather_than_dropped() {
    let relay = Relay::new();
    let reference = json!([{"type": "item_reference", "id": "msg_1"}]);
    for (path, body, param) in [
        (RESPONSES, question(json!({"previous_response_id": "resp_1"})), "previous_response_id"),
        (RESPONSES, question(json!({"conversation": "conv_1"})), "conversation"),
        (RESPONSES, question(json!({"background": true})), "background"),
        (RESPONSES, question(json!({"input": reference})), "input"),
        (RESPONSES, json!({"model": LITE}), "input"),
        (RESPONSES, json!({"input": "hi"}), "model"),
        (CHAT, chat(json!({"n": 2})), "n"),
    ] {
        let mut answer = relay.ask(path, &body);
        assert_eq!(answer.status, 400, "{body}");
        let error = answer.error();
        assert!(error["param"].as_str().is_some_and(|named| named.starts_with(param)), "{error}");
    }
    for body in ["", "{", "[]", "\"hi\"", "{\"model\": 1}"] {
        let mut answer =
            Asked::send(&relay.daemon.socket(), "POST", RESPONSES, &[], Some(body)).answer();
        assert_eq!(answer.status, 400, "{body}");
        answer.error();
    }
    assert_eq!(relay.sandbox.asked(), 0);
}

#[test]
fn items_go_back_without_what_only_a_store_could_know() {
    let relay = Relay::new();
    let input = json!([
        {"role": "user", "content": "hi"},
        {"id": "rs_1", "type": "reasoning", "summary": []},
        {"id": "rs_2", "type": "reasoning", "summary": [], "encrypted_content": "sealed"},
        {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
         "content": [{"type": "output_text", "text": "hello", "annotations": []}]},
        {"role": "user", "content": "go on"},
    ]);
    relay.told(RESPONSES, &question(json!({"input": input})));
    let sent = relay.sent()["input"].take();
    assert!(sent.as_array().unwrap().iter().all(|item| item.get("id").is_none()), "{sent}");
    assert_eq!(sent.as_array().unwrap().len(), 4, "{sent}");
    assert_eq!(sent[1]["encrypted_content"], "sealed");
}

#[test]
fn the_codex_clis_own_request_goes_on_as_it_is() {
    let relay = Relay::new();
    let body = json!({
        "model": LITE, "stream": true, "store": false, "include": ["reasoning.encrypted_content"],
        "input": [
            {"id": "at_1", "type": "additional_tools", "role": "developer", "tools": []},
            {"id": "msg_1", "type": "message", "role": "user", "content": [{"type": "input_text", "text": "hi"}]},
        ],
        "client_metadata": {"a": "b"}, "prompt_cache_key": "t-1", "text": {"verbosity": "low"},
        "reasoning": {"effort": "low", "context": "all_turns"}, "tool_choice": "auto", "parallel_tool_calls": false,
    });
    let mut answer = relay.send(RESPONSES, &[("originator", "codex_exec")], &body).answer();
    assert_eq!((answer.status, answer.header("x-valetkey-dropped")), (200, None));
    answer.text();
    let request = relay.sandbox.last_request();
    assert_eq!(request["body"], body);
    assert_eq!(request["bytes"].as_u64(), Some(body.to_string().len() as u64), "byte for byte");
}

#[test]
fn a_websocket_is_declined_so_that_clients_fall_back() {
    let relay = Relay::new();
    let upgrade = [
        ("connection", "upgrade"),
        ("upgrade", "websocket"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "AAAAAAAAAAAAAAAAAAAAAA=="),
    ];
    let mut answer = Asked::send(&relay.daemon.socket(), "GET", RESPONSES, &upgrade, None).answer();
    answer.has_status(426);
    assert_eq!(get(&format!("{}/_sandbox/stats", relay.sandbox.url())).json()["responses"], 0);
}

#[test]
fn a_conversation_without_a_name_has_one_that_it_keeps() {
    let relay = Relay::new();
    let named = |input: Value| {
        relay.told(RESPONSES, &question(json!({"input": input})));
        relay.sent()["prompt_cache_key"].as_str().unwrap().to_owned()
    };
    let said = |role: &str, text: &str| json!({"type": "message", "role": role, "content": text});
    let begun = named(json!([said("user", "hi")]));
    let grown = named(json!([said("user", "hi"), said("assistant", "yes"), said("user", "go on")]));
    assert_eq!(begun, grown);
    assert_ne!(begun, named(json!([said("user", "something else")])));
    relay.told(RESPONSES, &question(json!({"prompt_cache_key": "mine"})));
    assert_eq!(relay.sent()["prompt_cache_key"], "mine");
}
