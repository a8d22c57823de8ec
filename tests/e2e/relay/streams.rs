//! What a client reads of an answer that is well.

use serde_json::{Value, json};

use super::*;
use crate::support::events;

#[test]
fn a_stream_arrives_byte_for_byte_but_for_the_output_that_the_backend_leaves_out() {
    let relay = Relay::new();
    let end = r#"{"type":"response.completed","x":1e400,"response":{"output":[],"id":"resp_1","n":12345678901234567890123,"s":"\ud83d"}}"#;
    let end = end.replace("1e400", "10").replace(r"\ud83d", "é");
    // Whatever is allowed in such a stream: comments, other line ends, no names, fields that nobody knows.
    let before = [
        ": a comment\n\n".to_owned(),
        format!("event: response.created\r\ndata: {}\r\n\r\n", created()),
        format!("data: {}\n\n", delta("no name, “quotes” and 🙂")),
        "id: 7\nretry: 10\nevent: response.unheard_of\ndata: {\"type\":\"response.unheard_of\",\ndata: \"a\":  1}\n\n".to_owned(),
        "event: codex.rate_limits\ndata: {\"type\":\"codex.rate_limits\",\"rate_limits\":{}}\n\n".to_owned(),
        format!("event: response.output_item.done\ndata: {}\n\n", done(1, message("second"))),
        format!("event: response.output_item.done\ndata: {}\n\n", done(0, message("first"))),
    ]
    .concat();
    let last = format!("event: response.completed\ndata: {end}\n\n");
    // In pieces that end anywhere, a character's middle and a line's end among them.
    let script = format!("{before}{last}");
    let cuts: Vec<usize> =
        (0..script.len()).step_by(37).filter(|at| script.is_char_boundary(*at)).collect();
    let mut pieces: Vec<&str> = cuts.windows(2).map(|pair| &script[pair[0]..pair[1]]).collect();
    pieces.push(&script[*cuts.last().unwrap()..]);
    relay.script(json!(pieces), 2);
    relay.sandbox.settings(json!({"event_delay_ms": 1}));

    let told = relay.told(RESPONSES, &question(json!({"stream": true})));
    let (passed, rest) = told.split_at(before.len());
    assert_eq!(passed, before);
    let mut completed = events(rest).pop().unwrap();
    let output = completed["response"]["output"].take();
    let texts: Vec<_> =
        output.as_array().unwrap().iter().map(|item| &item["content"][0]["text"]).collect();
    assert_eq!(texts, ["first", "second"]);
    completed["response"]["output"] = json!([]);
    assert_eq!(completed, serde_json::from_str::<Value>(&end).unwrap());

    // To the Codex CLI the same.
    let codex = [("originator", "codex_exec")];
    let body = question(
        json!({"stream": true, "store": false, "input": [{"role": "user", "content": "hi"}]}),
    );
    assert_eq!(relay.send(RESPONSES, &codex, &body).answer().text(), told);
}

#[test]
fn an_output_that_the_backend_does_send_is_left_as_it_is() {
    let relay = Relay::new();
    let mut end = completed();
    end["response"]["output"] = json!([message("all of it")]);
    let script = [created(), delta("all of it"), done(0, message("all of it")), end];
    let text: String = script
        .iter()
        .map(|event| format!("event: {}\ndata: {event}\n\n", event["type"].as_str().unwrap()))
        .collect();
    relay.script(json!(script), 1);
    assert_eq!(relay.told(RESPONSES, &question(json!({"stream": true}))), text);
}

#[test]
fn a_whole_answer_holds_all_that_the_libraries_ask_for() {
    let relay = Relay::new();
    relay.sandbox.settings(json!({"reply": "Good morning."}));
    let mut answer = relay.ask(RESPONSES, &question(json!({})));
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let response = answer.json();
    assert_eq!(
        (&response["object"], &response["status"]),
        (&json!("response"), &json!("completed"))
    );
    let output = response["output"].as_array().unwrap();
    let items: Vec<_> = output.iter().map(|item| item["type"].as_str().unwrap()).collect();
    assert_eq!(items, ["reasoning", "message"]);
    assert!(output[0]["encrypted_content"].is_string(), "to be sent back with the next question");
    assert_eq!(output[1]["content"][0]["text"], "Good morning.");
    for member in ["id", "created_at", "model", "parallel_tool_calls", "tool_choice", "tools"] {
        assert!(!response[member].is_null(), "no {member}");
    }
    let usage = &response["usage"];
    assert_eq!(
        usage["total_tokens"].as_u64().unwrap(),
        usage["input_tokens"].as_u64().unwrap() + usage["output_tokens"].as_u64().unwrap()
    );
    assert!(
        usage["input_tokens_details"].is_object() && usage["output_tokens_details"].is_object()
    );
}

#[test]
fn where_no_item_was_told_whole_its_text_is_still_there() {
    let relay = Relay::new();
    let text = json!({"type": "response.output_text.done", "item_id": "msg_1", "output_index": 0, "content_index": 0, "text": "only this"});
    relay.script(json!([created(), delta("only this"), text, completed()]), 0);
    let response: Value =
        serde_json::from_str(&relay.told(RESPONSES, &question(json!({})))).unwrap();
    assert_eq!(response["output"][0]["content"][0]["text"], "only this");
    let streamed = events(&relay.told(RESPONSES, &question(json!({"stream": true}))));
    assert_eq!(
        streamed.last().unwrap()["response"]["output"][0]["content"][0]["text"],
        "only this"
    );
}

