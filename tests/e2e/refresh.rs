//! Keeping a login: many processes, one issuer, one refresh.

use std::process::Stdio;
use std::time::Instant;

use serde_json::{Value, json};

use crate::support::*;

/// Connections of the thousand callers, and the calls of each at once.
const CONNECTIONS: usize = 200;
const CALLS_EACH: usize = 5;

/// A daemon whose token is dead and whose next request to the issuer meets this fault.
fn dead_token(fault: Value) -> (Sandbox, Daemon) {
    let sandbox = Sandbox::start();
    sandbox.settings(json!({"access_ttl_secs": 2}));
    let daemon = Daemon::of(&sandbox);
    sandbox.fault(fault);
    daemon.sign_in(&sandbox);
    sandbox.settings(json!({"access_ttl_secs": 3600}));
    eventually("the token ends", || (daemon.status()["connected"] == false).then_some(()));
    (sandbox, daemon)
}

/// A thousand calls of `token`, all sent before any answer is read.
fn ask(daemon: &Daemon) -> Vec<(Line, Vec<u64>)> {
    let asked = (0..CONNECTIONS).map(|_| {
        let mut line = daemon.connect();
        let ids = (0..CALLS_EACH).map(|_| line.request("token", &json!({}))).collect();
        (line, ids)
    });
    asked.collect()
}

/// The answers to [`ask`], in whatever order they come.
fn answers(asked: Vec<(Line, Vec<u64>)>) -> Vec<Value> {
    let of_one = |(mut line, ids): (Line, Vec<u64>)| {
        let got: Vec<_> = ids.iter().map(|_| line.recv().expect("an answer")).collect();
        let mut answered: Vec<_> = got.iter().map(|a| a["id"].as_u64().unwrap()).collect();
        answered.sort_unstable();
        assert_eq!(answered, ids);
        got
    };
    asked.into_iter().flat_map(of_one).collect()
}

#[test]
fn a_thousand_callers_and_some_processes_are_served_by_one_refresh() {
    let (sandbox, daemon) = dead_token(json!({"on": "refresh", "stall": true}));
    let processes: Vec<_> = (0..8)
        .map(|_| daemon.command(&["token"]).stdout(Stdio::piped()).spawn().unwrap())
        .collect();
    let asked = ask(&daemon);
    sandbox.wait("on=refresh&in_flight=1");
    // Everybody is in line: a call that needs no issuer is answered past them.
    assert_eq!(daemon.status()["state"], "refreshing");
    sandbox.clear_faults();
    let answers = answers(asked);
    assert_eq!(answers.len(), CONNECTIONS * CALLS_EACH);
    let token = &answers[0]["result"]["access_token"];
    assert!(token.is_string(), "{}", answers[0]);
    for answer in &answers {
        assert_eq!(answer["result"]["access_token"], *token);
        assert_eq!(answer["result"]["generation"], 2);
    }
    for process in processes {
        let output = process.wait_with_output().unwrap();
        assert!(output.status.success());
        assert_eq!(stdout(&output).trim(), token.as_str().unwrap());
    }
    assert_eq!(sandbox.stat("refresh_requests"), 1);
}

#[test]
fn a_thousand_callers_learn_of_one_failure_and_nobody_asks_before_its_time() {
    let fault =
        json!({"on": "refresh", "times": 0, "status": 503, "headers": {"retry-after": "600"}});
    let (sandbox, daemon) = dead_token(fault);
    let before = sandbox.stat("refresh_requests");
    assert_eq!(before, 1, "asked ahead of the end");
    for answer in answers(ask(&daemon)) {
        let error = &answer["error"];
        assert_eq!(error["code"], -32009, "{answer}");
        assert_eq!(error["data"]["kind"], "issuer_unreachable");
        assert!((500..=600).contains(&error["data"]["retry_after"].as_u64().unwrap()), "{error}");
    }
    let output = daemon.run(&["token"]);
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    assert_eq!(sandbox.stat("refresh_requests"), 1);
}

#[test]
fn a_slow_issuer_delays_nobody_whose_token_lives() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    daemon.sign_in(&sandbox);
    sandbox.fault(json!({"on": "refresh", "stall": true}));
    let mut rejecter = daemon.connect();
    let waiting = rejecter.request("token", &json!({"rejected": 1}));
    sandbox.wait("on=refresh&in_flight=1");
    let began = Instant::now();
    for _ in 0..200 {
        assert_eq!(daemon.token()["generation"], 1);
    }
    assert!(began.elapsed() < LONG / 2, "{:?}", began.elapsed());
    sandbox.clear_faults();
    assert_eq!(rejecter.answer(waiting).unwrap()["generation"], 2);
    assert_eq!(sandbox.stat("refresh_requests"), 1);
}

#[test]
fn short_lived_tokens_are_renewed_by_themselves_and_told_to_subscribers() {
    let sandbox = Sandbox::start();
    sandbox.settings(json!({"access_ttl_secs": 3}));
    let daemon = Daemon::of(&sandbox);
    daemon.sign_in(&sandbox);
    let mut subscriber = daemon.connect();
    subscriber.call("subscribe", &json!({})).unwrap();
    let mut last = daemon.status()["last_refresh_at"].as_u64();
    let mut renewed = 0;
    while renewed < 2 {
        let told = subscriber.notification();
        assert_eq!(told["method"], "status.changed");
        assert_eq!(told["params"]["connected"], true, "a living token all the time: {told}");
        let at = told["params"]["last_refresh_at"].as_u64();
        renewed += u32::from(told["params"]["state"] == "active" && at > last);
        last = at;
    }
    assert!(daemon.token()["generation"].as_u64().unwrap() >= 2);
    assert_eq!(sandbox.stat("reuse_detected"), 0);
}

#[test]
fn a_refresh_in_flight_is_finished_before_the_end_and_its_callers_are_answered() {
    let (sandbox, mut daemon) = dead_token(json!({"on": "refresh", "stall": true}));
    let mut line = daemon.connect();
    let id = line.request("token", &json!({}));
    // Answered after the first on the same connection, so the first is in line by now.
    let ping = line.request("ping", &json!({}));
    assert_eq!(line.recv().unwrap()["id"], ping);
    sandbox.wait("on=refresh&in_flight=1");
    daemon.tell_to_stop();
    #[cfg(unix)]
    daemon.wait_for("STOPPING=1");
    sandbox.clear_faults();
    let lent = line.answer(id).unwrap();
    assert_eq!(daemon.wait_for_end().code(), Some(0), "{}", daemon.log());
    daemon.start_again();
    assert_eq!(daemon.token()["access_token"], lent["access_token"]);
    assert_eq!(sandbox.stat("refresh_requests"), 1);
}

#[test]
fn a_forced_refresh_is_limited_however_many_ask() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    daemon.sign_in(&sandbox);
    for _ in 0..20 {
        let held = daemon.token()["access_token"].clone();
        daemon.ok("token", json!({"rejected": held}));
    }
    assert_eq!(sandbox.stat("refresh_requests"), 5);
    assert_eq!(daemon.ok("token", json!({"rejected": "never-ours"}))["generation"], 6);
    assert_eq!(daemon.ok("token", json!({"rejected": 1, "min_ttl": 1_000_000}))["generation"], 6);
}
