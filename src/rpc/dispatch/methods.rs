//! What each method does.

use std::time::Duration;

use serde::Serialize;
use serde_json::value::RawValue;

use super::{Loopback, ReloadRequest, Surface, keys, lend, page, write_token};
use crate::login::directory::Named;
use crate::login::pending::{Begun, Progress, Way};
use crate::login::{Login, LoginError};
use crate::rpc::error::{Kind, RpcError};
use crate::rpc::message::named;
use crate::rpc::{
    Accounts, AccountsList, AccountsUse, AuditEntries, AuditTail, Empty, Info, LoggedOut,
    LoginComplete, LoginId, LoginMethod, LoginPoll, LoginStart, LoginStarted, LoginWait,
    LogoutParams, Models, ModelsParams, PROTOCOL, Status, Usage, Which,
};

/// Entries of the audit trail told at once, unless asked for fewer or more, and at most.
const TAIL: (usize, usize) = (100, 1000);

/// A result, and the generation of the token in it if there is one.
pub(super) type Called = Result<(Box<RawValue>, Option<u64>), RpcError>;

/// Runs a method to its end.
pub(super) async fn call(surface: &Surface, method: &str, params: Option<&RawValue>) -> Called {
    match method {
        "token" => return token(surface, params).await,
        "info" => done(info(surface, named(params)?)),
        "status" => done(status(surface, named(params)?).await?),
        "login.start" => done(login_start(surface, named(params)?).await?),
        "login.poll" => {
            let LoginId { login_id } = named(params)?;
            done(polled(surface.logins.pending().poll(&login_id)?))
        }
        "login.wait" => done(login_wait(surface, named(params)?).await?),
        "login.complete" => {
            let LoginComplete { login_id, redirect_url } = named(params)?;
            done(polled(surface.logins.pending().complete(&login_id, &redirect_url).await?))
        }
        "login.cancel" => {
            let LoginId { login_id } = named(params)?;
            done(polled(surface.logins.pending().cancel(&login_id)?))
        }
        "logout" => done(logout(surface, named(params)?).await?),
        "accounts.list" => done(accounts(surface, named(params)?).await?),
        "accounts.use" => {
            let AccountsUse { vendor, account } = named(params)?;
            let named = surface.logins.name(vendor.as_deref(), Some(&account))?;
            done(surface.logins.use_account(&named).await?)
        }
        "models" => done(models(surface, named(params)?).await?),
        "usage" => done(usage(surface, named(params)?).await?),
        "lease" => done(keys::lease(surface, named(params)?)?),
        "keys.add" => done(keys::add(surface, named(params)?).await?),
        "keys.list" => done(keys::list(surface, named(params)?)),
        "keys.revoke" => done(keys::revoke(surface, named(params)?).await?),
        "page.open" => done(page::open(surface, named(params)?).await?),
        "audit.tail" => done(audit_tail(surface, named(params)?).await?),
        "reload" => {
            let Empty {} = named(params)?;
            reload(surface).await?;
            done(Empty {})
        }
        "shutdown" => {
            let Empty {} = named(params)?;
            tracing::info!("stopping, as asked by a client");
            surface.stop.cancel();
            done(Empty {})
        }
        _ => Err(RpcError::new(Kind::MethodNotFound, format!("there is no method {method:?}"))),
    }
    .map(|result| (result, None))
}

/// The name of an error's kind, as it stands in answers.
pub(super) fn kind_name(error: &RpcError) -> String {
    let value = serde_json::to_value(error.kind()).unwrap_or_default();
    value.as_str().unwrap_or("internal_error").to_owned()
}

/// Whom parameters mean, for the audit trail; nothing where they name nobody that can be meant.
pub(super) fn meant(surface: &Surface, params: Option<&RawValue>) -> Option<Named> {
    #[derive(Default, serde::Deserialize)]
    struct Names {
        vendor: Option<String>,
        account: Option<String>,
    }
    let names: Names =
        params.and_then(|params| serde_json::from_str(params.get()).ok()).unwrap_or_default();
    surface.logins.name(names.vendor.as_deref(), names.account.as_deref()).ok()
}

pub(super) fn done(result: impl Serialize) -> Result<Box<RawValue>, RpcError> {
    serde_json::value::to_raw_value(&result).map_err(|error| {
        RpcError::new(Kind::InternalError, format!("the result could not be written: {error}"))
    })
}

async fn token(surface: &Surface, params: Option<&RawValue>) -> Called {
    let lent = lend(surface, &named(params)?).await?;
    surface.meter.lent();
    let mut bytes = Vec::new();
    write_token(&lent, surface.clock.now(), &mut bytes);
    let text = String::from_utf8(bytes)
        .map_err(|_| RpcError::new(Kind::InternalError, "the token is not text"))?;
    let raw = RawValue::from_string(text)
        .map_err(|error| RpcError::new(Kind::InternalError, error.to_string()))?;
    Ok((raw, Some(lent.generation)))
}

fn info(surface: &Surface, _: Empty) -> Info {
    let about = &surface.about;
    Info {
        name: "valetkey".to_owned(),
        version: env!("CARGO_PKG_VERSION").to_owned(),
        protocol: PROTOCOL,
        pid: std::process::id(),
        started_at: about.started_at,
        uptime: surface.clock.now().since(about.started_at).as_secs(),
        socket: about.socket.clone(),
        http: match surface.loopback() {
            Loopback::Open(address) => Some(address.to_string()),
            Loopback::Closed | Loopback::Unavailable(_) => None,
        },
        vendors: surface.logins.vendor_names(),
    }
}

