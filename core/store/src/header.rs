//! The 64 bytes before every entry and at the start of every sector in use.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 4 | `LZE1` |
//! | 4 | 1 | [`Kind`] |
//! | 5 | 1 | zero |
//! | 6 | 2 | items: records in the entry, slot of a value, area of a sector |
//! | 8 | 4 | length of the body; of a sector: how often it was erased |
//! | 12 | 4 | all ones; of records: zeroes once this entry and all before it are forgotten. Not authenticated |
//! | 16 | 8 | number: of the entry in its area; of a sector its epoch |
//! | 24 | 8 | the counter when it was written; of a sector of the log: its first entry's number |
//! | 32 | 16 | salt |
//! | 48 | 16 | tag over all but the mark, the sector's epoch, the offset, and the tag of the value before |

use seal::{Keys, SALT_BYTES, TAG_BYTES};

/// Entries begin at multiples of this.
pub const UNIT_BYTES: usize = 64;
/// Most bytes of an entry, header and tag included.
pub const MAX_ENTRY_BYTES: usize = 4096;
/// Most bytes of an entry's body.
pub const MAX_BODY_BYTES: usize = MAX_ENTRY_BYTES - UNIT_BYTES - TAG_BYTES;
/// Where the mark lies.
pub const MARK_OFFSET: usize = 12;
const MAGIC: [u8; 4] = *b"LZE1";

/// What an entry is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Kind {
    /// The start of a sector.
    Sector = 1,
    /// A value under its name.
    Value = 2,
    /// The value in this slot is gone.
    Gone = 3,
    /// Where the log is, and that the values before are all there are.
    Anchor = 4,
    /// Records.
    Records = 5,
}

impl Kind {
    const fn of(number: u8) -> Option<Self> {
        match number {
            1 => Some(Self::Sector),
            2 => Some(Self::Value),
            3 => Some(Self::Gone),
            4 => Some(Self::Anchor),
            5 => Some(Self::Records),
            _ => None,
        }
    }
}

/// What a header says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Draft {
    pub kind: Kind,
    pub items: u16,
    pub length: u32,
    pub number: u64,
    pub stamp: u64,
}

/// Where a header stands, and after what.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place {
    pub epoch: u64,
    pub offset: usize,
    pub chain: [u8; TAG_BYTES],
}

/// A header that is authentic.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    pub draft: Draft,
    pub salt: [u8; SALT_BYTES],
    pub tag: [u8; TAG_BYTES],
    /// Whether the mark is burned, wholly or in part.
    pub is_marked: bool,
}

impl Header {
    /// Authenticates `draft` for its place.
    pub fn new(keys: &Keys, place: &Place, draft: Draft, salt: [u8; SALT_BYTES]) -> Self {
        let mut header = Self {
            draft,
            salt,
            tag: [0; TAG_BYTES],
            is_marked: false,
        };
        let bytes = header.encode();
        header.tag = with_parts(&bytes, place, |parts| keys.header_tag(parts));
        header
    }

    /// The bytes as they are programmed, the mark left as ones.
    pub fn encode(&self) -> [u8; UNIT_BYTES] {
        let draft = &self.draft;
        let mut bytes = [0xff; UNIT_BYTES];
        bytes[..4].copy_from_slice(&MAGIC);
        bytes[4] = draft.kind as u8;
        bytes[5] = 0;
        bytes[6..8].copy_from_slice(&draft.items.to_le_bytes());
        bytes[8..12].copy_from_slice(&draft.length.to_le_bytes());
        bytes[16..24].copy_from_slice(&draft.number.to_le_bytes());
        bytes[24..32].copy_from_slice(&draft.stamp.to_le_bytes());
        bytes[32..48].copy_from_slice(&self.salt);
        bytes[48..].copy_from_slice(&self.tag);
        bytes
    }

    /// Reads a header; `None` where it is not authentic at this place. A sector's epoch is its own.
    pub fn read(bytes: &[u8; UNIT_BYTES], keys: &Keys, place: &Place) -> Option<Self> {
        if bytes[..4] != MAGIC || bytes[5] != 0 {
            return None;
        }
        let kind = Kind::of(bytes[4])?;
        let number = word(bytes, 16);
        let mut place = *place;
        if kind == Kind::Sector {
            place.epoch = number;
        }
        let mut tag = [0; TAG_BYTES];
        tag.copy_from_slice(&bytes[48..]);
        if !with_parts(bytes, &place, |parts| keys.is_header(parts, &tag)) {
            return None;
        }
        let mut salt = [0; SALT_BYTES];
        salt.copy_from_slice(&bytes[32..48]);
        Some(Self {
            draft: Draft {
                kind,
                items: u16::from_le_bytes([bytes[6], bytes[7]]),
                length: u32::from_le_bytes([bytes[8], bytes[9], bytes[10], bytes[11]]),
                number,
                stamp: word(bytes, 24),
            },
            salt,
            tag,
            is_marked: bytes[MARK_OFFSET..16] != [0xff; 4],
        })
    }

    /// Bytes of the whole entry; `None` where its body is longer than any.
    pub fn entry_bytes(&self) -> Option<usize> {
        entry_bytes(self.draft.length as usize)
    }
}

/// Bytes of an entry with a body of `length` bytes; `None` where that is too long.
pub fn entry_bytes(length: usize) -> Option<usize> {
    (length <= MAX_BODY_BYTES)
        .then(|| UNIT_BYTES + (length + TAG_BYTES).next_multiple_of(UNIT_BYTES))
}

fn with_parts<T>(bytes: &[u8; UNIT_BYTES], place: &Place, then: impl FnOnce(&[&[u8]]) -> T) -> T {
    let epoch = place.epoch.to_le_bytes();
    let offset = (place.offset as u64).to_le_bytes();
    then(&[
        &bytes[..MARK_OFFSET],
        &bytes[16..48],
        &epoch,
        &offset,
        &place.chain,
    ])
}

/// The little-endian number at `at`; 0 past the end.
pub fn word(bytes: &[u8], at: usize) -> u64 {
    let bytes = bytes.get(at..).and_then(|bytes| bytes.first_chunk::<8>());
    bytes.map_or(0, |bytes| u64::from_le_bytes(*bytes))
}
