//! The methods, one by one: what they answer, what they refuse, and in exactly which shape.

mod accounts;
mod errors;
mod lines;

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::{Daemon, Home, Sandbox, Socket, eventually, start_login};

/// The members of a Status, no more and no less.
const STATUS: [&str; 11] = [
    "vendor",
    "account",
    "connected",
    "state",
    "account_email",
    "account_id",
    "plan",
    "expires_at",
    "refresh_at",
    "last_refresh_at",
    "last_error",
];

#[track_caller]
fn has_exactly(value: &Value, members: &[&str]) {
    let has: BTreeSet<&str> = value.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(has, members.iter().copied().collect(), "{value}");
}

#[track_caller]
fn is_status_and(value: &Value, more: &[&str]) {
    has_exactly(value, &[&STATUS, more].concat());
}

#[test]
fn a_status_has_its_members_and_no_others_signed_out_and_signed_in() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    let out = daemon.status();
    is_status_and(&out, &[]);
    assert_eq!(
        out,
        json!({
            "vendor": "sandbox", "account": "default", "connected": false, "state": "signed_out",
            "account_email": null, "account_id": null, "plan": null, "expires_at": null,
            "refresh_at": null, "last_refresh_at": null, "last_error": null,
        })
    );
    daemon.sign_in(&sandbox);
    let active = daemon.status();
    is_status_and(&active, &[]);
    assert_eq!((&active["connected"], &active["state"]), (&json!(true), &json!("active")));
    assert_eq!(active["account_email"], "pat@example.test");
    assert_eq!(active["plan"], "plus");
    assert_eq!(active["account_id"], "7c1d3f8e-5a0b-4c7e-9f51-2b6d8e0a4c33");
    let (ends, next) = (active["expires_at"].as_u64(), active["refresh_at"].as_u64());
    assert!(next.is_some() && next < ends, "renewed before its end");
    assert!(active["last_refresh_at"].as_u64() < next, "the sign-in counts as the first");
}

#[test]
fn a_token_comes_with_all_that_a_client_needs_and_nothing_that_it_must_not_have() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    daemon.sign_in(&sandbox);
    let lent = daemon.token();
    has_exactly(
        &lent,
        &[
            "access_token",
            "token_type",
            "expires_at",
            "expires_in",
            "generation",
            "vendor",
            "account",
            "account_id",
            "headers",
        ],
    );
    let token = lent["access_token"].as_str().unwrap();
    assert_eq!(lent["token_type"], "Bearer");
    assert_eq!(lent["expires_at"], daemon.status()["expires_at"]);
    assert!((3500..=3600).contains(&lent["expires_in"].as_u64().unwrap()), "{lent}");
    assert_eq!(lent["headers"]["Authorization"], format!("Bearer {token}"));
    assert_eq!(lent["headers"]["originator"], "valetkey");
    assert_eq!(lent["headers"]["chatgpt-account-id"], lent["account_id"]);
    assert!(!lent.to_string().contains("rt_"), "a refresh token leaves the daemon");
    // Asked otherwise (by name, by need, with a token long gone) it is the same token.
    for params in [
        json!({"vendor": "sandbox", "account": "default"}),
        json!({"min_ttl": 0}),
        json!({"rejected": "some older token"}),
        json!({"rejected": 0}),
    ] {
        let again = daemon.ok("token", params.clone());
        assert_eq!(again["access_token"], lent["access_token"], "{params}");
        has_exactly(
            &again,
            &lent.as_object().unwrap().keys().map(String::as_str).collect::<Vec<_>>(),
        );
    }
    assert_eq!(sandbox.stat("refresh_requests"), 0);
    let fresh = daemon.ok("token", json!({"rejected": lent["generation"]}));
    assert_ne!(fresh["access_token"], lent["access_token"]);
    assert_eq!(fresh["generation"].as_u64(), lent["generation"].as_u64().map(|it| it + 1));
    let still = daemon.ok("token", json!({"rejected": token}));
    assert_eq!(still["access_token"], fresh["access_token"], "the older one was rejected");
    assert_eq!(sandbox.stat("refresh_requests"), 1);
}

#[test]
fn logins_answer_in_their_shapes() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    let browser = start_login(&daemon, "browser", json!({"account": "work"}));
    let common = ["login_id", "method", "expires_at", "interval"];
    has_exactly(&browser.answer, &[&common[..], &["authorize_url"]].concat());
    let device = start_login(&daemon, "device", json!({}));
    let code = ["user_code", "verification_uri", "verification_uri_complete"];
    has_exactly(&device.answer, &[&common[..], &code].concat());
    for (method, params) in [
        ("login.poll", json!({"login_id": device.login_id})),
        ("login.wait", json!({"login_id": device.login_id, "timeout": 0})),
        ("login.cancel", json!({"login_id": device.login_id})),
    ] {
        is_status_and(&daemon.ok(method, params), &["login"]);
    }
    let url = sandbox.decide_in_browser(&browser.authorize_url(), false);
    let paste = json!({"login_id": browser.login_id, "redirect_url": url});
    let failed = daemon.ok("login.complete", paste);
    is_status_and(&failed, &["login", "error"]);
    assert_eq!(failed["account"], "work");
    is_status_and(&daemon.ok("logout", json!({})), &["revoked"]);
}

