//! The SMMU: the partition's devices reach the partition's RAM and nothing else.
//!
//! Every stream that is not granted has an invalid entry: its accesses abort and are reported as events.
//! QEMU 7.2 has stage 1 only (IDR0), so a granted stream gets stage 1 tables of EL2's; where stage 2 is
//! offered it is used, with the same addresses.

use crate::plan::{LINUX, PERIPHERAL_SMMU_BASE, PERIPHERAL_SMMU_SIZE, counters};
use arch::barrier::dsb_sy;
use arch::el2::Tables;
use arch::registers::core_number;
use arch::smmu::{MEMORY_CACHED, RECORD_UNKNOWN_STREAMS, Smmu, control, interrupts};
use arch::translation::{Error, Leaf, MAIR, Memory};
use core::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use partition::counters::Fault;
use partition::{Exit, Kind, Refusal};
use smmu_core::{
    COMMAND_WORDS, ENTRY_WORDS, EVENT_WORDS, Event, Place, Stages, command, context, queue_base,
    stages, stream_stage_1, stream_stage_2, table_configuration,
};

/// Streams with an entry: PCI bus 0. Requests of others are unknown streams: they abort and are reported too.
const LOG2_STREAMS: u32 = 8;
const LOG2_COMMANDS: u32 = 3;
const LOG2_EVENTS: u32 = 6;
/// Name of the partition's translations in the SMMU, as ASID or VMID.
const TAG: u16 = 1;
/// Polls before another core's hold on the SMMU is taken for lost.
const POLLS: u32 = 4_000_000;
/// One bit of a queue's written register that its read register answers: events were lost.
const OVERFLOW: u32 = 1 << 31;

/// Words the SMMU reads or writes as well, aligned as it wants them.
#[repr(C, align(16384))]
struct Streams([[AtomicU64; ENTRY_WORDS]; 1 << LOG2_STREAMS]);
#[repr(C, align(64))]
struct Context([AtomicU64; ENTRY_WORDS]);
#[repr(C, align(4096))]
struct Commands([[AtomicU64; COMMAND_WORDS]; 1 << LOG2_COMMANDS]);
#[repr(C, align(4096))]
struct Events([[AtomicU64; EVENT_WORDS]; 1 << LOG2_EVENTS]);

static STREAMS: Streams =
    Streams([const { [const { AtomicU64::new(0) }; ENTRY_WORDS] }; 1 << LOG2_STREAMS]);
static CONTEXT: Context = Context([const { AtomicU64::new(0) }; ENTRY_WORDS]);
static COMMANDS: Commands =
    Commands([const { [const { AtomicU64::new(0) }; COMMAND_WORDS] }; 1 << LOG2_COMMANDS]);
static EVENTS: Events =
    Events([const { [const { AtomicU64::new(0) }; EVENT_WORDS] }; 1 << LOG2_EVENTS]);
/// Root and second levels of the partition's RAM.
static TABLES: Tables<4> = Tables::new();
/// Held by the core that uses the SMMU's queues.
static HELD: AtomicBool = AtomicBool::new(false);

/// What did not work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// It has no translation at all.
    NoTranslation,
    /// The tables are too small for the partition's RAM.
    Tables(Error),
    /// It does not answer, or refused a command.
    NoAnswer,
}

fn smmu() -> &'static Smmu {
    const _: () = assert!(size_of::<Smmu>() <= PERIPHERAL_SMMU_SIZE);
    // SAFETY: the description's smmu is QEMU's VIRT_SMMU, 128 KiB, mapped as device memory at its
    // physical address (entry.S).
    unsafe { arch::mmio::block(PERIPHERAL_SMMU_BASE) }
}

fn store<const WORDS: usize>(entry: &[AtomicU64; WORDS], words: [u64; WORDS]) {
    // The first word makes an entry valid: it is the last one to be written.
    for (place, word) in entry.iter().zip(words).rev() {
        place.store(word, Ordering::Relaxed);
        dsb_sy();
    }
}

fn address_of<T>(item: &T) -> u64 {
    core::ptr::from_ref(item) as u64
}

