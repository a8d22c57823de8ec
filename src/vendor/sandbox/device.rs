//! Signing in with a code on another device: OpenAI's own flow, which is not RFC 8628.
//!
//! The differences that break clients are all here: the interval is a string, 403 means "not yet", the
//! issuer makes the PKCE pair, and login is off for whoever has not switched it on.

use axum::extract::Query;
use axum::http::{StatusCode, header};
use axum::response::Response;
use serde_json::json;

use super::answers::{Fields, api_error, html, json_answer};
use super::grants::after_secs;
use super::issuer::{issue_code, s256};
use super::stats::Endpoint;
use super::world::{Caller, Shared, World};
use crate::clock::Timestamp;
use crate::secret::random_base64url;
use crate::vendor::page::{Tone, escape};

/// The life of a user code, which the real page states as well.
const CODE_SECS: u64 = 15 * 60;

/// How much earlier than the interval a poll may come in without blame: what two requests on one
/// machine may differ in how long they travel.
const TOLERANCE_MS: u64 = 100;

/// Consonants that cannot be mistaken for one another or for digits, and make no words (RFC 8628 section 6.1).
const ALPHABET: &[u8; 20] = b"BCDFGHJKLMNPQRSTVWXZ";

/// What the codes of this flow are granted.
const SCOPE: &str = "openid profile email offline_access";

/// A device login under way.
#[derive(Debug)]
pub(super) struct Device {
    user_code: String,
    expires_at: Timestamp,
    last_poll: Option<Timestamp>,
    decision: Decision,
}

#[derive(Clone, Debug)]
enum Decision {
    Open,
    Denied,
    Approved { code: String, verifier: String },
}

/// `POST /api/accounts/deviceauth/usercode`
pub(super) async fn usercode(caller: Caller, fields: Fields) -> Response {
    caller
        .answer(Endpoint::DeviceCode, |app, world, headers, _| {
            if !headers
                .get(header::CONTENT_TYPE)
                .is_some_and(|kind| kind.as_bytes().starts_with(b"application/json"))
            {
                return api_error(
                    StatusCode::BAD_REQUEST,
                    "invalid_request",
                    "The body must be JSON",
                );
            }
            if !world.settings.device_enabled {
                return api_error(StatusCode::NOT_FOUND, "not_found", "Not found");
            }
            if fields.get("client_id") != Some(app.client_id.as_str()) {
                return api_error(StatusCode::BAD_REQUEST, "invalid_client", "Unknown client");
            }
            start(app, world)
        })
        .await
}

fn start(app: &Shared, world: &mut World) -> Response {
    let (id, user_code) = (format!("deviceauth_{}", random_base64url(24)), random_user_code());
    let device = Device {
        user_code: user_code.clone(),
        expires_at: after_secs(app.now(), CODE_SECS),
        last_poll: None,
        decision: Decision::Open,
    };
    world.devices.insert(id.clone(), device);
    if world.settings.approve {
        decide(app, world, &user_code, true);
    }
    let interval = &world.settings.interval;
    json_answer(
        StatusCode::OK,
        &json!({ "device_auth_id": id, "user_code": user_code, "interval": interval }),
    )
}

/// Four and five letters, as on the real page.
fn random_user_code() -> String {
    let mut bytes = [0_u8; 9];
    aws_lc_rs::rand::fill(&mut bytes).expect("the system's random generator works");
    let letter = |byte: &u8| char::from(ALPHABET[usize::from(*byte) % ALPHABET.len()]);
    let (left, right) = bytes.split_at(4);
    format!(
        "{}-{}",
        left.iter().map(letter).collect::<String>(),
        right.iter().map(letter).collect::<String>()
    )
}

/// `POST /api/accounts/deviceauth/token`
pub(super) async fn poll(caller: Caller, fields: Fields) -> Response {
    caller.answer(Endpoint::DeviceToken, |app, world, _, _| polled(app, world, &fields)).await
}

fn polled(app: &Shared, world: &mut World, fields: &Fields) -> Response {
    let now = app.now();
    let interval_ms = world.settings.interval.secs().saturating_mul(1000);
    let (id, user_code) =
        (fields.get("device_auth_id").unwrap_or_default(), fields.get("user_code"));
    let known = world
        .devices
        .get_mut(id)
        .filter(|device| user_code == Some(device.user_code.as_str()) && device.expires_at > now);
    let Some(device) = known else {
        return api_error(StatusCode::NOT_FOUND, "not_found", "Unknown or expired device login");
    };
    let last = device.last_poll.replace(now);
    if last
        .is_some_and(|last| now.0.saturating_add(TOLERANCE_MS) < last.0.saturating_add(interval_ms))
    {
        world.stats.polls_too_fast += 1;
        return api_error(
            StatusCode::TOO_MANY_REQUESTS,
            "slow_down",
            "Polled faster than the interval",
        );
    }
    match device.decision.clone() {
        Decision::Open => {
            api_error(StatusCode::FORBIDDEN, "authorization_pending", "Not approved yet")
        }
        Decision::Denied => {
            api_error(StatusCode::BAD_REQUEST, "access_denied", "The person said no.")
        }
        Decision::Approved { code, verifier } => json_answer(
            StatusCode::OK,
            &json!({ "authorization_code": code, "code_challenge": s256(&verifier), "code_verifier": verifier }),
        ),
    }
}

