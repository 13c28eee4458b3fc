//! A ring of numbered records of any length, in memory that is lent.

/// Bytes before each record: its length, little-endian.
const LENGTH_BYTES: usize = 2;

/// Records, the oldest first. Numbers have no gaps: the oldest's and how many there are say all.
#[derive(Debug)]
pub struct Ring<'a> {
    memory: &'a mut [u8],
    /// Where the oldest record begins.
    first: usize,
    /// Bytes that are taken, lengths included.
    taken: usize,
    /// How many records there are.
    count: u32,
    oldest: u64,
    dropped: u64,
}

/// Where a record is, for reading on from there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    /// Number of the record.
    pub sequence: u64,
    /// Bytes behind the oldest record's first byte.
    behind: usize,
}

impl<'a> Ring<'a> {
    /// An empty ring in `memory`; the first record gets the number `first_sequence`.
    #[must_use]
    pub fn new(memory: &'a mut [u8], first_sequence: u64) -> Self {
        Self {
            memory,
            first: 0,
            taken: 0,
            count: 0,
            oldest: first_sequence,
            dropped: 0,
        }
    }

    /// How many records there are.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.count
    }

    /// Whether there is none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Records that went because newer ones needed their place.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.dropped
    }

    /// Number of the next record.
    #[must_use]
    pub const fn next_sequence(&self) -> u64 {
        self.oldest + self.count as u64
    }

    /// Where the oldest record is, or the next one will be.
    #[must_use]
    pub const fn oldest(&self) -> Place {
        Place {
            sequence: self.oldest,
            behind: 0,
        }
    }

    /// Adds a record. How many bytes (lengths included) of the oldest went for it; `None` where the record
    /// is longer than the whole ring or than 65535 bytes, and is itself dropped.
    pub fn push(&mut self, record: &[u8]) -> Option<usize> {
        let wanted = LENGTH_BYTES + record.len();
        let length = u16::try_from(record.len()).ok();
        let Some(length) = length.filter(|_| wanted <= self.memory.len()) else {
            self.dropped = self.dropped.saturating_add(1);
            return None;
        };
        let mut freed = 0;
        while self.memory.len() - self.taken < wanted {
            freed += self.remove_oldest();
            self.dropped = self.dropped.saturating_add(1);
        }
        self.copy_in(self.taken, &length.to_le_bytes());
        self.copy_in(self.taken + LENGTH_BYTES, record);
        self.taken += wanted;
        self.count += 1;
        Some(freed)
    }

    /// Removes all records up to the number `sequence`; how many bytes they took.
    pub fn remove_up_to(&mut self, sequence: u64) -> usize {
        let mut freed = 0;
        while self.count > 0 && self.oldest <= sequence {
            freed += self.remove_oldest();
        }
        freed
    }

    /// Copies the record at `place` to `out` (as much as fits) and says its length and where the next one is;
    /// `None` where there is no record yet.
    #[must_use]
    pub fn get(&self, place: Place, out: &mut [u8]) -> Option<(usize, Place)> {
        if place.behind >= self.taken {
            return None;
        }
        let length = self.length_at(place.behind);
        let start = place.behind + LENGTH_BYTES;
        let count = length.min(out.len());
        self.copy_out(start, &mut out[..count]);
        let next = Place {
            sequence: place.sequence + 1,
            behind: start + length,
        };
        Some((length, next))
    }

    /// The same place after `freed` bytes of the oldest records went; the oldest where it went with them.
    #[must_use]
    pub fn moved(&self, place: Place, freed: usize) -> Place {
        match place.behind.checked_sub(freed) {
            Some(behind) => Place { behind, ..place },
            None => self.oldest(),
        }
    }

    fn remove_oldest(&mut self) -> usize {
        if self.count == 0 {
            return 0;
        }
        let bytes = LENGTH_BYTES + self.length_at(0);
        self.first = (self.first + bytes) % self.memory.len();
        self.taken -= bytes;
        self.count -= 1;
        self.oldest += 1;
        bytes
    }

    fn length_at(&self, behind: usize) -> usize {
        let mut bytes = [0; LENGTH_BYTES];
        self.copy_out(behind, &mut bytes);
        u16::from_le_bytes(bytes).into()
    }

    /// Where the `behind`-th byte is, and how many follow it before the memory ends.
    fn locate(&self, behind: usize) -> (usize, usize) {
        let at = (self.first + behind) % self.memory.len();
        (at, self.memory.len() - at)
    }

    fn copy_in(&mut self, behind: usize, bytes: &[u8]) {
        let (at, left) = self.locate(behind);
        let (head, tail) = bytes.split_at(bytes.len().min(left));
        self.memory[at..at + head.len()].copy_from_slice(head);
        self.memory[..tail.len()].copy_from_slice(tail);
    }

    fn copy_out(&self, behind: usize, out: &mut [u8]) {
        let (at, left) = self.locate(behind);
        let (head, tail) = out.split_at_mut(out.len().min(left));
        head.copy_from_slice(&self.memory[at..at + head.len()]);
        tail.copy_from_slice(&self.memory[..tail.len()]);
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use std::collections::VecDeque;
    use std::vec;
    use std::vec::Vec;

    /// Against a queue of vectors, with records of many lengths.
    #[test]
    fn behaves_like_a_queue_that_forgets_the_oldest() {
        for size in [64, 100, 257] {
            let mut memory = vec![0xaa; size];
            let mut ring = Ring::new(&mut memory, 1);
            let mut model: VecDeque<(u64, Vec<u8>)> = VecDeque::new();
            let (mut dropped, mut next) = (0, 1_u64);
            for step in 0..5000_usize {
                let length = (step * 7919) % 41;
                let record: Vec<u8> = (0..length).map(|n| (n + step) as u8).collect();
                assert!(ring.push(&record).is_some());
                model.push_back((next, record));
                next += 1;
                while model.iter().map(|(_, r)| r.len() + 2).sum::<usize>() > size {
                    model.pop_front();
                    dropped += 1;
                }
                if step % 11 == 0 {
                    let up_to = model[model.len() / 2].0;
                    ring.remove_up_to(up_to);
                    model.retain(|(sequence, _)| *sequence > up_to);
                }
                assert_eq!(
                    (ring.len() as usize, ring.dropped()),
                    (model.len(), dropped)
                );
                let mut place = ring.oldest();
                for (sequence, record) in &model {
                    let mut out = [0; 64];
                    assert_eq!(place.sequence, *sequence);
                    let (length, after) = ring.get(place, &mut out).expect("there");
                    assert_eq!(&out[..length], record);
                    place = after;
                }
                assert_eq!(ring.get(place, &mut [0; 64]), None);
                assert_eq!((place.sequence, ring.next_sequence()), (next, next));
            }
        }
    }

    #[test]
    fn what_cannot_fit_is_dropped_and_counted() {
        let mut memory = [0; 10];
        let mut ring = Ring::new(&mut memory, 1);
        assert_eq!(ring.push(&[1; 9]), None);
        assert_eq!((ring.dropped(), ring.len()), (1, 0));
        assert_eq!(ring.push(&[1; 8]), Some(0));
        assert_eq!(ring.push(&[2; 1]), Some(10));
        assert_eq!((ring.dropped(), ring.oldest().sequence), (2, 2));
    }

    #[test]
    fn a_place_follows_what_is_removed() {
        let mut memory = [0; 32];
        let mut ring = Ring::new(&mut memory, 1);
        for n in 0..4 {
            ring.push(&[n; 4]);
        }
        let (_, second) = ring.get(ring.oldest(), &mut []).expect("there");
        let (_, third) = ring.get(second, &mut []).expect("there");
        let freed = ring.remove_up_to(1);
        let third = ring.moved(third, freed);
        let mut out = [0; 4];
        ring.get(third, &mut out).expect("there");
        assert_eq!((third.sequence, out), (3, [2; 4]));
        let freed = ring.remove_up_to(3);
        assert_eq!(ring.moved(third, freed), ring.oldest());
    }
}
