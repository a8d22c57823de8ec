//! OpenAI's dialect: the ChatGPT issuer and the Codex backend. The only file that knows either.
//!
//! Where it departs from the RFCs: the refresh is JSON and its members are optional, the device flow is
//! OpenAI's own (the issuer makes the PKCE pair), and errors come nested. Facts come from the source of
//! <https://github.com/openai/codex> (`codex-rs/login`), the only documentation there is.

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::jwks::{Claims, Disbelief, Expected, Jwks};
use super::pkce::Pkce;
use super::redact::redact;
use super::wire::{Answer, NoAnswer, Wire, join};
use super::{Device, DevicePoll, Grant, Identity, Refreshed, VendorError};
use crate::clock::{Clock, Timestamp};
use crate::config;
use crate::secret::{AccessToken, IdToken, RefreshToken, Secret};
use crate::store::Source;

/// Where OpenAI's own claims stand in its tokens.
const AUTH_CLAIM: &str = "https://api.openai.com/auth";
const PROFILE_CLAIM: &str = "https://api.openai.com/profile";
/// Seconds between device polls where the issuer names none, and the span believed (RFC 8628 section 3.5).
const DEVICE_INTERVAL: (u64, u64, u64) = (5, 1, 60);
/// The `client_version` without which the backend lists no models (juspay/neurolink issue 1453).
const CLIENT_VERSION: &str = "0.169.0";
/// Error codes that are about the very refresh token we showed (openai/codex, `classify_refresh_token_failure`;
/// `token_expired` is reported in decolua/9router issue 1821).
const FINAL: [&str; 5] = [
    "invalid_grant",
    "refresh_token_expired",
    "refresh_token_reused",
    "refresh_token_invalidated",
    "token_expired",
];
/// Error codes about the request, not the token (RFC 6749 section 5.2): it was not processed.
const NOT_PROCESSED: [&str; 6] = [
    "invalid_request",
    "invalid_client",
    "unauthorized_client",
    "unsupported_grant_type",
    "invalid_scope",
    "temporarily_unavailable",
];

/// One configured vendor of this dialect.
#[derive(Debug)]
pub struct OpenAi {
    config: config::Vendor,
    issuer: Wire,
    api: Wire,
    jwks: Jwks,
}

/// An answer of the token endpoint; each member may be missing (`RefreshResponse` in openai/codex).
#[derive(Deserialize)]
struct TokenAnswer {
    access_token: Option<AccessToken>,
    refresh_token: Option<RefreshToken>,
    id_token: Option<IdToken>,
    expires_in: Option<u64>,
}

impl OpenAi {
    /// A vendor as configured.
    #[must_use]
    pub fn new(config: config::Vendor, clock: &Clock) -> Self {
        Self {
            issuer: Wire::new(config.issuer.clone(), &config.originator, clock.clone()),
            api: Wire::new(config.api_base.clone(), &config.originator, clock.clone()),
            jwks: Jwks::new("/.well-known/jwks.json", clock.clone()),
            config,
        }
    }

    /// The configuration it was made from.
    #[must_use]
    pub fn config(&self) -> &config::Vendor {
        &self.config
    }

    /// What a grant from here is bound to.
    #[must_use]
    pub fn source(&self) -> Source {
        Source {
            issuer: self.config.issuer.as_str().trim_end_matches('/').to_owned(),
            token_endpoint: join(&self.config.issuer, "/oauth/token").into(),
            client_id: self.config.client_id.clone(),
        }
    }

