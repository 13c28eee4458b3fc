//! When the kernel itself fails: one line, and the secure core stops with everything masked.
//!
//! The devices on the bus then miss their commands and go to their own safe state.

use board::console::Line;
use core::sync::atomic::{AtomicBool, Ordering};

/// Whether the kernel has failed before: then nothing more is tried.
fn first_time() -> bool {
    static FAILED: AtomicBool = AtomicBool::new(false);
    !FAILED.swap(true, Ordering::Relaxed)
}

/// An exception at EL1 (vectors.S), on a stack of its own.
#[unsafe(no_mangle)]
extern "C" fn kernel_fault(syndrome: u64, pc: u64, address: u64, link: u64) -> ! {
    if first_time() {
        Line::new("kernel")
            .text("fault, secure core halted: esr ")
            .hex(syndrome)
            .text(" elr ")
            .hex(pc)
            .text(" far ")
            .hex(address)
            .text(" lr ")
            .hex(link)
            .end();
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
        Line::new("kernel")
            .text("panic, secure core halted: ")
            .text(file)
            .text(":")
            .decimal(u64::from(line))
            .end();
    }
    arch::barrier::halt()
}
