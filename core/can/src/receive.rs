//! Who is heard on the bus and what is missing: sequence numbers, gaps, lateness; everything counted.

use crate::Frame;
use crate::message::{self, Message, Node, NodeState, Refusal};

/// Most nodes that are followed.
pub const MAX_NODES: usize = 8;
/// A sample frame is late where it is held up for more than three of its periods and this: front ends and their
/// bus deliver in bursts.
const LATE_MARGIN_US: i64 = 20_000;
/// In so many frames the time without delay follows the delays seen by a period at most.
const ORIGIN_FRAMES: i64 = 1024;
/// Longest delay that is taken off the time of a frame: held up longer, it counts as of now less this.
const MAX_DELAY_US: u64 = 500_000;
/// Number and time agree where they differ by no more frames than this.
const AGREE_FRAMES: i64 = 16;
/// Heartbeats and numerics come once a second, in tenths of a hertz.
const SLOW_RATE_DECIHERTZ: u16 = 10;
/// Steps of the sequence number until it repeats.
const SEQUENCE_STEPS: i64 = 256;

/// What has been counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Frames received, understood and new.
    pub received: u64,
    /// Frames missing by sequence number.
    pub lost: u64,
    /// Sample frames that came more than three periods and 20 ms later than the quickest ones do.
    pub late: u64,
    /// Frames with the sequence number of the one before.
    pub duplicate: u64,
    /// Lines that are no frame, and frames whose length or values are wrong.
    pub malformed: u64,
    /// Frames with an identifier nobody here uses.
    pub unknown: u64,
    /// Times a node began anew.
    pub restarts: u64,
}

/// A message that is new, with what is missing before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// Who sent it.
    pub node: Node,
    /// The message.
    pub message: Message,
    /// Its number since the first of its kind from this node, counting missing ones.
    pub index: u64,
    /// How many are missing right before it, by number and by the time that has passed.
    pub missing: u16,
    /// Samples a second of the node in tenths, as its heartbeat says; 0 = not known yet.
    pub rate_decihertz: u16,
    /// When it would have come without delay, microseconds; never before the one before.
    pub t_us: u64,
}

/// One kind of frame of one node.
#[derive(Debug, Clone, Copy)]
struct Stream {
    sequence: u8,
    index: u64,
    /// The rate `origin_us` was found with, in tenths of a hertz; 0 = not known yet.
    rate_decihertz: u16,
    /// When number 0 was or would have been here without delay.
    origin_us: i64,
    /// When the last frame would have been here without delay.
    t_us: u64,
}

/// What is known of one node.
#[derive(Debug, Clone, Copy)]
struct Known {
    rate_decihertz: u16,
    /// Samples, numerics, heartbeats.
    streams: [Option<Stream>; 3],
}

impl Known {
    const NOTHING: Self = Self {
        rate_decihertz: 0,
        streams: [None; 3],
    };
}

/// Follows the sequence numbers of everything that is heard.
#[derive(Debug, Clone)]
pub struct Receiver {
    /// What has been counted.
    pub counters: Counters,
    nodes: &'static [Node],
    known: [Known; MAX_NODES],
}

impl Receiver {
    /// Nobody heard yet. Of more than [`MAX_NODES`] nodes the rest is unknown.
    #[must_use]
    pub const fn new(nodes: &'static [Node]) -> Self {
        Self {
            counters: Counters {
                received: 0,
                lost: 0,
                late: 0,
                duplicate: 0,
                malformed: 0,
                unknown: 0,
                restarts: 0,
            },
            nodes,
            known: [Known::NOTHING; MAX_NODES],
        }
    }

    /// A line that was no frame.
    pub fn malformed(&mut self) {
        self.counters.malformed += 1;
    }

