//! Passes bytes between two streams, both ways, whole and in order, without looking at them.
//!
//! What the bytes mean is the business of the two ends: later they are ciphertext that this
//! program could not read. Memory is bounded by one buffer for each direction; an end that does
//! not read makes the other end wait.

use nix::sys::socket::{Shutdown, shutdown};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// Bytes held for each direction at most.
pub const BUFFER_BYTES: usize = 16 * 1024;

/// One end: a connected stream socket of any family.
#[derive(Debug)]
pub struct End(File);

impl<S: Into<OwnedFd>> From<S> for End {
    fn from(socket: S) -> Self {
        Self(File::from(socket.into()))
    }
}

impl End {
    /// Ends both directions; whoever waits in a read or a write returns. What was written before
    /// is still delivered.
    fn close(&self) {
        // An error says that the peer is gone already, which is what is wanted.
        let _ = shutdown(self.0.as_raw_fd(), Shutdown::Both);
    }
}

/// Why and after how much a connection ended.
#[derive(Debug)]
pub struct Ended {
    /// Bytes passed from the first end to the second.
    pub forward_bytes: u64,
    /// Bytes passed from the second end to the first.
    pub backward_bytes: u64,
    /// What ended it: nothing where an end closed in good order.
    pub error: Option<io::Error>,
}

/// Passes bytes both ways until either end closes or fails, then closes both.
///
/// Everything read from the end that closed first has then been written to the other one.
#[must_use]
pub fn join(first: &End, second: &End) -> Ended {
    let (forward, backward) = (AtomicU64::new(0), AtomicU64::new(0));
    let run = |from: &End, to: &End, count: &AtomicU64| {
        let result = copy(from, to, count);
        first.close();
        second.close();
        result
    };
    let (ahead, back) = thread::scope(|scope| {
        let ahead = scope.spawn(|| run(first, second, &forward));
        let back = run(second, first, &backward);
        (ahead.join(), back)
    });
    let ahead = ahead.unwrap_or_else(|_| Err(io::Error::other("the copying thread ended")));
    Ended {
        forward_bytes: forward.into_inner(),
        backward_bytes: backward.into_inner(),
        error: ahead.err().or(back.err()),
    }
}

/// Passes bytes one way until `from` ends.
fn copy(from: &End, to: &End, count: &AtomicU64) -> io::Result<()> {
    let mut buffer = vec![0_u8; BUFFER_BYTES];
    loop {
        let bytes = match (&from.0).read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        (&to.0).write_all(&buffer[..bytes])?;
        count.fetch_add(bytes as u64, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Shutdown as Half;
    use std::os::unix::net::UnixStream;
    use std::time::Duration;

    /// A joined pair: what one test end writes, the other one reads.
    fn joined() -> (UnixStream, UnixStream, thread::JoinHandle<Ended>) {
        let (left, first) = UnixStream::pair().expect("pair");
        let (right, second) = UnixStream::pair().expect("pair");
        let running = thread::spawn(move || join(&End::from(first), &End::from(second)));
        (left, right, running)
    }

    /// Bytes without a period that a buffer could hide.
    fn noise(seed: u64, count: usize) -> Vec<u8> {
        let mut state = seed;
        let step = |state: &mut u64| {
            *state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            (*state >> 56) as u8
        };
        (0..count).map(|_| step(&mut state)).collect()
    }

    #[test]
    fn bytes_arrive_whole_and_in_order_both_ways_at_once() {
        let (left, right, running) = joined();
        let (to_right, to_left) = (noise(1, 3_000_001), noise(2, 1_999_999));
        thread::scope(|scope| {
            for (stream, bytes) in [(&left, &to_right), (&right, &to_left)] {
                scope.spawn(move || {
                    let mut stream = stream;
                    // Pieces of odd sizes, so that reads and writes do not fall together.
                    for (index, piece) in bytes.chunks(7919).enumerate() {
                        let (head, tail) = piece.split_at(piece.len().min(index % 13));
                        stream.write_all(head).expect("written");
                        stream.write_all(tail).expect("written");
                    }
                });
            }
            for (stream, bytes) in [(&right, &to_right), (&left, &to_left)] {
                scope.spawn(move || {
                    let mut stream = stream;
                    let mut got = vec![0; bytes.len()];
                    stream.read_exact(&mut got).expect("read");
                    assert!(got == *bytes);
                });
            }
        });
        drop(left);
        let ended = running.join().expect("ended");
        assert_eq!(
            (ended.forward_bytes, ended.backward_bytes),
            (3_000_001, 1_999_999)
        );
    }

    #[test]
    fn what_was_written_before_the_end_still_arrives_and_then_both_are_closed() {
        let (mut left, mut right, running) = joined();
        let bytes = noise(3, 200_000);
        let sent = bytes.clone();
        let writer = thread::spawn(move || {
            left.write_all(&sent).expect("written");
            left.shutdown(Half::Write).expect("half closed");
            let mut rest = Vec::new();
            left.read_to_end(&mut rest).expect("closed in good order");
            rest
        });
        let mut got = Vec::new();
        right.read_to_end(&mut got).expect("closed in good order");
        assert!(got == bytes);
        assert_eq!(writer.join().expect("writer"), []);
        assert!(right.write_all(b"late").is_err());
        assert!(running.join().expect("ended").error.is_none());
    }

    #[test]
    fn an_end_that_does_not_read_makes_the_other_one_wait() {
        let (left, right, running) = joined();
        left.set_nonblocking(true).expect("nonblocking");
        let offered = noise(4, 16 << 20);
        let mut taken = 0;
        let mut stuck = 0;
        // Until nothing more was taken for 200 ms: sockets and the one buffer are full.
        while stuck < 20 {
            match (&left).write(&offered[taken..]) {
                Ok(bytes) => (taken, stuck) = (taken + bytes, 0),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    thread::sleep(Duration::from_millis(10));
                    stuck += 1;
                }
                Err(error) => panic!("{error}"),
            }
            assert!(taken < offered.len(), "16 MiB were taken and nobody reads");
        }
        let mut got = vec![0; taken];
        (&right).read_exact(&mut got).expect("read");
        assert!(got == offered[..taken]);
        drop((left, right));
        assert_eq!(running.join().expect("ended").forward_bytes, taken as u64);
    }

    #[test]
    fn a_peer_that_vanishes_ends_a_write_that_waits() {
        let (left, right, running) = joined();
        let writer = thread::spawn(move || (&left).write_all(&noise(5, 16 << 20)).is_err());
        thread::sleep(Duration::from_millis(50));
        drop(right);
        assert!(
            writer.join().expect("writer"),
            "the writer must learn that nobody reads"
        );
        let _ = running.join().expect("ended");
    }
}