    /// Where a person signs in with a browser (RFC 6749 section 4.1.1).
    #[must_use]
    pub fn authorize_url(&self, redirect_uri: &str, pkce: &Pkce, state: &str) -> String {
        let mut url = join(&self.config.issuer, "/oauth/authorize");
        url.query_pairs_mut()
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.config.client_id)
            .append_pair("redirect_uri", redirect_uri)
            .append_pair("code_challenge", &pkce.challenge)
            .append_pair("code_challenge_method", "S256")
            .append_pair("state", state)
            .append_pair("scope", &self.config.scopes.join(" "))
            .append_pair("id_token_add_organizations", "true")
            .append_pair("codex_cli_simplified_flow", "true")
            .append_pair("originator", &self.config.originator);
        url.into()
    }

    /// Trades an authorization code for tokens.
    ///
    /// # Errors
    /// [`VendorError`]; the code is used up in any case.
    pub async fn exchange(
        &self,
        code: &Secret,
        verifier: &Secret,
        redirect_uri: &str,
    ) -> Result<Grant, VendorError> {
        let request = self.issuer.request(Method::POST, "/oauth/token")?.form(&[
            ("grant_type", "authorization_code"),
            ("client_id", &self.config.client_id),
            ("code", code.expose()),
            ("redirect_uri", redirect_uri),
            ("code_verifier", verifier.expose()),
        ]);
        let answer = self.issuer.send(request).await?;
        if !answer.status.is_success() {
            return Err(refused(&answer));
        }
        let tokens: TokenAnswer = answer.json().ok_or_else(|| garbled(&answer))?;
        Ok(grant(tokens, answer.skew_millis))
    }

    /// Asks for a device code.
    ///
    /// # Errors
    /// [`VendorError`]; a 404 is explained with the setting that must be on.
    pub async fn device_start(&self) -> Result<Device, VendorError> {
        #[derive(Deserialize)]
        struct Start {
            device_auth_id: Secret,
            #[serde(alias = "usercode")]
            user_code: String,
            #[serde(default)]
            interval: Value,
        }
        let request = self
            .issuer
            .request(Method::POST, "/api/accounts/deviceauth/usercode")?
            .json(&json!({ "client_id": self.config.client_id }));
        let answer = self.issuer.send(request).await?;
        if answer.status == StatusCode::NOT_FOUND {
            return Err(VendorError::DeviceLoginOff);
        }
        if !answer.status.is_success() {
            return Err(refused(&answer));
        }
        let start: Start = answer.json().ok_or_else(|| garbled(&answer))?;
        let page = join(&self.config.issuer, "/codex/device");
        let mut complete = page.clone();
        complete.query_pairs_mut().append_pair("user_code", &start.user_code);
        Ok(Device {
            device_id: start.device_auth_id,
            user_code: start.user_code,
            interval: device_interval(&start.interval),
            verification_uri: page.into(),
            verification_uri_complete: complete.into(),
        })
    }

    /// Asks once whether the person has typed the code.
    ///
    /// # Errors
    /// [`VendorError`]; an unreachable issuer is no end, a refusal is.
    pub async fn device_poll(&self, device: &Device) -> Result<DevicePoll, VendorError> {
        #[derive(Deserialize)]
        struct Approved {
            authorization_code: Secret,
            code_verifier: Secret,
        }
        let request = self.issuer.request(Method::POST, "/api/accounts/deviceauth/token")?.json(
            &json!({ "device_auth_id": device.device_id.expose(), "user_code": device.user_code }),
        );
        let answer = self.issuer.send(request).await?;
        match answer.status {
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND => Ok(DevicePoll::Pending),
            StatusCode::TOO_MANY_REQUESTS => Ok(DevicePoll::SlowDown(answer.retry_after)),
            status if status.is_server_error() => {
                Err(VendorError::Unreachable { message: answer.describe(), which: None })
            }
            status if status.is_success() => {
                let approved: Approved = answer.json().ok_or_else(|| garbled(&answer))?;
                Ok(DevicePoll::Approved {
                    code: approved.authorization_code,
                    verifier: approved.code_verifier,
                })
            }
            _ => Err(refused(&answer)),
        }
    }

    /// The redirect URI that codes from [`Self::device_poll`] are bound to.
    #[must_use]
    pub fn device_redirect_uri(&self) -> String {
        join(&self.config.issuer, "/deviceauth/callback").into()
    }

    /// Shows the refresh token, once.
    pub async fn refresh(&self, token: &RefreshToken) -> Refreshed {
        let body = json!({
            "client_id": self.config.client_id,
            "grant_type": "refresh_token",
            "refresh_token": token.expose(),
        });
        let sent = match self.issuer.request(Method::POST, "/oauth/token") {
            Ok(request) => self.issuer.send(request.json(&body)).await,
            Err(error) => Err(error),
        };
        match sent {
            Ok(answer) => classify(&answer),
            Err(NoAnswer { sent: true, message, .. }) => Refreshed::Unknown { message },
            Err(NoAnswer { message, .. }) => Refreshed::Harmless { retry_after: None, message },
        }
    }

    /// Asks the issuer to end a grant (RFC 7009).
    ///
    /// # Errors
    /// [`VendorError`]: then nobody knows.
    pub async fn revoke(&self, token: &RefreshToken) -> Result<(), VendorError> {
        let request = self.issuer.request(Method::POST, "/oauth/revoke")?.json(&json!({
            "token": token.expose(),
            "token_type_hint": "refresh_token",
            "client_id": self.config.client_id,
        }));
        let answer = self.issuer.send(request).await?;
        if answer.status.is_success() { Ok(()) } else { Err(refused(&answer)) }
    }

    /// Checks an access token and reads who it is for; an id token adds the e-mail address.
    ///
    /// # Errors
    /// [`Disbelief`], which tells "not now" from "never".
    pub async fn identify(
        &self,
        access: &AccessToken,
        id: Option<&IdToken>,
        skew_millis: i64,
    ) -> Result<Identity, Disbelief> {
        let source = self.source();
        let expected = Expected {
            issuer: &source.issuer,
            audience: self.config.audience.as_deref(),
            skew_millis,
        };
        let claims = self.jwks.verify(&self.issuer, access.expose(), &expected).await?;
        let mut identity = identity(&claims, skew_millis);
        if let Some(id) = id {
            let expected = Expected { audience: Some(&source.client_id), ..expected };
            match self.jwks.verify(&self.issuer, id.expose(), &expected).await {
                Ok(claims) => {
                    let from_id = self::identity(&claims, skew_millis);
                    identity.email = from_id.email.or(identity.email);
                    identity.plan = identity.plan.or(from_id.plan);
                }
                Err(error) => {
                    tracing::warn!(%error, "the id token is not believed; the access token is")
                }
            }
        }
        Ok(identity)
    }

    /// The headers that the API wants beside a body.
    #[must_use]
    pub fn api_headers(
        &self,
        access: &AccessToken,
        account_id: Option<&str>,
        fedramp: bool,
    ) -> Vec<(&'static str, String)> {
        let mut headers = vec![
            ("Authorization", format!("Bearer {}", access.expose())),
            ("originator", self.config.originator.clone()),
        ];
        if let Some(id) = account_id {
            headers.push(("chatgpt-account-id", id.to_owned()));
        }
        if fedramp {
            headers.push(("X-OpenAI-Fedramp", "true".to_owned()));
        }
        headers
    }

    /// What the subscription offers, as the backend lists it; hidden entries are left out.
    ///
    /// # Errors
    /// [`VendorError`], `status` 401 where the token was not accepted.
    pub async fn models(
        &self,
        access: &AccessToken,
        account_id: Option<&str>,
    ) -> Result<Vec<Value>, VendorError> {
        #[derive(Deserialize)]
        struct Catalogue {
            models: Vec<Value>,
        }
        let path = format!("/codex/models?client_version={CLIENT_VERSION}");
        let mut request = self.api.request(Method::GET, &path)?.bearer_auth(access.expose());
        if let Some(id) = account_id {
            request = request.header("chatgpt-account-id", id);
        }
        let answer = self.api.send(request).await?;
        if !answer.status.is_success() {
            return Err(refused(&answer));
        }
        let catalogue: Catalogue = answer.json().ok_or_else(|| garbled(&answer))?;
        Ok(catalogue.models)
    }
}

