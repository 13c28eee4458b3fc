//! The chain of trust, as real boots: whatever is changed on flash is refused, by the right stage,
//! with the right line, and nothing of it runs. (`tool/images/tests/chain.rs` does many more on the host.)

use images::{Part, parts, verify_flash};
use lazaret::machine::{Config, Machine};
use lazaret::session::HANG;
use std::fs;
use system_tests::gdb::{Gdb, PC};
use system_tests::{description, flash, folder};

/// Where the random places start; `LAZARET_SEED` tries others.
const SEED: u64 = 1;

/// SplitMix64 (Steele et al., OOPSLA 2014).
struct Random(u64);

impl Random {
    fn below(&mut self, limit: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((z ^ (z >> 31)) % limit.max(1) as u64) as usize
    }
}

/// Boots `image` and returns its machine with the console's text once the chain has ended, in the
/// monitor's start or a refusal.
fn boot(image: &[u8]) -> (Machine, String) {
    let folder = folder("refused");
    let file = folder.join("changed.img");
    fs::write(&file, image).expect("written");
    let mut config = Config::new(&file, &folder);
    config.network = false;
    config.gdb = true;
    let machine = Machine::start(config).expect("QEMU starts");
    let ended = |text: &str| {
        let decided = |line: &str| line.contains("REFUSED") || line.starts_with("monitor: ");
        // A whole line: the last one may still be coming.
        text.rfind('\n')
            .is_some_and(|end| text[..end].lines().any(|line| decided(line.trim())))
    };
    let text = machine.wait_until(HANG, ended).expect("the chain ends");
    (machine, text)
}

/// Every core stands in the code of the stage that refused, or still in ROM.
fn nothing_else_runs(machine: &Machine, stage: &str) {
    let description = description();
    let rom = description.flash_region("bootrom").expect("described");
    let loader = description.memory("loader").expect("described");
    let mut gdb = Gdb::connect(&machine.config().socket("gdb.sock")).expect("gdb");
    for core in 0..machine.config().cores {
        gdb.core(core).expect("such a core");
        let pc = gdb.register(PC).expect("pc");
        let in_rom = pc < rom.offset + rom.size;
        let in_loader = (loader.base..loader.base + loader.size).contains(&pc);
        let allowed = in_rom || core == 0 && stage == "loader" && in_loader;
        assert!(
            allowed,
            "core {core} runs at {pc:#x} after a refusal by {stage}"
        );
    }
}

#[test]
fn every_part_changed_at_a_random_place_is_refused() {
    let description = description();
    let good = fs::read(flash()).expect("an image");
    let seed = std::env::var("LAZARET_SEED")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(SEED);
    println!("seed {seed}");
    let mut random = Random(seed);
    let parts = parts(&description, &good).expect("readable");
    for name in description.component_names() {
        assert!(
            parts.iter().any(|part| part.name == name),
            "{name} is no part of the image"
        );
    }
    for Part { name, range } in parts {
        let mut changed = good.clone();
        let at = range.start + random.below(range.len());
        let bit = random.below(8);
        changed[at] ^= 1 << bit;
        let expected = verify_flash(&description, &changed).err();
        let (machine, text) = boot(&changed);
        let Some(expected) = expected else {
            // Only the header's count may grow into erased bytes: it says where to look, no more.
            assert_eq!(
                name, "slot header",
                "{name} changed at {at:#x} would be accepted"
            );
            assert!(text.contains("monitor: "), "{text}");
            continue;
        };
        let line = expected.to_string();
        println!("{name} at {at:#x} bit {bit}: {line}");
        let refusals: Vec<&str> = text
            .lines()
            .filter(|line| line.contains("REFUSED"))
            .collect();
        assert_eq!(refusals, [line.as_str()], "{text}");
        let ran = |stage: &str| text.lines().any(|line| line.starts_with(stage));
        assert!(!ran("monitor: ") && !ran("kernel: "), "{text}");
        let stage = line.split(':').next().unwrap_or("");
        nothing_else_runs(&machine, stage);
    }
}

#[test]
fn an_empty_device_says_so() {
    let description = description();
    let mut image = fs::read(flash()).expect("an image");
    let otp = description.flash_region("otp").expect("described").offset as usize;
    image[otp..otp + 4096].fill(0xff);
    let expected = verify_flash(&description, &image)
        .expect_err("no keys are burned")
        .to_string();
    let (machine, text) = boot(&image);
    assert!(
        text.lines().any(|line| line.trim() == expected),
        "{expected}\n{text}"
    );
    nothing_else_runs(&machine, "rom");
}

/// Somebody else's keys sign somebody else's image: this device knows only its own.
#[test]
fn a_foreign_image_is_refused() {
    let description = description();
    let good = fs::read(flash()).expect("an image");
    let otp = description.flash_region("otp").expect("described").offset as usize;
    let stranger = images::KeyRing::for_tests(7);
    let digest = verify::signature::sha_256(&[&stranger.root_key_set()]);
    let mut image = good.clone();
    let fuses = manifest::fuses::image(&manifest::fuses::Fuses {
        root_keys_digest: digest,
    });
    image[otp..otp + fuses.len()].copy_from_slice(&fuses);
    let expected = verify_flash(&description, &image)
        .expect_err("foreign")
        .to_string();
    assert!(expected.contains("root keys"), "{expected}");
    let (_machine, text) = boot(&image);
    assert!(
        text.lines().any(|line| line.trim() == expected),
        "{expected}\n{text}"
    );
}
