//! When to refresh, and how long to wait after a failure. Pure: times in, times out.
//!
//! The loop that acts on these answers takes no decision of its own, so that a clock set back, a token
//! that is dead on arrival or an issuer that hands out two-second tokens are cases of these functions.

use std::time::Duration;

use crate::clock::Timestamp;
use crate::config::Lead;

/// No refresh sooner than this after the last: an issuer of tokens that are dead on arrival must not
/// be asked in a loop.
pub const FLOOR: Duration = Duration::from_secs(1);
/// The most that a lead given as a share amounts to: a day is enough for any outage worth planning for.
const SHARE_CAP: Duration = Duration::from_secs(24 * 3600);
/// Jitter takes at most this share of the lead, and only ever makes a refresh earlier.
const JITTER_SHARE: f64 = 0.1;
/// How often a refresh token that may be used up is shown again while its access token lives.
pub const UNKNOWN_ATTEMPTS: u32 = 6;

/// When a token received at `issued` that ends at `expires` is to be renewed. `jitter` is between 0 and 1.
#[must_use]
pub fn refresh_at(issued: Timestamp, expires: Timestamp, lead: Lead, jitter: f64) -> Timestamp {
    let life = expires.since(issued);
    let wanted = match lead {
        Lead::Share(share) => life.mul_f64(share.clamp(0.0, 0.5)).min(SHARE_CAP),
        Lead::Time(time) => time,
    };
    let lead = wanted + wanted.mul_f64(JITTER_SHARE * jitter.clamp(0.0, 1.0));
    expires.minus(lead.min(life / 2)).max(issued.plus(FLOOR))
}

/// How long to wait after the `failures`-th failure in a row: doubling from the first pause to the
/// longest, then up to a quarter less by `jitter`, so that many machines do not come back at once.
#[must_use]
pub fn backoff(failures: u32, (first, longest): (Duration, Duration), jitter: f64) -> Duration {
    let doubled =
        first.saturating_mul(1_u32.checked_shl(failures.saturating_sub(1)).unwrap_or(u32::MAX));
    let pause = doubled.clamp(first, longest.max(first));
    pause.mul_f64(1.0 - 0.25 * jitter.clamp(0.0, 1.0)).max(FLOOR)
}

/// When to show a refresh token again that may be used up, after `attempts` unknown outcomes: when half
/// of what is left of the access token's life has passed, after the last such attempt at its end, and
/// at once where it has ended: then there is nothing left to lose.
#[must_use]
pub fn after_unknown(now: Timestamp, expires: Timestamp, attempts: u32) -> Timestamp {
    let left = expires.since(now);
    match attempts {
        _ if left.is_zero() => now,
        UNKNOWN_ATTEMPTS.. => expires,
        _ => now.plus((left / 2).max(FLOOR)),
    }
}

/// What a caller who asks for `min_ttl` may insist on: at most half the token's life, so that nobody
/// can make the daemon refresh in a loop.
#[must_use]
pub fn due_ttl(min_ttl: Duration, issued: Timestamp, expires: Timestamp) -> Duration {
    min_ttl.min(expires.since(issued) / 2)
}

/// Limits how often callers may force a refresh: a burst, then one at a time.
#[derive(Debug)]
pub struct Bucket {
    tokens: u32,
    filled_at: Timestamp,
}

impl Bucket {
    /// Forced refreshes at once.
    pub const BURST: u32 = 5;
    /// Then one in this time.
    pub const REFILL: Duration = Duration::from_secs(60);

    /// A full bucket.
    #[must_use]
    pub fn new(now: Timestamp) -> Self {
        Self { tokens: Self::BURST, filled_at: now }
    }