/// The models known when this version was made, for when neither vendor nor memory can tell.
pub const BUILTIN_MODELS: [&str; 8] = [
    "gpt-6.1-sol",
    "gpt-6-astra",
    "gpt-6-sol",
    "gpt-6-luna",
    "gpt-5.6-sol",
    "gpt-5.6-terra",
    "gpt-5.6-luna",
    "gpt-5.5",
];

/// What a person accepts before the first sign-in.
pub const NOTICE: &str = "Signing in uses your own ChatGPT account. By continuing you confirm that you are a ChatGPT \
end user and that your use stays within OpenAI's Terms of Use (https://openai.com/policies/terms-of-use/). \
valetkey is not made or endorsed by OpenAI; it keeps the login on this machine and lends it to programs that run \
as you. Continuing means accepting.";

/// What an answer to a refresh means. Pure; nothing else decides whether a login is given up.
#[must_use]
pub fn classify(answer: &Answer) -> Refreshed {
    let message = answer.describe();
    let retry_after = answer.retry_after;
    if answer.status.is_success() {
        return match answer.json::<TokenAnswer>() {
            // A body without any token is no answer of a token endpoint, whatever it is.
            Some(tokens) if tokens.access_token.is_some() || tokens.refresh_token.is_some() => {
                Refreshed::Granted(grant(tokens, answer.skew_millis))
            }
            _ => Refreshed::Unknown { message: format!("HTTP {} without tokens", answer.status) },
        };
    }
    match error_code(&answer.body) {
        Some(reason) if FINAL.contains(&reason.as_str()) => Refreshed::Refused { reason, message },
        Some(reason) if NOT_PROCESSED.contains(&reason.as_str()) => {
            Refreshed::Harmless { retry_after, message }
        }
        _ => match answer.status {
            StatusCode::TOO_MANY_REQUESTS
            | StatusCode::FORBIDDEN
            | StatusCode::SERVICE_UNAVAILABLE => Refreshed::Harmless { retry_after, message },
            _ => Refreshed::Unknown { message },
        },
    }
}

