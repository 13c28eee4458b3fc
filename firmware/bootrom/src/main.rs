//! EL3, immutable: the root of trust.
//!
//! Burned digest -> root keys -> key certificate -> loader manifest -> loader. Everything is copied out of flash
//! before it is looked at, so that what was checked is what is used.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(not(target_os = "none"))]
fn main() {}

#[cfg(target_os = "none")]
mod entry;
#[cfg(target_os = "none")]
mod memory;

#[cfg(target_os = "none")]
mod rom {
    use crate::memory::{self, Memory};
    use arch::counter::now_ticks;
    use arch::maintenance::clean;
    use board::console::Line;
    use bootinfo::{BootInfo, Component, padded};
    use manifest::slot::{self, Kind};
    use manifest::suit::Compression;
    use verify::stages::{LOADER, RomStage};
    use verify::{Identity, Reason, Refusal, Region, names, place, stages};

    /// Derived from the description.
    #[expect(dead_code, reason = "the loader uses more of it")]
    mod plan {
        include!(concat!(env!("OUT_DIR"), "/boot.rs"));
    }

    /// The ROM from its first Rust instruction to the loader's entry.
    pub fn main(entry_ticks: u64) -> ! {
        // SAFETY: core 0 comes here once after reset, and nothing else calls this.
        let memory = unsafe { memory::take() };
        match boot(memory, entry_ticks) {
            Ok((entry, argument)) => crate::entry::leave(entry, argument),
            Err(refusal) => {
                refuse(&refusal);
                halt()
            }
        }
    }

    /// One line that says what is refused and why.
    fn refuse(refusal: &Refusal) {
        let code = refusal.reason.code();
        Line::new("rom")
            .text("REFUSED ")
            .text(refusal.name())
            .text(": ")
            .text(refusal.reason.text())
            .text(if code < 10 { " [E0" } else { " [E" })
            .decimal(u64::from(code))
            .text("]")
            .end();
    }

    /// Stops for good: nothing of what was refused has run.
    pub fn halt() -> ! {
        arch::barrier::halt()
    }

    /// Verifies and places the loader: its entry, and the address of the hand-over.
    fn boot(memory: Memory, entry_ticks: u64) -> Result<(u64, u64), Refusal> {
        let identity = Identity {
            vendor: plan::VENDOR_ID,
            class: plan::CLASS_ID,
            minimum_sequence: 0,
        };
        let [roots, certificate, envelope] = memory.documents;
        let slot = memory.slot;
        let roots = copy(slot, Kind::RootKeys, names::ROOT_KEYS, roots)?;
        let certificate = copy(slot, Kind::KeyCertificate, names::CERTIFICATE, certificate)?;
        let envelope = copy(slot, Kind::LoaderManifest, names::LOADER_MANIFEST, envelope)?;
        let fuses = *memory.fuses;
        let stage = stages::rom(&fuses, roots, certificate, envelope, &identity)?;
        let entry = load(slot, &stage, memory.loader)?;
        announce(&stage);
        hand_over(memory.boot_info, &stage, entry_ticks);
        Ok((entry, core::ptr::from_ref(memory.boot_info).addr() as u64))
    }

    /// Copies a document out of flash.
    fn copy<'a>(
        slot: &[u8],
        kind: Kind,
        name: &str,
        to: &'a mut [u8],
    ) -> Result<&'a [u8], Refusal> {
        let found = slot::find(slot, kind).map_err(|error| Refusal::new(name, error.into()))?;
        let place = to.get_mut(..found.len());
        let place = place.ok_or(Refusal::new(name, Reason::Malformed))?;
        place.copy_from_slice(found);
        Ok(place)
    }

    /// Copies the loader to its place, checks the copy, and returns its entry.
    fn load(slot: &[u8], stage: &RomStage, memory: &mut [u8]) -> Result<u64, Refusal> {
        let loader = &stage.loader;
        let refuse = |reason| Refusal::new(LOADER, reason);
        let base = memory.as_ptr().addr() as u64;
        let region = Region {
            name: LOADER,
            base,
            size: memory.len() as u64,
        };
        let placement = place(loader, &[region], core::iter::empty())?;
        if loader.compression != Compression::None || placement.base != base {
            return Err(refuse(Reason::Unsupported));
        }
        let stored = slot::find(slot, Kind::Payload(0)).map_err(|error| refuse(error.into()))?;
        let copy = memory.get_mut(..stored.len());
        let copy = copy.ok_or(refuse(Reason::OutsideRegion))?;
        copy.copy_from_slice(stored);
        loader.check(copy)?;
        clean(placement.base, placement.bytes);
        Ok(loader.entry.unwrap_or(placement.base))
    }

    fn announce(stage: &RomStage) {
        Line::new("rom")
            .text("loader ")
            .text(stage.loader.version)
            .text(" verified (ES256 + ML-DSA-65, sequence ")
            .decimal(stage.sequence)
            .text(")")
            .end();
    }

    /// Starts the hand-over.
    fn hand_over(info: &mut BootInfo, stage: &RomStage, entry_ticks: u64) {
        *info = BootInfo::EMPTY;
        info.loader_sequence = stage.sequence;
        info.root_keys_digest = stage.fuses.root_keys_digest;
        info.key_certificate_digest = stage.certificate.digest;
        info.times.rom_entry = entry_ticks;
        let loader = Component {
            name: padded(stage.loader.name),
            load_address: stage.loader.load_address,
            size: stage.loader.memory_bytes,
            digest: stage.loader.digest,
            version: padded(stage.loader.version),
        };
        // An empty hand-over has room for one.
        let _ = info.push(loader);
        info.times.rom_verified = now_ticks();
        clean(
            core::ptr::from_ref(info).addr() as u64,
            size_of::<BootInfo>() as u64,
        );
    }
}

#[cfg(target_os = "none")]
use rom::{halt, main};