#[test]
fn the_daemon_tells_of_itself() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    assert_eq!(daemon.ok("ping", json!({})), json!({}));
    let info = daemon.ok("info", json!({}));
    let members =
        ["name", "version", "protocol", "pid", "started_at", "uptime", "socket", "http", "vendors"];
    has_exactly(&info, &members);
    assert_eq!((&info["name"], &info["protocol"]), (&json!("valetkey"), &json!(1)));
    assert_eq!(info["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(info["pid"], daemon.pid());
    assert_eq!(info["socket"], daemon.socket().to_str().unwrap());
    assert_eq!(info["http"], Value::Null);
    assert_eq!(info["vendors"], json!(["openai", "sandbox"]));
}

#[test]
fn models_come_from_the_vendor_then_from_memory_and_in_the_last_resort_from_the_program() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    let builtin = daemon.ok("models", json!({}));
    has_exactly(&builtin, &["vendor", "models", "source"]);
    assert_eq!(builtin["source"], "builtin");
    daemon.sign_in(&sandbox);
    let listed = daemon.ok("models", json!({}));
    assert_eq!((&listed["vendor"], &listed["source"]), (&json!("sandbox"), &json!("upstream")));
    let models = listed["models"].as_array().unwrap();
    assert!(!models.is_empty() && models.iter().all(|model| model["id"].is_string()));
    let remembered = daemon.ok("models", json!({}));
    assert_eq!(
        (&remembered["source"], &remembered["models"]),
        (&json!("cache"), &listed["models"])
    );
    assert_eq!(sandbox.stat("models_requests"), 1);
    assert_eq!(daemon.ok("models", json!({"refresh": true}))["source"], "upstream");
    // A token that the API no longer takes is renewed, once, and the question asked again.
    sandbox.lever("revoke_access", &json!({}));
    assert_eq!(daemon.ok("models", json!({"refresh": true}))["source"], "upstream");
    assert_eq!(sandbox.stat("refreshes"), 1);
    sandbox.fault(json!({"on": "models", "status": 500, "times": 0}));
    let old = daemon.ok("models", json!({"refresh": true}));
    assert_eq!((&old["source"], &old["models"]), (&json!("cache"), &listed["models"]));
    daemon.ok("logout", json!({}));
    assert_eq!(
        daemon.ok("models", json!({}))["source"],
        "builtin",
        "what one account saw is forgotten"
    );
}

#[test]
fn a_reload_puts_a_good_file_in_force_and_a_bad_one_changes_nothing() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    daemon.sign_in(&sandbox);
    let good = Home::config_for(&sandbox);
    daemon.write_config(&format!("{good}\n[daemon]\nmax_clints = 3\n"));
    let error = daemon.err("reload", json!({}));
    assert_eq!(error["code"], -32602);
    let message = error["message"].as_str().unwrap();
    let line = good.lines().count() + 3;
    let place = format!("{}:{line}", daemon.config().display());
    assert!(message.contains(&place) && message.contains("max_clints"), "{message}");
    assert!(error["data"]["hint"].as_str().unwrap().contains("stays in force"));
    assert_eq!(daemon.token()["account"], "default");
    assert_eq!(daemon.ok("info", json!({}))["vendors"], json!(["openai", "sandbox"]));

    let second =
        format!("{good}\n[vendors.second]\nkind = \"sandbox\"\nissuer = \"{}\"\n", sandbox.url());
    daemon.write_config(&second);
    assert_eq!(daemon.ok("reload", json!({})), json!({}));
    assert_eq!(daemon.ok("info", json!({}))["vendors"], json!(["openai", "sandbox", "second"]));
    assert_eq!(daemon.ok("status", json!({"vendor": "second"}))["state"], "signed_out");
    assert_eq!(daemon.token()["vendor"], "sandbox", "what was lent before is lent on");

    // A vendor that is gone lends nothing any more, and its login is there when it comes back.
    daemon.write_config("");
    daemon.ok("reload", json!({}));
    assert_eq!(daemon.err("token", json!({"vendor": "sandbox"}))["code"], -32602);
    assert!(daemon.credential("default").exists());
    daemon.write_config(&good);
    daemon.ok("reload", json!({}));
    assert_eq!(daemon.token()["vendor"], "sandbox");
}

#[test]
fn a_reload_tells_what_comes_into_force_at_the_next_start_only() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    let good = Home::config_for(&sandbox);
    daemon.write_config(&format!("{good}\n[relay]\nmax_streams = 3\nidle_timeout = \"1m\"\n"));
    daemon.ok("reload", json!({}));
    let log = eventually("the reload is in the log", || {
        Some(daemon.log()).filter(|log| log.contains("was read again"))
    });
    let told: Vec<_> = log.lines().filter(|line| line.contains("started again")).collect();
    assert_eq!(told.len(), 1, "{log}");
    assert!(told[0].contains("relay.max_streams"), "{log}");
}

#[test]
fn shutdown_answers_and_then_ends_in_good_order() {
    let sandbox = Sandbox::start();
    let mut daemon = Daemon::of(&sandbox);
    assert_eq!(daemon.ok("shutdown", json!({})), json!({}));
    assert_eq!(daemon.wait_for_end().code(), Some(0), "{}", daemon.log());
    assert!(Socket::connect(daemon.socket()).is_err());
}
