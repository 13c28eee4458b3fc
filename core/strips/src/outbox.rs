//! Encoded records that wait to be taken: bounded, oldest first out, counted.

use reading::{MAX_BODY_BYTES, Record};

/// Bytes before each body: its length.
const LENGTH_BYTES: usize = 2;

/// A ring of encoded bodies, each with its length as u16 (little-endian) before it.
pub struct Outbox<'a> {
    ring: &'a mut [u8],
    first: usize,
    filled: usize,
    count: u32,
    dropped: u32,
}

impl<'a> Outbox<'a> {
    /// Empty, in that memory; its size is what is kept.
    #[must_use]
    pub fn new(ring: &'a mut [u8]) -> Self {
        Self {
            ring,
            first: 0,
            filled: 0,
            count: 0,
            dropped: 0,
        }
    }

    /// Records that wait.
    #[must_use]
    pub const fn count(&self) -> u32 {
        self.count
    }

    /// Records that went because nobody took them in time, or that are too long to be any.
    #[must_use]
    pub const fn dropped(&self) -> u32 {
        self.dropped
    }

    /// Adds a record; where there is no room the oldest ones go.
    pub fn push(&mut self, record: &Record<'_>) {
        let mut entry = [0; LENGTH_BYTES + MAX_BODY_BYTES];
        let (length, body) = entry.split_at_mut(LENGTH_BYTES);
        let Ok(bytes) = record.encode(body) else {
            self.dropped = self.dropped.saturating_add(1);
            return;
        };
        length.copy_from_slice(&(bytes as u16).to_le_bytes());
        let entry = &entry[..LENGTH_BYTES + bytes];
        if entry.len() > self.ring.len() {
            self.dropped = self.dropped.saturating_add(1);
            return;
        }
        while self.ring.len() - self.filled < entry.len() {
            self.forget();
            self.dropped = self.dropped.saturating_add(1);
        }
        let at = (self.first + self.filled) % self.ring.len();
        let (end, start) = entry.split_at(entry.len().min(self.ring.len() - at));
        self.ring[at..at + end.len()].copy_from_slice(end);
        self.ring[..start.len()].copy_from_slice(start);
        self.filled += entry.len();
        self.count += 1;
    }

    /// Copies the oldest record, with its length before it, to `out`; the number of bytes, `None` where there is none or
    /// no room.
    pub fn oldest(&self, out: &mut [u8]) -> Option<usize> {
        let bytes = self.oldest_bytes()?;
        let out = out.get_mut(..bytes)?;
        let (end, start) = out.split_at_mut(bytes.min(self.ring.len() - self.first));
        end.copy_from_slice(&self.ring[self.first..self.first + end.len()]);
        start.copy_from_slice(&self.ring[..start.len()]);
        Some(bytes)
    }

    /// Forgets the oldest record.
    pub fn forget(&mut self) {
        if let Some(bytes) = self.oldest_bytes() {
            self.first = (self.first + bytes) % self.ring.len();
            self.filled -= bytes;
            self.count -= 1;
        }
    }

    /// Bytes of the oldest record with its length.
    fn oldest_bytes(&self) -> Option<usize> {
        if self.count == 0 {
            return None;
        }
        let at = |offset: usize| self.ring[(self.first + offset) % self.ring.len()];
        Some(LENGTH_BYTES + usize::from(u16::from_le_bytes([at(0), at(1)])))
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use reading::{Event, Lists, Numerics};
    use std::vec::Vec;

    fn event(number: u64) -> Record<'static> {
        Record::Event(Event {
            number,
            ..Event::default()
        })
    }

    fn drain(outbox: &mut Outbox<'_>) -> Vec<u64> {
        let mut found = Vec::new();
        let mut out = [0; 64];
        while let Some(bytes) = outbox.oldest(&mut out) {
            let length = usize::from(u16::from_le_bytes([out[0], out[1]]));
            assert_eq!(length + 2, bytes);
            let mut lists = Lists::default();
            match Record::decode(&out[2..bytes], &mut lists) {
                Ok(Record::Event(event)) => found.push(event.number),
                other => panic!("{other:?}"),
            }
            outbox.forget();
        }
        found
    }

    #[test]
    fn records_come_out_in_order_over_the_rings_end() {
        let mut memory = [0; 100];
        let mut outbox = Outbox::new(&mut memory);
        for round in 0..500 {
            let numbers = [round * 7, round * 7 + 1_000_000, u64::MAX];
            numbers
                .iter()
                .for_each(|number| outbox.push(&event(*number)));
            assert_eq!(outbox.count(), 3);
            assert_eq!(drain(&mut outbox), numbers);
        }
        assert_eq!(outbox.dropped(), 0);
        outbox.forget();
        assert_eq!(outbox.count(), 0);
    }

    #[test]
    fn the_oldest_go_and_are_counted() {
        let mut memory = [0; 97];
        let mut outbox = Outbox::new(&mut memory);
        (0..1000).for_each(|number| outbox.push(&event(number + 1000)));
        let left = drain(&mut outbox);
        assert_eq!(left.last(), Some(&1999));
        assert_eq!(left.len() as u32 + outbox.dropped(), 1000);
        assert!(left.len() > 4);
    }

    #[test]
    fn what_does_not_fit_at_all_is_counted() {
        let mut memory = [0; 8];
        let mut outbox = Outbox::new(&mut memory);
        outbox.push(&Record::Numerics(Numerics {
            t_us: u64::MAX,
            ..Numerics::default()
        }));
        let mut nothing = Outbox::new(&mut []);
        nothing.push(&event(1));
        assert_eq!((outbox.dropped(), outbox.count()), (1, 0));
        assert_eq!((nothing.dropped(), nothing.oldest(&mut [0; 9])), (1, None));
    }

    #[test]
    fn no_room_outside_takes_nothing() {
        let mut memory = [0; 100];
        let mut outbox = Outbox::new(&mut memory);
        outbox.push(&event(5));
        assert_eq!(outbox.oldest(&mut [0; 3]), None);
        assert_eq!(drain(&mut outbox), [5]);
    }
}
