//! What the frames of this bus mean: identifiers (CANopen's predefined connection set,
//! CiA 301, 7.3.3) and payloads.

use crate::frame::{Frame, Identifier, MAX_DATA_BYTES};

/// Identifiers of a node's frames: the function code, plus the node number.
pub mod function {
    /// First transmit PDO: samples.
    pub const SAMPLES: u16 = 0x180;
    /// First receive PDO: command.
    pub const COMMAND: u16 = 0x200;
    /// Second transmit PDO: numerics.
    pub const NUMERICS: u16 = 0x280;
    /// Heartbeat.
    pub const HEARTBEAT: u16 = 0x700;
}

/// Value of an ECG lead whose electrode is off.
pub const LEAD_OFF: i16 = i16::MIN;
/// Value of the pleth where no finger is in the clip.
pub const FINGER_OFF: u16 = u16::MAX;
/// Largest value of the pleth: full scale, in steps of 1e-4.
pub const PLETH_FULL_SCALE: u16 = 10_000;
/// Largest SpO2, in 0.1 %.
const SPO2_LIMIT: u16 = 1000;
/// Largest pulse rate, in 0.1 beats a minute.
const PULSE_LIMIT: u16 = 5000;
/// Bits of a node number.
const NODE_MASK: u16 = 0x7f;

/// What a node is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeKind {
    /// An ECG front end.
    Ecg,
    /// A pleth and SpO2 front end.
    Pleth,
    /// An infusion pump.
    Pump,
}

impl NodeKind {
    /// Its number in a heartbeat.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            Self::Ecg => 1,
            Self::Pleth => 2,
            Self::Pump => 3,
        }
    }
}

/// A node on the bus.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Node {
    /// Node number, 1 to 127.
    pub id: u8,
    /// What it is.
    pub kind: NodeKind,
}

/// State of a node in its heartbeat (CiA 301, 7.2.8.3.2.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NodeState {
    /// It has just started: its sequence numbers begin anew.
    BootUp,
    /// It does nothing but tell its state; the pump, where no command comes.
    Stopped,
    /// It works.
    Operational,
}

impl NodeState {
    const fn number(self) -> u8 {
        match self {
            Self::BootUp => 0,
            Self::Stopped => 4,
            Self::Operational => 5,
        }
    }

    const fn of(number: u8) -> Option<Self> {
        match number {
            0 => Some(Self::BootUp),
            4 => Some(Self::Stopped),
            5 => Some(Self::Operational),
            _ => None,
        }
    }
}

/// Both leads at one moment, 5 microvolts each step; [`LEAD_OFF`] where the electrode is off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EcgSample {
    /// First and second lead of the recording.
    pub leads: [i16; 2],
}

/// What an oximeter says once a second.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Numerics {
    /// Oxygen saturation, 0.1 %.
    pub spo2: u16,
    /// Pulse rate, 0.1 beats a minute; 0 = none found.
    pub pulse: u16,
}

/// What the pump is told every period.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PumpCommand {
    /// Rate, 0.1 ml/h.
    pub rate: u16,
    /// Low bits of the device's time when it was sent, milliseconds.
    pub time_ms: u16,
}

/// That a node lives, and what it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heartbeat {
    /// Its state.
    pub state: NodeState,
    /// Samples a second in tenths; a pump's late and missing commands so far.
    pub value: u16,
}

/// A frame's meaning.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Message {
    /// Samples of an ECG front end.
    Ecg(EcgSample),
    /// A pleth sample: 0 to [`PLETH_FULL_SCALE`], or [`FINGER_OFF`].
    Pleth(u16),
    /// Numerics of an oximeter.
    Numerics(Numerics),
    /// A command to the pump.
    Command(PumpCommand),
    /// A heartbeat.
    Heartbeat(Heartbeat),
}

/// Why a frame means nothing here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Nobody here uses the identifier.
    Unknown,
    /// The identifier is known, but length or values are not as they must be.
    Malformed,
}

