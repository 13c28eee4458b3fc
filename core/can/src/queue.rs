//! A bounded queue between the bus and whoever takes its samples.

/// Holds up to `N` entries; where it is full the oldest goes, and that is counted.
#[derive(Debug, Clone)]
pub struct Queue<T: Copy, const N: usize> {
    entries: [Option<T>; N],
    first: usize,
    length: usize,
    /// Entries that went because there was no room.
    pub dropped: u64,
}

impl<T: Copy, const N: usize> Default for Queue<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Copy, const N: usize> Queue<T, N> {
    /// Empty.
    #[must_use]
    pub const fn new() -> Self {
        const { assert!(N > 0) };
        Self {
            entries: [None; N],
            first: 0,
            length: 0,
            dropped: 0,
        }
    }

    /// Adds an entry.
    pub fn push(&mut self, entry: T) {
        if self.length == N {
            self.pop();
            self.dropped += 1;
        }
        let free = (self.first + self.length) % N;
        self.entries[free] = Some(entry);
        self.length += 1;
    }

    /// Takes the oldest entry.
    pub fn pop(&mut self) -> Option<T> {
        if self.length == 0 {
            return None;
        }
        let entry = self.entries[self.first].take();
        self.first = (self.first + 1) % N;
        self.length -= 1;
        entry
    }

    /// The entry that `place` others are older than, left where it is.
    #[must_use]
    pub fn get(&self, place: usize) -> Option<&T> {
        if place >= self.length {
            return None;
        }
        self.entries[(self.first + place) % N].as_ref()
    }

    /// Forgets the `count` oldest entries.
    pub fn forget(&mut self, count: usize) {
        for _ in 0..count {
            self.pop();
        }
    }

    /// How many entries wait.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Whether none waits.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_queue_drops_the_oldest() {
        let mut queue = Queue::<u8, 3>::new();
        (0..5).for_each(|n| queue.push(n));
        assert_eq!((queue.dropped, queue.len()), (2, 3));
        assert_eq!(
            [queue.pop(), queue.pop(), queue.pop(), queue.pop()],
            [Some(2), Some(3), Some(4), None]
        );
        assert!(queue.is_empty());
        (0..3).for_each(|n| queue.push(n));
        assert_eq!((queue.get(1), queue.get(3)), (Some(&1), None));
        queue.forget(2);
        assert_eq!((queue.get(0), queue.len()), (Some(&2), 1));
        queue.forget(9);
        assert!(queue.is_empty());
    }
}
