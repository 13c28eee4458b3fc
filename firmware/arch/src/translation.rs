//! Translation tables, 4 KiB granule: stage 1 of EL3, EL2 and EL1&0, and stage 2. No unsafe here.
//!
//! [`Leaf`] says what a page or block is; [`Builder`] puts pages and the largest blocks that fit
//! into a fixed pool of tables. Descriptors: Arm DDI 0487, D8.3. All tables use the memory
//! types of [`MAIR`].

/// Bytes of a page.
pub const PAGE_BYTES: u64 = 4096;
/// Bytes of a level 2 block.
pub const BLOCK_2_BYTES: u64 = 2 << 20;
/// Bytes of a level 1 block.
pub const BLOCK_1_BYTES: u64 = 1 << 30;

/// Value for MAIR_ELx: 0 = Device-nGnRE, 1 = Normal write-back, 2 = Normal non-cacheable.
pub const MAIR: u64 = 0x04 | (0xff << 8) | (0x44 << 16);

const VALID: u64 = 1;
const TABLE_OR_PAGE: u64 = 1 << 1;
const ACCESS_FLAG: u64 = 1 << 10;
const INNER_SHAREABLE: u64 = 0b11 << 8;
const ADDRESS: u64 = 0x0000_ffff_ffff_f000;

/// Kind of memory behind a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Memory {
    /// Device registers (nGnRE).
    Device,
    /// Cached RAM, inner shareable.
    Normal,
    /// RAM that is not cached.
    Uncached,
}

impl Memory {
    const fn stage_1(self) -> u64 {
        match self {
            Self::Device => 0,
            Self::Normal => (1 << 2) | INNER_SHAREABLE,
            Self::Uncached => (2 << 2) | INNER_SHAREABLE,
        }
    }
    const fn stage_2(self) -> u64 {
        match self {
            Self::Device => 0b0001 << 2,
            Self::Normal => (0b1111 << 2) | INNER_SHAREABLE,
            Self::Uncached => (0b0101 << 2) | INNER_SHAREABLE,
        }
    }
}

/// What may be done; nothing is both writable and executable.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Read.
    Read,
    /// Read and write.
    ReadWrite,
    /// Read and execute.
    ReadExecute,
}

impl Access {
    const fn writable(self) -> bool {
        matches!(self, Self::ReadWrite)
    }
    const fn executable(self) -> bool {
        matches!(self, Self::ReadExecute)
    }
}

/// Attribute bits of a page or block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Leaf(u64);

impl Leaf {
    const READ_ONLY: u64 = 1 << 7;
    const EL0: u64 = 1 << 6;
    const NORMAL_WORLD: u64 = 1 << 5;
    const NOT_GLOBAL: u64 = 1 << 11;
    const PRIVILEGED_NEVER_EXECUTE: u64 = 1 << 53;
    const NEVER_EXECUTE: u64 = 1 << 54;
    const GUARDED: u64 = 1 << 50;

    /// Stage 1 of EL2 or EL3 (one address range, no EL0).
    #[must_use]
    pub const fn el2_or_el3(memory: Memory, access: Access) -> Self {
        // AP[1] is RES1 in a regime of one level (D8.4.1).
        let mut bits = memory.stage_1() | Self::EL0;
        if !access.writable() {
            bits |= Self::READ_ONLY;
        }
        if !access.executable() {
            bits |= Self::NEVER_EXECUTE;
        }
        Self(bits)
    }

    /// Stage 1 of EL1&0, for EL1 only: EL0 has no access at all.
    #[must_use]
    pub const fn el1(memory: Memory, access: Access) -> Self {
        let mut bits = memory.stage_1() | Self::NEVER_EXECUTE;
        if !access.writable() {
            bits |= Self::READ_ONLY;
        }
        if !access.executable() {
            bits |= Self::PRIVILEGED_NEVER_EXECUTE;
        }
        Self(bits)
    }

