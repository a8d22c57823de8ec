//! Signing in, out and looking, for clients that know the subscription endpoints of the OpenHands server.
//!
//! Their shapes are kept to the letter: such a client should not notice whom it talks to. A handle for
//! polling is our own, tied to one login in one epoch: after a logout it leads nowhere, whoever signs in
//! next.

mod handles;

use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Extension, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::json;

use super::segment::Segment;
use super::{Caller, Shared, body};
use crate::clock::Timestamp;
use crate::login::LoginError;
use crate::login::directory::Named;
use crate::login::state::{LoginProgress, Status};
use crate::rpc::{Kind, LoginMethod, LoginStart, LoginStarted, Models, ModelsParams, RpcError};
use crate::rpc::{LogoutParams, message};
use handles::Handle;
pub(super) use handles::Handles;

/// How long a look at the status waits for a refresh that is due.
const STATUS_WAIT: Duration = Duration::from_secs(10);

/// A token that lives no longer is due for a refresh: what those clients count as expired.
const DUE: Duration = Duration::from_secs(60);

/// The largest body of these endpoints: a handle of 43 characters has ample room in it.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// What a poll of a login is told that is not there.
const NOT_FOUND: &str = "Subscription device login not found or expired";

/// The routes.
pub(super) fn routes() -> Router<Arc<Shared>> {
    let at = |end: &str| format!("/api/llm/subscription/{{vendor}}/{end}");
    Router::new()
        .route(&at("status"), get(status))
        .route(&at("models"), get(models))
        .route(&at("device/start"), post(device_start))
        .route(&at("device/poll"), post(device_poll))
        .route(&at("logout"), post(logout))
}

type Answer = Result<Response, Refusal>;

/// What went wrong, as these endpoints say it.
struct Refusal(StatusCode, String);

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        (self.0, Json(json!({ "detail": self.1 }))).into_response()
    }
}

impl From<RpcError> for Refusal {
    fn from(error: RpcError) -> Self {
        let status = match error.kind() {
            Kind::InvalidParams | Kind::InvalidRequest => StatusCode::BAD_REQUEST,
            Kind::ConsentRequired => {
                let notice = error.data.more.get("notice").and_then(|notice| notice.as_str());
                return Self(StatusCode::FORBIDDEN, notice.unwrap_or(&error.message).to_owned());
            }
            Kind::LoginRequired => StatusCode::UNAUTHORIZED,
            Kind::LoginNotFound => return Self(StatusCode::NOT_FOUND, NOT_FOUND.to_owned()),
            Kind::Overloaded | Kind::IssuerUnreachable | Kind::Timeout => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Kind::UpstreamError => StatusCode::BAD_GATEWAY,
            _ => StatusCode::INTERNAL_SERVER_ERROR,
        };
        let hint = error.data.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
        Self(status, format!("{}{hint}", error.message))
    }
}

impl From<LoginError> for Refusal {
    fn from(error: LoginError) -> Self {
        RpcError::from(error).into()
    }
}

async fn status(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Segment(vendor): Segment,
) -> Answer {
    let named = meant(&shared, &caller, &vendor)?;
    if let Ok(login) = shared.logins.login(&named).await {
        // Whether it comes to anything, the status tells.
        let _ = tokio::time::timeout(STATUS_WAIT, login.lend(DUE)).await;
    }
    let status = shared.logins.status(&named).await?;
    Ok(shape(&vendor, Some(status).filter(|status| status.connected)))
}

async fn models(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Segment(vendor): Segment,
) -> Answer {
    let Named { vendor, account } = meant(&shared, &caller, &vendor)?;
    let params = ModelsParams { vendor: Some(vendor), account: Some(account), refresh: false };
    let listed: Models = ask(&shared, &caller, "models", &params).await?;
    let mut ids: Vec<String> = listed.models.into_iter().map(|model| model.id).collect();
    ids.sort_unstable();
    Ok(Json(json!({ "vendor": listed.vendor, "models": ids })).into_response())
}

#[derive(Default, Deserialize)]
struct DeviceStart {
    #[serde(default)]
    consent: bool,
}