/// The frame of a message from or to `node`, with its sequence number.
///
/// Bytes 5 to 7 are kept for the message authentication code and zero for now.
#[must_use]
pub fn encode(node: Node, message: Message, sequence: u8) -> Frame {
    let (function, [first, second]) = match message {
        Message::Ecg(EcgSample { leads: [a, b] }) => {
            (function::SAMPLES, [a.to_le_bytes(), b.to_le_bytes()])
        }
        Message::Pleth(value) => (function::SAMPLES, [value.to_le_bytes(), [0; 2]]),
        Message::Numerics(numerics) => (
            function::NUMERICS,
            [numerics.spo2.to_le_bytes(), numerics.pulse.to_le_bytes()],
        ),
        Message::Command(command) => (
            function::COMMAND,
            [command.rate.to_le_bytes(), command.time_ms.to_le_bytes()],
        ),
        Message::Heartbeat(heartbeat) => (
            function::HEARTBEAT,
            [
                [heartbeat.state.number(), node.kind.number()],
                heartbeat.value.to_le_bytes(),
            ],
        ),
    };
    let data = [first[0], first[1], second[0], second[1], sequence, 0, 0, 0];
    // Function codes are multiples of 0x80 up to 0x700, so that the sum has eleven bits.
    let bits = function | (u16::from(node.id) & NODE_MASK);
    Frame::of_eight(Identifier::Standard(bits), data)
}

/// What a frame means on a bus with these nodes: the index of its node, the message, its sequence number.
///
/// # Errors
/// [`Refusal::Unknown`] where no node of `nodes` sends or takes such a frame, [`Refusal::Malformed`]
/// where its length, kind or values are out of range, or the bytes kept for the authentication code are not zero.
pub fn decode(nodes: &[Node], frame: &Frame) -> Result<(usize, Message, u8), Refusal> {
    let Identifier::Standard(bits) = frame.identifier() else {
        return Err(Refusal::Unknown);
    };
    let index = nodes
        .iter()
        .position(|node| u16::from(node.id) == bits & NODE_MASK)
        .ok_or(Refusal::Unknown)?;
    let node = nodes.get(index).ok_or(Refusal::Unknown)?;
    let function = bits & !NODE_MASK;
    let known = match node.kind {
        NodeKind::Ecg => matches!(function, function::SAMPLES | function::HEARTBEAT),
        NodeKind::Pleth => matches!(
            function,
            function::SAMPLES | function::NUMERICS | function::HEARTBEAT
        ),
        NodeKind::Pump => matches!(function, function::COMMAND | function::HEARTBEAT),
    };
    if !known {
        return Err(Refusal::Unknown);
    }
    let data: [u8; MAX_DATA_BYTES] = frame.data().try_into().map_err(|_| Refusal::Malformed)?;
    let message = payload(*node, function, data).ok_or(Refusal::Malformed)?;
    Ok((index, message, data[4]))
}

