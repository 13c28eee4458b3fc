//! Annotations in the MIT format (`annot(5)` of the WFDB Applications Guide).

/// Most annotations of one file that are read.
const MAX_ANNOTATIONS: usize = 4_000_000;

/// Pseudo-codes of the format: they say something of an annotation or of the time.
const SKIP: u8 = 59;
const NUM: u8 = 60;
const SUB: u8 = 61;
const CHN: u8 = 62;
const AUX: u8 = 63;

/// Something that was marked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Annotation {
    /// Number of the sample, from 0, in frames of the record.
    pub sample: u64,
    /// Code of `ecgcodes.h`: 1 normal beat, 5 premature ventricular contraction ...
    pub code: u8,
}

impl Annotation {
    /// Start of ventricular flutter or fibrillation, written `[` (`ecgcodes.h`: VFON).
    pub const FLUTTER_ON: u8 = 32;
    /// End of it, written `]` (`ecgcodes.h`: VFOFF).
    pub const FLUTTER_OFF: u8 = 33;

    /// Whether it marks a beat (`ecgmap.h`: isqrs).
    #[must_use]
    pub const fn is_beat(&self) -> bool {
        matches!(self.code, 1..=13 | 25 | 30 | 31 | 34 | 35 | 38 | 41)
    }
}

/// Reads annotations. What a file that is cut short still says is in the list, the rest in the sentences.
#[must_use]
pub fn parse_annotations(bytes: &[u8]) -> (Vec<Annotation>, Vec<String>) {
    let mut found = Vec::new();
    let mut problems = Vec::new();
    let mut time: i64 = 0;
    let mut rest = bytes;
    loop {
        if found.len() >= MAX_ANNOTATIONS {
            problems.push(format!(
                "only the first {MAX_ANNOTATIONS} annotations were read"
            ));
            break;
        }
        let Some((word, after)) = rest.split_first_chunk::<2>() else {
            problems.push("the annotations are cut short: no end mark".into());
            break;
        };
        let word = u16::from_le_bytes(*word);
        let (code, value) = ((word >> 10) as u8, word & 0x3ff);
        rest = after;
        match code {
            0 if value == 0 => break,
            SKIP => {
                let Some((long, after)) = rest.split_first_chunk::<4>() else {
                    problems.push("the annotations are cut short: within a jump in time".into());
                    break;
                };
                // A PDP-11 long: high word first, each word with its low byte first.
                let jump = i32::from_le_bytes([long[2], long[3], long[0], long[1]]);
                time = time.saturating_add(jump.into());
                rest = after;
            }
            NUM | SUB | CHN => {}
            AUX => {
                let length = usize::from(value).next_multiple_of(2);
                let Some(after) = rest.get(length..) else {
                    problems.push("the annotations are cut short: within a text".into());
                    break;
                };
                rest = after;
            }
            _ => {
                time = time.saturating_add(value.into());
                match u64::try_from(time) {
                    Ok(sample) => found.push(Annotation { sample, code }),
                    Err(_) if problems.is_empty() => {
                        problems.push("an annotation lies before the start".into());
                    }
                    Err(_) => {}
                }
            }
        }
    }
    (found, problems)
}
