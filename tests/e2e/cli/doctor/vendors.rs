//! Vendors that are down, late or of another time, and logins that suffer from it.

use std::net::TcpListener;
use std::time::{Duration, Instant};

use serde_json::json;

use super::{Report, healthy, refuse_refresh};
use crate::support::{Daemon, Home, Sandbox, eventually};

/// The command that asks an address with other eyes.
fn curl(url: &str) -> String {
    format!("curl{} -sSI {url}", std::env::consts::EXE_SUFFIX)
}

/// An address on this machine where nobody listens.
fn nowhere() -> String {
    format!("http://{}", TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap())
}

#[test]
fn a_clock_that_is_not_the_issuers_is_told_with_its_direction() {
    let sandbox = Sandbox::start();
    let daemon = healthy(&sandbox);
    let set = if cfg!(target_os = "linux") {
        "sudo timedatectl set-ntp true"
    } else if cfg!(windows) {
        "w32tm /resync"
    } else {
        "sudo sntp -sS time.apple.com"
    };
    for (skew, sign, words, code) in [
        (120, '!', " behind that of 127.0.0.1:", 0),
        (900, '✗', " behind that of 127.0.0.1:", 1),
        (-900, '✗', " ahead of that of 127.0.0.1:", 1),
    ] {
        sandbox.settings(json!({"date_skew_secs": skew}));
        let report = Report::of(&daemon, code);
        report.says(sign, "clock", words, set);
        report.nothing_but(&["clock"]);
    }
    sandbox.settings(json!({"date_skew_secs": 30}));
    Report::of(&daemon, 0).nothing_but(&[]);
}

#[test]
fn an_issuer_that_is_down_and_an_api_that_is() {
    let sandbox = Sandbox::start();
    let gone = nowhere();
    let config = format!("{}api_base = \"{gone}/api\"\n", Home::config_for(&sandbox));
    let daemon = Daemon::start(Home::with_config(&config));
    daemon.sign_in(&sandbox);
    let report = Report::of(&daemon, 1);
    report.says('✗', "api", "completions cannot be carried", &curl(&gone));
    report.line('✓', "issuer");
    report.nothing_but(&["api"]);
    let url = sandbox.url().to_owned();
    drop(sandbox);
    let report = Report::of(&daemon, 1);
    report.says('✗', "issuer", "tokens cannot be renewed", &curl(&url));
    let refused = if cfg!(windows) { "refused" } else { "Connection refused" };
    assert!(report.line('✗', "issuer").message.contains(refused), "{}", report.text);
    report.line('–', "clock");
    report.nothing_but(&["api", "issuer"]);
}

#[test]
fn an_issuer_that_never_answers_is_waited_for_a_moment_only() {
    let sandbox = Sandbox::start();
    let daemon = healthy(&sandbox);
    sandbox.fault(json!({"on": "jwks", "times": 0, "stall": true}));
    sandbox.fault(json!({"on": "models", "times": 0, "status": 503, "body": "busy"}));
    let began = Instant::now();
    let report = Report::of(&daemon, 1);
    assert!(began.elapsed() < Duration::from_secs(15), "{:?}", began.elapsed());
    let curl = curl(sandbox.url());
    report.says('✗', "issuer", "no answer within 5 s", &curl);
    report.says('!', "api", "answers with HTTP 503", &curl);
    report.nothing_but(&["issuer", "api"]);
    sandbox.clear_faults();
}

#[test]
fn a_login_that_nobody_made_or_that_the_issuer_ended() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    let login = "valetkey login --vendor sandbox --account default";
    let report = Report::of(&daemon, 1);
    report.says('✗', "login", "sandbox/default: nobody is signed in", login);
    report.nothing_but(&["login"]);
    daemon.sign_in(&sandbox);
    daemon.sign_in_as(&sandbox, json!({"account": "work"}));
    assert_eq!(Report::of(&daemon, 0).lines.iter().filter(|line| line.name == "login").count(), 2);
    refuse_refresh(&sandbox, &daemon, 401, "refresh_token_reused", "used before");
    assert_eq!(daemon.status()["state"], "login_required");
    let report = Report::of(&daemon, 1);
    let words = "the issuer wants a new sign-in (refresh_token_reused)";
    report.says('✗', "login", words, login);
    report.says('!', "refresh", "it failed", login);
    assert!(report.line('✓', "login").message.starts_with("sandbox/work lends"));
    report.nothing_but(&["login", "refresh"]);
}

#[test]
fn a_login_that_cannot_be_renewed_just_now() {
    let sandbox = Sandbox::start();
    let daemon = healthy(&sandbox);
    refuse_refresh(&sandbox, &daemon, 503, "busy", "later");
    assert_eq!(daemon.status()["state"], "degraded");
    let report = Report::of(&daemon, 0);
    let usage = "valetkey usage --vendor sandbox --account default";
    report.says('!', "login", "it cannot be renewed just now", usage);
    report.says('!', "refresh", "it failed", usage);
    report.nothing_but(&["login", "refresh"]);
    sandbox.clear_faults();
    let held = daemon.token()["generation"].clone();
    daemon.ok("token", json!({"rejected": held}));
    Report::of(&daemon, 0).nothing_but(&[]);
}

#[test]
fn a_token_that_ended_while_the_issuer_was_out_of_reach() {
    let sandbox = Sandbox::start();
    sandbox.settings(json!({"access_ttl_secs": 2}));
    sandbox.fault(json!({"on": "refresh", "times": 0, "drop": "before"}));
    let daemon = healthy(&sandbox);
    eventually("the token has ended", || (daemon.status()["connected"] == false).then_some(()));
    let report = Report::of(&daemon, 1);
    let usage = "valetkey usage --vendor sandbox --account default";
    report.says('✗', "login", "and could not be renewed", usage);
    report.nothing_but(&["login", "refresh"]);
}
