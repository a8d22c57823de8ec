//! The token endpoint, revocation and keys: RFC 6749, 7009 and 7636 as OpenAI's issuer speaks them.

use axum::http::StatusCode;
use axum::response::Response;
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Value, json};

use super::answers::{Fields, api_error, json_answer, oauth_error};
use super::faults::Twist;
use super::grants::{Person, RefreshRefusal, after_secs};
use super::stats::Endpoint;
use super::world::{Caller, Shared, World};
use crate::clock::Timestamp;
use crate::secret::{random_base64url, same};

/// What the real access tokens name as their audience.
const AUDIENCE: &str = "https://api.openai.com/v1";

/// An authorization code's life, the longest that RFC 6749 section 4.1.2 recommends.
const CODE_SECS: u64 = 600;

/// An authorize page that waits for a person's decision.
#[derive(Clone, Debug)]
pub(super) struct Asked {
    pub(super) redirect_uri: String,
    pub(super) state: String,
    pub(super) scope: String,
    pub(super) challenge: String,
    pub(super) decided: bool,
}

/// An authorization code and all that it is bound to.
#[derive(Debug)]
pub(super) struct Code {
    redirect_uri: String,
    challenge: String,
    scope: String,
    person: Person,
    expires_at: Timestamp,
    /// Shown before. Holds the family that it bought, if it bought one.
    used: Option<Option<String>>,
}

/// Makes a code for whoever the settings say signs in.
pub(super) fn issue_code(
    app: &Shared,
    world: &mut World,
    redirect_uri: &str,
    challenge: &str,
    scope: &str,
) -> String {
    let name = format!("ac_{}", random_base64url(32));
    let code = Code {
        redirect_uri: redirect_uri.to_owned(),
        challenge: challenge.to_owned(),
        scope: scope.to_owned(),
        person: world.settings.person(),
        expires_at: after_secs(app.now(), CODE_SECS),
        used: None,
    };
    world.codes.insert(name.clone(), code);
    name
}

/// The S256 transformation of RFC 7636 section 4.2.
pub(super) fn s256(verifier: &str) -> String {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, verifier.as_bytes());
    URL_SAFE_NO_PAD.encode(hash)
}

/// `POST /oauth/token`
pub(super) async fn token(caller: Caller, fields: Fields) -> Response {
    let grant = fields.get("grant_type").unwrap_or_default().to_owned();
    match grant.as_str() {
        "refresh_token" => {
            caller
                .answer(Endpoint::Refresh, |app, world, _, twist| {
                    refresh(app, world, &fields, twist)
                })
                .await
        }
        "authorization_code" => {
            caller
                .answer(Endpoint::Token, |app, world, _, twist| {
                    exchange(app, world, &fields, twist)
                })
                .await
        }
        _ => {
            let text = format!("Unsupported grant type: {grant}");
            caller
                .answer(Endpoint::Token, |_, _, _, _| {
                    oauth_error(StatusCode::BAD_REQUEST, "unsupported_grant_type", &text)
                })
                .await
        }
    }
}

fn refresh(app: &Shared, world: &mut World, fields: &Fields, twist: &Twist) -> Response {
    if fields.get("client_id") != Some(app.client_id.as_str()) {
        return oauth_error(StatusCode::UNAUTHORIZED, "invalid_client", "Unknown client");
    }
    let Some(shown) = fields.get("refresh_token") else {
        return oauth_error(
            StatusCode::BAD_REQUEST,
            "invalid_request",
            "Missing parameter: refresh_token",
        );
    };
    let keep = !world.settings.rotate;
    match world.grants.redeem(shown, app.now(), keep) {
        Ok(family) => {
            world.stats.refreshes += 1;
            let next = if keep { Some(shown) } else { None };
            grant(app, world, &family, next, twist)
        }
        Err(refusal) => {
            world.stats.reuse_detected += u64::from(refusal == RefreshRefusal::Reused);
            let (code, text) = match refusal {
                RefreshRefusal::Unknown => {
                    ("token_expired", "Could not validate your token. Please try signing in again.")
                }
                RefreshRefusal::Expired => (
                    "refresh_token_expired",
                    "Your refresh token has expired. Please try signing in again.",
                ),
                RefreshRefusal::Reused => (
                    "refresh_token_reused",
                    "Your refresh token has already been used to generate a new access token. Please try signing in again.",
                ),
                RefreshRefusal::Revoked => (
                    "refresh_token_invalidated",
                    "Your refresh token has been revoked. Please try signing in again.",
                ),
            };
            api_error(StatusCode::UNAUTHORIZED, code, text)
        }
    }
}

