//! A flash image on the host: verified as the device does it, and divided into named parts.

use crate::Error;
use lazaret_description::Description;
use lazaret_description::emit::boot::{class_id, component_regions, vendor_id};
use manifest::fuses;
use manifest::slot::{self, Kind};
use manifest::suit::Compression;
use std::fmt;
use std::ops::Range;
use verify::{Identity, Reason, Refusal, Region, TrustedComponent, names, place, stages};

/// Which stage refuses, or would.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// The boot ROM.
    Rom,
    /// The loader.
    Loader,
}

/// A refusal as the device would print it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct HostRefusal {
    /// Who refuses.
    pub stage: Stage,
    /// What, and why.
    pub refusal: Refusal,
}

impl fmt::Display for HostRefusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let stage = match self.stage {
            Stage::Rom => "rom",
            Stage::Loader => "loader",
        };
        let reason = self.refusal.reason;
        write!(
            f,
            "{stage}: REFUSED {}: {} [E{:02}]",
            self.refusal.name(),
            reason.text(),
            reason.code()
        )
    }
}

impl std::error::Error for HostRefusal {}

/// What a flash image that may run holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verified {
    /// Sequence number of the system manifest.
    pub sequence: u64,
    /// Names of the components, in the order they are loaded.
    pub components: Vec<String>,
}

/// Goes through slot A of `flash` as boot ROM and loader do, with the code they use.
///
/// # Errors
/// The refusal the device would print.
pub fn verify_flash(description: &Description, flash: &[u8]) -> Result<Verified, HostRefusal> {
    let rom = |refusal| HostRefusal {
        stage: Stage::Rom,
        refusal,
    };
    let loader = |refusal| HostRefusal {
        stage: Stage::Loader,
        refusal,
    };
    let identity = identity(description);
    let slot = region(description, flash, "slot-a");
    let sector = sector(description, flash)
        .ok_or_else(|| rom(Refusal::new(names::FUSES, Reason::FusesDamaged)))?;

    let document = |kind, name| {
        let bytes = slot::find(slot, kind).map_err(|error| Refusal::new(name, error.into()))?;
        if bytes.len() > manifest::MAX_DOCUMENT_BYTES {
            return Err(Refusal::new(name, Reason::Malformed));
        }
        Ok(bytes)
    };
    let roots = document(Kind::RootKeys, names::ROOT_KEYS).map_err(rom)?;
    let certificate = document(Kind::KeyCertificate, names::CERTIFICATE).map_err(rom)?;
    let envelope = document(Kind::LoaderManifest, names::LOADER_MANIFEST).map_err(rom)?;
    let first = stages::rom(&sector, roots, certificate, envelope, &identity).map_err(rom)?;
    let regions = regions(description);
    let mut placed = Vec::new();
    check(slot, 0, &first.loader, &regions, &mut placed).map_err(rom)?;

    let system = document(Kind::SystemManifest, names::SYSTEM_MANIFEST).map_err(loader)?;
    let expected = regions.len() - 1;
    let second = stages::loader(
        certificate,
        &first.certificate.digest,
        system,
        &identity,
        expected,
    )
    .map_err(loader)?;
    let mut components = vec![first.loader.name.to_owned()];
    for index in 0..second.manifest.count() {
        let component = second.manifest.component(index).map_err(loader)?;
        check(slot, index as u32 + 1, &component, &regions, &mut placed).map_err(loader)?;
        components.push(component.name.to_owned());
    }
    Ok(Verified {
        sequence: second.manifest.sequence(),
        components,
    })
}

/// Places and checks one component as the device does.
fn check(
    slot: &[u8],
    index: u32,
    component: &TrustedComponent,
    regions: &[Region],
    placed: &mut Vec<(u64, u64)>,
) -> Result<(), Refusal> {
    let refuse = |reason| Refusal::new(component.name, reason);
    let placement = place(component, regions, placed.iter().copied())?;
    let stored = slot::find(slot, Kind::Payload(index)).map_err(|error| refuse(error.into()))?;
    let verified = component.check(stored)?;
    if component.compression == Compression::Lz4 {
        let mut unpacked = vec![0; placement.bytes as usize];
        let size = lz4_flex::block::decompress_into(verified.get(), &mut unpacked);
        if size.ok() != Some(unpacked.len()) {
            return Err(refuse(Reason::Decompression));
        }
    }
    placed.push((placement.base, placement.bytes));
    Ok(())
}

/// What a device of this description is.
pub(crate) fn identity(description: &Description) -> Identity {
    Identity {
        vendor: vendor_id(description),
        class: class_id(description),
        minimum_sequence: 0,
    }
}

