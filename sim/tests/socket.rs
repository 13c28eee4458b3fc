//! The program itself, with a socket in the place of the device's serial port.

use can::message::{Message, Node, NodeKind, PumpCommand, encode as encode_message};
use can::slcan::{Line, Parser, encode};
use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use std::{fs, thread};

/// A test that waits longer than this has failed.
const HANG: Duration = Duration::from_secs(60);
const PUMP: Node = Node {
    id: 3,
    kind: NodeKind::Pump,
};

/// A running simulator in a folder of its own.
struct Simulator {
    child: Child,
    folder: PathBuf,
}

impl Simulator {
    fn start(name: &str, arguments: &[&str]) -> Self {
        let folder =
            std::env::temp_dir().join(format!("lazaret-sim-{name}-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let child = Command::new(env!("CARGO_BIN_EXE_sim"))
            .arg("--bus")
            .arg(folder.join("can.sock"))
            .arg("--report")
            .arg(folder.join("report.json"))
            .arg("--control")
            .arg(folder.join("control.sock"))
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("sim starts");
        Self { child, folder }
    }

    fn listen(&self) -> UnixListener {
        let path = self.folder.join("can.sock");
        let _ = fs::remove_file(&path);
        UnixListener::bind(path).expect("a socket")
    }

    /// Says one line on the control channel; the answer.
    fn control(&self, line: &str) -> String {
        let path = self.folder.join("control.sock");
        let mut stream = wait_for(|| UnixStream::connect(&path).ok());
        writeln!(stream, "{line}").expect("said");
        let mut answer = String::new();
        BufReader::new(stream)
            .read_line(&mut answer)
            .expect("an answer");
        answer.trim().to_owned()
    }

    fn report(&self) -> serde_json::Value {
        serde_json::from_str(&self.control("report")).expect("JSON")
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
        let _ = fs::remove_dir_all(&self.folder);
    }
}

fn wait_for<T>(mut found: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(value) = found() {
            return value;
        }
        assert!(start.elapsed() < HANG, "it never came");
        thread::sleep(Duration::from_millis(10));
    }
}

fn accept(listener: &UnixListener) -> UnixStream {
    listener.set_nonblocking(true).expect("set");
    let stream = wait_for(|| listener.accept().ok()).0;
    stream.set_nonblocking(false).expect("set");
    stream.set_read_timeout(Some(HANG)).expect("set");
    stream
}

/// Reads `count` frames.
fn frames(stream: &mut UnixStream, count: usize) -> Vec<can::Frame> {
    let (mut parser, mut found, mut byte) = (Parser::new(), Vec::new(), [0]);
    while found.len() < count {
        stream
            .read_exact(&mut byte)
            .expect("bytes before the limit for hangs");
        if let Some(Ok(Line::Frame(frame))) = parser.push(byte[0]) {
            found.push(frame);
        }
    }
    found
}

#[test]
fn it_joins_the_bus_replays_counts_and_ends_cleanly() {
    let mut simulator = Simulator::start("whole", &[]);
    // The device comes later than the simulator.
    thread::sleep(Duration::from_millis(120));
    let listener = simulator.listen();
    let mut device = accept(&listener);
    device.write_all(b"C\rS6\rO\r").expect("written");
    for sequence in 0..20 {
        let command = Message::Command(PumpCommand {
            rate: 125,
            time_ms: u16::from(sequence) * 10,
        });
        let line = encode(&Line::Frame(encode_message(PUMP, command, sequence)));
        device.write_all(line.as_bytes()).expect("written");
    }
    let heard = frames(&mut device, 300);
    for wanted in [0x181, 0x182, 0x282, 0x701] {
        assert!(
            heard.iter().any(|f| f.identifier().bits() == wanted),
            "{wanted:#x} is not heard"
        );
    }
    assert_eq!(simulator.control("flood 5000"), "ok");
    assert!(simulator.control("flood many").starts_with("error"));
    let foreign = wait_for(|| {
        let heard = frames(&mut device, 50);
        let foreign = heard
            .iter()
            .filter(|f| f.identifier().bits() & 0x780 == 0x400)
            .count();
        (foreign > 10).then_some(foreign)
    });
    assert!(foreign > 10);
    // The device is switched off and on.
    drop(device);
    let mut device = accept(&listener);
    device.write_all(b"O\r").expect("written");
    frames(&mut device, 10);
    assert_eq!(simulator.report()["bus"]["connections"], 2);
    assert_eq!(simulator.control("quit"), "ok");
    assert!(simulator.child.wait().expect("ended").success());
    let text = fs::read_to_string(simulator.folder.join("report.json")).expect("a report");
    let report: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(report["nodes"]["pump"]["commands_received"], 20);
    assert_eq!(report["nodes"]["pump"]["missed"], 0);
    assert_eq!(report["patient"]["ecg"], "bidmc01 II, V");
}

#[test]
fn a_recording_cut_short_is_replayed_and_the_rest_reported() {
    let simulator = {
        let folder = std::env::temp_dir().join(format!("lazaret-sim-cut-{}", std::process::id()));
        fs::create_dir_all(&folder).expect("a folder");
        let recordings = Path::new(env!("CARGO_MANIFEST_DIR")).join("recordings");
        fs::copy(recordings.join("115.hea"), folder.join("115.hea")).expect("copied");
        let whole = fs::read(recordings.join("115.dat")).expect("read");
        fs::write(folder.join("115.dat"), &whole[..3 * 3600]).expect("written");
        let file = folder.join("115.hea").display().to_string();
        Simulator::start("cut", &["--recording", &file])
    };
    let report = simulator.report();
    assert_eq!(report["patient"]["ecg"], "115 MLII, V1");
    let problems = report["patient"]["problems"].to_string();
    assert!(
        problems.contains("115:") && problems.contains("3600"),
        "{problems}"
    );
}

#[test]
fn nothing_to_replay_is_said() {
    let output = Command::new(env!("CARGO_BIN_EXE_sim"))
        .args([
            "--bus",
            "/nonexistent/can.sock",
            "--recording",
            "/nonexistent/x.hea",
        ])
        .output()
        .expect("sim starts");
    assert!(!output.status.success());
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(text.contains("/nonexistent/x.hea"), "{text}");
}
