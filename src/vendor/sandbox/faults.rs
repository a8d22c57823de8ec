//! Scripted faults: what can go wrong at an issuer, made to go wrong on demand.
//!
//! A test that mocks a failing network tests the mock. Here the work is really done (or really not),
//! tokens are really rotated, and then the answer is late, spoiled, cut short or lost.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::stats::Endpoint;

/// Faults that may wait for their request at once; a script that asks for more is in error.
const QUEUED_MOST: usize = 1000;

/// The longest time that an answer can be told to take.
pub(super) const LATENCY_MS_MOST: u64 = 3_600_000;

/// One scripted fault. Members combine: late, then dropped.
#[derive(Clone, Debug, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Fault {
    /// Whose requests it meets.
    pub(super) on: Endpoint,
    /// How many requests it meets; 0 for all until faults are cleared.
    #[serde(default = "once")]
    pub(super) times: u32,
    /// Waits before the work is done; it is not done if the client leaves meanwhile.
    #[serde(default)]
    pub(super) latency_ms: u64,
    /// Waits between the work and the answer.
    #[serde(default)]
    pub(super) answer_latency_ms: u64,
    /// Never answers, until faults are cleared or the client leaves; nothing is done before that.
    #[serde(default)]
    pub(super) stall: bool,
    /// Closes the connection without an answer.
    #[serde(default)]
    pub(super) drop: Option<Drop>,
    /// Answers with this status.
    #[serde(default)]
    pub(super) status: Option<u16>,
    /// Answers with this body: a string as it is, anything else as JSON.
    #[serde(default)]
    pub(super) body: Option<Value>,
    /// Adds these headers to the answer.
    #[serde(default)]
    pub(super) headers: BTreeMap<String, String>,
    /// With `status` or `body`: does the work nevertheless (a token is rotated, then a 502 answered).
    #[serde(default)]
    pub(super) work: bool,
    /// Closes the connection after this many bytes of the body.
    #[serde(default)]
    pub(super) truncate: Option<usize>,
    /// What is wrong with the tokens.
    #[serde(flatten)]
    pub(super) twist: Twist,
}

/// When a connection is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub(super) enum Drop {
    /// Nothing was done.
    Before,
    /// All was done.
    After,
}

/// What is wrong with the tokens of an otherwise good answer.
#[derive(Clone, Debug, Default, Deserialize, Serialize)]
pub(super) struct Twist {
    /// Signed by a key that is not published.
    #[serde(default)]
    pub(super) wrong_key: bool,
    /// The same, under the name of a key that is.
    #[serde(default)]
    pub(super) borrow_kid: bool,
    /// The `alg` that the header names: `none` (and no signature), `HS256` with the public key as secret.
    #[serde(default)]
    pub(super) algorithm: Option<String>,
    /// Issued for this account instead.
    #[serde(default)]
    pub(super) wrong_account: Option<String>,
    /// Issued in this issuer's name instead.
    #[serde(default)]
    pub(super) wrong_issuer: Option<String>,
    /// Members left out of the answer.
    #[serde(default)]
    pub(super) omit: Vec<String>,
}

fn once() -> u32 {
    1
}

impl Fault {
    /// Whether the request is carried out at all.
    pub(super) fn works(&self) -> bool {
        match self.drop {
            Some(Drop::Before) => false,
            Some(Drop::After) => true,
            None => self.work || (self.status.is_none() && self.body.is_none()),
        }
    }

    fn check(&self) -> Result<(), String> {
        if self.latency_ms > LATENCY_MS_MOST || self.answer_latency_ms > LATENCY_MS_MOST {
            return Err(format!("a latency is at most {LATENCY_MS_MOST} ms"));
        }
        if let Some(status) = self.status
            && !(200..=599).contains(&status)
        {
            return Err(format!("{status} is not a status that a server can answer with"));
        }
        for (name, value) in &self.headers {
            let good = axum::http::HeaderName::try_from(name).is_ok()
                && axum::http::HeaderValue::try_from(value).is_ok();
            if !good {
                return Err(format!("`{name}` cannot be sent as a header"));
            }
        }
        Ok(())
    }
}

/// The faults still to come, per endpoint in the order given.
#[derive(Default)]
pub(super) struct Faults {
    queue: VecDeque<Fault>,
    /// How often they were cleared: ends the stalls that began before.
    pub(super) cleared: u64,
}

impl Faults {
    pub(super) fn add(&mut self, fault: Fault) -> Result<(), String> {
        fault.check()?;
        if self.queue.len() >= QUEUED_MOST {
            return Err(format!("more than {QUEUED_MOST} faults are waiting: clear them first"));
        }
        self.queue.push_back(fault);
        Ok(())
    }

    pub(super) fn clear(&mut self) {
        self.queue.clear();
        self.cleared += 1;
    }

    pub(super) fn waiting(&self) -> &VecDeque<Fault> {
        &self.queue
    }

    /// The fault for the request that has just arrived, counted down.
    pub(super) fn take(&mut self, endpoint: Endpoint) -> Option<Fault> {
        let at = self.queue.iter().position(|fault| fault.on == endpoint)?;
        let fault = self.queue.get_mut(at)?;
        match fault.times {
            0 => Some(fault.clone()),
            1 => self.queue.remove(at),
            _ => {
                fault.times -= 1;
                Some(fault.clone())
            }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test may end at the first surprise")]
mod tests {
    use super::*;
    use serde_json::json;

    fn fault(value: Value) -> Fault {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn a_fault_meets_as_many_requests_as_it_was_told_and_then_the_next_one_has_its_turn() {
        let mut faults = Faults::default();
        faults.add(fault(json!({"on": "refresh", "times": 2, "status": 500}))).unwrap();
        faults.add(fault(json!({"on": "refresh", "times": 0, "status": 429}))).unwrap();
        let mut statuses = Vec::new();
        for _ in 0..4 {
            assert!(faults.take(Endpoint::Token).is_none());
            statuses.push(faults.take(Endpoint::Refresh).unwrap().status.unwrap());
        }
        assert_eq!(statuses, [500, 500, 429, 429]);
        faults.clear();
        assert!(faults.take(Endpoint::Refresh).is_none());
    }

    #[test]
    fn whether_the_work_is_done_follows_from_the_fault() {
        for (value, works) in [
            (json!({"on": "refresh"}), true),
            (json!({"on": "refresh", "status": 502}), false),
            (json!({"on": "refresh", "status": 502, "work": true}), true),
            (json!({"on": "refresh", "drop": "before"}), false),
            (json!({"on": "refresh", "drop": "after"}), true),
            (json!({"on": "refresh", "body": "<html>"}), false),
            (json!({"on": "refresh", "wrong_key": true}), true),
        ] {
            assert_eq!(fault(value.clone()).works(), works, "{value}");
        }
    }

    #[test]
    fn faults_that_cannot_be_staged_are_refused() {
        let mut faults = Faults::default();
        assert!(faults.add(fault(json!({"on": "jwks", "status": 99}))).is_err());
        assert!(faults.add(fault(json!({"on": "jwks", "headers": {"a b": "c"}}))).is_err());
        assert!(faults.add(fault(json!({"on": "jwks", "latency_ms": u64::MAX}))).is_err());
    }
}