    /// Takes a frame; what is new in it. Duplicates, foreign and malformed frames are counted and dropped.
    pub fn take(&mut self, frame: &Frame, now_us: u64) -> Option<Heard> {
        let (index, message, sequence) = match message::decode(self.nodes, frame) {
            Ok(decoded) => decoded,
            Err(Refusal::Malformed) => {
                self.counters.malformed += 1;
                return None;
            }
            Err(Refusal::Unknown) => {
                self.counters.unknown += 1;
                return None;
            }
        };
        let kind = match message {
            Message::Ecg(_) | Message::Pleth(_) => 0,
            Message::Numerics(_) => 1,
            Message::Heartbeat(_) => 2,
            // Commands are ours to send: a second sender is nobody we listen to.
            Message::Command(_) => {
                self.counters.unknown += 1;
                return None;
            }
        };
        let node = *self.nodes.get(index)?;
        let Some(known) = self.known.get_mut(index) else {
            self.counters.unknown += 1;
            return None;
        };
        let mut begins = false;
        if let Message::Heartbeat(beat) = message {
            known.rate_decihertz = match node.kind {
                message::NodeKind::Pump => 0,
                _ => beat.value,
            };
            begins = beat.state == NodeState::BootUp;
        }
        let rate = match kind {
            0 => known.rate_decihertz,
            _ => SLOW_RATE_DECIHERTZ,
        };
        let place = known.streams.get_mut(kind)?;
        let mut step = Step::FIRST;
        match place {
            None => *place = Some(Stream::new(sequence, 0, rate, now_us)),
            Some(stream) => {
                let Some(found) = stream.step(sequence, rate, now_us, begins) else {
                    self.counters.duplicate += 1;
                    return None;
                };
                step = found;
            }
        }
        let (index, t_us) = place.map_or((0, now_us), |stream| (stream.index, stream.t_us));
        self.counters.received += 1;
        self.counters.lost += step.lost;
        self.counters.restarts += u64::from(step.restarted);
        self.counters.late += u64::from(kind == 0 && step.late);
        Some(Heard {
            node,
            message,
            index,
            missing: u16::try_from(step.number.saturating_sub(1)).unwrap_or(u16::MAX),
            rate_decihertz: known.rate_decihertz,
            t_us,
        })
    }
}

/// From one frame of a stream to the next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Step {
    /// How many frames further, at least 1.
    number: u64,
    /// How many are missing by sequence number.
    lost: u64,
    late: bool,
    restarted: bool,
}

impl Step {
    const FIRST: Self = Self {
        number: 1,
        lost: 0,
        late: false,
        restarted: false,
    };
}

impl Stream {
    fn new(sequence: u8, index: u64, rate_decihertz: u16, now_us: u64) -> Self {
        let mut stream = Self {
            sequence,
            index,
            rate_decihertz,
            origin_us: 0,
            t_us: now_us,
        };
        stream.origin_us = signed(now_us) - stream.span_us(index);
        stream
    }

    /// How long it takes until that number.
    fn span_us(&self, index: u64) -> i64 {
        let rate = u64::from(self.rate_decihertz.max(1));
        signed(index.saturating_mul(10_000_000) / rate)
    }

    /// How much later than without delay the last frame came.
    fn delay_us(&self, now_us: u64) -> i64 {
        signed(now_us) - self.origin_us - self.span_us(self.index)
    }

    /// Goes on to the frame with that sequence number; `None` where it is the frame before once more.
    fn step(&mut self, sequence: u8, rate: u16, now_us: u64, begins: bool) -> Option<Step> {
        let expected = self.delay_us(now_us).max(0).saturating_mul(i64::from(rate)) / 10_000_000;
        let is_timed = rate != 0 && rate == self.rate_decihertz;
        let residue = sequence.wrapping_sub(self.sequence);
        let number = match begins {
            true => None,
            false => number(residue, if is_timed { expected } else { 0 }),
        };
        if number == Some(0) {
            return None;
        }
        let restarted = number.is_none();
        let number = number.unwrap_or(if is_timed { expected.max(1) as u64 } else { 1 });
        self.sequence = sequence;
        self.index = self.index.saturating_add(number);
        let mut late = false;
        let before_us = self.t_us;
        if restarted || !is_timed {
            *self = Self::new(sequence, self.index, rate, now_us);
        } else {
            let delay_us = self.delay_us(now_us);
            late = delay_us > 30_000_000 / i64::from(rate) + LATE_MARGIN_US;
            // The least delay seen counts as none; slowly more, so that two clocks may differ by a thousandth.
            let period_us = 10_000_000 / i64::from(rate);
            self.origin_us += match delay_us {
                ..0 => delay_us,
                _ => delay_us.min(period_us) / ORIGIN_FRAMES,
            };
        }
        let undelayed_us = u64::try_from(signed(now_us) - self.delay_us(now_us)).unwrap_or(0);
        let earliest_us = before_us.max(now_us.saturating_sub(MAX_DELAY_US));
        self.t_us = undelayed_us.clamp(earliest_us.min(now_us), now_us);
        Some(Step {
            number,
            lost: if restarted { 0 } else { number - 1 },
            late,
            restarted,
        })
    }
}