/// The error code of a body in any of the shapes seen: `error.code`, `error` as a string, `code`; lower-cased.
fn error_code(body: &[u8]) -> Option<String> {
    let body: Value = serde_json::from_slice(body).ok()?;
    let error = &body["error"];
    [&error["code"], error, &body["code"]]
        .into_iter()
        .find_map(Value::as_str)
        .map(str::to_ascii_lowercase)
}

fn grant(tokens: TokenAnswer, skew_millis: i64) -> Grant {
    Grant {
        access_token: tokens.access_token,
        refresh_token: tokens.refresh_token,
        id_token: tokens.id_token,
        expires_in: tokens.expires_in,
        skew_millis,
    }
}

fn refused(answer: &Answer) -> VendorError {
    let reason = error_code(&answer.body).map(|code| redact(code.as_bytes()));
    VendorError::Refused {
        status: answer.status.as_u16(),
        reason: reason.unwrap_or_else(|| "refused".to_owned()),
        body: redact(&answer.body),
    }
}

fn garbled(answer: &Answer) -> VendorError {
    VendorError::Refused {
        status: answer.status.as_u16(),
        reason: "garbled".to_owned(),
        body: redact(&answer.body),
    }
}

/// The issuer writes the interval as a string; a number is what RFC 8628 has.
fn device_interval(value: &Value) -> Duration {
    let (default, least, most) = DEVICE_INTERVAL;
    let secs = value.as_u64().or_else(|| value.as_str().and_then(|text| text.trim().parse().ok()));
    Duration::from_secs(secs.unwrap_or(default).clamp(least, most))
}

