//! The authorize page: what a browser sees of a login, and what becomes of a click.

use axum::extract::Query;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use reqwest::Url;

use super::answers::{Fields, html};
use super::issuer::{Asked, issue_code};
use super::stats::Endpoint;
use super::world::{Caller, Shared, World};
use crate::secret::random_base64url;
use crate::vendor::page::{Tone, escape};

/// What a login has to ask for: who it is, and a refresh token.
const SCOPES_NEEDED: &[&str] = &["openid", "offline_access"];

/// The length of an S256 challenge (RFC 7636 section 4.2: 32 bytes in base64url).
const CHALLENGE_CHARS: usize = 43;

/// `GET /oauth/authorize`
pub(super) async fn authorize(
    caller: Caller,
    Query(pairs): Query<Vec<(String, String)>>,
) -> Response {
    caller
        .answer(Endpoint::Authorize, |app, world, _, _| match Fields::from_pairs(pairs) {
            Ok(fields) => asked(app, world, &fields),
            Err(message) => refused(&message),
        })
        .await
}

fn asked(app: &Shared, world: &mut World, fields: &Fields) -> Response {
    // As long as it is not certain who asks and whereto, nobody is sent anywhere (RFC 6749 section 4.1.2.1).
    if fields.get("client_id") != Some(app.client_id.as_str()) {
        return refused("This client is not known here.");
    }
    let Some(redirect_uri) = fields.get("redirect_uri").filter(|uri| allowed(app, uri)) else {
        return refused("The redirect address is not on this client's list.");
    };
    let state = fields.get("state").unwrap_or_default();
    if let Err((error, text)) = check(fields) {
        return redirect(&back(
            redirect_uri,
            &[("error", error), ("error_description", &text)],
            state,
        ));
    }
    let asked = Asked {
        redirect_uri: redirect_uri.to_owned(),
        state: state.to_owned(),
        scope: fields.get("scope").unwrap_or_default().to_owned(),
        challenge: fields.get("code_challenge").unwrap_or_default().to_owned(),
        decided: false,
    };
    let handle = random_base64url(24);
    let page = question(world, &asked, fields.get("originator").unwrap_or("a program"), &handle);
    world.asked.insert(handle.clone(), asked);
    if world.settings.approve {
        return decide(app, world, &handle, true)
            .map_or_else(|| refused("This page has been used."), |url| redirect(&url));
    }
    page
}

fn check(fields: &Fields) -> Result<(), (&'static str, String)> {
    if fields.get("response_type") != Some("code") {
        return Err(("unsupported_response_type", "response_type must be code".into()));
    }
    if fields.get("code_challenge_method") != Some("S256") {
        return Err(("invalid_request", "code_challenge_method must be S256".into()));
    }
    let challenge = fields.get("code_challenge").unwrap_or_default();
    let good = challenge.len() == CHALLENGE_CHARS
        && challenge
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if !good {
        return Err(("invalid_request", "code_challenge must be a base64url SHA-256".into()));
    }
    if fields.get("state").is_none() {
        return Err(("invalid_request", "state is required".into()));
    }
    let scope = fields.get("scope").unwrap_or_default();
    match SCOPES_NEEDED.iter().find(|needed| !scope.split(' ').any(|word| word == **needed)) {
        Some(needed) => Err(("invalid_scope", format!("scope must contain {needed}"))),
        None => Ok(()),
    }
}

fn allowed(app: &Shared, redirect_uri: &str) -> bool {
    let listed = app.callback_ports.iter().any(|port| {
        ["127.0.0.1", "localhost"]
            .iter()
            .any(|host| redirect_uri == format!("http://{host}:{port}/auth/callback"))
    });
    listed || (app.any_callback_port && loopback_callback(redirect_uri))
}

/// The same address on any port, as RFC 8252 section 7.3 would have it.
fn loopback_callback(redirect_uri: &str) -> bool {
    Url::parse(redirect_uri).is_ok_and(|url| {
        url.scheme() == "http"
            && matches!(url.host_str(), Some("127.0.0.1" | "localhost"))
            && url.path() == "/auth/callback"
            && url.query().is_none()
            && url.fragment().is_none()
            && url.username().is_empty()
            && url.password().is_none()
    })
}

fn question(world: &World, asked: &Asked, originator: &str, handle: &str) -> Response {
    let body = format!(
        "<p><strong>{}</strong> on this computer asks to use your account.</p>\n\
         <dl><dt>Account</dt><dd>{}</dd><dt>Plan</dt><dd>{}</dd><dt>Leads to</dt><dd>{}</dd></dl>\n\
         <form method=\"post\" action=\"/oauth/authorize\">\n\
         <input type=\"hidden\" name=\"request\" value=\"{}\">\n\
         <div class=\"choices\"><button class=\"primary\" name=\"decision\" value=\"approve\">Approve</button>\n\
         <button name=\"decision\" value=\"deny\">Deny</button></div>\n</form>\n\
         <p class=\"note\">This is the sandbox: a stand-in for the real sign-in page. No real account is involved.</p>",
        escape(originator),
        escape(&world.settings.email),
        escape(&world.settings.plan),
        escape(&asked.redirect_uri),
        escape(handle),
    );
    html(StatusCode::OK, "Sign in to the sandbox", &body, Tone::Plain)
}

/// `POST /oauth/authorize`: the buttons of that page.
pub(super) async fn decided(caller: Caller, fields: Fields) -> Response {
    caller
        .answer(Endpoint::Authorize, |app, world, _, _| {
            let approve = match fields.get("decision") {
                Some("approve") => true,
                Some("deny") => false,
                _ => return refused("Neither approved nor denied."),
            };
            let handle = fields.get("request").unwrap_or_default();
            decide(app, world, handle, approve)
                .map_or_else(|| refused("This page has been used already."), |url| redirect(&url))
        })
        .await
}

/// Settles an open question, once, and says where the browser goes.
pub(super) fn decide(
    app: &Shared,
    world: &mut World,
    handle: &str,
    approve: bool,
) -> Option<String> {
    let asked = world.asked.get_mut(handle).filter(|asked| !asked.decided)?;
    asked.decided = true;
    let asked = asked.clone();
    if approve {
        let code = issue_code(app, world, &asked.redirect_uri, &asked.challenge, &asked.scope);
        Some(back(&asked.redirect_uri, &[("code", &code), ("scope", &asked.scope)], &asked.state))
    } else {
        let text = "The person said no.";
        Some(back(
            &asked.redirect_uri,
            &[("error", "access_denied"), ("error_description", text)],
            &asked.state,
        ))
    }
}

fn back(redirect_uri: &str, parameters: &[(&str, &str)], state: &str) -> String {
    let mut url = Url::parse(redirect_uri).expect("a redirect address on the list is a URL");
    url.query_pairs_mut().extend_pairs(parameters);
    if !state.is_empty() {
        url.query_pairs_mut().append_pair("state", state);
    }
    url.into()
}

fn redirect(url: &str) -> Response {
    let headers = [
        (header::LOCATION, url),
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "no-referrer"),
    ];
    (StatusCode::SEE_OTHER, headers).into_response()
}

fn refused(text: &str) -> Response {
    let body = format!(
        "<p>{}</p>\n<p class=\"note\">Go back to the program that opened this page and begin again.</p>",
        escape(text)
    );
    html(StatusCode::BAD_REQUEST, "This sign-in cannot go on", &body, Tone::Bad)
}
