//! The line dialect as a real daemon speaks it: batches, cancelling, half-closing, garbage.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{Daemon, Home, Sandbox, start_login};

#[test]
fn the_transcripts_play_as_written() {
    let sandbox = Sandbox::start();
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/daemon");
    let mut played = 0;
    for entry in std::fs::read_dir(dir).unwrap() {
        let path = entry.unwrap().path();
        let daemon = Daemon::of(&sandbox);
        let mut client = daemon.connect();
        for (number, line) in std::fs::read_to_string(&path).unwrap().lines().enumerate() {
            let place = format!("{}:{}", path.display(), number + 1);
            match line.get(..2) {
                Some("> ") => client.send_raw(&format!("{}\n", &line[2..])),
                Some("< ") => {
                    let expected: Value = serde_json::from_str(&line[2..]).unwrap();
                    assert_eq!(client.recv(), Some(expected), "{place}");
                    played += 1;
                }
                _ => assert!(line.is_empty() || line.starts_with('#'), "{place}"),
            }
        }
        let more = client.surplus();
        assert_eq!(more, None, "{}: more came than is written", path.display());
    }
    assert!(played > 0);
}

#[test]
fn a_batch_is_answered_as_one_and_its_notifications_not_at_all() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    daemon.sign_in(&sandbox);
    let mut client = daemon.connect();
    client.send(&json!([
        {"jsonrpc": "2.0", "id": "a", "method": "ping"},
        {"jsonrpc": "2.0", "method": "ping"},
        {"jsonrpc": "2.0", "id": null, "method": "status"},
        {"jsonrpc": "2.0", "id": 7, "method": "token"},
        {"jsonrpc": "2.0", "id": 8, "method": "nonsense"},
        "garbage",
    ]));
    let answers = client.recv().unwrap();
    let answers = answers.as_array().unwrap();
    assert_eq!(answers.len(), 5, "{answers:?}");
    let of = |id: Value| answers.iter().filter(|a| a["id"] == id).collect::<Vec<_>>();
    assert_eq!(of(json!("a"))[0]["result"], json!({}));
    assert_eq!(of(json!(7))[0]["result"]["account"], "default");
    assert_eq!(of(json!(8))[0]["error"]["code"], -32601);
    assert_eq!(of(Value::Null).len(), 2, "the status by its null id, and the garbage");
}

#[test]
fn a_call_can_be_cancelled_by_its_own_connection_only() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    let started = start_login(&daemon, "browser", json!({}));
    let mut client = daemon.connect();
    let params = json!({"login_id": started.login_id});
    let waiting = client.request("login.wait", &params);
    let elsewhere = daemon.ok("cancel", json!({"id": waiting}));
    assert_eq!(elsewhere, json!({"cancelled": false}));
    let cancelling = client.request("cancel", &json!({"id": waiting}));
    let mut answers = [client.recv().unwrap(), client.recv().unwrap()];
    answers.sort_by_key(|answer| answer["id"].as_u64());
    assert_eq!(answers[0]["id"], waiting);
    assert_eq!(answers[0]["error"]["code"], -32800);
    assert_eq!(answers[0]["error"]["data"]["kind"], "cancelled");
    assert_eq!(
        (&answers[1]["id"], &answers[1]["result"]),
        (&json!(cancelling), &json!({"cancelled": true}))
    );
    // The wait was cancelled, not the login.
    assert_eq!(daemon.ok("login.poll", params)["login"], "pending");
}

#[test]
fn an_id_in_flight_is_refused_and_what_flies_arrives() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    let started = start_login(&daemon, "browser", json!({}));
    let mut client = daemon.connect();
    let login = json!({"login_id": started.login_id});
    let wait = json!({"jsonrpc": "2.0", "id": 1, "method": "login.wait", "params": login});
    client.send(&wait);
    client.send(&wait);
    let refused = client.recv().unwrap();
    assert_eq!((&refused["id"], &refused["error"]["code"]), (&json!(1), &json!(-32600)));
    daemon.ok("login.cancel", login);
    let owed = client.recv().unwrap();
    assert_eq!((&owed["id"], &owed["result"]["login"]), (&json!(1), &json!("cancelled")));
}

// Pipes have no half that could be closed.
#[cfg(unix)]
#[test]
fn a_client_that_half_closes_gets_all_it_is_owed() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    let started = start_login(&daemon, "browser", json!({}));
    let mut client = daemon.connect();
    client.request("login.wait", &json!({"login_id": started.login_id}));
    // The last line has no end, as printf leaves it.
    client.send_raw(r#"{"jsonrpc": "2.0", "id": 2, "method": "ping"}"#);
    client.half_close();
    assert_eq!(client.recv().unwrap()["id"], 2);
    daemon.ok("login.cancel", json!({"login_id": started.login_id}));
    let owed = client.recv().unwrap();
    assert_eq!((&owed["id"], &owed["result"]["login"]), (&json!(1), &json!("cancelled")));
    assert_eq!(client.recv(), None);
}

#[test]
fn garbage_is_answered_and_the_connection_lives_on_but_not_after_a_line_without_end() {
    let sandbox = Sandbox::start();
    let daemon = Home::new(&sandbox).and_config("[daemon]\nmax_message_bytes = \"64KiB\"").serve();
    let mut client = daemon.connect();
    for (garbage, code) in [
        ("{\"jsonrpc\":", -32700),
        ("[1, 2", -32700),
        ("{}", -32600),
        ("{\"jsonrpc\": \"1.0\", \"id\": 1, \"method\": \"ping\"}", -32600),
        ("{\"jsonrpc\": \"2.0\", \"id\": {}, \"method\": \"ping\"}", -32600),
        ("{\"jsonrpc\": \"2.0\", \"id\": 1, \"method\": \"ping\", \"params\": 3}", -32600),
    ] {
        client.send_raw(&format!("{garbage}\n"));
        assert_eq!(client.recv().unwrap()["error"]["code"], code, "{garbage}");
    }
    {
        use std::io::Write as _;
        client.stream().write_all(b"{\"jsonrpc\": \"2.0\", \"id\": 1, \"\xff\xfe\": 1}\n").unwrap();
    }
    assert_eq!(client.recv().unwrap()["error"]["code"], -32700);
    assert_eq!(client.call("ping", &json!({})).unwrap(), json!({}));
    client.send_raw(&format!("{{\"jsonrpc\": \"2.0\", \"x\": \"{}\"}}\n", "x".repeat(70 * 1024)));
    assert_eq!(client.recv().unwrap()["error"]["code"], -32600);
    assert_eq!(client.recv(), None, "closed");
    assert_eq!(daemon.ok("ping", json!({})), json!({}));
}
