//! What a hijacked guest would try against the hypervisor and the other partitions; at EL1.

use crate::checks::{print, probe_read, probe_write, psci, second_core, wait_for};
use arch::call::{hvc, smc};
use arch::registers::{
    icc_eoir1_el1, icc_iar1_el1, icc_sgi0r_el1, icc_sgi1r_el1, id_aa64dfr0_el1, id_aa64pfr0_el1,
    isr_el1,
};
use board::plan;

/// The secure core, one that is not the partition's, its first and second; the vsock device's registers.
mod own {
    include!(concat!(env!("OUT_DIR"), "/partition.rs"));
}
use own::{FOREIGN_CORE, OTHER_CORE, OWN_CORE, SECURE_CORE, VSOCK_BASE};
/// An SGI of the normal world, and one of the secure world.
const OWN_SGI: u32 = 1;
const SECURE_SGI: u32 = 8;
/// How long an interrupt may take that must not come.
const SILENCE_US: u64 = 100;

unsafe extern "C" {
    /// Reads a performance monitor register; 1 where an exception refused it.
    safe fn probe_performance() -> u64;
    /// Writes one byte; 1 where an exception refused it.
    fn probe_write_byte(address: usize) -> u64;
}

/// Runs every check and prints a line for each.
pub fn run() {
    memory();
    distributor();
    redistributors();
    software_interrupts();
    calls();
    registers();
    crate::dma::run();
    // After all that: the hypervisor answers as before.
    let version = hvc(psci::VERSION, [0; 3])[0] as i64;
    print("still-there", version == psci::VERSION_1_1);
}

/// Addresses outside the partition.
fn memory() {
    for (name, address) in [
        ("read-hypervisor", plan::MEMORY_HYPERVISOR_BASE),
        ("read-mailbox", plan::MEMORY_MAILBOX_BASE),
        ("read-flash", plan::FLASH_OTP_BASE),
        ("read-kernel", plan::MEMORY_KERNEL_BASE),
        ("read-can", plan::PERIPHERAL_CAN_UART_BASE + 0x18),
        ("read-smmu", plan::PERIPHERAL_SMMU_BASE),
        ("read-after-ram", plan::MEMORY_LINUX_RAM_BASE - 4096),
        ("read-high", 1 << 38),
    ] {
        print(name, probe_read(address) == 1);
    }
    print("read-root", probe_read(plan::MEMORY_LINUX_ROOT_BASE) == 0);
    for (name, address) in [
        ("write-root", plan::MEMORY_LINUX_ROOT_BASE),
        ("write-hypervisor", plan::MEMORY_HYPERVISOR_BASE),
        ("write-counters", plan::MEMORY_MAILBOX_BASE),
    ] {
        // SAFETY: if the write is not refused, the check has failed and the machine is not
        // what it should be; nothing of ours lies there.
        print(name, unsafe { probe_write(address) } == 1);
    }
    // SAFETY: as above; the vsock device has no register of one byte.
    let byte = unsafe { probe_write_byte(VSOCK_BASE + 0x50) };
    print("write-vsock-byte", byte == 1);
}

/// Others' interrupts cannot be used, and own ones cannot be sent to others' cores.
fn distributor() {
    let gic = board::distributor();
    for (name, interrupt) in [
        ("enable-can-interrupt", plan::PERIPHERAL_CAN_UART_INTERRUPT),
        ("enable-smmu-interrupt", plan::PERIPHERAL_SMMU_INTERRUPTS[0]),
    ] {
        let (word, bit) = (interrupt as usize / 32, 1 << (interrupt % 32));
        gic.set_enable[word].write(bit);
        gic.set_pending[word].write(bit);
        let seen = gic.set_enable[word].read() | gic.set_pending[word].read();
        print(name, seen & bit == 0);
    }
    let own = plan::PERIPHERAL_CONSOLE_UART_INTERRUPT as usize;
    gic.route[own].write(OWN_CORE);
    let before = gic.route[own].read();
    gic.route[own].write(SECURE_CORE);
    gic.route[own].write(FOREIGN_CORE);
    gic.route[own].write(1 << 31);
    print(
        "route-away",
        before == OWN_CORE && gic.route[own].read() == OWN_CORE,
    );
    gic.group[own / 32].write(0);
    let bit = 1 << (own % 32);
    gic.set_enable[own / 32].write(bit);
    print("own-interrupt", gic.set_enable[own / 32].read() & bit != 0);
    gic.clear_enable[own / 32].write(bit);
}