/// The message in the data bytes of a known frame; `None` where values are out of range.
fn payload(node: Node, function: u16, data: [u8; MAX_DATA_BYTES]) -> Option<Message> {
    let [a, b, c, d, _, 0, 0, 0] = data else {
        return None;
    };
    let first = u16::from_le_bytes([a, b]);
    let second = u16::from_le_bytes([c, d]);
    match (function, node.kind) {
        (function::SAMPLES, NodeKind::Ecg) => Some(Message::Ecg(EcgSample {
            leads: [first.cast_signed(), second.cast_signed()],
        })),
        (function::SAMPLES, _) => {
            let fits = first <= PLETH_FULL_SCALE || first == FINGER_OFF;
            (fits && second == 0).then_some(Message::Pleth(first))
        }
        (function::NUMERICS, _) => {
            (first <= SPO2_LIMIT && second <= PULSE_LIMIT).then_some(Message::Numerics(Numerics {
                spo2: first,
                pulse: second,
            }))
        }
        (function::COMMAND, _) => Some(Message::Command(PumpCommand {
            rate: first,
            time_ms: second,
        })),
        _ => {
            let state = NodeState::of(a)?;
            (b == node.kind.number()).then_some(Message::Heartbeat(Heartbeat {
                state,
                value: second,
            }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODES: [Node; 3] = [
        Node {
            id: 1,
            kind: NodeKind::Ecg,
        },
        Node {
            id: 2,
            kind: NodeKind::Pleth,
        },
        Node {
            id: 3,
            kind: NodeKind::Pump,
        },
    ];

    #[test]
    fn messages_survive_the_way_there_and_back() {
        let messages = [
            (
                0,
                Message::Ecg(EcgSample {
                    leads: [LEAD_OFF, 217],
                }),
                0x181,
            ),
            (1, Message::Pleth(FINGER_OFF), 0x182),
            (
                1,
                Message::Numerics(Numerics {
                    spo2: 973,
                    pulse: 884,
                }),
                0x282,
            ),
            (
                2,
                Message::Command(PumpCommand {
                    rate: 125,
                    time_ms: 65_530,
                }),
                0x203,
            ),
            (
                2,
                Message::Heartbeat(Heartbeat {
                    state: NodeState::Operational,
                    value: 7,
                }),
                0x703,
            ),
        ];
        for (index, message, identifier) in messages {
            let frame = encode(NODES[index], message, 200);
            assert_eq!(frame.identifier().bits(), identifier);
            assert_eq!(decode(&NODES, &frame), Ok((index, message, 200)));
        }
    }

    #[test]
    fn the_layout_is_the_documented_one() {
        let frame = encode(
            NODES[0],
            Message::Ecg(EcgSample {
                leads: [-2, 0x0102],
            }),
            9,
        );
        assert_eq!(frame.data(), [0xfe, 0xff, 0x02, 0x01, 9, 0, 0, 0]);
        let beat = Message::Heartbeat(Heartbeat {
            state: NodeState::Operational,
            value: 1250,
        });
        assert_eq!(
            encode(NODES[1], beat, 1).data(),
            [5, 2, 0xe2, 0x04, 1, 0, 0, 0]
        );
    }

    #[test]
    fn unknown_and_malformed_are_told_apart() {
        let frame = |id, data: &[u8]| {
            Frame::new(Identifier::standard(id).expect("fits"), data).expect("fits")
        };
        for (id, data, refusal) in [
            (0x184, &[0_u8; 8][..], Refusal::Unknown),
            (0x183, &[0; 8], Refusal::Unknown),
            (0x281, &[0; 8], Refusal::Unknown),
            (0x7ff, &[0; 8], Refusal::Unknown),
            (0x181, &[0; 7], Refusal::Malformed),
            (0x182, &[0x11, 0x27, 0, 0, 0, 0, 0, 0], Refusal::Malformed),
            (0x182, &[0, 0, 1, 0, 0, 0, 0, 0], Refusal::Malformed),
            (0x282, &[0xe9, 0x03, 0, 0, 0, 0, 0, 0], Refusal::Malformed),
            (0x701, &[5, 2, 0, 0, 0, 0, 0, 0], Refusal::Malformed),
            (0x181, &[0, 0, 0, 0, 0, 0, 1, 0], Refusal::Malformed),
            (0x701, &[9, 1, 0, 0, 0, 0, 0, 0], Refusal::Malformed),
        ] {
            assert_eq!(decode(&NODES, &frame(id, data)), Err(refusal), "{id:#x}");
        }
        let extended = Frame::of_eight(Identifier::extended(0x181).expect("fits"), [0; 8]);
        assert_eq!(decode(&NODES, &extended), Err(Refusal::Unknown));
        let remote = Frame::remote(Identifier::standard(0x181).expect("fits"), 8).expect("fits");
        assert_eq!(decode(&NODES, &remote), Err(Refusal::Malformed));
    }
}
