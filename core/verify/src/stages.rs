//! The two links of the chain, as boot ROM and loader go through them; a host goes through the same.

use crate::{
    Identity, Reason, Refusal, TrustedComponent, TrustedKey, VerifiedCertificate, VerifiedManifest,
    fuses, key_certificate, known_certificate, manifest, names, root_keys,
};
use ::manifest::fuses::{BYTES, Fuses};
use ::manifest::keys::Role;

/// Name of the component the boot ROM starts.
pub const LOADER: &str = "loader";
/// Name of the component the loader starts.
pub const MONITOR: &str = "monitor";

/// What the boot ROM has verified.
#[derive(Debug)]
pub struct RomStage<'a> {
    /// What is burned.
    pub fuses: Fuses,
    /// The key certificate, to be handed over by its digest.
    pub certificate: VerifiedCertificate<'a>,
    /// Sequence number of the loader's manifest.
    pub sequence: u64,
    /// The loader.
    pub loader: TrustedComponent<'a>,
}

/// Fuses -> root keys -> key certificate -> loader manifest; all of them copies that no longer change.
///
/// # Errors
/// The first thing that is wrong.
pub fn rom<'a>(
    sector: &[u8; BYTES],
    root_key_set: &[u8],
    certificate: &'a [u8],
    loader_manifest: &'a [u8],
    identity: &Identity,
) -> Result<RomStage<'a>, Refusal> {
    let fuses = fuses(sector)?;
    let roots = root_keys(root_key_set, &fuses)?;
    let certificate = key_certificate(certificate, &roots)?;
    let key = certificate.key(Role::Boot)?;
    let manifest = manifest(names::LOADER_MANIFEST, loader_manifest, &key, identity)?;
    let loader = manifest.component(0)?;
    if manifest.count() != 1 || loader.name != LOADER || !loader.invoked {
        return Err(Refusal::new(LOADER, Reason::ComponentMissing));
    }
    Ok(RomStage {
        fuses,
        sequence: manifest.sequence(),
        certificate,
        loader,
    })
}

/// What the loader has verified.
#[derive(Debug)]
pub struct LoaderStage<'a> {
    /// The key that signed the manifest.
    pub key: TrustedKey<'a>,
    /// The system manifest.
    pub manifest: VerifiedManifest<'a>,
}

/// Known key certificate -> system manifest, which must list `expected` components, the monitor first.
///
/// # Errors
/// The first thing that is wrong.
pub fn loader<'a>(
    certificate: &'a [u8],
    certificate_digest: &[u8; 32],
    system_manifest: &'a [u8],
    identity: &Identity,
    expected: usize,
) -> Result<LoaderStage<'a>, Refusal> {
    let certificate = known_certificate(certificate, certificate_digest)?;
    let key = certificate.key(Role::Boot)?;
    let manifest = manifest(names::SYSTEM_MANIFEST, system_manifest, &key, identity)?;
    if manifest.count() < expected {
        return Err(Refusal::new(
            names::SYSTEM_MANIFEST,
            Reason::ComponentMissing,
        ));
    }
    let monitor = manifest.component(0)?;
    if monitor.name != MONITOR || !monitor.invoked {
        return Err(Refusal::new(MONITOR, Reason::ComponentMissing));
    }
    Ok(LoaderStage { key, manifest })
}
