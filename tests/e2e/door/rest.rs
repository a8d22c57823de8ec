//! The subscription endpoints, to the letter.

use serde_json::{Value, json};

use super::{Web, address, with_door};
use crate::support::{Daemon, Response, Sandbox, eventually};

const BASE: &str = "/api/llm/subscription/sandbox";

#[track_caller]
fn get(daemon: &Daemon, end: &str) -> Response {
    Web::socket(daemon).get(&format!("{BASE}/{end}"), &[])
}

#[track_caller]
fn post(daemon: &Daemon, end: &str, body: &Value) -> Response {
    let body = if body.is_null() { String::new() } else { body.to_string() };
    Web::socket(daemon).post(&format!("{BASE}/{end}"), &body)
}

/// What every answer about a login that is not usable looks like.
fn not_connected() -> Value {
    json!({"vendor": "sandbox", "connected": false, "account_email": null, "expires_at": null})
}

#[track_caller]
fn is_connected(answer: &Response, daemon: &Daemon) {
    let expected = json!({
        "vendor": "sandbox", "connected": true, "account_email": "pat@example.test",
        "expires_at": daemon.status()["expires_at"],
    });
    assert_eq!((answer.status, answer.json()), (200, expected));
}

#[track_caller]
fn is_gone(answer: &Response) {
    let detail = json!({"detail": "Subscription device login not found or expired"});
    assert_eq!((answer.status, answer.json()), (404, detail));
}

/// Begins a sign-in with consent and gives its whole answer.
#[track_caller]
fn start(daemon: &Daemon) -> Value {
    let answer = post(daemon, "device/start", &json!({"consent": true}));
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

#[track_caller]
fn poll(daemon: &Daemon, started: &Value) -> Response {
    post(daemon, "device/poll", &json!({"device_code": started["device_code"]}))
}

#[test]
fn a_person_signs_in_with_a_code_looks_and_signs_out() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    assert_eq!(get(&daemon, "status").json(), not_connected());

    let refused = post(&daemon, "device/start", &Value::Null);
    assert_eq!(refused.status, 403);
    let notice = refused.json();
    assert!(notice["detail"].as_str().unwrap().contains("Terms of Use"), "{notice}");
    assert_eq!(notice.as_object().unwrap().len(), 1);

    let started = start(&daemon);
    let mut members: Vec<&str> = started.as_object().unwrap().keys().map(String::as_str).collect();
    members.sort_unstable();
    assert_eq!(
        members,
        [
            "device_code",
            "expires_at",
            "interval_seconds",
            "user_code",
            "verification_uri",
            "verification_uri_complete"
        ]
    );
    assert_eq!(started["device_code"].as_str().unwrap().len(), 43);
    assert_eq!(started["interval_seconds"], 1);
    let life = started["expires_at"].as_u64().unwrap()
        - daemon.ok("info", json!({}))["started_at"].as_u64().unwrap();
    assert!((900_000..930_000).contains(&life), "milliseconds, a quarter of an hour: {life}");
    // The handle is ours: neither the issuer's nor the other dialect's.
    assert_eq!(
        daemon.err("login.poll", json!({"login_id": started["device_code"]}))["code"],
        -32006
    );

    assert_eq!(
        (poll(&daemon, &started).status, poll(&daemon, &started).json()),
        (200, not_connected())
    );
    sandbox.approve_code(started["user_code"].as_str().unwrap());
    let done = eventually("the sign-in is complete", || {
        let answer = poll(&daemon, &started);
        assert_eq!(answer.status, 200, "{}", answer.body);
        (answer.json()["connected"] == true).then_some(answer)
    });
    is_connected(&done, &daemon);
    is_connected(&get(&daemon, "status"), &daemon);

    let models = get(&daemon, "models").json();
    let ids: Vec<&str> =
        models["models"].as_array().unwrap().iter().map(|id| id.as_str().unwrap()).collect();
    assert!(!ids.is_empty() && ids.is_sorted(), "{ids:?}");
    assert_eq!((&models["vendor"], models.as_object().unwrap().len()), (&json!("sandbox"), 2));

    let out = post(&daemon, "logout", &Value::Null);
    assert_eq!((out.status, out.json()), (200, not_connected()));
    assert_eq!(get(&daemon, "status").json(), not_connected());
    is_gone(&poll(&daemon, &started));
    sandbox.wait_for_revocations(1);
    // Consent is on record by now.
    assert_eq!(post(&daemon, "device/start", &Value::Null).status, 200);
}

#[test]
fn a_sign_in_that_ends_after_a_logout_is_dropped_and_its_handle_dead() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    let started = start(&daemon);
    sandbox.fault(json!({"on": "device_token", "stall": true}));
    sandbox.wait("on=device_token&in_flight=1");
    sandbox.approve_code(started["user_code"].as_str().unwrap());
    // While the daemon itself is asking, whoever asks is told what is true now.
    assert_eq!(poll(&daemon, &started).json(), not_connected());
    assert_eq!(post(&daemon, "logout", &Value::Null).json(), not_connected());
    is_gone(&poll(&daemon, &started));
    sandbox.clear_faults();
    daemon.sign_in(&sandbox);
    is_gone(&poll(&daemon, &started));
    assert_eq!(get(&daemon, "status").json()["connected"], true, "the later one stands");
}

