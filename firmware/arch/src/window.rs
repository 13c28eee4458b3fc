//! Memory that another world writes to at the same time: copied byte by byte, never borrowed.

use core::sync::atomic::{AtomicU16, AtomicU32, Ordering};

/// A window on shared memory: normal, cacheable, inner shareable. Offsets are checked at every access.
#[derive(Debug, Clone, Copy)]
pub struct Window {
    base: usize,
    bytes: usize,
}

impl Window {
    /// The `bytes` bytes at `base`.
    ///
    /// # Safety
    /// `base` is a multiple of 8; all of it is mapped readable and writable for as long as the program runs and
    /// belongs to no Rust object of this program.
    #[must_use]
    pub const unsafe fn new(base: usize, bytes: usize) -> Self {
        Self { base, bytes }
    }

    /// How many bytes there are.
    #[must_use]
    pub const fn bytes(&self) -> usize {
        self.bytes
    }

    /// The address of `count` bytes at `offset`, where all of them are in here.
    fn locate(&self, offset: usize, count: usize) -> Option<usize> {
        let end = offset.checked_add(count)?;
        (end <= self.bytes).then_some(self.base + offset)
    }

    /// Copies the bytes from `offset` on to `out`, each read once; false, and nothing, where they are not all in here.
    pub fn read(&self, offset: usize, out: &mut [u8]) -> bool {
        let Some(address) = self.locate(offset, out.len()) else {
            return false;
        };
        let mut done = 0;
        while done < out.len() {
            let at = address + done;
            if at.is_multiple_of(8)
                && let Some(place) = out[done..].first_chunk_mut::<8>()
            {
                // SAFETY: eight bytes at a multiple of 8, inside the window (`locate`); volatile, so what
                // the other side does to them meanwhile gives another value and nothing worse.
                let word = unsafe { pointer::<u64>(at).read_volatile() };
                *place = word.to_ne_bytes();
                done += 8;
            } else {
                // SAFETY: one byte inside the window, otherwise as above.
                out[done] = unsafe { pointer::<u8>(at).read_volatile() };
                done += 1;
            }
        }
        true
    }

    /// Copies `bytes` to `offset`; false, and nothing, where there is not room for all of them.
    pub fn write(&self, offset: usize, bytes: &[u8]) -> bool {
        let Some(address) = self.locate(offset, bytes.len()) else {
            return false;
        };
        let mut done = 0;
        while done < bytes.len() {
            let at = address + done;
            if at.is_multiple_of(8)
                && let Some(word) = bytes[done..].first_chunk::<8>()
            {
                // SAFETY: eight bytes at a multiple of 8, inside the window, of no Rust object (`new`).
                unsafe { pointer::<u64>(at).write_volatile(u64::from_ne_bytes(*word)) };
                done += 8;
            } else {
                // SAFETY: one byte inside the window, otherwise as above.
                unsafe { pointer::<u8>(at).write_volatile(bytes[done]) };
                done += 1;
            }
        }
        true
    }

    /// The 16-bit number at `offset`, shared with the other side; `None` where it is not in here or not aligned.
    #[must_use]
    pub fn half_word(&self, offset: usize) -> Option<&'static AtomicU16> {
        let address = self.locate(offset, 2).filter(|at| at.is_multiple_of(2))?;
        // SAFETY: two aligned bytes inside the window, mapped as long as the program runs (`new`).
        Some(unsafe { AtomicU16::from_ptr(pointer(address)) })
    }

    /// The 32-bit number at `offset`, shared with the other side; `None` where it is not in here or not aligned.
    #[must_use]
    pub fn word(&self, offset: usize) -> Option<&'static AtomicU32> {
        let address = self.locate(offset, 4).filter(|at| at.is_multiple_of(4))?;
        // SAFETY: four aligned bytes inside the window, mapped as long as the program runs (`new`).
        Some(unsafe { AtomicU32::from_ptr(pointer(address)) })
    }

    /// Loads the 16-bit number at `offset`: later reads see what was written before it. 0 where there is none.
    #[must_use]
    pub fn load(&self, offset: usize) -> u16 {
        self.half_word(offset)
            .map_or(0, |cell| cell.load(Ordering::Acquire))
    }

    /// Stores the 16-bit number at `offset`: who sees it sees what was written before it.
    pub fn store(&self, offset: usize, value: u16) {
        if let Some(cell) = self.half_word(offset) {
            cell.store(value, Ordering::Release);
        }
    }
}

/// A pointer to memory that no Rust object lies in.
fn pointer<T>(address: usize) -> *mut T {
    core::ptr::with_exposed_provenance_mut(address)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A window of 32 bytes on memory that is leaked, so that nothing else uses it.
    fn window() -> Window {
        extern crate std;
        let memory = std::boxed::Box::leak(std::boxed::Box::new([0_u64; 4]));
        let base = memory.as_mut_ptr().expose_provenance();
        // SAFETY: 32 bytes, aligned to 8, leaked: never freed, borrowed by nobody.
        unsafe { Window::new(base, 32) }
    }

    #[test]
    fn every_offset_and_length_is_copied_and_nothing_else() {
        for offset in 0..32 {
            for count in 0..=32 - offset {
                let window = window();
                let bytes: [u8; 32] = core::array::from_fn(|n| n as u8 + 1);
                assert!(window.write(offset, &bytes[..count]));
                let mut all = [0; 32];
                assert!(window.read(0, &mut all));
                let inside = offset..offset + count;
                for (at, byte) in all.iter().enumerate() {
                    let expected = if inside.contains(&at) {
                        (at - offset) as u8 + 1
                    } else {
                        0
                    };
                    assert_eq!(*byte, expected);
                }
                let mut back = [0; 32];
                assert!(window.read(offset, &mut back[..count]));
                assert_eq!(back[..count], bytes[..count]);
            }
        }
    }

    #[test]
    fn nothing_outside_is_reached() {
        let window = window();
        assert!(!window.read(25, &mut [0; 8]));
        assert!(!window.write(33, &[]));
        assert!(!window.write(usize::MAX, &[0; 2]));
        assert!(window.half_word(31).is_none() && window.half_word(1).is_none());
        assert!(window.word(30).is_none() && window.word(28).is_some());
        window.store(30, 0x1234);
        assert_eq!((window.load(30), window.load(32)), (0x1234, 0));
    }
}
