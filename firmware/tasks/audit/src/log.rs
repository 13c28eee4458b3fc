//! The event log: numbered without gaps, bounded, what is lost is counted.

use reading::Event;

/// Events kept until they are taken.
pub const CAPACITY: usize = 128;

/// Events that wait to be taken, the oldest first.
pub struct Log {
    events: [Event; CAPACITY],
    first: usize,
    count: usize,
    next_number: u64,
    dropped: u32,
}

impl Log {
    /// No event yet.
    pub const fn new() -> Self {
        const NONE: Event = Event {
            number: 0,
            t_us: 0,
            code: 0,
            a: 0,
            b: 0,
        };
        Self {
            events: [NONE; CAPACITY],
            first: 0,
            count: 0,
            next_number: 1,
            dropped: 0,
        }
    }

    /// Adds an event; where there is no room the oldest one goes, and its number is missing.
    pub fn add(&mut self, t_us: u64, code: u32, a: u64, b: u64) {
        if self.count == CAPACITY {
            self.take();
            self.dropped = self.dropped.saturating_add(1);
        }
        self.events[(self.first + self.count) % CAPACITY] = Event {
            number: self.next_number,
            t_us,
            code,
            a,
            b,
        };
        self.count += 1;
        self.next_number = self.next_number.saturating_add(1);
    }

    /// The oldest event, left where it is.
    pub fn oldest(&self) -> Option<Event> {
        (self.count > 0).then(|| self.events[self.first])
    }

    /// Forgets the oldest event.
    pub fn take(&mut self) {
        if self.count > 0 {
            self.first = (self.first + 1) % CAPACITY;
            self.count -= 1;
        }
    }

    /// Events lost so far.
    pub fn dropped(&self) -> u32 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_no_gap_but_the_dropped() {
        let mut log = Log::new();
        for n in 0..CAPACITY as u64 + 10 {
            log.add(n, 7, n, 0);
        }
        assert_eq!(log.dropped(), 10);
        for expected in 11..=CAPACITY as u64 + 10 {
            let event = log.oldest().expect("there");
            assert_eq!((event.number, event.a), (expected, expected - 1));
            log.take();
        }
        assert_eq!(log.oldest(), None);
        log.take();
        log.add(1, 2, 3, 4);
        assert_eq!(log.oldest().expect("there").number, CAPACITY as u64 + 11);
    }
}