#[test]
fn another_sign_in_is_not_taken_for_this_one() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    let first = start(&daemon);
    daemon.sign_in(&sandbox);
    is_gone(&poll(&daemon, &first));
    is_gone(&poll(&daemon, &json!({"device_code": "x".repeat(43)})));
    let denied = start(&daemon);
    sandbox.deny_code(denied["user_code"].as_str().unwrap());
    let answer = eventually("the sign-in has failed", || {
        let answer = poll(&daemon, &denied);
        (answer.status != 200).then_some(answer)
    });
    assert_eq!(answer.status, 400, "{}", answer.body);
    assert!(answer.json()["detail"].is_string());
    is_gone(&poll(&daemon, &denied));
}

#[test]
fn what_does_not_fit_is_refused_in_the_same_shape() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    let mut web = Web::socket(&daemon);
    for (method, end) in
        [("GET", "status"), ("GET", "models"), ("POST", "device/start"), ("POST", "logout")]
    {
        let path = format!("/api/llm/subscription/nobody/{end}");
        let answer = web.send(method, &path, &[], b"");
        assert_eq!(answer.status, 404, "{end}: {}", answer.body);
        assert!(answer.json()["detail"].as_str().unwrap().contains("nobody"));
    }
    for (end, body, status) in [
        ("device/start", "{".to_owned(), 400),
        ("device/start", r#"{"consent": "yes"}"#.to_owned(), 400),
        ("device/poll", "{}".to_owned(), 400),
        ("device/poll", "[]".to_owned(), 400),
        ("device/poll", format!("{{\"device_code\": \"{}\"}}", "x".repeat(100_000)), 413),
    ] {
        let answer = Web::socket(&daemon).post(&format!("{BASE}/{end}"), &body);
        assert_eq!(answer.status, status, "{end} {body:.20}: {}", answer.body);
    }
    assert_eq!(web.get(&format!("{BASE}/nothing"), &[]).status, 404);
    assert_eq!(web.get(&format!("{BASE}/logout"), &[]).status, 405);
}

#[test]
fn the_status_waits_for_a_refresh_that_is_due() {
    let sandbox = Sandbox::start_with(valetkey::vendor::sandbox::Options {
        any_callback_port: true,
        access_ttl: std::time::Duration::from_secs(4),
        ..valetkey::vendor::sandbox::Options::default()
    });
    let daemon = Daemon::of(&sandbox);
    // What the owner begins by itself ahead of the end takes its time.
    sandbox.fault(json!({"on": "refresh", "stall": true}));
    daemon.sign_in(&sandbox);
    let first = daemon.status()["expires_at"].as_u64().unwrap();
    sandbox.wait("on=refresh&in_flight=1");
    let answer = std::thread::scope(|scope| {
        let asking = scope.spawn(|| get(&daemon, "status").json());
        eventually("the token has ended", || {
            (!daemon.status()["connected"].as_bool().unwrap()).then_some(())
        });
        sandbox.clear_faults();
        asking.join().unwrap()
    });
    assert_eq!(answer["connected"], true, "{answer}");
    assert!(answer["expires_at"].as_u64().unwrap() > first, "{answer}");
}

#[test]
fn on_loopback_these_are_for_keys_made_for_them() {
    let sandbox = Sandbox::start();
    let daemon = with_door(&sandbox);
    let asked = json!({"name": "front", "scopes": ["subscription"]});
    let key = daemon.ok("keys.add", asked)["key"].as_str().unwrap().to_owned();
    let bearer = format!("Bearer {key}");
    let mut web = Web::tcp(&address(&daemon));
    let answer = web.get(&format!("{BASE}/status"), &[("authorization", &bearer)]);
    assert_eq!((answer.status, answer.json()), (200, not_connected()));
    let body = br#"{"consent": true}"#;
    let path = format!("{BASE}/device/start");
    let started = web.send("POST", &path, &[("authorization", &bearer)], body);
    assert_eq!(started.status, 200, "{}", started.body);
    let told = daemon.ok("audit.tail", json!({"limit": 1}));
    assert_eq!(told["entries"][0]["client"]["name"], "front", "{told}");
    assert_eq!(told["entries"][0]["method"], "login.start");
}

#[test]
fn names_that_are_no_text_are_the_names_of_nothing() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    let mut web = Web::socket(&daemon);
    let vendor = web.get("/api/llm/subscription/%ff/status", &[]);
    assert_eq!(vendor.status, 404, "{}", vendor.body);
    assert!(vendor.json()["detail"].is_string());
    let model = web.get("/v1/models/%ff", &[]);
    assert_eq!(model.status, 404, "{}", model.body);
    assert_eq!(model.json()["error"]["code"], "model_not_found");
}

#[test]
fn the_models_of_a_vendor_that_nobody_signed_in_to_are_no_fault_of_ours() {
    let sandbox = Sandbox::start();
    let daemon = Daemon::of(&sandbox);
    let answer = Web::socket(&daemon).get("/api/llm/subscription/openai/models", &[]);
    assert_eq!(answer.status, 401, "{}", answer.body);
    assert!(answer.json()["detail"].as_str().unwrap().contains("valetkey login"));
}
