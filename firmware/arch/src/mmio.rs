//! Device registers as fields of typed structs: every access is one volatile load or store.
//!
//! A block of registers is a `#[repr(C)]` struct of these cells; a driver holds a
//! `&'static` reference to it, made once with [`block`] from an address of the board.
//! In host tests the same struct in plain memory is the fake.

use core::cell::UnsafeCell;

/// Makes one kind of cell.
macro_rules! cell {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[repr(transparent)]
        pub struct $name<T>(UnsafeCell<T>);

        // SAFETY: every access is a single volatile load or store of a plain integer; what two
        // cores may do to the same device register is the device's rule, and cannot tear memory.
        unsafe impl<T: Copy + Send> Sync for $name<T> {}

        impl<T: Copy> $name<T> {
            /// A cell in plain memory, for fakes.
            pub const fn new(value: T) -> Self {
                Self(UnsafeCell::new(value))
            }
            /// Address of the register.
            pub fn address(&self) -> usize {
                self.0.get() as usize
            }
        }
    };
}

cell! {
    /// A register that is read.
    ReadOnly
}
cell! {
    /// A register that is written.
    WriteOnly
}
cell! {
    /// A register that is read and written.
    ReadWrite
}

impl<T: Copy> ReadOnly<T> {
    /// Loads the register.
    #[inline(always)]
    pub fn read(&self) -> T {
        // SAFETY: the pointer comes from a reference, so it is aligned and mapped.
        unsafe { self.0.get().read_volatile() }
    }
}

impl<T: Copy> WriteOnly<T> {
    /// Stores to the register.
    #[inline(always)]
    pub fn write(&self, value: T) {
        // SAFETY: the pointer comes from a reference, so it is aligned and mapped.
        unsafe { self.0.get().write_volatile(value) }
    }
}

impl<T: Copy> ReadWrite<T> {
    /// Loads the register.
    #[inline(always)]
    pub fn read(&self) -> T {
        // SAFETY: the pointer comes from a reference, so it is aligned and mapped.
        unsafe { self.0.get().read_volatile() }
    }
    /// Stores to the register.
    #[inline(always)]
    pub fn write(&self, value: T) {
        // SAFETY: the pointer comes from a reference, so it is aligned and mapped.
        unsafe { self.0.get().write_volatile(value) }
    }
    /// Loads, changes and stores: not atomic.
    #[inline(always)]
    pub fn modify(&self, change: impl FnOnce(T) -> T) {
        self.write(change(self.read()));
    }
}

/// Space between registers.
#[repr(transparent)]
pub struct Reserved<const BYTES: usize>(UnsafeCell<[u8; BYTES]>);

// SAFETY: nothing accesses the bytes.
unsafe impl<const BYTES: usize> Sync for Reserved<BYTES> {}

/// The register block `T` at `address`.
///
/// # Safety
/// `address` is that of a device with the registers of `T`, aligned for `T`, mapped as device
/// memory (or the MMU is off) for as long as the reference is used, and belongs to no Rust object.
#[must_use]
pub const unsafe fn block<T>(address: usize) -> &'static T {
    // SAFETY: as the caller promises.
    unsafe { &*core::ptr::with_exposed_provenance::<T>(address) }
}
