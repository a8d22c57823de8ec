//! The HTTP dialect at both doors, as curl, an SDK, a browser and somebody with bad intentions meet it.

mod bounds;
mod client;
mod keys;
mod lives;
mod rest;

use serde_json::{Value, json};

use crate::support::{Daemon, Home, Sandbox};
use client::Web;

/// A daemon whose loopback door is open somewhere.
#[track_caller]
fn with_door(sandbox: &Sandbox) -> Daemon {
    with_door_and(sandbox, "")
}

/// The same with more under `[http]`, and whatever sections come after it.
#[track_caller]
fn with_door_and(sandbox: &Sandbox, more: &str) -> Daemon {
    Home::new(sandbox).and_config(&format!("[http]\nlisten = \"127.0.0.1:0\"\n{more}")).serve()
}

/// Where the loopback door is.
#[track_caller]
fn address(daemon: &Daemon) -> String {
    daemon.ok("info", json!({}))["http"].as_str().expect("the door is open").to_owned()
}

/// A lease for the usual client.
#[track_caller]
fn lease(daemon: &Daemon) -> String {
    daemon.ok("lease", json!({"client": "tests"}))["key"].as_str().unwrap().to_owned()
}

/// A request on a connection of its own, with a key.
#[track_caller]
fn get_with(daemon: &Daemon, path: &str, key: &str) -> crate::support::Response {
    let bearer = format!("Bearer {key}");
    Web::tcp(&address(daemon)).get(path, &[("authorization", &bearer)])
}

#[track_caller]
fn is_error(answer: &crate::support::Response, status: u16, code: &str) {
    assert_eq!(answer.status, status, "{}", answer.body);
    assert_eq!(answer.header("content-type"), Some("application/json"));
    let body = answer.json();
    let error = body["error"].as_object().unwrap_or_else(|| panic!("{body}"));
    let members: Vec<&str> = error.keys().map(String::as_str).collect();
    assert_eq!(members, ["code", "message", "param", "type"], "{body}");
    assert_eq!(error["code"], code, "{body}");
    assert!(error["message"].as_str().unwrap().len() > 10 && error["type"].is_string());
}

#[test]
fn the_socket_speaks_http_without_a_key() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    let mut web = Web::socket(&daemon);
    let health = web.get("/healthz", &[]);
    assert_eq!(health.status, 200);
    let info = daemon.ok("info", json!({}));
    assert_eq!(
        health.json(),
        json!({"status": "ok", "pid": daemon.pid(), "started_at": info["started_at"]})
    );
    // All on one connection, which is kept.
    is_error(&web.get("/nowhere", &[]), 404, "not_found");
    is_error(&web.send("DELETE", "/healthz", &[], b""), 405, "method_not_allowed");
    is_error(&web.get("/healthz", &[("origin", "http://page.example")]), 403, "denied");
    let upgrade = [("connection", "upgrade"), ("upgrade", "websocket")];
    is_error(&web.get("/v1/responses", &upgrade), 426, "upgrade_required");
    assert_eq!(web.get("/healthz", &[]).status, 200, "still the same connection");
}

