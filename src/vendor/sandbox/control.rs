//! The levers: plain HTTP and JSON under `/_sandbox/`, for tests, the demo and people with curl alike.
//!
//! They ask for no key, because the sandbox listens on loopback only and holds nothing of value. A
//! browser page from elsewhere is kept out all the same: anything with an `Origin` is refused.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::{Query, Request, State};
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::answers::{detail, json_answer};
use super::faults::Fault;
use super::stats::Endpoint;
use super::world::{App, Shared, World};
use super::{authorize, device};

/// The longest that `/_sandbox/wait` waits, whatever it is asked.
const WAIT_MS_MOST: u64 = 120_000;

/// What it waits where it is not told.
const WAIT_MS: u64 = 5_000;

/// Refuses pages of other origins: a form can be posted across origins without asking.
pub(super) async fn same_origin(request: Request, next: Next) -> Response {
    if request.headers().contains_key(header::ORIGIN) {
        return detail(StatusCode::FORBIDDEN, "not for browsers");
    }
    next.run(request).await
}

fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, Box<Response>> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body)
        .map_err(|error| Box::new(detail(StatusCode::BAD_REQUEST, &error.to_string())))
}

fn done(body: &Value) -> Response {
    json_answer(StatusCode::OK, body)
}

/// `POST /_sandbox/faults`: one fault, or a list of them.
pub(super) async fn add_faults(State(app): State<App>, body: Bytes) -> Response {
    let listed = read::<Value>(&body).and_then(|value| {
        let value = if value.is_array() { value } else { json!([value]) };
        read::<Vec<Fault>>(value.to_string().as_bytes())
    });
    let faults = match listed {
        Ok(faults) => faults,
        Err(refusal) => return *refusal,
    };
    let mut world = app.world();
    for fault in faults {
        if let Err(text) = world.faults.add(fault) {
            return detail(StatusCode::BAD_REQUEST, &text);
        }
    }
    done(&json!({ "waiting": world.faults.waiting().len() }))
}

/// `GET /_sandbox/faults`
pub(super) async fn list_faults(State(app): State<App>) -> Response {
    done(&json!({ "faults": app.world().faults.waiting() }))
}

/// `DELETE /_sandbox/faults`
pub(super) async fn clear_faults(State(app): State<App>) -> Response {
    app.world().faults.clear();
    app.announce();
    done(&json!({}))
}

/// `GET` and `POST /_sandbox/settings`
pub(super) async fn settings(State(app): State<App>, body: Bytes) -> Response {
    let change = match read::<Value>(&body) {
        Ok(change) => change,
        Err(refusal) => return *refusal,
    };
    let mut world = app.world();
    match world.settings.changed(&change) {
        Ok(settings) => world.settings = settings,
        Err(text) => return detail(StatusCode::BAD_REQUEST, &text),
    }
    done(&json!(world.settings))
}

/// Which login is meant: one of the two.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Which {
    user_code: Option<String>,
    state: Option<String>,
}

/// `POST /_sandbox/approve`
pub(super) async fn approve(State(app): State<App>, body: Bytes) -> Response {
    decide(&app, &body, true)
}

/// `POST /_sandbox/deny`
pub(super) async fn deny(State(app): State<App>, body: Bytes) -> Response {
    decide(&app, &body, false)
}

fn decide(app: &Shared, body: &[u8], approve: bool) -> Response {
    let which: Which = match read(body) {
        Ok(which) => which,
        Err(refusal) => return *refusal,
    };
    let mut world = app.world();
    match which {
        Which { user_code: Some(user_code), state: None } => {
            if device::decide(app, &mut world, &user_code, approve) {
                done(&json!({}))
            } else {
                detail(StatusCode::NOT_FOUND, "no open device login has this user_code")
            }
        }
        Which { user_code: None, state: Some(state) } => {
            let handle = open_question(&world, &state);
            match handle.and_then(|handle| authorize::decide(app, &mut world, &handle, approve)) {
                Some(url) => done(&json!({ "redirect_url": url })),
                None => detail(
                    StatusCode::NOT_FOUND,
                    "no open authorize page has this state: GET the authorize URL first",
                ),
            }
        }
        _ => detail(StatusCode::BAD_REQUEST, "either user_code or state"),
    }
}

fn open_question(world: &World, state: &str) -> Option<String> {
    world
        .asked
        .newest()
        .find(|(_, asked)| !asked.decided && asked.state == state)
        .map(|(handle, _)| handle.to_owned())
}

/// `POST /_sandbox/revoke_access`
pub(super) async fn revoke_access(State(app): State<App>) -> Response {
    let revoked = app.world().grants.revoke_access();
    done(&json!({ "revoked": revoked }))
}

/// `POST /_sandbox/revoke_family`: every family, as when a person ends all sessions in the account's settings.
pub(super) async fn revoke_family(State(app): State<App>) -> Response {
    let revoked = app.world().grants.revoke_families();
    done(&json!({ "revoked": revoked }))
}

/// How keys are rotated.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rotate {
    #[serde(default = "yes")]
    keep: bool,
}

fn yes() -> bool {
    true
}

/// `POST /_sandbox/rotate_keys`
pub(super) async fn rotate_keys(State(app): State<App>, body: Bytes) -> Response {
    match read::<Rotate>(&body) {
        Ok(rotate) => app.world().keys.rotate(rotate.keep),
        Err(refusal) => return *refusal,
    }
    done(&json!({}))
}

/// `GET /_sandbox/stats`
pub(super) async fn stats(State(app): State<App>) -> Response {
    done(&snapshot(&app.world()))
}

/// `GET /_sandbox/requests`
pub(super) async fn requests(State(app): State<App>) -> Response {
    done(&app.world().stats.seen.to_json())
}

fn snapshot(world: &World) -> Value {
    let (alive, revoked) = world.grants.census();
    world.stats.to_json(alive, revoked)
}

/// What to wait for: all that is given, at least.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Until {
    on: Endpoint,
    in_flight: Option<u64>,
    count: Option<u64>,
    answered: Option<u64>,
    streaming: Option<u64>,
    aborted: Option<u64>,
    timeout_ms: Option<u64>,
}

impl Until {
    fn holds(&self, world: &World) -> bool {
        let count = world.stats.of(self.on);
        let reached = |have: u64, want: Option<u64>| want.is_none_or(|want| have >= want);
        reached(count.in_flight, self.in_flight)
            && reached(count.requests, self.count)
            && reached(count.answered, self.answered)
            && reached(count.streaming, self.streaming)
            && reached(count.aborted, self.aborted)
    }
}

/// `GET /_sandbox/wait`: the counters, as soon as a condition holds; 408 where it does not in time.
pub(super) async fn wait(State(app): State<App>, Query(until): Query<Until>) -> Response {
    let bound = Duration::from_millis(until.timeout_ms.unwrap_or(WAIT_MS).min(WAIT_MS_MOST));
    let _ = tokio::time::timeout(bound, app.wait_until(|world| until.holds(world))).await;
    let world = app.world();
    let status = if until.holds(&world) { StatusCode::OK } else { StatusCode::REQUEST_TIMEOUT };
    json_answer(status, &snapshot(&world))
}
