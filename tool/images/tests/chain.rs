//! The chain of trust on the host: what is built is accepted, and whatever is wrong is refused with its own reason.

use images::{
    BuildInputs, ComponentInput, HostRefusal, KeyRing, build_flash, inspect_bytes, parts,
    verify_flash,
};
use lazaret_description::Description;
use lazaret_description::emit::boot::{class_id, vendor_id};
use manifest::cose;
use manifest::slot::{self, Kind};
use manifest::write;
use std::ops::Range;
use verify::Reason;
use verify::signature::sha_256;

fn description() -> Description {
    Description::load(&Description::default_path()).expect("the shipped description")
}

fn inputs(description: &Description) -> BuildInputs {
    let component = |(index, name): (usize, String)| {
        let bytes = (0..5000_u32 + 100 * index as u32)
            .map(|i| (i / 5) as u8)
            .collect();
        let mut input = ComponentInput::new(&name, "0.1.0", bytes);
        input.compress = name == "linux-kernel";
        input
    };
    BuildInputs {
        bootrom: vec![0x5a; 100],
        components: description
            .component_names()
            .into_iter()
            .enumerate()
            .map(component)
            .collect(),
        sequence: 7,
    }
}

fn good() -> (Description, KeyRing, Vec<u8>) {
    let description = description();
    let keys = KeyRing::for_tests(1);
    let flash = build_flash(&description, &keys, &inputs(&description)).expect("builds");
    (description, keys, flash)
}

fn reason(description: &Description, flash: &[u8]) -> Option<(String, Reason)> {
    let refusal = verify_flash(description, flash).err();
    refusal.map(|HostRefusal { refusal, .. }| (refusal.name().to_owned(), refusal.reason))
}

fn part(description: &Description, flash: &[u8], name: &str) -> Range<usize> {
    let parts = parts(description, flash).expect("readable");
    parts
        .into_iter()
        .find(|part| part.name == name)
        .expect("such a part")
        .range
}

/// Replaces a document of slot A by `content` and points the header to it.
fn replace(description: &Description, flash: &mut [u8], kind: Kind, content: &[u8]) {
    let region = description.flash_region("slot-a").expect("described");
    let (start, size) = (region.offset as usize, region.size as usize);
    let slot = &mut flash[start..start + size];
    let at = size - content.len().next_multiple_of(64);
    slot[at..at + content.len()].copy_from_slice(content);
    let count = slot::count(slot).expect("a header");
    for entry in (0..count).map(|index| 12 + 12 * index) {
        if slot[entry..entry + 4] == kind.number().to_le_bytes() {
            slot[entry + 4..entry + 8].copy_from_slice(&(at as u32).to_le_bytes());
            slot[entry + 8..entry + 12].copy_from_slice(&(content.len() as u32).to_le_bytes());
        }
    }
}

/// A loader manifest that says what `change` makes of it, signed by `keys` with `algorithms`.
fn loader_manifest(
    description: &Description,
    flash: &[u8],
    keys: &KeyRing,
    algorithms: &[i64],
    change: impl FnOnce(&mut [u8; 16], &mut [u8; 16], &mut write::Component),
) -> Vec<u8> {
    let bytes = &flash[part(description, flash, "loader")];
    let (mut vendor, mut class) = (vendor_id(description), class_id(description));
    let mut component = write::Component {
        name: "loader",
        version: "0.1.0",
        digest: sha_256(&[bytes]),
        size: bytes.len() as u64,
        load_address: description.memory("loader").expect("described").base,
        entry: None,
        lz4_memory_bytes: None,
        invoked: true,
    };
    change(&mut vendor, &mut class, &mut component);
    keys.envelope(
        &write::manifest(7, &vendor, &class, &[component]),
        algorithms,
    )
}

#[test]
fn what_is_built_is_accepted() {
    let (description, _, flash) = good();
    let verified = verify_flash(&description, &flash).expect("accepted");
    assert_eq!(verified.sequence, 7);
    assert_eq!(verified.components, description.component_names());
    let report = inspect_bytes(&description, &flash).expect("a flash image");
    assert_eq!(report.refusal, None);
    let slot = &report.slots[0];
    assert!(
        slot.components
            .iter()
            .all(|component| component.status == "ok")
    );
    let signatures: Vec<_> = slot
        .documents
        .iter()
        .flat_map(|d| &d.signatures)
        .map(|s| s.valid)
        .collect();
    assert_eq!(signatures, [Some(true); 6]);
}

