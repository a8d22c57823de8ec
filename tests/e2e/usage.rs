//! How much of the subscription is used: asked for once in a while, told in one shape.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Daemon, Sandbox};

fn members(value: &Value) -> BTreeSet<&str> {
    value.as_object().unwrap().keys().map(String::as_str).collect()
}

#[test]
fn usage_tells_plan_windows_and_when_it_was_observed() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    daemon.sign_in(&sandbox);
    sandbox.settings(json!({"used_percent": 30}));
    let now = daemon.ok("info", json!({}))["started_at"].as_u64().unwrap();
    let usage = daemon.ok("usage", json!({}));
    assert_eq!(members(&usage), ["plan", "windows", "observed_at", "clients"].into());
    assert_eq!((&usage["plan"], &usage["clients"]), (&json!("plus"), &json!([])));
    assert!(usage["observed_at"].as_u64().unwrap() >= now, "{usage}");
    let windows = usage["windows"].as_array().unwrap();
    assert_eq!(windows.len(), 2);
    for (window, (name, used, minutes)) in
        windows.iter().zip([("primary", 30.0, 300), ("secondary", 3.0, 10_080)])
    {
        assert_eq!(members(window), ["name", "used_percent", "window_minutes", "resets_at"].into());
        assert_eq!((&window["name"], &window["used_percent"]), (&json!(name), &json!(used)));
        assert_eq!(window["window_minutes"], minutes);
        // Milliseconds, some window's length from now; the backend counts seconds.
        let ahead = window["resets_at"].as_u64().unwrap() - now;
        assert!(ahead > minutes * 50_000 && ahead < minutes * 60_000 + 60_000, "{window}");
    }
    sandbox.settings(json!({"used_percent": 31}));
    assert_eq!(daemon.ok("usage", json!({})), usage, "remembered");
    assert_eq!(sandbox.requests("usage"), 1);
    let headers = sandbox.stats()["endpoints"]["usage"]["last_headers"].clone();
    assert_eq!(headers["chatgpt-account-id"], daemon.status()["account_id"]);
}

#[test]
fn usage_is_refused_where_nobody_is_signed_in_and_forgotten_with_the_login() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    assert_eq!(daemon.err("usage", json!({}))["code"], -32001);
    daemon.sign_in(&sandbox);
    daemon.ok("usage", json!({}));
    daemon.ok("logout", json!({}));
    assert_eq!(daemon.err("usage", json!({}))["code"], -32001);
    let error = daemon.err("usage", json!({"acount": "x"}));
    assert_eq!(error["code"], -32602);
    assert!(error["message"].as_str().unwrap().contains("acount"), "{error}");
}

#[test]
fn a_vendor_in_trouble_is_told_of_and_not_asked_at_every_call() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    daemon.sign_in(&sandbox);
    sandbox.fault(json!({"on": "usage", "status": 500, "times": 0}));
    for _ in 0..3 {
        let error = daemon.err("usage", json!({}));
        assert_eq!((&error["code"], &error["data"]["status"]), (&json!(-32004), &json!(500)));
    }
    assert_eq!(sandbox.requests("usage"), 1);
}

#[test]
fn a_page_that_is_kept_from_this_account_is_asked_at_its_other_address() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    daemon.sign_in(&sandbox);
    sandbox.fault(json!({"on": "usage", "status": 403}));
    assert_eq!(daemon.ok("usage", json!({}))["windows"].as_array().unwrap().len(), 2);
    assert_eq!(sandbox.requests("usage"), 2);
}