async fn status(surface: &Surface, which: Which) -> Result<Status, RpcError> {
    let named = surface.logins.name(which.vendor.as_deref(), which.account.as_deref())?;
    Ok(surface.logins.status(&named).await?)
}

async fn login_start(surface: &Surface, params: LoginStart) -> Result<LoginStarted, RpcError> {
    let logins = &surface.logins;
    let named = logins.name(params.vendor.as_deref(), params.account.as_deref())?;
    match (params.consent, logins.ledger().consented_at(&named.vendor)) {
        (_, Some(_)) => {}
        (false, None) => {
            return Err(RpcError::new(
                Kind::ConsentRequired,
                "signing in needs the person's consent",
            )
            .hint("show the notice; once accepted, call again with consent: true")
            .with("notice", logins.notice(&named)));
        }
        (true, None) => {
            let (ledger, vendor, now) =
                (logins.ledger().clone(), named.vendor.clone(), surface.clock.now());
            let recorded =
                tokio::task::spawn_blocking(move || ledger.record_consent(&vendor, now)).await;
            recorded.map_err(|_| LoginError::Stopping)?.map_err(LoginError::from)?;
        }
    }
    let aim = logins.aim(&named, params.replace).await?;
    let Begun { login_id, expires_at, interval, way } = match params.method {
        LoginMethod::Browser => logins.pending().begin_browser(aim).await?,
        LoginMethod::Device => logins.pending().begin_device(aim).await?,
    };
    let mut started = LoginStarted {
        login_id,
        method: params.method,
        expires_at,
        interval: interval.as_secs(),
        authorize_url: None,
        user_code: None,
        verification_uri: None,
        verification_uri_complete: None,
    };
    match way {
        Way::Browser { authorize_url } => started.authorize_url = Some(authorize_url),
        Way::Device { user_code, verification_uri, verification_uri_complete } => {
            started.user_code = Some(user_code);
            started.verification_uri = Some(verification_uri);
            started.verification_uri_complete = Some(verification_uri_complete);
        }
    }
    Ok(started)
}

async fn login_wait(surface: &Surface, params: LoginWait) -> Result<LoginPoll, RpcError> {
    let pending = surface.logins.pending();
    let timeout = params.timeout.map(Duration::from_secs);
    tokio::select! {
        waited = pending.wait(&params.login_id, timeout) => Ok(polled(waited?)),
        // Nobody should have to wait for a person while the daemon goes down.
        () = surface.stop.cancelled() => Ok(polled(pending.poll(&params.login_id)?)),
    }
}

fn polled((login, progress): (Login, Progress)) -> LoginPoll {
    LoginPoll {
        status: login.status(),
        login: progress.login,
        error: progress.error.map(RpcError::from),
    }
}

async fn logout(surface: &Surface, params: LogoutParams) -> Result<LoggedOut, RpcError> {
    let named = surface.logins.name(params.vendor.as_deref(), params.account.as_deref())?;
    let revoked = surface.logins.logout(&named, params.revoke.unwrap_or(true)).await?;
    surface.relay.forget(&named).await;
    Ok(LoggedOut { status: surface.logins.status(&named).await?, revoked })
}

async fn accounts(surface: &Surface, params: AccountsList) -> Result<Accounts, RpcError> {
    let named = surface.logins.name(params.vendor.as_deref(), None)?;
    Ok(Accounts { accounts: surface.logins.accounts(&named).await? })
}

async fn models(surface: &Surface, params: ModelsParams) -> Result<Models, RpcError> {
    let named = surface.logins.name(params.vendor.as_deref(), params.account.as_deref())?;
    let listed =
        surface.relay.catalogue().models(&surface.logins, &surface.clock, &named, params.refresh);
    let (models, source) = listed.await?;
    Ok(Models { vendor: named.vendor, models, source })
}

async fn usage(surface: &Surface, which: Which) -> Result<Usage, RpcError> {
    let named = surface.logins.name(which.vendor.as_deref(), which.account.as_deref())?;
    Ok(surface.relay.uses().usage(&surface.logins, &surface.clock, &named).await?)
}

async fn audit_tail(surface: &Surface, params: AuditTail) -> Result<AuditEntries, RpcError> {
    let (usual, most) = TAIL;
    let entries = surface.audit.tail(params.limit.unwrap_or(usual).min(most)).await;
    let failed = |error| {
        RpcError::new(Kind::StorageError, format!("the audit trail could not be read: {error}"))
    };
    Ok(AuditEntries { entries: entries.map_err(failed)? })
}

async fn reload(surface: &Surface) -> Result<(), RpcError> {
    let (reply, answer): (ReloadRequest, _) = tokio::sync::oneshot::channel();
    let sent = surface.reload.send(reply).await.is_ok();
    match answer.await {
        Ok(Ok(())) if sent => Ok(()),
        Ok(Err(message)) => Err(RpcError::new(Kind::InvalidParams, message)
            .hint("the old configuration stays in force")),
        _ => Err(LoginError::Stopping.into()),
    }
}
