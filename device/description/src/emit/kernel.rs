//! Constants for the kernel (the table of tasks) and for each task (peers, devices, linker script).

use super::common::{link, load, upper, write};
use crate::{Description, Task};
use std::fmt::Write as _;

/// Where a task's image and RAM lie.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskSlot {
    /// Name of the task.
    pub name: String,
    /// Physical address of the image.
    pub base: u64,
    /// Room for the image in bytes.
    pub size: u64,
    /// Physical address of its RAM.
    pub ram_base: u64,
    /// RAM in bytes, stack included.
    pub ram_bytes: u64,
}

/// Addresses of a task's image, stack top and windows in its own address space; the kernel has
/// the same in `kernel_core::plan`, and refuses an image that was linked elsewhere.
const IMAGE_ADDRESS: u64 = 0x1_0000_0000;
const WINDOW_OFFSET: u64 = 0x2_0000_0000;
/// Room for each image.
const IMAGE_SLOT_BYTES: u64 = 256 << 10;

/// The tasks by priority, each with its place; images at a fixed stride, RAM one after the other.
///
/// # Panics
/// Where the regions are not described; the checks refuse such a description.
#[must_use]
pub fn task_slots(description: &Description) -> Vec<TaskSlot> {
    let images = description.memory("task-images").expect("checked");
    let mut ram_base = description.memory("task-ram").expect("checked").base;
    let mut slots = Vec::new();
    for (index, task) in by_priority(description).into_iter().enumerate() {
        let ram_bytes = u64::from(task.ram_kib) << 10;
        slots.push(TaskSlot {
            name: task.name().to_owned(),
            base: images.base + index as u64 * IMAGE_SLOT_BYTES,
            size: IMAGE_SLOT_BYTES,
            ram_base,
            ram_bytes,
        });
        ram_base += ram_bytes;
    }
    slots
}

/// The tasks, the most urgent first: the order of their indexes everywhere.
fn by_priority(description: &Description) -> Vec<&Task> {
    let mut tasks: Vec<&Task> = description.task.iter().collect();
    tasks.sort_by_key(|task| task.priority);
    tasks
}

/// The index of the task `name`.
fn index_of(tasks: &[&Task], name: &str) -> usize {
    tasks
        .iter()
        .position(|task| task.name() == name)
        .unwrap_or_else(|| panic!("no task {name:?}"))
}

/// Writes `tasks.rs` (`TASKS: [TaskPlan; N]`) for the kernel into `OUT_DIR`.
pub fn kernel(description: &Description) {
    write("tasks.rs", &task_table(description));
}

/// The kernel's table of tasks.
#[must_use]
pub fn task_table(description: &Description) -> String {
    let tasks = by_priority(description);
    let slots = task_slots(description);
    let mut text = format!(
        "/// The tasks, by priority.\npub static TASKS: [kernel_core::plan::TaskPlan; {}] = [\n",
        tasks.len()
    );
    for (task, slot) in tasks.iter().zip(&slots) {
        let bits = |names: &[String]| {
            names
                .iter()
                .fold(0_u32, |bits, name| bits | 1 << index_of(&tasks, name))
        };
        let owner = format!("task:{}", task.name());
        let devices: Vec<_> = description
            .peripherals_of(&owner)
            .map(|p| (p.base, p.size))
            .collect();
        let interrupt = description
            .peripherals_of(&owner)
            .flat_map(|p| p.all_interrupts().collect::<Vec<_>>())
            .next();
        let shared: Vec<_> = task
            .memory
            .iter()
            .filter_map(|name| description.memory(name))
            .map(|m| (m.base, m.size))
            .collect();
        let _ = writeln!(
            text,
            "    kernel_core::plan::TaskPlan {{ name: {:?}, priority: {}, budget_us: {}, period_us: {}, stack_bytes: {}, \
             ram_bytes: {}, ram_base: {:#x}, image_base: {:#x}, image_bytes: {:#x}, sends: {:#b}, posts: {:#b}, \
             peripherals: &{devices:?}, shared: &{shared:?}, interrupt: {}, doorbell: {}, guest_interrupt: {} }},",
            task.name(),
            task.priority,
            task.budget_us.get_ref(),
            task.period_us,
            task.stack_kib.get_ref() << 10,
            slot.ram_bytes,
            slot.ram_base,
            slot.base,
            slot.size,
            bits(&task.sends),
            bits(&task.posts),
            interrupt.unwrap_or(0),
            task.doorbell.unwrap_or(0),
            task.guest_interrupt.unwrap_or(0),
        );
    }
    text.push_str("];\n");
    text
}

/// For the build script of the task `name`: writes `plan.rs` and `link.ld`, and links with it.
///
/// `plan.rs` holds `TASK_<NAME>` (indexes of all tasks), `PERIPHERAL_<NAME>_BASE` (in the task's address
/// space) of its own peripherals and `SHARED_<NAME>_BASE/SIZE/PHYSICAL` of the memory it shares; `DEVICE_ID`,
/// `PRODUCT_NAME`, `PRODUCT_VERSION`; of the task behind a partition's vsock device `VSOCK_CID` and `VSOCK_PORT`.
///
/// # Panics
/// In a build script only: where the description is refused or has no such task.
#[must_use]
pub fn task(name: &str) -> Description {
    let description = load();
    write("plan.rs", &task_constants(&description, name));
    write("link.ld", &task_linker_script());
    link();
    description
}

