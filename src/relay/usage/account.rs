//! What is remembered of one account's limits, and when the vendor is asked for them.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::Value;

use super::super::flight::SingleFlight;
use super::super::keeping::within;
use super::Usage;
use super::limits::{self, Limit, Told};
use crate::clock::{Clock, Timestamp};
use crate::login::{Login, LoginError};
use crate::secret::random_unit;
use crate::vendor::{OpenAi, VendorError};

/// How long what was told is passed on without asking again, give or take a fifth, so that the daemons of
/// many people do not ask in step.
const FRESH: Duration = Duration::from_secs(300);
/// The least time between two questions, whatever came of the first.
const QUIET: Duration = Duration::from_secs(60);
/// How long the token used for asking must still live.
const MIN_TTL: Duration = Duration::from_secs(60);
/// What is remembered of one account.
#[derive(Debug, Default)]
pub(super) struct Account {
    seen: Mutex<Seen>,
    pub(super) flight: SingleFlight<()>,
}

#[derive(Debug, Default)]
pub(super) struct Seen {
    /// The vendor's id of the account that was told of last.
    whose: Option<String>,
    plan: Option<String>,
    limits: Vec<Limit>,
    at: Option<Timestamp>,
    /// How long it is passed on: [`FRESH`], jittered.
    fresh: Duration,
    asked_at: Option<Timestamp>,
    /// What came of asking, where that was the last thing heard.
    pub(super) failure: Option<LoginError>,
}

impl Account {
    pub(super) async fn ask(&self, vendor: &OpenAi, login: &Login, clock: &Clock) {
        let page = question(vendor, login).await;
        let (now, mut seen) = (clock.now(), self.seen());
        match page {
            Ok(page) => {
                let page: Value = serde_json::from_slice(&page).unwrap_or_default();
                // The page tells all there is: a limit that it does not mention is gone.
                seen.limits.clear();
                seen.learn(limits::from_page(&page, now), now);
                seen.asked_at = Some(now);
            }
            Err(error) => {
                tracing::warn!(%error, "the vendor could not be asked for the limits");
                // Who is not signed in may be a moment later: then it is worth asking at once.
                if !matches!(error, LoginError::LoginRequired { .. }) {
                    seen.asked_at = Some(now);
                }
                seen.failure = Some(error);
            }
        }
    }

    pub(super) fn seen(&self) -> MutexGuard<'_, Seen> {
        self.seen.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Seen {
    /// Forgets what another person of the same name was told.
    pub(super) fn belongs_to(&mut self, account_id: Option<String>) {
        if account_id.is_some() && account_id != self.whose {
            if self.whose.is_some() {
                *self = Self::default();
            }
            self.whose = account_id;
        }
    }

    /// Takes in what was told: the windows of each limit that is mentioned.
    pub(super) fn learn(&mut self, told: Told, now: Timestamp) {
        for limit in told.limits {
            match self.limits.iter().position(|known| known.name == limit.name) {
                Some(at) => self.limits[at] = limit,
                None if self.limits.len() < limits::MOST_WINDOWS => self.limits.push(limit),
                None => {}
            }
        }
        self.failure = None;
        self.plan = told.plan.or_else(|| self.plan.take());
        (self.at, self.fresh) = (Some(now), FRESH.mul_f64(0.8 + 0.4 * random_unit()));
    }

    /// Whether the vendor should be asked: what is known is old, or a window has begun anew since.
    pub(super) fn is_due(&self, now: Timestamp) -> bool {
        if self.asked_at.is_some_and(|at| within(now, at, QUIET)) {
            return false;
        }
        let Some(at) = self.at else { return true };
        let windows = self.limits.iter().flat_map(|limit| &limit.windows);
        !within(now, at, self.fresh)
            || windows.filter_map(|window| window.resets_at).any(|reset| at < reset && reset <= now)
    }

    pub(super) fn told(&self) -> Usage {
        let mut limits: Vec<&Limit> = self.limits.iter().collect();
        limits.sort_by_key(|limit| limit.name.clone());
        let of = |limit: &&Limit| {
            let mut windows = limit.windows.clone();
            windows.sort_by_key(|window| window.window_minutes.unwrap_or(u64::MAX));
            windows
        };
        Usage {
            plan: self.plan.clone(),
            windows: limits.iter().flat_map(of).collect(),
            observed_at: self.at,
            clients: Vec::new(),
        }
    }
}

/// Whether the vendor answered that it does not tell, which another try will not change.
pub(super) fn keeps_to_itself(error: &LoginError) -> bool {
    matches!(error, LoginError::Refused { status: Some(403 | 404), .. })
}

/// Asks the vendor; a token that it no longer accepts is renewed once.
async fn question(vendor: &OpenAi, login: &Login) -> Result<Vec<u8>, LoginError> {
    let lent = login.lend(MIN_TTL).await?;
    match vendor.usage(&lent.headers).await {
        Err(VendorError::Refused { status: 401, .. }) => {
            let lent = login.reject(lent.generation, MIN_TTL).await?;
            Ok(vendor.usage(&lent.headers).await?)
        }
        page => Ok(page?),
    }
}
