//! With a code that is typed on another device.

use std::time::Instant;

use serde_json::json;

use super::{outcome, poll};
use crate::support::{Daemon, Sandbox, start_login};

#[test]
fn a_code_is_shown_with_where_to_type_it_and_how_long_it_lives() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    let started = start_login(&daemon, "device", json!({}));
    let answer = &started.answer;
    assert_eq!(answer["method"], "device");
    assert_eq!(answer["verification_uri"], format!("{}/codex/device", sandbox.url()));
    let complete = answer["verification_uri_complete"].as_str().unwrap();
    assert!(complete.contains(&started.user_code()), "{complete}");
    let ends = answer["expires_at"].as_u64().unwrap();
    let info = daemon.ok("info", json!({}));
    let life = ends - info["started_at"].as_u64().unwrap();
    assert!((900_000..930_000).contains(&life), "a quarter of an hour, not {life} ms");
    assert!(started.login_id.len() >= 32);
    assert!(!answer.to_string().contains("deviceauth_"), "the issuer's handle stays in the daemon");
}

#[test]
fn however_often_clients_ask_the_issuer_is_asked_no_faster_than_it_wants() {
    for (interval, secs) in [(json!("1"), 1), (json!(2), 2)] {
        let sandbox = Sandbox::start();
        sandbox.settings(json!({"interval": interval}));
        let daemon = Daemon::of(&sandbox);
        let started = start_login(&daemon, "device", json!({}));
        assert_eq!(started.answer["interval"], secs, "{interval} is understood");
        let mut client = daemon.connect();
        let (begun, mut asked) = (Instant::now(), 0);
        while sandbox.stat("device_polls") < 2 {
            for _ in 0..50 {
                let polled = client.call("login.poll", &json!({"login_id": started.login_id}));
                assert_eq!(polled.unwrap()["login"], "pending");
                asked += 1;
            }
        }
        sandbox.approve_code(&started.user_code());
        assert_eq!(outcome(&daemon, &started)["login"], "complete");
        assert!(asked >= 100, "{asked}");
        assert_eq!(sandbox.stat("polls_too_fast"), 0);
        let most = begun.elapsed().as_secs() / secs + 1;
        assert!(sandbox.stat("device_polls") <= most, "{}", sandbox.stats());
    }
}

#[test]
fn a_network_that_comes_and_goes_does_not_cost_the_person_the_code() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    sandbox.fault(json!([
        {"on": "device_token", "status": 404},
        {"on": "device_token", "status": 403},
        {"on": "device_token", "status": 503},
        {"on": "device_token", "drop": "before"},
    ]));
    let started = start_login(&daemon, "device", json!({}));
    sandbox.wait("on=device_token&count=4");
    assert_eq!(poll(&daemon, &started)["login"], "pending");
    sandbox.approve_code(&started.user_code());
    assert_eq!(outcome(&daemon, &started)["login"], "complete");
}

#[test]
fn an_issuer_that_wants_to_be_asked_less_often_is() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    let patience = json!({"retry-after": "3"});
    sandbox.fault(json!({"on": "device_token", "status": 429, "headers": patience}));
    let started = start_login(&daemon, "device", json!({}));
    sandbox.approve_code(&started.user_code());
    sandbox.wait("on=device_token&answered=1");
    let refused = Instant::now();
    assert_eq!(outcome(&daemon, &started)["login"], "complete");
    assert!(refused.elapsed().as_secs() >= 3, "asked again after {:?}", refused.elapsed());
    assert_eq!(sandbox.stat("device_polls"), 2);
}

#[test]
fn a_code_that_is_denied_ends_the_login_with_the_issuers_words() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    let started = start_login(&daemon, "device", json!({}));
    sandbox.deny_code(&started.user_code());
    let ended = outcome(&daemon, &started);
    assert_eq!(ended["login"], "failed");
    let error = &ended["error"];
    assert_eq!((&error["code"], &error["data"]["status"]), (&json!(-32004), &json!(400)));
    assert_eq!(error["data"]["reason"], "access_denied");
    assert!(error["data"]["body"].as_str().unwrap().contains("The person said no."), "{error}");
    assert_eq!(daemon.status()["state"], "signed_out");
}

#[test]
fn where_device_login_is_off_the_person_learns_which_setting_to_change() {
    let sandbox = Sandbox::start();
    sandbox.settings(json!({"device_enabled": false}));
    let daemon = Daemon::of(&sandbox);
    let error = daemon.err("login.start", json!({"method": "device", "consent": true}));
    assert_eq!(error["code"], -32004);
    assert_eq!(error["data"]["reason"], "device_login_off");
    assert_eq!(error["data"]["status"], 404);
    let hint = error["data"]["hint"].as_str().unwrap();
    assert!(hint.contains("Security") && hint.contains("valetkey login"), "{hint}");
}

#[test]
fn a_cancelled_code_is_worth_nothing_any_more() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    let started = start_login(&daemon, "device", json!({}));
    sandbox.wait("on=device_token&count=1");
    daemon.ok("login.cancel", json!({"login_id": started.login_id}));
    sandbox.approve_code(&started.user_code());
    assert_eq!(poll(&daemon, &started)["login"], "cancelled");
    // A login that begins and ends later shows that nothing came of the earlier one meanwhile.
    let later = start_login(&daemon, "device", json!({"account": "work"}));
    sandbox.approve_code(&later.user_code());
    assert_eq!(outcome(&daemon, &later)["login"], "complete");
    assert_eq!(daemon.status()["state"], "signed_out");
    assert_eq!(sandbox.stat("code_exchanges"), 1);
}
