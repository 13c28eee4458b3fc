//! The header of a WFDB record (`header(5)` of the WFDB Applications Guide).

use crate::{Error, MAX_SIGNALS};

/// Frames a second where the header names none (`header(5)`: DEFREQ).
const DEFAULT_RATE_HZ: f64 = 250.0;
/// Units per physical unit where the header names none or zero (`header(5)`: DEFGAIN).
const DEFAULT_GAIN: f64 = 200.0;
/// Fastest frame rate we believe.
const MAX_RATE_HZ: f64 = 1e6;
/// Most samples of one signal in a frame.
const MAX_PER_FRAME: usize = 1000;
/// Most samples that may precede the first, and bytes before the samples.
const MAX_SKIPPED: usize = 1 << 24;
/// Most characters of a name.
const MAX_NAME: usize = 200;

/// A record's header.
#[derive(Debug, Clone, PartialEq)]
pub struct Header {
    /// Name of the record.
    pub name: String,
    /// Frames a second.
    pub frame_rate_hz: f64,
    /// Frames; `None` where the header does not say.
    pub frames: Option<u64>,
    /// Signals, in order.
    pub signals: Vec<SignalSpec>,
    /// What is missing in the header.
    pub problems: Vec<String>,
}

/// How one signal is stored.
#[derive(Debug, Clone, PartialEq)]
pub struct SignalSpec {
    /// File with its samples, in the header's folder; no path.
    pub file: String,
    /// Number of the format (`signal(5)`).
    pub format: u16,
    /// Samples in each frame, at least 1.
    pub per_frame: usize,
    /// Samples that precede sample 0.
    pub skew: usize,
    /// Bytes of the file before the first sample.
    pub byte_offset: usize,
    /// Units per physical unit.
    pub gain: f64,
    /// The unit that means 0 physical units.
    pub baseline: f64,
    /// Physical unit.
    pub unit: String,
    /// Name of the signal.
    pub name: String,
}

/// Reads a header.
///
/// # Errors
/// Where a line cannot be understood, with its number.
pub fn parse_header(text: &str) -> Result<Header, Error> {
    let mut lines = text
        .lines()
        .enumerate()
        .map(|(n, line)| (n + 1, line.trim()))
        .filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    let (number, line) = lines
        .next()
        .ok_or_else(|| Error::Malformed(1, "no record line".into()))?;
    let (mut header, count) = record_line(number, line)?;
    for (number, line) in lines.take(count) {
        header.signals.push(signal_line(number, line)?);
    }
    if header.signals.len() < count {
        let found = header.signals.len();
        header.problems.push(format!(
            "the header is cut short: {found} of {count} signals are described"
        ));
    }
    Ok(header)
}

fn record_line(number: usize, line: &str) -> Result<(Header, usize), Error> {
    let wrong = |what: &str| Error::Malformed(number, what.into());
    let mut words = line.split_whitespace();
    let name = words.next().unwrap_or_default();
    if name.contains('/') {
        return Err(Error::Unsupported(
            "a record of several segments; name one of its segments".into(),
        ));
    }
    let count: usize = words
        .next()
        .and_then(|word| word.parse().ok())
        .ok_or_else(|| wrong("a number of signals must follow the record's name"))?;
    if count > MAX_SIGNALS {
        return Err(wrong("more than 64 signals"));
    }
    let frame_rate_hz = match words.next() {
        None => DEFAULT_RATE_HZ,
        // Frequency, then perhaps "/counter frequency(base)".
        Some(word) => word
            .split('/')
            .next()
            .and_then(|rate| rate.parse().ok())
            .filter(|rate| *rate > 0.0 && *rate <= MAX_RATE_HZ)
            .ok_or_else(|| wrong("the sampling frequency must be above 0 and below 1 MHz"))?,
    };
    let frames = match words.next() {
        None => None,
        Some(word) => word
            .parse()
            .map(|frames| (frames > 0).then_some(frames))
            .map_err(|_| wrong("the number of samples is no number"))?,
    };
    let header = Header {
        name: name.chars().take(MAX_NAME).collect(),
        frame_rate_hz,
        frames,
        signals: Vec::new(),
        problems: Vec::new(),
    };
    Ok((header, count))
}

fn signal_line(number: usize, line: &str) -> Result<SignalSpec, Error> {
    let wrong = |what: &str| Error::Malformed(number, what.into());
    let mut words = line.split_whitespace();
    let file = words.next().unwrap_or_default();
    // A header from outside must not lead out of its folder.
    if file.contains(['/', '\\']) || file.starts_with('.') || file.len() > MAX_NAME {
        return Err(wrong("the file of samples must lie beside the header"));
    }
    let format = words
        .next()
        .ok_or_else(|| wrong("a format must follow the file's name"))?;
    let mut spec = format_field(number, format)?;
    spec.file = file.into();
    let (gain, baseline, unit) = gain_field(words.next().unwrap_or("0"));
    let zero = words
        .nth(1)
        .and_then(|word| word.parse().ok())
        .unwrap_or(0.0);
    spec.gain = gain;
    spec.baseline = baseline.unwrap_or(zero);
    spec.unit = unit.unwrap_or("mV").chars().take(MAX_NAME).collect();
    // Initial value, checksum, block size; the rest of the line is the name.
    let name = words.skip(3).collect::<Vec<_>>().join(" ");
    spec.name = name.chars().take(MAX_NAME).collect();
    Ok(spec)
}

/// `format[xSAMPLES][:SKEW][+OFFSET]`.
fn format_field(number: usize, field: &str) -> Result<SignalSpec, Error> {
    let mut spec = SignalSpec {
        file: String::new(),
        format: 0,
        per_frame: 1,
        skew: 0,
        byte_offset: 0,
        gain: DEFAULT_GAIN,
        baseline: 0.0,
        unit: String::new(),
        name: String::new(),
    };
    let wrong = || Error::Malformed(number, format!("'{field}' is no format of samples"));
    let digits = |text: &str| {
        text.find(|c: char| !c.is_ascii_digit())
            .unwrap_or(text.len())
    };
    let (format, mut rest) = field.split_at(digits(field));
    spec.format = format.parse().map_err(|_| wrong())?;
    while let Some(mark) = rest.chars().next() {
        let after = rest.get(1..).ok_or_else(wrong)?;
        let (value, next) = after.split_at(digits(after));
        let value: usize = value.parse().map_err(|_| wrong())?;
        rest = next;
        match mark {
            'x' if (1..=MAX_PER_FRAME).contains(&value) => spec.per_frame = value,
            ':' if value <= MAX_SKIPPED => spec.skew = value,
            '+' if value <= MAX_SKIPPED => spec.byte_offset = value,
            _ => return Err(wrong()),
        }
    }
    Ok(spec)
}

/// `gain[(BASELINE)][/UNIT]`; what cannot be read counts as not there.
fn gain_field(field: &str) -> (f64, Option<f64>, Option<&str>) {
    let (numbers, unit) = match field.split_once('/') {
        Some((numbers, unit)) => (numbers, Some(unit)),
        None => (field, None),
    };
    let (gain, baseline) = match numbers.split_once('(') {
        Some((gain, rest)) => (gain, rest.trim_end_matches(')').parse().ok()),
        None => (numbers, None),
    };
    let gain = gain
        .parse()
        .ok()
        .filter(|g: &f64| g.is_finite() && *g != 0.0);
    let baseline = baseline.filter(|b: &f64| b.is_finite());
    (gain.unwrap_or(DEFAULT_GAIN), baseline, unit)
}
