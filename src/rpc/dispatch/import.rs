//! `import`: another program's login, as the command line found it.
//!
//! The contents are read once, by the room of logins, and stand in no answer, no log and no line of the trail.

use super::Surface;
use crate::login::LoginError;
use crate::rpc::error::{Kind, RpcError};
use crate::rpc::{ImportParams, Status};

pub(super) async fn import(surface: &Surface, params: ImportParams) -> Result<Status, RpcError> {
    let logins = &surface.logins;
    let named = logins.name(params.vendor.as_deref(), params.account.as_deref())?;
    let imported = logins.import(&named, params.source, &params.contents, params.replace).await;
    let status = imported.map_err(told)?;
    if logins.ledger().consented_at(&named.vendor).is_none() {
        // Who brings a login here has accepted what a sign-in asks for; the command line shows it first.
        let (ledger, now) = (logins.ledger().clone(), surface.clock.now());
        let recorded =
            tokio::task::spawn_blocking(move || ledger.record_consent(&named.vendor, now)).await;
        if !matches!(recorded, Ok(Ok(()))) {
            tracing::warn!("the acceptance could not be recorded; the next sign-in asks for it");
        }
    }
    Ok(status)
}

/// As errors of a sign-in, but for the next step.
fn told(error: LoginError) -> RpcError {
    let unbelievable = matches!(error, LoginError::Unbelievable(_));
    let error = RpcError::from(error);
    match error.kind() {
        Kind::AccountMismatch => error.hint(
            "to replace the login held: valetkey import --force; to hold both: valetkey import --account NAME",
        ),
        Kind::IssuerUnreachable | Kind::Timeout => {
            error.hint("nothing was changed, neither here nor in the other program; try again later")
        }
        Kind::InvalidParams => error.hint("nothing was changed; to sign in anew: valetkey login"),
        _ if unbelievable => error.hint(
            "nothing was changed; is it really a login of the configured issuer? to sign in anew: valetkey login",
        ),
        _ => error,
    }
}
