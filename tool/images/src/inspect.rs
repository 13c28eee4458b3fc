//! What is in a flash image or an envelope, told to people: nothing here decides anything.

use crate::flash::{algorithm, identity, region, sector};
use crate::{Error, hex, verify_flash};
use lazaret_description::Description;
use manifest::keys::{KeyCertificate, Role, RootKeys};
use manifest::slot::{self, Kind};
use manifest::suit::{Compression, Envelope, Manifest};
use serde::Serialize;
use std::path::Path;
use verify::decision::Outcome;
use verify::signature::sha_256;
use verify::{Refusal, TrustedKey, VerifiedCertificate, names};

/// Everything found.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Report {
    /// `flash` or `envelope`.
    pub kind: String,
    /// The burned digest of the root keys, or why there is none.
    pub fuses: Option<String>,
    /// Slots with a header.
    pub slots: Vec<SlotReport>,
    /// The line with which the device would refuse slot A; `None` where it would run it.
    pub refusal: Option<String>,
}

/// One slot.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SlotReport {
    /// Name of its flash region.
    pub name: String,
    /// Keys, certificate, manifests.
    pub documents: Vec<DocumentReport>,
    /// Keys the certificate names.
    pub keys: Vec<KeyReport>,
    /// Components of both manifests.
    pub components: Vec<ComponentReport>,
}

/// One document of a slot.
#[derive(Debug, Clone, Default, Serialize)]
pub struct DocumentReport {
    /// Its name.
    pub name: String,
    /// Its size.
    pub bytes: usize,
    /// SHA-256 of it, hexadecimal.
    pub digest: String,
    /// Its sequence number, where it has one.
    pub sequence: Option<u64>,
    /// Its signatures.
    pub signatures: Vec<SignatureReport>,
    /// `ok`, or code and text of what is wrong with it.
    pub status: String,
}

/// One signature.
#[derive(Debug, Clone, Serialize)]
pub struct SignatureReport {
    /// `ES256` or `ML-DSA-65`.
    pub algorithm: String,
    /// Its size in bytes.
    pub bytes: usize,
    /// Whether it is right; `None` where there is no trusted key to check it with.
    pub valid: Option<bool>,
}

/// One key of the certificate.
#[derive(Debug, Clone, Serialize)]
pub struct KeyReport {
    /// What it may sign.
    pub role: String,
    /// Which of its role's keys it is.
    pub index: u32,
    /// SHA-256 of the P-256 point, hexadecimal.
    pub p256_digest: String,
    /// SHA-256 of the ML-DSA-65 key, hexadecimal.
    pub ml_dsa_65_digest: String,
}

/// One component.
#[derive(Debug, Clone, Serialize)]
pub struct ComponentReport {
    /// Its name.
    pub name: String,
    /// Version text.
    pub version: String,
    /// Number of stored bytes the manifest states.
    pub stored_bytes: u64,
    /// Number of bytes in memory.
    pub memory_bytes: u64,
    /// Physical address it is loaded to.
    pub load_address: u64,
    /// Physical address of its first instruction.
    pub entry: Option<u64>,
    /// `none` or `lz4`.
    pub compression: String,
    /// SHA-256 in the manifest, hexadecimal.
    pub digest: String,
    /// `ok`, or code and text of what is wrong with the bytes in the slot.
    pub status: String,
}

/// Reads the file at `path` (a flash image or an envelope) and says what is in it.
///
/// # Errors
/// Where the file cannot be read or is neither.
pub fn inspect(description: &Description, path: &Path) -> Result<Report, Error> {
    let bytes =
        std::fs::read(path).map_err(|error| Error(format!("{}: {error}", path.display())))?;
    inspect_bytes(description, &bytes)
        .map_err(|error| Error(format!("{}: {error}", path.display())))
}

