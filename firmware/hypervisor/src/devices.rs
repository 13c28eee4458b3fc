//! The partition's PCI devices at its end: a device that still has the old system's rings must not write into the new one.

use crate::plan::{LINUX, PERIPHERAL_PCIE_ECAM_BASE, PERIPHERAL_PCIE_ECAM_SIZE};
use arch::counter::{now_ticks, ticks_of_us};
use arch::el2::Window;

// SAFETY: mapped as device memory (entry.S); the partition, whose devices these are, has ended.
const CONFIGURATION: Window =
    unsafe { Window::new(PERIPHERAL_PCIE_ECAM_BASE, PERIPHERAL_PCIE_ECAM_SIZE) };

/// Registers of a function's configuration page (PCI Local Bus 3.0, 6.1; PCI Express 5.0, 7.5.3).
const IDENTITY: u64 = 0;
const COMMAND: u64 = 4;
const FIRST_CAPABILITY: u64 = 0x34;
/// Identity of a function that is not there.
const NOBODY: u64 = 0xffff_ffff;
/// The PCI Express capability, and in it: what the device can do, what it shall do.
const EXPRESS: u64 = 0x10;
const CAN: u64 = 4;
const DO: u64 = 8;
/// It can be reset on its own; do so.
const CAN_RESET: u64 = 1 << 28;
const RESET: u64 = 1 << 15;
/// A list of capabilities is never longer: 4 bytes each in 192.
const CAPABILITIES: usize = 48;
/// How long a reset takes at most (PCI Express 5.0, 6.6.2).
const RESET_US: u64 = 100_000;

/// Takes bus mastering from the partition's functions (virtio's stop with that), and resets those that can.
pub fn stop() {
    for stream in LINUX.streams {
        // A stream is a requester id: bus, device and function; 4 KiB each.
        let page = u64::from(*stream) << 12;
        if page >= PERIPHERAL_PCIE_ECAM_SIZE as u64 || read(page, IDENTITY) == NOBODY {
            continue;
        }
        CONFIGURATION.write(page + COMMAND, 2, 0);
        if let Some(express) = express_capability(page)
            && read(page, express + CAN) & CAN_RESET != 0
        {
            let wanted = CONFIGURATION.read(page + express + DO, 2) | RESET;
            CONFIGURATION.write(page + express + DO, 2, wanted);
            let deadline = now_ticks().saturating_add(ticks_of_us(RESET_US));
            while now_ticks() < deadline {
                arch::barrier::yield_now();
            }
        }
    }
}

fn read(page: u64, offset: u64) -> u64 {
    CONFIGURATION.read(page + offset, 4)
}

/// Where the PCI Express capability of a function is.
fn express_capability(page: u64) -> Option<u64> {
    let mut at = read(page, FIRST_CAPABILITY) & 0xfc;
    for _ in 0..CAPABILITIES {
        if at == 0 {
            return None;
        }
        let head = read(page, at);
        if head & 0xff == EXPRESS {
            return Some(at);
        }
        at = (head >> 8) & 0xfc;
    }
    None
}
