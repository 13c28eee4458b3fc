//! Who is heard on the bus and what is missing: sequence numbers, gaps, lateness; everything counted.

use crate::Frame;
use crate::bus::{Content, Message, Node, Refused};

/// Most nodes that are followed.
pub const MAX_NODES: usize = 8;
/// A gap of more than this many frames is a restart of the node, not loss.
const MAX_GAP: u8 = 128;

/// What has been counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Frames received and understood.
    pub received: u64,
    /// Frames missing by sequence number.
    pub lost: u64,
    /// Frames that came more than three of their periods after the one before.
    pub late: u64,
    /// Frames with a sequence number that was there right before.
    pub duplicate: u64,
    /// Lines that are no frame, and frames that are none of ours by length or value.
    pub malformed: u64,
    /// Frames with an identifier nobody here uses.
    pub unknown: u64,
}

/// A message that is new, with what is missing before it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Heard {
    /// The message.
    pub message: Message,
    /// Its number since the first of its identifier, counting lost ones.
    pub index: u64,
    /// Frames of its identifier missing right before it.
    pub lost: u16,
}

/// One identifier that is followed.
#[derive(Debug, Clone, Copy)]
struct Stream {
    identifier: (Node, u8),
    sequence: u8,
    index: u64,
    at_us: u64,
}

/// Follows the sequence numbers of everything that is heard.
#[derive(Debug, Clone)]
pub struct Receiver {
    /// What has been counted.
    pub counters: Counters,
    streams: [Option<Stream>; MAX_NODES * 2],
    /// Expected time between two sample frames of a node, from its heartbeat; 0 = not known.
    periods_us: [(Node, u32); MAX_NODES],
}

impl Default for Receiver {
    fn default() -> Self {
        Self::new()
    }
}

impl Receiver {
    /// Nobody heard yet.
    #[must_use]
    pub const fn new() -> Self {
        let counters = Counters {
            received: 0,
            lost: 0,
            late: 0,
            duplicate: 0,
            malformed: 0,
            unknown: 0,
        };
        Self {
            counters,
            streams: [None; MAX_NODES * 2],
            periods_us: [(0, 0); MAX_NODES],
        }
    }

    /// A line that was no frame.
    pub fn malformed(&mut self) {
        self.counters.malformed += 1;
    }

    /// Takes a frame; what is new in it. Duplicates, foreign and malformed frames are counted and dropped.
    pub fn take(&mut self, frame: &Frame, now_us: u64) -> Option<Heard> {
        let message = match Message::from_frame(frame) {
            // Commands are ours to send: a second sender is nobody we listen to.
            Ok(Message {
                content: Content::Command { .. },
                ..
            })
            | Err(Refused::Unknown) => {
                self.counters.unknown += 1;
                return None;
            }
            Err(Refused::Malformed) => {
                self.counters.malformed += 1;
                return None;
            }
            Ok(message) => message,
        };
        let heard = self.follow(message, now_us)?;
        if let Content::Heartbeat {
            kind: 1 | 2, value, ..
        } = message.content
        {
            self.note_rate(message.node, value);
        }
        self.counters.received += 1;
        Some(heard)
    }

    fn follow(&mut self, message: Message, now_us: u64) -> Option<Heard> {
        let kind = match message.content {
            Content::Samples { .. } => 0,
            Content::Numerics { .. } => 1,
            Content::Heartbeat { .. } | Content::Command { .. } => 2,
        };
        let identifier = (message.node, kind);
        let period_us = self.period_us(message.node);
        let known = self
            .streams
            .iter()
            .flatten()
            .any(|stream| stream.identifier == identifier);
        if !known {
            let Some(free) = self.streams.iter_mut().find(|stream| stream.is_none()) else {
                self.counters.unknown += 1;
                return None;
            };
            *free = Some(Stream {
                identifier,
                sequence: message.sequence,
                index: 0,
                at_us: now_us,
            });
            return Some(Heard {
                message,
                index: 0,
                lost: 0,
            });
        }
        let stream = self
            .streams
            .iter_mut()
            .flatten()
            .find(|stream| stream.identifier == identifier)?;
        let step = message.sequence.wrapping_sub(stream.sequence);
        if step == 0 {
            self.counters.duplicate += 1;
            return None;
        }
        let lost = if step > MAX_GAP {
            0
        } else {
            u16::from(step - 1)
        };
        if kind == 0
            && period_us > 0
            && now_us.saturating_sub(stream.at_us) > u64::from(period_us) * 3 + 20_000
        {
            self.counters.late += 1;
        }
        self.counters.lost += u64::from(lost);
        stream.sequence = message.sequence;
        stream.index += u64::from(lost) + 1;
        stream.at_us = now_us;
        Some(Heard {
            message,
            index: stream.index,
            lost,
        })
    }

