//! For development: a flash image from what has been built, with stand-ins for what has not.
//!
//! `cargo run -p images --example assemble -- FLASH FIRMWARE [COMPONENT=FILE]...`
//!
//! FIRMWARE is cargo's target folder of the firmware (it holds `aarch64-unknown-none*/firmware/<package>`). A component
//! named with a FILE is that file: an ELF program, or the bytes as they are. A task that has not been built is a loop
//! that answers every message with "unknown", a partition's image is a few KiB of noise. Signed with test keys.

use images::{BuildInputs, ComponentInput, KeyRing, build_flash, flatten, verify_flash};
use lazaret_description::Description;
use std::collections::HashMap;
use std::error::Error;
use std::fs;
use std::path::Path;

fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let (Some(flash), Some(firmware)) = (arguments.next(), arguments.next()) else {
        return Err("expected: FLASH FIRMWARE [COMPONENT=FILE]...".into());
    };
    let given: HashMap<String, String> = arguments
        .map(|argument| {
            let pair = argument.split_once('=');
            pair.map(|(name, file)| (name.to_owned(), file.to_owned()))
                .ok_or(format!("{argument:?}: expected COMPONENT=FILE"))
        })
        .collect::<Result<_, _>>()?;
    let description = Description::load_default()?;
    let names = description.component_names();
    if let Some(unknown) = given
        .keys()
        .find(|name| !names.contains(name) && *name != "bootrom")
    {
        return Err(format!("no component {unknown:?}; there is {}", names.join(", ")).into());
    }
    let mut components = Vec::new();
    for name in &names {
        let (bytes, from) = component(name, given.get(name), Path::new(&firmware))?;
        eprintln!("{name:<20} {:>9} bytes  {from}", bytes.len());
        let mut input = ComponentInput::new(name, "0.1.0", bytes);
        input.compress = name.ends_with("-kernel");
        components.push(input);
    }
    let (bootrom, _) = component("bootrom", given.get("bootrom"), Path::new(&firmware))?;
    let inputs = BuildInputs {
        bootrom,
        components,
        sequence: 1,
    };
    let image = build_flash(&description, &KeyRing::for_tests(1), &inputs)?;
    verify_flash(&description, &image)?;
    fs::write(&flash, image)?;
    eprintln!("{flash} written and verified");
    Ok(())
}

/// The bytes of a component, and where they come from.
fn component(
    name: &str,
    given: Option<&String>,
    firmware: &Path,
) -> Result<(Vec<u8>, String), Box<dyn Error>> {
    let target = match name {
        "bootrom" | "loader" => "aarch64-unknown-none",
        _ => "aarch64-unknown-none-softfloat",
    };
    let built = firmware.join(target).join("firmware").join(name);
    let file = given.map_or(built, |file| Path::new(file).to_owned());
    if let Ok(bytes) = fs::read(&file) {
        let flat = if bytes.starts_with(b"\x7fELF") {
            flatten(&bytes).ok().map(|flat| flat.bytes)
        } else {
            Some(bytes)
        };
        let usable = |flat: &Vec<u8>| !name.starts_with("task-") || flat.starts_with(b"LZRTTASK");
        if let Some(flat) = flat.filter(usable) {
            return Ok((flat, file.display().to_string()));
        }
    }
    if given.is_some() {
        return Err(format!("{name}: {} is no program for it", file.display()).into());
    }
    if name.starts_with("task-") {
        return Ok((stub_task(), "stand-in".to_owned()));
    }
    if name.contains("-kernel") || name.contains("linux-") {
        return Ok((noise(5000), "noise".to_owned()));
    }
    Err(format!("{name}: {} has not been built", file.display()).into())
}

/// A task that receives messages for ever and answers each with code 1 (unknown operation).
fn stub_task() -> Vec<u8> {
    const LOOP: [u32; 14] = [
        0x9100_03e0, // mov x0, sp
        0xd100_4000, // sub x0, x0, #16
        0xd280_0001, // mov x1, #0
        0xd280_0002, // mov x2, #0
        0xd280_0003, // mov x3, #0
        0xd280_0048, // mov x8, #2 (receive)
        0xd400_0001, // svc #0
        0xd280_0021, // mov x1, #1
        0x9100_03e2, // mov x2, sp
        0xd100_4042, // sub x2, x2, #16
        0xd280_0003, // mov x3, #0
        0xd280_0068, // mov x8, #3 (reply)
        0xd400_0001, // svc #0
        0x17ff_fff3, // b to the first
    ];
    let mut image = b"LZRTTASK".to_vec();
    for bytes in [4096_u32, 0, 0, 4096, 0, 0] {
        image.extend(bytes.to_le_bytes());
    }
    image.extend(0x1_0000_0040_u64.to_le_bytes());
    image.resize(64, 0);
    image.extend(LOOP.iter().flat_map(|word| word.to_le_bytes()));
    image.resize(4096, 0);
    image
}

/// Bytes without a pattern, the same every time.
fn noise(bytes: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let step = |_| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 56) as u8
    };
    (0..bytes).map(step).collect()
}