#[test]
fn chat_reads_a_commentary_and_the_answer_as_one_text() {
    let relay = Relay::new();
    let mut commentary = message("Let me see. ");
    commentary["phase"] = "commentary".into();
    let script = [created(), done(0, commentary), done(1, message("It is four.")), completed()];
    relay.script(json!(script), 1);
    let answer: Value = serde_json::from_str(&relay.told(CHAT, &chat(json!({})))).unwrap();
    assert_eq!(answer["object"], "chat.completion");
    assert_eq!(answer["choices"][0]["message"]["content"], "Let me see. It is four.");
    assert_eq!(answer["choices"][0]["finish_reason"], "stop");
    assert_eq!(answer["usage"]["prompt_tokens_details"]["cached_tokens"], 4);
    assert_eq!(answer["usage"]["completion_tokens_details"]["reasoning_tokens"], 2);
}

#[test]
fn chat_is_streamed_with_the_role_first_and_the_cost_last() {
    let relay = Relay::new();
    relay.sandbox.settings(json!({"reply": "one two three"}));
    let told =
        relay.told(CHAT, &chat(json!({"stream": true, "stream_options": {"include_usage": true}})));
    let chunks = events(&told);
    assert_eq!(chunks.last().unwrap(), "[DONE]");
    let chunks = &chunks[..chunks.len() - 1];
    for chunk in chunks {
        assert_eq!(chunk["object"], "chat.completion.chunk");
        assert!(chunk["id"].is_string() && chunk["created"].is_u64() && chunk["model"].is_string());
    }
    assert_eq!(chunks[0]["choices"][0]["delta"]["role"], "assistant");
    let text: String = chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["content"].as_str())
        .collect();
    assert_eq!(text, "one two three");
    let (cost, before) = chunks.split_last().unwrap();
    assert_eq!(cost["choices"], json!([]));
    assert!(cost["usage"]["total_tokens"].as_u64().unwrap() > 0);
    assert_eq!(before.last().unwrap()["choices"][0]["finish_reason"], "stop");
    assert!(before.iter().all(|chunk| chunk["usage"].is_null()));
    assert!(!told.contains("rate_limits"));
}

#[test]
fn parallel_calls_reach_chat_with_an_index_each() {
    let relay = Relay::new();
    let calls =
        json!([{"name": "look", "arguments": {"at": 1}}, {"name": "look", "arguments": {"at": 2}}]);
    relay.sandbox.settings(json!({"call_tool": calls}));
    let tools = json!([{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]);
    let chunks = events(&relay.told(CHAT, &chat(json!({"stream": true, "tools": tools}))));
    let mut arguments = [String::new(), String::new()];
    let mut ids = Vec::new();
    for call in chunks
        .iter()
        .filter_map(|chunk| chunk["choices"][0]["delta"]["tool_calls"].as_array())
        .flatten()
    {
        arguments[usize::try_from(call["index"].as_u64().unwrap()).unwrap()] +=
            call["function"]["arguments"].as_str().unwrap_or_default();
        ids.extend(call["id"].as_str());
    }
    assert_eq!(arguments, [r#"{"at":1}"#, r#"{"at":2}"#]);
    assert_eq!(ids.len(), 2);
    let reasons: Vec<_> =
        chunks.iter().filter_map(|chunk| chunk["choices"][0]["finish_reason"].as_str()).collect();
    assert_eq!(reasons, ["tool_calls"]);
}

#[test]
fn a_refusal_is_told_as_one() {
    let relay = Relay::new();
    let part = json!({"type": "refusal", "refusal": "I would rather not."});
    let item = json!({"id": "msg_1", "type": "message", "role": "assistant", "status": "completed", "content": [part]});
    let word = json!({"type": "response.refusal.delta", "item_id": "msg_1", "output_index": 0, "content_index": 0, "delta": "I would rather not."});
    relay.script(json!([created(), word, done(0, item), completed()]), 0);
    let answer: Value = serde_json::from_str(&relay.told(CHAT, &chat(json!({})))).unwrap();
    assert_eq!(answer["choices"][0]["message"]["refusal"], "I would rather not.");
    assert!(answer["choices"][0]["message"]["content"].is_null());
    let chunks = events(&relay.told(CHAT, &chat(json!({"stream": true}))));
    assert!(
        chunks.iter().any(|chunk| chunk["choices"][0]["delta"]["refusal"] == "I would rather not.")
    );
}

#[test]
fn an_answer_that_had_to_stop_says_why() {
    let relay = Relay::new();
    let mut end = completed();
    end["type"] = "response.incomplete".into();
    end["response"]["status"] = "incomplete".into();
    end["response"]["incomplete_details"] = json!({"reason": "max_output_tokens"});
    relay.script(json!([created(), delta("so far"), done(0, message("so far")), end]), 0);
    let response: Value =
        serde_json::from_str(&relay.told(RESPONSES, &question(json!({})))).unwrap();
    assert_eq!(response["status"], "incomplete");
    assert_eq!(response["output"][0]["content"][0]["text"], "so far");
    let answer: Value = serde_json::from_str(&relay.told(CHAT, &chat(json!({})))).unwrap();
    assert_eq!(answer["choices"][0]["finish_reason"], "length");
    let chunks = events(&relay.told(CHAT, &chat(json!({"stream": true}))));
    assert_eq!(chunks.last().unwrap(), "[DONE]");
    assert!(chunks.iter().any(|chunk| chunk["choices"][0]["finish_reason"] == "length"));
}
