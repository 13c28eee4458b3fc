//! Values and records on NOR flash: sealed, whole after a power cut, never rolled back unnoticed.
//!
//! The first two sectors hold values under names, the others form a ring of records. Everything is an
//! [entry](header): 64 bytes of authenticated header, then what is sealed. An entry's body is written first
//! and its header last, so that what was cut short has no header and is nothing. `docs/storage.md` says
//! what is promised and why it holds.
#![no_std]
#![forbid(unsafe_code)]

mod header;
mod log;
#[cfg(feature = "simulated")]
pub mod simulated;
mod store;
#[cfg(test)]
mod tests;
pub mod unary;
mod values;

pub use header::{MAX_BODY_BYTES, MAX_ENTRY_BYTES, UNIT_BYTES};
pub use log::Entry;
pub use store::{Counts, Found, Store};
pub use values::{MAX_KEY_BYTES, MAX_KEYS, MAX_VALUE_BYTES};

/// Sectors that hold values; the others hold records.
pub const VALUE_SECTORS: usize = 2;
/// Most sectors that hold records.
pub const MAX_LOG_SECTORS: usize = 62;
/// Fewest of them: one is written, one is read, one is about to be erased.
pub const MIN_LOG_SECTORS: usize = 3;

/// The flash does not do what it is told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fault;

/// Why something was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// The flash does not do what it is told.
    Flash,
    /// There is nothing of that name.
    Absent,
    /// It is there, and not what was written.
    Damaged,
    /// It was bound to other software.
    OtherSoftware,
    /// The name, the value or the records are longer than allowed, or empty.
    Size,
    /// No room for another name.
    Full,
}

impl From<Fault> for Error {
    fn from(_: Fault) -> Self {
        Self::Flash
    }
}

/// What the store stands on: NOR flash, a counter that cannot be set back, and chance.
///
/// Erased bytes are `0xff`; programming turns ones into zeroes, erasing turns a whole sector into ones.
pub trait Medium {
    /// Bytes of a sector; a multiple of [`UNIT_BYTES`], at least eight times [`MAX_ENTRY_BYTES`].
    fn sector_bytes(&self) -> usize;
    /// How many sectors there are.
    fn sectors(&self) -> usize;
    /// Reads from `offset`; what lies beyond the end reads as erased.
    fn read(&self, offset: usize, out: &mut [u8]);
    /// Programs whole words of four bytes at a multiple of four.
    ///
    /// # Errors
    /// Where the flash reports an error, or afterwards holds something else.
    fn program(&mut self, offset: usize, bytes: &[u8]) -> Result<(), Fault>;
    /// Erases a sector.
    ///
    /// # Errors
    /// Where the flash reports an error.
    fn erase(&mut self, sector: usize) -> Result<(), Fault>;
    /// The counter, which lies elsewhere and only goes up.
    fn counter(&self) -> u64;
    /// Makes the counter one more.
    ///
    /// # Errors
    /// Where it cannot: it is worn out, or the flash reports an error.
    fn advance(&mut self) -> Result<(), Fault>;
    /// Sixteen bytes that never come again.
    fn salt(&mut self) -> [u8; seal::SALT_BYTES];
    /// Called between steps of bounded length: others may have their turn.
    fn breathe(&mut self) {}
}
