//! A heart rate from the times of beats.

/// Intervals that are averaged.
const INTERVALS: usize = 8;
/// An interval longer than this is a pause or a gap, not a rhythm (15 beats a minute).
const LONGEST_US: u64 = 4_000_000;
/// A rate is told only while beats come: none is younger than this, none is told.
const STALE_US: u64 = 6_000_000;
/// Microseconds of a minute, times ten: tenths of a beat.
const DECI_MINUTE_US: u64 = 600_000_000;

/// The last intervals between beats.
#[derive(Debug, Clone)]
pub struct HeartRate {
    intervals_us: [u32; INTERVALS],
    count: usize,
    at: usize,
    last_us: Option<u64>,
}

impl Default for HeartRate {
    fn default() -> Self {
        Self::new()
    }
}

impl HeartRate {
    /// No beat yet.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            intervals_us: [0; INTERVALS],
            count: 0,
            at: 0,
            last_us: None,
        }
    }

    /// A beat at that time.
    pub fn beat(&mut self, t_us: u64) {
        let interval = self.last_us.map(|last| t_us.saturating_sub(last));
        self.last_us = Some(t_us);
        match interval {
            Some(interval @ 1..=LONGEST_US) => {
                self.intervals_us[self.at] = interval as u32;
                self.at = (self.at + 1) % INTERVALS;
                self.count = (self.count + 1).min(INTERVALS);
            }
            _ => self.count = 0,
        }
    }

    /// Samples are missing: the next interval cannot be known.
    pub const fn gap(&mut self) {
        self.last_us = None;
    }

    /// Forgets everything.
    pub const fn reset(&mut self) {
        *self = Self::new();
    }

    /// When the last beat was.
    #[must_use]
    pub const fn last_us(&self) -> Option<u64> {
        self.last_us
    }

    /// Tenths of a beat a minute: the mean of the last eight intervals without the shortest and the longest (one
    /// premature beat and its pause do not count). `None` before the second beat and when beats have stopped. A
    /// pause that is longer than the mean lowers the rate at once.
    #[must_use]
    pub fn deci_bpm(&self, now_us: u64) -> Option<u16> {
        let since = self.last_us.map(|last| now_us.saturating_sub(last));
        if self.count == 0 || since.is_some_and(|since| since > STALE_US) {
            return None;
        }
        let used = &self.intervals_us[..self.count];
        let mut sum: u64 = used.iter().map(|us| u64::from(*us)).sum();
        let mut count = self.count as u64;
        if self.count >= 4 {
            let least = used.iter().min().copied().unwrap_or(0);
            let most = used.iter().max().copied().unwrap_or(0);
            sum -= u64::from(least) + u64::from(most);
            count -= 2;
        }
        let mean = (sum / count).max(1);
        // As if the next beat came now, where it is already overdue by more than half.
        let mean = since.map_or(
            mean,
            |since| if since > mean + mean / 2 { since } else { mean },
        );
        Some((DECI_MINUTE_US / mean).min(9999) as u16)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Beats with these intervals in milliseconds, the first at 1 s; the rate right after the last.
    fn rate(intervals_ms: &[u64]) -> (HeartRate, u64) {
        let mut rate = HeartRate::new();
        let mut now = 1_000_000;
        rate.beat(now);
        for ms in intervals_ms {
            now += ms * 1000;
            rate.beat(now);
        }
        (rate, now)
    }

    #[test]
    fn regular_beats_give_their_rate() {
        for (ms, deci) in [(1000, 600), (500, 1200), (200, 3000), (2000, 300)] {
            let (rate, now) = rate(&[ms; 10]);
            assert_eq!(rate.deci_bpm(now), Some(deci));
        }
    }

    #[test]
    fn a_premature_beat_and_its_pause_do_not_count() {
        let (rate, now) = rate(&[800, 800, 800, 400, 1200, 800, 800, 800]);
        assert_eq!(rate.deci_bpm(now), Some(750));
    }

    #[test]
    fn unknown_is_none() {
        assert_eq!(HeartRate::new().deci_bpm(5), None);
        let (one, now) = rate(&[]);
        assert_eq!(one.deci_bpm(now), None);
        let (stopped, now) = rate(&[800; 8]);
        assert_eq!(stopped.deci_bpm(now + STALE_US + 1), None);
    }

    #[test]
    fn a_pause_lowers_the_rate_and_a_gap_is_no_interval() {
        let (mut rate, now) = rate(&[800; 8]);
        assert_eq!(rate.deci_bpm(now + 1_100_000), Some(750));
        assert_eq!(rate.deci_bpm(now + 2_000_000), Some(300));
        rate.gap();
        rate.beat(now + 3_000_000);
        rate.beat(now + 3_800_000);
        assert_eq!(rate.deci_bpm(now + 3_800_000), Some(750));
    }
}
