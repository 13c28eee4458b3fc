//! What goes wrong on request: frames dropped, corrupted, delayed, a flood, electrodes and clip off the patient.

use can::slcan::{Encoded, Line, encode};
use can::{Frame, Identifier};
use serde::Serialize;
use std::str::FromStr;

/// First identifier of a flood: nobody here uses function code 8 (0x400).
const FLOOD_IDENTIFIER: u16 = 0x400;
/// Longest delay, milliseconds.
const MAX_DELAY_MS: u64 = 10_000;
/// Most foreign frames a second.
const MAX_FLOOD_PER_S: u32 = 100_000;

/// What is wrong now.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct Faults {
    /// Part of the nodes' frames that get lost, 0 to 1.
    pub drop: f64,
    /// Part of the nodes' frames that are changed on their way, 0 to 1.
    pub corrupt: f64,
    /// How much later every frame of the nodes comes, milliseconds.
    pub delay_ms: u64,
    /// Foreign frames a second.
    pub flood_per_s: u32,
    /// The electrodes are off the patient.
    pub lead_off: bool,
    /// The clip is off the finger.
    pub finger_off: bool,
    /// The heart stands still: the ECG is a flat line.
    pub flat: bool,
    /// A saturation instead of the recorded one, tenths of a percent.
    pub spo2_deci: Option<u16>,
}

impl Faults {
    /// Nothing is wrong.
    pub const NONE: Self = Self {
        drop: 0.0,
        corrupt: 0.0,
        delay_ms: 0,
        flood_per_s: 0,
        lead_off: false,
        finger_off: false,
        flat: false,
        spo2_deci: None,
    };

    /// Changes one of them.
    pub fn apply(&mut self, change: Change) {
        match change {
            Change::Drop(part) => self.drop = part,
            Change::Corrupt(part) => self.corrupt = part,
            Change::Delay(delay_ms) => self.delay_ms = delay_ms,
            Change::Flood(per_s) => self.flood_per_s = per_s,
            Change::LeadOff(on) => self.lead_off = on,
            Change::FingerOff(on) => self.finger_off = on,
            Change::Flat(on) => self.flat = on,
            Change::Spo2(value) => self.spo2_deci = value,
        }
    }
}

/// One change, as a line of the control channel says it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Change {
    /// `drop 0.01`
    Drop(f64),
    /// `corrupt 0.01`
    Corrupt(f64),
    /// `delay 50`
    Delay(u64),
    /// `flood 2000`
    Flood(u32),
    /// `lead-off on`
    LeadOff(bool),
    /// `finger-off on`
    FingerOff(bool),
    /// `flat on`
    Flat(bool),
    /// `spo2 85.5` or `spo2 recorded`
    Spo2(Option<u16>),
}

impl FromStr for Change {
    type Err = String;

    fn from_str(line: &str) -> Result<Self, String> {
        let (word, value) = line.trim().split_once(' ').unwrap_or((line.trim(), ""));
        let value = value.trim();
        match word {
            "drop" => part(value).map(Self::Drop),
            "corrupt" => part(value).map(Self::Corrupt),
            "delay" => number(value, MAX_DELAY_MS).map(Self::Delay),
            "flood" => number(value, MAX_FLOOD_PER_S).map(Self::Flood),
            "lead-off" => switch(value).map(Self::LeadOff),
            "finger-off" => switch(value).map(Self::FingerOff),
            "flat" => switch(value).map(Self::Flat),
            "spo2" if value == "recorded" => Ok(Self::Spo2(None)),
            "spo2" => percent_deci(value).map(|value| Self::Spo2(Some(value))),
            _ => Err(format!(
                "{word:?} is none of drop, corrupt, delay, flood, lead-off, finger-off, flat, spo2"
            )),
        }
    }
}

/// A part: 0 to 1.
///
/// # Errors
/// Where it is no number, or not in the range.
pub fn part(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(value) if (0.0..=1.0).contains(&value) => Ok(value),
        _ => Err(format!("expected a part between 0 and 1, found {text:?}")),
    }
}

/// Percent, 0 to 100, in tenths.
///
/// # Errors
/// Where it is no number, or not in the range.
pub fn percent_deci(text: &str) -> Result<u16, String> {
    match text.parse::<f64>() {
        Ok(value) if (0.0..=100.0).contains(&value) => Ok((value * 10.0).round() as u16),
        _ => Err(format!("expected 0 to 100 percent, found {text:?}")),
    }
}

fn number<T: FromStr + PartialOrd + std::fmt::Display>(text: &str, limit: T) -> Result<T, String> {
    match text.parse() {
        Ok(value) if value <= limit => Ok(value),
        _ => Err(format!(
            "expected a whole number up to {limit}, found {text:?}"
        )),
    }
}

fn switch(text: &str) -> Result<bool, String> {
    match text {
        "on" => Ok(true),
        "off" => Ok(false),
        _ => Err(format!("expected on or off, found {text:?}")),
    }
}

