//! EL3: verifies, places and starts everything else.
//!
//! Known key certificate -> system manifest -> every component: copied out of flash, its digest checked over the
//! copy, unpacked where it is packed. The first thing that is wrong ends the boot: nothing of it has run.
#![cfg_attr(target_os = "none", no_std, no_main)]

#[cfg(not(target_os = "none"))]
fn main() {}

#[cfg(target_os = "none")]
mod entry;
#[cfg(target_os = "none")]
mod memory;

#[cfg(target_os = "none")]
mod loader {
    use crate::memory::{self, Memory, Regions};
    use arch::counter::now_ticks;
    use arch::maintenance::clean;
    use board::console::Line;
    use bootinfo::{BootInfo, Component, padded};
    use manifest::slot::{self, Kind};
    use manifest::suit::Compression;
    use verify::{
        Identity, Placement, Reason, Refusal, Region, TrustedComponent, names, place, stages,
    };

    /// Derived from the description.
    mod plan {
        include!(concat!(env!("OUT_DIR"), "/boot.rs"));
    }

    /// The loader from its first Rust instruction to the monitor's entry.
    pub fn main(entry_ticks: u64, boot_info: u64) -> ! {
        // SAFETY: core 0 comes here once, from the boot ROM, and nothing else calls this.
        let memory = unsafe { memory::take() };
        Line::new("loader")
            .text(plan::PRODUCT_VERSION)
            .text(" starts")
            .end();
        match boot(memory, entry_ticks) {
            Ok(entry) => crate::entry::leave(entry, boot_info),
            Err(refusal) => {
                refuse(&refusal);
                halt()
            }
        }
    }

    /// One line that says what is refused and why.
    fn refuse(refusal: &Refusal) {
        let code = refusal.reason.code();
        Line::new("loader")
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

    /// Verifies and places everything; the monitor's entry.
    fn boot(memory: Memory, entry_ticks: u64) -> Result<u64, Refusal> {
        let Memory {
            boot_info,
            documents: [certificate, envelope],
            mut regions,
        } = memory;
        if boot_info.check().is_err() {
            return Err(Refusal::new("boot information", Reason::Malformed));
        }
        boot_info.times.loader_entry = entry_ticks;
        let identity = Identity {
            vendor: plan::VENDOR_ID,
            class: plan::CLASS_ID,
            minimum_sequence: 0,
        };
        let slot = memory::slot(boot_info.active_slot);
        let certificate = copy(slot, Kind::KeyCertificate, names::CERTIFICATE, certificate)?;
        let envelope = copy(slot, Kind::SystemManifest, names::SYSTEM_MANIFEST, envelope)?;
        let allowed = plan::COMPONENT_REGIONS.get(1..).unwrap_or(&[]);
        let digest = boot_info.key_certificate_digest;
        let stage = stages::loader(certificate, &digest, envelope, &identity, allowed.len())?;
        boot_info.sequence = stage.manifest.sequence();
        for index in 0..stage.manifest.count() {
            let component = stage.manifest.component(index)?;
            let number = index.saturating_add(1);
            load(
                slot,
                number as u32,
                &component,
                allowed,
                &mut regions,
                boot_info,
            )?;
            if number.saturating_add(1) == plan::FIRMWARE_COMPONENTS {
                boot_info.times.firmware_verified = now_ticks();
            }
        }
        let monitor = stage.manifest.component(0)?;
        boot_info.times.loader_verified = now_ticks();
        clean(
            core::ptr::from_ref(boot_info).addr() as u64,
            size_of::<BootInfo>() as u64,
        );
        Ok(monitor.entry.unwrap_or(monitor.load_address))
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

    /// Copies component `number` to its place, checks the copy, unpacks it, and notes it in the hand-over.
    fn load(
        slot: &[u8],
        number: u32,
        component: &TrustedComponent,
        allowed: &[Region],
        regions: &mut Regions,
        boot_info: &mut BootInfo,
    ) -> Result<(), Refusal> {
        let refuse = |reason| Refusal::new(component.name, reason);
        let placed = boot_info
            .components()
            .iter()
            .map(|c| (c.load_address, c.size));
        let placement = place(component, allowed, placed)?;
        let stored =
            slot::find(slot, Kind::Payload(number)).map_err(|error| refuse(error.into()))?;
        let window = regions.window(&placement, allowed);
        let (memory, packed) = window.ok_or(refuse(Reason::OutsideRegion))?;
        fill(component, stored, memory, packed)?;
        clean(placement.base, placement.bytes);
        note(component, &placement, boot_info)?;
        Line::new("loader")
            .text(component.name)
            .text(" ")
            .text(component.version)
            .text(" verified")
            .end();
        Ok(())
    }

    /// Fills `memory` with the component's bytes.
    fn fill(
        component: &TrustedComponent,
        stored: &[u8],
        memory: &mut [u8],
        packed: &mut [u8],
    ) -> Result<(), Refusal> {
        let refuse = |reason| Refusal::new(component.name, reason);
        match component.compression {
            Compression::None => {
                if stored.len() != memory.len() {
                    return Err(refuse(Reason::WrongSize));
                }
                memory.copy_from_slice(stored);
                component.check(memory)?;
            }
            Compression::Lz4 => {
                if stored.len() != packed.len() {
                    return Err(refuse(Reason::WrongSize));
                }
                packed.copy_from_slice(stored);
                let verified = component.check(packed)?;
                let size = lz4_flex::block::decompress_into(verified.get(), memory);
                if size.ok() != Some(memory.len()) {
                    return Err(refuse(Reason::Decompression));
                }
            }
        }
        Ok(())
    }

    /// Notes a verified component in the hand-over.
    fn note(
        component: &TrustedComponent,
        placement: &Placement,
        boot_info: &mut BootInfo,
    ) -> Result<(), Refusal> {
        let noted = boot_info.push(Component {
            name: padded(component.name),
            load_address: placement.base,
            size: placement.bytes,
            digest: component.digest,
            version: padded(component.version),
        });
        if noted {
            Ok(())
        } else {
            Err(Refusal::new(component.name, Reason::Unsupported))
        }
    }
}

#[cfg(target_os = "none")]
use loader::{halt, main};