/// Settles an open device login, once. Says whether there was one.
pub(super) fn decide(app: &Shared, world: &mut World, user_code: &str, approve: bool) -> bool {
    let Some(id) = open(app, world, user_code) else {
        return false;
    };
    let decision = if approve {
        let verifier = random_base64url(48);
        let redirect_uri = format!("{}/deviceauth/callback", app.url);
        let code = issue_code(app, world, &redirect_uri, &s256(&verifier), SCOPE);
        Decision::Approved { code, verifier }
    } else {
        Decision::Denied
    };
    if let Some(device) = world.devices.get_mut(&id) {
        device.decision = decision;
    }
    true
}

/// The open login that a typed code means; people leave out the dash and mind no case.
fn open(app: &Shared, world: &World, typed: &str) -> Option<String> {
    let plain = |code: &str| -> String {
        code.chars()
            .filter(char::is_ascii_alphanumeric)
            .map(|letter| letter.to_ascii_uppercase())
            .collect()
    };
    let typed = plain(typed);
    world
        .devices
        .newest()
        .find(|(_, device)| {
            plain(&device.user_code) == typed
                && matches!(device.decision, Decision::Open)
                && device.expires_at > app.now()
        })
        .map(|(id, _)| id.to_owned())
}

/// `GET /codex/device`: where a person types the code.
pub(super) async fn page(caller: Caller, Query(pairs): Query<Vec<(String, String)>>) -> Response {
    caller
        .answer(Endpoint::DevicePage, |_, _, _, _| {
            let fields = Fields::from_pairs(pairs);
            form(
                fields.ok().as_ref().and_then(|fields| fields.get("user_code")).unwrap_or_default(),
                None,
            )
        })
        .await
}

/// `POST /codex/device`: the typed code, then the decision about it.
pub(super) async fn typed(caller: Caller, fields: Fields) -> Response {
    caller
        .answer(Endpoint::DevicePage, |app, world, _, _| {
            let user_code = fields.get("user_code").unwrap_or_default();
            let settled = |done: bool, title: &str, text: &str, tone: Tone| {
                if done {
                    html(StatusCode::OK, title, &format!("<p>{text}</p>"), tone)
                } else {
                    form(user_code, Some("This code is unknown, used or expired."))
                }
            };
            match fields.get("decision") {
                Some("approve") => {
                    let text = "You can close this page and go back to the program.";
                    settled(decide(app, world, user_code, true), "Signed in", text, Tone::Good)
                }
                Some("deny") => {
                    let text = "Nothing was granted. You can close this page.";
                    settled(decide(app, world, user_code, false), "Denied", text, Tone::Bad)
                }
                _ if open(app, world, user_code).is_some() => question(world, user_code),
                _ => form(user_code, Some("This code is unknown, used or expired.")),
            }
        })
        .await
}

fn form(prefill: &str, trouble: Option<&str>) -> Response {
    let (status, tone) =
        trouble.map_or((StatusCode::OK, Tone::Plain), |_| (StatusCode::BAD_REQUEST, Tone::Bad));
    let alert = trouble
        .map_or_else(String::new, |text| format!("<p role=\"alert\">{}</p>\n", escape(text)));
    let body = format!(
        "{alert}<form method=\"post\" action=\"/codex/device\">\n\
         <label for=\"user_code\">The code that the program shows</label>\n\
         <input class=\"code\" id=\"user_code\" name=\"user_code\" value=\"{}\" placeholder=\"XXXX-XXXXX\" \
         maxlength=\"20\" autocomplete=\"one-time-code\" autocapitalize=\"characters\" spellcheck=\"false\" required autofocus>\n\
         <div class=\"choices\"><button class=\"primary\">Continue</button></div>\n</form>\n\
         <p class=\"note\">Only type a code that you asked for yourself, just now. Never one that somebody sent you.</p>",
        escape(prefill)
    );
    html(status, "Sign in on another device", &body, tone)
}

fn question(world: &World, user_code: &str) -> Response {
    let body = format!(
        "<p>A program that shows this code asks to use your account.</p>\n\
         <dl><dt>Code</dt><dd class=\"code\">{0}</dd><dt>Account</dt><dd>{1}</dd></dl>\n\
         <form method=\"post\" action=\"/codex/device\">\n<input type=\"hidden\" name=\"user_code\" value=\"{0}\">\n\
         <div class=\"choices\"><button class=\"primary\" name=\"decision\" value=\"approve\">Approve</button>\n\
         <button name=\"decision\" value=\"deny\">Deny</button></div>\n</form>\n\
         <p class=\"note\">This is the sandbox: a stand-in for the real sign-in page. No real account is involved.</p>",
        escape(user_code),
        escape(&world.settings.email),
    );
    html(StatusCode::OK, "Is this you?", &body, Tone::Plain)
}
