//! The interrupt controller's registers, as far as they are the partition's: filtered, then done.

use crate::plan::{CORES, LINUX};
use arch::el2::Window;
use arch::gic::sgi;
use board::qemu_virt::{DISTRIBUTOR_BASE, REDISTRIBUTOR_BASE, REDISTRIBUTOR_STRIDE};
use partition::access::Access;
use partition::interrupts::{Action, FRAME_BYTES, Read, Write};

const DISTRIBUTOR_BYTES: u64 = 0x1_0000;
const REDISTRIBUTORS_BYTES: u64 = CORES as u64 * FRAME_BYTES;
const _: () = assert!(FRAME_BYTES == REDISTRIBUTOR_STRIDE as u64);

// SAFETY: mapped as device memory (entry.S). Registers with a bit for each interrupt are written
// one to set or clear; where a register is read, changed and written, the normal world's view
// holds only the partition's own interrupts, which it must order itself as on bare metal.
const DISTRIBUTOR: Window = unsafe { Window::new(DISTRIBUTOR_BASE, DISTRIBUTOR_BYTES as usize) };
// SAFETY: as above.
const REDISTRIBUTORS: Window =
    unsafe { Window::new(REDISTRIBUTOR_BASE, REDISTRIBUTORS_BYTES as usize) };

/// Which part of the interrupt controller an address is in, and the offset there.
#[derive(Debug, Clone, Copy)]
pub enum Place {
    /// The distributor.
    Distributor(u32),
    /// The redistributor of a core.
    Redistributor(u64, u32),
}

/// Where in the distributor `address` is; `None` where it is not there.
#[inline(always)]
pub fn distributor_offset(address: u64) -> Option<u32> {
    let offset = address.wrapping_sub(DISTRIBUTOR_BASE as u64);
    (offset < DISTRIBUTOR_BYTES).then_some(offset as u32)
}

/// What the partition loads (4 bytes) there, where that is frequent; else see [`read`].
#[inline(always)]
pub fn load_frequent(offset: u32) -> Option<u64> {
    if !offset.is_multiple_of(4) {
        return None;
    }
    let Read { keep, set, .. } = LINUX.interrupts.read_frequent(offset)?;
    if keep == 0 {
        return Some(set);
    }
    Some(DISTRIBUTOR.read(u64::from(offset), 4) & keep | set)
}

/// `None` where `address` is not the interrupt controller's.
pub fn place(address: u64) -> Option<Place> {
    if let Some(offset) = distributor_offset(address) {
        return Some(Place::Distributor(offset));
    }
    let offset = address.wrapping_sub(REDISTRIBUTOR_BASE as u64);
    if offset < REDISTRIBUTORS_BYTES {
        let within = (offset % FRAME_BYTES) as u32;
        return Some(Place::Redistributor(offset / FRAME_BYTES, within));
    }
    None
}

/// What the partition reads there, and whether it was refused.
pub fn read(place: Place, access: &Access) -> (u64, bool) {
    if !access.is_aligned() {
        return (0, true);
    }
    let (window, offset, answer) = match place {
        Place::Distributor(offset) => {
            let answer = LINUX.interrupts.read_distributor(offset, access.bytes);
            (DISTRIBUTOR, u64::from(offset), answer)
        }
        Place::Redistributor(core, offset) => {
            let answer = LINUX
                .interrupts
                .read_redistributor(core, offset, access.bytes);
            (
                REDISTRIBUTORS,
                core * FRAME_BYTES + u64::from(offset),
                answer,
            )
        }
    };
    let Read { keep, set, refused } = answer;
    let seen = if keep == 0 {
        0
    } else {
        window.read(offset, access.bytes) & keep
    };
    (seen | set, refused)
}

/// Writes what of `value` is the partition's to write; true where part of it was refused.
pub fn write(place: Place, access: &Access, value: u64) -> bool {
    if !access.is_aligned() {
        return true;
    }
    let bytes = access.bytes;
    let (window, offset, answer) = match place {
        Place::Distributor(offset) => {
            let answer = LINUX.interrupts.write_distributor(offset, bytes, value);
            (DISTRIBUTOR, u64::from(offset), answer)
        }
        Place::Redistributor(core, offset) => {
            let answer = LINUX
                .interrupts
                .write_redistributor(core, offset, bytes, value);
            (
                REDISTRIBUTORS,
                core * FRAME_BYTES + u64::from(offset),
                answer,
            )
        }
    };
    let Write { action, refused } = answer;
    match action {
        Action::Ignore => {}
        Action::Store(value) => window.write(offset, bytes, value),
        Action::Change(bits) => {
            let kept = window.read(offset, bytes) & !bits;
            window.write(offset, bytes, kept | (value & bits));
        }
        Action::Bytes(own) => {
            for index in (0..bytes).filter(|index| own & (1 << index) != 0) {
                window.write(offset + u64::from(index), 1, value >> (8 * index));
            }
        }
    }
    refused
}

/// The partition's shared interrupts: none enabled, pending or active any more.
pub fn silence_shared() {
    let gic = board::distributor();
    for (word, own) in LINUX.interrupts.shared.iter().enumerate() {
        if *own != 0 {
            gic.clear_enable[word].write(*own);
            gic.clear_pending[word].write(*own);
            gic.clear_active[word].write(*own);
        }
    }
    gic.wait_for_writes();
}

/// The same for the private interrupts of `core`.
pub fn silence_core(core: usize) {
    if let Some(gic) = board::redistributor(core) {
        let own = LINUX.interrupts.private;
        gic.local.clear_enable.write(own);
        gic.local.clear_pending.write(own);
        gic.local.clear_active.write(own);
    }
}

/// Wakes the partition's other cores, which find that nothing is mapped any more. One of them may sleep
/// in a handler of its own (Linux parks a stopped core so): the priority is above any Linux uses.
pub fn call_out(core: usize) {
    const ANY_SGI: u32 = 0;
    let others = LINUX.cores & !(1 << core) & 0xffff;
    for other in (0..CORES).filter(|other| others & (1 << other) != 0) {
        if let Some(gic) = board::redistributor(other) {
            gic.set_priority(ANY_SGI, 0);
            gic.enable(1 << ANY_SGI);
        }
    }
    arch::barrier::dsb_sy();
    arch::el2::send_group_1(sgi(ANY_SGI, others as u16));
}
