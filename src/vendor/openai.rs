//! OpenAI's dialect: the ChatGPT issuer here, the Codex backend in [`api`]. Nothing else knows either.
//!
//! Where it departs from the RFCs: the refresh is JSON and its members are optional, the device flow is
//! OpenAI's own (the issuer makes the PKCE pair), and errors come nested. Facts come from the source of
//! <https://github.com/openai/codex> (`codex-rs/login`), the only documentation there is.

pub mod api;
mod claims;
mod refresh;

use std::time::Duration;

use reqwest::{Method, StatusCode};
use serde::Deserialize;
use serde_json::{Value, json};

use super::jwks::{Disbelief, Expected, Jwks};
use super::pkce::Pkce;
use super::redact::redact;
use super::wire::{Answer, NoAnswer, Wire, join};
use super::{Device, DevicePoll, Grant, Identity, Origin, Refreshed, VendorError};
use crate::clock::Clock;
use crate::config;
use crate::secret::{AccessToken, IdToken, RefreshToken, Secret};
pub use refresh::classify;
use refresh::{TokenAnswer, error_code, grant};

/// Seconds between device polls where the issuer names none, and the span believed (RFC 8628 section 3.5).
const DEVICE_INTERVAL: (u64, u64, u64) = (5, 1, 60);
/// The `client_version` without which the backend lists no models (juspay/neurolink issue 1453).
pub const CLIENT_VERSION: &str = "0.169.0";

/// One configured vendor of this dialect.
#[derive(Debug)]
pub struct OpenAi {
    config: config::Vendor,
    issuer: Wire,
    api: Wire,
    jwks: Jwks,
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

    /// What a person accepts before the first sign-in.
    #[must_use]
    pub fn notice(&self) -> String {
        match self.config.kind {
            config::VendorKind::OpenAi => NOTICE.to_owned(),
            config::VendorKind::Sandbox => format!("{SANDBOX_NOTICE} {NOTICE}"),
        }
    }

    /// What a grant from here is bound to.
    #[must_use]
    pub fn origin(&self) -> Origin {
        Origin {
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
        self.read_identity(access, id, skew_millis, false).await
    }

    /// As [`Self::identify`], for tokens that may have ended: whose login it is can be told from them,
    /// lent they cannot be.
    ///
    /// # Errors
    /// [`Disbelief`], but never because a token has ended.
    pub async fn recognise(
        &self,
        access: &AccessToken,
        id: Option<&IdToken>,
    ) -> Result<Identity, Disbelief> {
        self.read_identity(access, id, 0, true).await
    }

    async fn read_identity(
        &self,
        access: &AccessToken,
        id: Option<&IdToken>,
        skew_millis: i64,
        may_have_ended: bool,
    ) -> Result<Identity, Disbelief> {
        let origin = self.origin();
        let expected = Expected {
            issuer: &origin.issuer,
            audience: self.config.audience.as_deref(),
            skew_millis,
            may_have_ended,
        };
        let claims = self.jwks.verify(&self.issuer, access.expose(), &expected).await?;
        let mut identity = claims::identity(&claims, skew_millis);
        if let Some(id) = id {
            let expected = Expected { audience: Some(&origin.client_id), ..expected };
            match self.jwks.verify(&self.issuer, id.expose(), &expected).await {
                Ok(claims) => {
                    let from_id = claims::identity(&claims, skew_millis);
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

/// What stands before it at the stand-in vendor.
const SANDBOX_NOTICE: &str = "This is the sandbox, a stand-in on this machine: no real account is used and nothing \
leaves it. With the real vendor you would be accepting the following.";

/// What a person accepts before the first sign-in.
const NOTICE: &str = "Signing in uses your own ChatGPT account. By continuing you confirm that you are a ChatGPT \
end user and that your use stays within OpenAI's Terms of Use (https://openai.com/policies/terms-of-use/). \
valetkey is not made or endorsed by OpenAI; it keeps the login on this machine and lends it to programs that run \
as you. Continuing means accepting.";

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

#[cfg(test)]
mod tests {
    use super::*;

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
}
