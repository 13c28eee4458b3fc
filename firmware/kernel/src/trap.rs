//! From a trap to the next task: saves nothing itself (vectors.S does), decides nothing itself (`kernel_core` does).

use crate::interrupts::{self, Cause};
use crate::plan::{TASK_COUNT, TASKS};
use crate::space::{self, TaskMemory};
use arch::el1::{self, Single};
use arch::registers::{esr_el1, far_el1, spsr_el1};
use board::console::Line;
use kernel_core::{Action, Fault, Kernel, NOBODY, Registers};

/// The state of all tasks.
static KERNEL: Single<Kernel<TASK_COUNT>> = Single::EMPTY;
/// Exception class of a system call (ESR_EL1.EC of SVC from AArch64).
const CLASS_SVC: u64 = 0x15;
/// Status a task runs with: EL0, FIQ masked (Group 0 goes to EL3 all the same), IRQ not.
const TASK_STATUS: u64 = spsr_el1::EL0T | spsr_el1::F;

/// Makes every task from its image. A task whose image is broken is left faulted, and that is said.
pub fn start_tasks() {
    space::prepare();
    let kernel = Kernel::new(
        &TASKS,
        arch::counter::ticks_per_second(),
        arch::counter::now_ticks(),
    );
    // SAFETY: the one secure core, exceptions masked, before any task runs.
    unsafe { KERNEL.set(kernel) };
    for index in 0..TASK_COUNT {
        start(index);
    }
}

/// The first task's registers.
pub fn resume_first() -> *const Registers {
    // SAFETY: as in `kernel_trap`: set by `start_tasks`, exceptions masked.
    leave(unsafe { KERNEL.get() })
}

/// Makes a task's memory anew and lets it run from its beginning.
fn start(index: usize) {
    // SAFETY: as in `kernel_trap`.
    let kernel = unsafe { KERNEL.get() };
    match space::make(index) {
        Ok((space, entry)) => kernel.start(index, space, entry, TASK_STATUS),
        Err(error) => {
            let why = match error {
                space::Error::Image(_) => " has no image that can be started",
                space::Error::Map(_) => " does not fit its tables",
            };
            Line::new("kernel")
                .text("task ")
                .text(TASKS[index].name)
                .text(why)
                .end();
        }
    }
}

/// Entered by vectors.S on the kernel's stack with the current task's registers saved: 0 synchronous,
/// 1 IRQ, else FIQ or SError. Returns the registers of the task to resume.
#[unsafe(no_mangle)]
extern "C" fn kernel_trap(kind: u64) -> *const Registers {
    // SAFETY: `start_tasks` has set it; only the secure core runs this, exceptions are masked in
    // EL1, and no reference outlives this call.
    let kernel = unsafe { KERNEL.get() };
    kernel.charge(arch::counter::now_ticks());
    match kind {
        0 if esr_el1::read() >> 26 == CLASS_SVC => {
            let action = kernel.system_call(&mut TaskMemory);
            act(action);
        }
        1 => take_interrupts(kernel),
        _ => {
            let syndrome = esr_el1::read();
            let pc = kernel
                .tasks
                .get(kernel.current())
                .map_or(0, |task| task.registers.pc);
            let fault = Fault {
                cause: syndrome >> 26,
                syndrome,
                address: far_el1::read(),
                pc,
            };
            report(kernel, &fault);
            let action = kernel.fault(fault);
            act(action);
        }
    }
    leave(kernel)
}

/// Says on the console which task faulted, where and why.
fn report(kernel: &Kernel<TASK_COUNT>, fault: &Fault) {
    let name = TASKS.get(kernel.current()).map_or("?", |task| task.name);
    Line::new("kernel")
        .text("task ")
        .text(name)
        .text(" faulted: syndrome ")
        .hex(fault.syndrome)
        .text(" address ")
        .hex(fault.address)
        .text(" pc ")
        .hex(fault.pc)
        .end();
}

/// Does to the hardware what a call asks for.
fn act(action: Action) {
    match action {
        Action::Resume => {}
        Action::Unmask(interrupt) => interrupts::unmask(interrupt),
        Action::Raise(interrupt) => interrupts::raise(interrupt),
        Action::Restart(index) => {
            // SAFETY: as in `kernel_trap`; the caller's reference is not used again before `leave` gets its own.
            unsafe { KERNEL.get() }.prepare_restart(index);
            start(index);
        }
    }
}

fn take_interrupts(kernel: &mut Kernel<TASK_COUNT>) {
    while let Some(cause) = interrupts::take() {
        match cause {
            Cause::Timer => kernel.tick(arch::counter::now_ticks()),
            Cause::Notify(index, bits) => kernel.notify(index, bits),
            Cause::Unknown => Line::new("kernel")
                .text("an interrupt that is nobody's")
                .end(),
        }
    }
}

/// Chooses the next task, waiting while there is none, and makes its address space and deadline current.
fn leave(kernel: &mut Kernel<TASK_COUNT>) -> *const Registers {
    let before = kernel.current();
    let mut chosen = kernel.choose(arch::counter::now_ticks());
    while chosen == NOBODY {
        el1::set_secure_timer(kernel.next_event());
        // Interrupts are masked: one that pends ends the wait and is taken here.
        arch::barrier::wfi();
        take_interrupts(kernel);
        chosen = kernel.choose(arch::counter::now_ticks());
    }
    el1::set_secure_timer(kernel.next_event());
    if chosen != before {
        // SAFETY: `space::make` has mapped the kernel into this task's tables and dropped what was
        // cached for its identifier.
        unsafe { el1::switch_space(space::root(chosen), space::asid(chosen)) };
    }
    &raw const kernel.tasks[chosen].registers
}

/// An exception in the kernel itself: says where, and stops the secure core.
#[unsafe(no_mangle)]
extern "C" fn kernel_fault(syndrome: u64, address: u64, pc: u64) -> ! {
    Line::new("kernel")
        .text("FAULT in the kernel: syndrome ")
        .hex(syndrome)
        .text(" address ")
        .hex(address)
        .text(" pc ")
        .hex(pc)
        .end();
    arch::barrier::halt()
}
