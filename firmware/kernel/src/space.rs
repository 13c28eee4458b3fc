//! A task's address space: its image, its RAM, its stack, what it holds, and the kernel's own pages.

use crate::plan::MEMORY_BOOT_INFO_BASE;
use arch::translation::{Access, Builder, Error, Leaf, Memory, Table, table};
use kernel_core::image::Layout;
use kernel_core::plan::{
    BOOT_INFO_ADDRESS, IMAGE_ADDRESS, PAGE_BYTES, STACK_TOP, Segment, Space, TaskPlan,
    WINDOW_OFFSET,
};

/// Tables of one task: root, two for the image, one for the stack, two for BootInfo, at most four for windows.
pub const TABLES: usize = 10;

const _: () = assert!(size_of::<bootinfo::BootInfo>() as u64 <= PAGE_BYTES);

/// Where the parts of a task lie; only these may be named in system calls.
pub fn of(plan: &TaskPlan, layout: &Layout) -> Space {
    Space {
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
            physical: plan.ram_base + plan.ram_bytes - plan.stack_bytes,
            bytes: plan.stack_bytes,
        },
    }
}

/// Fills the tables of a task and returns their root's address. `kernel_pages` is the kernel's
/// table of the first GiB: it hangs in every root, and gives EL0 nothing.
pub fn build(
    plan: &TaskPlan,
    layout: &Layout,
    kernel_pages: u64,
    pool: &mut [Table; TABLES],
) -> Result<u64, Error> {
    let root = pool.as_mut_ptr() as u64;
    let space = of(plan, layout);
    let mut tables = Builder::new(pool, root, 1, 1).ok_or(Error::Range)?;
    let ram = |access| Leaf::el0(Memory::Normal, access);
    let (text, image) = (layout.text_bytes, space.image);
    tables.map(
        image.address,
        image.physical,
        text,
        ram(Access::ReadExecute),
    )?;
    tables.map(
        image.address + text,
        image.physical + text,
        layout.constant_bytes,
        ram(Access::Read),
    )?;
    for segment in [space.data, space.stack] {
        let Segment {
            address,
            physical,
            bytes,
        } = segment;
        tables.map(address, physical, bytes, ram(Access::ReadWrite))?;
    }
    let boot_info = MEMORY_BOOT_INFO_BASE as u64;
    tables.map(BOOT_INFO_ADDRESS, boot_info, PAGE_BYTES, ram(Access::Read))?;
    for &(base, bytes) in plan.peripherals {
        let device = Leaf::el0(Memory::Device, Access::ReadWrite);
        tables.map(base + WINDOW_OFFSET, base, bytes, device)?;
    }
    for &(base, bytes) in plan.shared {
        let normal = ram(Access::ReadWrite).of_normal_world();
        tables.map(base + WINDOW_OFFSET, base, bytes, normal)?;
    }
    pool[0].0[0] = table(kernel_pages);
    Ok(root)
}
