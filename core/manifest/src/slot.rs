//! The header page of a flash slot: where to look for what. Nothing in it is trusted.
//!
//! `LZRTSLOT`, u32 LE count, then entries { u32 LE kind, u32 LE offset from the slot's start, u32 LE size }.

/// First bytes of a slot.
pub const MAGIC: [u8; 8] = *b"LZRTSLOT";
/// Bytes kept for the header at the start of a slot.
pub const HEADER_BYTES: usize = 4096;
/// Most entries of a slot.
pub const MAX_ENTRIES: u32 = 64;
/// Alignment of everything in a slot, in bytes.
pub const ALIGNMENT: usize = 64;
const FIRST_ENTRY: usize = 12;
const ENTRY_BYTES: usize = 12;

/// What an entry points to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The root public keys.
    RootKeys,
    /// The key certificate.
    KeyCertificate,
    /// The loader's manifest.
    LoaderManifest,
    /// The manifest of everything else.
    SystemManifest,
    /// The stored bytes of component number n of the manifests, the loader being 0.
    Payload(u32),
}

impl Kind {
    /// The number that stands in the header.
    #[must_use]
    pub const fn number(self) -> u32 {
        match self {
            Self::RootKeys => 1,
            Self::KeyCertificate => 2,
            Self::LoaderManifest => 3,
            Self::SystemManifest => 4,
            Self::Payload(index) => 16_u32.saturating_add(index),
        }
    }
}

/// Why a slot cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// Shorter than a header, or no [`MAGIC`], or an impossible count.
    NoHeader,
    /// No such entry.
    Missing,
    /// The entry points behind the slot's end or into its header.
    OutOfBounds,
}

/// The bytes that entry `kind` of `slot` points to.
///
/// # Errors
/// Where there is no header, no such entry, or it points out of the slot.
pub fn find(slot: &[u8], kind: Kind) -> Result<&[u8], Error> {
    let count = count(slot)?;
    for index in 0..count {
        let entry = index
            .checked_mul(ENTRY_BYTES)
            .and_then(|at| at.checked_add(FIRST_ENTRY))
            .ok_or(Error::NoHeader)?;
        if word(slot, entry) != Some(kind.number()) {
            continue;
        }
        let offset = word(slot, entry + 4).ok_or(Error::NoHeader)? as usize;
        let size = word(slot, entry + 8).ok_or(Error::NoHeader)? as usize;
        let end = offset.checked_add(size).ok_or(Error::OutOfBounds)?;
        if offset < HEADER_BYTES {
            return Err(Error::OutOfBounds);
        }
        return slot.get(offset..end).ok_or(Error::OutOfBounds);
    }
    Err(Error::Missing)
}

/// How many entries the header of `slot` lists.
///
/// # Errors
/// Where there is no header.
pub fn count(slot: &[u8]) -> Result<usize, Error> {
    if slot.len() < HEADER_BYTES || !slot.starts_with(&MAGIC) {
        return Err(Error::NoHeader);
    }
    match word(slot, 8) {
        Some(count) if count <= MAX_ENTRIES => Ok(count as usize),
        _ => Err(Error::NoHeader),
    }
}

fn word(bytes: &[u8], at: usize) -> Option<u32> {
    let end = at.checked_add(4)?;
    let word = bytes.get(at..end)?.try_into().ok()?;
    Some(u32::from_le_bytes(word))
}
