//! Completions through the login: what arrives, what goes on, and what a client is told when it does not.

mod bounds;
mod cut;
mod errors;
mod headers;
mod healing;
mod leaving;
mod lines;
mod many;
mod shaping;
mod streams;

use serde_json::{Value, json};

use crate::support::{Asked, Daemon, Exchange, Home, Sandbox};

/// Takes instructions inside its input.
const LITE: &str = "gpt-6.1-sol";
/// Wants them where they always were.
const PLAIN: &str = "gpt-5.5";
const RESPONSES: &str = "/v1/responses";
const CHAT: &str = "/v1/chat/completions";

/// A daemon that is signed in to a sandbox.
struct Relay {
    daemon: Daemon,
    // Ends after the daemon, which tells it goodbye.
    sandbox: Sandbox,
}

impl Relay {
    #[track_caller]
    fn new() -> Self {
        Self::with("")
    }

    /// With more configuration.
    #[track_caller]
    fn with(config: &str) -> Self {
        let relay = Self::signed_out(config);
        relay.daemon.sign_in(&relay.sandbox);
        relay
    }

    #[track_caller]
    fn signed_out(config: &str) -> Self {
        let sandbox = Sandbox::start();
        let daemon = Home::new(&sandbox).and_config(config).serve();
        Self { daemon, sandbox }
    }

    /// Sends a completion and waits for nothing.
    #[track_caller]
    fn send(&self, path: &str, headers: &[(&str, &str)], body: &Value) -> Asked {
        let body = body.to_string();
        Asked::send(&self.daemon.socket(), "POST", path, headers, Some(&body))
    }

    /// Sends a completion and waits for the head of its answer.
    #[track_caller]
    fn ask(&self, path: &str, body: &Value) -> Exchange {
        self.send(path, &[], body).answer()
    }

    /// A completion that works; gives its whole text.
    #[track_caller]
    fn told(&self, path: &str, body: &Value) -> String {
        let mut answer = self.ask(path, body);
        let text = answer.text();
        assert_eq!(answer.status, 200, "{text}\n{}", self.daemon.log());
        text
    }

    /// The body of the latest request that the backend has had.
    #[track_caller]
    fn sent(&self) -> Value {
        self.sandbox.last_request()["body"].take()
    }

    /// What the model does instead of its usual turn, so many times; 0 for always.
    #[track_caller]
    fn script(&self, events: Value, times: u32) {
        self.sandbox.settings(json!({"events": events, "times": times}));
    }
}

/// A question; `more` replaces or adds members.
fn question(more: Value) -> Value {
    let mut body = json!({"model": LITE, "input": "hi"});
    merge(&mut body, more);
    body
}

fn chat(more: Value) -> Value {
    let mut body = json!({"model": PLAIN, "messages": [{"role": "user", "content": "hi"}]});
    merge(&mut body, more);
    body
}

fn merge(body: &mut Value, more: Value) {
    let Value::Object(more) = more else { panic!("no object: {more}") };
    body.as_object_mut().unwrap().extend(more);
}

/// A Response of this status, as the backend sends it: without output.
fn response(status: &str) -> Value {
    json!({
        "id": "resp_1", "object": "response", "created_at": 1_800_000_000, "status": status,
        "model": LITE, "output": [], "error": null, "incomplete_details": null, "usage": null,
    })
}

fn created() -> Value {
    json!({"type": "response.created", "sequence_number": 0, "response": response("in_progress")})
}

fn in_progress() -> Value {
    json!({"type": "response.in_progress", "sequence_number": 1, "response": response("in_progress")})
}

fn delta(text: &str) -> Value {
    json!({
        "type": "response.output_text.delta", "sequence_number": 2, "item_id": "msg_1",
        "output_index": 0, "content_index": 0, "delta": text,
    })
}

fn message(text: &str) -> Value {
    json!({
        "id": "msg_1", "type": "message", "role": "assistant", "status": "completed",
        "content": [{"type": "output_text", "text": text, "annotations": []}],
    })
}

fn done(index: usize, item: Value) -> Value {
    json!({"type": "response.output_item.done", "sequence_number": 3, "output_index": index, "item": item})
}

fn completed() -> Value {
    let mut response = response("completed");
    response["usage"] = json!({
        "input_tokens": 10, "input_tokens_details": {"cached_tokens": 4},
        "output_tokens": 5, "output_tokens_details": {"reasoning_tokens": 2}, "total_tokens": 15,
    });
    json!({"type": "response.completed", "sequence_number": 4, "response": response})
}

fn failed(code: &str, message: &str) -> Value {
    let mut response = response("failed");
    response["error"] = json!({"code": code, "message": message});
    json!({"type": "response.failed", "sequence_number": 2, "response": response})
}

fn kinds(events: &[Value]) -> Vec<&str> {
    events.iter().filter_map(|event| event["type"].as_str()).collect()
}