/// As [`inspect`], of bytes.
///
/// # Errors
/// Where they are neither a flash image nor an envelope.
pub fn inspect_bytes(description: &Description, bytes: &[u8]) -> Result<Report, Error> {
    if Envelope::parse(bytes).is_ok() {
        let mut slot = SlotReport::default();
        envelope("envelope", bytes, None, None, &mut slot, &mut 0);
        return Ok(Report {
            kind: "envelope".to_owned(),
            slots: vec![slot],
            ..Report::default()
        });
    }
    if bytes.len() as u64 != description.flash.size {
        return Err(Error(format!(
            "expected a flash image of {} bytes or a SUIT envelope, found {} bytes that are neither",
            description.flash.size,
            bytes.len()
        )));
    }
    let mut report = Report {
        kind: "flash".to_owned(),
        refusal: verify_flash(description, bytes)
            .err()
            .map(|refusal| refusal.to_string()),
        ..Report::default()
    };
    let fuses = sector(description, bytes).map(|sector| verify::fuses(&sector));
    report.fuses = fuses.map(|fuses| match fuses {
        Ok(fuses) => hex(&fuses.root_keys_digest),
        Err(refusal) => status(&refusal),
    });
    for name in ["slot-a", "slot-b"] {
        let content = region(description, bytes, name);
        if slot::count(content).is_ok() {
            report
                .slots
                .push(slot_report(description, bytes, name, content));
        }
    }
    Ok(report)
}

fn status(refusal: &Refusal) -> String {
    format!("[E{:02}] {}", refusal.reason.code(), refusal.reason.text())
}

fn slot_report(description: &Description, flash: &[u8], name: &str, content: &[u8]) -> SlotReport {
    let mut slot = SlotReport {
        name: name.to_owned(),
        ..SlotReport::default()
    };
    let find = |kind| slot::find(content, kind).unwrap_or(&[]);
    let roots = find(Kind::RootKeys);
    let fuses = sector(description, flash).and_then(|sector| verify::fuses(&sector).ok());
    let trusted = fuses.map(|fuses| verify::root_keys(roots, &fuses));
    slot.documents.push(DocumentReport {
        name: names::ROOT_KEYS.to_owned(),
        bytes: roots.len(),
        digest: hex(&sha_256(&[roots])),
        status: match &trusted {
            None => "no digest is burned".to_owned(),
            Some(Ok(_)) => "ok".to_owned(),
            Some(Err(refusal)) => status(refusal),
        },
        ..DocumentReport::default()
    });
    let trusted = trusted.and_then(Result::ok);
    let bytes = find(Kind::KeyCertificate);
    let verified = trusted
        .as_ref()
        .map(|roots| verify::key_certificate(bytes, roots));
    certificate(bytes, roots, verified.as_ref(), &mut slot);
    let key = verified
        .and_then(Result::ok)
        .and_then(|certificate| certificate.key(Role::Boot).ok());
    let mut payload = 0;
    for (kind, name) in [
        (Kind::LoaderManifest, names::LOADER_MANIFEST),
        (Kind::SystemManifest, names::SYSTEM_MANIFEST),
    ] {
        let check = key.as_ref().map(|key| (key, description));
        envelope(
            name,
            find(kind),
            check,
            Some(content),
            &mut slot,
            &mut payload,
        );
    }
    slot
}

