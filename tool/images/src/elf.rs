//! ELF programs to flat images: the loadable segments, each at its physical address.

use crate::Error;

/// A program as it lies in memory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flat {
    /// Physical address of the first byte.
    pub base: u64,
    /// Address of the first instruction.
    pub entry: u64,
    /// The bytes; gaps between segments are zero.
    pub bytes: Vec<u8>,
}

/// Largest flat image, in bytes: more is a linker script gone wrong.
const MAX_BYTES: u64 = 256 << 20;
/// `PT_LOAD`.
const LOADABLE: u64 = 1;

/// Lays out the loadable segments of a 64-bit little-endian ELF file (System V ABI, program loading).
///
/// # Errors
/// Where `elf` is none, is cut short, or its segments lie too far apart.
pub fn flatten(elf: &[u8]) -> Result<Flat, Error> {
    let bad = |what: &str| {
        Error(format!(
            "expected a 64-bit little-endian ELF program: {what}"
        ))
    };
    if elf.get(..6) != Some(b"\x7fELF\x02\x01") {
        return Err(bad("its first bytes are others"));
    }
    let cut = || bad("it is cut short");
    let entry = number(elf, 24, 8).ok_or_else(cut)?;
    let table = number(elf, 32, 8).ok_or_else(cut)?;
    let size = number(elf, 54, 2).ok_or_else(cut)?;
    let count = number(elf, 56, 2).ok_or_else(cut)?;
    let mut segments = Vec::new();
    for index in 0..count {
        let header = table.checked_add(index * size).ok_or_else(cut)?;
        let field = |offset: u64| number(elf, header.checked_add(offset)?, 8);
        let kind = number(elf, header, 4).ok_or_else(cut)?;
        let (Some(offset), Some(address), Some(bytes)) = (field(8), field(24), field(32)) else {
            return Err(cut());
        };
        if kind == LOADABLE && bytes > 0 {
            let end = offset.checked_add(bytes).ok_or_else(cut)?;
            let content = elf.get(offset as usize..end as usize).ok_or_else(cut)?;
            segments.push((address, content));
        }
    }
    let base = segments.iter().map(|(address, _)| *address).min();
    let base = base.ok_or_else(|| bad("nothing in it is loadable"))?;
    let mut bytes = Vec::new();
    for (address, content) in segments {
        let at = address - base;
        if at + content.len() as u64 > MAX_BYTES {
            return Err(bad("its segments are too far apart"));
        }
        let end = at as usize + content.len();
        bytes.resize(bytes.len().max(end), 0);
        bytes[at as usize..end].copy_from_slice(content);
    }
    Ok(Flat { base, entry, bytes })
}

/// The `bytes`-byte little-endian number at `at`.
fn number(elf: &[u8], at: u64, bytes: usize) -> Option<u64> {
    let at = usize::try_from(at).ok()?;
    let field = elf.get(at..at.checked_add(bytes)?)?;
    Some(
        field
            .iter()
            .rev()
            .fold(0, |number, &byte| number << 8 | u64::from(byte)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn elf(segments: &[(u64, &[u8])]) -> Vec<u8> {
        let mut file = b"\x7fELF\x02\x01\x01".to_vec();
        file.resize(64, 0);
        file[24..32].copy_from_slice(&0x1004_u64.to_le_bytes());
        file[32] = 64;
        file[54] = 56;
        file[56] = segments.len() as u8;
        let mut offset = 64 + 56 * segments.len();
        for (address, content) in segments {
            let mut header = [0; 56];
            header[0] = 1;
            header[8..16].copy_from_slice(&(offset as u64).to_le_bytes());
            header[24..32].copy_from_slice(&address.to_le_bytes());
            header[32..40].copy_from_slice(&(content.len() as u64).to_le_bytes());
            file.extend(header);
            offset += content.len();
        }
        segments
            .iter()
            .for_each(|(_, content)| file.extend(*content));
        file
    }

    #[test]
    fn segments_land_at_their_addresses() {
        let file = elf(&[(0x1008, b"data"), (0x1000, b"text")]);
        let flat = flatten(&file).expect("good");
        assert_eq!((flat.base, flat.entry), (0x1000, 0x1004));
        assert_eq!(flat.bytes, b"text\0\0\0\0data");
        for cut in 0..file.len() {
            assert!(flatten(&file[..cut]).is_err(), "cut at {cut}");
        }
        assert!(flatten(&elf(&[(0, b"x"), (1 << 40, b"y")])).is_err());
    }
}
