//! The interrupts of the secure core: the timer, the tasks' devices, the doorbells.

use crate::plan::{TASKS, TIMER_INTERRUPT};
use arch::gic::{NONE_PENDING, SharedInterrupt};
use arch::registers::{core_number, icc_eoir1_el1, icc_iar1_el1};

/// Notification bit of a task's peripheral; `task_messages::notification::INTERRUPT`.
const INTERRUPT_BIT: u32 = 1 << 1;
/// Notification bit of a doorbell; `task_messages::notification::DOORBELL`.
const DOORBELL_BIT: u32 = 1 << 2;

/// What an interrupt means.
pub enum Cause {
    /// The timer.
    Timer,
    /// Notification bits for a task.
    Notify(usize, u32),
    /// Nobody's.
    Unknown,
}

/// Enables the timer and every task's interrupt and doorbell.
pub fn enable() {
    let doorbells = TASKS
        .iter()
        .filter(|task| task.doorbell != 0)
        .fold(0, |mask, task| mask | 1 << task.doorbell);
    if let Some(redistributor) = board::redistributor(core_number()) {
        redistributor.enable(doorbells | 1 << TIMER_INTERRUPT);
    }
    TASKS.iter().for_each(|task| unmask(task.interrupt));
    arch::el1::open_interrupts();
}

/// Lets a shared interrupt come again.
pub fn unmask(interrupt: u32) {
    if let Some(interrupt) = SharedInterrupt::new(interrupt) {
        board::distributor().enable(interrupt);
    }
}

/// Makes a shared interrupt of a partition pend.
pub fn raise(interrupt: u32) {
    if let Some(interrupt) = SharedInterrupt::new(interrupt) {
        board::distributor().pend(interrupt);
    }
}

/// Takes the next pending interrupt: what it means, or `None`. A device's interrupt is masked until
/// its task unmasks it; the timer is set anew before the next task runs.
pub fn take() -> Option<Cause> {
    let interrupt = icc_iar1_el1::read() as u32 & 0xff_ffff;
    if interrupt == NONE_PENDING || interrupt >= 1020 {
        return None;
    }
    let cause = cause_of(interrupt);
    match cause {
        Cause::Timer => arch::el1::set_secure_timer(u64::MAX),
        Cause::Notify(..) | Cause::Unknown => {
            if let Some(shared) = SharedInterrupt::new(interrupt) {
                board::distributor().disable(shared);
            }
        }
    }
    arch::barrier::isb();
    icc_eoir1_el1::write(interrupt.into());
    Some(cause)
}

fn cause_of(interrupt: u32) -> Cause {
    if interrupt == TIMER_INTERRUPT {
        return Cause::Timer;
    }
    for (index, task) in TASKS.iter().enumerate() {
        if task.interrupt == interrupt {
            return Cause::Notify(index, INTERRUPT_BIT);
        }
        if task.doorbell == interrupt {
            return Cause::Notify(index, DOORBELL_BIT);
        }
    }
    Cause::Unknown
}
