//! A device that is not there: scaffolding for tests of the ward alone, and for looking at its page.
//!
//! Its signals are drawn with formulas, and its records travel as a device's do, through `core/reading`.
#![allow(dead_code, reason = "each user needs another part of it")]

use reading::{
    Ack, Alarm, AlarmKind, CanCounters, Channel, Component, Deframer, Event, Exit, Hello,
    LinkCounters, Numerics, PartitionStatus, Priority, Record, Samples, Status, Strip, TaskStatus,
    encode_frame, event,
};
use std::io::{self, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// ECG samples a second.
pub const ECG_HZ: u64 = 360;
/// Pleth samples a second.
pub const PLETH_HZ: u64 = 125;
/// Length of a strip.
pub const STRIP_MS: u64 = 200;

/// One connection of a device.
pub struct Device {
    stream: TcpStream,
    incoming: Deframer,
    /// The highest number the ward has acknowledged on this connection.
    pub acknowledged: u64,
    /// Number of the next record.
    pub next: u64,
}

impl Device {
    /// Connects and greets; the next record has the number `next`.
    pub fn connect(ward: SocketAddr, name: &str, boot: u64, next: u64) -> Self {
        let mut device = Self::connect_silently(ward, next);
        device.greet(name, boot);
        device
    }

    /// Connects, and says nothing.
    pub fn connect_silently(ward: SocketAddr, next: u64) -> Self {
        let stream = TcpStream::connect(ward).expect("the ward listens");
        stream.set_nodelay(true).expect("a socket");
        Self {
            stream,
            incoming: Deframer::new(),
            acknowledged: 0,
            next,
        }
    }

    /// Says who it is, in two frames as a device with many components does.
    pub fn greet(&mut self, name: &str, boot: u64) {
        let names = [
            "loader",
            "monitor",
            "kernel",
            "hypervisor",
            "task-supervisor",
            "task-can",
            "task-audit",
            "task-vitals",
            "task-link",
            "linux-kernel",
            "linux-initramfs",
            "linux-dtb",
            "linux-root",
        ];
        let mut components = [Component::default(); 13];
        for (n, (component, name)) in components.iter_mut().zip(names).enumerate() {
            let digest = (0x9e37_79b9_7f4a_7c15_u64.wrapping_mul(n as u64 + 3)).to_be_bytes();
            *component = Component {
                name,
                version: "0.1.0",
                digest,
            };
        }
        for part in components.chunks(8) {
            self.send_as(
                0,
                &Record::Hello(Hello {
                    device_id: name,
                    product: "bedside-monitor",
                    version: "0.1.0",
                    sequence: 3,
                    t_us: 1_500_000,
                    boot,
                    components: part,
                }),
            );
        }
    }

    /// Sends a record under the next number.
    pub fn send(&mut self, record: &Record<'_>) {
        self.send_as(self.next, record);
        self.next += 1;
    }

    /// Sends a record under that number.
    pub fn send_as(&mut self, sequence: u64, record: &Record<'_>) {
        let (mut body, mut frame) = ([0; 1000], [0; 1100]);
        let length = record.encode(&mut body).expect("it fits");
        let length = encode_frame(sequence, &body[..length], &mut frame).expect("it fits");
        self.send_bytes(&frame[..length]);
    }

    /// Sends any bytes. A ward that has closed the connection is found out when its answers are read.
    pub fn send_bytes(&mut self, bytes: &[u8]) {
        let _ = self.stream.write_all(bytes);
    }

    /// Sends numerics that say little.
    pub fn send_numerics(&mut self, t_ms: u64) {
        self.send(&Record::Numerics(Numerics {
            t_us: t_ms * 1000,
            heart_rate_deci: Some(720),
            ..Numerics::default()
        }));
    }

    /// Reads acknowledgements until one reaches `sequence`; whether one did before `limit` or the end.
    pub fn wait_acknowledged(&mut self, sequence: u64, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        while self.acknowledged < sequence && Instant::now() < until {
            if self.read().is_err() {
                break;
            }
        }
        self.acknowledged >= sequence
    }

    /// Reads until the ward closes the connection; whether it did.
    pub fn wait_closed(&mut self, limit: Duration) -> bool {
        let until = Instant::now() + limit;
        while Instant::now() < until {
            if self.read().is_err() {
                return true;
            }
        }
        false
    }

    /// Takes the acknowledgements that are there; an error where the connection is gone.
    pub fn read(&mut self) -> io::Result<()> {
        self.stream
            .set_read_timeout(Some(Duration::from_millis(20)))?;
        let mut bytes = [0; 256];
        let count = match self.stream.read(&mut bytes) {
            Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
            Err(error) => return Err(error),
        };
        let mut left = &bytes[..count];
        while !left.is_empty() {
            left = &left[self.incoming.push(left)..];
            while let Some(frame) = self.incoming.next().expect("lengths are good") {
                let Ack(sequence) = Ack::decode(frame).expect("an acknowledgement");
                assert!(sequence < self.next, "acknowledged before it was sent");
                assert!(sequence >= self.acknowledged, "acknowledgements go up");
                self.acknowledged = sequence;
            }
        }
        Ok(())
    }
}

/// A patient drawn with formulas.
#[derive(Debug, Clone, Copy)]
pub struct Patient {
    /// Beats a minute.
    pub heart_rate_bpm: f64,
    /// Oxygen saturation, percent.
    pub spo2_percent: f64,
}

/// Amplitude (mV), place after the beat's begin and width (s) of the waves of a heart beat.
const WAVES: [(f64, f64, f64); 5] = [
    (0.13, 0.10, 0.022),
    (-0.12, 0.175, 0.009),
    (1.15, 0.20, 0.011),
    (-0.26, 0.228, 0.010),
    (0.30, 0.42, 0.042),
];

impl Patient {
    /// Time since the last beat began, seconds, and how long a beat takes.
    fn phase(&self, t_s: f64) -> (f64, f64) {
        let beat = 60.0 / self.heart_rate_bpm;
        (t_s.rem_euclid(beat), beat)
    }

    /// The ECG, 5 uV a unit.
    pub fn ecg(&self, t_s: f64, lead: usize) -> i16 {
        let (phase, _) = self.phase(t_s);
        let mut mv = 0.05 * (t_s * 1.6).sin() + 0.012 * (t_s * 377.0).sin();
        for (n, (height, at, width)) in WAVES.into_iter().enumerate() {
            let height = match (lead, n) {
                (0, _) => height,
                (_, 3) => -0.62,
                (_, 2) => 0.36,
                _ => height * 0.6,
            };
            mv += height * (-((phase - at) / width).powi(2) / 2.0).exp();
        }
        (mv * 200.0) as i16
    }

    /// The pleth, 1e-4 of full scale a unit.
    pub fn pleth(&self, t_s: f64) -> i16 {
        let (phase, beat) = self.phase(t_s - 0.28);
        let bump = |at: f64, width: f64| {
            // The end of the beat before is still there.
            let x = phase / beat;
            let near = [x - at, x - at + 1.0, x - at - 1.0];
            near.map(|d| (-(d / width).powi(2) / 2.0).exp())
                .iter()
                .sum::<f64>()
        };
        let wave = bump(0.22, 0.11) + 0.42 * bump(0.52, 0.13);
        (3200.0 + 2600.0 * wave + 260.0 * (t_s * 1.5).sin()) as i16
    }
}

/// Sends the strips of `STRIP_MS` from `t_ms` on, of all channels.
pub fn send_strips(device: &mut Device, patient: &Patient, t_ms: u64) {
    for (channel, rate) in [
        (Channel::EcgFirst, ECG_HZ),
        (Channel::EcgSecond, ECG_HZ),
        (Channel::Pleth, PLETH_HZ),
    ] {
        let (first, end) = (t_ms * rate / 1000, (t_ms + STRIP_MS) * rate / 1000);
        let bytes: Vec<u8> = (first..end)
            .map(|n| n as f64 / rate as f64)
            .map(|t_s| match channel {
                Channel::EcgFirst => patient.ecg(t_s, 0),
                Channel::EcgSecond => patient.ecg(t_s, 1),
                Channel::Pleth => patient.pleth(t_s),
            })
            .flat_map(i16::to_le_bytes)
            .collect();
        device.send(&Record::Strip(Strip {
            channel,
            first_sample: first,
            t_us: first * 1_000_000 / rate,
            rate_decihertz: (rate * 10) as u16,
            samples: Samples::new(&bytes).expect("even"),
        }));
    }
}

/// Sends the numbers and the state of a second.
pub fn send_second(device: &mut Device, patient: &Patient, t_ms: u64) {
    let wobble = (t_ms as f64 / 7000.0).sin();
    device.send(&Record::Numerics(Numerics {
        t_us: t_ms * 1000,
        heart_rate_deci: Some((patient.heart_rate_bpm * 10.0) as u16),
        spo2_deci: Some((patient.spo2_percent * 10.0 + wobble * 4.0) as u16),
        pulse_deci: Some((patient.heart_rate_bpm * 10.0 + wobble * 3.0) as u16),
        quality: [96, 88],
        leads_off: 0,
    }));
    let tasks = ["supervisor", "can", "audit", "vitals", "link"].map(|name| TaskStatus {
        name,
        state: 0,
        restarts: 0,
        overruns: 0,
        used_ms: t_ms / 20,
    });
    let exits = [("sgi", 391 + t_ms / 90), ("smc", 8), ("data-abort", 7)]
        .map(|(reason, count)| Exit { reason, count });
    device.send(&Record::Status(Status {
        t_us: t_ms * 1000,
        cores: 3,
        tasks: &tasks,
        can: CanCounters {
            received: t_ms * 486 / 1000,
            commands_sent: t_ms / 10,
            worst_delay_us: 412,
            ..CanCounters::default()
        },
        partition: PartitionStatus {
            state: 1,
            refused: 0,
            exits: &exits,
        },
        link: LinkCounters {
            waiting: 6,
            ..LinkCounters::default()
        },
    }));
}

/// Sends an alarm's begin or end.
pub fn send_alarm(
    device: &mut Device,
    kind: AlarmKind,
    priority: Priority,
    active: bool,
    t_ms: u64,
) {
    device.send(&Record::Alarm(Alarm {
        t_us: t_ms * 1000,
        kind,
        priority,
        active,
        value_deci: 865,
    }));
}

/// Sends the event of a start.
pub fn send_started(device: &mut Device) {
    device.send(&Record::Event(Event {
        number: 1,
        t_us: 1_200_000,
        code: event::STARTED,
        a: 3,
        b: 0,
    }));
}

/// Runs a device in real time for `length`; `is_lost` says for which of its milliseconds samples are lost.
pub fn run(
    device: &mut Device,
    patient: &Patient,
    from_ms: u64,
    length: Duration,
    is_lost: impl Fn(u64) -> bool,
) -> u64 {
    let begin = Instant::now();
    let mut t_ms = from_ms;
    while begin.elapsed() < length {
        let due = Duration::from_millis(t_ms + STRIP_MS - from_ms);
        std::thread::sleep(due.saturating_sub(begin.elapsed()));
        if !is_lost(t_ms) {
            send_strips(device, patient, t_ms);
        }
        if t_ms.is_multiple_of(1000) {
            send_second(device, patient, t_ms);
        }
        let _ = device.read();
        t_ms += STRIP_MS;
    }
    t_ms
}
