//! A front end: which of its samples and messages are due.

/// Samples older than this are not sent any more, microseconds: a real front end would have sent them in time, so
/// that who replays must not send seconds of them at once. Their numbers are used, so that they are missed.
pub const STALE_US: u64 = 500_000;

/// Something that comes at a fixed rate from the start on.
#[derive(Debug, Clone)]
pub struct Clockwork {
    start_us: u64,
    rate_hz: f64,
    next: u64,
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Its number, from 0.
    pub number: u64,
    /// How late it is, microseconds.
    pub lag_us: u64,
}

impl Clockwork {
    /// Number 0 is due at `start_us`. The rate is more than 0.
    #[must_use]
    pub fn new(start_us: u64, rate_hz: f64) -> Self {
        Self {
            start_us,
            rate_hz,
            next: 0,
        }
    }

    /// When number `number` is due.
    fn due_us(&self, number: u64) -> u64 {
        self.start_us + (number as f64 * 1e6 / self.rate_hz) as u64
    }

    /// When the next one is due.
    #[must_use]
    pub fn next_us(&self) -> u64 {
        self.due_us(self.next)
    }

    /// How many were due so far, skipped ones counted.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.next
    }

    /// Passes over what is due but stale; how many.
    pub fn skip_stale(&mut self, now_us: u64) -> u64 {
        let limit_us = now_us.saturating_sub(STALE_US);
        if self.next_us() >= limit_us {
            return 0;
        }
        let before = self.next;
        let passed_s = limit_us.saturating_sub(self.start_us) as f64 / 1e6;
        self.next = self.next.max((passed_s * self.rate_hz) as u64);
        self.next - before
    }

    /// The next one, if it is due.
    pub fn take(&mut self, now_us: u64) -> Option<Due> {
        let lag_us = now_us.checked_sub(self.next_us())?;
        let number = self.next;
        self.next += 1;
        Some(Due { number, lag_us })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rate_is_kept_without_drift() {
        let mut clockwork = Clockwork::new(1000, 360.0);
        let mut count = 0;
        for now_us in (0..10_001_000).step_by(777) {
            while let Some(due) = clockwork.take(now_us) {
                assert_eq!(due.number, count);
                assert!(due.lag_us < 777);
                count += 1;
            }
        }
        assert_eq!(count, 3600);
    }

    #[test]
    fn after_a_long_sleep_only_the_newest_are_sent() {
        let mut clockwork = Clockwork::new(0, 125.0);
        assert_eq!(clockwork.skip_stale(10_000_000), 1187);
        let mut sent = 0;
        while let Some(due) = clockwork.take(10_000_000) {
            assert!(due.lag_us <= STALE_US + 8000);
            sent += 1;
        }
        assert_eq!((sent, clockwork.count()), (64, 1251));
        assert_eq!(clockwork.skip_stale(10_000_000), 0);
    }
}