/// The constants of one task.
#[must_use]
pub fn task_constants(description: &Description, name: &str) -> String {
    let tasks = by_priority(description);
    let task = tasks[index_of(&tasks, name)];
    let mut text = String::new();
    for (index, task) in tasks.iter().enumerate() {
        let _ = writeln!(
            text,
            "pub const TASK_{}: u32 = {index};",
            upper(task.name())
        );
    }
    let _ = writeln!(
        text,
        "pub const TASK_NAMES: [&str; {}] = {:?};",
        tasks.len(),
        tasks.iter().map(|t| t.name()).collect::<Vec<_>>()
    );
    let product = &description.product;
    for (name, value) in [
        ("DEVICE_ID", product.device_id.as_ref()),
        ("PRODUCT_NAME", &product.name),
        ("PRODUCT_VERSION", product.version.as_ref()),
    ] {
        let _ = writeln!(text, "pub const {name}: &str = {value:?};");
    }
    for partition in &description.partition {
        let vsock = &partition.vsock;
        if vsock.task == name {
            let _ = writeln!(
                text,
                "pub const VSOCK_CID: u32 = {};\npub const VSOCK_PORT: u32 = {};",
                vsock.cid, vsock.port
            );
        }
    }
    let owner = format!("task:{name}");
    for peripheral in description.peripherals_of(&owner) {
        let name = upper(peripheral.name());
        let _ = writeln!(
            text,
            "pub const PERIPHERAL_{name}_BASE: usize = {:#x};",
            peripheral.base + WINDOW_OFFSET
        );
    }
    for memory in task
        .memory
        .iter()
        .filter_map(|name| description.memory(name))
    {
        let name = upper(memory.name());
        let _ = writeln!(
            text,
            "pub const SHARED_{name}_BASE: usize = {:#x};",
            memory.base + WINDOW_OFFSET
        );
        let _ = writeln!(
            text,
            "pub const SHARED_{name}_PHYSICAL: u64 = {:#x};",
            memory.base
        );
        let _ = writeln!(
            text,
            "pub const SHARED_{name}_SIZE: usize = {:#x};",
            memory.size
        );
    }
    text
}

/// A task's flat image: header and text, constants, data; zeroed data follows. The stack is the kernel's to place.
#[must_use]
pub fn task_linker_script() -> String {
    format!(
        "ENTRY(_start)
SECTIONS {{
    . = {IMAGE_ADDRESS:#x};
    __text_start = .;
    .text : {{
        QUAD({magic:#x})
        LONG(__text_end - __text_start)
        LONG(__rodata_end - __text_end)
        LONG(__data_end - __rodata_end)
        LONG(__memory_end - __rodata_end)
        LONG(0) LONG(0)
        QUAD(_start)
        . = ALIGN(64);
        KEEP(*(.text.entry)) *(.text .text.*)
        . = ALIGN(4096);
    }}
    __text_end = .;
    .rodata : {{ *(.rodata .rodata.*) . = ALIGN(4096); }}
    . = ALIGN(4096);
    __rodata_end = .;
    .data : {{ *(.data .data.*) . = ALIGN(16); }}
    __data_end = .;
    __image_end = .;
    .bss (NOLOAD) : ALIGN(16) {{ *(.bss .bss.*) *(COMMON) }}
    . = ALIGN(4096);
    __memory_end = .;
    ASSERT(__image_end - __text_start <= {IMAGE_SLOT_BYTES:#x}, \"the task's image does not fit its slot\")
    /DISCARD/ : {{ *(.eh_frame*) *(.comment) *(.note*) *(.ARM.exidx*) }}
}}
",
        magic = u64::from_le_bytes(*b"LZRTTASK"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shipped() -> Description {
        Description::parse(include_str!("../../../bedside-monitor.toml")).expect("good")
    }

    #[test]
    fn slots_do_not_overlap_and_fit() {
        let description = shipped();
        let slots = task_slots(&description);
        let images = description.memory("task-images").expect("there");
        let ram = description.memory("task-ram").expect("there");
        for (index, slot) in slots.iter().enumerate() {
            assert!(slot.base + slot.size <= images.end());
            assert!(slot.ram_base + slot.ram_bytes <= ram.end());
            for other in &slots[..index] {
                assert!(other.ram_base + other.ram_bytes <= slot.ram_base);
                assert!(other.base + other.size <= slot.base);
            }
        }
    }

    #[test]
    fn only_the_can_task_gets_the_can_uart() {
        let description = shipped();
        assert!(
            task_constants(&description, "can")
                .contains("PERIPHERAL_CAN_UART_BASE: usize = 0x209040000")
        );
        assert!(!task_constants(&description, "link").contains("PERIPHERAL"));
    }
}
