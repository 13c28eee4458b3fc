//! The one-time-programmable sector: erased bits are 1 and burn to 0, never back.
//!
//! | offset | bytes | what |
//! |---|---|---|
//! | 0 | 8 | `LZRTFUSE` |
//! | 8 | 4 | layout, u32 LE, 1 |
//! | 12 | 4 | all ones |
//! | 16 | 32 | SHA-256 of the root key set |
//! | 48 | 32 | the same, every bit inverted |
//! | 80 | .. | all ones: room for revocations, counters, life cycle |
//!
//! Because bits only burn one way, no burned digest can be turned into another one: each bit
//! stands once as it is and once inverted, and burning further breaks the pair.

/// First bytes of a programmed sector.
pub const MAGIC: [u8; 8] = *b"LZRTFUSE";
/// Layout of the sector.
pub const LAYOUT: u32 = 1;
/// Bytes of the sector that are read.
pub const BYTES: usize = 80;

/// What the sector says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fuses {
    /// SHA-256 of the root key set.
    pub root_keys_digest: [u8; 32],
}

/// Why the sector says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// Never programmed.
    Blank,
    /// Neither blank nor whole.
    Damaged,
}

/// Reads the sector.
///
/// # Errors
/// Where it is blank, or not a whole record.
pub fn read(sector: &[u8; BYTES]) -> Result<Fuses, Error> {
    if sector.iter().all(|&byte| byte == 0xff) {
        return Err(Error::Blank);
    }
    let (head, rest) = sector.split_at(16);
    let (digest, inverse) = rest.split_at(32);
    let whole = digest.iter().zip(inverse).all(|(a, b)| a ^ b == 0xff);
    if head != header() || !whole {
        return Err(Error::Damaged);
    }
    let root_keys_digest = digest.try_into().map_err(|_| Error::Damaged)?;
    Ok(Fuses { root_keys_digest })
}

fn header() -> [u8; 16] {
    let mut head = [0xff; 16];
    for (place, byte) in head
        .iter_mut()
        .zip(MAGIC.into_iter().chain(LAYOUT.to_le_bytes()))
    {
        *place = byte;
    }
    head
}

/// The sector's bytes for `fuses`.
#[must_use]
pub fn image(fuses: &Fuses) -> [u8; BYTES] {
    let mut sector = [0xff; BYTES];
    let inverse = fuses.root_keys_digest.map(|byte| !byte);
    let bytes = header()
        .into_iter()
        .chain(fuses.root_keys_digest)
        .chain(inverse);
    for (place, byte) in sector.iter_mut().zip(bytes) {
        *place = byte;
    }
    sector
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_it_wrote_and_nothing_else() {
        let fuses = Fuses {
            root_keys_digest: core::array::from_fn(|i| i as u8 * 7),
        };
        let sector = image(&fuses);
        assert_eq!(read(&sector), Ok(fuses));
        assert_eq!(read(&[0xff; BYTES]), Err(Error::Blank));
        assert_eq!(read(&[0; BYTES]), Err(Error::Damaged));
        for bit in 0..BYTES * 8 {
            let mut burned = sector;
            burned[bit / 8] ^= 1 << (bit % 8);
            assert_eq!(read(&burned), Err(Error::Damaged), "bit {bit}");
        }
    }
}
