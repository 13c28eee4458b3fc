//! What reaches the simulator from outside while it runs: the bus, the control channel, the order to stop.

use can::slcan::{Line, Malformed};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::time::Instant;
use std::{fs, io, thread};

/// Longest line of the control channel.
const MAX_LINE_BYTES: u64 = 256;

/// Something that has happened.
pub enum Event {
    /// Somebody is at the other end of the bus: here is where to write.
    Connected(UnixStream),
    /// A line from the device, and when its last byte came.
    Line(Instant, Result<Line, Malformed>),
    /// Nobody is at the other end of the bus any more.
    Disconnected,
    /// A line of the control channel, and where its answer goes.
    Control(String, Sender<String>),
    /// The end.
    Stop,
}

/// Listens at `path` (`-` = standard input) for lines. Each is answered with one: `ok`, JSON, or `error: ...`.
///
/// # Errors
/// Where it cannot listen there.
pub fn spawn(path: &Path, events: Sender<Event>) -> io::Result<()> {
    if path == Path::new("-") {
        thread::spawn(move || serve(io::stdin().lock(), io::stdout(), &events));
        return Ok(());
    }
    let _ = fs::remove_file(path);
    let listener = UnixListener::bind(path)?;
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let events = events.clone();
            thread::spawn(move || {
                if let Ok(answers) = stream.try_clone() {
                    serve(BufReader::new(stream), answers, &events);
                }
            });
        }
    });
    Ok(())
}

fn serve(mut lines: impl BufRead, mut answers: impl Write, events: &Sender<Event>) {
    loop {
        let mut line = String::new();
        match lines.by_ref().take(MAX_LINE_BYTES).read_line(&mut line) {
            Ok(0) | Err(_) => return,
            Ok(_) => {}
        }
        if line.trim().is_empty() {
            continue;
        }
        if line.trim() == "quit" {
            let _ = writeln!(answers, "ok");
            let _ = events.send(Event::Stop);
            return;
        }
        let (sender, answer) = channel();
        if events.send(Event::Control(line, sender)).is_err() {
            return;
        }
        let Ok(answer) = answer.recv() else { return };
        if writeln!(answers, "{answer}").is_err() {
            return;
        }
    }
}