/// Redistributors of other cores show nothing and take nothing.
fn redistributors() {
    for (name, core) in [
        ("redistributor-of-secure-core", SECURE_CORE),
        ("redistributor-of-foreign-core", FOREIGN_CORE),
    ] {
        let Some(gic) = board::redistributor(core as usize) else {
            continue;
        };
        gic.local.set_enable.write(u32::MAX);
        gic.waker.write(0b10);
        let seen = gic.kind.read() as u32 | gic.local.set_enable.read() | gic.waker.read();
        print(name, seen == 0);
    }
}

/// SGIs arrive at this core where they may, and nowhere else (the others' are counted by the hypervisor).
fn software_interrupts() {
    let pending = || isr_el1::read() & (1 << 7) != 0;
    if let Some(gic) = board::redistributor(OWN_CORE as usize) {
        gic.set_priority(OWN_SGI, 0xa0);
        gic.enable((1 << OWN_SGI) | (1 << SECURE_SGI));
    }
    icc_sgi1r_el1::write(arch::gic::sgi(OWN_SGI, 1 << OWN_CORE));
    print("sgi-to-self", wait_for(pending));
    let interrupt = icc_iar1_el1::read();
    print("sgi-number", interrupt == u64::from(OWN_SGI));
    icc_eoir1_el1::write(interrupt);
    arch::barrier::isb();
    for cores in [1 << SECURE_CORE, 1 << FOREIGN_CORE] {
        icc_sgi1r_el1::write(arch::gic::sgi(OWN_SGI, cores));
    }
    // All cores but this one, another cluster, secure and Group 0 SGIs.
    icc_sgi1r_el1::write((1 << 16) | arch::gic::sgi(OWN_SGI, 1 << OWN_CORE));
    icc_sgi1r_el1::write(arch::gic::sgi(SECURE_SGI, 1 << OWN_CORE));
    icc_sgi0r_el1::write(arch::gic::sgi(15, 1 << OWN_CORE));
    let deadline = arch::counter::now_ticks() + arch::counter::ticks_of_us(SILENCE_US);
    let mut came = false;
    while arch::counter::now_ticks() < deadline {
        came |= pending();
        arch::barrier::yield_now();
    }
    print("sgi-of-others", !came);
}

/// Calls about own cores and others'; monitor calls do not exist for a guest.
fn calls() {
    let entry = second_core as *const () as u64;
    for (name, function, arguments, expected) in [
        (
            "start-secure-core",
            psci::CPU_ON,
            [SECURE_CORE, entry, 0],
            psci::INVALID_PARAMETERS,
        ),
        (
            "start-foreign-core",
            psci::CPU_ON,
            [FOREIGN_CORE, entry, 0],
            psci::INVALID_PARAMETERS,
        ),
        (
            "ask-about-secure-core",
            psci::AFFINITY_INFO,
            [SECURE_CORE, 0, 0],
            psci::INVALID_PARAMETERS,
        ),
        ("first-core-off", psci::CPU_OFF, [0; 3], psci::DENIED),
        ("doorbell-call", psci::DOORBELL, [0; 3], psci::NOT_SUPPORTED),
        (
            "reclaim-call",
            psci::RECLAIM,
            [1 << SECURE_CORE, 0, 0],
            psci::NOT_SUPPORTED,
        ),
        ("unknown-call", psci::UNKNOWN, [0; 3], psci::NOT_SUPPORTED),
    ] {
        let good = [smc, hvc].map(|call| call(function, arguments)[0] as i64 == expected);
        print(name, good == [true; 2]);
    }
    for name in ["start-own-core", "start-own-core-again"] {
        let started = hvc(psci::CPU_ON, [OTHER_CORE, entry, 0])[0] as i64 == psci::SUCCESS;
        let off = || hvc(psci::AFFINITY_INFO, [OTHER_CORE, 0, 0])[0] as i64 == psci::OFF;
        print(name, started && wait_for(off));
    }
}

/// Registers that are kept from a guest, and features it does not see.
fn registers() {
    print("performance-monitors", probe_performance() == 1);
    // EL2 and EL3, SVE; performance monitors.
    let processor = id_aa64pfr0_el1::read();
    print("features-hidden", processor & 0xf_0000_ff00 == 0);
    print("monitors-hidden", id_aa64dfr0_el1::read() & 0xf00 == 0);
}
