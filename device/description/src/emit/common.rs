//! Constants and linker scripts every firmware crate gets.

use crate::Description;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// A firmware stage that is linked at a memory region of its own name.
///
/// Writes `plan.rs` and `link.ld` for the stage `region` and returns the checked description,
/// so that a build script can add tables of its own to `plan.rs`'s folder.
///
/// # Panics
/// In a build script only: where the description is refused or a file cannot be written.
#[must_use]
pub fn common(region: &str) -> Description {
    let description = load();
    write("plan.rs", &constants(&description));
    write("link.ld", &linker_script(&description, region));
    link();
    description
}

/// Reads the description and tells cargo when to run the build script again.
///
/// # Panics
/// Where the description is refused.
#[must_use]
pub fn load() -> Description {
    let path = Description::default_path();
    println!(
        "cargo::rerun-if-env-changed={}",
        crate::DESCRIPTION_VARIABLE
    );
    println!("cargo::rerun-if-changed={}", path.display());
    Description::load(&path).unwrap_or_else(|error| panic!("{error}"))
}

/// Writes `text` as `name` into `OUT_DIR` and returns its path.
///
/// # Panics
/// Outside a build script, or where the file cannot be written.
pub fn write(name: &str, text: &str) -> PathBuf {
    let out = std::env::var_os("OUT_DIR").expect("OUT_DIR: called outside a build script");
    let path = Path::new(&out).join(name);
    std::fs::write(&path, text).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    path
}

/// Tells cargo to link this crate's binary with `OUT_DIR/link.ld`, on bare metal only.
pub fn link() {
    if std::env::var("CARGO_CFG_TARGET_OS").as_deref() == Ok("none") {
        let out = std::env::var("OUT_DIR").unwrap_or_default();
        println!("cargo::rustc-link-arg-bins=-T{out}/link.ld");
        println!("cargo::rustc-link-arg-bins=--build-id=none");
        println!("cargo::rustc-link-arg-bins=-zmax-page-size=4096");
    }
}

/// `MEMORY_*`, `PERIPHERAL_*` and `FLASH_*` constants.
#[must_use]
pub fn constants(description: &Description) -> String {
    let mut text = String::new();
    for memory in &description.memory {
        let name = format!("MEMORY_{}", upper(memory.name()));
        range(&mut text, &name, memory.base, memory.size);
    }
    for region in &description.flash.regions {
        let name = format!("FLASH_{}", upper(region.name()));
        range(
            &mut text,
            &name,
            description.flash.base + region.offset,
            region.size,
        );
    }
    for peripheral in &description.peripheral {
        let name = format!("PERIPHERAL_{}", upper(peripheral.name()));
        range(&mut text, &name, peripheral.base, peripheral.size);
        if let Some(interrupt) = peripheral.interrupt {
            let _ = writeln!(
                text,
                "/// GIC INTID.\npub const {name}_INTERRUPT: u32 = {interrupt};"
            );
        }
        if !peripheral.interrupts.is_empty() {
            let list = &peripheral.interrupts;
            let _ = writeln!(
                text,
                "/// GIC INTIDs.\npub const {name}_INTERRUPTS: [u32; {}] = {list:?};",
                list.len()
            );
        }
    }
    text
}

/// `<name>_BASE` and `<name>_SIZE`.
fn range(text: &mut String, name: &str, base: u64, size: u64) {
    let _ = writeln!(
        text,
        "/// Physical address.\npub const {name}_BASE: usize = {base:#x};"
    );
    let _ = writeln!(
        text,
        "/// Size in bytes.\npub const {name}_SIZE: usize = {size:#x};"
    );
}

/// `boot-info` becomes `BOOT_INFO`.
#[must_use]
pub fn upper(name: &str) -> String {
    name.to_ascii_uppercase().replace('-', "_")
}

/// A flat image at the start of `region`: entry first, then text, constants, data, zeroed
/// data, stack symbols; each at a page, so that each gets its own rights (W^X).
///
/// Symbols: `__text_start/end`, `__rodata_start/end`, `__data_start/end`, `__bss_start/end`,
/// `__image_end` (end of what is stored), `__free_start` (first page after bss), `__region_end`.
/// Sections: `.text.entry` comes first, `.vectors` is aligned to 2 KiB.
#[must_use]
pub fn linker_script(description: &Description, region: &str) -> String {
    let memory = description
        .memory(region)
        .unwrap_or_else(|| panic!("memory {region:?} is not described"));
    format!(
        "ENTRY(_start)
SECTIONS {{
    . = {base:#x};
    __text_start = .;
    .text : {{ KEEP(*(.text.entry)) . = ALIGN(2048); KEEP(*(.vectors)) *(.text .text.*) }}
    . = ALIGN(4096);
    __text_end = .;
    __rodata_start = .;
    .rodata : {{ *(.rodata .rodata.*) }}
    . = ALIGN(4096);
    __rodata_end = .;
    __data_start = .;
    .data : {{ *(.data .data.*) }}
    . = ALIGN(16);
    __data_end = .;
    __image_end = .;
    . = ALIGN(4096);
    __bss_start = .;
    .bss (NOLOAD) : {{ *(.bss .bss.*) *(COMMON) }}
    . = ALIGN(4096);
    __bss_end = .;
    __free_start = .;
    __region_end = {end:#x};
    ASSERT(__free_start <= __region_end, \"{region}: the image does not fit its memory region\")
    /DISCARD/ : {{ *(.eh_frame*) *(.comment) *(.note*) *(.ARM.exidx*) }}
}}
",
        base = memory.base,
        end = memory.end(),
    )
}
