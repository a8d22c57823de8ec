//! What is refused, with which number and in which words.

use serde_json::{Value, json};

use crate::support::{Daemon, Home, Line, Sandbox, eventually};

/// Every method, with parameters that would do, were it not for what the test adds.
const METHODS: [(&str, &str); 19] = [
    ("ping", "{}"),
    ("info", "{}"),
    ("status", "{}"),
    ("token", "{}"),
    ("login.start", r#"{"method": "device", "consent": true}"#),
    ("login.poll", r#"{"login_id": "x"}"#),
    ("login.wait", r#"{"login_id": "x", "timeout": 0}"#),
    ("login.complete", r#"{"login_id": "x", "redirect_url": "http://127.0.0.1/"}"#),
    ("login.cancel", r#"{"login_id": "x"}"#),
    ("logout", "{}"),
    ("accounts.list", "{}"),
    ("accounts.use", r#"{"account": "work"}"#),
    ("models", "{}"),
    ("subscribe", "{}"),
    ("unsubscribe", "{}"),
    ("audit.tail", "{}"),
    ("reload", "{}"),
    ("cancel", r#"{"id": 1}"#),
    // Last, because it would end the daemon if it were not refused.
    ("shutdown", "{}"),
];

#[track_caller]
fn is_error(error: &Value, code: i64, kind: &str) {
    assert_eq!(
        (error["code"].as_i64(), error["data"]["kind"].as_str()),
        (Some(code), Some(kind)),
        "{error}"
    );
    let message = error["message"].as_str().unwrap();
    assert!(message.len() > 10 && !message.contains('\n'), "no sentence: {message:?}");
}

#[test]
fn a_name_that_no_method_knows_is_refused_and_named() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    for (method, params) in METHODS {
        let mut params: Value = serde_json::from_str(params).unwrap();
        params["vendr"] = json!("sandbox");
        let error = daemon.err(method, params);
        is_error(&error, -32602, "invalid_params");
        assert!(error["message"].as_str().unwrap().contains("vendr"), "{method}: {error}");
    }
    assert_eq!(sandbox.requests("device_code"), 0);
}

#[test]
fn parameters_go_by_name_and_never_by_place() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    for (method, _) in METHODS {
        for list in [json!([]), json!(["sandbox"]), json!(["sandbox", "default"])] {
            let error = daemon.err(method, list.clone());
            is_error(&error, -32602, "invalid_params");
            assert!(
                error["message"].as_str().unwrap().contains("name"),
                "{method} {list}: {error}"
            );
        }
    }
}

#[test]
fn wrong_types_missing_members_and_impossible_names_are_refused() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    for (method, params, word) in [
        ("token", json!({"min_ttl": "soon"}), "soon"),
        ("token", json!({"min_ttl": -1}), "-1"),
        ("token", json!({"rejected": {}}), "a token or its generation"),
        ("login.start", json!({"consent": true}), "method"),
        ("login.start", json!({"method": "post", "consent": true}), "post"),
        ("login.poll", json!({}), "login_id"),
        ("accounts.use", json!({}), "account"),
        ("accounts.use", json!({"account": "../../etc"}), "etc"),
        ("status", json!({"account": "Work"}), "Work"),
        ("status", json!({"account": ""}), "cannot name an account"),
        ("status", json!({"account": "con"}), "con"),
        ("logout", json!({"account": "a".repeat(65)}), "64"),
        ("token", json!({"vendor": "elsewhere"}), "openai, sandbox"),
        ("models", json!({"vendor": "elsewhere"}), "elsewhere"),
        ("audit.tail", json!({"limit": "all"}), "all"),
    ] {
        let error = daemon.err(method, params.clone());
        is_error(&error, -32602, "invalid_params");
        let message = error["message"].as_str().unwrap();
        assert!(message.contains(word), "{method} {params}: {message}");
    }
}

#[test]
fn methods_of_later_versions_and_of_nobody_are_not_found() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    for method in ["responses.delete", "", "Status", "rpc.discover"] {
        let error = daemon.err(method, json!({}));
        is_error(&error, -32601, "method_not_found");
        assert!(error["message"].as_str().unwrap().contains(method));
    }
}

#[test]
fn without_a_login_the_answer_says_how_to_get_one() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    for params in [json!({}), json!({"account": "work"}), json!({"min_ttl": 0})] {
        let error = daemon.err("token", params);
        is_error(&error, -32001, "login_required");
        assert_eq!(error["data"]["reason"], "signed_out");
        assert!(error["data"]["hint"].as_str().unwrap().contains("valetkey login"));
    }
}

#[test]
fn a_dead_token_and_a_silent_issuer_are_told_with_when_to_try_again() {
    let sandbox = Sandbox::start();
    sandbox.settings(json!({"access_ttl_secs": 2}));
    sandbox.fault(json!({"on": "refresh", "status": 503, "times": 0}));
    let daemon = Daemon::of(&sandbox);
    daemon.sign_in(&sandbox);
    let error = eventually("the token dies", || daemon.call("token", json!({})).err());
    is_error(&error, -32009, "issuer_unreachable");
    assert!(error["data"]["retry_after"].as_u64().unwrap() >= 1, "{error}");
    assert_eq!(daemon.status()["connected"], false);
    sandbox.clear_faults();
    eventually("it is renewed by itself", || daemon.call("token", json!({})).ok());
}

#[test]
fn an_issuer_that_breaks_at_the_start_of_a_login_is_quoted_without_its_secrets() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    let long = "x".repeat(20_000);
    let body = format!(
        "<html>\u{7}no entry for eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJlMTIz {long}"
    );
    sandbox.fault(json!({"on": "device_code", "status": 418, "body": body}));
    let error = daemon.err("login.start", json!({"method": "device", "consent": true}));
    is_error(&error, -32004, "upstream_error");
    assert_eq!(error["data"]["status"], 418);
    let quoted = error["data"]["body"].as_str().unwrap();
    assert!(quoted.contains("no entry for"), "{quoted}");
    assert!(!quoted.contains("eyJ") && !quoted.contains('\u{7}'), "{quoted}");
    assert!(quoted.len() <= 4200, "{} bytes", quoted.len());
}

#[test]
fn one_client_too_many_is_told_to_come_back() {
    let sandbox = Sandbox::start();
    let daemon = Home::new(&sandbox).and_config("[daemon]\nmax_clients = 2").serve();
    let mut held: Vec<Line> = (0..2).map(|_| daemon.connect()).collect();
    for client in &mut held {
        client.call("ping", &json!({})).unwrap();
    }
    let ping = json!({"jsonrpc": "2.0", "id": 1, "method": "ping"});
    let mut one_more = daemon.connect();
    one_more.send(&ping);
    let refused = one_more.recv().unwrap();
    is_error(&refused["error"], -32008, "overloaded");
    assert!(refused["error"]["data"]["retry_after"].as_u64().unwrap() >= 1);
    assert_eq!(one_more.recv(), None, "closed");
    held.pop();
    eventually("a place is free", || {
        let mut client = daemon.connect();
        client.send(&ping);
        client.recv().filter(|answer| answer["result"] == json!({}))
    });
}
