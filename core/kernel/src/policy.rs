//! When a task that faults is started anew, and when it is left alone.

/// Most faults of one task in [`WINDOW_US`] that are answered by a restart.
pub const RESTARTS_IN_WINDOW: usize = 5;
/// The window, microseconds.
pub const WINDOW_US: u64 = 10_000_000;

/// What to do with a task that has faulted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Start it anew.
    Restart,
    /// Leave it as it is: it would only fault again.
    Hold,
}

/// The latest faults of one task.
#[derive(Debug, Clone, Copy)]
pub struct History {
    /// When it faulted, microseconds; the oldest is overwritten.
    times_us: [Option<u64>; RESTARTS_IN_WINDOW],
    next: usize,
}

impl History {
    /// No fault yet.
    pub const EMPTY: Self = Self {
        times_us: [None; RESTARTS_IN_WINDOW],
        next: 0,
    };

    /// A fault at `now_us`: what to do.
    pub fn fault(&mut self, now_us: u64) -> Verdict {
        let oldest = &mut self.times_us[self.next];
        if oldest.is_some_and(|time_us| now_us.saturating_sub(time_us) < WINDOW_US) {
            return Verdict::Hold;
        }
        *oldest = Some(now_us);
        self.next = (self.next + 1) % RESTARTS_IN_WINDOW;
        Verdict::Restart
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rare_faults_are_forgiven_for_ever() {
        let mut history = History::EMPTY;
        for fault in 0..1000 {
            assert_eq!(history.fault(fault * WINDOW_US / 5), Verdict::Restart);
        }
    }

    #[test]
    fn a_task_that_only_faults_is_held() {
        let mut history = History::EMPTY;
        for fault in 0..RESTARTS_IN_WINDOW as u64 {
            assert_eq!(history.fault(fault), Verdict::Restart);
        }
        assert_eq!(history.fault(WINDOW_US - 1), Verdict::Hold);
        assert_eq!(history.fault(WINDOW_US), Verdict::Restart);
    }
}