    /// Stage 1 of EL1&0, for EL0 (EL1 may read or write it too, never execute); of one ASID.
    #[must_use]
    pub const fn el0(memory: Memory, access: Access) -> Self {
        let mut bits =
            memory.stage_1() | Self::EL0 | Self::NOT_GLOBAL | Self::PRIVILEGED_NEVER_EXECUTE;
        if !access.writable() {
            bits |= Self::READ_ONLY;
        }
        if !access.executable() {
            bits |= Self::NEVER_EXECUTE;
        }
        Self(bits)
    }

    /// Stage 1 for an SMMU stream: reads and writes of a device, never fetches.
    #[must_use]
    pub const fn dma(memory: Memory, writable: bool) -> Self {
        let access = if writable {
            Access::ReadWrite
        } else {
            Access::Read
        };
        Self(Self::el0(memory, access).0 | Self::NEVER_EXECUTE)
    }

    /// Stage 2: what a partition may do with its memory. `executable` is its own affair for its
    /// RAM (it has its own W^X), so that is said apart from `writable`.
    #[must_use]
    pub const fn stage_2(memory: Memory, writable: bool, executable: bool) -> Self {
        let mut bits = memory.stage_2() | (1 << 6);
        if writable {
            bits |= 1 << 7;
        }
        if !executable {
            bits |= Self::NEVER_EXECUTE;
        }
        Self(bits)
    }

    /// The same, seen through the secure world's tables as memory of the normal world.
    #[must_use]
    pub const fn of_normal_world(self) -> Self {
        Self(self.0 | Self::NORMAL_WORLD)
    }

    /// The same, with branch targets checked (BTI).
    #[must_use]
    pub const fn guarded(self) -> Self {
        Self(self.0 | Self::GUARDED)
    }

    /// The descriptor of a page at `address`.
    #[must_use]
    pub const fn page(self, address: u64) -> u64 {
        (address & ADDRESS) | self.0 | ACCESS_FLAG | TABLE_OR_PAGE | VALID
    }

    /// The descriptor of a block at `address`.
    #[must_use]
    pub const fn block(self, address: u64) -> u64 {
        (address & ADDRESS) | self.0 | ACCESS_FLAG | VALID
    }
}

/// The descriptor of a next-level table at `address`.
#[must_use]
pub const fn table(address: u64) -> u64 {
    (address & ADDRESS) | TABLE_OR_PAGE | VALID
}

/// One table: 512 descriptors.
#[repr(C, align(4096))]
#[derive(Clone)]
pub struct Table(pub [u64; 512]);

impl Table {
    /// Nothing mapped.
    pub const EMPTY: Self = Self([0; 512]);
}

/// Why something was not mapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// An address or a size is not a multiple of 4 KiB, or reaches beyond the tables' range.
    Range,
    /// Part of it is mapped already.
    Overlap,
    /// The pool has no table left.
    OutOfTables,
}

/// Fills tables. The first `roots` tables of the pool are the (concatenated) start level.
pub struct Builder<'a> {
    tables: &'a mut [Table],
    base: u64,
    used: usize,
    roots: usize,
    start_level: u8,
}

impl<'a> Builder<'a> {
    /// Tables in `pool`, whose physical address is `base`; look-up starts at `start_level`
    /// (0 to 2) in `roots` concatenated tables (1 for stage 1). `None` where the pool is smaller
    /// than that, `base` is no page address, or the level does not exist.
    #[must_use]
    pub fn new(pool: &'a mut [Table], base: u64, start_level: u8, roots: usize) -> Option<Self> {
        if roots == 0
            || roots > 16
            || pool.len() < roots
            || start_level > 2
            || !base.is_multiple_of(PAGE_BYTES)
        {
            return None;
        }
        for root in &mut pool[..roots] {
            *root = Table::EMPTY;
        }
        Some(Self {
            tables: pool,
            base,
            used: roots,
            roots,
            start_level,
        })
    }

    /// Physical address of the start level, for TTBR or VTTBR.
    #[must_use]
    pub fn root(&self) -> u64 {
        self.base
    }

