//! Other programs of this person that hold a login of their own: where they keep it, and whose it is.
//!
//! Read to be adopted, and to warn: a login that two programs own is sooner or later lost to both.

use std::path::PathBuf;

use crate::rpc::ImportSource;

/// A login that another program holds. Never the tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Other {
    /// Whose.
    pub(crate) source: ImportSource,
    /// The file.
    pub(crate) path: PathBuf,
    /// The vendor's id of the account, as far as the file says.
    pub(crate) account_id: Option<String>,
    /// The e-mail address, as far as the file says. Unverified.
    pub(crate) email: Option<String>,
}

/// Every login that another program of this person holds. Files that are missing, or hold no login, are
/// none; one that cannot be read or understood is none either.
pub(crate) fn find() -> Vec<Other> {
    Vec::new()
}
