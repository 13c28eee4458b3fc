//! What is sent over a connection, and what the acknowledgements in it mean.

use crate::greeting::GREETING_BYTES;
use crate::ring::{Place, Ring};
use reading::{Ack, Deframer, FRAME_OVERHEAD_BYTES, MAX_BODY_BYTES, encode_frame};

/// The number of the greeting's frames. They are of the connection, not among the records: they are
/// neither kept nor acknowledged.
pub const GREETING_SEQUENCE: u64 = 0;
const FRAME_BYTES: usize = MAX_BODY_BYTES + FRAME_OVERHEAD_BYTES;

/// The ward's bytes are no acknowledgements, or of records it was never sent: the connection must end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct BadStream;

/// Bytes that are being sent.
#[derive(Debug)]
struct Outgoing<const N: usize> {
    bytes: [u8; N],
    count: usize,
    sent: usize,
}

impl<const N: usize> Outgoing<N> {
    const EMPTY: Self = Self {
        bytes: [0; N],
        count: 0,
        sent: 0,
    };

    /// Moves what fits to `out`, and says how much.
    fn send(&mut self, out: &mut [u8]) -> usize {
        let count = out.len().min(self.count - self.sent);
        out[..count].copy_from_slice(&self.bytes[self.sent..self.sent + count]);
        self.sent += count;
        count
    }

    const fn is_sent(&self) -> bool {
        self.sent == self.count
    }
}

/// The records, and the connection they are sent over.
pub struct Session<'a> {
    ring: Ring<'a>,
    is_connected: bool,
    /// The next record to send.
    next: Place,
    greeting: Outgoing<GREETING_BYTES>,
    frame: Outgoing<FRAME_BYTES>,
    incoming: Deframer,
    sent: u64,
    /// The highest number ever sent: a ward may have stored it and lost the connection before it said so.
    highest_sent: u64,
}

impl<'a> Session<'a> {
    /// No record yet, no connection; records are kept in `memory`.
    #[must_use]
    pub fn new(memory: &'a mut [u8]) -> Self {
        let ring = Ring::new(memory, GREETING_SEQUENCE + 1);
        let next = ring.oldest();
        Self {
            ring,
            is_connected: false,
            next,
            greeting: Outgoing::EMPTY,
            frame: Outgoing::EMPTY,
            incoming: Deframer::new(),
            sent: 0,
            highest_sent: GREETING_SEQUENCE,
        }
    }

    /// Records that wait for the ward's acknowledgement.
    #[must_use]
    pub const fn waiting(&self) -> u32 {
        self.ring.len()
    }

    /// Records dropped because there was no room.
    #[must_use]
    pub const fn dropped(&self) -> u64 {
        self.ring.dropped()
    }

    /// Records sent, again included.
    #[must_use]
    pub const fn sent(&self) -> u64 {
        self.sent
    }

    /// Keeps a record until it is acknowledged.
    pub fn add(&mut self, body: &[u8]) {
        if let Some(freed) = self.ring.push(body) {
            self.next = self.ring.moved(self.next, freed);
        }
    }

    /// A connection is up: `greeting` writes what comes first, and says how many bytes.
    pub fn connected(&mut self, greeting: impl FnOnce(&mut [u8]) -> usize) {
        self.disconnected();
        self.is_connected = true;
        self.greeting.count = greeting(&mut self.greeting.bytes).min(GREETING_BYTES);
    }

    /// The connection is gone; what is not acknowledged will be sent again.
    pub fn disconnected(&mut self) {
        self.is_connected = false;
        self.next = self.ring.oldest();
        (self.greeting.count, self.greeting.sent) = (0, 0);
        (self.frame.count, self.frame.sent) = (0, 0);
        self.incoming = Deframer::new();
    }

    /// Whether there are bytes to send.
    #[must_use]
    pub fn is_waiting(&self) -> bool {
        self.is_connected
            && !(self.greeting.is_sent()
                && self.frame.is_sent()
                && self.next.sequence == self.ring.next_sequence())
    }

