//! The socket that stands for the bus: found, lost, and found again.

use crate::control::Event;
use can::slcan::Parser;
use rustix::net::sockopt::set_socket_send_buffer_size;
use std::io::{ErrorKind, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::PathBuf;
use std::sync::mpsc::Sender;
use std::thread;
use std::time::{Duration, Instant};

/// How often the socket is looked for.
const RETRY_EVERY: Duration = Duration::from_millis(50);
/// A write waits at most this long for room.
const WRITE_TIMEOUT: Duration = Duration::from_millis(1);
/// A bus keeps nothing: what a device does not take soon must wait here, where it is counted, and not on its way. (The
/// system counts its own bookkeeping, too: this holds some ten writes.)
const SEND_BUFFER_BYTES: usize = 8192;

/// Looks for the socket at `path` for ever, reads lines from it, and tells of each with the time it came.
pub fn spawn(path: PathBuf, events: Sender<Event>) {
    thread::spawn(move || {
        let mut is_waiting = false;
        loop {
            match UnixStream::connect(&path) {
                Ok(stream) => {
                    is_waiting = false;
                    if follow(stream, &events).is_none() {
                        return;
                    }
                }
                Err(error) if !is_waiting => {
                    is_waiting = true;
                    eprintln!("sim: waiting for the bus at {} ({error})", path.display());
                }
                Err(_) => {}
            }
            thread::sleep(RETRY_EVERY);
        }
    });
}

/// Reads until the other end is gone; `None` where nobody wants to know any more.
fn follow(mut stream: UnixStream, events: &Sender<Event>) -> Option<()> {
    let Ok(write_half) = stream.try_clone() else {
        return Some(());
    };
    // A blocked write must not stop the clocks of the other nodes.
    let _ = write_half.set_write_timeout(Some(WRITE_TIMEOUT));
    let _ = set_socket_send_buffer_size(&write_half, SEND_BUFFER_BYTES);
    events.send(Event::Connected(write_half)).ok()?;
    let mut parser = Parser::new();
    let mut bytes = [0; 1024];
    loop {
        match stream.read(&mut bytes) {
            Ok(0) => break,
            Ok(count) => {
                let now = Instant::now();
                for byte in &bytes[..count] {
                    if let Some(line) = parser.push(*byte) {
                        events.send(Event::Line(now, line)).ok()?;
                    }
                }
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => break,
        }
    }
    events.send(Event::Disconnected).ok()
}

/// Writes as much of `output` as there is room for, and removes it from there.
pub fn write(stream: &mut UnixStream, output: &mut Vec<u8>) {
    let mut written = 0;
    while written < output.len() {
        match stream.write(&output[written..]) {
            Ok(0) => break,
            Ok(count) => written += count,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            // No room, or the other end is gone: then the reader tells.
            Err(_) => break,
        }
    }
    output.drain(..written);
}