fn exchange(app: &Shared, world: &mut World, fields: &Fields, twist: &Twist) -> Response {
    let refused = |text: &str| oauth_error(StatusCode::BAD_REQUEST, "invalid_grant", text);
    let missing = ["code", "redirect_uri", "code_verifier"]
        .into_iter()
        .find(|name| fields.get(name).is_none());
    if let Some(name) = missing {
        return oauth_error(
            StatusCode::BAD_REQUEST,
            "invalid_request",
            &format!("Missing parameter: {name}"),
        );
    }
    if fields.get("client_id") != Some(app.client_id.as_str()) {
        return oauth_error(StatusCode::UNAUTHORIZED, "invalid_client", "Unknown client");
    }
    let shown = fields.get("code").unwrap_or_default();
    let Some(code) = world.codes.get_mut(shown) else {
        return refused("Unknown authorization code");
    };
    // A code is spent by being shown, rightly or not; what it bought before is taken back (RFC 6749
    // section 4.1.2).
    if let Some(bought) = code.used.replace(None) {
        if let Some(family) = bought {
            world.grants.revoke_family(&family);
        }
        return refused("The authorization code has already been used");
    }
    if code.expires_at <= app.now() {
        return refused("The authorization code has expired");
    }
    if fields.get("redirect_uri") != Some(code.redirect_uri.as_str()) {
        return refused("The redirect_uri is not the one that the code was issued for");
    }
    let verifier = fields.get("code_verifier").unwrap_or_default();
    if !same(s256(verifier).as_bytes(), code.challenge.as_bytes()) {
        return refused("The code_verifier does not match the code_challenge");
    }
    let family = world.grants.begin(code.person.clone(), code.scope.clone());
    code.used = Some(Some(family.clone()));
    world.stats.code_exchanges += 1;
    grant(app, world, &family, None, twist)
}

/// The answer that grants a family its next tokens; `keep` is a refresh token that stays in force.
fn grant(
    app: &Shared,
    world: &mut World,
    family: &str,
    keep: Option<&str>,
    twist: &Twist,
) -> Response {
    let Some((person, scope)) =
        world.grants.family(family).map(|it| (it.person.clone(), it.scope.clone()))
    else {
        return api_error(
            StatusCode::UNAUTHORIZED,
            "refresh_token_invalidated",
            "Please try signing in again.",
        );
    };
    let now = app.now();
    let life = world.settings.access_ttl_secs;
    let account = twist.wrong_account.clone().unwrap_or_else(|| person.account_id.clone());
    let claims = |audience: &str| claims(app, &person, &account, audience, now, life, twist);
    let id_token = world.keys.sign(&claims(&app.client_id), twist);
    let access_token = if world.settings.opaque {
        format!("at-{}", random_base64url(40))
    } else {
        world.keys.sign(&claims(AUDIENCE), twist)
    };
    world.grants.keep_access(family, access_token.clone(), account.clone(), after_secs(now, life));
    let refresh_token = keep.map_or_else(
        || {
            let end = after_secs(now, world.settings.refresh_ttl_secs);
            world.grants.issue_refresh(family, end)
        },
        str::to_owned,
    );
    let mut body = json!({
        "id_token": id_token,
        "access_token": access_token,
        "refresh_token": refresh_token,
        "expires_in": life,
        "token_type": "Bearer",
        "scope": scope,
    });
    if let Some(members) = body.as_object_mut() {
        members.retain(|name, _| !twist.omit.contains(name));
    }
    json_answer(StatusCode::OK, &body)
}

fn claims(
    app: &Shared,
    person: &Person,
    account: &str,
    audience: &str,
    now: Timestamp,
    life: u64,
    twist: &Twist,
) -> Value {
    let mut auth = json!({
        "chatgpt_account_id": account,
        "chatgpt_plan_type": person.plan,
        "chatgpt_user_id": person.user_id,
        "user_id": person.user_id,
    });
    if person.fedramp {
        auth["chatgpt_account_is_fedramp"] = true.into();
    }
    let mut claims = json!({
        "iss": twist.wrong_issuer.as_deref().unwrap_or(&app.url),
        "aud": [audience],
        "sub": format!("sandbox|{}", person.user_id),
        "iat": now.as_secs(),
        "nbf": now.as_secs(),
        "exp": now.as_secs().saturating_add(life),
        "jti": random_base64url(16),
        "https://api.openai.com/auth": auth,
        "https://api.openai.com/profile": { "email": person.email, "email_verified": true },
    });
    if audience == app.client_id {
        claims["email"] = person.email.clone().into();
        claims["email_verified"] = true.into();
    }
    claims
}

/// `POST /oauth/revoke`: unknown tokens are answered like known ones (RFC 7009 section 2.2).
pub(super) async fn revoke(caller: Caller, fields: Fields) -> Response {
    caller
        .answer(Endpoint::Revoke, |app, world, _, _| {
            let Some(token) = fields.get("token") else {
                return oauth_error(
                    StatusCode::BAD_REQUEST,
                    "invalid_request",
                    "Missing parameter: token",
                );
            };
            let hint = fields.get("token_type_hint");
            if fields
                .get("client_id")
                .map_or(hint != Some("access_token"), |id| id != app.client_id)
            {
                return oauth_error(StatusCode::UNAUTHORIZED, "invalid_client", "Unknown client");
            }
            world.stats.revocations += u64::from(world.grants.revoke(token));
            json_answer(StatusCode::OK, &json!({}))
        })
        .await
}

/// `GET /.well-known/jwks.json`
pub(super) async fn jwks(caller: Caller) -> Response {
    caller
        .answer(Endpoint::Jwks, |_, world, _, _| {
            json_answer(StatusCode::OK, &world.keys.published())
        })
        .await
}
