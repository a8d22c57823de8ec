//! `valetkey lease`, `key` and `usage`: what is asked of the daemon, and what is shown of its answer.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::process::Stdio;

use serde_json::{Value, json};

use super::fake::Fake;
use super::{exits, is_sentence_and_hint};
use crate::support::{ended, stderr, stdout};

const KEY: &str = "vk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// A listener that says to be this process, as often as it is asked. Gives its port.
fn listener(pid: u32) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let (mut head, mut byte) = (Vec::new(), [0]);
            while !head.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
                head.push(byte[0]);
            }
            let head = String::from_utf8(head).unwrap();
            let known = head.starts_with("GET /healthz ") && head.contains(KEY);
            let status = if known { "200 OK" } else { "401 Unauthorized" };
            let body = json!({"status": "ok", "pid": pid}).to_string();
            let answer =
                format!("HTTP/1.1 {status}\r\ncontent-length: {}\r\n\r\n{body}", body.len());
            // It is closed by whoever has seen enough.
            let _ = stream.write_all(answer.as_bytes());
        }
    });
    port
}

/// A daemon that leases for this port, and says to be process 4711.
fn leasing(port: u16) -> Fake {
    Fake::start(move |call, talk| {
        let result = match call["method"].as_str().unwrap() {
            "lease" => {
                json!({"key": KEY, "expires_at": 1, "base_url": format!("http://127.0.0.1:{port}/v1")})
            }
            "info" => json!({
                "name": "valetkey", "version": "1", "protocol": 1, "pid": 4711, "started_at": 1,
                "uptime": 1, "socket": "/s", "http": format!("127.0.0.1:{port}"), "vendors": [],
            }),
            other => panic!("{other}"),
        };
        talk.answer(call, &result);
    })
}

#[test]
fn a_lease_is_printed_alone_as_an_agents_helper_must() {
    let fake = leasing(listener(4711));
    let output = exits(&fake, 0, &["lease", "--client", "codex", "--ttl", "2h"]);
    assert_eq!((stdout(&output), stderr(&output)), (format!("{KEY}\n"), String::new()));
    assert_eq!(fake.heard_call("lease"), json!({"client": "codex", "ttl": 7200}));
    assert_eq!(fake.heard_call("info"), json!({}));
    let told: Value =
        serde_json::from_str(&stdout(&exits(&fake, 0, &["lease", "--json"]))).unwrap();
    assert_eq!(told["key"], KEY);
    assert!(told["base_url"].as_str().unwrap().ends_with("/v1"));
    exits(&fake, 2, &["lease", "--client", "two words"]);
    exits(&fake, 2, &["lease", "--ttl", "0"]);
}

#[test]
fn nothing_is_leased_for_a_listener_that_is_not_the_daemons() {
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    for port in [listener(4712), nobody] {
        let output = exits(&leasing(port), 1, &["lease"]);
        is_sentence_and_hint(&output);
        assert!(stderr(&output).contains("nothing was leased"), "{}", stderr(&output));
        assert!(!stderr(&output).contains(KEY));
    }
}

#[test]
fn a_listener_that_never_answers_is_waited_for_a_moment_only() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let fake = leasing(silent.local_addr().unwrap().port());
    let began = std::time::Instant::now();
    let output = exits(&fake, 1, &["lease"]);
    assert_eq!(stdout(&output), "");
    assert!(began.elapsed().as_secs() < 10, "{:?}", began.elapsed());
}

#[test]
fn where_there_is_no_door_the_setting_is_told() {
    let fake = Fake::start(|call, talk| {
        let hint = "set listen = \"127.0.0.1:8459\" under [http]";
        talk.refuse(call, -32007, &json!({"kind": "denied", "hint": hint}));
    });
    let output = exits(&fake, 1, &["lease"]);
    is_sentence_and_hint(&output);
    assert!(stderr(&output).contains("127.0.0.1:8459"));
}

