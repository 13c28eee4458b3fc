//! What a hijacked hypervisor would try against the monitor and the secure world; at EL2.

use arch::call::smc;
use board::plan;
use board::qemu_virt::SECURE_GPIO_BASE;

/// PSCI and monitor calls (DEN0022, 5.1; ARCHITECTURE.md), and what they answer.
pub mod psci {
    pub const VERSION: u32 = 0x8400_0000;
    pub const CPU_OFF: u32 = 0x8400_0002;
    pub const CPU_ON: u32 = 0xc400_0003;
    pub const AFFINITY_INFO: u32 = 0xc400_0004;
    pub const DOORBELL: u32 = 0xc300_0001;
    pub const RECLAIM: u32 = 0xc300_0002;
    pub const UNKNOWN: u32 = 0x8400_1234;
    pub const VERSION_1_1: i64 = 0x0001_0001;
    pub const SUCCESS: i64 = 0;
    pub const NOT_SUPPORTED: i64 = -1;
    pub const INVALID_PARAMETERS: i64 = -2;
    pub const DENIED: i64 = -3;
    pub const INVALID_ADDRESS: i64 = -9;
    pub const OFF: i64 = 1;
}

/// The secure core, and one that a partition may start.
const SECURE_CORE: u64 = 0;
const OTHER_CORE: u64 = 2;
/// Longest wait for another core: generous, a loaded host may stop it for a while.
const WAIT_US: u64 = 2_000_000;

unsafe extern "C" {
    /// Reads a word; 1 where an exception refused it. No memory of ours changes.
    pub safe fn probe_read(address: usize) -> u64;
    /// Writes a zero word; 1 where an exception refused it.
    pub fn probe_write(address: usize) -> u64;
    /// Reads ICC_IAR0_EL1; 1 where an exception refused it.
    safe fn probe_group_0() -> u64;
    /// Entry of a started core.
    pub fn second_core();
}

/// Runs every check and prints a line for each.
pub fn run() {
    calls();
    start_a_core();
    let refused_reads = [
        ("read-flash", plan::FLASH_OTP_BASE),
        ("read-boot-info", plan::MEMORY_BOOT_INFO_BASE),
        ("read-monitor", plan::MEMORY_MONITOR_BASE),
        ("read-kernel", plan::MEMORY_KERNEL_BASE),
        ("read-task-memory", plan::MEMORY_TASK_RAM_BASE),
        ("read-can", plan::PERIPHERAL_CAN_UART_BASE + 0x18),
        ("read-power", SECURE_GPIO_BASE + 0x400),
    ];
    for (name, address) in refused_reads {
        print(name, probe_read(address) == 1);
    }
    for (name, address) in [
        ("write-can", plan::PERIPHERAL_CAN_UART_BASE),
        ("write-task-memory", plan::MEMORY_TASK_RAM_BASE),
    ] {
        // SAFETY: if the write is not refused, the check has failed and the machine is not
        // what it should be; nothing of ours lies there.
        print(name, unsafe { probe_write(address) } == 1);
    }
    print(
        "read-own-memory",
        probe_read(plan::MEMORY_MAILBOX_BASE) == 0,
    );
    print("group-0-interrupts", probe_group_0() == 1);
    secure_interrupt();
    let doorbell = smc(psci::DOORBELL, [0; 3])[0] as i64;
    print("doorbell", doorbell == psci::SUCCESS);
}

/// Calls that are answered, and calls that are refused.
fn calls() {
    let secure_address = plan::MEMORY_MONITOR_BASE as u64;
    let own_address = plan::MEMORY_HYPERVISOR_BASE as u64;
    for (name, function, arguments, expected) in [
        ("version", psci::VERSION, [0; 3], psci::VERSION_1_1),
        ("unknown-call", psci::UNKNOWN, [0; 3], psci::NOT_SUPPORTED),
        (
            "reclaim-from-el2",
            psci::RECLAIM,
            [2, 0, 0],
            psci::NOT_SUPPORTED,
        ),
        (
            "start-secure-core",
            psci::CPU_ON,
            [SECURE_CORE, own_address, 0],
            psci::INVALID_PARAMETERS,
        ),
        (
            "start-in-secure-memory",
            psci::CPU_ON,
            [OTHER_CORE, secure_address, 0],
            psci::INVALID_ADDRESS,
        ),
        (
            "ask-about-secure-core",
            psci::AFFINITY_INFO,
            [SECURE_CORE, 0, 0],
            psci::INVALID_PARAMETERS,
        ),
    ] {
        print(name, smc(function, arguments)[0] as i64 == expected);
    }
}

/// Starts a core twice; each time it switches itself off, which it can only where it ran.
fn start_a_core() {
    let entry = second_core as *const () as u64;
    for name in ["start-a-core", "start-it-again"] {
        let started = smc(psci::CPU_ON, [OTHER_CORE, entry, 0])[0] as i64 == psci::SUCCESS;
        let off = || smc(psci::AFFINITY_INFO, [OTHER_CORE, 0, 0])[0] as i64 == psci::OFF;
        print(name, started && wait_for(off));
    }
}

/// Enabling the CAN bus's interrupt from here has no effect, and reading shows nothing.
fn secure_interrupt() {
    let interrupt = plan::PERIPHERAL_CAN_UART_INTERRUPT;
    let bit = 1 << (interrupt % 32);
    let gic = board::distributor();
    let Some(enable) = gic.set_enable.get(interrupt as usize / 32) else {
        return print("secure-interrupt", false);
    };
    enable.write(bit);
    print("secure-interrupt", enable.read() & bit == 0);
}

/// Waits, bounded, until the condition holds; whether it did.
pub fn wait_for(condition: impl Fn() -> bool) -> bool {
    let deadline = arch::counter::now_ticks() + arch::counter::ticks_of_us(WAIT_US);
    while !condition() {
        if arch::counter::now_ticks() > deadline {
            return false;
        }
        arch::barrier::yield_now();
    }
    true
}

/// Prints a check's line.
pub fn print(name: &str, good: bool) {
    for text in ["check ", name, if good { " ok\n" } else { " FAILED\n" }] {
        board::console::write_str(text);
    }
}
