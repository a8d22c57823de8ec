//! Time is a parameter: the only place that reads the wall clock, and the only sleep that decisions rest on.
//!
//! A laptop sleeps for eight hours, a virtual machine is paused, a clock is set back by NTP: a timer
//! that counts monotonic time misses all three and a stale token is lent. So waiting is done in
//! slices, and the wall clock is read again after each (pizauth learned this in its issues 47 and 48).

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

/// The longest that a sleeper goes without looking at the wall clock: what a resumed laptop waits at
/// most before its token is renewed, and our only wake-up when idle.
const SLICE: Duration = Duration::from_secs(30);

/// What a clock may be put right by without anybody caring.
const CORRECTION: Duration = Duration::from_secs(60);

/// A moment of wall-clock time in milliseconds since the Unix epoch, as `expires_at` on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Timestamp(pub u64);

impl Timestamp {
    /// This moment, later by `duration`; stays at the end of time rather than wrapping.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(millis(duration)))
    }

    /// This moment, earlier by `duration`; stays at the epoch rather than wrapping.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(millis(duration)))
    }

    /// The time from `earlier` to this moment, zero where `earlier` is later.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// This moment moved by a signed number of milliseconds (a clock skew).
    #[must_use]
    pub fn shifted(self, millis: i64) -> Self {
        Self(self.0.saturating_add_signed(millis))
    }

    /// Whole seconds since the epoch, as JWT claims count.
    #[must_use]
    pub fn as_secs(self) -> u64 {
        self.0 / 1000
    }

    /// From whole seconds since the epoch, as JWT claims count.
    #[must_use]
    pub fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    /// As `20261122T013913.123Z`: sorts by time and stands in a file name on every platform (ISO 8601 basic format).
    #[must_use]
    pub fn compact(self) -> String {
        let (days, millis) = (self.0 / 86_400_000, self.0 % 86_400_000);
        let (year, month, day) = civil(days);
        let (hour, minute, second) = (millis / 3_600_000, millis / 60_000 % 60, millis / 1000 % 60);
        format!("{year:04}{month:02}{day:02}T{hour:02}{minute:02}{second:02}.{:03}Z", millis % 1000)
    }

    /// From the standard library's clock type; moments before 1970 become the epoch.
    #[must_use]
    pub fn from_system(time: SystemTime) -> Self {
        Self(time.duration_since(UNIX_EPOCH).map_or(0, millis))
    }
}

/// Whether a clock that showed `before` earlier and shows `now` was set back, by more than clocks are
/// corrected in passing.
#[must_use]
pub fn is_set_back(before: Timestamp, now: Timestamp) -> bool {
    now.plus(CORRECTION) < before
}

/// The Gregorian date of a day counted from 1970-01-01, by walking whole 400-year cycles.
fn civil(days: u64) -> (u64, u64, u64) {
    // Years are taken to begin in March, so that the leap day is the last of its year.
    let shifted = days + 719_468;
    let (cycle, day_of_cycle) = (shifted / 146_097, shifted % 146_097);
    let year_of_cycle =
        (day_of_cycle - day_of_cycle / 1460 + day_of_cycle / 36_524 - day_of_cycle / 146_096) / 365;
    let day_of_year =
        day_of_cycle - (365 * year_of_cycle + year_of_cycle / 4 - year_of_cycle / 100);
    let march_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * march_month + 2) / 5 + 1;
    let month = if march_month < 10 { march_month + 3 } else { march_month - 9 };
    (cycle * 400 + year_of_cycle + u64::from(month <= 2), month, day)
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// Where the time comes from. Cheap to clone; clones of a virtual clock share their jumps.
#[derive(Clone, Debug)]
pub enum Clock {
    /// The machine's wall clock.
    System,
    /// A clock for tests: tokio's time (which a test may pause) plus whatever it was told to jump.
    Virtual(Arc<Virtual>),
}

/// The state of a [`Clock::Virtual`].
#[derive(Debug)]
pub struct Virtual {
    origin: tokio::time::Instant,
    start: Timestamp,
    offset_millis: AtomicI64,
    slice: Duration,
}

