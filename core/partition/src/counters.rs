//! What the hypervisor counts, as it lies on page 0 of the mailbox for `audit` to read.
//!
//! Each core writes its own column only, so no counter needs a lock or an atomic sum; a reader
//! sums the columns. The hypervisor may be hijacked: a reader checks [`Counters::header`] and
//! believes no number more than that it was there.

use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};

/// Most cores a machine has.
pub const CORES: usize = 4;
/// First word of the page: "LZHV" in memory.
pub const MAGIC: u32 = u32::from_le_bytes(*b"LZHV");
/// Version of this layout.
pub const VERSION: u32 = 1;

/// Why a core left its partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Exit {
    /// HVC.
    Hypercall = 0,
    /// SMC.
    SecureCall = 1,
    /// Write to an SGI register.
    SoftwareInterrupt = 2,
    /// Access to the distributor.
    Distributor = 3,
    /// Access to a redistributor.
    Redistributor = 4,
    /// Write to the vsock device's register page.
    Doorbell = 5,
    /// Access to an address the partition does not have.
    DataFault = 6,
    /// Instruction fetch from such an address.
    InstructionFault = 7,
    /// Another system register or instruction that traps.
    Trap = 8,
    /// System error.
    SystemError = 9,
    /// Group 0: the secure world takes the core back, or an SMMU event.
    Reclaim = 10,
    /// None of these.
    Unknown = 11,
}

/// How many kinds of exits there are.
pub const EXITS: usize = 12;
/// Their names, in the order of [`Exit`].
pub const EXIT_NAMES: [&str; EXITS] = [
    "hypercall",
    "secure-call",
    "software-interrupt",
    "distributor",
    "redistributor",
    "doorbell",
    "data-fault",
    "instruction-fault",
    "trap",
    "system-error",
    "reclaim",
    "unknown",
];

/// What a partition tried and was not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Refusal {
    /// To enable, pend, activate or reroute an interrupt that is not its own, or to a core that is not.
    Interrupt = 0,
    /// The redistributor of a core that is not its own, or LPIs.
    Redistributor = 1,
    /// An SGI to a core that is not its own, or of a number that is not.
    SoftwareInterrupt = 2,
    /// An address it does not have, or read-only memory written.
    Address = 3,
    /// A PSCI call about a core that is not its own.
    Core = 4,
    /// A system register or instruction that is kept from it.
    Trap = 5,
    /// DMA of its device to memory that is not its own, or of a foreign device.
    Dma = 6,
    /// A register write the secure world did not acknowledge in time.
    DoorbellTimeout = 7,
}

/// How many kinds of refusals there are.
pub const REFUSALS: usize = 8;
/// Their names, in the order of [`Refusal`].
pub const REFUSAL_NAMES: [&str; REFUSALS] = [
    "interrupt",
    "redistributor",
    "software-interrupt",
    "address",
    "core",
    "trap",
    "dma",
    "doorbell-timeout",
];

/// State of the partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum State {
    /// Not started yet.
    Off = 0,
    /// Its cores are its own.
    Running = 1,
    /// Stopped by the secure world.
    Stopped = 2,
    /// Switched itself off (SYSTEM_OFF).
    SwitchedOff = 3,
    /// Asked for a restart (SYSTEM_RESET): with `panic=-1` that is a Linux panic.
    Panicked = 4,
    /// The hypervisor stopped it because of a fault of its own.
    Failed = 5,
}

impl State {
    /// The state a word of the page stands for; `None` where it is none.
    #[must_use]
    pub const fn of(word: u32) -> Option<Self> {
        match word {
            0 => Some(Self::Off),
            1 => Some(Self::Running),
            2 => Some(Self::Stopped),
            3 => Some(Self::SwitchedOff),
            4 => Some(Self::Panicked),
            5 => Some(Self::Failed),
            _ => None,
        }
    }
}

/// A moment of the boot, as CNTPCT in ticks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(usize)]
pub enum Mark {
    /// The hypervisor's first Rust instruction.
    Entry = 0,
    /// The partition's first instruction is next.
    PartitionStart = 1,
    /// The partition's second core came up.
    SecondCore = 2,
    /// The partition stopped.
    PartitionEnd = 3,
}

/// How many marks there are.
pub const MARKS: usize = 4;

/// A core's counters.
#[repr(C)]
#[derive(Debug)]
pub struct Core {
    /// Exits, by [`Exit`].
    pub exits: [AtomicU64; EXITS],
    /// Refusals, by [`Refusal`].
    pub refused: [AtomicU64; REFUSALS],
    /// Its last fault.
    pub last: LastFault,
}

/// The last refusal or fault of a core. `count` is odd while the rest is being written.
#[repr(C)]
#[derive(Debug)]
pub struct LastFault {
    count: AtomicU64,
    /// [`Exit`] in bits 15:0, [`Refusal`] in bits 31:16, core in bits 47:32.
    what: AtomicU64,
    syndrome: AtomicU64,
    address: AtomicU64,
    at: AtomicU64,
    physical: AtomicU64,
}

