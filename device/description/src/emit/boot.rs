//! What boot ROM, loader and the image builder derive: identity, component regions, the ROM's linker script.

use crate::Description;
use std::fmt::Write as _;
use uuid::Uuid;

/// Memory a component may be loaded to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentRegion {
    /// Name of the component.
    pub name: String,
    /// Physical address of the memory.
    pub base: u64,
    /// Size of the memory in bytes.
    pub size: u64,
}

/// The SUIT vendor identifier: UUIDv5(DNS, vendor).
#[must_use]
pub fn vendor_id(description: &Description) -> [u8; 16] {
    let vendor = description.product.vendor.as_bytes();
    Uuid::new_v5(&Uuid::NAMESPACE_DNS, vendor).into_bytes()
}

/// The SUIT class identifier: UUIDv5(vendor identifier, class).
#[must_use]
pub fn class_id(description: &Description) -> [u8; 16] {
    let vendor = Uuid::from_bytes(vendor_id(description));
    Uuid::new_v5(&vendor, description.product.class.as_bytes()).into_bytes()
}

/// Every component, in the order they are loaded, and the memory it may be loaded to.
///
/// Tasks get equal parts of `task-images`. Of a partition, kernel, device tree and initramfs each get its
/// RAM from their offset to the next one's.
///
/// # Panics
/// Where a region is not described; the checks refuse such a description.
#[must_use]
pub fn component_regions(description: &Description) -> Vec<ComponentRegion> {
    let region = |name: String, region: &str| {
        let memory = description
            .memory(region)
            .unwrap_or_else(|| panic!("memory {region:?} is not described"));
        ComponentRegion {
            name,
            base: memory.base,
            size: memory.size,
        }
    };
    let mut regions = Vec::new();
    for component in &description.component {
        regions.push(region(component.name().to_owned(), &component.region));
    }
    let slots = super::kernel::task_slots(description);
    for task in &description.task {
        // Its own slot of `task-images`: the kernel looks for it nowhere else.
        let name = format!("task-{}", task.name());
        if let Some(slot) = slots.iter().find(|slot| slot.name == task.name()) {
            let (base, size) = (slot.base, slot.size);
            regions.push(ComponentRegion { name, base, size });
        }
    }
    for partition in &description.partition {
        let offsets = [
            ("kernel", partition.kernel_offset),
            ("initramfs", partition.initramfs_offset),
            ("dtb", partition.dtb_offset),
        ];
        for (part, offset) in offsets {
            let mut part = region(format!("{}-{part}", partition.name()), &partition.ram);
            let others = offsets.iter().map(|(_, other)| *other);
            let next = others.filter(|other| *other > offset).min();
            part.base += offset;
            part.size = next.unwrap_or(part.size).saturating_sub(offset);
            regions.push(part);
        }
        regions.push(region(
            format!("{}-root", partition.name()),
            &partition.root,
        ));
    }
    regions
}

/// `VENDOR_ID`, `CLASS_ID`, `PRODUCT_VERSION` and `COMPONENT_REGIONS` (of `verify::Region`).
#[must_use]
pub fn plan(description: &Description) -> String {
    let mut text = format!(
        "/// SUIT vendor identifier.\npub const VENDOR_ID: [u8; 16] = {:?};
/// SUIT class identifier.\npub const CLASS_ID: [u8; 16] = {:?};
/// Version of the firmware.\npub const PRODUCT_VERSION: &str = {:?};
/// Where each component may be loaded, in the order they are loaded.\npub const COMPONENT_REGIONS: &[verify::Region] = &[\n",
        vendor_id(description),
        class_id(description),
        description.product.version.as_ref(),
    );
    for ComponentRegion { name, base, size } in component_regions(description) {
        let _ = writeln!(
            text,
            "    verify::Region {{ name: {name:?}, base: {base:#x}, size: {size:#x} }},"
        );
    }
    text.push_str("];\n");
    let firmware = description.component.len() + description.task.len();
    let _ = writeln!(
        text,
        "/// How many of them are firmware; the others are the partitions' images.\npub const FIRMWARE_COMPONENTS: usize = {firmware};"
    );
    text
}

/// The boot ROM: text and constants in flash, stack in `rom-ram` and `boot-info`, which follow each other.
///
/// The top page of `rom-ram` is kept for the secondary cores' mailbox.
///
/// # Panics
/// Where a region is not described; the checks refuse such a description.
#[must_use]
pub fn rom_linker_script(description: &Description) -> String {
    let rom = description.flash_region("bootrom").expect("checked");
    let memory = |name: &str| description.memory(name).expect("checked");
    let (ram, loader) = (memory("rom-ram"), memory("loader"));
    format!(
        "ENTRY(_start)
SECTIONS {{
    . = {base:#x};
    __text_start = .;
    .text : {{ KEEP(*(.text.entry)) . = ALIGN(2048); KEEP(*(.vectors)) *(.text .text.*) }}
    . = ALIGN(4096);
    __text_end = .;
    .rodata : {{ *(.rodata .rodata.*) *(.data.rel.ro .data.rel.ro.*) }}
    . = ALIGN(16);
    __data_load = .;
    . = {ram:#x};
    .data : AT(__data_load) {{ __data_start = .; *(.data .data.*) . = ALIGN(16); __data_end = .; }}
    __image_end = __data_load + SIZEOF(.data);
    .bss (NOLOAD) : ALIGN(16) {{ __bss_start = .; *(.bss .bss.*) *(COMMON) . = ALIGN(16); __bss_end = .; }}
    .tables (NOLOAD) : ALIGN(4096) {{ __tables = .; . += 0x2000; }}
    ASSERT(__bss_end <= __mailbox, \"bootrom: variables do not fit rom-ram\")
    __mailbox = {mailbox:#x};
    __stack_top = {stack_top:#x};
    ASSERT(__image_end <= {end:#x}, \"bootrom: does not fit its flash region\")
    /DISCARD/ : {{ *(.eh_frame*) *(.comment) *(.note*) *(.ARM.exidx*) }}
}}
",
        base = description.flash.base + rom.offset,
        end = description.flash.base + rom.offset + rom.size,
        ram = ram.base,
        mailbox = ram.end() - 8,
        stack_top = loader.end(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_component_has_a_region_and_parts_of_a_partition_do_not_overlap() {
        let description = Description::load(&Description::default_path()).expect("good");
        let regions = component_regions(&description);
        let names: Vec<_> = regions.iter().map(|r| r.name.clone()).collect();
        assert_eq!(names, description.component_names());
        let linux: Vec<_> = regions
            .iter()
            .filter(|r| r.name.starts_with("linux-"))
            .collect();
        assert_eq!(linux.len(), 4);
        for (index, a) in linux.iter().enumerate() {
            assert!(a.size > 0);
            for b in &linux[..index] {
                assert!(
                    a.base + a.size <= b.base || b.base + b.size <= a.base,
                    "{a:?} {b:?}"
                );
            }
        }
    }

    /// Computed with Python: uuid.uuid5(uuid.NAMESPACE_DNS, "lazaret.example") and uuid5 of that.
    #[test]
    fn identifiers_are_those_other_tools_compute() {
        let description = Description::load(&Description::default_path()).expect("good");
        assert_eq!(
            Uuid::from_bytes(vendor_id(&description)).to_string(),
            "9b16da5a-940d-5d6f-bfaa-17cccec767dc"
        );
        assert_eq!(
            Uuid::from_bytes(class_id(&description)).to_string(),
            "44e9c01e-d479-5706-bb29-cbccfc241bff"
        );
    }
}
