//! Who gets the held token, who waits for the next, and who is told why there is none.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::{Owner, flight};
use crate::clock::Timestamp;
use crate::login::state::Problem;
use crate::login::{Lending, Lent, LoginError, schedule};
use crate::store::Mark;

impl Owner {
    pub(super) fn lend(
        &mut self,
        min_ttl: Duration,
        reply: oneshot::Sender<Lending>,
        now: Timestamp,
    ) {
        // Looked at again: the refresh that this caller wants may have happened while it stood in line.
        let answer = match self.lendable(now) {
            Some(lent) if lent.suffices(min_ttl, now) => Ok(lent),
            held => match self.obstacle(now) {
                None => {
                    self.waiters.push(reply);
                    return self.ensure_flight(now, false);
                }
                Some(obstacle) => held.ok_or(obstacle),
            },
        };
        let _ = reply.send(answer);
    }

    pub(super) fn reject(
        &mut self,
        generation: u64,
        min_ttl: Duration,
        reply: oneshot::Sender<Lending>,
        now: Timestamp,
    ) {
        let current = self.held.as_ref().is_some_and(|held| held.record.generation == generation);
        if !current {
            return self.lend(min_ttl, reply, now);
        }
        if self.flight.is_some() {
            return self.waiters.push(reply);
        }
        if let Some(problem) = self.finality() {
            if let Some(held) = &mut self.held {
                held.rejected = true;
            }
            self.publish();
            let _ = reply.send(Err(LoginError::LoginRequired { problem: Some(problem) }));
        } else if self.parts.vendor.is_some()
            && !self.parts.stop.is_cancelled()
            && self.forced.take(now)
        {
            self.waiters.push(reply);
            self.ensure_flight(now, true);
        } else {
            let _ = reply.send(self.lendable(now).ok_or_else(|| self.unreachable(now)));
        }
    }

    /// Why no refresh may be begun now, if so. A flight under way is no obstacle: one waits for it.
    pub(super) fn obstacle(&self, now: Timestamp) -> Option<LoginError> {
        let finality = self.finality();
        if finality.is_some() || (self.held.is_none() && self.candidate.is_none()) {
            return Some(LoginError::LoginRequired {
                problem: finality.or_else(|| self.problem.clone()),
            });
        }
        if self.flight.is_some() {
            return None;
        }
        if self.parts.vendor.is_none() || self.parts.stop.is_cancelled() {
            return Some(LoginError::Stopping);
        }
        self.retry_at.filter(|at| *at > now).map(|_| self.unreachable(now))
    }

    pub(super) fn unreachable(&self, now: Timestamp) -> LoginError {
        LoginError::Unreachable {
            message: self
                .problem
                .as_ref()
                .map_or_else(|| "no answer yet".to_owned(), |p| p.message.clone()),
            retry_after: self.retry_at.map_or(schedule::FLOOR, |at| at.since(now)),
        }
    }

    /// Why no refresh will ever help again, if so.
    pub(super) fn finality(&self) -> Option<Problem> {
        let held = self.held.as_ref()?;
        let refusal = held.record.refused.as_ref();
        let refused = refusal.map(|r| Problem {
            reason: r.reason.clone(),
            message: r.message.clone(),
            at: r.at,
        });
        refused.or_else(|| held.foreign.clone())
    }

    pub(super) fn lendable(&self, now: Timestamp) -> Option<Arc<Lent>> {
        let held = self.held.as_ref().filter(|held| held.lendable())?;
        (held.record.expires_at > now).then(|| Arc::clone(&held.lent))
    }

    /// Begins a refresh unless one is under way.
    pub(super) fn ensure_flight(&mut self, now: Timestamp, rejected: bool) {
        let (Some(held), Some(vendor), None) = (&self.held, &self.parts.vendor, &self.flight)
        else {
            return;
        };
        let (epoch, generation) = (held.record.epoch, held.record.generation);
        let dead = held.record.expires_at <= now;
        let (name, account) = (&self.parts.vendor_name, &self.parts.account);
        tracing::info!(vendor = %name, %account, generation, dead, rejected, "refreshing");
        let mark = Mark { epoch, generation, attempt: self.unknowns, begun_at: now };
        let (slot, record) = (self.parts.slot.clone(), held.record.clone());
        self.flight = Some(flight::refresh(slot, vendor, record, mark, dead));
        self.publish();
    }

    /// Answers everybody who waited for the flight.
    pub(super) fn answer(&mut self) {
        let now = self.parts.clock.now();
        let lent = self.lendable(now);
        for waiter in std::mem::take(&mut self.waiters) {
            let answer = lent
                .clone()
                .ok_or_else(|| self.obstacle(now).unwrap_or_else(|| self.unreachable(now)));
            let _ = waiter.send(answer);
        }
    }
}
