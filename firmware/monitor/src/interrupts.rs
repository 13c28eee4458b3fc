//! The interrupt controller, divided between the worlds once and for all.
//!
//! SGI 0 to 7, PPIs and shared interrupts: normal Group 1; SGI 8 to 14, the secure timer and the
//! tasks' devices: secure Group 1, to the secure core; SGI 15 and the hypervisor's devices: Group 0.

use crate::plan::{
    FIRST_NORMAL_CORE, HYPERVISOR_INTERRUPTS, RECLAIM_SGI, SECURE_CORE, SECURE_INTERRUPTS,
};
use arch::gic::{Group, SharedInterrupt, Trigger, distributor_control as control};

/// Private interrupt of the secure timer (CNTPS).
const SECURE_TIMER_PPI: u32 = 29;
/// SGI 8 to 14 and the secure timer.
const SECURE_LOCAL: u32 = 0x7f00 | (1 << SECURE_TIMER_PPI);
/// Priorities: below 0x80 the normal world can neither see nor mask.
const GROUP_0_PRIORITY: u8 = 0x00;
/// Of the secure world.
const SECURE_PRIORITY: u8 = 0x40;
/// Of the normal world until it chooses its own (0x80 to 0xff).
const NORMAL_PRIORITY: u8 = 0xc0;

/// Divides the shared interrupts; once, on one core, before any world runs.
pub fn divide_shared() {
    let gic = board::distributor();
    gic.control.write(0);
    gic.wait_for_writes();
    gic.control
        .write(control::AFFINITY_ROUTING_SECURE | control::AFFINITY_ROUTING_NORMAL);
    gic.wait_for_writes();
    let words = gic.interrupts().div_ceil(32) as usize;
    for word in 1..words.min(gic.group.len()) {
        gic.clear_enable[word].write(u32::MAX);
        gic.clear_pending[word].write(u32::MAX);
        gic.group[word].write(u32::MAX);
        gic.group_modifier[word].write(0);
        for word in [2 * word, 2 * word + 1] {
            gic.normal_access[word].write(0);
        }
    }
    for interrupt in (0..gic.interrupts()).filter_map(SharedInterrupt::new) {
        gic.set_priority(interrupt, NORMAL_PRIORITY);
        gic.set_route(interrupt, FIRST_NORMAL_CORE as u64);
    }
    for interrupt in SECURE_INTERRUPTS
        .into_iter()
        .filter_map(SharedInterrupt::new)
    {
        gic.set_group(interrupt, Group::SecureOne);
        gic.set_priority(interrupt, SECURE_PRIORITY);
        gic.set_route(interrupt, SECURE_CORE as u64);
        gic.set_trigger(interrupt, Trigger::Level);
    }
    for interrupt in HYPERVISOR_INTERRUPTS
        .into_iter()
        .filter_map(SharedInterrupt::new)
    {
        gic.set_group(interrupt, Group::Zero);
        gic.set_priority(interrupt, GROUP_0_PRIORITY);
        gic.set_route(interrupt, FIRST_NORMAL_CORE as u64);
        // Edge: EL3 ends the interrupt before EL2 has looked at the device.
        gic.set_trigger(interrupt, Trigger::Edge);
        gic.enable(interrupt);
    }
    gic.control.write(
        control::AFFINITY_ROUTING_SECURE
            | control::AFFINITY_ROUTING_NORMAL
            | control::ENABLE_GROUP_0
            | control::ENABLE_GROUP_1_SECURE
            | control::ENABLE_GROUP_1_NORMAL,
    );
    gic.wait_for_writes();
}

/// Wakes and divides the private interrupts of `core`, before any world runs there. False where
/// its redistributor does not wake.
pub fn divide_private(core: usize) -> bool {
    let Some(gic) = board::redistributor(core) else {
        return false;
    };
    if !gic.wake() {
        return false;
    }
    gic.disable(u32::MAX);
    gic.local.clear_pending.write(u32::MAX);
    gic.set_groups(SECURE_LOCAL, 1 << RECLAIM_SGI);
    gic.local.normal_access.write(0);
    for interrupt in 0..32 {
        let priority = match 1u32 << interrupt {
            bit if bit == 1 << RECLAIM_SGI => GROUP_0_PRIORITY,
            bit if bit & SECURE_LOCAL != 0 => SECURE_PRIORITY,
            _ => NORMAL_PRIORITY,
        };
        gic.set_priority(interrupt, priority);
    }
    if core != SECURE_CORE {
        gic.enable(1 << RECLAIM_SGI);
    }
    true
}
