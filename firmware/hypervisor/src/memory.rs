//! What the partition may reach: its stage 2 tables.

use crate::plan::LINUX;
use arch::el2::Tables;
use arch::translation::{Error, Leaf, Memory};
use partition::Kind;

/// Root, one table for each of three GiB, and pages around what is not a multiple of 2 MiB.
const TABLES: usize = 16;
/// Name of the partition's translations.
const VMID: u8 = 1;

static STAGE_2: Tables<TABLES> = Tables::new();

/// Fills the partition's tables; once, on the first core.
///
/// # Errors
/// Where the plan's ranges overlap or are too many for the tables.
pub fn build() -> Result<(), Error> {
    STAGE_2.fill(|tables| {
        for range in LINUX.ranges {
            let leaf = match range.kind {
                Kind::Ram => Leaf::stage_2(Memory::Normal, true, true),
                Kind::ReadOnly => Leaf::stage_2(Memory::Normal, false, false),
                Kind::Device => Leaf::stage_2(Memory::Device, true, false),
            };
            tables.map(range.base, range.physical, range.bytes, leaf)?;
        }
        Ok(())
    })
}

/// This core looks up the partition's addresses in its tables from now on.
pub fn use_here() {
    arch::el2::use_stage_2(STAGE_2.root(), VMID);
}

/// The partition reaches nothing any more, on all its cores: whatever it does next is an exit.
pub fn close() {
    STAGE_2.close();
    arch::el2::drop_translations();
}

/// The partition reaches what it has.
pub fn open() {
    STAGE_2.open();
    arch::el2::drop_translations();
}
