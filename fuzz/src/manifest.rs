//! Everything the boot chain reads from flash: slot header, fuses, root keys, key certificate, envelope, manifest.

use manifest::fuses;
use manifest::keys::{KeyCertificate, RootKeys};
use manifest::slot::{self, Kind};
use manifest::suit::{Envelope, Manifest};

/// Gives `data` to each of the readers.
pub fn run(data: &[u8]) {
    if let Ok(envelope) = Envelope::parse(data) {
        assert!(envelope.signatures().count() <= manifest::suit::MAX_SIGNATURES);
        let _ = Manifest::parse(envelope.manifest);
    }
    if let Ok(manifest) = Manifest::parse(data) {
        assert!(manifest.components().len() <= manifest::MAX_COMPONENTS);
    }
    let _ = RootKeys::parse(data);
    let _ = KeyCertificate::parse(data);
    if let Some(sector) = data.first_chunk::<{ fuses::BYTES }>() {
        let _ = fuses::read(sector);
    }
    run_slot(data);
}

/// Gives `data` to the slot header's reader: what it finds lies in the slot, behind the header.
pub fn run_slot(data: &[u8]) {
    for kind in [
        Kind::RootKeys,
        Kind::KeyCertificate,
        Kind::LoaderManifest,
        Kind::SystemManifest,
        Kind::Payload(0),
    ] {
        if let Ok(found) = slot::find(data, kind) {
            let offset = found.as_ptr().addr() - data.as_ptr().addr();
            assert!(offset >= slot::HEADER_BYTES && offset + found.len() <= data.len());
        }
    }
}

/// An envelope, a root key set, a certificate and a slot, made by the writer with signatures of zeros.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    use manifest::{keys::Role, write};
    let component = write::Component {
        name: "loader",
        version: "0.1.0",
        digest: [7; 32],
        size: 1000,
        load_address: 0x0e02_0000,
        entry: Some(0x0e02_0000),
        lz4_memory_bytes: Some(2000),
        invoked: true,
    };
    let inner = write::manifest(1, &[1; 16], &[2; 16], &[component]);
    let envelope = write::envelope(&inner, &[3; 32], &[(-7, vec![0; 64]), (-49, vec![0; 3309])]);
    let pair = (vec![4; 65], vec![5; 1952]);
    let payload = write::certificate_payload(1, &[(Role::Boot, 0, pair.0.clone(), pair.1.clone())]);
    let certificate =
        write::certificate(&payload, &[(-7, 0, vec![0; 64]), (-49, 0, vec![0; 3309])]);
    let slot = write::slot(&[(Kind::LoaderManifest, &envelope)]);
    vec![
        envelope,
        inner,
        write::root_keys(1, &[pair]),
        certificate,
        slot,
    ]
}