    fn period_us(&self, node: Node) -> u32 {
        self.periods_us
            .iter()
            .find(|(known, _)| *known == node)
            .map_or(0, |(_, period)| *period)
    }

    fn note_rate(&mut self, node: Node, rate_deci: u16) {
        let period_us = if rate_deci == 0 {
            0
        } else {
            10_000_000 / u32::from(rate_deci)
        };
        let place = self
            .periods_us
            .iter()
            .position(|(known, _)| *known == node || *known == 0);
        if let Some(place) = place {
            self.periods_us[place] = (node, period_us);
        }
    }
}

/// A bounded queue: where it is full the oldest entry goes, and that is counted.
#[derive(Debug, Clone)]
pub struct Queue<T: Copy, const N: usize> {
    entries: [Option<T>; N],
    first: usize,
    length: usize,
    /// Entries that went because there was no room.
    pub dropped: u64,
}

impl<T: Copy, const N: usize> Default for Queue<T, N> {
    fn default() -> Self {
        Self::new()
    }
}

impl<T: Copy, const N: usize> Queue<T, N> {
    /// Empty.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            entries: [None; N],
            first: 0,
            length: 0,
            dropped: 0,
        }
    }

    /// Adds an entry.
    pub fn push(&mut self, entry: T) {
        if N == 0 {
            self.dropped += 1;
            return;
        }
        if self.length == N {
            self.first = (self.first + 1) % N;
            self.length -= 1;
            self.dropped += 1;
        }
        self.entries[(self.first + self.length) % N] = Some(entry);
        self.length += 1;
    }

    /// Takes the oldest entry.
    pub fn pop(&mut self) -> Option<T> {
        if self.length == 0 {
            return None;
        }
        let entry = self.entries[self.first].take();
        self.first = (self.first + 1) % N;
        self.length -= 1;
        entry
    }

    /// How many entries wait.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.length
    }

    /// Whether none waits.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.length == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn samples(sequence: u8) -> Frame {
        Message {
            node: 1,
            sequence,
            content: Content::Samples {
                first: 1,
                second: 2,
            },
        }
        .to_frame()
    }

    #[test]
    fn gaps_and_duplicates_are_counted() {
        let mut receiver = Receiver::new();
        assert_eq!(receiver.take(&samples(250), 0).expect("first").index, 0);
        assert_eq!(receiver.take(&samples(251), 0).expect("next").index, 1);
        assert!(receiver.take(&samples(251), 0).is_none());
        let after_gap = receiver.take(&samples(2), 0).expect("after a gap");
        assert_eq!((after_gap.index, after_gap.lost), (8, 6));
        assert_eq!(
            (
                receiver.counters.lost,
                receiver.counters.duplicate,
                receiver.counters.received
            ),
            (6, 1, 3)
        );
    }

    #[test]
    fn a_restarted_node_is_no_loss() {
        let mut receiver = Receiver::new();
        receiver.take(&samples(100), 0);
        assert_eq!(receiver.take(&samples(0), 0).expect("again").lost, 0);
    }

    #[test]
    fn late_frames_are_counted_once_the_rate_is_known() {
        let mut receiver = Receiver::new();
        let heartbeat = Message {
            node: 1,
            sequence: 0,
            content: Content::Heartbeat {
                state: 5,
                kind: 1,
                value: 1250,
            },
        };
        receiver.take(&heartbeat.to_frame(), 0);
        receiver.take(&samples(0), 0);
        receiver.take(&samples(1), 8_000);
        assert_eq!(receiver.counters.late, 0);
        receiver.take(&samples(2), 100_000);
        assert_eq!(receiver.counters.late, 1);
    }

    #[test]
    fn foreign_frames_and_too_many_nodes_are_counted() {
        let mut receiver = Receiver::new();
        let command = Message {
            node: 3,
            sequence: 0,
            content: Content::Command {
                rate_deci: 1,
                time_ms: 1,
            },
        };
        assert!(receiver.take(&command.to_frame(), 0).is_none());
        for node in 1..=127 {
            let message = Message {
                node,
                sequence: 0,
                content: Content::Samples {
                    first: 0,
                    second: 0,
                },
            };
            receiver.take(&message.to_frame(), 0);
        }
        assert_eq!(receiver.counters.received, MAX_NODES as u64 * 2);
        assert_eq!(receiver.counters.unknown, 1 + 127 - MAX_NODES as u64 * 2);
    }

    #[test]
    fn a_full_queue_drops_the_oldest() {
        let mut queue = Queue::<u8, 3>::new();
        (0..5).for_each(|n| queue.push(n));
        assert_eq!((queue.dropped, queue.len()), (2, 3));
        assert_eq!(
            [queue.pop(), queue.pop(), queue.pop(), queue.pop()],
            [Some(2), Some(3), Some(4), None]
        );
    }
}
