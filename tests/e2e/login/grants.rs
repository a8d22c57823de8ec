//! What was granted: believed only after a check, kept only when still wanted, revoked otherwise.

use std::thread;

use serde_json::{Value, json};

use super::{outcome, poll};
use crate::support::{Daemon, Sandbox, complete, get, start_login};

/// The API's answer to what was lent.
fn api_status(sandbox: &Sandbox, lent: &Value) -> u16 {
    use std::io::{Read as _, Write as _};
    let mut stream = std::net::TcpStream::connect(("127.0.0.1", sandbox.port())).unwrap();
    let mut request =
        "GET /backend-api/wham/usage HTTP/1.1\r\nHost: x\r\nConnection: close\r\n".to_owned();
    for (name, value) in lent["headers"].as_object().unwrap() {
        request += &format!("{name}: {}\r\n", value.as_str().unwrap());
    }
    stream.write_all(format!("{request}\r\n").as_bytes()).unwrap();
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    crate::support::Response::parse(&bytes).status
}

#[test]
fn a_callback_after_a_cancel_or_a_logout_is_dropped() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    for end in ["login.cancel", "logout"] {
        let started = start_login(&daemon, "browser", json!({}));
        let params = match end {
            "logout" => json!({}),
            _ => json!({"login_id": started.login_id}),
        };
        // Another login keeps the listener open, so that the late browser finds somebody.
        let _other = start_login(&daemon, "browser", json!({"account": "work"}));
        daemon.ok(end, params);
        let page = complete(&sandbox, &started);
        assert_eq!(page.status, 400, "{end}: {}", page.body);
        assert_eq!(poll(&daemon, &started)["login"], "cancelled", "{end}");
        assert_eq!(daemon.status()["state"], "signed_out", "{end}");
    }
    assert_eq!(sandbox.stat("code_exchanges"), 0);
}

#[test]
fn what_is_granted_after_a_cancel_or_a_logout_is_revoked() {
    for end in ["login.cancel", "logout", "login.start"] {
        let sandbox = Sandbox::start();
        let daemon = Daemon::of(&sandbox);
        let started = start_login(&daemon, "browser", json!({}));
        let address = sandbox.decide_in_browser(&started.authorize_url(), true);
        // The tokens are there, and wait to be checked.
        sandbox.fault(json!({"on": "jwks", "stall": true}));
        let browser = thread::spawn(move || get(&address));
        sandbox.wait("on=jwks&in_flight=1");
        let params = match end {
            "logout" => json!({}),
            "login.start" => json!({"method": "device"}),
            _ => json!({"login_id": started.login_id}),
        };
        daemon.ok(end, params);
        let ended = poll(&daemon, &started);
        assert_eq!(ended["login"], "cancelled", "{end}");
        sandbox.clear_faults();
        let page = browser.join().unwrap();
        assert_eq!(page.status, 400, "{end}: {}", page.body);
        sandbox.wait_for_revocations(1);
        assert_eq!(sandbox.stats()["families"]["alive"], 0, "{end}");
        assert_eq!(daemon.status()["state"], "signed_out", "{end}");
        assert!(!daemon.credential("default").exists(), "{end}");
    }
}

#[test]
fn tokens_that_cannot_be_believed_are_not_kept_and_revoked() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    for (count, twist) in [
        json!({"wrong_key": true}),
        json!({"borrow_kid": true, "wrong_key": true}),
        json!({"wrong_issuer": "https://evil.example"}),
        json!({"algorithm": "none"}),
        json!({"algorithm": "HS256"}),
    ]
    .into_iter()
    .enumerate()
    {
        let mut fault = twist.clone();
        fault["on"] = json!("token");
        sandbox.fault(fault);
        let started = start_login(&daemon, "browser", json!({}));
        let page = complete(&sandbox, &started);
        assert_eq!(page.status, 400, "{twist}: {}", page.body);
        let polled = poll(&daemon, &started);
        assert_eq!(polled["login"], "failed", "{twist}");
        assert_eq!(polled["error"]["data"]["reason"], "unbelievable_token", "{twist}: {polled}");
        assert_eq!(daemon.status()["state"], "signed_out", "{twist}");
        assert!(!daemon.credential("default").exists(), "{twist}");
        sandbox.wait_for_revocations(count as u64 + 1);
    }
    daemon.sign_in(&sandbox);
}

#[test]
fn while_the_issuers_keys_are_out_of_reach_a_login_is_pending_and_then_completes() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    sandbox.fault(json!({"on": "jwks", "status": 503, "times": 0}));
    let started = start_login(&daemon, "browser", json!({}));
    let address = sandbox.decide_in_browser(&started.authorize_url(), true);
    let browser = thread::spawn(move || get(&address));
    sandbox.wait("on=jwks&answered=1");
    let waited = daemon.ok("login.wait", json!({"login_id": started.login_id, "timeout": 1}));
    assert_eq!((&waited["login"], &waited["connected"]), (&json!("pending"), &json!(false)));
    assert_eq!(daemon.err("token", json!({}))["code"], -32001, "lent unverified");
    sandbox.clear_faults();
    assert_eq!(browser.join().unwrap().status, 200);
    assert_eq!(outcome(&daemon, &started)["login"], "complete");
    assert_eq!(daemon.status()["connected"], true);
}

