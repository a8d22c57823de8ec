//! The list of models: it outlives the daemon, costs the vendor little, and ends with the login.

use std::path::PathBuf;

use serde_json::{Value, json};

use crate::support::{Daemon, Home, Sandbox, is_private};

fn file(home: &Home) -> PathBuf {
    home.data().join("models/sandbox.json")
}

fn ids(listed: &Value) -> Vec<&str> {
    listed["models"].as_array().unwrap().iter().map(|model| model["id"].as_str().unwrap()).collect()
}

#[test]
fn a_list_outlives_the_daemon_and_is_not_sent_again_while_it_is_the_same() {
    let sandbox = Sandbox::start();
    let mut daemon = Daemon::of(&sandbox);
    daemon.sign_in(&sandbox);
    let first = daemon.ok("models", json!({}));
    assert_eq!(first["source"], "upstream");
    assert_eq!(
        sandbox.stats()["endpoints"]["models"]["last_headers"]["if-none-match"],
        Value::Null
    );
    daemon.restart();
    let kept = daemon.ok("models", json!({}));
    assert_eq!((&kept["source"], &kept["models"]), (&json!("cache"), &first["models"]));
    assert_eq!(sandbox.requests("models"), 1);
    let asked = daemon.ok("models", json!({"refresh": true}));
    assert_eq!((&asked["source"], &asked["models"]), (&json!("upstream"), &first["models"]));
    let headers = sandbox.stats()["endpoints"]["models"]["last_headers"].clone();
    assert!(headers["if-none-match"].as_str().unwrap().contains("sandbox-"), "{headers}");
}

#[test]
fn a_daemon_that_starts_offline_knows_the_models() {
    let sandbox = Sandbox::start();
    let mut daemon = Daemon::of(&sandbox);
    daemon.sign_in(&sandbox);
    let first = daemon.ok("models", json!({}));
    assert_eq!(daemon.stop().code(), Some(0));
    drop(sandbox);
    daemon.start_again();
    let kept = daemon.ok("models", json!({"refresh": true}));
    assert_eq!((&kept["source"], &kept["models"]), (&json!("cache"), &first["models"]));
}

#[test]
fn a_broken_file_costs_one_question() {
    let sandbox = Sandbox::start();
    let mut daemon = Daemon::of(&sandbox);
    daemon.sign_in(&sandbox);
    let first = daemon.ok("models", json!({}));
    assert_eq!(daemon.stop().code(), Some(0));
    std::fs::write(file(&daemon), "{\"version\": 1, \"models\": [").unwrap();
    daemon.start_again();
    let again = daemon.ok("models", json!({}));
    assert_eq!((&again["source"], &again["models"]), (&json!("upstream"), &first["models"]));
    let kept: Value = serde_json::from_slice(&std::fs::read(file(&daemon)).unwrap()).unwrap();
    let whole = kept["models"].as_array().unwrap().len() >= ids(&first).len();
    assert!(whole, "hidden ones are kept, too: {kept}");
}

#[test]
fn the_file_is_private_holds_no_token_and_ends_with_the_login() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    daemon.sign_in(&sandbox);
    daemon.ok("models", json!({}));
    assert!(is_private(&daemon.data().join("models")) && is_private(&file(&daemon)));
    let text = std::fs::read_to_string(file(&daemon)).unwrap();
    assert!(!text.contains(daemon.token()["access_token"].as_str().unwrap()));
    assert!(text.contains("base_instructions"), "the entries are kept as they came");
    daemon.ok("logout", json!({}));
    assert!(!file(&daemon).exists());
    assert_eq!(daemon.ok("models", json!({}))["source"], "builtin");
}

#[test]
fn hidden_models_are_not_shown() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    daemon.sign_in(&sandbox);
    let list = json!({"models": [{"slug": "seen", "visibility": "list"}, {"slug": "unseen", "visibility": "hide"}]});
    sandbox.fault(json!({"on": "models", "body": list}));
    assert_eq!(ids(&daemon.ok("models", json!({}))), ["seen"]);
}
