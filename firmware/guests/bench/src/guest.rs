//! What is measured, in which order, and how it is printed.

use arch::gic::distributor_control;
use arch::registers::{
    core_number, elr_el1, elr_el2, esr_el1, esr_el2, icc_igrpen1_el1, icc_pmr_el1,
};
use board::console::Line;

core::arch::global_asm!(include_str!("measure.S"));

/// Rounds of a loop.
const ROUNDS: u64 = 1000;
/// Rounds of the timer: a multiple of 16 (measure.S).
const TIMER_ROUNDS: u64 = 1008;
/// Private interrupt of the virtual timer.
const VIRTUAL_TIMER: u32 = 27;
/// PSCI SYSTEM_OFF (DEN0022, 5.1.9).
const SYSTEM_OFF: u32 = 0x8400_0008;
/// Thousandths of an instruction by which reading in whole ticks of 16 falls short on average.
const TICK_LOSS: i64 = 7500;

/// Two numbers in x0 and x1.
#[repr(C)]
struct Pair {
    first: i64,
    second: u64,
}

unsafe extern "C" {
    safe fn measure_empty(rounds: u64) -> u64;
    safe fn measure_hvc(rounds: u64) -> u64;
    safe fn measure_smc(rounds: u64) -> u64;
    /// The address is readable and reading it has no effect.
    fn measure_read(rounds: u64, address: usize) -> u64;
    /// IRQs are masked, the vectors are those of measure.S, only the virtual timer is enabled.
    fn measure_timer(rounds: u64, interrupt: u64) -> Pair;
}

/// Entered by measure.S with the exception level.
#[unsafe(no_mangle)]
extern "C" fn bench_main(level: u64) -> ! {
    let empty = measure_empty(ROUNDS);
    if level == 2 {
        report("monitor-smc", measure_smc(ROUNDS), empty);
        crate::checks::run();
        end(arch::call::smc)
    }
    report("hvc", measure_hvc(ROUNDS), empty);
    report("trapped-smc", measure_smc(ROUNDS), empty);
    let kind = board::distributor().kind.address();
    // SAFETY: GICD_TYPER is a read-only register without side effects.
    let read = unsafe { measure_read(ROUNDS, kind) };
    report("distributor-read", read, empty);
    timer();
    crate::escapes::run();
    end(arch::call::hvc)
}

/// From the virtual timer's deadline to the handler's first instruction.
fn timer() {
    board::distributor().control.write(
        distributor_control::AFFINITY_ROUTING_SECURE | distributor_control::ENABLE_GROUP_1_NORMAL,
    );
    let Some(redistributor) = board::redistributor(core_number()) else {
        Line::new("bench")
            .text("timer: this core has no redistributor")
            .end();
        return;
    };
    redistributor.wake();
    // As Linux does: counts only where there is one security state.
    redistributor.set_groups(0, 0);
    redistributor.set_priority(VIRTUAL_TIMER, 0xa0);
    redistributor.enable(1 << VIRTUAL_TIMER);
    icc_pmr_el1::write(0xff);
    icc_igrpen1_el1::write(1);
    arch::barrier::isb();
    // SAFETY: IRQs are masked since _start, which also set the vectors; this core has enabled
    // no other interrupt.
    let sum = unsafe { measure_timer(TIMER_ROUNDS, u64::from(VIRTUAL_TIMER)) };
    if sum.second != 0 {
        Line::new("bench")
            .text("timer: other interrupts came: ")
            .decimal(sum.second)
            .end();
        return;
    }
    let thousandths = sum.first * 1000 / TIMER_ROUNDS as i64 + TICK_LOSS;
    print("timer", thousandths.max(0) as u64);
}

/// Prints a loop's result: what the measured instruction brought about, itself included.
fn report(name: &str, ticks: u64, empty_ticks: u64) {
    let per_tick = 1_000_000_000 / arch::counter::ticks_per_second();
    print(
        name,
        ticks.saturating_sub(empty_ticks) * per_tick * 1000 / ROUNDS,
    );
}

fn print(name: &str, thousandths: u64) {
    let port = board::console::port();
    // One line without a stage's name: machines read it.
    for text in ["bench ", name, " "] {
        text.bytes().for_each(|byte| {
            port.send(byte);
        });
    }
    let mut divisor = 10_000_000_000u64;
    while divisor > 1 && thousandths / divisor == 0 {
        divisor /= 10;
    }
    while divisor > 0 {
        port.send(b'0' + (thousandths / divisor % 10) as u8);
        divisor /= 10;
    }
    board::console::write_str("\n");
}

fn end(call: fn(u32, [u64; 3]) -> [u64; 4]) -> ! {
    board::console::write_str("bench done\n");
    call(SYSTEM_OFF, [0; 3]);
    arch::barrier::halt()
}

/// An exception nobody asked for: says where, and stops.
#[unsafe(no_mangle)]
extern "C" fn bench_unexpected(slot: u64) -> ! {
    let level = (arch::registers::current_el::read() >> 2) & 3;
    let (syndrome, at) = if level == 2 {
        (esr_el2::read(), elr_el2::read())
    } else {
        (esr_el1::read(), elr_el1::read())
    };
    Line::new("bench")
        .text("unexpected exception, slot ")
        .decimal(slot)
        .text(" esr ")
        .hex(syndrome)
        .text(" at ")
        .hex(at)
        .end();
    end(if level == 2 {
        arch::call::smc
    } else {
        arch::call::hvc
    })
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo) -> ! {
    board::console::write_str("bench: panic\n");
    arch::barrier::halt()
}