fn identity(claims: &Claims, skew_millis: i64) -> Identity {
    let auth = claims.get(AUTH_CLAIM).cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let email = claims.get("email").and_then(text);
    Identity {
        account_id: text(&auth["chatgpt_account_id"]),
        email: email
            .or_else(|| claims.get(PROFILE_CLAIM).and_then(|profile| text(&profile["email"]))),
        plan: text(&auth["chatgpt_plan_type"]),
        fedramp: auth["chatgpt_account_is_fedramp"].as_bool().unwrap_or(false),
        expires_at: claims
            .get("exp")
            .and_then(Value::as_f64)
            .map(|secs| Timestamp((secs * 1000.0) as u64).shifted(-skew_millis)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, body: &str) -> Answer {
        Answer {
            status: StatusCode::from_u16(status).expect("a status"),
            body: body.as_bytes().to_vec(),
            retry_after: None,
            skew_millis: 0,
            headers: reqwest::header::HeaderMap::new(),
        }
    }

    fn class(status: u16, body: &str) -> &'static str {
        match classify(&answer(status, body)) {
            Refreshed::Granted(_) => "granted",
            Refreshed::Harmless { .. } => "harmless",
            Refreshed::Unknown { .. } => "unknown",
            Refreshed::Refused { .. } => "refused",
        }
    }

    #[test]
    fn outcomes_are_classed_by_code_before_status() {
        for (status, body, expected) in [
            (200, r#"{"access_token":"a"}"#, "granted"),
            (200, r#"{"refresh_token":"r"}"#, "granted"),
            (200, "{}", "unknown"),
            (200, "<html>sign in to the wifi</html>", "unknown"),
            (200, r#"{"access_token":"#, "unknown"),
            (200, r#"["at","rt","it",3600]"#, "unknown"),
            (400, r#"{"error":"invalid_grant"}"#, "refused"),
            (401, r#"{"error":{"code":"refresh_token_reused"}}"#, "refused"),
            (503, r#"{"error":{"code":"REFRESH_TOKEN_INVALIDATED"}}"#, "refused"),
            (401, r#"{"code":"token_expired"}"#, "refused"),
            (400, r#"{"error":"invalid_client"}"#, "harmless"),
            (403, "<html>blocked</html>", "harmless"),
            (429, "", "harmless"),
            (503, "", "harmless"),
            (401, "<html></html>", "unknown"),
            (401, r#"{"error":{"code":"something_new"}}"#, "unknown"),
            (302, "", "unknown"),
            (408, "", "unknown"),
            (500, "", "unknown"),
            (502, "", "unknown"),
            (504, "", "unknown"),
        ] {
            assert_eq!(class(status, body), expected, "{status} {body}");
        }
    }

    #[test]
    fn the_interval_may_be_a_string_or_a_number_and_is_bounded() {
        let secs = |value: Value| device_interval(&value).as_secs();
        assert_eq!(secs(json!("7")), 7);
        assert_eq!(secs(json!(3)), 3);
        assert_eq!(secs(json!(0)), 1);
        assert_eq!(secs(json!("1000000")), 60);
        assert_eq!(secs(Value::Null), 5);
        assert_eq!(secs(json!("soon")), 5);
    }

    #[test]
    fn the_account_is_read_from_openais_claims() {
        let claims = json!({
            "exp": 1_800_000_000,
            AUTH_CLAIM: {"chatgpt_account_id": "acc-1", "chatgpt_plan_type": "pro", "chatgpt_account_is_fedramp": true},
            PROFILE_CLAIM: {"email": "a@example.org"},
        });
        let identity = identity(claims.as_object().expect("an object"), 5_000);
        assert_eq!(identity.account_id.as_deref(), Some("acc-1"));
        assert_eq!(identity.email.as_deref(), Some("a@example.org"));
        assert!(identity.fedramp);
        assert_eq!(identity.expires_at, Some(Timestamp(1_800_000_000_000 - 5_000)));
    }
}
