//! One login under way, and the one way in which each ends.

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Aim, browser};
use crate::clock::Timestamp;
use crate::login::LoginError;
use crate::login::state::LoginProgress;

/// How a login under way goes.
#[derive(Clone, Debug)]
pub struct Progress {
    /// In one word.
    pub login: LoginProgress,
    /// Why it failed.
    pub error: Option<LoginError>,
    /// Its tokens are being handed to the owner: too late to cancel.
    committing: bool,
}

impl Progress {
    pub(super) fn pending() -> Self {
        Self { login: LoginProgress::Pending, error: None, committing: false }
    }
}

pub(super) struct Entry {
    pub(super) id: String,
    pub(super) aim: Aim,
    pub(super) epoch: u64,
    pub(super) expires_at: Timestamp,
    pub(super) progress: watch::Sender<Progress>,
    pub(super) ended: CancellationToken,
    pub(super) browser: Option<browser::Expected>,
}

impl Entry {
    /// Ends it, unless it has ended or is past being stopped.
    pub(super) fn end(&self, login: LoginProgress, error: Option<LoginError>) -> bool {
        let ended = self.progress.send_if_modified(|progress| {
            let open = progress.login == LoginProgress::Pending && !progress.committing;
            if open {
                *progress = Progress { login, error, committing: false };
            }
            open
        });
        if ended {
            self.ended.cancel();
        }
        ended
    }

    /// Claims the last step: from here on only its outcome ends it.
    pub(super) fn commit(&self) -> bool {
        let mut claimed = false;
        self.progress.send_if_modified(|progress| {
            claimed = progress.login == LoginProgress::Pending && !progress.committing;
            progress.committing |= claimed;
            false
        });
        claimed
    }

    /// Ends it with the outcome of its last step.
    pub(super) fn end_committed(&self, login: LoginProgress, error: Option<LoginError>) {
        self.progress.send_if_modified(|progress| {
            progress.committing = false;
            false
        });
        self.end(login, error);
    }
}
