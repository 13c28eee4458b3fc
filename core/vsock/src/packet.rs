//! The header of a packet (virtio 1.2, section 5.10.6).

/// Bytes of a header.
pub const HEADER_BYTES: usize = 44;
/// Most bytes of a packet's payload that are taken; Linux sends at most this (`VIRTIO_VSOCK_MAX_PKT_BUF_SIZE`).
pub const MAX_PAYLOAD_BYTES: usize = 64 << 10;
/// `VIRTIO_VSOCK_TYPE_STREAM`.
pub const TYPE_STREAM: u16 = 1;
/// The host's address (`VMADDR_CID_HOST`).
pub const HOST_CID: u64 = 2;

/// What a packet does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u16)]
pub enum Operation {
    /// Asks for a connection.
    Request = 1,
    /// Grants it.
    Response = 2,
    /// Ends it, or refuses it.
    Reset = 3,
    /// No more data will be sent or taken.
    Shutdown = 4,
    /// Data.
    Data = 5,
    /// Says how much room there is.
    CreditUpdate = 6,
    /// Asks how much room there is.
    CreditRequest = 7,
}

impl Operation {
    /// The operation of that number.
    #[must_use]
    pub const fn of(number: u16) -> Option<Self> {
        Some(match number {
            1 => Self::Request,
            2 => Self::Response,
            3 => Self::Reset,
            4 => Self::Shutdown,
            5 => Self::Data,
            6 => Self::CreditUpdate,
            7 => Self::CreditRequest,
            _ => return None,
        })
    }
}

/// A header as it is on the ring; little-endian, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Header {
    /// Address of the sender.
    pub source_cid: u64,
    /// Address of the receiver.
    pub destination_cid: u64,
    /// Port of the sender.
    pub source_port: u32,
    /// Port of the receiver.
    pub destination_port: u32,
    /// Bytes of payload.
    pub length: u32,
    /// Kind of socket; 1 = stream.
    pub kind: u16,
    /// See [`Operation`].
    pub operation: u16,
    /// Of a shutdown: bit 0 takes no more, bit 1 sends no more.
    pub flags: u32,
    /// Bytes the sender has room for.
    pub buffer_bytes: u32,
    /// Bytes the sender has taken out of its room so far, modulo 2^32.
    pub forwarded_bytes: u32,
}

impl Header {
    /// Reads a header; every bit pattern is one.
    #[must_use]
    pub fn decode(bytes: &[u8; HEADER_BYTES]) -> Self {
        let four = |at: usize| u32::from_le_bytes(core::array::from_fn(|n| bytes[at + n]));
        let eight = |at: usize| u64::from_le_bytes(core::array::from_fn(|n| bytes[at + n]));
        let two = |at: usize| u16::from_le_bytes([bytes[at], bytes[at + 1]]);
        Self {
            source_cid: eight(0),
            destination_cid: eight(8),
            source_port: four(16),
            destination_port: four(20),
            length: four(24),
            kind: two(28),
            operation: two(30),
            flags: four(32),
            buffer_bytes: four(36),
            forwarded_bytes: four(40),
        }
    }

    /// The header's bytes.
    #[must_use]
    pub fn encode(&self) -> [u8; HEADER_BYTES] {
        let mut bytes = [0; HEADER_BYTES];
        let mut put = |at: usize, value: &[u8]| {
            bytes[at..at + value.len()].copy_from_slice(value);
        };
        put(0, &self.source_cid.to_le_bytes());
        put(8, &self.destination_cid.to_le_bytes());
        put(16, &self.source_port.to_le_bytes());
        put(20, &self.destination_port.to_le_bytes());
        put(24, &self.length.to_le_bytes());
        put(28, &self.kind.to_le_bytes());
        put(30, &self.operation.to_le_bytes());
        put(32, &self.flags.to_le_bytes());
        put(36, &self.buffer_bytes.to_le_bytes());
        put(40, &self.forwarded_bytes.to_le_bytes());
        bytes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_lie_where_the_standard_has_them() {
        let bytes: [u8; HEADER_BYTES] = core::array::from_fn(|n| n as u8);
        let header = Header::decode(&bytes);
        assert_eq!(header.source_cid, 0x0706_0504_0302_0100);
        assert_eq!(header.source_port, 0x1312_1110);
        assert_eq!(header.length, 0x1b1a_1918);
        assert_eq!((header.kind, header.operation), (0x1d1c, 0x1f1e));
        assert_eq!(header.forwarded_bytes, 0x2b2a_2928);
        assert_eq!(header.encode(), bytes);
    }
}