#[test]
fn one_message_or_one_batch_is_answered_by_post() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    let mut web = Web::socket(&daemon);
    let ping = web.post("/rpc", "{\"jsonrpc\":\"2.0\",\n\"id\":7,\"method\":\"ping\"}");
    assert_eq!((ping.status, ping.header("content-type")), (200, Some("application/json")));
    assert_eq!(ping.body, r#"{"jsonrpc":"2.0","id":7,"result":{}}"#);
    let batch = web.post(
        "/rpc",
        r#"[{"jsonrpc":"2.0","id":1,"method":"status"},{"jsonrpc":"2.0","method":"ping"},{"jsonrpc":"2.0","id":"x","method":"nothing"}]"#,
    );
    let answers = batch.json();
    assert_eq!(answers.as_array().unwrap().len(), 2, "{answers}");
    let of =
        |id: Value| answers.as_array().unwrap().iter().find(|a| a["id"] == id).unwrap().clone();
    assert_eq!(of(json!(1))["result"]["state"], "signed_out");
    assert_eq!(of(json!("x"))["error"]["code"], -32601);
    let silent = web.post("/rpc", r#"{"jsonrpc":"2.0","method":"ping"}"#);
    assert_eq!((silent.status, silent.body.as_str()), (204, ""));
    let wrong = web.post("/rpc", "no JSON");
    assert_eq!((wrong.status, &wrong.json()["error"]["code"]), (200, &json!(-32700)));
    // What is done in this way stands in the trail like anything else.
    web.post("/rpc", r#"{"jsonrpc":"2.0","id":1,"method":"token"}"#);
    let told = daemon.ok("audit.tail", json!({"limit": 1}));
    let entry = &told["entries"][0];
    assert_eq!((&entry["method"], &entry["outcome"]), (&json!("token"), &json!("login_required")));
    assert_eq!(entry["client"]["pid"], std::process::id());
}

#[test]
fn on_loopback_nothing_is_answered_without_a_good_key() {
    let sandbox = Sandbox::start();
    let daemon = with_door(&sandbox);
    let key = lease(&daemon);
    let mut web = Web::tcp(&address(&daemon));
    for path in ["/healthz", "/v1/models", "/metrics", "/rpc", "/nowhere"] {
        let answer = web.get(path, &[]);
        is_error(&answer, 401, "invalid_api_key");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    let wrong = format!("vk_{}", "A".repeat(43));
    for bad in [
        &format!("Bearer {wrong}"),
        &format!("Basic {key}"),
        &key,
        &format!("Bearer {key}x"),
        "Bearer ",
    ] {
        is_error(&web.get("/healthz", &[("authorization", bad)]), 401, "invalid_api_key");
    }
    // A client that gave a wrong one is told so, whoever it is.
    let codex = ("originator", "codex_cli_rs");
    let bad = format!("Bearer {wrong}");
    is_error(&web.get("/v1/models", &[codex, ("authorization", &bad)]), 401, "invalid_api_key");
    let helpless = web.get("/v1/models", &[codex]);
    is_error(&helpless, 400, "auth_helper_failed");
    assert!(helpless.body.contains("valetkey lease"), "{}", helpless.body);

    let good = format!("Bearer {key}");
    for header in [("authorization", good.as_str()), ("x-api-key", key.as_str())] {
        let health = web.get("/healthz", &[header]);
        assert_eq!((health.status, &health.json()["pid"]), (200, &json!(daemon.pid())));
    }
    let bearer = [("authorization", good.as_str())];
    is_error(&web.get("/nowhere", &bearer), 404, "not_found");
    is_error(&web.get("/metrics", &bearer), 403, "insufficient_scope");
    let status = "/api/llm/subscription/sandbox/status";
    is_error(&web.get(status, &bearer), 403, "insufficient_scope");
    is_error(&web.send("POST", "/rpc", &bearer, b"{}"), 404, "not_found");
    // Refusals are in the trail, and they are no flood.
    let told = daemon.ok("audit.tail", json!({}));
    let refused: Vec<&Value> =
        told["entries"].as_array().unwrap().iter().filter(|e| e["method"] == "http").collect();
    assert!(!refused.is_empty() && refused.len() < 5, "{refused:?}");
    assert!(refused.iter().all(|entry| entry["outcome"] == "denied"));
}

#[test]
fn pages_and_foreign_names_are_kept_out_unless_the_configuration_names_them() {
    let sandbox = Sandbox::start();
    let daemon = with_door_and(
        &sandbox,
        "allow_hosts = [\"box.local\"]\nallow_origins = [\"http://app.local:3000\"]",
    );
    let bearer = format!("Bearer {}", lease(&daemon));
    let key = ("authorization", bearer.as_str());
    let mut web = Web::tcp(&address(&daemon));
    for host in ["evil.example", "127.0.0.1.evil.example:80", "box.local.evil.example"] {
        is_error(&web.get("/healthz", &[("host", host), key]), 403, "denied");
        is_error(&web.get("/healthz", &[("host", host)]), 403, "denied");
    }
    for host in ["localhost", "[::1]:99", "box.local:8459"] {
        assert_eq!(web.get("/healthz", &[("host", host), key]).status, 200, "{host}");
    }
    for origin in ["http://evil.example", "null", "https://app.local:3000"] {
        is_error(&web.get("/healthz", &[("origin", origin), key]), 403, "denied");
    }
    let page = ("origin", "http://app.local:3000");
    let answer = web.get("/healthz", &[page, key]);
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), Some("http://app.local:3000"));
    assert_eq!(answer.header("vary"), Some("origin"));
    let refused = web.get("/healthz", &[page]);
    is_error(&refused, 401, "invalid_api_key");
    assert!(refused.header("access-control-allow-origin").is_some(), "the page may read why");
    let asked = [
        page,
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization,content-type"),
    ];
    let preflight = web.send("OPTIONS", "/v1/responses", &asked, b"");
    assert_eq!(preflight.status, 204, "{}", preflight.body);
    let allowed = preflight.header("access-control-allow-headers");
    assert_eq!(allowed, Some("authorization,content-type"));
    assert!(preflight.header("access-control-allow-methods").unwrap().contains("POST"));

    // A reload changes who may come, without closing the door.
    let before = address(&daemon);
    daemon.write_config(&format!(
        "{}\n[http]\nlisten = \"127.0.0.1:0\"\n",
        Home::config_for(&sandbox)
    ));
    daemon.ok("reload", json!({}));
    assert_eq!(address(&daemon), before);
    is_error(&web.get("/healthz", &[("host", "box.local"), key]), 403, "denied");
    is_error(&web.get("/healthz", &[page, key]), 403, "denied");
    assert_eq!(web.get("/healthz", &[key]).status, 200);
}

#[test]
fn the_counters_are_for_who_may_see_them_and_all_bear_our_name() {
    let sandbox = Sandbox::start();
    let daemon = with_door(&sandbox);
    daemon.sign_in(&sandbox);
    let lent = daemon.token();
    daemon.ok("token", json!({"rejected": lent["generation"]}));
    daemon.err("login.poll", json!({"login_id": "x"}));
    let added = daemon.ok("keys.add", json!({"name": "prometheus", "scopes": ["metrics"]}));
    let scraped = get_with(&daemon, "/metrics", added["key"].as_str().unwrap());
    assert_eq!(scraped.status, 200, "{}", scraped.body);
    assert!(scraped.header("content-type").unwrap().starts_with("application/openmetrics-text"));
    let lines: Vec<&str> = scraped.body.lines().filter(|line| !line.starts_with('#')).collect();
    assert!(lines.iter().all(|line| line.starts_with("valetkey_")), "{}", scraped.body);
    for line in [
        "valetkey_lends_total 2",
        "valetkey_refreshes_total{outcome=\"granted\"} 1",
        "valetkey_errors_total{kind=\"login_not_found\"} 1",
        "valetkey_login_connected{vendor=\"sandbox\",account=\"default\"} 1.0",
        "valetkey_streams_open 0.0",
    ] {
        assert!(lines.contains(&line), "no {line} in:\n{}", scraped.body);
    }
    let version = format!("valetkey_build_info{{version=\"{}\"}} 1.0", env!("CARGO_PKG_VERSION"));
    assert!(lines.contains(&version.as_str()));
    let life = lines.iter().find_map(|line| line.strip_prefix("valetkey_token_expiry_seconds{"));
    let life: f64 = life.unwrap().split_once("} ").unwrap().1.parse().unwrap();
    assert!((3500.0..=3600.0).contains(&life), "{life}");
    assert_eq!(Web::socket(&daemon).get("/metrics", &[]).status, 200);
}
