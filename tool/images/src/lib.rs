//! Makes and reads what goes on flash: keys, key certificates, signed manifests, slots.
//!
//! [`KeyRing`] holds the development keys, [`build_flash`] makes a flash image, [`verify_flash`] goes through it as boot ROM
//! and loader do, with the same code, [`inspect()`] tells people what is in it, [`parts`] says which bytes are what.
#![forbid(unsafe_code)]

mod build;
mod elf;
mod flash;
mod inspect;
mod keys;

pub use build::{BuildInputs, ComponentInput, build_flash, fresh_slot};
pub use elf::{Flat, flatten};
pub use flash::{HostRefusal, Part, Stage, Verified, parts, verify_flash};
pub use inspect::{
    ComponentReport, DocumentReport, KeyReport, Report, SignatureReport, SlotReport, inspect,
    inspect_bytes,
};
pub use keys::{KeyRing, SecretKeys};

use std::fmt;

/// What went wrong, in words for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Error(pub String);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for Error {}

/// `bytes` as lower-case hexadecimal digits.
#[must_use]
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