    /// Writes the next bytes of the connection to `out`, and says how many.
    pub fn send(&mut self, out: &mut [u8]) -> usize {
        let mut done = 0;
        while done < out.len() && self.is_waiting() {
            if self.greeting.is_sent() && self.frame.is_sent() && !self.load_frame() {
                break;
            }
            done += self.greeting.send(&mut out[done..]);
            if self.greeting.is_sent() {
                done += self.frame.send(&mut out[done..]);
            }
        }
        done
    }

    /// Puts the next record in its frame.
    fn load_frame(&mut self) -> bool {
        let mut body = [0; MAX_BODY_BYTES];
        let Some((length, after)) = self.ring.get(self.next, &mut body) else {
            return false;
        };
        let body = body.get(..length).unwrap_or(&[]);
        let count = encode_frame(self.next.sequence, body, &mut self.frame.bytes);
        (self.frame.count, self.frame.sent) = (count.unwrap_or(0), 0);
        self.highest_sent = self.highest_sent.max(self.next.sequence);
        self.next = after;
        self.sent = self.sent.saturating_add(1);
        true
    }

    /// Takes bytes of the ward.
    ///
    /// # Errors
    /// [`BadStream`]; the connection must be ended.
    pub fn received(&mut self, mut bytes: &[u8]) -> Result<(), BadStream> {
        while !bytes.is_empty() {
            let count = self.incoming.push(bytes);
            bytes = &bytes[count..];
            let mut is_stuck = count == 0;
            while let Some(frame) = self.incoming.next().map_err(|_| BadStream)? {
                is_stuck = false;
                let Ack(sequence) = Ack::decode(frame).map_err(|_| BadStream)?;
                if sequence > self.highest_sent {
                    return Err(BadStream);
                }
                let freed = self.ring.remove_up_to(sequence);
                self.next = self.ring.moved(self.next, freed);
            }
            if is_stuck {
                return Err(BadStream);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    extern crate std;
    use super::*;
    use reading::{Frame, encode_ack};
    use std::vec;
    use std::vec::Vec;

    /// What a ward understands of a stream.
    #[derive(Default)]
    struct Ward {
        stream: Vec<u8>,
        frames: Vec<(u64, Vec<u8>)>,
    }

    impl Ward {
        fn take(&mut self, session: &mut Session<'_>, piece: usize) {
            let mut out = vec![0; piece];
            while session.is_waiting() {
                let count = session.send(&mut out);
                assert!(count > 0, "it waits but sends nothing");
                self.stream.extend_from_slice(&out[..count]);
            }
            let (mut deframer, mut left) = (Deframer::new(), &self.stream[..]);
            self.frames.clear();
            while !left.is_empty() {
                left = &left[deframer.push(left)..];
                while let Some(bytes) = deframer.next().expect("lengths") {
                    let frame = Frame::decode(bytes).expect("frame");
                    self.frames.push((frame.sequence, frame.body.to_vec()));
                }
            }
        }
        fn sequences(&self) -> Vec<u64> {
            self.frames.iter().map(|(sequence, _)| *sequence).collect()
        }
    }

    fn ack(session: &mut Session<'_>, sequence: u64) -> Result<(), BadStream> {
        let mut out = [0; 16];
        let count = encode_ack(Ack(sequence), &mut out).expect("fits");
        session.received(&out[..count])
    }

    fn hello(out: &mut [u8]) -> usize {
        encode_frame(GREETING_SEQUENCE, &[0x81, 0], out).expect("fits")
    }

    fn record(n: u64) -> Vec<u8> {
        let mut bytes = vec![0x82, 0x01];
        bytes.resize(2 + (n as usize * 37) % 300, n as u8);
        bytes
    }

    #[test]
    fn the_greeting_comes_first_and_then_everything_in_order() {
        for piece in [1, 7, 100, 4096] {
            let mut memory = vec![0; 10_000];
            let mut session = Session::new(&mut memory);
            (1..=20).for_each(|n| session.add(&record(n)));
            assert!(!session.is_waiting(), "no connection");
            session.connected(hello);
            let mut ward = Ward::default();
            ward.take(&mut session, piece);
            assert_eq!(ward.sequences(), (0..=20).collect::<Vec<_>>());
            for (sequence, body) in &ward.frames[1..] {
                assert_eq!(*body, record(*sequence));
            }
            assert_eq!((session.waiting(), session.sent()), (20, 20));
        }
    }

    #[test]
    fn what_is_acknowledged_goes_and_the_rest_is_sent_again() {
        let mut memory = vec![0; 10_000];
        let mut session = Session::new(&mut memory);
        (1..=10).for_each(|n| session.add(&record(n)));
        session.connected(hello);
        let mut ward = Ward::default();
        ward.take(&mut session, 100);
        ack(&mut session, 4).expect("good");
        ack(&mut session, 2).expect("an old one again is no harm");
        ack(&mut session, 0).expect("nor is the greeting's");
        assert_eq!(session.waiting(), 6);
        // Half a frame is on its way when the connection goes.
        session.add(&record(11));
        let _ = session.send(&mut [0; 3]);
        session.disconnected();
        session.add(&record(12));
        session.connected(hello);
        // It says on the new connection what it stored on the old one, before it gets it again.
        ack(&mut session, 5).expect("was sent");
        let mut ward = Ward::default();
        ward.take(&mut session, 64);
        assert_eq!(ward.sequences(), [0, 6, 7, 8, 9, 10, 11, 12]);
        ack(&mut session, 12).expect("good");
        assert_eq!((session.waiting(), session.dropped()), (0, 0));
        assert!(!session.is_waiting());
    }

    #[test]
    fn without_a_ward_the_oldest_go_and_are_counted() {
        let mut memory = vec![0; 3000];
        let mut session = Session::new(&mut memory);
        (1..=1000).for_each(|n| session.add(&record(n)));
        assert_eq!(session.dropped() + u64::from(session.waiting()), 1000);
        session.connected(hello);
        let mut ward = Ward::default();
        ward.take(&mut session, 512);
        let first = session.dropped() + 1;
        assert_eq!(ward.sequences()[1..], (first..=1000).collect::<Vec<_>>());
    }

    #[test]
    fn a_frame_that_is_on_its_way_is_whole_even_if_its_record_goes() {
        let mut memory = vec![0; 1000];
        let mut session = Session::new(&mut memory);
        session.add(&record(7));
        session.connected(|_| 0);
        let mut ward = Ward::default();
        let mut out = [0; 5];
        let count = session.send(&mut out);
        ward.stream.extend_from_slice(&out[..count]);
        (2..100).for_each(|_| session.add(&record(7)));
        ward.take(&mut session, 100);
        let sequences = ward.sequences();
        assert_eq!((sequences[0], *sequences.last().expect("some")), (1, 99));
        assert!(ward.frames.iter().all(|(_, body)| *body == record(7)));
    }

    #[test]
    fn acknowledgements_that_make_no_sense_end_the_connection() {
        let mut memory = vec![0; 1000];
        let mut session = Session::new(&mut memory);
        session.add(&record(1));
        session.add(&record(2));
        session.connected(|_| 0);
        assert_eq!(ack(&mut session, 1), Err(BadStream), "never sent");
        assert_eq!(ack(&mut session, u64::MAX), Err(BadStream));
        assert_eq!(session.waiting(), 2);
        let _ = session.send(&mut [0; 1000]);
        assert_eq!(ack(&mut session, 2), Ok(()));
        for bad in [
            &[0, 0][..],
            &[0xff, 0xff],
            &[0, 1, 0x80],
            &[0, 2, 0x81, 0x18],
        ] {
            session.connected(|_| 0);
            assert_eq!(session.received(bad), Err(BadStream), "{bad:?}");
        }
    }

    #[test]
    fn any_bytes_from_the_ward_are_survived() {
        let mut seed = 5_u64;
        let mut random = move || {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            seed >> 33
        };
        let mut memory = vec![0; 2000];
        let mut session = Session::new(&mut memory);
        for _ in 0..20_000 {
            session.add(&record(random() % 10));
            if random() % 4 == 0 {
                session.connected(hello);
            }
            let mut out = [0; 64];
            let room = (random() % 64) as usize;
            session.send(&mut out[..room]);
            let bytes: Vec<u8> = match random() % 3 {
                0 => (0..random() % 40).map(|_| random() as u8).collect(),
                _ => vec![0, 2, 0x81, (random() % 24) as u8],
            };
            if session.received(&bytes).is_err() {
                session.disconnected();
            }
        }
    }
}