#[test]
fn a_login_of_another_account_is_refused_unless_it_is_to_replace() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    daemon.sign_in(&sandbox);
    let first = daemon.token();
    sandbox.settings(json!({"account_id": "other-account", "email": "kim@example.test"}));

    let started = start_login(&daemon, "browser", json!({}));
    let page = complete(&sandbox, &started);
    assert_eq!(page.status, 400);
    let polled = poll(&daemon, &started);
    assert_eq!(polled["login"], "failed");
    assert_eq!(polled["error"]["code"], -32013);
    assert_eq!(polled["error"]["data"]["kind"], "account_mismatch");
    assert!(polled["error"]["data"]["hint"].as_str().unwrap().contains("--force"), "{polled}");
    sandbox.wait_for_revocations(1);
    assert_eq!(daemon.token()["access_token"], first["access_token"]);
    assert_eq!(api_status(&sandbox, &first), 200, "the login that was held is as good as before");

    // The issuer does not answer the revocation of the old grant: by then the new one is safe.
    sandbox.fault(json!({"on": "revoke", "stall": true}));
    daemon.sign_in_as(&sandbox, json!({"replace": true}));
    sandbox.wait("on=revoke&in_flight=1");
    let kept = std::fs::read_to_string(daemon.credential("default")).unwrap();
    assert!(kept.contains("other-account"), "revoked before the new one was kept");
    let second = daemon.token();
    assert_eq!(second["account_id"], "other-account");
    assert!(second["generation"].as_u64() > first["generation"].as_u64());
    sandbox.clear_faults();
    sandbox.wait_for_revocations(2);
    assert_eq!(api_status(&sandbox, &first), 401);
    assert_eq!(api_status(&sandbox, &second), 200);
}

#[test]
fn signing_in_again_replaces_the_old_grant_and_logout_leaves_none() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    daemon.sign_in(&sandbox);
    daemon.sign_in(&sandbox);
    sandbox.wait_for_revocations(1);
    assert_eq!(sandbox.stats()["families"], json!({"alive": 1, "revoked": 1}));
    let out = daemon.ok("logout", json!({}));
    assert_eq!((&out["revoked"], &out["state"]), (&json!(true), &json!("signed_out")));
    assert_eq!(sandbox.stats()["families"]["alive"], 0);
    assert!(!daemon.credential("default").exists());
    assert_eq!(daemon.err("token", json!({}))["code"], -32001);
}

#[test]
fn the_issuers_keys_are_asked_for_once_and_again_when_a_token_names_another() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    for _ in 0..3 {
        daemon.sign_in(&sandbox);
    }
    assert_eq!(sandbox.stat("jwks_requests"), 1);
    sandbox.lever("rotate_keys", &json!({}));
    daemon.sign_in(&sandbox);
    daemon.sign_in(&sandbox);
    assert_eq!(sandbox.stat("jwks_requests"), 2);
    // Made-up key names cannot make the daemon ask again and again: such a login waits its turn.
    sandbox.fault(json!({"on": "token", "wrong_key": true}));
    let started = start_login(&daemon, "browser", json!({"account": "work"}));
    let address = sandbox.decide_in_browser(&started.authorize_url(), true);
    let browser = thread::spawn(move || get(&address));
    let waited = daemon.ok("login.wait", json!({"login_id": started.login_id, "timeout": 5}));
    assert_eq!(waited["login"], "pending");
    assert_eq!(sandbox.stat("jwks_requests"), 2);
    daemon.ok("login.cancel", json!({"login_id": started.login_id}));
    assert_eq!(browser.join().unwrap().status, 400);
    // Five logins of one account leave four grants behind, and this one is the fifth.
    sandbox.wait_for_revocations(5);
}

#[test]
fn logout_is_done_here_even_where_the_issuer_does_not_confirm_it() {
    for fault in [json!({"status": 500}), json!({"drop": "before"}), json!({"status": 400})] {
        let sandbox = Sandbox::start();
        let daemon = Daemon::of(&sandbox);
        daemon.sign_in(&sandbox);
        let mut on_revoke = fault.clone();
        on_revoke["on"] = json!("revoke");
        sandbox.fault(on_revoke);
        let out = daemon.ok("logout", json!({}));
        assert_eq!(out["revoked"], false, "{fault}: what was not confirmed is not claimed");
        assert_eq!(out["state"], "signed_out", "{fault}");
        assert!(!daemon.credential("default").exists(), "{fault}");
    }
    // Nobody is signed in: nothing to revoke, and no error either.
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    assert_eq!(daemon.ok("logout", json!({}))["revoked"], false);
    assert_eq!(sandbox.requests("revoke"), 0);
}
