//! The partition's life: start, further cores, end, and back into the secure world's hands.
//!
//! The first core never leaves: when the partition has ended it waits here for the secure world's
//! command. The others switch themselves off. A core that is still inside when the partition
//! ends finds that nothing is mapped any more, and comes here by that fault.

use crate::plan::{CORES, LINUX, PARTITIONS, counters, mailbox};
use crate::{devices, dma, entry, interrupts, memory};
use arch::counter::now_ticks;
use arch::registers::core_number;
use board::console::Line;
use core::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use partition::State;
use partition::counters::Mark;
use partition::mailbox::Command;
use psci::{code, function};

/// Where a core of the partition goes once it is up.
struct Slot {
    /// 0 free, 1 taken.
    taken: AtomicU32,
    entry: AtomicU64,
    context: AtomicU64,
}

static SLOTS: [Slot; CORES] = [const {
    Slot {
        taken: AtomicU32::new(0),
        entry: AtomicU64::new(0),
        context: AtomicU64::new(0),
    }
}; CORES];

/// Entered by entry.S, MMU on, on the core's own stack.
#[unsafe(no_mangle)]
extern "C" fn hypervisor_main(core: usize, secondary: u64) -> ! {
    arch::el2::prepare_core();
    if secondary != 0 {
        further_core(core)
    }
    counters().begin();
    counters().mark(Mark::Entry, now_ticks());
    mailbox().unlock();
    if core != LINUX.boot_core {
        fail("started on another core than the partition's first")
    }
    if memory::build().is_err() {
        fail("the partition's memory does not fit the tables")
    }
    if let Err(failure) = dma::start() {
        fail(match failure {
            dma::Failure::NoTranslation => "the SMMU cannot contain devices",
            dma::Failure::Tables(_) => "the partition's memory does not fit the SMMU's tables",
            dma::Failure::NoAnswer => "the SMMU does not answer",
        })
    }
    memory::use_here();
    start()
}

/// Starts the partition: its images are in place and verified, none of its cores is inside.
fn start() -> ! {
    memory::open();
    if !dma::grant() {
        fail("the SMMU does not answer")
    }
    say("starts");
    counters().set_state(State::Running);
    enter(
        LINUX.boot_core,
        LINUX.entry,
        LINUX.device_tree,
        Mark::PartitionStart,
    )
}

/// A core of the partition that the monitor has started.
fn further_core(core: usize) -> ! {
    let Some(slot) = SLOTS.get(core) else {
        fail("a core that does not exist")
    };
    memory::use_here();
    let entry = slot.entry.load(Ordering::Relaxed);
    let context = slot.context.load(Ordering::Relaxed);
    slot.taken.store(0, Ordering::Release);
    enter(core, entry, context, Mark::SecondCore)
}

fn enter(core: usize, entry: u64, context: u64, mark: Mark) -> ! {
    arch::el2::reset_el1();
    counters().core_in(core);
    // It may have ended while this core was on its way.
    if counters().state() != Some(State::Running) {
        leave(core)
    }
    counters().mark(mark, now_ticks());
    entry::enter(entry, context)
}

/// The partition asks for another of its cores; the answer for it.
pub fn start_core(core: usize, first: u64, context: u64) -> u64 {
    let Some(slot) = SLOTS.get(core) else {
        return code::INVALID_PARAMETERS;
    };
    if slot.taken.swap(1, Ordering::Acquire) != 0 {
        return code::ON_PENDING;
    }
    slot.entry.store(first, Ordering::Relaxed);
    slot.context.store(context, Ordering::Relaxed);
    arch::barrier::dsb_sy();
    let answer = arch::call::smc(function::CPU_ON, [core as u64, entry::secondary_entry(), 0])[0];
    if answer != code::SUCCESS {
        slot.taken.store(0, Ordering::Release);
    }
    answer
}

/// This core leaves the partition, and is switched off or, the first one, waits for a command.
pub fn leave(core: usize) -> ! {
    arch::el2::reset_el1();
    interrupts::silence_core(core);
    counters().core_out(core);
    if core == LINUX.boot_core {
        wait_for_command()
    }
    loop {
        // Comes back only where the monitor refuses.
        arch::call::smc(function::CPU_OFF, [0; 3]);
        arch::barrier::wfi();
    }
}

/// The partition ends, once: nothing is mapped for it or its devices any more, and its cores are
/// called out. The calling core is to [`leave`] next.
pub fn end(state: State, what: &str) {
    if !counters().end(state) {
        return;
    }
    counters().mark(Mark::PartitionEnd, now_ticks());
    memory::close();
    devices::stop();
    if !dma::revoke() {
        // Then no restart: grant() fails the same way.
        say("has devices that the SMMU does not let go of");
    }
    interrupts::silence_shared();
    interrupts::call_out(core_number());
    say(what);
}

/// Carries out the secure world's command if there is one, on a core that was taken from the partition.
pub fn reclaimed(core: usize) {
    if let Some(word) = mailbox().pending() {
        match Command::of(word) {
            Some(Command::Stop) => end(State::Stopped, "stopped by the secure world"),
            Some(Command::Restart) => end(State::Stopped, "stopped for a restart"),
            None => mailbox().acknowledge(word),
        }
    }
    if counters().state() != Some(State::Running) {
        leave(core)
    }
}

/// The first core, once the partition has ended.
fn wait_for_command() -> ! {
    loop {
        dma::count_events();
        if let Some(word) = mailbox().pending()
            && counters().cores_inside() == 0
        {
            mailbox().acknowledge(word);
            if Command::of(word) == Some(Command::Restart) {
                start()
            }
        }
        arch::barrier::wfi();
    }
}

/// One line about the partition on the console.
fn say(what: &str) {
    let [partition] = &PARTITIONS;
    let line = Line::new("hypervisor").text(partition.name).text(" ");
    line.text(what).end();
}

/// The hypervisor cannot run the partition: one line, and this core stops.
fn fail(why: &str) -> ! {
    counters().set_state(State::Failed);
    Line::new("hypervisor")
        .text(why)
        .text(", core halted")
        .end();
    arch::barrier::halt()
}
