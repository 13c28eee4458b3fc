//! Tasks' address spaces and memory: made from the verified image, at the start and at every restart.

use crate::plan::{TASK_COUNT, TASKS};
use arch::el1::{self, Single};
use arch::translation::{self, Access, Builder, Leaf, Memory, Table};
use kernel_core::image::{self, Layout};
use kernel_core::plan::{IMAGE_ADDRESS, STACK_TOP, Segment, Space, TaskPlan, WINDOW_OFFSET};

/// Tables of one task: level 1; level 2 and 3 for its image, for its stack, for devices and for shared memory.
const TABLES: usize = 10;

/// Every task's tables.
static POOL: Single<[[Table; TABLES]; TASK_COUNT]> = Single::EMPTY;

/// Why a task has no address space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Error {
    /// Its image cannot be started.
    Image(image::Error),
    /// Its memory cannot be mapped.
    Map(translation::Error),
}

/// Physical address of a task's level 1 table.
pub fn root(index: usize) -> u64 {
    (&raw const POOL) as u64 + (index * TABLES * core::mem::size_of::<Table>()) as u64
}

/// Copies between tasks' memory: addresses come from `Space::locate`, which names task images and RAM only.
pub struct TaskMemory;

impl kernel_core::Memory for TaskMemory {
    fn copy(&mut self, from: u64, to: u64, bytes: u64) {
        // SAFETY: `Space::locate` found both ranges in this description's task-images or task-ram,
        // which are mapped at their addresses (entry.S), RAM writable, and hold no kernel object.
        unsafe { el1::copy(from, to, bytes) };
    }

    fn word(&mut self, from: u64) -> u64 {
        // SAFETY: as in `copy`.
        unsafe { el1::word(from) }
    }
}

/// Makes a task's memory as its image says, and its tables; where it is, and its first instruction.
///
/// # Errors
/// Where the image is none or does not fit.
pub fn make(index: usize) -> Result<(Space, u64), Error> {
    let plan = &TASKS[index];
    // SAFETY: the slot is in task-images, mapped read-only, written before the kernel ran.
    let header = unsafe { el1::bytes(plan.image_base, image::HEADER_BYTES) };
    let data_limit = plan.ram_bytes - plan.stack_bytes;
    let layout = Layout::read(header, plan.image_bytes, data_limit).map_err(Error::Image)?;
    fill(plan, &layout);
    let space = Space {
        image: Segment {
            address: IMAGE_ADDRESS,
            physical: plan.image_base,
            bytes: layout.fixed_bytes(),
        },
        data: Segment {
            address: IMAGE_ADDRESS + layout.fixed_bytes(),
            physical: plan.ram_base,
            bytes: layout.memory_bytes,
        },
        stack: Segment {
            address: STACK_TOP - plan.stack_bytes,
            physical: plan.ram_base + data_limit,
            bytes: plan.stack_bytes,
        },
    };
    map(index, plan, &layout, &space).map_err(Error::Map)?;
    Ok((space, layout.entry))
}

/// Data as in the image, everything else in the task's RAM zero.
fn fill(plan: &TaskPlan, layout: &Layout) {
    // SAFETY: the task's RAM lies in task-ram, mapped read-write, and holds no kernel object; the
    // image lies in task-images; `Layout::read` keeps the sizes within both.
    unsafe {
        el1::copy(
            plan.image_base + layout.fixed_bytes(),
            plan.ram_base,
            layout.data_bytes,
        );
        el1::zero(
            plan.ram_base + layout.data_bytes,
            plan.ram_bytes - layout.data_bytes,
        );
    }
}

/// Fills the task's tables: nothing is both writable and executable, and nothing of another task is there.
fn map(
    index: usize,
    plan: &TaskPlan,
    layout: &Layout,
    space: &Space,
) -> Result<(), translation::Error> {
    // SAFETY: called at start and from the trap handler, on the one secure core with exceptions
    // masked; tables of other tasks are not touched, and this one's are not in use.
    let pool = unsafe { &mut POOL.get()[index] };
    let mut builder = Builder::new(pool, root(index), 1, 1).ok_or(translation::Error::Range)?;
    let leaf = |access| Leaf::el0(Memory::Normal, access);
    let constants = layout.text_bytes;
    builder.map(
        IMAGE_ADDRESS,
        plan.image_base,
        constants,
        leaf(Access::ReadExecute),
    )?;
    builder.map(
        IMAGE_ADDRESS + constants,
        plan.image_base + constants,
        layout.constant_bytes,
        leaf(Access::Read),
    )?;
    for segment in [space.data, space.stack] {
        builder.map(
            segment.address,
            segment.physical,
            segment.bytes,
            leaf(Access::ReadWrite),
        )?;
    }
    for &(base, bytes) in plan.peripherals {
        builder.map(
            WINDOW_OFFSET + base,
            base,
            bytes,
            Leaf::el0(Memory::Device, Access::ReadWrite),
        )?;
    }
    for &(base, bytes) in plan.shared {
        builder.map(
            WINDOW_OFFSET + base,
            base,
            bytes,
            leaf(Access::ReadWrite).of_normal_world(),
        )?;
    }
    pool[0].0[0] = translation::table(crate::entry::kernel_table());
    arch::barrier::dsb_sy();
    arch::maintenance::tlbi_aside1is(asid(index) << 48);
    arch::barrier::dsb_sy();
    arch::barrier::isb();
    Ok(())
}

/// Address space identifier of a task; 0 is the kernel's own tables.
pub fn asid(index: usize) -> u64 {
    index as u64 + 1
}

/// Makes the pool; before anything else in here.
pub fn prepare() {
    // SAFETY: called once, before any task exists, on the one secure core.
    unsafe { POOL.set([const { [Table::EMPTY; TABLES] }; TASK_COUNT]) };
}
