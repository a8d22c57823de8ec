//! The verbs that carry completions, with a real daemon and a vendor behind them.

use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::Stdio;

use serde_json::{Value, json};

use super::{exits, is_sentence_and_hint};
use crate::support::{
    Daemon, ENDS_VERBS, Home, LONG, Response, Sandbox, ask_to_end, can_ask_to_end, ended,
    eventually, stderr, stdout,
};

/// A daemon with a loopback door, and where that is.
fn with_a_door(sandbox: &Sandbox) -> (Daemon, u16) {
    let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let door = format!("[http]\nlisten = \"127.0.0.1:{port}\"");
    (Home::new(sandbox).and_config(&door).serve(), port)
}

/// `GET /v1/models` at the door, with this key.
fn models_with(port: u16, key: &str) -> Response {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).unwrap();
    stream.set_read_timeout(Some(LONG)).unwrap();
    let request = format!(
        "GET /v1/models HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {key}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    Response::parse(&bytes)
}

#[test]
fn a_question_travels_through_the_login_and_is_counted() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    is_sentence_and_hint(&exits(&daemon, 3, &["ask", "-m", "gpt-5.5", "hi"]));
    daemon.sign_in(&sandbox);
    sandbox.settings(json!({"reply": "Yes, \u{201c}indeed\u{201d}."}));
    let output = exits(&daemon, 0, &["ask", "--system", "Be brief.", "Is it so?"]);
    assert_eq!(stdout(&output), "Yes, \u{201c}indeed\u{201d}.\n", "{}", stderr(&output));
    let whole: Value =
        serde_json::from_str(&stdout(&exits(&daemon, 0, &["ask", "--json", "Is it so?"]))).unwrap();
    let part = &whole["output"].as_array().unwrap().last().unwrap()["content"][0];
    assert_eq!(part["text"], "Yes, \u{201c}indeed\u{201d}.");
    let shown = stdout(&exits(&daemon, 0, &["usage"]));
    assert!(shown.starts_with("plus ") && shown.contains("  5 h  "), "{shown}");
    let told: Value =
        serde_json::from_str(&stdout(&exits(&daemon, 0, &["usage", "--json"]))).unwrap();
    let requests: u64 = told["clients"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|client| client["day"].is_null())
        .map(|client| client["requests"].as_u64().unwrap())
        .sum();
    assert_eq!(requests, 2, "{told}");
}

#[test]
fn what_the_vendor_refuses_is_told_with_the_next_step() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    daemon.sign_in(&sandbox);
    let unknown = exits(&daemon, 1, &["ask", "-m", "no-such-model", "hi"]);
    let listed: Value =
        serde_json::from_str(&stdout(&exits(&daemon, 0, &["models", "--json"]))).unwrap();
    let first = listed["models"][0]["id"].as_str().unwrap();
    assert!(stderr(&unknown).contains(first), "{}", stderr(&unknown));
    let limit = json!({"error": {
        "type": "usage_limit_reached", "message": "The usage limit has been reached",
        "plan_type": "plus", "resets_at": 7_000_000_000_u64, "resets_in_seconds": 100,
    }});
    sandbox.fault(json!({"on": "responses", "status": 429, "body": limit}));
    let output = exits(&daemon, 5, &["ask", "hi"]);
    is_sentence_and_hint(&output);
    assert!(stderr(&output).contains("UTC)"), "{}", stderr(&output));
}

#[test]
fn ctrl_c_ends_the_completion_at_the_vendor_as_well() {
    if !can_ask_to_end("ctrl_c_ends_the_completion_at_the_vendor_as_well") {
        return;
    }
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    daemon.sign_in(&sandbox);
    sandbox.fault(json!({"on": "responses", "stall": true}));
    let mut command = daemon.command(&["ask", "-m", "gpt-5.5", "hi"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    sandbox.wait("on=responses&in_flight=1");
    ask_to_end(&child, ENDS_VERBS[0]);
    assert_eq!(ended(&mut child).code(), Some(130));
    eventually("the vendor is left alone", || {
        let in_flight = &sandbox.stats()["endpoints"]["responses"]["in_flight"];
        (*in_flight == json!(0)).then_some(())
    });
}

#[test]
fn a_lease_opens_the_door_and_a_key_does_until_it_is_revoked() {
    let sandbox = Sandbox::start();
    let (daemon, port) = with_a_door(&sandbox);
    daemon.sign_in(&sandbox);
    let lease = stdout(&exits(&daemon, 0, &["lease", "--client", "test"]));
    assert!(lease.starts_with("vk_") && lease.trim_end().len() == 46, "{lease}");
    assert_eq!(models_with(port, lease.trim_end()).status, 200);
    let told: Value =
        serde_json::from_str(&stdout(&exits(&daemon, 0, &["lease", "--json"]))).unwrap();
    assert_eq!(told["base_url"], format!("http://127.0.0.1:{port}/v1"));

    let key = stdout(&exits(&daemon, 0, &["key", "add", "editor", "--ttl", "1d"]));
    assert_eq!(models_with(port, key.trim_end()).status, 200);
    let listed = stdout(&exits(&daemon, 0, &["key"]));
    assert!(listed.starts_with("editor  made "), "{listed}");
    assert!(listed.contains("ends in 23 hours") && !listed.contains("never used"), "{listed}");
    assert!(!listed.contains(key.trim_end()));
    exits(&daemon, 2, &["key", "add", "editor"]);
    exits(&daemon, 0, &["key", "revoke", "editor"]);
    assert_eq!(models_with(port, key.trim_end()).status, 401);
    assert!(stdout(&exits(&daemon, 0, &["key", "list"])).contains("no key"));
}

#[test]
fn without_a_door_a_lease_says_which_setting_makes_one() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    daemon.sign_in(&sandbox);
    let output = exits(&daemon, 1, &["lease"]);
    assert_eq!(stdout(&output), "");
    assert!(stderr(&output).contains("listen = \"127.0.0.1:8459\""), "{}", stderr(&output));
}
