//! What is true of each login: one owner task holds the credential, everybody else holds a handle.
//!
//! Rotating refresh tokens work once. Whoever lets two tasks hold one will sooner or later show it twice,
//! and the issuer then ends the whole login. So [`owner`] is the only code that ever holds a refresh token
//! after sign-in, and the only writer of its file; a [`Login`] reads what the owner last published,
//! without waiting and without a task switch, and asks the owner only when that does not suffice.

pub mod directory;
pub mod error;
pub mod imported;
pub mod owner;
pub mod pending;
pub mod schedule;
pub mod state;

use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio::sync::{mpsc, oneshot, watch};

use crate::clock::{Clock, Timestamp};
use crate::secret::{AccessToken, RefreshToken};
use crate::vendor::Identity;

pub use directory::Logins;
pub use error::LoginError;
use owner::{Granted, Message};
use state::{Facts, Status};

/// How long a caller waits for a refresh at most: a little longer than a request to the issuer and the
/// check of its answer may take.
const LEND_WAIT: Duration = Duration::from_secs(45);

/// An access token, as it is lent. Shared by everybody who borrows it.
pub struct Lent {
    /// The vendor's name in the configuration.
    pub vendor: String,
    /// The account's name at that vendor.
    pub account: String,
    /// Grows with every refresh and login.
    pub generation: u64,
    /// The token.
    pub access_token: AccessToken,
    /// When it was received.
    pub issued_at: Timestamp,
    /// When it ends.
    pub expires_at: Timestamp,
    /// The vendor's id of the account.
    pub account_id: Option<String>,
    /// The headers that the vendor's API wants.
    pub headers: Vec<(&'static str, String)>,
    encoded: OnceLock<Box<[u8]>>,
}

/// Without the headers and the answer: both hold the token in the clear.
impl fmt::Debug for Lent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Lent")
            .field("vendor", &self.vendor)
            .field("account", &self.account)
            .field("generation", &self.generation)
            .field("expires_at", &self.expires_at)
            .finish_non_exhaustive()
    }
}

impl Lent {
    /// Whether it lives long enough for a caller who wants `min_ttl`.
    #[must_use]
    pub fn suffices(&self, min_ttl: Duration, now: Timestamp) -> bool {
        let left = self.expires_at.since(now);
        !left.is_zero() && left >= schedule::due_ttl(min_ttl, self.issued_at, self.expires_at)
    }

    /// The bytes that a surface answers with, made once a generation.
    pub fn encoded(&self, encode: impl FnOnce(&Self) -> Box<[u8]>) -> &[u8] {
        self.encoded.get_or_init(|| encode(self))
    }
}

/// What the owner last told everybody.
#[derive(Clone, Debug)]
pub struct Published {
    /// The token, where one may be handed out.
    pub lent: Option<Arc<Lent>>,
    /// The epoch of the login: what was begun in an earlier one comes too late.
    pub epoch: u64,
    facts: Facts,
    status: Status,
}

impl Published {
    /// The status as of `now`: a token dies without anybody telling.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> Status {
        Status { connected: self.facts.connected(now), ..self.status.clone() }
    }
}

/// A handle on one login. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Login {
    published: watch::Receiver<Arc<Published>>,
    mailbox: mpsc::Sender<Message>,
    clock: Clock,
}

impl Login {
    /// The token, if the one held lives long enough. Never waits.
    #[must_use]
    pub fn try_lend(&self, min_ttl: Duration) -> Option<Arc<Lent>> {
        let published = self.published.borrow();
        let lent = published.lent.as_ref()?;
        lent.suffices(min_ttl, self.clock.now()).then(|| Arc::clone(lent))
    }

    /// The token; waits for the one refresh in flight where the one held does not live long enough.
    ///
    /// # Errors
    /// [`LoginError`], where no living token can be had.
    pub async fn lend(&self, min_ttl: Duration) -> Result<Arc<Lent>, LoginError> {
        match self.try_lend(min_ttl) {
            Some(lent) => Ok(lent),
            None => self.ask(|reply| Message::Lend { min_ttl, reply }).await,
        }
    }

    /// As [`Self::lend`], by a caller whom the API answered 401 with the token of this generation.
    ///
    /// # Errors
    /// As [`Self::lend`].
    pub async fn reject(
        &self,
        generation: u64,
        min_ttl: Duration,
    ) -> Result<Arc<Lent>, LoginError> {
        let current = self.published.borrow().lent.as_ref().map(|lent| lent.generation);
        if current != Some(generation) {
            return self.lend(min_ttl).await;
        }
        self.ask(|reply| Message::Reject { generation, min_ttl, reply }).await
    }

    /// As [`Self::reject`], by a caller who names the token itself.
    ///
    /// # Errors
    /// As [`Self::lend`].
    pub async fn reject_token(
        &self,
        token: &str,
        min_ttl: Duration,
    ) -> Result<Arc<Lent>, LoginError> {
        let current = self.published.borrow().lent.clone();
        match current.filter(|lent| lent.access_token.matches(token)) {
            Some(lent) => self.reject(lent.generation, min_ttl).await,
            None => self.lend(min_ttl).await,
        }
    }

    /// What may be told of it.
    #[must_use]
    pub fn status(&self) -> Status {
        self.published.borrow().status(self.clock.now())
    }

    /// The epoch that a login begun now belongs to.
    #[must_use]
    pub fn epoch(&self) -> u64 {
        self.published.borrow().epoch
    }

    /// Every change, as it happens.
    #[must_use]
    pub fn watch(&self) -> watch::Receiver<Arc<Published>> {
        self.published.clone()
    }

    /// Whether its owner still answers: what a watchdog wants to know.
    pub async fn is_alive(&self) -> bool {
        self.tell(Message::Ping).await.is_some()
    }

    async fn ask(&self, message: impl FnOnce(oneshot::Sender<Lending>) -> Message) -> Lending {
        let answered = tokio::time::timeout(LEND_WAIT, self.tell(message)).await;
        match answered {
            Ok(answer) => answer.unwrap_or(Err(LoginError::Stopping)),
            // The bound is for the refresh; a token that still lives is better than none.
            Err(_) => self.try_lend(Duration::ZERO).ok_or(LoginError::Timeout { which: "refresh" }),
        }
    }

    /// Puts a message into the mailbox and waits for its answer; nothing where the owner is gone.
    async fn tell<T>(&self, message: impl FnOnce(oneshot::Sender<T>) -> Message) -> Option<T> {
        let (reply, answer) = oneshot::channel();
        self.mailbox.send(message(reply)).await.ok()?;
        answer.await.ok()
    }

    async fn adopt(&self, granted: Granted) -> Result<(), LoginError> {
        let told = self.tell(|reply| Message::Adopt { granted: Box::new(granted), reply }).await;
        told.unwrap_or(Err(LoginError::Stopping))
    }

    /// Hands over what another program holds; answered once it is renewed, or given back untouched.
    async fn import(&self, granted: Granted) -> Result<(), LoginError> {
        let told = self.tell(|reply| Message::Import { granted: Box::new(granted), reply }).await;
        told.unwrap_or(Err(LoginError::Stopping))
    }

    async fn logout(&self, revoke: bool) -> Result<bool, LoginError> {
        self.tell(|reply| Message::Logout { revoke, reply })
            .await
            .unwrap_or(Err(LoginError::Stopping))
    }
}

type Lending = Result<Arc<Lent>, LoginError>;
