//! When the hypervisor itself fails: the partition ends, one line, and this core stops.

use crate::lifecycle;
use arch::registers::{elr_el2, esr_el2, far_el2};
use board::console::Line;
use core::sync::atomic::{AtomicBool, Ordering};
use partition::State;

/// Whether the hypervisor has failed before: then nothing more is tried.
fn first_time() -> bool {
    static FAILED: AtomicBool = AtomicBool::new(false);
    !FAILED.swap(true, Ordering::Relaxed)
}

/// An exception of EL2's own (`kind` is the slot of the vector table).
#[unsafe(no_mangle)]
extern "C" fn hypervisor_fault(kind: u64) -> ! {
    let (syndrome, at, address) = (esr_el2::read(), elr_el2::read(), far_el2::read());
    if first_time() {
        Line::new("hypervisor")
            .text("fault, core halted: kind ")
            .decimal(kind)
            .text(" esr ")
            .hex(syndrome)
            .text(" elr ")
            .hex(at)
            .text(" far ")
            .hex(address)
            .end();
        lifecycle::end(State::Failed, "ended: the hypervisor failed");
    }
    arch::barrier::halt()
}

/// A broken invariant of ours.
#[panic_handler]
fn panic(information: &core::panic::PanicInfo<'_>) -> ! {
    if first_time() {
        let (file, line) = information
            .location()
            .map_or(("", 0), |location| (location.file(), location.line()));
        Line::new("hypervisor")
            .text("panic, core halted: ")
            .text(file)
            .text(":")
            .decimal(u64::from(line))
            .end();
        lifecycle::end(State::Failed, "ended: the hypervisor failed");
    }
    arch::barrier::halt()
}
