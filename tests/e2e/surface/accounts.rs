//! Several accounts, and being told when one changes.

use serde_json::{Value, json};

use super::is_status_and;
use crate::support::{Daemon, Sandbox};

fn names(list: &Value) -> Vec<&str> {
    let accounts = list["accounts"].as_array().unwrap();
    accounts.iter().map(|account| account["account"].as_str().unwrap()).collect()
}

#[test]
fn the_current_account_is_whom_callers_get_who_name_none() {
    let sandbox = Sandbox::start();
    let mut daemon = Daemon::of(&sandbox);
    let alone = daemon.ok("accounts.list", json!({}));
    assert_eq!(names(&alone), ["default"]);
    daemon.sign_in(&sandbox);
    sandbox.settings(json!({"account_id": "acct-work", "email": "pat@work.example"}));
    daemon.sign_in_as(&sandbox, json!({"account": "work"}));
    let list = daemon.ok("accounts.list", json!({"vendor": "sandbox"}));
    assert_eq!(names(&list), ["default", "work"]);
    for account in list["accounts"].as_array().unwrap() {
        is_status_and(account, &[]);
        assert_eq!(account["connected"], true);
    }
    assert_eq!(daemon.token()["account"], "default");
    assert_eq!(daemon.ok("token", json!({"account": "work"}))["account_id"], "acct-work");

    let chosen = daemon.ok("accounts.use", json!({"account": "work"}));
    is_status_and(&chosen, &[]);
    assert_eq!(chosen["account_email"], "pat@work.example");
    assert_eq!(daemon.token()["account_id"], "acct-work");
    assert_eq!(daemon.ok("token", json!({"account": "default"}))["account"], "default");
    assert_eq!(names(&daemon.ok("accounts.list", json!({}))), ["work", "default"]);
    daemon.restart();
    assert_eq!(daemon.status()["account"], "work", "it is remembered");

    daemon.ok("logout", json!({"account": "default"}));
    assert_eq!(names(&daemon.ok("accounts.list", json!({}))), ["work"]);
    assert_eq!(daemon.token()["account"], "work", "one account's logout is not the other's");
}

#[test]
fn subscribers_are_told_of_each_change_and_nobody_else_is() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    let (mut told, mut quiet) = (daemon.connect(), daemon.connect());
    for client in [&mut told, &mut quiet] {
        assert_eq!(client.call("subscribe", &json!({})).unwrap(), json!({}));
    }
    assert_eq!(quiet.call("unsubscribe", &json!({})).unwrap(), json!({}));
    daemon.sign_in(&sandbox);
    let change = told.notification();
    assert_eq!((&change["jsonrpc"], &change["method"]), (&json!("2.0"), &json!("status.changed")));
    assert!(change.get("id").is_none());
    is_status_and(&change["params"], &[]);
    assert_eq!(change["params"]["state"], "active");
    daemon.ok("logout", json!({}));
    while told.notification()["params"]["state"] != "signed_out" {}
    quiet.call("ping", &json!({})).unwrap();
    assert_eq!(quiet.notifications, Vec::<Value>::new());
    // Twice is once: subscribing again doubles nothing.
    told.call("subscribe", &json!({})).unwrap();
    daemon.sign_in(&sandbox);
    assert_eq!(told.notification()["params"]["state"], "active");
    daemon.ok("logout", json!({}));
    assert_eq!(told.notification()["params"]["state"], "signed_out");
}
