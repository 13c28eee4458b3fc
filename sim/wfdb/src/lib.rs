//! Reads WFDB records, annotations and CSV recordings; says what was cut short.
//!
//! Formats of the samples: 16, 212, 24, 32, 61, 80 and 160 of WFDB's `signal(5)`; records in the manner of
//! `header(5)`; annotations in the MIT format of `annot(5)`; tables of text with a column of time. Files come
//! from outside: every length has a bound, and what a file lacks is said in `problems` rather than guessed.
#![forbid(unsafe_code)]

mod annotation;
mod csv;
mod error;
mod header;
mod samples;

pub use annotation::{Annotation, parse_annotations};
pub use csv::parse_csv;
pub use error::Error;
pub use header::{Header, SignalSpec, parse_header};
pub use samples::{Format, decode_file};

use std::fs::File;
use std::io::Read;
use std::path::Path;

/// Most bytes of a header.
pub const MAX_HEADER_BYTES: usize = 256 * 1024;
/// Most bytes of a file with samples or annotations, or of a table.
pub const MAX_FILE_BYTES: usize = 512 * 1024 * 1024;
/// Most signals of a record.
pub const MAX_SIGNALS: usize = 64;
/// Most problems that are told one by one.
const MAX_PROBLEMS: usize = 32;

/// What was recorded.
#[derive(Debug, Clone, PartialEq)]
pub struct Recording {
    /// Name of the record: the header's, or the table's file name without its ending.
    pub name: String,
    /// Signals, in the order of the file.
    pub signals: Vec<Signal>,
    /// What was not as promised: cut short, a format not known, a gap in the time. Sentences.
    pub problems: Vec<String>,
}

/// One signal.
#[derive(Debug, Clone, PartialEq)]
pub struct Signal {
    /// Its name, such as "MLII" or "PLETH".
    pub name: String,
    /// Unit of the samples: "mV", "mmHg", "%"; "NU" where the file names none.
    pub unit: String,
    /// Samples a second.
    pub rate_hz: f64,
    /// Samples in `unit`; NaN = not valid or missing.
    pub samples: Vec<f32>,
}

impl Recording {
    /// Reads a record by its header (`.hea`) or a table (`.csv`). A name without ending means the header.
    ///
    /// # Errors
    /// Where the file cannot be read, its header makes no sense, or no signal can be read at all.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let is_csv = path
            .extension()
            .is_some_and(|end| end.eq_ignore_ascii_case("csv"));
        if is_csv {
            let text = read_text(path, MAX_FILE_BYTES)?;
            let name = path.file_stem().unwrap_or_default().to_string_lossy();
            return parse_csv(&name, &text);
        }
        let path = if path.extension().is_some_and(|end| end == "hea") {
            path.to_path_buf()
        } else {
            let mut name = path.as_os_str().to_owned();
            name.push(".hea");
            name.into()
        };
        let header = parse_header(&read_text(&path, MAX_HEADER_BYTES)?)?;
        read_record(&header, path.parent().unwrap_or(Path::new("")))
    }

    /// Seconds of the longest signal.
    #[must_use]
    pub fn duration_s(&self) -> f64 {
        let longest = self
            .signals
            .iter()
            .map(|s| s.samples.len() as f64 / s.rate_hz);
        longest.fold(0.0, f64::max)
    }
}

/// Names of ECG leads in records of PhysioNet and of monitors, in capitals.
const ECG_NAMES: [&str; 31] = [
    "I", "II", "III", "MLI", "MLII", "MLIII", "MCL1", "MCL2", "MCL3", "MCL4", "MCL5", "MCL6", "V",
    "V1", "V2", "V3", "V4", "V5", "V6", "AVR", "AVL", "AVF", "ECG", "ECG1", "ECG2", "ECG3", "MV2",
    "CM5", "D3", "D4", "MOD.V1",
];

impl Signal {
    /// Whether it is an ECG lead, by its name.
    #[must_use]
    pub fn is_ecg(&self) -> bool {
        let name = self.name.to_ascii_uppercase();
        let name = name.strip_prefix("ECG ").unwrap_or(&name);
        ECG_NAMES.contains(&name)
    }

    /// Whether it is a plethysmogram, by its name.
    #[must_use]
    pub fn is_pleth(&self) -> bool {
        let name = self.name.to_ascii_uppercase();
        name.starts_with("PLETH") || name.starts_with("PPG")
    }
}

/// Reads annotations (`.atr` and its like). What a file that is cut short still says is in the list, the rest
/// in the sentences.
///
/// # Errors
/// Where the file cannot be read or is too long.
pub fn annotations(path: &Path) -> Result<(Vec<Annotation>, Vec<String>), Error> {
    Ok(parse_annotations(&read_bytes(path, MAX_FILE_BYTES)?))
}

fn read_record(header: &Header, folder: &Path) -> Result<Recording, Error> {
    let mut recording = Recording {
        name: header.name.clone(),
        signals: Vec::new(),
        problems: header.problems.clone(),
    };
    let mut rest = &header.signals[..];
    while let Some(first) = rest.first() {
        let count = rest.iter().take_while(|s| s.file == first.file).count();
        let (group, after) = rest.split_at(count);
        rest = after;
        match read_bytes(&folder.join(&first.file), MAX_FILE_BYTES) {
            Ok(bytes) => {
                let (signals, problems) = decode_file(header, group, &bytes);
                recording.signals.extend(signals);
                problems
                    .into_iter()
                    .for_each(|p| say(&mut recording.problems, p));
            }
            Err(error) => say(&mut recording.problems, error.to_string()),
        }
    }
    if recording.signals.is_empty() {
        let why = recording.problems.join("; ");
        return Err(Error::NoSignals(why));
    }
    Ok(recording)
}

/// Adds a sentence, as long as there are not too many.
fn say(problems: &mut Vec<String>, problem: String) {
    if problems.len() < MAX_PROBLEMS {
        problems.push(problem);
    }
}

fn read_bytes(path: &Path, limit: usize) -> Result<Vec<u8>, Error> {
    let failed = |error: std::io::Error| Error::Io(path.to_path_buf(), error.kind());
    let file = File::open(path).map_err(failed)?;
    let mut bytes = Vec::new();
    file.take(limit as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(failed)?;
    if bytes.len() > limit {
        return Err(Error::TooLong(path.to_path_buf(), limit));
    }
    Ok(bytes)
}

fn read_text(path: &Path, limit: usize) -> Result<String, Error> {
    let bytes = read_bytes(path, limit)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

#[cfg(test)]
mod tests;