/// Fills the tables and switches the SMMU on, with no stream granted.
///
/// # Errors
/// See [`Failure`]: then the partition must not start.
pub fn start() -> Result<(), Failure> {
    let smmu = smmu();
    let two_stages = match stages(smmu.features.read()) {
        Stages::None => return Err(Failure::NoTranslation),
        found => found == Stages::Two,
    };
    build_tables(two_stages).map_err(Failure::Tables)?;
    store(&CONTEXT.0, context(TABLES.root(), MAIR, TAG));
    // Not every SMMU can (QEMU's since 8.0); no device has been told to do anything yet.
    let _ = smmu.abort_while_off();
    let mut good = smmu.set_control(0);
    smmu.memory.write(MEMORY_CACHED);
    smmu.recording.write(RECORD_UNKNOWN_STREAMS);
    smmu.stream_table.write(address_of(&STREAMS));
    smmu.stream_table_form
        .write(table_configuration(LOG2_STREAMS));
    smmu.commands
        .write(queue_base(address_of(&COMMANDS), LOG2_COMMANDS));
    smmu.commands_written.write(0);
    smmu.commands_read.write(0);
    smmu.events
        .write(queue_base(address_of(&EVENTS), LOG2_EVENTS));
    smmu.events_written.write(0);
    smmu.events_read.write(0);
    good &= smmu.set_control(control::COMMANDS);
    good &= forget();
    good &= smmu.set_interrupts(interrupts::EVENTS | interrupts::ERRORS);
    good &= smmu.set_control(control::COMMANDS | control::EVENTS | control::ON);
    if good { Ok(()) } else { Err(Failure::NoAnswer) }
}

/// The partition's RAM at the partition's addresses.
fn build_tables(two_stages: bool) -> Result<(), Error> {
    let leaf = if two_stages {
        Leaf::stage_2(Memory::Normal, true, false)
    } else {
        Leaf::dma(Memory::Normal, true)
    };
    TABLES.fill(|tables| {
        let ram = LINUX.ranges.iter().filter(|range| range.kind == Kind::Ram);
        for range in ram {
            tables.map(range.base, range.physical, range.bytes, leaf)?;
        }
        Ok(())
    })
}

/// The partition's streams reach its RAM from now on. False where the SMMU does not answer.
#[must_use]
pub fn grant() -> bool {
    let entry = match stages(smmu().features.read()) {
        Stages::Two => stream_stage_2(TABLES.root(), TAG),
        _ => stream_stage_1(address_of(&CONTEXT)),
    };
    set_streams(entry)
}

/// The partition's streams reach nothing from now on. False where the SMMU does not answer.
pub fn revoke() -> bool {
    set_streams([0; ENTRY_WORDS])
}

fn set_streams(entry: [u64; ENTRY_WORDS]) -> bool {
    for stream in LINUX.streams {
        let Some(place) = STREAMS.0.get(*stream as usize) else {
            return false;
        };
        store(place, entry);
    }
    hold();
    let good = forget();
    HELD.store(false, Ordering::Release);
    good
}

/// Waits, bounded, until no other core uses the queues. A core that failed while it held them must not hang others.
fn hold() {
    for _ in 0..POLLS {
        if !HELD.swap(true, Ordering::Acquire) {
            return;
        }
        arch::barrier::yield_now();
    }
}

/// The SMMU forgets every entry and translation it keeps.
fn forget() -> bool {
    let smmu = smmu();
    let mut place = Place::new(smmu.commands_written.read(), LOG2_COMMANDS);
    for words in [
        command::DROP_CONFIGURATION,
        command::DROP_TRANSLATIONS,
        command::SYNCHRONISE,
    ] {
        if let Some(entry) = COMMANDS.0.get(place.index()) {
            store(entry, words);
        }
        place = place.next();
    }
    smmu.commands_written.write(place.register());
    smmu.commands_done(place.register())
}

/// Counts what the SMMU stopped since the last time, and its own errors; at most a queue full.
pub fn count_events() {
    let smmu = smmu();
    hold();
    let core = core_number();
    for _ in 0..1 << LOG2_EVENTS {
        let written = smmu.events_written.read();
        let place = Place::new(smmu.events_read.read(), LOG2_EVENTS);
        if place == Place::new(written, LOG2_EVENTS) {
            break;
        }
        if let Some(words) = EVENTS.0.get(place.index()) {
            let event = Event::of(core::array::from_fn(|i| words[i].load(Ordering::Relaxed)));
            count(core, &event);
        }
        smmu.events_read
            .write(place.next().register() | (written & OVERFLOW));
    }
    let errors = smmu.errors.read();
    if errors != smmu.errors_acknowledged.read() {
        counters().exit(core, Exit::SystemError);
        smmu.errors_acknowledged.write(errors);
    }
    HELD.store(false, Ordering::Release);
}

fn count(core: usize, event: &Event) {
    let fault = Fault {
        exit: Exit::Reclaim as u16,
        core: core as u16,
        syndrome: u64::from(event.kind),
        address: u64::from(event.stream),
        physical: event.address,
        ..Fault::default()
    };
    counters().refuse(Refusal::Dma, &fault);
}