impl Clock {
    /// A virtual clock that stands at `start` now, whose sleepers look up every `slice`.
    #[must_use]
    pub fn virtual_at(start: Timestamp, slice: Duration) -> Self {
        Self::Virtual(Arc::new(Virtual {
            origin: tokio::time::Instant::now(),
            start,
            offset_millis: AtomicI64::new(0),
            slice,
        }))
    }

    /// The wall-clock time.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        match self {
            Self::System => Timestamp::from_system(SystemTime::now()),
            Self::Virtual(v) => {
                v.start.plus(v.origin.elapsed()).shifted(v.offset_millis.load(Ordering::Relaxed))
            }
        }
    }

    /// Moves a virtual clock by `millis`, back or forth, without any timer noticing: a suspended
    /// machine or a set clock. Does nothing to the system's clock.
    pub fn jump(&self, millis: i64) {
        if let Self::Virtual(v) = self {
            v.offset_millis.fetch_add(millis, Ordering::Relaxed);
        }
    }

    /// Waits until the wall clock shows `moment` or later.
    pub async fn sleep_until(&self, moment: Timestamp) {
        while self.now() < moment {
            self.sleep_until_or_set_back(moment).await;
        }
    }

    /// As [`Self::sleep_until`], but returns early, soon after the clock was set back: times that were
    /// planned before mean something else now.
    pub async fn sleep_until_or_set_back(&self, moment: Timestamp) {
        let slice = match self {
            Self::System => SLICE,
            Self::Virtual(v) => v.slice,
        };
        let mut before = self.now();
        while before < moment {
            tokio::time::sleep(moment.since(before).min(slice)).await;
            let now = self.now();
            if is_set_back(before, now) {
                return;
            }
            before = now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const START: Timestamp = Timestamp(1_800_000_000_000);

    #[tokio::test(start_paused = true)]
    async fn a_resumed_laptop_wakes_its_sleepers_within_a_slice() {
        let clock = Clock::virtual_at(START, SLICE);
        let began = tokio::time::Instant::now();
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep_until(START.plus(Duration::from_secs(8 * 3600))).await }
        });
        tokio::task::yield_now().await;
        clock.jump(8 * 3600 * 1000);
        sleeper.await.expect("the sleeper returns");
        assert!(began.elapsed() <= SLICE, "woke after {:?}", began.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_clock_set_back_makes_sleepers_wait_longer() {
        let clock = Clock::virtual_at(START, SLICE);
        let began = tokio::time::Instant::now();
        clock.jump(-60_000);
        clock.sleep_until(START.plus(Duration::from_secs(10))).await;
        assert!(began.elapsed() >= Duration::from_secs(70));
    }

    #[tokio::test(start_paused = true)]
    async fn who_asks_is_told_that_the_clock_was_set_back() {
        let clock = Clock::virtual_at(START, SLICE);
        let began = tokio::time::Instant::now();
        let day = Duration::from_secs(86_400);
        let sleeper = tokio::spawn({
            let clock = clock.clone();
            async move { clock.sleep_until_or_set_back(START.plus(day)).await }
        });
        tokio::task::yield_now().await;
        clock.jump(-86_400_000);
        sleeper.await.expect("the sleeper returns");
        assert!(began.elapsed() <= SLICE, "woke after {:?}", began.elapsed());
    }

    #[test]
    fn dates_are_those_of_the_calendar() {
        for (millis, date) in [
            (0, "19700101T000000.000Z"),
            (951_782_400_000, "20000229T000000.000Z"),
            (1_795_311_553_123, "20261122T013913.123Z"),
            (4_107_542_399_999, "21000228T235959.999Z"),
            (4_107_542_400_000, "21000301T000000.000Z"),
        ] {
            assert_eq!(Timestamp(millis).compact(), date);
        }
    }

    #[test]
    fn arithmetic_never_wraps() {
        assert_eq!(Timestamp(5).minus(Duration::from_secs(1)), Timestamp(0));
        assert_eq!(Timestamp(5).since(Timestamp(9)), Duration::ZERO);
        assert_eq!(Timestamp(u64::MAX).plus(Duration::from_secs(1)), Timestamp(u64::MAX));
        assert_eq!(Timestamp(1).shifted(-5), Timestamp(0));
    }
}