    /// Takes one, if there is one.
    pub fn take(&mut self, now: Timestamp) -> bool {
        if now < self.filled_at {
            // The clock was set back: count from here rather than wait for it to catch up.
            self.filled_at = now;
        }
        let earned = now.since(self.filled_at).as_millis() / Self::REFILL.as_millis();
        let earned = u32::try_from(earned).unwrap_or(u32::MAX);
        self.tokens = self.tokens.saturating_add(earned).min(Self::BURST);
        self.filled_at = if self.tokens == Self::BURST {
            now
        } else {
            self.filled_at.plus(Self::REFILL * earned)
        };
        let some = self.tokens > 0;
        self.tokens -= u32::from(some);
        some
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const T0: Timestamp = Timestamp(1_800_000_000_000);
    const HOUR: Duration = Duration::from_secs(3600);
    const SHARE: Lead = Lead::Share(0.2);

    fn lead_of(life: Duration, lead: Lead, jitter: f64) -> Duration {
        let expires = T0.plus(life);
        expires.since(refresh_at(T0, expires, lead, jitter))
    }

    #[test]
    fn long_tokens_are_renewed_a_day_ahead_and_short_ones_minutes_ahead() {
        let ten_days = 240 * HOUR;
        assert_eq!(lead_of(ten_days, SHARE, 0.0), 24 * HOUR);
        assert!(lead_of(ten_days, SHARE, 1.0) <= 27 * HOUR);
        assert_eq!(lead_of(HOUR, SHARE, 0.0), Duration::from_secs(720));
        assert_eq!(
            lead_of(HOUR, Lead::Time(Duration::from_secs(90)), 0.0),
            Duration::from_secs(90)
        );
        assert_eq!(lead_of(HOUR, Lead::Time(24 * HOUR), 0.0), HOUR / 2);
    }

    #[test]
    fn a_token_dead_on_arrival_is_renewed_after_the_floor() {
        assert_eq!(refresh_at(T0, T0, SHARE, 0.5), T0.plus(FLOOR));
        assert_eq!(refresh_at(T0, T0.minus(HOUR), SHARE, 0.5), T0.plus(FLOOR));
    }

    #[test]
    fn pauses_double_up_to_the_longest() {
        let range = (Duration::from_secs(1), Duration::from_secs(300));
        let pauses: Vec<_> = (1..12).map(|n| backoff(n, range, 0.0).as_secs()).collect();
        assert_eq!(pauses, [1, 2, 4, 8, 16, 32, 64, 128, 256, 300, 300]);
        assert_eq!(backoff(u32::MAX, range, 0.0).as_secs(), 300);
        assert_eq!(backoff(5, range, 1.0).as_secs(), 12);
    }

    #[test]
    fn unknown_outcomes_are_retried_by_halves_and_then_at_the_end() {
        let expires = T0.plus(64 * HOUR);
        let mut now = T0;
        for (attempt, hours_left) in (1..UNKNOWN_ATTEMPTS).zip([32, 16, 8, 4, 2]) {
            now = after_unknown(now, expires, attempt);
            assert_eq!(expires.since(now), hours_left * HOUR);
        }
        assert_eq!(after_unknown(now, expires, UNKNOWN_ATTEMPTS), expires);
        assert_eq!(after_unknown(expires, expires, 1), expires);
        assert_eq!(
            after_unknown(expires.plus(HOUR), expires, UNKNOWN_ATTEMPTS),
            expires.plus(HOUR)
        );
    }

    #[test]
    fn forced_refreshes_are_limited_even_when_the_clock_is_set_back() {
        let mut bucket = Bucket::new(T0);
        assert_eq!((0..20).filter(|_| bucket.take(T0)).count(), 5);
        assert!(!bucket.take(T0.plus(Duration::from_secs(59))));
        assert!(bucket.take(T0.plus(Duration::from_secs(60))));
        assert!(!bucket.take(T0.plus(Duration::from_secs(61))));
        assert!(!bucket.take(T0.minus(HOUR)));
        assert!(bucket.take(T0.minus(HOUR).plus(Duration::from_secs(60))));
        assert_eq!((0..20).filter(|_| bucket.take(T0.plus(24 * HOUR))).count(), 5);
    }

    proptest! {
        #[test]
        fn a_refresh_is_never_planned_after_the_end_nor_before_half_the_life(
            life_ms in 2_001_u64..100_000_000_000,
            share in 0.0_f64..0.5,
            jitter in 0.0_f64..1.0,
        ) {
            let expires = T0.plus(Duration::from_millis(life_ms));
            let at = refresh_at(T0, expires, Lead::Share(share), jitter);
            prop_assert!(at <= expires);
            prop_assert!(at >= T0.plus(Duration::from_millis(life_ms / 2)));
        }

        #[test]
        fn jitter_only_makes_it_earlier(life_ms in 4_000_u64..100_000_000_000, jitter in 0.0_f64..1.0) {
            let expires = T0.plus(Duration::from_millis(life_ms));
            prop_assert!(refresh_at(T0, expires, SHARE, jitter) <= refresh_at(T0, expires, SHARE, 0.0));
        }

        #[test]
        fn no_input_makes_a_time_run_backwards(now: u64, expires: u64, attempts: u32) {
            prop_assert!(after_unknown(Timestamp(now), Timestamp(expires), attempts) >= Timestamp(now.min(expires)));
        }
    }
}
