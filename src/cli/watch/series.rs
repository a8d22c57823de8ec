//! How much happened in each slice of the last minutes. Pure.

use std::collections::VecDeque;
use std::time::Duration;

use crate::clock::Timestamp;

/// How long a slice is: as often as the daemon is asked, so that each answer has one of its own.
pub(super) const SLICE: Duration = Duration::from_secs(2);
/// Slices kept: ten minutes, which is a column each on the widest of windows.
const MOST_SLICES: usize = 300;

/// Amounts by the slice, the latest last.
#[derive(Debug, Default)]
pub(super) struct Series {
    slices: VecDeque<f64>,
    /// The number of the last slice, counted from the epoch.
    latest: u64,
}

impl Series {
    /// Lets the time pass. A clock that was set back far begins anew.
    pub(super) fn advance(&mut self, now: Timestamp) {
        let slice = number(now);
        let most = MOST_SLICES as u64;
        if self.slices.is_empty() || slice > self.latest + most || slice + most < self.latest {
            self.slices = VecDeque::from([0.0]);
            self.latest = slice;
        }
        while self.latest < slice {
            self.latest += 1;
            self.slices.push_back(0.0);
        }
        while self.slices.len() > MOST_SLICES {
            self.slices.pop_front();
        }
    }

    /// Adds what happened evenly within `over` before `at`. What is older than all slices is left out.
    pub(super) fn add(&mut self, at: Timestamp, amount: f64, over: Duration) {
        let (last, first) = (number(at), number(at.minus(over)));
        let each = amount / (last - first + 1) as f64;
        for slice in first..=last {
            let back = usize::try_from(self.latest.saturating_sub(slice)).unwrap_or(usize::MAX);
            if slice > self.latest {
                continue;
            }
            if back >= self.slices.len() {
                self.lengthen(back + 1);
            }
            let at = self.slices.len().checked_sub(back + 1);
            if let Some(value) = at.and_then(|at| self.slices.get_mut(at)) {
                *value += each;
            }
        }
    }

    /// Makes room for what happened before this was watched.
    fn lengthen(&mut self, count: usize) {
        while self.slices.len() < count.min(MOST_SLICES) {
            self.slices.push_front(0.0);
        }
    }

    /// The last `count` slices, with nothing where there were none yet.
    pub(super) fn last(&self, count: usize) -> Vec<f64> {
        let missing = count.saturating_sub(self.slices.len());
        let skipped = self.slices.len().saturating_sub(count);
        std::iter::repeat_n(0.0, missing).chain(self.slices.iter().copied().skip(skipped)).collect()
    }
}

fn number(at: Timestamp) -> u64 {
    at.0 / u64::try_from(SLICE.as_millis()).unwrap_or(1)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_795_360_560_000);
    const NONE: Duration = Duration::ZERO;

    #[test]
    fn what_happens_falls_into_its_slice_and_moves_back_with_the_time() {
        let mut series = Series::default();
        series.advance(NOW);
        series.add(NOW, 3.0, NONE);
        series.add(NOW.plus(Duration::from_millis(1999)), 1.0, NONE);
        assert_eq!(series.last(2), [0.0, 4.0]);
        series.advance(NOW.plus(2 * SLICE));
        series.add(NOW.plus(SLICE), 2.0, NONE);
        assert_eq!(series.last(4), [0.0, 4.0, 2.0, 0.0]);
        assert_eq!(series.last(1), [0.0]);
    }

    #[test]
    fn what_was_counted_over_some_time_is_spread_over_it() {
        let mut series = Series::default();
        series.advance(NOW);
        series.add(NOW, 10.0, 4 * SLICE);
        assert_eq!(series.last(6), [0.0, 2.0, 2.0, 2.0, 2.0, 2.0]);
    }

    #[test]
    fn the_past_is_kept_for_minutes_and_no_longer() {
        let mut series = Series::default();
        series.advance(NOW);
        series.add(NOW.minus(Duration::from_secs(60)), 1.0, NONE);
        assert_eq!(series.last(31)[0], 1.0);
        series.add(NOW.minus(Duration::from_secs(86_400)), 1.0, NONE);
        assert_eq!(series.slices.len(), MOST_SLICES);
        assert_eq!(series.last(MOST_SLICES).iter().sum::<f64>(), 1.0);
        series.advance(NOW.plus(Duration::from_secs(86_400)));
        assert_eq!(series.slices, [0.0]);
        series.advance(NOW);
        series.add(NOW, 1.0, NONE);
        assert_eq!(series.last(1), [1.0], "a clock that was set back begins anew");
        series.add(Timestamp(u64::MAX), 1.0, NONE);
        series.add(Timestamp(0), 1.0, SLICE);
        assert_eq!(series.last(1), [1.0]);
    }
}