#[test]
fn a_key_is_printed_once_and_alone_and_can_be_listed_and_ended() {
    let fake = Fake::start(|call, talk| {
        let result = match call["method"].as_str().unwrap() {
            "keys.add" => json!({"name": call["params"]["name"], "key": KEY}),
            "keys.list" => json!({"keys": [
                {"name": "ci", "created_at": 1, "expires_at": 2, "last_used_at": null},
                {"name": "editor", "created_at": 1, "expires_at": null, "last_used_at": 1},
            ]}),
            "keys.revoke" => json!({}),
            other => panic!("{other}"),
        };
        talk.answer(call, &result);
    });
    let scopes = ["--scope", "metrics", "--scope", "subscription"];
    let output = exits(&fake, 0, &[&["key", "add", "ci", "--ttl", "30d"], &scopes[..]].concat());
    assert_eq!(stdout(&output), format!("{KEY}\n"));
    assert!(stderr(&output).contains("shown this once"), "{}", stderr(&output));
    assert_eq!(
        fake.heard_call("keys.add"),
        json!({"name": "ci", "ttl": 2_592_000, "scopes": ["metrics", "subscription"]})
    );
    for arguments in [&["key"][..], &["key", "list"]] {
        let shown = stdout(&exits(&fake, 0, arguments));
        let lines: Vec<&str> = shown.lines().collect();
        assert!(lines[0].starts_with("ci ") && lines[0].contains("never used"), "{shown}");
        assert!(lines[1].contains("ends when revoked"), "{shown}");
    }
    let told: Value = serde_json::from_str(&stdout(&exits(&fake, 0, &["key", "--json"]))).unwrap();
    assert_eq!(told["keys"][1]["name"], "editor");
    let ended = stdout(&exits(&fake, 0, &["key", "revoke", "ci"]));
    assert_eq!(ended, "The key ci opens nothing any more.\n");
    exits(&fake, 2, &["key", "add", "two words"]);
    exits(&fake, 2, &["key", "add", "x", "--scope", "everything"]);
}

#[test]
fn usage_is_bars_and_words_and_a_table_of_clients() {
    let fake = Fake::start(|call, talk| {
        let window = |name: &str, used: f64, minutes: u64| json!({"name": name, "used_percent": used, "window_minutes": minutes, "resets_at": 7_000_000_000_000_u64});
        let client = json!({"client": "codex", "requests": 3, "input_tokens": 4000, "cached_tokens": 0, "output_tokens": 100});
        let usage = json!({
            "plan": "plus", "observed_at": 1, "clients": [client],
            "windows": [window("primary", 25.0, 300), window("secondary", 95.5, 10_080)],
        });
        talk.answer(call, &usage);
    });
    let shown = stdout(&exits(&fake, 0, &["usage", "--account", "work"]));
    let lines: Vec<&str> = shown.lines().collect();
    assert!(lines[0].starts_with("plus  as of "), "{shown}");
    assert!(lines[1].starts_with("  5 h  ━") && lines[1].contains("25 %"), "{shown}");
    assert!(lines[1].ends_with("UTC)") && lines[2].starts_with("  7 d  ━"), "{shown}");
    assert!(lines.last().unwrap().starts_with("  codex "), "{shown}");
    assert!(!shown.contains('\u{1b}'), "colours in a pipe: {shown:?}");
    assert_eq!(fake.heard_call("usage"), json!({"account": "work"}));
    let told: Value =
        serde_json::from_str(&stdout(&exits(&fake, 0, &["usage", "--json"]))).unwrap();
    assert_eq!(told["windows"][1]["used_percent"], 95.5);
    let plain = fake.command(&["usage"]).env("LC_ALL", "C").output().unwrap();
    assert!(plain.stdout.is_ascii(), "{}", stdout(&plain));
}

#[test]
fn a_reader_that_has_seen_enough_of_them_is_no_failure() {
    let fake = leasing(listener(4711));
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let mut child = fake.command(&["lease"]).stdout(writer).stderr(Stdio::piped()).spawn().unwrap();
    let status = ended(&mut child);
    let mut said = String::new();
    child.stderr.unwrap().read_to_string(&mut said).unwrap();
    assert_eq!((status.code(), said.as_str()), (Some(0), ""));
}