/// A refusal or fault, as it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Fault {
    /// Why the core had left its partition; see [`Exit`].
    pub exit: u16,
    /// What was refused; see [`Refusal`].
    pub refusal: u16,
    /// The core.
    pub core: u16,
    /// ESR_EL2; for DMA the event's number.
    pub syndrome: u64,
    /// FAR_EL2: the virtual address; for DMA the stream.
    pub address: u64,
    /// ELR_EL2: the instruction; for DMA 0.
    pub at: u64,
    /// The partition's physical address, or the value that was refused.
    pub physical: u64,
}

/// The page.
#[repr(C)]
#[derive(Debug)]
pub struct Counters {
    magic: AtomicU32,
    version: AtomicU32,
    state: AtomicU32,
    /// Cores in the partition now, a bit each.
    cores_inside: AtomicU32,
    marks: [AtomicU64; MARKS],
    /// One column for each core.
    pub cores: [Core; CORES],
}

const _: () = assert!(core::mem::size_of::<Counters>() <= 4096);

impl Counters {
    /// All zero, as the page is after power-on; for tests and for readers' buffers.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            magic: AtomicU32::new(0),
            version: AtomicU32::new(0),
            state: AtomicU32::new(0),
            cores_inside: AtomicU32::new(0),
            marks: [const { AtomicU64::new(0) }; MARKS],
            cores: [const {
                Core {
                    exits: [const { AtomicU64::new(0) }; EXITS],
                    refused: [const { AtomicU64::new(0) }; REFUSALS],
                    last: LastFault::new(),
                }
            }; CORES],
        }
    }

    /// Makes the page valid, all counts zero: the hypervisor, once, before another core is up.
    pub fn begin(&self) {
        for mark in &self.marks {
            mark.store(0, Ordering::Relaxed);
        }
        for core in &self.cores {
            for counter in core.exits.iter().chain(&core.refused) {
                counter.store(0, Ordering::Relaxed);
            }
            core.last.count.store(0, Ordering::Relaxed);
        }
        self.state.store(State::Off as u32, Ordering::Relaxed);
        self.cores_inside.store(0, Ordering::Relaxed);
        self.version.store(VERSION, Ordering::Relaxed);
        self.magic.store(MAGIC, Ordering::Release);
    }

    /// True if the hypervisor has made the page, in this layout.
    #[must_use]
    pub fn header(&self) -> bool {
        self.magic.load(Ordering::Acquire) == MAGIC
            && self.version.load(Ordering::Relaxed) == VERSION
    }

    /// State of the partition; `None` where the word is none.
    #[must_use]
    pub fn state(&self) -> Option<State> {
        State::of(self.state.load(Ordering::Acquire))
    }

    /// Says what the partition's state is now.
    pub fn set_state(&self, state: State) {
        self.state.store(state as u32, Ordering::Release);
    }

    /// The partition ends: `Running` becomes `state`. False where it had ended before.
    pub fn end(&self, state: State) -> bool {
        self.state
            .compare_exchange(
                State::Running as u32,
                state as u32,
                Ordering::AcqRel,
                Ordering::Acquire,
            )
            .is_ok()
    }

    /// Cores in the partition now, a bit each.
    #[must_use]
    pub fn cores_inside(&self) -> u32 {
        self.cores_inside.load(Ordering::Acquire)
    }

    /// `core` goes in.
    pub fn core_in(&self, core: usize) {
        self.cores_inside.fetch_or(bit(core), Ordering::AcqRel);
    }

    /// `core` comes out; which are inside then.
    pub fn core_out(&self, core: usize) -> u32 {
        self.cores_inside.fetch_and(!bit(core), Ordering::AcqRel) & !bit(core)
    }

    /// Notes a moment, in ticks of CNTPCT.
    pub fn mark(&self, mark: Mark, ticks: u64) {
        self.marks[mark as usize].store(ticks, Ordering::Relaxed);
    }

    /// When that moment was, in ticks of CNTPCT; 0 where it was not yet.
    #[must_use]
    pub fn marked(&self, mark: Mark) -> u64 {
        self.marks[mark as usize].load(Ordering::Relaxed)
    }

    /// Counts an exit of `core`, from that core.
    #[inline]
    pub fn exit(&self, core: usize, exit: Exit) {
        if let Some(column) = self.cores.get(core) {
            add_one(&column.exits[exit as usize]);
        }
    }

    /// Counts a refusal on `core`, from that core, and keeps it as the last one.
    pub fn refuse(&self, refusal: Refusal, fault: &Fault) {
        if let Some(column) = self.cores.get(usize::from(fault.core)) {
            add_one(&column.refused[refusal as usize]);
            column.last.set(&Fault {
                refusal: refusal as u16,
                ..*fault
            });
        }
    }

    /// Exits of all cores for one reason.
    #[must_use]
    pub fn exits(&self, exit: Exit) -> u64 {
        self.sum(|column| &column.exits[exit as usize])
    }

    /// Refusals of one kind on all cores.
    #[must_use]
    pub fn refused(&self, refusal: Refusal) -> u64 {
        self.sum(|column| &column.refused[refusal as usize])
    }

    /// Exits of all cores, by [`Exit`].
    #[must_use]
    pub fn all_exits(&self) -> [u64; EXITS] {
        core::array::from_fn(|index| self.sum(|column| &column.exits[index]))
    }

    /// Refusals on all cores, by [`Refusal`].
    #[must_use]
    pub fn all_refused(&self) -> [u64; REFUSALS] {
        core::array::from_fn(|index| self.sum(|column| &column.refused[index]))
    }

    fn sum(&self, of: impl Fn(&Core) -> &AtomicU64) -> u64 {
        self.cores.iter().fold(0u64, |sum, column| {
            sum.wrapping_add(of(column).load(Ordering::Relaxed))
        })
    }
}