/// How many frames a sequence number that is `residue` further means, where the time that has passed makes
/// `expected` likely; `None` where the node has begun anew, 0 where it is the same frame.
///
/// The number repeats after 256 frames. The next one is the next one, however late it comes: what was held up on its way
/// comes without a gap. More than one round is believed only where number and time agree.
fn number(residue: u8, expected: i64) -> Option<u64> {
    let residue = i64::from(residue);
    let rounds = (expected - residue + SEQUENCE_STEPS / 2).div_euclid(SEQUENCE_STEPS);
    let nearest = residue + rounds * SEQUENCE_STEPS;
    if residue != 1 && rounds > 0 && (nearest - expected).abs() <= AGREE_FRAMES {
        return u64::try_from(nearest).ok();
    }
    (rounds >= 0).then_some(residue as u64)
}

/// A quarter of the range at most, so that sums and differences of three of them fit.
fn signed(value: u64) -> i64 {
    value.min(i64::MAX as u64 / 4) as i64
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use crate::Identifier;
    use crate::message::{EcgSample, Heartbeat, NodeKind, Numerics, PumpCommand, encode};

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

    fn ecg(sequence: u8) -> Frame {
        encode(
            NODES[0],
            Message::Ecg(EcgSample { leads: [5, -5] }),
            sequence,
        )
    }

    fn heartbeat(node: Node, state: NodeState, value: u16, sequence: u8) -> Frame {
        encode(
            node,
            Message::Heartbeat(Heartbeat { state, value }),
            sequence,
        )
    }

    /// A receiver that knows the ECG node's rate, 125 Hz.
    fn with_rate() -> Receiver {
        let mut receiver = Receiver::new(&NODES);
        let frame = heartbeat(NODES[0], NodeState::Operational, 1250, 0);
        let heard = receiver.take(&frame, 0).expect("heard");
        assert_eq!(heard.rate_decihertz, 1250);
        receiver
    }

    #[test]
    fn numbers_go_on_over_the_repeat_and_gaps_are_counted() {
        let mut receiver = with_rate();
        for n in 0..1000_u64 {
            let heard = receiver.take(&ecg(n as u8), n * 8000).expect("new");
            assert_eq!((heard.index, heard.missing), (n, 0));
        }
        let heard = receiver
            .take(&ecg(1006_u64 as u8), 1006 * 8000)
            .expect("new");
        assert_eq!((heard.index, heard.missing), (1006, 6));
        assert_eq!(receiver.counters.lost, 6);
        assert_eq!(receiver.counters.late, 0);
        assert_eq!(receiver.counters.received, 1002);
    }

    #[test]
    fn a_repeated_frame_is_counted_and_dropped() {
        let mut receiver = with_rate();
        assert!(receiver.take(&ecg(9), 0).is_some());
        assert!(receiver.take(&ecg(9), 100).is_none());
        assert_eq!(
            (receiver.counters.duplicate, receiver.counters.received),
            (1, 2)
        );
    }

    #[test]
    fn long_gaps_are_told_by_the_time_that_has_passed() {
        for gap in [2_u64, 100, 127, 129, 200, 255, 256, 258, 300, 1000, 4000] {
            let mut receiver = with_rate();
            receiver.take(&ecg(0), 1_000_000);
            // The clocks differ by a third of a percent, the frame comes 30 ms late.
            let then_us = 1_000_000 + gap * 8000 * 1003 / 1000 + 30_000;
            let heard = receiver.take(&ecg(gap as u8), then_us).expect("new");
            assert_eq!(heard.index, gap);
            assert_eq!(receiver.counters.lost, gap - 1);
        }
    }

    #[test]
    fn what_is_held_up_comes_late_without_a_gap_and_what_is_lost_then_is_told() {
        let mut receiver = with_rate();
        for n in 0..100_u64 {
            receiver.take(&ecg(n as u8), n * 8000);
        }
        // Nothing for 3 seconds, then 50 frames at once, the next 325 are lost.
        let then_us = 100 * 8000 + 3_000_000;
        for n in 100..150_u64 {
            let heard = receiver.take(&ecg(n as u8), then_us).expect("new");
            assert_eq!((heard.index, heard.missing), (n, 0));
        }
        assert_eq!(receiver.counters.late, 50);
        let n = 150 + 325_u64;
        let heard = receiver.take(&ecg(n as u8), n * 8000).expect("new");
        assert_eq!((heard.index, heard.missing), (n, 325));
        assert_eq!(
            (receiver.counters.lost, receiver.counters.restarts),
            (325, 0)
        );
        assert_eq!(receiver.counters.late, 50);
    }

    #[test]
    fn times_are_those_of_the_node_not_of_its_way() {
        let mut receiver = with_rate();
        let mut last_us = 0;
        for n in 0..2000_u64 {
            // Comes 0 to 7 ms late, in bursts.
            let now_us = n * 8000 + (n * n % 8) * 1000;
            let heard = receiver.take(&ecg(n as u8), now_us).expect("new");
            assert!(heard.t_us >= last_us && heard.t_us <= now_us);
            assert!(
                n < 10 || heard.t_us.abs_diff(n * 8000) < 200,
                "{n}: {}",
                heard.t_us
            );
            last_us = heard.t_us;
        }
    }

    #[test]
    fn a_clock_that_runs_away_makes_no_losses() {
        let mut receiver = with_rate();
        for n in 0..1000_u64 {
            let heard = receiver.take(&ecg(n as u8), n * 300_000).expect("new");
            assert_eq!((heard.index, heard.missing), (n, 0));
        }
        assert_eq!((receiver.counters.lost, receiver.counters.restarts), (0, 0));
    }

    #[test]
    fn a_node_that_begins_anew_is_no_loss() {
        let mut receiver = with_rate();
        receiver.take(&ecg(200), 0);
        let heard = receiver.take(&ecg(0), 80_000).expect("new");
        assert_eq!(
            (heard.index, receiver.counters.lost),
            (56, 55),
            "56 steps in 10 periods"
        );
        let heard = receiver.take(&ecg(251), 88_000).expect("new");
        assert_eq!((heard.index, receiver.counters.restarts), (57, 1));
        let boot = heartbeat(NODES[0], NodeState::BootUp, 1250, 0);
        assert!(
            receiver.take(&boot, 90_000).is_some(),
            "the same number, but anew"
        );
        assert_eq!(receiver.counters.restarts, 2);
        assert_eq!(receiver.counters.lost, 55);
    }

    #[test]
    fn late_samples_are_counted_once_the_rate_is_known() {
        let mut receiver = Receiver::new(&NODES);
        receiver.take(&ecg(0), 0);
        receiver.take(&ecg(1), 1_000_000);
        assert_eq!(receiver.counters.late, 0, "no rate yet");
        receiver.take(
            &heartbeat(NODES[0], NodeState::Operational, 1250, 0),
            1_000_000,
        );
        receiver.take(&ecg(2), 1_008_000);
        receiver.take(&ecg(3), 1_016_000 + 43_000);
        assert_eq!(receiver.counters.late, 0);
        receiver.take(&ecg(4), 1_024_000 + 46_000);
        assert_eq!((receiver.counters.late, receiver.counters.lost), (1, 0));
        receiver.take(&ecg(9), 1_064_000 + 1_000);
        assert_eq!((receiver.counters.late, receiver.counters.lost), (1, 4));
    }

    #[test]
    fn foreign_and_malformed_frames_are_counted() {
        let mut receiver = Receiver::new(&NODES);
        let command = Message::Command(PumpCommand {
            rate: 1,
            time_ms: 2,
        });
        assert!(receiver.take(&encode(NODES[2], command, 0), 0).is_none());
        let numerics = Message::Numerics(Numerics {
            spo2: 970,
            pulse: 600,
        });
        assert!(receiver.take(&encode(NODES[0], numerics, 0), 0).is_none());
        let short = Frame::new(Identifier::Standard(0x181), &[0; 3]).expect("short");
        assert!(receiver.take(&short, 0).is_none());
        receiver.malformed();
        assert_eq!(
            (receiver.counters.unknown, receiver.counters.malformed),
            (2, 2)
        );
        assert_eq!(receiver.counters.received, 0);
    }

    #[test]
    fn any_sequence_at_any_time_never_panics_and_numbers_only_grow() {
        let mut seed = 5_u64;
        let mut random = move || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            seed >> 33
        };
        let mut receiver = with_rate();
        let (mut now_us, mut last) = (0_u64, None);
        for _ in 0..100_000 {
            now_us = now_us.saturating_add(random() << (random() % 40));
            if random() % 50 == 0 {
                let rate = random() as u16;
                receiver.take(
                    &heartbeat(NODES[0], NodeState::Operational, rate, random() as u8),
                    now_us,
                );
            }
            if let Some(heard) = receiver.take(&ecg(random() as u8), now_us) {
                assert!(last.is_none_or(|(index, t_us)| heard.t_us >= t_us
                    && (heard.index > index || heard.index == u64::MAX)));
                last = Some((heard.index, heard.t_us));
            }
        }
    }
}