/// The described regions as the verifier wants them. A handful of names live as long as the program.
fn regions(description: &Description) -> Vec<Region> {
    let regions = component_regions(description).into_iter();
    regions
        .map(|region| Region {
            name: intern(region.name),
            base: region.base,
            size: region.size,
        })
        .collect()
}

/// Keeps one copy of each name for ever.
fn intern(name: String) -> &'static str {
    use std::sync::{Mutex, PoisonError};
    static NAMES: Mutex<Vec<&'static str>> = Mutex::new(Vec::new());
    let mut names = NAMES.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(known) = names.iter().find(|known| **known == name) {
        return known;
    }
    let kept: &'static str = name.leak();
    names.push(kept);
    kept
}

/// The bytes of a flash region; empty where the image ends before it.
pub(crate) fn region<'a>(description: &Description, flash: &'a [u8], name: &str) -> &'a [u8] {
    let region = description.flash_region(name);
    region
        .and_then(|region| {
            let start = region.offset as usize;
            flash.get(start..flash.len().min(start + region.size as usize))
        })
        .unwrap_or(&[])
}

pub(crate) fn sector(description: &Description, flash: &[u8]) -> Option<[u8; fuses::BYTES]> {
    region(description, flash, "otp")
        .get(..fuses::BYTES)?
        .try_into()
        .ok()
}

/// A named range of bytes in a flash image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Part {
    /// What it is: `fuses`, `slot header`, `root keys`, `key certificate`, `loader manifest`, `system manifest`,
    /// `<manifest> signature ES256`, `<component>` ...
    pub name: String,
    /// Where it is in the flash.
    pub range: Range<usize>,
}

/// Every byte range of `flash` whose change must be refused, each once or more: for tests that corrupt.
///
/// # Errors
/// Where slot A cannot be read.
pub fn parts(description: &Description, flash: &[u8]) -> Result<Vec<Part>, Error> {
    let slot_bytes = region(description, flash, "slot-a");
    let offset_of = |part: &[u8]| part.as_ptr() as usize - flash.as_ptr() as usize;
    let mut parts = Vec::new();
    let mut add = |name: String, bytes: &[u8]| {
        let start = offset_of(bytes);
        parts.push(Part {
            name,
            range: start..start + bytes.len(),
        });
    };
    let otp = region(description, flash, "otp");
    add("fuses".to_owned(), otp.get(..fuses::BYTES).unwrap_or(&[]));
    let count = slot::count(slot_bytes).map_err(|error| Error(format!("slot A: {error:?}")))?;
    add(
        "slot header".to_owned(),
        slot_bytes.get(..12 + 12 * count).unwrap_or(&[]),
    );
    let find =
        |kind| slot::find(slot_bytes, kind).map_err(|error| Error(format!("{kind:?}: {error:?}")));
    add(names::ROOT_KEYS.to_owned(), find(Kind::RootKeys)?);
    let certificate = find(Kind::KeyCertificate)?;
    add(names::CERTIFICATE.to_owned(), certificate);
    let read = |name: &str| Error(format!("{name} cannot be read"));
    let certificate =
        manifest::keys::KeyCertificate::parse(certificate).map_err(|_| read(names::CERTIFICATE))?;
    for signature in certificate.signatures() {
        let name = format!(
            "{} signature {}",
            names::CERTIFICATE,
            algorithm(signature.algorithm)
        );
        add(name, signature.signature);
    }
    let mut payload = 0;
    for (kind, name) in [
        (Kind::LoaderManifest, names::LOADER_MANIFEST),
        (Kind::SystemManifest, names::SYSTEM_MANIFEST),
    ] {
        let envelope = find(kind)?;
        add(name.to_owned(), envelope);
        let envelope = manifest::suit::Envelope::parse(envelope).map_err(|_| read(name))?;
        for signature in envelope.signatures() {
            add(
                format!("{name} signature {}", algorithm(signature.algorithm)),
                signature.signature,
            );
        }
        let manifest =
            manifest::suit::Manifest::parse(envelope.manifest).map_err(|_| read(name))?;
        for component in manifest.components() {
            add(
                String::from_utf8_lossy(component.id).into_owned(),
                find(Kind::Payload(payload))?,
            );
            payload += 1;
        }
    }
    Ok(parts)
}

/// The name of a COSE algorithm.
pub(crate) fn algorithm(number: i64) -> String {
    match number {
        manifest::cose::ES256 => "ES256".to_owned(),
        manifest::cose::ML_DSA_65 => "ML-DSA-65".to_owned(),
        other => format!("algorithm {other}"),
    }
}
