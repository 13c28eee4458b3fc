//! The samples of a WFDB record (`signal(5)` of the WFDB Applications Guide).

use crate::{Header, Signal, SignalSpec};

/// How a sample is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// 16 bits, least significant byte first.
    F16,
    /// Two samples of 12 bits in three bytes.
    F212,
    /// 24 bits, least significant byte first.
    F24,
    /// 32 bits, least significant byte first.
    F32,
    /// 16 bits, most significant byte first.
    F61,
    /// 8 bits, offset binary.
    F80,
    /// 16 bits, offset binary, least significant byte first.
    F160,
}

impl Format {
    /// The format of that number.
    #[must_use]
    pub const fn of(number: u16) -> Option<Self> {
        Some(match number {
            16 => Self::F16,
            212 => Self::F212,
            24 => Self::F24,
            32 => Self::F32,
            61 => Self::F61,
            80 => Self::F80,
            160 => Self::F160,
            _ => return None,
        })
    }

    /// The value that means "no valid sample".
    const fn invalid(self) -> i32 {
        match self {
            Self::F16 | Self::F61 | Self::F160 => -0x8000,
            Self::F212 => -0x800,
            Self::F24 => -0x80_0000,
            Self::F32 => i32::MIN,
            Self::F80 => -0x80,
        }
    }

    /// Whole samples in so many bytes.
    const fn samples_in(self, bytes: usize) -> usize {
        match self {
            Self::F80 => bytes,
            Self::F16 | Self::F61 | Self::F160 => bytes / 2,
            Self::F24 => bytes / 3,
            Self::F32 => bytes / 4,
            // The first of a pair needs two bytes, the second the third.
            Self::F212 => bytes / 3 * 2 + (bytes % 3) / 2,
        }
    }

    /// Sample `index`; `None` where the bytes end before it.
    fn sample(self, bytes: &[u8], index: usize) -> Option<i32> {
        let two = |at: usize| -> Option<[u8; 2]> { bytes.get(at..at + 2)?.try_into().ok() };
        Some(match self {
            Self::F16 => i16::from_le_bytes(two(index * 2)?).into(),
            Self::F61 => i16::from_be_bytes(two(index * 2)?).into(),
            Self::F160 => i32::from(u16::from_le_bytes(two(index * 2)?)) - 0x8000,
            Self::F80 => i32::from(*bytes.get(index)?) - 0x80,
            Self::F24 => {
                let b = bytes.get(index * 3..index * 3 + 3)?;
                i32::from_le_bytes([0, b[0], b[1], b[2]]) >> 8
            }
            Self::F32 => i32::from_le_bytes(bytes.get(index * 4..index * 4 + 4)?.try_into().ok()?),
            Self::F212 => {
                let at = index / 2 * 3;
                let middle = u16::from(*bytes.get(at + 1)?);
                let word = if index.is_multiple_of(2) {
                    u16::from(*bytes.get(at)?) | (middle & 0x0f) << 8
                } else {
                    u16::from(*bytes.get(at + 2)?) | (middle & 0xf0) << 4
                };
                // Bit 11 is the sign.
                i32::from((word << 4).cast_signed() >> 4)
            }
        })
    }
}

/// Takes the signals that share a file out of its bytes; what is missing is said.
#[must_use]
pub fn decode_file(
    header: &Header,
    group: &[SignalSpec],
    bytes: &[u8],
) -> (Vec<Signal>, Vec<String>) {
    let mut problems = Vec::new();
    let Some(first) = group.first() else {
        return (Vec::new(), problems);
    };
    let Some(format) = Format::of(first.format) else {
        problems.push(format!(
            "{}: format {} is not supported",
            first.file, first.format
        ));
        return (Vec::new(), problems);
    };
    if group.iter().any(|signal| signal.format != first.format) {
        problems.push(format!(
            "{}: signals of one file must share a format",
            first.file
        ));
        return (Vec::new(), problems);
    }
    let bytes = bytes.get(first.byte_offset..).unwrap_or_default();
    let in_frame: usize = group.iter().map(|signal| signal.per_frame.max(1)).sum();
    let stored = format.samples_in(bytes.len());
    let held = (stored / in_frame) as u64;
    if let Some(promised) = header.frames.filter(|promised| *promised > held) {
        problems.push(format!(
            "{}: cut short: {held} of {promised} frames are there",
            first.file
        ));
    }
    let mut signals = Vec::new();
    let mut offset = 0;
    for spec in group {
        let per_frame = spec.per_frame.max(1);
        // A skewed signal begins later in the file, and ends later.
        let promised = header
            .frames
            .unwrap_or(held)
            .saturating_add(spec.skew as u64);
        let last = held.min(promised) as usize;
        let mut samples = Vec::with_capacity(last.saturating_sub(spec.skew) * per_frame);
        for frame in spec.skew..last {
            for n in 0..per_frame {
                let raw = format.sample(bytes, frame * in_frame + offset + n);
                samples.push(physical(spec, raw.filter(|raw| *raw != format.invalid())));
            }
        }
        offset += per_frame;
        signals.push(Signal {
            name: spec.name.clone(),
            unit: spec.unit.clone(),
            rate_hz: header.frame_rate_hz * per_frame as f64,
            samples,
        });
    }
    (signals, problems)
}

fn physical(spec: &SignalSpec, raw: Option<i32>) -> f32 {
    raw.map_or(f32::NAN, |raw| {
        ((f64::from(raw) - spec.baseline) / spec.gain) as f32
    })
}
