//! With a browser: the address, the way back, the page at the end, and who else may knock there.

use std::fs::File;
use std::net::TcpListener;

use serde_json::json;
use valetkey::vendor::sandbox::Options;

use super::{outcome, poll};
use crate::support::{
    Daemon, Home, Sandbox, complete, encode, get, parameter, send, skipped, start_login,
};

#[test]
fn the_address_asks_for_a_code_bound_to_this_login_and_says_honestly_who_asks() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    let (one, other) = (
        start_login(&daemon, "browser", json!({})),
        start_login(&daemon, "browser", json!({"account": "work"})),
    );
    let url = one.authorize_url();
    assert!(url.starts_with(&format!("{}/oauth/authorize?", sandbox.url())), "{url}");
    let said = |name: &str| parameter(&url, name).unwrap_or_default();
    assert_eq!(said("response_type"), "code");
    assert_eq!(said("code_challenge_method"), "S256");
    assert_eq!(said("code_challenge").len(), 43);
    assert!(said("state").len() >= 43);
    assert_eq!(said("originator"), "valetkey");
    assert!(said("scope").split(' ').any(|scope| scope == "offline_access"));
    let redirect = said("redirect_uri");
    assert!(redirect.starts_with("http://127.0.0.1:") && redirect.ends_with("/auth/callback"));
    assert!(parameter(&url, "code_verifier").is_none(), "the verifier travels with the code only");
    for name in ["state", "code_challenge"] {
        assert_ne!(
            said(name),
            parameter(&other.authorize_url(), name).unwrap(),
            "{name} is reused"
        );
    }
    assert_eq!(complete(&sandbox, &one).status, 200);
    let honest = format!("valetkey/{}", env!("CARGO_PKG_VERSION"));
    for endpoint in ["token", "jwks"] {
        let headers = &sandbox.stats()["endpoints"][endpoint]["last_headers"];
        assert_eq!(headers["user-agent"], honest, "{endpoint}");
    }
    assert_eq!(sandbox.stats()["endpoints"]["token"]["last_headers"]["originator"], "valetkey");
}

#[test]
fn the_last_page_says_that_it_worked_once_it_has_and_neither_it_nor_its_address_holds_a_token() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    let started = start_login(&daemon, "browser", json!({}));
    let address = sandbox.decide_in_browser(&started.authorize_url(), true);
    let page = get(&address);
    // By the time that the person reads it, it is true.
    let polled = poll(&daemon, &started);
    assert_eq!((&polled["login"], &polled["connected"]), (&json!("complete"), &json!(true)));
    assert_eq!(page.status, 200);
    assert_eq!(page.header("cache-control"), Some("no-store"));
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    assert!(
        page.header("content-security-policy").is_some_and(|it| it.contains("default-src 'none'"))
    );
    assert!(page.header("location").is_none() && page.header("set-cookie").is_none());
    assert!(
        page.body.contains("You are signed in") && page.body.contains("color-scheme:light dark")
    );
    let token = daemon.token()["access_token"].as_str().unwrap().to_owned();
    let kept = std::fs::read_to_string(daemon.credential("default")).unwrap();
    let refresh_token = kept.split('"').find(|word| word.starts_with("rt_")).unwrap();
    for secret in [token.as_str(), refresh_token] {
        assert!(!page.body.contains(secret) && !address.contains(secret));
    }
    assert!(!page.body.contains("://"), "the page leads elsewhere: {}", page.body);
}

#[test]
fn strangers_at_the_callback_neither_finish_nor_break_a_login() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    let started = start_login(&daemon, "browser", json!({}));
    let (callback, state) = (started.callback(), started.state());
    let wrong = "A".repeat(state.len());
    for parameters in [
        &[] as &[(&str, &str)],
        &[("code", "stolen")],
        &[("code", "stolen"), ("state", &wrong)],
        &[("code", "stolen"), ("state", "")],
        &[("error", "access_denied")],
        &[("error", "access_denied"), ("state", &wrong)],
        &[("code", "stolen"), ("state", &state), ("state", &state)],
        &[("code", "stolen"), ("code", "other"), ("state", &state)],
        &[("code", ""), ("state", &state)],
        &[("state", &state)],
        &[("code", "stolen"), ("state", &state), ("iss", "https://evil.example")],
    ] {
        let answer = get(&encode(&callback, parameters));
        assert_eq!(answer.status, 400, "{parameters:?}: {}", answer.body);
        assert_eq!(poll(&daemon, &started)["login"], "pending", "{parameters:?}");
    }
    let origin = callback.trim_end_matches("/auth/callback");
    let elsewhere = encode(&format!("{origin}/elsewhere"), &[("code", "x"), ("state", &state)]);
    assert_eq!(get(&elsewhere).status, 404);
    assert_eq!(send("POST", &encode(&callback, &[("state", &state)]), Some("{}")).status, 405);
    assert_eq!(poll(&daemon, &started)["login"], "pending");
    assert_eq!(sandbox.requests("token"), 0, "a stranger's code was shown to the issuer");
    assert_eq!(complete(&sandbox, &started).status, 200);
    assert_eq!(poll(&daemon, &started)["login"], "complete");
}

