//! A short queue of fixed room.

/// A queue of at most `N` items, first in, first out.
#[derive(Debug, Clone)]
pub struct Queue<T, const N: usize> {
    items: [Option<T>; N],
    first: usize,
    count: usize,
}

impl<T: Copy, const N: usize> Queue<T, N> {
    pub const fn new() -> Self {
        Self {
            items: [None; N],
            first: 0,
            count: 0,
        }
    }

    /// How many items there is room for.
    pub const fn room(&self) -> usize {
        N - self.count
    }

    /// Adds an item; `false` where there is no room.
    pub fn push(&mut self, item: T) -> bool {
        if self.count == N {
            return false;
        }
        self.items[(self.first + self.count) % N] = Some(item);
        self.count += 1;
        true
    }

    /// Takes the oldest item.
    pub fn pop(&mut self) -> Option<T> {
        if self.count == 0 {
            return None;
        }
        let item = self.items[self.first].take();
        self.first = (self.first + 1) % N;
        self.count -= 1;
        item
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn first_in_first_out_and_never_more_than_fits() {
        let mut queue = Queue::<u8, 3>::new();
        assert_eq!(queue.pop(), None);
        for round in 0..10 {
            assert!((0..3).all(|n| queue.push(round + n)));
            assert!(!queue.push(9));
            assert_eq!(queue.room(), 0);
            assert_eq!([queue.pop(), queue.pop()], [Some(round), Some(round + 1)]);
            assert!(queue.push(7));
            assert_eq!(
                [queue.pop(), queue.pop(), queue.pop()],
                [Some(round + 2), Some(7), None]
            );
        }
    }
}