    /// Tables used so far.
    #[must_use]
    pub fn used(&self) -> usize {
        self.used
    }

    /// Bits of address below the entries of `level`.
    const fn shift(level: u8) -> u32 {
        12 + 9 * (3 - level as u32)
    }

    /// Maps `bytes` bytes at `input` to `output`, with the largest blocks that fit.
    ///
    /// # Errors
    /// See [`Error`]; what was mapped before the error stays.
    pub fn map(&mut self, input: u64, output: u64, bytes: u64, leaf: Leaf) -> Result<(), Error> {
        let limit = (self.roots as u64) << (Self::shift(self.start_level) + 9).min(52);
        let end = input.checked_add(bytes).ok_or(Error::Range)?;
        let output_end = output.checked_add(bytes).ok_or(Error::Range)?;
        if !(input | output | bytes).is_multiple_of(PAGE_BYTES)
            || end > limit
            || output_end > 1 << 48
        {
            return Err(Error::Range);
        }
        let mut done = 0;
        while done < bytes {
            done += self.map_one(input + done, output + done, bytes - done, leaf)?;
        }
        Ok(())
    }

    /// Maps the largest block or page that fits, and says how many bytes it took.
    fn map_one(&mut self, input: u64, output: u64, bytes: u64, leaf: Leaf) -> Result<u64, Error> {
        let mut level = self.start_level;
        let start_index = (input >> Self::shift(level)) as usize;
        let mut table_index = start_index / 512;
        let mut entry = start_index % 512;
        loop {
            let size = 1u64 << Self::shift(level);
            let fits = (input | output).is_multiple_of(size) && bytes >= size;
            let found = self.tables[table_index].0[entry];
            if level == 3 || (level >= 1 && fits && found & VALID == 0) {
                if found & VALID != 0 {
                    return Err(Error::Overlap);
                }
                self.tables[table_index].0[entry] = if level == 3 {
                    leaf.page(output)
                } else {
                    leaf.block(output)
                };
                return Ok(size);
            }
            table_index = self.next(table_index, entry, found)?;
            level += 1;
            entry = (input >> Self::shift(level)) as usize % 512;
        }
    }

