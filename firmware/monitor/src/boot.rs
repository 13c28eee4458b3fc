//! From the first Rust instruction to the worlds: cores, interrupts, and the way down.

use crate::interrupts;
use crate::plan::{
    CORES, FIRST_NORMAL_CORE, MEMORY_BOOT_INFO_BASE, MEMORY_HYPERVISOR_BASE, MEMORY_KERNEL_BASE,
    PSCI, RECLAIM_SGI, SECURE_CORE,
};
use arch::el3;
use board::console::Line;
use bootinfo::BootInfo;
use psci::{Start, World};

/// How long the other cores may take to come up.
const CORES_UP_US: u64 = 200_000;

/// Entered by entry.S on every core, MMU on, on the core's own stack.
#[unsafe(no_mangle)]
extern "C" fn monitor_main(core: usize, boot_info: u64) -> ! {
    el3::prepare_core(board::qemu_virt::COUNTER_HZ);
    if core == SECURE_CORE {
        start_machine(boot_info)
    }
    PSCI.check_in(core);
    park(core)
}

/// The secure core: divides the machine, brings up the others, starts the hypervisor and enters
/// the kernel.
fn start_machine(boot_info: u64) -> ! {
    note_entry(boot_info);
    interrupts::divide_shared();
    if !interrupts::divide_private(SECURE_CORE) {
        refuse("the interrupt controller does not wake")
    }
    let up = bring_up_cores();
    Line::new("monitor")
        .decimal(up as u64)
        .text(" cores up, core ")
        .decimal(SECURE_CORE as u64)
        .text(" secure, interrupts divided")
        .end();
    PSCI.check_in(SECURE_CORE);
    let hypervisor = Start {
        entry: MEMORY_HYPERVISOR_BASE as u64,
        context: FIRST_NORMAL_CORE as u64,
    };
    if PSCI.start(FIRST_NORMAL_CORE, hypervisor) != psci::code::SUCCESS {
        Line::new("monitor")
            .text("the hypervisor's core did not come up; the secure world goes on without it")
            .end();
    }
    let kernel = Start {
        entry: MEMORY_KERNEL_BASE as u64,
        context: boot_info,
    };
    if PSCI.start(SECURE_CORE, kernel) != psci::code::SUCCESS {
        refuse("the secure core cannot start")
    }
    wake(FIRST_NORMAL_CORE);
    park(SECURE_CORE)
}

/// Notes when the monitor was entered, if BootInfo is where it should be.
fn note_entry(boot_info: u64) {
    if boot_info != MEMORY_BOOT_INFO_BASE as u64 {
        return;
    }
    let address = core::ptr::with_exposed_provenance_mut::<BootInfo>(MEMORY_BOOT_INFO_BASE);
    // SAFETY: the boot-info region is mapped read-write, page aligned and larger than BootInfo
    // (checked when the description is read), every bit pattern is a valid one, and the loader
    // has left it: no other core or stage runs yet.
    let boot_info = unsafe { &mut *address };
    if boot_info.check().is_ok() {
        boot_info.times.monitor_entry = arch::counter::now_ticks();
    }
}

/// Releases the other cores from ROM, where they sleep until they are interrupted, and waits for
/// them; how many cores there are then.
fn bring_up_cores() -> usize {
    board::qemu_virt::write_secondary_mailbox(crate::entry::secondary_entry());
    arch::barrier::dsb_sy();
    for core in (0..CORES).filter(|core| *core != SECURE_CORE) {
        if interrupts::divide_private(core) {
            wake(core);
        }
    }
    let all = |core: usize| core == SECURE_CORE || PSCI.is_present(core);
    let deadline = arch::counter::now_ticks() + arch::counter::ticks_of_us(CORES_UP_US);
    while !(0..CORES).all(all) && arch::counter::now_ticks() < deadline {
        arch::barrier::yield_now();
    }
    // A warm reset finds zero.
    board::qemu_virt::write_secondary_mailbox(0);
    for core in (0..CORES).filter(|core| !all(*core)) {
        Line::new("monitor")
            .text("core ")
            .decimal(core as u64)
            .text(" did not come up")
            .end();
    }
    (0..CORES).filter(|core| all(*core)).count()
}

/// Wakes a parked core, so that it looks whether it is started.
pub fn wake(core: usize) {
    // Not an event: an emulated `wfe` does not sleep, and a parked core would take a host core.
    el3::send_group_0(RECLAIM_SGI, 1 << core);
}

/// Waits until this core is started, then enters its world as out of reset.
pub fn park(core: usize) -> ! {
    let start = loop {
        if let Some(start) = PSCI.take_start(core) {
            break start;
        }
        arch::barrier::wfi();
        el3::take_group_0();
    };
    let state = if PSCI.world(core) == Some(World::Secure) {
        el3::prepare_secure_world();
        el3::STATE_EL1
    } else {
        el3::prepare_normal_world();
        el3::STATE_EL2
    };
    let stack_top = arch::registers::tpidr_el3::read();
    // SAFETY: the entry is the kernel's or an address in the hypervisor's region (`Psci` lets
    // nothing else through) for the state chosen here; this core's stack holds nothing that is
    // needed again, and TPIDR_EL3 is its page-aligned top (entry.S).
    unsafe { el3::enter(start.entry, state, start.context, stack_top) }
}

/// Says why the machine cannot run, and stops it.
fn refuse(why: &str) -> ! {
    Line::new("monitor").text(why).text("; halted").end();
    arch::barrier::halt()
}
