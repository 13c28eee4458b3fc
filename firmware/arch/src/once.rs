//! Large memory of a program that has no allocator, taken by whoever asks first.

use core::cell::UnsafeCell;
use core::sync::atomic::{AtomicBool, Ordering};

/// A static value that one caller gets, to keep.
pub struct Once<T> {
    is_taken: AtomicBool,
    value: UnsafeCell<T>,
}

// SAFETY: the value is reached only through the one reference that `take` gives, to one thread.
unsafe impl<T: Send> Sync for Once<T> {}

impl<T> Once<T> {
    /// Not taken yet.
    #[must_use]
    pub const fn new(value: T) -> Self {
        Self {
            is_taken: AtomicBool::new(false),
            value: UnsafeCell::new(value),
        }
    }

    /// The value, the first time; `None` ever after.
    #[allow(
        clippy::mut_from_ref,
        reason = "the flag makes it the only reference; that is the point"
    )]
    pub fn take(&'static self) -> Option<&'static mut T> {
        if self.is_taken.swap(true, Ordering::AcqRel) {
            return None;
        }
        // SAFETY: the flag was false and never becomes so again: there is no other reference.
        Some(unsafe { &mut *self.value.get() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_gets_it() {
        static VALUE: Once<[u8; 4]> = Once::new([7; 4]);
        let value = VALUE.take().expect("first");
        value[0] = 1;
        assert_eq!(*value, [1, 7, 7, 7]);
        assert!(VALUE.take().is_none());
    }
}
