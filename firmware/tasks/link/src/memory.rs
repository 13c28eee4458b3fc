//! The partition's memory and the mailbox, as this task sees them.

use crate::plan;
use arch::window::Window;
use core::sync::atomic::{Ordering, fence};
use partition::counters::Mark;
use partition::mailbox::Mailbox;
use partition::{Counters, State};
use vsock::{Cell, Device, GuestMemory, PAGE_WORDS, Range, Region, SNAPSHOT_WORDS};

/// Bytes of a page; the mailbox is divided by pages (ARCHITECTURE.md).
const PAGE_BYTES: usize = 4096;
/// The page the partition reads the registers in.
const REGISTERS: usize = 2 * PAGE_BYTES;
/// The page that keeps what the driver told the device, for a restart of this task.
const KEPT: usize = 3 * PAGE_BYTES;
/// How often a request is read again where it changes while it is read.
const ATTEMPTS: usize = 4;

/// Memory the partition may name in its rings.
pub struct PartitionRam(Window);

impl PartitionRam {
    /// All of it.
    pub fn new() -> Self {
        let (base, bytes) = (plan::SHARED_LINUX_RAM_BASE, plan::SHARED_LINUX_RAM_SIZE);
        // SAFETY: the description gives this task linux-ram, and the kernel maps it there, whole, as normal
        // shared memory; the partition's bytes are no Rust object here. The base is a page's.
        Self(unsafe { Window::new(base, bytes) })
    }
}

impl GuestMemory for PartitionRam {
    fn region(&self) -> Region {
        const REGION: Region =
            match Region::new(plan::SHARED_LINUX_RAM_PHYSICAL, plan::SHARED_LINUX_RAM_SIZE) {
                Some(region) => region,
                None => panic!("linux-ram does not begin at a page"),
            };
        REGION
    }
    fn read(&self, range: Range, out: &mut [u8]) {
        let count = range.bytes().min(out.len());
        self.0.read(range.offset(), &mut out[..count]);
    }
    fn write(&mut self, range: Range, bytes: &[u8]) {
        let count = range.bytes().min(bytes.len());
        self.0.write(range.offset(), &bytes[..count]);
    }
    fn load(&self, cell: Cell) -> u16 {
        self.0.load(cell.offset())
    }
    fn store(&mut self, cell: Cell, value: u16) {
        self.0.store(cell.offset(), value);
    }
}

/// A register write of the partition that waits for its acknowledgement.
#[derive(Debug, Clone, Copy)]
pub struct Request {
    number: u32,
    /// Offset in the register page, as alleged.
    pub offset: u32,
    /// The value.
    pub value: u32,
}

/// The mailbox: page 0 and 1 are the hypervisor's to write, 2 and 3 this task's.
pub struct Shared {
    window: Window,
    mailbox: &'static Mailbox,
    counters: &'static Counters,
    /// When the partition was started, as the hypervisor says.
    partition_start: u64,
    shown: [u32; PAGE_WORDS],
    kept: [u32; SNAPSHOT_WORDS],
}

impl Shared {
    /// The mailbox as it is; nothing is written yet.
    pub fn new() -> Self {
        let (base, bytes) = (plan::SHARED_MAILBOX_BASE, plan::SHARED_MAILBOX_SIZE);
        const {
            assert!(plan::SHARED_MAILBOX_SIZE >= 4 * PAGE_BYTES);
            assert!(size_of::<Mailbox>() <= PAGE_BYTES);
        }
        // SAFETY: the description gives this task the mailbox, and the kernel maps it there as normal shared
        // memory, page aligned. Pages 2 and 3 are reached through the window only, pages 0 and 1 as the two
        // structs below, all atomics, so that whatever the other side writes is a value.
        let (window, mailbox, counters) = unsafe {
            (
                Window::new(base, bytes),
                arch::mmio::block::<Mailbox>(base + PAGE_BYTES),
                arch::mmio::block::<Counters>(base),
            )
        };
        Self {
            window,
            mailbox,
            counters,
            partition_start: counters.marked(Mark::PartitionStart),
            shown: [0; PAGE_WORDS],
            kept: [0; SNAPSHOT_WORDS],
        }
    }

    /// The register write that waits, if one does.
    pub fn request(&self) -> Option<Request> {
        for _ in 0..ATTEMPTS {
            let number = self.mailbox.request.load(Ordering::Acquire);
            if self.mailbox.is_acknowledged(number) {
                return None;
            }
            let request = Request {
                number,
                offset: self.mailbox.offset.load(Ordering::Relaxed),
                value: self.mailbox.value.load(Ordering::Relaxed),
            };
            fence(Ordering::Acquire);
            if self.mailbox.request.load(Ordering::Relaxed) == number {
                return Some(request);
            }
        }
        None
    }

    /// Lets the core that wrote go on.
    pub fn acknowledge(&self, request: Request) {
        self.mailbox
            .acknowledged
            .store(request.number, Ordering::Release);
    }

    /// True where the hypervisor says that there is nobody in the partition, or that it was started anew
    /// since the last time this was asked.
    pub fn partition_has_ended(&mut self) -> bool {
        let start = self.counters.marked(Mark::PartitionStart);
        let is_another = start != self.partition_start;
        self.partition_start = start;
        let is_running = self.counters.state() == Some(State::Running);
        self.counters.header() && (is_another || !is_running)
    }

    /// Shows and keeps the device as it was after power-on.
    pub fn begin(&mut self, device: &Device) {
        for word in PAGE_WORDS..PAGE_BYTES / 4 {
            self.set(REGISTERS + 4 * word, 0);
        }
        self.shown = device.page().map(|value| !value);
        self.kept = device.snapshot().map(|value| !value);
        self.show(device);
    }

    /// Shows the registers to the partition, and keeps what its driver has said. Only what has changed is written.
    pub fn show(&mut self, device: &Device) {
        for (index, value) in device.page().into_iter().enumerate() {
            if self.shown[index] != value {
                self.shown[index] = value;
                self.set(REGISTERS + 4 * index, value);
            }
        }
        for (index, value) in device.snapshot().into_iter().enumerate() {
            if self.kept[index] != value {
                self.kept[index] = value;
                self.set(KEPT + 4 * index, value);
            }
        }
    }

    /// What was kept before this task was restarted.
    pub fn kept(&self) -> [u32; SNAPSHOT_WORDS] {
        core::array::from_fn(|index| {
            let word = self.window.word(KEPT + 4 * index);
            word.map_or(0, |word| word.load(Ordering::Relaxed))
        })
    }

    fn set(&self, offset: usize, value: u32) {
        if let Some(word) = self.window.word(offset) {
            word.store(value, Ordering::Release);
        }
    }
}