/// Every part, three places each, every one of them refused.
#[test]
fn a_changed_bit_anywhere_is_refused() {
    let (description, _, flash) = good();
    let parts = parts(&description, &flash).expect("readable");
    assert!(parts.len() >= 6 + 6 + description.component_names().len());
    for part in parts {
        let Range { start, end } = part.range;
        for at in [start, start + (end - start) / 2, end - 1] {
            let mut changed = flash.clone();
            changed[at] ^= 0x10;
            let refused = reason(&description, &changed);
            // A count in the header may grow into the erased bytes behind it: nothing else is read then.
            let harmless = part.name == "slot header" && refused.is_none();
            assert!(
                refused.is_some() || harmless && at >= start + 8,
                "{} at {at:#x}",
                part.name
            );
            if description.component_names().contains(&part.name) {
                assert_eq!(refused, Some((part.name.clone(), Reason::WrongDigest)));
            }
        }
    }
}

/// One to three bits at random places of every part.
#[test]
fn random_changes_are_refused() {
    const SEED: u64 = 7;
    const CHANGES_OF_A_PART: u64 = 20;
    let (description, _, good) = good();
    let mut flash = good.clone();
    let mut state = SEED;
    let mut random = move |limit: usize| {
        // Numerical Recipes' generator; its high bits.
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % limit
    };
    for part in parts(&description, &good).expect("readable") {
        for _ in 0..CHANGES_OF_A_PART {
            let places: Vec<usize> = (0..1 + random(3))
                .map(|_| part.range.start + random(part.range.len()))
                .collect();
            for at in &places {
                flash[*at] ^= 1 << random(8);
            }
            let is_changed = places.iter().any(|at| flash[*at] != good[*at]);
            let refused = reason(&description, &flash);
            // Nothing in the header is trusted: a count that grew names nothing else, and what is accepted then
            // has been verified like everything.
            let may_pass = part.name == "slot header" || !is_changed;
            assert!(
                refused.is_some() || may_pass,
                "{} at {places:x?}",
                part.name
            );
            for at in places {
                flash[at] = good[at];
            }
        }
    }
    assert_eq!(reason(&description, &flash), None, "all was put back");
}

#[test]
fn signatures_must_be_two_and_right() {
    let (description, keys, flash) = good();
    let stranger = KeyRing::for_tests(2);
    let cases: [(&[i64], &KeyRing, Reason); 4] = [
        (&[cose::ES256], &keys, Reason::NoMlDsa),
        (&[cose::ML_DSA_65], &keys, Reason::NoEs256),
        (&[], &keys, Reason::NoEs256),
        (&write::ALGORITHMS, &stranger, Reason::WrongEs256),
    ];
    for (algorithms, keys, expected) in cases {
        let mut changed = flash.clone();
        let envelope = loader_manifest(&description, &flash, keys, algorithms, |_, _, _| {});
        replace(&description, &mut changed, Kind::LoaderManifest, &envelope);
        assert_eq!(
            reason(&description, &changed),
            Some(("loader manifest".to_owned(), expected))
        );
    }
    for (name, expected) in [
        ("ES256", Reason::WrongEs256),
        ("ML-DSA-65", Reason::WrongMlDsa),
    ] {
        for document in ["key certificate", "loader manifest", "system manifest"] {
            let mut changed = flash.clone();
            let range = part(
                &description,
                &flash,
                &format!("{document} signature {name}"),
            );
            changed[range.start + 20] ^= 1;
            assert_eq!(
                reason(&description, &changed),
                Some((document.to_owned(), expected))
            );
        }
    }
}

/// Signed correctly, and still not for this device, not complete, or not where it may be.
#[test]
fn signed_but_wrong_is_refused_with_its_reason() {
    type Change = fn(&mut [u8; 16], &mut [u8; 16], &mut write::Component);
    let cases: [(&str, Change, Reason); 8] = [
        (
            "loader manifest",
            |vendor, _, _| vendor[0] ^= 1,
            Reason::WrongVendor,
        ),
        (
            "loader manifest",
            |_, class, _| class[0] ^= 1,
            Reason::WrongClass,
        ),
        ("loader", |_, _, c| c.size = 0, Reason::Empty),
        ("loader", |_, _, c| c.size += 1, Reason::WrongSize),
        (
            "loader",
            |_, _, c| c.load_address -= 1,
            Reason::OutsideRegion,
        ),
        (
            "loader",
            |_, _, c| c.load_address = u64::MAX >> 1,
            Reason::OutsideRegion,
        ),
        ("loader", |_, _, c| c.entry = Some(0), Reason::WrongEntry),
        (
            "loader",
            |_, _, c| c.invoked = false,
            Reason::ComponentMissing,
        ),
    ];
    let (description, keys, flash) = good();
    for (name, change, expected) in cases {
        let mut changed = flash.clone();
        let envelope = loader_manifest(&description, &flash, &keys, &write::ALGORITHMS, change);
        replace(&description, &mut changed, Kind::LoaderManifest, &envelope);
        assert_eq!(
            reason(&description, &changed),
            Some((name.to_owned(), expected))
        );
    }
}

