//! What everybody may see of the owner's facts, and when it has to look up by itself.

use std::sync::Arc;

use super::{Held, Owner, Parts};
use crate::clock::Timestamp;
use crate::login::state::{Facts, Status};
use crate::login::{Published, schedule};

impl Owner {
    /// Sets when the held token is due.
    pub(super) fn plan(&mut self) {
        let jitter = crate::secret::random_unit();
        let lead = self.parts.policy.lead;
        self.refresh_at = self.held.as_ref().map(|Held { record, .. }| {
            if record.last_refresh_at.is_none() {
                // Adopted, and the run that adopted it ended before it was renewed: it has two owners.
                return record.issued_at;
            }
            schedule::refresh_at(record.issued_at, record.expires_at, lead, jitter)
        });
    }

    /// When something is to be done without being asked.
    pub(super) fn wake_at(&self, stopping: bool) -> Option<Timestamp> {
        let now = self.parts.clock.now();
        let quiet = self.quiet(stopping);
        let due = self.refresh_at.filter(|_| !quiet).map(|at| at.max(self.retry_at.unwrap_or(at)));
        let verify = self.verify_at.filter(|_| !quiet);
        // A token's death changes what is shown.
        let death = self.held.as_ref().map(|held| held.record.expires_at).filter(|at| *at > now);
        [due, verify, self.save_at, death].into_iter().flatten().min()
    }

    /// Whether the issuer is to be left alone until something else happens.
    pub(super) fn quiet(&self, stopping: bool) -> bool {
        stopping
            || self.flight.is_some()
            || self.parts.vendor.is_none()
            || self.finality().is_some()
    }

    pub(super) fn publish(&self) {
        let held = self.held.as_ref();
        let shown = held.map(|held| &held.record).or(self.candidate.as_ref());
        let lendable = held.is_some_and(Held::lendable);
        let finality = self.finality();
        let asking = self
            .flight
            .as_ref()
            .is_some_and(|flight| flight.is_refresh() && flight.epoch == self.epoch);
        let facts = Facts {
            expires_at: shown.map(|record| record.expires_at),
            lendable,
            refused: finality.is_some(),
            refreshing: asking || self.candidate.is_some(),
            troubled: self.problem.is_some(),
        };
        let plan = self.refresh_at.map(|at| at.max(self.retry_at.unwrap_or(at)));
        let status = Status {
            vendor: self.parts.vendor_name.clone(),
            account: self.parts.account.clone(),
            connected: facts.connected(self.parts.clock.now()),
            state: facts.state(),
            account_email: shown.and_then(|record| record.email.clone()),
            account_id: shown.and_then(|record| record.account_id.clone()),
            plan: shown.and_then(|record| record.plan.clone()),
            expires_at: facts.expires_at,
            refresh_at: plan.filter(|_| finality.is_none()),
            last_refresh_at: shown.and_then(|record| record.last_refresh_at),
            last_error: finality.or_else(|| self.problem.clone()),
        };
        let lent = held.filter(|_| lendable).map(|held| Arc::clone(&held.lent));
        self.published.send_if_modified(|current| {
            let same = current.status == status
                && current.epoch == self.epoch
                && current.lent.as_ref().map(Arc::as_ptr) == lent.as_ref().map(Arc::as_ptr);
            if !same {
                *current = Arc::new(Published { lent, epoch: self.epoch, facts, status });
            }
            !same
        });
    }
}

impl Published {
    pub(super) fn nobody(parts: &Parts, epoch: u64) -> Self {
        let facts = Facts::default();
        let status = Status::signed_out(&parts.vendor_name, &parts.account);
        Self { lent: None, epoch, facts, status }
    }
}
