//! Where a component may go: inside the memory the device description names for it.

use crate::{Reason, Refusal, TrustedComponent};
use manifest::suit::Compression;

/// Memory that the device description names for one component.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Region {
    /// The component's name.
    pub name: &'static str,
    /// Physical address.
    pub base: u64,
    /// Size in bytes.
    pub size: u64,
}

/// Where a component's bytes go; all of it lies in its region.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Placement {
    /// Physical address of the first byte.
    pub base: u64,
    /// Bytes in memory.
    pub bytes: u64,
    /// Physical address the stored bytes are copied to: `base`, or where they are
    /// compressed the end of the region, from where they are then unpacked to `base`.
    pub stored_base: u64,
    /// Number of stored bytes.
    pub stored_bytes: u64,
}

impl Placement {
    const fn end(&self) -> u64 {
        self.base.saturating_add(self.bytes)
    }
}

/// Places `component` in the one of `regions` that bears its name, beside what was `placed` before.
///
/// # Errors
/// Where no region bears its name, it does not lie inside, or it overlaps one of `placed`.
pub fn place(
    component: &TrustedComponent,
    regions: &[Region],
    placed: impl Iterator<Item = (u64, u64)>,
) -> Result<Placement, Refusal> {
    let refuse = |reason| Refusal::new(component.name, reason);
    let region = regions.iter().find(|region| region.name == component.name);
    let region = region.ok_or(refuse(Reason::ComponentUnknown))?;
    let outside = || refuse(Reason::OutsideRegion);
    let base = component.load_address;
    let end = base
        .checked_add(component.memory_bytes)
        .ok_or_else(outside)?;
    let region_end = region.base.checked_add(region.size).ok_or_else(outside)?;
    if base < region.base || end > region_end {
        return Err(outside());
    }
    let stored_base = match component.compression {
        Compression::None => base,
        Compression::Lz4 => region_end
            .checked_sub(component.stored_bytes)
            .ok_or_else(outside)?,
    };
    if stored_base != base && stored_base < end {
        return Err(outside());
    }
    let placement = Placement {
        base,
        bytes: component.memory_bytes,
        stored_base,
        stored_bytes: component.stored_bytes,
    };
    if component
        .entry
        .is_some_and(|entry| entry < base || entry >= end)
    {
        return Err(refuse(Reason::WrongEntry));
    }
    for (other_base, other_bytes) in placed {
        let other_end = other_base.saturating_add(other_bytes);
        let unpacking = stored_base.saturating_add(component.stored_bytes).max(end);
        if (base < other_end && other_base < placement.end())
            || (stored_base < other_end && other_base < unpacking)
        {
            return Err(refuse(Reason::Overlap));
        }
    }
    Ok(placement)
}
