//! The live view, where there is no terminal for it, and what it lives on. `tests/clients/watch.py` looks at
//! it on a real terminal.

use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use valetkey::rpc::client::{CallError, Client};

use super::fake::Fake;
use super::{exits, is_sentence_and_hint};
use crate::support::{Daemon, Home, Sandbox, ended, eventually, stderr};

#[test]
fn without_a_terminal_it_says_what_to_use_and_starts_nothing() {
    let sandbox = Sandbox::start();
    let home = Home::new(&sandbox);
    let output = exits(&home, 2, &["watch"]);
    is_sentence_and_hint(&output);
    assert!(stderr(&output).contains("valetkey usage --json"), "{}", stderr(&output));
    assert!(!home.data().exists(), "no daemon was started for nothing");
}

/// The sums since the start of the one client that there is.
fn client(daemon: &Daemon) -> Option<Value> {
    let usage = daemon.ok("usage", json!({"remembered": true}));
    let mut clients = usage["clients"].as_array().unwrap().clone();
    clients.retain(|client| client["day"].is_null());
    clients.pop()
}

#[test]
fn a_completion_is_a_stream_from_the_moment_it_is_asked_for_until_it_ends() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    daemon.sign_in(&sandbox);
    assert_eq!(client(&daemon), None);
    sandbox.fault(json!({"on": "responses", "stall": true}));
    let mut command = daemon.command(&["ask", "-m", "gpt-5.5", "hi"]);
    let mut asking = command.stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
    sandbox.wait("on=responses&in_flight=1");
    let first = client(&daemon).expect("it is under way");
    assert_eq!((&first["streams"], &first["requests"]), (&json!(1), &json!(0)));
    asking.kill().unwrap();
    ended(&mut asking);
    eventually("its client is gone", || {
        client(&daemon).is_none_or(|client| client.get("streams").is_none()).then_some(())
    });
    sandbox.clear_faults();
    exits(&daemon, 0, &["ask", "-m", "gpt-5.5", "hi"]);
    let after = client(&daemon).expect("it was counted");
    assert_eq!((after.get("streams"), &after["client"]), (None, &json!("valetkey")));
}

#[test]
fn looking_again_and_again_asks_the_vendor_nothing_and_leaves_no_trail() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    let out = daemon.ok("usage", json!({"remembered": true}));
    assert_eq!((&out["windows"], &out["observed_at"]), (&json!([]), &Value::Null));
    daemon.sign_in(&sandbox);
    for _ in 0..3 {
        daemon.ok("usage", json!({"remembered": true}));
    }
    assert_eq!(sandbox.requests("usage"), 0);
    let asked = daemon.ok("usage", json!({}));
    assert_eq!(daemon.ok("usage", json!({"remembered": true})), asked);
    assert_eq!(sandbox.requests("usage"), 1);
    let trail = daemon.ok("audit.tail", json!({}));
    let entries = trail["entries"].as_array().unwrap();
    assert!(entries.iter().all(|entry| entry["method"] != "usage"), "{trail}");
}

#[test]
fn who_waits_is_shown_what_changes_and_notices_that_the_daemon_is_gone() {
    let fake = Fake::start(|call, talk| match call["method"].as_str() {
        Some("subscribe") => {
            talk.answer(call, &json!({}));
            for number in [1, 2] {
                let params = json!({"number": number});
                talk.say(&json!({"jsonrpc": "2.0", "method": "status.changed", "params": params}));
                talk.say(
                    &json!({"jsonrpc": "2.0", "id": 999, "result": "of a call long forgotten"}),
                );
            }
        }
        _ => talk.hang_up(),
    });
    let mut client = Client::connect(fake.socket().to_str().unwrap()).unwrap();
    let Value::Object(_) = client.call("subscribe", &json!({})).unwrap() else {
        panic!("an object")
    };
    let mut seen = Vec::new();
    eventually("both are seen", || {
        let mut note = |method: &str, params: &serde_json::value::RawValue| {
            seen.push(format!("{method} {params}"));
        };
        client.wait(Duration::from_millis(20), &mut note).unwrap();
        (seen.len() >= 2).then_some(())
    });
    assert_eq!(seen, [r#"status.changed {"number":1}"#, r#"status.changed {"number":2}"#]);
    client.wait(Duration::ZERO, &mut |_, _| panic!("there is nothing more")).unwrap();
    assert!(client.call::<_, Value>("bye", &json!({})).is_err());
    let lost = client.wait(Duration::from_secs(30), &mut |_, _| {});
    assert!(matches!(lost, Err(CallError::Lost(_))), "{lost:?}");
}
