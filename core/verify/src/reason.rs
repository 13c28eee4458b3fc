//! Why something may not run: one code and one sentence each, for the console and for people.

/// Why something may not run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Reason {
    /// The one-time-programmable sector was never programmed.
    FusesBlank = 1,
    /// The one-time-programmable sector is neither blank nor whole.
    FusesDamaged = 2,
    /// The slot has no header.
    NoSlot = 3,
    /// The slot's header lists no such entry.
    EntryMissing = 4,
    /// An entry of the slot's header points out of the slot.
    EntryOutOfBounds = 5,
    /// The root key set is not the one whose digest is burned.
    RootKeysUnknown = 6,
    /// The structure is not what belongs there.
    Malformed = 7,
    /// The ES256 signature is missing.
    NoEs256 = 8,
    /// The ML-DSA-65 signature is missing.
    NoMlDsa = 9,
    /// The ES256 signature is wrong.
    WrongEs256 = 10,
    /// The ML-DSA-65 signature is wrong.
    WrongMlDsa = 11,
    /// A digest differs from the manifest's.
    WrongDigest = 12,
    /// The number of bytes differs from the manifest's.
    WrongSize = 13,
    /// Made for another vendor's devices.
    WrongVendor = 14,
    /// Made for another class of devices.
    WrongClass = 15,
    /// Older than what this device has already run.
    OlderSequence = 16,
    /// The certificate holds no key for this role.
    NoKey = 17,
    /// A component lacks something it needs, or its name is not one.
    Incomplete = 18,
    /// A component that must be there is not in the manifest.
    ComponentMissing = 19,
    /// A component that the device description does not know.
    ComponentUnknown = 20,
    /// A component is empty.
    Empty = 21,
    /// A component would be placed outside the memory described for it.
    OutsideRegion = 22,
    /// A component would be placed over another one.
    Overlap = 23,
    /// The entry point is outside the component.
    WrongEntry = 24,
    /// A component's compressed bytes do not decompress to what the manifest says.
    Decompression = 25,
    /// The manifest asks for something this version does not do.
    Unsupported = 26,
    /// The key certificate is not the one the earlier stage verified.
    CertificateChanged = 27,
    /// Not enough root keys have signed.
    TooFewSigners = 28,
    /// The decision to run was disturbed.
    Disturbed = 29,
}

impl Reason {
    /// The number people look up: `E12` is 12.
    #[must_use]
    pub const fn code(self) -> u8 {
        self as u8
    }

    /// What is wrong, in words.
    #[must_use]
    pub const fn text(self) -> &'static str {
        match self {
            Self::FusesBlank => "no root key digest is burned: provision the device",
            Self::FusesDamaged => "the one-time-programmable record is damaged",
            Self::NoSlot => "the slot has no header",
            Self::EntryMissing => "not in the slot",
            Self::EntryOutOfBounds => "the slot's header points out of the slot",
            Self::RootKeysUnknown => "not the keys whose digest is burned",
            Self::Malformed => "malformed",
            Self::NoEs256 => "the ES256 signature is missing",
            Self::NoMlDsa => "the ML-DSA-65 signature is missing",
            Self::WrongEs256 => "the ES256 signature is wrong",
            Self::WrongMlDsa => "the ML-DSA-65 signature is wrong",
            Self::WrongDigest => "digest does not match the manifest",
            Self::WrongSize => "size does not match the manifest",
            Self::WrongVendor => "made for another vendor's devices",
            Self::WrongClass => "made for another class of devices",
            Self::OlderSequence => "older than what this device has run",
            Self::NoKey => "the key certificate holds no key for this role",
            Self::Incomplete => "the manifest's entry is incomplete",
            Self::ComponentMissing => "not in the manifest",
            Self::ComponentUnknown => "not in the device description",
            Self::Empty => "empty",
            Self::OutsideRegion => "placed outside the memory described for it",
            Self::Overlap => "placed over another component",
            Self::WrongEntry => "entry point outside the component",
            Self::Decompression => "does not decompress to what the manifest says",
            Self::Unsupported => "asks for something this version does not do",
            Self::CertificateChanged => "not the one the boot ROM verified",
            Self::TooFewSigners => "not enough root keys have signed",
            Self::Disturbed => "the decision to run was disturbed",
        }
    }
}

/// Longest name in a [`Refusal`], in bytes.
pub const NAME_BYTES: usize = 24;

/// What may not run, and why.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Refusal {
    name: [u8; NAME_BYTES],
    /// Why.
    pub reason: Reason,
}

impl Refusal {
    /// `name` is refused because of `reason`; of a long name the beginning is kept.
    #[must_use]
    #[cold]
    #[inline(never)]
    pub fn new(name: &str, reason: Reason) -> Self {
        let mut kept = [0; NAME_BYTES];
        for (place, byte) in kept.iter_mut().zip(name.bytes()) {
            *place = byte;
        }
        Self { name: kept, reason }
    }

    /// The name of what is refused.
    #[must_use]
    pub fn name(&self) -> &str {
        let end = self.name.iter().position(|&byte| byte == 0);
        let name = self.name.get(..end.unwrap_or(NAME_BYTES)).unwrap_or(&[]);
        core::str::from_utf8(name).unwrap_or("?")
    }
}

impl From<manifest::Error> for Reason {
    fn from(error: manifest::Error) -> Self {
        match error {
            manifest::Error::Unsupported | manifest::Error::Version => Self::Unsupported,
            _ => Self::Malformed,
        }
    }
}

impl From<manifest::fuses::Error> for Reason {
    fn from(error: manifest::fuses::Error) -> Self {
        match error {
            manifest::fuses::Error::Blank => Self::FusesBlank,
            manifest::fuses::Error::Damaged => Self::FusesDamaged,
        }
    }
}

impl From<manifest::slot::Error> for Reason {
    fn from(error: manifest::slot::Error) -> Self {
        match error {
            manifest::slot::Error::NoHeader => Self::NoSlot,
            manifest::slot::Error::Missing => Self::EntryMissing,
            manifest::slot::Error::OutOfBounds => Self::EntryOutOfBounds,
        }
    }
}