impl Default for Counters {
    fn default() -> Self {
        Self::new()
    }
}

impl LastFault {
    const fn new() -> Self {
        Self {
            count: AtomicU64::new(0),
            what: AtomicU64::new(0),
            syndrome: AtomicU64::new(0),
            address: AtomicU64::new(0),
            at: AtomicU64::new(0),
            physical: AtomicU64::new(0),
        }
    }

    /// How many there were on this core.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.count.load(Ordering::Acquire).div_ceil(2)
    }

    fn set(&self, fault: &Fault) {
        let count = self.count.load(Ordering::Relaxed);
        self.count.store(count.wrapping_add(1), Ordering::Release);
        core::sync::atomic::fence(Ordering::Release);
        let what = u64::from(fault.exit)
            | (u64::from(fault.refusal) << 16)
            | (u64::from(fault.core) << 32);
        self.what.store(what, Ordering::Relaxed);
        self.syndrome.store(fault.syndrome, Ordering::Relaxed);
        self.address.store(fault.address, Ordering::Relaxed);
        self.at.store(fault.at, Ordering::Relaxed);
        self.physical.store(fault.physical, Ordering::Relaxed);
        self.count.store(count.wrapping_add(2), Ordering::Release);
    }

    /// The last one; `None` where there was none, or it is being written just now.
    #[must_use]
    pub fn get(&self) -> Option<Fault> {
        let before = self.count.load(Ordering::Acquire);
        if before == 0 || before % 2 == 1 {
            return None;
        }
        let what = self.what.load(Ordering::Relaxed);
        let fault = Fault {
            exit: what as u16,
            refusal: (what >> 16) as u16,
            core: (what >> 32) as u16,
            syndrome: self.syndrome.load(Ordering::Relaxed),
            address: self.address.load(Ordering::Relaxed),
            at: self.at.load(Ordering::Relaxed),
            physical: self.physical.load(Ordering::Relaxed),
        };
        core::sync::atomic::fence(Ordering::Acquire);
        (self.count.load(Ordering::Relaxed) == before).then_some(fault)
    }
}

/// Only its own core writes a counter, so a load and a store are enough.
fn add_one(counter: &AtomicU64) {
    counter.store(
        counter.load(Ordering::Relaxed).wrapping_add(1),
        Ordering::Relaxed,
    );
}

const fn bit(core: usize) -> u32 {
    if core < CORES { 1 << core } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_are_over_all_cores() {
        let counters = Counters::new();
        counters.exit(1, Exit::Hypercall);
        counters.exit(2, Exit::Hypercall);
        counters.exit(2, Exit::Doorbell);
        counters.exit(99, Exit::Doorbell);
        assert_eq!(counters.exits(Exit::Hypercall), 2);
        assert_eq!(counters.all_exits().iter().sum::<u64>(), 3);
    }

    #[test]
    fn last_fault_is_what_was_refused() {
        let counters = Counters::new();
        assert_eq!(counters.cores[2].last.get(), None);
        let fault = Fault {
            exit: Exit::DataFault as u16,
            core: 2,
            syndrome: 0x9200_0046,
            address: 0xffff_8000_0000_1234,
            at: 0xffff_8000_0800_0000,
            physical: 0x0e00_0000,
            ..Fault::default()
        };
        counters.refuse(Refusal::Address, &fault);
        let expected = Fault {
            refusal: Refusal::Address as u16,
            ..fault
        };
        assert_eq!(counters.cores[2].last.get(), Some(expected));
        assert_eq!(counters.cores[2].last.count(), 1);
        assert_eq!(counters.refused(Refusal::Address), 1);
    }

    #[test]
    fn page_is_valid_only_once_begun() {
        let counters = Counters::new();
        assert!(!counters.header());
        // What an earlier run left is gone.
        counters.exit(3, Exit::Trap);
        counters.refuse(Refusal::Trap, &Fault::default());
        counters.begin();
        assert_eq!(counters.exits(Exit::Trap), 0);
        assert_eq!(counters.cores[0].last.get(), None);
        assert!(counters.header());
        assert_eq!(counters.state(), Some(State::Off));
        assert!(!counters.end(State::Panicked), "it does not run");
        counters.set_state(State::Running);
        assert!(counters.end(State::Panicked));
        assert!(!counters.end(State::Stopped), "it ended before");
        counters.core_in(1);
        counters.core_in(2);
        assert_eq!(counters.core_out(1), 0b100);
    }
}
