//! Interrupts as notifications: the timer, the doorbell, the tasks' devices.

use crate::plan::{SECURE_CORE, TASKS};
use arch::gic::{FIRST_SHARED, SharedInterrupt};

/// Private interrupt of the secure timer (CNTPS).
pub const TIMER: u32 = 29;

/// Opens this core for the timer and the doorbells; devices stay masked until their tasks ask.
pub fn enable() {
    let doorbells = TASKS
        .iter()
        .filter(|plan| plan.doorbell != 0)
        .fold(0, |mask, plan| mask | 1 << plan.doorbell);
    if let Some(local) = board::redistributor(SECURE_CORE) {
        local.enable(1 << TIMER | doorbells);
    }
    arch::el1::enable_interrupts();
}

/// Lets an interrupt come (again).
pub fn unmask(interrupt: u32) {
    if let Some(shared) = SharedInterrupt::new(interrupt) {
        board::distributor().enable(shared);
    } else if let Some(local) = board::redistributor(SECURE_CORE) {
        local.enable(1 << interrupt);
    }
}

/// Keeps an interrupt from coming; it stays pending.
pub fn mask(interrupt: u32) {
    if let Some(shared) = SharedInterrupt::new(interrupt) {
        board::distributor().disable(shared);
    } else if let Some(local) = board::redistributor(SECURE_CORE) {
        local.disable(1 << interrupt);
    }
}

/// Makes an interrupt of a partition pend.
pub fn raise(interrupt: u32) {
    if let Some(shared) = SharedInterrupt::new(interrupt) {
        board::distributor().pend(shared);
    }
}

/// The task an interrupt belongs to, if there is one.
pub fn owner(interrupt: u32) -> Option<usize> {
    let is_its = |plan: &&kernel_core::plan::TaskPlan| {
        if interrupt < FIRST_SHARED {
            plan.doorbell == interrupt
        } else {
            plan.interrupt == interrupt
        }
    };
    TASKS.iter().position(|plan| is_its(&plan))
}
