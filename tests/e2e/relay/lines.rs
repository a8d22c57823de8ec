//! Completions over the line dialect.

use serde_json::{Value, json};

use super::*;

#[test]
fn events_come_in_order_and_the_whole_answer_last() {
    let relay = Relay::new();
    relay.sandbox.settings(json!({"reply": "one two three"}));
    let mut line = relay.daemon.connect();
    let whole = line.call("responses.create", &question(json!({"stream": true}))).unwrap();
    let told = std::mem::take(&mut line.notifications);
    let numbers: Vec<_> = told
        .iter()
        .map(|told| {
            assert_eq!(
                (&told["method"], &told["params"]["id"]),
                (&json!("responses.event"), &json!(1))
            );
            told["params"]["event"]["sequence_number"].as_u64().unwrap()
        })
        .collect();
    assert_eq!(numbers, (0..told.len() as u64).collect::<Vec<_>>());
    let text: String =
        told.iter().filter_map(|told| told["params"]["event"]["delta"].as_str()).collect();
    assert_eq!(text, "one two three");
    assert_eq!(told.last().unwrap()["params"]["event"]["type"], "response.completed");
    assert_eq!(whole["object"], "response");
    assert_eq!(whole["output"][1]["content"][0]["text"], "one two three");
}

#[test]
fn without_a_stream_there_is_the_answer_and_nothing_else() {
    let relay = Relay::new();
    let mut line = relay.daemon.connect();
    let body = question(json!({"vendor": "sandbox", "account": "default", "temperature": 1}));
    assert_eq!(line.call("responses.create", &body).unwrap()["object"], "response");
    let sent = relay.sent();
    assert!(sent.get("vendor").is_none() && sent.get("account").is_none(), "{sent}");
    let answer = line.call("chat.completions.create", &chat(json!({}))).unwrap();
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(line.notifications, Vec::<Value>::new());
}

#[test]
fn a_login_that_is_left_open_with_null_is_not_sent_on() {
    let relay = Relay::new();
    relay.daemon.ok("responses.create", question(json!({"vendor": null, "account": null})));
    let sent = relay.sent();
    assert!(sent.get("vendor").is_none() && sent.get("account").is_none(), "{sent}");
}

#[test]
fn chat_is_streamed_in_chunks() {
    let relay = Relay::new();
    relay.sandbox.settings(json!({"reply": "one two"}));
    let mut line = relay.daemon.connect();
    let whole = line.call("chat.completions.create", &chat(json!({"stream": true}))).unwrap();
    assert_eq!(whole["choices"][0]["message"]["content"], "one two");
    let chunks = &line.notifications;
    assert!(
        chunks
            .iter()
            .all(|told| told["method"] == "chat.completions.chunk" && told["params"]["id"] == 1)
    );
    let text: String = chunks
        .iter()
        .filter_map(|told| told["params"]["chunk"]["choices"][0]["delta"]["content"].as_str())
        .collect();
    assert_eq!(text, "one two");
}

#[test]
fn an_id_of_any_kind_comes_back_with_every_event() {
    let relay = Relay::new();
    let mut line = relay.daemon.connect();
    line.send(&json!({"jsonrpc": "2.0", "id": "a/é", "method": "responses.create", "params": question(json!({"stream": true}))}));
    loop {
        let message = line.recv().unwrap();
        if message.get("method").is_none() {
            assert_eq!(message["id"], "a/é");
            assert!(message["result"].is_object(), "{message}");
            return;
        }
        assert_eq!(message["params"]["id"], "a/é");
    }
}

#[test]
fn other_calls_are_answered_while_a_stream_runs() {
    let relay = Relay::new();
    relay.sandbox.settings(json!({"events": [created(), delta("one ")], "finish": "hang"}));
    let mut line = relay.daemon.connect();
    let call = line.request("responses.create", &question(json!({"stream": true})));
    relay.sandbox.wait("on=responses&streaming=1");
    let other = line.request("ping", &json!({}));
    assert_eq!(line.answer(other).unwrap(), json!({}));
    let again = json!({"jsonrpc": "2.0", "id": call, "method": "ping"});
    line.send(&again);
    assert_eq!(line.answer(call).unwrap_err()["code"], -32600, "an id in flight is taken");

    let cancel = line.request("cancel", &json!({"id": call}));
    let mut answers = [line.recv_answer(), line.recv_answer()];
    answers.sort_by_key(|answer| answer["id"].as_u64());
    assert_eq!((&answers[0]["id"], &answers[0]["error"]["code"]), (&json!(call), &json!(-32800)));
    assert_eq!(
        (&answers[1]["id"], &answers[1]["result"]),
        (&json!(cancel), &json!({"cancelled": true}))
    );
    relay.sandbox.wait("on=responses&aborted=1");
    let gone = line.call("cancel", &json!({"id": call})).unwrap();
    assert_eq!(gone, json!({"cancelled": false}));
}

#[test]
fn a_batch_takes_whole_answers_and_no_streams() {
    let relay = Relay::new();
    let mut line = relay.daemon.connect();
    let call = |id: u64, method: &str, params: Value| json!({"jsonrpc": "2.0", "id": id, "method": method, "params": params});
    line.send(&json!([
        call(1, "responses.create", question(json!({"stream": true}))),
        call(2, "responses.create", question(json!({}))),
        call(3, "chat.completions.create", chat(json!({"stream": true}))),
        call(4, "ping", json!({})),
    ]));
    let batch = line.recv().unwrap();
    let answer =
        |id: u64| batch.as_array().unwrap().iter().find(|answer| answer["id"] == id).unwrap();
    assert_eq!(answer(1)["error"]["code"], -32600);
    assert_eq!(answer(2)["result"]["object"], "response");
    assert_eq!(answer(3)["error"]["code"], -32600);
    assert_eq!(answer(4)["result"], json!({}));
    assert_eq!(relay.sandbox.asked(), 1);
}

#[test]
fn what_a_body_lacks_is_an_error_of_its_parameters() {
    let relay = Relay::new();
    for (method, params) in [
        ("responses.create", json!({"model": LITE})),
        ("responses.create", json!(["hi"])),
        ("responses.create", question(json!({"previous_response_id": "resp_1"}))),
        ("chat.completions.create", json!({"model": LITE})),
        ("chat.completions.create", chat(json!({"n": 3}))),
    ] {
        assert_eq!(relay.daemon.err(method, params.clone())["code"], -32602, "{method} {params}");
    }
    assert_eq!(relay.sandbox.asked(), 0);
}

#[test]
fn the_trail_names_completions_and_holds_nothing_of_what_was_said() {
    let relay = Relay::new();
    relay.daemon.ok("responses.create", question(json!({"input": "a secret thought"})));
    relay.told(CHAT, &chat(json!({"messages": [{"role": "user", "content": "a secret thought"}]})));
    let trail = relay.daemon.ok("audit.tail", json!({"limit": 50}));
    let methods: Vec<_> = trail["entries"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["method"].as_str().unwrap())
        .collect();
    assert!(
        methods.contains(&"responses.create") && methods.contains(&"chat.completions.create"),
        "{methods:?}"
    );
    assert!(!trail.to_string().contains("secret thought"));
    assert!(!relay.daemon.log().contains("secret thought"));
}
