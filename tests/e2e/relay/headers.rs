//! What travels with a completion, and what stays.

use serde_json::json;

use super::*;

#[test]
fn a_session_is_known_by_its_headers_and_the_clients_own_affairs_stay_here() {
    let relay = Relay::new();
    let kept = [
        ("session-id", "s-1"),
        ("thread-id", "t-1"),
        ("x-client-request-id", "r-1"),
        ("x-codex-turn-metadata", "{\"a\":1}"),
        ("x-codex-window-id", "w:0"),
        ("x-openai-internal-codex-responses-lite", "true"),
    ];
    let private = [
        ("authorization", "Bearer vk_of_the_clients_own"),
        ("x-api-key", "vk_of_the_clients_own"),
        ("cookie", "a=b"),
        ("connection", "keep-alive, x-hop"),
        ("x-hop", "1"),
        ("x-stainless-lang", "python"),
        ("accept-encoding", "gzip"),
    ];
    let all: Vec<_> = kept.iter().chain(&private).copied().collect();
    let mut answer = relay.send(RESPONSES, &all, &question(json!({"stream": true}))).answer();
    answer.has_status(200);
    assert_eq!(answer.header("content-encoding"), None, "events are never compressed");
    let request = relay.sandbox.last_request();
    let headers = &request["headers"];
    for (name, value) in kept {
        assert_eq!(headers[name], value, "{name}");
    }
    for name in ["x-api-key", "cookie", "x-hop", "x-stainless-lang", "accept-encoding"] {
        assert!(headers.get(name).is_none(), "{name} went out: {headers}");
    }
    assert_eq!(headers["chatgpt-account-id"], relay.daemon.status()["account_id"]);
    assert_eq!(headers["originator"], "valetkey");
    assert!(!request.to_string().contains("vk_of_the_clients_own"));
}

#[test]
fn the_codex_cli_goes_under_its_own_name() {
    let relay = Relay::new();
    let own = [("originator", "codex_exec"), ("user-agent", "codex_exec/0.169.0")];
    let body = question(
        json!({"stream": true, "store": false, "input": [{"role": "user", "content": "hi"}]}),
    );
    assert_eq!(relay.send(RESPONSES, &own, &body).answer().status, 200);
    let headers = relay.sandbox.last_request()["headers"].take();
    for (name, value) in own {
        assert_eq!(headers[name], value);
    }
}

#[test]
fn limits_and_ids_come_back_and_cookies_do_not() {
    let relay = Relay::new();
    let extra = json!({
        "set-cookie": "a=b", "x-codex-turn-state": "st", "x-request-id": "req-1", "server": "sandbox",
        "x-spark-primary-used-percent": "3",
    });
    for stream in [true, false] {
        relay.sandbox.fault(json!({"on": "responses", "headers": extra}));
        let mut answer = relay.ask(RESPONSES, &question(json!({"stream": stream})));
        answer.has_status(200);
        for (name, value) in [
            ("x-request-id", "req-1"),
            ("x-codex-turn-state", "st"),
            ("x-codex-plan-type", "plus"),
            ("x-codex-primary-window-minutes", "300"),
            ("x-spark-primary-used-percent", "3"),
        ] {
            assert_eq!(answer.header(name), Some(value), "{name}");
        }
        assert!(answer.header("x-models-etag").is_some());
        assert_eq!((answer.header("set-cookie"), answer.header("server")), (None, None));
        answer.text();
    }
}

#[test]
fn a_refusal_brings_the_limits_that_it_is_about() {
    let relay = Relay::new();
    relay.sandbox.fault(json!({
        "on": "responses", "status": 429,
        "headers": {"x-codex-primary-used-percent": "100", "set-cookie": "a=b"},
        "body": {"error": {"type": "usage_limit_reached", "message": "The usage limit has been reached"}},
    }));
    let mut answer = relay.ask(RESPONSES, &question(json!({})));
    answer.has_status(429);
    assert_eq!(answer.header("x-codex-primary-used-percent"), Some("100"));
    assert_eq!(answer.header("set-cookie"), None);
    let usage = relay.daemon.ok("usage", json!({}));
    assert_eq!(usage["windows"][0]["used_percent"], 100.0, "{usage}");
}