#[test]
fn a_refusal_is_told_in_the_issuers_words_and_shown_harmlessly() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    let started = start_login(&daemon, "browser", json!({}));
    let page = get(&sandbox.decide_in_browser(&started.authorize_url(), false));
    assert_eq!(page.status, 400);
    let polled = poll(&daemon, &started);
    assert_eq!(polled["login"], "failed");
    assert_eq!(polled["connected"], false);
    let error = &polled["error"];
    assert_eq!(error["data"]["reason"], "access_denied");
    assert_eq!(error["data"]["body"], "The person said no.");

    let started = start_login(&daemon, "browser", json!({}));
    let evil = "<script>alert('1')</script>";
    let page = get(&encode(
        &started.callback(),
        &[("error", "server_error"), ("error_description", evil), ("state", &started.state())],
    ));
    assert_eq!(page.status, 400);
    assert!(
        page.body.contains("&lt;script&gt;") && !page.body.contains("<script"),
        "{}",
        page.body
    );
    let error = poll(&daemon, &started)["error"].clone();
    assert!(error["message"].as_str().unwrap().contains("server_error"), "{error}");
    assert_eq!(daemon.status()["state"], "signed_out");
}

#[test]
fn the_address_of_a_browser_elsewhere_can_be_pasted() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    let started = start_login(&daemon, "browser", json!({}));
    let address = sandbox.decide_in_browser(&started.authorize_url(), true);
    let wrong_state = encode(
        &started.callback(),
        &[("code", &parameter(&address, "code").unwrap()), ("state", &"A".repeat(43))],
    );
    let no_code = encode(&started.callback(), &[("state", &started.state())]);
    for pasted in ["", "not an address", &wrong_state, &no_code] {
        let paste = json!({"login_id": started.login_id, "redirect_url": pasted});
        let error = daemon.err("login.complete", paste);
        assert_eq!(error["code"], -32602, "{pasted}: {error}");
        assert_eq!(poll(&daemon, &started)["login"], "pending", "{pasted}");
    }
    // What is copied from an address bar often brings white space along.
    let paste = json!({"login_id": started.login_id, "redirect_url": format!(" {address}\n")});
    let completed = daemon.ok("login.complete", paste);
    assert_eq!((&completed["login"], &completed["connected"]), (&json!("complete"), &json!(true)));

    let device = start_login(&daemon, "device", json!({}));
    let paste = json!({"login_id": device.login_id, "redirect_url": address});
    assert_eq!(daemon.err("login.complete", paste)["code"], -32602);
}

/// A port that this test holds, and that nobody who asks for just any port is given meanwhile: those come
/// from 32768 up.
fn own_port() -> (TcpListener, u16) {
    let first = 20_000 + u16::try_from(std::process::id() % 10_000).unwrap();
    let held = (first..32_000).find_map(|port| {
        TcpListener::bind(("127.0.0.1", port)).ok().map(|listener| (listener, port))
    });
    held.expect("one of thousands of ports is free")
}

#[test]
fn a_login_without_a_free_port_says_which_and_points_to_the_device_code() {
    let sandbox = Sandbox::start();
    let (taken, port) = own_port();
    let config = Home::config_for(&sandbox)
        .replace("callback_ports = [0]", &format!("callback_ports = [{port}]"));
    let daemon = Home::with_config(&config).serve();
    let error = daemon.err("login.start", json!({"method": "browser", "consent": true}));
    assert_eq!(error["code"], -32012);
    assert_eq!(error["data"]["kind"], "port_in_use");
    assert_eq!(error["data"]["ports"], json!([port]));
    assert!(error["message"].as_str().unwrap().contains(&port.to_string()));
    assert!(error["data"]["hint"].as_str().unwrap().contains("--device"));
    drop(taken);
    let started = start_login(&daemon, "browser", json!({}));
    assert_eq!(complete(&sandbox, &started).status, 200);
    // Nobody signs in any more, so nobody listens: the port is free for the next program.
    crate::support::eventually("the port is given back", || {
        TcpListener::bind(("127.0.0.1", port)).ok()
    });
}

/// The two ports that OpenAI knows exist once on a machine: whoever wants them waits here.
fn registered_ports() -> Option<File> {
    let lock = File::create(std::env::temp_dir().join("valetkey-callback-ports.lock")).unwrap();
    lock.lock().unwrap();
    let free = [1455, 1457].iter().all(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok());
    free.then_some(lock)
}

#[test]
fn the_ports_that_openai_knows_are_tried_in_their_order() {
    let Some(_lock) = registered_ports() else {
        return skipped("another program listens on port 1455 or 1457");
    };
    let sandbox = Sandbox::start_with(Options::default());
    let config = Home::config_for(&sandbox).replace("callback_ports = [0]\n", "");
    let daemon = Home::with_config(&config).serve();
    let first = start_login(&daemon, "browser", json!({}));
    assert_eq!(first.callback(), "http://127.0.0.1:1455/auth/callback");
    assert_eq!(complete(&sandbox, &first).status, 200);
    let taken = crate::support::eventually("the port is given back", || {
        TcpListener::bind("127.0.0.1:1455").ok()
    });
    let second = start_login(&daemon, "browser", json!({}));
    assert_eq!(second.callback(), "http://127.0.0.1:1457/auth/callback");
    assert_eq!(complete(&sandbox, &second).status, 200);
    assert_eq!(outcome(&daemon, &second)["login"], "complete");
    drop(taken);
}