/// From when to when something is wrong, seconds since the start.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Interval {
    from_s: f64,
    to_s: f64,
}

impl Interval {
    /// Whether it is going on.
    #[must_use]
    pub fn contains(&self, now_us: u64) -> bool {
        let now_s = now_us as f64 / 1e6;
        (self.from_s..self.to_s).contains(&now_s)
    }
}

impl FromStr for Interval {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let both = text.split_once(':').and_then(|(from, to)| {
            let (from_s, to_s) = (from.parse().ok()?, to.parse().ok()?);
            (from_s >= 0.0 && to_s > from_s).then_some(Self { from_s, to_s })
        });
        both.ok_or_else(|| {
            format!("expected FROM:TO in seconds since the start, such as 30:45, found {text:?}")
        })
    }
}

/// A small, fast, repeatable source of numbers (SplitMix64, Steele et al., OOPSLA 2014).
#[derive(Debug, Clone)]
pub struct Random(u64);

impl Random {
    /// The same numbers for the same seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit.max(1) as u64) as usize
    }

    /// True with that probability.
    pub fn chance(&mut self, part: f64) -> bool {
        part > 0.0 && (self.next() >> 11) as f64 / ((1_u64 << 53) as f64) < part
    }

    /// The line of a frame, changed: a bit flipped, a character that is no digit, or its end missing.
    pub fn corrupted(&mut self, line: &Encoded) -> Vec<u8> {
        let mut bytes = line.as_bytes().to_vec();
        let last = bytes.len() - 1;
        let at = self.below(last);
        match self.below(3) {
            0 => bytes[at] ^= 1 << self.below(7),
            1 => bytes[at] = b'!',
            _ => {
                bytes.drain(at.max(1)..last);
            }
        }
        bytes
    }

    /// A frame nobody here sends.
    pub fn foreign(&mut self) -> Encoded {
        let identifier = Identifier::Standard(FLOOD_IDENTIFIER + self.below(128) as u16);
        encode(&Line::Frame(Frame::of_eight(
            identifier,
            self.next().to_le_bytes(),
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use can::message::{Node, NodeKind, Refusal, decode};
    use can::slcan::Parser;

    #[test]
    fn lines_change_one_thing() {
        let mut faults = Faults::NONE;
        for line in [
            "drop 0.5",
            "corrupt 1",
            "delay 20",
            "flood 2000",
            "lead-off on",
            "spo2 85.5",
            " flat  on ",
        ] {
            faults.apply(line.parse().expect(line));
        }
        let expected = Faults {
            drop: 0.5,
            corrupt: 1.0,
            delay_ms: 20,
            flood_per_s: 2000,
            lead_off: true,
            spo2_deci: Some(855),
            flat: true,
            ..Faults::NONE
        };
        assert_eq!(faults, expected);
        faults.apply("spo2 recorded".parse().expect("known"));
        assert_eq!(faults.spo2_deci, None);
        for bad in [
            "",
            "drop",
            "drop 2",
            "drop x",
            "delay -1",
            "flood 1e9",
            "lead-off maybe",
            "spo2 101",
            "what 1",
        ] {
            assert!(bad.parse::<Change>().is_err(), "{bad}");
        }
    }

    #[test]
    fn intervals_are_read() {
        let interval: Interval = "30:45.5".parse().expect("good");
        assert!(!interval.contains(29_999_999) && interval.contains(30_000_000));
        assert!(interval.contains(45_400_000) && !interval.contains(45_500_000));
        for bad in ["30", "45:30", "a:b", "-1:3", ":"] {
            assert!(bad.parse::<Interval>().is_err(), "{bad}");
        }
    }

    #[test]
    fn chances_are_as_asked() {
        let mut random = Random::new(1);
        let hits = (0..100_000).filter(|_| random.chance(0.01)).count();
        assert!((800..1200).contains(&hits), "{hits}");
        assert!(!random.chance(0.0) && random.chance(1.0));
    }

    #[test]
    fn corrupted_lines_still_end_and_floods_are_foreign() {
        let nodes = [
            Node {
                id: 1,
                kind: NodeKind::Ecg,
            },
            Node {
                id: 127,
                kind: NodeKind::Pump,
            },
        ];
        let mut random = Random::new(2);
        for _ in 0..2000 {
            let line = random.foreign();
            let mut parser = Parser::new();
            let parsed = line.as_bytes().iter().find_map(|byte| parser.push(*byte));
            let Some(Ok(Line::Frame(frame))) = parsed else {
                panic!("a frame");
            };
            assert_eq!(decode(&nodes, &frame), Err(Refusal::Unknown));
            let bytes = random.corrupted(&line);
            assert_ne!(bytes, line.as_bytes());
            assert_eq!(bytes.last(), Some(&b'\r'));
        }
    }
}
