//! What comes over the CAN bus: SLCAN lines, frames, what they mean, and who is followed by it.

use ::can::message::{EcgSample, Heartbeat, Numerics, PumpCommand, decode, encode as frame_of};
use ::can::message::{Message, Node, NodeKind, NodeState};
use ::can::receive::Receiver;
use ::can::slcan::{BELL, CARRIAGE_RETURN, Line, MAX_LINE_BYTES, Parser, encode};

static NODES: [Node; 3] = [
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

/// Gives `data` to the line reader; what it finds is written and read as the same, decoded, and followed.
pub fn run(data: &[u8]) {
    let (mut parser, mut receiver) = (Parser::new(), Receiver::new(&NODES));
    let (mut frames, mut now_us) = (0, 0_u64);
    let mut last: [Option<u64>; 3] = [None; 3];
    for byte in data {
        now_us = now_us.wrapping_add(u64::from(*byte) << (byte & 31));
        let Some(line) = parser.push(*byte) else {
            assert!(![BELL, CARRIAGE_RETURN].contains(byte), "it ends a line");
            continue;
        };
        let Ok(line) = line else { continue };
        let encoded = encode(&line);
        assert!(encoded.as_bytes().len() <= MAX_LINE_BYTES);
        let mut again = Parser::new();
        let found = encoded.as_bytes().iter().find_map(|b| again.push(*b));
        assert_eq!(found, Some(Ok(line)));
        let Line::Frame(frame) = line else { continue };
        frames += 1;
        if let Ok((index, message, sequence)) = decode(&NODES, &frame) {
            assert_eq!(frame_of(NODES[index], message, sequence), frame);
        }
        if let Some(heard) = receiver.take(&frame, now_us) {
            assert!(heard.t_us <= now_us);
            if let Message::Ecg(_) = heard.message {
                let last = &mut last[0];
                assert!(last.is_none_or(|last| heard.index > last));
                *last = Some(heard.index);
            }
        }
    }
    let c = receiver.counters;
    assert_eq!(c.received + c.duplicate + c.malformed + c.unknown, frames);
}

/// A second of the bus, and a line of each kind.
#[must_use]
pub fn seeds() -> Vec<Vec<u8>> {
    let beat = |value| {
        Message::Heartbeat(Heartbeat {
            state: NodeState::Operational,
            value,
        })
    };
    let mut second = b"C\rS6\rO\r".to_vec();
    let mut add = |node: usize, message, sequence| {
        let line = Line::Frame(frame_of(NODES[node], message, sequence));
        second.extend_from_slice(encode(&line).as_bytes());
    };
    add(0, beat(1250), 0);
    add(1, beat(1250), 0);
    add(2, beat(0), 0);
    for sequence in 250..=255 {
        let leads = [i16::from(sequence), i16::MIN];
        add(0, Message::Ecg(EcgSample { leads }), sequence);
        add(1, Message::Pleth(5000), sequence);
    }
    let numerics = Numerics {
        spo2: 970,
        pulse: 915,
    };
    add(1, Message::Numerics(numerics), 3);
    let command = PumpCommand {
        rate: 50,
        time_ms: 10,
    };
    add(2, Message::Command(command), 9);
    vec![
        second,
        b"t1818FEFF020109000000\rT1FFFFFFF0\rr1818\r\x07z\rS8\r".to_vec(),
    ]
}