fn certificate(
    bytes: &[u8],
    roots: &[u8],
    verified: Option<&Result<VerifiedCertificate, Refusal>>,
    slot: &mut SlotReport,
) {
    let mut document = DocumentReport {
        name: names::CERTIFICATE.to_owned(),
        bytes: bytes.len(),
        digest: hex(&sha_256(&[bytes])),
        status: match verified {
            None => "not checked: the root keys are not trusted".to_owned(),
            Some(Ok(_)) => "ok".to_owned(),
            Some(Err(refusal)) => status(refusal),
        },
        ..DocumentReport::default()
    };
    let (Ok(certificate), Ok(roots)) = (KeyCertificate::parse(bytes), RootKeys::parse(roots))
    else {
        slot.documents.push(document);
        return;
    };
    document.sequence = Some(certificate.sequence);
    let outcomes: Vec<_> = roots
        .keys()
        .map(|(number, key)| {
            (
                number,
                verify::certificate_signatures(&certificate, number, key),
            )
        })
        .collect();
    for signature in certificate.signatures() {
        let number = signature.key.first().map(|&number| number as usize);
        let outcome = outcomes.iter().find(|(other, _)| Some(*other) == number);
        document.signatures.push(SignatureReport {
            algorithm: algorithm(signature.algorithm),
            bytes: signature.signature.len(),
            valid: outcome.map(|(_, outcomes)| valid(signature.algorithm, outcomes)),
        });
    }
    slot.documents.push(document);
    for key in certificate.keys() {
        let role = Role::ALL.iter().find(|role| role.number() == key.role);
        slot.keys.push(KeyReport {
            role: role.map_or_else(
                || format!("role {}", key.role),
                |role| role.name().to_owned(),
            ),
            index: key.index,
            p256_digest: hex(&sha_256(&[key.keys.p256])),
            ml_dsa_65_digest: hex(&sha_256(&[key.keys.ml_dsa_65])),
        });
    }
}

fn valid(algorithm: i64, outcomes: &verify::Outcomes) -> bool {
    match algorithm {
        manifest::cose::ES256 => outcomes.es256 == Outcome::ES256,
        _ => outcomes.ml_dsa == Outcome::ML_DSA,
    }
}

/// Adds a manifest and its components; with `content`, their bytes are looked at too.
fn envelope(
    name: &str,
    bytes: &[u8],
    key: Option<(&TrustedKey, &Description)>,
    content: Option<&[u8]>,
    slot: &mut SlotReport,
    payload: &mut u32,
) {
    let mut document = DocumentReport {
        name: name.to_owned(),
        bytes: bytes.len(),
        digest: hex(&sha_256(&[bytes])),
        status: match key {
            None => "not checked: no trusted key".to_owned(),
            Some((key, description)) => {
                match verify::manifest(name, bytes, key, &identity(description)) {
                    Ok(_) => "ok".to_owned(),
                    Err(refusal) => status(&refusal),
                }
            }
        },
        ..DocumentReport::default()
    };
    let Ok(envelope) = Envelope::parse(bytes) else {
        slot.documents.push(document);
        return;
    };
    let outcomes = key.map(|(key, _)| verify::manifest_signatures(&envelope, key));
    for signature in envelope.signatures() {
        document.signatures.push(SignatureReport {
            algorithm: algorithm(signature.algorithm),
            bytes: signature.signature.len(),
            valid: outcomes
                .as_ref()
                .map(|outcomes| valid(signature.algorithm, outcomes)),
        });
    }
    let manifest = Manifest::parse(envelope.manifest);
    document.sequence = manifest.as_ref().ok().map(|manifest| manifest.sequence);
    slot.documents.push(document);
    for component in manifest.iter().flat_map(|manifest| manifest.components()) {
        let stored = content.map(|content| slot::find(content, Kind::Payload(*payload)));
        *payload += 1;
        slot.components.push(ComponentReport {
            name: String::from_utf8_lossy(component.id).into_owned(),
            version: component.version.to_owned(),
            stored_bytes: component.size.unwrap_or(0),
            memory_bytes: component.memory_bytes.or(component.size).unwrap_or(0),
            load_address: component.load_address.unwrap_or(0),
            entry: component.entry,
            compression: match component.compression {
                Compression::None => "none".to_owned(),
                Compression::Lz4 => "lz4".to_owned(),
            },
            digest: component
                .digest
                .map(|digest| hex(digest))
                .unwrap_or_default(),
            status: match stored {
                None => "not in the envelope".to_owned(),
                Some(Err(error)) => status(&Refusal::new(name, error.into())),
                Some(Ok(stored)) if component.size != Some(stored.len() as u64) => {
                    status(&Refusal::new(name, verify::Reason::WrongSize))
                }
                Some(Ok(stored)) if component.digest != Some(&sha_256(&[stored])) => {
                    status(&Refusal::new(name, verify::Reason::WrongDigest))
                }
                Some(Ok(_)) => "ok".to_owned(),
            },
        });
    }
}
