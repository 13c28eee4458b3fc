//! Builds a flash image: boot ROM, burned digest, and slot A with everything signed.

use crate::{Error, KeyRing};
use lazaret_description::Description;
use lazaret_description::emit::boot::{ComponentRegion, class_id, component_regions, vendor_id};
use manifest::fuses::{self, Fuses};
use manifest::slot::Kind;
use manifest::write;
use verify::signature::sha_256;
use verify::stages::{LOADER, MONITOR};

/// One component to be put into the image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ComponentInput {
    /// Its name, one of [`Description::component_names`].
    pub name: String,
    /// Its bytes as they shall lie in memory (see [`crate::flatten`]).
    pub bytes: Vec<u8>,
    /// Physical address; by default the start of its region, for tasks the first free page of theirs.
    pub load_address: Option<u64>,
    /// Physical address of its first instruction; by default not said.
    pub entry: Option<u64>,
    /// Version text, at most 16 bytes.
    pub version: String,
    /// Whether it is stored as an LZ4 block.
    pub compress: bool,
}

impl ComponentInput {
    /// A component at its default address, stored as it is.
    #[must_use]
    pub fn new(name: &str, version: &str, bytes: Vec<u8>) -> Self {
        Self {
            name: name.to_owned(),
            bytes,
            load_address: None,
            entry: None,
            version: version.to_owned(),
            compress: false,
        }
    }
}

/// Everything a flash image is made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BuildInputs {
    /// The boot ROM, flat.
    pub bootrom: Vec<u8>,
    /// Every component of the description, in any order.
    pub components: Vec<ComponentInput>,
    /// Sequence number of both manifests.
    pub sequence: u64,
}

/// A component, ready to be written.
struct Prepared {
    input: ComponentInput,
    load_address: u64,
    stored: Vec<u8>,
}

impl Prepared {
    fn manifest_entry(&self) -> write::Component<'_> {
        write::Component {
            name: &self.input.name,
            version: &self.input.version,
            digest: sha_256(&[&self.stored]),
            size: self.stored.len() as u64,
            load_address: self.load_address,
            entry: self.input.entry,
            lz4_memory_bytes: self.input.compress.then_some(self.input.bytes.len() as u64),
            invoked: [LOADER, MONITOR].contains(&self.input.name.as_str()),
        }
    }
}

/// The whole flash image: boot ROM, one-time-programmable sector, slot A; the rest is erased (0xff).
///
/// # Errors
/// Where a component is missing, unknown or twice there, or something does not fit.
pub fn build_flash(
    description: &Description,
    keys: &KeyRing,
    inputs: &BuildInputs,
) -> Result<Vec<u8>, Error> {
    let mut flash = vec![0xff; description.flash.size as usize];
    put(description, &mut flash, "bootrom", &inputs.bootrom)?;
    let root_keys_digest = sha_256(&[&keys.root_key_set()]);
    put(
        description,
        &mut flash,
        "otp",
        &fuses::image(&Fuses { root_keys_digest }),
    )?;
    let slot = fresh_slot(description, keys, inputs)?;
    put(description, &mut flash, "slot-a", &slot)?;
    Ok(flash)
}

/// A slot's bytes, from its header to the end of its last component.
///
/// # Errors
/// As [`build_flash`].
pub fn fresh_slot(
    description: &Description,
    keys: &KeyRing,
    inputs: &BuildInputs,
) -> Result<Vec<u8>, Error> {
    let prepared = prepare(description, inputs)?;
    let entries: Vec<_> = prepared.iter().map(Prepared::manifest_entry).collect();
    let (vendor, class) = (vendor_id(description), class_id(description));
    let (loader, system) = entries
        .split_at_checked(1)
        .ok_or_else(|| Error("no components".to_owned()))?;
    let signed = |components| {
        let manifest = write::manifest(inputs.sequence, &vendor, &class, components);
        keys.envelope(&manifest, &write::ALGORITHMS)
    };
    let (loader, system) = (signed(loader), signed(system));
    let (roots, certificate) = (keys.root_key_set(), keys.certificate(inputs.sequence));
    let mut slot = vec![
        (Kind::RootKeys, roots.as_slice()),
        (Kind::KeyCertificate, &certificate),
        (Kind::LoaderManifest, &loader),
        (Kind::SystemManifest, &system),
    ];
    for (index, component) in prepared.iter().enumerate() {
        slot.push((Kind::Payload(index as u32), &component.stored));
    }
    Ok(write::slot(&slot))
}

/// Brings the components into the described order, places and compresses them.
fn prepare(description: &Description, inputs: &BuildInputs) -> Result<Vec<Prepared>, Error> {
    let regions = component_regions(description);
    for input in &inputs.components {
        if !regions.iter().any(|region| region.name == input.name) {
            let names: Vec<_> = regions.iter().map(|region| region.name.as_str()).collect();
            return Err(Error(format!(
                "no component {:?}; the description has {}",
                input.name,
                names.join(", ")
            )));
        }
    }
    let mut prepared: Vec<Prepared> = Vec::new();
    for region in &regions {
        let mut found = inputs
            .components
            .iter()
            .filter(|input| input.name == region.name);
        let (Some(input), None) = (found.next(), found.next()) else {
            return Err(Error(format!(
                "component {:?} must be there exactly once",
                region.name
            )));
        };
        let load_address = input
            .load_address
            .unwrap_or_else(|| first_free(region, &prepared));
        let end = load_address.saturating_add(input.bytes.len() as u64);
        if load_address < region.base || end > region.base + region.size || input.bytes.is_empty() {
            return Err(Error(format!(
                "component {:?} has {} bytes at {load_address:#x}; its memory is {:#x} bytes at {:#x}",
                region.name,
                input.bytes.len(),
                region.size,
                region.base
            )));
        }
        if input.version.len() > verify::VERSION_BYTES {
            return Err(Error(format!(
                "version {:?} of component {:?} is longer than {} bytes",
                input.version,
                region.name,
                verify::VERSION_BYTES
            )));
        }
        let stored = if input.compress {
            lz4_flex::block::compress(&input.bytes)
        } else {
            input.bytes.clone()
        };
        if input.compress && end + stored.len() as u64 > region.base + region.size {
            return Err(Error(format!(
                "component {:?} leaves no room in its memory to be unpacked; store it uncompressed",
                region.name
            )));
        }
        prepared.push(Prepared {
            input: input.clone(),
            load_address,
            stored,
        });
    }
    Ok(prepared)
}

/// The first page of `region` behind what was placed in it before.
fn first_free(region: &ComponentRegion, placed: &[Prepared]) -> u64 {
    let inside = |p: &&Prepared| (region.base..region.base + region.size).contains(&p.load_address);
    let ends = placed
        .iter()
        .filter(inside)
        .map(|p| p.load_address + p.input.bytes.len() as u64);
    ends.max().unwrap_or(region.base).next_multiple_of(4096)
}

/// Copies `bytes` to the start of the flash region `name`.
fn put(description: &Description, flash: &mut [u8], name: &str, bytes: &[u8]) -> Result<(), Error> {
    let region = description
        .flash_region(name)
        .ok_or_else(|| Error(format!("flash region {name:?} is not described")))?;
    if bytes.len() as u64 > region.size {
        return Err(Error(format!(
            "{} bytes do not fit flash region {name:?} of {} bytes",
            bytes.len(),
            region.size
        )));
    }
    let start = region.offset as usize;
    let place = flash.get_mut(start..start + bytes.len());
    place
        .ok_or_else(|| Error(format!("flash region {name:?} ends behind the flash")))?
        .copy_from_slice(bytes);
    Ok(())
}
