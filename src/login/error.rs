//! Why a login cannot do what was asked, as outcomes that a caller can act on.

use std::path::PathBuf;
use std::time::Duration;

use super::state::Problem;
use crate::store::StoreError;
use crate::vendor::VendorError;

/// What stands in the way. Cloned to every caller who waits for the same thing.
#[derive(Clone, Debug, thiserror::Error)]
pub enum LoginError {
    /// Nobody is signed in, or only the person can help.
    #[error("{}", problem.as_ref().map_or("nobody is signed in", |p| p.message.as_str()))]
    LoginRequired {
        /// What the issuer said, where it said something.
        problem: Option<Problem>,
    },
    /// The token is dead and no new one can be had just now.
    #[error("the issuer cannot be reached: {message}")]
    Unreachable {
        /// Why.
        message: String,
        /// When the next attempt is due.
        retry_after: Duration,
    },
    /// A bound passed.
    #[error("the {which} took too long")]
    Timeout {
        /// Which.
        which: &'static str,
    },
    /// A file could not be read or written.
    #[error("{message}")]
    Storage {
        /// Why.
        message: String,
        /// Which file.
        path: PathBuf,
    },
    /// The issuer answered for another account than the one held.
    #[error("this is the account {seen}, but the login held is for {held}")]
    AccountMismatch {
        /// Whom we hold.
        held: String,
        /// Who it was.
        seen: String,
    },
    /// No callback port is free.
    #[error("no port for the browser's way back is free (tried {})", list(ports))]
    PortInUse {
        /// What was tried.
        ports: Vec<u16>,
    },
    /// There is no login under way with this handle.
    #[error("there is no sign-in under way with this id, or it has ended")]
    NotFound,
    /// The vendor refused.
    #[error("{message}")]
    Refused {
        /// One sentence.
        message: String,
        /// The HTTP status, where there was one.
        status: Option<u16>,
        /// The error code.
        reason: String,
        /// The vendor's words, redacted.
        body: String,
    },
    /// Device codes are switched off.
    #[error("sign-in with a device code is switched off for this account")]
    DeviceLoginOff,
    /// What came back cannot be believed.
    #[error("{0}")]
    Unbelievable(String),
    /// A logout, a cancel or a later login came first.
    #[error("the sign-in was cancelled")]
    Cancelled,
    /// What the caller gave does not fit.
    #[error("{0}")]
    Invalid(String),
    /// Too many at once.
    #[error("too many sign-ins are under way")]
    Overloaded,
    /// The daemon is going down.
    #[error("the daemon is stopping")]
    Stopping,
}

fn list(ports: &[u16]) -> String {
    ports.iter().map(u16::to_string).collect::<Vec<_>>().join(" and ")
}

impl From<StoreError> for LoginError {
    fn from(error: StoreError) -> Self {
        Self::Storage { message: error.to_string(), path: error.path }
    }
}

impl From<VendorError> for LoginError {
    fn from(error: VendorError) -> Self {
        match error {
            VendorError::Unreachable { which: Some(which), .. } => Self::Timeout { which },
            VendorError::Unreachable { message, .. } => {
                Self::Unreachable { message, retry_after: Duration::from_secs(5) }
            }
            VendorError::Refused { status, reason, body } => Self::Refused {
                message: format!("the issuer refused: {reason} (HTTP {status})"),
                status: Some(status),
                reason,
                body,
            },
            VendorError::DeviceLoginOff => Self::DeviceLoginOff,
        }
    }
}
