//! A classic CAN frame (ISO 11898-1): identifier of 11 or 29 bits, up to eight data bytes.

/// Most data bytes of a classic frame.
pub const MAX_DATA_BYTES: usize = 8;

/// An identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Identifier {
    /// 11 bits.
    Standard(u16),
    /// 29 bits.
    Extended(u32),
}

impl Identifier {
    /// A standard identifier; `None` where it has more than 11 bits.
    #[must_use]
    pub const fn standard(number: u16) -> Option<Self> {
        if number <= 0x7ff {
            Some(Self::Standard(number))
        } else {
            None
        }
    }

    /// An extended identifier; `None` where it has more than 29 bits.
    #[must_use]
    pub const fn extended(number: u32) -> Option<Self> {
        if number <= 0x1fff_ffff {
            Some(Self::Extended(number))
        } else {
            None
        }
    }

    /// The identifier's bits, 11 or 29.
    #[must_use]
    pub const fn bits(self) -> u32 {
        match self {
            Self::Standard(number) => number as u32,
            Self::Extended(number) => number,
        }
    }
}

/// A frame. Data beyond its length is zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    identifier: Identifier,
    remote: bool,
    length: u8,
    data: [u8; MAX_DATA_BYTES],
}

impl Frame {
    /// A data frame; `None` where there are more than eight bytes.
    #[must_use]
    pub fn new(identifier: Identifier, bytes: &[u8]) -> Option<Self> {
        let mut data = [0; MAX_DATA_BYTES];
        data.get_mut(..bytes.len())?.copy_from_slice(bytes);
        Some(Self {
            identifier,
            remote: false,
            length: bytes.len() as u8,
            data,
        })
    }

    /// A data frame of eight bytes.
    #[must_use]
    pub const fn of_eight(identifier: Identifier, data: [u8; MAX_DATA_BYTES]) -> Self {
        Self {
            identifier,
            remote: false,
            length: MAX_DATA_BYTES as u8,
            data,
        }
    }

    /// A remote frame, which asks for `length` bytes; `None` where that is more than eight.
    #[must_use]
    pub const fn remote(identifier: Identifier, length: u8) -> Option<Self> {
        if length as usize > MAX_DATA_BYTES {
            return None;
        }
        Some(Self {
            identifier,
            remote: true,
            length,
            data: [0; MAX_DATA_BYTES],
        })
    }

    /// The identifier.
    #[must_use]
    pub const fn identifier(&self) -> Identifier {
        self.identifier
    }

    /// Whether it asks for data instead of carrying some.
    #[must_use]
    pub const fn is_remote(&self) -> bool {
        self.remote
    }

    /// The data length code.
    #[must_use]
    pub const fn length(&self) -> usize {
        self.length as usize
    }

    /// The data; empty for a remote frame.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        if self.remote {
            &[]
        } else {
            &self.data[..self.length as usize]
        }
    }
}