    /// Index in the pool of the table behind `found`, made where there is none.
    fn next(&mut self, table_index: usize, entry: usize, found: u64) -> Result<usize, Error> {
        if found & VALID == 0 {
            let new = self.used;
            *self.tables.get_mut(new).ok_or(Error::OutOfTables)? = Table::EMPTY;
            self.used += 1;
            self.tables[table_index].0[entry] = table(self.base + new as u64 * PAGE_BYTES);
            return Ok(new);
        }
        if found & TABLE_OR_PAGE == 0 {
            return Err(Error::Overlap);
        }
        let offset = (found & ADDRESS)
            .checked_sub(self.base)
            .ok_or(Error::Range)?;
        Ok((offset / PAGE_BYTES) as usize)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    extern crate std;
    use std::{vec, vec::Vec};

    const BASE: u64 = 0x8000_0000;

    /// Walks as the hardware does: output address and leaf bits.
    fn walk(tables: &[Table], start_level: u8, input: u64) -> Option<(u64, u64)> {
        let mut level = start_level;
        let start = (input >> Builder::shift(level)) as usize;
        let mut index = start / 512;
        let mut entry = start % 512;
        loop {
            let found = tables[index].0[entry];
            if found & VALID == 0 {
                return None;
            }
            if level == 3 || found & TABLE_OR_PAGE == 0 {
                let mask = (1u64 << Builder::shift(level)) - 1;
                return Some((
                    (found & ADDRESS & !mask) | (input & mask),
                    found & !(ADDRESS & !mask),
                ));
            }
            index = ((found & ADDRESS) - BASE) as usize / 4096;
            level += 1;
            entry = (input >> Builder::shift(level)) as usize % 512;
        }
    }

    #[test]
    fn every_page_of_a_ragged_range_is_mapped_and_nothing_else() {
        let mut pool: Vec<Table> = vec![Table::EMPTY; 8];
        let leaf = Leaf::el2_or_el3(Memory::Normal, Access::ReadWrite);
        let (start, bytes) = (0x3fe0_3000u64, 0x4063_1000u64);
        let used = {
            let mut builder = Builder::new(&mut pool, BASE, 1, 1).expect("pool");
            builder
                .map(start, start + 0x1000_0000, bytes, leaf)
                .expect("fits");
            builder.used()
        };
        assert!(used <= 8);
        let mut page = start - 0x10_0000;
        while page < start + bytes + 0x10_0000 {
            let inside = page >= start && page < start + bytes;
            let got = walk(&pool, 1, page + 0x123).map(|(output, _)| output);
            assert_eq!(
                got,
                inside.then_some(page + 0x123 + 0x1000_0000),
                "{page:#x}"
            );
            page += 4096;
        }
    }

    #[test]
    fn aligned_gigabyte_is_one_block() {
        let mut pool = vec![Table::EMPTY; 1];
        let leaf = Leaf::stage_2(Memory::Normal, true, true);
        let mut builder = Builder::new(&mut pool, BASE, 1, 1).expect("pool");
        builder.map(1 << 30, 1 << 30, 1 << 30, leaf).expect("fits");
        assert_eq!(builder.used(), 1);
    }

    #[test]
    fn overlap_range_and_pool_are_refused() {
        let mut pool = vec![Table::EMPTY; 3];
        let leaf = Leaf::el1(Memory::Device, Access::ReadWrite);
        let mut builder = Builder::new(&mut pool, BASE, 1, 1).expect("pool");
        builder.map(0x1000, 0x1000, 0x1000, leaf).expect("fits");
        assert_eq!(builder.map(0x1000, 0, 0x1000, leaf), Err(Error::Overlap));
        assert_eq!(builder.map(0x1001, 0, 0x1000, leaf), Err(Error::Range));
        assert_eq!(builder.map(1 << 39, 0, 0x1000, leaf), Err(Error::Range));
        assert_eq!(
            builder.map(u64::MAX - 0xfff, 0, 0x2000, leaf),
            Err(Error::Range)
        );
        assert_eq!(
            builder.map(1 << 30, 0, 0x1000, leaf),
            Err(Error::OutOfTables)
        );
    }

    #[test]
    fn two_concatenated_roots_reach_twice_as_far() {
        let mut pool = vec![Table::EMPTY; 2];
        let leaf = Leaf::stage_2(Memory::Normal, true, false);
        {
            let mut builder = Builder::new(&mut pool, BASE, 1, 2).expect("pool");
            builder.map(513 << 30, 0, 1 << 30, leaf).expect("fits");
        }
        assert_eq!(walk(&pool, 1, (513 << 30) + 5).map(|x| x.0), Some(5));
    }

    #[test]
    fn nothing_is_writable_and_executable() {
        for leaf in [
            Leaf::el2_or_el3(Memory::Normal, Access::ReadWrite),
            Leaf::el1(Memory::Normal, Access::ReadWrite),
            Leaf::el0(Memory::Normal, Access::ReadWrite),
        ] {
            assert!(leaf.page(0) & Leaf::NEVER_EXECUTE != 0);
        }
        let kernel = Leaf::el1(Memory::Normal, Access::ReadExecute).page(0);
        assert!(kernel & Leaf::READ_ONLY != 0 && kernel & Leaf::EL0 == 0);
        let task = Leaf::el0(Memory::Normal, Access::ReadExecute).page(0);
        assert!(task & Leaf::PRIVILEGED_NEVER_EXECUTE != 0 && task & Leaf::READ_ONLY != 0);
        // Stage 2 of a read-only page: S2AP = 0b01.
        assert_eq!(
            Leaf::stage_2(Memory::Normal, false, false).page(0) >> 6 & 0b11,
            0b01
        );
    }
}
