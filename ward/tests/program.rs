//! The ward as a program: what devices, people and other programs see of it.

mod synthetic;

use reading::{AlarmKind, Channel, Numerics, Priority, Record, Samples, Strip};
use serde_json::Value;
use std::io::{BufRead as _, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use synthetic::{Device, Patient};

/// For what hangs only; nothing here measures speed.
const HANG: Duration = Duration::from_secs(60);

/// A folder of its own for each test, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("ward-{name}-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        std::fs::create_dir_all(&path).expect("a folder");
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// A ward that runs.
struct Ward {
    child: Child,
    records: SocketAddr,
    page: SocketAddr,
}

fn command(data: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ward"));
    command.args(["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0", "--data"]);
    command.arg(data).args(arguments).stdin(Stdio::null());
    command
}

impl Ward {
    fn start(data: &Path, arguments: &[&str]) -> Self {
        let mut child = command(data, arguments)
            .stdout(Stdio::piped())
            .spawn()
            .expect("the ward starts");
        let mut line = String::new();
        let output = child.stdout.take().expect("its output");
        BufReader::new(output).read_line(&mut line).expect("a line");
        let addresses = line.trim().strip_prefix("ward: records on ");
        let (records, page) = addresses
            .and_then(|text| text.split_once(", page on http://"))
            .unwrap_or_else(|| panic!("{line:?}"));
        Self {
            child,
            records: records.parse().expect("an address"),
            page: page.parse().expect("an address"),
        }
    }

    /// The status and the body of an answer.
    fn ask(&self, path: &str) -> (u16, String) {
        let agent = ureq::Agent::new_with_config(
            ureq::Agent::config_builder()
                .http_status_as_error(false)
                .build(),
        );
        let mut answer = agent
            .get(format!("http://{}{path}", self.page))
            .call()
            .unwrap_or_else(|error| panic!("{path}: {error}"));
        let text = answer.body_mut().read_to_string().expect("text");
        (answer.status().as_u16(), text)
    }

    fn get(&self, path: &str) -> Value {
        let (status, text) = self.ask(path);
        assert_eq!(status, 200, "{path}: {text}");
        serde_json::from_str(&text).expect("JSON")
    }

    fn device(&self, name: &str) -> Value {
        self.get(&format!("/api/devices/{name}"))
    }

    /// Waits until `found` finds something; for what must come.
    fn wait<T>(&self, what: &str, found: impl Fn(&Self) -> Option<T>) -> T {
        let until = Instant::now() + HANG;
        loop {
            if let Some(value) = found(self) {
                return value;
            }
            assert!(Instant::now() < until, "{what} never came");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Ends it as a service manager does, and says how it ended.
    fn terminate(mut self) -> Option<i32> {
        let pid = self.child.id().to_string();
        let sent = Command::new("kill").args(["-TERM", &pid]).status();
        assert!(sent.expect("kill").success());
        let until = Instant::now() + HANG;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait().expect("a child") {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!("it never ended");
    }
}

impl Drop for Ward {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn patient() -> Patient {
    Patient {
        heart_rate_bpm: 72.0,
        spo2_percent: 97.0,
    }
}

#[test]
fn readings_are_stored_acknowledged_and_told() {
    let folder = Folder::new("stored");
    let ward = Ward::start(&folder.0, &[]);
    let mut device = Device::connect(ward.records, "bed-07", 0xfeed_0000_0000_0001, 1);
    for t_ms in (4000..7000).step_by(200) {
        synthetic::send_strips(&mut device, &patient(), t_ms);
    }
    synthetic::send_second(&mut device, &patient(), 7000);
    synthetic::send_alarm(&mut device, AlarmKind::SpO2Low, Priority::High, true, 7000);
    synthetic::send_started(&mut device);
    let sent = device.next - 1;
    assert!(device.wait_acknowledged(sent, HANG), "all acknowledged");

    let told = ward.wait("the last count", |ward| {
        let told = ward.device("bed-07");
        (told["stored"]["readings"] == sent).then_some(told)
    });
    assert_eq!(told["connected"], true);
    assert_eq!(told["connection"]["protection"], "unprotected");
    assert_eq!(told["boot"], "feed000000000001");
    assert_eq!(told["numerics"]["heart_rate_bpm"], 72.0);
    assert_eq!(told["components"].as_array().map(Vec::len), Some(13));
    assert_eq!(told["status"]["tasks"][1]["name"], "can");
    assert_eq!(told["status"]["tasks"][1]["state"], "running");
    assert_eq!(told["status"]["partition"]["exits"][1]["count"], 8);
    assert_eq!(told["alarms"][0]["kind"], "spo2-low");
    assert_eq!(told["alarms"][0]["priority"], "high");
    assert_eq!(told["gaps"]["records"], 0);
    let first = told["first_reading_unix_ms"].as_i64().expect("a time");
    let on = told["power_on_unix_ms"].as_i64().expect("a time");
    assert!(first > on);
    let list = ward.get("/api/devices");
    assert_eq!(list["devices"][0]["alarm"], "high");

    stored_rows(&ward);
    let (_, metrics) = ward.ask("/metrics");
    assert!(metrics.contains("ward_readings_stored_total{kind=\"strips\"} 45"));
    assert!(metrics.contains("ward_device_connected{device=\"bed-07\"} 1"));
    assert!(metrics.contains("ward_database_state{state=\"ok\"} 1"));
    let health = ward.get("/health");
    assert_eq!(
        (&health["status"], &health["channel"]),
        (&"ok".into(), &"unprotected".into())
    );
    assert_eq!(ward.terminate(), Some(0));
}

/// What was sent comes back, page by page.
fn stored_rows(ward: &Ward) {
    let (mut from, mut samples, mut pages) = (0, Vec::new(), 0);
    loop {
        let path = format!("/api/devices/bed-07/strips?channel=ecg-1&from={from}&limit=4");
        let page = ward.get(&path);
        for strip in page["strips"].as_array().expect("strips") {
            assert_eq!(strip["rate_hz"], 360.0);
            samples.extend(strip["samples"].as_array().expect("samples").clone());
        }
        pages += 1;
        match page["next"].as_u64() {
            Some(next) => from = next,
            None => break,
        }
    }
    let expected: Vec<i16> = (4 * 360..7 * 360)
        .map(|n| patient().ecg(n as f64 / 360.0, 0))
        .collect();
    assert_eq!((samples.len(), pages), (expected.len(), 4));
    assert!(samples.iter().zip(&expected).all(|(a, b)| a == b));
    assert_eq!(
        ward.get("/api/devices/bed-07/numerics")["numerics"][0]["t_us"],
        7_000_000
    );
    assert_eq!(
        ward.get("/api/devices/bed-07/alarms")["alarms"][0]["active"],
        true
    );
    assert_eq!(
        ward.get("/api/devices/bed-07/events")["events"][0]["name"],
        "started"
    );
    assert_eq!(
        ward.get("/api/devices/bed-07/statuses")["statuses"][0]["cores"],
        3
    );
    for (path, status) in [
        ("/api/devices/bed-99", 404),
        ("/api/devices/bed-99/numerics", 404),
        ("/api/devices/bed-07/numerics?boot=1", 404),
        ("/api/devices/bed-07/numerics?boot=x", 400),
        ("/api/devices/bed-07/numerics?from=-1", 400),
        ("/api/devices/bed-07/numerics?until=1", 400),
        ("/api/devices/bed-07/strips?channel=abp", 400),
        ("/api/devices/bed-07/patients", 404),
        ("/nothing", 404),
    ] {
        let (found, text) = ward.ask(path);
        assert_eq!(found, status, "{path}: {text}");
        assert!(text.contains("error"), "{path}: {text}");
    }
}

#[test]
fn what_comes_again_is_not_stored_again_and_what_is_missing_is_a_gap() {
    let folder = Folder::new("again");
    let ward = Ward::start(&folder.0, &[]);
    let mut device = Device::connect(ward.records, "bed", 1, 1);
    for t in 0..10 {
        device.send_numerics(1000 + t * 10);
    }
    assert!(device.wait_acknowledged(10, HANG));
    drop(device);
    ward.wait("the connection's end", |ward| {
        (ward.device("bed")["connection"]["state"] == "lost").then_some(())
    });
    // It has not heard of the last three, and four more it had to drop.
    let mut device = Device::connect(ward.records, "bed", 1, 8);
    for t in 7..10 {
        device.send_numerics(1000 + t * 10);
    }
    device.next = 15;
    device.send_numerics(1140);
    assert!(device.wait_acknowledged(15, HANG));
    let told = ward.wait("the gap", |ward| {
        let told = ward.device("bed");
        (told["gaps"]["records"] == 4).then_some(told)
    });
    assert_eq!(told["stored"]["numerics"], 11);
    assert_eq!(told["duplicates"], 3);
    assert_eq!(told["connection"]["connects"], 2);
    let kinds: Vec<&Value> = told["gaps"]["recent"]
        .as_array()
        .expect("gaps")
        .iter()
        .map(|gap| &gap["kind"])
        .collect();
    assert_eq!(kinds, ["connection", "records"]);
    let gap = &ward.get("/api/devices/bed/gaps")["gaps"][0];
    assert_eq!((&gap["from"], &gap["count"]), (&11.into(), &4.into()));
    drop(device);
    another_ward_goes_on(ward, &folder.0);
}

/// A ward that is started again knows what it had; a device that is started again counts from 1.
fn another_ward_goes_on(ward: Ward, data: &Path) {
    assert_eq!(ward.terminate(), Some(0));
    let ward = Ward::start(data, &[]);
    ward.wait("what was stored", |ward| {
        let list = ward.get("/api/devices");
        (list["devices"][0]["readings_stored"] == 11).then_some(())
    });
    let mut device = Device::connect(ward.records, "bed", 1, 15);
    device.send_numerics(1140);
    device.send_numerics(1150);
    assert!(device.wait_acknowledged(16, HANG));
    let told = ward.wait("one more", |ward| {
        let told = ward.device("bed");
        (told["stored"]["numerics"] == 12).then_some(told)
    });
    assert_eq!(
        (&told["duplicates"], &told["gaps"]["records"]),
        (&1.into(), &4.into())
    );
    let mut device = Device::connect(ward.records, "bed", 2, 1);
    device.send_numerics(5);
    assert!(device.wait_acknowledged(1, HANG));
    let told = ward.wait("the new start", |ward| {
        let told = ward.device("bed");
        (told["stored"]["readings"] == 1).then_some(told)
    });
    assert_eq!(
        told["gaps"]["recent"]
            .as_array()
            .and_then(|all| all.last())
            .map(|gap| &gap["kind"]),
        Some(&"restart".into())
    );
    let old = ward.get("/api/devices/bed/numerics?boot=1");
    assert_eq!(old["numerics"].as_array().map(Vec::len), Some(12));
    assert_eq!(ward.terminate(), Some(0));
}

#[test]
fn missing_samples_are_a_gap_of_their_channel() {
    let folder = Folder::new("samples");
    let ward = Ward::start(&folder.0, &[]);
    let mut device = Device::connect(ward.records, "bed", 1, 1);
    for first_sample in [0, 4, 20, 24] {
        device.send(&Record::Strip(Strip {
            channel: Channel::EcgFirst,
            first_sample,
            t_us: first_sample * 2778,
            rate_decihertz: 3600,
            samples: Samples::new(&[1, 0, 2, 0, 3, 0, 4, 0]).expect("even"),
        }));
    }
    assert!(device.wait_acknowledged(4, HANG));
    let told = ward.wait("the gap", |ward| {
        let told = ward.device("bed");
        (told["gaps"]["samples"] == 12).then_some(told)
    });
    let gap = &told["gaps"]["recent"][0];
    assert_eq!(
        (&gap["channel"], &gap["from"]),
        (&"ecg-1".into(), &8.into())
    );
    assert_eq!(told["gaps"]["records"], 0);
}

#[test]
fn malformed_bytes_end_their_connection_and_no_other() {
    let folder = Folder::new("malformed");
    let ward = Ward::start(&folder.0, &[]);
    let mut good = Device::connect(ward.records, "good", 1, 1);
    let silent = |bytes: &[u8]| {
        let mut bad = Device::connect_silently(ward.records, 1);
        bad.send_bytes(bytes);
        bad
    };
    let greeted = |bytes: &[u8]| {
        let mut bad = Device::connect(ward.records, "bad", 1, 1);
        bad.send_bytes(bytes);
        bad
    };
    let mut number_zero = Device::connect(ward.records, "bad", 1, 1);
    number_zero.send_as(0, &Record::Numerics(Numerics::default()));
    let mut somebody_else = Device::connect(ward.records, "bad", 1, 1);
    somebody_else.greet("good", 1);
    let mut no_greeting = Device::connect_silently(ward.records, 1);
    no_greeting.send_numerics(1);
    let all = [
        silent(b"GET / HTTP/1.1\r\n\r\n"),
        silent(&[0, 0]),
        silent(&[0xff, 0xff]),
        silent(&[0, 1, 0xff]),
        greeted(&[0, 3, 0x82, 1, 0xff]),
        greeted(&[0, 4, 0x82, 1, 0x81, 2]),
        number_zero,
        somebody_else,
        no_greeting,
    ];
    let count = all.len();
    for mut bad in all {
        assert!(bad.wait_closed(HANG), "it is closed");
    }
    ward.wait("the count", |ward| {
        let wanted = format!("ward_malformed_total {count}\n");
        ward.ask("/metrics").1.contains(&wanted).then_some(())
    });
    // A record of a kind that is newer than the ward is kept.
    good.send_bytes(&[0, 4, 0x82, 1, 0x81, 17]);
    good.next = 2;
    good.send_numerics(1);
    assert!(good.wait_acknowledged(2, HANG), "the good one goes on");
    assert_eq!(ward.device("good")["stored"]["unknown"], 1);
}

#[test]
fn any_bytes_at_all_do_no_harm() {
    let folder = Folder::new("noise");
    let ward = Ward::start(&folder.0, &[]);
    let mut seed = 7_u64;
    let mut random = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        (seed >> 33) as u8
    };
    for n in 0..200 {
        let mut bytes: Vec<u8> = (0..random()).map(|_| random()).collect();
        if n % 2 == 0 && bytes.len() > 4 {
            // A good length and a good beginning reach further in.
            let length = bytes.len() as u16 - 2;
            bytes[..2].copy_from_slice(&length.to_be_bytes());
            bytes[2..4].copy_from_slice(&[0x82, 1]);
        }
        Device::connect(ward.records, "noise", 1, 1).send_bytes(&bytes);
    }
    let mut device = Device::connect(ward.records, "bed", 1, 1);
    device.send_numerics(1);
    assert!(device.wait_acknowledged(1, HANG));
    assert_eq!(ward.terminate(), Some(0));
}

#[test]
fn a_full_database_is_said_and_nothing_is_lost_when_there_is_room_again() {
    let folder = Folder::new("full");
    let ward = Ward::start(
        &folder.0,
        &["--database-limit-mib", "1", "--buffer-records", "300"],
    );
    let mut device = Device::connect(ward.records, "bed", 1, 1);
    let mut t_ms = 4000;
    let mut send_strips = |device: &mut Device| {
        for _ in 0..30 {
            synthetic::send_strips(device, &patient(), t_ms);
            t_ms += synthetic::STRIP_MS;
        }
        t_ms
    };
    let until = Instant::now() + HANG;
    while ward.get("/api/devices")["ward"]["database"]["state"] != "full" {
        assert!(Instant::now() < until, "it never was full");
        send_strips(&mut device);
        let sent = device.next - 1;
        device.wait_acknowledged(sent, Duration::from_secs(1));
    }
    // Until the buffer is full too.
    let mut t_ms = 0;
    while ward.get("/api/devices")["ward"]["not_kept"] == 0 {
        assert!(Instant::now() < until, "the buffer never was full");
        t_ms = send_strips(&mut device);
    }
    let (status, health) = ward.ask("/health");
    let health: Value = serde_json::from_str(&health).expect("JSON");
    assert_eq!((status, &health["status"]), (503, &"degraded".into()));
    assert_eq!(health["database"]["state"], "full");
    assert_eq!(health["buffered_records"], 300);
    assert!(
        ward.ask("/metrics")
            .1
            .contains("ward_database_state{state=\"full\"} 1")
    );
    // It is shown all the same.
    synthetic::send_second(&mut device, &patient(), t_ms);
    let sent = device.next - 1;
    ward.wait("the newest numbers", |ward| {
        (ward.device("bed")["numerics"]["t_us"] == t_ms * 1000).then_some(())
    });
    let stored = ward.device("bed")["stored"]["readings"]
        .as_u64()
        .expect("a number");
    assert!(device.wait_acknowledged(stored, HANG));
    device.read().expect("the connection stays");
    assert_eq!(
        device.acknowledged, stored,
        "only what is stored is acknowledged"
    );

    make_room(&folder.0.join("ward.sqlite"));
    // The ward stores what waited and wants the rest again.
    assert!(device.wait_closed(HANG), "it asks for the rest");
    let again = device.acknowledged + 1;
    assert!(
        again > stored + 300,
        "what waited was stored: {again}, {stored}"
    );
    let mut device = Device::connect(ward.records, "bed", 1, again);
    while device.next <= sent {
        // A shorter body keeps the database below its limit; the number is what counts here.
        device.send_numerics(t_ms);
    }
    assert!(device.wait_acknowledged(sent, HANG));
    let told = ward.wait("all of it", |ward| {
        let told = ward.device("bed");
        (told["stored"]["readings"] == sent).then_some(told)
    });
    assert_eq!(told["gaps"]["records"], 0, "nothing is missing");
    assert_eq!(ward.get("/health")["status"], "ok");
    assert_eq!(ward.terminate(), Some(0));
}

/// Removes the samples that are stored, as an operator would who needs room.
fn make_room(database: &Path) {
    let connection = rusqlite::Connection::open(database).expect("it opens");
    connection.busy_timeout(HANG).expect("a time");
    connection.execute("DELETE FROM strips", []).expect("room");
}

#[test]
fn an_unwritable_database_is_said_and_tried_again() {
    let folder = Folder::new("unwritable");
    // A file stands where the folder should be.
    let place = folder.0.join("data");
    std::fs::write(&place, "in the way").expect("a file");
    let ward = Ward::start(&place, &[]);
    let mut device = Device::connect(ward.records, "bed", 1, 1);
    device.send_numerics(1);
    let health = ward.wait("the bad news", |ward| {
        let (status, health) = ward.ask("/health");
        (status == 503 && health.contains("unwritable")).then_some(health)
    });
    assert!(health.contains("cannot be made"), "{health}");
    assert!(!device.wait_acknowledged(1, Duration::from_millis(500)));
    assert_eq!(ward.device("bed")["numerics"]["heart_rate_bpm"], 72.0);
    std::fs::remove_file(&place).expect("out of the way");
    assert!(device.wait_acknowledged(1, HANG), "stored in the end");

    // Somebody else holds the database.
    let other = rusqlite::Connection::open(place.join("ward.sqlite")).expect("it opens");
    other.busy_timeout(HANG).expect("a time");
    other.execute_batch("BEGIN IMMEDIATE").expect("a lock");
    device.send_numerics(2);
    ward.wait("the bad news", |ward| {
        ward.ask("/health").1.contains("locked").then_some(())
    });
    assert_eq!(device.acknowledged, 1);
    other.execute_batch("ROLLBACK").expect("no lock");
    assert!(device.wait_acknowledged(2, HANG), "stored in the end");
    assert_eq!(ward.terminate(), Some(0));
}

#[test]
fn a_port_in_use_is_said_with_the_option_that_changes_it() {
    let folder = Folder::new("port");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("an address").to_string();
    for option in ["--listen", "--http"] {
        let mut arguments = ["--listen", "127.0.0.1:0", "--http", "127.0.0.1:0"].map(str::to_owned);
        let place = arguments
            .iter()
            .position(|text| text == option)
            .expect("it is there");
        arguments[place + 1].clone_from(&address);
        let output = Command::new(env!("CARGO_BIN_EXE_ward"))
            .args(arguments)
            .arg("--data")
            .arg(&folder.0)
            .output()
            .expect("it runs");
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success());
        assert!(said.contains("in use") && said.contains(option), "{said}");
    }
}

#[test]
fn pages_get_headers_that_keep_others_out() {
    let folder = Folder::new("headers");
    let ward = Ward::start(&folder.0, &[]);
    let page = ureq::get(format!("http://{}/", ward.page))
        .call()
        .expect("the page");
    let policy = page.headers()["content-security-policy"]
        .to_str()
        .expect("text");
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"));
    assert_eq!(page.headers()["x-content-type-options"], "nosniff");
}