#[test]
fn keys_and_fuses_are_what_everything_hangs_on() {
    let (description, _, flash) = good();
    let otp = part(&description, &flash, "fuses");
    let mut blank = flash.clone();
    blank[otp.clone()].fill(0xff);
    assert_eq!(
        reason(&description, &blank),
        Some(("fuses".to_owned(), Reason::FusesBlank))
    );
    let mut damaged = flash.clone();
    damaged[otp.start + 20] = 0;
    assert_eq!(
        reason(&description, &damaged),
        Some(("fuses".to_owned(), Reason::FusesDamaged))
    );
    // Somebody else's whole slot on this device: their root keys are not the burned ones.
    let stranger =
        build_flash(&description, &KeyRing::for_tests(2), &inputs(&description)).expect("builds");
    let slot = description
        .flash_region("slot-a")
        .expect("described")
        .offset as usize;
    let mut foreign = flash.clone();
    foreign[slot..].copy_from_slice(&stranger[slot..]);
    assert_eq!(
        reason(&description, &foreign),
        Some(("root keys".to_owned(), Reason::RootKeysUnknown))
    );
    // Their certificate under our root keys: signed by the wrong root.
    let certificate = stranger[part(&description, &stranger, "key certificate")].to_vec();
    let mut forged = flash.clone();
    replace(
        &description,
        &mut forged,
        Kind::KeyCertificate,
        &certificate,
    );
    assert_eq!(
        reason(&description, &forged),
        Some(("key certificate".to_owned(), Reason::WrongEs256))
    );
}

#[test]
fn swapped_components_and_manifests_are_refused() {
    let (description, _, flash) = good();
    let bytes = |name: &str| flash[part(&description, &flash, name)].to_vec();
    let mut swapped = flash.clone();
    replace(
        &description,
        &mut swapped,
        Kind::Payload(1),
        &bytes("kernel"),
    );
    assert_eq!(
        reason(&description, &swapped),
        Some(("monitor".to_owned(), Reason::WrongSize))
    );
    let mut crossed = flash.clone();
    replace(
        &description,
        &mut crossed,
        Kind::SystemManifest,
        &bytes("loader manifest"),
    );
    assert_eq!(
        reason(&description, &crossed),
        Some(("system manifest".to_owned(), Reason::ComponentMissing))
    );
    let mut crossed = flash.clone();
    replace(
        &description,
        &mut crossed,
        Kind::LoaderManifest,
        &bytes("system manifest"),
    );
    assert_eq!(
        reason(&description, &crossed),
        Some(("loader".to_owned(), Reason::ComponentMissing))
    );
}

#[test]
fn truncated_files_are_refused() {
    let (description, _, flash) = good();
    let system = part(&description, &flash, "system manifest");
    for end in [
        0,
        1000,
        0x4_0010,
        0x10_0004,
        0x10_0800,
        system.start + 10,
        system.end - 1,
    ] {
        assert!(
            verify_flash(&description, &flash[..end]).is_err(),
            "cut at {end:#x}"
        );
    }
    assert!(inspect_bytes(&description, &flash[..1000]).is_err());
}

#[test]
fn builder_says_what_is_missing_unknown_or_too_big() {
    let description = description();
    let keys = KeyRing::for_tests(1);
    let build = |change: fn(&mut BuildInputs)| {
        let mut inputs = inputs(&description);
        change(&mut inputs);
        build_flash(&description, &keys, &inputs)
            .expect_err("must be refused")
            .0
    };
    assert!(
        build(|i| {
            i.components.remove(2);
        })
        .contains("kernel")
    );
    assert!(build(|i| i.components[2].name = "kernal".to_owned()).contains("kernal"));
    assert!(build(|i| i.components[1].bytes = vec![0; 1 << 20]).contains("monitor"));
    assert!(build(|i| i.components[1].bytes = Vec::new()).contains("monitor"));
    assert!(
        build(|i| i.components[1].version = "a version of many letters".to_owned())
            .contains("version")
    );
    assert!(build(|i| i.bootrom = vec![0; 1 << 19]).contains("bootrom"));
}

#[test]
fn keys_are_made_once_and_read_again() {
    let folder = std::env::temp_dir().join(format!("lazaret-keys-{}", std::process::id()));
    let (first, made) = KeyRing::load_or_make(&folder).expect("made");
    assert_eq!(made, ["root", "boot", "guest", "application", "debug"]);
    let (second, made) = KeyRing::load_or_make(&folder).expect("read");
    assert!(made.is_empty());
    assert_eq!(first.root_key_set(), second.root_key_set());
    assert_eq!(first.certificate(1), second.certificate(1));
    std::fs::write(folder.join("boot.key"), "nonsense").expect("written");
    let error = KeyRing::load_or_make(&folder).err().expect("refused");
    assert!(error.0.contains("boot.key"), "{error}");
    std::fs::remove_dir_all(&folder).expect("removed");
}
