//! What the frames of our bus mean: identifiers in the manner of CANopen (CiA 301), eight bytes each.
//!
//! Bytes 0 to 3 are the payload, byte 4 the sequence number (freshness), bytes 5 to 7 are kept for the truncated MAC.

use crate::{Frame, Identifier};

/// Node numbers 1 to 127.
pub type Node = u8;

/// Sample value that means: lead off.
pub const LEAD_OFF: i16 = i16::MIN;
/// Pleth value that means: finger off.
pub const FINGER_OFF: u16 = u16::MAX;

/// What kind of node sends a heartbeat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum NodeKind {
    /// ECG front end.
    Ecg = 1,
    /// Pleth and SpO2 front end.
    Pleth = 2,
    /// Infusion pump.
    Pump = 3,
}

/// What a frame says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// 0x180 + node: two samples of the same instant.
    Samples {
        /// First signal: an ECG lead in 5 uV steps, or the pleth in 1e-4 of full scale.
        first: i16,
        /// Second signal.
        second: i16,
    },
    /// 0x280 + node: SpO2 and pulse.
    Numerics {
        /// Tenths of a percent.
        spo2_deci: u16,
        /// Tenths of a beat a minute; 0 = none.
        pulse_deci: u16,
    },
    /// 0x200 + node: what the pump shall deliver.
    Command {
        /// Tenths of a millilitre an hour.
        rate_deci: u16,
        /// Low bits of the device's time in milliseconds.
        time_ms: u16,
    },
    /// 0x700 + node: alive.
    Heartbeat {
        /// CANopen state; 5 = operational.
        state: u8,
        /// [`NodeKind`] as a number.
        kind: u8,
        /// Sample rate in tenths of a hertz; of the pump: late or missing commands so far.
        value: u16,
    },
}

/// A frame of our bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message {
    /// The node that sends it, or that a command is for.
    pub node: Node,
    /// Counts the frames of one identifier.
    pub sequence: u8,
    /// What it says.
    pub content: Content,
}

/// Why a frame is not of our bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refused {
    /// Nobody here uses this identifier.
    Unknown,
    /// The identifier is ours, the length or a value is not.
    Malformed,
}

const SAMPLES: u16 = 0x180;
const COMMAND: u16 = 0x200;
const NUMERICS: u16 = 0x280;
const HEARTBEAT: u16 = 0x700;

impl Message {
    /// The frame.
    #[must_use]
    pub fn to_frame(self) -> Frame {
        let (base, payload) = match self.content {
            Content::Samples { first, second } => (SAMPLES, pair(first as u16, second as u16)),
            Content::Numerics {
                spo2_deci,
                pulse_deci,
            } => (NUMERICS, pair(spo2_deci, pulse_deci)),
            Content::Command { rate_deci, time_ms } => (COMMAND, pair(rate_deci, time_ms)),
            Content::Heartbeat { state, kind, value } => {
                (HEARTBEAT, pair(u16::from_le_bytes([state, kind]), value))
            }
        };
        let [a, b, c, d] = payload;
        let identifier = Identifier::Standard(base | u16::from(self.node & 0x7f));
        // Eight bytes always fit; the fallback is an empty frame, which nobody reads as a message.
        Frame::new(identifier, &[a, b, c, d, self.sequence, 0, 0, 0]).unwrap_or(EMPTY)
    }

    /// Reads a frame.
    ///
    /// # Errors
    /// Where it is not one of ours.
    pub fn from_frame(frame: &Frame) -> Result<Self, Refused> {
        let Identifier::Standard(number) = frame.identifier() else {
            return Err(Refused::Unknown);
        };
        let (base, node) = (number & 0x780, (number & 0x7f) as u8);
        if node == 0 || ![SAMPLES, COMMAND, NUMERICS, HEARTBEAT].contains(&base) {
            return Err(Refused::Unknown);
        }
        let &[a, b, c, d, sequence, ..] = frame.data() else {
            return Err(Refused::Malformed);
        };
        if frame.length() != 8 {
            return Err(Refused::Malformed);
        }
        let (first, second) = (u16::from_le_bytes([a, b]), u16::from_le_bytes([c, d]));
        let content = match base {
            SAMPLES => Content::Samples {
                first: first as i16,
                second: second as i16,
            },
            NUMERICS if first <= 1000 && second <= 5000 => Content::Numerics {
                spo2_deci: first,
                pulse_deci: second,
            },
            NUMERICS => return Err(Refused::Malformed),
            COMMAND => Content::Command {
                rate_deci: first,
                time_ms: second,
            },
            _ => Content::Heartbeat {
                state: a,
                kind: b,
                value: second,
            },
        };
        Ok(Self {
            node,
            sequence,
            content,
        })
    }
}

const EMPTY: Frame = match Frame::remote(Identifier::Standard(0), 0) {
    Some(frame) => frame,
    None => unreachable!(),
};

fn pair(first: u16, second: u16) -> [u8; 4] {
    let ([a, b], [c, d]) = (first.to_le_bytes(), second.to_le_bytes());
    [a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_survives_the_way_there_and_back() {
        let contents = [
            Content::Samples {
                first: -1,
                second: LEAD_OFF,
            },
            Content::Numerics {
                spo2_deci: 973,
                pulse_deci: 0,
            },
            Content::Command {
                rate_deci: 50,
                time_ms: u16::MAX,
            },
            Content::Heartbeat {
                state: 5,
                kind: 1,
                value: 3600,
            },
        ];
        for content in contents {
            for node in [1, 127] {
                let message = Message {
                    node,
                    sequence: 200,
                    content,
                };
                assert_eq!(Message::from_frame(&message.to_frame()), Ok(message));
            }
        }
    }

    #[test]
    fn the_layout_is_the_documented_one() {
        let frame = Message {
            node: 1,
            sequence: 9,
            content: Content::Samples {
                first: 0x1234,
                second: -2,
            },
        }
        .to_frame();
        assert_eq!(frame.identifier(), Identifier::Standard(0x181));
        assert_eq!(frame.data(), [0x34, 0x12, 0xfe, 0xff, 9, 0, 0, 0]);
    }

    #[test]
    fn foreign_frames_are_refused() {
        let frame =
            |number, bytes: &[u8]| Frame::new(Identifier::Standard(number), bytes).expect("short");
        assert_eq!(
            Message::from_frame(&frame(0x180, &[0; 8])),
            Err(Refused::Unknown)
        );
        assert_eq!(
            Message::from_frame(&frame(0x381, &[0; 8])),
            Err(Refused::Unknown)
        );
        assert_eq!(
            Message::from_frame(&frame(0x181, &[0; 7])),
            Err(Refused::Malformed)
        );
        assert_eq!(
            Message::from_frame(&frame(0x282, &[0xff; 8])),
            Err(Refused::Malformed)
        );
        let extended = Frame::new(Identifier::Extended(0x181), &[0; 8]).expect("short");
        assert_eq!(Message::from_frame(&extended), Err(Refused::Unknown));
    }
}
