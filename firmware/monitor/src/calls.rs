//! What arrives at EL3 while the worlds run: calls, traps, and the monitor's own faults.

use crate::plan::{CORES, PSCI, RECLAIM_SGI};
use arch::registers::{core_number, elr_el3, esr_el3, far_el3, spsr_el3};
use board::console::Line;
use core::sync::atomic::{AtomicBool, Ordering};
use psci::{Answer, Call, World, code};

/// Exception class of SMC from AArch64 (DDI 0487, D19.2.37).
const CLASS_SMC: u64 = 0x17;
/// Traps that are reported, in all; then they are only reflected.
const REPORTED_TRAPS: u32 = 8;

/// Registers of the caller, as vectors.S saves them.
#[repr(C)]
pub struct Frame {
    /// x0 to x15.
    registers: [u64; 16],
    x18: u64,
    x30: u64,
    x16: u64,
    x17: u64,
}

/// Synchronous exceptions from below that vectors.S does not answer itself.
#[unsafe(no_mangle)]
extern "C" fn monitor_synchronous(frame: &mut Frame) {
    if (esr_el3::read() >> 26) & 0x3f == CLASS_SMC {
        call(frame);
    } else {
        trap();
    }
}

fn call(frame: &mut Frame) {
    let core = core_number();
    let [function, first, second, third, ..] = frame.registers;
    let call = Call {
        core,
        world: PSCI.world(core).unwrap_or(World::Normal),
        level: ((spsr_el3::read() >> 2) & 3) as u8,
        function: function as u32,
        arguments: [first, second, third],
    };
    frame.registers[0] = match PSCI.call(&call) {
        Answer::Return(value) => value,
        Answer::Started(core) => {
            crate::boot::wake(core);
            code::SUCCESS
        }
        Answer::CoreOff => crate::boot::park(core),
        Answer::SystemOff => {
            Line::new("monitor").text("power off").end();
            board::power::off()
        }
        Answer::SystemReset => {
            Line::new("monitor").text("restart").end();
            board::power::restart()
        }
        // vectors.S answers this one; reached only if EL2 calls on SP_EL0.
        Answer::Doorbell => code::NOT_SUPPORTED,
        Answer::Reclaim(cores) => {
            arch::el3::send_group_0(RECLAIM_SGI, cores);
            code::SUCCESS
        }
    };
}

/// A lower level touched what is kept from it: reported, and given back as undefined.
fn trap() {
    static LEFT: core::sync::atomic::AtomicU32 = core::sync::atomic::AtomicU32::new(REPORTED_TRAPS);
    let left = LEFT.load(Ordering::Relaxed);
    if left > 0 {
        LEFT.store(left - 1, Ordering::Relaxed);
        report("trap from below", 8);
    }
    arch::el3::reflect_as_undefined();
}

/// The monitor itself faulted (`kind` is the slot of the vector table): one line, and this core
/// stops with everything masked. It holds no lock, so the others go on.
#[unsafe(no_mangle)]
extern "C" fn monitor_fault(kind: u64) -> ! {
    static FAULTED: [AtomicBool; CORES] = [const { AtomicBool::new(false) }; CORES];
    let first = FAULTED
        .get(core_number())
        .is_some_and(|faulted| !faulted.swap(true, Ordering::Relaxed));
    if first {
        report("fault, core halted", kind);
    }
    arch::barrier::halt()
}

fn report(what: &str, kind: u64) {
    Line::new("monitor")
        .text(what)
        .text(": core ")
        .decimal(core_number() as u64)
        .text(" kind ")
        .decimal(kind)
        .text(" esr ")
        .hex(esr_el3::read())
        .text(" elr ")
        .hex(elr_el3::read())
        .text(" far ")
        .hex(far_el3::read())
        .end();
}

/// A broken invariant of ours: where, and this core stops.
#[panic_handler]
fn panic(information: &core::panic::PanicInfo) -> ! {
    let (file, line) = information
        .location()
        .map_or(("", 0), |location| (location.file(), location.line()));
    Line::new("monitor")
        .text("panic at ")
        .text(file)
        .text(":")
        .decimal(u64::from(line))
        .text(", core halted")
        .end();
    arch::barrier::halt()
}
