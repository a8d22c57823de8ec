//! Signing in, by browser and by code, and everything that must not come of it.

mod browser;
mod device;
mod grants;

use serde_json::{Value, json};

use crate::support::{Daemon, Sandbox, Started, complete, start_login};

/// How a login goes, as `login.poll` tells.
#[track_caller]
fn poll(daemon: &Daemon, started: &Started) -> Value {
    daemon.ok("login.poll", json!({"login_id": started.login_id}))
}

/// As [`poll`], once it has ended.
#[track_caller]
fn outcome(daemon: &Daemon, started: &Started) -> Value {
    daemon.ok("login.wait", json!({"login_id": started.login_id, "timeout": 25}))
}

#[test]
fn nobody_is_signed_in_without_having_read_the_notice_and_the_yes_is_remembered() {
    let sandbox = Sandbox::start();
    let mut daemon = Daemon::of(&sandbox);
    for method in ["browser", "device"] {
        let error = daemon.err("login.start", json!({"method": method}));
        assert_eq!(error["code"], -32002);
        assert_eq!(error["data"]["kind"], "consent_required");
        let notice = error["data"]["notice"].as_str().unwrap();
        assert!(notice.contains("Terms of Use"), "{notice}");
        assert!(error["data"]["hint"].as_str().unwrap().contains("consent: true"));
    }
    assert_eq!(sandbox.requests("device_code"), 0, "the issuer was asked before the person was");
    start_login(&daemon, "device", json!({}));
    daemon.ok("login.start", json!({"method": "device"}));
    daemon.restart();
    daemon.ok("login.start", json!({"method": "browser", "account": "work"}));
}

#[test]
fn a_login_that_ended_says_so_as_often_as_it_is_asked() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    let (good, bad) = (
        start_login(&daemon, "browser", json!({})),
        start_login(&daemon, "browser", json!({"account": "work"})),
    );
    assert!(good.login_id.len() >= 32 && good.login_id != bad.login_id);
    complete(&sandbox, &good);
    daemon.ok("login.cancel", json!({"login_id": bad.login_id}));
    for _ in 0..3 {
        assert_eq!(poll(&daemon, &good)["login"], "complete");
        assert_eq!(poll(&daemon, &bad)["login"], "cancelled");
        assert_eq!(outcome(&daemon, &bad)["login"], "cancelled", "a wait for what has happened");
    }
    // Cancelling what is complete changes nothing.
    assert_eq!(daemon.ok("login.cancel", json!({"login_id": good.login_id}))["login"], "complete");
    assert_eq!(daemon.status()["connected"], true);
}

#[test]
fn a_handle_that_nobody_was_given_is_no_login() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    for method in ["login.poll", "login.wait", "login.cancel"] {
        let error = daemon.err(method, json!({"login_id": "x".repeat(43)}));
        assert_eq!(
            (error["code"].as_i64(), &error["data"]["kind"]),
            (Some(-32006), &json!("login_not_found"))
        );
    }
}

#[test]
fn whoever_waits_for_a_login_is_told_when_it_ends_or_when_the_time_is_up() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    let started = start_login(&daemon, "browser", json!({}));
    let mut waiting = daemon.connect();
    let begun = std::time::Instant::now();
    let soon = waiting.call("login.wait", &json!({"login_id": started.login_id, "timeout": 1}));
    assert_eq!(soon.unwrap()["login"], "pending");
    assert!(begun.elapsed().as_millis() >= 1000, "it answered before the time was up");
    let id = waiting.request("login.wait", &json!({"login_id": started.login_id, "timeout": 60}));
    // The connection serves other calls meanwhile.
    assert_eq!(waiting.call("ping", &json!({})).unwrap(), json!({}));
    complete(&sandbox, &started);
    assert_eq!(waiting.answer(id).unwrap()["login"], "complete");
}

#[test]
fn the_latest_login_for_an_account_wins_and_others_accounts_logins_live_on() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    let first = start_login(&daemon, "browser", json!({}));
    let work = start_login(&daemon, "browser", json!({"account": "work"}));
    let last = start_login(&daemon, "device", json!({}));
    assert_eq!(poll(&daemon, &first)["login"], "cancelled");
    let page = complete(&sandbox, &first);
    assert_eq!(page.status, 400, "{}", page.body);
    assert_eq!(daemon.status()["state"], "signed_out");
    assert_eq!(complete(&sandbox, &work).status, 200);
    sandbox.approve_code(&last.user_code());
    assert_eq!(outcome(&daemon, &last)["login"], "complete");
    assert_eq!(daemon.ok("status", json!({"account": "work"}))["connected"], true);
    assert_eq!(daemon.status()["connected"], true);
}