async fn device_start(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Segment(vendor): Segment,
    request: Request,
) -> Answer {
    let named = meant(&shared, &caller, &vendor)?;
    let DeviceStart { consent } = match read(&shared, request).await {
        Ok(bytes) if bytes.is_empty() => DeviceStart::default(),
        Ok(bytes) => parsed(&bytes)?,
        Err(refusal) => return Ok(refusal),
    };
    let params = LoginStart {
        vendor: Some(named.vendor.clone()),
        account: Some(named.account.clone()),
        method: LoginMethod::Device,
        consent,
        replace: false,
    };
    let started: LoginStarted = ask(&shared, &caller, "login.start", &params).await?;
    let (login, _) = shared.logins.pending().poll(&started.login_id)?;
    let handle = Handle {
        vendor: named.vendor,
        login_id: started.login_id,
        epoch: login.epoch(),
        expires_at: started.expires_at,
    };
    let device_code = shared.handles.keep(handle, shared.clock.now());
    Ok(Json(json!({
        "device_code": device_code,
        "user_code": started.user_code,
        "verification_uri": started.verification_uri,
        "verification_uri_complete": started.verification_uri_complete,
        "expires_at": started.expires_at,
        "interval_seconds": started.interval,
    }))
    .into_response())
}

#[derive(Deserialize)]
struct DevicePoll {
    device_code: String,
}

/// Answers at once with what is true now, so two polls at a time are no matter.
async fn device_poll(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Segment(vendor): Segment,
    request: Request,
) -> Answer {
    let Named { vendor, .. } = meant(&shared, &caller, &vendor)?;
    let bytes = match read(&shared, request).await {
        Ok(bytes) => bytes,
        Err(refusal) => return Ok(refusal),
    };
    let DevicePoll { device_code } = parsed(&bytes)?;
    let gone = || Refusal(StatusCode::NOT_FOUND, NOT_FOUND.to_owned());
    let found = shared.handles.find(&device_code, shared.clock.now());
    let handle = found.filter(|handle| handle.vendor == vendor).ok_or_else(gone)?;
    let (login, progress) = shared.logins.pending().poll(&handle.login_id)?;
    match progress.login {
        // Signing in begins an epoch; a logout, or another sign-in since, begins the next.
        LoginProgress::Complete if login.epoch() == handle.epoch + 1 => {
            Ok(shape(&vendor, Some(login.status()).filter(|status| status.connected)))
        }
        LoginProgress::Pending if login.epoch() <= handle.epoch + 1 => Ok(shape(&vendor, None)),
        LoginProgress::Failed => {
            shared.handles.forget(&device_code);
            let why = progress
                .error
                .map_or_else(|| "the sign-in failed".to_owned(), |error| error.to_string());
            Err(Refusal(StatusCode::BAD_REQUEST, why))
        }
        _ => {
            shared.handles.forget(&device_code);
            Err(gone())
        }
    }
}

async fn logout(
    State(shared): State<Arc<Shared>>,
    Extension(caller): Extension<Caller>,
    Segment(vendor): Segment,
) -> Answer {
    let Named { vendor, account } = meant(&shared, &caller, &vendor)?;
    let params =
        LogoutParams { vendor: Some(vendor.clone()), account: Some(account), revoke: None };
    let _: serde::de::IgnoredAny = ask(&shared, &caller, "logout", &params).await?;
    Ok(shape(&vendor, None))
}

/// The four members, exactly; all but the vendor empty for a login that is not usable.
fn shape(vendor: &str, connected: Option<Status>) -> Response {
    let email = connected.as_ref().and_then(|status| status.account_email.clone());
    let ends: Option<Timestamp> = connected.as_ref().and_then(|status| status.expires_at);
    Json(json!({
        "vendor": vendor,
        "connected": connected.is_some(),
        "account_email": email,
        "expires_at": ends,
    }))
    .into_response()
}

/// Which login of this vendor a caller means: the one that its key is bound to, else the current one.
fn meant(shared: &Shared, caller: &Caller, vendor: &str) -> Result<Named, Refusal> {
    if shared.logins.vendor(vendor).is_none() {
        let names = shared.logins.vendor_names().join(", ");
        let why = format!("There is no vendor {vendor:?}; configured: {names}");
        return Err(Refusal(StatusCode::NOT_FOUND, why));
    }
    match &caller.bound {
        Some(bound) if bound.vendor == vendor => Ok(bound.clone()),
        _ => Ok(shared.logins.name(Some(vendor), None)?),
    }
}

/// Calls a method, with the line that it leaves in the trail.
async fn ask<T: DeserializeOwned>(
    shared: &Shared,
    caller: &Caller,
    method: &str,
    params: &impl serde::Serialize,
) -> Result<T, Refusal> {
    let result = shared.dispatcher.ask(&caller.peer, caller.key(), method, params).await?;
    Ok(message::named(Some(&result))?)
}

async fn read(shared: &Shared, request: Request) -> Result<axum::body::Bytes, Response> {
    let (parts, body) = request.into_parts();
    body::read(&parts.headers, body, &shared.bounds.of_at_most(MAX_BODY_BYTES)).await
}

fn parsed<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, Refusal> {
    serde_json::from_slice(bytes).map_err(|error| {
        Refusal(StatusCode::BAD_REQUEST, format!("The body does not fit: {error}"))
    })
}
