//! The guest's memory: addresses are allegations until they are ranges.

/// The memory a guest may name: physical addresses of the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    base: u64,
    bytes: usize,
}

/// Bytes that lie in a [`Region`]; only its [`Region::range`] makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Range {
    offset: usize,
    bytes: usize,
}

/// Two bytes at an even address in a [`Region`]: an index of a ring.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Cell(usize);

impl Region {
    /// `bytes` bytes from `base`, a multiple of 4096; `None` where there is no such memory.
    #[must_use]
    pub const fn new(base: u64, bytes: usize) -> Option<Self> {
        if !base.is_multiple_of(4096) || base.checked_add(bytes as u64).is_none() {
            return None;
        }
        Some(Self { base, bytes })
    }

    /// The range of `bytes` bytes at `address`, where all of it lies in here and it is not empty.
    #[must_use]
    pub fn range(self, address: u64, bytes: usize) -> Option<Range> {
        let offset = usize::try_from(address.checked_sub(self.base)?).ok()?;
        if bytes == 0 || offset.checked_add(bytes)? > self.bytes {
            return None;
        }
        Some(Range { offset, bytes })
    }
}

impl Range {
    /// Bytes from the start of the region.
    #[must_use]
    pub const fn offset(self) -> usize {
        self.offset
    }

    /// How many bytes.
    #[must_use]
    pub const fn bytes(self) -> usize {
        self.bytes
    }

    /// `bytes` bytes from the `at`-th on, where they lie in here.
    #[must_use]
    pub fn part(self, at: usize, bytes: usize) -> Option<Self> {
        if at.checked_add(bytes)? > self.bytes {
            return None;
        }
        let offset = self.offset + at;
        Some(Self { offset, bytes })
    }

    /// The two bytes from the `at`-th on, where they lie in here at an even address.
    #[must_use]
    pub fn cell(self, at: usize) -> Option<Cell> {
        let part = self.part(at, 2)?;
        part.offset.is_multiple_of(2).then_some(Cell(part.offset))
    }
}

impl Cell {
    /// Bytes from the start of the region; even.
    #[must_use]
    pub const fn offset(self) -> usize {
        self.0
    }
}

/// Memory that the guest writes to while we read it. Nothing in here can fail: ranges are checked.
pub trait GuestMemory {
    /// What the guest may name.
    fn region(&self) -> Region;
    /// Copies the first bytes of `range` to `out`, as many as both have; each byte is read once.
    fn read(&self, range: Range, out: &mut [u8]);
    /// Copies `bytes` to the start of `range`, as many as both have.
    fn write(&mut self, range: Range, bytes: &[u8]);
    /// One load of a little-endian number; later reads see what the guest wrote before it (acquire).
    fn load(&self, cell: Cell) -> u16;
    /// One store of a little-endian number; whoever sees it sees what was written before it (release).
    fn store(&mut self, cell: Cell, value: u16);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_is_inside_or_is_not() {
        let region = Region::new(0x5000_0000, 0x1000).expect("good");
        assert!(region.range(0x5000_0000, 0x1000).is_some());
        for (address, bytes) in [
            (0x4fff_ffff, 2),
            (0x5000_0fff, 2),
            (0x5000_0000, 0x1001),
            (0x5000_0000, 0),
            (0, 1),
            (u64::MAX, 2),
            (u64::MAX, usize::MAX),
            (0x5000_0001, usize::MAX),
        ] {
            assert_eq!(region.range(address, bytes), None, "{address:#x} {bytes}");
        }
        assert_eq!(Region::new(1, 1), None);
        assert_eq!(Region::new(!0xfff, 0x1000), None);
    }

    #[test]
    fn parts_and_cells_stay_inside() {
        let region = Region::new(0, 0x1000).expect("good");
        let range = region.range(3, 10).expect("inside");
        assert_eq!(range.part(9, 1).map(Range::offset), Some(12));
        assert_eq!(range.part(9, 2), None);
        assert_eq!(range.part(usize::MAX, 2), None);
        assert_eq!(range.cell(0), None, "odd");
        assert_eq!(range.cell(1).map(Cell::offset), Some(4));
        assert_eq!(range.cell(9), None);
    }
}
