//! What the build derives for each task, and where a task's memory lies.

/// Bytes of a page.
pub const PAGE_BYTES: u64 = 4096;
/// Address at which every task's image begins, in its own address space.
pub const IMAGE_ADDRESS: u64 = 0x1_0000_0000;
/// One past the last byte of every task's stack, in its own address space. Nothing is mapped around the stack.
pub const STACK_TOP: u64 = 0x1_4000_0000;
/// Where every task reads what the loader verified (`bootinfo::BootInfo`), one page.
pub const BOOT_INFO_ADDRESS: u64 = 0x1_8000_0000;
/// Peripherals and normal-world memory appear at their physical address plus this.
pub const WINDOW_OFFSET: u64 = 0x2_0000_0000;

/// A task as the description has it; see `device/*.toml`.
#[derive(Debug, Clone, Copy)]
pub struct TaskPlan {
    /// Name of the task.
    pub name: &'static str,
    /// Strict priority; tasks are listed by priority, 0 first.
    pub priority: u32,
    /// Time it may use in every period, microseconds.
    pub budget_us: u64,
    /// Period of the budget, microseconds.
    pub period_us: u64,
    /// Stack, bytes.
    pub stack_bytes: u64,
    /// Data and stack, bytes.
    pub ram_bytes: u64,
    /// Physical address of its RAM.
    pub ram_base: u64,
    /// Physical address of its verified image.
    pub image_base: u64,
    /// Room for the image, bytes.
    pub image_bytes: u64,
    /// Bit n: may send to task n.
    pub sends: u32,
    /// Bit n: may post to task n.
    pub posts: u32,
    /// Its peripherals: physical address and bytes.
    pub peripherals: &'static [(u64, u64)],
    /// Normal-world memory it may use: physical address and bytes.
    pub shared: &'static [(u64, u64)],
    /// Its interrupt, 0 = none.
    pub interrupt: u32,
    /// The secure SGI that wakes it, 0 = none.
    pub doorbell: u32,
    /// The shared interrupt it may raise in a partition, 0 = none.
    pub guest_interrupt: u32,
}

/// A range of a task's memory: `bytes` from `address` (in its space) lie at `physical`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Segment {
    /// Address in the task's space.
    pub address: u64,
    /// Physical address.
    pub physical: u64,
    /// Size in bytes.
    pub bytes: u64,
}

impl Segment {
    /// Physical address of `bytes` bytes at `address`, where all of them lie in here.
    #[inline(always)]
    fn locate(&self, address: u64, bytes: u64) -> Option<u64> {
        // Below the segment the offset wraps around and is larger than any segment.
        let offset = address.wrapping_sub(self.address);
        if offset > self.bytes || bytes > self.bytes - offset {
            return None;
        }
        // No overflow: it lies in the segment, and that in memory.
        Some(self.physical.wrapping_add(offset))
    }
}

/// Where a task's own memory lies. Only this may be named in system calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Space {
    /// Text and constants: read only.
    pub image: Segment,
    /// Data and zeroed data.
    pub data: Segment,
    /// Stack.
    pub stack: Segment,
}

impl Space {
    /// Physical address of `bytes` bytes that a task alleges to own at `address`.
    #[must_use]
    #[inline(always)]
    pub fn locate(&self, address: u64, bytes: u64, write: bool) -> Option<u64> {
        self.stack
            .locate(address, bytes)
            .or_else(|| self.data.locate(address, bytes))
            .or_else(|| {
                if write {
                    None
                } else {
                    self.image.locate(address, bytes)
                }
            })
    }
}
