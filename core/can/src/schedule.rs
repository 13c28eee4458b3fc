//! When periodic commands are due: by absolute deadlines, so that a late one does not delay the next.

/// What has been counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Commands sent.
    pub sent: u64,
    /// Commands not sent because their time had passed.
    pub missed: u64,
    /// Commands sent later than half a period after they were due.
    pub late: u64,
    /// Longest time from due to sent, microseconds.
    pub worst_delay_us: u64,
}

/// A command that is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Due {
    /// Its sequence number: missed ones have used theirs, so that the receiver sees the gap.
    pub sequence: u8,
    /// How late it is, microseconds.
    pub delay_us: u64,
}

/// Deadlines at the multiples of `period_us` since power-on.
///
/// The number of a command is that of its period, so that whoever starts anew, without memory, goes on with the
/// numbers and at the times its predecessor would have used: what was missed meanwhile shows as a gap.
#[derive(Debug, Clone)]
pub struct Schedule {
    /// What has been counted.
    pub counters: Counters,
    period_us: u64,
    /// Number of the next deadline; it is due at `number * period_us`.
    number: u64,
}

impl Schedule {
    /// The first deadline is the next multiple of the period after `now_us`. A period of 0 counts as 1.
    #[must_use]
    pub fn new(period_us: u64, now_us: u64) -> Self {
        let period_us = period_us.max(1);
        Self {
            counters: Counters::default(),
            period_us,
            number: now_us / period_us + 1,
        }
    }

    /// The next deadline, microseconds.
    #[must_use]
    pub const fn next_us(&self) -> u64 {
        self.number.saturating_mul(self.period_us)
    }

    /// The command to send now, if one is due. Of several whose time has passed only the newest is sent; the others
    /// are missed.
    pub fn take(&mut self, now_us: u64) -> Option<Due> {
        let behind_us = now_us.checked_sub(self.next_us())?;
        let missed = behind_us / self.period_us;
        self.counters.missed += missed;
        self.number += missed;
        let delay_us = behind_us % self.period_us;
        let due = Due {
            sequence: self.number as u8,
            delay_us,
        };
        self.number += 1;
        self.counters.sent += 1;
        let worst_us = delay_us + missed * self.period_us;
        if worst_us * 2 > self.period_us {
            self.counters.late += 1;
        }
        self.counters.worst_delay_us = self.counters.worst_delay_us.max(worst_us);
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deadlines_do_not_drift() {
        let mut schedule = Schedule::new(10_000, 5);
        for n in 1..=1000_u64 {
            assert_eq!(schedule.next_us(), n * 10_000);
            assert_eq!(schedule.take(n * 10_000 - 1), None);
            let due = schedule.take(n * 10_000 + 300).expect("due");
            assert_eq!((due.sequence, due.delay_us), (n as u8, 300));
        }
        assert_eq!(
            schedule.counters,
            Counters {
                sent: 1000,
                missed: 0,
                late: 0,
                worst_delay_us: 300
            }
        );
    }

    #[test]
    fn missed_commands_leave_a_gap_in_the_sequence() {
        let mut schedule = Schedule::new(10_000, 0);
        assert_eq!(schedule.take(10_000).expect("due").sequence, 1);
        assert_eq!(schedule.take(56_000).expect("due").sequence, 5);
        assert_eq!(schedule.next_us(), 60_000);
        assert_eq!(
            schedule.counters,
            Counters {
                sent: 2,
                missed: 3,
                late: 1,
                worst_delay_us: 36_000
            }
        );
    }

    #[test]
    fn who_starts_anew_goes_on_with_the_numbers() {
        let mut first = Schedule::new(10_000, 1_234_567);
        let before = first.take(1_240_001).expect("due");
        let mut second = Schedule::new(10_000, 1_243_000);
        let after = second.take(1_250_000).expect("due");
        assert_eq!(after.sequence, before.sequence.wrapping_add(1));
    }
}
