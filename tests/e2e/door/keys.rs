//! Keys and leases from their making to their end.

use std::net::TcpListener;

use serde_json::json;

use super::{Web, address, get_with, is_error, lease, with_door};
use crate::support::{Daemon, Home, Sandbox, is_private};

#[test]
fn a_lease_needs_an_open_door_and_says_how_to_open_one() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    let refused = daemon.err("lease", json!({"client": "codex"}));
    assert_eq!((&refused["code"], &refused["data"]["kind"]), (&json!(-32007), &json!("denied")));
    let hint = refused["data"]["hint"].as_str().unwrap();
    assert!(hint.contains("[http] listen = \"127.0.0.1:8459\""), "{refused}");
    assert!(refused["message"].as_str().unwrap().contains("listen"), "{refused}");
    // Keys may be made in advance.
    assert!(daemon.ok("keys.add", json!({"name": "later"}))["key"].is_string());
}

#[test]
fn a_lease_opens_the_door_until_the_daemon_ends_and_a_key_beyond() {
    let sandbox = Sandbox::start();
    let mut daemon = with_door(&sandbox);
    let before = daemon.ok("info", json!({}))["started_at"].as_u64().unwrap();
    let leased = daemon.ok("lease", json!({"client": "codex", "ttl": 600}));
    assert_eq!(leased["base_url"], format!("http://{}/v1", address(&daemon)));
    let left = leased["expires_at"].as_u64().unwrap() - before;
    assert!((600_000..660_000).contains(&left), "{left}");
    let lease = leased["key"].as_str().unwrap().to_owned();
    let added = daemon.ok("keys.add", json!({"name": "editor"}));
    assert_eq!(added["name"], "editor");
    let key = added["key"].as_str().unwrap().to_owned();
    for opens in [&lease, &key] {
        assert!(opens.starts_with("vk_") && opens.len() == 46, "{opens}");
        assert_eq!(get_with(&daemon, "/healthz", opens).status, 200);
    }
    let file = daemon.data().join("keys.json");
    assert!(is_private(&file));

    daemon.restart();
    is_error(&get_with(&daemon, "/healthz", &lease), 401, "invalid_api_key");
    assert_eq!(get_with(&daemon, "/healthz", &key).status, 200);
    let listed = daemon.ok("keys.list", json!({}));
    let listed = listed["keys"].as_array().unwrap();
    assert_eq!(listed.len(), 1, "leases are not listed");
    assert_eq!((&listed[0]["name"], &listed[0]["expires_at"]), (&json!("editor"), &json!(null)));
    let (made, used) = (listed[0]["created_at"].as_u64(), listed[0]["last_used_at"].as_u64());
    assert!(made.is_some() && used >= made, "{listed:?}");
    for text in [std::fs::read_to_string(file).unwrap(), daemon.log()] {
        assert!(!text.contains(&key[3..]) && !text.contains(&lease[3..]), "a key in the clear");
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let sandbox = Sandbox::start();
    let daemon = with_door(&sandbox);
    daemon.ok("keys.add", json!({"name": "one"}));
    for (method, params) in [
        ("lease", json!({})),
        ("lease", json!({"client": ""})),
        ("lease", json!({"client": "x", "ttl": 59})),
        ("lease", json!({"client": "x", "ttl": 86_401})),
        ("lease", json!({"client": "x", "scope": "metrics"})),
        ("keys.add", json!({"name": "one"})),
        ("keys.add", json!({"name": "No Name"})),
        ("keys.add", json!({"name": "two", "scopes": ["everything"]})),
        ("keys.add", json!({"name": "two", "ttl": 0})),
        ("keys.list", json!({"all": true})),
        ("keys.revoke", json!({"name": "two"})),
        ("keys.revoke", json!({})),
    ] {
        let refused = daemon.err(method, params.clone());
        assert_eq!(refused["code"], -32602, "{method} {params}: {refused}");
    }
    assert_eq!(daemon.ok("keys.list", json!({}))["keys"].as_array().unwrap().len(), 1);
}

#[test]
fn a_revoked_key_is_worth_nothing_at_once_on_connections_that_are_open_too() {
    let sandbox = Sandbox::start();
    let daemon = with_door(&sandbox);
    let key = daemon.ok("keys.add", json!({"name": "agent"}))["key"].as_str().unwrap().to_owned();
    let bearer = format!("Bearer {key}");
    let mut web = Web::tcp(&address(&daemon));
    assert_eq!(web.get("/healthz", &[("authorization", &bearer)]).status, 200);
    assert_eq!(daemon.ok("keys.revoke", json!({"name": "agent"})), json!({}));
    is_error(&web.get("/healthz", &[("authorization", &bearer)]), 401, "invalid_api_key");
    assert_eq!(daemon.ok("keys.list", json!({})), json!({"keys": []}));
    let again = daemon.ok("keys.add", json!({"name": "agent"}));
    assert_ne!(again["key"], key.as_str(), "the name is free, the key is another");
}

#[test]
fn what_a_revoked_key_was_waiting_for_ends_with_it() {
    let sandbox = Sandbox::start_with(valetkey::vendor::sandbox::Options {
        any_callback_port: true,
        access_ttl: std::time::Duration::from_secs(3),
        ..valetkey::vendor::sandbox::Options::default()
    });
    let daemon = with_door(&sandbox);
    let asked = json!({"name": "front", "scopes": ["subscription"]});
    let key = daemon.ok("keys.add", asked)["key"].as_str().unwrap().to_owned();
    // The token ends, and the status waits for the next.
    sandbox.fault(json!({"on": "refresh", "stall": true}));
    daemon.sign_in(&sandbox);
    crate::support::eventually("the token has ended", || {
        (!daemon.status()["connected"].as_bool().unwrap()).then_some(())
    });
    let bearer = format!("Bearer {key}");
    let mut web = Web::tcp(&address(&daemon));
    web.ask("GET", "/api/llm/subscription/sandbox/status", &[("authorization", &bearer)], b"");
    crate::support::eventually("the key was seen", || {
        let listed = daemon.ok("keys.list", json!({}));
        listed["keys"][0]["last_used_at"].is_u64().then_some(())
    });
    let begun = std::time::Instant::now();
    daemon.ok("keys.revoke", json!({"name": "front"}));
    is_error(&web.answer().expect("an answer"), 401, "invalid_api_key");
    assert!(begun.elapsed().as_secs() < 5, "{:?}", begun.elapsed());
    sandbox.clear_faults();
}

#[test]
fn a_key_stays_with_the_account_it_was_made_for_and_its_name_is_in_the_trail() {
    let sandbox = Sandbox::start();
    let daemon = with_door(&sandbox);
    daemon.sign_in(&sandbox);
    let scopes = json!({"name": "front", "scopes": ["subscription", "subscription"]});
    let key = daemon.ok("keys.add", scopes)["key"].as_str().unwrap().to_owned();
    daemon.sign_in_as(&sandbox, json!({"account": "work"}));
    daemon.ok("accounts.use", json!({"account": "work"}));
    daemon.ok("logout", json!({"account": "work"}));
    let path = "/api/llm/subscription/sandbox/status";
    assert_eq!(Web::socket(&daemon).get(path, &[]).json()["connected"], false, "it is work's");
    assert_eq!(get_with(&daemon, path, &key).json()["connected"], true, "it is the default's");
    get_with(&daemon, "/api/llm/subscription/sandbox/models", &key);
    let told = daemon.ok("audit.tail", json!({"limit": 1}));
    let entry = &told["entries"][0];
    assert_eq!(entry["client"]["name"], "front", "{entry}");
    assert_eq!((&entry["method"], &entry["account"]), (&json!("models"), &json!("default")));
}

#[test]
fn a_port_in_use_stops_no_lending_and_is_tried_again_at_a_reload() {
    let sandbox = Sandbox::start();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = taken.local_addr().unwrap().port();
    let config = format!("{}\n[http]\nlisten = \"127.0.0.1:{port}\"\n", Home::config_for(&sandbox));
    let daemon = Home::with_config(&config).serve();
    daemon.sign_in(&sandbox);
    assert_eq!(daemon.token()["vendor"], "sandbox");
    assert_eq!(daemon.ok("info", json!({}))["http"], json!(null));
    assert!(daemon.log().contains("the HTTP door cannot be opened"), "{}", daemon.log());
    let refused = daemon.err("lease", json!({"client": "x"}));
    assert_eq!(refused["code"], -32007);
    assert!(refused["message"].as_str().unwrap().contains(&port.to_string()), "{refused}");
    daemon.write_config(&Home::config_for(&sandbox));
    daemon.ok("reload", json!({}));
    let refused = daemon.err("lease", json!({"client": "x"}));
    assert!(refused["message"].as_str().unwrap().contains("the HTTP door is closed"), "{refused}");
    daemon.write_config(&config);
    drop(taken);
    daemon.ok("reload", json!({}));
    assert_eq!(address(&daemon), format!("127.0.0.1:{port}"));
    let key = lease(&daemon);
    assert_eq!(get_with(&daemon, "/healthz", &key).status, 200);
    // And closed, when the configuration no longer asks for it.
    daemon.write_config(&Home::config_for(&sandbox));
    daemon.ok("reload", json!({}));
    assert_eq!(daemon.ok("info", json!({}))["http"], json!(null));
    assert!(std::net::TcpStream::connect(("127.0.0.1", port)).is_err());
}
